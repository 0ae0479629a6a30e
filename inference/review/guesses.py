"""What the serving version thinks of the tickets that wait, and which of them are alike.

In: a model and the tickets. Out: its best guesses for each, and groups. Found when somebody looks at the queue, by the
version that serves then: after a training the queue is in the order of what the new version is not sure of. What was
found stays in memory, so the next look asks only about what is new.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from artifacts.arrays import Floats, Ints
from artifacts.errors import InvalidContent, NotFinite
from artifacts.networks.runtime import Model
from artifacts.schemas import Reason
from artifacts.store.review import ReviewItem
from artifacts.text.tickets import Guess, RankedPrediction, read_tokens
from artifacts.text.tokens import NEWEST
from inference.review.order import groups_of, vectors_of

NUM_GUESSES = 9  # keys of a keyboard
SLICE_TICKETS = 64  # asked at once

Key = tuple[str, str]  # id of a ticket and when it came; one that comes again under its id is another one


class Guessed(NamedTuple):
    """What a version thinks of a ticket; a version that cannot be asked leaves what was said when the ticket came.

    Attributes:
        category: the most probable; None where the version is not sure enough to say one.
        confidence: of the most probable; None: no version was asked.
        reason: why it is not sure enough.
        best: the most probable categories, best first.
        version: that says so.
    """

    category: str | None
    confidence: float | None
    reason: Reason | None
    best: list[Guess]
    version: int | None


class Likeness(NamedTuple):
    """Tickets as vectors, and the group of each; see order.py."""

    vectors_ND: Floats
    group_N: Ints


class Guesses:
    """What was found of the queues of one process; each method computes: call it in a thread, one call at a time."""

    def __init__(self) -> None:
        self._version: dict[str, int] = {}  # model -> that was asked
        self._guessed: dict[str, dict[Key, Guessed]] = {}
        self._likeness: dict[str, tuple[list[Key], Likeness]] = {}

    def guessed(self, name: str, model: Model[Any] | None, items: Sequence[ReviewItem]) -> list[Guessed]:
        """Return what the model thinks of each ticket.

        Args:
            name: of the model.
            model: that serves; None if none does.
            items: every ticket that waits, so that what waits no more is forgotten.
        """
        if model is None or model.ranker is None:
            return [Guessed(None, item.confidence, item.reason, [], item.version) for item in items]
        known = self._guessed.get(name, {}) if self._version.get(name) == model.version else {}
        found = {key: known[key] for item in items if (key := _key(item)) in known}
        new = [item for item in items if _key(item) not in found]
        for start in range(0, len(new), SLICE_TICKETS):
            found |= _ask(model, new[start : start + SLICE_TICKETS])
        self._version[name], self._guessed[name] = model.version, found
        return [found[_key(item)] for item in items]

    def likeness(self, name: str, model: Model[Any] | None, items: Sequence[ReviewItem]) -> Likeness:
        """Return the vectors and the groups of the tickets that wait; see `guessed`."""
        keys = [_key(item) for item in items]
        if name in self._likeness and self._likeness[name][0] == keys:
            return self._likeness[name][1]
        vocabulary = getattr(model, "vocabulary", None)
        rules = vocabulary.rules if vocabulary is not None else NEWEST
        vectors_ND = vectors_of([read_tokens(item.content, rules) for item in items], rules)
        found = Likeness(vectors_ND, groups_of(vectors_ND))
        self._likeness[name] = keys, found
        return found

    def forget(self, name: str) -> None:
        """Drop what is known of a queue that is empty."""
        for kept in (self._version, self._guessed, self._likeness):
            kept.pop(name, None)


def _key(item: ReviewItem) -> Key:
    return item.id, item.created


def _ask(model: Model[Any], items: Sequence[ReviewItem]) -> dict[Key, Guessed]:
    """Return what a model with a ranker thinks of some tickets; of one that it cannot read, nothing."""
    assert model.ranker is not None, "asked for guesses; internal error"
    found: dict[Key, Guessed] = {}
    encoded = []
    readable = []
    for item in items:
        found[_key(item)] = Guessed(None, 0.0, "empty", [], model.version)
        try:
            encoded.append(model.encode(item.content))
            readable.append(item)
        except InvalidContent:  # by the rules of another version it could be read
            continue
    try:
        answers = model.ranker.predict(encoded) if encoded else []
    except NotFinite:
        answers = []
    for item, answer in zip(readable, answers, strict=False):
        assert isinstance(answer, RankedPrediction), "a ranker answers with guesses; internal error"
        category = answer.category if answer.reason is None else None
        best = (answer.best or [])[:NUM_GUESSES]
        found[_key(item)] = Guessed(category, answer.confidence, answer.reason, best, model.version)
    return found


def sureness(guessed: Sequence[Guessed]) -> list[float]:
    """Return the confidences by which tickets are ordered; one that no version was asked about counts as unsure."""
    return [one.confidence if one.confidence is not None else 0.0 for one in guessed]


def sizes_of(group_N: Ints) -> Ints:
    """Return how many tickets each group has."""
    return np.bincount(group_N).astype(np.int32)
