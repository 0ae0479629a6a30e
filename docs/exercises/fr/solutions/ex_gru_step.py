"""Une solution de l’exercice."""

# Axes : E le vecteur d’un token, H l’état ; 3H : les portes r, z et n, l’une sous l’autre.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gru_step(x_E: Array, h_H: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> Array:
    """Renvoie le nouvel état [H] après le token `x_E`, à partir de l’ancien état `h_H`."""
    of_token_r, of_token_z, of_token_n = np.split(w_3HE @ x_E + b_3H, 3)
    of_state_r, of_state_z, of_state_n = np.split(u_3HH @ h_H + c_3H, 3)
    r_H = 1 / (1 + np.exp(-(of_token_r + of_state_r)))
    z_H = 1 / (1 + np.exp(-(of_token_z + of_state_z)))
    n_H = np.tanh(of_token_n + r_H * of_state_n)
    new_H: Array = (1 - z_H) * n_H + z_H * h_H
    return new_H
