"""A solution of the exercise."""

from collections.abc import Sequence

import numpy as np


def batches(lengths: Sequence[int], size: int, num_pooled: int, random: np.random.Generator) -> list[list[int]]:
    """Return the ticket numbers of each batch of an epoch."""
    order = random.permutation(len(lengths)).tolist()
    found = []
    for start in range(0, len(order), size * num_pooled):
        # Which tickets meet in a pool is chance; inside of it like lengths stand together.
        pool = sorted(order[start : start + size * num_pooled], key=lambda ticket: lengths[ticket])
        found += [pool[place : place + size] for place in range(0, len(pool), size)]
    # Without this, every pool would begin with its short tickets.
    return [found[place] for place in random.permutation(len(found)).tolist()]
