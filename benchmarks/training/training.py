"""How much longer a search takes while the same machine trains, or takes in a training body of 100 MB.

The server's real command with one worker, in two places:

- own core: the worker on one core, the training on another, as the server lays them where there are more cores than
  workers. On a machine of two cores the generator shares the training's; a training gives way to everybody, and how
  late the generator was is measured.
- shared core: server and training on one core, the generator on another.

In each place the saturation is measured first: what a closed loop of `--connections` callers gets through. Then, in
every round, an open loop of `--load` times that (client.py), three times over on one server, each round in another
order: alone; beside a training that goes on for as long; beside a client that posts a training body of `--body-mb`
again and again. That body names a model that is not there, so it is written to the disk and checked to its end like any
other, and then refused, so that no training follows it.

A round in which the training did not run from the first request to the last, or no body was posted, voids the result,
and so does a generator that was late by more than 1 ms at p99, in a loop and in two repetitions of it. How many loops
were repeated is told.
"""

# Axes: N requests of a run.

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
import uvloop

from benchmarks.accuracy.sets import KIND, read_test
from benchmarks.common import machine, options, report
from benchmarks.common.options import PATH
from benchmarks.common.rounds import in_turn
from benchmarks.load.client import (
    MAX_LATENESS_MS,
    SHORT_SPIN_S,
    Address,
    Calls,
    Connection,
    new_sleeping_loop,
    open_loop,
    post,
    quiet,
    request,
    schedule,
)
from benchmarks.load.searches import (
    NUM_SYNTHETIC,
    OneAnswer,
    first_answers,
    make_tickets,
    search_body,
    store_or_trained,
)
from benchmarks.load.server import Server, cpu_seconds, descendants, pin_process, pinned, running_server
from benchmarks.training.training_summary import (
    BESIDE,
    PLACES,
    Beside,
    Numbers,
    Phase,
    Place,
    Settings,
    make_sheet,
    summarise,
)
from trainer.cli.terminal import shows_errors
from trainer.jobs.process import Limits, behave_as_child
from trainer.samples.synthetic import generate

TRAINED = "trained-beside"  # the model that is trained; what it publishes would not change the one that is asked
NOBODY = "nobody"  # a model that is not there
ENDLESS = {"epochs": 1000, "patience": 1000}  # longer than a round; cancelled then
BEGIN_S, END_S = 180.0, 30.0  # in which a training begins its second epoch; ends when it is cancelled
POST_S = 120.0  # for a body; a second or so where nothing else runs
LOOK_S = 0.05
MAX_REPEATED = 2  # loops in which the generator was late; a training must last for them


class Work(NamedTuple):
    """What the server is asked: searches, a training, and the file with a body that is too long to be held here."""

    searches: list[bytes]
    training: bytes
    body: Path


class JobState(msgspec.Struct):
    """A job, as far as it is read here."""

    state: str
    progress: object = None


class PosterTask(msgspec.Struct):
    """What the process that posts is told on stdin."""

    url: str
    body: str
    core: int


class Posted(msgspec.Struct):
    """A line of that process: a body that was answered."""

    status: int
    seconds: float


