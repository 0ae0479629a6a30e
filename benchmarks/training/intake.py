"""How long an export takes to be read, and a file of tickets to be sorted.

Two processes, each on one core, one after the other:

- 25 MB of CSV with an id, a category, a subject and a body, 2 % of the rows without a category, are read, checked,
  tokenised and their faults grouped, as `inspect` and `fit` do before anything is trained;
- 25,000 tickets of 30 words are sorted into a CSV by `classify`, with a model that the recipe `fast` trained on 3,000
  invented tickets. The words are those that the model knows, but for the share that its own training tickets have too.

The ceiling of the reading is csv.reader alone on the same bytes; of the sorting, the model alone on the ids.
"""

import csv
import itertools
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec

from artifacts.kinds import load
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from benchmarks.common import machine, options, report
from benchmarks.common.rounds import Spread, spread, too_few
from benchmarks.load.server import pinned
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig
from trainer.data.columns import AS_FOUND, Reading
from trainer.data.tickets import noticed, read
from trainer.run import fit
from trainer.samples import synthetic
from trainer.sorting.classify import Asked, classify

EXPORT_BYTES = 25_000_000
NUM_SORTED, NUM_WORDS = 25_000, 30
NUM_TAUGHT = 3000
NAME = "intake"
LIMIT_S, LIMIT_BYTES = 10.0, 400 * 1024**2  # what the project set itself, for each of the two


class Settings(msgspec.Struct, frozen=True):
    """What was asked for."""

    rounds: int
    export_bytes: int = EXPORT_BYTES
    num_sorted: int = NUM_SORTED
    num_words: int = NUM_WORDS


class Task(msgspec.Struct, frozen=True):
    """What a process of its own measures: `reads` an export, or sorts one with the model in `store`."""

    reads: bool
    path: str
    store: str
    out: str


class Timed(msgspec.Struct, frozen=True):
    """What a process measured.

    Attributes:
        seconds: from the path to the rows, or to the written file.
        cpu_seconds: of the process in that time; other work on the machine does not lengthen it.
        ceiling_s: processor time of the part that cannot be left out.
        peak_bytes: the most memory that the process held, the program included.
        num_tickets: that were read or sorted.
        num_tokens: of them all.
    """

    seconds: float
    cpu_seconds: float
    ceiling_s: float
    peak_bytes: int
    num_tickets: int
    num_tokens: int


class Line(msgspec.Struct, frozen=True):
    """The rounds of one of the two."""

    seconds: Spread
    cpu_seconds: Spread
    ceiling_s: Spread
    peak_bytes: int
    num_tickets: int
    num_tokens: int


class Numbers(msgspec.Struct, frozen=True):
    """What was measured, and why it is void if it is."""

    reading: Line
    sorting: Line
    void_because: list[str]


@click.command("intake")
@options.rounds
@options.save
@shows_errors
def intake_command(rounds: int, save: bool) -> None:
    """Time 25 MB of CSV from the disk to checked tickets, and 25,000 tickets from a file to a sorted one."""
    here = machine.read_machine()
    settings = Settings(rounds)
    with tempfile.TemporaryDirectory() as folder, pinned(0):
        made = make(Path(folder))
        # In turn, so that what else the machine does meets both.
        found = [(measured(made[0]), measured(made[1])) for _ in range(rounds)]
    numbers = Numbers(line([one for one, _ in found]), line([one for _, one in found]), too_few(rounds))
    report.conclude(machine.result("intake", here, settings, numbers), [sheet(numbers)], [], numbers.void_because, save)


