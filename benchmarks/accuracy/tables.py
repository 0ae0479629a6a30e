"""The numbers of a run for people: three tables, a verdict in sentences, and pictures."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.accuracy.learners import GRU, PEERS
from benchmarks.accuracy.summary import Numbers, SetNumbers, Settings
from benchmarks.common import report
from benchmarks.common.curve import sentence
from benchmarks.common.intervals import NUM_RESAMPLES, Interval
from benchmarks.common.plots import Point, plot_curves, plot_latency
from trainer.config import TrainConfig


def make_sheets(numbers: Numbers, settings: Settings) -> list[report.Sheet]:
    """Return the tables for people: how accurate, how sure the leads are, and at what cost."""
    return [accuracy_sheet(numbers, settings), lead_sheet(numbers, settings), cost_sheet(numbers, settings)]


def accuracy_sheet(numbers: Numbers, settings: Settings) -> report.Sheet:
    """Return the table of accuracies, with the learning curves as sentences."""
    columns = [
        *("set", "train", "test", "categories", "commonest", "accuracy", "min-max", "macro F1"),
        *(PEERS[name].title for name in settings.peers),
        *("linear alone", "GRU alone"),
    ]
    rows = []
    for one in numbers.sets:
        spread = f"{min(one.accuracies):.4f} to {max(one.accuracies):.4f}"
        peers = [one.peers[name].accuracy if name in one.peers else None for name in settings.peers]
        rows.append(
            [
                *(one.label, str(one.num_train), str(one.facts.num_test), str(one.facts.num_categories)),
                *(f"{one.facts.majority_accuracy:.4f}", f"{statistics.fmean(one.accuracies):.4f}"),
                *(spread if len(one.accuracies) > 1 else "-", f"{statistics.fmean(one.macro_f1s):.4f}"),
                *map(share, peers),
                *(share(one.linear_validation), share(one.gru_validation)),
            ]
        )
    notes = [
        f"On the test file, through onnxruntime; accuracy and macro F1: mean of the seeds {settings.seeds}, "
        "of the first one where there is no min-max; `commonest`: the accuracy of always answering that category; "
        "`alone`: each half of the network, on validation tickets.",
        f"Settings: {changed(settings.config)}; peers not measured: {missing(settings.peers)}.",
        *(sentence(f"{one.label}, {name_of(one.learner)}", one.curve) for one in numbers.curves),
    ]
    return report.Sheet("How accurate a model trained here is", columns, rows, notes)


def lead_sheet(numbers: Numbers, settings: Settings) -> report.Sheet:
    """Return the table of what we are ahead of each peer, with its interval, and the verdict."""
    rows = [
        [one.label, *(points_ahead(one.peers[name].lead) if name in one.peers else "-" for name in settings.peers)]
        for one in numbers.sets
    ]
    notes = [
        "Points of accuracy, mean of the seeds less the peer's first seed, and in brackets the 95 % interval: paired "
        f"bootstrap of the test tickets, {NUM_RESAMPLES:,} resamples. The luck of the training is not in it.",
        *(line for name in settings.peers for line in verdict(numbers, name)),
        "LinearSVC learns TF-IDF of words 1-2 and characters 2-5. Each peer chose its setting on training rows only.",
    ]
    return report.Sheet("How far it is ahead", ["set", *(PEERS[name].title for name in settings.peers)], rows, notes)


def points_ahead(lead: Interval) -> str:
    """Return a lead as a cell.

    >>> points_ahead(Interval(0.0196, -0.0028, 0.0265))
    '+1.96 (-0.28 to +2.65)'
    """
    return f"{100 * lead.mean:+.2f} ({100 * lead.low:+.2f} to {100 * lead.high:+.2f})"


def cost_sheet(numbers: Numbers, settings: Settings) -> report.Sheet:
    """Return the table of what an answer, a training and a model cost."""
    titles = [PEERS[name].title for name in settings.peers]
    columns = [
        *("set", "us", "us in a batch"),
        *(f"{title} us" for title in titles),
        *("training s", *(f"{title} s" for title in titles)),
        *("model bytes", *(f"{title} bytes" for title in titles)),
    ]
    rows = []
    for one in numbers.sets:
        if one.part.num_rows is not None:
            continue
        peers = [one.peers[name].costs for name in settings.peers]
        in_batch = one.costs.batch_ticket_us
        rows.append(
            [
                *(one.label, f"{one.costs.ticket_us:.0f}", "-" if in_batch is None else f"{in_batch:.0f}"),
                *(f"{cost.ticket_us:.0f}" for cost in peers),
                *(f"{cost.train_seconds:.1f}" for cost in (one.costs, *peers)),
                *(str(cost.model_bytes) for cost in (one.costs, *peers)),
            ]
        )
    notes = [
        "us: median of one ticket after the other in process, text to category, in microseconds of the processor; "
        "`in a batch`: of one in a batch of 8 tickets of 30 tokens.",
        f"{settings.jobs} trainings ran at a time, a thread each; their seconds are those of the clock.",
    ]
    whole = [one for one in numbers.sets if one.part.num_rows is None]
    for name in settings.peers:
        chosen = "; ".join(f"{one.label}: {one.peers[name].detail}" for one in whole)
        notes.append(f"{PEERS[name].title} chose {chosen}.")
    return report.Sheet("What an answer costs", columns, rows, notes)


def verdict(numbers: Numbers, name: str) -> list[str]:
    """Return on which sets and subsamples the interval of the lead over a peer lies above 0, and on which below."""
    compared = [one for one in numbers.sets if name in one.peers]
    whole = [one for one in compared if one.part.num_rows is None]
    above = [one.label for one in whole if one.peers[name].lead.low > 0]
    below = [one.label for one in compared if one.peers[name].lead.high < 0]
    return [
        f"{PEERS[name].title}: the interval lies above 0 on {len(above)} of {len(whole)} whole sets "
        f"({', '.join(above) or 'none'}).",
        f"It lies below 0 on {len(below)} of all {len(compared)} rows ({'; '.join(below) or 'none'}).",
    ]


def share(value: float | None) -> str:
    """Return an accuracy as a cell."""
    return "-" if value is None else f"{value:.4f}"


def name_of(learner: str) -> str:
    """Return a learner's name for people."""
    return "GRU" if learner == GRU else PEERS[learner].title


