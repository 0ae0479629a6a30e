"""What the stages of reading hand on: records of an export, rows of a posted body, and the faults in either.

In: raw rows of a body, or of a file. Out: decoded rows, or every fault at once, in groups. Nothing here imports torch,
so that a wrong file is refused in a moment.

A row that does not fit refuses the whole file: a silent skip would train on other data than the support team believes.
Every such row is counted, and faults of one kind are one group with three examples, because 934 equal faults hide the
two others.
"""

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from artifacts.errors import Fault, InvalidContent, InvalidInput, NoTrainingData
from artifacts.problems.phrases import phrase
from artifacts.problems.sentences import DEFAULT, Language, Message, Value
from artifacts.schemas import Row
from artifacts.system.validation import MAX_FAULTS_SHOWN, does_not_fit, find_faults

R = TypeVar("R", bound=Row)
C = TypeVar("C")
# Takes the column names of a table's first line and returns what turns the cells of a row into the row, or raises
# InvalidInput if these columns are not the kind's. That function takes as many cells as there are columns, and raises
# FaultyCell if one does not hold what it should.
TableReader = Callable[[Sequence[str]], Callable[[Sequence[str]], object]]
Fields = dict[str, object]

NUM_EXAMPLES = 3  # of a group of faults
EXCERPT = 40  # characters of a ticket, by which a person finds it
# By these parameters two faults of a type are told apart; any other (a number, a reason) differs from row to row.
APART = ("word", "expected", "found", "encoding")
_ROW = re.compile(r"row \d+")  # the place in a sheet or a parquet file
_PLACE = re.compile(r"(line|row) (\d+)")  # at the start of an example


class RawRow(msgspec.Struct, frozen=True):
    """One row as it came: its JSON, where it stands in the body, its line if it has one, and why it is no row."""

    raw: bytes | msgspec.Raw
    pointer: str = ""
    line: int | None = None
    fault: Fault | None = None


class Record(msgspec.Struct):
    """One row of an export, before it is known which of its fields is the category.

    Attributes:
        fields: column name -> cell; of JSON, the object's members as they are.
        line: where it begins in the file, counted from 1; None where a file has no lines (an array, parquet).
        pointer: where it stands in a JSON document, or "row 5" of a sheet or a parquet file.
        raw: its JSON, if it is JSON.
        fault: why it cannot be read; the fields are then empty.
    """

    fields: Fields
    line: int | None = None
    pointer: str = ""
    raw: bytes | msgspec.Raw | None = None
    fault: Fault | None = None

    @property
    def place(self) -> str:
        """Where it stands, as a person looks for it."""
        return f"line {self.line}" if self.line is not None else self.pointer


class FaultyCell(Exception):
    """A cell of a table does not hold what its column should."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.message = Message(fault.type, fault.parameters)


class FaultGroup(msgspec.Struct, omit_defaults=True):
    """Faults of one kind in one field.

    Attributes:
        detail: what is wrong, as the first of them says it.
        num_tickets: rows that have it.
        examples: the first three, each with its place and its first words.
        remedy: the option that helps.
        option: its name, such as "skip-faulty"; "" if none helps.
        type: of the problem; see `Fault`.
        parameters: of the first of them.
        field: that it is about; "" if it is about the whole row.
    """

    detail: str
    num_tickets: int
    examples: list[str]
    remedy: str = ""
    option: str = ""
    type: str = ""
    parameters: dict[str, Value] = {}
    field: str = ""

    def shown(self, language: Language = DEFAULT) -> str:
        """Return how many rows have it, what is wrong, three examples, and below it the option that helps."""
        detail = _in_field(self.field, Message(self.type, self.parameters).detail(language), language)
        examples = [_PLACE.sub(lambda place: phrase(place[1], language, number=place[2]), one, count=1)
                    for one in self.examples]  # fmt: skip
        more = ["..."] if self.num_tickets > len(examples) else []
        shown = phrase("example", language).join([*examples, *more])
        text = phrase("examples", language, text=detail, examples=shown)
        remedy = f"\n    {phrase(self.option, language)}" if self.option else ""
        return phrase("group", language, count=self.num_tickets, text=text) + remedy

    def __str__(self) -> str:
        return self.shown()


class FaultyRows(InvalidInput):
    """Rows of a file do not fit; `groups` says why, the most frequent reason first."""

    groups: list[FaultGroup]  # set by `FaultLog.error`, which alone makes one


class FaultLog:
    """Collects the faults of a file: a count and three examples of each kind, and the first 20 as they are."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.num_faults = 0
        self.num_rows = 0
        self.groups: dict[tuple[object, ...], FaultGroup] = {}
        self._listed: list[tuple[str, str, str, str]] | None = None

    def keep_all(self) -> None:
        """Keep every fault from now on, for `write`."""
        self._listed = []

    def add(self, found: Sequence[Fault], place: str, words: str = "", option: str = "") -> None:
        """Take the faults of one row.

        Args:
            found: at least one.
            place: of the row.
            words: the first ones of its ticket.
            option: that helps, such as "skip-faulty".
        """
        self.num_rows += 1
        example = f"{place} {excerpt(words)!r}" if words else place
        for key, fault in {kind_of(fault): fault for fault in reversed(found)}.items():
            group = self.groups.get(key)
            if group is None:
                field, remedy = field_of(fault), phrase(option, DEFAULT) if option else ""
                detail = _in_field(field, fault.detail, DEFAULT)
                group = self.groups[key] = FaultGroup(
                    detail, 0, [], remedy, option, fault.type, fault.parameters, field
                )
            group.num_tickets += 1
            if len(group.examples) < NUM_EXAMPLES:
                group.examples.append(example)
        for fault in found:
            self.num_faults += 1
            if len(self.first) < MAX_FAULTS_SHOWN:
                self.first.append(fault)
            if self._listed is not None:
                self._listed.append((place, fault.pointer, fault.detail, words))

    def sorted(self) -> list[FaultGroup]:
        """Return the groups, the most frequent first."""
        return sorted(self.groups.values(), key=lambda group: -group.num_tickets)

    def error(self, file: str) -> FaultyRows:
        """Return the refusal of a file."""
        error = FaultyRows(
            "faulty-rows", self.first, self.num_faults, file=file, num_rows=self.num_rows, num_faults=self.num_faults
        )
        error.groups = self.sorted()
        return error

    def write(self, path: Path) -> None:
        """Write every fault as CSV, one a line; the mark at the start makes Excel read UTF-8.

        Raises:
            InvalidInput: the file cannot be written.
        """
        assert self._listed is not None, "keep_all was not called; this is a bug in Puppet"
        try:
            with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("place", "field", "fault", "ticket"))
                writer.writerows(self._listed)
        except OSError as error:
            raise InvalidInput("file-cannot-be-written", file=path, reason=error.strerror or error) from error


