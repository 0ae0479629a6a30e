"""Whether callers who stall are felt by those who search, and what of them is left when they have gone.

The ceiling is the same load without them, in the same run: an open loop at 60 % of what the server can do. Then a
thousand callers of one kind stall beside it (benchmarks/load/stalls.py): silent, a head or a body that comes byte by
byte, a reader that does not read, an idle connection. Whoever the server ends is followed by the next, so that there
are a thousand all the time. Before anything is measured a server meets each kind once, for two seconds: its first
crowd makes the heap of a process as large as its connections need, and what is asked here is whether they leave more
behind each time that they come. Wanted: no search fails, and the p99 of the searches is at most 1.5 times that without
them. When they have gone the server's descriptors and memory are looked at until both are back, at most a minute.
"""

import asyncio
import os
import statistics
import time
from typing import Any

import click
import msgspec

from benchmarks.common import machine, report
from benchmarks.common.rounds import in_turn
from benchmarks.load.client import (
    MAX_LATENESS_MS,
    SHORT_SPIN_S,
    Address,
    Calls,
    new_sleeping_loop,
    open_loop,
    post,
    quiet,
    schedule,
)
from benchmarks.load.contenders import PUPPET, running
from benchmarks.load.server import Server, pinned, proportional_bytes
from benchmarks.load.stalls import KINDS, stalling
from benchmarks.load.workload import (
    Common,
    Criterion,
    Workload,
    ask_each,
    at_most,
    common_options,
    prepared,
    read_common,
    shown,
    why_void,
)
from benchmarks.load.wrk import saturate
from trainer.cli.terminal import shows_errors

SHARE = 60  # percent of the saturation
CONNECTIONS = 64
MAX_RATIO = 1.5  # of the p99 with them to that without
BACK_S = 60.0  # in which descriptors and memory are back
SPARE_DESCRIPTORS = 4  # the generator's own connections come and go
SPARE_MEMORY = 1.1  # an allocator keeps some of what it has freed; growth with each wave would be a leak
LOOK_S = 0.5
SETTLE_S = 2.0  # in which the server accepts the last of them; how it bears a rush is what `overload` asks


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    callers: int


class Held(msgspec.Struct, frozen=True):
    """What the workers hold: open descriptors, and megabytes (PSS)."""

    num_descriptors: int
    pss_mb: float


class Wave(msgspec.Struct, frozen=True):
    """What callers of one kind did in one round.

    Attributes:
        alone_ms, beside_ms: p50 and p99 of the searches, without them and beside them.
        num_searches: beside them.
        num_failed: of these, with another status than 200 or no answer.
        lateness_ms: p99 of the generator's beside them.
        before, during, after: what the workers held; `after` is the last look.
        back_s: until descriptors and memory were back; None if they were not in BACK_S.
    """

    alone_ms: tuple[float, float]
    beside_ms: tuple[float, float]
    num_searches: int
    num_failed: int
    lateness_ms: float
    before: Held
    during: Held
    after: Held
    back_s: float | None

    @property
    def ratio(self) -> float:
        """The p99 beside them over that without."""
        return self.beside_ms[1] / self.alone_ms[1]


class Numbers(msgspec.Struct, frozen=True):
    """What was measured; `waves` are those of each kind, by round."""

    saturation: float
    waves: dict[str, list[Wave]]
    criteria: list[Criterion]
    void_because: list[str]


