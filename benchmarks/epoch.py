"""Is the training loop worth its complexity: an epoch of it beside the loops that one would write first.

The trainer's loop puts tickets of like length into a batch, warms its rate up and cools it down, clips the gradient.
The others shuffle, pad, and take plain AdamW with one rate. All train the same network (one GRU of the default recipe)
from the same weights on the same tickets, one thread, in one process, turn by turn, after a few steps to warm up:

- the trainer's loop, as it is;
- its batches with plain AdamW: what is left of the difference is the optimiser's;
- shuffled batches, padded to the longest ticket of the batch, that tell the network how long each ticket is;
- the same, but the GRU reads the padding as well, as it does where nobody tells it the lengths;
- the same, padded to the longest ticket of the whole set.

The ceiling is the arithmetic of the network, forwards and backwards, at the speed that this core reaches on a large
product of matrices. Then the whole `fit` is timed, every network and the export, on one core and, if the trainer knows
how to use several processes, on two.
"""

# Axes: B tickets in the batch, T tokens (padded), N tickets of the set.

import copy
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
import msgspec
import numpy as np

from artifacts.gru import pad
from artifacts.kinds import kind_named
from artifacts.store import Store
from artifacts.vocabulary import PAD, Encoded, Vocabulary, build_rows
from benchmarks import machine, options, report
from benchmarks.accuracy import ONE_THREAD
from benchmarks.arithmetic import BACKWARD, network_flops, peak_flops
from benchmarks.learners import MODEL
from benchmarks.rounds import Spread, interleaved, spread, too_few
from benchmarks.server import pinned
from benchmarks.sets import KIND, choose, find_sets, read_train
from benchmarks.tables import changed
from trainer.config import TrainConfig, read_config
from trainer.kinds import trainer_of
from trainer.run import fit
from trainer.terminal import shows_errors

if TYPE_CHECKING:  # importing torch takes seconds, and only the measuring process needs it
    from trainer.model import TicketClassifier


class Loop(msgspec.Struct, frozen=True):
    """A way to train for an epoch.

    Attributes:
        name: for people.
        batches: `trainer` is its whole loop, `buckets` its batches alone.
        reads_padding: say that every ticket is as long as the matrix is wide.
        to_longest: pad to the longest ticket of the set, and not of the batch. The network takes no matrix that is
            wider than its longest ticket, so such a loop reads the padding.
    """

    name: str
    batches: Literal["trainer", "buckets", "shuffled"]
    reads_padding: bool = False
    to_longest: bool = False


LOOPS = (
    Loop("the trainer's loop", "trainer"),  # first, for the others are compared with it
    Loop("its batches, plain AdamW", "buckets"),
    Loop("shuffled, padded to the batch", "shuffled"),
    Loop("the same, the GRU reads the padding", "shuffled", reads_padding=True),
    Loop("padded to the whole set, reads it", "shuffled", reads_padding=True, to_longest=True),
)
WARM_STEPS = 5
PROCESSES = "processes"  # the trainer's setting, if it has one


class Material(NamedTuple):
    """What every loop learns from.

    Attributes:
        tickets: encoded.
        targets: the label of each.
        words: in row order.
        config: resolved.
        longest: tokens of the longest ticket of the set.
    """

    tickets: list[Encoded]
    targets: list[int]
    words: list[str]
    num_categories: int
    config: TrainConfig
    longest: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each ticket."""
        return [len(ticket.ids) for ticket in self.tickets]


class Task(msgspec.Struct, frozen=True):
    """What a measuring process is told on stdin; a fit is one round."""

    train: Path
    overrides: tuple[str, ...]
    rounds: int = 1


class Taken(msgspec.Struct, frozen=True):
    """What an epoch took, in seconds of the clock and of the processor."""

    seconds: float
    cpu_seconds: float


class Measured(msgspec.Struct, frozen=True):
    """What the process of the loops gives back.

    Attributes:
        num_tokens: of all tickets together, padding not counted.
        flops: of an epoch, forwards and backwards.
        peak_flops: a second, of one core.
        padding: of each loop, the share of what the network is given that is padding.
        taken: of each loop, each round.
    """

    num_tickets: int
    num_tokens: int
    longest: int
    batch: int
    flops: int
    peak_flops: float
    padding: list[float]
    taken: list[list[Taken]]


class Line(msgspec.Struct, frozen=True):
    """A loop on one set.

    Attributes:
        tickets_per_s: by the clock; over the rounds, as all here.
        epoch_s: by the clock.
        cpu_s: of the processor; less than `epoch_s` where something else ran too.
        times_ours: how many times as long as the trainer's loop in the same round, in processor time.
        ceiling_share: of the tickets a second that the arithmetic allows.
        padding: share of what the network is given that is padding.
    """

    loop: str
    tickets_per_s: Spread
    epoch_s: Spread
    cpu_s: Spread
    times_ours: Spread
    ceiling_share: float
    padding: float


class Fits(msgspec.Struct, frozen=True):
    """The whole `fit` with so many processes on as many cores, in seconds of the clock."""

    processes: int
    seconds: Spread


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set.

    Attributes:
        flops_per_token: of an epoch, over its tokens: the heads' and the backward pass included.
        ceiling_tickets_per_s: that the arithmetic allows one core.
        fits: empty if none was asked for.
    """

    label: str
    num_tickets: int
    num_tokens: int
    longest: int
    batch: int
    flops_per_token: int
    peak_gflops: float
    ceiling_tickets_per_s: float
    loops: list[Line]
    fits: list[Fits]


