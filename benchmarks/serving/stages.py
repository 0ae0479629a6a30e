"""How far a search is above what its arithmetic allows, per shape of the batch and stage of the way.

The ceiling first, counted and not measured: the floating point operations of the network (arithmetic.py) over the most
that this core does, and the bytes that a run must read (all weights of its GRUs and its head once, a row of each table
for each token) over the most that this core reads from its cache. The greater of both is the floor of a run. Then the
stages that a batch goes through, each measured alone on the server's core: words to ids, ids to one padded matrix, the
session's run, the whole answer in process, and a call of the server over one connection, with what is left for HTTP
and JSON between the last two. Exponentials, look-ups and sums of the linear part are not counted, so a run cannot
reach 1.
"""

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from artifacts.networks.gru import GruModel, pad
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from benchmarks.common import machine, report
from benchmarks.common.arithmetic import graph_flops, peak_flops
from benchmarks.common.bars import plot_bars
from benchmarks.common.rounds import Spread, spread
from benchmarks.load.client import Address, closed_loop, post, quiet
from benchmarks.load.contenders import PUPPET, Model, running
from benchmarks.load.server import pinned
from benchmarks.load.workload import Common, Workload, common_options, prepared, read_common, shown, source_of, why_void
from benchmarks.serving.batch import batch_body
from trainer.cli.terminal import shows_errors

SHAPES = ((1, 8), (1, 30), (1, 100), (8, 30), (32, 30))  # tickets, tokens of each
IDS, PADDED, RUN, ANSWER, HTTP = "words to ids", "one matrix", "the session's run", "all in process", "over HTTP"
STAGES = (IDS, PADDED, RUN, ANSWER, HTTP)
READ_BYTES, READ_TIMES = 2**18, 200  # about what a run reads, so it stays in the second cache, as between two runs
MIN_CALLS = 20


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    common: Common


class Peak(msgspec.Struct, frozen=True):
    """The most that this core does: operations a second, and bytes that it reads a second from its cache."""

    flops: float
    bytes: float


class Floor(msgspec.Struct, frozen=True):
    """What a run of a shape needs at least.

    Attributes:
        flops: operations.
        bytes: to read.
        flops_us, bytes_us: over the peak.
        us: the greater of both.
    """

    flops: int
    bytes: int
    flops_us: float
    bytes_us: float
    us: float


class Shape(msgspec.Struct, frozen=True):
    """What was measured at a shape: stage -> microseconds a batch, and the run's over the floor."""

    num_tickets: int
    num_tokens: int
    floor: Floor
    stages: dict[str, Spread]
    run_over_floor: float
    http_over_floor: float


class Numbers(msgspec.Struct, frozen=True):
    """What was measured; `peak` is the best of the rounds."""

    peak: Peak
    shapes: list[Shape]
    void_because: list[str]


class Task(msgspec.Struct, frozen=True):
    """What the process of a round is told on stdin."""

    model: Model
    batches: list[list[list[str]]]
    seconds: float
    core: int | None


class Timed(msgspec.Struct, frozen=True):
    """What it says: the peak, and for each batch stage -> microseconds."""

    peak: Peak
    stages: list[dict[str, float]]


@click.command("stages")
@common_options(seconds=0.5)
@shows_errors
def stages_command(save: bool, **given: Any) -> None:
    """Measure how far a search is above what its arithmetic allows, stage by stage."""
    here = machine.read_machine()
    settings = Settings(read_common(given))
    with prepared(settings.common, [PUPPET]) as work:
        numbers = measure(settings, work)
    found = machine.result("stages", here, shown(settings), numbers)
    picture = report.Picture("Above the floor", "floor", lambda path: plot_bars(path, panels(numbers)))
    report.conclude(found, [make_sheet(settings, numbers)], [picture], numbers.void_because, save)