@click.command("stalled")
@common_options(seconds=8.0)
@click.option("--callers", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Of each kind.")
@shows_errors
def stalled_command(callers: int, save: bool, **given: Any) -> None:
    """Measure searches next to callers who stall, kind by kind."""
    here = machine.read_machine()
    settings = Settings(read_common(given), callers)
    with prepared(settings.common, [PUPPET]) as work:
        numbers = measure(settings, work)
    found = machine.result("stalled", here, shown(settings), numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of all rounds; each has a server of its own, which meets the kinds in turn."""
    common = settings.common
    waves: dict[str, list[Wave]] = {kind: [] for kind in KINDS}
    rate = 0.0
    for number in range(common.rounds):
        with running(PUPPET, work.stage, common.server_core) as server:
            address, bodies = Address.of(server.url), work.bodies(PUPPET)
            ask_each(address, bodies)
            if not rate:
                saturate(address, bodies, CONNECTIONS, max(1.0, common.warmup), common.generator_core)
                rate = saturate(address, bodies, CONNECTIONS, common.seconds, common.generator_core).rate
            for kind in KINDS:
                with stalling(kind, settings.callers, address, common.generator_core):
                    time.sleep(SETTLE_S)
            for kind in in_turn(list(KINDS), number):
                click.echo(f"round {number + 1} of {common.rounds}: {kind}", err=True)
                waves[kind].append(measure_wave(settings, work, server, kind, rate * SHARE / 100, number))
    return summarise(settings, rate, waves)


def measure_wave(settings: Settings, work: Workload, server: Server, kind: str, rate: float, number: int) -> Wave:
    """Return what callers of one kind do to the searches, and what is left of them."""
    common, address = settings.common, Address.of(server.url)
    seed = [common.seed, number, list(KINDS).index(kind)]
    alone = search(work, address, rate, [*seed, 0])
    time.sleep(LOOK_S)  # the connections of the load itself are closing
    before = held(server)
    with stalling(kind, settings.callers, address, common.generator_core):
        time.sleep(SETTLE_S)
        during = held(server)
        beside = search(work, address, rate, [*seed, 1])
    start = time.perf_counter()
    while not is_back(before, after := held(server)) and time.perf_counter() - start < BACK_S:
        time.sleep(LOOK_S)
    back_s = round(time.perf_counter() - start, 1) if is_back(before, after) else None
    return Wave(
        alone_ms=percentiles(alone),
        beside_ms=percentiles(beside),
        num_searches=len(beside.statuses),
        num_failed=int((beside.statuses != 200).sum()),
        lateness_ms=round(max(alone.lateness_p99_ms, beside.lateness_p99_ms), 3),
        before=before,
        during=during,
        after=after,
        back_s=back_s,
    )


def search(work: Workload, address: Address, rate: float, seed: list[int]) -> Calls:
    """Return the searches of an open loop at a rate, after a warm-up."""
    common = work.common
    requests = [post(address, "/search", body) for body in work.bodies(PUPPET)]
    with pinned(common.generator_core), quiet(), asyncio.Runner(loop_factory=new_sleeping_loop) as runner:
        for seconds in (common.warmup, common.seconds):
            arrivals_N = schedule(rate, seconds, [*seed, seconds == common.seconds])
            calls = runner.run(open_loop(address, requests, arrivals_N, CONNECTIONS, spin_s=SHORT_SPIN_S))
    return calls


def percentiles(calls: Calls) -> tuple[float, float]:
    """Return p50 and p99 of the good answers, in milliseconds."""
    ordered = sorted(calls.latency_s.tolist())
    return (
        round(1e3 * statistics.median(ordered), 3),
        round(1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
    )


def held(server: Server) -> Held:
    """Return what the workers hold now."""
    workers = server.workers
    num_descriptors = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers)  # noqa: PTH208  # names alone
    return Held(num_descriptors, round(sum(proportional_bytes(pid) or 0 for pid in workers) / 1e6, 1))


def is_back(before: Held, now: Held) -> bool:
    """Return whether nothing is left of the callers."""
    return (
        now.num_descriptors <= before.num_descriptors + SPARE_DESCRIPTORS and now.pss_mb <= before.pss_mb * SPARE_MEMORY
    )


def summarise(settings: Settings, rate: float, waves: dict[str, list[Wave]]) -> Numbers:
    """Return the numbers over all rounds: of each kind the median ratio, and every failure."""
    criteria = []
    for kind, of_kind in waves.items():
        failed = sum(wave.num_failed for wave in of_kind)
        longest = max(BACK_S + 1 if wave.back_s is None else wave.back_s for wave in of_kind)
        criteria += [
            *at_most(f"{kind}: searches that failed", failed, 0),
            *at_most(f"{kind}: p99 beside them over p99 alone", statistics.median(w.ratio for w in of_kind), MAX_RATIO),
            *at_most(f"{kind}: descriptors and memory back after", longest, BACK_S, " s"),
        ]
    void = why_void(settings.common)
    late = [wave.lateness_ms for of_kind in waves.values() for wave in of_kind if wave.lateness_ms > MAX_LATENESS_MS]
    if len(late) > sum(map(len, waves.values())) // 10:
        void.append(f"the generator was late by more than {MAX_LATENESS_MS:g} ms at p99 in {len(late)} waves")
    return Numbers(round(rate, 1), waves, criteria, void)


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: a line for each kind."""
    rows = []
    for kind, waves in numbers.waves.items():
        middle = statistics.median(wave.ratio for wave in waves)
        backs = [wave.back_s for wave in waves]
        rows.append(
            [
                kind,
                f"{statistics.median(wave.alone_ms[1] for wave in waves):.2f}",
                f"{statistics.median(wave.beside_ms[1] for wave in waves):.2f}",
                f"{middle:.2f} ({min(w.ratio for w in waves):.2f}-{max(w.ratio for w in waves):.2f})",
                str(sum(wave.num_searches for wave in waves)),
                str(sum(wave.num_failed for wave in waves)),
                f"{waves[-1].before.num_descriptors} {waves[-1].during.num_descriptors} "
                f"{waves[-1].after.num_descriptors}",
                f"{waves[-1].before.pss_mb:.0f} {waves[-1].during.pss_mb:.0f} {waves[-1].after.pss_mb:.0f}",
                "not back" if None in backs else f"{max(back for back in backs if back is not None):.1f}",
            ]
        )
    common = settings.common
    notes = [one.sentence for one in numbers.criteria if not one.is_met]
    notes += [
        f"{sum(one.is_met for one in numbers.criteria)} of {len(numbers.criteria)} criteria are met.",
        f"{settings.callers} callers of each kind at a time, next to an open loop of "
        f"{numbers.saturation * SHARE / 100:.0f} searches a second ({SHARE} % of {numbers.saturation:.0f}), "
        f"{common.seconds:g} s of it without and {common.seconds:g} s with them in each of {common.rounds} rounds; "
        f"medians, and the range of the ratio. Server on core {common.server_core}, load and callers on core "
        f"{common.generator_core}. Descriptors and memory (PSS, MB) of the last round: before, during, after.",
    ]
    columns = ["callers", "p99 alone", "p99 beside", "ratio", "searches", "failed", "descriptors", "MB", "back after s"]
    return report.Sheet("Searches next to callers who stall", columns, rows, notes)
