"""From a version's verified bytes to answers: what every kind of network has in common here.

The only code that opens an ONNX Runtime session. The trainer replays its export through the same classes as the server
answers with, so what was measured is what serves.
"""

import abc
import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from artifacts.errors import ArtifactRefused, InvalidContent, NotFinite
from artifacts.evaluation.abstain import Abstention
from artifacts.networks.engines.build import EngineChoice, EngineName
from artifacts.networks.learnt import read_trained_on
from artifacts.networks.manifest import Manifest, TrainedOn
from artifacts.schemas import Answer, Evaluation

# onnxruntime reads this when it is imported; without it, 1.31 starts a thread and writes a database in the user's
# cache.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

Session: TypeAlias = ort.InferenceSession
_OPENING = threading.Lock()
Encoded = TypeVar("Encoded")  # an input as the graph takes it
Asked = TypeVar("Asked", contravariant=True)


def open_session(model: bytes) -> Session:
    """Return a session on the bytes of `model.onnx`; of several threads one at a time gets through.

    One thread, no spinning: a second thread gains nothing on one ticket and spinning makes p99 3 to 10 times worse.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # it plans memory per shape, and every batch has another shape
    with _OPENING:  # ORT's session constructor is not safe to be called from two threads at once
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # The Python class keeps the whole file for the case that it has to begin anew with other providers, of which there
    # are none here: 24 MB of a worker's 137 with a model of 1,600 words.
    session._model_bytes = None
    return session


class Answerer(Protocol[Asked]):
    """What answers encoded inputs: a model, or a view of one that says more."""

    name: str
    version: int

    @property
    def manifest(self) -> Manifest:
        """Of the version."""

    def cost(self, encoded: Asked, /) -> int:
        """Return how much work an input is; see `Model.cost`."""

    def predict(self, encoded: Sequence[Asked], /) -> Sequence[Answer]:
        """Return the answer to each input, in order; see `Model.predict`."""


class Guesser(Answerer[Asked], Protocol[Asked]):
    """A view of a model that names its next best categories too.

    Attributes:
        labels: every category, in the order of the model's output.
    """

    labels: list[str]


class Model(abc.ABC, Generic[Encoded]):
    """A loaded, verified, warm version; each kind of network has its own subclass.

    Holds a session; safe to call from several threads.

    Attributes:
        abstention: when it may give no category; None if it cannot tell.
        trained_on: what tells which rows it has learnt from; None: it kept no list, or none that can be read.
        ranker: the same model, as what also names its next best categories; None if it has none to name.
    """

    abstention: Abstention | None = None
    ranker: Guesser[Encoded] | None = None

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes], engine: EngineChoice = "onnxruntime") -> None:
        """Open the session and replay the golden rows, which is warm-up, parity check and readiness gate in one.

        Args:
            manifest: of the version.
            files: name -> the very bytes whose hashes were checked.
            engine: that is to answer, as far as it can.
        Raises:
            ArtifactRefused: the files do not fit each other, or a golden row comes out differently.
        """
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self.where = f"{self.name} version {self.version}"
        self.trained_on: TrainedOn | None = None
        # A report says how a training went; one that cannot be read is no reason not to answer.
        with contextlib.suppress(ArtifactRefused, KeyError):
            self.trained_on = read_trained_on(manifest, files)
        try:
            self.load(files)
            self.replay(files["golden.json"])
            self.start_engine(engine, files)
        except (msgspec.DecodeError, ValueError, RecursionError, RuntimeError, InvalidContent, NotFinite) as error:
            raise ArtifactRefused("version-not-loadable", model=self.where, reason=error) from error
        except Exception as error:
            # ORT's own errors derive from Exception directly and are not exported by name.
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise ArtifactRefused("graph-refused", model=self.where, reason=error) from error

    @abc.abstractmethod
    def load(self, files: Mapping[str, bytes]) -> None:
        """Decode the files and open the session.

        Raises:
            ArtifactRefused: they do not fit each other.
        """

    @abc.abstractmethod
    def replay(self, golden: bytes) -> None:
        """Do nothing if the golden rows come out as they did at export.

        Raises:
            ArtifactRefused: they do not, or there is none.
        """

    @property
    def engine_name(self) -> EngineName:
        """Which engine answers."""
        return "onnxruntime"

    def start_engine(self, choice: EngineChoice, files: Mapping[str, bytes]) -> None:
        """Let the engine that is to answer take its memory; another than onnxruntime proves first that it is equal.

        Args:
            choice: which one is wanted; where it cannot serve, onnxruntime does.
            files: as given to `load`.
        """

    @abc.abstractmethod
    def encode(self, content: Any) -> Encoded:
        """Return an input as the graph takes it.

        Raises:
            InvalidContent: it cannot be read.
        """

    @abc.abstractmethod
    def cost(self, encoded: Encoded) -> int:
        """Return how much work an input is, in tokens of the default GRU (about 4 us); at least 1."""

    @abc.abstractmethod
    def predict(self, encoded: Sequence[Encoded]) -> Sequence[Answer]:
        """Return the answer to each input, in order.

        Raises:
            NotFinite: an answer is no finite number.
        """

    @abc.abstractmethod
    def evaluate(self, rows: Sequence[Any], encoded: Sequence[Encoded]) -> Evaluation:
        """Return the metrics on labelled rows and their encoded contents, at least one."""
