"""From a file of pretrained word vectors to the vectors of the words that a training can use.

In: a text file as fastText and GloVe publish it (plain or gzip), or a folder of vectors as spaCy writes it. Out: words
in their normalised spelling, each with its vector. What it leaves to others: how a vector enters the network, and which
words get a row of the vocabulary.

The idea, once. A file holds up to two million words in 4 GB, a training needs some thousands of them. So the file is
read once, line by line: the word is normalised and looked up, and only the numbers of a word that is kept are
converted. A line of 300 numbers that is skipped costs less than 4 us and no memory; one that is kept, 70 us.

Text: a line is a word and D numbers, separated by single spaces. fastText puts "count D" before them
(https://fasttext.cc/docs/en/crawl-vectors.html), GloVe does not (https://github.com/stanfordnlp/GloVe). The count is
not checked, so that the first lines of a file are a file too.
spaCy: `vectors` is a NumPy array, `key2row` a MessagePack map from the hash of a word to its row, `strings.json` the
list of the words (https://spacy.io/api/vectors).
Both have the frequent words first.
"""

# Axes: N words that are kept, R rows of the file's own table, D numbers of a vector.

import gzip
import io
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.arrays import Floats
from artifacts.errors import InvalidInput, InvalidText
from artifacts.text.tokens import MAX_TOKEN_CHARACTERS, normalise

T = TypeVar("T")  # what a file decodes to

MAX_DIM = 1024  # published vectors have 50 to 300 numbers; the widest of the network's own have as many as this
MAX_LINE_BYTES = 1 << 16  # a word and 1024 numbers of 60 characters; a file that is no text may have no line at all
MAX_BROKEN_SHARE = 0.01  # fastText's own files hold a few words cut inside a character (its issue 954)
MAX_FLOAT32 = float(np.finfo(np.float32).max)
BUFFER_BYTES = 1 << 20
GZIP = b"\x1f\x8b"  # the first bytes (RFC 1952)
FASTTEXT_BIN, ZIP, NUMPY = b"\xba\x16\x4f\x2f", b"PK\x03\x04", b"\x93NUMPY"  # first bytes of what is no text file
HEADER = re.compile(rb"\d{1,12} \d{1,6}")  # of fastText
MURMUR_FACTOR, MURMUR_SHIFT = 0xC6A4A7935BD1E995, 47  # MurmurHash2.cpp by Austin Appleby, public domain
SPACY_SEED = 1  # strings.pyx of spaCy
BITS_64 = (1 << 64) - 1


class Vectors(msgspec.Struct, frozen=True):
    """Pretrained vectors, scaled so that their mean length is 1.

    Attributes:
        words: normalised, each once, in the order of the file; none is a placeholder, a number or blank.
        vectors_ND: float32, finite; the vector of each.
        num_found: how many of them are wanted words.
        num_read: words in the file.
        num_broken: words in the file that are not UTF-8, which were skipped; at most 1 %.
    """

    words: list[str]
    vectors_ND: Floats
    num_found: int
    num_read: int
    num_broken: int = 0


class VectorsConfig(msgspec.Struct, frozen=True):
    """The `vectors.cfg` of a spaCy folder, as far as it says how the table is meant."""

    mode: str = "default"


class Choice:
    """Decides, word by word in the order of the file, what is kept; holds the words kept so far."""

    def __init__(self, wanted: AbstractSet[str], max_others: int) -> None:
        self.missing = {word for word in wanted if is_word(word)}
        self.num_wanted = len(self.missing)
        self.others_left = max_others
        self.words: dict[str, None] = {}  # in order

    def takes(self, word: str) -> bool:
        """Return whether the vector of `word`, as it is spelled in the file, is kept; if so, it counts as kept."""
        if len(word) > MAX_TOKEN_CHARACTERS:
            return False  # normalise would cut it, and the vector is not that of the piece
        try:
            spelling = normalise(word)
        except InvalidText:
            return False
        if spelling in self.missing:
            self.missing.remove(spelling)
        elif self.others_left > 0 and spelling not in self.words and is_word(spelling):
            self.others_left -= 1
        else:
            return False
        self.words[spelling] = None
        return True

    @property
    def num_found(self) -> int:
        """How many of the wanted words are kept."""
        return self.num_wanted - len(self.missing)


