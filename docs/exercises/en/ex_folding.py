"""Exercise: a network that standardises by its weights alone.

Read docs/en/16-kinds.md, fill in the functions, and run

    pytest docs/exercises/en/test_ex_folding.py
"""

# Axes: F features, H outputs of the first layer, I inputs of the last layer.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fold_first(weight_HF: Array, bias_H: Array, mean_F: Array, std_F: Array) -> tuple[Array, Array]:
    """Return the weight [H,F] and the bias [H] that answer to raw features as these do to standardised ones.

    Args:
        weight_HF: of the first layer; it takes (features - mean) / std.
        bias_H: of the first layer.
        mean_F: of each feature.
        std_F: standard deviation of each feature, never 0.
    """
    raise NotImplementedError("write fold_first; start with one feature, on paper")


def fold_last(weight_1I: Array, bias_1: Array, target_mean: float, target_std: float) -> tuple[Array, Array]:
    """Return the weight [1,I] and the bias [1] that answer in the target's own unit.

    Args:
        weight_1I: of the last layer, whose answer is a standardised target.
        bias_1: of the last layer.
        target_mean: of the targets.
        target_std: standard deviation of the targets.
    """
    raise NotImplementedError("write fold_last; start from answer * target_std + target_mean")
