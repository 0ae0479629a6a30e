"""Exercise: the threshold, by counting.

Read docs/en/10-abstain.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_abstain.py
"""

from collections.abc import Sequence


def threshold(confidences: Sequence[float], right: Sequence[bool], target: float, num_least: int) -> float | None:
    """Return the lowest confidence down to which the share right is still the target; None if there is none.

    Route the tickets from the surest on, and count. Equally sure tickets are routed together or not at all, and fewer
    than `num_least` routed tickets prove nothing.

    Args:
        confidences: of each ticket's most probable category.
        right: whether that is the true one.
        target: share of the routed tickets that is to be right.
        num_least: tickets that must be routed.
    """
    raise NotImplementedError("write threshold; sort the tickets, the surest first")


def coverage_and_accuracy(
    confidences: Sequence[float], right: Sequence[bool], least: float
) -> tuple[float, float | None]:
    """Return which share of the tickets is at least so sure, and which share of these is right; None if none is."""
    raise NotImplementedError("write coverage_and_accuracy; two counts, two divisions")
