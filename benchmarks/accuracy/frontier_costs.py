"""What a ticket costs each shape of the network, and the least that its arithmetic could cost.

The cost is that of onnxruntime alone, 8 tickets of 30 tokens at a time and 1, in processor time of one thread. All
shapes are timed in one process, turn by turn, so that a machine that slows down slows all of them alike. What a run
costs depends on the sizes and not on what was learnt, so for this each network is trained for one epoch only.

The floor of the cost is the arithmetic of the GRUs at the speed that this core reaches on a large product of matrices.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from artifacts.networks.gru import GruModel, pad
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from benchmarks.accuracy.learners import BATCH_TICKETS, BATCH_TOKENS, median_us
from benchmarks.accuracy.sets import KIND, read_train
from benchmarks.common.arithmetic import graph_flops, peak_flops
from benchmarks.common.rounds import Spread, interleaved, spread
from benchmarks.load.searches import make_tickets
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config
from trainer.run import fit


class CostTask(msgspec.Struct, frozen=True):
    """What the process that measures costs is told on stdin: shapes by their settings, on one set."""

    train: Path
    held_out: Path
    settings: list[tuple[str, ...]]
    rounds: int
    seed: int


class Cost(msgspec.Struct, frozen=True):
    """What a ticket costs a shape, in microseconds of the processor, onnxruntime alone.

    Attributes:
        batch_us: a ticket in a batch of 8 of 30 tokens; median, lowest and highest over the rounds.
        single_us: a ticket of 30 tokens by itself.
        floor_us: a ticket's arithmetic at the peak of the core.
        model_bytes: of model.onnx.
    """

    batch_us: Spread
    single_us: Spread
    floor_us: float
    model_bytes: int


class Costs(msgspec.Struct, frozen=True):
    """The costs of each shape on one set, in the order of the task, and the core's peak."""

    peak_gflops: float
    costs: list[Cost]


@click.command("shape-costs", hidden=True)
@shows_errors
def shape_costs_command() -> None:
    """Train and time what stdin says, and print the costs as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=CostTask, dec_hook=lambda _, path: Path(path))
    click.echo(msgspec.json.encode(time_shapes(task)).decode())


def time_shapes(task: CostTask) -> Costs:
    """Return what each shape costs; every number is of this process, so nothing else may run in it."""
    rows = read_train(task.train)
    tickets = make_tickets(task.held_out, BATCH_TOKENS, task.seed).fixed  # with words that the network does not know
    timed: list[Callable[[], tuple[float, float]]] = []
    graphs = []
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = Store(Path(folder) / "store")
        for number, words in enumerate(task.settings):
            name = f"shape-{number}"
            store.create_model(name, KIND)
            manifest, _ = fit(store, name, rows, read_config(TrainConfig, None, (*words, f"seed={task.seed}")))
            manifest, files = store.read_version(name, manifest.version)
            assert isinstance(manifest, GruManifest), "a manifest of another kind; this is our bug"
            graphs.append(files["model.onnx"])
            timed.append(timer(GruModel(manifest, files), files["model.onnx"], tickets))
    peak = peak_flops()
    costs = []
    for graph, taken in zip(graphs, interleaved(timed, task.rounds), strict=True):
        batches, singles = zip(*taken, strict=True)
        floor_us = graph_flops(graph).of(1, BATCH_TOKENS) / peak * 1e6
        costs.append(Cost(spread(batches, 1), spread(singles, 1), round(floor_us, 2), len(graph)))
    return Costs(round(peak / 1e9, 1), costs)


def timer(model: GruModel, graph: bytes, tickets: Sequence[list[str]]) -> Callable[[], tuple[float, float]]:
    """Return what times a network: microseconds of a ticket among 8 and of one alone, medians over the tickets."""
    session = open_session(graph)
    encoded = [model.encode(ticket) for ticket in tickets]

    def feeds(size: int) -> list[dict[str, object]]:
        batches = [encoded[start : start + size] for start in range(0, len(encoded), size)]
        names = ("ids", "lengths", "grams")
        return [dict(zip(names, pad(batch, len(model.vocabulary)), strict=True)) for batch in batches]

    eights, ones = feeds(BATCH_TICKETS), feeds(1)

    def run(feed: dict[str, object]) -> object:
        return session.run(None, feed)

    return lambda: (median_us(run, eights) / BATCH_TICKETS, median_us(run, ones))
