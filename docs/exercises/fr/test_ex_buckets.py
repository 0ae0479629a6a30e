"""La vérification de l’exercice."""

import itertools

import ex_buckets
import numpy as np

LENGTHS = np.random.default_rng(7).integers(1, 60, size=1000).tolist()


def dealt(seed: int) -> list[list[int]]:
    """Renvoie les lots d’une époque : 1000 tickets, 16 par lot, des groupes de 20 lots."""
    return ex_buckets.batches(LENGTHS, 16, 20, np.random.default_rng(seed))


def filling(batches: list[list[int]]) -> float:
    """Renvoie la part de toutes les places qui est du remplissage."""
    places = sum(len(batch) * max(LENGTHS[ticket] for ticket in batch) for batch in batches)
    return 1 - sum(LENGTHS) / places


def test_every_ticket_is_dealt_once() -> None:
    """Les lots contiennent ensemble chaque ticket, et aucun n’est plus grand que demandé."""
    found = dealt(0)

    assert sorted(ticket for batch in found for ticket in batch) == list(range(1000))
    assert max(map(len, found)) == 16


def test_little_is_filled_up() -> None:
    """Au hasard, près de la moitié des places seraient du remplissage ; ici, moins d’un dixième."""
    assert filling(dealt(0)) < 0.1


def test_chance_is_left() -> None:
    """Deux époques ont des lots différents, et un ticket en rencontre d’autres."""
    first, second = ({frozenset(batch) for batch in dealt(seed)} for seed in (0, 1))

    assert len(first & second) < 10


def test_batches_come_in_no_order_of_length() -> None:
    """La première moitié d’une époque a des tickets aussi longs que la seconde."""
    means = [np.mean([LENGTHS[ticket] for ticket in batch]) for batch in dealt(0)]
    rising = sum(one < other for one, other in itertools.pairwise(means))

    assert rising < 0.7 * len(means)


def test_same_seed_deals_the_same() -> None:
    """L’ordre vient du seul `random`."""
    assert dealt(3) == dealt(3)
