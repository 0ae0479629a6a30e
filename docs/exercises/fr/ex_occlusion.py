"""Exercice : ce que pèse chaque token.

Lisez docs/fr/11-expliquer.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_occlusion.py
"""

from collections.abc import Callable, Sequence

Ask = Callable[[list[list[str]]], list[list[float]]]  # tickets -> pour chacun, la probabilité de chaque catégorie


def weights(ask: Ask, tokens: Sequence[str], label: int) -> list[float]:
    """Renvoie de combien la log-cote d’une catégorie baisse sans chaque token, dans l’ordre des tokens.

    La log-cote est ln(p / (1 - p)), logarithme naturel. Aucune probabilité que donne `ask` n’est 0.

    Arguments :
        ask : répond à plusieurs tickets à la fois ; appelée une fois, car un lot coûte bien moins que ses tickets.
        tokens : ceux du ticket, au moins deux.
        label : la place de la catégorie dans une réponse de `ask`.
    """
    raise NotImplementedError("écrivez weights ; interrogez ensemble le ticket entier et ses variantes plus courtes")
