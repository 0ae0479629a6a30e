"""Pretrained vectors: which words are kept of a file, that their vectors are theirs, and what is refused.

`tests/fixtures/spacy_vectors` was written by spaCy 3.8.18 itself, with

    words = ["le", "la", "Le", "facture", "été", "mot de passe", "2024", "<EMAIL>", "aux", "réinitialisation"]
    strings = spacy.strings.StringStore(words)
    table = numpy.arange(1, 28, dtype="float32").reshape(9, 3)
    vectors = spacy.vectors.Vectors(strings=strings, data=table, keys=[strings.add(word) for word in words[:-1]])
    vectors.add("réinitialisation", row=3)
    vectors.to_disk("tests/fixtures/spacy_vectors")
"""

# Axes: N words that are kept, D numbers of a vector.

import gzip
import io
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.arrays import Floats
from artifacts.errors import InvalidInput, InvalidText
from artifacts.text.tokens import normalise
from trainer.curation.vectors import MAX_LINE_BYTES, Vectors, is_word, read_vectors, spacy_hash

SPACY = Path(__file__).parents[2] / "fixtures" / "spacy_vectors"

FASTTEXT = """7 2
, 9 9
le 3 4
Le 5 5
facture 0 1
2024 7 7
jean@mail.fr 8 8
été 2 0
"""


def written(path: Path, content: str | bytes) -> Path:
    """Return the path of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def unscaled(found: Vectors, first: Iterable[float]) -> Floats:
    """Return the vectors as they are in the file, of which the first one is known."""
    length = np.linalg.norm(list(first)) / np.linalg.norm(found.vectors_ND[0])
    return found.vectors_ND * np.float32(length)


def test_wanted_words_and_the_first_others_are_kept(tmp_path: Path) -> None:
    """Of ", le Le facture 2024 jean@mail.fr été": the two wanted ones, and the first other that is a word."""
    path = written(tmp_path / "cc.fr.2.vec", FASTTEXT)

    found = read_vectors(path, {"été", "facture", "panne"}, 2)

    assert found.words == [",", "le", "facture", "été"]
    assert (found.num_found, found.num_read, found.num_broken) == (2, 7, 0)
    assert found.vectors_ND.dtype == np.float32
    np.testing.assert_allclose(unscaled(found, [9, 9]), [[9, 9], [3, 4], [0, 1], [2, 0]], rtol=1e-6)


def test_vectors_have_a_mean_length_of_one(tmp_path: Path) -> None:
    """Lengths 5, 1 and 2 have the mean 8/3, by which all are divided."""
    found = read_vectors(written(tmp_path / "a.vec", FASTTEXT), {"été", "facture", "le"}, 0)

    np.testing.assert_allclose(found.vectors_ND, np.array([[3, 4], [0, 1], [2, 0]]) * 3 / 8, rtol=1e-6)


@pytest.mark.parametrize("scale", ["e-44", "e37"])
def test_sizes_at_the_edge_of_float32_are_scaled_too(tmp_path: Path, scale: str) -> None:
    """Vectors whose squares no float32 holds come out as those of any other size."""
    path = written(tmp_path / "a.vec", f"a 10{scale} 0\nb 0 30{scale}\n")

    found = read_vectors(path, {"a", "b"}, 0)

    np.testing.assert_allclose(found.vectors_ND, [[0.5, 0], [0, 1.5]], rtol=0.1)  # 1e-43 has two digits


def test_first_of_two_spellings_wins(tmp_path: Path) -> None:
    """Files are ordered by frequency; the second spelling counts neither as found nor as another word."""
    path = written(tmp_path / "a.vec", "4 1\nLe 1\nle 2\nLA 3\nla 4\n")

    found = read_vectors(path, {"le"}, 2)

    assert found.words == ["le", "la"]
    np.testing.assert_allclose(unscaled(found, [1]), [[1], [3]], rtol=1e-6)
    assert found.num_found == 1


@pytest.mark.parametrize(
    "word",
    ["<EMAIL>", "<PAD>", "<UNK>", "jean@mail.fr", "+33612345678", "2024", "3,5", "10€", "\u00a0", "a\0", "x" * 257],
)
def test_no_vector_of_what_is_no_word(tmp_path: Path, word: str) -> None:
    """Personal data, numbers, blanks, reserved names and overlong tokens are skipped, wanted or not."""
    path = written(tmp_path / "a.vec", f"{word} 1 2\nle 3 4\n")
    spelling = "" if "\0" in word else normalise(word)

    found = read_vectors(path, {"le", spelling}, 10)

    assert found.words == ["le"]
    assert (found.num_found, found.num_read) == (1, 2)


@given(st.text(max_size=20))
def test_only_placeholders_keep_capitals(text: str) -> None:
    """What `is_word` relies on: normalise leaves no capital that lower() would change but in `<NAME>`."""
    try:
        spelling = normalise(text)
    except InvalidText:
        return

    assert spelling == spelling.lower() or (spelling.startswith("<") and spelling.endswith(">"))
    assert not is_word(spelling) or (spelling == spelling.lower() and spelling.strip() == spelling != "")


def test_glove_has_no_first_line_of_counts(tmp_path: Path) -> None:
    """The first word is kept like the others; a word may hold spaces, the numbers are the last fields."""
    path = written(tmp_path / "glove.txt", "the 1 2 3\nNew York 4 5 6\n. . . 7 8 9\n")

    found = read_vectors(path, {"new york", "the"}, 5)

    assert found.words == ["the", "new york", ". . ."]
    np.testing.assert_allclose(unscaled(found, [1, 2, 3]), [[1, 2, 3], [4, 5, 6], [7, 8, 9]], rtol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        FASTTEXT.replace("\n", " \n"),  # as fastText's own print has it
        FASTTEXT.replace("\n", "\r\n"),
        FASTTEXT.rstrip("\n"),
        FASTTEXT + "\n",
        "\ufeff" + FASTTEXT,
        FASTTEXT.replace("7 2\n", ""),
        FASTTEXT.replace("7 2\n", "2000000 2\n"),  # the first lines of a longer file
    ],
)
def test_spellings_of_the_format_read_alike(tmp_path: Path, content: str) -> None:
    """A space or carriage return at a line's end, a blank last line, a byte order mark or no count change nothing."""
    found = read_vectors(written(tmp_path / "a.vec", content), {"le"}, 2)

    expected = read_vectors(written(tmp_path / "b.vec", FASTTEXT), {"le"}, 2)
    assert found.words == expected.words
    np.testing.assert_array_equal(found.vectors_ND, expected.vectors_ND)


