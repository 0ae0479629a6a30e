"""The kind Centroid on the serving side: a point belongs to the category whose middle is nearest."""

# Axes: B points, F numbers of a point, C categories.

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.errors import ArtifactRefused, InvalidFeatures
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.networks.manifest import Manifest, Tensor
from artifacts.networks.runtime import Model, open_session
from artifacts.schemas import Answer, Row, Search

Floats = NDArray[np.float64]

TENSORS = [Tensor("points", "float64", ["B", "F"]), Tensor("nearest", "int64", ["B"])]


class Point(Row, frozen=True, omit_defaults=True):
    """One labelled point."""

    vector: list[float]
    category: str

    @property
    def expected(self) -> str:
        """The category."""
        return self.category

    @property
    def content(self) -> list[float]:
        """The numbers."""
        return self.vector

    @property
    def content_field(self) -> str:
        """The field of the numbers."""
        return "vector"


class PointSearch(Search, frozen=True, kw_only=True, omit_defaults=True):
    """One point (`vector`) or several (`vectors`)."""

    ONE: ClassVar[tuple[str, ...]] = ("vector",)
    SEVERAL: ClassVar[tuple[str, ...]] = ("vectors",)

    vector: list[float] | None = None
    vectors: list[list[float]] | None = None


class Nearest(Answer, frozen=True, omit_defaults=True):
    """The category whose middle is nearest."""

    category: str

    @property
    def said(self) -> str:
        """The category."""
        return self.category


class CentroidManifest(Manifest, frozen=True, kw_only=True):
    """`manifest.json` of a Centroid."""

    num_features: int


class GoldenRow(msgspec.Struct, frozen=True):
    """A made-up point and its category."""

    vector: list[float]
    category: str


EXAMPLES = (
    (Point([0.1, 0.2], "near"), Point([9.0, 8.0], "far")),
    PointSearch(name="places", neural_network_type="Centroid", vector=[0.3, 0.1]),
)


class CentroidModel(Model[Floats]):
    """A loaded Centroid."""

    manifest: CentroidManifest

    def load(self, files: Mapping[str, bytes]) -> None:
        """Read the names of the categories and open the session."""
        self.labels = msgspec.json.decode(files["labels.json"], type=list[str])
        self._session = open_session(files["model.onnx"])

    def replay(self, golden: bytes) -> None:
        """Compare the categories of the golden points."""
        rows = msgspec.json.decode(golden, type=list[GoldenRow])
        answers = self.predict([self.encode(row.vector) for row in rows])
        if not rows or [answer.category for answer in answers] != [row.category for row in rows]:
            raise ArtifactRefused("centroid-golden-differs", model=self.where)

    def encode(self, content: Sequence[float]) -> Floats:
        """Return the point as float64 [F]."""
        if len(content) != self.manifest.num_features:
            raise InvalidFeatures("wrong-number-of-numbers", found=len(content), expected=self.manifest.num_features)
        return np.array(content, dtype=np.float64)

    def cost(self, encoded: Floats) -> int:  # noqa: ARG002  # every point costs the same
        """Return 1."""
        return 1

    def predict(self, encoded: Sequence[Floats]) -> list[Nearest]:
        """Return the category of each point, in order."""
        (nearest_B,) = self._session.run(None, {"points": np.stack(encoded)})
        return [Nearest(self.labels[label]) for label in nearest_B.tolist()]

    def evaluate(self, rows: Sequence[Point], encoded: Sequence[Floats]) -> Metrics:
        """Return the metrics of the classifiers; a Centroid has no probability, so its confidence is always 1."""
        said = [answer.category for answer in self.predict(encoded)]
        certain_NC = np.eye(len(self.labels), dtype=np.float32)[[self.labels.index(one) for one in said]]
        metrics = measure(self.labels, [row.expected for row in rows], [certain_NC])
        return msgspec.structs.replace(metrics, model_name=self.name, version=self.version)
