"""Exercise: the weights of a PyTorch GRU, as ONNX wants them.

Read docs/en/13-artifact.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_gates.py
"""

# Axes: D directions (1 here), E a token's vector, H hidden; 3H is three gates, one under the other.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def to_onnx(w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Array, Array, Array]:
    """Return W [D,3H,E], R [D,3H,H] and B [D,6H] for ONNX's GRU operator.

    Args:
        w_3HE: `gru.weight_ih_l0`, the gates in the order r, z, n.
        u_3HH: `gru.weight_hh_l0`.
        b_3H: `gru.bias_ih_l0`.
        c_3H: `gru.bias_hh_l0`.
    """
    raise NotImplementedError("write to_onnx; start with a function that moves the three blocks of one array")
