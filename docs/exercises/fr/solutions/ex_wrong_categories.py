"""Une solution de l’exercice."""

# Axes : N tickets, C catégories.

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def limits(says_NC: Floats, given_N: Ints) -> Floats:
    """Renvoie limits_C : de chaque catégorie, la probabilité moyenne que ses propres tickets ont d’en être."""
    return np.array([says_NC[given_N == label, label].mean() for label in range(says_NC.shape[1])])


def counted(says_NC: Floats, given_N: Ints) -> list[int]:
    """Renvoie les numéros des tickets qui comptent comme faux, dans l’ordre."""
    reached_NC = np.where(says_NC >= limits(says_NC, given_N), says_NC, -1.0)
    found: list[int] = np.flatnonzero((reached_NC.max(axis=1) >= 0) & (reached_NC.argmax(axis=1) != given_N)).tolist()
    return found
