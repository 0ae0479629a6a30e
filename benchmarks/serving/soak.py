"""Whether the server's memory grows while it works: minutes of mixed load, and the worker's memory all the while.

The ceiling is no growth at all: what the second tenth of the time holds (warm, every shape seen) the last should
hold too, within 2 %. One open loop at a steady rate asks what a day brings: mostly single tickets, some bodies of 32,
tickets of nothing but unknown words, raw texts, labelled rows to /test, bodies that are refused, probes, what
Prometheus asks. The worker's resident memory (RSS) and its proportional share (PSS) are read every second.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import click
import msgspec
import numpy as np

from artifacts.text.tickets import TicketSearch
from benchmarks.accuracy.sets import KIND
from benchmarks.common import machine, options, report
from benchmarks.common.bars import Panel, plot_lines
from benchmarks.load.client import (
    SHORT_SPIN_S,
    Address,
    Calls,
    new_sleeping_loop,
    open_loop,
    post,
    quiet,
    request,
    schedule,
)
from benchmarks.load.contenders import PUPPET, running
from benchmarks.load.server import Server, pinned, proportional_bytes, resident_bytes
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
)
from benchmarks.serving.batch import batch_at, batch_body
from trainer.cli.terminal import shows_errors

MAX_GROWTH = 2.0  # percent; issue 6
MIN_SECONDS = 600.0
TENTH = 0.1  # of the time, whose median is taken at the start and at the end
LOOKS, LOOK_S = 50, 1.0  # at least so many, and one a second where that is more
# What -> how many of a hundred requests.
MIXTURE = {"single": 70, "bodies": 8, "unknown": 6, "text": 6, "test": 2, "refused": 4, "probe": 3, "metrics": 1}
GOOD = {200, 400}  # a body that is refused is answered with 400


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names. Rounds are not used: there is one."""

    common: Common
    rate: float


class Look(msgspec.Struct, frozen=True):
    """The worker's memory at one moment, in seconds from the start and in megabytes."""

    at_s: float
    rss_mb: float
    pss_mb: float


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        growth_percent: of RSS from the second tenth of the time to the last, medians.
        pss_growth_percent: of PSS.
        first_mb, last_mb: RSS of the two.
        num_requests, num_errors: errors are answers of another status than what was asked for, and none.
        looks: over time.
        criteria, void_because: see throughput.Numbers.
    """

    growth_percent: float
    pss_growth_percent: float
    first_mb: float
    last_mb: float
    num_requests: int
    num_errors: int
    looks: list[Look]
    criteria: list[Criterion]
    void_because: list[str]


@click.command("soak")
@common_options(seconds=MIN_SECONDS)
@options.rate
@shows_errors
def soak_command(rate: float, save: bool, **given: Any) -> None:
    """Measure whether memory grows in minutes of mixed load; --seconds says how long."""
    here = machine.read_machine()
    settings = Settings(read_common(given), rate)
    with prepared(settings.common, [PUPPET]) as work:
        numbers = measure(settings, work)
    found = machine.result("soak", here, shown(settings), numbers)
    picture = report.Picture(
        "Memory over time", "memory", lambda path: plot_lines(path, [panel(numbers)], is_log=(False, False))
    )
    report.conclude(found, [make_sheet(settings, numbers)], [picture], numbers.void_because, save)


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of one server."""
    common = settings.common
    with running(PUPPET, work.stage, common.server_core) as server:
        address = Address.of(server.url)
        ask_each(address, work.bodies(PUPPET)[:1])
        requests = mixed(address, common.name, work.tickets, common.seed)
        with pinned(common.generator_core), quiet(), asyncio.Runner(loop_factory=new_sleeping_loop) as runner:
            calls, looks = runner.run(soaked(settings, server, address, requests))
    return summarise(settings, calls, looks)


async def soaked(
    settings: Settings, server: Server, address: Address, requests: Sequence[bytes]
) -> tuple[Calls, list[Look]]:
    """Return what became of the requests, and the memory meanwhile."""
    common = settings.common
    arrivals_N = schedule(settings.rate, common.seconds, [common.seed])
    looks: list[Look] = []
    looking = asyncio.create_task(look(server, looks, min(LOOK_S, common.seconds / LOOKS)))
    try:
        calls = await open_loop(address, requests, arrivals_N, 32, spin_s=SHORT_SPIN_S)
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
    return calls, looks


async def look(server: Server, looks: list[Look], every_s: float) -> None:
    """Add the memory of the workers, for ever.

    The kernel takes a millisecond to add up a process's PSS, in which no request is sent; latency is not measured here.
    """
    start = time.perf_counter()
    while True:
        workers = server.workers
        rss = sum(resident_bytes(pid) or 0 for pid in workers)
        pss = sum(proportional_bytes(pid) or 0 for pid in workers)
        looks.append(Look(round(time.perf_counter() - start, 2), rss / 1e6, pss / 1e6))
        await asyncio.sleep(every_s)


