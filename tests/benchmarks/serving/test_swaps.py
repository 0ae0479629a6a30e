"""`python -m benchmarks swaps`: what counts as mixed and as late, and a few swaps of a real server."""

import click
import pytest

from artifacts.store.store import Store
from benchmarks.load.searches import OneAnswer
from benchmarks.serving import swaps
from benchmarks.serving.swaps import (
    Given,
    Settings,
    Swap,
    check_golden,
    is_right,
    lags_ms,
    measure,
    publish_permuted,
)


def answer(version: int, category: str, confidence: float, unknown: tuple[str, ...] = ()) -> OneAnswer:
    """Return an answer of the model."""
    return OneAnswer(
        model_name="puppet-o2",
        version=version,
        category=category,
        confidence=confidence,
        unknown_tokens=list(unknown),
        num_truncated_tokens=0,
    )


GOLDEN = {1: [answer(1, "a", 0.9), answer(1, "b", 0.8)], 3: [answer(3, "b", 0.7), answer(3, "a", 0.6)]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(1, "a", 0.90005), True),
        (answer(3, "b", 0.7), True),
        (answer(3, "a", 0.9), False),  # named by one version, given by the other
        (answer(1, "b", 0.9), False),  # the graph of one, the labels of the other
        (answer(1, "a", 0.7), False),
        (answer(1, "a", 0.9, ("mot",)), False),  # the vocabulary of another
        (answer(2, "a", 0.9), False),
    ],
)
def test_answer_is_that_of_the_version_that_it_names(given: OneAnswer, expected: bool) -> None:
    """The category, the confidence within 1e-4 and the unknown words are all of the version's own answer."""
    assert is_right(given, GOLDEN, 0) is expected


def test_versions_that_answer_alike_are_refused() -> None:
    """Where the two versions say the same, a mixture of them could not be seen."""
    check_golden(GOLDEN)

    with pytest.raises(click.ClickException, match="answer 2 of 2 tickets alike"):
        check_golden({1: GOLDEN[1], 3: GOLDEN[1]})


def test_lag_is_until_the_last_answer_of_the_version_before() -> None:
    """Two promotions at 0 and 1 s: the old version's answers 30 and 70 ms after the first; none after the second."""
    promotions = [Swap(1, 0.0, 0.010, 200), Swap(3, 1.0, 1.010, 200)]
    given = [
        Given(3, 0.005, True),  # before it was answered
        Given(3, 0.040, True),
        Given(1, 0.060, True),
        Given(3, 0.080, True),
        Given(1, 0.500, True),
        Given(1, 1.005, True),
        Given(3, 1.020, True),
    ]

    assert lags_ms(promotions, given) == [pytest.approx(70.0), 0.0]


@pytest.mark.system
def test_real_server_swaps_under_load(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six swaps between the fixture and its copy with other labels: all succeed, every answer is checked and right."""
    monkeypatch.setattr(swaps, "check_golden", lambda _: None)  # their confidences are equal, only the labels differ
    versions = (1, publish_permuted(store, "puppet-o2"))

    numbers = measure(Settings("puppet-o2", 6, 0.3, 50.0, 2, 8, 5, 0), store.root, versions)

    assert (numbers.num_swaps, numbers.num_failed_swaps) == (6, 0)
    assert (numbers.num_errors, numbers.num_refused, numbers.num_wrong) == (0, 0, 0)
    assert sorted(numbers.num_by_version) == sorted(versions)
    assert sum(numbers.num_by_version.values()) == numbers.num_calls
    assert numbers.void_because[0].startswith("6 promotions")
