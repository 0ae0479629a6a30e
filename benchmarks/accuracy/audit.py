"""Whether `puppet-train inspect` finds wrong categories, and what it is worth to deal with those that it finds.

    training file -> a part held out -> categories flipped at random -> audit -> cleaned in three ways -> accuracy

The test file is not read: the accuracy is that of the linear part on the held-out part, whose categories stay as they
are. `removed` leaves out the tickets that the audit names, `relabelled` gives them the suggested category, and
`corrected` is a person who reads the first 6 % of the ranking and puts right what is wrong there.

The ceiling is what was flipped: an audit that found nothing else would have found all of it in the first 5 %.
"""

# Axes: N tickets, C categories.

import hashlib
import statistics
import time
from pathlib import Path

import click
import msgspec
import numpy as np

from artifacts.system import cores
from artifacts.text.tickets import Ticket
from benchmarks.accuracy.sets import choose, find_sets, read_train
from benchmarks.common import machine, report
from trainer.cli.terminal import shows_errors
from trainer.curation.audit import audit
from trainer.curation.folds import Ints, answers
from trainer.data.tickets import Rows
from trainer.kinds import Silent

READ = 0.06  # of the ranking, by a person
HELD_OUT = 0.2
MIN_SEEDS = 3  # fewer are void: what is lost to the flips is about as large as the luck of a split


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; `sets`: label -> SHA-256 of the training file."""

    sets: dict[str, str]
    flipped: float
    seeds: int
    read: float = READ
    held_out: float = HELD_OUT


class Line(msgspec.Struct, frozen=True):
    """What one seed came to on a set.

    Attributes:
        recall: of the flipped tickets, the share in the first 6 % of the ranking.
        named: tickets that the audit names.
        named_recall, named_precision: of these.
        suggested_right: of the flipped tickets that are named, the share whose suggestion is their true category.
        clean, flipped, removed, relabelled, corrected: accuracies.
        seconds: of the audit.
    """

    recall: float
    named: int
    named_recall: float
    named_precision: float
    suggested_right: float
    clean: float
    flipped: float
    removed: float
    relabelled: float
    corrected: float
    seconds: float


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set."""

    label: str
    num_tickets: int
    lines: list[Line]

    def mean(self, field: str) -> float:
        """Return the mean over the seeds."""
        return statistics.fmean(getattr(line, field) for line in self.lines)

    def recovered(self, field: str) -> float | None:
        """Return the share of the accuracy lost that a cleaning brings back, of the means; None if none was lost."""
        lost = self.mean("clean") - self.mean("flipped")
        return (self.mean(field) - self.mean("flipped")) / lost if lost > 0 else None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured, and why this is no result; empty if it is one."""

    sets: list[SetNumbers]
    void_because: list[str]


@click.command("audit")
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder of sets."
)
@click.option("--sets", multiple=True, metavar="NAME", help="A set, such as banking77; repeatable.  [all]")
@click.option("--flipped", type=click.FloatRange(0.001, 0.5), default=0.05, show_default=True, help="Share of tickets.")
@click.option("--seeds", type=click.IntRange(1), default=MIN_SEEDS, show_default=True, help="Fewer than 3 are void.")
@click.option("--save", is_flag=True, help="Keep the table in benchmarks/results, unless the result is void.")
@shows_errors
def audit_command(data: Path, sets: tuple[str, ...], flipped: float, seeds: int, save: bool) -> None:
    """Flip categories at random, and see what `puppet-train inspect` finds of them."""
    here = machine.read_machine()
    chosen = choose(find_sets(data.absolute()), sets, data)
    settings = Settings(
        {one.label: hashlib.sha256(one.train.read_bytes()).hexdigest() for one in chosen}, flipped, seeds
    )
    found = []
    for one in chosen:
        rows = read_train(one.train)
        lines = []
        for seed in range(seeds):
            lines.append(measure(rows, flipped, seed))
            click.echo(f"{one.label}, seed {seed}: recall {lines[-1].recall:.4f}", err=True)
        found.append(SetNumbers(one.label, len(rows.tickets), lines))
    void_because = [f"{seeds} seeds, at least {MIN_SEEDS} are needed"] if seeds < MIN_SEEDS else []
    numbers = Numbers(found, void_because)
    report.conclude(
        machine.result("audit", here, settings, numbers), [sheet(settings, numbers)], [], void_because, save
    )


def measure(rows: Rows, flipped: float, seed: int) -> Line:
    """Return what the audit finds of categories flipped with this seed, and what that is worth."""
    random = np.random.default_rng(seed)
    labels = sorted(rows.categories)
    order = random.permutation(len(rows.tickets))
    held_out, kept = np.split(order, [round(HELD_OUT * len(order))])
    true_N = np.array([labels.index(ticket.expected) for ticket in rows.tickets])
    wrong = random.permutation(kept)[: round(flipped * len(kept))]
    given_N = true_N.copy()
    given_N[wrong] = (true_N[wrong] + random.integers(1, len(labels), len(wrong))) % len(labels)

    def accuracy(teaching: Ints, labels_N: Ints) -> float:
        taught = [rows.tokens[row] for row in teaching]
        asked = [rows.tokens[row] for row in held_out]
        said_NC = answers(taught, labels_N[teaching].tolist(), asked, len(labels), Silent())
        return float((said_NC.argmax(axis=1) == true_N[held_out]).mean())

    start = time.perf_counter()
    of_kept = Rows(
        [Ticket(labels[given_N[row]], rows.tokens[row]) for row in kept], [rows.tokens[row] for row in kept], 0, 0
    )
    found = audit(of_kept, cores.whole())
    seconds = time.perf_counter() - start

    read = kept[found.ranking[: round(READ * len(kept))]]
    named = {int(kept[one.row]): one.suggested for one in found.suspects if one.is_mislabelled}
    suggested_N, corrected_N = given_N.copy(), given_N.copy()
    for row, suggestion in named.items():
        assert suggestion is not None, "a named ticket has a suggestion; this is our bug"
        suggested_N[row] = labels.index(suggestion)
    corrected_N[read] = true_N[read]
    hits = [row for row in wrong.tolist() if row in named]
    return Line(
        recall=float(np.isin(wrong, read).mean()),
        named=len(named),
        named_recall=len(hits) / len(wrong),
        named_precision=len(hits) / max(1, len(named)),
        suggested_right=float((suggested_N[hits] == true_N[hits]).mean()),
        clean=accuracy(kept, true_N),
        flipped=accuracy(kept, given_N),
        removed=accuracy(kept[~np.isin(kept, list(named))], given_N),
        relabelled=accuracy(kept, suggested_N),
        corrected=accuracy(kept, corrected_N),
        seconds=seconds,
    )


def sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table, one row a set."""
    rows = []
    for one in numbers.sets:
        named = (
            f"{one.mean('named'):.0f} ({one.mean('named_precision'):.2f} right, {one.mean('named_recall'):.2f} of all)"
        )
        cleaned = []
        for field in ("removed", "relabelled", "corrected"):
            recovered = one.recovered(field)
            cleaned.append(f"{one.mean(field):.4f} ({'-' if recovered is None else format(recovered, '+.0%')})")
        accuracies = [f"{one.mean(field):.4f}" for field in ("clean", "flipped")]
        lowest = min(line.recall for line in one.lines)
        recall = f"{one.mean('recall'):.3f} ({lowest:.3f})"
        rows.append([one.label, recall, named, f"{one.mean('suggested_right'):.2f}", *accuracies, *cleaned])
    return report.Sheet(
        title="What inspect finds of flipped categories, and what that is worth",
        columns=[
            *("set", f"recall in {settings.read:.0%} (lowest)", "named as wrong", "suggestion right"),
            *("clean", "flipped", "removed", "relabelled", "corrected"),
        ],
        rows=rows,
        notes=[
            f"{settings.flipped:.0%} of the categories flipped at random, {settings.seeds} seeds, means; accuracy of "
            f"the linear part on {settings.held_out:.0%} held out of the training file; in brackets the share of the "
            "loss that is recovered.",
            f"removed and relabelled: all tickets that are named, by themselves; corrected: by a person who reads the "
            f"first {settings.read:.0%}.",
        ],
    )
