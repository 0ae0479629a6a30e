"""Placeholders that mean the same: which are read as which, in training and afterwards.

In: the setting `aliases`. Out: tickets in which only one of them is left, and a vocabulary in which the others have its
row. A search then finds the row as that of any word: it costs nothing, and the graph knows nothing of it.
"""

from collections.abc import Mapping

import msgspec

from artifacts.errors import InvalidInput
from artifacts.text.tokens import mask
from artifacts.text.vocabulary import RESERVED
from trainer.data.tickets import Rows


def read_aliases(setting: str) -> dict[str, str]:
    """Return alias -> the placeholder that it is read as.

    >>> read_aliases("<ENTREPRISE>=<COMPANY>, <SOCIETE>=<COMPANY>")
    {'<ENTREPRISE>': '<COMPANY>', '<SOCIETE>': '<COMPANY>'}

    Args:
        setting: of the pattern that TrainConfig demands.

    Raises:
        InvalidInput: a placeholder stands on the left twice or on both sides, or is reserved.
    """
    pairs = [(alias, kept) for alias, _, kept in (word.strip().partition("=") for word in setting.split(",") if word)]
    aliases = dict(pairs)
    wrong = {alias for alias in aliases if alias in aliases.values()} | (set(RESERVED) & {*aliases, *aliases.values()})
    if wrong or len(aliases) < len(pairs):
        raise InvalidInput("aliases-contradict", aliases=setting, reserved=RESERVED)
    return aliases


def merged(rows: Rows, aliases: Mapping[str, str], min_count: int) -> Rows:
    """Return the tickets with each alias replaced by what it is read as.

    Args:
        rows: checked.
        aliases: from `read_aliases`.
        min_count: tickets that must hold a word before it has a row.

    Raises:
        InvalidInput: a placeholder that others are read as stands in too few tickets to have a row.
    """
    if not aliases:
        return rows

    def read(tickets: list[list[str]]) -> list[list[str]]:
        # An alias of a mask of numbers is one of every number that has the shape.
        return [[aliases.get(token) or aliases.get(mask(token), token) for token in tokens] for tokens in tickets]

    found = msgspec.structs.replace(rows, tokens=read(rows.tokens), unlabelled=read(rows.unlabelled))
    for kept in sorted(set(aliases.values())):
        num_tickets = sum(kept in tokens for tokens in found.tokens)
        if num_tickets < min_count:
            raise InvalidInput("alias-too-rare", token=kept, num_tickets=num_tickets, min_count=min_count)
    return found


def with_aliases(words: Mapping[str, int], aliases: Mapping[str, str]) -> dict[str, int]:
    """Return the rows of the vocabulary, each alias with the row of what it is read as.

    Raises:
        InvalidInput: the vocabulary was too small for one of these.
    """
    if missing := sorted(set(aliases.values()) - words.keys()):
        raise InvalidInput("alias-without-row", token=missing[0])
    return {**words, **{alias: words[kept] for alias, kept in aliases.items()}}
