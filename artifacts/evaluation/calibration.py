"""How far a model's confidence can be believed: numbers about probabilities and right answers, nothing else.

In: the probabilities of labelled tickets. Out: how often the true category is among the first k, whether 0.8 means
right in 8 cases of 10 (calibration), and what is gained by answering only where the model is sure (coverage).
`metrics.py` puts these numbers beside the others.
"""

# Axes: N tickets, C categories of the model.

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from artifacts.arrays import Doubles, Flags, Floats, Longs

NUM_BINS = 15  # as in Guo et al. 2017, so that an ECE can be compared with those of papers
NUM_POINTS = 20  # of the coverage curve
RIGHT_SHARES = (0.90, 0.95, 0.99)  # that a desk may ask of the answers it lets through
Z = 1.959964  # standard deviations on either side of the mean that hold 95 % of a normal distribution
UNKNOWN = -1  # the target of a ticket whose category the model lacks


class Interval(msgspec.Struct, frozen=True):
    """The accuracies that these tickets do not contradict, at 95 %: on other such tickets it lies between these."""

    low: float
    high: float


class ReliabilityBin(msgspec.Struct, frozen=True):
    """The answers whose confidence lies above `low` and up to `high`: how sure they were, and how many were right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class CoveragePoint(msgspec.Struct, frozen=True):
    """What comes out if only answers of at least `threshold` are given: for which share of the tickets, how right."""

    coverage: float
    threshold: float
    accuracy: float


class CoverageAt(msgspec.Struct, frozen=True):
    """The largest share of the tickets that can be answered with `accuracy` right, and from which confidence on.

    Attributes:
        coverage: 0 if no threshold reaches that accuracy on these tickets.
        threshold: None then.
    """

    accuracy: float
    coverage: float
    threshold: float | None


class Scores(msgspec.Struct, frozen=True):
    """What the numbers below need of each ticket's C probabilities, so that these need not be kept.

    Attributes:
        best_N: the most probable category, the first one of equals.
        confidence_N: its probability.
        rank_N: how many categories come before the true one, so 0 where the answer is right; C if the model lacks it.
        brier_N: the squared distance between the probabilities and the truth.
    """

    best_N: Longs
    confidence_N: Doubles
    rank_N: Longs
    brier_N: Doubles


def score(probabilities_NC: Floats, targets_N: Longs) -> Scores:
    """Return what each ticket's probabilities say of its true category.

    The Brier score of a ticket is the sum over C of (p_c - y_c)^2, y being 1 for the true category and 0 else
    (Brier 1950), here as sum p^2 - 2 p_true + 1; a category that the model lacks has the probability 0.

    Args:
        probabilities_NC: of each category.
        targets_N: the true one, or UNKNOWN.
    """
    num_tickets, num_categories = probabilities_NC.shape
    known_N = targets_N != UNKNOWN
    true_N = probabilities_NC[np.arange(num_tickets), targets_N]  # UNKNOWN reads the last; not used below
    # Of equally probable categories the first counts as said, as argmax has it.
    first_NC = np.arange(num_categories) < targets_N[:, None]
    before_NC = (probabilities_NC > true_N[:, None]) | ((probabilities_NC == true_N[:, None]) & first_NC)
    squares_N = np.einsum("nc,nc->n", probabilities_NC, probabilities_NC, dtype=np.float64)
    return Scores(
        best_N=probabilities_NC.argmax(axis=1),
        confidence_N=probabilities_NC.max(axis=1).astype(np.float64),
        rank_N=np.where(known_N, before_NC.sum(axis=1), num_categories),
        brier_N=squares_N + 1.0 - 2.0 * np.where(known_N, true_N, 0.0),
    )


def nothing_said(num_tickets: int, num_categories: int) -> Scores:
    """Return the scores of tickets that no category was said of: no confidence, the true one after all others."""
    zeros_N = np.zeros(num_tickets, dtype=np.int64)
    return Scores(zeros_N, zeros_N.astype(np.float64), zeros_N + num_categories, np.ones(num_tickets))


def joined(parts: Sequence[Scores]) -> Scores:
    """Return the scores of several runs of tickets as one."""
    fields = Scores.__struct_fields__
    return Scores(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def top_k_accuracy(rank_N: Longs, k: int) -> float:
    """Return the share of tickets whose true category is among the k most probable ones."""
    return float((rank_N < k).mean())


def accuracy_interval(num_correct: int, num_tickets: int) -> Interval:
    """Return the 95 % Wilson interval of an accuracy (Wilson 1927).

    It holds every accuracy p under which so many right answers lie within z = 1.96 standard deviations of those to be
    expected: (num_correct / N - p)^2 <= z^2 p (1 - p) / N, solved for p. So it is no point where every ticket is right,
    as an interval of resampled tickets is: 48 of 48 may come from a model that is right in 93 of 100.

    >>> found = accuracy_interval(48, 48)
    >>> round(found.low, 3), found.high
    (0.926, 1.0)

    Args:
        num_correct: of them.
        num_tickets: N >= 1.
    """
    share, spread = num_correct / num_tickets, Z**2 / num_tickets
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    # The ends are exactly 0 and 1 there; the arithmetic would be off by its last digit.
    return Interval(middle - half if num_correct else 0.0, middle + half if num_correct < num_tickets else 1.0)


def reliability(confidence_N: Doubles, correct_N: Flags) -> list[ReliabilityBin]:
    """Return the tickets in 15 bins of confidence of equal width, the empty bins left out.

    Bin m holds the confidences in ((m - 1) / 15, m / 15], as in Guo et al. 2017, "On Calibration of Modern Neural
    Networks".
    """
    edges = np.linspace(0.0, 1.0, NUM_BINS + 1)
    # A sum of probabilities in float32 may be a hair above 1.
    bin_N = np.searchsorted(edges[1:-1], confidence_N, side="left")
    counts = np.bincount(bin_N, minlength=NUM_BINS)
    confidence = np.bincount(bin_N, weights=confidence_N, minlength=NUM_BINS) / np.maximum(counts, 1)
    accuracy = np.bincount(bin_N, weights=correct_N, minlength=NUM_BINS) / np.maximum(counts, 1)
    return [
        ReliabilityBin(float(edges[m]), float(edges[m + 1]), int(counts[m]), float(confidence[m]), float(accuracy[m]))
        for m in range(NUM_BINS)
        if counts[m]
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the ECE (Guo et al. 2017): how far confidence and accuracy of a bin differ, weighted by its tickets."""
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / sum(one.count for one in bins)


