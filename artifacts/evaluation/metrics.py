"""What a model got right and wrong on labelled tickets; the same numbers for `/test`, `fit` and `evaluate`.

For kinds that answer with a category (`measure`) and for those that answer with a number (`measure_values`).
"""

# Axes: N tickets, C categories of the model.

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from artifacts.arrays import Floats
from artifacts.evaluation import calibration
from artifacts.evaluation.abstain import Abstention, AbstentionMetrics, measure_abstention, why_not
from artifacts.evaluation.calibration import CoverageAt, CoveragePoint, Interval, ReliabilityBin
from artifacts.schemas import Evaluation, Reason, Summary

MAX_MISTAKES = 100  # that are listed
TOP_K = (1, 3, 5)
WITHOUT_WORD: Reason = "empty"
EMPTY = "(empty)"  # what is answered to a ticket without a token, in confusions and mistakes; it is no category


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


class ConfusionMatrix(msgspec.Struct, frozen=True):
    """The tickets of each true category by what they were taken for; only the cells that are not 0.

    A full matrix of 150 categories has 22,500 numbers, nearly all of them 0; of the cells there are no more than
    tickets.

    Attributes:
        categories: that were expected or predicted, by name.
        cells: row (the true category), column (the predicted one), tickets; the categories by their place.
    """

    categories: list[str]
    cells: list[tuple[int, int, int]]


