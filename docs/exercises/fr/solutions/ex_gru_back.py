"""Une solution de l’exercice."""

# Axes : B tickets du lot, E le vecteur d’un token, H l’état ; 3H : les portes r, z et n, l’une sous l’autre.

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Step(NamedTuple):
    """Ce qu’a calculé le pas en avant, chacun [B, H] : les portes, la proposition, et u = U_n h' + c_n."""

    r: Array
    z: Array
    n: Array
    u: Array


def forward(x_BE: Array, before_BH: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Step, Array]:
    """Renvoie le pas et le nouvel état [B, H] ; cette fonction est donnée."""
    x_r, x_z, x_n = np.split(x_BE @ w_3HE.T + b_3H, 3, axis=1)
    h_r, h_z, u = np.split(before_BH @ u_3HH.T + c_3H, 3, axis=1)
    r, z = 1 / (1 + np.exp(-(x_r + h_r))), 1 / (1 + np.exp(-(x_z + h_z)))
    n = np.tanh(x_n + r * u)
    return Step(r, z, n, u), (1 - z) * n + z * before_BH


def backward(step: Step, before_BH: Array, d_h_BH: Array, w_3HE: Array, u_3HH: Array) -> tuple[Array, Array]:
    """Renvoie la pente de la perte par rapport au vecteur du token, [B, E], et à l’ancien état h', [B, H]."""
    # À travers tanh et sigmoid : d_a est la pente par rapport à ce qu’il y a à l’intérieur.
    d_a_n = d_h_BH * (1 - step.z) * (1 - step.n * step.n)
    d_a_z = d_h_BH * (before_BH - step.n) * step.z * (1 - step.z)
    d_a_r = d_a_n * step.u * step.r * (1 - step.r)
    # r se trouve entre u et n : il raccourcit la pente sur ce chemin, et sur aucun autre.
    d_u = d_a_n * step.r
    of_input, of_state = np.concatenate((d_a_r, d_a_z, d_a_n), axis=1), np.concatenate((d_a_r, d_a_z, d_u), axis=1)
    # Deux sortes de chemins vers l’ancien état : tout droit par z, et par U.
    return of_input @ w_3HE, d_h_BH * step.z + of_state @ u_3HH
