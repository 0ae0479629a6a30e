"""Exercice : un réseau qui standardise par ses seuls poids.

Lisez docs/fr/16-familles.md, complétez les fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_folding.py
"""

# Axes : F caractéristiques, H sorties de la première couche, I entrées de la dernière.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fold_first(weight_HF: Array, bias_H: Array, mean_F: Array, std_F: Array) -> tuple[Array, Array]:
    """Renvoie les poids [H,F] et les biais [H] qui répondent aux valeurs brutes comme ceux-ci aux standardisées.

    Arguments :
        weight_HF : de la première couche ; elle reçoit (caractéristiques - moyenne) / écart-type.
        bias_H : de la première couche.
        mean_F : moyenne de chaque caractéristique.
        std_F : écart-type de chaque caractéristique, jamais 0.
    """
    raise NotImplementedError("écrivez fold_first ; commencez par une seule caractéristique, sur le papier")


def fold_last(weight_1I: Array, bias_1: Array, target_mean: float, target_std: float) -> tuple[Array, Array]:
    """Renvoie les poids [1,I] et le biais [1] qui répondent dans l’unité même de la cible.

    Arguments :
        weight_1I : de la dernière couche, dont la réponse est une cible standardisée.
        bias_1 : de la dernière couche.
        target_mean : moyenne des cibles.
        target_std : écart-type des cibles.
    """
    raise NotImplementedError("écrivez fold_last ; partez de réponse * target_std + target_mean")