def read_vectors(path: Path, wanted: AbstractSet[str], max_others: int) -> Vectors:
    """Return the vectors of the wanted words and of the first other words of a file.

    Of two spellings that normalise alike ("le", "Le") the first one's vector is kept: it is the more frequent. Never
    kept are placeholders (`<EMAIL>`, `<UNK>`, and what normalise makes one of), blank words, tokens with digits and no
    letter, and words of more than 256 characters. All vectors are divided by one number, the mean of their lengths, so
    that they keep their proportions and a projection of them starts at the same scale whatever the file.

    Reads a text file once, as a stream, and a spaCy table through a memory map: memory is needed for what is kept, of
    a spaCy folder for its words and hashes too. Of lines that are skipped it checks how many numbers they have, not
    what these are. Of a spaCy folder it does not find some fifty words that spaCy numbers as symbols of its own ("aux",
    "agent", "number").

    Args:
        path: of a text file, plain or gzip (its content says which), or of a spaCy model, its `vocab`, or vectors.
        wanted: normalised spellings, those of the training tickets.
        max_others: how many words to keep that are not wanted; 0 or more.

    Raises:
        InvalidInput: the file cannot be read, is of another format, or is damaged; or no wanted word is in it.
    """
    assert max_others >= 0, "the caller has checked its setting; this is our bug"
    choice = Choice(wanted, max_others)
    read = _read_spacy if path.is_dir() else _read_text
    try:
        vectors_ND, num_read, num_broken = read(path, choice)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput("vectors-unreadable", path=path, reason=reason) from error
    if not choice.num_found:
        raise InvalidInput("vectors-without-known-words", path=path, num_wanted=choice.num_wanted, num_read=num_read)
    mean = float(np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND, dtype=np.float64)).mean())
    if not mean:
        raise InvalidInput("vectors-all-zero", path=path, num_vectors=len(vectors_ND))
    # As float64: a mean too small for a float32 would be 0 there. No quotient is larger than N.
    np.divide(vectors_ND, np.float64(mean), out=vectors_ND, casting="same_kind")
    return Vectors(list(choice.words), vectors_ND, choice.num_found, num_read, num_broken)


def without(vectors: Vectors, is_forbidden: Callable[[str], bool]) -> Vectors:
    """Return the vectors without those of forbidden words, which would get a row of the vocabulary by them."""
    kept = [place for place, word in enumerate(vectors.words) if not is_forbidden(word)]
    return msgspec.structs.replace(
        vectors, words=[vectors.words[place] for place in kept], vectors_ND=vectors.vectors_ND[kept]
    )


def is_word(spelling: str) -> bool:
    """Return whether a normalised spelling may have a pretrained vector: no placeholder, number or blank.

    >>> [is_word(word) for word in ("été", "!", "2fa", "", "<EMAIL>", "<PAD>", "2024", "3,5")]
    [True, True, True, False, False, False, False, False]
    """
    if not spelling or spelling != spelling.lower():  # normalise leaves capitals to placeholders alone
        return False
    return any(map(str.isalpha, spelling)) or not any(map(str.isdigit, spelling))


# Text files


def _read_text(path: Path, choice: Choice) -> tuple[Floats, int, int]:
    """Return the vectors that are kept of a text file, how many words it has, and how many of them are not UTF-8."""
    with io.BufferedReader(io.FileIO(path), BUFFER_BYTES) as plain:
        file = gzip.GzipFile(fileobj=plain) if plain.peek(len(GZIP)).startswith(GZIP) else plain
        start = file.peek(max(map(len, (FASTTEXT_BIN, ZIP, NUMPY))))
        if start.startswith(FASTTEXT_BIN):
            raise InvalidInput("vectors-of-fasttext-bin", path=path)
        if start.startswith(ZIP):
            raise InvalidInput("vectors-in-zip", path=path)
        if start.startswith(NUMPY):
            raise InvalidInput("vectors-without-words", path=path)
        return _read_lines(iter(partial(file.readline, MAX_LINE_BYTES), b""), path, choice)


