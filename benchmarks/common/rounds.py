"""Rounds in which several things take turns, so that a machine that slows down slows all of them alike."""

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

M = TypeVar("M")
S = TypeVar("S", bound=msgspec.Struct)

MIN_ROUNDS = 5  # STYLE.md, section 8


class Spread(msgspec.Struct, frozen=True):
    """A number that each round measured once."""

    median: float
    lowest: float
    highest: float


def in_turn(things: Sequence[M], number: int) -> list[M]:
    """Return the things in the order of a round; every round begins with another, or one would always be the first.

    >>> in_turn("abc", 1)
    ['b', 'c', 'a']
    """
    return [things[(number + step) % len(things)] for step in range(len(things))]


def interleaved(things: Sequence[Callable[[], M]], rounds: int) -> list[list[M]]:
    """Return what each thing gives in each round."""
    found: list[list[M]] = [[] for _ in things]
    for number in range(rounds):
        for place in in_turn(range(len(things)), number):
            found[place].append(things[place]())
    return found


def spread(values: Sequence[float], digits: int = 3) -> Spread:
    """Return median, lowest and highest, rounded."""
    return Spread(*(round(choose(values), digits) for choose in (statistics.median, min, max)))


def spreads(rounds: Sequence[S], digits: int) -> tuple[S, S, S]:
    """Return the median, the lowest and the highest of each number in the rounds, as Structs of their kind."""

    def of_each(choose: Callable[[list[float]], float]) -> S:
        columns = zip(*map(msgspec.structs.astuple, rounds), strict=True)
        return type(rounds[0])(*(round(choose(list(values)), digits) for values in columns))

    return of_each(statistics.median), of_each(min), of_each(max)


def too_few(rounds: int) -> list[str]:
    """Return why so many rounds are no result; nothing if they are one."""
    return [f"{rounds} rounds, a result has at least {MIN_ROUNDS}"] if rounds < MIN_ROUNDS else []
