"""Une solution de l’exercice."""

# Axes : B tickets du lot, T tokens (remplissage compris) ; les axes de `values` sont quelconques.

import numpy as np
from numpy.typing import NDArray

PAD, UNK = 0, 1


def dropout(values: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Renvoie les valeurs, dont une part d’environ `share` à 0 et les autres agrandies pour que la moyenne demeure."""
    kept = random.random(values.shape) >= share
    # De 10 nombres, il en reste 8 : chacun compte 10/8, et la couche suivante voit des sommes de taille habituelle.
    return np.where(kept, values / (1 - share), 0.0)


def hide_words(ids_BT: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Renvoie les identifiants, une part d’environ `share` des tokens remplacée par UNK ; le remplissage demeure."""
    hidden_BT = (random.random(ids_BT.shape) < share) & (ids_BT != PAD)
    return np.where(hidden_BT, UNK, ids_BT)
