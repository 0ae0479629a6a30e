"""Is the training loop worth its complexity: an epoch of it beside the loops that one would write first.

Five loops (epoch_loops.py), from the trainer's own to one that shuffles and pads to the longest ticket of the set:

- the trainer's loop, as it is;
- its batches with plain AdamW: what is left of the difference is the optimiser's;
- shuffled batches, padded to the longest ticket of the batch, that tell the network how long each ticket is;
- the same, but the GRU reads the padding as well, as it does where nobody tells it the lengths;
- the same, padded to the longest ticket of the whole set.

The ceiling is the arithmetic of the network, forwards and backwards, at the speed that this core reaches on a large
product of matrices. Then the whole `fit` is timed, every network and the export, on one core and, if the trainer knows
how to use several processes, on two. epoch_summary.py has what comes out.
"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import msgspec

from artifacts.store.store import Store
from benchmarks.accuracy.accuracy import ONE_THREAD
from benchmarks.accuracy.learners import MODEL
from benchmarks.accuracy.sets import KIND, choose, find_sets, read_train
from benchmarks.common import machine, options, report
from benchmarks.common.rounds import interleaved, too_few
from benchmarks.load.server import pinned
from benchmarks.training.epoch_loops import Measured, Task, read_task
from benchmarks.training.epoch_summary import PROCESSES, Numbers, Settings, make_sheet, summarise
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config
from trainer.run import fit


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


@click.command("one-fit", hidden=True)
@shows_errors
def one_fit_command() -> None:
    """Train a whole model on what stdin says, and print the seconds as JSON."""
    click.echo(msgspec.json.encode(time_fit(read_task())).decode())


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