def coverage_curve(confidence_N: Doubles, correct_N: Flags) -> tuple[list[CoveragePoint], list[CoverageAt], float]:
    """Return what answering only the surest tickets comes to.

    This is the risk-coverage curve (El-Yaniv and Wiener 2010), risk being 1 - accuracy. No threshold separates
    tickets of equal confidence, so they are taken in together. The thresholds are read off the very tickets that are
    counted; on others they do a little worse.

    Returns:
        The curve at 20 coverages, 5 % apart (fewer points where confidences are equal).
        For 90, 95 and 99 % right the largest coverage.
        The area under the curve of risk (AURC; Geifman et al. 2019): the mean over n of the share of errors among the
        n surest tickets; tickets of equal confidence count as in random order. 0 is perfect.
    """
    num_tickets = len(confidence_N)
    order = np.argsort(-confidence_N, kind="stable")
    sorted_N, hits_N = confidence_N[order], np.cumsum(correct_N[order])
    # One threshold a distinct confidence: how many tickets are answered, and how many of them right.
    ends_G = np.append(np.flatnonzero(np.diff(sorted_N)), num_tickets - 1)
    answered_G, threshold_G = ends_G + 1, sorted_N[ends_G]
    accuracy_G = hits_N[ends_G] / answered_G

    wanted = -(-np.arange(1, NUM_POINTS + 1) * num_tickets // NUM_POINTS)  # rounded up
    chosen = np.unique(np.searchsorted(answered_G, wanted))
    curve = [
        CoveragePoint(float(answered_G[g] / num_tickets), float(threshold_G[g]), float(accuracy_G[g])) for g in chosen
    ]

    found = []
    for share in RIGHT_SHARES:
        good = np.flatnonzero(accuracy_G >= share)
        coverage, threshold = (
            (answered_G[good[-1]] / num_tickets, float(threshold_G[good[-1]])) if len(good) else (0, None)
        )
        found.append(CoverageAt(share, float(coverage), threshold))

    # Between two thresholds the right answers grow evenly, as they do on average in random order.
    n = np.arange(1, num_tickets + 1)
    expected_hits_N = np.interp(n, np.append(0, answered_G), np.append(0, hits_N[ends_G]))
    return curve, found, float(np.mean(1.0 - expected_hits_N / n))
