"""Rounds in which several things take turns, so that a machine that slows down slows all of them alike."""

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks.latency import Spread

M = TypeVar("M")


def interleaved(things: Sequence[Callable[[], M]], rounds: int) -> list[list[M]]:
    """Return what each thing gives in each round; every round begins with another, or one would always be the first."""
    found: list[list[M]] = [[] for _ in things]
    for number in range(rounds):
        for step in range(len(things)):
            turn = (number + step) % len(things)
            found[turn].append(things[turn]())
    return found


def spread(values: Sequence[float], digits: int) -> Spread:
    """Return median, lowest and highest, rounded."""
    return Spread(*(round(choose(values), digits) for choose in (statistics.median, min, max)))
