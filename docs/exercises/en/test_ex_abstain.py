"""The check of the exercise."""

import ex_abstain
import pytest


def test_example_by_hand() -> None:
    """Right, right, wrong, right, wrong: after four tickets three of four are right, after five three of five."""
    confidences, right = [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False]

    assert ex_abstain.threshold(confidences, right, 0.75, 1) == 0.6
    assert ex_abstain.threshold(confidences, right, 0.6, 1) == 0.5
    assert ex_abstain.threshold(confidences, right, 1.0, 1) == 0.8
    assert ex_abstain.coverage_and_accuracy(confidences, right, 0.6) == (0.8, 0.75)


def test_order_of_the_tickets_does_not_count() -> None:
    """They come as they come."""
    assert ex_abstain.threshold([0.5, 0.9, 0.6, 0.7, 0.8], [False, True, True, False, True], 0.75, 1) == 0.6


def test_equally_sure_tickets_go_together() -> None:
    """Two tickets of .8, one of them wrong: no threshold lies between them."""
    assert ex_abstain.threshold([0.9, 0.8, 0.8], [True, True, False], 1.0, 1) == 0.9
    assert ex_abstain.threshold([0.9, 0.8, 0.8], [True, False, True], 0.6, 1) == 0.8


def test_few_tickets_prove_nothing() -> None:
    """Two right ones are enough where two are asked for, and not where three are."""
    assert ex_abstain.threshold([0.9, 0.8, 0.1], [True, True, False], 0.95, 2) == 0.8
    assert ex_abstain.threshold([0.9, 0.8, 0.1], [True, True, False], 0.95, 3) is None


def test_target_out_of_reach() -> None:
    """Nobody is right often enough; and nobody at all is so sure."""
    assert ex_abstain.threshold([0.9, 0.8], [False, True], 0.9, 1) is None
    assert ex_abstain.coverage_and_accuracy([0.9, 0.8], [False, True], 0.95) == (0.0, None)


def test_threshold_keeps_what_it_promises() -> None:
    """Of two hundred tickets the routed ones are right as often as asked for, and one lower step would not be."""
    confidences = [1 - place / 200 for place in range(200)]
    right = [place % 7 != 3 and (place < 120 or place % 2 == 0) for place in range(200)]

    found = ex_abstain.threshold(confidences, right, 0.8, 20)

    coverage, accuracy = ex_abstain.coverage_and_accuracy(confidences, right, found)
    assert accuracy >= 0.8
    for lower in (one for one in confidences if one < found):
        assert ex_abstain.coverage_and_accuracy(confidences, right, lower)[1] < 0.8
    assert coverage == pytest.approx(sum(one >= found for one in confidences) / 200)
