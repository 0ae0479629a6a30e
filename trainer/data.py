"""From a file of labelled tickets to checked rows, and from rows to a training and a validation split.

In: JSONL, the seeds' JSON body, a JSON array, CSV or TSV. Out: normalised tickets, or every fault at once. Nothing here
imports torch, so that a wrong file is refused in a moment.

Decisions, each with a test:
- A row that does not fit, an empty ticket among them, refuses the whole file: a silent skip would train on other data
  than the desk believes. Every such row is counted and the first 20 are shown.
- One category only is refused: there is nothing to tell apart.
- A category with one or two tickets is kept and trained on, none of it goes to validation, and the report says so.
- The same ticket twice is kept (how often a text comes is information) and lands on one side of the split as a whole,
  because a copy in validation would be recognised, not understood. So does a ticket under two categories: desks do
  disagree, and the loss finds the middle. It counts for both, and takes neither category's last ticket from training.
"""

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from artifacts.errors import EmptyTicket, Fault, InvalidInput, InvalidText, NoTrainingData
from artifacts.kinds import Ticket
from artifacts.manifest import Data
from artifacts.text import normalise, tokenize
from artifacts.validation import MAX_FAULTS_SHOWN, find_faults, summary

CATEGORY_FIELDS = ("category", "label")
CONTENT_FIELDS = ("tokens", "text", "email_text")
MIN_FOR_VALIDATION = 3  # distinct tickets that a category needs before one is kept out of training


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


class Rows(msgspec.Struct, frozen=True):
    """Checked tickets, with what was noticed in them.

    Attributes:
        tickets: as they were given.
        tokens: of each, normalised.
        num_duplicates: tickets that repeat an earlier one, category included.
        num_conflicts: distinct tickets that stand under more than one category.
    """

    tickets: list[Ticket]
    tokens: list[list[str]]
    num_duplicates: int
    num_conflicts: int

    @property
    def categories(self) -> Counter[str]:
        """Tickets per category."""
        return Counter(ticket.expected for ticket in self.tickets)

    @property
    def distinct(self) -> Counter[str]:
        """Distinct tickets per category."""
        pairs = {(ticket.expected, *tokens) for ticket, tokens in zip(self.tickets, self.tokens, strict=True)}
        return Counter(category for category, *_ in pairs)


def read_file(path: Path) -> list[RawRow]:
    """Return the raw rows of a data file; the content says which format it is, but for CSV and TSV.

    Raises:
        InvalidInput: the file cannot be read, is not UTF-8, or its table has no usable header.
    """
    try:
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}; expected a JSONL, JSON, CSV or TSV file") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        try:
            return list(_read_table(raw.decode("utf-8"), path))
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


def _read_table(text: str, path: Path) -> Iterator[RawRow]:
    """Yield the rows of a table whose first line names its columns, separated by comma, semicolon or tab."""
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        category = [name for name in columns if name in CATEGORY_FIELDS]
        content = [name for name in columns if name in CONTENT_FIELDS]
        if len(category) != 1 or len(content) != 1:
            raise InvalidInput(
                f"{path}: the first line names the columns {', '.join(columns) or '(none)'}; expected exactly one of "
                f"{', '.join(CATEGORY_FIELDS)} and exactly one of {', '.join(CONTENT_FIELDS)}"
            )
        for cells in reader:
            if cells:  # a blank line has none
                # The reader counts the lines it has read: a text of several lines between quotes began earlier.
                line = reader.line_num - sum(cell.count("\n") for cell in cells)
                yield _table_row(columns, cells, category[0], content[0], line)
    except csv.Error as error:
        raise InvalidInput(f"{path} is not a readable table: line {reader.line_num}: {error}") from error


