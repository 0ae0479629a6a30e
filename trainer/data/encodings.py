"""Stage 2 of reading an export: bytes to text, and how sure the encoding is.

In: the bytes of stage 1. Out: the name of a codec, and how it was found, which the commands print. The order is by
certainty: an encoding that was named; a mark at the start; UTF-16 by its zero bytes; UTF-8, which hardly any other text
fits by chance; and last a guess of chardet's, which was right on 49 of 50 small files in 25 encodings where
charset-normalizer was right on 34 (docs/decisions/0022-any-export.md).

Text that was encoded twice is right UTF-8 and wrong text: "Ã©" for "é". `repaired` takes the second encoding back, here
and nowhere else, since in a search nobody could say whose text was changed.

A byte that does not fit is no reason to lose a file: it is decoded as half of a surrogate pair (PEP 383), so that its
row alone is faulty, and can be left out like any faulty row.
"""

import codecs
import io
import re
from typing import BinaryIO, Literal

import chardet
import msgspec

from artifacts.errors import InvalidInput, InvalidText
from trainer.data.source import CHUNK, Source

How = Literal["named", "marked", "checked", "guessed"]
# The longest first: the mark of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE = 32_768  # bytes of lines that are not ASCII; chardet takes 20 ms for them
ZERO_SHARE = 0.3  # of the even, or odd, bytes: a text of ASCII in UTF-16 has 1, a UTF-8 file with stray NULs next to 0
DAMAGED_SHARE = 0.5  # of what is not ASCII: above it a file is of another encoding, below it UTF-8 with broken bytes
# What chardet calls two tables that differ in what no ticket holds, and the one of the two that programs write: Excel
# on Windows cp1252, a French or German console cp850.
WRITTEN_BY_PROGRAMS = {"iso8859-1": "cp1252", "iso8859-15": "cp1252", "ascii": "cp1252", "cp437": "cp850"}
LATIN_9 = frozenset(b"\xa4\xa6\xa8\xb4\xb8\xbc\xbd\xbe")  # where ISO 8859-15 differs from cp1252: the euro, oe, ...
ESCAPED = re.compile("[\udc80-\udcff]")  # a byte that did not fit, as `surrogateescape` decodes it


class TextEncoding(msgspec.Struct, frozen=True):
    """How bytes become text.

    Attributes:
        codec: Python's name, such as "cp1252".
        how: named (by an option), marked (at the start of the file), checked (all of it fits UTF-8), guessed.
    """

    codec: str
    how: How

    @property
    def shown(self) -> str:
        """The name as people know it: "UTF-8", "cp1252", with a note if it is a guess."""
        name = {"utf-8-sig": "UTF-8 with a mark"}.get(self.codec, self.codec)
        name = name.upper() if name.startswith("utf") else name
        return f"{name} (guessed; --encoding overrules)" if self.how == "guessed" else name


def find_encoding(source: Source, named: str | None = None, usual: str | None = None) -> TextEncoding:
    """Return the encoding of a text file.

    Args:
        source: left at its start.
        named: by an option; it is taken as it is.
        usual: that the last export of this model had; it is tried before anything is guessed.

    Raises:
        InvalidInput: no such encoding exists, or none fits.
    """
    if named is not None:
        return TextEncoding(_codec(named), "named")
    head = source.head()
    for mark, codec in MARKS:
        if head.startswith(mark):
            return TextEncoding(codec, "marked")
    for codec, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(zeros) > 1 and zeros.count(0) > len(zeros) * ZERO_SHARE:
            return TextEncoding(codec, "guessed")
    num_good, num_bad, sample = _examined(source)
    if num_bad <= DAMAGED_SHARE * (num_good + num_bad):
        return TextEncoding("utf-8", "checked")
    if usual is not None and _fits(source, usual):
        return TextEncoding(usual, "named")
    guess = chardet.detect(sample)["encoding"]
    codecs_left = [_preferred(guess.lower(), sample)] if guess else []
    for codec in dict.fromkeys([*codecs_left, "cp1252"]):
        if _fits(source, codec):
            return TextEncoding(codec, "guessed")
    line, byte = _first_bad(source)
    raise InvalidInput("unknown-text-encoding", file=source.name, line_number=line, byte=f"0x{byte:02X}")


def text_of(source: Source, encoding: TextEncoding) -> io.TextIOWrapper:
    """Return the file as text, from its start, with its line ends as they are (csv needs that).

    A byte that does not fit is decoded as a lone surrogate, which `broken_byte` finds again. Detach the wrapper when it
    has been read, or the file is closed with it.
    """
    source.file.seek(0)
    codec = "utf-8-sig" if encoding.codec == "utf-8" else encoding.codec
    # No byte of UTF-16 can be escaped; half of an emoji in it is the fault of its row, like any other.
    errors = "surrogatepass" if codec.startswith("utf-16") else "surrogateescape"
    return io.TextIOWrapper(Unclosed(source.file), encoding=codec, errors=errors, newline="")


