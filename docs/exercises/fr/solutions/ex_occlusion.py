"""Une solution de l’exercice."""

import math
from collections.abc import Callable, Sequence

Ask = Callable[[list[list[str]]], list[list[float]]]


def weights(ask: Ask, tokens: Sequence[str], label: int) -> list[float]:
    """Renvoie de combien la log-cote d’une catégorie baisse sans chaque token, dans l’ordre des tokens."""
    ticket = list(tokens)
    whole, *without = ask([ticket, *(ticket[:place] + ticket[place + 1 :] for place in range(len(ticket)))])
    return [log_odds(whole, label) - log_odds(row, label) for row in without]


def log_odds(row: Sequence[float], label: int) -> float:
    """Renvoie ln(p / (1 - p)), où 1 - p est ce qu’ont les autres catégories : leur somme garde ses chiffres."""
    others = [*row[:label], *row[label + 1 :]]
    return math.log(row[label] / sum(others))
