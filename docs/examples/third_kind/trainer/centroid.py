"""The kind Centroid on the trainer's side: the middle of each category's points.

    nearest(x) = argmin over c of |x - m_c|^2 = argmin over c of -2 m_c x + |m_c|^2

since |x|^2 is the same for every c: one matrix product and the smallest entry.
"""

# Axes: N points, F numbers of a point, C categories.

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
from rich.console import RenderableType

from artifacts.errors import ArtifactRefused, InvalidInput
from artifacts.evaluation.metrics import Metrics
from artifacts.networks.centroid import TENSORS, CentroidManifest, CentroidModel, Floats, GoldenRow, Point
from artifacts.networks.manifest import Epoch, Parity, Report
from artifacts.networks.runtime import open_session
from artifacts.store.versions import now
from trainer.data.files import RawRow, decode_rows
from trainer.kinds import Fitted, Progress, libraries

OPERATORS = frozenset({"ArgMin", "Gemm"})


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set: how many made-up points prove the graph equal to NumPy."""

    num_proofs: int = 1000


class Rows(msgspec.Struct, frozen=True):
    """Checked points: as they came, and as float64 [N, F]."""

    tickets: list[Point]
    points: Floats


def table(columns: Sequence[str]) -> Callable[[Sequence[str]], object]:  # noqa: ARG001  # as every kind's
    """Refuse CSV and TSV; a kind may read only JSON."""
    raise InvalidInput("centroid-in-a-table")


def check_rows(raw_rows: Iterable[RawRow], what: str) -> Rows:
    """Return the points, checked one by one."""
    points, vectors = decode_rows(raw_rows, what, Point, lambda point: point.vector)
    return Rows(points, np.array(vectors))


def check_trainable(rows: Rows) -> None:
    """Do nothing if there are two categories or more."""
    if len({point.category for point in rows.tickets}) < 2:
        raise InvalidInput("points-of-one-category")


def resolved(config: Config, rows: Rows) -> Config:  # noqa: ARG001  # as every kind's
    """Return the settings: none depends on the points."""
    return config


def fit(name: str, rows: Rows, config: Config, progress: Progress, job: str | None) -> Fitted:
    """Return the middles of the categories as a graph."""
    start = time.perf_counter()
    progress.start(len(rows.tickets), 1, is_refit=False)
    labels = sorted({point.category for point in rows.tickets})
    category_N = np.array([labels.index(point.category) for point in rows.tickets])
    middle_CF = np.stack([rows.points[category_N == label].mean(axis=0) for label in range(len(labels))])
    graph = graph_of(middle_CF)

    # The proof: the graph answers as the definition does.
    proof_NF = np.random.default_rng(0).normal(size=(config.num_proofs, rows.points.shape[1])) * rows.points.std(axis=0)
    (found_N,) = open_session(graph).run(None, {"points": proof_NF})
    expected_N = np.linalg.norm(proof_NF[:, None] - middle_CF, axis=2).argmin(axis=1)
    if (found_N != expected_N).any():
        raise ArtifactRefused("centroid-export-differs")

    golden = [GoldenRow(point, labels[label]) for point, label in zip(proof_NF[:5].tolist(), found_N, strict=False)]
    manifest = CentroidManifest(
        neural_network_type="Centroid", name=name, version=1, created=now(), job=job, tensors=TENSORS, files={},
        training=msgspec.structs.asdict(config), libraries=libraries(), seconds=time.perf_counter() - start,
        validation={"accuracy": None, "num_tickets": 0}, parity=Parity(0.0, 0.0, 1, len(proof_NF), 1.0),
        num_features=rows.points.shape[1],
    )  # fmt: skip
    loss = float(np.linalg.norm(rows.points - middle_CF[category_N], axis=1).mean())
    report = Report(
        epochs=[Epoch(1, loss, None, None, 0.0)], best_epoch=1, num_parameters=middle_CF.size, seconds=manifest.seconds
    )
    files = {"model.onnx": graph, "labels.json": labels, "golden.json": golden}
    raw = {file: value if isinstance(value, bytes) else msgspec.json.encode(value) for file, value in files.items()}
    CentroidModel(manifest, raw)  # loads as the server will load it, or is refused here
    return Fitted(manifest, raw, report)


def graph_of(middle_CF: Floats) -> bytes:
    """Return `model.onnx`: points float64 [B, F] -> the number of the nearest middle, int64 [B]."""
    from trainer.graph import Graph

    graph = Graph()
    weights = [graph.constant("weight", -2.0 * middle_CF), graph.constant("bias", (middle_CF**2).sum(axis=1))]
    distance_BC = graph.node("Gemm", ["points", *weights], "distance_BC", transB=1)
    graph.node("ArgMin", [distance_BC], "nearest", axis=1, keepdims=0)
    return graph.serialise(TENSORS)


def show_plan(config: Config, rows: Rows) -> list[str]:  # noqa: ARG001  # as every kind's
    """Return nothing: no setting changes how large a Centroid is."""
    return []


def show_rows(rows: Rows) -> list[str]:
    """Return what the points are."""
    return [f"{len(rows.tickets)} points of {rows.points.shape[1]} numbers"]


def show_validation(manifest: CentroidManifest, report: Report) -> list[str]:  # noqa: ARG001  # as every kind's
    """Return what the training came to."""
    return [f"mean distance from a point to its middle: {report.epochs[0].loss:.4g}"]


def show_evaluation(evaluation: Metrics) -> list[RenderableType]:
    """Return the metrics."""
    return [f"accuracy {evaluation.accuracy:.4f} on {evaluation.total_tests} points"]