@pytest.mark.parametrize("name", ["a.vec.gz", "a.vec"])
def test_gzip_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    """A packed file reads as the plain one, whatever its name."""
    found = read_vectors(written(tmp_path / name, gzip.compress(FASTTEXT.encode())), {"le"}, 2)

    assert found.words == [",", "le", "facture"]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" \n\r\t\v\f"), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(WORDS, st.tuples(st.floats(-9, 9, width=32), st.floats(0.5, 9, width=32))), min_size=1),
    st.sets(st.sampled_from("abcdé"), min_size=1),
    st.integers(0, 5),
)
def test_choice_is_that_of_a_plain_reader(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, tuple[float, float]]],
    wanted: set[str],
    max_others: int,
) -> None:
    """A reader that takes the whole file into a dict first keeps the same words with the same vectors."""
    lines = [*lines, ("a", (1.0, 1.0)), ("É", (2.0, 1.0)), ("b", (3.0, 1.0)), ("c", (4.0, 1.0)), ("d", (5.0, 1.0))]
    first: dict[str, tuple[float, float]] = {}
    for word, vector in lines:
        if "\0" not in word and is_word(normalise(word)):
            first.setdefault(normalise(word), vector)
    others = [word for word in first if word not in wanted][:max_others]
    expected = [word for word in first if word in wanted or word in others]
    text = "".join(f"{word} {x!r} {y!r}\n" for word, (x, y) in lines)
    path = written(tmp_path_factory.mktemp("vectors") / "a.vec", f"{len(lines)} 2\n{text}")

    found = read_vectors(path, wanted, max_others)

    assert found.words == expected
    assert (found.num_found, found.num_read) == (len(wanted), len(lines))
    vectors_ND = np.array([first[word] for word in expected])
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1).mean()
    np.testing.assert_allclose(found.vectors_ND, vectors_ND, rtol=1e-6, atol=1e-6)


