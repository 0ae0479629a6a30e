"""A solution of the exercise."""

# Axes: N tickets, V words, C categories.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def idf(counts_NV: Array) -> Array:
    """Return the weight of each word, [V]: ln((1 + N) / (1 + n)) + 1, where n tickets hold the word."""
    # A ticket that holds a word twice is one ticket.
    holding_V = (counts_NV > 0).sum(axis=0)
    weight_V: Array = np.log((1 + len(counts_NV)) / (1 + holding_V)) + 1
    return weight_V


def squared_hinge(scores_NC: Array, targets_N: NDArray[np.int64]) -> tuple[float, Array]:
    """Return the loss and its slope by each score, [N, C]."""
    signs_NC = np.full(scores_NC.shape, -1.0)
    signs_NC[np.arange(len(targets_N)), targets_N] = 1
    missing_NC = np.maximum(0.0, 1 - signs_NC * scores_NC)  # to the margin; 0 beyond it
    # The slope of m^2 is 2 m, times that of m = 1 - y s, which is -y; the mean divides by N.
    return float((missing_NC**2).sum(axis=1).mean()), -2 * signs_NC * missing_NC / len(targets_N)
