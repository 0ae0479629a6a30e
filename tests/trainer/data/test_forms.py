"""Every form and every encoding gives the same tickets, told by its content alone; what is not read is named."""

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from artifacts.errors import InvalidInput
from tests.trainer.data.forms import CELLS, DOCUMENT, ENCODINGS, FORMS, ROWS, Form, document, table, workbook
from tests.trainer.files import written
from trainer.data import source
from trainer.data.columns import Reading
from trainer.data.files import FaultyRows
from trainer.data.tickets import Rows, read

EXPECTED = [(category, " ".join(text.split())) for category, text in ROWS]


def pairs(rows: Rows) -> list[tuple[str, str]]:
    """Return category and text of each ticket, white space folded: fastText's lines have no line ends inside."""
    return [(ticket.expected, " ".join(str(ticket.content).split())) for ticket in rows.tickets]


def refusal(path: Path, **options: object) -> str:
    """Return the message with which a file is refused."""
    with pytest.raises(InvalidInput) as caught:
        read(path, Reading(**options))  # type: ignore[arg-type]  # the options of a test
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("suffix", ["", "dat", "csv"])
def test_form_is_told_by_its_content(tmp_path: Path, form: Form, suffix: str) -> None:
    """Under its own suffix, under none that means anything, and under a wrong one."""
    rows = read(written(tmp_path, f"export.{suffix or form.suffix}", form.make()))

    assert pairs(rows) == EXPECTED
    assert rows.intake is not None
    assert (rows.intake.num_unlabelled, rows.intake.num_faulty, rows.empty) == (0, 0, [])


@pytest.mark.parametrize(("codec", "how", "text"), [(codec, how, text) for codec, how, _, text in ENCODINGS])
def test_encoding_is_found_and_said(tmp_path: Path, codec: str, how: str, text: str) -> None:
    """A table in each encoding is read with the right letters, and a guess is called one."""
    raw = f"category;text\r\na;{text}\r\nb;{text[::2]}\r\n".encode(codec)

    rows = read(written(tmp_path, "export.csv", raw))

    assert [ticket.content for ticket in rows.tickets] == [text, text[::2]]
    assert rows.intake is not None
    assert ("guessed" in rows.intake.said) == (how == "guessed")


@pytest.mark.parametrize("codec", ["cp1252", "utf-16-le", "shift_jis"])
def test_json_of_another_encoding_is_read(tmp_path: Path, codec: str) -> None:
    """Lines and documents too, though no standard allows it."""
    text = "パスワードを忘れました" if codec == "shift_jis" else "le réseau est coupé à l'étage"
    line = json.dumps({"category": "a", "text": text}, ensure_ascii=False)

    for content in (f"{line}\n{line}\n", f"[{line}, {line}]"):
        rows = read(written(tmp_path, "export.json", content.encode(codec)))
        assert [ticket.content for ticket in rows.tickets] == [text, text]


def test_named_encoding_and_delimiter_overrule(tmp_path: Path) -> None:
    """What an option says is taken, and an encoding that does not exist is refused with examples."""
    path = written(tmp_path, "export.csv", "category~text\na~é;à\nb~ù\n".encode("cp850"))

    rows = read(path, Reading(encoding="cp850", delimiter="~"))

    assert [ticket.content for ticket in rows.tickets] == ["é;à", "ù"]
    assert "--encoding klingon is unknown, expected one that Python knows" in refusal(path, encoding="klingon")
    assert "no encoding of text" in refusal(path, encoding="base64")


def test_byte_that_does_not_fit_is_the_fault_of_its_row(tmp_path: Path) -> None:
    """A file of UTF-8 with one broken byte is not read as cp1252, which would spoil every other accent."""
    raw = b"category,text\n" + "a,réseau coupé à l'étage\n".encode() * 3 + b"b,cass\xe9\n" + "b,été\n".encode()
    path = written(tmp_path, "export.csv", raw)

    message = refusal(path)

    assert "1 row is faulty (faults in all: 1)" in message
    with pytest.raises(InvalidInput) as caught:
        read(path)
    assert caught.value.faults[0].line == 5
    assert "holds the byte 0xE9, which is not utf-8; correct it, or name the encoding with --encoding" in str(
        caught.value.faults[0]
    )
    rows = read(path, Reading(skip_faulty=True))
    assert (len(rows.tickets), rows.intake.num_faulty if rows.intake else 0) == (4, 1)


def test_document_lists_what_is_tested() -> None:
    """`python -m tests.trainer.data.forms` has been run since the last change."""
    assert DOCUMENT.read_text("utf-8") == document()


# Bytes


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "zip", "Excel workbook", "parquet"])
def test_what_is_unpacked_is_bounded(tmp_path: Path, form: str) -> None:
    """A few bytes that unpack to many are refused at the limit, which can be raised."""
    made = next(one for one in FORMS if one.name == form)
    path = written(tmp_path, f"export.{made.suffix}", made.make())

    assert "--max-bytes" in refusal(path, max_bytes=100)
    assert len(read(path, Reading(max_bytes=100_000)).tickets) == 4


def test_archive_that_would_fill_the_memory_is_refused_early(tmp_path: Path) -> None:
    """Of a gigabyte of zeros no more is unpacked than the limit."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as file:
        for _ in range(64):
            file.write(b"\0" * 2**20)

    assert "holds more than 1048576 bytes" in refusal(written(tmp_path, "bomb.gz", out.getvalue()), max_bytes=2**20)


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "zip", "Excel workbook", "parquet"])
def test_damaged_file_is_one_sentence(tmp_path: Path, form: str) -> None:
    """A download that broke off says so."""
    made = next(one for one in FORMS if one.name == form)

    message = refusal(written(tmp_path, f"export.{made.suffix}", made.make()[:-25]))

    assert "copy or export it again" in message
    assert "\n" not in message


def test_archive_of_several_files_names_them(tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("one.csv", table())
        archive.writestr("two.csv", table())
        archive.writestr("__MACOSX/._one.csv", b"")

    message = refusal(tmp_path / "export.zip")

    assert "is a zip archive of 2 files (one.csv, two.csv), expected 1; unpack it" in message


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` takes any form, compressed or not."""

    class Stdin:
        buffer = io.BytesIO(gzip.compress(table(";")))

    monkeypatch.setattr(sys, "stdin", Stdin())

    assert pairs(read(Path("-"))) == EXPECTED


