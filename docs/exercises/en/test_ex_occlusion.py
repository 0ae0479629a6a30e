"""The check of the exercise."""

import math
from collections.abc import Mapping, Sequence

import ex_occlusion
import pytest

SCORES = {"facture": (2.0, 0.0), "payer": (1.0, 0.0), "connexion": (0.0, 2.0), "bonjour": (0.0, 0.0)}


class Counted:
    """A model that adds up the scores of the tokens, and notes how often it was asked and what."""

    def __init__(self, scores: Mapping[str, Sequence[float]]) -> None:
        self.scores = scores
        self.asked: list[list[list[str]]] = []

    def __call__(self, tickets: list[list[str]]) -> list[list[float]]:
        """Answer each ticket by softmax of the sums."""
        self.asked.append(tickets)
        return [self.answer(ticket) for ticket in tickets]

    def answer(self, tokens: list[str]) -> list[float]:
        """Answer one ticket."""
        logits = [sum(scores) for scores in zip(*(self.scores[token] for token in tokens), strict=True)]
        odds = [math.exp(logit - max(logits)) for logit in logits]
        return [one / sum(odds) for one in odds]


def test_ticket_of_the_chapter() -> None:
    """Where scores are added up, a token weighs its score: for billing less that for connection, or the other way."""
    ticket = ["bonjour", "facture", "payer", "connexion"]

    assert ex_occlusion.weights(Counted(SCORES), ticket, 0) == pytest.approx([0.0, 2.0, 1.0, -2.0])
    assert ex_occlusion.weights(Counted(SCORES), ticket, 1) == pytest.approx([0.0, -2.0, -1.0, 2.0])


def test_model_is_asked_once() -> None:
    """The ticket and each of its variants go into one batch; a word that stands twice is left out once at a time."""
    model = Counted(SCORES)

    ex_occlusion.weights(model, ["facture", "facture", "payer"], 0)

    (batch,) = model.asked
    assert sorted(batch) == [
        ["facture", "facture"],
        ["facture", "facture", "payer"],
        ["facture", "payer"],
        ["facture", "payer"],
    ]


def test_three_categories() -> None:
    """Two words of which each says another category: worked by hand.

    Alone each has odds of e^3 against two times 1; together p = e^3 / (2 e^3 + 1). Without the one that speaks for it
    the odds of a category are 1 against e^3 + 1, without the other e^3 against 2.
    """
    model = Counted({"a": (3.0, 0.0, 0.0), "b": (0.0, 3.0, 0.0)})
    e3 = math.exp(3.0)
    whole = math.log(e3 / (e3 + 1))

    assert ex_occlusion.weights(model, ["a", "b"], 0) == pytest.approx(
        [whole - math.log(1 / (e3 + 1)), whole - math.log(e3 / 2)]
    )


def test_sure_answer_keeps_its_digits() -> None:
    """At log-odds of 40, p is 1 in all the digits that there are; the token of 38 still weighs 38, and that of 2, 2."""
    model = Counted({"facture": (38.0, 0.0), "payer": (2.0, 0.0)})

    found = ex_occlusion.weights(model, ["facture", "payer"], 0)

    assert found == pytest.approx([38.0, 2.0])
