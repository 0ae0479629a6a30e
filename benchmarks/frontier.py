"""Which shape of the network is worth its microseconds: how accurate each is, and what a ticket costs it.

A shape is what `--shape` says in words of the training's settings: how many GRUs, how large, whether they read both
ways. For each set and seed a tenth of the training file is held out, equal tickets together (trainer/tickets.py), and
every shape and the LinearSVC learn from the rest. The test file is not read: shapes are chosen by what comes out here.

    sets -> a tenth held out for each seed -> costs -> one process per training -> frontier -> tables, picture

The cost is that of onnxruntime alone, 8 tickets of 30 tokens at a time and 1, in processor time of one thread. All
shapes are timed in one process, turn by turn, so that a machine that slows down slows all of them alike. What a run
costs depends on the sizes and not on what was learnt, so for this each network is trained for one epoch only.

The floor of the cost is the arithmetic of the GRUs at the speed that this core reaches on a large product of matrices.
"""

import hashlib
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from artifacts.errors import InvalidInput
from artifacts.gru import GruManifest, GruModel, pad
from artifacts.runtime import open_session
from artifacts.store import Store
from benchmarks import machine, options, report
from benchmarks.accuracy import ONE_THREAD, RELATIVE_COST, check_plots, measure_all, measured
from benchmarks.arithmetic import graph_flops, peak_flops
from benchmarks.intervals import Interval, paired_interval
from benchmarks.learners import BATCH_TICKETS, BATCH_TOKENS, GRU, PEERS, Run, Work, median_us
from benchmarks.options import FOLDER
from benchmarks.plots import Mark, Panel, plot_frontier
from benchmarks.rounds import MIN_ROUNDS, Spread, interleaved, spread, too_few
from benchmarks.searches import make_tickets
from benchmarks.sets import KIND, DataSet, Part, choose, find_sets, read_train
from benchmarks.summary import bits
from benchmarks.tables import changed
from trainer.config import TrainConfig, read_config
from trainer.data import read_file
from trainer.run import fit
from trainer.terminal import shows_errors
from trainer.tickets import check_categories, check_rows, split, table

HELD_OUT = 0.1  # of the distinct tickets of each category
LIMIT_US = 45.0  # a ticket, in a batch of 8; what the network of one GRU of 64 cost when it was the default
SVC = PEERS["svc"].title
# Around the default, which stands first: the others are compared with the first.
DEFAULT_SHAPES = (
    "grus=2,embedding=32,hidden=32",
    *(f"grus=1,embedding={size},hidden={size}" for size in (32, 48, 64)),
    *(f"grus=2,embedding={size},hidden={size}" for size in (16, 24)),
    *(f"grus=3,embedding={size},hidden={size}" for size in (16, 24, 32)),
    *(f"grus={grus},embedding={size},hidden={size},bidirectional=false" for grus, size in ((2, 32), (2, 48), (4, 32))),
)
FIELDS = {field.name for field in msgspec.structs.fields(TrainConfig)}
# For a network whose sizes count and not what it learnt.
BRIEFLY = ("epochs=1", "refit=false", "folds=1", "linear_c=1")
ONE_PROCESS = "processes=1"  # several are trained at a time already
AXIS = f"microseconds a ticket, {BATCH_TICKETS} of {BATCH_TOKENS} tokens at a time, onnxruntime, one thread"


class Shape(msgspec.Struct, frozen=True):
    """A shape, as words of the training's settings."""

    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """A short name.

        >>> Shape(("grus=2", "hidden=48", "embedding=32", "bidirectional=false", "dropout=0.4")).label
        '2 x 48, E 32, one way, dropout=0.4'
        >>> Shape(("recipe=best",)).label
        'recipe=best'
        """
        left = dict(word.split("=", 1) for word in self.words)
        names = []
        if "grus" in left and "hidden" in left:
            hidden = left.pop("hidden")
            names.append(f"{left.pop('grus')} x {hidden}")
            if (embedding := left.pop("embedding", hidden)) != hidden:
                names.append(f"E {embedding}")
        if left.get("bidirectional") == "false":
            del left["bidirectional"]
            names.append("one way")
        return ", ".join([*names, *(f"{name}={value}" for name, value in left.items())])


