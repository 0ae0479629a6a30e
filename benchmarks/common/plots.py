"""Three pictures: accuracy against cost, of classifiers and of shapes of ours, and against the number of tickets."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.common.curve import Curve
from benchmarks.common.labels import Box, place

COLUMNS = 3
PANEL, LARGE_PANEL = (4.4, 3.5), (7.0, 5.2)  # inches; a dozen names need room
LEADER = 14.0  # pixels from a point to its name, over which a thin line leads from one to the other
LINE_SPOTS = 200  # of a line, where names should not lie
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f")  # ours first, then the peers in their order


class Point(msgspec.Struct, frozen=True):
    """One classifier on one set: accuracy with its lowest and highest, and microseconds a ticket."""

    title: str
    ticket_us: float
    accuracy: float
    low: float
    high: float


class Mark(msgspec.Struct, frozen=True):
    """One shape of the network on one set; on the frontier none is better for as little."""

    title: str
    ticket_us: float
    accuracy: float
    is_on_frontier: bool


class Panel(msgspec.Struct, frozen=True):
    """The shapes on one set, and the accuracy of the classifier that each has to beat."""

    title: str
    marks: Sequence[Mark]
    beaten: str
    beaten_accuracy: float


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


def plot_frontier(path: Path, panels: Sequence[Panel], limit_us: float, what: str) -> None:
    """Write a picture with a panel per set: every shape a named point, and a line through those on the frontier.

    Args:
        path: of the picture.
        panels: of each set.
        limit_us: what a ticket may cost.
        what: the name of the other axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = _panels(len(panels), 2, LARGE_PANEL)
    for axis, panel in zip(axes, panels, strict=True):
        costs = [mark.ticket_us for mark in panel.marks]
        low, high, is_in_view = _heights(panel)
        best = sorted((mark.ticket_us, mark.accuracy) for mark in panel.marks if mark.is_on_frontier)
        axis.plot(*zip(*best, strict=True), "-", linewidth=1.5, color=COLOURS[0], alpha=0.6)
        for mark in panel.marks:
            colour = COLOURS[0] if mark.is_on_frontier else COLOURS[2]
            axis.plot(mark.ticket_us, mark.accuracy, "o", markersize=5, color=colour)
        axis.axvline(limit_us, linewidth=1, color=COLOURS[1])
        if is_in_view:
            axis.axhline(panel.beaten_accuracy, linewidth=1, linestyle="--", color=COLOURS[3])
        spread = max(*costs, limit_us) - min(*costs, limit_us)
        axis.set_xlim(min(*costs, limit_us) - 0.15 * spread, max(*costs, limit_us) + 0.3 * spread)
        axis.set_ylim(low, high)
        where = "" if is_in_view else ", above this picture" if panel.beaten_accuracy > high else ", below this picture"
        axis.set_title(f"{panel.title}; {panel.beaten} {panel.beaten_accuracy:.4f}{where}", fontsize=10)
        axis.set_xlabel(what, fontsize=8)
        axis.set_ylabel("accuracy on held-out training tickets", fontsize=8)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # lays out, so that the points have pixels
    for axis, panel in zip(axes, panels, strict=True):
        _name_marks(axis, panel, limit_us, canvas.get_renderer())
    figure.set_layout_engine("none")  # else the names would move the axes, and with them the points
    _write(figure, path)


def _heights(panel: Panel) -> tuple[float, float, bool]:
    """Return the limits of the accuracies that are shown, and whether what is to be beaten lies between them.

    Further away than the shapes lie from each other it would press them into one line.
    """
    heights = [mark.accuracy for mark in panel.marks]
    low, high = min(heights), max(heights)
    is_in_view = low - (high - low) <= panel.beaten_accuracy <= high + (high - low)
    if is_in_view:
        low, high = min(low, panel.beaten_accuracy), max(high, panel.beaten_accuracy)
    margin = max(0.001, 0.12 * (high - low))
    return low - margin, high + margin, is_in_view


def _name_marks(axis: Any, panel: Panel, limit_us: float, renderer: Any) -> None:
    """Write the name of each mark, and of both limits, where nothing else is."""
    low, high = axis.get_ylim()
    left, right = axis.get_xlim()
    names = [(mark.title, mark.ticket_us, mark.accuracy) for mark in panel.marks]
    # The lines have names too, which stand near an end of them.
    names.append((f"{limit_us:g} us", limit_us, high - 0.02 * (high - low)))
    colours = [COLOURS[0] if mark.is_on_frontier else COLOURS[2] for mark in panel.marks] + [COLOURS[1]]
    if low < panel.beaten_accuracy < high:
        names.append((panel.beaten, right - 0.02 * (right - left), panel.beaten_accuracy))
        colours.append(COLOURS[3])
    best = sorted((mark.ticket_us, mark.accuracy) for mark in panel.marks if mark.is_on_frontier)
    steps = np.linspace(0.0, 1.0, LINE_SPOTS)
    spots = [np.column_stack((np.full(LINE_SPOTS, limit_us), low + steps * (high - low)))]
    spots.append(np.column_stack((left + steps * (right - left), np.full(LINE_SPOTS, panel.beaten_accuracy))))
    for (us, accuracy), (next_us, next_accuracy) in pairwise(best):
        spots.append(np.column_stack((us + steps * (next_us - us), accuracy + steps * (next_accuracy - accuracy))))

    texts = [
        axis.text(us, y, title, fontsize=8, color=colour, va="bottom")
        for (title, us, y), colour in zip(names, colours, strict=True)
    ]
    sizes = [(extent.width, extent.height) for extent in (text.get_window_extent(renderer) for text in texts)]
    pixels = axis.transData.transform([(us, y) for _, us, y in names])
    window = axis.get_window_extent()
    corners = place(
        [tuple(pixel) for pixel in pixels.tolist()],
        sizes,
        Box(window.x0 + 3, window.y0 + 3, window.x1 - 3, window.y1 - 3),
        [tuple(spot) for spot in axis.transData.transform(np.concatenate(spots)).tolist()],
    )
    for text, corner, (width, height), pixel in zip(texts, corners, sizes, pixels.tolist(), strict=True):
        text.set_position(axis.transData.inverted().transform(corner))
        middle = (corner[0] + width / 2, corner[1] + height / 2)
        if abs(middle[0] - pixel[0]) - width / 2 > LEADER or abs(middle[1] - pixel[1]) - height / 2 > LEADER:
            near = (min(max(pixel[0], corner[0]), corner[0] + width), min(max(pixel[1], corner[1]), corner[1] + height))
            ends = axis.transData.inverted().transform([pixel, near])
            axis.plot(ends[:, 0], ends[:, 1], "-", linewidth=0.6, color=text.get_color())


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


def _panels(number: int, columns: int = COLUMNS, size: tuple[float, float] = PANEL) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # without pyplot, which would look for a screen

    columns = min(columns, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
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
