"""Exercice : la température, par dichotomie.

Lisez docs/fr/07-temperature.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_temperature.py
"""

# Axes : N tickets de validation, C catégories.

import numpy as np
from numpy.typing import NDArray


def best_temperature(logits_NC: NDArray[np.float64], targets_N: NDArray[np.int64]) -> float:
    """Renvoie la température, entre 0,05 et 20, qui donne la plus petite entropie croisée de `logits_NC / T`.

    Arguments :
        logits_NC : ce que le réseau dit de chaque ticket.
        targets_N : le numéro de la vraie catégorie de chaque ticket.
    """
    raise NotImplementedError("écrivez best_temperature ; commencez par une fonction : la pente pour un s = 1/T")
