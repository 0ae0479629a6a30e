"""From tokens to ids.

A known token's id is its row in the model's table. The u-th unknown token of a ticket gets the id V + u (V rows in the
table) and brings its character n-grams along, so that the model can build a vector for it. One pass over a dict, no
text handling for a word that is known.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import cast

import msgspec

from artifacts.errors import ArtifactRefused, EmptyTicket
from artifacts.text.tokens import NEWEST, Rules, is_code, mask, ngrams, normalise, split

PAD, UNK = 0, 1  # reserved rows: padding (all zero), and "a word that the vocabulary does not hold"
RESERVED = ("<PAD>", "<UNK>")
# Distinct tickets that must hold a short number before it has a row: five people do not write of one person's number,
# and what fewer write teaches little.
MIN_CODE_TICKETS = 5


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A ticket as the model reads it.

    Attributes:
        ids: 1..512 numbers; below V a row of the table, V + u the u-th entry of `unknown`.
        unknown: the distinct unknown tokens in order of appearance, normalised.
        grams: for each of them 1..24 rows of the n-gram table.
        num_truncated: tokens past the limit, and tokens cut at 256 characters.
    """

    ids: list[int]
    unknown: list[str]
    grams: list[list[int]]
    num_truncated: int

    def unknown_share(self, num_words: int) -> float:
        """Return the share of its tokens that are unknown, where V words are known."""
        return sum(number >= num_words for number in self.ids) / len(self.ids)


class Vocabulary:
    """The rows of the known tokens; encodes tickets. Read-only, so it may be shared between threads."""

    def __init__(self, rows: Mapping[str, int], num_buckets: int, rules: Rules = NEWEST) -> None:
        """Take `rows`, the size of the n-gram hash table and the rules that made the rows' words.

        Args:
            rows: token -> row, without gaps; a later token of a row is a placeholder that is read as the first.
            num_buckets: of the table.
            rules: by which every ticket is read; those of a training, unless a version says others.

        Raises:
            ArtifactRefused: the rows have a gap, lack the reserved ones, or two words have one row.
        """
        self.rows = dict(rows)
        self.num_buckets = num_buckets
        # The rules stay with the rows: read by others, "12,50" would be a word that this table does not hold.
        self.rules = rules
        # A word's n-grams; what serves may put a quicker function in its place (networks/engines/fused.py).
        self.ngrams: Callable[[str], list[int]] = functools.partial(ngrams, num_buckets=num_buckets, rules=rules)
        # A row that no word has would be a weight that nothing can reach, so the file is another model's.
        found = set(self.rows.values())
        self.num_rows = len(found)  # V
        if found != set(range(self.num_rows)):
            raise ArtifactRefused("vocabulary-rows-missing")
        if tuple(self.rows.get(token) for token in RESERVED) != (PAD, UNK):
            raise ArtifactRefused("vocabulary-without-reserved-rows", expected=RESERVED)
        # Reversed, so that of a row's tokens the one written first stays: the word itself, before its aliases.
        first = {row: token for token, row in reversed(self.rows.items())}
        for token, row in self.rows.items():
            if token != first[row] and (row <= UNK or not token.startswith("<")):
                # Only placeholders are ever made one on purpose (`aliases`); two plain words on a row are damage.
                raise ArtifactRefused("vocabulary-row-twice", row=row)
        self.words = [first[row] for row in range(self.num_rows)]

    def __len__(self) -> int:
        return self.num_rows

    def encode(self, content: Sequence[str] | str) -> Encoded:
        """Return a ticket's ids; `content` is its tokens, taken as they are, or its raw text.

        A blank token carries nothing and is left out.

        Raises:
            EmptyTicket: no token is left.
            InvalidText: an unknown token, or the text, holds a NUL character or half of a surrogate pair.
        """
        rules = self.rules
        tokens = split(content, rules) if isinstance(content, str) else content
        num_truncated = max(0, len(tokens) - rules.max_tokens)
        # Vocabulary entries are their own normal form, so a hit needs no normalising.
        ids = list(map(self.rows.get, tokens[: rules.max_tokens]))
        if ids and all(ids):  # as most tickets are
            return Encoded(cast(list[int], ids), [], [], num_truncated)
        unknown: dict[str, int] = {}
        # Only where there is no row, or PAD's, which no ticket may hold: it says where a ticket ends.
        for place in [place for place, row in enumerate(ids) if not row]:
            token = tokens[place]
            num_truncated += len(token) > rules.max_token_characters
            # Normalised only now: most tokens are known as they are spelt, and were found without this work.
            ids[place] = self._row_of(normalise(token, rules), unknown)
        rows = [row for row in ids if row is not None]
        if not rows:
            raise EmptyTicket("empty-ticket")
        # One list for each distinct unknown word, however often it stands there: its vector is built once.
        grams = [self.ngrams(token) for token in unknown]
        return Encoded(rows, list(unknown), grams, num_truncated)

    def _row_of(self, spelling: str, unknown: dict[str, int]) -> int | None:
        """Return the id of a normalised token, which is noted if it is unknown; None of a blank one."""
        if not spelling:
            return None
        row = self.rows.get(spelling)
        if row is None and spelling.startswith("<#"):
            # A short number without a row is read as its shape, and nobody gets to see its digits.
            spelling = mask(spelling, self.rules)
            row = self.rows.get(spelling)
        if row is None:
            row = self.num_rows + unknown.setdefault(spelling, len(unknown))
        return row or UNK


