"""The main path of a training: checked rows in, a published version out.

    rows -> split -> vocabulary -> ids -> network -> training -> temperature -> graph -> again on all rows -> version

Called by `puppet-train fit` with a file, and by `run_job` with a body that the server spooled.
"""

import ctypes
import os
import platform
import signal
import time
from importlib.metadata import version as installed
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from artifacts.errors import ArtifactRefused, InvalidInput, NoTrainingData, PuppetError
from artifacts.jobs import BODY, JobResult, write_result
from artifacts.kinds import check_kind, kind_named
from artifacts.manifest import Epoch, Manifest, Report, Summary
from artifacts.runtime import TENSORS, Model, encoding
from artifacts.store import Store, now
from artifacts.validation import MAX_FAULTS_SHOWN, decode
from artifacts.vocabulary import Vocabulary, build_rows
from trainer.config import TrainConfig
from trainer.data import RawRow, Rows, check_categories, check_rows, fingerprint, split

# torch takes seconds and 200 MB to import. What can be refused is refused before: the modules that need torch
# (model, train, calibrate, export) are imported inside `fit`, after the rows have been checked.


class Progress(Protocol):
    """Who wants to follow a training."""

    def start(self, num_train: int, num_validation: int, config: TrainConfig) -> None:
        """Take what there is to do, before PyTorch is loaded."""

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Take how far the epoch is, in tickets, and its mean loss so far."""

    def epoch(self, epoch: Epoch) -> None:
        """Take what an epoch came to."""


class Silent:
    """Nobody follows."""

    def start(self, num_train: int, num_validation: int, config: TrainConfig) -> None:
        """Ignore it."""

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Ignore it."""

    def epoch(self, epoch: Epoch) -> None:
        """Ignore it."""


