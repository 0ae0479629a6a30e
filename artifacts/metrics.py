"""What a model got right and wrong on labelled tickets; the same numbers for `/test`, `fit` and `evaluate`.

For kinds that answer with a category (`measure`) and for those that answer with a number (`measure_values`).
"""

# Axes: N tickets, C categories of the model.

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from artifacts.schemas import Evaluation, Summary

MAX_MISTAKES = 100  # that are listed


class CategoryMetrics(msgspec.Struct, frozen=True):
    """How one category fares: of those called so, how many were (precision); of those that were, how many found."""

    precision: float
    recall: float
    f1: float
    support: int


class Confusion(msgspec.Struct, frozen=True):
    """How many tickets of one category were taken for another."""

    expected: str
    predicted: str
    count: int


class Mistake(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ticket that was answered wrongly; `row` counts from 0 in the order given."""

    row: int
    expected: str
    predicted: str
    confidence: float
    id: str | int | None = None


class Metrics(Evaluation, frozen=True):
    """What came out on labelled tickets.

    Attributes:
        macro_f1: the mean F1 over every category that was expected or predicted, each counting the same.
        confusions: most frequent first.
        mistakes: the 100 surest wrong answers, surest first.
        unknown_categories: expected categories that the model lacks, with their tickets; each such ticket is an error.
    """

    total_tests: int
    correct_predictions: int
    total_error: int
    accuracy: float
    macro_f1: float
    per_category: dict[str, CategoryMetrics]
    confusions: list[Confusion]
    mistakes: list[Mistake]
    unknown_categories: dict[str, int]

    @property
    def summary(self) -> Summary:
        """The metrics in short."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1, "num_tickets": self.total_tests}


def measure(
    labels: Sequence[str],
    expected: Sequence[str],
    predicted: Sequence[str],
    confidences: Sequence[float],
    ids: Sequence[str | int | None] = (),
) -> Metrics:
    """Return the metrics of `predicted` against `expected`, both category names, ticket by ticket.

    A share whose denominator is 0 (nothing was called so, nothing was so) is 0, as in scikit-learn.

    Args:
        labels: the categories that the model knows.
        expected: the true category of each ticket, N >= 1.
        predicted: the model's category of each ticket.
        confidences: its probability.
        ids: the callers' ids, or nothing.
    """
    pairs = Counter(zip(expected, predicted, strict=True))
    support, called = Counter(expected), Counter(predicted)
    num_correct = sum(count for (true, said), count in pairs.items() if true == said)
    per_category = {}
    for category in sorted(support.keys() | called.keys()):
        hits = pairs[category, category]
        precision = hits / called[category] if called[category] else 0.0
        recall = hits / support[category] if support[category] else 0.0
        f1 = 2 * hits / (called[category] + support[category])
        per_category[category] = CategoryMetrics(precision, recall, f1, support[category])
    confusions = [Confusion(true, said, count) for (true, said), count in pairs.items() if true != said]
    wrong = [row for row, (true, said) in enumerate(zip(expected, predicted, strict=True)) if true != said]
    wrong.sort(key=lambda row: -confidences[row])
    known = set(labels)
    return Metrics(
        total_tests=len(expected),
        correct_predictions=num_correct,
        total_error=len(expected) - num_correct,
        accuracy=num_correct / len(expected),
        macro_f1=sum(metrics.f1 for metrics in per_category.values()) / len(per_category),
        per_category=per_category,
        confusions=sorted(confusions, key=lambda c: (-c.count, c.expected, c.predicted)),
        mistakes=[
            Mistake(row, expected[row], predicted[row], confidences[row], ids[row] if ids else None)
            for row in wrong[:MAX_MISTAKES]
        ],
        unknown_categories={category: count for category, count in sorted(support.items()) if category not in known},
    )


class LargeError(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row and how far its answer is off; `row` counts from 0 in the order given."""

    row: int
    expected: float
    predicted: float
    id: str | int | None = None


class ValueMetrics(Evaluation, frozen=True):
    """What came out on rows whose true value is known.

    Attributes:
        mae: mean absolute error, in the target's unit.
        rmse: root of the mean squared error, in the target's unit; large errors weigh more.
        r2: share of the targets' variance that the answers explain; 1 is perfect, 0 no better than always answering the
            mean. None: the targets do not vary, so there is nothing to explain.
        largest_errors: the 100 answers that are furthest off, worst first.
    """

    total_tests: int
    mae: float
    rmse: float
    r2: float | None
    largest_errors: list[LargeError]

    @property
    def summary(self) -> Summary:
        """The metrics in short."""
        return {"mae": self.mae, "rmse": self.rmse, "r2": self.r2, "num_tickets": self.total_tests}


def measure_values(
    expected: Sequence[float], predicted: Sequence[float], ids: Sequence[str | int | None] = ()
) -> ValueMetrics:
    """Return the metrics of `predicted` against `expected`, row by row.

    Args:
        expected: the true value of each row, N >= 1, finite.
        predicted: the model's answer to each, finite.
        ids: the callers' ids, or nothing.
    """
    expected_N, predicted_N = np.array(expected, dtype=np.float64), np.array(predicted, dtype=np.float64)
    error_N = predicted_N - expected_N
    # Asked of the values themselves: the variance of three times 28.07 is not 0 but 1e-29.
    varies = bool((expected_N != expected_N[0]).any())
    mean_square = float(np.mean(error_N**2))
    worst = np.argsort(-np.abs(error_N), kind="stable")[:MAX_MISTAKES].tolist()
    return ValueMetrics(
        total_tests=len(expected_N),
        mae=float(np.mean(np.abs(error_N))),
        rmse=mean_square**0.5,
        r2=1.0 - mean_square / float(np.var(expected_N)) if varies else None,
        largest_errors=[
            LargeError(row, expected[row], predicted[row], ids[row] if ids else None) for row in worst if error_N[row]
        ],
    )
