"""Exercice : un pas de GRU.

Lisez docs/fr/04-gru.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_gru_step.py
"""

# Axes : E le vecteur d’un token, H l’état ; 3H : les portes r, z et n, l’une sous l’autre.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gru_step(x_E: Array, h_H: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> Array:
    """Renvoie le nouvel état [H] après le token `x_E`, à partir de l’ancien état `h_H`.

    Arguments :
        x_E : le vecteur du token.
        h_H : l’ancien état.
        w_3HE : W, appliqué au token (`gru.weight_ih_l0` en PyTorch).
        u_3HH : U, appliqué à l’état (`gru.weight_hh_l0`).
        b_3H : b, les biais à côté de W (`gru.bias_ih_l0`).
        c_3H : c, les biais à côté de U (`gru.bias_hh_l0`).
    """
    raise NotImplementedError("écrivez gru_step ; `np.split(w_3HE @ x_E + b_3H, 3)` : la part du token dans r, z et n")