class HeldOut(NamedTuple):
    """A training file without a tenth, and that tenth, as the files of a set."""

    data: DataSet
    seed: int
    num_train: int


class Key(NamedTuple):
    """Which training: a shape's label or the LinearSVC's title, on one set with one seed."""

    label: str
    learner: str
    seed: int


class Settings(msgspec.Struct, frozen=True):
    """What was asked for.

    Attributes:
        sets: label -> SHA-256 of the training file.
        config: of every shape, where its own words say nothing else.
        shapes: label -> words; the others are compared with the first.
    """

    sets: dict[str, str]
    config: TrainConfig
    shapes: dict[str, list[str]]
    seeds: list[int]
    rounds: int
    jobs: int
    held_out: float = HELD_OUT
    limit_us: float = LIMIT_US


class CostTask(msgspec.Struct, frozen=True):
    """What the process that measures costs is told on stdin: shapes by their settings, on one set."""

    train: Path
    held_out: Path
    settings: list[tuple[str, ...]]
    rounds: int
    seed: int


class Cost(msgspec.Struct, frozen=True):
    """What a ticket costs a shape, in microseconds of the processor, onnxruntime alone.

    Attributes:
        batch_us: a ticket in a batch of 8 of 30 tokens; median, lowest and highest over the rounds.
        single_us: a ticket of 30 tokens by itself.
        floor_us: a ticket's arithmetic at the peak of the core.
        model_bytes: of model.onnx.
    """

    batch_us: Spread
    single_us: Spread
    floor_us: float
    model_bytes: int


class Costs(msgspec.Struct, frozen=True):
    """The costs of each shape on one set, in the order of the task, and the core's peak."""

    peak_gflops: float
    costs: list[Cost]


class Line(msgspec.Struct, frozen=True):
    """A shape on one set.

    Attributes:
        accuracies: of each seed, on the tickets that were held out for it.
        over_svc: the lead over the LinearSVC that learnt the same tickets, with its interval.
        over_first: the same over the first shape; None for that one itself.
        train_seconds: median over the seeds.
        is_on_frontier: no other shape is as accurate for less, or more accurate for as much.
    """

    shape: str
    accuracies: list[float]
    over_svc: Interval
    over_first: Interval | None
    cost: Cost
    train_seconds: float
    is_on_frontier: bool

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.accuracies)


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set; the LinearSVC's cost is text to category, one ticket of the set at a time."""

    label: str
    num_train: int
    num_held_out: int
    svc_accuracies: list[float]
    svc_ticket_us: float
    lines: list[Line]

    @property
    def svc_accuracy(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.svc_accuracies)


