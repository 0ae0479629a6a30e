"""Exercice : les poids d’un GRU de PyTorch, tels qu’ONNX les veut.

Lisez docs/fr/13-artefact.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_gates.py
"""

# Axes : D sens de lecture (1 ici), E le vecteur d’un token, H l’état ; 3H : trois portes, l’une sous l’autre.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def to_onnx(w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Array, Array, Array]:
    """Renvoie W [D,3H,E], R [D,3H,H] et B [D,6H] pour l’opérateur GRU d’ONNX.

    Arguments :
        w_3HE : `gru.weight_ih_l0`, les portes dans l’ordre r, z, n.
        u_3HH : `gru.weight_hh_l0`.
        b_3H : `gru.bias_ih_l0`.
        c_3H : `gru.bias_hh_l0`.
    """
    raise NotImplementedError("écrivez to_onnx ; commencez par une fonction qui déplace les trois blocs d’un tableau")
