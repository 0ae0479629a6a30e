"""Exercice : ce que pèse un mot avant tout apprentissage, et une perte qui demande une marge.

Lisez docs/fr/02-point-de-repere.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_linear.py
"""

# Axes : N tickets, V mots, C catégories.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def idf(counts_NV: Array) -> Array:
    """Renvoie le poids de chaque mot, [V] : ln((1 + N) / (1 + n)) + 1, où n tickets contiennent le mot.

    Arguments :
        counts_NV : combien de fois chaque mot figure dans chaque ticket.
    """
    raise NotImplementedError("écrivez idf ; commencez par un tableau qui dit de chaque ticket s’il contient le mot")


def squared_hinge(scores_NC: Array, targets_N: NDArray[np.int64]) -> tuple[float, Array]:
    """Renvoie la perte et sa pente par rapport à chaque score, [N, C].

    La perte est la moyenne, sur les tickets, de la somme, sur les catégories, de max(0, 1 - y s)^2 ; y vaut 1 pour la
    vraie catégorie du ticket, et -1 pour toutes les autres.

    Arguments :
        scores_NC : les scores s.
        targets_N : le numéro de la vraie catégorie de chaque ticket.
    """
    raise NotImplementedError("écrivez squared_hinge ; commencez par les signes y")