class MeanLine(msgspec.Struct, frozen=True):
    """A shape on all sets: means."""

    shape: str
    accuracy: float
    batch_us: float
    single_us: float
    floor_us: float
    train_seconds: float
    is_on_frontier: bool


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        peak_gflops: of one core, median of the sets' processes.
        svc_accuracy: the mean over the sets.
        void_because: why this is no result; empty if it is one.
    """

    peak_gflops: float
    svc_accuracy: float
    means: list[MeanLine]
    sets: list[SetNumbers]
    void_because: list[str]


@click.command("frontier")
@options.data_sets
@options.sets
@click.option(
    "--shape",
    "asked",
    multiple=True,
    metavar="WORDS",
    help="Settings of one shape, such as 'grus=2,hidden=32,embedding=32'; repeatable; the first is compared with.  "
    "[a dozen around the default]",
)
@options.settings("One setting of every training; repeatable.")
@options.seeds("Trainings of each shape on a set.")
@click.option(
    "--rounds", type=click.IntRange(1), default=50, show_default=True, help=f"Of costs; under {MIN_ROUNDS} are void."
)
@options.jobs("Trainings at a time.")
@options.resume("each training's numbers; what it has already, of the same commit, is not trained again.")
@click.option("--save", is_flag=True, help="Keep tables and picture in benchmarks/results, unless the result is void.")
@click.option("--results", type=FOLDER, default=machine.RESULTS, help="Another folder for what is kept.")
@shows_errors
def frontier_command(
    data: Path,
    sets: tuple[str, ...],
    asked: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: int,
    rounds: int,
    jobs: int,
    resume: Path | None,
    save: bool,
    results: Path,
) -> None:
    """Train every shape, and weigh its accuracy on held-out training tickets against what a ticket costs it."""
    here = machine.read_machine()
    config = read_config(TrainConfig, None, overrides)
    shapes = [read_shape(words, overrides) for words in asked or DEFAULT_SHAPES]
    if len({shape.label for shape in shapes}) < len(shapes):
        raise click.UsageError("--shape: two shapes are the same; each is trained once for each seed")
    chosen = choose(find_sets(data.absolute()), sets, data)
    if save:
        check_plots()
    numbered = [config.seed + number for number in range(seeds)]
    settings = Settings(
        sets={one.label: hashlib.sha256(one.train.read_bytes()).hexdigest() for one in chosen},
        config=config,
        shapes={shape.label: list(shape.words) for shape in shapes},
        seeds=numbered,
        rounds=rounds,
        jobs=jobs,
    )
    with ExitStack() as stack:
        folder = resume or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="puppet-benchmark-")))
        parts = [hold_out(one, seed, folder.absolute() / "held_out") for one in chosen for seed in numbered]
        # Costs first: the trainings take hours, and a shape that cannot be exported is told in minutes.
        costs = {}
        for part in parts:
            if part.seed == numbered[0]:
                click.echo(f"costs on {part.data.label}", err=True)
                costs[part.data.label] = measure_costs(part, shapes, overrides, rounds)
        works = plan(parts, shapes, overrides)
        commit = str(machine.read_source().git_sha)
        runs: dict[Key, Run] = {}
        for work, run in measure_all(list(works), jobs, lambda work: (work, measured(work, resume, commit))):
            runs[works[work]] = run
            told = f"{run.label}: {works[work].learner}, seed {run.seed}: {run.accuracy:.4f}"
            click.echo(f"{len(runs)} of {len(works)}: {told}, {run.train_seconds:.0f} s", err=True)
    numbers = summarise(settings, runs, costs)
    found = machine.result("frontier", here, settings, numbers)
    sheets = [mean_sheet(settings, numbers), *(set_sheet(settings, one) for one in numbers.sets)]
    picture = report.Picture(
        "Accuracy against microseconds a ticket", "", lambda path: plot_frontier(path, panels(numbers), LIMIT_US, AXIS)
    )
    report.conclude(found, sheets, [picture], numbers.void_because, save, results)


@click.command("shape-costs", hidden=True)
@shows_errors
def shape_costs_command() -> None:
    """Train and time what stdin says, and print the costs as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=CostTask, dec_hook=lambda _, path: Path(path))
    click.echo(msgspec.json.encode(time_shapes(task)).decode())


def read_shape(asked: str, overrides: tuple[str, ...]) -> Shape:
    """Return a shape that the trainer takes.

    Raises:
        click.UsageError: a word is no `field=value`.
        InvalidInput: there is no such field, or its value is out of range.
    """
    words = tuple(word.strip() for word in asked.split(","))
    if wrong := [word for word in words if "=" not in word]:
        raise click.UsageError(f"--shape {asked}: expected field=value, found {wrong[0]!r}; such as grus=2,hidden=32")
    read_config(TrainConfig, None, (*overrides, *words))
    return Shape(words)


def known(*words: str) -> tuple[str, ...]:
    """Return the words whose field the trainer has; a setting that is gone needs no other value than the usual."""
    return tuple(word for word in words if word.partition("=")[0] in FIELDS)


