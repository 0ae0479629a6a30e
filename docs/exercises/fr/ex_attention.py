"""Exercice : l’attention pour un lot, où personne ne regarde le remplissage.

Lisez docs/fr/19-attention.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_attention.py
"""

# Axes : B tickets du lot, T tokens (remplissage compris), D nombres d’une question, d’une clé et d’une valeur.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention(q_BTD: Array, k_BTD: Array, v_BTD: Array, lengths_B: NDArray[np.int64]) -> Array:
    """Renvoie pour chaque token la moyenne des valeurs de son ticket, de poids softmax(q k / sqrt(D)), [B, T, D].

    Arguments :
        q_BTD : ce que demande chaque token.
        k_BTD : ce par quoi on trouve chaque token.
        v_BTD : ce que dit chaque token.
        lengths_B : la vraie longueur de chaque ticket ; ce qui suit n’a aucun poids. Les lignes du remplissage lui-même
            peuvent contenir n’importe quoi sauf NaN.
    """
    raise NotImplementedError("écrivez attention ; `q_BTD @ k_BTD.transpose(0, 2, 1)` : l’accord de deux tokens")
