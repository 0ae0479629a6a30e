"""Exercise: the sign test, from counting to the p-value.

Read docs/en/09-better-or-lucky.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_better_or_lucky.py
"""

from collections.abc import Sequence


def wins_and_losses(expected: Sequence[float], old: Sequence[float], new: Sequence[float]) -> tuple[int, int]:
    """Return on how many rows the new version's number is nearer to the expected one, and on how many the old one's.

    Args:
        expected: the right number of each row.
        old: what the old version answers to each.
        new: what the new version answers to each.
    """
    raise NotImplementedError("write wins_and_losses; start with one row: how far off is each answer?")


def p_value(num_wins: int, num_losses: int) -> float:
    """Return the probability that a coin, tossed once for each win and loss, shows heads `num_wins` times or more.

    Computed by hand: with `math`, without scipy. 1.0 if there is nothing to toss for.
    """
    raise NotImplementedError("write p_value; start with math.comb: in how many ways do ten tosses show eight heads?")