def hold_out(one: DataSet, seed: int, folder: Path) -> HeldOut:
    """Write a set's training file in two: what is learnt from, and a stratified tenth in the place of the test file.

    Raises:
        InvalidInput: the file does not fit, or no category has a ticket to spare.
    """
    raw_rows = read_file(one.train, table)
    rows = check_rows(raw_rows, str(one.train))
    check_categories(rows)
    parts = split(rows, HELD_OUT, seed)
    if not parts[1]:
        raise InvalidInput(f"{one.train} has no category with 3 distinct tickets; there is nothing to hold out")
    stem = re.sub(r"\W+", "_", f"{one.label} {seed}").lower()
    paths = [folder / f"{stem}_{name}.jsonl" for name in ("train", "held_out")]
    folder.mkdir(parents=True, exist_ok=True)
    for path, numbers in zip(paths, parts, strict=True):
        # Decoded and encoded, because a row of a JSON array may go over several lines.
        lines = (msgspec.json.encode(msgspec.json.decode(raw_rows[number].raw)) + b"\n" for number in numbers)
        path.write_bytes(b"".join(lines))
    return HeldOut(DataSet(one.label, *paths), seed, len(parts[0]))


def plan(parts: Sequence[HeldOut], shapes: Sequence[Shape], overrides: tuple[str, ...]) -> dict[Work, Key]:
    """Return every training and what it is of: of each shape, and of the LinearSVC; the longest first."""
    works: dict[Work, Key] = {}
    num_train = {(part.data.label, part.seed): part.num_train for part in parts}
    for data, seed, _ in parts:
        for shape in shapes:
            words = (*overrides, *shape.words, *known(ONE_PROCESS))
            works[Work(data, GRU, Part(), seed, words)] = Key(data.label, shape.label, seed)
        works[Work(data, "svc", Part(), seed)] = Key(data.label, SVC, seed)
    longest = sorted(works, key=lambda w: -num_train[w.data.label, w.seed] * RELATIVE_COST[w.learner])
    return {work: works[work] for work in longest}


def measure_costs(part: HeldOut, shapes: Sequence[Shape], overrides: tuple[str, ...], rounds: int) -> Costs:
    """Return what each shape costs on a set, measured in a process of its own with one thread."""
    last = known(*BRIEFLY, ONE_PROCESS)
    settings = [(*overrides, *shape.words, *last) for shape in shapes]
    task = CostTask(part.data.train, part.data.test, settings, rounds, part.seed)
    sent = msgspec.json.encode(task, enc_hook=str)  # a path is text in JSON
    return msgspec.json.decode(machine.run_child(["shape-costs"], sent, ONE_THREAD), type=Costs)


def time_shapes(task: CostTask) -> Costs:
    """Return what each shape costs; every number is of this process, so nothing else may run in it."""
    rows = read_train(task.train)
    tickets = make_tickets(task.held_out, BATCH_TOKENS, task.seed).fixed  # with words that the network does not know
    timed: list[Callable[[], tuple[float, float]]] = []
    graphs = []
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = Store(Path(folder) / "store")
        for number, words in enumerate(task.settings):
            name = f"shape-{number}"
            store.create_model(name, KIND)
            manifest, _ = fit(store, name, rows, read_config(TrainConfig, None, (*words, f"seed={task.seed}")))
            manifest, files = store.read_version(name, manifest.version)
            assert isinstance(manifest, GruManifest), "a manifest of another kind; this is our bug"
            graphs.append(files["model.onnx"])
            timed.append(timer(GruModel(manifest, files), files["model.onnx"], tickets))
    peak = peak_flops()
    costs = []
    for graph, taken in zip(graphs, interleaved(timed, task.rounds), strict=True):
        batches, singles = zip(*taken, strict=True)
        floor_us = graph_flops(graph).of(1, BATCH_TOKENS) / peak * 1e6
        costs.append(Cost(spread(batches, 1), spread(singles, 1), round(floor_us, 2), len(graph)))
    return Costs(round(peak / 1e9, 1), costs)


