"""The kind GRU on the trainer's side: checked tickets in, a trained network and its files out.

    rows -> split -> vocabulary -> ids -> network -> training -> temperature -> graph -> again on all rows

What it leaves to others: reading (data.py, tickets.py), the network (model.py), the loop (train.py), the temperature
(calibrate.py), the graph (export.py), publishing (run.py). `kinds.Trainer` says what each name here is for.
"""

# Axes: C categories.

import time

import msgspec
import numpy as np
from rich.console import RenderableType
from rich.table import Table

from artifacts.errors import InvalidInput
from artifacts.gru import TENSORS, GruManifest, GruModel, GruReport, encoding
from artifacts.metrics import Metrics
from artifacts.store import now
from artifacts.tickets import Prediction
from artifacts.vocabulary import Vocabulary, build_rows
from trainer import tickets
from trainer.config import TrainConfig
from trainer.kinds import Fitted, Progress, libraries
from trainer.tickets import MIN_FOR_VALIDATION, Rows, fingerprint, split

Config = TrainConfig
OPERATORS = frozenset(
    {
        *("Add", "Cast", "Concat", "Div", "Equal", "GRU", "Gather", "Gemm", "Less", "Max", "Not", "Range"),
        *("ReduceMax", "ReduceSum", "Reshape", "Shape", "Softmax", "Sqrt", "Sub", "Transpose", "Unsqueeze", "Where"),
    }
)
table = tickets.table
check_rows = tickets.check_rows
check_trainable = tickets.check_categories


def fit(name: str, rows: Rows, config: TrainConfig, progress: Progress, job: str | None) -> Fitted:
    """Train on checked tickets and return the network's files; see `kinds.Trainer.fit`."""
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
    progress.start(len(train_rows), config.epochs, is_refit=False)

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
    manifest = GruManifest(
        neural_network_type="GRU",
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,
        tensors=TENSORS,
        files={},
        encoding=encoding(len(words), config.ngram_buckets),
        training=msgspec.structs.asdict(config),
        libraries=libraries("torch"),
        seconds=0.0,
        data=fingerprint(rows, len(validation_rows)),
        validation={"accuracy": None, "macro_f1": None, "num_tickets": 0},
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
    unseen: dict[int, Prediction] = {}
    files = files_with(graph)
    loaded = GruModel(manifest, files)
    if validation:
        metrics = loaded.measure([rows.tickets[i] for i in validation_rows], validation)
        unseen = dict(zip(validation_rows, loaded.predict(validation), strict=True))
        predicted = loaded.probabilities(validation).argmax(axis=1)
        counts_CC = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(counts_CC, (validation_targets, predicted), 1)
        matrix = counts_CC.tolist()
        manifest = msgspec.structs.replace(manifest, validation=metrics.summary)

    # The split has said how long to train and how sure to be. Now the tickets that it kept out may teach as well: the
    # same network once more, from the same seed, on every ticket, for as many epochs as the best one took.
    if validation and config.refit:
        again = msgspec.structs.replace(config, epochs=best_epoch)
        progress.start(len(rows.tickets), again.epochs, is_refit=True)
        torch.manual_seed(config.seed)
        model = TicketClassifier(list(words), len(labels), config).to(device)
        train.train(model, encoded, targets, [], [], again, progress.step)
        graph, parity = export.export(model, vocabulary, calibration.temperature)
        manifest = msgspec.structs.replace(manifest, parity=parity)
        files = files_with(graph)
        GruModel(manifest, files)  # loads as the server will load it, or is refused here

    seconds = time.perf_counter() - start
    report = GruReport(
        epochs=curve,
        best_epoch=best_epoch,
        num_parameters=num_parameters,
        seconds=seconds,
        validation=metrics,
        confusion_matrix=matrix,
    )
    return Fitted(msgspec.structs.replace(manifest, seconds=seconds), files, report, unseen)


def show_rows(rows: Rows) -> list[str]:
    """Return what the tickets are, and what a person should look at in them."""
    lines = [f"{len(rows.tickets)} tickets in {len(rows.categories)} categories"]
    if rows.num_duplicates:
        lines.append(f"  {rows.num_duplicates} tickets repeat an earlier one; kept, on one side of the split")
    if rows.num_conflicts:
        lines.append(f"  {rows.num_conflicts} distinct tickets stand under more than one category; kept, look at them")
    few = sorted(category for category, count in rows.distinct.items() if count < MIN_FOR_VALIDATION)
    if few:
        shown = ", ".join(few[:10]) + (", ..." if len(few) > 10 else "")
        lines.append(
            f"  {len(few)} categories have fewer than {MIN_FOR_VALIDATION} distinct tickets; all are trained on, "
            f"none validated: {shown}"
        )
    return lines


def show_validation(manifest: GruManifest, report: GruReport) -> list[str]:
    """Return what the validation tickets say, and on what the published network was trained."""
    if report.validation is None:
        return ["no validation: too few tickets to keep some out; measure on others with puppet-train evaluate"]
    metrics = report.validation
    lines = [
        f"validation: accuracy {metrics.accuracy:.4f}, macro F1 {metrics.macro_f1:.4f} "
        f"on {metrics.total_tests} tickets; temperature {manifest.calibration.temperature:.3f}"
    ]
    if manifest.training["refit"]:
        lines.append(f"then trained again on all {manifest.data.num_tickets} tickets, {report.best_epoch} epochs")
    return lines


def show_evaluation(evaluation: Metrics) -> list[RenderableType]:
    """Return the table per category, the most frequent confusions, and the metrics."""
    made = Table()
    for number, column in enumerate(("category", *"PRF", "tickets")):
        made.add_column(column, justify="right" if number else "left")
    for category, metrics in evaluation.per_category.items():
        shares = (metrics.precision, metrics.recall, metrics.f1)
        made.add_row(category, *(f"{share:.3f}" for share in shares), str(metrics.support))
    lines: list[RenderableType] = [made]
    for category, count in evaluation.unknown_categories.items():
        lines.append(f"the model has no category {category!r}: its {count} tickets count as errors")
    lines += [f"{one.count} x {one.expected} taken for {one.predicted}" for one in evaluation.confusions[:5]]
    lines.append(
        f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}: "
        f"{evaluation.correct_predictions} of {evaluation.total_tests} right"
    )
    return lines
