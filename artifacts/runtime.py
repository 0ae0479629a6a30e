"""From ids to probabilities: the only code that holds an ONNX Runtime session.

In: the verified bytes of a version (store.py). Out: probabilities per category. The trainer replays its export through
this file and the server answers through it, so what was measured is what serves.
"""

# Axes: B tickets in a run, T tokens (padded), U unknown tokens of the run, K n-grams of a token, C categories.

import os
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.errors import ArtifactRefused, EmptyTicket, InvalidText
from artifacts.kinds import Prediction, Ticket, kind_named
from artifacts.manifest import Encoding, GoldenRow, Manifest, Tensor
from artifacts.metrics import Evaluation, Metrics, measure
from artifacts.text import MAX_NGRAMS, MAX_TOKEN_CHARACTERS, NGRAM_SIZES
from artifacts.vocabulary import MAX_TOKENS, PAD, Encoded, Vocabulary

# onnxruntime reads this when it is imported; without it, 1.31 starts a thread and writes a database in the user's
# cache.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

CHUNK_TICKETS = 8  # 4 to 8 of like length is cheapest: a run costs its longest ticket (shared notes of 2026-11)
MAX_RUN_TOKENS = CHUNK_TICKETS * MAX_TOKENS  # B x T of one run; bounds its memory
GOLDEN_TOLERANCE = 1e-4  # processors round differently; real bugs move probabilities by 3e-4 and more

TENSORS = [
    Tensor("ids", "int32", ["B", "T"]),
    Tensor("lengths", "int32", ["B"]),
    Tensor("grams", "int32", ["U", "K"]),
    Tensor("probabilities", "float32", ["B", "C"]),
]


def pad(tickets: Sequence[Encoded], num_words: int) -> tuple[Ints, Ints, Ints]:
    """Return the tickets as one batch: ids_BT filled with PAD on the right, lengths_B, grams_UK filled with 0.

    A ticket counts its unknown tokens from V; in a batch they are counted on, in ticket order.

    Args:
        tickets: at least one, each of at least one id.
        num_words: V.
    """
    lengths_B = np.array([len(ticket.ids) for ticket in tickets], dtype=np.int32)
    ids_BT = np.full((len(tickets), int(lengths_B.max())), PAD, dtype=np.int32)
    grams: list[list[int]] = []
    for row_T, ticket in zip(ids_BT, tickets, strict=True):
        row_T[: len(ticket.ids)] = ticket.ids
        if ticket.grams:
            if grams:
                row_T[row_T >= num_words] += len(grams)
            grams += ticket.grams
    grams_UK = np.zeros((max(1, len(grams)), max(map(len, grams), default=1)), dtype=np.int32)
    for row_K, numbers in zip(grams_UK, grams, strict=False):  # no unknown token still needs one row
        row_K[: len(numbers)] = numbers
    return ids_BT, lengths_B, grams_UK


