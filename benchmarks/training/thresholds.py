"""Whether the threshold of a target holds on tickets that nobody has seen, on the few hundred a small team has.

    training file -> a draw of 300 to 600 rows -> a training -> its rule on the rest of the file

The test file is not read. A rule holds if the share right of the unseen tickets that it routes is no less than the low
end of the interval that `fit` states of its kept-out ones; a draw without a threshold promises nothing and holds too,
so how many have one, and how much that routes, stand next to it. The ceiling: with a 95 % interval 39 of 40 draws hold,
were a network as sure of tickets as those of its folds are.
"""

import hashlib
import statistics
from pathlib import Path

import click
import msgspec
import numpy as np

from artifacts.evaluation.calibration import accuracy_interval
from artifacts.evaluation.metrics import Metrics
from artifacts.kinds import load
from benchmarks.accuracy.sets import DataSet, choose, find_sets, read_train
from benchmarks.common import machine, report
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig
from trainer.data.tickets import Rows, noticed
from trainer.gru.fit import fit
from trainer.kinds import Silent

FEWEST, MOST = 300, 600  # rows of a draw
UNSEEN = 3000  # tickets that a rule is tried on, at most
MIN_DRAWS = 10  # fewer are void
WANTED = 0.9  # share of the draws that hold


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; `sets`: label -> SHA-256 of the training file."""

    sets: dict[str, str]
    draws: int
    recipe: str
    target: float
    fewest: int = FEWEST
    most: int = MOST
    unseen: int = UNSEEN


class Draw(msgspec.Struct, frozen=True):
    """What one training came to.

    Attributes:
        label: of the set.
        num_rows: trained on.
        threshold: None: nothing is routed.
        detail: of the rule.
        coverage, accuracy: of the tickets kept out of training.
        low, high: interval of that accuracy, as `fit` states it.
        unseen_coverage, unseen_accuracy: of the unseen tickets.
        holds: see the module.
    """

    label: str
    num_rows: int
    threshold: float | None
    detail: str
    coverage: float
    accuracy: float | None
    low: float | None
    high: float | None
    unseen_coverage: float
    unseen_accuracy: float | None
    holds: bool


class Numbers(msgspec.Struct, frozen=True):
    """What was measured, and why this is no result; empty if it is one."""

    draws: list[Draw]
    num_holding: int
    num_with_threshold: int
    is_met: bool
    void_because: list[str]


@click.command("thresholds")
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder of sets."
)
@click.option("--sets", multiple=True, metavar="NAME", help="A set, such as banking77; repeatable.  [all]")
@click.option("--draws", type=click.IntRange(1), default=50, show_default=True, help="In turn of each set.")
@click.option("--recipe", type=click.Choice(["fast", "default"]), default="fast", show_default=True)
@click.option("--target", type=click.FloatRange(0.5, 0.99), default=0.95, show_default=True)
@click.option("--save", is_flag=True, help="Keep the table in benchmarks/results, unless the result is void.")
@shows_errors
def thresholds_command(data: Path, sets: tuple[str, ...], draws: int, recipe: str, target: float, save: bool) -> None:
    """Train on draws of a few hundred rows, and see whether their thresholds hold on the rest."""
    here = machine.read_machine()
    chosen = choose(find_sets(data.absolute()), sets, data)
    hashes = {one.label: hashlib.sha256(one.train.read_bytes()).hexdigest() for one in chosen}
    settings = Settings(hashes, draws, recipe, target)
    rows_of: dict[str, Rows] = {}
    found = []
    for number in range(draws):
        one: DataSet = chosen[number % len(chosen)]
        rows = rows_of.setdefault(one.label, read_train(one.train))
        found.append(measure(one.label, rows, settings, number))
        click.echo(f"{number}: {msgspec.json.encode(found[-1]).decode()}", err=True)
    void_because = [f"{draws} draws, at least {MIN_DRAWS} are needed"] if draws < MIN_DRAWS else []
    num_holding = sum(draw.holds for draw in found)
    num_with = sum(draw.threshold is not None for draw in found)
    numbers = Numbers(found, num_holding, num_with, num_holding >= WANTED * draws, void_because)
    report.conclude(
        machine.result("thresholds", here, settings, numbers), [sheet(settings, numbers)], [], void_because, save
    )


def measure(label: str, rows: Rows, settings: Settings, number: int) -> Draw:
    """Return what the training of one draw promises, and what becomes of that on the rest."""
    random = np.random.default_rng([7, number])
    size = int(random.integers(settings.fewest, settings.most + 1))
    order = random.permutation(len(rows.tickets)).tolist()
    taught = noticed([rows.tickets[row] for row in order[:size]], [rows.tokens[row] for row in order[:size]])
    learnt = {tuple(tokens) for tokens in taught.tokens}
    rest = [row for row in order[size:] if tuple(rows.tokens[row]) not in learnt][: settings.unseen]
    config = TrainConfig(
        recipe="fast" if settings.recipe == "fast" else "default",
        seed=number,
        target=settings.target,
        processes=1,
        out_of_scope=False,
    )
    fitted = fit("thresholds", taught, config, Silent(), None)
    model = load(fitted.manifest, fitted.files)
    unseen = [rows.tickets[row] for row in rest]
    metrics = model.evaluate(unseen, [model.encode(ticket.content) for ticket in unseen])
    assert isinstance(metrics, Metrics), "tickets are measured by their categories; this is our bug"
    rule, tried = fitted.manifest.abstain, metrics.abstention  # type: ignore[attr-defined]  # of a GRU's manifest
    if rule is None or rule.threshold is None or tried is None or tried.accuracy is None:
        detail = rule.detail if rule is not None else "too few tickets were kept out"
        return Draw(label, size, None, detail, 0.0, None, None, None, 0.0, None, True)
    num_routed = round(rule.coverage * rule.num_tickets)
    stated = accuracy_interval(round(rule.accuracy * num_routed), num_routed)
    return Draw(
        label=label,
        num_rows=size,
        threshold=rule.threshold,
        detail=rule.detail,
        coverage=rule.coverage,
        accuracy=rule.accuracy,
        low=stated.low,
        high=stated.high,
        unseen_coverage=tried.coverage,
        unseen_accuracy=tried.accuracy,
        holds=tried.accuracy >= stated.low,
    )


def sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table, one row a set."""

    def row_of(label: str, draws: list[Draw]) -> list[str]:
        with_one = [draw for draw in draws if draw.threshold is not None]
        shares = [draw.unseen_accuracy for draw in with_one if draw.unseen_accuracy is not None]
        return [
            label,
            str(len(draws)),
            str(len(with_one)),
            f"{sum(draw.holds for draw in draws)}",
            f"{statistics.fmean(draw.unseen_coverage for draw in draws):.3f}",
            f"{statistics.fmean(shares):.3f} ({min(shares):.3f})" if shares else "-",
            str(sum(draw.detail.startswith("threshold raised") for draw in draws)),
        ]

    drawn = {one.label for one in numbers.draws}
    rows = [
        row_of(label, [one for one in numbers.draws if one.label == label]) for label in settings.sets if label in drawn
    ]
    return report.Sheet(
        title=f"Whether a threshold for {settings.target:.0%} holds on unseen tickets",
        columns=["set", "draws", "with a threshold", "hold or none", "routed", "right of it (lowest)", "raised"],
        rows=[*rows, row_of("all", numbers.draws)],
        notes=[
            f"{settings.fewest} to {settings.most} rows drawn at random, recipe {settings.recipe}, a seed a draw; "
            f"tried on up to {settings.unseen} other rows of the training file.",
            "hold: the share right of the unseen tickets that are routed is in the interval stated of the kept-out "
            f"ones, or above it; {WANTED:.0%} of the draws are wanted, met: {'yes' if numbers.is_met else 'no'}. "
            "routed: share of the unseen tickets, 0 where there is no threshold.",
        ],
    )