def timer(model: GruModel, graph: bytes, tickets: Sequence[list[str]]) -> Callable[[], tuple[float, float]]:
    """Return what times a network: microseconds of a ticket among 8 and of one alone, medians over the tickets."""
    session = open_session(graph)
    encoded = [model.encode(ticket) for ticket in tickets]

    def feeds(size: int) -> list[dict[str, object]]:
        batches = [encoded[start : start + size] for start in range(0, len(encoded), size)]
        names = ("ids", "lengths", "grams")
        return [dict(zip(names, pad(batch, len(model.vocabulary)), strict=True)) for batch in batches]

    eights, ones = feeds(BATCH_TICKETS), feeds(1)

    def run(feed: dict[str, object]) -> object:
        return session.run(None, feed)

    return lambda: (median_us(run, eights) / BATCH_TICKETS, median_us(run, ones))


def summarise(settings: Settings, runs: Mapping[Key, Run], costs: Mapping[str, Costs]) -> Numbers:
    """Return the numbers of every set, in order, and their means."""
    shapes, sets = list(settings.shapes), []
    for label in settings.sets:

        def of(learner: str, label: str = label) -> list[Run]:
            return [runs[Key(label, learner, seed)] for seed in settings.seeds]

        svc, first = of(SVC), answers(of(shapes[0]))
        lines = []
        for shape, cost in zip(shapes, costs[label].costs, strict=True):
            theirs = of(shape)
            line = Line(
                shape=shape,
                accuracies=[run.accuracy for run in theirs],
                over_svc=paired_interval([answers(theirs)], [answers(svc)]),
                over_first=paired_interval([answers(theirs)], [first]) if shape != shapes[0] else None,
                cost=cost,
                train_seconds=statistics.median(run.train_seconds for run in theirs),
                is_on_frontier=False,
            )
            lines.append(line)
        best = frontier([(line.cost.batch_us.median, line.accuracy) for line in lines])
        sets.append(
            SetNumbers(
                label=label,
                num_train=svc[0].num_train,
                num_held_out=len(first),
                svc_accuracies=[run.accuracy for run in svc],
                svc_ticket_us=statistics.median(run.ticket_us for run in svc),
                lines=[msgspec.structs.replace(line, is_on_frontier=place in best) for place, line in enumerate(lines)],
            )
        )
    return Numbers(
        peak_gflops=statistics.median(one.peak_gflops for one in costs.values()),
        svc_accuracy=statistics.fmean(one.svc_accuracy for one in sets),
        means=means(sets),
        sets=sets,
        void_because=too_few(settings.rounds),
    )


def answers(runs: Sequence[Run]) -> list[bool]:
    """Return whether each answer was right, the seeds one after the other: each was asked tickets of its own."""
    return [right for run in runs for right in bits(run)]


def means(sets: Sequence[SetNumbers]) -> list[MeanLine]:
    """Return the mean of each shape over the sets, every set counting the same."""
    found = []
    for lines in zip(*(one.lines for one in sets), strict=True):
        found.append(
            MeanLine(
                shape=lines[0].shape,
                accuracy=statistics.fmean(line.accuracy for line in lines),
                batch_us=statistics.fmean(line.cost.batch_us.median for line in lines),
                single_us=statistics.fmean(line.cost.single_us.median for line in lines),
                floor_us=statistics.fmean(line.cost.floor_us for line in lines),
                train_seconds=statistics.fmean(line.train_seconds for line in lines),
                is_on_frontier=False,
            )
        )
    best = frontier([(line.batch_us, line.accuracy) for line in found])
    return [msgspec.structs.replace(line, is_on_frontier=place in best) for place, line in enumerate(found)]


def frontier(points: Sequence[tuple[float, float]]) -> set[int]:
    """Return which points none is better than: none costs as little and is right more often, or costs less for as much.

    >>> sorted(frontier([(10.0, 0.8), (20.0, 0.9), (25.0, 0.9), (30.0, 0.85)]))
    [0, 1]
    """

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    return {place for place, point in enumerate(points) if not any(beats(other, point) for other in points)}


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
