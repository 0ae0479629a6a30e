"""Tests of artifacts/evaluation/metrics.py: the numbers of `/test` and `evaluate`, for categories and for values."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.arrays import Floats
from artifacts.evaluation.abstain import Abstention, CategoryCoverage
from artifacts.evaluation.metrics import (
    EMPTY,
    MAX_MISTAKES,
    CategoryMetrics,
    Confusion,
    ConfusionMatrix,
    LargeError,
    Metrics,
    Mistake,
    ValueMetrics,
    measure,
    measure_values,
)

LABELS = ["a", "b", "c"]
VALUES = st.integers(-10_000, 10_000).map(lambda cents: cents / 100)
VALUE_PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=200)
RULE = Abstention(0.9, 0.6, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.8, accuracy=0.91)
PAIRS = st.lists(st.tuples(st.sampled_from("abcz"), st.sampled_from("abc")), min_size=1, max_size=60)


def certain(predicted: Sequence[str], confidences: Sequence[float] = ()) -> Floats:
    """Return probabilities_NC that say `predicted`, each with its confidence (1 by default); the others share alike."""
    confidence_N = np.array(confidences or [1.0] * len(predicted), dtype=np.float32)
    said_NC = np.array([[label == said for label in LABELS] for said in predicted])
    rest_N = (1 - confidence_N) / (len(LABELS) - 1)
    return np.where(said_NC, confidence_N[:, None], rest_N[:, None]).astype(np.float32)


def test_hand_worked_example() -> None:
    """Five tickets, two wrong, worked by hand.

    Expected a a a b c, predicted a a b b a.
    a: 2 hits, called 3 times, 3 are: precision 2/3, recall 2/3, F1 = 2*2/(3+3) = 2/3.
    b: 1 hit, called 2 times, 1 is: precision 1/2, recall 1, F1 = 2*1/(2+1) = 2/3.
    c: 0 hits, never called, 1 is: all 0.
    Accuracy 3/5; macro-F1 = (2/3 + 2/3 + 0)/3 = 4/9.
    """
    found = measure(LABELS, list("aaabc"), [certain("aabba", [0.9, 0.8, 0.7, 0.6, 0.95])], [1, None, "t3", 4, 5])

    assert (found.total_tests, found.correct_predictions, found.total_error) == (5, 3, 2)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.macro_f1 == pytest.approx(4 / 9)
    assert found.per_category == {
        "a": CategoryMetrics(2 / 3, 2 / 3, 2 / 3, 3),
        "b": CategoryMetrics(0.5, 1.0, 2 / 3, 1),
        "c": CategoryMetrics(0.0, 0.0, 0.0, 1),
    }
    assert found.confusions == [Confusion("a", "b", 1), Confusion("c", "a", 1)]
    confidence = [mistake.confidence for mistake in found.mistakes]
    assert confidence == pytest.approx([0.95, 0.7])
    assert found.mistakes == [Mistake(4, "c", "a", confidence[0], 5), Mistake(2, "a", "b", confidence[1], "t3")]
    assert found.confusion_matrix == ConfusionMatrix(["a", "b", "c"], [(0, 0, 2), (0, 1, 1), (1, 1, 1), (2, 0, 1)])
    assert found.unknown_categories == {}


def test_unknown_category_counts_as_error() -> None:
    """A ticket of a category that the model lacks is an error, is listed, and takes part in macro-F1 with 0."""
    found = measure(LABELS, ["a", "z", "z", "y"], [certain("aabc")])

    assert (found.correct_predictions, found.total_error, found.accuracy) == (1, 3, 0.25)
    assert found.unknown_categories == {"y": 1, "z": 2}
    assert found.per_category["z"] == CategoryMetrics(0.0, 0.0, 0.0, 2)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0 + 0 + 0 + 0) / 5)
    assert [mistake.expected for mistake in found.mistakes] == ["z", "z", "y"]
    assert found.confusion_matrix is not None
    assert found.confusion_matrix.categories == ["a", "b", "c", "y", "z"]
    assert found.top_k_accuracy == {"1": 0.25, "3": 0.25}, "not even among three of three"


def test_known_category_without_tickets_does_not_count() -> None:
    """A category that was neither expected nor predicted is in no table and not in the mean."""
    found = measure(LABELS, ["a"], [certain("a")])

    assert list(found.per_category) == ["a"]
    assert found.macro_f1 == 1.0
    assert (found.confusions, found.mistakes) == ([], [])


def test_hundred_surest_mistakes_are_kept() -> None:
    """Of 250 mistakes the 100 with the highest confidence are listed, surest first; all are counted."""
    confidences = [float(np.float32(0.5 + row / 1000)) for row in range(250)]
    random.Random(7).shuffle(confidences)

    found = measure(LABELS, ["a"] * 250, [certain("b" * 250, confidences)])

    assert found.total_error == 250
    assert found.confusions == [Confusion("a", "b", 250)]
    assert [mistake.confidence for mistake in found.mistakes] == sorted(confidences, reverse=True)[:100]
    assert all(confidences[mistake.row] == mistake.confidence for mistake in found.mistakes)
    assert len(found.mistakes) == MAX_MISTAKES == 100


def test_confusions_come_most_frequent_first() -> None:
    """Ties go by name, so the order never depends on the order of the tickets."""
    found = measure(LABELS, list("cbbbaa"), [certain("abccbc")])

    expected = [Confusion("b", "c", 2), Confusion("a", "b", 1), Confusion("a", "c", 1), Confusion("c", "a", 1)]
    assert found.confusions == expected


def test_hand_worked_abstention() -> None:
    """Eight tickets under a rule (confidence from 0.6, margin from 0.1, at most half the tokens unknown), by hand.

    1. a, 0.9 sure of a: routed, right.           5. b, 0.5 against 0.45: a tie, for together they are sure enough.
    2. a, 0.6 sure of a: routed, right.           6. b, 0.4 against 0.35 of a third: a tie too, 0.75 in all.
    3. a, 0.7 sure of b: routed, wrong.           7. c, 0.9 sure of c, 0.6 of its tokens unknown: not tried.
    4. b, 0.5 against 0.3: not sure enough.       8. z, which the model lacks, 0.8 sure of a: routed, wrong.
    Routed 4 of 8, 2 of them right; a: 3 of 3 routed, 2/3 right; b: 0 of 3; c: 0 of 1; z: 1 of 1 routed, none right.
    """
    probabilities_NC = np.array(
        [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.5, 0.2], [0.45, 0.5, 0.05], [0.25, 0.4, 0.35],
         [0.0, 0.1, 0.9], [0.8, 0.1, 0.1]], dtype=np.float32,
    )  # fmt: skip
    rule = msgspec.structs.replace(RULE, threshold=float(np.float32(0.6)))

    found = measure(LABELS, list("aaabbbcz"), [probabilities_NC], [], rule, [0.5] * 6 + [0.6, 0.0]).abstention

    assert found is not None
    assert (found.target, found.num_routed, found.coverage, found.accuracy) == (0.9, 4, 0.5, 0.5)
    assert found.accuracy_interval is not None
    assert (found.accuracy_interval.low, found.accuracy_interval.high) == pytest.approx((0.15, 0.85), abs=1e-3)
    assert found.reasons == {"top_two_tie": 2, "low_confidence": 1, "unknown_tokens": 1}
    assert next(iter(found.reasons)) == "top_two_tie", "most frequent first"
    assert found.per_category == {
        "a": CategoryCoverage(3, 1.0, 2 / 3),
        "b": CategoryCoverage(3, 0.0, None),
        "c": CategoryCoverage(1, 0.0, None),
        "z": CategoryCoverage(1, 1.0, 0.0),
    }


def test_rule_that_routes_nothing_has_no_accuracy() -> None:
    """Without a threshold no ticket is routed, and no share is made up."""
    rule = msgspec.structs.replace(RULE, threshold=None)

    found = measure(LABELS, ["a", "b"], [certain("ab")], [], rule, [0.0, 0.0]).abstention

    assert found is not None
    assert (found.num_routed, found.coverage, found.accuracy, found.accuracy_interval) == (0, 0.0, None, None)
    assert found.reasons == {"low_confidence": 2}


def test_unknown_shares_that_are_missing_are_our_bug() -> None:
    """A rule without them is an error at once, not a ticket that counts as known."""
    with pytest.raises(ValueError, match="zip"):
        measure(LABELS, ["a"], [certain("a")], [], RULE)


def test_lists_of_unequal_length_are_our_bug() -> None:
    """A missing prediction is an error at once, not a shifted row."""
    with pytest.raises(ValueError, match="zip"):
        measure(LABELS, ["a", "b"], [certain("a")])


@given(PAIRS)
def test_numbers_add_up(pairs: list[tuple[str, str]]) -> None:
    """Supports add up to the tickets, confusions to the errors, shares stay within 0..1."""
    expected, predicted = zip(*pairs, strict=True)

    found = measure(LABELS, expected, [certain(predicted)])

    assert found.correct_predictions + found.total_error == found.total_tests == len(pairs)
    assert sum(category.support for category in found.per_category.values()) == len(pairs)
    assert sum(confusion.count for confusion in found.confusions) == found.total_error
    assert 0 <= found.macro_f1 <= 1
    assert set(found.per_category) == set(expected) | set(predicted)


@given(PAIRS, st.integers(1, 7))
def test_blocks_give_the_same_as_one_matrix(pairs: list[tuple[str, str]], size: int) -> None:
    """How the probabilities are cut, so that few are kept at once, changes nothing."""
    expected, predicted = zip(*pairs, strict=True)
    probabilities_NC = certain(predicted, [0.4 + row % 5 / 10 for row in range(len(pairs))])
    unknown = [row % 3 / 4 for row in range(len(pairs))]
    blocks = (probabilities_NC[i : i + size] for i in range(0, len(pairs), size))

    found = measure(LABELS, expected, blocks, [], RULE, unknown)

    assert found == measure(LABELS, expected, [probabilities_NC], [], RULE, unknown)
    assert msgspec.structs.replace(found, abstention=None) == measure(LABELS, expected, [probabilities_NC])


def test_metrics_of_an_older_report_load() -> None:
    """What was measured later is missing there, and is not made up."""
    older = {
        "total_tests": 1, "correct_predictions": 1, "total_error": 0, "accuracy": 1.0, "macro_f1": 1.0,
        "per_category": {}, "confusions": [], "mistakes": [], "unknown_categories": {},
    }  # fmt: skip

    found = msgspec.convert(older, Metrics)

    assert (found.ece, found.accuracy_interval, found.coverage, found.abstention) == (None, None, [], None)
    assert msgspec.to_builtins(found) == older


@pytest.mark.torch
@given(PAIRS)
def test_scikit_learn_agrees(pairs: list[tuple[str, str]]) -> None:
    """scikit-learn, which shares no code with ours, computes the same accuracy, macro-F1 and per-category numbers."""
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

    expected, predicted = map(list, zip(*pairs, strict=True))
    categories = sorted(set(expected) | set(predicted))

    found = measure(LABELS, expected, [certain(predicted)])

    assert found.confusion_matrix is not None
    assert found.accuracy == pytest.approx(accuracy_score(expected, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(expected, predicted, average="macro", zero_division=0))
    columns = precision_recall_fscore_support(expected, predicted, labels=categories, zero_division=0)
    cells = {(row, column): count for row, column, count in found.confusion_matrix.cells}
    # One more, that no ticket has: of a single category scikit-learn warns.
    matrix = confusion_matrix(expected, predicted, labels=[*found.confusion_matrix.categories, "absent"])
    assert cells == {place: count for place, count in np.ndenumerate(matrix) if count}
    for category, precision, recall, f1, support in zip(categories, *columns, strict=True):
        ours = found.per_category[category]
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))
        assert ours.support == support


def test_summary_of_categories() -> None:
    """In short what the manifest and `/train_model` show: the marks, and what is right without a look at the text.

    The shares of the categories are 3/5, 1/5 and 1/5: the largest is 0.6, and chance is 0.36 + 0.04 + 0.04.
    """
    found = measure(LABELS, list("aaabc"), [certain("aabba")])

    assert found.summary == {
        "accuracy": 0.6,
        "macro_f1": pytest.approx(4 / 9),
        "num_tickets": 5,
        "largest_share": 0.6,
        "chance": pytest.approx(0.44),
    }


# Values


def test_hand_worked_values() -> None:
    """Four rows worked by hand.

    Expected 1 2 3 6, predicted 1 4 2 3: errors 0, 2, -1, -3. MAE 6/4; mean square (0 + 4 + 1 + 9)/4 = 3.5, RMSE its
    root. The mean of the expected is 3, their variance (4 + 1 + 0 + 9)/4 = 3.5: R2 = 1 - 3.5/3.5 = 0, no better than
    always answering 3.
    """
    found = measure_values([1.0, 2.0, 3.0, 6.0], [1.0, 4.0, 2.0, 3.0], ["a", None, 0, "d"])

    assert found == ValueMetrics(
        total_tests=4,
        mae=1.5,
        rmse=3.5**0.5,
        r2=0.0,
        largest_errors=[LargeError(3, 6.0, 3.0, "d"), LargeError(1, 2.0, 4.0), LargeError(2, 3.0, 2.0, 0)],
    )
    assert found.summary == {"mae": 1.5, "rmse": 3.5**0.5, "r2": 0.0, "num_tickets": 4}


@pytest.mark.parametrize(("predicted", "mae"), [([5.0, 5.0, 5.0], 0.0), ([4.0, 5.0, 7.0], 1.0)])
def test_targets_that_do_not_vary_have_no_r2(predicted: list[float], mae: float) -> None:
    """Where every row has the same value there is no variance to explain, so R2 is null and not a division by 0."""
    found = measure_values([5.0, 5.0, 5.0], predicted)

    assert (found.r2, found.mae) == (None, mae)
    assert msgspec.json.decode(msgspec.json.encode(found))["r2"] is None
    assert measure_values([5.0], [4.0]).r2 is None


def test_perfect_values_have_no_error() -> None:
    """Right to the last bit: errors 0, R2 1, and no row is listed."""
    found = measure_values([1.5, -2.25, 0.0], [1.5, -2.25, 0.0], [1, 2, 3])

    assert (found.mae, found.rmse, found.r2, found.largest_errors) == (0.0, 0.0, 1.0, [])


def test_answers_worse_than_the_mean_have_negative_r2() -> None:
    """Expected 0 and 2 (variance 1), answered 2 and 0 (mean square 4): R2 is 1 - 4 = -3."""
    assert measure_values([0.0, 2.0], [2.0, 0.0]).r2 == -3.0


def test_hundred_largest_errors_are_kept() -> None:
    """Of 250 errors of either sign the 100 that are furthest off are listed, worst first, each with its own row."""
    errors = [(row + 1) * (-1) ** row for row in range(250)]
    random.Random(7).shuffle(errors)
    expected = [1000.0 + row for row in range(250)]
    predicted = [value + error for value, error in zip(expected, errors, strict=True)]

    found = measure_values(expected, predicted, [f"id{row}" for row in range(250)])

    assert found.total_tests == 250
    assert len(found.largest_errors) == MAX_MISTAKES == 100
    assert [abs(one.predicted - one.expected) for one in found.largest_errors] == list(range(250, 150, -1))
    for one in found.largest_errors:
        assert (one.expected, one.predicted, one.id) == (expected[one.row], predicted[one.row], f"id{one.row}")


def test_equal_errors_come_in_the_order_of_the_rows() -> None:
    """Errors of the same size, above or below, are listed as the rows came."""
    found = measure_values([0.0, 0.0, 0.0, 0.0], [1.0, -2.0, -1.0, 2.0])

    assert [one.row for one in found.largest_errors] == [1, 3, 0, 2]


def test_values_without_ids_are_listed_without() -> None:
    """No ids is no ids, and a row whose id is null is written without one."""
    (one,) = measure_values([0.0], [1.0]).largest_errors
    (other,) = measure_values([0.0], [1.0], [None]).largest_errors

    assert one == other
    assert msgspec.json.encode(one) == b'{"row":0,"expected":0.0,"predicted":1.0}'


def test_values_of_unequal_number_are_our_bug() -> None:
    """A missing answer is an error at once, not a shifted row."""
    with pytest.raises(ValueError, match="shape"):
        measure_values([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_metrics_of_the_largest_values_are_finite(size: float) -> None:
    """A target may be 1e100 and an answer some times that: their squares still are numbers."""
    found = measure_values([size, -size], [-1000 * size, 1000 * size])

    assert found.r2 is not None
    assert np.isfinite([found.mae, found.rmse, found.r2]).all()
    assert found.mae == pytest.approx(1001 * size)


def test_rounding_makes_no_variance() -> None:
    """Three times 28.07 leaves nothing to explain, though its computed variance is not quite 0."""
    assert measure_values([28.07] * 3, [0.0] * 3).r2 is None


@pytest.mark.torch
@given(VALUE_PAIRS)
def test_scikit_learn_agrees_on_values(pairs: list[tuple[float, float]]) -> None:
    """scikit-learn computes the same MAE, RMSE and, where the targets vary, R2."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    expected, predicted = map(list, zip(*pairs, strict=True))

    found = measure_values(expected, predicted)

    assert found.total_tests == len(pairs)
    assert found.mae == pytest.approx(mean_absolute_error(expected, predicted))
    assert found.rmse == pytest.approx(root_mean_squared_error(expected, predicted))
    assert (found.r2 is None) == (len(set(expected)) == 1)
    if found.r2 is not None:
        assert found.r2 == pytest.approx(r2_score(expected, predicted), rel=1e-6, abs=1e-9)


def test_ticket_without_a_token_is_an_error_and_no_category() -> None:
    """Two of three are right, and one ticket of a is empty: 2 of 4; "(empty)" is no category of its own.

    Precision of a 1, recall 1/2, F1 2/3; of b 1/2, 1, 2/3; of c 0: macro F1 is (2/3 + 2/3 + 0) / 3 = 4/9.
    """
    blocks = [np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.1, 0.9, 0.0]], dtype=np.float32)]

    found = measure(["a", "b", "c"], ["a", "b", "c", "a"], blocks, ["w", "x", "y", "z"], num_empty=1)

    assert (found.total_tests, found.correct_predictions, found.num_empty) == (4, 2, 1)
    assert found.macro_f1 == pytest.approx(4 / 9)
    assert sorted(found.per_category) == ["a", "b", "c"]
    assert Confusion("a", EMPTY, 1) in found.confusions
    assert Mistake(3, "a", EMPTY, 0.0, "z") in found.mistakes
    assert found.top_k_accuracy["3"] == 0.75
    assert found.confusion_matrix is not None
    assert EMPTY in found.confusion_matrix.categories
