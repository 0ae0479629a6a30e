"""Exercice : une exponentielle en quatre lignes.

Lisez docs/fr/15-noyau.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_exponential.py
"""

from artifacts.arrays import Floats

# De 2^f = somme des c_i f^i, la plus haute puissance d’abord : c_i = ln(2)^i / i! (série de Taylor de e^(f ln 2)).
COEFFICIENTS = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)


def exponential(x_N: Floats) -> Floats:
    """Renvoie e^x de nombres entre -87 et 87, sans appeler d’exponentielle ni de puissance.

    Arguments :
        x_N : float32.
    Renvoie :
        float32, à une erreur relative inférieure à 1e-6.
    """
    raise NotImplementedError("écrivez exponential ; commencez par x / ln 2 comme un nombre entier et un reste")