def _table_row(columns: list[str], cells: list[str], category: str, content: str, line: int) -> RawRow:
    """Return one row of a table as the JSON that it stands for."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        # Without quotes the rest of a text after its first comma would be lost in silence.
        fault = Fault(
            "", f"has {len(cells)} columns, the first line names {len(columns)}; put double quotes round a text"
        )
        return RawRow(b"", line=line, fault=fault)
    row = dict(zip(columns, cells, strict=False))
    value: object = row.get(content, "")
    if content == "tokens" and isinstance(value, str):
        # A JSON array can hold "mot de passe"; plain words are separated by spaces.
        try:
            is_array = value.lstrip().startswith("[")
            value = msgspec.json.decode(value, type=list[msgspec.Raw]) if is_array else value.split()
        except (msgspec.DecodeError, RecursionError) as error:
            fault = Fault("/tokens", f'begins with "[" but is not a JSON array: {error}')
            return RawRow(b"", line=line, fault=fault)
    return RawRow(msgspec.json.encode({category: row.get(category, ""), content: value}), line=line)


def check_rows(raw_rows: Iterable[RawRow], what: str, row_type: type[Ticket] = Ticket) -> Rows:
    """Return the rows, checked one by one.

    Args:
        raw_rows: from `read_file` or from a posted body.
        what: how the message calls them.
        row_type: the data Struct of the model's kind.

    Raises:
        InvalidInput: with the first 20 faults and the number of all.
        NoTrainingData: there is no row.
    """
    decoder = msgspec.json.Decoder(row_type)
    faults: list[Fault] = []
    num_faults = 0
    tickets, token_lists = [], []
    for row in raw_rows:
        found = [row.fault] if row.fault else []
        if not found:
            try:
                ticket = decoder.decode(row.raw)
                tokens = normalised(ticket)
                tickets.append(ticket)
                token_lists.append(tokens)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = list(find_faults(row.raw, row_type, row.pointer))
            except (EmptyTicket, InvalidText) as error:
                field = next(name for name in CONTENT_FIELDS if getattr(ticket, name) is not None)
                found = [Fault(f"{row.pointer}/{field}", str(error))]
        num_faults += len(found)
        for fault in found[: MAX_FAULTS_SHOWN - len(faults)]:
            faults.append(msgspec.structs.replace(fault, line=row.line))
    if num_faults:
        raise InvalidInput(summary(what, num_faults), faults, num_faults)
    if not tickets:
        raise NoTrainingData("No training data provided or training data is empty")
    categories_of: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for ticket, tokens in zip(tickets, token_lists, strict=True):
        categories_of[tuple(tokens)].add(ticket.expected)
    num_distinct = sum(map(len, categories_of.values()))
    num_conflicts = sum(len(categories) > 1 for categories in categories_of.values())
    return Rows(tickets, token_lists, len(tickets) - num_distinct, num_conflicts)


def normalised(ticket: Ticket) -> list[str]:
    """Return the ticket's tokens in their normalised spelling.

    Raises:
        EmptyTicket: none is left.
        InvalidText: one holds a NUL character.
    """
    content = ticket.content
    tokens = tokenize(content) if isinstance(content, str) else [normalise(token) for token in content]
    tokens = [token for token in tokens if token]
    if not tokens:
        raise EmptyTicket("the ticket is empty: no token that is not blank; remove the row or fill it")
    return tokens


def check_categories(rows: Rows) -> None:
    """Do nothing if there is something to tell apart.

    Raises:
        InvalidInput: all tickets are of one category.
    """
    if len(rows.categories) < 2:
        (only,) = rows.categories
        raise InvalidInput(
            f"all {len(rows.tickets)} tickets are of one category, {only!r}; a classifier needs at least 2: "
            f"add tickets of another category"
        )


def split(rows: Rows, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the row numbers of training and of validation, in order.

    Stratified: of each category's distinct tickets, `share` goes to validation, at least one of three and never all.
    Equal tickets stay together; those under several categories count in the one that stands first, and stay in training
    where one of theirs is small. The same rows and seed give the same split.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, tokens in enumerate(rows.tokens):
        groups.setdefault(tuple(tokens), []).append(row)
    by_category: defaultdict[str, list[list[int]]] = defaultdict(list)
    for group in groups.values():
        by_category[rows.tickets[group[0]].expected].append(group)
    random = np.random.default_rng(seed)
    left = rows.distinct  # in training
    small = {category for category, num_tickets in left.items() if num_tickets < MIN_FOR_VALIDATION}
    validation: list[int] = []
    for category in sorted(by_category.keys() - small):
        members = by_category[category]
        num_wanted = max(1, round(share * len(members)))
        for place in random.permutation(len(members)).tolist():
            theirs = {rows.tickets[row].expected for row in members[place]}
            if num_wanted and not theirs & small and all(left[one] > 1 for one in theirs):
                validation += members[place]
                left.subtract(theirs)
                num_wanted -= 1
    kept_out = set(validation)
    return [row for row in range(len(rows.tickets)) if row not in kept_out], sorted(validation)


def fingerprint(rows: Rows, num_validation: int) -> Data:
    """Return what the manifest says of the training data."""
    digest = hashlib.sha256()
    for ticket, tokens in zip(rows.tickets, rows.tokens, strict=True):
        digest.update(msgspec.json.encode([ticket.expected, tokens]) + b"\n")
    return Data(
        sha256=digest.hexdigest(),
        num_tickets=len(rows.tickets),
        num_train=len(rows.tickets) - num_validation,
        num_validation=num_validation,
        num_categories=len(rows.categories),
        num_duplicates=rows.num_duplicates,
        num_conflicts=rows.num_conflicts,
    )
