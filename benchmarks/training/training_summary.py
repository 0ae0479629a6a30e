"""What the rounds beside a training come to: quantiles over the rounds, what they are beside nothing, and a table."""

# Axes: N requests of a run.

import statistics
from typing import Literal, NamedTuple

import click
import msgspec
import numpy as np

from benchmarks.common import report
from benchmarks.common.rounds import spreads, too_few
from benchmarks.load.client import MAX_LATENESS_MS, Calls, Seconds

TARGET_RATIO, TARGET_SHARED_MS = 2.0, 5.0  # p99 with over without on a core of its own; p99 on a shared one

Place = Literal["own core", "shared core"]
Beside = Literal["nothing", "training", "body"]
PLACES: tuple[Place, ...] = ("own core", "shared core")
BESIDE: tuple[Beside, ...] = ("nothing", "training", "body")


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names.

    Attributes:
        store: None for a model trained on the spot on synthetic tickets.
        data: tickets to train on; None for synthetic ones.
        server_core, trainer_core, generator_core: where they run; a shared core is the server's.
    """

    store: str | None
    name: str
    data: str | None
    load: float
    seconds: float
    warmup: float
    rounds: int
    calls: int
    connections: int
    tokens: int
    body_mb: float
    seed: int
    server_core: int
    trainer_core: int
    generator_core: int


class Quantiles(msgspec.Struct, frozen=True):
    """How the latency is distributed over the requests of one round, in milliseconds."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Line(msgspec.Struct, frozen=True):
    """What was measured in one place beside one thing.

    Attributes:
        median, lowest, highest: of each quantile over the rounds.
        rounds: in order.
        p99_over_alone: the median p99 over that beside nothing in the same place; None for that one itself.
        p99_over_alone_rounds: the same within each round.
        num_refused: answers 503.
        num_errors: everything but 200 and 503.
        lateness_p99_ms: of the generator, in the worst round.
        num_repeated: loops that were thrown away, because the generator was late in them.
        trainer_share: of a core, that the training got; lowest and highest over the rounds.
        num_posts: bodies that were posted to the end.
        post_s: median seconds from a body's first byte to its answer.
    """

    place: Place
    beside: Beside
    median: Quantiles
    lowest: Quantiles
    highest: Quantiles
    rounds: list[Quantiles]
    p99_over_alone: float | None
    p99_over_alone_rounds: list[float]
    num_calls: int
    num_refused: int
    num_errors: int
    lateness_p99_ms: float
    num_repeated: int
    trainer_share: tuple[float, float] | None
    num_posts: int
    post_s: float | None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        saturation: requests a second in each place, the median of three.
        rate: of the open loop in each place.
        void_because: why this is no result; empty if it is one.
    """

    saturation: dict[Place, float]
    rate: dict[Place, float]
    lines: list[Line]
    void_because: list[str]


class Phase(NamedTuple):
    """What one round measured beside one thing.

    Attributes:
        trainer_share: of a core; None beside another thing.
        post_s: of each body that was posted to the end.
        faults: why it measures nothing.
        num_repeated: loops that were thrown away before it, because the generator was late in them.
    """

    calls: Calls
    trainer_share: float | None = None
    post_s: tuple[float, ...] = ()
    faults: tuple[str, ...] = ()
    num_repeated: int = 0


def quantiles(seconds_N: Seconds) -> Quantiles:
    """Return the quantiles of one round.

    Raises:
        click.ClickException: no request was answered.
    """
    if not len(seconds_N):
        raise click.ClickException("in one round no request was answered with 200; there is no latency to report")
    found = np.quantile(seconds_N, [0.5, 0.99, 0.999, 1.0]) * 1e3
    return Quantiles(*(round(value, 3) for value in found.tolist()))


def summarise(
    saturation: dict[Place, float], rate: dict[Place, float], measured: dict[tuple[Place, Beside], list[Phase]]
) -> Numbers:
    """Return the numbers over all rounds."""
    lines = [summarise_line(place, beside, measured) for place, beside in measured]
    reasons = sorted({fault for phases in measured.values() for phase in phases for fault in phase.faults})
    latest = max(line.lateness_p99_ms for line in lines)
    if not latest <= MAX_LATENESS_MS:  # written so that NaN is void too
        reasons.append(
            f"the generator was late by {latest} ms at p99 in one round, limit is {MAX_LATENESS_MS} ms; run it on a "
            f"quiet machine, or with a lower --load"
        )
    reasons += too_few(min(len(phases) for phases in measured.values()))
    return Numbers(saturation, rate, lines, reasons)


def summarise_line(place: Place, beside: Beside, measured: dict[tuple[Place, Beside], list[Phase]]) -> Line:
    """Return what was measured in one place beside one thing, over all rounds."""
    phases = measured[place, beside]
    rounds = [quantiles(phase.calls.latency_s) for phase in phases]
    alone = [quantiles(phase.calls.latency_s) for phase in measured[place, "nothing"]]
    median, lowest, highest = spreads(rounds, 3)
    over: float | None = None
    overs: list[float] = []
    if beside != "nothing":
        over = round(median.p99_ms / statistics.median(one.p99_ms for one in alone), 2)
        overs = [round(one.p99_ms / other.p99_ms, 2) for one, other in zip(rounds, alone, strict=True)]
    shares = [phase.trainer_share for phase in phases if phase.trainer_share is not None]
    posts = [seconds for phase in phases for seconds in phase.post_s]
    return Line(
        place=place,
        beside=beside,
        median=median,
        lowest=lowest,
        highest=highest,
        rounds=rounds,
        p99_over_alone=over,
        p99_over_alone_rounds=overs,
        num_calls=sum(len(phase.calls.statuses) for phase in phases),
        num_refused=sum(phase.calls.num_refused for phase in phases),
        num_errors=sum(phase.calls.num_errors for phase in phases),
        lateness_p99_ms=max(round(phase.calls.lateness_p99_ms, 3) for phase in phases),
        num_repeated=sum(phase.num_repeated for phase in phases),
        trainer_share=(round(min(shares), 3), round(max(shares), 3)) if shares else None,
        num_posts=len(posts),
        post_s=round(statistics.median(posts), 2) if posts else None,
    )


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people, and below it what was wanted."""
    names = {"nothing": "alone", "training": "beside a training", "body": f"while {settings.body_mb:g} MB are posted"}
    rows = []
    notes = []
    for line in numbers.lines:
        rows.append(
            [
                f"{line.place}: {names[line.beside]}",
                *(f"{value:.3f}" for value in msgspec.structs.astuple(line.median)),
                f"{line.lowest.p99_ms:.3f}-{line.highest.p99_ms:.3f}",
                f"{line.p99_over_alone:.2f}" if line.p99_over_alone is not None else "",
                f"{line.lateness_p99_ms:.3f}",
                f"{line.num_refused + line.num_errors} of {line.num_calls}",
            ]
        )
    notes.append(
        f"Milliseconds; medians over {settings.rounds} rounds of {settings.seconds:g} s, then the range over them. "
        f"Tickets of {settings.tokens} tokens; one worker."
    )
    for place in PLACES:
        notes.append(
            f"{place}: saturation {numbers.saturation[place]:.0f} searches a second, the open loop sends "
            f"{numbers.rate[place]:.0f} ({settings.load:.0%})."
        )
    shared = settings.trainer_core == settings.generator_core
    notes.append(
        f"Server on core {settings.server_core}, generator on core {settings.generator_core}; training on core "
        f"{settings.trainer_core} ({'the generator shares it' if shared else 'its own'}), or shared on core "
        f"{settings.server_core}."
    )
    if num_repeated := sum(line.num_repeated for line in numbers.lines):
        notes.append(f"{num_repeated} loops were thrown away and repeated, because the generator was late in them.")
    for line in numbers.lines:
        if line.trainer_share is not None:
            low, high = line.trainer_share
            notes.append(f"{line.place}: the training got {low:.0%} to {high:.0%} of a core while it was measured.")
        if line.post_s is not None:
            notes.append(f"{line.place}: {line.num_posts} bodies were posted to the end, {line.post_s:.2f} s each.")
        if line.beside != "nothing":
            notes.append(judge(line))
    columns = ["what", "p50", "p99", "p99.9", "max", "p99 over rounds", "x alone", "late p99", "not answered"]
    return report.Sheet(f"What a search takes beside a training: {settings.name}", columns, rows, notes)


def judge(line: Line) -> str:
    """Return whether a line is as wanted."""
    what = "beside a training" if line.beside == "training" else "while a body is posted"
    if line.place == "own core":
        assert line.p99_over_alone is not None, "only what is alone has no ratio"
        met, found = line.p99_over_alone <= TARGET_RATIO, f"{line.p99_over_alone:.2f} times that alone"
        wanted = f"at most {TARGET_RATIO:g} times"
    else:
        met, found = line.median.p99_ms <= TARGET_SHARED_MS, f"{line.median.p99_ms:.2f} ms"
        wanted = f"at most {TARGET_SHARED_MS:g} ms"
    return f"{line.place}, {what}: p99 is {found}, wanted {wanted}: {'met' if met else 'MISSED'}."
