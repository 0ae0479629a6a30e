"""Une solution de l’exercice."""

import math
from collections.abc import Sequence


def wins_and_losses(expected: Sequence[float], old: Sequence[float], new: Sequence[float]) -> tuple[int, int]:
    """Renvoie sur combien de lignes le nombre de la nouvelle version est plus près du bon, et sur combien l’ancien."""
    rows = [(abs(o - e), abs(n - e)) for e, o, n in zip(expected, old, new, strict=True)]
    return sum(after < before for before, after in rows), sum(after > before for before, after in rows)


def p_value(num_wins: int, num_losses: int) -> float:
    """Renvoie la probabilité qu’une pièce, lancée pour chaque ligne, tombe au moins `num_wins` fois sur face."""
    num_tosses = num_wins + num_losses
    num_ways = sum(math.comb(num_tosses, heads) for heads in range(num_wins, num_tosses + 1))
    return num_ways / 2**num_tosses  # d’entiers, si grands soient-ils, Python n’arrondit que le quotient
