"""The records on disk, as Structs. `artifacts/README.md` is their specification in words.

Every JSON record of the store carries the SHA-256 of its own bytes (`seal`), so that a damaged record is noticed just
as a damaged weight is.
"""

import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec

from artifacts.errors import ArtifactRefused
from artifacts.evaluation.profile import Profile
from artifacts.schemas import NAME_PATTERN, Summary

FORMAT = 1
ZERO_SHA256 = "0" * 64
MANIFEST = "manifest.json"
# Of a version whose `labels_follow_text` is False.
NO_SIGNAL = "the categories do not follow from the text, so its answers are about chance; see puppet-train inspect"

# Not $ alone, which also matches before a last line feed. A request's name is shown in the OpenAPI document, whose
# patterns are those of ECMAScript and have no \Z: there it is the letter Z, and a client's generated check refuses all.
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
ModelName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^{NAME_PATTERN}$(?!\n)",
        extra={"problem": "invalid-model-name-field"},
    ),
]


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that carries the SHA-256 of its own file; see `seal`."""

    sha256: Sha256 = ZERO_SHA256


class ModelRecord(Sealed, frozen=True, kw_only=True):
    """`model.json`: a model that was created, trained or not."""

    name: ModelName
    neural_network_type: str
    created: str  # RFC 3339, UTC
    highest_version: int = 0  # ever used; numbers are never given twice


class DeletedRecord(Sealed, frozen=True, kw_only=True):
    """`.deleted/NAME.json`: what outlives a model that was deleted."""

    name: ModelName
    highest_version: int  # ever used; a model that is created again under the name goes on from here


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of the history of what served."""

    version: int
    since: str  # RFC 3339, UTC; only to show, order goes by position
    rollback: bool = False  # it came back by a rollback, which takes back the entries after its earlier one


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
    axes: list[str | int]  # a number where the size is fixed


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that the graph answers as PyTorch did, at export."""

    max_difference: float
    tolerance: float
    num_batches: int
    num_tickets: int
    weight_scale: float


MeasuredOn = Literal["test_data", "validation", "nothing"]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row that two versions answer differently; `row` counts from 0 in the order given, its text is not kept."""

    row: int
    expected: str | float
    old: str | float
    new: str | float


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a version is better than another one; `trainer/selection/compare.py` says how that is found out.

    Attributes:
        against: the other version.
        measured_on: the labelled rows that were sent for it; or those that were kept out of training.
        num_rows: clean rows, which neither version has learnt from: what follows is of them, if it says nothing else.
        num_left_out: rows that are not clean. Older versions were compared on these too where they were test data.
        num_seen_old, num_seen_new: of all rows, those that this version was trained on; None: unknown.
        old, new: the metrics of each.
        old_left_out, new_left_out: the metrics of each on the rows that are not clean.
        num_better, num_worse: rows that the new version answers better, or worse.
        p_value: how probable so many better ones are, or more, if neither version is better.
        num_changes: rows that are answered differently.
        changes: the first 1000 of them.
        is_better: the verdict.
        detail: the verdict and its reason, in words.
    """

    against: int
    measured_on: MeasuredOn
    num_rows: int = 0
    num_left_out: int = 0
    num_seen_old: int | None = 0
    num_seen_new: int | None = 0
    old: dict[str, float] = {}
    new: dict[str, float] = {}
    old_left_out: dict[str, float] = {}
    new_left_out: dict[str, float] = {}
    num_better: int = 0
    num_worse: int = 0
    p_value: float = 1.0
    num_changes: int = 0
    changes: list[Change] = []
    is_better: bool = False
    detail: str = ""


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the training file was read, so that the next export of the same program needs no options.

    Attributes:
        category, id: the names of the columns; None: no column of an own name.
        text: the columns of the text, in their order; empty: the project's own fields.
        encoding, delimiter: that an option named; None: found in the file.
        header: whether a row named the columns.
        first_label: whether the first of several categories in a cell was taken.
        merge: category -> the one that it was read as.
    """

    category: str | None = None
    text: list[str] = []
    id: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    first_label: bool = False
    merge: dict[str, str] = {}


class StartedFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version on top of which a version has learnt.

    Attributes:
        version: that one.
        full_version: the last one before that was trained fully.
        steps: how often a version has been started from another since then; 1 where `version` is `full_version`.
        num_new: tickets that `version` had not learnt from, and this one has.
        num_reminders: tickets that it had learnt from, and which were there to hold the answers by.
        num_new_categories: categories that it did not have.
        num_new_words: words that got a row of their own.
        calibrated_anew: whether temperature and threshold were found on the new tickets; False: they are those of
            `version`.
    """

    version: Annotated[int, msgspec.Meta(ge=1)]
    full_version: Annotated[int, msgspec.Meta(ge=1)]
    steps: Annotated[int, msgspec.Meta(ge=1)]
    num_new: int
    num_reminders: int
    num_new_categories: int
    num_new_words: int
    calibrated_anew: bool


class Manifest(Sealed, frozen=True, kw_only=True):
    """`manifest.json`: what a version is, and what its files must be; a kind adds what is its own."""

    format: int = FORMAT
    neural_network_type: str
    name: ModelName
    version: Annotated[int, msgspec.Meta(ge=1)]
    created: str  # RFC 3339, UTC
    job: str | None  # the training job that made it; None: `puppet-train fit`
    attempt: int = 0  # of that job, counted from 1; 0: no job
    parent: int | None = None  # the version that served when it was trained
    started_from: StartedFrom | None = None  # None: it was trained from nothing
    tensors: list[Tensor]
    files: dict[str, FileRecord]
    training: dict[str, str | int | float | bool]  # the settings of that trainer; for people, no code reads it
    libraries: dict[str, str]
    seconds: float  # the training took
    validation: Summary
    parity: Parity
    comparison: Comparison | None = None  # with `parent`, where that was asked for
    num_feedback: int = 0  # of the rows that it was trained on, those that are corrections
    # How the training file was read; left out: a posted body, a folder of e-mails, or an older version.
    columns: Columns | msgspec.UnsetType = msgspec.UNSET
    profile: Profile | None = None  # of tickets that were kept out; None: too few of them, or a kind without text
    # Whether the text tells the categories (trainer/curation/signal.py). False: it serves by itself only where no other
    # version does; None: too few tickets to say; left out: a kind without categories, or an older version.
    labels_follow_text: bool | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def key_rules(self) -> int:
        """By which rules the rows of its training were keyed, where its `TrainedOn` does not say."""
        return 1


class ManifestHead(msgspec.Struct, frozen=True):
    """What must be read of a manifest before its kind is known."""

    format: int
    neural_network_type: str


class Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pass over the training tickets."""

    epoch: int
    loss: float  # training
    validation_loss: float | None
    validation_accuracy: float | None  # None also where nothing is classified
    tickets_per_s: float


class TrainedOn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tells whether a version was trained on a row; the rows cannot be read from it.

    Attributes:
        salt: 16 random bytes, the key of the hashes: another version's list cannot be compared with this one.
        hashes: 8 bytes for each distinct row (BLAKE2b of its `key`), in order.
        rules: by which the keys were made, one of `Row.KEY_RULES`; None in older lists, see `Manifest.key_rules`.
    """

    salt: bytes
    hashes: bytes
    rules: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`report.json`: how the training went; a kind adds what the model does on validation tickets."""

    epochs: list[Epoch]
    best_epoch: int
    num_parameters: int
    seconds: float
    trained_on: TrainedOn | None = None


S = TypeVar("S", bound=Sealed)
T = TypeVar("T")


def seal(record: Sealed) -> bytes:
    """Return the record's file: JSON whose field `sha256` is the SHA-256 of the file with 64 zeros in that place."""
    blank = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(record, sha256=ZERO_SHA256)), indent=1)
    return blank.replace(ZERO_SHA256.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def unseal(raw: bytes, type_: type[S], what: str) -> S:
    """Return the record in a sealed file.

    Raises:
        ArtifactRefused: the bytes are not what `seal` wrote, or not a `type_`.
    """
    record = decode_record(raw, type_, what)
    found = hashlib.sha256(raw.replace(record.sha256.encode(), ZERO_SHA256.encode(), 1)).hexdigest()
    if found != record.sha256:
        raise ArtifactRefused("record-damaged", file=what, found=found, expected=record.sha256)
    return record


def decode_record(raw: bytes, type_: type[T], what: str) -> T:
    """Return the record in a file, whatever its seal.

    Raises:
        ArtifactRefused: the bytes are no `type_`.
    """
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactRefused("record-unreadable", file=what, reason=error) from error