def mixed(address: Address, name: str, tickets: Sequence[list[str]], seed: int) -> list[bytes]:
    """Return a thousand requests in the proportions of MIXTURE, in random order; the same for the same seed."""
    random = np.random.default_rng(seed)
    kinds = [kind for kind, share in MIXTURE.items() for _ in range(10 * share)]
    return [
        one_request(kinds[place], number, address, name, tickets)
        for number, place in enumerate(random.permutation(len(kinds)).tolist())
    ]


def one_request(kind: str, number: int, address: Address, name: str, tickets: Sequence[list[str]]) -> bytes:
    """Return the number-th request of one kind of MIXTURE."""
    ticket = tickets[number % len(tickets)]

    def search(**fields: Any) -> bytes:
        return post(
            address, "/search", msgspec.json.encode(TicketSearch(name=name, neural_network_type=KIND, **fields))
        )

    if kind == "single":
        return search(vector=ticket)
    if kind == "bodies":
        return post(address, "/search", batch_body(name, batch_at(tickets, number, 32)))
    if kind == "unknown":
        return search(vector=[f"{token}{number}x{place}" for place, token in enumerate(ticket)])
    if kind == "text":
        return search(text=" ".join(ticket))
    if kind == "test":
        rows = [{"category": "nobody's", "tokens": row} for row in batch_at(tickets, number, 50)]
        body = {"name": name, "neural_network_type": KIND, "test_data": rows}
        return post(address, "/test", msgspec.json.encode(body))
    if kind == "refused":
        return post(address, "/search", b'{"name": "%b", "vector": 1}' % name.encode("ascii"))
    return request(address, "GET", "/readyz" if kind == "probe" else "/metrics")


def summarise(settings: Settings, calls: Calls, looks: Sequence[Look]) -> Numbers:
    """Return the numbers.

    Raises:
        click.ClickException: memory was looked at less than twice.
    """
    seconds = settings.common.seconds
    first = [one for one in looks if TENTH * seconds <= one.at_s <= 2 * TENTH * seconds]
    last = [one for one in looks if one.at_s >= (1 - TENTH) * seconds]
    if not first or not last:
        raise click.ClickException(f"{seconds:g} s are too few to see memory grow; give more --seconds")
    first_mb, last_mb = (statistics.median(one.rss_mb for one in part) for part in (first, last))
    first_pss, last_pss = (statistics.median(one.pss_mb for one in part) for part in (first, last))
    growth = 100 * (last_mb / first_mb - 1)
    num_errors = int((~np.isin(calls.statuses, list(GOOD))).sum())
    void = []
    if seconds < MIN_SECONDS:
        void.append(f"{seconds:g} s, a result has at least {MIN_SECONDS:g}")
    if num_errors:
        void.append(f"{num_errors} of {len(calls.statuses)} requests were not answered as they should be")
    return Numbers(
        growth_percent=round(growth, 2),
        pss_growth_percent=round(100 * (last_pss / first_pss - 1), 2),
        first_mb=round(first_mb, 2),
        last_mb=round(last_mb, 2),
        num_requests=len(calls.statuses),
        num_errors=num_errors,
        looks=list(looks),
        criteria=at_most("resident memory grows by", round(growth, 2), MAX_GROWTH, " %"),
        void_because=void,
    )


def panel(numbers: Numbers) -> Panel:
    """Return the lines of the picture."""
    lines = {
        "Puppet's worker, RSS": [(one.at_s, one.rss_mb) for one in numbers.looks],
        "its PSS": [(one.at_s, one.pss_mb) for one in numbers.looks],
    }
    return "Memory under mixed load", "seconds", "MB", lines


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: ten moments of the run."""
    step = max(1, len(numbers.looks) // 10)
    rows = [[f"{one.at_s:.0f}", f"{one.rss_mb:.1f}", f"{one.pss_mb:.1f}"] for one in numbers.looks[::step]]
    notes = [one.sentence for one in numbers.criteria]
    mixture = ", ".join(f"{share} {kind}" for kind, share in MIXTURE.items())
    notes.append(
        f"From {numbers.first_mb:.1f} MB (second tenth of the time) to {numbers.last_mb:.1f} MB (last tenth), medians; "
        f"PSS grew by {numbers.pss_growth_percent:.2f} %. {numbers.num_requests} requests, {settings.rate:g} a second, "
        f"{numbers.num_errors} not answered as they should be; of a hundred: {mixture}."
    )
    return report.Sheet("Whether memory grows", ["second", "RSS MB", "PSS MB"], rows, notes)
