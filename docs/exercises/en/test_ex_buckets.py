"""The check of the exercise."""

import itertools

import ex_buckets
import numpy as np

LENGTHS = np.random.default_rng(7).integers(1, 60, size=1000).tolist()


def dealt(seed: int) -> list[list[int]]:
    """Return the batches of an epoch: 1,000 tickets, 16 in a batch, pools of 20 batches."""
    return ex_buckets.batches(LENGTHS, 16, 20, np.random.default_rng(seed))


def filling(batches: list[list[int]]) -> float:
    """Return which share of all places is padding."""
    places = sum(len(batch) * max(LENGTHS[ticket] for ticket in batch) for batch in batches)
    return 1 - sum(LENGTHS) / places


def test_every_ticket_is_dealt_once() -> None:
    """All batches together hold each ticket, and no batch is larger than asked for."""
    found = dealt(0)

    assert sorted(ticket for batch in found for ticket in batch) == list(range(1000))
    assert max(map(len, found)) == 16


def test_little_is_filled_up() -> None:
    """Dealt at random nearly half of all places would be padding; here less than a tenth is."""
    assert filling(dealt(0)) < 0.1


def test_chance_is_left() -> None:
    """Two epochs have other batches, and a ticket meets others."""
    first, second = ({frozenset(batch) for batch in dealt(seed)} for seed in (0, 1))

    assert len(first & second) < 10


def test_batches_come_in_no_order_of_length() -> None:
    """The first half of an epoch holds tickets as long as the second half does."""
    means = [np.mean([LENGTHS[ticket] for ticket in batch]) for batch in dealt(0)]
    rising = sum(one < other for one, other in itertools.pairwise(means))

    assert rising < 0.7 * len(means)


def test_same_seed_deals_the_same() -> None:
    """The order comes from `random` alone."""
    assert dealt(3) == dealt(3)
