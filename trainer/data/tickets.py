"""Stage 5 of reading, and what follows: labelled tickets on their way to a text classifier, checked, counted, split.

In: an export, or the raw rows of a posted body (files.py). Out: normalised tickets, and which train and which validate.

Decisions, each with a test:
- A ticket without a token (".......") is no fault of a file: nobody can learn from it, so a training leaves it out and
  counts it, and in a measurement it counts as an error. In a posted body it is the fault of its row, as ever.
- One category only is refused: there is nothing to tell apart.
- Hundreds of categories of one ticket each are refused: a ticket number or a title was taken for the category.
- A category with one or two tickets is kept and trained on, none of it goes to validation, and the report says so.
- The same ticket twice is kept (how often a text comes is information) and lands on one side of the split as a whole,
  because a copy in validation would be recognised, not understood. So does a ticket under two categories: desks do
  disagree, and the loss finds the middle. It counts for both, and takes neither category's last ticket from training.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from artifacts.errors import EmptyTicket, Fault, InvalidInput, InvalidText, NoTrainingData
from artifacts.networks.gru_records import Data
from artifacts.networks.manifest import Columns
from artifacts.schemas import Row
from artifacts.system.validation import find_faults
from artifacts.text.scripts import run_characters
from artifacts.text.tickets import Ticket, read_tokens
from artifacts.text.tokens import MAX_TOKENS, NEWEST, normalise
from artifacts.text.tokens import split as words_of
from artifacts.text.vocabulary import frequent_codes, masked
from trainer.curation.vectors import Vectors
from trainer.data.columns import (
    AS_FOUND,
    NUM_LABELS,
    Chosen,
    FaultyCategory,
    Reading,
    SeveralLabels,
    Unlabelled,
    category_of,
    choose,
    content_of,
    joined_labels,
    remembered_columns,
    score_names,
    takes_first,
    text_of_cell,
    value_at,
)
from trainer.data.encodings import broken_byte, repaired
from trainer.data.files import FaultGroup, FaultLog, FaultyCell, Fields, RawRow, Record, decode_rows
from trainer.data.forms import Export, open_export

CONTENT_FIELDS = ("tokens", "text", "email_text")
# The options that leave rows out; their words are in artifacts/problems/phrases.toml.
SKIP_UNLABELLED = "skip-unlabelled"
SKIP_FAULTY = "skip-faulty"
FIRST_LABEL = "first-label"
MIN_FOR_VALIDATION = 3  # distinct tickets that a category needs before one is kept out of training
# Of so many categories, most tickets being the only one of theirs is a mistake and no long tail: a support team that
# has 100 categories has tickets of them.
MANY_CATEGORIES = 100
MIN_WORDS = 2  # words of a ticket, masks and signs not counted, below which it says next to nothing
ESCAPED_OR_HALF = re.compile("[\ud800-\udfff]")
_PLACEHOLDER = re.compile(r"<[A-Z0-9#][A-Z0-9_.,:/]*>")
_WORD = re.compile(r"\w")
_DIGITS = re.compile(r"\d+")


class Intake(msgspec.Struct, frozen=True):
    """How an export was read, and what was left out of it.

    Attributes:
        form, encoding: what it was found to be; no encoding of a workbook.
        columns: what was read of it, for the manifest.
        said: all of this in one line.
        num_rows: that it holds.
        num_unlabelled, num_faulty: rows that were left out, without a category and with a fault.
        faults: why.
        num_repaired: tickets that were encoded twice, and are read as they were meant.
    """

    form: str
    encoding: str | None
    columns: Columns
    said: str
    num_rows: int
    num_unlabelled: int
    num_faulty: int
    faults: list[FaultGroup]
    num_repaired: int = 0


class Rows(msgspec.Struct, frozen=True):
    """Checked tickets, with what was noticed in them.

    Attributes:
        tickets: as they were given.
        tokens: of each, normalised; of a short number that stands in few tickets its shape.
        num_duplicates: tickets that repeat an earlier one, category included.
        num_conflicts: distinct tickets that stand under more than one category.
        unlabelled: normalised tokens of further tickets, whose category nobody has said.
        vectors: of words, pretrained elsewhere.
        num_feedback: tickets that are corrections.
        places: where each ticket stands in its file, as a person looks for it ("line 17"), and after them where those
            without a token stand; empty: not known.
        empty: tickets without a token: left out of a training, and errors in a measurement.
        intake: how the file was read; None: a posted body or a folder of e-mails.
    """

    tickets: list[Ticket]
    tokens: list[list[str]]
    num_duplicates: int
    num_conflicts: int
    unlabelled: list[list[str]] = []
    vectors: Vectors | None = None
    num_feedback: int = 0
    places: list[str] = []
    empty: list[Ticket] = []
    intake: Intake | None = None

    @property
    def categories(self) -> Counter[str]:
        """Tickets per category."""
        return Counter(ticket.expected for ticket in self.tickets)

    def place(self, row: int) -> str:
        """Return where a ticket stands, as a person looks for it: its line in the file, or its number in a body."""
        return self.places[row] if row < len(self.places) else f"row {row}"

    @property
    def distinct(self) -> Counter[str]:
        """Distinct tickets per category."""
        pairs = {(ticket.expected, *tokens) for ticket, tokens in zip(self.tickets, self.tokens, strict=True)}
        return Counter(category for category, *_ in pairs)


def read(path: Path, reading: Reading = AS_FOUND, faults_file: Path | None = None) -> Rows:
    """Return the labelled tickets of an export, whatever its form, and what was noticed in them.

    Tickets without a token are kept apart (`Rows.empty`). The places of the tickets are their lines in the file.

    Args:
        path: of a file, `-` for standard input, or a folder of e-mails.
        reading: what the options say.
        faults_file: where every fault is listed, as CSV.

    Raises:
        InvalidInput: it cannot be read, its columns are unclear, or rows of it do not fit and are not to be left out.
        NoTrainingData: it holds no row.
    """
    found = Gathered(reading)
    if faults_file is not None:
        found.faults.keep_all()
    with export_of(path, reading, [reading.category, *reading.text]) as export:
        chosen = choose(export, reading, needs_category=True)
        for record in export.records:
            found.add(record, chosen, export.encoding.codec if export.encoding is not None else "")
        found.settle()
    refused = found.refused()
    if faults_file is not None:
        found.faults.write(faults_file)
    if refused.num_faults:
        raise refused.error(str(path))
    if not found.labels:
        if found.num_read:
            raise InvalidInput("rows-without-tickets", file=path, num_rows=found.num_read)
        raise NoTrainingData("no-training-data")
    rows = noticed(
        [Ticket(label, **ticket) for label, ticket in zip(found.labels, found.contents, strict=True)], found.tokens
    )
    intake = Intake(
        form=export.form,
        encoding=export.encoding.codec if export.encoding is not None else None,
        columns=remembered_columns(reading, chosen),
        said=f"{export.said}; {chosen.said}",
        num_rows=found.num_read,
        num_unlabelled=found.num_unlabelled,
        num_faulty=found.num_faulty,
        faults=found.faults.sorted(),
        num_repaired=found.num_repaired,
    )
    empty = [Ticket(label, **ticket) for label, ticket in found.empty]
    return msgspec.structs.replace(rows, places=found.places + found.empty_places, empty=empty, intake=intake)


def export_of(
    path: Path, reading: Reading, wanted: Sequence[str | None] = (), needs_category: bool = True
) -> AbstractContextManager[Export]:
    """Give an export, read as the options and the last training say; `wanted` are columns that its header names."""
    old = reading.remembered or Columns()
    names = [name for name in wanted if name is not None] or [
        name for name in (old.category, *old.text) if name is not None
    ]
    return open_export(
        path,
        score_names(names),
        encoding=reading.encoding,
        usual_encoding=old.encoding,
        delimiter=reading.delimiter,
        usual_delimiter=old.delimiter,
        has_header=reading.header and old.header,
        max_bytes=reading.max_bytes,
        needs_category=needs_category,
    )


class Gathered:
    """The rows of an export as they are read: what is a ticket, what is left out, and what is wrong."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._merged = set(reading.merge.values())
        self._read = cached_reader()
        self.faults = FaultLog()
        self.labels: list[str] = []
        self.contents: list[dict[str, Any]] = []  # of each, the fields of its Ticket but the category
        self.tokens: list[list[str]] = []
        self.places: list[str] = []
        self.empty: list[tuple[str, dict[str, Any]]] = []
        self.empty_places: list[str] = []
        self.num_read = self.num_unlabelled = self.num_faulty = self.num_repaired = 0
        self._refused = FaultLog()

    def add(self, record: Record, chosen: Chosen, encoding: str) -> None:
        """Take one record: as a ticket, as one without a token, or with its faults."""
        self.num_read += 1
        if record.fault is not None:
            self._faulty([record.fault], record, chosen)
            return
        content: list[str] | str | None = None
        try:
            label = category_of(record.fields, chosen, self._reading)
            content = ""
            written = label, content_of(record.fields, chosen)
            label, content = repaired(label), repaired_content(written[1])
            ticket = {"tokens" if isinstance(content, list) else "text": content, "id": id_of(record.fields, chosen)}
            tokens = self._read(content)
            check_label(label)
        except Unlabelled as missing:
            self.num_unlabelled += 1
            fault = Fault.of_error(f"{record.pointer}/{chosen.category[0]}", missing, record.line)
            self._take([fault], record, chosen, SKIP_UNLABELLED, self._reading.skip_unlabelled)
        except SeveralLabels as error:
            fault = Fault.of_error(f"{record.pointer}/{chosen.category[0]}", error, record.line)
            self._faulty([fault], record, chosen, FIRST_LABEL)
        except (FaultyCategory, FaultyCell) as error:
            columns = chosen.category if content is None else chosen.text
            named = [one for one in columns if value_at(record.fields, one) is not None]
            where = f"/{named[0]}" if len(named) == 1 else ""
            fault = error.fault if isinstance(error, FaultyCell) else Fault.of_error(where, error)
            found = [msgspec.structs.replace(fault, pointer=record.pointer + fault.pointer, line=record.line)]
            # A row of the project's own form: every wrong token of it.
            if isinstance(error, FaultyCell) and chosen.either and record.raw is not None:
                own = find_faults(record.raw, Ticket, record.pointer)
                found = [msgspec.structs.replace(one, line=record.line) for one in own] or found
            self._faulty(found, record, chosen)
        except InvalidText as error:
            words = " ".join(
                text_of_cell(value_at(record.fields, column)) for column in (*chosen.text, *chosen.category)
            )
            reason = broken_byte(words, encoding) or error
            field = chosen.text[0] if len(chosen.text) == 1 or not chosen.either else content_name(record, chosen)
            self._faulty([Fault.of_error(f"{record.pointer}/{field}", reason, record.line)], record, chosen)
        else:
            self.num_repaired += (label, content) != written
            if tokens:
                self.labels.append(label)
                self.contents.append(ticket)
                self.tokens.append(tokens)
                self.places.append(record.place)
            else:
                self.empty.append((label, ticket))
                self.empty_places.append(record.place)

    def settle(self) -> None:
        """Find the categories that are several in one cell, which only all of them together show."""
        joined = joined_labels(Counter(label for label in self.labels if label not in self._merged))
        if not joined:
            return
        kept = []
        for row, label in enumerate(self.labels):
            if label in joined and not takes_first(self._reading):
                categories = joined[label][:NUM_LABELS]
                place = self.places[row]
                line = int(place.removeprefix("line ")) if place.startswith("line ") else None
                words = " ".join(masked(self.tokens[row], frozenset()))
                fault = Fault.of("/category", "several-categories", line, categories=categories)
                self._take_fault([fault], place, words, FIRST_LABEL, self._reading.skip_faulty)
                self.num_faulty += 1
            else:
                kept.append(row)
                self.labels[row] = joined.get(label, [label])[0]
        for column in ("labels", "contents", "tokens", "places"):
            setattr(self, column, [getattr(self, column)[row] for row in kept])

    def refused(self) -> FaultLog:
        """Return the faults that no option leaves out."""
        return self._refused

    def _faulty(self, found: list[Fault], record: Record, chosen: Chosen, option: str = SKIP_FAULTY) -> None:
        self.num_faulty += 1
        self._take(found, record, chosen, option, self._reading.skip_faulty)

    def _take(self, found: list[Fault], record: Record, chosen: Chosen, option: str, is_left_out: bool) -> None:
        words = (
            ""
            if record.fault is not None
            else " ".join(text_of_cell(value_at(record.fields, one)) for one in chosen.text)
        )
        self._take_fault(found, record.place, words, option, is_left_out)

    def _take_fault(self, found: list[Fault], place: str, words: str, option: str, is_left_out: bool) -> None:
        self.faults.add(found, place, words, option)
        if not is_left_out:
            self._refused.add(found, place, words, option)


