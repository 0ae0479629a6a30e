"""Pictures of servers side by side: bars with the range over the rounds, and lines of latency against load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.latency import Spread
from benchmarks.plots import COLOURS

OURS = "Puppet"  # what the titles of our own servers begin with
WIDTH, HEIGHT = 3.6, 3.2  # inches of a panel, names not counted


def new_panels(number: int) -> tuple[Any, list[Any]]:
    """Return a figure with panels in one row."""
    from matplotlib.figure import Figure  # without pyplot, which would look for a screen

    figure = Figure(figsize=(WIDTH * number + 2.5, HEIGHT), layout="constrained")
    axes = list(figure.subplots(1, number, squeeze=False)[0])
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    return figure, axes


def write(figure: Any, path: Path) -> None:
    """Write the picture, without date and version, so that the same numbers give the same file."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def plot_bars(path: Path, panels: Sequence[tuple[str, Sequence[tuple[str, Spread]]]]) -> None:
    """Write a picture with a panel for each thing measured: a bar per server, its range over the rounds a whisker."""
    figure, axes = new_panels(len(panels))
    for place, (axis, (title, bars)) in enumerate(zip(axes, panels, strict=True)):
        names = [name for name, _ in bars]
        medians = [value.median for _, value in bars]
        whiskers = [
            [value.median - value.lowest for _, value in bars],
            [value.highest - value.median for _, value in bars],
        ]
        colours = [COLOURS[0] if name.startswith(OURS) else COLOURS[2] for name in names]
        axis.barh(names, medians, xerr=whiskers, color=colours, height=0.7, capsize=2)
        for row, value in enumerate(medians):
            axis.annotate(f"{value:,.3g}" if value < 100 else f"{value:,.0f}", (value, row), (4, 6), fontsize=7,
                          textcoords="offset points", va="center")  # fmt: skip
        axis.invert_yaxis()
        axis.set_xlim(0, 1.15 * max(value.highest for _, value in bars))
        axis.set_title(title, fontsize=9)
        if place:
            axis.set_yticklabels([])  # the names stand at the left
    write(figure, path)


Panel = tuple[str, str, str, dict[str, list[tuple[float, float]]]]  # title, names of both axes, line -> its points


def plot_lines(
    path: Path, panels: Sequence[Panel], *, is_log: tuple[bool, bool] = (False, True), limit: float | None = None
) -> None:
    """Write a picture with a panel for each thing measured, each server a line; ours are of one colour.

    Args:
        path: of the picture.
        panels: see `Panel`.
        is_log: of either axis.
        limit: a level that is wanted, as a dashed line.
    """
    figure, axes = new_panels(len(panels))
    for axis, (title, across, up, lines) in zip(axes, panels, strict=True):
        others = iter(("#c8553d", "#3d5a80", "#8d6a9f", "#b08900", "#5f6b6d", "#a23b72"))
        for name, points in lines.items():
            colour = COLOURS[0] if name.startswith(OURS) else next(others, "#888888")
            style = "-" if name != "Puppet over HTTP" else "--"
            axis.plot(*zip(*points, strict=True), style, marker="o", markersize=3, color=colour, label=name)
        if limit is not None:
            axis.axhline(limit, linestyle="--", linewidth=1, color="black")
        for log, scale in zip(is_log, (axis.set_xscale, axis.set_yscale), strict=True):
            if log:
                scale("log")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(across, fontsize=8)
        axis.set_ylabel(up, fontsize=8)
    handles, names = axes[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7)
    write(figure, path)
