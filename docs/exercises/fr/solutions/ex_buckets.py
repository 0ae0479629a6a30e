"""Une solution de l’exercice."""

from collections.abc import Sequence

import numpy as np


def batches(lengths: Sequence[int], size: int, num_pooled: int, random: np.random.Generator) -> list[list[int]]:
    """Renvoie les numéros des tickets de chaque lot d’une époque."""
    order = random.permutation(len(lengths)).tolist()
    found = []
    for start in range(0, len(order), size * num_pooled):
        # Le hasard dit quels tickets se trouvent dans un groupe ; à l’intérieur, les longueurs voisines se suivent.
        pool = sorted(order[start : start + size * num_pooled], key=lambda ticket: lengths[ticket])
        found += [pool[place : place + size] for place in range(0, len(pool), size)]
    # Sans cela, chaque groupe commencerait par ses tickets courts.
    return [found[place] for place in random.permutation(len(found)).tolist()]
