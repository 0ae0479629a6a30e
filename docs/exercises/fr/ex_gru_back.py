"""Exercice : en arrière à travers un pas de GRU.

Lisez docs/fr/03-gradient.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_gru_back.py
"""

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
    """Renvoie la pente de la perte par rapport au vecteur du token, [B, E], et à l’ancien état h', [B, H].

    Arguments :
        step : ce qu’a donné `forward`.
        before_BH : l’ancien état h'.
        d_h_BH : la pente de la perte par rapport au nouvel état h.
        w_3HE : W, appliqué au token.
        u_3HH : U, appliqué à l’état.
    """
    raise NotImplementedError("écrivez backward ; partez de h = (1 - z) * n + z * h', et remontez")
