"""A solution of the exercise."""

from collections.abc import Sequence


def threshold(confidences: Sequence[float], right: Sequence[bool], target: float, num_least: int) -> float | None:
    """Return the lowest confidence down to which the share right is still the target; None if there is none."""
    order = sorted(range(len(confidences)), key=lambda ticket: -confidences[ticket])
    found, num_right = None, 0
    for place, ticket in enumerate(order, start=1):
        num_right += right[ticket]
        is_last_of_its_kind = place == len(order) or confidences[order[place]] < confidences[ticket]
        if is_last_of_its_kind and place >= num_least and num_right >= target * place:
            found = confidences[ticket]
    return found


def coverage_and_accuracy(
    confidences: Sequence[float], right: Sequence[bool], least: float
) -> tuple[float, float | None]:
    """Return which share of the tickets is at least so sure, and which share of these is right; None if none is."""
    routed = [is_right for confidence, is_right in zip(confidences, right, strict=True) if confidence >= least]
    return len(routed) / len(confidences), sum(routed) / len(routed) if routed else None