@click.command("one-intake", hidden=True)
@shows_errors
def one_intake_command() -> None:
    """Measure what stdin says, and print it as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    click.echo(msgspec.json.encode(reading(task) if task.reads else sorting(task)).decode())


def make(folder: Path) -> tuple[Task, Task]:
    """Write the two files and train the model; return what is to be measured."""
    export, unsorted, store = folder / "export.csv", folder / "unsorted.csv", folder / "store"
    chosen = random.Random(0)  # invented tickets
    invented = synthetic.generate(NUM_TAUGHT, 0)
    rows = noticed([Ticket(category, tokens) for category, tokens in invented], [tokens for _, tokens in invented])
    words = [token for tokens in rows.tokens for token in tokens if token.isalpha()]
    categories = sorted(rows.categories)
    with export.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "category", "subject", "body"))
        for number in itertools.count(1):
            category = chosen.choice(categories) if chosen.random() > 0.02 else ""
            body = " ".join(chosen.choices(words, k=chosen.randint(15, 45)))
            writer.writerow((number, category, " ".join(chosen.choices(words, k=4)), f"{body}, merci."))
            if number % 500 == 0 and file.tell() >= EXPORT_BYTES:
                break
    with unsorted.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text"))
        writer.writerows((number, " ".join(chosen.choices(words, k=NUM_WORDS))) for number in range(NUM_SORTED))
    opened = Store(store)
    opened.create_model(NAME, "GRU")
    fit(opened, NAME, rows, TrainConfig(recipe="fast", processes=1))
    out = str(folder / "sorted.csv")
    return Task(True, str(export), str(store), out), Task(False, str(unsorted), str(store), out)


def measured(task: Task) -> Timed:
    """Return what a process of its own measures."""
    return msgspec.json.decode(machine.run_child(["one-intake"], msgspec.json.encode(task)), type=Timed)


def reading(task: Task) -> Timed:
    """Read an export as `fit` does, and then its cells alone."""
    start, cpu = time.perf_counter(), time.process_time()
    rows = read(Path(task.path), Reading(skip_unlabelled=True))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_bytes()
    cpu = time.process_time()
    with Path(task.path).open(encoding="utf-8", newline="") as file:
        for _ in csv.reader(file):
            pass
    ceiling = time.process_time() - cpu
    return Timed(seconds, cpu_seconds, ceiling, peak, len(rows.tickets), sum(map(len, rows.tokens)))


def sorting(task: Task) -> Timed:
    """Sort a file as `classify` does, and then ask the model alone."""
    start, cpu = time.perf_counter(), time.process_time()
    model = load(*Store(Path(task.store)).read_version(NAME, 1))
    found, _ = classify(Path(task.path), Path(task.out), model, Asked(), AS_FOUND)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_bytes()
    with Path(task.path).open(encoding="utf-8", newline="") as file:
        encoded = [model.encode(row["text"]) for row in csv.DictReader(file)]
    cpu = time.process_time()
    for first in range(0, len(encoded), 512):
        model.predict(encoded[first : first + 512])
    return Timed(
        seconds, cpu_seconds, time.process_time() - cpu, peak, found.num_tickets, sum(map(model.cost, encoded))
    )


def peak_bytes() -> int:
    """Return the most memory that this process has held since it began; getrusage counts its parent's before that."""
    return 1024 * int(re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[0])


def line(found: list[Timed]) -> Line:
    """Return the rounds of one thing as one line."""
    return Line(
        spread([one.seconds for one in found]),
        spread([one.cpu_seconds for one in found]),
        spread([one.ceiling_s for one in found]),
        max(one.peak_bytes for one in found),
        found[0].num_tickets,
        found[0].num_tokens,
    )


def sheet(numbers: Numbers) -> report.Sheet:
    """Return the table for people."""
    rows = []
    for what, one in (("25 MB of CSV, read and checked", numbers.reading), ("25,000 tickets, sorted", numbers.sorting)):
        rows.append(
            [
                what,
                str(one.num_tickets),
                str(one.num_tokens),
                f"{one.seconds.median:.2f}",
                f"{one.cpu_seconds.median:.2f}",
                f"{one.ceiling_s.median:.2f}",
                f"{one.peak_bytes / 1024**2:.0f}",
            ]
        )
    columns = ["what", "tickets", "tokens", "seconds", "processor s", "ceiling, processor s", "peak, MiB"]
    notes = [
        f"wanted: {LIMIT_S:.0f} s for each, {LIMIT_BYTES // 1024**2} MiB for the reading, on one core",
        "ceiling: csv.reader alone on the same file; the model alone on the same ids",
    ]
    return report.Sheet("An export in, a sorted file out", columns, rows, notes)
