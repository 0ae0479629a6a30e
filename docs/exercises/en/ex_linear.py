"""Exercise: what a word weighs before anything is learnt, and a loss that asks for a margin.

Read docs/en/02-baseline.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_linear.py
"""

# Axes: N tickets, V words, C categories.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def idf(counts_NV: Array) -> Array:
    """Return the weight of each word, [V]: ln((1 + N) / (1 + n)) + 1, where n tickets hold the word.

    Args:
        counts_NV: how often each word stands in each ticket.
    """
    raise NotImplementedError("write idf; start with a table that says of each ticket whether it holds the word")


def squared_hinge(scores_NC: Array, targets_N: NDArray[np.int64]) -> tuple[float, Array]:
    """Return the loss and its slope by each score, [N, C].

    The loss is the mean over the tickets of the sum over the categories of max(0, 1 - y s)^2; y is 1 for the true
    category of the ticket, and -1 for all others.

    Args:
        scores_NC: the scores s.
        targets_N: the number of each ticket's true category.
    """
    raise NotImplementedError("write squared_hinge; start with the signs y")
