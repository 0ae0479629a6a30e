"""How many searches a second a core answers, and how much of what the framework alone could do that is.

The ceiling first: a Litestar handler that reads the body and does nothing. Then our server, the seed's way and the
peers, the same tickets for all, at 1, 8 and 64 connections that ask again at once (wrk.py), each server on one core and
wrk on another. Every round starts each server anew, in another order. Our server with the seed's weights separates what
the server gains from what the smaller model gains.

Beside the searches a second stand those a second of the processor's time that the server's processes used, which counts
also what a second process of a server takes elsewhere. In the same way two workers of ours are compared with one, on
all cores, where wrk takes its part of one; and the memory that the second one adds.
"""

import collections
import itertools
import os
import statistics
from typing import Any

import click
import msgspec

from benchmarks.common import machine, options, report
from benchmarks.common.bars import plot_bars
from benchmarks.common.rounds import Spread, in_turn, spread
from benchmarks.load.client import Address
from benchmarks.load.contenders import CEILING, CONTENDERS, PUPPET, PUPPET_FUSED, PUPPET_SEED, SEED_WAY, running
from benchmarks.load.server import family, family_cpu_seconds, proportional_bytes
from benchmarks.load.workload import (
    Common,
    Criterion,
    Said,
    Workload,
    ask_each,
    at_least,
    at_most,
    common_options,
    prepared,
    read_common,
    share_agreeing,
    shown,
    source_of,
    versions,
    why_void,
)
from benchmarks.load.wrk import Answered, find_wrk, saturate
from trainer.cli.terminal import shows_errors

MANY = 64  # connections at which the issue judges
# Contender -> how many times the seed's way, and the handler that does nothing, at MANY connections: issues 6 and 23,
# "It is done when".
WANTED = {PUPPET: (12.0, 0.65), PUPPET_FUSED: (18.0, 1.2)}
P50_OVER_CEILING, SEED_OVER_P50 = 1.3, 7.5  # of one connection with the kernel, issue 23
# Of a peer's searches, that wrk may give up on after its 2 s: a slow server sometimes takes longer at 64 connections.
# They do not count in its rate, and the table shows them. Of ours and of the ceiling none may fail.
MAX_GIVEN_UP = 0.02


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    connections: list[int]
    servers: list[str]


class Rate(msgspec.Struct, frozen=True):
    """What a contender answered at a number of connections, over the rounds.

    Attributes:
        a_second: searches.
        a_cpu_second: searches for each second of the processor's time that its processes used.
        p50_ms, p99_ms: of the closed loop.
        num_errors: failed connections, answers that took over 2 s and those of another status than 200, of all rounds.
        over_ceiling, over_seed: times the median of the handler that does nothing, and of the seed's way.
    """

    a_second: Spread
    a_cpu_second: Spread
    p50_ms: Spread
    p99_ms: Spread
    num_errors: int
    over_ceiling: float | None
    over_seed: float | None


class Workers(msgspec.Struct, frozen=True):
    """Our server with one worker and with two, both on all cores, at MANY connections.

    Attributes:
        a_cpu_second: searches for each second of the processor's time, by the number of workers.
        next_worker_mb: what the second worker adds (PSS of all processes, after the load).
    """

    a_second: dict[str, Spread]
    a_cpu_second: dict[str, Spread]
    two_over_one: float
    next_worker_mb: Spread | None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        rates: contender -> connections -> what it answered.
        workers: None if it was not asked for.
        agreeing: share of the tickets on which contenders with the same network name the same category.
        not_measured: contender -> why.
        peers: package -> version, of what the peers run on.
        criteria: what is wanted.
        void_because: why this is no result; empty if it is one.
    """

    rates: dict[str, dict[str, Rate]]
    workers: Workers | None
    agreeing: float
    not_measured: dict[str, str]
    peers: dict[str, str]
    criteria: list[Criterion]
    void_because: list[str]


class Measured(msgspec.Struct):
    """One run of wrk, and the processor's time that the server used in it."""

    answered: Answered
    cpu_seconds: float

    @property
    def a_cpu_second(self) -> float:
        """Searches for each second of the processor's time; /proc counts in hundredths."""
        return self.answered.rate * self.answered.seconds / max(self.cpu_seconds, 0.01)


@click.command("throughput")
@common_options(seconds=5.0)
@click.option(
    "--connections",
    multiple=True,
    type=click.IntRange(1, 1000),
    default=(1, 8, MANY),
    show_default=True,
    help="That ask at once; give it several times.",
)
@options.servers("To measure; several.  [all]")
@click.option("--workers/--no-workers", default=True, show_default=True, help="Compare two workers with one as well.")
@shows_errors
def throughput_command(
    connections: tuple[int, ...], servers: tuple[str, ...], workers: bool, save: bool, **given: Any
) -> None:  # fmt: skip
    """Measure searches a second beside the framework's ceiling and what others would serve with."""
    here = machine.read_machine()
    find_wrk()
    wanted = [key for key in CONTENDERS if key in (servers or CONTENDERS)]
    settings = Settings(read_common(given), list(connections), wanted)
    with prepared(settings.common, settings.servers) as work:
        numbers = measure(settings, work, workers)
    found = machine.result("throughput", here, shown(settings), numbers)
    pictures = [report.Picture("Searches a second", "rates", lambda path: plot_bars(path, panels(settings, numbers)))]
    report.conclude(found, make_sheets(settings, numbers), pictures, numbers.void_because, save)


