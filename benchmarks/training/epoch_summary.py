"""What the loops and the whole trainings come to, beside what the arithmetic allows; and a table for people."""

import msgspec

from benchmarks.accuracy.tables import changed
from benchmarks.common import report
from benchmarks.common.rounds import Spread, spread
from benchmarks.training.epoch_loops import LOOPS, Measured
from trainer.config import TrainConfig

PROCESSES = "processes"  # the trainer's setting, if it has one


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
