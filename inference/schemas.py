"""The bodies of every request and answer; the first five routes are the contract of the seed documents.

What differs from kind to kind of network (a row, a question, an answer, metrics) is in the table of kinds.
"""

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from artifacts.evaluation.calibration import Interval
from artifacts.jobs.events import Event, Phase
from artifacts.jobs.records import JobKind, State
from artifacts.mail.message import Stripped
from artifacts.networks.engines.build import EngineName
from artifacts.networks.manifest import Comparison, Manifest, Served
from artifacts.schemas import Answer, Id, KindName, Name, Ranking, Reason, Row, Summary
from artifacts.store.audit import AuditEntry
from artifacts.store.feedback import CorrectionId
from artifacts.text.tickets import Among, Guess, Otherwise, Tokens, TopK

R = TypeVar("R", bound=Row | msgspec.Raw)
A = TypeVar("A", bound=Answer)


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request's body; a field that is not known is a fault, so that a misspelt one is noticed."""


class Nothing(Body, frozen=True):
    """An empty object: the address says all, and the header Content-Type keeps pages of other sites out."""


class CreateModel(Body, frozen=True):
    """A new model, untrained."""

    name: Name
    neural_network_type: KindName


class KindOnly(msgspec.Struct, frozen=True):
    """As much of a body as says how to decode the rest."""

    neural_network_type: str


class Test(Body, Generic[R], frozen=True):
    """Labelled rows to measure a model on; the server decodes `Test[Raw]`: rows stay bytes until their turn."""

    name: Name
    neural_network_type: KindName
    test_data: list[R] | None = None


class Predict(Body, frozen=True):
    """The raw text of one e-mail or ticket; `name` defaults to the server's default model.

    Attributes:
        abstain, top_k, among, otherwise: as in a search.
    """

    email_text: Annotated[str, msgspec.Meta(examples=["Réunion d'équipe prévue demain à 10h."])]
    name: Name | None = None
    id: Id = None
    abstain: bool | None = None
    top_k: TopK | None = None
    among: Among | None = None
    otherwise: Otherwise | None = None

    @property
    def ranking(self) -> Ranking | None:
        """What is asked for beyond a label."""
        ranking = Ranking(self.abstain, self.top_k, self.among, self.otherwise)
        return ranking if ranking != Ranking() else None


class AskSteps(Body, frozen=True):
    """One ticket of which every step to its answer is asked: its tokens or its raw text, exactly one of the two."""

    vector: Tokens | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if (self.vector is None) == (self.text is None):
            raise ValueError("expected exactly one of `vector`, `text`")

    @property
    def given(self) -> tuple[str, list[str] | str]:
        """The one field that was given, and what it holds."""
        return ("vector", self.vector) if self.vector is not None else ("text", self.text or "")


class Feedback(Body, frozen=True, kw_only=True):
    """The right category of a ticket that a model has answered.

    Attributes:
        id: by which the desk knows the ticket; a later correction of the same id takes the place of this one.
        category: the right one; the model may not have it yet.
        tokens: of the ticket.
        text: or its raw text; exactly one of the two.
        version: of the model, whose answer is corrected.
    """

    name: Name
    id: CorrectionId | Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
    category: str
    tokens: Tokens | None = None
    text: str | None = None
    version: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.text is None):
            raise ValueError("expected exactly one of `tokens`, `text`")


class FeedbackStored(msgspec.Struct, frozen=True, kw_only=True):
    """The correction is on the disk; a training with `include_feedback` takes it.

    Attributes:
        replaced: whether there was an earlier one of the id.
        is_new_category: whether the serving version lacks the category; null if none serves.
    """

    status: str = "feedback stored"
    model_name: str
    id: str
    replaced: bool
    is_new_category: bool | None


class FeedbackErased(msgspec.Struct, frozen=True, kw_only=True):
    """The corrections are in no file of the store any more.

    Attributes:
        num_erased: corrections.
        num_bodies: bodies of trainings that were kept on the disk and went too.
    """

    status: str = "erased"
    model_name: str
    num_erased: int
    num_bodies: int


class ReviewTicket(Body, frozen=True, kw_only=True):
    """A ticket without a category, to wait for a person.

    Attributes:
        id: by which the desk knows the ticket; one is made of the ticket where it is left out.
        tokens: of the ticket.
        text: or its raw text; exactly one of the two.
    """

    id: CorrectionId | Annotated[int, msgspec.Meta(ge=0, lt=10**18)] | None = None
    tokens: Tokens | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.text is None):
            raise ValueError("expected exactly one of `tokens`, `text`")