@click.command("stages-process", hidden=True)
def process_command() -> None:
    """Read a Task on stdin, measure the peak and the stages in process, and print a Timed as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    with pinned(task.core):
        timed = Timed(Peak(peak_flops(), peak_bytes()), time_stages(task))
    sys.stdout.write(msgspec.json.encode(timed).decode() + "\n")


def peak_bytes(size: int = READ_BYTES, rounds: int = 10) -> float:
    """Return how many bytes a second this core reads from its cache at most, in the best of the rounds.

    An array's product with itself reads it once and is a library's fastest loop; of the processor's time, as
    `peak_flops`.
    """
    array = np.ones(size // 4, dtype=np.float32)
    taken = []
    for _ in range(rounds + 1):  # the first is the warm-up
        start = time.process_time()
        for _ in range(READ_TIMES):
            array.dot(array)
        taken.append(time.process_time() - start)
    return READ_TIMES * array.nbytes / min(taken[1:])


def run_bytes(raw: bytes, num_tickets: int, num_tokens: int) -> int:
    """Return the bytes that a run reads at least: the weights of its products once, a row of each table a token."""
    import onnx

    graph = onnx.load_from_string(raw).graph
    held = {one.name: (math.prod(one.dims) * 4, list(one.dims)) for one in graph.initializer}
    dense = sum(
        held[name][0]
        for node in graph.node
        if node.op_type in ("GRU", "Gemm", "MatMul")
        for name in node.input
        if name in held
    )
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather" and node.input[0] in held}
    rows = sum(4 * held[name][1][-1] for name in tables if len(held[name][1]) == 2)
    return int(dense + rows * num_tickets * num_tokens)


def find_floor(raw: bytes, peak: Peak, num_tickets: int, num_tokens: int) -> Floor:
    """Return what a run of a shape needs at least on this core."""
    flops = graph_flops(raw).of(num_tickets, num_tickets * num_tokens)
    read = run_bytes(raw, num_tickets, num_tokens)
    flops_us, bytes_us = flops / peak.flops * 1e6, read / peak.bytes * 1e6
    return Floor(flops, read, round(flops_us, 3), round(bytes_us, 3), round(max(flops_us, bytes_us), 3))


def time_stages(task: Task) -> list[dict[str, float]]:
    """Return for each batch the median microseconds of each stage in process."""
    store = Store(Path(task.model.store))
    manifest, files = store.read_version(task.model.name, store.current(task.model.name).version)
    assert isinstance(manifest, GruManifest), "a model of another kind; this is our bug"
    model, session = GruModel(manifest, files), open_session(files["model.onnx"])
    num_words = len(model.vocabulary)
    found = []
    for batch in task.batches:
        encoded = [model.encode(ticket) for ticket in batch]
        feed = dict(zip(("ids", "lengths", "grams"), pad(encoded, num_words), strict=True))
        calls: dict[str, Callable[[], object]] = {
            IDS: lambda batch=batch: [model.encode(ticket) for ticket in batch],  # type: ignore[misc]
            PADDED: lambda encoded=encoded: pad(encoded, num_words),  # type: ignore[misc]
            RUN: lambda feed=feed: session.run(None, feed),  # type: ignore[misc]
            ANSWER: lambda batch=batch: model.predict([model.encode(ticket) for ticket in batch]),  # type: ignore[misc]
        }
        found.append({stage: median_us(call, task.seconds) for stage, call in calls.items()})
    return found


def median_us(call: Callable[[], object], seconds: float) -> float:
    """Return the median microseconds of a call, made for some seconds and MIN_CALLS times at least."""
    taken: list[float] = []
    call()
    end = time.perf_counter() + seconds
    with quiet():
        while len(taken) < MIN_CALLS or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def measure(settings: Settings, work: Workload) -> Numbers:
    """Return the numbers of all rounds, each of a process of its own and a server of its own."""
    common = settings.common
    endless = itertools.chain.from_iterable(itertools.cycle(work.tickets))
    batches = [[list(itertools.islice(endless, tokens)) for _ in range(tickets)] for tickets, tokens in SHAPES]
    task = Task(work.stage.models["puppet"], batches, common.seconds, common.server_core)
    rounds: list[Timed] = []
    for number in range(common.rounds):
        click.echo(f"round {number + 1} of {common.rounds}", err=True)
        timed = msgspec.json.decode(machine.run_child(["stages-process"], msgspec.json.encode(task)), type=Timed)
        with running(PUPPET, work.stage, common.server_core) as server:
            over_http = [time_http(common, Address.of(server.url), batch) for batch in batches]
        pairs = zip(timed.stages, over_http, strict=True)
        rounds.append(Timed(timed.peak, [{**stages, HTTP: us} for stages, us in pairs]))
    store = Store(Path(task.model.store))
    _, files = store.read_version(task.model.name, store.current(task.model.name).version)
    return summarise(settings, rounds, files["model.onnx"])


def time_http(common: Common, address: Address, batch: Sequence[list[str]]) -> float:
    """Return the median microseconds of a call of the server with a batch, over one connection."""
    requests = [post(address, "/search", batch_body(common.name, list(batch)))]
    with pinned(common.generator_core), quiet():
        closed_loop(address, requests, MIN_CALLS)
        end = time.perf_counter() + common.seconds
        taken: list[float] = []
        while not taken or time.perf_counter() < end:
            taken += closed_loop(address, requests, MIN_CALLS).latency_s.tolist()
    return statistics.median(taken) * 1e6


def summarise(settings: Settings, rounds: Sequence[Timed], raw: bytes) -> Numbers:
    """Return the numbers over all rounds; the peak is the best that any round reached."""
    peak = Peak(max(one.peak.flops for one in rounds), max(one.peak.bytes for one in rounds))
    shapes = []
    for place, (num_tickets, num_tokens) in enumerate(SHAPES):
        floor = find_floor(raw, peak, num_tickets, num_tokens)
        stages = {stage: spread([one.stages[place][stage] for one in rounds]) for stage in STAGES}
        shapes.append(
            Shape(
                num_tickets=num_tickets,
                num_tokens=num_tokens,
                floor=floor,
                stages=stages,
                run_over_floor=round(stages[RUN].median / floor.us, 1),
                http_over_floor=round(stages[HTTP].median / floor.us, 1),
            )
        )
    return Numbers(peak, shapes, why_void(settings.common))


def panels(numbers: Numbers) -> list[tuple[str, list[tuple[str, Spread]]]]:
    """Return the bars of the picture: a panel for each shape."""
    return [
        (
            f"{shape.num_tickets} x {shape.num_tokens} tokens, microseconds",
            [("the floor", Spread(*[shape.floor.us] * 3)), *shape.stages.items()],
        )
        for shape in numbers.shapes
    ]


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people: the floor first."""
    rows = [
        [
            f"{shape.num_tickets} x {shape.num_tokens}",
            f"{shape.floor.flops / 1e6:.2f}",
            f"{shape.floor.bytes / 1e3:.0f}",
            f"{shape.floor.flops_us:.2f}",
            f"{shape.floor.bytes_us:.2f}",
            *(f"{shape.stages[stage].median:.1f}" for stage in STAGES),
            f"{shape.run_over_floor:.1f}",
            f"{shape.http_over_floor:.1f}",
        ]
        for shape in numbers.shapes
    ]
    common = settings.common
    notes = [
        f"Microseconds a batch, medians over {common.rounds} rounds. This core does {numbers.peak.flops / 1e9:.0f} "
        f"GFLOP/s and reads {numbers.peak.bytes / 1e9:.0f} GB/s from its cache at most; the floor of a run is the "
        f"greater of what its operations and its bytes take then. Tokens from {source_of(common)}.",
    ]
    columns = ["tickets x tokens", "MFLOP", "kB", "flops us", "bytes us", *STAGES, "run x", "HTTP x"]
    return report.Sheet("How far a search is above what its arithmetic allows", columns, rows, notes)
