"""Whether a server that is asked to end loses a request that it has accepted.

Each run starts the server's real command with `--workers` workers, lets `--callers` callers search without a pause,
half of them on a connection that they keep and half on a new one for each request (callers.py), sends SIGTERM in the
middle, and waits for its end. The number wanted is 0 lost, in every run: the ceiling is the count of requests itself.

A request is lost if it was written on a connection that had come up, and no whole answer came back.
"""

import os
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks.common import machine, options, report
from benchmarks.load.callers import callers, num_lost
from benchmarks.load.client import REFUSED, Address, post
from benchmarks.load.searches import OneAnswer, first_answers, make_tickets, search_body, store_or_trained
from benchmarks.load.server import running_server
from trainer.cli.terminal import shows_errors

MIN_RUNS = 20  # a loss in one run of ten would go unseen in these once in eight times
LOAD_S = 60.0  # in which the callers must have their first answers
END_S = 30.0  # for the server; it takes a second


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    store: str | None
    name: str
    runs: int
    workers: int
    callers: int
    before: int
    tokens: int
    seed: int


class Run(msgspec.Struct, frozen=True):
    """What became of the requests of one run.

    Attributes:
        num_answered: with 200.
        num_after_signal: of these, counted after SIGTERM was sent.
        num_refused: with 503, which is an answer.
        num_other: with any other status.
        num_lost: without an answer.
        reasons: of the lost ones.
        exit_status: of the server.
        end_s: from the signal to the end of its process.
    """

    num_answered: int
    num_after_signal: int
    num_refused: int
    num_other: int
    num_lost: int
    reasons: list[str]
    exit_status: int
    end_s: float


class Numbers(msgspec.Struct, frozen=True):
    """What was measured; `end_s` is the median."""

    num_requests: int
    num_after_signal: int
    num_refused: int
    num_lost: int
    num_runs_with_loss: int
    num_bad_ends: int
    end_s: float
    runs: list[Run]
    void_because: list[str]


@click.command("drain")
@options.store
@options.name("Model to ask, of kind GRU.")
@click.option("--runs", type=click.IntRange(1), default=MIN_RUNS, show_default=True, help="Fewer are void.")
@options.workers
@click.option("--callers", type=click.IntRange(2, 500), default=16, show_default=True, help="At once.")
@click.option("--before", type=click.IntRange(1), default=1000, show_default=True, help="Answers before the signal.")
@click.option("--tokens", type=click.IntRange(1, 512), default=30, show_default=True, help="Of the ticket.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the ticket.")
@options.save
@shows_errors
def drain_command(save: bool, **given: Any) -> None:
    """Count the requests that SIGTERM under load loses."""
    here = machine.read_machine()
    settings = options.read(Settings, given)
    body = search_body(settings.name, make_tickets(None, settings.tokens, settings.seed).fixed[0])
    with store_or_trained(settings.store, settings.name) as store:
        numbers = summarise([measure_run(settings, store, body) for _ in range(settings.runs)])
    found = machine.result("drain", here, settings, numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


def measure_run(settings: Settings, store: Path, body: bytes) -> Run:
    """Return what became of the requests of one server, from its start to its end.

    Raises:
        click.ClickException: the callers have no answers, or it does not end.
    """
    with running_server(store, workers=settings.workers) as server:
        address = Address.of(server.url)
        search = post(address, "/search", body)
        first_answers(address, [search], OneAnswer)
        with callers(address, search, settings.callers) as (outcomes, _):
            deadline = time.monotonic() + LOAD_S
            while outcomes[200] < settings.before:
                if time.monotonic() > deadline:
                    raise click.ClickException(f"the callers had {dict(outcomes)} in {LOAD_S:.0f} s")
                time.sleep(0.001)
            start = time.perf_counter()
            os.kill(server.pid, signal.SIGTERM)
            num_before = outcomes[200]
            try:
                exit_status = server.process.wait(END_S)
            except subprocess.TimeoutExpired as error:
                raise click.ClickException(f"the server has not ended in {END_S:.0f} s") from error
            end_s = time.perf_counter() - start
    # Every caller has left by now, each because the port is closed.
    return Run(
        num_answered=outcomes[200],
        num_after_signal=outcomes[200] - num_before,
        num_refused=outcomes[REFUSED],
        num_other=sum(
            times for status, times in outcomes.items() if isinstance(status, int) and status not in (200, REFUSED)
        ),
        num_lost=num_lost(outcomes),
        reasons=sorted(outcome for outcome in outcomes if isinstance(outcome, str)),
        exit_status=exit_status,
        end_s=round(end_s, 3),
    )


def summarise(runs: list[Run]) -> Numbers:
    """Return the numbers over all runs."""
    reasons = []
    if len(runs) < MIN_RUNS:
        reasons.append(f"{len(runs)} runs, a result has at least {MIN_RUNS}")
    if not all(run.num_after_signal for run in runs):
        reasons.append("in one run nothing was answered after the signal, so it did not come under load")
    return Numbers(
        num_requests=sum(run.num_answered + run.num_refused + run.num_other + run.num_lost for run in runs),
        num_after_signal=sum(run.num_after_signal for run in runs),
        num_refused=sum(run.num_refused for run in runs),
        num_lost=sum(run.num_lost for run in runs),
        num_runs_with_loss=sum(run.num_lost > 0 for run in runs),
        num_bad_ends=sum(run.exit_status != 0 or run.num_other > 0 for run in runs),
        end_s=statistics.median(run.end_s for run in runs),
        runs=runs,
        void_because=reasons,
    )


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: a line for each run, and their sum."""
    rows = [
        [
            str(number),
            *map(str, (run.num_answered, run.num_after_signal, run.num_refused, run.num_other, run.num_lost)),
            str(run.exit_status),
            f"{run.end_s:.2f}",
        ]
        for number, run in enumerate(numbers.runs, 1)
    ]
    counts = (
        sum(run.num_answered for run in numbers.runs),
        numbers.num_after_signal,
        numbers.num_refused,
        sum(run.num_other for run in numbers.runs),
        numbers.num_lost,
    )
    rows.append(["all", *map(str, counts), "", f"{numbers.end_s:.2f}"])
    notes = [
        f"{numbers.num_lost} of {numbers.num_requests} requests were lost, in {numbers.num_runs_with_loss} of "
        f"{len(numbers.runs)} runs; wanted: 0.",
        f"{settings.callers} callers without a pause, half on kept connections; {settings.workers} workers; SIGTERM "
        f"after {settings.before} answers or a few more. The last line has the median of the seconds to the end.",
    ]
    columns = ["run", "answered", "after SIGTERM", "503", "other", "lost", "status", "s to the end"]
    return report.Sheet("What SIGTERM under load loses", columns, rows, notes)
