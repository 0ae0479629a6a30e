"""Two pictures: accuracy against what an answer costs, and accuracy against the number of training tickets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.curve import Curve

COLUMNS = 3
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f")  # ours first, then the peers in their order


class Point(msgspec.Struct, frozen=True):
    """One classifier on one set: accuracy with its lowest and highest, and microseconds a ticket."""

    title: str
    ticket_us: float
    accuracy: float
    low: float
    high: float


def plot_latency(path: Path, panels: Sequence[tuple[str, Sequence[Point]]]) -> None:
    """Write a picture with a panel per set, each classifier a point: up is better, left is cheaper."""
    figure, axes = _panels(len(panels))
    for axis, (label, points) in zip(axes, panels, strict=True):
        costs = [point.ticket_us for point in points]
        heights = [end for point in points for end in (point.low, point.high)]
        for colour, point in zip(COLOURS, points, strict=False):
            spread = [[point.accuracy - point.low], [point.high - point.accuracy]] if point.low < point.high else None
            axis.errorbar(point.ticket_us, point.accuracy, yerr=spread, fmt="o", capsize=4, color=colour)
            is_above = _stands_out(point, points)
            at = (point.ticket_us, point.high if is_above else point.low)  # clear of the spread
            shift, side = ((0, 7), "bottom") if is_above else ((0, -7), "top")
            style = {"fontsize": 8, "color": colour, "ha": "center", "va": side}
            axis.annotate(point.title, at, shift, textcoords="offset points", **style)
        axis.set_xscale("log")
        margin = max(0.004, 0.2 * (max(heights) - min(heights)))
        axis.set_xlim(min(costs) / 4, max(costs) * 4)
        axis.set_ylim(min(heights) - margin, max(heights) + margin)
        axis.set_title(label, fontsize=10)
        axis.set_xlabel("microseconds a ticket, one thread (log)", fontsize=8)
        axis.set_ylabel("accuracy on the test file", fontsize=8)
    _write(figure, path)


def plot_curves(path: Path, panels: Sequence[tuple[str, Sequence[tuple[str, Curve]]]]) -> None:
    """Write a picture with a panel per set, each classifier the points that were measured and the line through them."""
    figure, axes = _panels(len(panels))
    for axis, (label, curves) in zip(axes, panels, strict=True):
        for colour, (title, curve) in zip(COLOURS, curves, strict=False):
            numbers = np.geomspace(curve.num_tickets[0], curve.num_tickets[-1] * 2, 50)
            axis.plot(curve.num_tickets, curve.accuracies, "o", color=colour, label=title)
            axis.plot(numbers, [curve.accuracy(n) for n in numbers], "--", linewidth=1, color=colour)
        axis.set_xscale("log", base=2)
        sizes = curves[0][1].num_tickets
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_title(label, fontsize=10)
        axis.set_xlabel("training tickets (log); the lines are fitted", fontsize=8)
        axis.set_ylabel("accuracy on the test file", fontsize=8)
        axis.legend(fontsize=8, loc="lower right")
    _write(figure, path)


def _stands_out(point: Point, points: Sequence[Point]) -> bool:
    """Return whether a label is freer above than below: the point is no lower than those that cost about the same."""
    by_cost = sorted(points, key=lambda one: one.ticket_us)
    place = by_cost.index(point)
    beside = [by_cost[i].accuracy for i in (place - 1, place + 1) if 0 <= i < len(by_cost)]
    return point.accuracy >= sum(beside) / max(1, len(beside))


def _panels(number: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # without pyplot, which would look for a screen

    columns = min(COLUMNS, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(4.4 * columns, 3.5 * rows), layout="constrained")
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    for axis in axes[number:]:
        axis.remove()
    return figure, axes[:number]


def _write(figure: Any, path: Path) -> None:
    # No date and version inside, so that the same numbers give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
