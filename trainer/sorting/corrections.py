"""The way back: what a person corrected in the file that `inspect --csv` wrote, applied to the export it came from.

In: that file, in whatever form a spreadsheet saved it, and the export. Out: the export with the corrected categories,
every other cell as it was. A row is known by its place (its line in the export), and its first words are compared, so
that corrections of another export, or of a sheet whose columns were sorted apart, change nothing.
"""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import msgspec

from artifacts.errors import InvalidContent, InvalidInput
from artifacts.text.tickets import read_tokens
from trainer.data.columns import (
    Chosen,
    FaultyCategory,
    Reading,
    SeveralLabels,
    Unlabelled,
    choose,
    content_of,
    label_of,
    plain,
    text_of_cell,
    value_at,
)
from trainer.data.files import FaultyCell, Fields, Record, excerpt
from trainer.data.forms import open_export
from trainer.data.tickets import export_of
from trainer.sorting import writers
from trainer.sorting.classify import columns_of

FORMULA = (
    "=+-@\t\r"  # what begins a formula; `inspect --csv` writes a quotation mark before it, which is taken off here
)
NEEDED = ("place", "category", "text")
NUM_COMPARED = 8  # tokens: enough to tell tickets apart, and before what a spreadsheet cuts
MAX_SHOWN = 3


class Corrected(msgspec.Struct, frozen=True):
    """A row of the corrected file: the category that it has now, and the ticket's text, by which it is known again."""

    category: str
    text: str


class Applied(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        num_tickets: rows that were written.
        num_corrected: of which the category changed.
        num_same: rows of the corrected file whose category is the export's.
        num_blank: rows whose category was deleted, which leaves the export's.
        categories: corrections to each category.
        new_categories: of these, those that no ticket of the export had: a slip, or a spreadsheet's idea of a date.
    """

    num_tickets: int
    num_corrected: int
    num_same: int
    num_blank: int
    categories: dict[str, int]
    new_categories: list[str]


def read_corrections(path: Path) -> dict[str, Corrected]:
    """Return place -> correction.

    Args:
        path: what `inspect --csv` wrote, in any form that an export may have.

    Raises:
        InvalidInput: it cannot be read, or has not the columns that are needed.
    """

    def score(cells: object) -> int:
        return len({plain(cell) for cell in cells} & set(NEEDED)) if isinstance(cells, list) else 0

    found: dict[str, Corrected] = {}
    with open_export(path, score) as export:
        names = {plain(column): column for column in export.columns}
        if missing := [name for name in NEEDED if name not in names]:
            raise InvalidInput("no-file-of-inspect", file=path, column=missing[0], known=NEEDED)
        for record in export.records:
            cells = {name: unquoted(writers.cell_of(record.fields.get(names[name]))) for name in NEEDED}
            place = " ".join(cells["place"].split())
            if place:
                found[place] = Corrected(unicodedata.normalize("NFC", cells["category"]).strip(), cells["text"])
    if not found:
        raise InvalidInput("nothing-to-apply", file=path)
    return found


def apply(
    look: Path,
    data: Path,
    out: Path,
    reading: Reading,
    delimiter: str | None = None,
    progress: Callable[[int, int, int], None] = lambda *_: None,
) -> Applied:
    """Write an export with the categories that a person corrected, and return what came of it.

    Args:
        look: the corrected file.
        data: the export that was inspected; a file.
        out: where it goes; see `writers.check_out`.
        reading: how the export is read, as it was for `inspect`.
        delimiter: of a .csv; None: the export's own, or a comma.
        progress: see `classify.classify`.

    Raises:
        InvalidInput: a file cannot be read or written, a correction's place is not in the export, or its words differ.
    """
    writers.check_out(out, data)
    writers.check_out(out, look)
    corrections = read_corrections(look)
    left = dict(corrections)
    num_tickets = num_same = num_blank = 0
    known: set[str] = set()
    categories: dict[str, int] = {}
    wanted = [reading.category, *reading.text]
    with export_of(data, reading, wanted) as export:
        chosen = choose(export, reading, needs_category=True)
        kept, export.records = columns_of(export)
        with writers.opened(out, kept, delimiter or export.delimiter or ",", export.schema) as writer:
            for record in export.records:
                if record.fault is not None:
                    fault = msgspec.structs.replace(record.fault, line=record.line)
                    raise InvalidInput("row-that-was-not-inspected", [fault], file=data)
                correction = left.pop(record.place, None)
                known.add(label(record.fields, chosen, reading))
                if correction is not None:
                    check_same(correction, record, chosen, look, data)
                    if not correction.category:
                        num_blank += 1
                    elif correction.category == label(record.fields, chosen, reading):
                        num_same += 1
                    else:
                        set_at(record.fields, column_of(record.fields, chosen), correction.category)
                        categories[correction.category] = categories.get(correction.category, 0) + 1
                writer.write(record.fields)
                num_tickets += 1
                progress(num_tickets, export.source.file.tell(), export.source.num_bytes)
            if left:
                places = list(left)[:MAX_SHOWN] + ["..."] * (len(left) > MAX_SHOWN)
                raise InvalidInput("correction-of-no-row", look=look, places=places, file=data)
    new = sorted(categories.keys() - known)
    return Applied(num_tickets, sum(categories.values()), num_same, num_blank, categories, new)


def check_same(correction: Corrected, record: Record, chosen: Chosen, look: Path, data: Path) -> None:
    """Raise InvalidInput unless a correction is of the ticket that stands at its place.

    Words are compared as the model reads them, because a spreadsheet changes line ends, blanks and what it cannot show.
    """
    try:
        content = content_of(record.fields, chosen)
        found = read_tokens(content if isinstance(content, str) else " ".join(content))
        said = read_tokens(correction.text)
    except (FaultyCategory, FaultyCell, InvalidContent) as error:
        raise InvalidInput("corrected-row-not-readable", file=data, place=record.place, reason=error) from error
    if found[:NUM_COMPARED] != said[:NUM_COMPARED]:
        words = " ".join(text_of_cell(value_at(record.fields, column)) for column in chosen.text)
        raise InvalidInput(
            "correction-of-another-ticket",
            look=look,
            place=record.place,
            corrected=excerpt(correction.text),
            expected=excerpt(words),
            file=data,
        )


def column_of(fields: Fields, chosen: Chosen) -> str:
    """Return which of the columns holds the category of a record."""
    return next((name for name in chosen.category if value_at(fields, name) is not None), chosen.category[0])


def label(fields: Fields, chosen: Chosen, reading: Reading) -> str:
    """Return the category of a record, "" if it has none."""
    try:
        return label_of(value_at(fields, column_of(fields, chosen)), reading)
    except (Unlabelled, SeveralLabels, FaultyCategory):
        return ""


def set_at(fields: Fields, column: str, value: str) -> None:
    """Write a cell; a dotted path reaches inside objects, unless a column is called so itself."""
    if column in fields or "." not in column:
        fields[column] = value
        return
    inner: object = fields
    *path, last = column.split(".")
    for part in path:
        if not isinstance(inner, dict):
            return
        inner = inner.setdefault(part, {})
    if isinstance(inner, dict):
        inner[last] = value


def quoted(cell: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula: a ticket is written by a stranger (OWASP, CSV injection).

    >>> quoted("=HYPERLINK(1)"), quoted("la facture"), quoted(None)
    ("'=HYPERLINK(1)", 'la facture', '')
    """
    return f"'{cell}" if cell and cell[0] in FORMULA else cell or ""


def unquoted(cell: str) -> str:
    """Return a cell as it was before `quoted`."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in FORMULA else cell