def open_session(model: bytes) -> ort.InferenceSession:
    """Return a session on the bytes of `model.onnx`; not to be called from two threads at once.

    One thread, no spinning: a second thread gains nothing on one ticket and spinning makes p99 3 to 10 times worse.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # it plans memory per shape, and every batch has another shape
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, batch: tuple[Ints, Ints, Ints], num_words: int, num_rows: int) -> Floats:
    """Return probabilities_BC of one padded batch.

    The limits are asserted because the runtime does not hold them: B = 0 ends the process, a length of 0 gives NaN, an
    id of -1 reads the last row.

    Args:
        session: from `open_session`.
        batch: from `pad`.
        num_words: V.
        num_rows: rows of the n-gram table, the padding row included.
    """
    ids_BT, lengths_B, grams_UK = batch
    b, t = ids_BT.shape
    u, k = grams_UK.shape
    assert 1 <= b * t <= MAX_RUN_TOKENS, f"a run of {b} x {t} tokens; this is our bug"
    assert 1 <= lengths_B.min() <= lengths_B.max() <= t, "a length outside 1..T; this is our bug"
    assert 0 <= ids_BT.min() <= ids_BT.max() < num_words + u, "an id outside its table; this is our bug"
    assert 1 <= u * k <= u * MAX_NGRAMS, "an n-gram list outside 1..24; this is our bug"
    assert 0 <= grams_UK.min() <= grams_UK.max() < num_rows, "an n-gram outside its table; this is our bug"
    (probabilities_BC,) = session.run(None, {"ids": ids_BT, "lengths": lengths_B, "grams": grams_UK})
    return np.asarray(probabilities_BC, dtype=np.float32)


class Model:
    """A loaded, verified, warm version. Holds a session; safe to call from several threads."""

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes]) -> None:
        """Open the session and replay the golden rows, which is warm-up, parity check and readiness gate in one.

        Args:
            manifest: of the version.
            files: name -> the very bytes whose hashes were checked.
        Raises:
            ArtifactRefused: the files do not fit each other, or a golden row comes out differently.
        """
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self.kind = kind_named(manifest.neural_network_type)
        where = f"{self.name} version {self.version}"
        if manifest.encoding != encoding(manifest.encoding.num_words, manifest.encoding.ngram_buckets):
            raise ArtifactRefused(f"{where} was encoded by other rules than this program's; train it again")
        try:
            self.labels = msgspec.json.decode(files["labels.json"], type=list[str])
            rows = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
            golden = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
            self.vocabulary = Vocabulary(rows, manifest.encoding.ngram_buckets)
            self._session = open_session(files["model.onnx"])
            self._replay(golden, where)
        except (msgspec.DecodeError, ValueError, RecursionError, RuntimeError, EmptyTicket, InvalidText) as error:
            raise ArtifactRefused(f"{where} cannot be loaded: {error}") from error
        except Exception as error:
            # ORT's own errors derive from Exception directly and are not exported by name.
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise ArtifactRefused(f"{where}: onnxruntime refuses model.onnx: {error}") from error

    def _replay(self, golden: Sequence[GoldenRow], where: str) -> None:
        if len(self.vocabulary) != self.manifest.encoding.num_words:
            raise ArtifactRefused(f"{where}: vocab.json has another number of words than the manifest")
        answers = self._session.get_outputs()[0].shape  # ["B", C]
        if answers[-1:] != [len(self.labels)]:
            raise ArtifactRefused(
                f"{where}: labels.json has {len(self.labels)} categories, the graph answers {answers}"
            )
        if not golden:
            raise ArtifactRefused(f"{where}: golden.json is empty, nothing proves what the model answers")
        encoded = [self.vocabulary.encode(row.tokens) for row in golden]
        for number, (row, ticket) in enumerate(zip(golden, encoded, strict=True)):
            if (ticket.ids, ticket.grams) != (row.ids, row.grams):
                raise ArtifactRefused(f"{where}: golden row {number} is read as other ids than at export")
        found_NC = self.probabilities(encoded)
        expected_NC = np.array([row.probabilities for row in golden], dtype=np.float32)
        if found_NC.shape != expected_NC.shape:
            raise ArtifactRefused(f"{where}: golden.json has another number of categories than the graph")
        difference = float(np.abs(found_NC - expected_NC).max())
        if not difference <= GOLDEN_TOLERANCE:  # written so that NaN is refused too
            raise ArtifactRefused(f"{where}: golden rows differ by {difference:.2g}, limit is {GOLDEN_TOLERANCE}")

    def encode(self, content: Sequence[str] | str) -> Encoded:
        """Return a ticket's ids; see `Vocabulary.encode`."""
        return self.vocabulary.encode(content)

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`, each summing to 1.

        Runs in chunks of at most 8 tickets of like length, because a run costs its longest ticket.
        """
        order = sorted(range(len(tickets)), key=lambda i: len(tickets[i].ids))
        found_NC = np.empty((len(tickets), len(self.labels)), dtype=np.float32)
        for start in range(0, len(order), CHUNK_TICKETS):
            chosen = order[start : start + CHUNK_TICKETS]
            batch = pad([tickets[i] for i in chosen], len(self.vocabulary))
            found_NC[chosen] = run(self._session, batch, len(self.vocabulary), self.vocabulary.num_buckets + 1)
        return found_NC

    def predict(self, tickets: Sequence[Encoded]) -> list[Prediction]:
        """Return the answer to each ticket, in order."""
        found_NC = self.probabilities(tickets)
        best_N = found_NC.argmax(axis=1)
        return [
            Prediction(self.labels[best], float(row_C[best]), ticket.unknown, ticket.num_truncated)
            for row_C, best, ticket in zip(found_NC, best_N.tolist(), tickets, strict=True)
        ]

    def measure(self, rows: Sequence[Ticket], tickets: Sequence[Encoded]) -> Metrics:
        """Return the metrics on labelled rows and their encoded tickets, at least one."""
        answers = self.predict(tickets)
        return measure(
            self.labels,
            [row.expected for row in rows],
            [answer.category for answer in answers],
            [answer.confidence for answer in answers],
            [row.id for row in rows],
        )

    def evaluate(self, rows: Sequence[Ticket], tickets: Sequence[Encoded]) -> Evaluation:
        """Return the metrics with the name and the version that they are of."""
        metrics = msgspec.structs.asdict(self.measure(rows, tickets))
        return Evaluation(model_name=self.name, version=self.version, **metrics)


def encoding(num_words: int, ngram_buckets: int) -> Encoding:
    """Return the rules of text -> ids that this program implements, for a manifest."""
    return Encoding(num_words, ngram_buckets, list(NGRAM_SIZES), MAX_NGRAMS, MAX_TOKENS, MAX_TOKEN_CHARACTERS)
