"""Which shape of the network is worth its microseconds: how accurate each is, and what a ticket costs it.

A shape is what `--shape` says in words of the training's settings: how many GRUs, how large, whether they read both
ways. For each set and seed a tenth of the training file is held out, equal tickets together (data/tickets.py), and
every shape and the LinearSVC learn from the rest. The test file is not read: shapes are chosen by what comes out here.

    sets -> a tenth held out for each seed -> costs -> one process per training -> frontier -> tables, picture

The floor stands beside each cost (frontier_costs.py); frontier_summary.py weighs, frontier_tables.py shows.
"""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from artifacts.errors import InvalidInput
from benchmarks.accuracy.accuracy import ONE_THREAD, RELATIVE_COST, check_plots, measure_all, measured
from benchmarks.accuracy.frontier_costs import Costs, CostTask
from benchmarks.accuracy.frontier_summary import HELD_OUT, LIMIT_US, SVC, Key, Settings, summarise
from benchmarks.accuracy.frontier_tables import AXIS, mean_sheet, panels, set_sheet
from benchmarks.accuracy.learners import GRU, Run, Work
from benchmarks.accuracy.sets import DataSet, Part, choose, find_sets
from benchmarks.common import machine, options, report
from benchmarks.common.options import FOLDER
from benchmarks.common.plots import plot_frontier
from benchmarks.common.rounds import MIN_ROUNDS
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config
from trainer.data.tickets import check_categories, read, split

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
    rows = read(one.train)
    check_categories(rows)
    parts = split(rows, HELD_OUT, seed)
    if not parts[1]:
        raise InvalidInput("not-valid", reason=f"{one.train} has no category with 3 distinct tickets to hold one out")
    stem = re.sub(r"\W+", "_", f"{one.label} {seed}").lower()
    paths = [folder / f"{stem}_{name}.jsonl" for name in ("train", "held_out")]
    folder.mkdir(parents=True, exist_ok=True)
    for path, numbers in zip(paths, parts, strict=True):
        lines = (msgspec.json.encode(rows.tickets[number]) + b"\n" for number in numbers)
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
