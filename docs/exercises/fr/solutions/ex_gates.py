"""Une solution de l’exercice."""

# Axes : D sens de lecture (1 ici), E le vecteur d’un token, H l’état ; 3H : trois portes, l’une sous l’autre.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def reordered(weight: Array) -> Array:
    """Renvoie les blocs r, z, n dans l’ordre z, r, n (ONNX appelle h le dernier)."""
    r, z, n = np.split(weight, 3)
    return np.concatenate((z, r, n))


def to_onnx(w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Array, Array, Array]:
    """Renvoie W [D,3H,E], R [D,3H,H] et B [D,6H] pour l’opérateur GRU d’ONNX."""
    bias_6H = np.concatenate((reordered(b_3H), reordered(c_3H)))
    return reordered(w_3HE)[np.newaxis], reordered(u_3HH)[np.newaxis], bias_6H[np.newaxis]
