"""Exercice : le dropout, sur des nombres et sur des mots.

Lisez docs/fr/06-combien-apprendre.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_dropout.py
"""

# Axes : B tickets du lot, T tokens (remplissage compris) ; les axes de `values` sont quelconques.

import numpy as np
from numpy.typing import NDArray

PAD, UNK = 0, 1


def dropout(values: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Renvoie les valeurs, dont une part d’environ `share` à 0 et les autres agrandies pour que la moyenne demeure.

    Arguments :
        values : de forme quelconque ; on ne les modifie pas.
        share : de 0 à moins de 1.
        random : ce qui les choisit.
    """
    raise NotImplementedError("écrivez dropout ; commencez par random.random(values.shape)")


def hide_words(ids_BT: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Renvoie les identifiants, une part d’environ `share` des tokens remplacée par UNK ; le remplissage demeure."""
    raise NotImplementedError("écrivez hide_words ; commencez par les places qui contiennent un token")
