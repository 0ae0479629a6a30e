"""The kind GRU on the serving side: a version's verified bytes as a model that answers.

In: ids of tickets (vocabulary.py). Out: a probability per category. What it leaves to others: the session and the
checks that all kinds share (runtime.py), the records on disk (gru_records.py), the next best categories (ranking/),
the kernel that may answer in place of onnxruntime (engines/), how the network is trained (trainer/gru/fit.py).
"""

# Axes: B tickets in a run, T tokens (padded), U unknown tokens of the run, K n-grams of a token, C categories.

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from artifacts.arrays import Floats, Ints
from artifacts.errors import ArtifactRefused, NotFinite
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.evaluation.similar_words import Spellings
from artifacts.networks.engines import fused
from artifacts.networks.engines.build import EngineChoice, EngineName
from artifacts.networks.engines.engine import Engine, EngineRefused, invented, prove
from artifacts.networks.gru_records import GoldenRow, GruManifest, rules_of
from artifacts.networks.ranking.ranker import Ranker
from artifacts.networks.runtime import Model, Session, open_session
from artifacts.system.processes import give_memory_back
from artifacts.text.tickets import Prediction, Ticket
from artifacts.text.tokens import MAX_NGRAMS, MAX_TOKENS
from artifacts.text.vocabulary import PAD, Encoded, Vocabulary

CHUNK_TICKETS = 8  # 4 to 8 of like length is cheapest: a run costs its longest ticket (shared notes of 2026-11)
MAX_RUN_TOKENS = CHUNK_TICKETS * MAX_TOKENS  # B x T of one run; bounds its memory
# B x T of a run of several tickets, and U: 8 of 512 tokens would gain 8 % over 2, and take 34 MB if no word of them is
# known, which the runtime keeps for ever.
RUN_TOKENS, RUN_UNKNOWN = 1024, MAX_TOKENS
MEASURED_TICKETS = 4096  # of which the probabilities are kept at once: of 150 categories 2.5 MB, however long a test is
GOLDEN_TOLERANCE = 1e-4  # processors round differently; real bugs move probabilities by 3e-4 and more

log = logging.getLogger("puppet")


def pad(tickets: Sequence[Encoded], num_words: int) -> tuple[Ints, Ints, Ints]:
    """Return the tickets as one batch: ids_BT filled with PAD on the right, lengths_B, grams_UK filled with 0.

    A ticket counts its unknown tokens from V; in a batch they are counted on, in ticket order.

    Args:
        tickets: at least one, each of at least one id.
        num_words: V.
    """
    rows: list[list[int]] = []
    grams: list[list[int]] = []
    for ticket in tickets:
        # Alone, a ticket's first unknown token is row 0 of its own n-grams; here others have put their rows before it.
        num_before = len(grams)
        if ticket.grams and num_before:
            rows.append([number + num_before if number >= num_words else number for number in ticket.ids])
        else:
            rows.append(ticket.ids)  # nothing to shift, so no copy either
        grams += ticket.grams
    lengths = list(map(len, rows))
    # An array is made of the rows at once: filling one row by row took 20 us of a single ticket's 190.
    return _matrix(rows), np.array(lengths, dtype=np.int32), _matrix(grams or [[0]])  # no unknown token: still one row


def _matrix(rows: Sequence[list[int]]) -> Ints:
    """Return rows as one matrix, short ones filled with 0, which is PAD, on the right."""
    width = max(map(len, rows))  # and no wider: each column of padding would be a step of the GRU for every ticket
    return np.array([row + [PAD] * (width - len(row)) for row in rows], dtype=np.int32)


def run(session: Session, batch: tuple[Ints, Ints, Ints], num_words: int, num_rows: int) -> Floats:
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
    assert _largest(lengths_B - 1) < t, "a length outside 1..T; this is our bug"
    assert _largest(ids_BT) < num_words + u, "an id outside its table; this is our bug"
    assert 1 <= u * k <= u * MAX_NGRAMS, "an n-gram list outside 1..24; this is our bug"
    assert _largest(grams_UK) < num_rows, "an n-gram outside its table; this is our bug"
    # Lengths go along because the backward GRU must begin at a ticket's own end, not in its padding.
    (probabilities_BC,) = session.run(None, {"ids": ids_BT, "lengths": lengths_B, "grams": grams_UK})
    return np.asarray(probabilities_BC, dtype=np.float32)


def _largest(numbers: Ints) -> int:
    """Return the largest of some numbers; one below 0 counts as 2**31 or more, so one look sees both ends."""
    # A view, so no copy: the same bytes read without a sign. Two's complement makes -1 the largest of all.
    return int(np.maximum.reduce(numbers.view(np.uint32), axis=None))


