"""How sure a difference between two classifiers is that were asked the same tickets: a paired bootstrap.

The test tickets are one draw of many that could have been. Drawing as many again from them, with replacement, shows how
far the difference moves by that luck alone; both classifiers answer the same draw, so what is hard for both cancels
out. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

Not in it: the luck of the training. Correctness is averaged over the seeds before, so the interval is that of the mean.
"""

# Axes: N test tickets, K distinct differences, R resamples.

from collections.abc import Sequence

import msgspec
import numpy as np

NUM_RESAMPLES = 10_000
SEED = 0


class Interval(msgspec.Struct, frozen=True):
    """A mean difference of accuracies and its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_interval(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> Interval:
    """Return how much more often ours are right than theirs; the same input gives the same interval.

    Args:
        ours: per seed, whether the answer to each test ticket was right.
        theirs: the same of the other classifier, for the same tickets in the same order.
    """
    difference_N = np.mean(np.array(ours, dtype=float), axis=0) - np.mean(np.array(theirs, dtype=float), axis=0)
    # A draw of tickets counts how often each distinct difference comes, which is one multinomial: the same distribution
    # as drawing N row numbers, without 10,000 x N of them. Rounded, because 1/3 summed twice is not 2/3.
    value_K, count_K = np.unique(difference_N.round(9), return_counts=True)
    num_tickets = len(difference_N)
    drawn_RK = np.random.default_rng(SEED).multinomial(num_tickets, count_K / num_tickets, size=NUM_RESAMPLES)
    low, high = np.percentile(drawn_RK @ value_K / num_tickets, [2.5, 97.5])
    return Interval(float(difference_N.mean()), float(low), float(high))
