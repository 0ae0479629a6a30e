"""Where the seconds of a training go, and how far it is from what its arithmetic allows.

Each set is trained twice, each time by a process of its own: once with the default processes, for the seconds that a
person waits, and once in one process that is looked into (speed_profile.py), for the processor's seconds of each phase
and of each step of the loop. The sets are invented, in several sizes of short and of long tickets, so that what grows
faster than the tickets is seen; or they are files.

The ceiling is the operations of all epochs of all GRUs, forwards and backwards, at the most that this core does where
it does nothing else (arithmetic.py); the ratio is that time as a share of what the networks' phases took.
"""

import math
import statistics
import tempfile
from pathlib import Path

import click
import msgspec

from benchmarks.common import machine, options, report
from benchmarks.training.epoch import choose_files
from benchmarks.training.speed_profile import Measured, Task, write_invented
from trainer.cli.terminal import shows_errors

SIZES, WORDS, CATEGORIES = (300, 3000, 10_000, 24_000), (12, 60), 8
FROM = 1000  # tickets: with fewer, what every training costs hides how the rest grows
MB = 1_000_000


class Settings(msgspec.Struct, frozen=True):
    """What was asked for."""

    tickets: tuple[int, ...]
    words: tuple[int, ...]
    categories: int
    overrides: tuple[str, ...]
    waits: bool


class Line(msgspec.Struct, frozen=True):
    """What was measured of one set; `wait_s` is None if only the processor's time was wanted."""

    label: str
    num_words: int
    looked_into: Measured
    wait_s: float | None = None
    wait_bytes: int = 0

    @property
    def network_s(self) -> float:
        """Processor's seconds of the networks' phases."""
        return sum(seconds for phase, seconds in self.looked_into.phases.items() if phase.endswith("network"))

    @property
    def ceiling_s(self) -> float:
        """Seconds that the arithmetic of the networks takes at the peak."""
        return self.looked_into.flops / self.looked_into.peak_flops


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        lines: of each set.
        exponents: by words of a ticket, of the processor's seconds as a power of the number of tickets.
    """

    lines: list[Line]
    exponents: dict[int, float]


@click.command("training-speed")
@click.option("--tickets", multiple=True, type=click.IntRange(40), help=f"Of an invented set.  {list(SIZES)}")
@click.option("--words", multiple=True, type=click.IntRange(2, 300), help=f"Of an invented ticket.  {list(WORDS)}")
@click.option("--categories", type=click.IntRange(2), default=CATEGORIES, show_default=True, help="Of invented sets.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    help="A file or a folder of sets, in place of invented ones.",
)
@click.option("--sets", multiple=True, metavar="NAME", help="A set of the folder; repeatable.  [all]")
@options.settings("One setting of the training; repeatable.")
@click.option("--waits/--no-waits", default=True, help="Train with the default processes too, for the wall clock.")
@options.save
@shows_errors
def speed_command(
    tickets: tuple[int, ...],
    words: tuple[int, ...],
    categories: int,
    data: Path | None,
    sets: tuple[str, ...],
    overrides: tuple[str, ...],
    waits: bool,
    save: bool,
) -> None:
    """Measure where a training's time goes, for several numbers of short and of long tickets."""
    here = machine.read_machine()
    settings = Settings(tickets or SIZES, words or WORDS, categories, overrides, waits)
    lines = []
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        for label, num_words, file in files_of(settings, data, sets, Path(folder)):
            click.echo(f"training {label}", err=True)
            lines.append(measured(label, num_words, file, settings))
    numbers = Numbers(lines, exponents(lines))
    found = machine.result("training-speed", here, settings, numbers)
    report.conclude(found, [sheet(numbers), *map(parts, lines)], [], [], save)


