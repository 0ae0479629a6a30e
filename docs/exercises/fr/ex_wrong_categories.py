"""Exercice : l’apprentissage confiant, des probabilités hors pli aux tickets qui comptent comme faux.

Lisez docs/fr/12-regarder-d-abord.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_wrong_categories.py
"""

# Axes : N tickets, C catégories.

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def limits(says_NC: Floats, given_N: Ints) -> Floats:
    """Renvoie limits_C : de chaque catégorie, la probabilité moyenne que ses propres tickets ont d’en être.

    Arguments :
        says_NC : ce que dit d’un ticket un modèle qui ne l’a pas vu.
        given_N : la catégorie de chacun ; toute catégorie a un ticket.
    """
    raise NotImplementedError("écrivez limits ; commencez par une catégorie : quelles lignes et quelle colonne ?")


def counted(says_NC: Floats, given_N: Ints) -> list[int]:
    """Renvoie les numéros des tickets qui comptent comme faux, dans l’ordre.

    Parmi les catégories qui atteignent leur limite, la plus probable n’est pas celle du ticket.
    """
    raise NotImplementedError("écrivez counted ; commencez par un ticket : quelles catégories atteignent leur limite ?")
