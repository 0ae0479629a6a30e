"""What the trainings and the costs of the shapes come to: accuracies, leads with their intervals, and the frontier.

In: each training's `Run` (learners.py) and each set's `Costs` (frontier_costs.py). Out: `Numbers`, which is recorded.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.accuracy.frontier_costs import Cost, Costs
from benchmarks.accuracy.learners import PEERS, Run
from benchmarks.accuracy.summary import bits
from benchmarks.common.intervals import Interval, paired_interval
from benchmarks.common.rounds import too_few
from trainer.config import TrainConfig

HELD_OUT = 0.1  # of the distinct tickets of each category
LIMIT_US = 45.0  # a ticket, in a batch of 8; what the network of one GRU of 64 cost when it was the default
SVC = PEERS["svc"].title


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
