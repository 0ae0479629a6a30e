"""From records to a file that people and programs open: CSV, TSV, xlsx, JSON Lines or parquet, by the file's name.

In: rows, one at a time. Out: a file, which is there as a whole or not at all: it is written next to its place and
renamed at the end. No cell is changed: what a stranger wrote may look like a formula, so a workbook's cells are written
as text, which Excel never runs, and a CSV holds what the export held.
"""

import contextlib
import csv
import datetime
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from artifacts.errors import InvalidInput
from trainer.data.files import Fields
from trainer.data.workbooks import need

SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson", ".parquet")
MAX_CELL, MAX_ROWS = 32_767, 1_048_576  # of Excel: characters, and rows with the header
BATCH = 4096  # rows of a parquet file that are in memory at once


class Writer(Protocol):
    """What takes the rows of a file."""

    def write(self, fields: Fields) -> None:
        """Take the next row: column name -> cell."""


def check_out(out: Path, data: Path) -> None:
    """Raise InvalidInput unless a file can be written under that name, before any work is done.

    Args:
        out: the file that is to be written.
        data: the file that is read, which is never overwritten.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InvalidInput("form-not-written", file=out, suffix=out.suffix, known=SUFFIXES)
    if out.exists() and data.exists() and out.samefile(data):
        raise InvalidInput("output-is-input", file=out)
    if out.is_dir():
        raise InvalidInput("output-is-folder", folder=out, example=out / "sorted.csv")
    if out.suffix.lower() in (".xlsx", ".parquet"):
        need("xlsxwriter" if out.suffix.lower() == ".xlsx" else "pyarrow", out)


@contextlib.contextmanager
def opened(
    path: Path, columns: Sequence[str], delimiter: str = ",", schema: Any = None, numbers: Sequence[str] = ()
) -> Iterator[Writer]:
    """Give what writes a file, which appears under its name at the end, and not if the work fails.

    Args:
        path: its suffix says which form it has; see `check_out`.
        columns: their names, in order; of JSON Lines not needed.
        delimiter: of .csv.
        schema: of parquet, pyarrow's of the columns that have one; others are text.
        numbers: columns that were added and hold numbers, which parquet keeps as such.

    Raises:
        InvalidInput: it cannot be written, or a cell or the number of rows is past what the form holds.
    """
    suffix = path.suffix.lower()
    try:
        descriptor, name = tempfile.mkstemp(suffix=suffix, prefix=f".{path.stem}-", dir=path.absolute().parent)
    except OSError as error:
        raise InvalidInput("file-cannot-be-written", file=path, reason=error.strerror or error) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        made: contextlib.AbstractContextManager[Writer]
        if suffix == ".xlsx":
            made = _Workbook(temporary, columns)
        elif suffix == ".parquet":
            made = _Parquet(temporary, columns, schema, numbers)
        elif suffix in (".jsonl", ".ndjson"):
            made = _JsonLines(temporary)
        else:
            made = _Table(temporary, columns, "\t" if suffix == ".tsv" else delimiter)
        with made as writer:
            yield writer
        temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would keep colleagues out
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput("file-cannot-be-written", file=path, reason=error.strerror or error) from error
    finally:
        temporary.unlink(missing_ok=True)


class _Table:
    """Writes CSV or TSV in UTF-8 with a mark, without which Excel reads another encoding."""

    def __init__(self, path: Path, columns: Sequence[str], delimiter: str) -> None:
        # A byte that did not fit the export's encoding is written as it came.
        self._file = path.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._columns = columns
        self._writer = csv.writer(self._file, delimiter=delimiter)
        self._writer.writerow(columns)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, fields: Fields) -> None:
        """Write the next row."""
        cells = [cell_of(fields.get(column)) for column in self._columns]
        try:
            self._writer.writerow(cells)
        except UnicodeEncodeError:  # half of an emoji, which UTF-8 cannot carry
            self._writer.writerow([cell.encode("utf-8", "replace").decode() for cell in cells])


class _JsonLines:
    """Writes an object a line; what came as an object goes out with all that it had."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, fields: Fields) -> None:
        """Write the next row."""
        try:
            line = msgspec.json.encode(fields).decode()
        except UnicodeEncodeError:
            line = json.dumps(fields, default=str)  # half of an emoji, as the escape that it was
        self._file.write(line + "\n")


class _Workbook:
    """Writes one sheet, row by row, so that memory does not grow with it; every cell but a number is text."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import xlsxwriter

        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._path, self._columns, self._row = path, columns, 0
        self._book = xlsxwriter.Workbook(str(path), options)
        self._sheet = self._book.add_worksheet("tickets")
        self._sheet.freeze_panes(1, 0)
        self._put(columns)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._book.close()

    def write(self, fields: Fields) -> None:
        """Write the next row."""
        self._put([fields.get(column) for column in self._columns])

    def _put(self, cells: Sequence[object]) -> None:
        if self._row >= MAX_ROWS:
            raise InvalidInput("workbook-full", max_rows=MAX_ROWS)
        for place, cell in enumerate(cells):
            if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < 1e15 and cell == cell:
                self._sheet.write_number(self._row, place, cell)
                continue
            text = cell_of(cell)
            if len(text) > MAX_CELL:  # xlsxwriter would leave it out
                raise InvalidInput(
                    "cell-too-long", row=self._row + 1, num_characters=len(text), max_characters=MAX_CELL
                )
            if text:
                self._sheet.write_string(self._row, place, text)
        self._row += 1


class _Parquet:
    """Writes row groups; a column that came with a type keeps it, any other is text but for our own numbers."""

    def __init__(self, path: Path, columns: Sequence[str], schema: Any, numbers: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        known = {field.name: field.type for field in schema} if schema is not None else {}
        # By place and not by name: a column of the export that is called confidence may hold any text.
        own = {name: pyarrow.int64() if "version" in name else pyarrow.float64() for name in numbers}
        self._fields = {name: known.get(name) or own.get(name, pyarrow.string()) for name in columns}
        self._schema = pyarrow.schema(list(self._fields.items()))
        self._writer = pyarrow.parquet.ParquetWriter(str(path), self._schema)
        self._known, self._rows = known, list[Fields]()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, fields: Fields) -> None:
        """Take the next row."""
        self._rows.append(fields)
        if len(self._rows) == BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        columns = []
        for name, type_ in self._fields.items():
            cells: list[object] = [row.get(name) for row in self._rows]
            if type_ == pyarrow.string() and name not in self._known:
                cells = [None if cell is None else cell_of(cell).encode("utf-8", "replace").decode() for cell in cells]
            try:
                columns.append(pyarrow.array(cells, type=type_))
            except (pyarrow.ArrowException, TypeError) as error:  # a correction is text, whatever its column holds
                try:
                    texts = [None if cell is None else cell_of(cell) for cell in cells]
                    columns.append(pyarrow.array(texts, pyarrow.string()).cast(type_))
                except (pyarrow.ArrowException, UnicodeEncodeError):
                    raise InvalidInput("cell-of-another-type", column=name, column_type=type_, reason=error) from error
        self._writer.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._rows = []


def cell_of(value: object) -> str:
    """Return a cell as text: what was text as it was, what was an object or a list as JSON.

    >>> cell_of("=1+1"), cell_of(None), cell_of(0.5), cell_of(True), cell_of(["a"])
    ('=1+1', '', '0.5', 'true', '["a"]')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        try:
            return msgspec.json.encode(value).decode()
        except (UnicodeEncodeError, TypeError):
            return json.dumps(value, default=str)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _umask() -> int:
    """Return the mask of new files, which only setting it tells."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
