"""A solution of the exercise."""

# Axes: B tickets in the batch, T tokens (padded), D numbers of a question, of a key and of a value.
#       In fits_BTT the second axis is the token that asks, the third the one that is looked at.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention(q_BTD: Array, k_BTD: Array, v_BTD: Array, lengths_B: NDArray[np.int64]) -> Array:
    """Return for each token the mean of the values of its ticket, weighted by softmax(q k / sqrt(D)), [B, T, D]."""
    # The variance of a sum of D products grows with D; without the root softmax would be sure before it has learnt.
    fits_BTT = q_BTD @ k_BTD.transpose(0, 2, 1) / np.sqrt(q_BTD.shape[2])
    is_padding_BT = np.arange(q_BTD.shape[1]) >= lengths_B[:, None]
    # exp(-inf) is 0. Each ticket has a token, so no row is -inf throughout, which would be NaN.
    fits_BTT = np.where(is_padding_BT[:, None, :], -np.inf, fits_BTT)
    odds_BTT = np.exp(fits_BTT - fits_BTT.max(axis=2, keepdims=True))
    mean_BTD: Array = odds_BTT / odds_BTT.sum(axis=2, keepdims=True) @ v_BTD
    return mean_BTD
