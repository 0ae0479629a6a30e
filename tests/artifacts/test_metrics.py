"""Tests of artifacts/metrics.py: the numbers of `/test` and `evaluate`."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.metrics import MAX_MISTAKES, CategoryMetrics, Confusion, Mistake, measure

LABELS = ["a", "b", "c"]
PAIRS = st.lists(st.tuples(st.sampled_from("abcz"), st.sampled_from("abc")), min_size=1, max_size=60)


def test_hand_worked_example() -> None:
    """Five tickets, two wrong, worked by hand.

    Expected a a a b c, predicted a a b b a.
    a: 2 hits, called 3 times, 3 are: precision 2/3, recall 2/3, F1 = 2*2/(3+3) = 2/3.
    b: 1 hit, called 2 times, 1 is: precision 1/2, recall 1, F1 = 2*1/(2+1) = 2/3.
    c: 0 hits, never called, 1 is: all 0.
    Accuracy 3/5; macro-F1 = (2/3 + 2/3 + 0)/3 = 4/9.
    """
    found = measure(LABELS, list("aaabc"), list("aabba"), [0.9, 0.8, 0.7, 0.6, 0.95], [1, None, "t3", 4, 5])

    assert (found.total_tests, found.correct_predictions, found.total_error) == (5, 3, 2)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.macro_f1 == pytest.approx(4 / 9)
    assert found.per_category == {
        "a": CategoryMetrics(2 / 3, 2 / 3, 2 / 3, 3),
        "b": CategoryMetrics(0.5, 1.0, 2 / 3, 1),
        "c": CategoryMetrics(0.0, 0.0, 0.0, 1),
    }
    assert found.confusions == [Confusion("a", "b", 1), Confusion("c", "a", 1)]
    assert found.mistakes == [Mistake(4, "c", "a", 0.95, 5), Mistake(2, "a", "b", 0.7, "t3")]
    assert found.unknown_categories == {}


def test_unknown_category_counts_as_error() -> None:
    """A ticket of a category that the model lacks is an error, is listed, and takes part in macro-F1 with 0."""
    found = measure(LABELS, ["a", "z", "z", "y"], ["a", "a", "b", "c"], [0.5] * 4)

    assert (found.correct_predictions, found.total_error, found.accuracy) == (1, 3, 0.25)
    assert found.unknown_categories == {"y": 1, "z": 2}
    assert found.per_category["z"] == CategoryMetrics(0.0, 0.0, 0.0, 2)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0 + 0 + 0 + 0) / 5)
    assert [mistake.expected for mistake in found.mistakes] == ["z", "z", "y"]


def test_known_category_without_tickets_does_not_count() -> None:
    """A category that was neither expected nor predicted is in no table and not in the mean."""
    found = measure(LABELS, ["a"], ["a"], [1.0])

    assert list(found.per_category) == ["a"]
    assert found.macro_f1 == 1.0
    assert (found.confusions, found.mistakes) == ([], [])


def test_hundred_surest_mistakes_are_kept() -> None:
    """Of 250 mistakes the 100 with the highest confidence are listed, surest first; all are counted."""
    confidences = [row / 1000 for row in range(250)]
    random.Random(7).shuffle(confidences)

    found = measure(LABELS, ["a"] * 250, ["b"] * 250, confidences)

    assert found.total_error == 250
    assert found.confusions == [Confusion("a", "b", 250)]
    assert [mistake.confidence for mistake in found.mistakes] == sorted(confidences, reverse=True)[:100]
    assert all(confidences[mistake.row] == mistake.confidence for mistake in found.mistakes)
    assert len(found.mistakes) == MAX_MISTAKES == 100


def test_confusions_come_most_frequent_first() -> None:
    """Ties go by name, so the order never depends on the order of the tickets."""
    found = measure(LABELS, list("cbbbaa"), list("abccbc"), [0.5] * 6)

    expected = [Confusion("b", "c", 2), Confusion("a", "b", 1), Confusion("a", "c", 1), Confusion("c", "a", 1)]
    assert found.confusions == expected


def test_lists_of_unequal_length_are_our_bug() -> None:
    """A missing prediction is an error at once, not a shifted row."""
    with pytest.raises(ValueError, match="zip"):
        measure(LABELS, ["a", "b"], ["a"], [0.5])


@given(PAIRS)
def test_numbers_add_up(pairs: list[tuple[str, str]]) -> None:
    """Supports add up to the tickets, confusions to the errors, shares stay within 0..1."""
    expected, predicted = zip(*pairs, strict=True)

    found = measure(LABELS, expected, predicted, [0.5] * len(pairs))

    assert found.correct_predictions + found.total_error == found.total_tests == len(pairs)
    assert sum(category.support for category in found.per_category.values()) == len(pairs)
    assert sum(confusion.count for confusion in found.confusions) == found.total_error
    assert 0 <= found.macro_f1 <= 1
    assert set(found.per_category) == set(expected) | set(predicted)


@pytest.mark.torch
@given(PAIRS)
def test_scikit_learn_agrees(pairs: list[tuple[str, str]]) -> None:
    """scikit-learn, which shares no code with ours, computes the same accuracy, macro-F1 and per-category numbers."""
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    expected, predicted = map(list, zip(*pairs, strict=True))
    categories = sorted(set(expected) | set(predicted))

    found = measure(LABELS, expected, predicted, [0.5] * len(pairs))

    assert found.accuracy == pytest.approx(accuracy_score(expected, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(expected, predicted, average="macro", zero_division=0))
    columns = precision_recall_fscore_support(expected, predicted, labels=categories, zero_division=0)
    for category, precision, recall, f1, support in zip(categories, *columns, strict=True):
        ours = found.per_category[category]
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))
        assert ours.support == support
