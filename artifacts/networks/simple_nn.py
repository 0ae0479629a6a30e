"""The kind SimpleNN on the serving side: numbers in, one number out, as the seeds' example has it.

In: the features of one case (a flat's size, its floor, ...). Out: an estimate of its target (its price), in the
target's own unit: the graph standardises the features and takes the standardisation of the answer back.
What it leaves to others: the session and the checks that all kinds share (runtime.py), the training
(trainer/simple_nn.py).

Everything is float64. A float32 has 7 digits: on a price of 350,000 its last one is worth 3 cents, and PyTorch and
onnxruntime would not agree to 1e-5 on any target over 100.
"""

# Axes: B cases in a run, F features.

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from artifacts.arrays import Doubles
from artifacts.errors import ArtifactRefused, InvalidFeatures, NotFinite
from artifacts.evaluation.metrics import ValueMetrics, measure_values
from artifacts.networks.manifest import Manifest, Report, Sha256, Tensor
from artifacts.networks.runtime import Model, open_session
from artifacts.schemas import Answer, Row, Search

RUN_CASES = 1024  # at most in one run; bounds its memory
MAX_FEATURES = 4096
LARGEST = 1e100  # of a number that comes in; its square, times any weight, is still one that a float64 can hold
GOLDEN_TOLERANCE = 1e-6  # of the value, or of 1 if that is larger; float64 leaves 1e-12

TENSORS = [Tensor("features", "float64", ["B", "F"]), Tensor("value", "float64", ["B"])]

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Features = Annotated[list[Number], msgspec.Meta(min_length=1, max_length=MAX_FEATURES, examples=[[42.0, 3.0, 1.0]])]


class Example(Row, frozen=True, omit_defaults=True):
    """One case whose value is known.

    Attributes:
        features: what is known of it, in the same order and number in every row.
        target: the value that the model should answer.
    """

    features: Features
    target: Number

    @property
    def expected(self) -> float:
        """The target."""
        return self.target

    @property
    def content(self) -> list[float]:
        """The features."""
        return self.features

    @property
    def content_field(self) -> str:
        """The field of the features."""
        return "features"


class ValueSearch(Search, frozen=True, kw_only=True, omit_defaults=True):
    """One case (`vector`) or several (`vectors`): exactly one of the two.

    Attributes:
        vector: the features of a case, in the order of the training data.
        vectors: of several cases.
    """

    ONE: ClassVar[tuple[str, ...]] = ("vector",)
    SEVERAL: ClassVar[tuple[str, ...]] = ("vectors",)

    vector: Features | None = None
    vectors: list[Features] | None = None


class Value(Answer, frozen=True, omit_defaults=True):
    """What a model says of one case.

    Attributes:
        value: the estimate, in the target's unit.
    """

    value: float

    @property
    def said(self) -> float:
        """The value."""
        return self.value


EXAMPLES = (
    (Example([42.0, 3.0, 1.0], 185_000.0), Example([67.0, 5.0, 0.0], 254_000.0)),
    ValueSearch(name="prices", neural_network_type="SimpleNN", vector=[42.0, 3.0, 1.0]),
)


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fingerprint of the training data, and what was found in it; never a case."""

    sha256: Sha256  # of the rows, in their order
    num_tickets: int
    num_train: int
    num_validation: int
    num_constant: int  # features that are the same in every row, and so say nothing


class SimpleNNManifest(Manifest, frozen=True, kw_only=True):
    """`manifest.json` of a SimpleNN."""

    num_features: Annotated[int, msgspec.Meta(ge=1, le=MAX_FEATURES)]
    data: Data


class GoldenRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up case with what must come out of it on any machine."""

    features: list[float]
    value: float


class SimpleNNReport(Report, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`report.json` of a SimpleNN."""

    validation: ValueMetrics | None


class SimpleNNModel(Model[Doubles]):
    """A loaded SimpleNN."""

    manifest: SimpleNNManifest

    def load(self, files: Mapping[str, bytes]) -> None:
        """Open the session; see `Model.load`."""
        self._session = open_session(files["model.onnx"])
        taken = self._session.get_inputs()[0].shape  # ["B", F]
        if taken[-1:] != [self.manifest.num_features]:
            raise ArtifactRefused(
                "features-of-another-size",
                model=self.where,
                num_features=self.manifest.num_features,
                graph=str(taken),
            )

    def replay(self, golden: bytes) -> None:
        """Compare the values within 1e-6 of their size; see `Model.replay`."""
        rows = msgspec.json.decode(golden, type=list[GoldenRow])
        if not rows:
            raise ArtifactRefused("no-golden-rows", model=self.where)
        found_N = self.values([self.encode(row.features) for row in rows])
        expected_N = np.array([row.value for row in rows])
        difference = float((np.abs(found_N - expected_N) / np.maximum(1.0, np.abs(expected_N))).max())
        if not difference <= GOLDEN_TOLERANCE:  # written so that NaN is refused too
            raise ArtifactRefused("golden-rows-differ", model=self.where, difference=difference, limit=GOLDEN_TOLERANCE)

    def encode(self, content: Sequence[float]) -> Doubles:
        """Return the features as float64 [F].

        Raises:
            InvalidFeatures: their number is not the model's.
        """
        if len(content) != self.manifest.num_features:
            raise InvalidFeatures(
                "wrong-number-of-features", num_features=len(content), expected=self.manifest.num_features
            )
        return np.array(content, dtype=np.float64)

    def values(self, cases: Sequence[Doubles]) -> Doubles:
        """Return value_N float64 in the target's unit, in the order of `cases`."""
        found = [
            self._session.run(None, {"features": np.stack(cases[start : start + RUN_CASES])})[0]
            for start in range(0, len(cases), RUN_CASES)
        ]
        return np.concatenate(found) if found else np.empty(0)

    def cost(self, encoded: Doubles) -> int:  # noqa: ARG002  # every case costs the same
        """Return 1."""
        return 1

    def predict(self, encoded: Sequence[Doubles]) -> list[Value]:
        """Return the answer to each case, in order; see `Model.predict`."""
        value_N = self.values(encoded)
        if not np.isfinite(value_N).all():
            raise NotFinite("answer-not-finite", model=self.where)
        return [Value(value) for value in value_N.tolist()]

    def measure(self, rows: Sequence[Example], encoded: Sequence[Doubles]) -> ValueMetrics:
        """Return the metrics on labelled rows and their encoded features, at least one."""
        answers = self.predict(encoded)
        return measure_values(
            [row.expected for row in rows], [answer.value for answer in answers], [row.id for row in rows]
        )

    def evaluate(self, rows: Sequence[Example], encoded: Sequence[Doubles]) -> ValueMetrics:
        """Return the metrics with the name and the version that they are of."""
        return msgspec.structs.replace(self.measure(rows, encoded), model_name=self.name, version=self.version)
