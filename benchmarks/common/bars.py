"""Pictures of servers side by side: bars with the range over the rounds, and lines, as of latency against load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.plots import COLOURS
from benchmarks.common.rounds import Spread

OURS = "Puppet"  # what the titles of our own servers begin with
OTHERS = ("#c8553d", "#3d5a80", "#8d6a9f", "#b08900", "#5f6b6d", "#a23b72")
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
        if place and names == [name for name, _ in panels[0][1]]:
            axis.set_yticklabels([])  # the names stand at the left
    write(figure, path)


Panel = tuple[str, str, str, dict[str, list[tuple[float, float]]]]  # title, names of both axes, line -> its points


def plot_lines(
    path: Path,
    panels: Sequence[Panel],
    *,
    is_log: tuple[bool, bool] = (False, True),
    limit: float | None = None,
    ticks: Sequence[str] = (),
) -> None:
    """Write a picture with a panel for each thing measured, each server a line; ours are green, the first unbroken.

    Args:
        path: of the picture.
        panels: see `Panel`.
        is_log: of either axis.
        limit: a level that is wanted, as a dashed line.
        ticks: names of 0, 1, 2, ... on the lower axis.
    """
    figure, axes = new_panels(len(panels))
    looks = looks_of(list(dict.fromkeys(name for panel in panels for name in panel[3])))
    shown: dict[str, Any] = {}
    for axis, (title, across, up, lines) in zip(axes, panels, strict=True):
        for name, points in lines.items():
            (shown[name],) = axis.plot(*zip(*points, strict=True), marker="o", markersize=3, **looks[name])
        if limit is not None:
            axis.axhline(limit, linestyle="--", linewidth=1, color="black")
        for log, scale in zip(is_log, (axis.set_xscale, axis.set_yscale), strict=True):
            if log:
                scale("log")
        if ticks:
            axis.set_xticks(range(len(ticks)), ticks)
        axis.tick_params(which="both", labelsize=7)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(across, fontsize=8)
        axis.set_ylabel(up, fontsize=8)
    figure.legend([shown[name] for name in looks], list(looks), loc="outside right center", fontsize=7)
    write(figure, path)


def looks_of(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the colour and the stroke of each line, the same in every panel.

    >>> looks_of(["Puppet, its own model", "Puppet, the seed's weights"])["Puppet, the seed's weights"]
    {'color': '#0b6e4f', 'linestyle': '--'}
    """
    ours = [name for name in names if name.startswith(OURS)]
    others = [name for name in names if name not in ours]
    return {
        name: {
            "color": COLOURS[0] if name in ours else OTHERS[others.index(name) % len(OTHERS)],
            "linestyle": "--" if name in ours[1:] else "-",
        }
        for name in names
    }
