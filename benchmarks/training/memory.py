"""How much memory a set of 3,000 categories takes, to look at and to train on, and how large its version is.

Two processes, one after the other, each with one thread of training:

- `audit` of the tickets, which is what `puppet-train inspect` computes;
- `fit`, which is what `puppet-train fit` runs; its version is written to a store.

The tickets are invented. A word of a ticket comes from its category (6 words), from a group of 25 categories (12
words), from 2,000 words that all tickets share by Zipf's law, or from any of 20,000. Three tickets of ten have a typo.

The ceiling is what full tables would take: rows x categories x 4 bytes in the graph, and twice that while scikit-learn
fits them in float64. The peak does not depend on the number of epochs, so a few are enough.
"""

import itertools
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import click
import msgspec

from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from benchmarks.common import machine, options, report
from benchmarks.training.intake import peak_bytes
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig
from trainer.curation.audit import audit
from trainer.data.tickets import Rows, noticed
from trainer.gru.fit import num_table_rows, resolved
from trainer.gru.low_rank import MB, table_bytes
from trainer.run import fit

NAME = "memory"
Recipe = Literal["fast", "default", "best"]
LIMIT_PEAK_MB, LIMIT_VERSION_MB = 2000, 150  # what the project set itself for 3,000 categories and 30,000 tickets
NUM_WORDS, NUM_SHARED, NUM_GROUP, NUM_OWN, GROUP = 20_000, 2000, 12, 6, 25
SYLLABLES = re.findall(
    r"\w+",
    "ba co di fe ga hu ji ka lo mi nu po qui ra se ti vo xe yu za tion ment ure age ist eur al con pre dis re sur",
)


class Settings(msgspec.Struct, frozen=True):
    """What was asked for."""

    num_tickets: int
    num_categories: int
    recipe: Recipe
    epochs: int


class Task(msgspec.Struct, frozen=True):
    """What a process of its own measures: `audit` or `fit`."""

    settings: Settings
    fits: bool


class Measured(msgspec.Struct, frozen=True):
    """What a process measured.

    Attributes:
        peak_bytes: the most memory that the process held, program and libraries included.
        seconds: of the audit or the training, without inventing the tickets.
        accuracy: on tickets that the model had not learnt from.
        file_bytes: of the version's files by name; empty for an audit.
        full_table_bytes: that full tables would take in the graph.
        rank: columns of the tables; 0: full ones or an audit.
    """

    peak_bytes: int
    seconds: float
    accuracy: float
    file_bytes: dict[str, int]
    full_table_bytes: int
    rank: int


class Numbers(msgspec.Struct, frozen=True):
    """What was measured, in each of the two processes."""

    audit: Measured
    fit: Measured


@click.command("memory")
@click.option("--tickets", type=click.IntRange(300), default=30_000, show_default=True)
@click.option("--categories", type=click.IntRange(2), default=3000, show_default=True)
@click.option("--recipe", type=click.Choice(["fast", "default", "best"]), default="fast", show_default=True)
@click.option("--epochs", type=click.IntRange(0), default=1, show_default=True, help="Of each GRU; 0: the recipe's.")
@options.save
@shows_errors
def memory_command(tickets: int, categories: int, recipe: Recipe, epochs: int, save: bool) -> None:
    """Measure the peak memory of `inspect` and `fit` on many categories, and the size of the version's files."""
    here = machine.read_machine()
    settings = Settings(tickets, categories, recipe, epochs)
    numbers = Numbers(measured(Task(settings, False)), measured(Task(settings, True)))
    report.conclude(machine.result("memory", here, settings, numbers), [sheet(numbers)], [], [], save)


