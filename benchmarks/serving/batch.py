"""What one ticket costs in a batch of 1, 8, 32 and 256: over HTTP, in process, and next to its peers in process.

The ceiling first: the model's run of encoded tickets, without words, JSON and HTTP. Then our classifier in process
(words in, categories out), our server over one connection (`vectors`), and fastText, LinearSVC and MiniLM in process,
which learnt the same training file. Each is a process of its own on the server's core with one thread; in every round
they take turns. Medians of the wall's time for each batch, divided by its tickets. A peer in process has no server;
what one would cost it stands in `benchmarks throughput`.
"""

import contextlib
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from artifacts.text.tickets import TicketSearch
from benchmarks.accuracy.learners import PEERS
from benchmarks.accuracy.sets import KIND, read_train
from benchmarks.common import machine, options, report
from benchmarks.common.bars import plot_lines
from benchmarks.common.rounds import Spread, in_turn, spread
from benchmarks.load.client import Address, closed_loop, post, quiet
from benchmarks.load.contenders import PUPPET, Model, running
from benchmarks.load.server import pinned
from benchmarks.load.workload import (
    TRAIN,
    Common,
    Workload,
    common_options,
    prepared,
    read_common,
    shown,
    source_of,
    why_void,
)
from benchmarks.peers.peer import plain
from trainer.cli.terminal import shows_errors
from trainer.samples.synthetic import generate

SIZES = (1, 8, 32, 256)
FLOOR, IN_PROCESS, HTTP = "floor", "puppet", "http"
TITLES = {
    FLOOR: "the model's run alone",
    IN_PROCESS: "Puppet in process",
    HTTP: "Puppet over HTTP",
    "svc": "LinearSVC in process",
    "fasttext": "fastText in process",
    "minilm-int8": "MiniLM int8 in process",
}
MIN_BATCHES = 3  # of a size in a round, however long they take


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common
    sizes: list[int]
    learners: list[str]


class Cost(msgspec.Struct, frozen=True):
    """What a ticket costs in a batch of one size, over the rounds; `over_floor` is the median over the floor's."""

    ticket_us: Spread
    over_floor: float | None


class Numbers(msgspec.Struct, frozen=True):
    """What was measured: learner -> size of the batch -> cost; why some were not; why this is no result."""

    costs: dict[str, dict[str, Cost]]
    not_measured: dict[str, str]
    void_because: list[str]


class Task(msgspec.Struct, frozen=True):
    """What a learner's process is told on the first line of its stdin."""

    learner: str
    model: Model
    train: str
    tickets: list[list[str]]
    sizes: list[int]
    seconds: float
    core: int | None
    seed: int


@click.command("batch")
@common_options(seconds=1.0)
@click.option("--size", "sizes", multiple=True, type=click.IntRange(1, 256), default=SIZES, show_default=True)
@click.option(
    "--learner", "learners", multiple=True, type=click.Choice(list(TITLES)), help="To measure; several.  [all]"
)
@shows_errors
def batch_command(sizes: tuple[int, ...], learners: tuple[str, ...], save: bool, **given: Any) -> None:
    """Measure what one ticket costs in batches of several sizes."""
    here = machine.read_machine()
    wanted = [one for one in TITLES if one in (learners or TITLES)]
    settings = Settings(read_common(given), list(sizes), wanted)
    with prepared(settings.common, [PUPPET]) as work, training_file(settings.common) as train:
        numbers = measure(settings, work, train)
    found = machine.result("batch", here, shown(settings), numbers)
    picture = report.Picture(
        "Microseconds a ticket", "cost", lambda path: plot_lines(path, [lines(numbers)], is_log=(True, True))
    )
    report.conclude(found, [make_sheet(settings, numbers)], [picture], numbers.void_because, save)


