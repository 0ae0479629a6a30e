"""A solution of the exercise."""

# Axes: B tickets in the batch, T tokens (padded); the axes of `values` are any.

import numpy as np
from numpy.typing import NDArray

PAD, UNK = 0, 1


def dropout(values: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the values with about `share` of them at 0, and the others scaled so that the mean stays."""
    kept = random.random(values.shape) >= share
    # Of 10 numbers 8 are left: each counts 10/8, so that the next layer sees sums of the size that it will see later.
    return np.where(kept, values / (1 - share), 0.0)


def hide_words(ids_BT: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the ids with about `share` of the tokens replaced by UNK; padding stays padding."""
    hidden_BT = (random.random(ids_BT.shape) < share) & (ids_BT != PAD)
    return np.where(hidden_BT, UNK, ids_BT)