def measure(settings: Settings, work: Workload, workers: bool) -> Numbers:
    """Return the numbers of all rounds, in which the contenders take turns."""
    keys = [key for key in settings.servers if key not in work.left_out]
    found: dict[tuple[str, int], list[Measured]] = collections.defaultdict(list)
    said: dict[str, list[Said]] = {}
    pairs: list[dict[int, tuple[Measured, float | None]]] = []
    for number in range(settings.common.rounds):
        for key in in_turn(keys, number):
            click.echo(f"round {number + 1} of {settings.common.rounds}: {CONTENDERS[key].title}", err=True)
            with running(key, work.stage, settings.common.server_core) as server:
                said[key] = ask_each(Address.of(server.url), work.bodies(key))
                for num in settings.connections:
                    found[key, num].append(measure_one(work, key, server.url, server.pid, num))
        if workers:
            pairs.append({num: measure_workers(work, num) for num in (1, 2)})
    return summarise(settings, found, said, pairs, work)


def measure_one(work: Workload, key: str, url: str, pid: int, num_connections: int) -> Measured:
    """Return what one server answers in one run, after a warm-up."""
    common = work.common
    address, bodies = Address.of(url), work.bodies(key)
    if common.warmup:
        saturate(address, bodies, num_connections, common.warmup, common.generator_core)
    before = family_cpu_seconds(pid)
    answered = saturate(address, bodies, num_connections, common.seconds, common.generator_core)
    return Measured(answered, family_cpu_seconds(pid) - before)


