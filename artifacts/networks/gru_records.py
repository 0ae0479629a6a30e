"""What a version of the kind GRU keeps on disk beside its weights: `manifest.json`, `report.json`, `golden.json`.

In: what a training found. Out: Structs that msgspec writes and reads. `manifest.py` has what all kinds share.
"""

from typing import Annotated

import msgspec

from artifacts.errors import ArtifactRefused
from artifacts.evaluation.abstain import Abstention, CategoryCoverage, OutOfScope
from artifacts.evaluation.metrics import Metrics
from artifacts.networks.manifest import Manifest, Report, Sha256, Tensor
from artifacts.text.tokens import MAX_NGRAMS, MAX_TOKEN_CHARACTERS, MAX_TOKENS, NEWEST, RULES, Rules

SHORTEST_MARKED = 3  # characters of the shortest word between its marks, "<a>"

TENSORS = [
    Tensor("ids", "int32", ["B", "T"]),
    Tensor("lengths", "int32", ["B"]),
    Tensor("grams", "int32", ["U", "K"]),
    Tensor("probabilities", "float32", ["B", "C"]),
]


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What text -> ids needs beside the vocabulary; see `rules_of`."""

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
        num_forbidden: distinct words of the tickets that were kept out of the vocabulary (setting `forbid`).
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
    num_forbidden: int = 0


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

    @property
    def key_rules(self) -> int:
        """See `Manifest.key_rules`; tickets are keyed by the text rules of their training."""
        return self.encoding.text_rules


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
    # Rows: true category, columns: predicted, in the order of labels.json. Of over 500 categories there is none; the
    # cells that are not 0 stand in `validation`.
    confusion_matrix: list[list[int]] | None = None
    coverage: dict[str, CategoryCoverage] | None = None  # of each category, what `abstain` of the manifest routes
    out_of_scope: OutOfScope | None = None


def encoding(num_words: int, ngram_buckets: int) -> Encoding:
    """Return the rules of text -> ids that this program implements, for a manifest."""
    return Encoding(
        num_words=num_words,
        ngram_buckets=ngram_buckets,
        ngram_sizes=list(NEWEST.ngram_sizes),
        max_ngrams=NEWEST.max_ngrams,
        max_tokens=NEWEST.max_tokens,
        max_token_characters=NEWEST.max_token_characters,
        text_rules=NEWEST.number,
    )


def rules_of(encoding: Encoding, where: str) -> Rules:
    """Return the rules by which a version reads its tickets.

    Sizes and limits are the version's own. They may be below this program's, which bound the memory of a run.

    Args:
        encoding: of the version.
        where: the version, for the message.
    Raises:
        ArtifactRefused: this program cannot read by them, saying which, what was found and what it reads.
    """
    if encoding.text_rules not in RULES:
        raise ArtifactRefused("unknown-text-rules", model=where, found=encoding.text_rules, known=list(RULES))
    limits = {"max_ngrams": MAX_NGRAMS, "max_tokens": MAX_TOKENS, "max_token_characters": MAX_TOKEN_CHARACTERS}
    for field, limit in limits.items():
        if not 1 <= (found := getattr(encoding, field)) <= limit:
            raise ArtifactRefused("limit-of-text-out-of-range", model=where, field=field, found=found, limit=limit)
    # A word of one letter is three characters with its marks, and has to have a piece: the mean of none is NaN.
    if not 1 <= min(encoding.ngram_sizes, default=0) <= SHORTEST_MARKED:
        raise ArtifactRefused(
            "ngram-sizes-out-of-range", model=where, found=str(encoding.ngram_sizes), limit=SHORTEST_MARKED
        )
    return RULES[encoding.text_rules]._replace(
        ngram_sizes=tuple(encoding.ngram_sizes),
        max_ngrams=encoding.max_ngrams,
        max_tokens=encoding.max_tokens,
        max_token_characters=encoding.max_token_characters,
    )
