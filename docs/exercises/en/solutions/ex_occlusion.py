"""A solution of the exercise."""

import math
from collections.abc import Callable, Sequence

Ask = Callable[[list[list[str]]], list[list[float]]]


def weights(ask: Ask, tokens: Sequence[str], label: int) -> list[float]:
    """Return by how much the log-odds of a category fall without each token, in the order of the tokens."""
    ticket = list(tokens)
    whole, *without = ask([ticket, *(ticket[:place] + ticket[place + 1 :] for place in range(len(ticket)))])
    return [log_odds(whole, label) - log_odds(row, label) for row in without]


def log_odds(row: Sequence[float], label: int) -> float:
    """Return ln(p / (1 - p)), where 1 - p is what the other categories have: summed, it keeps its digits."""
    others = [*row[:label], *row[label + 1 :]]
    return math.log(row[label] / sum(others))
