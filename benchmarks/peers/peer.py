"""What every peer gives back, and how it reads a ticket."""

import re
from collections.abc import Callable, Sequence

import msgspec

Answer = Callable[[Sequence[str]], list[str]]


class FittedPeer(msgspec.Struct, frozen=True):
    """A peer after its training.

    Attributes:
        answer: texts from `plain` in, their categories out.
        model_bytes: of what it has to keep.
        detail: what was chosen on the validation split, if anything was.
    """

    answer: Answer
    model_bytes: int
    detail: str = ""


def plain(content: list[str] | str) -> str:
    """Return a ticket as one text."""
    return content if isinstance(content, str) else " ".join(content)


def words(text: str) -> str:
    r"""Return the text's words in lower case, separated by a space.

    >>> words("Mot-de-passe\nexpiré !")
    'mot de passe expiré'
    """
    return " ".join(re.findall(r"\w+", text.lower()))


def share_right(found: Sequence[str], expected: Sequence[str]) -> float:
    """Return the accuracy; 0 if there are no tickets."""
    return sum(one == other for one, other in zip(found, expected, strict=True)) / max(1, len(expected))