class Mistake(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ticket that was answered wrongly.

    Attributes:
        row: its number, counted from 0 in the order given.
        id: by which the caller knows it.
        place: where it stands in its file ("line 17"), where it came from one.
        words: its first words, where the answer stays with those who have the file.
    """

    row: int
    expected: str
    predicted: str
    confidence: float
    id: str | int | None = None
    place: str | None = None
    words: str | None = None


class Baseline(msgspec.Struct, frozen=True):
    """What is right without a look at the text: every accuracy stands next to it, for by itself it says little.

    Attributes:
        largest_category: that most of the tickets have, the first by name of several.
        largest_share: of the tickets; the accuracy of always answering with it.
        chance: the accuracy of guessing each category as often as it comes, the sum of the squared shares.
    """

    largest_category: str | None
    largest_share: float
    chance: float


class Metrics(Evaluation, frozen=True):
    """What came out on labelled tickets.

    Attributes:
        macro_f1: the mean F1 over every category that was expected or predicted, each counting the same.
        confusions: most frequent first.
        mistakes: the 100 surest wrong answers, surest first.
        unknown_categories: expected categories that the model lacks, with their tickets; each such ticket is an error.
        accuracy_interval: of the accuracy, 95 %.
        top_k_accuracy: "3" -> the share of tickets whose true category is among the three most probable; for 1, 3 and
            5, as far as the model has so many categories.
        ece: expected calibration error, 0 is perfect; the bins are `reliability`.
        brier: the mean Brier score, 0 is perfect, 2 the worst.
        aurc: area under the risk-coverage curve, 0 is perfect; the curve is `coverage`.
        coverage_at: how many tickets can be answered with 90, 95 and 99 % right.
        abstention: what the version's own threshold, which is not read off these tickets, comes to on them; None if it
            has none.
        num_empty: tickets without a token; each counts as an error.
        largest_category, largest_share, chance: what is right without a look at the text; see `Baseline`.

    What has a default is missing in reports that were written before it was measured.
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
    accuracy_interval: Interval | None = None
    top_k_accuracy: dict[str, float] = msgspec.field(default_factory=dict)
    ece: float | None = None
    brier: float | None = None
    reliability: list[ReliabilityBin] = msgspec.field(default_factory=list)
    aurc: float | None = None
    coverage: list[CoveragePoint] = msgspec.field(default_factory=list)
    coverage_at: list[CoverageAt] = msgspec.field(default_factory=list)
    abstention: AbstentionMetrics | None = None
    confusion_matrix: ConfusionMatrix | None = None
    num_empty: int = 0
    largest_category: str | None = None
    largest_share: float | None = None
    chance: float | None = None

    @property
    def part(self) -> Summary:
        """The metrics in short, with the ends of the accuracy's interval."""
        at = self.accuracy_interval
        return self.summary | ({"accuracy_low": at.low, "accuracy_high": at.high} if at is not None else {})

    def renumbered(self, numbers: Sequence[int]) -> "Metrics":
        """Return the same metrics with mistakes named by `numbers`, one for each ticket that was measured."""
        mistakes = [msgspec.structs.replace(one, row=numbers[one.row]) for one in self.mistakes]
        return msgspec.structs.replace(self, mistakes=mistakes)

    @property
    def summary(self) -> Summary:
        """The metrics in short."""
        found: Summary = {"accuracy": self.accuracy, "macro_f1": self.macro_f1, "num_tickets": self.total_tests}
        return found | {"largest_share": self.largest_share, "chance": self.chance}


def baseline(expected: Sequence[str]) -> Baseline:
    """Return what is right without a look at the text, on tickets of these categories.

    >>> baseline(["bill", "bill", "bill", "login"])
    Baseline(largest_category='bill', largest_share=0.75, chance=0.625)
    """
    if not expected:
        return Baseline(None, 0.0, 0.0)
    shares = {category: count / len(expected) for category, count in sorted(Counter(expected).items())}
    largest = max(shares, key=shares.__getitem__)
    return Baseline(largest, shares[largest], sum(share**2 for share in shares.values()))


def measure(
    labels: Sequence[str],
    expected: Sequence[str],
    blocks: Iterable[Floats],
    ids: Sequence[str | int | None] = (),
    rule: Abstention | None = None,
    unknown_shares: Sequence[float] = (),
    num_empty: int = 0,
) -> Metrics:
    """Return the metrics of a model's probabilities against the true categories, ticket by ticket.

    A share whose denominator is 0 (nothing was called so, nothing was so) is 0, as in scikit-learn.

    Args:
        labels: the C categories that the model knows.
        expected: the true category of each ticket, N >= 1.
        blocks: probabilities_NC in the order of `expected`, as one matrix or cut into several. Four numbers of each
            ticket are kept of a block, five with a rule, so that memory depends on the longest block and not on N x C.
        ids: the callers' ids, or nothing.
        rule: when the model abstains, if its abstention is to be measured; it then has two categories or more.
        unknown_shares: with a rule, the share of unknown tokens of each ticket.
        num_empty: of the tickets the last so many have no token, so that `blocks` and `unknown_shares` lack them; each
            is answered as empty, which is an error.
    """
    label_of = {label: number for number, label in enumerate(labels)}
    targets_N = np.array([label_of.get(category, calibration.UNKNOWN) for category in expected], dtype=np.int64)
    parts: list[calibration.Scores] = []
    second: list[float] = []  # the probability of the next best category
    start = 0
    for probabilities_NC in blocks:
        end = start + len(probabilities_NC)
        parts.append(calibration.score(probabilities_NC, targets_N[start:end]))
        if rule is not None:
            second += np.partition(probabilities_NC, -2, axis=1)[:, -2].tolist()
        start = end
    predicted = [labels[best] for part in parts for best in part.best_N.tolist()] + [EMPTY] * num_empty
    if num_empty:
        parts.append(calibration.nothing_said(num_empty, len(labels)))
    scores = calibration.joined(parts)

    pairs = Counter(zip(expected, predicted, strict=True))
    support, called = Counter(expected), Counter(predicted)
    num_correct = sum(count for (true, said), count in pairs.items() if true == said)
    categories = sorted((support.keys() | called.keys()) - {EMPTY})
    per_category = {}
    for category in categories:
        hits = pairs[category, category]
        precision = hits / called[category] if called[category] else 0.0
        recall = hits / support[category] if support[category] else 0.0
        f1 = 2 * hits / (called[category] + support[category])
        per_category[category] = CategoryMetrics(precision, recall, f1, support[category])
    confusions = [Confusion(true, said, count) for (true, said), count in pairs.items() if true != said]
    cells = sorted({*categories, *called})  # EMPTY too, if there was one
    place = {category: number for number, category in enumerate(cells)}
    correct_N = scores.rank_N == 0
    wrong_M = np.flatnonzero(~correct_N)
    surest_M = wrong_M[np.argsort(-scores.confidence_N[wrong_M], kind="stable")][:MAX_MISTAKES].tolist()
    abstention = None
    if rule is not None:
        confidences = scores.confidence_N[: len(second)].tolist()
        probable = zip(confidences, second, unknown_shares, strict=True)
        reasons: list[Reason | None] = [
            *(why_not(rule, *ticket) for ticket in probable),
            *itertools.repeat(WITHOUT_WORD, num_empty),
        ]
        abstention = measure_abstention(rule, expected, correct_N.tolist(), reasons)
    bins = calibration.reliability(scores.confidence_N, correct_N)
    without_text = baseline(expected)
    coverage, coverage_at, aurc = calibration.coverage_curve(scores.confidence_N, correct_N)
    return Metrics(
        total_tests=len(expected),
        correct_predictions=num_correct,
        total_error=len(expected) - num_correct,
        accuracy=num_correct / len(expected),
        macro_f1=sum(metrics.f1 for metrics in per_category.values()) / len(per_category),
        per_category=per_category,
        confusions=sorted(confusions, key=lambda c: (-c.count, c.expected, c.predicted)),
        mistakes=[
            Mistake(row, expected[row], predicted[row], float(scores.confidence_N[row]), ids[row] if ids else None)
            for row in surest_M
        ],
        unknown_categories={category: count for category, count in sorted(support.items()) if category not in label_of},
        accuracy_interval=calibration.accuracy_interval(num_correct, len(expected)),
        top_k_accuracy={str(k): calibration.top_k_accuracy(scores.rank_N, k) for k in TOP_K if k <= len(labels)},
        ece=calibration.expected_calibration_error(bins),
        brier=float(scores.brier_N.mean()),
        reliability=bins,
        aurc=aurc,
        coverage=coverage,
        coverage_at=coverage_at,
        abstention=abstention,
        num_empty=num_empty,
        largest_category=without_text.largest_category,
        largest_share=without_text.largest_share,
        chance=without_text.chance,
        confusion_matrix=ConfusionMatrix(
            cells, sorted((place[true], place[said], count) for (true, said), count in pairs.items())
        ),
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

    def renumbered(self, numbers: Sequence[int]) -> "ValueMetrics":
        """Return the same metrics with errors named by `numbers`, one for each row that was measured."""
        errors = [msgspec.structs.replace(one, row=numbers[one.row]) for one in self.largest_errors]
        return msgspec.structs.replace(self, largest_errors=errors)

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