def peak_bytes(path: Path) -> int:
    """Return the most memory that reading one word of a file takes."""
    tracemalloc.start()
    try:
        read_vectors(path, {"mot"}, 0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_skipped_lines(tmp_path: Path) -> None:
    """Of 1000 or of 5000 lines (6 MB) the same word is kept, and the same memory is needed."""
    numbers = " 0.123456789" * 100
    small, large = (
        written(
            tmp_path / f"{n}.vec", f"{n} 100\n" + "".join(f"w{i}x{numbers}\n" for i in range(n)) + f"mot{numbers}\n"
        )
        for n in (1000, 5000)
    )

    peaks = [peak_bytes(small), peak_bytes(large)]

    assert large.stat().st_size > 5_000_000
    assert abs(peaks[1] - peaks[0]) < 50_000


def test_broken_words_of_a_large_file_are_skipped(tmp_path: Path) -> None:
    """One word in a hundred is no other encoding: fastText's own files hold a few that are cut inside a character."""
    lines = [b"w%dx 1 2\n" % i for i in range(99)]
    path = written(tmp_path / "a.vec", b"".join([*lines, "é".encode()[:1], b" 3 4\n"]))

    found = read_vectors(path, {"w7x"}, 0)

    assert (found.words, found.num_read, found.num_broken) == (["w7x"], 100, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.vec is empty; download it again"),
        (b"le 1 2\nla 1\n", "line 2 has 1 numbers after its word, the first line says 2"),
        (b"le 1 2\nla 1 2 3\n", "line 2 has 3 numbers after its word, the first line says 2"),
        (b"2 2\nle 1 2\n\nla\n", "line 4 has 0 numbers after its word, the first line says 2"),
        (b"2 300\nle 1 2\n", "line 2 has 2 numbers after its word, the first line says 300"),
        (b"le 1 2\nla 1 2\nun 0.5 nan\n", "line 3: 'nan' is no finite number"),
        (b"le 1 2\nla 1 2\nun inf -inf\n", "line 3: 'inf' is no finite number"),
        (b"le 1 2\nla 1 2\nun 1 4e38\n", "line 3: '4e38' is no finite number, limit is 3.40282e+38"),
        (b"le 1 2\nla 1 2\nun 0,5 1\n", "line 3: '0,5' is no finite number"),
        ("le 1 2\nété 1 2\n".encode("latin-1"), "is not UTF-8: 1 of its 2 words (the first on line 2), limit is 1%"),
        (b"le la les\n", 'line 1 is neither "count dimensions" nor a word and its numbers'),
        (b'{"category": "a", "text": "b"}\n', "line 1 is neither"),
        (b"5 0\n", "vectors have 0 numbers, limit is 1 to 1024"),
        (b"5 1025\n", "vectors have 1025 numbers, limit is 1 to 1024"),
        (b"le" + b" 1" * 1025, "vectors have 1025 numbers, limit is 1 to 1024"),
        (b"le 1 2\n" + b"x" * MAX_LINE_BYTES, "line 2 has 65536 bytes or more"),
        (b"die 1 2\nder 3 4\n", "holds 0 of the 2 words of the training tickets (it has 2 words)"),
        (b"2 2\n", "holds 0 of the 2 words of the training tickets (it has 0 words)"),
        (b"le 0 0\nun 0 0\n", "every number of the 2 vectors kept is 0"),
        (b"\xba\x16\x4f\x2f\x0c\0\0\0" + bytes(1 << 17), "is a fastText .bin model; download the .vec or .vec.gz file"),
        (gzip.compress(b"\xba\x16\x4f\x2f\x0c\0\0\0"), "is a fastText .bin model"),
        (b"PK\x03\x04", "is a zip archive; unpack it"),
        (b"\x93NUMPY\x01\0", "give the spaCy folder"),
        (gzip.compress(FASTTEXT.encode())[:-9], "check that the file is there, and whole"),
        (gzip.compress(FASTTEXT.encode())[:-8] + bytes(8), "check that the file is there, and whole"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff", "check that the file is there, and whole"),
    ],
)  # fmt: skip
def test_damaged_or_foreign_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The message says what is wrong, where and what to do."""
    path = written(tmp_path / "a.vec", content)

    with pytest.raises(InvalidInput) as refused:
        read_vectors(path, {"le", "un"}, 0)

    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_numbers_of_skipped_lines_are_not_converted(tmp_path: Path) -> None:
    """That would take most of the time; how many there are is counted."""
    path = written(tmp_path / "a.vec", "le 1 2\nla x y\n")

    assert read_vectors(path, {"le"}, 0).words == ["le"]


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    with pytest.raises(InvalidInput, match="No such file or directory"):
        read_vectors(tmp_path / "a.vec", {"le"}, 0)


# spaCy folders


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("coffee", 3197928453018144401),
        ("spacy", 10639093010105930009),
        ("abcdefgh", 17751780907874141760),
        ("abcdefghi", 13885881106499164936),
        ("abcdefghijklmnop1", 8354748726976673969),
        ("été", 416107850921971791),
        ("ééééééééé", 4523987365903818692),
    ],
)
def test_hash_is_spacys(word: str, key: int) -> None:
    """`spacy.strings.StringStore().add(word)` of spaCy 3.8 gives these, below, at and past multiples of eight bytes."""
    assert spacy_hash(word) == key


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_hash_has_64_bits(word: str) -> None:
    """Whatever the word."""
    assert 0 <= spacy_hash(word) < 1 << 64


@pytest.mark.parametrize("depth", ["", "vocab", "model/vocab"])
def test_spacy_folder_is_read(tmp_path: Path, depth: str) -> None:
    """Vectors, a vocab or a model that contains it; two words may share a row; a spaCy symbol ("aux") is not found."""
    shutil.copytree(SPACY, tmp_path / "folder" / depth)
    path = tmp_path / "folder" / ("model" if depth == "model/vocab" else "")

    found = read_vectors(path, {"réinitialisation", "mot de passe", "facture", "2024", "aux"}, 1)

    assert found.words == ["le", "facture", "mot de passe", "réinitialisation"]
    assert (found.num_found, found.num_read, found.num_broken) == (3, 9, 0)
    assert found.vectors_ND.dtype == np.float32
    expected = [[1, 2, 3], [10, 11, 12], [16, 17, 18], [10, 11, 12]]
    np.testing.assert_allclose(unscaled(found, [1, 2, 3]), expected, rtol=1e-6)
    assert np.linalg.norm(found.vectors_ND, axis=1).mean() == pytest.approx(1)


@given(st.dictionaries(WORDS, st.floats(0.5, 9, width=32), min_size=1), st.integers(0, 5))
def test_spacy_folder_reads_as_the_text_file(
    tmp_path_factory: pytest.TempPathFactory, words: dict[str, float], max_others: int
) -> None:
    """The same words in the same order give the same vectors, whichever format holds them."""
    words = words | {"le": 1.0}
    folder = tmp_path_factory.mktemp("vectors")
    rows = {spacy_hash(word): row for row, word in enumerate(words)}
    written(folder / "key2row", msgspec.msgpack.encode(rows))
    written(folder / "strings.json", msgspec.json.encode(sorted(words)))
    with (folder / "vectors").open("wb") as file:
        np.save(file, np.array(list(words.values()), np.float32)[:, None])
    path = written(folder / "a.vec", "".join(f"{word} {number!r}\n" for word, number in words.items()))

    found = read_vectors(folder, {"le"}, max_others)

    expected = read_vectors(path, {"le"}, max_others)
    assert (found.words, found.num_found, found.num_read) == (expected.words, expected.num_found, expected.num_read)
    np.testing.assert_array_equal(found.vectors_ND, expected.vectors_ND)


def saved(table: object) -> bytes:
    """Return an array as the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, np.asarray(table))
    return file.getvalue()


