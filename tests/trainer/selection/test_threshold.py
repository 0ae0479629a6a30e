"""The threshold of a target, the margin of a tie, and what the rule comes to; against simulated tickets and by hand."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.arrays import Floats
from artifacts.evaluation.abstain import why_not
from trainer.selection.threshold import (
    DOUBT,
    MIN_ROUTED,
    MIN_TICKETS,
    STRONG_PULL,
    TIE,
    WEAK_PULL,
    coverage_by_category,
    find_threshold,
    find_tie_margin,
    fit_abstention,
    on_curve,
    raised,
    so_few_right,
)


def simulated(num_tickets: int, seed: int) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return probabilities_NC of 5 categories and labels that are drawn from them: calibrated by construction."""
    random = np.random.default_rng(seed)
    logits_NC = random.normal(size=(num_tickets, 5)) * random.uniform(0.5, 6.0, size=(num_tickets, 1))
    p_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)
    drawn_N = (p_NC.cumsum(axis=1) < random.random((num_tickets, 1))).sum(axis=1)
    return p_NC.astype(np.float32), np.minimum(drawn_N, 4)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.98])
def test_threshold_keeps_the_target_on_other_tickets(target: float) -> None:
    """Over draws of 600 tickets the threshold routes unseen ones with the target right, and as many as possible."""
    unseen_NC, truth_N = simulated(50_000, 0)
    confidence_N, right_N = unseen_NC.max(axis=1).astype(np.float64), unseen_NC.argmax(axis=1) == truth_N
    by_confidence_N = right_N[np.argsort(-confidence_N)].cumsum() / np.arange(1, len(right_N) + 1)
    most = np.flatnonzero(by_confidence_N >= target)[-1] / len(right_N)  # with all of the truth at hand
    found = []
    for seed in range(1, 41):
        p_NC, labels_N = simulated(600, seed)
        threshold = find_threshold(p_NC.max(axis=1).astype(np.float64), p_NC.argmax(axis=1) == labels_N, target)
        routed_N = confidence_N >= threshold
        found.append((right_N[routed_N].mean(), routed_N.mean()))

    accuracy, coverage = np.mean(found, axis=0)
    assert target <= accuracy <= target + 0.015
    assert most - 0.06 <= coverage <= most


def test_overconfident_network_is_seen_through() -> None:
    """Probabilities that claim too much are corrected by how often they were right."""
    p_NC, labels_N = simulated(4000, 3)
    bold_N = 1 - (1 - p_NC.max(axis=1).astype(np.float64)) / 3  # a third of the honest doubt
    right_N = p_NC.argmax(axis=1) == labels_N

    threshold = find_threshold(bold_N, right_N, 0.9)

    assert threshold is not None
    assert right_N[bold_N >= threshold].mean() == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize(("pull", "least", "most"), [(STRONG_PULL, 0.0, 0.006), (WEAK_PULL, 0.006, 0.02)])
def test_luck_of_the_draw_moves_a_strongly_pulled_threshold_less(pull: float, least: float, most: float) -> None:
    """Over draws of 600 tickets of an honest network the share right of unseen ones varies by less."""
    unseen_NC, truth_N = simulated(50_000, 0)
    confidence_N, right_N = unseen_NC.max(axis=1).astype(np.float64), unseen_NC.argmax(axis=1) == truth_N
    shares = []
    for seed in range(1, 41):
        p_NC, labels_N = simulated(600, seed)
        sure_N = p_NC.max(axis=1).astype(np.float64)
        threshold = find_threshold(sure_N, p_NC.argmax(axis=1) == labels_N, 0.95, pull)
        shares.append(right_N[confidence_N >= threshold].mean())

    assert np.mean(shares) == pytest.approx(0.955, abs=0.01)
    assert least < np.std(shares) < most


def test_confidence_that_says_nothing_reaches_no_target() -> None:
    """Where the sure answers are wrong as often as the others, or more often, nothing is routed."""
    confidence_N = np.linspace(0.3, 0.99, 400)

    assert find_threshold(confidence_N, np.arange(400) % 2 == 0, 0.95) is None
    assert find_threshold(confidence_N, np.arange(400) < 200, 0.6) is None


def test_everything_is_routed_where_everything_is_right() -> None:
    """With no mistake the threshold is the lowest confidence that was seen, and the fit ends."""
    confidence_N = np.linspace(0.9, 1.0, 200)

    assert find_threshold(confidence_N, np.ones(200, dtype=np.bool_), 0.95) == confidence_N.min()


