"""A solution of the exercise."""

# Axes: E a token's vector, H hidden; 3H is the gates r, z and n, one under the other.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gru_step(x_E: Array, h_H: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> Array:
    """Return the new state [H] after the token `x_E`, given the old state `h_H`."""
    of_token_r, of_token_z, of_token_n = np.split(w_3HE @ x_E + b_3H, 3)
    of_state_r, of_state_z, of_state_n = np.split(u_3HH @ h_H + c_3H, 3)
    r_H = 1 / (1 + np.exp(-(of_token_r + of_state_r)))
    z_H = 1 / (1 + np.exp(-(of_token_z + of_state_z)))
    n_H = np.tanh(of_token_n + r_H * of_state_n)
    new_H: Array = (1 - z_H) * n_H + z_H * h_H
    return new_H
