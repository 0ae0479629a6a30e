"""A solution of the exercise."""

import math
from collections.abc import Sequence


def wins_and_losses(expected: Sequence[float], old: Sequence[float], new: Sequence[float]) -> tuple[int, int]:
    """Return on how many rows the new version's number is nearer to the expected one, and on how many the old one's."""
    rows = [(abs(o - e), abs(n - e)) for e, o, n in zip(expected, old, new, strict=True)]
    return sum(after < before for before, after in rows), sum(after > before for before, after in rows)


def p_value(num_wins: int, num_losses: int) -> float:
    """Return the probability that a coin, tossed once for each win and loss, shows heads `num_wins` times or more."""
    num_tosses = num_wins + num_losses
    num_ways = sum(math.comb(num_tosses, heads) for heads in range(num_wins, num_tosses + 1))
    return num_ways / 2**num_tosses  # of whole numbers, as large as they may be, Python rounds the quotient only
