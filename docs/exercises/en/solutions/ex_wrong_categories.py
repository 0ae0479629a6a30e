"""A solution of the exercise."""

# Axes: N tickets, C categories.

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def limits(says_NC: Floats, given_N: Ints) -> Floats:
    """Return limits_C: of each category, the mean probability that its own tickets have of being it."""
    return np.array([says_NC[given_N == label, label].mean() for label in range(says_NC.shape[1])])


def counted(says_NC: Floats, given_N: Ints) -> list[int]:
    """Return the numbers of the tickets that count as wrong, in order."""
    reached_NC = np.where(says_NC >= limits(says_NC, given_N), says_NC, -1.0)
    found: list[int] = np.flatnonzero((reached_NC.max(axis=1) >= 0) & (reached_NC.argmax(axis=1) != given_N)).tolist()
    return found