class ReviewLoad(Body, frozen=True):
    """Tickets that are to wait for a person."""

    tickets: list[ReviewTicket]


class ReviewLoadRaw(Body, frozen=True):
    """The same as the server decodes it: tickets stay bytes until their turn."""

    tickets: list[msgspec.Raw]


class ReviewLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """The tickets wait.

    Attributes:
        num_added: of those that were sent.
        num_known: of those that were sent: waiting already, or labelled or skipped before.
        num_waiting: of the model, now.
    """

    status: str = "tickets wait"
    model_name: str
    num_added: int
    num_known: int
    num_waiting: int


class WaitingTicket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ticket that waits for a person, and what the version that serves thinks of it.

    Attributes:
        id: under which POST /feedback labels it.
        tokens: of the ticket.
        text: or its raw text.
        created: when it came: RFC 3339, UTC.
        category: the most probable; null where the version is not sure enough to say one.
        confidence: of the most probable; null where no version was asked.
        reason: why it is not sure enough.
        best: the most probable categories, best first, nine at most.
        version: that says so.
        group: like tickets have the same number.
        group_size: tickets of that group that wait.
    """

    id: str
    tokens: list[str] | None = None
    text: str | None = None
    created: str
    category: str | None
    confidence: float | None
    reason: Reason | None
    best: list[Guess]
    version: int | None
    group: int
    group_size: int


ReviewOrder = Literal["uncertain", "diverse", "oldest"]


class ReviewAnswer(msgspec.Struct, frozen=True):
    """The tickets of a model that wait for a person: how many, and the first of them in the order asked for."""

    model_name: str
    num_waiting: int
    items: list[WaitingTicket]


class ReviewSkipped(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket waits no more, and does not come back."""

    status: str = "skipped"
    model_name: str
    id: str


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The model is recorded."""

    status: str = "model created"
    model_name: str


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """The new version is published, and serves if it was to.

    Attributes:
        serves: whether it does.
        detail: why or why not, where that was to be decided by a comparison; else empty.
    """

    status: str = "training completed"
    model_name: str
    version: int
    job: str
    metrics: Summary
    seconds: float
    serves: bool
    detail: str


class TrainedAnswer(Trained, frozen=True, kw_only=True):
    """The result of a training, as its job keeps it.

    Attributes:
        comparison: with the version that served, where one was asked for.
    """

    comparison: Comparison | None = None


class SearchAnswers(msgspec.Struct, Generic[A], frozen=True):
    """The answers to several inputs, in their order, all from the same version."""

    model_name: str
    version: int
    results: Sequence[A]


class PredictAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The label of one e-mail, under the names of the first seed document.

    Attributes:
        predicted_label: where the model abstains None, or `otherwise`.
        stripped: what an e-mail held that was not read; left out where only its text was sent.
        text: of an e-mail, as it was read; left out where nobody asked to see it.
        reason, best: as in the answer to a search.
    """

    predicted_label: str | None
    confidence_score: float
    model_name: str
    version: int
    unknown_tokens: list[str]
    num_truncated_tokens: int
    id: Id = None
    stripped: Stripped | None = None
    reason: Reason | None = None
    best: list[Guess] | None = None
    text: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The job is queued; the header Location says where to look."""

    status: str = "training queued"
    model_name: str
    job: str
    kind: JobKind = "train"


class ProblemError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault of a body, with its JSON Pointer (RFC 6901); what its sentence names are members too."""

    pointer: str
    detail: str
    type: str = ""
    line: int | None = None


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A job; the fields are those of `artifacts.jobs.records.Job`.

    Attributes:
        kind: what it does.
        model_name: whose job it is; empty for an inspection.
        has_result: whether GET /jobs/{id}/result gives something.
        detail: why it ended as it did, in the language of the request; so are `errors`.
        type: of the problem, as in an error answer; left out where it has none.
        errors: the faults of the request, at most 20 of `num_errors`.
        phase: what it does, or did last; None before it begins, and of a job that is older than phases.
        seconds_left: of the whole training, as it said last; None while it is not known, and after the end.
        seconds_expected: that a training takes in all, as it said once at its start; None before that.
        progress: the last epoch that it has told; None before the first.
        token_name: of the token that it was asked for with; left out for none.
    """

    id: str
    kind: JobKind
    state: State
    model_name: str
    neural_network_type: str
    attempt: int
    created: str
    started: str | None
    ended: str | None
    detail: str
    errors: list[ProblemError]
    num_errors: int
    version: int | None
    metrics: Summary | None
    seconds: float | None
    promote: str
    cancel_requested: bool
    has_result: bool
    phase: Phase | None
    seconds_left: float | None
    seconds_expected: float | None
    progress: Event | None
    token_name: str | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET


class JobsAnswer(msgspec.Struct, frozen=True):
    """The newest jobs, newest first."""

    jobs: list[JobAnswer]


class Promote(Body, frozen=True):
    """Which version is to serve."""

    version: Annotated[int, msgspec.Meta(ge=1)]


class Serves(msgspec.Struct, frozen=True):
    """The version that serves now."""

    model_name: str
    version: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone: a version, or the model with all of its own."""

    status: str = "deleted"
    model_name: str
    version: int | None = None


