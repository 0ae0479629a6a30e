"""What a request for a job says, of each kind: the bodies of the routes that make jobs, specified once for both sides.

The server shows them in its document and spools the bytes unread; the trainer's process decodes them, in
`trainer/jobs/body.py`. Where a file is posted as it is, the server writes such a body itself from the address's query,
without rows: they stand in the file next to it.
"""

from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

import msgspec

from artifacts.kinds import DEFAULT
from artifacts.networks.manifest import ModelName
from artifacts.schemas import Id, KindName, Row
from artifacts.text.tickets import Among, Otherwise, Tokens, TopK

R = TypeVar("R", bound=Row | msgspec.Raw)
Promotion = Literal["always", "if_better", "never"]  # when a new version serves
Form = Literal["csv", "tsv", "xlsx", "jsonl", "parquet"]  # of a file that is given back
Name = Annotated[ModelName, msgspec.Meta(description="The model's name.", examples=["puppet-o2"])]
JobId = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)", description="Of an earlier job, whose file is read.")
]
Version = Annotated[int, msgspec.Meta(ge=1)]
StartVersion = Literal["serving"] | Version  # of a training that goes on from a published version
# Settings are the trainer's, and differ from kind to kind; here they are bytes that must turn out to be an object.
Config = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="Settings of the training, by name; those of the kind hold where it is null or left out.",
        extra_json_schema={"anyOf": [{"type": "object"}, {"type": "null"}], "default": None},
    ),
]


class ReadingAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a posted file is to be read; what is left out is found in the file, or remembered from the last training.

    Attributes:
        category: the column of the category; a dotted path reaches inside an object.
        text: the columns of the text, in their order.
        id: the column by which the support team knows a ticket.
        encoding: of a text, such as cp1252.
        delimiter: between the columns of a table.
        header: whether a row names the columns; without one they are called 1, 2, ...
        skip_unlabelled: leave out rows without a category, and count them.
        skip_faulty: leave out every other row that does not fit, and count it.
        first_label: of several categories in a cell take the first.
        merge: category -> the one that it is read as.
    """

    category: str | None = None
    text: list[str] = []
    id: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    header: bool = True
    skip_unlabelled: bool = False
    skip_faulty: bool = False
    first_label: bool = False
    merge: dict[str, str] = {}


class RowCorrection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The right category of a row of the training file.

    Attributes:
        line: of the row, as an inspection names it: its line, or its place in a file that has none.
        category: the right one; null leaves the row out.
    """

    line: Annotated[int, msgspec.Meta(ge=1)] | str
    category: str | None


class TrainModel(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled tickets to train a model on. The server only spools this; the trainer's process checks it.

    Attributes:
        training_data: rows of the kind; they may be left out where the model's corrections are trained on.
        config: settings of the kind.
        promote: whether the new version serves: always, never, or if it is surely better than the serving one.
        test_data: labelled rows to compare the two on; without them those that are kept out of training.
        keep_data: whether this body stays on the disk after the training.
        include_feedback: whether the model's corrections are trained on as well, those that are there when it begins.
        data_of: the job whose file is trained on, in place of rows.
        reading: how that file is read.
        corrections: of rows of that file.
        start: the version that the training starts from (in JSON `from`); null: from nothing.
    """

    name: Name
    neural_network_type: KindName
    training_data: list[R] | None = None
    config: Config | msgspec.UnsetType = msgspec.UNSET
    promote: Promotion = "always"
    test_data: list[R] | None = None
    keep_data: bool = False
    include_feedback: bool = False
    data_of: JobId | None = None
    reading: ReadingAsked = ReadingAsked()
    corrections: list[RowCorrection] = []
    start: StartVersion | None = msgspec.field(default=None, name="from")


class InspectData(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled tickets to look at before they teach.

    Attributes:
        training_data: the rows.
        neural_network_type: of the model that they are for; only a kind that reads text can be inspected.
        name: of the model that they are for; the columns of its last training are known then.
        data_of: the job whose file is inspected, in place of rows.
        reading: how that file is read.
        num_rows: that a preview gives back whole; by default the first 20, with long cells shortened.
    """

    training_data: list[R] | None = None
    neural_network_type: KindName = DEFAULT
    name: Name | None = None
    data_of: JobId | None = None
    reading: ReadingAsked = ReadingAsked()
    num_rows: Annotated[int, msgspec.Meta(ge=1, le=5000)] | None = None


class EvaluateModel(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled rows to measure a published version on.

    Attributes:
        test_data: the rows.
        version: which one; the serving one by default.
        data_of: the job whose file is measured on, in place of rows.
        reading: how that file is read.
    """

    name: Name
    neural_network_type: KindName
    test_data: list[R] | None = None
    version: Version | None = None
    data_of: JobId | None = None
    reading: ReadingAsked = ReadingAsked()


class DiffVersions(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled rows to compare two published versions of a model on.

    Attributes:
        test_data: the rows.
        old: the one version; the serving one by default.
        new: the other; the newest by default.
        data_of: the job whose file is compared on, in place of rows.
        reading: how that file is read.
    """

    test_data: list[R] | None = None
    old: Version | None = None
    new: Version | None = None
    data_of: JobId | None = None
    reading: ReadingAsked = ReadingAsked()


class UnsortedTicket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ticket without a category, as tokens or as raw text."""

    tokens: Tokens | None = None
    text: str | None = None
    id: Id = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.text is None):
            raise ValueError("expected exactly one of `tokens`, `text`")


class ClassifyTickets(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tickets to be given back with their categories.

    Attributes:
        data: the tickets.
        version: which answers; the serving one by default.
        abstain: whether the category stays empty where the model is not sure; its own setting by default.
        top_k: how many categories are named; each beyond the first is two columns.
        among: the categories that may be answered; the others are masked, and the rest is renormalised.
        otherwise: what to write where the category would stay empty; it goes with `abstain`.
        explain: whether the words that weigh most are named, which takes many times as long.
        output: form of the file that is given back; that of the file that came by default.
        data_of: the job whose file is sorted, in place of tickets.
        reading: how that file is read.
        corrections: of rows of that file, written in place of what the model says; null leaves the category empty.
    """

    name: Name
    neural_network_type: KindName
    data: list[UnsortedTicket] | None = None
    version: Version | None = None
    abstain: bool | None = None
    top_k: TopK = 1
    among: Among | None = None
    otherwise: Otherwise | None = None
    explain: bool = False
    output: Form | None = None
    data_of: JobId | None = None
    reading: ReadingAsked = ReadingAsked()
    corrections: list[RowCorrection] = []


class ReportVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The version whose report is to be written again; it needs no rows."""

    version: Version


AnyRequest: TypeAlias = (
    TrainModel[msgspec.Raw]
    | InspectData[msgspec.Raw]
    | EvaluateModel[msgspec.Raw]
    | DiffVersions[msgspec.Raw]
    | ClassifyTickets
    | ReportVersion
)
