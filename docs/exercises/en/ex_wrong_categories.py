"""Exercise: confident learning, from probabilities out of fold to the tickets that count as wrong.

Read docs/en/12-look-first.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_wrong_categories.py
"""

# Axes: N tickets, C categories.

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def limits(says_NC: Floats, given_N: Ints) -> Floats:
    """Return limits_C: of each category, the mean probability that its own tickets have of being it.

    Args:
        says_NC: what a model that has not seen a ticket says of it.
        given_N: the category of each; every category has a ticket.
    """
    raise NotImplementedError("write limits; start with one category: which rows are its own, which column is it?")


def counted(says_NC: Floats, given_N: Ints) -> list[int]:
    """Return the numbers of the tickets that count as wrong, in order.

    Of the categories that reach their limit the most probable one is another than the ticket's own.
    """
    raise NotImplementedError("write counted; start with one ticket: which categories reach their limit?")
