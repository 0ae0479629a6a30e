"""From a path to an export whose form is known: stages 1 to 3 of reading in one call, and the kinds of numbers.

    bytes (source.py) -> text (encodings.py) -> records (tables.py, objects.py, workbooks.py)

In: a path. Out: what it is, in words, and its records. The content says which form it is; a suffix is written by
people. A form that is known and not read is named, with what to do about it.
"""

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from artifacts.errors import InvalidInput, NoTrainingData
from trainer.data import encodings, objects, tables, workbooks
from trainer.data.encodings import TextEncoding
from trainer.data.files import FaultyCell, RawRow, Record, TableReader
from trainer.data.mails import Skipped, is_mails, read_folder
from trainer.data.source import MAX_BYTES, STDIN, Source, opened

Refusal = Callable[[str], InvalidInput]  # of a file by its name


def _document(form: str) -> Refusal:
    return lambda file: InvalidInput("document-instead-of-table", file=file, form=form)


def _data(form: str) -> Refusal:
    return lambda file: InvalidInput("data-format-not-read", file=file, form=form)


def _archive(form: str) -> Refusal:
    return lambda file: InvalidInput("archive-format-not-read", file=file, form=form)


def _picture(form: str) -> Refusal:
    return lambda file: InvalidInput("picture-instead-of-table", file=file, form=form)


def _pickle(file: str) -> InvalidInput:
    return InvalidInput("pickle-not-read", file=file)


# Starts of files that people send by mistake, and their refusals.
OTHER_FORMS: dict[bytes, Refusal] = {
    b"%PDF": _document("PDF"),
    b"{\\rtf": _document("RTF"),
    b"ARROW1": _data("Arrow (Feather)"),
    b"ORC": _data("ORC"),
    b"Obj\x01": _data("Avro"),
    b"SQLite format 3": lambda file: InvalidInput("database-not-read", file=file),
    b"\x28\xb5\x2f\xfd": _archive("zstd"),
    b"7z\xbc\xaf\x27\x1c": _archive("7z"),
    b"Rar!": _archive("RAR"),
    b"\x89HDF": _data("HDF5"),
    b"\x93NUMPY": _data("NumPy"),
    b"\x80\x04": _pickle,
    b"\x80\x05": _pickle,
    b"\x89PNG": _picture("PNG"),
    b"\xff\xd8\xff": _picture("JPEG"),
    b"GIF8": _picture("GIF"),
    b"\x7fELF": lambda file: InvalidInput("program-instead-of-table", file=file),
    b"!BDN": lambda file: InvalidInput("outlook-archive-not-read", file=file),
}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Excel up to 2003, and Word, and locked workbooks


class Export(msgspec.Struct):
    """An export whose form is known.

    Attributes:
        name: what messages call it.
        form: in words, such as "table with semicolons".
        encoding: of a text; None of a form that has none.
        columns: their names, in order; of JSON empty, because each object has its own.
        records: its rows, once; valid while the export is open.
        delimiter: of a table of text.
        source: its bytes; their position says how far a reader is.
        schema: of parquet, pyarrow's, so that a copy can keep the types.
        passed_over: of e-mails, what gave no record, once all of them have been read.
    """

    name: str
    form: str
    encoding: TextEncoding | None
    columns: list[str]
    records: Iterator[Record]
    delimiter: str | None
    source: Source
    schema: Any = None
    passed_over: Skipped | None = None

    @property
    def said(self) -> str:
        """What it was found to be, in a few words."""
        parts = [*self.source.wrappers, self.form, *([self.encoding.shown] if self.encoding is not None else [])]
        if self.passed_over is not None and self.passed_over.said:
            parts.append(self.passed_over.said)
        return ", ".join(parts)


@contextlib.contextmanager
def open_export(
    path: Path,
    score: tables.NameScore,
    encoding: str | None = None,
    delimiter: str | None = None,
    has_header: bool = True,
    max_bytes: int = MAX_BYTES,
    usual_encoding: str | None = None,
    usual_delimiter: str | None = None,
    needs_category: bool = True,
) -> Iterator[Export]:
    """Give an export whose form is known.

    Args:
        path: of a file, or a folder of e-mails (mails.py); `-`: standard input.
        score: how many of some cells are names of columns that the reader knows.
        encoding: named by an option; None: found.
        delimiter: of a table; None: found.
        has_header: whether a row of a table names its columns.
        max_bytes: see `source.opened`.
        usual_encoding: of the last export, which is tried before others are guessed.
        usual_delimiter: of the last export, which is tried with the others.
        needs_category: whether the folders, or labels, of e-mails have to be categories.

    Raises:
        InvalidInput: it cannot be read, or is of a form that is not.
        NoTrainingData: it is empty.
    """
    if str(path) != STDIN and is_mails(path):
        yield _mails(path, needs_category)
        return
    with opened(path, max_bytes) as source:
        head = source.head()
        if not head.strip():
            raise NoTrainingData("no-training-data")
        if (workbook := _is_workbook(source, head)) or head.startswith(b"PAR1"):
            schema = None
            if workbook:
                form, columns, records = workbooks.read_workbook(source, score, has_header)
            else:
                form, (schema, columns, records) = "parquet", workbooks.read_parquet(source)
            yield Export(source.name, form, None, columns, records, None, source, schema)
            return
        _refuse_others(source, head)
        try:
            found = encodings.find_encoding(source, encoding, usual_encoding)
            with encodings.text_of(source, found) as text:
                start = text.read(4096)
            _refuse_markup(source.name, start)
            layout_of = partial(tables.find_layout, has_header=has_header, usual=usual_delimiter)
            form, columns, records, found_delimiter = _text_records(source, found, start, score, delimiter, layout_of)
            yield Export(source.name, form, found, columns, records, found_delimiter, source)
        except UnicodeDecodeError as error:  # half of a character at the end of UTF-16, which nothing can stand for
            raise InvalidInput(
                "wrong-text-encoding", file=source.name, encoding=error.encoding, reason=error.reason
            ) from error


