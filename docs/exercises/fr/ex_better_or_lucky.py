"""Exercice : le test des signes, du comptage à la valeur p.

Lisez docs/fr/09-mieux-ou-chance.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_better_or_lucky.py
"""

from collections.abc import Sequence


def wins_and_losses(expected: Sequence[float], old: Sequence[float], new: Sequence[float]) -> tuple[int, int]:
    """Renvoie sur combien de lignes le nombre de la nouvelle version est plus près du bon, et sur combien l’ancien.

    Arguments :
        expected : le bon nombre de chaque ligne.
        old : ce que répond l’ancienne version à chacune.
        new : ce que répond la nouvelle version à chacune.
    """
    raise NotImplementedError("écrivez wins_and_losses ; commencez par une ligne : quels sont les deux écarts ?")


def p_value(num_wins: int, num_losses: int) -> float:
    """Renvoie la probabilité qu’une pièce, lancée pour chaque ligne, tombe au moins `num_wins` fois sur face.

    Calculée à la main : avec `math`, sans scipy. 1.0 s’il n’y a rien à tirer au sort.
    """
    raise NotImplementedError("écrivez p_value ; commencez par math.comb : combien de façons d’avoir 8 faces sur 10 ?")