class Settings(msgspec.Struct, frozen=True):
    """What was asked for."""

    config: TrainConfig
    rounds: int
    fits: int


class Numbers(msgspec.Struct, frozen=True):
    """What was measured, and why this is no result; empty if it is one."""

    sets: list[SetNumbers]
    void_because: list[str]


@click.command("epoch")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="A file of tickets, or a folder of sets, of which the training files are taken.",
)
@click.option("--sets", multiple=True, metavar="NAME", help="A set of the folder; repeatable.  [all]")
@options.settings("One setting of the training; repeatable.")
@options.rounds
@click.option(
    "--fits", type=click.IntRange(0), default=3, show_default=True, help="Whole trainings on one core, and on two."
)
@options.save
@shows_errors
def epoch_command(
    data: Path, sets: tuple[str, ...], overrides: tuple[str, ...], rounds: int, fits: int, save: bool
) -> None:
    """Time an epoch of the training loop beside simpler ones, and the whole training on one core and on two."""
    here = machine.read_machine()
    config = read_config(TrainConfig, None, overrides)
    files = choose_files(data.absolute(), sets)
    settings = Settings(config, rounds, fits)
    lines = []
    for label, path in files:
        click.echo(f"loops on {label}", err=True)
        task = Task(path, overrides, rounds)
        measured = msgspec.json.decode(in_process("loops", task), type=Measured)
        seconds = measure_fits(task, fits, num_cores=here.num_cores) if fits else {}
        lines.append(summarise(label, measured, seconds))
    numbers = Numbers(lines, too_few(rounds))
    found = machine.result("epoch", here, settings, numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


@click.command("loops", hidden=True)
@shows_errors
def loops_command() -> None:
    """Time the loops on what stdin says, and print what they took as JSON."""
    click.echo(msgspec.json.encode(time_loops(read_task())).decode())


@click.command("one-fit", hidden=True)
@shows_errors
def one_fit_command() -> None:
    """Train a whole model on what stdin says, and print the seconds as JSON."""
    click.echo(msgspec.json.encode(time_fit(read_task())).decode())


def read_task() -> Task:
    """Return what stdin says."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Task, dec_hook=lambda _, path: Path(path))


def in_process(command: str, task: Task) -> bytes:
    """Return what a process of its own printed, whose libraries have one thread."""
    return machine.run_child([command], msgspec.json.encode(task, enc_hook=str), ONE_THREAD)  # a path is text in JSON


def choose_files(data: Path, sets: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Return the label and the path of each training file.

    Raises:
        click.UsageError: a set is not there, or one is named though the data are one file.
    """
    if data.is_dir():
        return [(one.label, one.train) for one in choose(find_sets(data), sets, data)]
    if sets:
        raise click.UsageError("--sets chooses among the sets of a folder; --data is a file")
    return [(data.name, data)]


def read_material(path: Path, overrides: tuple[str, ...]) -> Material:
    """Return a training file as the trainer encodes it.

    Raises:
        InvalidInput: the file does not fit.
    """
    rows = read_train(path)
    config = trainer_of(kind_named(KIND)).resolved(read_config(TrainConfig, None, overrides), rows)
    assert isinstance(config, TrainConfig), "settings of another kind; this is our bug"
    words = build_rows(rows.tokens, config.min_count, config.max_vocabulary)
    vocabulary = Vocabulary(words, config.ngram_buckets)
    label_of = {category: label for label, category in enumerate(sorted(rows.categories))}
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    return Material(
        tickets,
        [label_of[ticket.expected] for ticket in rows.tickets],
        list(words),
        len(label_of),
        config,
        max(len(ticket.ids) for ticket in tickets),
    )


def time_loops(task: Task) -> Measured:
    """Return what each loop takes on one thread, the rounds interleaved."""
    import torch

    from trainer.model import TicketClassifier

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # as the trainer has it
    material = read_material(task.train, task.overrides)
    torch.manual_seed(material.config.seed)
    untrained = TicketClassifier(material.words, material.num_categories, material.config)
    lengths = material.lengths
    num_few = WARM_STEPS * material.config.batch
    few = material._replace(tickets=material.tickets[:num_few], targets=material.targets[:num_few])

    def timed(loop: Loop) -> Taken:
        model = copy.deepcopy(untrained)
        start, cpu_start = time.perf_counter(), time.process_time()
        run_loop(loop, model, material)
        return Taken(time.perf_counter() - start, time.process_time() - cpu_start)

    for loop in LOOPS:
        run_loop(loop, copy.deepcopy(untrained), few)
    taken = interleaved([partial(timed, loop) for loop in LOOPS], task.rounds)
    forwards = network_flops(untrained).of(len(lengths), sum(lengths))
    return Measured(
        num_tickets=len(lengths),
        num_tokens=sum(lengths),
        longest=material.longest,
        batch=material.config.batch,
        flops=(1 + BACKWARD) * forwards,
        peak_flops=peak_flops(),  # when the core has had work for minutes and its clock has settled
        padding=[padding_share(lengths, batches_of(loop, material), width(loop, material)) for loop in LOOPS],
        taken=taken,
    )


def run_loop(loop: Loop, model: "TicketClassifier", material: Material) -> None:
    """Train a model in place for an epoch."""
    if loop.batches != "trainer":
        plain_epoch(loop, model, material)
        return
    from trainer import train

    once = msgspec.structs.replace(material.config, epochs=1)
    train.train(model, material.tickets, material.targets, [], [], once)


def plain_epoch(loop: Loop, model: "TicketClassifier", material: Material) -> None:
    """Train a model in place for an epoch as one would write it first: a batch, the loss, a step of AdamW."""
    import torch
    from torch import nn

    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=material.config.lr)
    targets_N = torch.tensor(material.targets)
    model.train()
    for chosen in batches_of(loop, material):
        arrays = pad([material.tickets[i] for i in chosen], len(material.words))
        ids_BT, lengths_B, grams_UK = (torch.from_numpy(array).long() for array in arrays)
        num_missing = max(0, width(loop, material) - ids_BT.shape[1])
        ids_BT = nn.functional.pad(ids_BT, (0, num_missing), value=PAD)
        if loop.reads_padding:
            lengths_B = torch.full_like(lengths_B, ids_BT.shape[1])
        loss = criterion(model(ids_BT, lengths_B, grams_UK), targets_N[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def width(loop: Loop, material: Material) -> int:
    """Return how wide a loop's matrices are at least."""
    return material.longest if loop.to_longest else 1


def batches_of(loop: Loop, material: Material) -> Iterator[list[int]]:
    """Return the ticket numbers of each batch of an epoch; those of the trainer's loop are drawn as it draws them."""
    random = np.random.default_rng(material.config.seed)
    if loop.batches == "shuffled":
        return shuffled(len(material.tickets), material.config.batch, random)
    from trainer.train import batches

    return batches(material.lengths, material.config.batch, random)


def shuffled(num_tickets: int, size: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield the ticket numbers of each batch, in random order."""
    order = random.permutation(num_tickets).tolist()
    for start in range(0, num_tickets, size):
        yield order[start : start + size]


def padding_share(lengths: Sequence[int], batches: Iterator[list[int]], at_least: int) -> float:
    """Return which share of the matrices' places holds no token.

    Args:
        lengths: of each ticket.
        batches: ticket numbers.
        at_least: tokens that every matrix is wide.
    """
    num_places = sum(len(chosen) * max(at_least, *(lengths[i] for i in chosen)) for chosen in batches)
    return 1.0 - sum(lengths) / num_places


def time_fit(task: Task) -> float:
    """Return the seconds of a whole training, export and publishing included, reading the file not."""
    rows, config = read_train(task.train), read_config(TrainConfig, None, task.overrides)
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = Store(Path(folder) / "store")
        store.create_model(MODEL, KIND)
        start = time.perf_counter()
        fit(store, MODEL, rows, config)
        return time.perf_counter() - start


def measure_fits(task: Task, fits: int, num_cores: int) -> dict[int, list[float]]:
    """Return the seconds of each whole training by its number of processes, on as many cores; they take turns.

    Two are measured where the trainer has the setting and the machine the cores.
    """
    has_setting = PROCESSES in {field.name for field in msgspec.structs.fields(TrainConfig)}
    numbers = [1, 2] if has_setting and num_cores > 1 else [1]

    def timed(number: int) -> float:
        words = (*task.overrides, f"{PROCESSES}={number}") if has_setting else task.overrides
        cores = sorted(os.sched_getaffinity(0))[:number] if hasattr(os, "sched_getaffinity") else None
        click.echo(f"a whole training, {number} process(es)", err=True)
        with pinned(cores):
            return msgspec.json.decode(in_process("one-fit", Task(task.train, words)), type=float)

    found = interleaved([partial(timed, number) for number in numbers], fits)
    return dict(zip(numbers, found, strict=True))


def summarise(label: str, measured: Measured, fits: dict[int, list[float]]) -> SetNumbers:
    """Return the numbers of one set."""
    ceiling = measured.num_tickets * measured.peak_flops / measured.flops
    lines = []
    for loop, padding, taken in zip(LOOPS, measured.padding, measured.taken, strict=True):
        speeds = spread([measured.num_tickets / one.seconds for one in taken], 0)
        ratios = [one.cpu_seconds / ours.cpu_seconds for one, ours in zip(taken, measured.taken[0], strict=True)]
        lines.append(
            Line(
                loop=loop.name,
                tickets_per_s=speeds,
                epoch_s=spread([one.seconds for one in taken], 3),
                cpu_s=spread([one.cpu_seconds for one in taken], 3),
                times_ours=spread(ratios, 2),
                ceiling_share=round(speeds.median / ceiling, 4),
                padding=round(padding, 3),
            )
        )
    return SetNumbers(
        label=label,
        num_tickets=measured.num_tickets,
        num_tokens=measured.num_tokens,
        longest=measured.longest,
        batch=measured.batch,
        flops_per_token=round(measured.flops / measured.num_tokens),
        peak_gflops=round(measured.peak_flops / 1e9, 1),
        ceiling_tickets_per_s=round(ceiling, 0),
        loops=lines,
        fits=[Fits(number, spread(seconds, 1)) for number, seconds in fits.items()],
    )


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people; the ceiling stands before what was measured under it."""
    columns = [
        *("set: loop", "tickets/s", "over rounds", "epoch s", "processor s", "x ours", "over rounds"),
        *("of ceiling", "padding"),
    ]
    rows, notes = [], []
    for one in numbers.sets:
        rows.append([f"{one.label}: ceiling", f"{one.ceiling_tickets_per_s:.0f}", *["-"] * 5, "100 %", "0 %"])
        for line in one.loops:
            speed, ratio = line.tickets_per_s, line.times_ours
            rows.append(
                [
                    *(f"{one.label}: {line.loop}", f"{speed.median:.0f}"),
                    *(f"{speed.lowest:.0f} to {speed.highest:.0f}", f"{line.epoch_s.median:.2f}"),
                    *(f"{line.cpu_s.median:.2f}", f"{ratio.median:.2f}", f"{ratio.lowest:.2f} to {ratio.highest:.2f}"),
                    *(f"{line.ceiling_share:.1%}".replace("%", " %"), f"{line.padding:.0%}".replace("%", " %")),
                ]
            )
        notes.append(
            f"{one.label}: {one.num_tickets} tickets of {one.num_tokens / one.num_tickets:.1f} tokens, the longest "
            f"{one.longest}, {one.batch} a batch. Ceiling: {one.flops_per_token / 1e3:.1f} thousand operations a "
            f"token, forwards and backwards, at {one.peak_gflops:.0f} GFLOP/s, which this core reaches on large "
            "matrices."
        )
        notes += fit_notes(one)
    notes.append(
        f"Medians of {settings.rounds} rounds in which the loops took turns, one thread; `x ours` in processor time, "
        f"round by round. One GRU. Settings: {changed(settings.config)}."
    )
    return report.Sheet("Is the training loop worth its complexity", columns, rows, notes)


def fit_notes(one: SetNumbers) -> list[str]:
    """Return what the whole training takes on one core and on two, as sentences."""
    seconds = {fits.processes: fits.seconds for fits in one.fits}
    if not seconds:
        return []
    found = [
        f"{number} core{'s'[: number - 1]} {taken.median:.1f} s ({taken.lowest:.1f} to {taken.highest:.1f})"
        for number, taken in seconds.items()
    ]
    told = f"{one.label}: the whole training takes on {', on '.join(found)}"
    if len(seconds) == 1:
        return [f"{told}; the trainer has no setting `{PROCESSES}`, or the machine one core, so not on two."]
    return [f"{told}: {seconds[1].median / seconds[2].median:.2f} times as fast, of 2 at most."]
