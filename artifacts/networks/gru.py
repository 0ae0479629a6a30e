"""The kind GRU on the serving side: its records on disk, and a version's verified bytes as a model that answers.

In: ids of tickets (vocabulary.py). Out: a probability per category. What it leaves to others: the session and the
checks that all kinds share (runtime.py), how the network is trained (trainer/gru/fit.py).
"""

# Axes: B tickets in a run, T tokens (padded), U unknown tokens of the run, K n-grams of a token, C categories.

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.errors import ArtifactRefused, NotFinite
from artifacts.evaluation.abstain import Abstention, CategoryCoverage, OutOfScope, why_not
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.evaluation.similar_words import Spellings
from artifacts.networks.manifest import Manifest, Report, Sha256, Tensor
from artifacts.networks.runtime import Model, Session, open_session
from artifacts.text.tickets import MAX_TOP_K, Guess, Prediction, RankedPrediction, Ticket
from artifacts.text.tokens import MAX_NGRAMS, MAX_TOKEN_CHARACTERS, NGRAM_SIZES, TEXT_RULES
from artifacts.text.vocabulary import MAX_TOKENS, PAD, Encoded, Vocabulary

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

CHUNK_TICKETS = 8  # 4 to 8 of like length is cheapest: a run costs its longest ticket (shared notes of 2026-11)
MAX_RUN_TOKENS = CHUNK_TICKETS * MAX_TOKENS  # B x T of one run; bounds its memory
# B x T of a run of several tickets, and U: 8 of 512 tokens would gain 8 % over 2, and take 34 MB if no word of them is
# known, which the runtime keeps for ever.
RUN_TOKENS, RUN_UNKNOWN = 1024, MAX_TOKENS
MEASURED_TICKETS = 4096  # of which the probabilities are kept at once: of 150 categories 2.5 MB, however long a test is
GOLDEN_TOLERANCE = 1e-4  # processors round differently; real bugs move probabilities by 3e-4 and more

TENSORS = [
    Tensor("ids", "int32", ["B", "T"]),
    Tensor("lengths", "int32", ["B"]),
    Tensor("grams", "int32", ["U", "K"]),
    Tensor("probabilities", "float32", ["B", "C"]),
]


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What text -> ids needs beside the vocabulary; the loader refuses numbers that its code does not implement."""

    num_words: int
    ngram_buckets: Annotated[int, msgspec.Meta(ge=1)]
    ngram_sizes: list[int]
    max_ngrams: int
    max_tokens: int
    max_token_characters: int
    text_rules: int = 1  # 1 made every number <NUM>


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fingerprint of the training data, and what was found in it; never a ticket.

    Attributes:
        num_unlabelled: tickets without a category that were there to learn from.
        num_taken: of these, how many the experts were sure enough of.
        num_vectors: words with a pretrained vector.
    """

    sha256: Sha256  # of the normalised rows, in their order
    num_tickets: int
    num_train: int
    num_validation: int
    num_categories: int
    num_duplicates: int
    num_conflicts: int
    num_unlabelled: int = 0
    num_taken: int = 0
    num_vectors: int = 0


class Trials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a search for settings came to: trials, and the loss of the tickets kept out under the first and the best."""

    num_trials: int
    loss_before: float | None
    loss_after: float | None


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How logits became probabilities, and the validation loss before and after the temperature (nats a ticket).

    Attributes:
        temperature: that the logits were divided by.
        linear_share: of the linear part that was fitted by itself, in the logits; the rest is the GRU's.
    """

    temperature: float
    loss_before: float | None
    loss_after: float | None
    linear_share: float = 0.0


class GruManifest(Manifest, frozen=True, kw_only=True):
    """`manifest.json` of a GRU."""

    encoding: Encoding
    data: Data
    calibration: Calibration
    abstain: Abstention | None = None  # older versions, and those of too few tickets, have none


class GoldenRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up ticket with what must come out of it on any machine (probabilities within 1e-4)."""

    tokens: list[str]
    ids: list[int]
    grams: list[list[int]]
    probabilities: list[float]


class GruReport(Report, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`report.json` of a GRU."""

    validation: Metrics | None
    linear_validation: Metrics | None = None  # the linear part alone: what a team would have without the GRU
    gru_validation: Metrics | None = None  # the GRU alone
    search: Trials | None = None  # if there was a time to keep to
    # Rows: true category, columns: predicted, in the order of labels.json.
    confusion_matrix: list[list[int]] | None = None
    coverage: dict[str, CategoryCoverage] | None = None  # of each category, what `abstain` of the manifest routes
    out_of_scope: OutOfScope | None = None


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
        num_before = len(grams)
        if ticket.grams and num_before:
            rows.append([number + num_before if number >= num_words else number for number in ticket.ids])
        else:
            rows.append(ticket.ids)
        grams += ticket.grams
    lengths = list(map(len, rows))
    # An array is made of the rows at once: filling one row by row took 20 us of a single ticket's 190.
    return _matrix(rows), np.array(lengths, dtype=np.int32), _matrix(grams or [[0]])  # no unknown token: still one row


