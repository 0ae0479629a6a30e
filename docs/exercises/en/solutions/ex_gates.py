"""A solution of the exercise."""

# Axes: D directions (1 here), E a token's vector, H hidden; 3H is three gates, one under the other.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def reordered(weight: Array) -> Array:
    """Return the blocks r, z, n in the order z, r, n (ONNX calls the last one h)."""
    r, z, n = np.split(weight, 3)
    return np.concatenate((z, r, n))


def to_onnx(w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Array, Array, Array]:
    """Return W [D,3H,E], R [D,3H,H] and B [D,6H] for ONNX's GRU operator."""
    bias_6H = np.concatenate((reordered(b_3H), reordered(c_3H)))
    return reordered(w_3HE)[np.newaxis], reordered(u_3HH)[np.newaxis], bias_6H[np.newaxis]
