"""When a model says nothing: the record of what counts as sure enough, and the rule that both sides apply.

In: what a model holds probable of a ticket. Out: None, or why no category is given; of labelled tickets, what the rule
came to. What it leaves to others: how the threshold is found (trainer/selection/threshold.py), who asks for it
(inference/search/ranked.py, metrics.py).

A model that always answers passes its mistakes on unmarked. One that may abstain routes the tickets it is sure of, and
hands the rest to a person with its best guesses beside. Source: Geifman and El-Yaniv 2017, "Selective Classification
for Deep Neural Networks", arXiv 1705.08500.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from artifacts.evaluation.calibration import Interval, accuracy_interval
from artifacts.schemas import Reason


class Abstention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version counts as sure enough, and what that came to on tickets that were kept out of training.

    Attributes:
        target: share of the routed tickets that is to be right.
        threshold: the least confidence to be routed; None: at none is the target reached, so nothing is routed.
        tie_margin: the two best categories tie if their probabilities are closer than this.
        max_unknown: largest share of unknown tokens to be routed; beyond it the threshold was not tried.
        num_tickets: that were kept out.
        coverage: share of them that is routed.
        accuracy: share of the routed that is right; None if none is.
        by_default: whether a search abstains that does not say.
        detail: why nothing is routed, or why the threshold was raised; else empty.
    """

    target: float
    threshold: float | None
    tie_margin: float
    max_unknown: float
    num_tickets: int
    coverage: float
    accuracy: float | None
    by_default: bool = False
    detail: str = ""


class CategoryCoverage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one category's labelled tickets: how many there are, the share routed, and the share right of it."""

    num_tickets: int
    coverage: float
    accuracy: float | None


class AbstentionMetrics(msgspec.Struct, frozen=True):
    """What a version's own rule came to on labelled tickets, beside what it promises.

    Attributes:
        target: share of the routed tickets that is to be right.
        num_routed: tickets that get a category.
        coverage: share of the tickets that these are.
        accuracy: share of the routed that is right; None if none is routed.
        accuracy_interval: of it, 95 %.
        reasons: why the others get none -> how many.
        per_category: by the true category.
    """

    target: float
    num_routed: int
    coverage: float
    accuracy: float | None
    accuracy_interval: Interval | None
    reasons: dict[Reason, int]
    per_category: dict[str, CategoryCoverage]


class OutOfScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether confidence tells tickets of no known category apart, tried on categories left out of a training.

    Attributes:
        auroc: how probably a ticket of a known category gets a higher confidence than one of a category left out.
        num_known, num_unknown: tickets of either sort; none was trained on.
        categories: that were left out.
        detail: why it was not tried, and what by if it was.
    """

    auroc: float | None
    num_known: int
    num_unknown: int
    categories: list[str]
    detail: str


def why_not(rule: Abstention, confidence: float, second: float, unknown_share: float) -> Reason | None:
    """Return why a ticket is not routed; None if it is.

    >>> rule = Abstention(0.95, 0.7, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.9, accuracy=0.95)
    >>> why_not(rule, 0.8, 0.1, 0.0), why_not(rule, 0.5, 0.1, 0.0), why_not(rule, 0.5, 0.45, 0.0)
    (None, 'low_confidence', 'top_two_tie')

    Args:
        rule: of the version.
        confidence: probability of the most probable category.
        second: probability of the next one.
        unknown_share: share of the ticket's tokens that the vocabulary does not hold.
    """
    if unknown_share > rule.max_unknown:
        return "unknown_tokens"
    enough = rule.threshold if rule.threshold is not None else rule.target
    # Only where the two together are sure enough: of two guesses that are both improbable none is the answer.
    if confidence - second < rule.tie_margin and confidence + second >= enough:
        return "top_two_tie"
    return "low_confidence" if rule.threshold is None or confidence < rule.threshold else None


def measure_abstention(
    rule: Abstention, expected: Sequence[str], right: Sequence[bool], reasons: Sequence[Reason | None]
) -> AbstentionMetrics:
    """Return what a rule came to on labelled tickets, at least one.

    Args:
        rule: of the version.
        expected: the true category of each ticket.
        right: whether the most probable category is that.
        reasons: what `why_not` says of each.
    """
    tickets = Counter(expected)
    routed = [(category, is_right) for category, is_right, why in zip(expected, right, reasons, strict=True) if not why]
    routed_of = Counter(category for category, _ in routed)
    right_of = Counter(category for category, is_right in routed if is_right)
    num_right = right_of.total()
    left = Counter(why for why in reasons if why)
    return AbstentionMetrics(
        target=rule.target,
        num_routed=len(routed),
        coverage=len(routed) / len(expected),
        accuracy=num_right / len(routed) if routed else None,
        accuracy_interval=accuracy_interval(num_right, len(routed)) if routed else None,
        reasons=dict(left.most_common()),
        per_category={
            category: CategoryCoverage(
                num_tickets=count,
                coverage=routed_of[category] / count,
                accuracy=right_of[category] / routed_of[category] if routed_of[category] else None,
            )
            for category, count in sorted(tickets.items())
        },
    )