def build_rows(
    tickets: Iterable[Sequence[str]], min_count: int, max_size: int, is_forbidden: Callable[[str], bool] | None = None
) -> dict[str, int]:
    """Return token -> row for the tokens that stand in at least `min_count` tickets, most frequent first.

    Counting tickets and not occurrences keeps out a name that one ticket repeats. Ties go by spelling, so the same
    tickets in any order give the same rows. A short number needs `MIN_CODE_TICKETS` distinct tickets besides; in fewer
    it counts as its shape.

    Args:
        tickets: normalised tokens of each training ticket.
        min_count: 1 keeps every word; 2 keeps out what a single ticket says.
        max_size: rows at most, the reserved ones not counted.
        is_forbidden: says of a word whether it gets no row, however frequent; None: none is.
    """
    # The placeholders of this file would take a row twice, so a ticket that holds "<UNK>" does not bring it in again.
    tickets = list(tickets)
    codes = frequent_codes(tickets)
    counts = Counter(token for tokens in tickets for token in set(masked(tokens, codes)))
    kept = sorted((-count, token) for token, count in counts.items() if count >= min_count and token not in RESERVED)
    if is_forbidden is not None:
        kept = [one for one in kept if not is_forbidden(one[1])]
    return {token: row for row, token in enumerate((*RESERVED, *(token for _, token in kept[:max_size])))}


def frequent_codes(tickets: Iterable[Sequence[str]]) -> frozenset[str]:
    """Return the short numbers that stand in five distinct tickets or more, as tokens.

    >>> sorted(frequent_codes([["erreur", "<#401>", word] for word in "abcde"] + [["erreur", "<#503>"]] * 5))
    ['<#401>']
    """
    # Distinct ones: a ticket that was exported five times is one person's.
    holders: dict[str, set[tuple[str, ...]]] = {}
    for tokens in tickets:
        for token in tokens:
            if token.startswith("<#") and is_code(token):
                holders.setdefault(token, set()).add(tuple(tokens))
    return frozenset(token for token, held in holders.items() if len(held) >= MIN_CODE_TICKETS)


def masked(tokens: Sequence[str], codes: AbstractSet[str]) -> list[str]:
    """Return the tokens of a ticket with each short number that is none of `codes` as its shape.

    >>> masked(["erreur", "<#401>", "<#12>"], {"<#401>"})
    ['erreur', '<#401>', '<NUM>']
    """
    return [mask(token) if token.startswith("<#") and token not in codes else token for token in tokens]