def _read_lines(lines: Iterator[bytes], path: Path, choice: Choice) -> tuple[Floats, int, int]:
    """Return what `_read_text` returns, of lines none of which is longer than MAX_LINE_BYTES."""
    numbers = array("f")  # of all vectors, one after the other: one block of memory, without an object per vector
    num_read = num_broken = first_broken = 0
    dim = 0
    for number, line in enumerate(lines, 1):
        if len(line) == MAX_LINE_BYTES:
            raise InvalidInput(
                "vectors-line-too-long", path=path, file_line=number, limit_bytes=MAX_LINE_BYTES, max_numbers=MAX_DIM
            )
        line = line.rstrip()  # fastText ends some of its lines with a space
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
            dim = _read_dim(line, path)
            if HEADER.fullmatch(line):
                continue
        num_spaces = line.count(b" ")
        if num_spaces == dim:
            end = line.find(b" ")
        elif line:
            end = _end_of_word(line, dim, path, number)
        else:
            continue  # a blank line, as at the end
        num_read += 1
        try:
            word = line[:end].decode()
        except UnicodeDecodeError:
            num_broken += 1
            first_broken = first_broken or number
            continue
        if choice.takes(word):
            numbers.extend(_numbers(line[end + 1 :].split(b" "), path, number))
    if not dim:
        raise InvalidInput("vectors-empty", path=path)
    if num_broken > num_read * MAX_BROKEN_SHARE:
        raise InvalidInput(
            "vectors-not-utf-8",
            path=path,
            num_broken=num_broken,
            num_read=num_read,
            file_line=first_broken,
            limit_percent=MAX_BROKEN_SHARE * 100,
        )
    return np.frombuffer(numbers, np.float32).reshape(-1, dim), num_read, num_broken


def _read_dim(line: bytes, path: Path) -> int:
    """Return how many numbers the vectors of a file have, which its first line says or shows."""
    is_header = HEADER.fullmatch(line)
    dim = int(line.split(b" ")[1]) if is_header else _count_numbers(line)
    if not dim and not is_header:
        raise InvalidInput("vectors-of-unknown-form", path=path)
    _check_dim(dim, path)
    return dim


def _check_dim(dim: int, path: Path) -> None:
    """Refuse vectors of too many numbers, or of none."""
    if not 1 <= dim <= MAX_DIM:
        raise InvalidInput("vectors-of-wrong-size", path=path, num_numbers=dim, limit=MAX_DIM)


def _end_of_word(line: bytes, dim: int, path: Path, number: int) -> int:
    """Return where the word of a line ends that has not just `dim` spaces: some words of GloVe hold spaces themselves.

    The last `dim` fields are the vector. A number before them belongs to it, so the line is damaged.
    """
    head, *fields = line.rsplit(b" ", dim)
    if len(fields) < dim or _is_finite(head.rsplit(b" ", 1)[-1]):
        num_numbers = _count_numbers(line)
        raise InvalidInput("vector-of-another-size", path=path, file_line=number, num_numbers=num_numbers, expected=dim)
    return len(head)


def _count_numbers(line: bytes) -> int:
    """Return how many fields at the end of a line are numbers; the first one is the word, whatever it looks like."""
    _, *fields = line.split(b" ")
    faulty = (place for place, field in enumerate(reversed(fields)) if not _is_finite(field))
    return next(faulty, len(fields))


def _numbers(fields: Sequence[bytes], path: Path, number: int) -> "array[float]":
    """Return a vector as float32, or refuse the field that is no finite number."""
    try:
        numbers = array("f", map(float, fields))
    except ValueError:
        pass
    else:
        if isfinite(sum(numbers)):  # neither infinity nor NaN can be added away
            return numbers
    wrong = next(field for field in fields if not _is_finite(field)).decode(errors="replace")
    raise InvalidInput("vector-not-finite", path=path, file_line=number, found=wrong[:30], limit=MAX_FLOAT32)


def _is_finite(field: bytes) -> bool:
    """Return whether a field is a number that a float32 holds."""
    try:
        return abs(float(field)) <= MAX_FLOAT32
    except ValueError:
        return False


# spaCy folders


