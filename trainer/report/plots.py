"""The curves of `puppet-train report`, as SVG that stands in the page itself.

Numbers in, an `<svg>` element out. No category name comes here: what is untrusted is for the template to escape.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from artifacts.evaluation.calibration import CoveragePoint, ReliabilityBin
from artifacts.networks.manifest import Epoch

# Colours that nobody uses, each replaced by one that the page decides, in light and in dark.
TEXT, FIRST, SECOND = "#010101", "#020202", "#030303"
COLOURS = {TEXT: "currentColor", FIRST: "var(--first)", SECOND: "var(--second)"}
STYLE: dict[Any, Any] = {
    "font.size": 11.0, "axes.edgecolor": TEXT, "axes.labelcolor": TEXT, "text.color": TEXT, "xtick.color": TEXT,
    "ytick.color": TEXT, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "lines.linewidth": 2.0, "svg.fonttype": "path", "svg.hashsalt": "puppet", "figure.constrained_layout.use": True,
}  # fmt: skip


def plot_losses(epochs: Sequence[Epoch], best_epoch: int, words: dict[str, str]) -> str:
    """Return the loss of each epoch in training and validation, and which epoch's weights were kept."""
    with mpl.rc_context(STYLE):
        figure, axis = _panel()
        numbers = [one.epoch for one in epochs]
        axis.plot(numbers, [one.loss for one in epochs], color=FIRST, marker="o", label=words["training"])
        validated = [(one.epoch, one.validation_loss) for one in epochs if one.validation_loss is not None]
        if validated:
            axis.plot(*zip(*validated, strict=True), color=SECOND, marker="s", ls="--", label=words["validation"])
        axis.axvline(best_epoch, color=TEXT, linewidth=1, linestyle=":", label=words["best_epoch"])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel=words["epoch"], ylabel=words["loss"])
        figure.legend(loc="outside upper left", ncols=3)  # beside the curves, which may go anywhere
        return _svg(figure, "losses")


def plot_reliability(bins: Sequence[ReliabilityBin], words: dict[str, str]) -> str:
    """Return accuracy against confidence, bin by bin, and below it how many tickets each bin has."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 4.4))
        axis, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axis.plot([0, 1], [0, 1], color=TEXT, linewidth=1, linestyle=":", label=words["perfect"])
        confidences = [one.confidence for one in bins]
        axis.plot(confidences, [one.accuracy for one in bins], color=FIRST, marker="o", label=words["measured"])
        axis.set(xlim=(0, 1.02), ylim=(-0.02, 1.04), ylabel=words["accuracy"])
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=words["percent"]))
        figure.legend(loc="outside upper left", ncols=2)
        lows, widths = [one.low for one in bins], [one.high - one.low for one in bins]
        below.bar(lows, [one.count for one in bins], widths, align="edge", color=FIRST, alpha=0.6)
        below.set(xlabel=words["confidence"], ylabel=words["tickets"])
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        below.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=words["percent"]))
        return _svg(figure, "reliability")


def plot_coverage(points: Sequence[CoveragePoint], words: dict[str, str]) -> str:
    """Return how right the answers are if only the surest tickets are answered."""
    with mpl.rc_context(STYLE):
        figure, axis = _panel()
        axis.plot([one.coverage for one in points], [one.accuracy for one in points], color=FIRST, marker="o")
        low = min(one.accuracy for one in points)
        axis.set(xlabel=words["coverage"], ylabel=words["accuracy"], xlim=(0, 1.03), ylim=(low - 0.02, 1.01))
        axis.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=words["percent"]))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, 0 if low < 0.95 else 1, words["percent"]))
        axis.grid(color=TEXT, alpha=0.15)
        return _svg(figure, "coverage")


def _panel() -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 3.6))
    return figure, figure.subplots()


def _svg(figure: Figure, prefix: str) -> str:
    """Return a figure as an element of a page: its colours are the page's, its ids begin with `prefix`."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, said in COLOURS.items():
        text = text.replace(colour, said)
    for before in (' id="', 'href="#', "url(#"):
        text = text.replace(before, f"{before}{prefix}-")
    # A picture says its meaning once, on the figure around it.
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
