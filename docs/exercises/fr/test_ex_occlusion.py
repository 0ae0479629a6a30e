"""La vérification de l’exercice."""

import math
from collections.abc import Mapping, Sequence

import ex_occlusion
import pytest

SCORES = {"facture": (2.0, 0.0), "payer": (1.0, 0.0), "connexion": (0.0, 2.0), "bonjour": (0.0, 0.0)}


class Counted:
    """Un modèle qui additionne les scores des tokens, et note combien de fois on l’a interrogé et sur quoi."""

    def __init__(self, scores: Mapping[str, Sequence[float]]) -> None:
        self.scores = scores
        self.asked: list[list[list[str]]] = []

    def __call__(self, tickets: list[list[str]]) -> list[list[float]]:
        """Répond à chaque ticket par le softmax des sommes."""
        self.asked.append(tickets)
        return [self.answer(ticket) for ticket in tickets]

    def answer(self, tokens: list[str]) -> list[float]:
        """Répond à un ticket."""
        logits = [sum(scores) for scores in zip(*(self.scores[token] for token in tokens), strict=True)]
        odds = [math.exp(logit - max(logits)) for logit in logits]
        return [one / sum(odds) for one in odds]


def test_ticket_of_the_chapter() -> None:
    """Là où l’on additionne, un token pèse son score : pour la facturation moins pour la connexion, ou l’inverse."""
    ticket = ["bonjour", "facture", "payer", "connexion"]

    assert ex_occlusion.weights(Counted(SCORES), ticket, 0) == pytest.approx([0.0, 2.0, 1.0, -2.0])
    assert ex_occlusion.weights(Counted(SCORES), ticket, 1) == pytest.approx([0.0, -2.0, -1.0, 2.0])


def test_model_is_asked_once() -> None:
    """Le ticket et ses variantes vont dans un seul lot ; un mot présent deux fois est ôté une fois à la fois."""
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
    """Deux mots dont chacun dit une autre catégorie : fait à la main.

    Seul, chacun a e^3 contre deux fois 1 ; ensemble, p = e^3 / (2 e^3 + 1). Sans celui qui parle pour elle, la cote
    d’une catégorie est 1 contre e^3 + 1 ; sans l’autre, e^3 contre 2.
    """
    model = Counted({"a": (3.0, 0.0, 0.0), "b": (0.0, 3.0, 0.0)})
    e3 = math.exp(3.0)
    whole = math.log(e3 / (e3 + 1))

    assert ex_occlusion.weights(model, ["a", "b"], 0) == pytest.approx(
        [whole - math.log(1 / (e3 + 1)), whole - math.log(e3 / 2)]
    )


def test_sure_answer_keeps_its_digits() -> None:
    """À une log-cote de 40, p vaut 1 dans tous ses chiffres ; le token de 38 pèse encore 38, et celui de 2, 2."""
    model = Counted({"facture": (38.0, 0.0), "payer": (2.0, 0.0)})

    found = ex_occlusion.weights(model, ["facture", "payer"], 0)

    assert found == pytest.approx([38.0, 2.0])
