"""What the trainings of a run come to, set by set: means and spread, the lead over each peer, learning curves.

In: what is known of each set (sets.py) and each training's `Run` (learners.py). Out: `Numbers`, which is recorded.
Nothing here trains, reads a file or prints.
"""

import statistics
from collections.abc import Sequence
from itertools import product

import msgspec

from benchmarks.accuracy.learners import GRU, Run
from benchmarks.accuracy.sets import Facts, Part
from benchmarks.common.curve import Curve, fit_curve
from benchmarks.common.intervals import Interval, paired_interval
from trainer.config import TrainConfig

SUBSAMPLE_ROWS = 600  # what a support team begins with
CURVE_SHARES = (1 / 8, 1 / 4, 1 / 2)


class Settings(msgspec.Struct, frozen=True):
    """What was asked for, and every setting of the training; `sets`: label -> SHA-256 of training and test file."""

    sets: dict[str, tuple[str, str]]
    config: TrainConfig
    seeds: list[int]
    peers: list[str]
    subsamples: int
    curve: bool
    jobs: int


class Costs(msgspec.Struct, frozen=True):
    """What a classifier costs; see `Run`. Of several seeds the median."""

    ticket_us: float
    train_seconds: float
    model_bytes: int
    batch_ticket_us: float | None = None


class PeerNumbers(msgspec.Struct, frozen=True):
    """What a peer reaches, with what it costs and the setting that it chose.

    Attributes:
        lead: how much more often the mean of our seeds is right than this peer, with its interval.
    """

    accuracy: float
    macro_f1: float
    lead: Interval
    costs: Costs
    detail: str


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set, or on a part of its training file.

    Attributes:
        accuracies, macro_f1s: of each seed, on the test file, through onnxruntime.
        validation_accuracy, linear_validation, gru_validation: means of what the trainings said of themselves.
    """

    facts: Facts
    part: Part
    num_train: int
    accuracies: list[float]
    macro_f1s: list[float]
    costs: Costs
    peers: dict[str, PeerNumbers]
    validation_accuracy: float | None
    linear_validation: float | None
    gru_validation: float | None

    @property
    def label(self) -> str:
        """The set's, and which part of it."""
        if self.part.num_rows is None:
            return self.facts.label
        return f"{self.facts.label}, {self.part.num_rows} rows, draw {self.part.draw}"


class SetCurve(msgspec.Struct, frozen=True):
    """The learning curve of one learner on one set."""

    label: str
    learner: str
    curve: Curve


class Numbers(msgspec.Struct, frozen=True):
    """What was measured: each training alone, and what they come to; the latter only if the run came to its end."""

    is_complete: bool
    sets: list[SetNumbers]
    curves: list[SetCurve]
    runs: list[Run]


def parts(fact: Facts, subsamples: int, curve: bool) -> list[Part]:
    """Return the parts of a set's training file that are trained on beside the whole."""
    found = [Part(SUBSAMPLE_ROWS, draw) for draw in range(subsamples)] if fact.num_train > SUBSAMPLE_ROWS else []
    return found + [part for part in curve_parts(fact) if curve and part not in found]


def curve_parts(fact: Facts) -> list[Part]:
    """Return the parts that the learning curve is read from, smallest first; each has every category."""
    sizes = sorted({max(fact.num_categories, round(share * fact.num_train)) for share in CURVE_SHARES})
    return [Part(size) for size in sizes if size < fact.num_train]


def summary(facts: Sequence[Facts], peers: Sequence[str], runs: Sequence[Run]) -> Numbers:
    """Return what the runs come to: whole sets first, then their subsamples, then curves."""
    whole = [summarise(fact, Part(), peers, runs) for fact in facts]
    draws = sorted({run.part.draw for run in runs if run.part.num_rows == SUBSAMPLE_ROWS})
    trained = {(run.label, run.part) for run in runs}
    small = [
        summarise(fact, Part(SUBSAMPLE_ROWS, draw), ["svc"], runs)
        for fact, draw in product(facts, draws)
        if (fact.label, Part(SUBSAMPLE_ROWS, draw)) in trained
    ]
    curves = []
    for fact, learner in product(facts, (GRU, "svc")):
        wanted = [*curve_parts(fact), Part()]
        if all((fact.label, part) in trained for part in wanted) and len(wanted) > 1:
            # The first seed alone, at every size: a mean at one of them would be compared with luck at the others.
            points = [min(of(runs, fact.label, learner, part), key=lambda run: run.seed) for part in wanted]
            sizes, heights = [run.num_train for run in points], [run.accuracy for run in points]
            curves.append(SetCurve(fact.label, learner, fit_curve(sizes, heights, fact.num_categories, fact.num_test)))
    return Numbers(True, whole + small, curves, bare(runs))


def of(runs: Sequence[Run], label: str, learner: str, part: Part) -> list[Run]:
    """Return the runs of one learner on one part of a set, by seed."""
    found = [run for run in runs if (run.label, run.learner, run.part) == (label, learner, part)]
    return sorted(found, key=lambda run: run.seed)


def summarise(fact: Facts, part: Part, peers: Sequence[str], runs: Sequence[Run]) -> SetNumbers:
    """Return the numbers of one set or part: ours over the seeds, each peer's, and the lead over it."""
    ours = of(runs, fact.label, GRU, part)
    theirs = {name: of(runs, fact.label, name, part)[0] for name in peers}
    return SetNumbers(
        facts=fact,
        part=part,
        num_train=ours[0].num_train,
        accuracies=[run.accuracy for run in ours],
        macro_f1s=[run.macro_f1 for run in ours],
        costs=costs_of(ours),
        peers={name: peer_numbers(ours, run) for name, run in theirs.items()},
        validation_accuracy=mean_of([run.validation_accuracy for run in ours]),
        linear_validation=mean_of([run.linear_validation for run in ours]),
        gru_validation=mean_of([run.gru_validation for run in ours]),
    )


def peer_numbers(ours: Sequence[Run], run: Run) -> PeerNumbers:
    """Return the numbers of a peer's one run, next to those of our seeds."""
    lead = paired_interval([bits(one) for one in ours], [bits(run)])
    return PeerNumbers(run.accuracy, run.macro_f1, lead, costs_of([run]), run.detail)


def bits(run: Run) -> list[bool]:
    """Return whether each answer was right."""
    return [letter == "1" for letter in run.correct]


def costs_of(runs: Sequence[Run]) -> Costs:
    """Return the median of what the runs cost."""
    batches = [run.batch_ticket_us for run in runs if run.batch_ticket_us is not None]
    return Costs(
        ticket_us=statistics.median(run.ticket_us for run in runs),
        train_seconds=statistics.median(run.train_seconds for run in runs),
        model_bytes=int(statistics.median(run.model_bytes for run in runs)),
        batch_ticket_us=statistics.median(batches) if batches else None,
    )


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of those that are there, None if none is."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def bare(runs: Sequence[Run]) -> list[Run]:
    """Return the runs as they are recorded, in a fixed order: without the answers ticket by ticket, which are long."""
    ordered = sorted(runs, key=lambda run: (run.label, run.learner, run.part.num_rows or 0, run.part.draw, run.seed))
    return [msgspec.structs.replace(run, correct="") for run in ordered]
