"""What every peer gives back, how it reads a ticket, and how it chooses its settings: on training rows only."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import msgspec

from trainer.data.tickets import Rows, cut

S = TypeVar("S", bound=Hashable)  # a setting that a peer chooses

NUM_FOLDS = 3
Answer = Callable[[Sequence[str]], list[str]]
# Row numbers to learn and row numbers to answer in, each setting with its answers out.
AnswersOfSettings = Callable[[Sequence[int], Sequence[int]], Iterable[tuple[S, Sequence[str]]]]


class FittedPeer(msgspec.Struct, frozen=True):
    """A peer after its training.

    Attributes:
        answer: texts from `plain` in, their categories out.
        model_bytes: of what it has to keep.
        detail: the setting that was chosen on the training rows, if one was.
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


def best_setting(rows: Rows, seed: int, answers: AnswersOfSettings[S]) -> S | None:
    """Return the setting that answers the most training tickets correctly when each was kept out of its training.

    The folds are the trainer's own: stratified, equal tickets together. The same rows and seed give the same setting;
    of equally good ones the first is taken. None where no category has enough tickets to keep one out.
    """
    num_right: Counter[S] = Counter()
    for taught, kept_out in cut(rows, NUM_FOLDS, seed):
        if kept_out:
            expected = [rows.tickets[row].expected for row in kept_out]
            for setting, found in answers(taught, kept_out):
                num_right[setting] += sum(one == other for one, other in zip(found, expected, strict=True))
    return max(num_right, key=num_right.__getitem__, default=None)
