"""Finding words of raw tickets that look like names, by their capital and their neighbour alone.

In: tickets. Out: words, each with the number of tickets that it looks like a name in. A person decides which of them
are names and writes these into a file for `--forbid`; nothing is left out by itself.

The idea, once. A capital at the beginning of a sentence says nothing, and one within it is mostly a place or a product.
Two in a row are a person far more often: "Jean Lefèvre", "Mme Dupont", "Jean DUPONT". So a word counts if it stands
within a sentence next to another word with a capital, unless it is frequent in French or English (frequent.toml), or
some ticket writes it small. What is missed: names without a capital or alone, and names in tokens, which are small.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from artifacts.text.people import fold

MIN_LETTERS = 2  # of a name
# A word, or an end of a sentence. An apostrophe parts "l'Oréal" as tokens.py does, a hyphen keeps "Jean-Luc" whole.
_PIECE = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[.!?:;\n\r\u2026\"«»(]+|\S")
_ENDS = re.compile(r"[.!?:;\n\r\u2026\"«»(]")


class Piece(NamedTuple):
    """A word of a text.

    Attributes:
        word: as it is written.
        is_first: whether it begins a sentence, or what may be one.
        is_joined: whether nothing but a blank, or the point of a title, stands between it and the word before.
    """

    word: str
    is_first: bool
    is_joined: bool


class Dictionary(NamedTuple):
    """What frequent.toml holds, folded: `words` are no names, `titles` stand before one."""

    words: frozenset[str]
    titles: frozenset[str]


@cache
def dictionary() -> Dictionary:
    """Return the frequent words of French and English, read once."""
    raw = tomllib.loads(files("trainer.curation").joinpath("frequent.toml").read_text("utf-8"))
    titles = frozenset(map(fold, raw["titles"]))
    return Dictionary(titles | {fold(word) for part in ("own", "en", "fr") for word in raw[part]}, titles)


def names_in(
    contents: Iterable[Sequence[str] | str], is_forbidden: Callable[[str], bool] | None = None
) -> dict[str, int]:
    """Return the words that look like names, each with how many tickets it does so in, the most frequent first.

    >>> names_in(["Bonjour, je suis Jean Lefèvre de Lyon", "Rappeler Mme LEFÈVRE", "facture de Mme Colis", "un colis"])
    {'Lefèvre': 2, 'Jean': 1}

    Args:
        contents: tickets; tokens have lost their capitals and are passed over.
        is_forbidden: says of a word whether it is kept out of the vocabulary already; it is left out then.
    """
    known = dictionary()
    counts: Counter[str] = Counter()
    spelt: dict[str, str] = {}
    small: set[str] = set()  # written without a capital somewhere
    for content in contents:
        if not isinstance(content, str):
            continue
        pieces = list(_pieces(content, known.titles))
        small |= {fold(piece.word) for piece in pieces if piece.word.islower()}
        found = {}
        for place, piece in enumerate(pieces):
            if _is_name(pieces, place, known):
                found[fold(piece.word)] = piece.word
        counts.update(found.keys())
        for folded, word in found.items():
            if folded not in spelt or spelt[folded].isupper():  # "Lefèvre" reads better than "LEFEVRE"
                spelt[folded] = word
    kept = [(word, count) for word, count in counts.items() if word not in small and word not in known.words]
    return {
        spelt[word]: count
        for word, count in sorted(kept, key=lambda one: (-one[1], one[0]))
        if is_forbidden is None or not is_forbidden(word)
    }


def _pieces(text: str, titles: frozenset[str]) -> Iterator[Piece]:
    is_first, is_joined, last = True, False, ""
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece[0].isalpha():
            yield Piece(piece, is_first, is_joined)
            is_first, is_joined, last = False, True, piece
        elif piece == "." and fold(last) in titles:
            pass  # the point of "M. Dupont" ends no sentence
        else:
            is_first, is_joined, last = is_first or _ENDS.match(piece) is not None, False, ""


def _is_name(pieces: Sequence[Piece], place: int, known: Dictionary) -> bool:
    """Return whether a word stands within a sentence with a capital, next to another that has one."""
    piece = pieces[place]
    if piece.is_first or len(piece.word) < MIN_LETTERS or not piece.word[0].isupper():
        return False
    before = pieces[place - 1].word if piece.is_joined else ""
    after = pieces[place + 1].word if place + 1 < len(pieces) and pieces[place + 1].is_joined else ""
    if fold(before) in known.titles:
        return True
    # Of two words in capitals throughout neither is one: that is a heading, or somebody who shouts.
    others = [one for one in (before, after) if one[:1].isupper() and not (one.isupper() and piece.word.isupper())]
    return bool(others)
