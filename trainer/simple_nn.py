"""The kind SimpleNN on the trainer's side: checked cases in, a trained network and its files out.

The network of the seeds' example: three linear layers, ReLU between them, dropout after the first; mean squared error
on standardised targets, Adam, and a stop once the loss has not improved by more than a threshold for some epochs.

    x = (features - mean) / std
    a = dropout(relu(W1 x + b1))
    value = (W3 relu(W2 a + b2) + b3) * target_std + target_mean

Four things differ from the seeds' example (docs/LOG.md has what the first two are worth):
- The loss that decides when to stop is that of cases kept out of training. The training loss goes on falling while the
  network learns its cases by heart, and with dropout it rises and falls by chance.
- A step takes a part of the cases and not all of them, so that many cases need no more passes than few.
- The weights of the best epoch are kept, not the last ones.
- Nothing is dropped out when a value is asked for; without `eval()` the seeds' `predict` answers by chance.

Why standardise: a feature in thousands would otherwise speak a thousand times as loud as one in units, and a target of
350,000 would ask for weights that steps of 0.001 reach in days. Both standardisations are part of the graph, so whoever
asks sends the features as they are and is answered in the target's own unit.
"""

# Axes: N cases, B cases of a step, F features, H hidden.

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from rich.console import RenderableType

from artifacts.arrays import Doubles
from artifacts.errors import ArtifactRefused, Fault, InvalidFeatures, InvalidInput
from artifacts.evaluation.metrics import ValueMetrics
from artifacts.networks.manifest import Epoch, Parity
from artifacts.networks.runtime import open_session
from artifacts.networks.simple_nn import (
    TENSORS,
    Data,
    Example,
    GoldenRow,
    SimpleNNManifest,
    SimpleNNModel,
    SimpleNNReport,
    Value,
)
from artifacts.store.versions import now
from trainer.data.files import FaultyCell, RawRow, decode_rows
from trainer.kinds import Fitted, Progress, libraries

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-5  # in the target's unit
MIN_FOR_VALIDATION = 10  # cases, before one is kept out of training
DIVERGED = 100.0  # training loss of standardised targets, of which always answering the mean has 1
OPERATORS = frozenset({"Add", "Div", "Gemm", "Mul", "Relu", "Reshape", "Sub"})


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for the training of a SimpleNN; the defaults are the seeds', but for `batch` and `validation`.

    Attributes:
        hidden: H, the size of both hidden layers.
        dropout: share of the first hidden layer that a step leaves out.
        epochs: passes over the cases at most.
        batch: cases a step.
        lr: Adam's learning rate.
        patience: epochs without an improvement before training stops.
        improvement_threshold: by how much the loss must fall to count as improved; of standardised targets, so 1 is the
            loss of always answering the mean.
        validation: share of the cases that is kept out of training, to say when to stop.
        refit: train once more on every case, for as many epochs as the best one took, and publish that.
        seed: of everything random; the same seed, data and machine give the same weights.
        threads: of the CPU.
    """

    hidden: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 128
    dropout: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.5
    epochs: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 3000
    batch: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 64
    lr: Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)] = 0.001
    patience: Annotated[int, msgspec.Meta(ge=1)] = 10
    improvement_threshold: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.00001
    validation: Annotated[float, msgspec.Meta(gt=0.0, le=0.5)] = 0.1
    refit: bool = True
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1


class Rows(msgspec.Struct, frozen=True):
    """Checked cases.

    Attributes:
        tickets: as they were given.
        features: float64 [N, F].
        targets: float64 [N].
    """

    tickets: list[Example]
    features: Doubles
    targets: Doubles


class Scale(msgspec.Struct, frozen=True):
    """Mean and standard deviation of the training cases, each feature by itself, and of their targets."""

    mean: Doubles  # [F]
    std: Doubles  # [F]; 1 where a feature does not vary, for a division by 0 is none
    target_mean: float
    target_std: float


def table(columns: Sequence[str]) -> Callable[[Sequence[str]], object]:
    """Return what reads a row of a table: the column `target`, and every other one a feature; see `data.TableReader`.

    Raises:
        InvalidInput: there is not one column of targets and one of features.
    """
    targets = [number for number, name in enumerate(columns) if name.lower() == "target"]
    if len(targets) != 1 or len(columns) < 2:
        raise InvalidInput("not-one-target")

    def row_of(cells: Sequence[str]) -> object:
        numbers = []
        for name, cell in zip(columns, cells, strict=True):
            try:
                numbers.append(float(cell))
            except ValueError as error:
                raise FaultyCell(Fault.of(f"/{name}", "not-a-number", found=cell)) from error
            if not math.isfinite(numbers[-1]):
                raise FaultyCell(Fault.of(f"/{name}", "number-not-finite", found=cell))
        return {"target": numbers.pop(targets[0]), "features": numbers}

    return row_of


def check_rows(raw_rows: Iterable[RawRow], what: str) -> Rows:
    """Return the cases, checked one by one; see `kinds.Trainer.check_rows`."""
    num_features: list[int] = []  # of the first row; every other one must have as many

    def read(row: Example) -> list[float]:
        num_features.append(len(row.features))
        if num_features[-1] != num_features[0]:
            raise InvalidFeatures("uneven-features", num_features=num_features[-1], expected=num_features[0])
        return row.features

    examples, features = decode_rows(raw_rows, what, Example, read)
    return Rows(examples, np.array(features), np.array([example.target for example in examples]))


def check_trainable(rows: Rows) -> None:
    """Do nothing if there is something to learn.

    Raises:
        InvalidInput: fewer than two cases, or all have the same target or the same features.
    """
    num_cases = len(rows.tickets)
    if num_cases < 2:
        raise InvalidInput("too-few-rows", num_rows=num_cases)
    if (rows.targets == rows.targets[0]).all():
        raise InvalidInput("one-target", num_rows=num_cases, target=float(rows.targets[0]))
    if (rows.features == rows.features[0]).all():
        raise InvalidInput("same-features", num_rows=num_cases)


def resolved(config: Config, rows: Rows) -> Config:  # noqa: ARG001  # as every kind's
    """Return the settings: none depends on the rows."""
    return config


def split(num_cases: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the row numbers of training and of validation, in order; no validation under 10 cases."""
    order = np.random.default_rng(seed).permutation(num_cases).tolist()
    num_validation = max(1, round(share * num_cases)) if num_cases >= MIN_FOR_VALIDATION else 0
    return sorted(order[num_validation:]), sorted(order[:num_validation])


