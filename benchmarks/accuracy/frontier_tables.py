"""The numbers of the shapes for people: a table over all sets, one for each, a verdict in sentences, and a picture."""

from collections.abc import Sequence

from benchmarks.accuracy.frontier_summary import LIMIT_US, SVC, Numbers, SetNumbers, Settings, frontier
from benchmarks.accuracy.learners import BATCH_TICKETS, BATCH_TOKENS
from benchmarks.accuracy.tables import changed
from benchmarks.common import report
from benchmarks.common.intervals import Interval
from benchmarks.common.plots import Mark, Panel

AXIS = f"microseconds a ticket, {BATCH_TICKETS} of {BATCH_TOKENS} tokens at a time, onnxruntime, one thread"


def mean_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table of shapes, the cheapest first, over all sets."""
    columns = [
        *("shape", "accuracy", "over LinearSVC", "us of 8", "us alone", "floor us", "x floor", "training s"),
        *("frontier", *(one.label for one in numbers.sets)),
    ]
    rows = []
    of_set = {(one.label, line.shape): line for one in numbers.sets for line in one.lines}
    for mean in sorted(numbers.means, key=lambda mean: mean.batch_us):
        lines = [of_set[one.label, mean.shape] for one in numbers.sets]
        rows.append(
            [
                *(mean.shape, f"{mean.accuracy:.4f}", f"{100 * (mean.accuracy - numbers.svc_accuracy):+.2f}"),
                *(f"{mean.batch_us:.1f}", f"{mean.single_us:.1f}", f"{mean.floor_us:.2f}"),
                *(f"{mean.batch_us / mean.floor_us:.1f}", f"{mean.train_seconds:.0f}"),
                *("yes" if mean.is_on_frontier else "", *(f"{line.accuracy:.4f}" for line in lines)),
            ]
        )
    svc = ["-"] * 7
    rows.append([SVC, f"{numbers.svc_accuracy:.4f}", *svc, *(f"{one.svc_accuracy:.4f}" for one in numbers.sets)])
    what = "Means over the sets" if len(numbers.sets) > 1 else "One set"
    notes = [
        f"The floor is the arithmetic of the GRUs and the head at {numbers.peak_gflops:.0f} GFLOP/s, which this core "
        "reaches on a product of large matrices; `x floor`: how many times that a ticket takes.",
        f"{what}; accuracy: mean of the seeds {settings.seeds}, each on another tenth of the training file that none "
        "learnt from; the test files were not read.",
        f"us: of the processor, onnxruntime alone, one thread; a ticket of {BATCH_TOKENS} tokens among "
        f"{BATCH_TICKETS}, and one alone; medians of {settings.rounds} rounds in which the shapes took turns.",
        f"Sizes are the GRUs' number x hidden, with an embedding as large unless E says another; settings that all "
        f"have: {changed(settings.config)}.",
        verdict(what.lower(), [(line.shape, line.batch_us, line.accuracy) for line in numbers.means]),
        *(
            verdict(one.label, [(line.shape, line.cost.batch_us.median, line.accuracy) for line in one.lines])
            for one in numbers.sets
            if len(numbers.sets) > 1
        ),
    ]
    return report.Sheet("Which shape of the network is worth its microseconds", columns, rows, notes)


def set_sheet(settings: Settings, one: SetNumbers) -> report.Sheet:
    """Return the table of every shape on one set, with how sure the differences are."""
    first = next(iter(settings.shapes))
    columns = [
        *("shape", "accuracy", "min-max", "over LinearSVC", "95 % interval", f"over {first}", "95 % interval"),
        *("us of 8", "over rounds", "us alone", "bytes", "frontier"),
    ]
    rows = []
    for line in sorted(one.lines, key=lambda line: line.cost.batch_us.median):
        batch = line.cost.batch_us
        rows.append(
            [
                *(line.shape, f"{line.accuracy:.4f}"),
                f"{min(line.accuracies):.4f} to {max(line.accuracies):.4f}",
                *(*lead(line.over_svc), *(lead(line.over_first) if line.over_first else ("-", "-"))),
                *(f"{batch.median:.1f}", f"{batch.lowest:.1f} to {batch.highest:.1f}"),
                *(f"{line.cost.single_us.median:.1f}", str(line.cost.model_bytes)),
                "yes" if line.is_on_frontier else "",
            ]
        )
    notes = [
        f"{one.num_train} tickets learnt from, {one.num_held_out} held out over all seeds; {SVC} "
        f"{one.svc_accuracy:.4f} at {one.svc_ticket_us:.0f} us from text to category, a ticket of the set alone.",
        "Leads in points: paired bootstrap of the held-out tickets of all seeds, 10,000 resamples; the luck of the "
        "training is not in the interval.",
    ]
    return report.Sheet(one.label, columns, rows, notes)


def lead(interval: Interval) -> tuple[str, str]:
    """Return an interval as two cells, in points."""
    return f"{100 * interval.mean:+.2f}", f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def verdict(what: str, shapes: Sequence[tuple[str, float, float]]) -> str:
    """Return which shape is the most accurate within the limit, and which make the frontier, as a sentence."""
    best = frontier([(us, accuracy) for _, us, accuracy in shapes])
    names = [name for _, name in sorted((shapes[place][1], shapes[place][0]) for place in best)]
    within = [shape for shape in shapes if shape[1] <= LIMIT_US]
    if not within:
        return f"{what}: no shape is within {LIMIT_US:g} us; frontier: {'; '.join(names)}."
    name, us, accuracy = max(within, key=lambda shape: (shape[2], -shape[1]))
    told = f"{what}: within {LIMIT_US:g} us {name} is the best, {accuracy:.4f} at {us:.1f} us"
    return f"{told}; frontier: {'; '.join(names)}."


def panels(numbers: Numbers) -> list[Panel]:
    """Return the panels of the picture: every set, after their mean where there are several."""
    found = []
    if len(numbers.sets) > 1:
        marks = [Mark(one.shape, one.batch_us, one.accuracy, one.is_on_frontier) for one in numbers.means]
        found.append(Panel("mean of the sets", marks, SVC, numbers.svc_accuracy))
    for one in numbers.sets:
        marks = [Mark(line.shape, line.cost.batch_us.median, line.accuracy, line.is_on_frontier) for line in one.lines]
        found.append(Panel(one.label, marks, SVC, one.svc_accuracy))
    return found
