"""The numbers of a run for people: two tables, a verdict in sentences, and pictures."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.accuracy.learners import GRU, PEERS
from benchmarks.accuracy.summary import Numbers, SetNumbers, Settings
from benchmarks.common import report
from benchmarks.common.curve import sentence
from benchmarks.common.plots import Point, plot_curves, plot_latency
from trainer.config import TrainConfig


def make_sheets(numbers: Numbers, settings: Settings) -> list[report.Sheet]:
    """Return the tables for people: how accurate, and at what cost."""
    return [accuracy_sheet(numbers, settings), cost_sheet(numbers, settings)]


def accuracy_sheet(numbers: Numbers, settings: Settings) -> report.Sheet:
    """Return the table of accuracies, with the verdict and the learning curves as sentences."""
    columns = [
        *("set", "train", "test", "categories", "commonest", "accuracy", "min-max", "macro F1"),
        *(PEERS[name].title for name in settings.peers),
        *("lead, points", "95 % interval", "linear alone", "GRU alone"),
    ]
    rows = []
    for one in numbers.sets:
        lead, spread = one.lead, f"{min(one.accuracies):.4f} to {max(one.accuracies):.4f}"
        peers = [one.peers[name].accuracy if name in one.peers else None for name in settings.peers]
        rows.append(
            [
                *(one.label, str(one.num_train), str(one.facts.num_test), str(one.facts.num_categories)),
                *(f"{one.facts.majority_accuracy:.4f}", f"{statistics.fmean(one.accuracies):.4f}"),
                *(spread if len(one.accuracies) > 1 else "-", f"{statistics.fmean(one.macro_f1s):.4f}"),
                *map(share, peers),
                *(f"{100 * lead.mean:+.2f}", f"{100 * lead.low:+.2f} to {100 * lead.high:+.2f}"),
                *(share(one.linear_validation), share(one.gru_validation)),
            ]
        )
    notes = [
        f"On the test file, through onnxruntime; accuracy and macro F1: mean of the seeds {settings.seeds}, "
        "of the first one where there is no min-max; `commonest`: the accuracy of always answering that category.",
        "Lead over LinearSVC (TF-IDF of words 1-2 and characters 2-5, C=1): paired bootstrap of the test tickets, "
        "10,000 resamples; `alone`: each half of the network, on validation tickets.",
        *verdict(numbers),
        f"Settings: {changed(settings.config)}; peers not measured: {missing(settings.peers)}.",
        *(sentence(f"{one.label}, {name_of(one.learner)}", one.curve) for one in numbers.curves),
    ]
    return report.Sheet("How accurate a model trained here is", columns, rows, notes)


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
    chosen = {one.label: one.peers["fasttext"].detail for one in numbers.sets if "fasttext" in one.peers}
    if chosen:
        notes.append("fastText chose " + "; ".join(f"{label}: {detail}" for label, detail in chosen.items()) + ".")
    return report.Sheet("What an answer costs", columns, rows, notes)


def verdict(numbers: Numbers) -> list[str]:
    """Return on which sets and subsamples the interval of the lead lies above 0, and on which below."""
    whole = [one for one in numbers.sets if one.part.num_rows is None]
    above = [one.label for one in whole if one.lead.low > 0]
    below = [one.label for one in numbers.sets if one.lead.high < 0]
    return [
        f"The interval lies above 0 on {len(above)} of {len(whole)} whole sets ({', '.join(above) or 'none'}).",
        f"It lies below 0 on {len(below)} of all {len(numbers.sets)} rows ({'; '.join(below) or 'none'}).",
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