class OnnxRuntime:
    """onnxruntime as the engine of a version: the default, and what any other is compared with."""

    name: EngineName = "onnxruntime"

    def __init__(self, session: Session, num_words: int, num_rows: int) -> None:
        """Take the session, V, and the rows of the n-gram table, the padding row included."""
        self._session = session
        self._num_words = num_words
        self._num_rows = num_rows

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`, each summing to 1.

        Runs in chunks of like length, because a run costs its longest ticket: of at most 8 tickets, 1,024 tokens and
        512 unknown ones.
        """
        if len(tickets) == 1:  # as most searches are; sorting and copying back would only cost
            return self._run(tickets)
        # Short ones together and long ones together: a run pads all its tickets to the longest.
        order = sorted(range(len(tickets)), key=lambda i: len(tickets[i].ids))
        runs = []
        lengths = [len(tickets[i].ids) for i in order]
        end = 0
        while end < len(order):
            start, end = end, end + 1  # one ticket always fits, whatever its length
            # In ascending order the last ticket is the longest, so its length alone is that of the run.
            num_unknown = len(tickets[order[start]].grams)
            while end < min(len(order), start + CHUNK_TICKETS) and (end + 1 - start) * lengths[end] <= RUN_TOKENS:
                num_unknown += len(tickets[order[end]].grams)
                if num_unknown > RUN_UNKNOWN:
                    break
                end += 1
            runs.append(self._run([tickets[i] for i in order[start:end]]))
        together_NC = np.concatenate(runs)
        found_NC = np.empty_like(together_NC)
        found_NC[order] = together_NC  # once, and not run by run, which took 2 us each
        return found_NC

    def _run(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC of 1 to 8 tickets in their order, in one run."""
        return run(self._session, pad(tickets, self._num_words), self._num_words, self._num_rows)

    def best(self, tickets: Sequence[Encoded]) -> list[tuple[int, float]]:
        """Return the label and the probability of the most probable category of each ticket, in order."""
        found_NC = self.probabilities(tickets)
        # tolist: Python's own ints and floats at once, for NumPy's would be turned one by one when JSON is written. The
        # highest is NaN wherever a row holds one.
        return list(zip(found_NC.argmax(axis=1).tolist(), found_NC.max(axis=1).tolist(), strict=True))


class GruModel(Model[Encoded]):
    """A loaded GRU over its vocabulary."""

    manifest: GruManifest

    def load(self, files: Mapping[str, bytes]) -> None:
        """Decode vocabulary and labels and open the session; see `Model.load`."""
        encoding = self.manifest.encoding
        self.labels = msgspec.json.decode(files["labels.json"], type=list[str])
        rows = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
        # By the rules of its own training, however old: an input is then what the weights have learnt to read.
        self.vocabulary = Vocabulary(rows, encoding.ngram_buckets, rules_of(encoding, self.where))
        self.spellings = Spellings(self.vocabulary)
        session = open_session(files["model.onnx"])
        self.engine: Engine = OnnxRuntime(session, len(self.vocabulary), self.vocabulary.num_buckets + 1)
        self.abstention = self.manifest.abstain
        self.ranker = Ranker(self)
        # The graph's table of words has as many rows as its manifest says; with fewer here, ids would name other words.
        if len(self.vocabulary) != encoding.num_words:
            raise ArtifactRefused(
                "vocabulary-of-another-size",
                model=self.where,
                found=len(self.vocabulary),
                expected=encoding.num_words,
            )
        answers = session.get_outputs()[0].shape  # ["B", C]
        if answers[-1:] != [len(self.labels)]:
            raise ArtifactRefused(
                "labels-of-another-size", model=self.where, num_labels=len(self.labels), graph=str(answers)
            )

    def replay(self, golden: bytes) -> None:
        """Compare ids exactly and probabilities within 1e-4; see `Model.replay`."""
        rows = msgspec.json.decode(golden, type=list[GoldenRow])
        if not rows:
            raise ArtifactRefused("no-golden-rows", model=self.where)
        # Ids exactly, for they are whole numbers: a difference is another reading of the text, never a rounding.
        encoded = [self.vocabulary.encode(row.tokens) for row in rows]
        for number, (row, ticket) in enumerate(zip(rows, encoded, strict=True)):
            if (ticket.ids, ticket.grams) != (row.ids, row.grams):
                raise ArtifactRefused("golden-row-read-otherwise", model=self.where, row=number)
        found_NC = self.probabilities(encoded)
        expected_NC = np.array([row.probabilities for row in rows], dtype=np.float32)
        # Compared first: NumPy would stretch a single category over all of them, and find no difference to speak of.
        if found_NC.shape != expected_NC.shape:
            raise ArtifactRefused("golden-rows-of-another-size", model=self.where)
        difference = float(np.abs(found_NC - expected_NC).max())
        if not difference <= GOLDEN_TOLERANCE:  # written so that NaN is refused too
            raise ArtifactRefused("golden-rows-differ", model=self.where, difference=difference, limit=GOLDEN_TOLERANCE)

    @property
    def engine_name(self) -> EngineName:
        """Which engine answers."""
        return self.engine.name

    def start_engine(self, choice: EngineChoice, files: Mapping[str, bytes]) -> None:
        """Let the kernel answer if it is wanted and proves equal, else onnxruntime; see `Model.start_engine`."""
        # Only after the golden rows: what is compared with must itself be right.
        if choice != "onnxruntime":
            in_python = self.vocabulary.ngrams
            try:
                self.engine = self._proven(files)  # and lets the session go, ...
                give_memory_back()  # ... with all its memory
            except EngineRefused as error:
                self.vocabulary.ngrams = in_python
                log.warning("%s: onnxruntime serves, and not the kernel: %s", self.where, error)
        if self.engine.name == "onnxruntime":
            self._warm()

    def _proven(self, files: Mapping[str, bytes]) -> Engine:
        """Return the kernel with this version's weights, which answers as onnxruntime does.

        Raises:
            EngineRefused: it is not there, or does not.
        """
        if (found := fused.kernel()) is None:
            raise EngineRefused("it is not compiled; run python -m artifacts.networks.engines.build")
        # Its weights are those of the bytes that were hashed, as the session's are; no file is opened again.
        level, library = found
        engine = fused.Fused(files["model.onnx"], library)
        rows = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
        encoding = self.manifest.encoding
        self.vocabulary.ngrams = fused.hasher(library, encoding.ngram_buckets, self.vocabulary.rules)
        # Golden rows are the version's own, read by its vocabulary; the invented ones reach every row of the tables.
        tickets = [self.vocabulary.encode(row.tokens) for row in rows]
        if [ticket.grams for ticket in tickets] != [row.grams for row in rows]:
            raise EngineRefused("it hashes the n-grams of a golden row otherwise")
        tickets += invented(encoding.num_words, encoding.ngram_buckets, encoding.max_tokens, encoding.max_ngrams)
        difference = prove(engine, self.engine, tickets)
        log.info(
            "%s: the kernel for %s answers %d tickets as onnxruntime does (%.1e)",
            *(self.where, level, len(tickets), difference),
        )
        return engine

    def _warm(self) -> None:
        """Run the largest shapes once, so that the runtime takes its memory now and not under load."""
        num_words = len(self.vocabulary)
        # The two largest: many tickets side by side, and one in which no word is known, each with all its n-grams.
        unknown = Encoded([*range(num_words, num_words + MAX_TOKENS)], [], [[1] * MAX_NGRAMS] * MAX_TOKENS, 0)
        self.probabilities([Encoded([PAD + 1] * (RUN_TOKENS // CHUNK_TICKETS), [], [], 0)] * CHUNK_TICKETS)
        self.probabilities([unknown])

    def encode(self, content: Sequence[str] | str) -> Encoded:
        """Return a ticket's ids; see `Vocabulary.encode`."""
        return self.vocabulary.encode(content)

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`, each summing to 1."""
        if not tickets:  # onnxruntime ends the process at an empty batch
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return self.engine.probabilities(tickets)

    def cost(self, encoded: Encoded) -> int:
        """Return the ticket's length."""
        return len(encoded.ids)

    def predict(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Return the answer to each ticket, in order; see `Model.predict`."""
        if not encoded:
            return []
        labels = self.labels
        return [
            Prediction(labels[label], self._finite(probability), ticket.unknown, ticket.num_truncated)
            for (label, probability), ticket in zip(self.engine.best(encoded), encoded, strict=True)
        ]

    def _finite(self, probability: float) -> float:
        """Return a probability.

        Raises:
            NotFinite: it is no finite number.
        """
        if not math.isfinite(probability):
            raise NotFinite("answer-not-finite", model=self.where)
        return probability

    def measure(self, rows: Sequence[Ticket], encoded: Sequence[Encoded]) -> Metrics:
        """Return the metrics on labelled rows and their encoded tickets, at least one.

        Rows without a token come last and have no encoded ticket; each counts as an error.
        """
        rule, num_words = self.abstention, len(self.vocabulary)
        return measure(
            self.labels,
            [row.expected for row in rows],
            self._blocks(encoded),
            [row.id for row in rows],
            rule,
            [ticket.unknown_share(num_words) for ticket in encoded] if rule is not None else (),
            len(rows) - len(encoded),
        )

    def _blocks(self, encoded: Sequence[Encoded]) -> Iterator[Floats]:
        """Give the probabilities of many tickets, some thousand at a time."""
        for start in range(0, len(encoded), MEASURED_TICKETS):
            found_NC = self.probabilities(encoded[start : start + MEASURED_TICKETS])
            self._finite(float(found_NC.sum()))  # metrics of NaN would look like a bad model, and not like a broken one
            yield found_NC

    def evaluate(self, rows: Sequence[Ticket], encoded: Sequence[Encoded]) -> Metrics:
        """Return the metrics with the name and the version that they are of."""
        return msgspec.structs.replace(self.measure(rows, encoded), model_name=self.name, version=self.version)