def with_rows(change: int) -> bytes:
    """Return the fixture's key2row with another row for each word."""
    rows = msgspec.msgpack.decode((SPACY / "key2row").read_bytes(), type=dict[int, int])
    return msgspec.msgpack.encode({key: row + change for key, row in rows.items()})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("key2row", None, "is no spaCy vectors folder: neither it nor"),
        ("key2row", b"\x80", "has no vectors; a spaCy model whose name ends in _sm has none"),
        ("key2row", b"\xc1", "key2row is damaged"),
        ("key2row", msgspec.msgpack.encode({"le": 0}), "key2row is damaged"),
        ("key2row", with_rows(9), "'le' is in row 9, the table has 9"),
        ("key2row", with_rows(-1), "'le' is in row -1, the table has 9"),
        ("strings.json", b'["le"', "strings.json is damaged"),
        ("strings.json", b'{"le": 1}', "strings.json is damaged"),
        ("strings.json", b'["die", "der"]', "holds 0 of the 1 words of the training tickets (it has 0 words)"),
        ("vectors.cfg", b'{"mode": "floret", "minn": 2}', "holds vectors of the mode 'floret', limit is 'default'"),
        ("vectors.cfg", b"mode", "vectors.cfg is damaged"),
        ("vectors", b"", "vectors is no readable .npy file"),
        ("vectors", b"2 2\nle 1 2\n", "vectors is no readable .npy file"),
        ("vectors", saved(np.ones((9, 3)))[:-1], "vectors is no readable .npy file"),
        ("vectors", saved([["le"]]), "expected a table of floating-point numbers"),
        ("vectors", saved([1.0, 2.0]), "holds float64 of the shape (2,), expected a table"),
        ("vectors", saved(np.ones((9, 3), np.int64)), "holds int64 of the shape (9, 3), expected a table"),
        ("vectors", saved(np.ones((9, 1025), np.float32)), "vectors have 1025 numbers, limit is 1 to 1024"),
        ("vectors", saved(np.full((9, 3), np.nan)), "the vector of 'le' holds a number that is not finite"),
        ("vectors", saved(np.full((9, 3), 1e39)), "the vector of 'le' holds a number that is not finite"),
        ("vectors", saved(np.zeros((9, 3))), "every number of the 1 vectors kept is 0"),
    ],
)  # fmt: skip
def test_damaged_spacy_folder_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """The message names the file, what is wrong with it and what to do."""
    folder = tmp_path / "vocab"
    shutil.copytree(SPACY, folder)
    if content is None:
        (folder / name).unlink()
    else:
        written(folder / name, content)

    with pytest.raises(InvalidInput) as refused:
        read_vectors(folder, {"le"}, 0)

    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


def test_table_of_python_objects_is_not_unpickled(tmp_path: Path) -> None:
    """Unpickling runs code; such a table is refused before."""
    shutil.copytree(SPACY, tmp_path / "vocab")
    written(tmp_path / "vocab" / "vectors", saved(np.array([[print]], dtype=object)))

    with pytest.raises(InvalidInput, match="Python objects"):
        read_vectors(tmp_path, {"le"}, 0)


def test_old_spacy_folder_without_a_mode_is_read(tmp_path: Path) -> None:
    """Before version 3.2 there was one mode, and no file to say so."""
    shutil.copytree(SPACY, tmp_path / "vocab")
    (tmp_path / "vocab" / "vectors.cfg").unlink()

    assert read_vectors(tmp_path, {"le"}, 0).words == ["le"]


def test_reading_needs_no_torch() -> None:
    """A wrong file is refused before the seconds that importing torch takes."""
    code = "import sys, trainer.curation.vectors; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
