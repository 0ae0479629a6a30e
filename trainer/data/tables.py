"""Stage 3 of reading an export, for tables of text: the delimiter, the header, and the rows.

In: text whose encoding is known. Out: the layout of the table, and its rows as records. Nothing is decided by the name
of the file, and the whole table decides: which delimiter gives most lines the same number of cells, under names that
look like names of columns. A title above the header, a line `sep=;`, commas in a header between quotes, CR alone at the
ends of lines, and cells of megabytes are all found in exports.
"""

import csv
import io
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import msgspec

from artifacts.errors import Fault, InvalidInput
from trainer.data.files import Record

DELIMITERS = ",;\t|^~\x1f\x01"  # the last two are what databases write (Hive, ASCII's unit separator)
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "^": "caret", "~": "tilde"}
SAMPLE = 262_144  # characters by which the delimiter and the header are chosen
MAX_TITLE = 20  # lines above the header
# How a table may treat a quotation mark inside a cell: doubled, as RFC 4180 has it; after a backslash, as MySQL exports
# it; or as a letter like any other, as many programs write tabs.
DIALECTS: tuple[dict[str, object], ...] = (
    {"strict": True},
    {"strict": True, "doublequote": False, "escapechar": "\\"},
    {"quoting": csv.QUOTE_NONE},
)
OpenText = Callable[[], TextIO]
NameScore = Callable[[Sequence[str]], int]


class Layout(msgspec.Struct, frozen=True):
    """How a table is written.

    Attributes:
        delimiter: between cells.
        dialect: what csv.reader is to be given besides.
        columns: their names, each once; a blank one is called by its number.
        header: how many rows (blank ones not counted) come before the first ticket.
    """

    delimiter: str
    dialect: dict[str, object]
    columns: list[str]
    header: int

    @property
    def shown(self) -> str:
        """The form in words."""
        return f"table with {NAMES.get(self.delimiter, repr(self.delimiter))}s"


def find_layout(
    open_text: OpenText,
    name: str,
    score: NameScore,
    delimiter: str | None = None,
    has_header: bool = True,
    usual: str | None = None,
) -> Layout:
    """Return how a table is written.

    Args:
        open_text: gives the text from its start, line ends as they are.
        name: of the file, for messages.
        score: how many of some cells are names of columns that the reader knows.
        delimiter: named by an option; None: found.
        has_header: whether a row names the columns; otherwise they are called "1", "2", ...
        usual: the delimiter of the last export, tried with the others.

    Raises:
        InvalidInput: there is no row, or quotation marks do not pair.
    """
    csv.field_size_limit(sys.maxsize)  # a log or a picture in base64 has more than the 131,072 of the default
    with open_text() as text:
        sample = text.read(SAMPLE)
        is_whole = not text.read(1)
    found = _separator_line(sample)
    if found is not None and delimiter is None:
        delimiter = found
    choices = [
        _guess(sample, is_whole, one, score, has_header)
        for one in ([delimiter] if delimiter else dict.fromkeys(f"{DELIMITERS}{usual or ''}"))
    ]
    _, header_row, cells, chosen = max(choices, key=lambda choice: choice[0])  # the first of equals, so the comma
    if not any(cell.strip() for cell in cells):
        raise InvalidInput("table-without-rows", file=name)
    columns = unique_names(cells) if has_header else [str(number) for number in range(1, len(cells) + 1)]
    dialect = _dialect(open_text, name, chosen, len(columns))
    if any(cell.startswith('"') for cell in columns) and "quoting" not in dialect:
        # A blank after each delimiter, before the quotation mark: csv would take the marks for letters.
        dialect = {**dialect, "skipinitialspace": True}
        _, cells = next(_rows(io.StringIO(chosen.join(cells), newline=""), chosen, dialect))
        columns = unique_names(cells)
    return Layout(chosen, dialect, columns, header_row + 1 if has_header else header_row)


def read_table(open_text: OpenText, layout: Layout) -> Iterator[Record]:
    """Yield the rows of a table. A row of more cells than there are columns is a fault of its own."""
    num_columns = len(layout.columns)
    with open_text() as text:
        for number, (line, cells) in enumerate(_rows(text, layout.delimiter, layout.dialect)):
            if number < layout.header:
                continue
            if any(cell.strip() for cell in cells[num_columns:]):
                # Without quotes the rest of a text after its first comma would be lost in silence.
                fault = Fault.of("", "too-many-columns", line, num_cells=len(cells), num_columns=num_columns)
                yield Record({}, line, fault=fault)
            elif len(cells) == 1 < num_columns:
                # The rest of a text whose line break nobody quoted: Excel leaves out empty cells, never all but one.
                yield Record({}, line, fault=Fault.of("", "too-few-columns", line, num_columns=num_columns))
            elif len(cells) == num_columns:
                yield Record(dict(zip(layout.columns, cells, strict=True)), line)
            else:
                filled = [*cells, *[""] * (num_columns - len(cells))][:num_columns]
                yield Record(dict(zip(layout.columns, filled, strict=True)), line)