@click.command("training")
@options.store
@options.name("Model to ask, of kind GRU.")
@click.option("--data", type=PATH, help="Tickets to train on.  [synthetic ones]")
@click.option(
    "--load", type=click.FloatRange(0, 1, min_open=True), default=0.3, show_default=True, help="Of saturation."
)
@options.seconds(10.0, "Of a loop.")
@options.warmup("Seconds before each loop.")
@options.rounds
@click.option("--calls", type=click.IntRange(1), default=5000, show_default=True, help="To measure saturation, thrice.")
@options.connections(16, 500, "Of each loop.")
@options.tokens
@click.option(
    "--body-mb", type=click.FloatRange(0.01, 250), default=100.0, show_default=True, help="Of what is posted."
)
@options.seed
@options.save
@shows_errors
def training_command(save: bool, **given: Any) -> None:
    """Measure how much longer a search takes beside a training, and beside the posting of its body."""
    server_core, trainer_core, generator_core = three_cores()
    here = machine.read_machine()
    settings = options.read(
        Settings, given, server_core=server_core, trainer_core=trainer_core, generator_core=generator_core
    )
    with (
        store_or_trained(settings.store, settings.name) as store,
        tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder,
    ):
        numbers = measure(settings, store, make_work(settings, Path(folder) / "body.json"))
    found = machine.result("training", here, settings, numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


@click.command("poster", hidden=True)
def poster_command() -> None:
    """Read a PosterTask on stdin, say so on stdout, then post the body again and again; a line for each answer."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=PosterTask)
    # It shares a core with the generator, which must not wait for it; and it must not outlive the benchmark.
    behave_as_child(os.getppid(), Limits(cores=(task.core,)))
    address = Address.of(task.url)
    whole = post(address, "/train_model", Path(task.body).read_bytes(), "Prefer: respond-async")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        with Connection(address, POST_S) as connection:
            start = time.perf_counter()
            status, _ = connection.call(whole)
            line = msgspec.json.encode(Posted(status, time.perf_counter() - start))
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def three_cores() -> tuple[int, int, int]:
    """Return the cores of the server, the trainer and the generator; where there are two, the last is the second again.

    Raises:
        click.ClickException: there are fewer than two.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        raise click.ClickException("this needs Linux and two cores: one for the server, one for who asks it")
    return cores[0], cores[1], cores[min(2, len(cores) - 1)]


def make_work(settings: Settings, path: Path) -> Work:
    """Return what the server is asked; the long body is written to `path`."""
    pairs: Iterable[tuple[str | None, list[str]]]
    if settings.data is not None:
        rows = read_test(Path(settings.data))
        pairs = zip((ticket.category for ticket in rows.tickets), rows.tokens, strict=True)
    else:
        pairs = generate(NUM_SYNTHETIC, settings.seed)
    lines = [msgspec.json.encode({"category": category, "tokens": tokens}) for category, tokens in pairs]
    tickets = make_tickets(None, settings.tokens, settings.seed).fixed
    searches = [search_body(settings.name, ticket) for ticket in tickets]
    write_body(path, lines, int(settings.body_mb * 1e6))
    return Work(searches, train_body(TRAINED, lines, msgspec.json.encode(ENDLESS)), path)


def train_body(name: str, lines: Sequence[bytes], config: bytes) -> bytes:
    """Return the body of a training on rows that are JSON already."""
    head = msgspec.json.encode({"name": name, "neural_network_type": KIND})
    return head[:-1] + b',"config":' + config + b',"training_data":[' + b",".join(lines) + b"]}"


def write_body(path: Path, lines: Sequence[bytes], num_bytes: int) -> None:
    """Write a body of a training of at least so many bytes, for a model that is not there, of the same rows over."""
    block = b",".join(lines)
    path.write_bytes(train_body(NOBODY, [block] * (num_bytes // (len(block) + 1) + 1), b"null"))


def measure(settings: Settings, store: Path, work: Work) -> Numbers:
    """Return the numbers of both places; the rounds of one take turns with those of the other."""
    saturation = {place: measure_saturation(settings, place, store, work) for place in PLACES}
    rate = {place: round(settings.load * saturation[place], 1) for place in PLACES}
    measured: dict[tuple[Place, Beside], list[Phase]] = {(place, beside): [] for place in PLACES for beside in BESIDE}
    for number in range(settings.rounds):
        for place in PLACES:
            for beside, phase in measure_round(settings, place, store, work, number, rate[place]).items():
                measured[place, beside].append(phase)
    return summarise(saturation, rate, measured)


@contextmanager
def server_in(settings: Settings, place: Place, store: Path) -> Iterator[tuple[Server, Address]]:
    """Give a server with one worker and a trainer that lie in a place, ready."""
    cores = {settings.server_core} | ({settings.trainer_core} if place == "own core" else set())
    with running_server(store, cores, trainer="local") as server:
        # Where it has two cores the trainer has taken the second by itself; the worker may be on either.
        for pid in server.workers:
            pin_process(pid, settings.server_core)
        yield server, Address.of(server.url)


def measure_saturation(settings: Settings, place: Place, store: Path, work: Work) -> float:
    """Return how many requests a second the server gets through, when each connection asks again at once."""
    with server_in(settings, place, store) as (_, address), pinned(settings.generator_core), quiet():
        searches = [post(address, "/search", body) for body in work.searches]
        first_answers(address, searches, OneAnswer)
        found = []
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for _ in range(4):  # the first is the warm-up
                # All are due at once, so each waits for a connection and is sent when an answer has come on it.
                calls = runner.run(
                    open_loop(address, searches, np.zeros(settings.calls), settings.connections, timeout_s=POST_S)
                )
                if calls.num_errors or calls.num_refused:
                    raise click.ClickException("the server did not answer every search; there is no saturation")
                found.append(settings.calls / float(calls.answered_s.max() - calls.intended_s[0]))
    return round(statistics.median(found[1:]), 1)


def measure_round(
    settings: Settings, place: Place, store: Path, work: Work, number: int, rate: float
) -> dict[Beside, Phase]:
    """Return what one round measures in one place, beside each thing in turn."""
    found: dict[Beside, Phase] = {}
    with server_in(settings, place, store) as (server, address):
        searches = [post(address, "/search", body) for body in work.searches]
        first_answers(address, searches, OneAnswer)

        repeated = 0

        def searched(beside: Beside) -> Calls:
            nonlocal repeated
            repeated = 0
            while True:
                calls = looped(beside)
                if calls.lateness_p99_ms <= MAX_LATENESS_MS or repeated == MAX_REPEATED:
                    return calls
                repeated += 1

        def looped(beside: Beside) -> Calls:
            with quiet(), asyncio.Runner(loop_factory=new_sleeping_loop) as runner:
                for seconds, is_it in ((settings.warmup, 0), (settings.seconds, 1)):
                    seed = [settings.seed, PLACES.index(place), number, BESIDE.index(beside), is_it]
                    arrivals_N = schedule(rate, seconds, seed)
                    calls = runner.run(
                        open_loop(address, searches, arrivals_N, settings.connections, spin_s=SHORT_SPIN_S)
                    )
            return calls

        for beside in in_turn(BESIDE, number):
            with pinned(settings.generator_core):
                if beside == "nothing":
                    found[beside] = Phase(searched(beside))
                elif beside == "training":
                    found[beside] = beside_training(server, address, work, lambda: searched("training"))
                else:
                    found[beside] = beside_posts(settings, server, work, lambda: searched("body"))
            found[beside] = found[beside]._replace(num_repeated=repeated)
    return found


def beside_training(server: Server, address: Address, work: Work, searched: Callable[[], Calls]) -> Phase:
    """Return what a round measures while the server trains.

    Raises:
        click.ClickException: no training can be had.
    """
    record = msgspec.json.encode({"name": TRAINED, "neural_network_type": KIND})
    ask(address, post(address, "/create_model", record), 200, 400)  # 400: an earlier round has made it
    accepted = ask(address, post(address, "/train_model", work.training, "Prefer: respond-async"), 202)
    path = f"/jobs/{msgspec.json.decode(accepted)['job']}"

    def look() -> JobState:
        return msgspec.json.decode(ask(address, request(address, "GET", path), 200), type=JobState)

    def wait(found: Callable[[JobState], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not found(state := look()):
            if state.state not in ("queued", "running") or time.monotonic() > deadline:
                raise click.ClickException(f"the training did not {what} in {timeout_s:.0f} s; it is {state.state}")
            time.sleep(LOOK_S)

    try:
        wait(lambda job: job.progress is not None, BEGIN_S, "end its first epoch")
        (trainer,) = descendants(server.pid, "trainer", "run")
        before, start = look(), time.perf_counter()
        used = cpu_seconds(trainer)
        calls = searched()
        share = (cpu_seconds(trainer) - used) / (time.perf_counter() - start)
        after = look()
    finally:
        ask(address, post(address, f"{path}/cancel", b""), 200)
    wait(lambda job: job.state == "cancelled", END_S, "end when it was cancelled")
    faults = [
        f"the training was {job.state} {when} a round"
        for job, when in ((before, "before"), (after, "after"))
        if job.state != "running"
    ]
    if share <= 0:
        faults.append("the training got no processor time in a round")
    return Phase(calls, trainer_share=share, faults=tuple(faults))


def beside_posts(settings: Settings, server: Server, work: Work, searched: Callable[[], Calls]) -> Phase:
    """Return what a round measures while bodies are posted without a pause."""
    task = PosterTask(server.url, str(work.body), settings.generator_core)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "poster"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=machine.ROOT
    ) as poster:
        assert poster.stdin is not None, "asked for above"
        assert poster.stdout is not None, "and this"
        try:
            poster.stdin.write(msgspec.json.encode(task))
            poster.stdin.close()
            is_ready = poster.stdout.readline() == b"ready\n"
            calls = searched()
            runs_still = poster.poll() is None
        finally:
            poster.kill()  # in the middle of a body, as a client that leaves
        # The last line may be half a one.
        lines = poster.stdout.read().rpartition(b"\n")[0].splitlines()
    posted = [msgspec.json.decode(line, type=Posted) for line in lines]
    faults = [f"a body was answered with {one.status}, expected 404" for one in posted if one.status != 404]
    if not is_ready or not runs_still:
        faults.append("the process that posts did not last for a round")
    if not posted:
        faults.append("no body was posted to its end in a round")
    return Phase(calls, post_s=tuple(one.seconds for one in posted), faults=tuple(faults))


def ask(address: Address, whole: bytes, *expected: int) -> bytes:
    """Return the body of the answer to one request.

    Raises:
        click.ClickException: its status is another.
    """
    with Connection(address) as connection:
        status, body = connection.call(whole)
    if status not in expected:
        raise click.ClickException(f"the server answers {status}: {body.decode('utf-8', 'replace'):.500}")
    return body
