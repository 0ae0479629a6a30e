"""La vérification de l’exercice."""

import ex_batches
import pytest


def test_example_by_hand() -> None:
    """Un calcul coûte 2 ms, plus 1 ms par ticket : 0..3 pour le premier, deux autres jusqu’à 7, puis le dernier.

    Le quatrième arrive à l’instant même où finit le deuxième calcul : il est donc dans le troisième, de 7 à 10.
    """
    arrivals = [0.0, 1.0, 2.5, 7.0]

    assert ex_batches.batches(arrivals, 2.0, 1.0) == [[0], [1, 2], [3]]
    assert ex_batches.waits_ms(arrivals, 2.0, 1.0) == pytest.approx([3.0, 6.0, 4.5, 3.0])


def test_ticket_that_comes_during_a_run_belongs_to_the_next() -> None:
    """On ne rejoint pas un calcul commencé, même si sa fin est encore loin."""
    assert ex_batches.batches([0.0, 0.1], 100.0, 0.0) == [[0], [1]]


def test_lone_tickets_run_alone() -> None:
    """Espacés, chacun est calculé aussitôt et n’attend que son propre calcul ; personne n’attend de compagnie."""
    arrivals = [10.0, 20.0, 30.0]

    assert ex_batches.batches(arrivals, 2.0, 1.0) == [[0], [1], [2]]
    assert ex_batches.waits_ms(arrivals, 2.0, 1.0) == pytest.approx([3.0, 3.0, 3.0])


def test_together_is_one_batch() -> None:
    """Ceux qui arrivent ensemble sont calculés ensemble."""
    assert ex_batches.batches([5.0] * 8, 2.0, 1.0) == [list(range(8))]


def test_batches_grow_with_the_load() -> None:
    """De mille tickets, chacun est calculé une fois et dans l’ordre ; plus ils affluent, plus les lots sont grands."""
    sizes = []
    for gap_ms in (4.0, 2.0, 1.25):
        found = ex_batches.batches([gap_ms * place for place in range(1000)], 2.0, 1.0)
        assert [place for batch in found for place in batch] == list(range(1000))
        sizes.append(max(map(len, found)))

    assert sizes[0] == 1
    assert sizes[0] < sizes[1] < sizes[2]


def test_nobody_asks() -> None:
    """Sans ticket, il n’y a pas de lot."""
    assert ex_batches.batches([], 2.0, 1.0) == []
    assert ex_batches.waits_ms([], 2.0, 1.0) == []