def _read_spacy(path: Path, choice: Choice) -> tuple[Floats, int, int]:
    """Return the vectors that are kept of a spaCy folder, and how many words it has (all of them UTF-8)."""
    folder = _spacy_folder(path)
    key2row = _decode(folder / "key2row", msgspec.msgpack.Decoder(dict[int, int]).decode)
    if not key2row:
        raise InvalidInput("spacy-without-vectors", path=path)
    table_RD = _read_table(folder / "vectors")
    num_rows, dim = table_RD.shape
    _check_dim(dim, folder)
    strings = _decode(folder / "strings.json", msgspec.json.Decoder(list[str]).decode)
    word_of = {key: word for word in strings if (key := spacy_hash(word)) in key2row}
    rows, names = [], []
    # key2row has the order in which the words were added, frequent ones first; strings.json is sorted.
    for key, row in key2row.items():
        if (word := word_of.get(key)) is not None and choice.takes(word):  # several words may share a row
            if not 0 <= row < num_rows:
                raise InvalidInput("spacy-row-missing", path=folder, word=word, row=row, num_rows=num_rows)
            rows.append(row)
            names.append(word)
    with np.errstate(over="ignore"):  # a float64 that is too large becomes infinity, which is refused below
        vectors_ND = np.array(table_RD[rows], dtype=np.float32)
    finite_N = np.isfinite(vectors_ND).all(axis=1)
    if not finite_N.all():
        wrong = names[int(finite_N.argmin())]
        raise InvalidInput("spacy-vector-not-finite", path=folder, word=wrong, limit=MAX_FLOAT32)
    return vectors_ND, len(word_of), 0


def _spacy_folder(path: Path) -> Path:
    """Return the folder that holds the three files, or refuse the one given."""
    names = ("vectors", "key2row", "strings.json")
    for folder in (path, path / "vocab"):
        if all((folder / name).is_file() for name in names):
            config = VectorsConfig()
            if (config_file := folder / "vectors.cfg").exists():  # spaCy writes it since 3.2
                config = _decode(config_file, msgspec.json.Decoder(VectorsConfig).decode)
            if config.mode != "default":
                # A table of floret has no words: a vector is the sum of the rows of a word's hashed pieces.
                raise InvalidInput("spacy-mode-unknown", path=folder, found=config.mode)
            return folder
    raise InvalidInput("not-a-spacy-folder", path=path, inner=path / "vocab", expected=names)


def _read_table(path: Path) -> NDArray[np.floating[Any]]:
    """Return the array of a .npy file as a memory map, so that a row is read when it is asked for."""
    try:
        table_RD: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects, so no pickle runs
    except ValueError as error:
        raise InvalidInput("spacy-table-unreadable", path=path, reason=error) from error
    if table_RD.ndim != 2 or table_RD.dtype.kind != "f":
        raise InvalidInput(
            "spacy-table-of-another-kind", path=path, found=str(table_RD.dtype), shape=str(table_RD.shape)
        )
    return table_RD


def _decode(path: Path, decode: Callable[[bytes], T]) -> T:
    """Return what a file holds."""
    try:
        return decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("spacy-file-damaged", path=path, reason=error) from error


def spacy_hash(word: str) -> int:
    """Return the number under which spaCy files a word: MurmurHash64A of its UTF-8 bytes, with seed 1.

    Eight bytes at a time are mixed into the state, then the 1 to 7 that are left.

    >>> spacy_hash("coffee")  # https://spacy.io/usage/spacy-101#vocab
    3197928453018144401
    """
    raw = word.encode()
    state = SPACY_SEED ^ (len(raw) * MURMUR_FACTOR & BITS_64)
    whole = len(raw) & ~7
    for start in range(0, whole, 8):
        mixed = int.from_bytes(raw[start : start + 8], "little") * MURMUR_FACTOR & BITS_64
        mixed = (mixed ^ mixed >> MURMUR_SHIFT) * MURMUR_FACTOR & BITS_64
        state = (state ^ mixed) * MURMUR_FACTOR & BITS_64
    if whole < len(raw):
        state = (state ^ int.from_bytes(raw[whole:], "little")) * MURMUR_FACTOR & BITS_64
    state = (state ^ state >> MURMUR_SHIFT) * MURMUR_FACTOR & BITS_64
    return state ^ state >> MURMUR_SHIFT