def cached_reader() -> Callable[[list[str] | str], list[str]]:
    """Return `read_tokens` with a memory: a word of an export comes back a hundred times, and is one object then.

    Of 25 MB of tickets it takes a third of the time, and a quarter of the memory (benchmarks/results, intake).
    """
    spelling: dict[str, str] = {}

    def read(content: list[str] | str) -> list[str]:
        tokens = []
        for word in words_of(content) if isinstance(content, str) else content:
            token = spelling.get(word)
            if token is None:
                token = spelling[word] = normalise(word)
            if token:
                tokens.append(token)
        return tokens

    return read


def repaired_content(content: list[str] | str) -> list[str] | str:
    """Return the content of a ticket as it was meant, if it was encoded twice; see `encodings.repaired`."""
    return repaired(content) if isinstance(content, str) else [repaired(token) for token in content]


def content_name(record: Record, chosen: Chosen) -> str:
    """Return which of the columns a record has its content in."""
    return next(column for column in chosen.text if value_at(record.fields, column) is not None)


def id_of(fields: Fields, chosen: Chosen) -> str | int | None:
    """Return the id of a record, as the support team knows it.

    Raises:
        FaultyCell: it is neither text nor a whole number.
    """
    value = None if chosen.id is None else value_at(fields, chosen.id)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value or None if isinstance(value, str) else value
    raise FaultyCell(Fault.of(f"/{chosen.id}", "no-ticket-id", value=f"{value!r:.40}"))


