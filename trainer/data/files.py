"""From a data file to raw rows, and from raw rows to Structs, whatever the kind of network.

In: JSONL, the seeds' JSON body, a JSON array, CSV or TSV. Out: decoded rows, or every fault at once. Nothing here
imports torch, so that a wrong file is refused in a moment.

A row that does not fit refuses the whole file: a silent skip would train on other data than the desk believes. Every
such row is counted and the first 20 are shown.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from artifacts.errors import Fault, InvalidContent, InvalidInput, NoTrainingData
from artifacts.schemas import Row
from artifacts.system.validation import MAX_FAULTS_SHOWN, find_faults, summary

R = TypeVar("R", bound=Row)
C = TypeVar("C")
# Takes the column names of a table's first line and returns what turns the cells of a row into the row, or raises
# InvalidInput if these columns are not the kind's. That function takes as many cells as there are columns, and raises
# FaultyCell if one does not hold what it should.
TableReader = Callable[[Sequence[str]], Callable[[Sequence[str]], object]]


class RawRow(msgspec.Struct, frozen=True):
    """One row as it came: its JSON, where it stands in the body, its line if it has one, and why it is no row."""

    raw: bytes | msgspec.Raw
    pointer: str = ""
    line: int | None = None
    fault: Fault | None = None


class Body(msgspec.Struct, frozen=True):
    """The seeds' JSON body, as far as its tickets go."""

    training_data: list[msgspec.Raw] | None = None
    test_data: list[msgspec.Raw] | None = None


class FaultyCell(Exception):
    """A cell of a table does not hold what its column should."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_file(path: Path, table: TableReader) -> list[RawRow]:
    """Return the raw rows of a data file; the content says which format it is, but for CSV and TSV.

    Args:
        path: of the file.
        table: how the kind of network reads a CSV or TSV file.

    Raises:
        InvalidInput: the file cannot be read, is not UTF-8, or its table has no usable header.
    """
    try:
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}; expected a JSONL, JSON, CSV or TSV file") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        try:
            return list(_read_table(raw.decode("utf-8"), path, table))
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    start = raw.lstrip()[:1]
    try:
        if start == b"[":
            rows = msgspec.json.decode(raw, type=list[msgspec.Raw])
            return [RawRow(row, f"/{index}") for index, row in enumerate(rows)]
        if start == b"{":
            body = msgspec.json.decode(raw, type=Body)
            for name in ("training_data", "test_data"):
                if (found := getattr(body, name)) is not None:
                    return [RawRow(row, f"/{name}/{index}") for index, row in enumerate(found)]
            return [RawRow(raw, line=1)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # JSONL has a whole object on its line; the second line counts too, because the first may be the faulty one.
        lines = [line.strip() for line in raw.strip().split(b"\n", 2)[:2]]
        is_jsonl = start == b"{" and any(line.startswith(b"{") and line.endswith(b"}") for line in lines)
        if isinstance(error, msgspec.ValidationError) or not is_jsonl:
            raise InvalidInput(f"{path} is neither a JSON body nor a JSON array of tickets: {error}") from error
    lines = raw.split(b"\n")
    return [RawRow(line, line=number) for number, line in enumerate(lines, 1) if line.strip()]


def _read_table(text: str, path: Path, table: TableReader) -> Iterator[RawRow]:
    """Yield the rows of a table whose first line names its columns, separated by comma, semicolon or tab."""
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        try:
            row_of = table(columns)
        except InvalidInput as error:
            raise InvalidInput(
                f"{path}: the first line names the columns {', '.join(columns) or '(none)'}; {error}"
            ) from error
        for cells in reader:
            if cells:  # a blank line has none
                # The reader counts the lines it has read: a text of several lines between quotes began earlier.
                line = reader.line_num - sum(cell.count("\n") for cell in cells)
                yield _table_row(columns, cells, row_of, line)
    except csv.Error as error:
        raise InvalidInput(f"{path} is not a readable table: line {reader.line_num}: {error}") from error


def _table_row(
    columns: Sequence[str], cells: Sequence[str], row_of: Callable[[Sequence[str]], object], line: int
) -> RawRow:
    """Return one row of a table as the JSON that it stands for."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        # Without quotes the rest of a text after its first comma would be lost in silence.
        detail = f"has {len(cells)} columns, the first line names {len(columns)}; put double quotes round a text"
        return RawRow(b"", line=line, fault=Fault("", detail))
    try:
        filled = [*cells, *[""] * (len(columns) - len(cells))][: len(columns)]
        return RawRow(msgspec.json.encode(row_of(filled)), line=line)
    except FaultyCell as error:
        return RawRow(b"", line=line, fault=error.fault)


def decode_rows(
    raw_rows: Iterable[RawRow], what: str, row_type: type[R], read: Callable[[R], C]
) -> tuple[list[R], list[C]]:
    """Return the rows, checked one by one, and what `read` makes of each.

    Args:
        raw_rows: from `read_file` or from a posted body.
        what: how the message calls them.
        row_type: the data Struct of the model's kind.
        read: returns a row's content as the trainer wants it, or raises InvalidContent.

    Raises:
        InvalidInput: with the first 20 faults and the number of all.
        NoTrainingData: there is no row.
    """
    decoder = msgspec.json.Decoder(row_type)
    faults: list[Fault] = []
    num_faults = 0
    rows, contents = [], []
    for raw_row in raw_rows:
        found = [raw_row.fault] if raw_row.fault else []
        if not found:
            try:
                row = decoder.decode(raw_row.raw)
                contents.append(read(row))
                rows.append(row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = list(find_faults(raw_row.raw, row_type, raw_row.pointer))
            except InvalidContent as error:
                found = [Fault(f"{raw_row.pointer}/{row.content_field}", str(error))]
        num_faults += len(found)
        for fault in found[: MAX_FAULTS_SHOWN - len(faults)]:
            faults.append(msgspec.structs.replace(fault, line=raw_row.line))
    if num_faults:
        raise InvalidInput(summary(what, num_faults), faults, num_faults)
    if not rows:
        raise NoTrainingData("No training data provided or training data is empty")
    return rows, contents
