"""How long a caller of /search waits, and how much of that is the model.

Three measurements, in turn, at least five times, each time with a fresh server:

- the floor: the session's run of the same tickets alone in a process, on the server's core. No server can be faster.
- one connection in a closed loop: what one call costs.
- an open loop of `--rate` tickets a second: what callers wait who do not wait for each other (client.py).

The tickets have `--tokens` tokens each; with `--data` the open loop sends the file's tickets as they are. A run whose
generator was late by more than 1 ms at p99 in any round says that it is void.
"""

# Axes: N requests of a run.

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
import uvloop

from artifacts.networks.engines.build import EngineName
from artifacts.networks.gru import GruModel, pad
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from benchmarks.accuracy.sets import KIND
from benchmarks.common import machine, options, report
from benchmarks.common.options import PATH
from benchmarks.common.rounds import Spread, spread, spreads, too_few
from benchmarks.load.client import (
    MAX_LATENESS_MS,
    Address,
    Calls,
    Seconds,
    closed_loop,
    open_loop,
    post,
    quiet,
    schedule,
)
from benchmarks.load.contenders import PEERS_PYTHON
from benchmarks.load.searches import OneAnswer, Tickets, first_answers, make_tickets, search_body, store_or_trained
from benchmarks.load.server import Server, pinned, resident_bytes, running_server, two_cores
from trainer.cli.terminal import shows_errors

TARGET_P50_MS, TARGET_READY_S, TARGET_RESIDENT_MB = 1.0, 3.0, 250.0  # issue 2, "It is done when"


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names.

    Attributes:
        store: None for a model trained on the spot on synthetic tickets.
        server_core, generator_core: None where neither was pinned.
    """

    store: str | None
    name: str
    kind: str
    url: str | None
    data: str | None
    rate: float
    seconds: float
    warmup: float
    rounds: int
    calls: int
    connections: int
    tokens: int
    seed: int
    engine: EngineName
    server_core: int | None
    generator_core: int | None


class Quantiles(msgspec.Struct, frozen=True):
    """How a time is distributed over the calls of one round, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Rounds(msgspec.Struct, frozen=True):
    """The same quantiles over the rounds: of each the median, the lowest and the highest, and all."""

    median: Quantiles
    lowest: Quantiles
    highest: Quantiles
    rounds: list[Quantiles]


class Loop(msgspec.Struct, frozen=True):
    """What a loop measured in all rounds; the latency is of the requests that were answered with 200."""

    latency: Rounds
    num_calls: int
    num_answered: int
    num_refused: int
    num_errors: int
    num_waited: int


class OwnServer(msgspec.Struct, frozen=True):
    """The server that was started for each round, and the memory of its worker after the round's load."""

    ready_s: Spread
    resident_mb: Spread | None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        floor: the session's run alone; None if the model is not at hand (--url without --store).
        closed_loop, open_loop: the latency of calls.
        closed_over_floor, open_over_floor: their p50 over the floor's.
        lateness: of the open loop's generator.
        void_because: why this is no result; empty if it is one.
        model_version: that answered.
        unknown_tokens: mean per ticket of the closed loop, as the server says.
        server: None with --url.
    """

    floor: Rounds | None
    closed_loop: Loop
    closed_over_floor: float | None
    open_loop: Loop
    open_over_floor: float | None
    lateness: Rounds
    void_because: list[str]
    model_version: int
    unknown_tokens: float
    server: OwnServer | None


class Round(NamedTuple):
    """What one round measured."""

    floor_s: Seconds | None
    closed: Calls
    opened: Calls
    ready_s: float | None
    resident_mb: float | None
    model_version: int
    unknown_tokens: float


class FloorTask(msgspec.Struct):
    """What the floor's process is told on stdin."""

    store: str
    name: str
    version: int
    num_calls: int
    core: int | None
    tickets: list[list[str]]


