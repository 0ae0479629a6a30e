"""The check of the exercise."""

import ex_batches
import pytest


def test_example_by_hand() -> None:
    """Runs cost 2 ms and 1 ms a ticket: 0..3 for the first, then the two that came meanwhile until 7, then the last.

    The fourth arrives at the very moment at which the second run ends, and so is in the third, from 7 to 10.
    """
    arrivals = [0.0, 1.0, 2.5, 7.0]

    assert ex_batches.batches(arrivals, 2.0, 1.0) == [[0], [1, 2], [3]]
    assert ex_batches.waits_ms(arrivals, 2.0, 1.0) == pytest.approx([3.0, 6.0, 4.5, 3.0])


def test_ticket_that_comes_during_a_run_belongs_to_the_next() -> None:
    """A run is not joined, though its end is still far."""
    assert ex_batches.batches([0.0, 0.1], 100.0, 0.0) == [[0], [1]]


def test_lone_tickets_run_alone() -> None:
    """With time between them each runs at once and waits for its own run only; nobody waits for company."""
    arrivals = [10.0, 20.0, 30.0]

    assert ex_batches.batches(arrivals, 2.0, 1.0) == [[0], [1], [2]]
    assert ex_batches.waits_ms(arrivals, 2.0, 1.0) == pytest.approx([3.0, 3.0, 3.0])


def test_together_is_one_batch() -> None:
    """Those that arrive at once run at once."""
    assert ex_batches.batches([5.0] * 8, 2.0, 1.0) == [list(range(8))]


def test_batches_grow_with_the_load() -> None:
    """Of a thousand tickets each runs once and in order, and the closer they come the larger the batches are."""
    sizes = []
    for gap_ms in (4.0, 2.0, 1.25):
        found = ex_batches.batches([gap_ms * place for place in range(1000)], 2.0, 1.0)
        assert [place for batch in found for place in batch] == list(range(1000))
        sizes.append(max(map(len, found)))

    assert sizes[0] == 1
    assert sizes[0] < sizes[1] < sizes[2]


def test_nobody_asks() -> None:
    """Without tickets there is no batch."""
    assert ex_batches.batches([], 2.0, 1.0) == []
    assert ex_batches.waits_ms([], 2.0, 1.0) == []