def _matrix(rows: Sequence[list[int]]) -> Ints:
    """Return rows as one matrix, short ones filled with 0, which is PAD, on the right."""
    width = max(map(len, rows))
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
    (probabilities_BC,) = session.run(None, {"ids": ids_BT, "lengths": lengths_B, "grams": grams_UK})
    return np.asarray(probabilities_BC, dtype=np.float32)


def _largest(numbers: Ints) -> int:
    """Return the largest of some numbers; one below 0 counts as 2**31 or more, so one look sees both ends."""
    return int(np.maximum.reduce(numbers.view(np.uint32), axis=None))


class GruModel(Model[Encoded]):
    """A loaded GRU over its vocabulary."""

    manifest: GruManifest

    def load(self, files: Mapping[str, bytes]) -> None:
        """Decode vocabulary and labels and open the session; see `Model.load`."""
        rules = self.manifest.encoding
        if rules != encoding(rules.num_words, rules.ngram_buckets):
            raise ArtifactRefused(f"{self.where} was encoded by other rules than this program's; train it again")
        self.labels = msgspec.json.decode(files["labels.json"], type=list[str])
        self.vocabulary = Vocabulary(msgspec.json.decode(files["vocab.json"], type=dict[str, int]), rules.ngram_buckets)
        self.spellings = Spellings(self.vocabulary)
        self._session = open_session(files["model.onnx"])
        self.abstention = self.manifest.abstain
        self.ranker = Ranker(self)
        if len(self.vocabulary) != rules.num_words:
            raise ArtifactRefused(f"{self.where}: vocab.json has another number of words than the manifest")
        answers = self._session.get_outputs()[0].shape  # ["B", C]
        if answers[-1:] != [len(self.labels)]:
            raise ArtifactRefused(
                f"{self.where}: labels.json has {len(self.labels)} categories, the graph answers {answers}"
            )

    def replay(self, golden: bytes) -> None:
        """Compare ids exactly and probabilities within 1e-4; see `Model.replay`."""
        rows = msgspec.json.decode(golden, type=list[GoldenRow])
        if not rows:
            raise ArtifactRefused(f"{self.where}: golden.json is empty, nothing proves what the model answers")
        encoded = [self.vocabulary.encode(row.tokens) for row in rows]
        for number, (row, ticket) in enumerate(zip(rows, encoded, strict=True)):
            if (ticket.ids, ticket.grams) != (row.ids, row.grams):
                raise ArtifactRefused(f"{self.where}: golden row {number} is read as other ids than at export")
        found_NC = self.probabilities(encoded)
        expected_NC = np.array([row.probabilities for row in rows], dtype=np.float32)
        if found_NC.shape != expected_NC.shape:
            raise ArtifactRefused(f"{self.where}: golden.json has another number of categories than the graph")
        difference = float(np.abs(found_NC - expected_NC).max())
        if not difference <= GOLDEN_TOLERANCE:  # written so that NaN is refused too
            raise ArtifactRefused(f"{self.where}: golden rows differ by {difference:.2g}, limit is {GOLDEN_TOLERANCE}")
        self._warm()

    def _warm(self) -> None:
        """Run the largest shapes once, so that the runtime takes its memory now and not under load."""
        num_words = len(self.vocabulary)
        unknown = Encoded([*range(num_words, num_words + MAX_TOKENS)], [], [[1] * MAX_NGRAMS] * MAX_TOKENS, 0)
        self.probabilities([Encoded([PAD + 1] * (RUN_TOKENS // CHUNK_TICKETS), [], [], 0)] * CHUNK_TICKETS)
        self.probabilities([unknown])

    def encode(self, content: Sequence[str] | str) -> Encoded:
        """Return a ticket's ids; see `Vocabulary.encode`."""
        return self.vocabulary.encode(content)

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`, each summing to 1.

        Runs in chunks of like length, because a run costs its longest ticket: of at most 8 tickets, 1,024 tokens and
        512 unknown ones.
        """
        if not tickets:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        if len(tickets) == 1:
            return self._run(tickets)
        order = sorted(range(len(tickets)), key=lambda i: len(tickets[i].ids))
        runs = []
        lengths = [len(tickets[i].ids) for i in order]
        end = 0
        while end < len(order):
            start, end = end, end + 1
            num_unknown = len(tickets[order[start]].grams)
            while end < min(len(order), start + CHUNK_TICKETS) and (end + 1 - start) * lengths[end] <= RUN_TOKENS:
                num_unknown += len(tickets[order[end]].grams)
                if num_unknown > RUN_UNKNOWN:
                    break
                end += 1
            runs.append(self._run([tickets[i] for i in order[start:end]]))
        found_NC = np.empty((len(tickets), len(self.labels)), dtype=np.float32)
        found_NC[order] = np.concatenate(runs)  # once, and not run by run, which took 2 us each
        return found_NC

    def _run(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC of 1 to 8 tickets in their order, in one run."""
        num_words = len(self.vocabulary)
        return run(self._session, pad(tickets, num_words), num_words, self.vocabulary.num_buckets + 1)

    def cost(self, encoded: Encoded) -> int:
        """Return the ticket's length."""
        return len(encoded.ids)

    def predict(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Return the answer to each ticket, in order; see `Model.predict`."""
        found_NC = self.probabilities(encoded)
        labels = self.labels
        best = found_NC.argmax(axis=1).tolist()
        return [
            Prediction(labels[label], probability, ticket.unknown, ticket.num_truncated)
            for label, probability, ticket in zip(best, self._highest(found_NC), encoded, strict=True)
        ]

    def _highest(self, found_NC: Floats) -> list[float]:
        """Return each ticket's highest probability.

        Raises:
            NotFinite: a probability is no finite number.
        """
        highest: list[float] = found_NC.max(axis=1).tolist()  # NaN wherever a row holds one
        if not all(map(math.isfinite, highest)):
            raise NotFinite(f"{self.where} answers with a probability that is no finite number; train it again")
        return highest

    def measure(self, rows: Sequence[Ticket], encoded: Sequence[Encoded]) -> Metrics:
        """Return the metrics on labelled rows and their encoded tickets, at least one."""
        rule, num_words = self.abstention, len(self.vocabulary)
        return measure(
            self.labels,
            [row.expected for row in rows],
            self._blocks(encoded),
            [row.id for row in rows],
            rule,
            [ticket.unknown_share(num_words) for ticket in encoded] if rule is not None else (),
        )

    def _blocks(self, encoded: Sequence[Encoded]) -> Iterator[Floats]:
        """Give the probabilities of many tickets, some thousand at a time."""
        for start in range(0, len(encoded), MEASURED_TICKETS):
            found_NC = self.probabilities(encoded[start : start + MEASURED_TICKETS])
            self._highest(found_NC)
            yield found_NC

    def evaluate(self, rows: Sequence[Ticket], encoded: Sequence[Encoded]) -> Metrics:
        """Return the metrics with the name and the version that they are of."""
        return msgspec.structs.replace(self.measure(rows, encoded), model_name=self.name, version=self.version)


class Ranker:
    """A GRU as what names its next best categories too, and says whether it is sure enough of the first.

    Another object than the model, so that plain searches do not pay for what it does. It does not keep its model alive:
    the two would keep each other, and a version that was replaced would stay in memory. Whoever asks holds the model.
    """

    def __init__(self, model: GruModel) -> None:
        self._model = weakref.ref(model)
        self.name, self.version, self.manifest = model.name, model.version, model.manifest

    def cost(self, encoded: Encoded) -> int:
        """Return the ticket's length."""
        return len(encoded.ids)

    def predict(self, encoded: Sequence[Encoded]) -> list[RankedPrediction]:
        """Return the answer to each ticket, in order: a category, the 20 best, and why not if it is not sure enough.

        Raises:
            NotFinite: as `Model.predict`.
        """
        model = self._model()
        assert model is not None, "whoever asks a ranker holds its model; this is our bug"
        found_NC = model.probabilities(encoded)
        if not np.isfinite(found_NC).all():
            raise NotFinite(f"{model.where} answers with a probability that is no finite number; train it again")
        num_words, rule = len(model.vocabulary), model.abstention
        order_NK = np.argsort(-found_NC, axis=1, kind="stable")[:, :MAX_TOP_K]  # stable: equal ones as argmax has them
        answers = []
        for row_C, order_K, ticket in zip(found_NC, order_NK, encoded, strict=True):
            best = [Guess(model.labels[label], float(row_C[label])) for label in order_K.tolist()]
            first, second = best[0].confidence, best[1].confidence
            answers.append(
                RankedPrediction(
                    category=best[0].category,
                    confidence=first,
                    unknown_tokens=ticket.unknown,
                    num_truncated_tokens=ticket.num_truncated,
                    reason=why_not(rule, first, second, ticket.unknown_share(num_words)) if rule is not None else None,
                    best=best,
                )
            )
        return answers


def encoding(num_words: int, ngram_buckets: int) -> Encoding:
    """Return the rules of text -> ids that this program implements, for a manifest."""
    return Encoding(
        num_words, ngram_buckets, list(NGRAM_SIZES), MAX_NGRAMS, MAX_TOKENS, MAX_TOKEN_CHARACTERS, TEXT_RULES
    )
