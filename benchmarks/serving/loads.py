"""How long a search takes beside the peers: over one connection, and at 30 to 95 % of each server's saturation.

The ceiling first: a Litestar handler that does nothing. Each server runs on one core and the load on another; they take
turns in every round, each started anew. First wrk finds out once what each of them can do at most (64 connections).
Then, in every round: a closed loop over one connection, which is what one call costs; and open loops at shares of that
saturation (client.py), which is what callers wait who do not wait for each other. At the same share a slower server
gets fewer requests, so the shares compare how a server queues, and the requests a second are in the table. The handler
that does nothing is left out of them: it answers more than a generator in Python can ask in time.

A measurement whose generator was late by more than 1 ms at p99 is made again, three times at most, and then voids the
run. The latencies of all rounds are kept as histograms.
"""

import asyncio
import collections
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import uvloop

from benchmarks.common import machine, report
from benchmarks.common.bars import Panel, plot_lines
from benchmarks.common.rounds import in_turn
from benchmarks.load.client import MAX_LATENESS_MS, Address, Calls, closed_loop, open_loop, post, quiet, schedule
from benchmarks.load.contenders import CONTENDERS, PUPPET, PUPPET_FUSED, PUPPET_SEED, SEED_WAY, running
from benchmarks.load.histogram import PERCENTILES, Histogram, histogram
from benchmarks.load.server import pinned
from benchmarks.load.workload import (
    Common,
    Criterion,
    Said,
    Workload,
    ask_each,
    at_least,
    at_most,
    prepared,
    share_agreeing,
    shown,
    source_of,
    versions,
    why_void,
)
from benchmarks.load.wrk import find_wrk, saturate
from benchmarks.serving.latency import Loop, over_loops

SHARES = (30, 60, 80, 95)  # percent of the saturation
CONNECTIONS = 64  # that saturate, and that the open loop spreads its requests over
MAX_REPEATED = 3
JUDGED = 80  # percent, at which the issue judges
FASTER = {PUPPET: 7.0, PUPPET_FUSED: 7.5}  # contender -> times the seed's way: issues 6 and 23, "It is done when"
WORST_OVER_MIDDLE, LOADED_MS = 2.0, 3.0  # of both


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    calls: int
    shares: list[int]
    servers: list[str]


class Loaded(msgspec.Struct, frozen=True):
    """What an open loop measured at one share of the saturation.

    Attributes:
        rate: requests a second.
        loop: over the rounds.
        histogram: of all rounds.
        lateness_ms: p99 of the generator's, the highest of the rounds.
        num_repeated: measurements that were made again because of it.
    """

    rate: float
    loop: Loop
    histogram: Histogram
    lateness_ms: float
    num_repeated: int


class Waited(msgspec.Struct, frozen=True):
    """What a contender's callers waited.

    Attributes:
        saturation: requests a second that wrk had answered.
        one: over one connection.
        histogram: of the same.
        loads: percent of the saturation -> what was measured.
        seed_over: the seed's p50 over one connection, over this one's.
    """

    saturation: float
    one: Loop
    histogram: Histogram
    loads: dict[str, Loaded]
    seed_over: float | None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured; see throughput.Numbers for the names."""

    waited: dict[str, Waited]
    agreeing: float
    not_measured: dict[str, str]
    peers: dict[str, str]
    criteria: list[Criterion]
    void_because: list[str]


class Opened(msgspec.Struct, frozen=True):
    """One measurement of an open loop."""

    calls: Calls
    num_repeated: int


def run(common: Common, calls: int, servers: Sequence[str], save: bool) -> None:
    """Measure, show and keep; what `benchmarks latency --peers` does.

    Raises:
        click.ClickException: wrk is missing, or a server does not answer.
    """
    here = machine.read_machine()
    find_wrk()
    settings = Settings(common, calls, list(SHARES), [key for key in CONTENDERS if key in (servers or CONTENDERS)])
    with prepared(common, settings.servers) as work:
        numbers = measure(settings, work)
    found = machine.result("latency-peers", here, shown(settings), numbers)
    pictures = [
        report.Picture("p99 against the load", "loads", lambda path: draw_loads(path, numbers)),
        report.Picture("Percentiles", "percentiles", lambda path: draw_percentiles(path, numbers)),
    ]
    report.conclude(found, make_sheets(settings, numbers), pictures, numbers.void_because, save)


def draw_loads(path: Path, numbers: Numbers) -> None:
    """Write the picture of p99 against the share of the saturation."""
    plot_lines(path, [load_panel(numbers)], limit=LOADED_MS)


def draw_percentiles(path: Path, numbers: Numbers) -> None:
    """Write the picture of the percentiles."""
    plot_lines(path, percentile_panels(numbers), ticks=[f"{percentile:g}" for percentile in PERCENTILES])


def shares_of(settings: Settings, key: str) -> list[int]:
    """Return the shares of the saturation at which a contender is asked."""
    return [] if CONTENDERS[key].model == "nobody" else settings.shares


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of all rounds, in which the contenders take turns."""
    common = settings.common
    keys = [key for key in settings.servers if key not in work.left_out]
    said: dict[str, list[Said]] = {}
    saturation: dict[str, float] = {}
    ones: dict[str, list[Calls]] = collections.defaultdict(list)
    loads: dict[tuple[str, int], list[Opened]] = collections.defaultdict(list)
    for key in keys:
        click.echo(f"saturation: {CONTENDERS[key].title}", err=True)
        with running(key, work.stage, common.server_core) as server:
            address, bodies = Address.of(server.url), work.bodies(key)
            said[key] = ask_each(address, bodies)
            saturate(address, bodies, CONNECTIONS, max(1.0, common.warmup), common.generator_core)
            saturation[key] = saturate(address, bodies, CONNECTIONS, common.seconds, common.generator_core).rate
    for number in range(common.rounds):
        for key in in_turn(keys, number):
            click.echo(f"round {number + 1} of {common.rounds}: {CONTENDERS[key].title}", err=True)
            with running(key, work.stage, common.server_core) as server:
                address = Address.of(server.url)
                ones[key].append(measure_one(settings, work, key, address))
                for share in shares_of(settings, key):
                    rate = saturation[key] * share / 100
                    seed = [common.seed, number, list(CONTENDERS).index(key), share]
                    loads[key, share].append(measure_load(settings, work, key, address, rate, seed))
    return summarise(settings, work, said, saturation, ones, loads)