@click.command("one-memory", hidden=True)
@shows_errors
def one_memory_command() -> None:
    """Measure what stdin says, and print it as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    click.echo(msgspec.json.encode(fitting(task.settings) if task.fits else auditing(task.settings)).decode())


def measured(task: Task) -> Measured:
    """Return what a process of its own measures."""
    return msgspec.json.decode(machine.run_child(["one-memory"], msgspec.json.encode(task)), type=Measured)


def invent(num_tickets: int, num_categories: int, seed: int = 0) -> Rows:
    """Return invented tickets; the categories take turns, so each has as many as any other, or one more."""
    chosen = random.Random(seed)  # invented tickets
    words: dict[str, None] = {}
    while len(words) < NUM_WORDS:
        words["".join(chosen.choices(SYLLABLES, k=chosen.randint(2, 4)))] = None
    every = list(words)
    shared, others = every[:NUM_SHARED], every[NUM_SHARED:]
    of_zipf = [*itertools.accumulate(1 / place for place in range(1, NUM_SHARED + 1))]
    of_group = [chosen.sample(others, NUM_GROUP) for _ in range(num_categories // GROUP + 1)]
    of_category = [chosen.sample(others, NUM_OWN) for _ in range(num_categories)]
    tickets = []
    for number in range(num_tickets):
        category = number % num_categories
        tokens = []
        for _ in range(chosen.randint(6, 19)):
            kind = chosen.random()
            if kind < 0.5:
                tokens += chosen.choices(shared, cum_weights=of_zipf)
            elif kind < 0.68:
                tokens.append(chosen.choice(of_group[category // GROUP]))
            else:
                tokens.append(chosen.choice(of_category[category] if kind < 0.88 else every))
        if chosen.random() < 0.3:  # a typo: a word of that ticket alone, which only n-grams can read
            place = chosen.randrange(len(tokens))
            at = chosen.randrange(len(tokens[place]))
            tokens[place] = tokens[place][:at] + chosen.choice("abcdefghijklmnop") + tokens[place][at + 1 :]
        tickets.append(Ticket(f"c{category:04d}", tokens))
    return noticed(tickets, [list(ticket.content) for ticket in tickets])


def auditing(settings: Settings) -> Measured:
    """Audit the tickets as `inspect` does."""
    rows = invent(settings.num_tickets, settings.num_categories)
    start = time.perf_counter()
    found = audit(rows)
    seconds = time.perf_counter() - start
    return Measured(peak_bytes(), seconds, found.signal.accuracy, {}, full_table_bytes(TrainConfig(), rows), 0)


def fitting(settings: Settings) -> Measured:
    """Train a version as `fit` does, with a refit on all tickets, and write it to a store."""
    rows = invent(settings.num_tickets, settings.num_categories)
    config = TrainConfig(recipe=settings.recipe, epochs=settings.epochs, refit=True, processes=1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.create_model(NAME, "GRU")
        manifest, _ = fit(store, NAME, rows, config)
        version = store.folder(NAME) / str(manifest.version)
        sizes = {path.name: path.stat().st_size for path in version.iterdir()}
    seconds = time.perf_counter() - start
    accuracy = float(manifest.validation["accuracy"] or 0.0)
    rank = resolved(config, rows).linear_rank or 0
    return Measured(peak_bytes(), seconds, accuracy, sizes, full_table_bytes(config, rows), rank)


def full_table_bytes(config: TrainConfig, rows: Rows) -> int:
    """Return the bytes of full tables in the graph."""
    return table_bytes(num_table_rows(config, rows), len(rows.categories))


def sheet(numbers: Numbers) -> report.Sheet:
    """Return the table for people."""
    rows = [
        [
            what,
            f"{one.peak_bytes / MB:.0f}",
            f"{sum(one.file_bytes.values()) / MB:.0f}" if one.file_bytes else "",
            f"{one.full_table_bytes / MB:.0f}",
            str(one.rank or ""),
            f"{one.accuracy:.3f}",
            f"{one.seconds:.0f}",
        ]
        for what, one in (("audit", numbers.audit), ("fit", numbers.fit))
    ]
    columns = ["what", "peak, MB", "version, MB", "full tables, MB", "columns", "accuracy", "seconds"]
    notes = [
        f"wanted for 30,000 tickets of 3,000 categories: under {LIMIT_PEAK_MB} MB, a version under "
        f"{LIMIT_VERSION_MB} MB; 1 MB is 1,000,000 bytes",
        "accuracy after so few epochs is mostly the linear part's",
    ]
    return report.Sheet("Many categories: memory and size", columns, rows, notes)
