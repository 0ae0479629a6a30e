"""Une solution de l’exercice."""

# Axes : F caractéristiques, H sorties de la première couche, I entrées de la dernière.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fold_first(weight_HF: Array, bias_H: Array, mean_F: Array, std_F: Array) -> tuple[Array, Array]:
    """Renvoie les poids [H,F] et les biais [H] qui répondent aux valeurs brutes comme ceux-ci aux standardisées.

    W (x - mean) / std + b = (W / std) x + (b - W (mean / std)) ; chaque colonne de W a son propre std.
    """
    return weight_HF / std_F, bias_H - weight_HF @ (mean_F / std_F)


def fold_last(weight_1I: Array, bias_1: Array, target_mean: float, target_std: float) -> tuple[Array, Array]:
    """Renvoie les poids [1,I] et le biais [1] qui répondent dans l’unité même de la cible."""
    return weight_1I * target_std, bias_1 * target_std + target_mean