class Unclosed(io.BufferedIOBase):
    """A view of a binary file that its wrapper may close: the file itself stays open for a second reading."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def name(self) -> str:
        """A name, which io.TextIOWrapper expects of what it wraps."""
        return "export"

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        return self._file.read(-1 if size is None else size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return the next bytes, of one read."""
        return self._file.read(CHUNK if size < 0 else size)


def broken_byte(text: str, encoding: str) -> InvalidText | None:
    """Return what is wrong with a text that holds a byte which did not fit its encoding; None if it holds none.

    >>> str(broken_byte("caf" + chr(0xDCE9), "utf-8"))
    'holds the byte 0xE9, which is not utf-8; correct it, or name the encoding with --encoding'
    """
    found = None if text.isascii() or encoding.startswith("utf-16") else ESCAPED.search(text)
    if found is None:
        return None
    byte = ord(found.group()) - 0xDC00
    return InvalidText("undecodable-byte", byte=f"0x{byte:02X}", encoding=encoding)


def repaired(text: str) -> str:
    """Return a text that was encoded twice as it was meant, line by line; any other line as it is.

    A line is repaired only as a whole: all of it reads as UTF-8 that was taken for another encoding, nothing is lost,
    and what comes out is less strange. So a line that mentions "Ã©" beside a true "é" stays, and so do "SÃO PAULO" and
    curved quotes.

    >>> repaired("problÃ¨me d'accÃ¨s"), repaired("il affiche Ã© et non é"), repaired("SÃO PAULO, l’été")
    ("problème d'accès", 'il affiche Ã© et non é', 'SÃO PAULO, l’été')
    """
    if text.isascii():
        return text
    import ftfy  # takes 0.2 s, which a file without an accent need not wait for
    from ftfy.badness import is_bad

    if not is_bad(text):
        return text
    # Repairs of single words, of lost bytes and of control characters are guesses; the whole line is none.
    config = ftfy.TextFixerConfig(decode_inconsistent_utf8=False, replace_lossy_sequences=False, fix_c1_controls=False)
    return "".join(ftfy.fix_encoding(line, config) for line in text.splitlines(keepends=True))


def _codec(named: str) -> str:
    """Return Python's name of an encoding that somebody named."""
    try:
        info = codecs.lookup("cp1252" if named.lower() == "ansi" else named)
    except (LookupError, ValueError) as error:
        raise InvalidInput("no-such-encoding", encoding=named) from error
    if not getattr(info, "_is_text_encoding", True):  # "base64" and the like turn bytes to bytes
        raise InvalidInput("no-text-encoding", encoding=named)
    return info.name


def _examined(source: Source) -> tuple[int, int, bytes]:
    """Return how many characters beyond ASCII fit UTF-8, how many bytes do not, and lines that hold such characters.

    Reads the whole file: the first accent may be in its last line. All of ASCII takes 1 GB/s.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    num_good = num_bad = 0
    sample = bytearray()
    source.file.seek(0)
    while True:
        raw = source.file.read(CHUNK)
        text = decoder.decode(raw, final=not raw)
        if not text.isascii():
            escaped = len(ESCAPED.findall(text))
            num_bad += escaped
            num_good += len(re.findall(r"[^\x00-\x7f]", text)) - escaped
            if len(sample) < SAMPLE:
                lines = [line for line in re.split(rb"[\r\n]+", raw) if not line.isascii()]
                sample += b"\n".join(line[:2048] for line in lines)[:SAMPLE]
        if not raw:
            source.file.seek(0)
            return num_good, num_bad, bytes(sample)


def _preferred(guess: str, sample: bytes) -> str:
    """Return the table that programs write, of two that chardet cannot tell apart."""
    try:
        guess = codecs.lookup(guess).name
    except LookupError:
        return "cp1252"
    if guess == "iso8859-15" and LATIN_9 & set(sample):
        return guess
    return WRITTEN_BY_PROGRAMS.get(guess, guess)


def _fits(source: Source, codec: str) -> bool:
    """Return whether a whole file can be read by a codec."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    source.file.seek(0)
    try:
        while chunk := source.file.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        source.file.seek(0)
    return True


def _first_bad(source: Source) -> tuple[int, int]:
    """Return the line, counted from 1, and the value of the first byte that is not UTF-8."""
    with text_of(source, TextEncoding("utf-8", "checked")) as text:
        for number, line in enumerate(text, 1):
            if (found := ESCAPED.search(line)) is not None:
                return number, ord(found.group()) - 0xDC00
    raise AssertionError("a file without a broken byte is UTF-8")