def measure_workers(work: Workload, num_workers: int) -> tuple[Measured, float | None]:
    """Return what so many workers of ours answer on all cores, and the memory of all processes afterwards, in MB."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with running(PUPPET, work.stage, cores, workers=num_workers) as server:
        measured = measure_one(work, PUPPET, server.url, server.pid, MANY)
        held = [proportional_bytes(pid) for pid in family(server.pid)]
    return measured, sum(one for one in held if one) / 1e6 if any(held) else None


def summarise(
    settings: Settings,
    found: dict[tuple[str, int], list[Measured]],
    said: dict[str, list[Said]],
    pairs: list[dict[int, tuple[Measured, float | None]]],
    work: Workload,
) -> Numbers:
    """Return the numbers over all rounds."""

    def median(key: str, num: int) -> float | None:
        runs = found.get((key, num))
        return statistics.median(run.answered.rate for run in runs) if runs else None

    rates: dict[str, dict[str, Rate]] = {}
    for key, num in itertools.product(settings.servers, settings.connections):
        runs = found.get((key, num))
        if not runs:
            continue
        rates.setdefault(key, {})[str(num)] = Rate(
            a_second=spread([run.answered.rate for run in runs]),
            a_cpu_second=spread([run.a_cpu_second for run in runs]),
            p50_ms=spread([run.answered.p50_us / 1e3 for run in runs]),
            p99_ms=spread([run.answered.p99_us / 1e3 for run in runs]),
            num_errors=sum(run.answered.num_errors + run.answered.num_not_200 for run in runs),
            over_ceiling=over(median(key, num), median(CEILING, num)),
            over_seed=over(median(key, num), median(SEED_WAY, num)),
        )
    agreeing = share_agreeing(said)
    criteria = []
    for key, (wanted_seed, wanted_ceiling) in WANTED.items():
        best = rates.get(key, {}).get(str(MANY))
        over_seed, over_ceiling = (best.over_seed, best.over_ceiling) if best else (None, None)
        what = f"{CONTENDERS[key].title} at {MANY} connections over"
        criteria += at_least(f"{what} the seed's way", over_seed, wanted_seed, "x")
        criteria += at_least(f"{what} the handler that does nothing", over_ceiling, wanted_ceiling, "x")
    criteria += one_connection(found)
    void = why_void(settings.common, agreeing)
    if broken := sorted({key for (key, _), runs in found.items() if is_broken(key, runs)}):
        void.append(f"searches were not answered by {', '.join(broken)}")
    return Numbers(rates, summarise_workers(pairs), agreeing, work.left_out, work.peers, criteria, void)


def one_connection(found: dict[tuple[str, int], list[Measured]]) -> list[Criterion]:
    """Return what is wanted of the p50 of one connection with the kernel; nothing of what was not measured."""
    p50_us = {
        key: statistics.median(run.answered.p50_us for run in runs) for (key, num), runs in found.items() if num == 1
    }
    ours, what = p50_us.get(PUPPET_FUSED), f"p50 of one connection, {CONTENDERS[PUPPET_FUSED].title}"
    over_nothing = over(ours, p50_us.get(CEILING))
    criteria = at_most(f"{what}, over the handler that does nothing", over_nothing, P50_OVER_CEILING, "x")
    return criteria + at_least(f"{what}, the seed's way over it", over(p50_us.get(SEED_WAY), ours), SEED_OVER_P50, "x")


def is_broken(key: str, runs: list[Measured]) -> bool:
    """Return whether a contender failed a search, a peer many, or stood still for a run, which wrk calls no error."""
    allowed = 0.0 if key in (CEILING, PUPPET, PUPPET_FUSED, PUPPET_SEED) else MAX_GIVEN_UP
    num_failed = sum(run.answered.num_errors + run.answered.num_not_200 for run in runs)
    return num_failed > allowed * sum(run.answered.num_answered for run in runs) or not all(
        run.answered.rate for run in runs
    )


def summarise_workers(pairs: list[dict[int, tuple[Measured, float | None]]]) -> Workers | None:
    """Return the comparison of two workers with one; None of no rounds."""
    if not pairs:
        return None
    by_cpu = {num: spread([pair[num][0].a_cpu_second for pair in pairs]) for num in (1, 2)}
    added = [two - one for (_, one), (_, two) in ((pair[1], pair[2]) for pair in pairs) if one and two]
    return Workers(
        a_second={str(num): spread([pair[num][0].answered.rate for pair in pairs]) for num in (1, 2)},
        a_cpu_second={str(num): value for num, value in by_cpu.items()},
        two_over_one=round(by_cpu[2].median / by_cpu[1].median, 3),
        next_worker_mb=spread(added) if added else None,
    )


def over(value: float | None, other: float | None) -> float | None:
    """Return how many times the other the value is; None if one was not measured."""
    return round(value / other, 3) if value is not None and other else None


def panels(settings: Settings, numbers: Numbers) -> list[tuple[str, list[tuple[str, Spread]]]]:
    """Return the bars of the picture: a panel for each number of connections."""
    return [
        (
            f"{num} connection{'s' if num > 1 else ''}, searches a second",
            [(CONTENDERS[key].title, by[str(num)].a_second) for key, by in numbers.rates.items()],
        )
        for num in settings.connections
    ]


def make_sheets(settings: Settings, numbers: Numbers) -> list[report.Sheet]:
    """Return the table for people, the ceiling first, and that of the workers."""
    rows = []
    for key in settings.servers:
        title = CONTENDERS[key].title
        if key in numbers.not_measured:
            rows.append([title, "-", "not measured", *[""] * 7])
        for num, rate in numbers.rates.get(key, {}).items():
            rows.append(
                [
                    title,
                    num,
                    f"{rate.a_second.median:.0f}",
                    f"{rate.a_second.lowest:.0f}-{rate.a_second.highest:.0f}",
                    times(rate.over_ceiling),
                    times(rate.over_seed),
                    f"{rate.a_cpu_second.median:.0f}",
                    f"{rate.p50_ms.median:.2f}",
                    f"{rate.p99_ms.median:.2f}",
                    str(rate.num_errors),
                ]
            )
    notes = [one.sentence for one in numbers.criteria]
    notes += [f"Not measured: {CONTENDERS[key].title}: {why}." for key, why in numbers.not_measured.items()]
    notes += versions(numbers.peers)
    common = settings.common
    notes += [
        f"Medians and ranges over {common.rounds} rounds of {common.seconds:g} s; server on core {common.server_core}, "
        f"wrk on core {common.generator_core}. Tickets of {common.tokens} tokens from {source_of(common)}.",
        f"Contenders with the same network agree on {numbers.agreeing:.1%} of the tickets.",
    ]
    columns = ["server", "connections", "a second", "over rounds", "x nothing", "x the seed's way"]
    columns += ["a CPU second", "p50 ms", "p99 ms", "errors"]
    sheets = [report.Sheet("Searches a second on one core", columns, rows, notes)]
    if workers := numbers.workers:
        rows = [
            [num, f"{workers.a_second[num].median:.0f}", f"{by.median:.0f}", f"{by.lowest:.0f}-{by.highest:.0f}"]
            for num, by in workers.a_cpu_second.items()
        ]
        notes = [
            f"Two workers answer {workers.two_over_one:.2f} times as many searches a CPU second as one; on all cores, "
            f"{MANY} connections, wrk beside them."
        ]
        if added := workers.next_worker_mb:
            notes.append(f"The second worker adds {added.median:.0f} MB ({added.lowest:.0f}-{added.highest:.0f}, PSS).")
        sheets.append(
            report.Sheet("One worker and two", ["workers", "a second", "a CPU second", "over rounds"], rows, notes)
        )
    return sheets


def times(value: float | None) -> str:
    """Return a ratio as a cell."""
    return "" if value is None else f"{value:.2f}"