def measure_one(settings: Settings, work: Workload, key: str, address: Address) -> Calls:
    """Return the calls of a closed loop over one connection, after a warm-up."""
    requests = [post(address, "/search", body) for body in work.bodies(key)]
    with pinned(settings.common.generator_core), quiet():
        closed_loop(address, requests, max(10, settings.calls // 10))
        return closed_loop(address, requests, settings.calls)


def measure_load(
    settings: Settings, work: Workload, key: str, address: Address, rate: float, seed: list[int]
) -> Opened:
    """Return the calls of an open loop at a rate; made again if the generator was late."""
    common = settings.common
    requests = [post(address, "/search", body) for body in work.bodies(key)]
    num_repeated = 0
    with pinned(common.generator_core), quiet(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            for seconds in (common.warmup, common.seconds):
                arrivals_N = schedule(rate, seconds, [*seed, num_repeated, seconds == common.seconds])
                calls = runner.run(open_loop(address, requests, arrivals_N, CONNECTIONS))
            if calls.lateness_p99_ms <= MAX_LATENESS_MS or num_repeated == MAX_REPEATED:
                return Opened(calls, num_repeated)
            num_repeated += 1


def summarise(
    settings: Settings,
    work: Workload,
    said: dict[str, list[Said]],
    saturation: dict[str, float],
    ones: dict[str, list[Calls]],
    loads: dict[tuple[str, int], list[Opened]],
) -> Numbers:
    """Return the numbers over all rounds."""
    closed = {key: over_loops(calls) for key, calls in ones.items()}
    seed = closed.get(SEED_WAY)
    waited = {}
    for key in settings.servers:
        if key not in closed:
            continue
        p50_ms = closed[key].latency.median.p50_ms
        waited[key] = Waited(
            saturation=round(saturation[key], 1),
            one=closed[key],
            histogram=histogram([calls.latency_s for calls in ones[key]]),
            loads={
                str(share): summarise_load(saturation[key] * share / 100, loads[key, share])
                for share in shares_of(settings, key)
            },
            seed_over=round(seed.latency.median.p50_ms / p50_ms, 2) if seed else None,
        )
    agreeing = share_agreeing(said)
    void = why_void(settings.common, agreeing)
    all_loads = [(load.lateness_ms, key, share) for key, one in waited.items() for share, load in one.loads.items()]
    if late := [one for one in all_loads if not one[0] <= MAX_LATENESS_MS]:
        worst_ms, key, share = max(late)
        void.append(
            f"the generator was late by more than {MAX_LATENESS_MS:g} ms at p99 in {len(late)} of {len(all_loads)} "
            f"loads, worst by {worst_ms:.2f} ms at {share} % of {CONTENDERS[key].title}; run it on a quiet machine"
        )
    return Numbers(waited, agreeing, work.left_out, work.peers, judge(waited), void)


def summarise_load(rate: float, opened: Sequence[Opened]) -> Loaded:
    """Return what an open loop measured in all rounds."""
    return Loaded(
        rate=round(rate, 1),
        loop=over_loops([one.calls for one in opened]),
        histogram=histogram([one.calls.latency_s for one in opened]),
        lateness_ms=round(max(one.calls.lateness_p99_ms for one in opened), 3),
        num_repeated=sum(one.num_repeated for one in opened),
    )


def judge(waited: dict[str, Waited]) -> list[Criterion]:
    """Return what the issues want of our server, on each engine that was measured."""
    criteria = []
    for key, faster in FASTER.items():
        if (ours := waited.get(key)) is None:
            continue
        what, middle, loaded = CONTENDERS[key].title, ours.one.latency.median, ours.loads.get(str(JUDGED))
        loaded_ms = loaded.loop.latency.median.p99_ms if loaded else None
        criteria += at_least(f"p50 over one connection, the seed's over that of {what}", ours.seed_over, faster, "x")
        over_middle = middle.p99_ms / middle.p50_ms
        criteria += at_most(f"p99 over one connection over its p50, {what}", over_middle, WORST_OVER_MIDDLE, "x")
        criteria += at_most(f"p99 at {JUDGED} % of saturation, {what}", loaded_ms, LOADED_MS, " ms")
    return criteria


def load_panel(numbers: Numbers) -> Panel:
    """Return the lines of p99 against the share of the saturation."""
    found = {
        CONTENDERS[key].title: [(float(share), load.loop.latency.median.p99_ms) for share, load in one.loads.items()]
        for key, one in numbers.waited.items()
        if one.loads
    }
    return "p99 of an open loop", "% of the server's own saturation", "milliseconds (log)", found


def percentile_panels(numbers: Numbers) -> list[Panel]:
    """Return the lines of latency against the percentile, over one connection and at the share that is judged."""
    nines = {f"{percentile:g}": place for place, percentile in enumerate(PERCENTILES)}
    axis = "percentile"

    def points(found: Histogram) -> list[tuple[float, float]]:
        return [(float(nines[percentile]), ms) for percentile, ms in found.percentiles_ms.items()]

    ones = {CONTENDERS[key].title: points(one.histogram) for key, one in numbers.waited.items()}
    loaded = {
        CONTENDERS[key].title: points(one.loads[str(JUDGED)].histogram)
        for key, one in numbers.waited.items()
        if str(JUDGED) in one.loads
    }
    up = "milliseconds (log)"
    return [("one connection", axis, up, ones), (f"open loop at {JUDGED} % of saturation", axis, up, loaded)]


def make_sheets(settings: Settings, numbers: Numbers) -> list[report.Sheet]:
    """Return a table for one connection and one for the loads, the ceiling first."""
    rows, loaded = [], []
    for key in settings.servers:
        title = CONTENDERS[key].title
        if key in numbers.not_measured:
            rows.append([title, "not measured", *[""] * 7])
        if (one := numbers.waited.get(key)) is None:
            continue
        latency = one.one.latency
        far = one.histogram.percentiles_ms["99.9"]
        rows.append(
            [
                title,
                *(
                    f"{value:.3f}"
                    for value in (latency.median.p50_ms, latency.median.p95_ms, latency.median.p99_ms, far)
                ),
                f"{latency.lowest.p50_ms:.3f}-{latency.highest.p50_ms:.3f}",
                f"{latency.lowest.p99_ms:.3f}-{latency.highest.p99_ms:.3f}",
                "" if one.seed_over is None else f"{one.seed_over:.2f}",
                str(one.one.num_errors + one.one.num_refused),
            ]
        )
        for share, load in one.loads.items():
            latency = load.loop.latency
            far = load.histogram.percentiles_ms["99.9"]
            loaded.append(
                [
                    title,
                    f"{share} %",
                    f"{load.rate:.0f}",
                    *(f"{value:.2f}" for value in (latency.median.p50_ms, latency.median.p99_ms, far)),
                    f"{latency.lowest.p99_ms:.2f}-{latency.highest.p99_ms:.2f}",
                    str(load.loop.num_refused),
                    str(load.loop.num_errors),
                    f"{load.lateness_ms:.2f}",
                    str(load.num_repeated),
                ]
            )
    common = settings.common
    notes = [one.sentence for one in numbers.criteria]
    notes += [f"Not measured: {CONTENDERS[key].title}: {why}." for key, why in numbers.not_measured.items()]
    notes += versions(numbers.peers)
    notes += [
        f"Milliseconds; medians over {common.rounds} rounds, then the range over them; p99.9 of all rounds together. "
        f"{settings.calls} calls a round; tickets of {common.tokens} tokens from "
        f"{source_of(common)}; server on core {common.server_core}, load on core "
        f"{common.generator_core}. x: the p50 of the seed's way over this one.",
        f"{CONTENDERS[PUPPET].title} is what we serve; {CONTENDERS[PUPPET_SEED].title} is the server's share alone. "
        f"Contenders with the same network agree on {numbers.agreeing:.1%} of the tickets.",
    ]
    loaded_notes = [
        f"Open loop, Poisson arrivals, {common.seconds:g} s a round over {CONNECTIONS} connections; saturation by wrk. "
        f"Lateness: of the generator, p99, the highest; repeated: measurements made again because of it."
    ]
    columns = ["server", "p50", "p95", "p99", "p99.9", "p50 over rounds", "p99 over rounds", "x", "errors"]
    loaded_columns = ["server", "of saturation", "a second", "p50", "p99", "p99.9", "p99 over rounds", "refused"]
    loaded_columns += ["errors", "lateness", "repeated"]
    return [
        report.Sheet("How long a search takes over one connection, side by side", columns, rows, notes),
        report.Sheet("How long a search takes under load", loaded_columns, loaded, loaded_notes),
    ]