def changed(config: TrainConfig) -> str:
    """Return the settings that are not the defaults."""
    default = TrainConfig()
    found = [
        f"{name}={value}" for name, value in msgspec.structs.asdict(config).items() if value != getattr(default, name)
    ]
    return ", ".join(found) or "the defaults"


def missing(peers: Sequence[str]) -> str:
    """Return the names of the peers that are not among these."""
    return ", ".join(peer.title for name, peer in PEERS.items() if name not in peers) or "none"


def pictures(numbers: Numbers) -> list[report.Picture]:
    """Return the pictures: accuracy against cost, and the learning curves where there are any."""
    panels = [(one.label, points(one)) for one in numbers.sets if one.part.num_rows is None]
    found = [
        report.Picture("Accuracy against microseconds a ticket", "latency", lambda path: plot_latency(path, panels))
    ]
    if numbers.curves:
        labels = dict.fromkeys(one.label for one in numbers.curves)
        curves = [
            (label, [(name_of(one.learner), one.curve) for one in numbers.curves if one.label == label])
            for label in labels
        ]
        found.append(report.Picture("Learning curves", "curves", lambda path: plot_curves(path, curves)))
    return found


def points(one: SetNumbers) -> list[Point]:
    """Return a set's classifiers as points of the picture, ours first."""
    mean = statistics.fmean(one.accuracies)
    ours = Point("Puppet", one.costs.ticket_us, mean, min(one.accuracies), max(one.accuracies))
    return [ours] + [
        Point(PEERS[name].title, peer.costs.ticket_us, peer.accuracy, peer.accuracy, peer.accuracy)
        for name, peer in one.peers.items()
    ]