def of_parts(*parts: tuple[float, int, int]) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return probabilities_NC of 10 categories and labels of tickets: (confidence about, number, of which right)."""
    confidence, right = [], []
    for about, num, num_right in parts:
        confidence += np.linspace(about - 0.004, about + 0.004, num).tolist()
        wrong = set(np.linspace(0, num - 1, num - num_right).round().astype(int).tolist())
        right += [place not in wrong for place in range(num)]
    first_N1 = np.array(confidence)[:, None]
    # No tie: what is left is shared by nine.
    return np.hstack([first_N1, np.repeat((1 - first_N1) / 9, 9, axis=1)]).astype(np.float32), np.where(right, 0, 1)


SURE_MISTAKES = ((0.993, 30, 25), (0.93, 30, 29), (0.7, 40, 30), (0.4, 40, 14), (0.2, 20, 2))


def test_so_few_right_is_the_sum_of_the_binomial_terms() -> None:
    """Of 30 tickets that are right to .95 no more than 25 are so in 1.56 % of the draws: 26 terms, added by hand."""
    terms = [math.comb(30, k) * 0.95**k * 0.05 ** (30 - k) for k in range(26)]

    assert so_few_right(25, 30, 0.95) == pytest.approx(sum(terms))
    assert sum(terms) == pytest.approx(0.0156, abs=1e-4)


def test_threshold_that_its_own_tickets_contradict_is_withheld() -> None:
    """The curve passes over five very sure mistakes in 30 tickets; with them .95 is not to be believed anywhere."""
    p_NC, labels_N = of_parts(*SURE_MISTAKES)
    confidence_N, right_N = p_NC.max(axis=1).astype(np.float64), labels_N == 0
    curve = on_curve(confidence_N, right_N, 0.95)
    assert curve is not None, "the curve sees nothing"
    assert right_N[confidence_N >= curve].tolist().count(True) == 25

    assert find_threshold(confidence_N, right_N, 0.95) is None
    found = fit_abstention(p_NC, labels_N, np.zeros(len(p_NC)), 0.95, False)

    assert found is not None
    rule, routed_N = found
    assert (rule.threshold, rule.coverage, rule.accuracy) == (None, 0.0, None)
    assert not routed_N.any()
    assert "of the 30 tickets from 0.989 on 25 are right (83.3%), too few for 95.0% (p = 0.016)" in rule.detail
    assert "give more tickets, or set target=" in rule.detail


def test_threshold_is_raised_to_where_its_tickets_bear_it_out() -> None:
    """The surest 60 are all right, of the next 40 only 28: the curve takes them in, the count leaves most of them out.

    88 of 100 are right, which a target of .95 has in .43 % of the draws. The first n of them with 95 % right count.
    """
    p_NC, labels_N = of_parts((0.995, 60, 60), (0.97, 40, 28), (0.3, 200, 60))
    confidence_N, right_N = p_NC.max(axis=1).astype(np.float64), labels_N == 0
    least = float(confidence_N[60:100].min())
    assert so_few_right(88, 100, 0.95) == pytest.approx(0.0043, abs=1e-4)

    threshold = raised(confidence_N, right_N, 0.95, least)

    assert threshold is not None
    assert threshold > least
    assert right_N[confidence_N >= threshold].mean() >= 0.95
    below_N = confidence_N >= confidence_N[confidence_N < threshold].max()
    assert right_N[below_N].mean() < 0.95, "it is the lowest"
    assert raised(confidence_N, right_N, 0.85, least) == least, "88 of 100 are no contradiction to .85"


def test_raised_threshold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has both thresholds and what speaks against the lower one, and counts by the higher one."""
    p_NC, labels_N = of_parts((0.995, 60, 60), (0.97, 40, 28), (0.3, 200, 60))
    monkeypatch.setattr("trainer.selection.threshold.on_curve", lambda *_: 0.9)

    found = fit_abstention(p_NC, labels_N, np.zeros(len(p_NC)), 0.95, False)

    assert found is not None
    rule, routed_N = found
    assert rule.threshold is not None
    assert rule.detail == (
        f"threshold raised to {rule.threshold:.3f}: of the 100 tickets from 0.900 on 88 are right (88.0%), too few for "
        "95.0% (p = 0.0043)"
    )
    assert 60 <= routed_N.sum() < 100
    assert rule.accuracy == (labels_N == 0)[routed_N].mean() >= 0.95


def test_remedy_names_the_highest_target_that_is_reached() -> None:
    """What it proposes can be had: with that target there is a threshold, and about so many tickets are routed."""
    p_NC, labels_N = of_parts((0.95, 100, 86), (0.4, 200, 90))

    found = fit_abstention(p_NC, labels_N, np.zeros(300), 0.98, False)

    assert found is not None
    proposed, share = re.search(r"set target=([\d.]+), which routes about (\d+)%", found[0].detail).groups()  # type: ignore[union-attr]
    again = fit_abstention(p_NC, labels_N, np.zeros(300), float(proposed), False)
    assert again is not None
    assert again[0].threshold is not None
    assert again[0].coverage == pytest.approx(int(share) / 100, abs=0.01)


@given(st.integers(50, 400), st.integers(0, 1000), st.floats(0.5, 0.99), st.floats(1.0, 8.0))
def test_no_threshold_contradicts_its_own_tickets(num_tickets: int, seed: int, target: float, bold: float) -> None:
    """However much too sure a network is: the routed tickets do not refute the target, or nothing is routed."""
    p_NC, labels_N = simulated(num_tickets, seed)
    sharper_NC = p_NC.astype(np.float64) ** bold
    sharper_NC /= sharper_NC.sum(axis=1, keepdims=True)

    found = fit_abstention(sharper_NC.astype(np.float32), labels_N, np.zeros(num_tickets), target, False)

    assert found is not None
    rule, routed_N = found
    if rule.threshold is not None:
        right_N = p_NC.argmax(axis=1) == labels_N
        assert routed_N.sum() >= MIN_ROUTED
        assert so_few_right(int(right_N[routed_N].sum()), int(routed_N.sum()), target) >= DOUBT