def check_label(label: str) -> None:
    """Raise InvalidText if a category holds what no text has: NUL, or half of an emoji."""
    if "\0" in label or (not label.isascii() and ESCAPED_OR_HALF.search(label)):
        raise InvalidText("no-character-in-category")


def check_rows(raw_rows: Iterable[RawRow], what: str) -> Rows:
    """Return the rows, checked one by one, and what was noticed in them.

    Args:
        raw_rows: from `read_file` or from a posted body.
        what: how the message calls them.

    Raises:
        InvalidInput: with the first 20 faults and the number of all.
        NoTrainingData: there is no row.
    """
    kept = list(raw_rows)
    rows = noticed(*decode_rows(kept, what, Ticket, normalised))
    places = [f"line {row.line}" if row.line is not None else row.pointer for row in kept]
    return msgspec.structs.replace(rows, places=places)


def noticed(tickets: list[Ticket], token_lists: list[list[str]]) -> Rows:
    """Return checked tickets as a model reads them, with what is noticed in them.

    Args:
        tickets: as they were given.
        token_lists: of each, from `read_tokens`, in which every short number still has its digits.
    """
    num_duplicates = num_conflicts = 0
    for group in alike(tickets, token_lists):
        categories = {tickets[row].expected for row in group}
        num_duplicates += len(group) - len(categories)
        num_conflicts += len(categories) > 1
    # From here on nobody sees a number that few tickets hold, as no vocabulary will.
    codes = frequent_codes(token_lists)
    return Rows(tickets, [masked(tokens, codes) for tokens in token_lists], num_duplicates, num_conflicts)


