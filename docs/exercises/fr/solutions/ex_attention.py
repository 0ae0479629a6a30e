"""Une solution de l’exercice."""

# Axes : B tickets du lot, T tokens (remplissage compris), D nombres d’une question, d’une clé et d’une valeur.
#       Dans fits_BTT, le deuxième axe est le token qui demande, le troisième celui qui est regardé.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention(q_BTD: Array, k_BTD: Array, v_BTD: Array, lengths_B: NDArray[np.int64]) -> Array:
    """Renvoie pour chaque token la moyenne des valeurs de son ticket, de poids softmax(q k / sqrt(D)), [B, T, D]."""
    # La variance d’une somme de D produits croît avec D ; sans la racine, softmax serait sûr sans avoir appris.
    fits_BTT = q_BTD @ k_BTD.transpose(0, 2, 1) / np.sqrt(q_BTD.shape[2])
    is_padding_BT = np.arange(q_BTD.shape[1]) >= lengths_B[:, None]
    # exp(-inf) vaut 0. Chaque ticket a un token : aucune ligne n’est toute à -inf, ce qui donnerait NaN.
    fits_BTT = np.where(is_padding_BT[:, None, :], -np.inf, fits_BTT)
    odds_BTT = np.exp(fits_BTT - fits_BTT.max(axis=2, keepdims=True))
    mean_BTD: Array = odds_BTT / odds_BTT.sum(axis=2, keepdims=True) @ v_BTD
    return mean_BTD