def read_file(path: Path, table: TableReader, max_bytes: int = MAX_BYTES) -> list[RawRow]:
    """Return the raw rows of a data file of a kind that does not learn from tickets.

    Args:
        path: of the file; `-`: standard input.
        table: how the kind reads a table.
        max_bytes: see `source.opened`.

    Raises:
        InvalidInput: the file cannot be read, or its table has no usable header.
    """
    with open_export(path, _names_no_number, max_bytes=max_bytes) as export:
        if not export.columns:
            return [
                RawRow(one.raw if one.raw is not None else msgspec.json.encode(one.fields), one.pointer, one.line)
                for one in export.records
            ]
        try:
            row_of = table(export.columns)
        except InvalidInput as error:
            raise InvalidInput("columns-of-another-kind", file=path, columns=export.columns, reason=error) from error
        rows = []
        for record in export.records:
            if record.fault is not None:
                rows.append(RawRow(b"", line=record.line, fault=record.fault))
                continue
            try:
                made = row_of(["" if cell is None else str(cell) for cell in record.fields.values()])
                rows.append(RawRow(msgspec.json.encode(made), line=record.line))
            except FaultyCell as error:
                rows.append(RawRow(b"", line=record.line, fault=error.fault))
        return rows


def _mails(folder: Path, needs_category: bool) -> Export:
    """Return a folder of e-mails, or an mbox, as an export whose columns are named."""
    skipped = Skipped()

    def records() -> Iterator[Record]:
        for row in read_folder(folder, skipped=skipped, needs_category=needs_category):
            fields = msgspec.json.decode(row.raw, type=dict[str, object]) if row.fault is None else {}
            yield Record(fields, pointer=row.pointer, fault=row.fault)

    source = Source(str(folder), io.BytesIO(), 0, [], MAX_BYTES)
    columns = ["category", "text", "id"] if needs_category else ["text", "id"]
    return Export(str(folder), "e-mails", None, columns, records(), None, source, passed_over=skipped)


def _names_no_number(cells: Sequence[str]) -> int:
    """Return 1 of a row that may name the columns of numbers: a row without a number."""
    return int(not any(cell.strip().lstrip("+-")[:1].isdigit() for cell in cells))


def _text_records(
    source: Source,
    encoding: TextEncoding,
    start: str,
    score: tables.NameScore,
    delimiter: str | None,
    layout_of: Callable[..., tables.Layout],
) -> tuple[str, list[str], Iterator[Record], str | None]:
    """Return form, columns, records and delimiter of a text."""
    begin = start.lstrip("\ufeff").lstrip()
    if delimiter is None and objects.is_fasttext(begin):
        return "fastText lines", ["category", "text"], objects.read_fasttext(source, encoding), None
    if delimiter is None and objects.is_json_lines(source, encoding):
        return "JSON Lines", [], objects.read_json_lines(source, encoding), None
    if delimiter is None and begin[:1] in ("{", "["):
        form, records = objects.read_document(source, encoding, score)
        return form, [], records, None
    open_text = partial(encodings.text_of, source, encoding)
    layout = layout_of(open_text, source.name, score, delimiter)
    return layout.shown, layout.columns, tables.read_table(open_text, layout), layout.delimiter


def _is_workbook(source: Source, head: bytes) -> bool:
    """Return whether bytes are those of a workbook, of any age.

    Raises:
        InvalidInput: they are those of another document.
    """
    if head.startswith(OLE):
        return True
    if not head.startswith(b"PK\x03\x04"):
        return False
    with zipfile.ZipFile(source.file) as archive:
        names = set(archive.namelist())
        source.file.seek(0)
        if {"xl/workbook.xml", "xl/workbook.bin"} & names:
            return True
        kind = archive.read("mimetype")[:100].decode("ascii", "replace") if "mimetype" in names else "Office"
        source.file.seek(0)
    if "spreadsheet" in kind:
        return True
    raise InvalidInput("document-instead-of-table", file=source.name, form=kind)


def _refuse_others(source: Source, head: bytes) -> None:
    """Raise InvalidInput if bytes are those of a form that is known and not read."""
    for start, refusal in OTHER_FORMS.items():
        if head.startswith(start):
            raise refusal(source.name)
    if head.startswith(b"From ") and b"\nFrom: " in head:
        raise InvalidInput("mailbox-without-category", file=source.name)


def _refuse_markup(name: str, start: str) -> None:
    """Raise InvalidInput if a text is a web page or XML, which some programs export under the suffix .xls."""
    begin = start.lstrip("\ufeff").lstrip()[:2000].lower()
    if begin.startswith(("<!doctype html", "<html", "<table", "<head", "<meta", "<body", "<div")):
        raise InvalidInput("document-instead-of-table", file=name, form="HTML")
    if begin.startswith("<?xml") or (begin.startswith("<") and begin[1:2].isalpha() and "</" in start):
        raise InvalidInput("document-instead-of-table", file=name, form="XML")
