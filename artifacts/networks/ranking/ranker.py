"""A GRU that says more: its next best categories, and whether it is sure enough of the first.

In: encoded tickets. Out: a `Ranked` each. The plain answer is gru.py's, the rule of abstention is
evaluation/abstain.py's, an answer among some of the categories is among.py's.
"""

# Axes: N tickets, C categories, K of them.

import weakref
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from artifacts.arrays import Doubles, Floats
from artifacts.errors import NotFinite
from artifacts.evaluation.abstain import Abstention, why_not
from artifacts.networks.gru_records import GruManifest
from artifacts.text.tickets import MAX_TOP_K, Guess, RankedPrediction
from artifacts.text.vocabulary import Encoded, Vocabulary


class Ranked(RankedPrediction, frozen=True, kw_only=True, eq=False):
    """What a ranker says of one ticket; never sent as it is, for the caller is told only what it asked for.

    Attributes:
        probabilities_C: of every category, in the order of the labels.
    """

    probabilities_C: Floats


class Classifier(Protocol):
    """What a ranker asks of its model; a `GruModel` is one."""

    name: str
    version: int
    where: str
    manifest: GruManifest
    labels: list[str]
    vocabulary: Vocabulary
    abstention: Abstention | None

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC."""


class Ranker:
    """A GRU as what names its next best categories too, and says whether it is sure enough of the first.

    Another object than the model, so that plain searches do not pay for what it does. It does not keep its model alive:
    the two would keep each other, and a version that was replaced would stay in memory. Whoever asks holds the model.
    """

    def __init__(self, model: Classifier) -> None:
        self._model = weakref.ref(model)
        self.name, self.version, self.manifest = model.name, model.version, model.manifest
        self.labels = model.labels

    def cost(self, encoded: Encoded) -> int:
        """Return the ticket's length."""
        return len(encoded.ids)

    def predict(self, encoded: Sequence[Encoded]) -> list[Ranked]:
        """Return the answer to each ticket, in order: a category, the 20 best, and why not if it is not sure enough.

        Raises:
            NotFinite: as `Model.predict`.
        """
        model = self._model()
        assert model is not None, "whoever asks a ranker holds its model; this is our bug"
        found_NC = model.probabilities(encoded)
        if not np.isfinite(found_NC).all():
            raise NotFinite("answer-not-finite", model=model.where)
        num_words, rule = len(model.vocabulary), model.abstention
        answers = []
        for row_C, best, ticket in zip(found_NC, guesses(found_NC, model.labels), encoded, strict=True):
            first, second = best[0].confidence, best[1].confidence
            answers.append(
                Ranked(
                    category=best[0].category,
                    confidence=first,
                    unknown_tokens=ticket.unknown,
                    num_truncated_tokens=ticket.num_truncated,
                    reason=why_not(rule, first, second, ticket.unknown_share(num_words)) if rule is not None else None,
                    best=best,
                    probabilities_C=row_C,
                )
            )
        return answers


def guesses(probabilities_NC: Floats | Doubles, labels: Sequence[str]) -> list[list[Guess]]:
    """Return the most probable categories of each ticket, at most 20, best first."""
    order_NK = np.argsort(-probabilities_NC, axis=1, kind="stable")[:, :MAX_TOP_K]  # stable: equal as argmax has them
    return [
        [Guess(labels[label], float(row_C[label])) for label in order_K.tolist()]
        for row_C, order_K in zip(probabilities_NC, order_NK, strict=True)
    ]
