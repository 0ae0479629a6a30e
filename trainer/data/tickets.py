"""Labelled tickets on their way to a text classifier: checked, counted, split.

In: raw rows (files.py). Out: normalised tickets, and which of them train and which validate.

Decisions, each with a test:
- An empty ticket is a fault of its row.
- One category only is refused: there is nothing to tell apart.
- A category with one or two tickets is kept and trained on, none of it goes to validation, and the report says so.
- The same ticket twice is kept (how often a text comes is information) and lands on one side of the split as a whole,
  because a copy in validation would be recognised, not understood. So does a ticket under two categories: desks do
  disagree, and the loss finds the middle. It counts for both, and takes neither category's last ticket from training.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from artifacts.errors import EmptyTicket, Fault, InvalidInput
from artifacts.networks.gru_records import Data
from artifacts.schemas import Row
from artifacts.text.tickets import Ticket, read_tokens
from trainer.data.files import FaultyCell, RawRow, decode_rows
from trainer.data.vectors import Vectors

CATEGORY_FIELDS = ("category", "label")
CONTENT_FIELDS = ("tokens", "text", "email_text")
MIN_FOR_VALIDATION = 3  # distinct tickets that a category needs before one is kept out of training
MIN_WORDS = 2  # words of a ticket, masks and signs not counted, below which it says next to nothing
_PLACEHOLDER = re.compile(r"<[A-Z0-9][A-Z0-9_.,:/]*>")
_WORD = re.compile(r"\w")


class Rows(msgspec.Struct, frozen=True):
    """Checked tickets, with what was noticed in them.

    Attributes:
        tickets: as they were given.
        tokens: of each, normalised.
        num_duplicates: tickets that repeat an earlier one, category included.
        num_conflicts: distinct tickets that stand under more than one category.
        unlabelled: normalised tokens of further tickets, whose category nobody has said.
        vectors: of words, pretrained elsewhere.
        num_feedback: tickets that are corrections.
    """

    tickets: list[Ticket]
    tokens: list[list[str]]
    num_duplicates: int
    num_conflicts: int
    unlabelled: list[list[str]] = []
    vectors: Vectors | None = None
    num_feedback: int = 0

    @property
    def categories(self) -> Counter[str]:
        """Tickets per category."""
        return Counter(ticket.expected for ticket in self.tickets)

    @property
    def distinct(self) -> Counter[str]:
        """Distinct tickets per category."""
        pairs = {(ticket.expected, *tokens) for ticket, tokens in zip(self.tickets, self.tokens, strict=True)}
        return Counter(category for category, *_ in pairs)


def table(columns: Sequence[str]) -> Callable[[Sequence[str]], object]:
    """Return what reads a row of a table with these columns; see `data.TableReader`.

    Raises:
        InvalidInput: there is not one column of categories and one of tickets.
    """
    names = [name.lower() for name in columns]
    category = [name for name in names if name in CATEGORY_FIELDS]
    content = [name for name in names if name in CONTENT_FIELDS]
    if len(category) != 1 or len(content) != 1:
        raise InvalidInput(
            f"expected exactly one of {', '.join(CATEGORY_FIELDS)} and exactly one of {', '.join(CONTENT_FIELDS)}"
        )

    return lambda cells: cells_of(names, category + content, cells)


def cells_of(names: Sequence[str], wanted: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    """Return the wanted cells of a row of a table, under their names.

    Raises:
        FaultyCell: tokens look like a JSON array and are none.
    """
    row = dict(zip(names, cells, strict=True))
    found: dict[str, object] = {name: row[name] for name in wanted}
    if (tokens := row.get("tokens")) is not None and "tokens" in found:
        # A JSON array can hold "mot de passe"; plain words are separated by spaces.
        try:
            is_array = tokens.lstrip().startswith("[")
            found["tokens"] = msgspec.json.decode(tokens, type=list[msgspec.Raw]) if is_array else tokens.split()
        except (msgspec.DecodeError, RecursionError) as error:
            detail = f'begins with "[" but is not a JSON array: {error}'
            raise FaultyCell(Fault("/tokens", detail)) from error
    return found


def check_rows(raw_rows: Iterable[RawRow], what: str) -> Rows:
    """Return the rows, checked one by one, and what was noticed in them.

    Args:
        raw_rows: from `read_file` or from a posted body.
        what: how the message calls them.

    Raises:
        InvalidInput: with the first 20 faults and the number of all.
        NoTrainingData: there is no row.
    """
    return noticed(*decode_rows(raw_rows, what, Ticket, normalised))


def noticed(tickets: list[Ticket], token_lists: list[list[str]]) -> Rows:
    """Return checked tickets with what is noticed in them."""
    categories_of: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for ticket, tokens in zip(tickets, token_lists, strict=True):
        categories_of[tuple(tokens)].add(ticket.expected)
    num_distinct = sum(map(len, categories_of.values()))
    num_conflicts = sum(len(categories) > 1 for categories in categories_of.values())
    return Rows(tickets, token_lists, len(tickets) - num_distinct, num_conflicts)


def corrected(rows: Rows | None, corrections: Rows) -> Rows:
    """Return the rows and the corrections as one set, in which the latest word of a person counts.

    A row of the same ticket as a correction gives way to it, whatever its category. Of corrections of the same ticket,
    those that the latest one contradicts give way.

    Args:
        rows: checked; None if there are none but the corrections.
        corrections: checked, in the order in which they came.
    """
    said = list(zip(corrections.tickets, corrections.tokens, strict=True))
    latest = {tuple(tokens): ticket.expected for ticket, tokens in said}
    pairs = list(zip(rows.tickets, rows.tokens, strict=True)) if rows is not None else []
    kept = [(ticket, tokens) for ticket, tokens in pairs if tuple(tokens) not in latest]
    added = [(ticket, tokens) for ticket, tokens in said if latest[tuple(tokens)] == ticket.expected]
    found = noticed([ticket for ticket, _ in kept + added], [tokens for _, tokens in kept + added])
    return msgspec.structs.replace(found, num_feedback=len(added))


def normalised(ticket: Row) -> list[str]:
    """Return the ticket's tokens in their normalised spelling.

    Raises:
        EmptyTicket: none is left.
        InvalidText: one holds a NUL character.
    """
    tokens = read_tokens(ticket.content)
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

    A token with spaces ("mot de passe") is as many words as it has.
    """

    def num_words(tokens: Sequence[str]) -> int:
        return sum(
            bool(_WORD.search(word)) and not _PLACEHOLDER.fullmatch(word) for token in tokens for word in token.split()
        )

    return [row for row, tokens in enumerate(rows.tokens) if num_words(tokens) < MIN_WORDS]
