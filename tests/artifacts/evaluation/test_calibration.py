"""Tests of artifacts/evaluation/calibration.py: each number against a plain loop over tickets, or scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.arrays import Doubles, Flags, Floats, Longs
from artifacts.evaluation import calibration
from artifacts.evaluation.calibration import UNKNOWN, CoverageAt

# Sixteenths are exact in float32, so that equal confidences and the edges of bins come up.
TICKETS = st.lists(st.tuples(st.integers(1, 16), st.booleans()), min_size=1, max_size=80)


def made(num_tickets: int, num_categories: int, seed: int) -> tuple[Floats, Longs]:
    """Return random probabilities and true categories, some of which the model lacks."""
    random = np.random.default_rng(seed)
    probabilities_NC = random.dirichlet([0.3] * num_categories, num_tickets).astype(np.float32)
    return probabilities_NC, random.integers(UNKNOWN, num_categories, num_tickets)


def arrays(tickets: list[tuple[int, bool]]) -> tuple[Doubles, Flags]:
    """Return confidences and whether the answers are right."""
    return np.array([sixteenths / 16 for sixteenths, _ in tickets]), np.array([correct for _, correct in tickets])


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_a_loop(seed: int) -> None:
    """Best category, confidence, rank and Brier score of each ticket, by their definitions."""
    probabilities_NC, targets_N = made(60, 7, seed)

    found = calibration.score(probabilities_NC, targets_N)

    for row, target in enumerate(targets_N.tolist()):
        probabilities = probabilities_NC[row].tolist()
        best_first = sorted(range(7), key=lambda c: -probabilities[c])  # stable: the first of equals
        assert found.best_N[row] == best_first[0]
        assert found.confidence_N[row] == probabilities[best_first[0]]
        assert found.rank_N[row] == (7 if target == UNKNOWN else best_first.index(target))
        # A category that the model lacks is one more, whose probability is 0.
        truth = [float(c == (7 if target == UNKNOWN else target)) for c in range(8)]
        brier = sum((p - y) ** 2 for p, y in zip([*probabilities, 0.0], truth, strict=True))
        assert found.brier_N[row] == pytest.approx(brier, abs=1e-6)


def test_first_of_equal_categories_is_the_answer() -> None:
    """Where all are equally probable the true category has the place that its number gives it."""
    found = calibration.score(np.full((3, 3), 1 / 3, dtype=np.float32), np.arange(3))

    assert found.best_N.tolist() == [0, 0, 0]
    assert found.rank_N.tolist() == [0, 1, 2]


@pytest.mark.torch
def test_scikit_learn_agrees() -> None:
    """scikit-learn, which shares no code with ours, has the same top-k accuracy and Brier score."""
    from sklearn.metrics import brier_score_loss, top_k_accuracy_score

    probabilities_NC, targets_N = made(300, 8, 3)
    targets_N = np.maximum(targets_N, 0)
    scores = calibration.score(probabilities_NC, targets_N)

    for k in (1, 3, 5):
        expected = top_k_accuracy_score(targets_N, probabilities_NC, k=k, labels=np.arange(8))
        assert calibration.top_k_accuracy(scores.rank_N, k) == pytest.approx(expected)
    for c in range(8):  # of two classes it halves what ours says, and ours of many is the sum of theirs
        scores_of = brier_score_loss(targets_N == c, probabilities_NC[:, c])
        np.testing.assert_allclose(scores_of, np.mean((probabilities_NC[:, c] - (targets_N == c)) ** 2), atol=1e-6)
    total = sum(brier_score_loss(targets_N == c, probabilities_NC[:, c]) for c in range(8))
    assert scores.brier_N.mean() == pytest.approx(total, abs=1e-6)


@given(TICKETS)
def test_bins_are_those_of_a_loop(tickets: list[tuple[int, bool]]) -> None:
    """A ticket is in the bin (low, high] of its confidence; bins hold each ticket once; the ECE is their mean gap."""
    confidence_N, correct_N = arrays(tickets)

    bins = calibration.reliability(confidence_N, correct_N)

    assert sum(one.count for one in bins) == len(tickets)
    gap = 0.0
    for one in bins:
        inside = [
            right for p, right in zip(confidence_N.tolist(), correct_N.tolist(), strict=True) if one.low < p <= one.high
        ]
        sure = [p for p in confidence_N.tolist() if one.low < p <= one.high]
        assert one.count == len(inside) > 0
        assert (one.accuracy, one.confidence) == pytest.approx((np.mean(inside), np.mean(sure)))
        assert one.high - one.low == pytest.approx(1 / 15)
        gap += len(inside) / len(tickets) * abs(np.mean(inside) - np.mean(sure))
    assert calibration.expected_calibration_error(bins) == pytest.approx(gap)


def test_hand_worked_calibration() -> None:
    """Of four answers at 0.75 three are right, of two at 0.5 none: ECE = 4/6 * 0 + 2/6 * 0.5 = 1/6."""
    bins = calibration.reliability(np.array([0.75] * 4 + [0.5] * 2), np.array([1, 1, 1, 0, 0, 0], dtype=np.bool_))

    low, high = bins
    assert (low.low, low.high) == pytest.approx((7 / 15, 8 / 15))
    assert (low.count, low.confidence, low.accuracy) == (2, 0.5, 0.0)
    assert (high.count, high.confidence, high.accuracy) == (4, 0.75, 0.75)
    assert calibration.expected_calibration_error(bins) == pytest.approx(1 / 6)


@pytest.mark.parametrize("confidence", [1.0, 1.0000001192092896])
def test_certainty_is_in_the_last_bin(confidence: float) -> None:
    """A float32 just above 1 too."""
    (only,) = calibration.reliability(np.array([confidence]), np.array([True]))

    assert (only.high, only.count) == (1.0, 1)


@given(TICKETS)
def test_coverage_is_that_of_a_loop(tickets: list[tuple[int, bool]]) -> None:
    """Each point counts the tickets at or above its threshold; no threshold would answer more and be right enough."""
    confidence_N, correct_N = arrays(tickets)
    every = {}
    for threshold in confidence_N.tolist():
        right = correct_N[confidence_N >= threshold]
        every[threshold] = (len(right) / len(tickets), float(np.mean(right)))

    curve, found, _ = calibration.coverage_curve(confidence_N, correct_N)

    assert 1 <= len(curve) <= 20
    assert curve[-1].coverage == 1.0
    assert curve[-1].accuracy == pytest.approx(np.mean(correct_N))
    for point in curve:
        assert (point.coverage, point.accuracy) == pytest.approx(every[point.threshold])
    for step in range(1, 21):  # the smallest coverage that reaches 5 %, 10 %, ... is on the curve
        smallest = min(coverage for coverage, _ in every.values() if coverage >= step / 20 - 1e-9)
        assert any(point.coverage == pytest.approx(smallest) for point in curve)
    for at in found:
        good = [coverage for coverage, accuracy in every.values() if accuracy >= at.accuracy]
        assert at.coverage == pytest.approx(max(good, default=0.0))
        assert (at.threshold is None) == (not good)
        assert at.threshold is None or every[at.threshold][0] == pytest.approx(at.coverage)


def test_area_under_the_risk_is_the_mean_over_random_orders_of_equals() -> None:
    """Of tickets that are equally sure nobody knows the order; 4,000 random ones have the same mean area."""
    random = np.random.default_rng(1)
    confidence_N = random.integers(1, 5, 30) / 4
    correct_N = random.random(30) < confidence_N

    areas = []
    for _ in range(4000):
        order = np.lexsort((random.random(30), -confidence_N))
        areas.append(np.mean(np.cumsum(~correct_N[order]) / np.arange(1, 31)))

    assert calibration.coverage_curve(confidence_N, correct_N)[2] == pytest.approx(np.mean(areas), abs=3e-3)


def test_hand_worked_coverage() -> None:
    """Right at 0.9, 0.8 and 0.6, wrong at 0.7: 90 % right are reached with half of the tickets.

    Risk of the surest 1, 2, 3, 4: 0, 0, 1/3, 1/4, whose mean is 7/48.
    """
    curve, found, area = calibration.coverage_curve(np.array([0.6, 0.7, 0.8, 0.9]), np.array([True, False, True, True]))

    assert [(point.coverage, point.threshold) for point in curve] == [(0.25, 0.9), (0.5, 0.8), (0.75, 0.7), (1.0, 0.6)]
    assert [point.accuracy for point in curve] == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert found == [CoverageAt(share, 0.5, 0.8) for share in (0.90, 0.95, 0.99)]
    assert area == pytest.approx(7 / 48)


@pytest.mark.parametrize(
    ("num_correct", "num_tickets", "low", "high"),
    [
        (48, 48, 0.9259, 1.0),  # N / (N + z^2) = 48 / 51.84
        (8, 8, 0.6756, 1.0),  # 8 / 11.84
        (1, 1, 0.2065, 1.0),
        (0, 8, 0.0, 0.3244),  # the mirror of 8 of 8
        (2, 4, 0.1500, 0.8500),
        (81, 263, 0.2553, 0.3662),  # the example of Newcombe 1998, "Two-sided confidence intervals", method 3
        (15, 148, 0.0624, 0.1605),  # and another
    ],
)
def test_interval_is_that_of_wilson(num_correct: int, num_tickets: int, low: float, high: float) -> None:
    """As worked by hand and as published; where all is right, or nothing, it has a width too."""
    found = calibration.accuracy_interval(num_correct, num_tickets)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_interval_holds_what_lies_within_two_deviations(num_tickets: int, data: st.DataObject) -> None:
    """At its ends the right answers are exactly z standard deviations from what such an accuracy lets expect."""
    num_correct = data.draw(st.integers(0, num_tickets))

    found = calibration.accuracy_interval(num_correct, num_tickets)

    assert 0.0 <= found.low <= num_correct / num_tickets <= found.high <= 1.0
    for end in (found.low, found.high):
        if 0.0 < end < 1.0:
            deviation = abs(num_correct / num_tickets - end) / (end * (1 - end) / num_tickets) ** 0.5
            assert deviation == pytest.approx(1.96, abs=1e-4)


@pytest.mark.parametrize(("num_tickets", "accuracy"), [(48, 0.97), (100, 0.9), (200, 0.5), (500, 0.99)])
def test_interval_holds_the_truth_in_about_95_of_100_draws(num_tickets: int, accuracy: float) -> None:
    """Drawn 4,000 times, with a seed of its own; near the edge coverage goes up and down with N, never below 92 %."""
    drawn = np.random.default_rng(7).binomial(num_tickets, accuracy, 4000).tolist()
    found = [calibration.accuracy_interval(one, num_tickets) for one in drawn]

    assert np.mean([one.low <= accuracy <= one.high for one in found]) >= 0.92