def fit(
    store: Store,
    name: str,
    kind: str,
    rows: Rows,
    config: TrainConfig,
    progress: Progress | None = None,
    job: str | None = None,
) -> tuple[Manifest, Report]:
    """Train a model on checked rows, publish it as the next version, and return its manifest and report.

    Args:
        store: where the model `name` exists.
        name: of the model.
        kind: its neural_network_type.
        rows: from `check_rows`.
        config: everything that can be set.
        progress: told of every step and epoch.
        job: the job's id, for the manifest.

    Raises:
        ModelNotFound, KindMismatch, InvalidInput (one category only, no such device, the loss diverges),
        ArtifactRefused (the export is not equal to the network), StoreRefused (the disk).
    """
    progress = progress or Silent()
    check_kind(kind, name, store.read_model(name).neural_network_type)
    check_categories(rows)
    start = time.perf_counter()

    # rows -> split -> vocabulary -> ids. Only training tickets may say which words are known: the validation tickets
    # stand for tickets of tomorrow.
    train_rows, validation_rows = split(rows, config.validation, config.seed)
    labels = sorted(rows.categories)
    label_of = {category: label for label, category in enumerate(labels)}
    words = build_rows((rows.tokens[i] for i in train_rows), config.min_count, config.max_vocabulary)
    vocabulary = Vocabulary(words, config.ngram_buckets)
    encoded = [vocabulary.encode(tokens) for tokens in rows.tokens]
    targets = [label_of[ticket.expected] for ticket in rows.tickets]
    progress.start(len(train_rows), len(validation_rows), config)

    # ids -> network -> training -> temperature -> graph.
    import torch

    from trainer import calibrate, export, train
    from trainer.model import TicketClassifier

    device = torch.device(config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("device is cuda, but this machine has none that PyTorch can use; set device to auto or cpu")
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(config.seed)
    model = TicketClassifier(list(words), len(labels), config).to(device)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    validation = [encoded[i] for i in validation_rows]
    validation_targets = [targets[i] for i in validation_rows]
    curve, best_epoch = train.train(
        model,
        [encoded[i] for i in train_rows],
        [targets[i] for i in train_rows],
        validation,
        validation_targets,
        config,
        progress.step,
        progress.epoch,
    )
    logits_NC = train.logits(model, validation, len(words), device)
    calibration = calibrate.fit_temperature(logits_NC, torch.tensor(validation_targets, dtype=torch.int64))
    graph, parity = export.export(model, vocabulary, calibration.temperature)

    # The validation tickets are measured on the graph, as the server runs it, so that what is measured is what serves.
    manifest = Manifest(
        neural_network_type=kind_named(kind).name,
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,
        tensors=TENSORS,
        files={},
        encoding=encoding(len(words), config.ngram_buckets),
        training=msgspec.structs.asdict(config),
        libraries={"python": platform.python_version()}
        | {library: installed(library) for library in ("numpy", "onnx", "onnxruntime", "torch")},
        seconds=0.0,
        data=fingerprint(rows, len(validation_rows)),
        validation=Summary(None, None, 0),
        calibration=calibration,
        parity=parity,
    )

    def files_with(graph: bytes) -> dict[str, bytes]:
        return {
            "model.onnx": graph,
            "vocab.json": msgspec.json.encode(words),
            "labels.json": msgspec.json.encode(labels),
            "golden.json": msgspec.json.encode(export.golden_rows(graph, vocabulary, config.seed)),
        }

    metrics = matrix = None
    files = files_with(graph)
    loaded = Model(manifest, files)
    if validation:
        metrics = loaded.measure([rows.tickets[i] for i in validation_rows], validation)
        predicted = loaded.probabilities(validation).argmax(axis=1)
        counts_CC = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(counts_CC, (validation_targets, predicted), 1)
        matrix = counts_CC.tolist()
        manifest = msgspec.structs.replace(
            manifest, validation=Summary(metrics.accuracy, metrics.macro_f1, metrics.total_tests)
        )

    # The split has said how long to train and how sure to be. Now the tickets that it kept out may teach as well: the
    # same network once more, from the same seed, on every ticket, for as many epochs as the best one took.
    if validation and config.refit:
        again = msgspec.structs.replace(config, epochs=best_epoch)
        progress.start(len(rows.tickets), 0, again)
        torch.manual_seed(config.seed)
        model = TicketClassifier(list(words), len(labels), config).to(device)
        train.train(model, encoded, targets, [], [], again, progress.step)
        graph, parity = export.export(model, vocabulary, calibration.temperature)
        manifest = msgspec.structs.replace(manifest, parity=parity)
        files = files_with(graph)
        Model(manifest, files)  # loads as the server will load it, or is refused here

    seconds = time.perf_counter() - start
    report = Report(curve, best_epoch, num_parameters, seconds, metrics, matrix)
    files["report.json"] = msgspec.json.encode(report)
    return store.publish(msgspec.structs.replace(manifest, seconds=seconds), files), report


class TrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /train_model; its tickets stay bytes until they are checked one by one."""

    name: str
    neural_network_type: str
    training_data: list[msgspec.Raw] | None = None
    config: TrainConfig | None = None


def run_job(job: Path) -> JobResult:
    """Train what the job's body asks for, leave the result in its folder, and return it.

    A wrong request is a result. Only what is ours to mend is raised, once its result has been left.
    """
    try:
        result = _train_body(job)
    except ArtifactRefused as error:  # our export or our store, not the request
        result = JobResult("failed", str(error))
    except PuppetError as error:
        faults, num_faults = (error.faults, error.num_faults) if isinstance(error, InvalidInput) else ((), 0)
        result = JobResult("refused", str(error), type(error).__name__, list(faults[:MAX_FAULTS_SHOWN]), num_faults)
    except Exception as error:
        # The last door before the process ends: the one who waits is told the reason, the traceback goes to the log.
        result = JobResult("failed", f"{type(error).__name__}: {error}"[:1000])
        write_result(job, result)
        raise
    write_result(job, result)
    return result


def _train_body(job: Path) -> JobResult:
    store = Store(job.parent.parent)
    body = decode((job / BODY).read_bytes(), TrainBody)
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    if not body.training_data:
        raise NoTrainingData("No training data provided or training data is empty")
    raw_rows = (RawRow(raw, f"/training_data/{index}") for index, raw in enumerate(body.training_data))
    rows = check_rows(raw_rows, "training_data", kind_named(body.neural_network_type).row)
    manifest, _ = fit(store, body.name, body.neural_network_type, rows, body.config or TrainConfig(), job=job.name)
    return JobResult(
        "trained",
        model_name=manifest.name,
        version=manifest.version,
        validation=manifest.validation,
        seconds=manifest.seconds,
    )


def behave_as_child(parent: int) -> None:
    """Yield the processor to whoever serves, and end when the process `parent` ends (Linux; elsewhere only the first).

    A training whose server is gone has nobody to answer to.
    """
    os.nice(19)
    if platform.system() == "Linux":
        pr_set_pdeathsig = 1  # <linux/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            raise SystemExit("the process that asked for this training has ended")