def alike(tickets: Sequence[Ticket], token_lists: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the row numbers of equal tickets, group by group, without those that have no equal.

    Equal is what has the same tokens and the same numbers: "error 404" and "error 500" are two tickets, also where the
    model reads a mask in place of either. Nobody could decide which of their two categories is right.
    """
    read: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, tokens in enumerate(token_lists):
        read[tuple(tokens)].append(row)
    found: list[list[int]] = []
    for tokens, rows in read.items():
        if len(rows) == 1:
            continue
        told_apart: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for row in rows:
            content = tickets[row].content
            has_numbers = isinstance(content, str) and any(token[0] == "<" for token in tokens)
            numbers = _DIGITS.findall(NEWEST.plain(content)) if has_numbers and isinstance(content, str) else ()
            told_apart[tuple(numbers)].append(row)
        found += [group for group in told_apart.values() if len(group) > 1]
    return found


def corrected(rows: Rows | None, corrections: Rows) -> Rows:
    """Return the rows and the corrections as one set, in which the latest word of a person counts.

    A row of the same ticket as a correction gives way to it, whatever its category. Of corrections of the same ticket,
    those that the latest one contradicts give way.

    Args:
        rows: checked; None if there are none but the corrections.
        corrections: checked, in the order in which they came.
    """
    # Read once more: which short numbers are frequent is for all of the tickets together to say.
    said = [(ticket, read_tokens(ticket.content)) for ticket in corrections.tickets]
    latest = {tuple(tokens): ticket.expected for ticket, tokens in said}
    pairs = [(ticket, read_tokens(ticket.content)) for ticket in rows.tickets] if rows is not None else []
    kept = [(ticket, tokens) for ticket, tokens in pairs if tuple(tokens) not in latest]
    added = [(ticket, tokens) for ticket, tokens in said if latest[tuple(tokens)] == ticket.expected]
    found = noticed([ticket for ticket, _ in kept + added], [tokens for _, tokens in kept + added])
    found = msgspec.structs.replace(found, num_feedback=len(added))
    return found if rows is None else msgspec.structs.replace(found, intake=rows.intake, empty=rows.empty)


def recategorised(rows: Rows, categories: Mapping[str, str | None]) -> Rows:
    """Return rows of a file with other categories, as a person has put them right.

    Args:
        rows: with their places.
        categories: place -> the category that its row is to have; None leaves the row out.
    Raises:
        InvalidInput: no row stands at one of these places, or no row is left.
    """
    found = {place: row for row, place in enumerate(rows.places[: len(rows.tickets)])}
    if unknown := [place for place in categories if place not in found]:
        raise InvalidInput("row-correction-of-no-row", place=unknown[0], count=len(unknown))
    tickets: list[Ticket] = []
    places: list[str] = []
    for ticket, place in zip(rows.tickets, rows.places, strict=False):
        category = categories.get(place, ticket.expected)
        if category is not None:
            content = {"tokens": ticket.tokens, "text": ticket.text, "email_text": ticket.email_text}
            tickets.append(Ticket(category, id=ticket.id, **content))  # type: ignore[arg-type]  # its own fields
            places.append(place)
    if not tickets:
        raise NoTrainingData("no-training-data")
    # Read once more: what is a duplicate, and which short numbers are frequent, is for all of them together to say.
    again = noticed(tickets, [read_tokens(ticket.content) for ticket in tickets])
    places += rows.places[len(rows.tickets) :]
    return msgspec.structs.replace(again, places=places, empty=rows.empty, intake=rows.intake)


def normalised(ticket: Row) -> list[str]:
    """Return the ticket's tokens in their normalised spelling.

    Raises:
        EmptyTicket: none is left.
        InvalidText: one holds a NUL character.
    """
    tokens = read_tokens(ticket.content)
    if not tokens:
        raise EmptyTicket("empty-ticket")
    return tokens


def text_of(ticket: Ticket) -> str:
    """Return a ticket as a person reads it."""
    return ticket.content if isinstance(ticket.content, str) else " ".join(ticket.content)


def check_categories(rows: Rows) -> None:
    """Raise InvalidInput if there is nothing to learn.

    Raises:
        InvalidInput: all tickets are of one category, or nearly each has a category of its own.
    """
    check_several(rows)
    if refusal := about_single_tickets(rows):
        raise refusal


def check_several(rows: Rows) -> None:
    """Raise InvalidInput if all tickets are of one category: there is nothing to tell apart."""
    if len(rows.categories) < 2:
        (only,) = rows.categories
        raise InvalidInput("single-category", num_tickets=len(rows.tickets), category=only)


def about_single_tickets(rows: Rows) -> InvalidInput | None:
    """Return the refusal if nearly each ticket has a category of its own; else None."""
    single = single_ticket_categories(rows)
    if not single:
        return None
    return InvalidInput("categories-of-one-ticket", num_single=len(single), num_categories=len(rows.categories))


def single_ticket_categories(rows: Rows) -> list[str]:
    """Return the categories of one distinct ticket, if there are so many of them that nothing can be learnt; else none.

    That is: over 100 categories, and at least half of the distinct tickets are the only one of theirs. A set of many
    tickets may have a long tail of such categories, and is trained.
    """
    distinct = rows.distinct
    single = sorted(category for category, count in distinct.items() if count == 1)
    return single if len(distinct) > MANY_CATEGORIES and 2 * len(single) >= distinct.total() else []


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


def cut(rows: Rows, num_folds: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Return for each fold the row numbers of training and of validation, in order.

    Each ticket is in the validation of one fold, but for those of categories with one or two distinct tickets and for
    equal ones under several categories, which are in none. Stratified; equal tickets stay together. The same rows and
    seed give the same folds.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, tokens in enumerate(rows.tokens):
        groups.setdefault(tuple(tokens), []).append(row)
    small = {category for category, num_tickets in rows.distinct.items() if num_tickets < MIN_FOR_VALIDATION}
    by_category: defaultdict[str, list[list[int]]] = defaultdict(list)
    for group in groups.values():
        theirs = {rows.tickets[row].expected for row in group}
        if len(theirs) == 1 and not theirs & small:
            by_category[theirs.pop()].append(group)
    random = np.random.default_rng(seed)
    fold_of: dict[int, int] = {}
    for category in sorted(by_category):
        members = by_category[category]
        first = int(random.integers(num_folds))  # or every small category's odd ticket would be in the first fold
        for place, member in enumerate(random.permutation(len(members)).tolist()):
            fold_of |= dict.fromkeys(members[member], (first + place) % num_folds)
    kept_out = [[row for row in range(len(rows.tickets)) if fold_of.get(row) == fold] for fold in range(num_folds)]
    taught = [[row for row in range(len(rows.tickets)) if fold_of.get(row) != fold] for fold in range(num_folds)]
    return list(zip(taught, kept_out, strict=True))


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


def near_empty_rows(rows: Rows) -> list[int]:
    """Return the tickets of fewer than two words; masks such as `<NAME>` and signs are no words.

    A token with spaces ("mot de passe") is as many words as it has, and one of a script without blanks (Chinese, Thai)
    as many as it has characters.
    """

    def num_words(tokens: Sequence[str]) -> int:
        return sum(
            run_characters(word) or (bool(_WORD.search(word)) and not _PLACEHOLDER.fullmatch(word))
            for token in tokens
            for word in token.split()
        )

    return [row for row, tokens in enumerate(rows.tokens) if num_words(tokens) < MIN_WORDS]


def cut_short(rows: Rows) -> tuple[int, int]:
    """Return how many tickets have more tokens than are read, and how many of those look the same up to there.

    The second counts each whose first 512 tokens are also those of another, longer or different ticket: a model can
    give all of them but one answer.
    """
    same_start: defaultdict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for tokens in rows.tokens:
        if len(tokens) > MAX_TOKENS:
            same_start[tuple(tokens[:MAX_TOKENS])].append(tuple(tokens))
    num_alike = sum(len(found) for found in same_start.values() if len(set(found)) > 1)
    return sum(map(len, same_start.values())), num_alike
