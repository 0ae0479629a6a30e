"""How a file is understood, before anything is done with it: its form, its columns, its first rows.

In: an export of any form. Out: a `Preview` for a person who chooses columns. It is read as a training would read it;
only that what would be refused because it is not certain is shown as a guess, with what else it might be.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from artifacts.jobs.answers import ColumnSeen, NoticedProblem, Preview
from artifacts.jobs.answers import Role as ColumnRole
from artifacts.system.validation import MAX_FAULTS_SHOWN
from trainer.data.columns import (
    PROBED,
    Chosen,
    ColumnsUnclear,
    Reading,
    choose,
    text_of_cell,
    value_at,
)
from trainer.data.columns import FaultyCategory as OddCell
from trainer.data.files import FaultLog, Record
from trainer.data.forms import Export
from trainer.data.tickets import export_of

NUM_ROWS = 20  # that are shown
NUM_SAMPLES = 5  # of a column
MAX_CELL = 200  # characters of a cell that is shown
MAX_COLUMNS = 200  # a file that is no table may have one for each word


def preview(path: Path, reading: Reading, num_whole: int | None = None) -> Preview:
    """Return how an export is understood.

    Args:
        path: of a file, or of a folder of e-mails.
        reading: what the request says of it.
        num_whole: rows that are given back whole; None: the first 20, with long cells shortened.
    Raises:
        InvalidInput: it cannot be read at all, or has no column that the request names.
        NoTrainingData: it is empty.
    """
    needs_category = not path.is_dir() or has_folders(path)
    chosen, problems, likely = columns_chosen(path, reading, needs_category)
    first: list[Record] = []
    num_shown, max_cell = (NUM_ROWS, MAX_CELL) if num_whole is None else (num_whole, None)
    faults, num_rows = FaultLog(), 0
    with export_of(path, reading, [reading.category, *reading.text], needs_category) as export:
        for record in export.records:
            num_rows += 1
            if len(first) < max(PROBED, num_shown):
                first.append(record)
            if record.fault is not None:
                faults.add([record.fault], record.place)
        names = columns_of(export, first)
        problems += [NoticedProblem(one.type, str(one), one.num_tickets) for one in faults.sorted()[:MAX_FAULTS_SHOWN]]
        roles = roles_of(chosen, reading, likely)
        said = export.said if chosen is None else f"{export.said}; {chosen.said}"
        return Preview(
            columns=[seen(name, first[:PROBED], roles) for name in names],
            num_rows=num_rows,
            encoding=export.encoding.codec if export.encoding is not None else None,
            delimiter=export.delimiter,
            form=export.form,
            rows=[{name: shown(record, name, max_cell) for name in names} for record in first[:num_shown]],
            how_read=said,
            problems=problems,
            is_certain=chosen is not None and bool(chosen.category) and not likely,
        )


def columns_chosen(
    path: Path, reading: Reading, needs_category: bool
) -> tuple[Chosen | None, list[NoticedProblem], list[str]]:
    """Return which columns are certain, what is not, and the options that would name the likely ones.

    Raises:
        InvalidInput: see `preview`.
    """
    problems: list[NoticedProblem] = []
    likely: list[str] = []
    # Without a category it may be a file that is to be sorted, and its text certain all the same.
    for with_category in (True, False) if needs_category else (False,):
        with export_of(path, reading, [reading.category, *reading.text], needs_category) as export:
            try:
                return choose(export, reading, needs_category=with_category), problems, likely
            except ColumnsUnclear as error:
                if error.message.type == "no-such-column":
                    raise
                if not problems:
                    problems.append(NoticedProblem(error.message.type, error.message.detail()))
                likely = likely or error.options
    return None, problems, likely


def has_folders(path: Path) -> bool:
    """Return whether a folder of e-mails has folders or mailboxes, which are categories."""
    with contextlib.suppress(OSError):
        return any(entry.is_dir() for entry in path.iterdir())
    return False


def roles_of(chosen: Chosen | None, reading: Reading, likely: Sequence[str]) -> dict[str, ColumnSeen]:
    """Return column -> its role and why, of those that are certain and of those that are likely."""
    found: dict[str, ColumnSeen] = {}

    def take(name: str, role: ColumnRole, is_named: bool, is_remembered: bool) -> None:
        why = "named" if is_named else "remembered" if is_remembered else "usual"
        found.setdefault(name, ColumnSeen(name, [], 0, role, why))  # type: ignore[arg-type]  # one of its words

    if chosen is not None:
        old = reading.remembered
        for name in chosen.present[0]:
            take(name, "category", reading.category is not None, old is not None and name == old.category)
        for name in chosen.present[1]:
            take(name, "text", bool(reading.text), old is not None and name in old.text)
        if chosen.id is not None:
            take(chosen.id, "id", reading.id is not None, old is not None and chosen.id == old.id)
    for option, name in zip(likely[::2], likely[1::2], strict=True):
        role: ColumnRole = "category" if option == "--category" else "text"
        found.setdefault(name, ColumnSeen(name, [], 0, role, "likely"))
    return found


def columns_of(export: Export, first: Sequence[Record]) -> list[str]:
    """Return the names of the columns of an export; of JSON those of its first objects."""
    names = export.columns or list(dict.fromkeys(name for record in first for name in record.fields))
    return names[:MAX_COLUMNS]


def seen(name: str, first: Sequence[Record], roles: dict[str, ColumnSeen]) -> ColumnSeen:
    """Return a column with its samples and its role."""
    cells = dict.fromkeys(cell for record in first if (cell := shown(record, name)).strip())
    role = roles.get(name)
    return ColumnSeen(
        name,
        list(cells)[:NUM_SAMPLES],
        len(cells),
        role.role if role is not None else None,
        role.why if role is not None else None,
    )


def shown(record: Record, name: str, max_characters: int | None = MAX_CELL) -> str:
    """Return a cell as text, shortened; None: whole."""
    value = value_at(record.fields, name)
    try:
        text = text_of_cell(value)
    except OddCell:
        text = msgspec.json.encode(value).decode()
    return text if max_characters is None or len(text) <= max_characters else f"{text[:max_characters]}..."