@click.command("batch-learner", hidden=True)
def learner_command() -> None:
    """Read a Task, learn, say so, and measure one round for each further line; answers are lines of JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    with pinned(task.core):
        answer = learn(task)
        print_line(True)
        for _ in sys.stdin.buffer:
            print_line(measure_sizes(answer, task.tickets, task.sizes, task.seconds))


def print_line(value: object) -> None:
    """Print a line of JSON at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def training_file(common: Common) -> Iterator[Path]:
    """Give the file that the peers learn: that of the set, or the synthetic tickets."""
    if common.data:
        yield Path(common.data) / TRAIN
        return
    with tempfile.TemporaryDirectory(prefix="puppet-batch-") as folder:
        path = Path(folder) / TRAIN
        rows = (
            msgspec.json.encode({"category": name, "tokens": tokens}) for name, tokens in generate(3000, common.seed)
        )
        path.write_bytes(b"\n".join(rows))
        yield path


def learn(task: Task) -> Callable[[Sequence[list[str]]], object]:
    """Return what answers a batch of tickets.

    Raises:
        InvalidInput: the training file does not fit.
    """
    if task.learner in (FLOOR, IN_PROCESS):
        store = Store(Path(task.model.store))
        manifest, files = store.read_version(task.model.name, store.current(task.model.name).version)
        assert isinstance(manifest, GruManifest), "a model of another kind; this is our bug"
        model = GruModel(manifest, files)
        if task.learner == IN_PROCESS:
            return lambda batch: model.predict([model.encode(ticket) for ticket in batch])
        encoded = {id(ticket): model.encode(ticket) for ticket in task.tickets}
        return lambda batch: model.probabilities([encoded[id(ticket)] for ticket in batch])
    fitted = PEERS[task.learner].fit(read_train(Path(task.train)), task.seed)
    return lambda batch: fitted.answer([plain(ticket) for ticket in batch])


def measure_sizes(
    answer: Callable[[Sequence[list[str]]], object], tickets: Sequence[list[str]], sizes: Sequence[int], seconds: float
) -> dict[str, float]:
    """Return the median microseconds a ticket for each size of batch.

    Args:
        answer: to a batch.
        tickets: of which each batch takes the next ones, from the first again after the last.
        sizes: of the batches.
        seconds: for each size; the first batch is the warm-up.
    """
    found = {}
    for size in sizes:
        batches = [batch_at(tickets, place, size) for place in range(0, max(size, len(tickets)), size)]
        taken: list[float] = []
        answer(batches[-1])
        end = time.perf_counter() + seconds
        with quiet():
            while len(taken) < MIN_BATCHES or time.perf_counter() < end:
                batch = batches[len(taken) % len(batches)]
                start = time.perf_counter()
                answer(batch)
                taken.append(time.perf_counter() - start)
        found[str(size)] = statistics.median(taken) / size * 1e6
    return found


def batch_at(tickets: Sequence[list[str]], place: int, size: int) -> list[list[str]]:
    """Return `size` tickets from a place on, from the first again after the last.

    >>> batch_at([["a"], ["b"], ["c"]], 2, 4)
    [['c'], ['a'], ['b'], ['c']]
    """
    return [tickets[(place + number) % len(tickets)] for number in range(size)]


@contextlib.contextmanager
def learner_process(task: Task) -> Iterator[Callable[[], dict[str, float]]]:
    """Give what measures one round in the learner's process, which has learnt.

    Raises:
        click.ClickException: the process has failed; what it had to say is on stderr.
    """
    command = [sys.executable, "-m", "benchmarks", "batch-learner"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=machine.ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(line: bytes) -> bytes:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line + b"\n")
                process.stdin.flush()
            if not (said := process.stdout.readline()):
                raise click.ClickException(f"the process of {task.learner} has ended; see above")
            return said

        ask(msgspec.json.encode(task))
        yield lambda: msgspec.json.decode(ask(b"go"), type=dict[str, float])
        process.stdin.close()  # it ends by itself


