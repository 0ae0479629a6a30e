"""Une solution de l’exercice."""

# Axes : N tickets, V mots, C catégories.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def idf(counts_NV: Array) -> Array:
    """Renvoie le poids de chaque mot, [V] : ln((1 + N) / (1 + n)) + 1, où n tickets contiennent le mot."""
    # Un ticket qui contient un mot deux fois n’est qu’un ticket.
    holding_V = (counts_NV > 0).sum(axis=0)
    weight_V: Array = np.log((1 + len(counts_NV)) / (1 + holding_V)) + 1
    return weight_V


def squared_hinge(scores_NC: Array, targets_N: NDArray[np.int64]) -> tuple[float, Array]:
    """Renvoie la perte et sa pente par rapport à chaque score, [N, C]."""
    signs_NC = np.full(scores_NC.shape, -1.0)
    signs_NC[np.arange(len(targets_N)), targets_N] = 1
    missing_NC = np.maximum(0.0, 1 - signs_NC * scores_NC)  # jusqu’à la marge ; 0 au-delà
    # La pente de m^2 est 2 m, fois celle de m = 1 - y s, qui est -y ; la moyenne divise par N.
    return float((missing_NC**2).sum(axis=1).mean()), -2 * signs_NC * missing_NC / len(targets_N)