def scale_of(features_NF: Doubles, targets_N: Doubles) -> Scale:
    """Return the standardisation of these cases."""
    # A column of nothing but 0.3 has a mean that is rounded and so a deviation of 5e-17, which would make 0.4 a giant.
    varies_F = (features_NF != features_NF[0]).any(axis=0)
    std_F, target_std = features_NF.std(axis=0), float(targets_N.std())
    std_F = np.where(varies_F & (std_F > 0), std_F, 1.0)
    return Scale(features_NF.mean(axis=0), std_F, float(targets_N.mean()), target_std or 1.0)


def fit(name: str, rows: Rows, config: Config, progress: Progress, job: str | None) -> Fitted:
    """Train on checked cases and return the network's files; see `kinds.Trainer.fit`."""
    start = time.perf_counter()
    train_rows, validation_rows = split(len(rows.tickets), config.validation, config.seed)
    progress.phase("network")  # before torch is imported, which takes seconds

    import torch

    progress.start(len(train_rows), config.epochs, is_refit=False)
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    # Only training cases may say what is usual: the validation cases stand for cases of tomorrow.
    scale = scale_of(rows.features[train_rows], rows.targets[train_rows])
    network = build(rows.features.shape[1], config)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    curve, best_epoch = train(network, scale, rows, train_rows, validation_rows, config, progress)
    graph, parity = export(network, scale, config.seed)

    manifest = SimpleNNManifest(
        neural_network_type="SimpleNN",
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,
        tensors=TENSORS,
        files={},
        training=msgspec.structs.asdict(config),
        libraries=libraries("torch"),
        seconds=0.0,
        validation={"mae": None, "rmse": None, "r2": None, "num_tickets": 0},
        parity=parity,
        num_features=rows.features.shape[1],
        data=fingerprint(rows, len(validation_rows)),
    )
    files = {"model.onnx": graph, "golden.json": msgspec.json.encode(golden_rows(graph, scale, config.seed))}
    model = SimpleNNModel(manifest, files)  # loads as the server will load it, or is refused here
    metrics = None
    unseen: dict[int, Value] = {}
    if validation_rows:
        kept_out = [rows.tickets[row] for row in validation_rows]
        encoded = [model.encode(row.features) for row in kept_out]
        metrics = model.measure(kept_out, encoded)
        unseen = dict(zip(validation_rows, model.predict(encoded), strict=True))
        manifest = msgspec.structs.replace(manifest, validation=metrics.summary)
    if validation_rows and config.refit:
        # The split has said how long to train. Now the cases that it kept out may teach as well.
        everything = list(range(len(rows.tickets)))
        again = msgspec.structs.replace(config, epochs=best_epoch)
        progress.start(len(everything), best_epoch, is_refit=True)
        scale = scale_of(rows.features, rows.targets)
        network = build(rows.features.shape[1], config)
        train(network, scale, rows, everything, [], again, progress)
        graph, parity = export(network, scale, config.seed)
        manifest = msgspec.structs.replace(manifest, parity=parity)
        files = {"model.onnx": graph, "golden.json": msgspec.json.encode(golden_rows(graph, scale, config.seed))}
        SimpleNNModel(manifest, files)

    seconds = time.perf_counter() - start
    report = SimpleNNReport(
        epochs=curve, best_epoch=best_epoch, num_parameters=num_parameters, seconds=seconds, validation=metrics
    )
    return Fitted(msgspec.structs.replace(manifest, seconds=seconds), files, report, unseen)


