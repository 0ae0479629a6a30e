"""What becomes of the callers when more is asked than the server can do.

The ceiling first: what it answers to callers who ask again at once (wrk), single tickets and bodies of 32. Then one
open loop in three phases, each of `--seconds`: single tickets at half of the capacity (normal), then too many (twice
the capacity in single tickets, or five times in tickets that come in bodies of 32), then half of the capacity again.
Meanwhile /livez and /readyz are asked ten times a second each.

A good server goes on answering as many as it can (goodput), answers those that it takes about as soon as ever, says no
to the others at once and when to come again (503, Retry-After), answers its probes, and is as before when the rush is
over. Latency counts from the intended time, so who waited for a connection or in a queue has waited.
"""

# Axes: N requests of a run.

import asyncio
import collections
import re
import statistics
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import click
import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.common import machine, options, report
from benchmarks.common.bars import plot_bars
from benchmarks.common.rounds import Spread, spread
from benchmarks.load.client import (
    MAX_LATENESS_MS,
    REFUSED,
    Address,
    Calls,
    Seconds,
    open_loop,
    post,
    quiet,
    request,
    schedule,
)
from benchmarks.load.contenders import PUPPET, running
from benchmarks.load.server import pinned
from benchmarks.load.workload import (
    Common,
    Workload,
    ask_each,
    common_options,
    prepared,
    read_common,
    shown,
    source_of,
    why_void,
)
from benchmarks.load.wrk import find_wrk, saturate
from benchmarks.serving.batch import batch_at, batch_body
from trainer.cli.terminal import shows_errors

Rush = Literal["single", "bodies"]
TITLES: dict[Rush, str] = {"single": "twice the capacity, single tickets", "bodies": "5 times, in bodies of 32"}
FACTOR: dict[Rush, float] = {"single": 2.0, "bodies": 5.0}
BODY: dict[Rush, int] = {"single": 1, "bodies": 32}  # tickets
NORMAL = 0.5  # of the capacity
PROBES_A_SECOND = 10  # of each kind
WINDOW_S = 0.1  # in which it is looked whether all is as before
CONNECTIONS = {"single": 64, "bodies": 16}  # of wrk
RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d+)", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    connections: int


class Phases(NamedTuple):
    """A schedule: when each request is to be sent, in seconds, and what it is."""

    arrivals_N: Seconds
    requests: list[bytes]
    phase_N: NDArray[np.int8]  # 0 normal, 1 rush, 2 after it
    is_probe_N: NDArray[np.bool_]


class Round(msgspec.Struct, frozen=True):
    """What one run measured, in milliseconds.

    Attributes:
        capacity: tickets a second, by wrk.
        offered: tickets a second in the rush.
        goodput: tickets a second that were answered with 200 during the rush.
        normal_p99_ms: before the rush.
        accepted_p50_ms, accepted_p99_ms: of the requests of the rush that were answered with 200.
        num_accepted, num_refused, num_errors: requests of the rush.
        refusal_p50_ms, refusal_p99_ms: until a 503; None if there was none.
        retry_after: seconds that a 503 names -> how often; "none" where it names none.
        num_probes, num_probes_ok: /livez and /readyz in the rush, and those that answered 200.
        probe_p99_ms: until they did; None if none did.
        again_s: from the end of the rush until all is as before; None if it was not within the last phase.
        lateness_ms: of the generator, p99.
    """

    capacity: float
    offered: float
    goodput: float
    normal_p99_ms: float
    accepted_p50_ms: float | None
    accepted_p99_ms: float | None
    num_accepted: int
    num_refused: int
    num_errors: int
    refusal_p50_ms: float | None
    refusal_p99_ms: float | None
    retry_after: dict[str, int]
    num_probes: int
    num_probes_ok: int
    probe_p99_ms: float | None
    again_s: float | None
    lateness_ms: float


class Numbers(msgspec.Struct, frozen=True):
    """What was measured: rush -> rounds; why this is no result."""

    rounds: dict[str, list[Round]]
    void_because: list[str]


