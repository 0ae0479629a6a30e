"""Exercise: batches of like length, and still by chance.

Read docs/en/05-training.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_buckets.py
"""

from collections.abc import Sequence

import numpy as np


def batches(lengths: Sequence[int], size: int, num_pooled: int, random: np.random.Generator) -> list[list[int]]:
    """Return the ticket numbers of each batch of an epoch.

    Each ticket is in one batch, and no batch holds more than `size`.

    Args:
        lengths: tokens of each ticket.
        size: tickets of a batch.
        num_pooled: batches that are sorted by length together.
        random: what deals the tickets; another state gives another order.
    """
    raise NotImplementedError("write batches; start with random.permutation(len(lengths))")
