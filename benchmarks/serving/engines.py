"""What a ticket costs in process: on each engine, on each level of the kernel, and with the peers beside them.

No HTTP and one thread: ids to category of our engines, from the tokens on for `predict` and for the peers, which are
fitted on the set's training file first. Every number is the least of many calls of one ticket, in rounds that take
turns, so that what else the machine does falls out; the spread is over the rounds.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from artifacts.networks.engines import build, fused
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from benchmarks.accuracy.learners import PEERS
from benchmarks.accuracy.sets import read_train
from benchmarks.common import machine, options, report
from benchmarks.common.rounds import Spread, in_turn, spread, too_few
from benchmarks.load.workload import TRAIN, Criterion, at_most
from benchmarks.peers.peer import plain

LENGTHS = (8, 30, 100)
CALLS = 200  # of which the least counts
ALONE_US = {"x86-64-v4": 30.0, "x86-64-v3": 45.0}  # of 30 tokens, issue 23

Call = Callable[[], object]


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    name: str
    data: str | None
    rounds: int
    seed: int


class Numbers(msgspec.Struct, frozen=True):
    """Microseconds of a ticket: way -> length in tokens -> over the rounds."""

    ticket_us: dict[str, dict[str, Spread]]
    criteria: list[Criterion]
    void_because: list[str]


@click.command("engines")
@click.option("--store", type=options.FOLDER, required=True, help="Folder of models.")
@options.name("Model to ask, of kind GRU.")
@click.option("--data", type=options.FOLDER, help=f"Folder with {TRAIN}, for the peers.  [no peers]")
@options.rounds
@options.seed
@options.save
def engines_command(store: Path, name: str, data: Path | None, rounds: int, seed: int, save: bool) -> None:
    """Time one ticket in process on each engine and level, and with the peers."""
    here = machine.read_machine()
    settings = Settings(name, data.name if data else None, rounds, seed)
    ways = ways_of(Store(store), name, seed) | (peers_of(data, Store(store), name, seed) if data else {})
    numbers = measure(ways, rounds)
    sheet = make_sheet(numbers)
    report.conclude(machine.result("engines", here, settings, numbers), [sheet], [], numbers.void_because, save)


def tickets_of(model: GruModel, seed: int) -> dict[int, list[str]]:
    """Return a ticket of each length, of known words."""
    random = np.random.default_rng(seed)
    return {
        length: [model.vocabulary.words[row] for row in random.integers(2, len(model.vocabulary), length)]
        for length in LENGTHS
    }


def opened(store: Store, name: str) -> tuple[GruManifest, dict[str, bytes]]:
    """Return the version that serves."""
    manifest, files = store.read_version(name, store.current(name).version)
    assert isinstance(manifest, GruManifest), "a model of another kind"
    return manifest, files


def ways_of(store: Store, name: str, seed: int) -> dict[str, dict[int, Call]]:
    """Return what is timed of our own: way -> length -> a call that answers that ticket."""
    manifest, files = opened(store, name)
    models = {"onnxruntime": GruModel(manifest, files)}
    if build.objects():
        models["fused"] = GruModel(manifest, files, "fused")
    tickets = tickets_of(models["onnxruntime"], seed)
    ways: dict[str, dict[int, Call]] = {}
    for engine, model in models.items():
        ways[f"{engine}, tokens to category"] = {
            length: partial(predict, model, words) for length, words in tickets.items()
        }
    encoded = {length: [models["onnxruntime"].encode(words)] for length, words in tickets.items()}
    engines: dict[str, Any] = {"onnxruntime": models["onnxruntime"].engine}
    engines |= {level: fused.Fused(files["model.onnx"], fused.opened(path)) for level, path in build.objects()}
    for engine, one in engines.items():
        ways[f"{engine}, ids to category"] = {length: partial(one.best, ticket) for length, ticket in encoded.items()}
    return ways


def predict(model: GruModel, words: list[str]) -> object:
    """Answer a ticket from its tokens."""
    return model.predict([model.encode(words)])


def peers_of(data: Path, store: Store, name: str, seed: int) -> dict[str, dict[int, Call]]:
    """Return the same of each peer that is installed, fitted here."""
    rows, tickets = read_train(data / TRAIN), tickets_of(GruModel(*opened(store, name)), seed)
    ways: dict[str, dict[int, Call]] = {}
    for peer in PEERS.values():
        if peer.is_installed:
            click.echo(f"fitting {peer.title}", err=True)
            fitted = peer.fit(rows, seed)
            ways[peer.title] = {length: partial(fitted.answer, [plain(words)]) for length, words in tickets.items()}
    return ways


def measure(ways: Mapping[str, Mapping[int, Call]], rounds: int) -> Numbers:
    """Return the numbers of all rounds, in which the ways take turns."""
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for way in in_turn(list(ways), number):
            for length, call in ways[way].items():
                found.setdefault((way, length), []).append(least_us(call))
    ticket_us = {way: {str(length): spread(found[way, length]) for length in LENGTHS} for way in ways}
    criteria: list[Criterion] = []
    for level, limit in ALONE_US.items():
        if by_length := ticket_us.get(f"{level}, ids to category"):
            criteria += at_most(f"30 tokens alone, {level}", by_length["30"].median, limit, " us")
    return Numbers(ticket_us, criteria, too_few(rounds))


def least_us(call: Call) -> float:
    """Return the microseconds of the quickest of many calls."""
    least = float("inf")
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return round(least * 1e6, 2)


def make_sheet(numbers: Numbers) -> report.Sheet:
    """Return the table for people."""
    rows = [
        [way, *(f"{one.median:.1f} ({one.lowest:.1f}-{one.highest:.1f})" for one in by_length.values())]
        for way, by_length in numbers.ticket_us.items()
    ]
    notes = [one.sentence for one in numbers.criteria]
    notes.append(f"The least of {CALLS} calls, median and range over the rounds, one thread, microseconds a ticket.")
    return report.Sheet("A ticket in process, us", ["way", *(f"{length} tokens" for length in LENGTHS)], rows, notes)