@click.command("overload")
@common_options(seconds=5.0)
@options.connections(500, 1000, "Of the callers.")
@shows_errors
def overload_command(connections: int, save: bool, **given: Any) -> None:
    """Measure what becomes of the callers when twice and five times too much is asked."""
    here = machine.read_machine()
    find_wrk()
    settings = Settings(read_common(given), connections)
    with prepared(settings.common, [PUPPET]) as work:
        numbers = measure(settings, work)
    found = machine.result("overload", here, shown(settings), numbers)
    picture = report.Picture("Goodput and waiting", "rush", lambda path: plot_bars(path, panels(numbers)))
    report.conclude(found, [make_sheet(settings, numbers)], [picture], numbers.void_because, save)


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of all rounds, in which the two rushes take turns, each on a fresh server."""
    rounds: dict[str, list[Round]] = {rush: [] for rush in TITLES}
    for number in range(settings.common.rounds):
        for rush in TITLES:
            click.echo(f"round {number + 1} of {settings.common.rounds}: {TITLES[rush]}", err=True)
            rounds[rush].append(measure_round(settings, work, rush, number))
    return summarise(settings, rounds)


def measure_round(settings: Settings, work: Workload, rush: Rush, number: int) -> Round:
    """Return what one server did before, in and after a rush."""
    common = settings.common
    name, tickets = common.name, work.tickets
    singles = work.bodies(PUPPET)
    places = range(0, max(BODY[rush], len(tickets)), BODY[rush])
    bodies = [batch_body(name, batch_at(tickets, place, BODY[rush])) for place in places]
    with running(PUPPET, work.stage, common.server_core) as server:
        address = Address.of(server.url)
        ask_each(address, singles)
        core, seconds = common.generator_core, max(1.0, common.warmup)
        saturate(address, singles, CONNECTIONS["single"], seconds, core)
        single = saturate(address, singles, CONNECTIONS["single"], common.seconds, core).rate
        capacity = single
        if rush != "single":
            capacity = saturate(address, bodies, CONNECTIONS[rush], common.seconds, core).rate * BODY[rush]
        phases = make_phases(
            [post(address, "/search", body) for body in singles],
            [post(address, "/search", body) for body in bodies],
            [request(address, "GET", path) for path in ("/livez", "/readyz")],
            [NORMAL * single, FACTOR[rush] * capacity / BODY[rush]],
            common.seconds,
            [common.seed, number, list(TITLES).index(rush)],
        )
        heads: collections.Counter[str] = collections.Counter()
        with pinned(core), quiet(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            calls = runner.run(
                open_loop(
                    address, phases.requests, phases.arrivals_N, settings.connections, take_refusal=counted(heads)
                )
            )
    return read_round(phases, calls, heads, common.seconds, capacity, BODY[rush])


def counted(heads: "collections.Counter[str]") -> Callable[[bytes], None]:
    """Return what counts the Retry-After of each refusal."""

    def count(head: bytes) -> None:
        found = RETRY_AFTER.search(head)
        heads[found[1].decode("ascii") if found else "none"] += 1

    return count


def make_phases(
    singles: list[bytes],
    bodies: list[bytes],
    probes: list[bytes],
    rates: list[float],
    seconds: float,
    seed: list[int],
) -> Phases:
    """Return the schedule of a run.

    Args:
        singles: requests of one ticket, for the normal phases.
        bodies: requests of the rush.
        probes: requests that are sent all the time.
        rates: requests a second of the normal phases and of the rush.
        seconds: of each of the three phases.
        seed: of the arrivals.
    """
    parts: list[tuple[Seconds, list[bytes], int, bool]] = []
    for phase, (rate, asked) in enumerate(((rates[0], singles), (rates[1], bodies), (rates[0], singles))):
        arrivals_N = phase * seconds + schedule(rate, seconds, [*seed, phase])
        parts.append((arrivals_N, [asked[place % len(asked)] for place in range(len(arrivals_N))], phase, False))
        probe_N = (phase + np.arange(0, 1, 1 / max(1, round(len(probes) * PROBES_A_SECOND * seconds)))) * seconds
        parts.append((probe_N, [probes[place % len(probes)] for place in range(len(probe_N))], phase, True))
    arrivals_N = np.concatenate([part[0] for part in parts])
    requests = [one for part in parts for one in part[1]]
    order_N = np.argsort(arrivals_N, kind="stable")
    return Phases(
        arrivals_N[order_N],
        [requests[place] for place in order_N.tolist()],
        np.concatenate([np.full(len(part[0]), part[2], np.int8) for part in parts])[order_N],
        np.concatenate([np.full(len(part[0]), part[3], np.bool_) for part in parts])[order_N],
    )


def read_round(
    phases: Phases,
    calls: Calls,
    heads: "collections.Counter[str]",
    seconds: float,
    capacity: float,
    tickets_a_body: int,
) -> Round:
    """Return what the calls of one run say.

    Raises:
        click.ClickException: before the rush nothing was answered.
    """
    latency_N = (calls.answered_s - calls.intended_s) * 1e3
    good_N, refused_N = calls.statuses == 200, calls.statuses == REFUSED
    normal_N = (phases.phase_N == 0) & ~phases.is_probe_N
    rush_N = (phases.phase_N == 1) & ~phases.is_probe_N
    after_N = (phases.phase_N == 2) & ~phases.is_probe_N
    probe_N = (phases.phase_N == 1) & phases.is_probe_N
    if not (normal_N & good_N).any():
        raise click.ClickException("before the rush no search was answered; the server cannot do half of its capacity")
    normal_p99_ms = float(np.quantile(latency_N[normal_N & good_N], 0.99))
    # The clock of the answers at the origin of the schedule; every request has the same distance to its arrival.
    origin = float(np.median(calls.intended_s - phases.arrivals_N))
    within_N = good_N & (calls.answered_s >= origin + seconds) & (calls.answered_s < origin + 2 * seconds)
    num_tickets = int((within_N & rush_N).sum()) * tickets_a_body + int((within_N & normal_N).sum())
    return Round(
        capacity=round(capacity, 1),
        offered=round(float(rush_N.sum()) * tickets_a_body / seconds, 1),
        goodput=round(num_tickets / seconds, 1),
        normal_p99_ms=round(normal_p99_ms, 3),
        accepted_p50_ms=quantile(latency_N[rush_N & good_N], 0.5),
        accepted_p99_ms=quantile(latency_N[rush_N & good_N], 0.99),
        num_accepted=int((rush_N & good_N).sum()),
        num_refused=int((rush_N & refused_N).sum()),
        num_errors=int((rush_N & ~good_N & ~refused_N).sum()),
        refusal_p50_ms=quantile(latency_N[rush_N & refused_N], 0.5),
        refusal_p99_ms=quantile(latency_N[rush_N & refused_N], 0.99),
        retry_after=dict(sorted(heads.items())),
        num_probes=int(probe_N.sum()),
        num_probes_ok=int((probe_N & good_N).sum()),
        probe_p99_ms=quantile(latency_N[probe_N & good_N], 0.99),
        again_s=seconds_until_normal(
            calls.intended_s[after_N] - origin - 2 * seconds,
            np.where(good_N, latency_N, np.inf)[after_N],
            normal_p99_ms,
            seconds,
        ),
        lateness_ms=round(calls.lateness_p99_ms, 3),
    )


def quantile(values_N: Seconds, share: float) -> float | None:
    """Return a quantile; None of nothing."""
    return round(float(np.quantile(values_N, share)), 3) if len(values_N) else None


def seconds_until_normal(since_N: Seconds, latency_N: Seconds, normal_ms: float, seconds: float) -> float | None:
    """Return the end of the last tenth of a second whose median is above the normal p99; 0 if there is none.

    The median, because of a hundred requests one is above the p99 on the best of days.

    Args:
        since_N: when each request was meant to be sent, from the end of the rush.
        latency_N: of each, in milliseconds; infinite if it was not answered with 200.
        normal_ms: the p99 before the rush.
        seconds: that were watched; None comes back if the last of them is not normal.

    >>> seconds_until_normal(np.array([0.01, 0.11, 0.21]), np.array([9.0, np.inf, 1.0]), 2.0, 0.3)
    0.2
    """
    last = 0
    num_windows = round(seconds / WINDOW_S)
    window_N = np.minimum((since_N / WINDOW_S).astype(int), num_windows - 1)
    for window in range(num_windows):
        inside = latency_N[window_N == window]
        if len(inside) and np.median(inside) > normal_ms:
            last = window + 1
    return round(last * WINDOW_S, 3) if last < num_windows else None


def summarise(settings: Settings, rounds: dict[str, list[Round]]) -> Numbers:
    """Return the rounds, and whether they are a result."""
    void = why_void(settings.common)
    late = max(one.lateness_ms for runs in rounds.values() for one in runs)
    if not late <= MAX_LATENESS_MS:
        void.append(
            f"the generator was late by {late} ms at p99 in one round, limit is {MAX_LATENESS_MS} ms; run it on a "
            f"quiet machine, or with longer tickets (--tokens 200), of which fewer are too many"
        )
    return Numbers(rounds, void)


def sentence(rush: Rush, found: list[Round]) -> str:
    """Return what the rounds of a rush come to, medians."""
    kept = statistics.median(one.goodput / one.capacity for one in found)
    wait = middle([one.accepted_p99_ms / one.normal_p99_ms for one in found if one.accepted_p99_ms is not None])
    refusal = middle([one.refusal_p99_ms for one in found if one.refusal_p99_ms is not None])
    named = sorted({name for one in found for name in one.retry_after})
    again = [one.again_s for one in found]
    known = [seconds for seconds in again if seconds is not None]
    parts = [
        f"goodput {kept:.2f} of the capacity",
        f"accepted p99 {wait:.1f} times the normal" if wait is not None else "nothing accepted",
        f"refusals at p99 after {refusal:.1f} ms, Retry-After {', '.join(named)}"
        if refusal is not None
        else "no refusal",
        f"{sum(one.num_probes_ok for one in found)} of {sum(one.num_probes for one in found)} probes answered",
        f"as before after {max(known):.1f} s at most" if len(known) == len(again) else "not as before within the phase",
    ]
    return f"{TITLES[rush]}: {'; '.join(parts)}."


def middle(values: list[float]) -> float | None:
    """Return the median; None of nothing."""
    return statistics.median(values) if values else None


def panels(numbers: Numbers) -> list[tuple[str, list[tuple[str, Spread]]]]:
    """Return the bars of the picture."""
    goodput, waits = [], []
    for rush, title in TITLES.items():
        found = numbers.rounds[rush]
        goodput += [
            (f"{title}: capacity", spread([one.capacity for one in found])),
            (f"{title}: Puppet's goodput", spread([one.goodput for one in found])),
        ]
        waits.append((f"{title}: before", spread([one.normal_p99_ms for one in found])))
        for what, values in (
            ("accepted", [one.accepted_p99_ms for one in found]),
            ("refused", [one.refusal_p99_ms for one in found]),
        ):
            if known := [value for value in values if value is not None]:
                waits.append((f"{title}: {what}", spread(known)))
    return [("tickets a second", goodput), ("p99, ms", waits)]


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: the capacity first; a line for each round."""

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    rows = []
    for rush, title in TITLES.items():
        for one in numbers.rounds[rush]:
            asked = one.num_accepted + one.num_refused + one.num_errors
            rows.append(
                [
                    title,
                    f"{one.capacity:.0f}",
                    f"{one.offered:.0f}",
                    f"{one.goodput:.0f}",
                    f"{one.goodput / one.capacity:.2f}",
                    shown(one.normal_p99_ms),
                    shown(one.accepted_p50_ms),
                    shown(one.accepted_p99_ms),
                    f"{one.num_refused / max(1, asked):.0%}",
                    shown(one.refusal_p99_ms),
                    " ".join(one.retry_after) or "-",
                    str(one.num_errors),
                    f"{one.num_probes_ok}/{one.num_probes}",
                    shown(one.again_s),
                ]
            )
    common = settings.common
    notes = [sentence(rush, numbers.rounds[rush]) for rush in TITLES]
    notes.append(
        f"Tickets a second and milliseconds; phases of {common.seconds:g} s; {settings.connections} connections; "
        f"tickets of {common.tokens} tokens from {source_of(common)}; server on core "
        f"{common.server_core}, callers on core {common.generator_core}. Goodput: answered with 200 during the rush."
    )
    columns = ["asked", "capacity", "offered", "goodput", "x", "p99 before", "p50", "p99 accepted", "refused"]
    columns += ["p99 of it", "Retry-After", "errors", "probes", "s to normal"]
    return report.Sheet("When more is asked than can be done", columns, rows, notes)
