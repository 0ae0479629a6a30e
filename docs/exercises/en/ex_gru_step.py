"""Exercise: one step of a GRU.

Read docs/en/04-gru.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_gru_step.py
"""

# Axes: E a token's vector, H hidden; 3H is the gates r, z and n, one under the other.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gru_step(x_E: Array, h_H: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> Array:
    """Return the new state [H] after the token `x_E`, given the old state `h_H`.

    Args:
        x_E: the token's vector.
        h_H: the old state.
        w_3HE: W, applied to the token (`gru.weight_ih_l0` in PyTorch).
        u_3HH: U, applied to the state (`gru.weight_hh_l0`).
        b_3H: b, the biases beside W (`gru.bias_ih_l0`).
        c_3H: c, the biases beside U (`gru.bias_hh_l0`).
    """
    raise NotImplementedError("write gru_step; `np.split(w_3HE @ x_E + b_3H, 3)` gives the token's side of r, z and n")