def build(num_features: int, config: Config) -> "nn.Sequential":
    """Return the network with random weights, in float64: standardised features [B, F] -> standardised value [B, 1]."""
    import torch
    from torch import nn

    torch.manual_seed(config.seed)
    return nn.Sequential(
        nn.Linear(num_features, config.hidden),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, 1),
    ).double()


def train(
    network: "nn.Sequential",
    scale: Scale,
    rows: Rows,
    train_rows: Sequence[int],
    validation_rows: Sequence[int],
    config: Config,
    progress: Progress,
) -> tuple[list[Epoch], int]:
    """Train the network in place, leave it with the weights of its best epoch, and return the curve and that epoch.

    Without validation rows the last epoch counts as best.

    Raises:
        InvalidInput: the loss is no longer a finite number, or huge to the end; the settings are too bold.
    """
    import torch
    from torch import nn

    x_NF = torch.from_numpy((rows.features - scale.mean) / scale.std)
    y_N1 = torch.from_numpy((rows.targets - scale.target_mean) / scale.target_std).unsqueeze(1)
    random = np.random.default_rng(config.seed)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    curve: list[Epoch] = []
    best_epoch, best_loss, best_weights = 0, float("inf"), copy.deepcopy(network.state_dict())
    for epoch in range(1, config.epochs + 1):
        network.train()
        start = time.perf_counter()
        total_loss, num_done = 0.0, 0
        order = random.permutation(np.array(train_rows))
        for first in range(0, len(order), config.batch):
            chosen = torch.from_numpy(order[first : first + config.batch])
            loss = criterion(network(x_NF[chosen]), y_N1[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(chosen)
            num_done += len(chosen)
        progress.step(epoch, num_done, total_loss / num_done)
        validation_loss = None
        if validation_rows:
            network.eval()
            with torch.no_grad():
                validation_loss = criterion(network(x_NF[validation_rows]), y_N1[validation_rows]).item()
        if not math.isfinite(total_loss + (validation_loss or 0.0)):
            raise InvalidInput("regression-not-finite", epoch=epoch, lr=config.lr)
        speed = num_done / (time.perf_counter() - start)
        curve.append(Epoch(epoch, total_loss / num_done, validation_loss, None, speed))
        progress.epoch(curve[-1])
        if validation_loss is None or validation_loss < best_loss - config.improvement_threshold:
            best_epoch, best_loss = epoch, validation_loss if validation_loss is not None else best_loss
            best_weights = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= config.patience:
            break
    # A float64 holds what a far too large lr makes of the weights, so a training can fail without an infinity.
    if curve[best_epoch - 1].loss > DIVERGED:
        raise InvalidInput("regression-diverged", epoch=best_epoch, loss=curve[best_epoch - 1].loss, lr=config.lr)
    network.load_state_dict(best_weights)
    network.eval()
    return curve, best_epoch


def graph_of(network: "nn.Sequential", scale: Scale) -> bytes:
    """Return `model.onnx`: features float64 [B, F], as they are -> value float64 [B], in the target's unit."""
    from trainer.graph import Graph

    graph = Graph()
    centred = graph.node("Sub", ["features", graph.constant("mean", scale.mean)], "centred_BF")
    x = graph.node("Div", [centred, graph.constant("std", scale.std)], "standardised_BF")
    first, second, third = (layer for layer in network if hasattr(layer, "weight"))  # dropout is for training alone
    for number, layer in enumerate((first, second, third), 1):
        weights = [
            graph.constant(f"fc{number}_{kind}", getattr(layer, kind).detach().numpy()) for kind in ("weight", "bias")
        ]
        x = graph.node("Gemm", [x, *weights], f"fc{number}", transB=1)
        if layer is not third:
            x = graph.node("Relu", [x], f"relu{number}")
    x = graph.node("Mul", [x, graph.constant("target_std", np.array(scale.target_std))], "scaled_B1")
    x = graph.node("Add", [x, graph.constant("target_mean", np.array(scale.target_mean))], "value_B1")
    graph.node("Reshape", [x, graph.constant("column", np.array([-1], dtype=np.int64))], "value")
    features, value = TENSORS
    return graph.serialise([msgspec.structs.replace(features, axes=["B", len(scale.mean)]), value])


def torch_values(network: "nn.Sequential", scale: Scale, features_NF: Doubles) -> Doubles:
    """Return value_N of the network itself, in the target's unit."""
    import torch

    network.eval()
    with torch.no_grad():
        found_N1: Tensor = network(torch.from_numpy((features_NF - scale.mean) / scale.std))
    values_N: Doubles = found_N1.numpy()[:, 0] * scale.target_std + scale.target_mean
    return values_N


def invented_cases(scale: Scale, num_cases: int, seed: int) -> Doubles:
    """Return made-up features [N, F], as usual and as far from it as the training cases were; nobody's case."""
    random = np.random.default_rng(seed)
    cases_NF: Doubles = scale.mean + scale.std * random.normal(size=(num_cases, len(scale.mean))) * 3.0
    return cases_NF


def export(network: "nn.Sequential", scale: Scale, seed: int) -> tuple[bytes, Parity]:
    """Return `model.onnx` and the record that onnxruntime answers with it as PyTorch does.

    Raises:
        ArtifactRefused: a value differs by more than 1e-5 in the target's unit, or where values are so large that a
            float64 does not hold 1e-5 of them, by more than 1e-12 of the value.
    """
    graph = graph_of(network, scale)
    session = open_session(graph)
    worst, num_tickets, sizes = 0.0, 0, (1, 3, 256)
    for size in sizes:
        features_BF = invented_cases(scale, size, seed + size)
        (found_B,) = session.run(None, {"features": features_BF})
        expected_B = torch_values(network, scale, features_BF)
        difference = float(np.abs(found_B - expected_B).max())
        limit = max(TOLERANCE, 1e-12 * float(np.abs(expected_B).max()))
        if not difference <= limit:  # written so that NaN is refused too
            raise ArtifactRefused("export-differs", difference=difference, limit=limit)
        worst, num_tickets = max(worst, difference), num_tickets + size
    return graph, Parity(worst, TOLERANCE, len(sizes), num_tickets, 1.0)


def golden_rows(graph: bytes, scale: Scale, seed: int) -> list[GoldenRow]:
    """Return a few made-up cases with the values that the graph gives them."""
    features_NF = invented_cases(scale, 6, seed)
    (found_N,) = open_session(graph).run(None, {"features": features_NF})
    return [GoldenRow(*row) for row in zip(features_NF.tolist(), found_N.tolist(), strict=True)]


def fingerprint(rows: Rows, num_validation: int) -> Data:
    """Return what the manifest says of the training data."""
    digest = hashlib.sha256()
    for example in rows.tickets:
        digest.update(msgspec.json.encode([example.features, example.target]) + b"\n")
    return Data(
        sha256=digest.hexdigest(),
        num_tickets=len(rows.tickets),
        num_train=len(rows.tickets) - num_validation,
        num_validation=num_validation,
        num_constant=num_constant(rows),
    )


def num_constant(rows: Rows) -> int:
    """Return how many features are the same in every row."""
    return int((rows.features == rows.features[0]).all(axis=0).sum())


def show_plan(config: Config, rows: Rows) -> list[str]:  # noqa: ARG001  # as every kind's
    """Return nothing: the network is as large as its settings say."""
    return []


def show_rows(rows: Rows) -> list[str]:
    """Return what the cases are, and what a person should look at in them."""
    mean, std = rows.targets.mean(), rows.targets.std()
    lines = [f"{len(rows.tickets)} rows of {rows.features.shape[1]} features; target {mean:g} +- {std:g}"]
    if num_constant(rows):
        lines.append(f"  {num_constant(rows)} features are the same in every row and say nothing")
    return lines


def show_validation(manifest: SimpleNNManifest, report: SimpleNNReport) -> list[str]:
    """Return what the validation cases say, and on what the published network was trained."""
    if report.validation is None:
        return ["no validation: too few rows to keep some out; measure on others with puppet-train evaluate"]
    lines = [f"validation: {words(report.validation.mae, report.validation.rmse, report.validation.r2)} "]
    lines[0] += f"on {report.validation.total_tests} rows"
    if manifest.training["refit"]:
        lines.append(f"then trained again on all {manifest.data.num_tickets} rows, {report.best_epoch} epochs")
    return lines


def show_evaluation(evaluation: ValueMetrics) -> list[RenderableType]:
    """Return the metrics, and the rows that were furthest off."""
    lines: list[RenderableType] = [
        f"row {error.row}: {error.predicted:g} in place of {error.expected:g}"
        for error in evaluation.largest_errors[:5]
    ]
    metrics = words(evaluation.mae, evaluation.rmse, evaluation.r2)
    return [*lines, f"{metrics} on {evaluation.total_tests} rows"]


def words(mae: float, rmse: float, r2: float | None) -> str:
    """Return the metrics as a line shows them."""
    shown = "not defined (the targets do not vary)" if r2 is None else f"{r2:.4f}"
    return f"MAE {mae:.4g}, RMSE {rmse:.4g}, R2 {shown}"
