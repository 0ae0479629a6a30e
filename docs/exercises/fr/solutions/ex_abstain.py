"""Une solution de l’exercice."""

from collections.abc import Sequence


def threshold(confidences: Sequence[float], right: Sequence[bool], target: float, num_least: int) -> float | None:
    """Renvoie la plus petite confiance jusqu’à laquelle la cible est encore atteinte ; None s’il n’y en a pas."""
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
    """Renvoie la part des tickets au moins aussi sûrs, et celle des justes parmi eux ; None s’il n’y en a pas."""
    routed = [is_right for confidence, is_right in zip(confidences, right, strict=True) if confidence >= least]
    return len(routed) / len(confidences), sum(routed) / len(routed) if routed else None