def test_copies_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had to be unpacked to the disk is gone afterwards."""
    monkeypatch.setattr(source, "IN_MEMORY", 10)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()

    assert pairs(read(written(tmp_path, "export.csv.gz", gzip.compress(table())))) == EXPECTED
    assert list((tmp_path / "temp").iterdir()) == []


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"%PDF-1.7\n...", "of the form PDF, whatever its suffix; open it and save the table as .xlsx or as CSV UTF-8"),
        (b"<!DOCTYPE html><html><table><tr><td>a</td></tr></table></html>", "of the form HTML, whatever its suffix"),
        (b"\xef\xbb\xbf<table><tr><td>x</td></tr></table>", "of the form HTML, whatever its suffix"),
        (b"<?xml version='1.0'?><tickets><ticket/></tickets>", "of the form XML, whatever its suffix; open it"),
        (b"\x28\xb5\x2f\xfd....", "a zstd archive, which is not read; unpack it"),
        (b"SQLite format 3\0....", "an SQLite database; export the table as CSV"),
        (b"\x80\x04\x95....", "a Python pickle, which could run any program"),
        (b"\x89PNG\r\n", "a picture (PNG); export the tickets as a table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a workbook that cannot be read"),
    ],
)  # fmt: skip
def test_known_form_that_is_not_read_is_named_with_the_remedy(tmp_path: Path, start: bytes, expected: str) -> None:
    """Whatever its suffix, in one sentence."""
    message = refusal(written(tmp_path, "export.csv", start))

    assert expected in message
    assert "\n" not in message


def test_document_of_an_office_is_named(tmp_path: Path) -> None:
    """A text document is a zip archive too, and no table."""
    with zipfile.ZipFile(tmp_path / "export.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("word/document.xml", "<x/>")

    assert "is a document of the form Office, whatever its suffix" in refusal(tmp_path / "export.xlsx")


def test_cells_of_a_workbook_are_what_a_person_sees(tmp_path: Path) -> None:
    """Numbers that are whole have no point, rows that are blank do not count, and places are the rows of the sheet."""
    cells = [("Tickets clos",), (), ("id", "category", "text"), (7, 3, "bonjour"), (), (8, 3.5, 12), (9, True, "=1+1")]
    raw = workbook([*cells])

    rows = read(written(tmp_path, "export.xlsx", raw))

    assert [(one.id, one.expected, one.content) for one in rows.tickets] == [
        ("7", "3", "bonjour"), ("8", "3.5", "12"), ("9", "true", "0"),
    ]  # fmt: skip
    assert rows.places == ["line 4", "line 6", "line 7"]


def test_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain install says what reads the file."""
    monkeypatch.setattr("importlib.util.find_spec", {}.get)

    for name in ("Excel workbook", "parquet"):
        form = next(one for one in FORMS if one.name == name)
        assert "install the extra tables" in refusal(written(tmp_path, "export.bin", form.make()))


def test_lists_that_could_both_be_meant_are_named(tmp_path: Path) -> None:
    """Two lists of tickets are not guessed at; users beside tickets, or a list of columns, are no tickets."""
    both = json.dumps({"open": CELLS, "closed": CELLS})
    beside = json.dumps({"users": [{"id": 1, "name": "x"}], "tickets": CELLS})

    assert "holds 2 lists of objects (/open, /closed), expected 1" in refusal(written(tmp_path, "x.json", both))
    assert pairs(read(written(tmp_path, "y.json", beside))) == EXPECTED


def test_column_without_an_end_is_not_printed_whole(tmp_path: Path) -> None:
    """A file of one line of megabytes is refused in a few."""
    assert len(refusal(written(tmp_path, "x.csv", b"a" * 1_000_000))) < 1000


@pytest.mark.parametrize("make", ["array", "wrapped", "utf-16"])
def test_half_of_an_emoji_is_the_fault_of_its_row(tmp_path: Path, make: str) -> None:
    """In a document and in UTF-16 too, so that the other rows can be read."""
    cut = json.dumps([*CELLS, {"category": "Compte", "text": "oui \ud83d"}])
    content = {
        "array": cut.encode(),
        "wrapped": f'{{"tickets": {cut}}}'.encode(),
        "utf-16": table().decode().encode("utf-16") + "Compte,oui \ud83d\r\n".encode("utf-16-le", "surrogatepass"),
    }[make]
    path = written(tmp_path, "export.any", content)

    with pytest.raises(FaultyRows) as caught:
        read(path)

    (group,) = caught.value.groups
    assert (group.num_tickets, group.detail.startswith("text: ")) == (1, True)
    assert "half of a" in group.detail
    assert pairs(read(path, Reading(skip_faulty=True))) == EXPECTED


def test_faults_of_parquet_are_one_group(tmp_path: Path) -> None:
    """A row's place is no field of it."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"category": [None, None, "a"], "text": ["x", "y", "z"]}), out)

    with pytest.raises(FaultyRows) as caught:
        read(written(tmp_path, "export.parquet", out.getvalue()))

    assert [(one.num_tickets, one.field, one.type) for one in caught.value.groups] == [(2, "category", "no-category")]