ModelState = Literal["serving", "serving another version", "loading", "refused", "untrained"]


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A model: what it is, what serves, what else there is.

    Attributes:
        state: serving; serving another version (the one that should cannot be verified); loading; refused (none can
            be verified); untrained.
        version: that this server answers with; None while it has none.
        engine: that computes its answers: onnxruntime, or fused, the kernel; None while it has no version.
        current: that should serve.
        versions: that are there, oldest first.
        history: what served, oldest first; only the last 100.
        before: that a rollback would let serve; None: nothing to roll back to.
    """

    name: str
    neural_network_type: str
    created: str
    state: ModelState
    version: int | None
    engine: EngineName | None
    current: int | None
    versions: list[int]
    history: list[Served]
    before: int | None


class ModelsAnswer(msgspec.Struct, frozen=True):
    """Every model of the store, by name."""

    models: list[ModelAnswer]


class Figures(msgspec.Struct, frozen=True):
    """How sure the figures of a version's own validation are; older versions lack them.

    Attributes:
        accuracy_interval: of the accuracy, 95 %.
        ece: expected calibration error, 0 is perfect.
    """

    accuracy_interval: Interval | None = None
    ece: float | None = None


class VersionAnswer(msgspec.Struct, frozen=True):
    """A version's manifest, and whether this server answers with it.

    Attributes:
        categories: that it can answer, in the order of its output; none for a kind that answers with a number.
        figures: beside `validation` of the manifest.
    """

    manifest: Manifest
    serves: bool
    categories: list[str]
    figures: Figures


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 has it; `errors` are the first 20 of `num_errors`.

    What the sentence names are members too, such as `limit`; the page of the type lists them.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError] = []
    num_errors: int = 0


class Probe(msgspec.Struct, frozen=True):
    """The answer of a probe."""

    status: str


class AuditAnswer(msgspec.Struct, frozen=True):
    """What was changed, the newest first."""

    entries: list[AuditEntry]


Verdict = Literal["drift", "stable", "not_enough_data"]


class DriftReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing in which the tickets differ from those of the training.

    Attributes:
        what: category_share, category_shares (all together), confidence, unknown_tokens or length.
        expected: share of the training's kept-out tickets that `detail` speaks of.
        found: share of the tickets answered; for category_shares both are the population stability index.
        detail: the same as a sentence.
        category: whose share it is.
    """

    what: str
    expected: float
    found: float
    detail: str
    category: str | None = None


class NewWord(msgspec.Struct, frozen=True):
    """A word that the model does not know, and how many tickets held it."""

    word: str
    num_tickets: int


class DriftDay(msgspec.Struct, frozen=True):
    """The tickets answered on a day (UTC)."""

    day: str
    num_tickets: int


class DriftShare(msgspec.Struct, frozen=True):
    """The share of the tickets that get a category: at the training, and of those answered in these days.

    Attributes:
        expected, found: 0..1; None: no ticket was counted.
    """

    category: str
    expected: float | None
    found: float | None


class DriftAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the tickets that a version answers are still like those of its training.

    Attributes:
        detail: why there is no verdict, or what the counts lack; else empty.
        reasons: in what the tickets differ, what is surest first.
        num_tickets: that were answered in these days.
        num_expected: tickets that were kept out of the training, with which they are compared.
        days: on which tickets were answered.
        shares: of each category, the most frequent ones of the training first.
        new_words: what the model does not know and ten tickets of a day held, most frequent first.
    """

    model_name: str
    version: int
    verdict: Verdict
    detail: str
    reasons: list[DriftReason]
    num_tickets: int
    num_expected: int
    days: list[DriftDay]
    shares: list[DriftShare]
    new_words: list[NewWord]