def unique_names(cells: Sequence[object]) -> list[str]:
    """Return the names of columns, blank and repeated ones made distinct.

    >>> unique_names([" id", "", "text", "text"])
    ['id', 'column 2', 'text', 'text (2)']
    """
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = str(cell).strip() if cell is not None and str(cell).strip() else f"column {number}"
        taken = 1
        while name in names:
            taken += 1
            name = f"{str(cell).strip()} ({taken})"
        names.append(name)
    return names


def find_header(rows: Sequence[Sequence[str]], score: NameScore) -> int:
    """Return which of the first rows of a table names the columns.

    The row with most names that the reader knows, if one has any. Otherwise the first that is as wide as most rows are
    and full: a title, and what an export says of itself above the header, are in one or two cells.
    """
    first = rows[:MAX_TITLE]
    scores = [score(row) for row in first]
    if scores and max(scores) > 0:
        return scores.index(max(scores))
    width = usual_width(rows)
    filled = [sum(bool(cell.strip()) for cell in row) for row in first]
    return next((number for number, count in enumerate(filled) if count >= max(1, min(width, max(filled)))), 0)


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most rows have."""
    widths = Counter(map(len, rows))
    return max(widths, key=lambda width: (widths[width], width)) if widths else 0


def _separator_line(sample: str) -> str | None:
    """Return what a first line such as `sep=;`, which Excel reads and writes, names."""
    first = sample.lstrip("\ufeff").split("\n", 1)[0].split("\r", 1)[0].strip('" \t')
    return first[4] if first.lower().startswith("sep=") and len(first) == 5 else "\t" if first == "sep=" else None


def _guess(
    sample: str, is_whole: bool, delimiter: str, score: NameScore, has_header: bool
) -> tuple[float, int, list[str], str]:
    """Return how well a delimiter fits a sample, which row is the header then, its cells, and the delimiter."""
    rows: list[list[str]] = []
    try:
        for _, cells in _rows(io.StringIO(sample, newline=""), delimiter, {"strict": False}):
            rows.append(cells)
    except csv.Error:
        pass
    if not is_whole and len(rows) > 1:
        rows.pop()  # cut in the middle
    start = 1 if rows and _separator_line(sample) is not None else 0
    if not rows[start:]:
        return 0.0, start, [], delimiter
    header = start + (find_header(rows[start:], score) if has_header else 0)
    body = rows[header:]
    width = len(rows[header])
    # A delimiter at the end of each row but the header's names no further column.
    share = sum(len(row) == width or (len(row) > width and not any(row[width:])) for row in body) / len(body)
    if width == 1:
        share = min(share, 0.3)  # any other delimiter that cuts the rows evenly says more
    # Names that the reader knows say most; a header that is not the first row is rare.
    fit = share * (1 + min(3, score(rows[header]))) * (0.8 if header > start else 1.0)
    return fit, header, rows[header], delimiter


def _dialect(open_text: OpenText, name: str, delimiter: str, num_columns: int) -> dict[str, object]:
    """Return how quotation marks are to be read: the first way in which the whole table can be.

    Raises:
        InvalidInput: in none.
    """
    reason: tuple[int, csv.Error] | None = None
    for dialect in DIALECTS:
        line = 0
        # With an escape csv closes a cell at any quotation mark, so it has to be one that is used.
        if "escapechar" in dialect and not _holds(open_text, '\\"'):
            continue
        try:
            with open_text() as text:
                for line, cells in _rows(text, delimiter, dialect):  # noqa: B007  # the line of the fault
                    if "quoting" in dialect and not _is_unquoted(cells, num_columns):
                        raise csv.Error("cells between quotation marks")
            return dialect
        except csv.Error as error:
            reason = reason or (line, error)
    assert reason is not None, "the first dialect is tried with every table; this is a bug in Puppet"
    raise InvalidInput("table-not-readable", file=name, after_line=reason[0], reason=reason[1])


def _holds(open_text: OpenText, part: str) -> bool:
    """Return whether a line of a text holds something."""
    with open_text() as text:
        return any(part in line for line in text)


def _is_unquoted(cells: Sequence[str], num_columns: int) -> bool:
    """Return whether a row reads well if its quotation marks are letters: right in width, and no cell between two."""
    return len(cells) == num_columns and not any(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells)


def _rows(text: TextIO, delimiter: str, dialect: dict[str, object]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table that are not blank, each with the line that it begins on."""
    reader = csv.reader(text, delimiter=delimiter, **dialect)  # type: ignore[arg-type]  # the options of DIALECTS
    line = 1
    for cells in reader:
        if any(cells) and not (len(cells) == 1 and not cells[0].strip()):
            yield line, cells
        line = reader.line_num + 1


def first(records: Iterator[Record], number: int) -> tuple[list[Record], Iterator[Record]]:
    """Return the first records, and all of them again."""
    taken = list(itertools.islice(records, number))
    return taken, itertools.chain(taken, records)
