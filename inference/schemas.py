"""The bodies of every request and answer; the first five routes are the contract of the seed documents."""

from typing import Annotated, Any

import msgspec

from artifacts.kinds import Prediction, Ticket
from artifacts.manifest import Summary

Name = Annotated[str, msgspec.Meta(description="The model's name.", examples=["puppet-o2"])]
KindName = Annotated[str, msgspec.Meta(description="The kind of network.", examples=["GRU"])]
Tokens = Annotated[list[str], msgspec.Meta(examples=[["avoir", "problème", "connexion", "<PRODUCT>"]])]
Id = str | int | None


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request's body; a field that is not known is a fault, so that a misspelt one is noticed."""


class CreateModel(Body, frozen=True):
    """A new model, untrained."""

    name: Name
    neural_network_type: KindName


class TrainModel(Body, frozen=True):
    """Labelled tickets to train a model on. The server only spools this; the trainer's process checks it."""

    name: Name
    neural_network_type: KindName
    training_data: list[Ticket]
    config: dict[str, Any] | None = None


class Search(Body, frozen=True):
    """One ticket (`vector` or `text`) or several (`vectors` or `texts`): exactly one of the four.

    Attributes:
        vector: the tokens of a ticket, taken as they are.
        text: the raw text of a ticket.
        vectors: of several tickets.
        texts: of several tickets.
        id: of the one ticket, echoed.
        ids: of the several tickets, echoed.
    """

    name: Name
    neural_network_type: KindName
    vector: Tokens | None = None
    vectors: list[Tokens] | None = None
    text: str | None = None
    texts: list[str] | None = None
    id: Id = None
    ids: list[Id] | None = None

    def __post_init__(self) -> None:
        if [self.vector, self.vectors, self.text, self.texts].count(None) != 3:
            raise ValueError("expected exactly one of `vector`, `vectors`, `text`, `texts`")
        several = self.vectors if self.vectors is not None else self.texts
        if several is not None and not several:
            raise ValueError("expected at least one ticket")
        if self.ids is not None and (several is None or len(self.ids) != len(several)):
            raise ValueError("`ids` goes with `vectors` or `texts` and has one entry for each ticket")
        if self.id is not None and several is not None:
            raise ValueError("`id` goes with one ticket; use `ids` with `vectors` or `texts`")


class Test(Body, frozen=True):
    """Labelled tickets to measure a model on."""

    name: Name
    neural_network_type: KindName
    test_data: list[Ticket] | None = None


class TestRows(Body, frozen=True):
    """`Test` as the server decodes it: the tickets stay bytes until their turn."""

    name: Name
    neural_network_type: KindName
    test_data: list[msgspec.Raw] | None = None


class Predict(Body, frozen=True):
    """The raw text of one e-mail or ticket; `name` defaults to the server's default model."""

    email_text: Annotated[str, msgspec.Meta(examples=["Réunion d'équipe prévue demain à 10h."])]
    name: Name | None = None
    id: Id = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The model is recorded."""

    status: str = "model created"
    model_name: str


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """The new version is published and serves."""

    status: str = "training completed"
    model_name: str
    version: int
    metrics: Summary
    seconds: float


class SearchAnswer(Prediction, frozen=True, kw_only=True, omit_defaults=True):
    """The category of one ticket, and which version of the model says so."""

    model_name: str
    version: int


class SearchAnswers(msgspec.Struct, frozen=True):
    """The categories of several tickets, in their order, all from the same version."""

    model_name: str
    version: int
    results: list[Prediction]


class PredictAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The label of one e-mail, under the names of the first seed document."""

    predicted_label: str
    confidence_score: float
    model_name: str
    version: int
    unknown_tokens: list[str]
    num_truncated_tokens: int
    id: Id = None


class ProblemError(msgspec.Struct, frozen=True):
    """One fault of a body, with its JSON Pointer (RFC 6901)."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 has it; `errors` are the first 20 of `num_errors`."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    errors: list[ProblemError] = []
    num_errors: int = 0


class Probe(msgspec.Struct, frozen=True):
    """The answer of a probe."""

    status: str
