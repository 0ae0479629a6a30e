"""A solution of the exercise."""

# Axes: F features, H outputs of the first layer, I inputs of the last layer.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fold_first(weight_HF: Array, bias_H: Array, mean_F: Array, std_F: Array) -> tuple[Array, Array]:
    """Return the weight [H,F] and the bias [H] that answer to raw features as these do to standardised ones.

    W (x - mean) / std + b = (W / std) x + (b - W (mean / std)); each column of W has its own std.
    """
    return weight_HF / std_F, bias_H - weight_HF @ (mean_F / std_F)


def fold_last(weight_1I: Array, bias_1: Array, target_mean: float, target_std: float) -> tuple[Array, Array]:
    """Return the weight [1,I] and the bias [1] that answer in the target's own unit."""
    return weight_1I * target_std, bias_1 * target_std + target_mean
