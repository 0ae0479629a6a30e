"""Une solution de l’exercice."""

from collections.abc import Sequence


def batches(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[list[int]]:
    """Renvoie quels tickets sont calculés ensemble, par leurs places dans `arrivals`."""
    found: list[list[int]] = []
    free_at, place = 0.0, 0
    while place < len(arrivals):
        begin = max(free_at, arrivals[place])
        end = place
        while end < len(arrivals) and arrivals[end] <= begin:
            end += 1
        found.append(list(range(place, end)))
        free_at = begin + run_ms + ticket_ms * (end - place)
        place = end
    return found


def waits_ms(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[float]:
    """Renvoie combien de temps chaque ticket attend, de son arrivée à la fin de son lot."""
    found: list[float] = []
    free_at = 0.0
    for batch in batches(arrivals, run_ms, ticket_ms):
        free_at = max(free_at, arrivals[batch[0]]) + run_ms + ticket_ms * len(batch)
        found += [free_at - arrivals[place] for place in batch]
    return found