def files_of(settings: Settings, data: Path | None, sets: tuple[str, ...], folder: Path) -> list[tuple[str, int, Path]]:
    """Return label, words of a ticket and path of each set; those of files have 0 words.

    Args:
        settings: which sets to invent.
        data: a file or a folder of sets; None: invented ones.
        sets: of the folder.
        folder: for invented sets, and what is trained.
    """
    found: list[tuple[str, int, Path]] = []
    if data is not None:
        for label, path in choose_files(data.absolute(), sets):
            file = folder / f"{len(found)}{path.suffix}"  # beside it a store is made, so not where the data are
            file.write_bytes(path.read_bytes())
            found.append((label, 0, file))
        return found
    for num_words in settings.words:
        for num_tickets in settings.tickets:
            file = folder / f"{num_words}-{num_tickets}.jsonl"
            write_invented(file, num_tickets, num_words, settings.categories)
            found.append((f"{num_tickets} x {num_words} words", num_words, file))
    return found


def measured(label: str, num_words: int, file: Path, settings: Settings) -> Line:
    """Return what a set takes: looked into in one process, then as a person would wait for it."""
    looked_into = train(Task(str(file), (*settings.overrides, "processes=1"), looks=True))
    if not settings.waits:
        return Line(label, num_words, looked_into)
    waited = train(Task(str(file), settings.overrides, looks=False))
    return Line(label, num_words, looked_into, waited.seconds, waited.peak_bytes)


def train(task: Task) -> Measured:
    """Return what a process of its own measures."""
    return msgspec.json.decode(machine.run_child(["one-speed"], msgspec.json.encode(task)), type=Measured)


def exponents(lines: list[Line]) -> dict[int, float]:
    """Return words of a ticket -> the exponent with which time grows, where at least two sizes are large enough.

    The slope of the straight line through the logarithms, by least squares.
    """
    found = {}
    for num_words in sorted({line.num_words for line in lines if line.num_words}):
        measured = [line.looked_into for line in lines if line.num_words == num_words]
        large = [one for one in measured if one.num_tickets >= FROM]
        if len(large) > 1:
            slope, _ = statistics.linear_regression(
                [math.log(one.num_tickets) for one in large], [math.log(one.cpu_s) for one in large]
            )
            found[num_words] = round(slope, 3)
    return found


def sheet(numbers: Numbers) -> report.Sheet:
    """Return the table of all sets."""
    rows = [
        [
            line.label,
            f"{line.wait_s:.1f}" if line.wait_s is not None else "",
            f"{one.cpu_s:.1f}",
            f"{line.network_s:.1f}",
            f"{line.ceiling_s:.2f}",
            f"{line.ceiling_s / line.network_s:.1%}",
            f"{one.epochs}",
            f"{one.tokens_read / line.network_s:.0f}",
            f"{max(one.peak_bytes, line.wait_bytes) / MB:.0f}",
            f"{one.accuracy:.3f}",
        ]
        for line in numbers.lines
        for one in [line.looked_into]
    ]
    columns = [
        *("set", "wait, s", "processor, s", "of it networks", "their ceiling", "ratio", "epochs of all GRUs"),
        *("words a second", "peak, MB", "accuracy"),
    ]
    notes = [
        "wait: the wall clock of a training with the default processes; processor: of a training in one process",
        *(
            f"tickets of {words} words: time grows with the number of tickets to the power of {exponent:.2f}"
            for words, exponent in numbers.exponents.items()
        ),
    ]
    return report.Sheet("A training: where its seconds go", columns, rows, notes)


def parts(line: Line) -> report.Sheet:
    """Return the table of the phases of one set, and below them of the steps of the loop."""
    one = line.looked_into
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / one.cpu_s:.1%}"]
        for name, seconds in [("start of Python", one.start_s), *one.phases.items()]
    ]
    in_loop = sum(one.steps.values()) or 1.0
    rows += [[f"loop: {name}", f"{seconds:.2f}", f"{seconds / in_loop:.1%}"] for name, seconds in one.steps.items()]
    notes = ["shares: of a phase of the whole training, of a step of the loops; seconds of the processor"]
    return report.Sheet(line.label, ["part", "seconds", "share"], rows, notes)
