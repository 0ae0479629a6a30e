"""Tests of artifacts/networks/ranking/among.py: what is masked is not answered, the rest sums to 1, in its order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.arrays import Floats
from artifacts.errors import InvalidInput
from artifacts.evaluation.abstain import Abstention, why_not
from artifacts.networks import explain
from artifacts.networks.gru import GruModel
from artifacts.networks.ranking.among import MIN_SHARE, kept_of, masked
from artifacts.networks.ranking.ranker import Ranked, guesses
from artifacts.schemas import Reason
from artifacts.text.tickets import MAX_TOP_K

RULE = Abstention(0.95, 0.7, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.9, accuracy=0.95)
TICKET = ["avoir", "problème", "conntecter", "<PRODUCT>", "coffre"]


def ranked(probabilities: list[float], reason: Reason | None = None) -> tuple[Ranked, list[str]]:
    """Return the answer to a ticket of which a model holds this probable, and the names of its categories."""
    row_C = np.array(probabilities, dtype=np.float32)
    labels = [f"c{number}" for number in range(len(row_C))]
    (best,) = guesses(row_C[np.newaxis], labels)
    found = Ranked(
        category=best[0].category,
        confidence=best[0].confidence,
        unknown_tokens=["zzz"],
        num_truncated_tokens=3,
        reason=reason,
        best=best,
        probabilities_C=row_C,
    )
    return found, labels


@st.composite
def distributions(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Give probabilities of 2 to 40 categories, some nearly or quite 0, and the numbers of some of them."""
    logits = draw(st.lists(st.floats(-120, 30), min_size=2, max_size=40))
    weights = np.exp(np.array(logits) - max(logits))
    kept = draw(st.lists(st.integers(0, len(logits) - 1), min_size=1, unique=True))
    return (weights / weights.sum()).tolist(), kept


@given(distributions(), st.sampled_from([None, RULE]))
def test_only_what_is_kept_is_answered_sums_to_one_and_stays_in_order(
    drawn: tuple[list[float], list[int]], rule: Abstention | None
) -> None:
    """For any probabilities and any choice; the 20 best sum to 1 where there are no more."""
    probabilities, kept = drawn
    found, labels = ranked(probabilities)
    names = {labels[number] for number in kept}

    (answer,) = masked([found], kept_of(labels, sorted(names), "m"), labels, rule)

    assert answer.best is not None
    best = [one.category for one in answer.best]
    assert answer.category == best[0]
    assert set(best) <= names
    assert len(best) == len(set(best)) == min(len(names), MAX_TOP_K)
    confidences = [one.confidence for one in answer.best]
    assert answer.confidence == confidences[0]
    assert confidences == sorted(confidences, reverse=True)
    total = sum(confidences)
    assert total <= 1 + 1e-9
    if len(names) <= MAX_TOP_K:
        assert total == pytest.approx(1)
    # Of two that are left, the one that was before the other still is: equal ones by their number.
    order = sorted(kept, key=lambda number: (-found.probabilities_C[number], number))
    if float(found.probabilities_C[kept].sum()) >= float(np.finfo(np.float32).tiny):
        assert best == [labels[number] for number in order[:MAX_TOP_K]]
    assert (answer.unknown_tokens, answer.num_truncated_tokens) == (["zzz"], 3)


@given(distributions())
def test_abstention_is_the_rule_on_what_is_left(drawn: tuple[list[float], list[int]]) -> None:
    """None applies below a half of the probability; else the version's own rule says, of the new probabilities."""
    probabilities, kept = drawn
    found, labels = ranked(probabilities)
    share = math.fsum(np.float64(found.probabilities_C[number]) for number in kept)

    (answer,) = masked([found], kept_of(labels, [labels[number] for number in kept], "m"), labels, RULE)

    assert answer.best is not None
    second = answer.best[1].confidence if len(answer.best) > 1 else 0.0
    if abs(share - MIN_SHARE) > 1e-9:
        expected = why_not(RULE, answer.confidence, second, 0.0) if share > MIN_SHARE else "none_applies"
        assert answer.reason == expected


def test_worked_example() -> None:
    """Of .6, .3, .1 without the first: .3 / .4 and .1 / .4; together they had .4, less than a half."""
    found, labels = ranked([0.6, 0.3, 0.1])

    (answer,) = masked([found], kept_of(labels, ["c2", "c1"], "m"), labels, RULE)

    assert answer.best is not None
    assert [(one.category, round(one.confidence, 6)) for one in answer.best] == [("c1", 0.75), ("c2", 0.25)]
    assert answer.reason == "none_applies"


def test_one_category_is_sure_of_itself_if_it_is_probable_at_all() -> None:
    """A single one has all of the probability; whether it is right at all the sum says."""
    found, labels = ranked([0.6, 0.3, 0.1])

    (probable,) = masked([found], kept_of(labels, ["c0"], "m"), labels, RULE)
    (improbable,) = masked([found], kept_of(labels, ["c2"], "m"), labels, RULE)

    assert (probable.category, probable.confidence, probable.reason) == ("c0", 1.0, None)
    assert (improbable.category, improbable.confidence, improbable.reason) == ("c2", 1.0, "none_applies")


def test_unknown_words_go_first_and_without_a_rule_there_is_no_reason() -> None:
    """A share of unknown tokens that was never tried stays the reason; a model that cannot abstain gives none."""
    found, labels = ranked([0.9, 0.1], "unknown_tokens")

    (answer,) = masked([found], kept_of(labels, ["c1"], "m"), labels, RULE)
    (without,) = masked([ranked([0.9, 0.1])[0]], kept_of(labels, ["c1"], "m"), labels, None)

    assert answer.reason == "unknown_tokens"
    assert without.reason is None


def test_names_are_compared_as_those_of_labelled_tickets() -> None:
    """Composed or not, with blanks around it, twice or in another order: it is the same category."""
    labels = ["Accès", "Facture", "Réseau"]

    assert kept_of(labels, [" Re\u0301seau ", "Accès", "Réseau"], "m").tolist() == [0, 2]


def test_unknown_names_are_refused_with_their_places() -> None:
    """A misspelt name would silently mask what it was meant to keep."""
    with pytest.raises(InvalidInput) as refused:
        kept_of(["Accès", "Facture"], ["Facture", "accès", "x" * 500], "desk version 3")

    assert [fault.pointer for fault in refused.value.faults] == ["/among/1", "/among/2"]
    assert "'accès', which is no category of desk version 3" in refused.value.faults[0].detail
    assert all(fault.type == "unknown-category" for fault in refused.value.faults)


def test_explanation_is_of_the_best_category_that_may_be_answered(model: GruModel) -> None:
    """Its weights are differences of the log-odds against the others that are kept, asked one by one."""
    ticket = model.encode(TICKET)
    best = model.predict([ticket])[0].category
    kept_K = kept_of(model.labels, [label for label in model.labels if label != best], "m")
    first, second = kept_K.tolist()

    def odds(row_C: Floats) -> float:
        return math.log(row_C[top] / row_C[other])

    (whole_C,) = model.probabilities([ticket])
    top, other = (first, second) if whole_C[first] > whole_C[second] else (second, first)
    found = explain.explain(model, ticket, kept_K)

    assert found.category == model.labels[top]
    for place, one in enumerate(found.tokens):
        (without_C,) = model.probabilities([model.encode(TICKET[:place] + TICKET[place + 1 :])])
        assert one.weight == pytest.approx(odds(whole_C) - odds(without_C), abs=1e-4)
        assert one.confidence == pytest.approx(without_C[top] / (without_C[top] + without_C[other]), abs=1e-6)