def test_equally_sure_tickets_share_a_fate() -> None:
    """A threshold lies where the confidence changes: what is counted as routed is what the rule routes."""
    p_NC, labels_N = simulated(500, 5)
    confidence_N = np.round(p_NC.max(axis=1).astype(np.float64), 1)  # ten values

    threshold = find_threshold(confidence_N, p_NC.argmax(axis=1) == labels_N, 0.9)

    assert threshold in confidence_N


def test_tie_margin_is_where_the_first_is_no_more_than_likely() -> None:
    """With calibrated probabilities about TIE of the tickets at the margin go to the first of the two."""
    p_NC, labels_N = simulated(40_000, 1)
    margin = find_tie_margin(p_NC, labels_N)
    best_N2 = np.argsort(-p_NC, axis=1)[:, :2]
    gap_N = np.take_along_axis(p_NC, best_N2, axis=1) @ np.array([1.0, -1.0])
    near_N = (abs(gap_N - margin) < 0.03) & (best_N2 == labels_N[:, None]).any(axis=1)

    assert (best_N2[near_N, 0] == labels_N[near_N]).mean() == pytest.approx(TIE, abs=0.05)
    assert 0.05 < margin < 0.4


def test_rule_counts_what_it_routes() -> None:
    """Coverage and accuracy of the record are those of the tickets that the rule lets through, one by one."""
    p_NC, labels_N = simulated(800, 2)
    unknown_N = np.linspace(0.0, 1.0, 800)

    found = fit_abstention(p_NC, labels_N, unknown_N, 0.9, True)

    assert found is not None
    rule, routed_N = found
    top_N2 = -np.sort(-p_NC, axis=1)[:, :2].astype(np.float64)
    by_hand_N = np.array(
        [
            why_not(rule, first, second, unknown) is None
            for (first, second), unknown in zip(top_N2.tolist(), unknown_N.tolist(), strict=True)
        ]
    )
    right_N = p_NC.argmax(axis=1) == labels_N
    assert routed_N.tolist() == by_hand_N.tolist()
    assert (rule.target, rule.num_tickets, rule.by_default, rule.detail) == (0.9, 800, True, "")
    assert rule.coverage == by_hand_N.mean()
    assert rule.accuracy == right_N[by_hand_N].mean()
    assert rule.max_unknown == pytest.approx(0.99, abs=0.01)


def test_target_out_of_reach_is_said() -> None:
    """Labels that follow from nothing: no threshold, no coverage, and the reason with its figures."""
    p_NC, _ = simulated(300, 4)
    labels_N = np.random.default_rng(0).integers(5, size=300)

    found = fit_abstention(p_NC, labels_N, np.zeros(300), 0.95, False)

    assert found is not None
    rule, routed_N = found
    assert (rule.threshold, rule.coverage, rule.accuracy) == (None, 0.0, None)
    assert not routed_N.any()
    assert "95.0% right is not reached" in rule.detail
    assert f"of the {MIN_ROUTED} surest of 300 tickets kept out" in rule.detail
    assert "no target from 50% on is reached" in rule.detail


def test_few_tickets_give_no_rule() -> None:
    """One ticket less than the least says nothing."""
    p_NC, labels_N = simulated(MIN_TICKETS, 6)

    assert fit_abstention(p_NC, labels_N, np.zeros(MIN_TICKETS), 0.9, False) is not None
    assert fit_abstention(p_NC[1:], labels_N[1:], np.zeros(MIN_TICKETS - 1), 0.9, False) is None


@given(st.integers(50, 300), st.integers(0, 1000), st.floats(0.5, 0.99))
def test_any_probabilities_give_a_rule(num_tickets: int, seed: int, target: float) -> None:
    """The fit ends with finite numbers, and what it says of its tickets is consistent."""
    p_NC, labels_N = simulated(num_tickets, seed)

    found = fit_abstention(p_NC, labels_N, np.zeros(num_tickets), target, False)

    assert found is not None
    rule, _ = found
    assert (rule.threshold is None) == (rule.coverage == 0.0) == (rule.accuracy is None)
    assert rule.detail or rule.threshold is not None
    assert 0.0 <= rule.tie_margin <= 1.0


def test_coverage_of_each_category_by_hand() -> None:
    """Of three tickets of "a" two are routed and one of these is right; "b" has one, not routed; "c" has none."""
    p_NC = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.5, 0.4, 0.1]], dtype=np.float32)

    found = coverage_by_category(["a", "b", "c"], p_NC, np.array([0, 0, 0, 1]), np.array([True, True, False, False]))

    assert {name: (one.num_tickets, one.coverage, one.accuracy) for name, one in found.items()} == {
        "a": (3, 2 / 3, 0.5),
        "b": (1, 0.0, None),
    }