def kind_of(fault: Fault) -> tuple[object, ...]:
    """Return what equal faults share: field, type of problem, and the parameters that make a difference."""
    return field_of(fault), fault.type, *(str(fault.parameters.get(name)) for name in APART)


def _in_field(field: str, detail: str, language: Language) -> str:
    return phrase("field", language, name=field, text=detail) if field else detail


def field_of(fault: Fault) -> str:
    """Return the field that a fault is about, without the places before and in it.

    >>> [field_of(Fault(pointer, "")) for pointer in ("/tickets/17/tokens/3", "/tokens/3", "row 5/text", "")]
    ['tokens', 'tokens', 'text', '']
    """
    parts = [part for part in fault.pointer.split("/") if part and part not in BODIES and not _ROW.fullmatch(part)]
    inside = itertools.dropwhile(lambda part: not part.isdigit(), parts)  # a list that wraps the rows is no field
    return next((part for part in (*inside, *parts) if not part.isdigit()), "")


BODIES = ("training_data", "test_data")


def excerpt(words: str) -> str:
    """Return the first words of a ticket, on one line."""
    line = " ".join(words[: 4 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[:EXCERPT]}..."


def decode_rows(
    raw_rows: Iterable[RawRow], what: str, row_type: type[R], read: Callable[[R], C]
) -> tuple[list[R], list[C]]:
    """Return the rows, checked one by one, and what `read` makes of each.

    Args:
        raw_rows: of a posted body, of a folder of e-mails, or from `forms.read_file`.
        what: how the message calls them.
        row_type: the data Struct of the model's kind.
        read: returns a row's content as the trainer wants it, or raises InvalidContent.

    Raises:
        InvalidInput: with the first 20 faults and the number of all.
        NoTrainingData: there is no row.
    """
    faults = FaultLog()
    rows, contents = [], []
    for raw_row, row, found in _checked(raw_rows, row_type):
        if row is not None:
            try:
                contents.append(read(row))
                rows.append(row)
            except InvalidContent as error:
                found = [Fault.of_error(f"{raw_row.pointer}/{row.content_field}", error, raw_row.line)]
        if found:
            faults.add(found, f"line {raw_row.line}" if raw_row.line is not None else raw_row.pointer)
    if faults.num_faults:
        raise does_not_fit(what, faults.first, faults.num_faults)
    if not rows:
        raise NoTrainingData("no-training-data")
    return rows, contents


def _checked(raw_rows: Iterable[RawRow], row_type: type[R]) -> Iterator[tuple[RawRow, R | None, list[Fault]]]:
    """Yield each row decoded, or with its faults."""
    decoder = msgspec.json.Decoder(row_type)
    for raw_row in raw_rows:
        if raw_row.fault:
            yield raw_row, None, [msgspec.structs.replace(raw_row.fault, line=raw_row.line)]
            continue
        try:
            yield raw_row, decoder.decode(raw_row.raw), []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = find_faults(raw_row.raw, row_type, raw_row.pointer)
            yield raw_row, None, [msgspec.structs.replace(fault, line=raw_row.line) for fault in found]
