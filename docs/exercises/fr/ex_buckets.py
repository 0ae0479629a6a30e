"""Exercice : des lots de longueurs voisines, et pourtant au hasard.

Lisez docs/fr/05-entrainement.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_buckets.py
"""

from collections.abc import Sequence

import numpy as np


def batches(lengths: Sequence[int], size: int, num_pooled: int, random: np.random.Generator) -> list[list[int]]:
    """Renvoie les numéros des tickets de chaque lot d’une époque.

    Chaque ticket est dans un seul lot, et aucun lot n’en contient plus de `size`.

    Arguments :
        lengths : nombre de tokens de chaque ticket.
        size : tickets d’un lot.
        num_pooled : nombre de lots que l’on trie ensemble par longueur.
        random : ce qui distribue les tickets ; un autre état donne un autre ordre.
    """
    raise NotImplementedError("écrivez batches ; commencez par random.permutation(len(lengths))")
