"""The records on disk, as Structs. `artifacts/README.md` is their specification in words.

Every JSON record of the store carries the SHA-256 of its own bytes (`seal`), so that a damaged record is noticed just
as a damaged weight is.
"""

import hashlib
from typing import Annotated, TypeVar

import msgspec

from artifacts.errors import ArtifactRefused
from artifacts.metrics import Metrics

FORMAT = 1
ZERO_SHA256 = "0" * 64
MANIFEST = "manifest.json"

# \Z and not $, which also matches before a last line feed.
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
ModelName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that carries the SHA-256 of its own file; see `seal`."""

    sha256: Sha256 = ZERO_SHA256


class ModelRecord(Sealed, frozen=True, kw_only=True):
    """`model.json`: a model that was created, trained or not."""

    name: ModelName
    neural_network_type: str
    created: str  # RFC 3339, UTC
    highest_version: int = 0  # ever used; numbers are never given twice


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the history of what served."""

    version: int
    since: str  # RFC 3339, UTC; only to show, order goes by position


class Current(Sealed, frozen=True, kw_only=True):
    """`current`: which version serves, and what served before it (oldest first, the serving one last)."""

    version: int
    history: list[Served]


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and hash of one file of a version."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    sha256: Sha256


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output of the graph; axes are the letters of the shape legend, such as ["B", "T"]."""

    name: str
    dtype: str
    axes: list[str]


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What text -> ids needs beside the vocabulary; the loader refuses numbers that its code does not implement."""

    num_words: int
    ngram_buckets: Annotated[int, msgspec.Meta(ge=1)]
    ngram_sizes: list[int]
    max_ngrams: int
    max_tokens: int
    max_token_characters: int


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fingerprint of the training data, and what was found in it; never a ticket."""

    sha256: Sha256  # of the normalised rows, in their order
    num_tickets: int
    num_train: int
    num_validation: int
    num_categories: int
    num_duplicates: int
    num_conflicts: int


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The temperature that the logits were divided by, and the validation loss before and after (nats a ticket)."""

    temperature: float
    loss_before: float | None
    loss_after: float | None


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that the graph answers as PyTorch did, at export."""

    max_difference: float
    tolerance: float
    num_batches: int
    num_tickets: int
    weight_scale: float


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Validation metrics in short; `report.json` has them in full. None: too few tickets to keep some out."""

    accuracy: float | None
    macro_f1: float | None
    num_tickets: int


class Manifest(Sealed, frozen=True, kw_only=True):
    """`manifest.json`: what a version is, and what its files must be."""

    format: int = FORMAT
    neural_network_type: str
    name: ModelName
    version: Annotated[int, msgspec.Meta(ge=1)]
    created: str  # RFC 3339, UTC
    job: str | None  # the training job that made it; None: `puppet-train fit`
    tensors: list[Tensor]
    files: dict[str, FileRecord]
    encoding: Encoding
    training: dict[str, str | int | float | bool]  # the TrainConfig of that trainer; for people, no code reads it
    libraries: dict[str, str]
    seconds: float  # the training took
    data: Data
    validation: Summary
    calibration: Calibration
    parity: Parity


class GoldenRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up ticket with what must come out of it on any machine (probabilities within 1e-4)."""

    tokens: list[str]
    ids: list[int]
    grams: list[list[int]]
    probabilities: list[float]


class Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pass over the training tickets."""

    epoch: int
    loss: float  # training, smoothed labels, nats a ticket
    validation_loss: float | None
    validation_accuracy: float | None
    tickets_per_s: float


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`report.json`: how the training went and what the model does on validation tickets."""

    epochs: list[Epoch]
    best_epoch: int
    num_parameters: int
    seconds: float
    validation: Metrics | None
    confusion_matrix: list[list[int]] | None  # rows: true category, columns: predicted, in the order of labels.json


S = TypeVar("S", bound=Sealed)


def seal(record: Sealed) -> bytes:
    """Return the record's file: JSON whose field `sha256` is the SHA-256 of the file with 64 zeros in that place."""
    blank = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(record, sha256=ZERO_SHA256)), indent=1)
    return blank.replace(ZERO_SHA256.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def unseal(raw: bytes, type_: type[S], what: str) -> S:
    """Return the record in a sealed file.

    Raises:
        ArtifactRefused: the bytes are not what `seal` wrote, or not a `type_`.
    """
    try:
        record = msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactRefused(f"{what} cannot be read: {error}") from error
    found = hashlib.sha256(raw.replace(record.sha256.encode(), ZERO_SHA256.encode(), 1)).hexdigest()
    if found != record.sha256:
        raise ArtifactRefused(f"{what} is damaged: SHA-256 is {found}, the file says {record.sha256}")
    return record