@click.command("latency")
@options.store
@options.name("Model to ask.")
@click.option("--kind", default=KIND, show_default=True, help="The model's neural_network_type.")
@click.option("--url", help="Ask a server that runs already, http://HOST:PORT; with --store the floor is measured too.")
@click.option("--data", type=PATH, help="Tickets to send.  [synthetic ones]")
@options.rate
@options.seconds(10.0, "Of a round.")
@options.warmup("Seconds of each loop before it.")
@options.rounds
@click.option("--calls", type=click.IntRange(1), default=2000, show_default=True, help="Of the closed loop in a round.")
@options.connections(16, 1000, "Of the open loop.")
@options.tokens
@options.seed
@options.engine
@click.option("--peers", is_flag=True, help="Beside the peers, and at shares of each server's saturation; needs wrk.")
@options.servers("With --peers.  [all]")
@options.save
@shows_errors
def latency_command(peers: bool, servers: tuple[str, ...], save: bool, **given: Any) -> None:
    """Measure how long a search takes: alone, over one connection, and under load.

    With --peers the same is asked of other servers in turn, and --data is a folder of a set; --rate, --kind, --url and
    --connections say nothing then.
    """
    if peers:
        from benchmarks.load import workload
        from benchmarks.serving import loads  # which are built on this module

        common = given | {"tokens": str(given["tokens"]), "peers_python": PEERS_PYTHON}
        loads.run(workload.read_common(common), given["calls"], servers, save)
        return
    address = read_url(given["url"]) if given["url"] else None
    here = machine.read_machine()
    server_core, generator_core = (None, None) if address else two_cores()
    settings = options.read(Settings, given, server_core=server_core, generator_core=generator_core)
    tickets = make_tickets(given["data"], settings.tokens, settings.seed)
    with ExitStack() as stack:
        store = Path(settings.store) if settings.store else None
        if address is None:
            store = stack.enter_context(store_or_trained(settings.store, settings.name))
        measured = [measure_round(settings, number, tickets, address, store) for number in range(settings.rounds)]
    numbers = summarise(measured)
    found = machine.result("latency", here, settings, numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


@click.command("floor", hidden=True)
def floor_command() -> None:
    """Read a FloorTask on stdin, time the model's run alone, and print the seconds of each call as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=FloorTask)
    with pinned(task.core):
        sys.stdout.write(msgspec.json.encode(time_floor(task).tolist()).decode() + "\n")


def read_url(url: str) -> Address:
    """Return the address of a server.

    Raises:
        click.BadParameter: the URL is of another kind.
    """
    try:
        return Address.of(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from error


def measure_round(
    settings: Settings, number: int, tickets: Tickets, address: Address | None, store: Path | None
) -> Round:
    """Return what one round measures: the floor, the closed loop, the open loop."""
    if address is not None:
        return measure_server(settings, number, tickets, address, store, None)
    assert store is not None, "neither a server nor a store; this is our bug"
    with running_server(store, settings.server_core, engine=settings.engine) as server:
        return measure_server(settings, number, tickets, Address.of(server.url), store, server)


def measure_server(
    settings: Settings, number: int, tickets: Tickets, address: Address, store: Path | None, server: Server | None
) -> Round:
    """Return what one round measures on a server that is ready.

    Raises:
        click.ClickException: the server does not answer a search.
    """
    fixed = [post(address, "/search", search_body(settings.name, ticket, settings.kind)) for ticket in tickets.fixed]
    mixed = [post(address, "/search", search_body(settings.name, ticket, settings.kind)) for ticket in tickets.mixed]
    answers = first_answers(address, fixed, OneAnswer)
    version = answers[0].version
    floor_N = None
    if store is not None:
        task = FloorTask(
            str(store.absolute()), settings.name, version, settings.calls, settings.server_core, tickets.fixed
        )
        floor_N = np.array(
            msgspec.json.decode(machine.run_child(["floor"], msgspec.json.encode(task)), type=list[float])
        )

    with pinned(settings.generator_core), quiet(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def open_for(seconds: float, seed: Sequence[int]) -> Calls:
            arrivals_N = schedule(settings.rate, seconds, seed)
            return runner.run(open_loop(address, mixed, arrivals_N, settings.connections))

        end = time.perf_counter() + settings.warmup
        while time.perf_counter() < end:
            closed_loop(address, fixed, 10)
        closed = closed_loop(address, fixed, settings.calls)
        open_for(settings.warmup, [settings.seed, number, 1])
        opened = open_for(settings.seconds, [settings.seed, number, 0])
    resident = resident_bytes(server.workers[0]) if server else None
    return Round(
        floor_N,
        closed,
        opened,
        server.ready_s if server else None,
        resident / 1e6 if resident else None,
        version,
        statistics.mean(len(answer.unknown_tokens) for answer in answers),
    )


def time_floor(task: FloorTask) -> Seconds:
    """Return the seconds of each run of the session on one ticket: no HTTP, no JSON, no words, no checks of ours."""
    manifest, files = Store(Path(task.store)).read_version(task.name, task.version)
    model = GruModel(manifest, files)
    session = open_session(files["model.onnx"])
    feeds = [
        dict(zip(("ids", "lengths", "grams"), pad([model.encode(ticket)], len(model.vocabulary)), strict=True))
        for ticket in task.tickets
    ]
    for feed in feeds:
        session.run(None, feed)
    taken = []
    for number in range(task.num_calls):
        feed = feeds[number % len(feeds)]
        start = time.perf_counter()
        session.run(None, feed)
        taken.append(time.perf_counter() - start)
    return np.array(taken)


def quantiles(seconds_N: Seconds) -> Quantiles:
    """Return the quantiles of one round.

    Raises:
        click.ClickException: there is nothing to measure, because no request was answered.
    """
    if not len(seconds_N):
        raise click.ClickException("in one round no request was answered with 200; there is no latency to report")
    found = np.quantile(seconds_N, [0.5, 0.95, 0.99, 1.0]) * 1e3
    return Quantiles(*(round(value, 4) for value in found.tolist()))


def over_rounds(rounds: Sequence[Quantiles]) -> Rounds:
    """Return each quantile's median, lowest and highest over the rounds."""
    return Rounds(*spreads(rounds, 4), list(rounds))


def over_loops(loops: Sequence[Calls]) -> Loop:
    """Return what a loop measured in all rounds."""
    return Loop(
        latency=over_rounds([quantiles(calls.latency_s) for calls in loops]),
        num_calls=sum(len(calls.statuses) for calls in loops),
        num_answered=sum(len(calls.latency_s) for calls in loops),
        num_refused=sum(calls.num_refused for calls in loops),
        num_errors=sum(calls.num_errors for calls in loops),
        num_waited=sum(calls.num_waited for calls in loops),
    )


def why_void(lateness: Rounds) -> list[str]:
    """Return why a run is no result; nothing if it is one."""
    reasons = []
    if not lateness.highest.p99_ms <= MAX_LATENESS_MS:  # written so that NaN is void too
        reasons.append(
            f"the generator was late by {lateness.highest.p99_ms} ms at p99 in one round, "
            f"limit is {MAX_LATENESS_MS} ms; run it on a quiet machine, or with a lower --rate"
        )
    return reasons + too_few(len(lateness.rounds))


def summarise(measured: Sequence[Round]) -> Numbers:
    """Return the numbers over all rounds."""
    floors = [quantiles(one.floor_s) for one in measured if one.floor_s is not None]
    floor = over_rounds(floors) if floors else None
    closed, opened = over_loops([one.closed for one in measured]), over_loops([one.opened for one in measured])
    lateness = over_rounds([quantiles(one.opened.lateness_s) for one in measured])
    ready = [one.ready_s for one in measured if one.ready_s is not None]
    resident = [one.resident_mb for one in measured if one.resident_mb is not None]
    return Numbers(
        floor=floor,
        closed_loop=closed,
        closed_over_floor=ratio(closed, floor),
        open_loop=opened,
        open_over_floor=ratio(opened, floor),
        lateness=lateness,
        void_because=why_void(lateness),
        model_version=measured[0].model_version,
        unknown_tokens=round(measured[0].unknown_tokens, 2),
        server=OwnServer(spread(ready), spread(resident) if resident else None) if ready else None,
    )


def ratio(loop: Loop, floor: Rounds | None) -> float | None:
    """Return how many times the floor's p50 the loop's is."""
    return round(loop.latency.median.p50_ms / floor.median.p50_ms, 2) if floor else None


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: the floor first, then what was measured, each with its ratio."""

    def row(what: str, rounds: Rounds, over: float | None) -> list[str]:
        median, lowest, highest = rounds.median, rounds.lowest, rounds.highest
        middle = [f"{value:.3f}" for value in msgspec.structs.astuple(median)]
        spreads = [f"{lowest.p50_ms:.3f}-{highest.p50_ms:.3f}", f"{lowest.p99_ms:.3f}-{highest.p99_ms:.3f}"]
        return [what, *middle, *spreads, f"{over:.2f}" if over is not None else ""]

    closed, opened = numbers.closed_loop, numbers.open_loop
    rows = [row("floor: the model's run alone", numbers.floor, 1.0)] if numbers.floor else []
    rows += [
        row("one connection, closed loop", closed.latency, numbers.closed_over_floor),
        row(f"open loop, {settings.rate:g} a second", opened.latency, numbers.open_over_floor),
        row("lateness of the generator", numbers.lateness, None),
    ]
    mixture = f"{settings.tokens} tokens" + (f"; the open loop sends {settings.data} as it is" if settings.data else "")
    tickets = f"{mixture}, {numbers.unknown_tokens} of a ticket's tokens unknown"
    loops = [
        f"{name}: {loop.num_calls} calls, {loop.num_refused} refused, {loop.num_errors} errors"
        for name, loop in (("closed loop", closed), ("open loop", opened))
    ]
    notes = [
        f"Milliseconds; medians over {settings.rounds} rounds, then the range over them. Tickets: {tickets}.",
        f"{loops[0]}; {loops[1]}, {opened.num_waited} waited for one of {settings.connections} connections.",
        f"Closed loop p50 {closed.latency.median.p50_ms:.3f} ms, wanted under {TARGET_P50_MS:g} ms at 30 tokens.",
    ]
    if numbers.floor is None:
        notes.append("No floor: name the model's store with --store.")
    if numbers.server:
        ready, resident = numbers.server.ready_s, numbers.server.resident_mb
        held = f"{resident.median:.0f} MB" if resident else "unknown"
        notes.append(
            f"Server: ready in {ready.median:.2f} s ({ready.lowest:.2f}-{ready.highest:.2f}), wanted under "
            f"{TARGET_READY_S:g} s; its worker holds {held} after the load, wanted under {TARGET_RESIDENT_MB:g} MB."
        )
    title = f"How long a search takes: {settings.name} version {numbers.model_version}"
    columns = ["what", "p50", "p95", "p99", "max", "p50 over rounds", "p99 over rounds", "x floor"]
    return report.Sheet(title, columns, rows, notes)
