"""How soon each server answers after its process starts, and how much memory one worker then holds.

The floor first: the handler that does nothing, which is the interpreter, the framework and the HTTP server. Each start
is a new process on the server's core, `--rounds` times in another order each time; files are in the page cache from the
second round on, so the first one shows itself in the range. Ready is a GET that answers 200 (ours: /readyz, when every
model is loaded and its golden rows came out right), looked at every 5 ms. Memory is read after `--searches` searches:
resident (RSS), and its proportional share (PSS), where pages that processes share are divided between them. Of our
server the worker counts, and the small supervisor beside it stands in a column of its own; of a peer all its processes.
"""

from typing import Any

import click
import msgspec

from benchmarks.common import machine, options, report
from benchmarks.common.bars import plot_bars
from benchmarks.common.rounds import Spread, in_turn, spread
from benchmarks.load.client import Address, closed_loop, post
from benchmarks.load.contenders import CONTENDERS, PUPPET, PUPPET_FUSED, running
from benchmarks.load.server import family, pinned, proportional_bytes, resident_bytes
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
    versions,
    why_void,
)
from trainer.cli.terminal import shows_errors

READY_S, WORKER_MB = 0.8, 130.0  # issue 6, "It is done when"
FUSED_MB = 110.0  # issue 23


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    searches: int
    servers: list[str]


class Start(msgspec.Struct, frozen=True):
    """One start of a server; megabytes of the processes that answer, and of all of them."""

    ready_s: float
    pss_mb: float
    rss_mb: float
    all_pss_mb: float
    num_processes: int


class Started(msgspec.Struct, frozen=True):
    """What a contender took over the rounds; `num_processes` is the most that there were."""

    ready_s: Spread
    pss_mb: Spread
    rss_mb: Spread
    all_pss_mb: Spread
    num_processes: int


class Numbers(msgspec.Struct, frozen=True):
    """What was measured: contender -> what it took; why some were not; what is wanted; why this is no result."""

    started: dict[str, Started]
    not_measured: dict[str, str]
    peers: dict[str, str]
    criteria: list[Criterion]
    void_because: list[str]


@click.command("startup")
@common_options(seconds=1.0)
@click.option("--searches", type=click.IntRange(1), default=1000, show_default=True, help="Before memory is read.")
@options.servers("To measure.  [all]")
@shows_errors
def startup_command(searches: int, servers: tuple[str, ...], save: bool, **given: Any) -> None:
    """Measure the seconds until a server is ready, and the memory of one worker."""
    here = machine.read_machine()
    wanted = [key for key in CONTENDERS if key in (servers or CONTENDERS)]
    settings = Settings(read_common(given), searches, wanted)
    with prepared(settings.common, wanted) as work:
        numbers = measure(settings, work)
    found = machine.result("startup", here, shown(settings), numbers)
    picture = report.Picture("Seconds and memory", "start", lambda path: plot_bars(path, panels(numbers)))
    report.conclude(found, [make_sheet(settings, numbers)], [picture], numbers.void_because, save)


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of all rounds, in which the contenders take turns."""
    keys = [key for key in settings.servers if key not in work.left_out]
    found: dict[str, list[Start]] = {}
    for number in range(settings.common.rounds):
        for key in in_turn(keys, number):
            click.echo(f"round {number + 1} of {settings.common.rounds}: {CONTENDERS[key].title}", err=True)
            found.setdefault(key, []).append(measure_start(settings, work, key))
    return summarise(settings, found, work)


def measure_start(settings: Settings, work: Workload, key: str) -> Start:
    """Return how long one start took, and the memory after some searches.

    Raises:
        click.ClickException: it does not start or does not answer.
    """
    common, bodies = settings.common, work.bodies(key)
    with running(key, work.stage, common.server_core) as server:
        address = Address.of(server.url)
        ask_each(address, bodies[:1])
        with pinned(common.generator_core):
            closed_loop(address, [post(address, "/search", body) for body in bodies], settings.searches)
        everyone = family(server.pid)
        answering = everyone if CONTENDERS[key].module else server.workers
        # `resident_bytes` counts those below a process with it, so a peer's first process stands for all.
        tops = [server.pid] if CONTENDERS[key].module else answering
        rss = sum(resident_bytes(pid) or 0 for pid in tops)
        return Start(
            ready_s=server.ready_s,
            pss_mb=sum(proportional_bytes(pid) or 0 for pid in answering) / 1e6,
            rss_mb=rss / 1e6,
            all_pss_mb=sum(proportional_bytes(pid) or 0 for pid in everyone) / 1e6,
            num_processes=len(everyone),
        )


def summarise(settings: Settings, found: dict[str, list[Start]], work: Workload) -> Numbers:
    """Return the numbers over all rounds."""
    started = {
        key: Started(
            ready_s=spread([start.ready_s for start in found[key]]),
            pss_mb=spread([start.pss_mb for start in found[key]]),
            rss_mb=spread([start.rss_mb for start in found[key]]),
            all_pss_mb=spread([start.all_pss_mb for start in found[key]]),
            num_processes=max(start.num_processes for start in found[key]),
        )
        for key in settings.servers
        if key in found
    }
    ours = started.get(PUPPET)
    criteria = at_most("ready after", ours.ready_s.median if ours else None, READY_S, " s")
    criteria += at_most("memory of a worker (RSS)", ours.rss_mb.median if ours else None, WORKER_MB, " MB")
    fused = started.get(PUPPET_FUSED)
    criteria += at_most(
        "memory of a worker with the kernel (PSS)", fused.pss_mb.median if fused else None, FUSED_MB, " MB"
    )
    return Numbers(started, work.left_out, work.peers, criteria, why_void(settings.common))


def panels(numbers: Numbers) -> list[tuple[str, list[tuple[str, Spread]]]]:
    """Return the bars of the picture."""
    measured = [(CONTENDERS[key].title, one) for key, one in numbers.started.items()]
    return [
        ("seconds until ready", [(title, one.ready_s) for title, one in measured]),
        ("MB of one worker (RSS)", [(title, one.rss_mb) for title, one in measured]),
        ("MB of all its processes (PSS)", [(title, one.all_pss_mb) for title, one in measured]),
    ]


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people, the floor first."""
    rows = []
    for key in settings.servers:
        if key in numbers.not_measured:
            rows.append([CONTENDERS[key].title, "not measured", *[""] * 5])
        if one := numbers.started.get(key):
            rows.append(
                [
                    CONTENDERS[key].title,
                    f"{one.ready_s.median:.2f}",
                    f"{one.ready_s.lowest:.2f}-{one.ready_s.highest:.2f}",
                    f"{one.rss_mb.median:.0f}",
                    f"{one.pss_mb.median:.0f}",
                    f"{one.all_pss_mb.median:.0f}",
                    str(one.num_processes),
                ]
            )
    notes = [one.sentence for one in numbers.criteria]
    notes += [f"Not measured: {CONTENDERS[key].title}: {why}." for key, why in numbers.not_measured.items()]
    notes += versions(numbers.peers)
    notes.append(
        f"Medians over {settings.common.rounds} starts on core {settings.common.server_core}; memory in MB after "
        f"{settings.searches} searches: of our worker, or of all processes of a peer; then of all processes."
    )
    columns = ["server", "ready s", "over rounds", "RSS", "PSS", "PSS of all", "processes"]
    return report.Sheet("From the start of a process to its first answer", columns, rows, notes)
