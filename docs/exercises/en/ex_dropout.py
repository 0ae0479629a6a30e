"""Exercise: dropout, on numbers and on words.

Read docs/en/06-how-much.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_dropout.py
"""

# Axes: B tickets in the batch, T tokens (padded); the axes of `values` are any.

import numpy as np
from numpy.typing import NDArray

PAD, UNK = 0, 1


def dropout(values: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the values with about `share` of them at 0, and the others scaled so that the mean stays.

    Args:
        values: any shape; they are left as they are.
        share: from 0 to below 1.
        random: what chooses them.
    """
    raise NotImplementedError("write dropout; start with random.random(values.shape)")


def hide_words(ids_BT: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the ids with about `share` of the tokens replaced by UNK; padding stays padding."""
    raise NotImplementedError("write hide_words; start with the places that hold a token")