def measure(settings: Settings, work: Workload, train: Path) -> Numbers:
    """Return the numbers of all rounds, in which the learners take turns."""
    common = settings.common
    left_out = {
        key: f"{PEERS[key].title} is not installed; {options.how_to_install(PEERS[key].extra)}"
        for key in settings.learners
        if key in PEERS and not PEERS[key].is_installed
    }
    measured: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        ask: dict[str, Callable[[], dict[str, float]]] = {}
        for key in settings.learners:
            if key in left_out:
                continue
            if key == HTTP:
                server = stack.enter_context(running(PUPPET, work.stage, common.server_core))
                ask[key] = functools.partial(measure_http, settings, work, Address.of(server.url))
                continue
            click.echo(f"{TITLES[key]} learns", err=True)
            task = Task(
                learner=key,
                model=work.stage.models["puppet"],
                train=str(train.absolute()),
                tickets=work.tickets,
                sizes=settings.sizes,
                seconds=common.seconds,
                core=common.server_core,
                seed=common.seed,
            )
            ask[key] = stack.enter_context(learner_process(task))
        keys = list(ask)
        for number in range(common.rounds):
            for key in in_turn(keys, number):
                measured.setdefault(key, []).append(ask[key]())
    return summarise(settings, measured, left_out)


def measure_http(settings: Settings, work: Workload, address: Address) -> dict[str, float]:
    """Return the median microseconds a ticket for each size of batch, over one connection."""
    common = settings.common
    found = {}
    for size in settings.sizes:
        places = range(0, max(size, len(work.tickets)), size)
        requests = [
            post(address, "/search", batch_body(common.name, batch_at(work.tickets, place, size))) for place in places
        ]
        taken: list[float] = []
        with pinned(common.generator_core), quiet():
            closed_loop(address, requests, MIN_BATCHES)
            end = time.perf_counter() + common.seconds
            while not taken or time.perf_counter() < end:
                calls = closed_loop(address, requests, max(MIN_BATCHES, len(requests)))
                if calls.num_errors or calls.num_refused:
                    raise click.ClickException(f"the server did not answer every batch of {size}")
                taken += calls.latency_s.tolist()
        found[str(size)] = statistics.median(taken) / size * 1e6
    return found


def batch_body(name: str, batch: list[list[str]]) -> bytes:
    """Return the body of a search for a batch; a batch of one is a single ticket."""
    if len(batch) == 1:
        return msgspec.json.encode(TicketSearch(name=name, neural_network_type=KIND, vector=batch[0]))
    return msgspec.json.encode(TicketSearch(name=name, neural_network_type=KIND, vectors=batch))


def summarise(settings: Settings, measured: dict[str, list[dict[str, float]]], left_out: dict[str, str]) -> Numbers:
    """Return the numbers over all rounds."""
    costs: dict[str, dict[str, Cost]] = {}
    for key in settings.learners:
        for size in map(str, settings.sizes):
            if key not in measured:
                continue
            cost = spread([one[size] for one in measured[key]])
            floor = statistics.median(one[size] for one in measured[FLOOR]) if FLOOR in measured else None
            costs.setdefault(key, {})[size] = Cost(cost, round(cost.median / floor, 2) if floor else None)
    return Numbers(costs, left_out, why_void(settings.common))


def lines(numbers: Numbers) -> tuple[str, str, str, dict[str, list[tuple[float, float]]]]:
    """Return the panel of the picture: a line for each learner."""
    found = {
        TITLES[key]: [(float(size), cost.ticket_us.median) for size, cost in by_size.items()]
        for key, by_size in numbers.costs.items()
    }
    return "What a ticket costs in a batch", "tickets in the batch (log)", "microseconds a ticket (log)", found


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: the floor first."""
    rows = []
    for key in settings.learners:
        cells = []
        for size in map(str, settings.sizes):
            cost = numbers.costs.get(key, {}).get(size)
            cells.append("" if cost is None else f"{cost.ticket_us.median:.1f}")
            cells.append("" if cost is None or cost.over_floor is None else f"{cost.over_floor:.2f}")
        rows.append([TITLES[key] + (" (not measured)" if key in numbers.not_measured else ""), *cells])
    common = settings.common
    notes = [f"Not measured: {why}." for why in numbers.not_measured.values()]
    notes.append(
        f"Microseconds a ticket, medians over {common.rounds} rounds of {common.seconds:g} s for each size; one core. "
        f"Tickets of {common.tokens} tokens from {source_of(common)}. "
        f"x: times the model's run alone."
    )
    columns = ["what"] + [cell for size in settings.sizes for cell in (f"{size} a batch", "x")]
    return report.Sheet("What a ticket costs in a batch", columns, rows, notes)
