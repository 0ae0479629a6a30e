"""Tests of artifacts/schemas.py: the rules of a question, which hold for every kind of network."""

from typing import Any

import msgspec
import pytest

from artifacts.kinds import KINDS
from artifacts.networks.simple_nn import ValueSearch
from artifacts.schemas import Answer, Evaluation, Row, Search
from artifacts.text.tickets import TicketSearch

ONE_OF = {
    TicketSearch: "expected exactly one of `vector`, `text`, `vectors`, `texts`",
    ValueSearch: "expected exactly one of `vector`, `vectors`",
}
VECTOR: dict[type[Search], Any] = {TicketSearch: ["a", "b"], ValueSearch: [42.0, 3.0]}
of_each_kind = pytest.mark.parametrize("type_", [TicketSearch, ValueSearch])


def ask(type_: type[Search], **fields: object) -> Search:
    """Return the question, decoded from JSON as the server does."""
    raw = msgspec.json.encode({"name": "m", "neural_network_type": "K"} | fields)
    return msgspec.json.decode(raw, type=type_)


def test_every_kind_is_under_test() -> None:
    """The questions of this file are those of the table."""
    assert {kind.search for kind in KINDS.values()} == set(VECTOR) == set(ONE_OF)


@of_each_kind
def test_question_needs_exactly_one_field(type_: type[Search]) -> None:
    """Of the fields that a kind has for its input just one is given; the refusal names them all."""
    one = VECTOR[type_]

    assert ask(type_, vector=one).given == ("vector", one)
    assert ask(type_, vectors=[one, one]).given == ("vectors", [one, one])
    for fields in ({}, {"vector": None, "vectors": None}, {"vector": one, "vectors": [one]}):
        with pytest.raises(msgspec.ValidationError) as refused:
            ask(type_, **fields)
        assert str(refused.value) == ONE_OF[type_]


@of_each_kind
def test_question_about_nothing_is_refused(type_: type[Search]) -> None:
    """An empty list of inputs has no answer."""
    with pytest.raises(msgspec.ValidationError, match="expected at least one"):
        ask(type_, vectors=[])


@of_each_kind
@pytest.mark.parametrize("id_", [7, -1, 2**64 - 1, "seven", ""])
def test_id_goes_with_one_input(type_: type[Search], id_: int | str) -> None:
    """The caller's id of one input is kept as it is; with several inputs it would be nobody's."""
    one = VECTOR[type_]

    assert ask(type_, vector=one, id=id_).id == id_
    with pytest.raises(msgspec.ValidationError, match="`id` goes with one ticket; use `ids` with `vectors`"):
        ask(type_, vectors=[one], id=id_)


@of_each_kind
def test_ids_go_with_several_inputs(type_: type[Search]) -> None:
    """There is one id for each input, and one that is null where the caller has none."""
    one = VECTOR[type_]

    assert ask(type_, vectors=[one] * 3, ids=["a", None, 3]).ids == ["a", None, 3]
    for fields in (
        {"vectors": [one] * 3, "ids": [1, 2]},
        {"vectors": [one] * 3, "ids": [1, 2, 3, 4]},
        {"vectors": [one], "ids": []},
        {"vector": one, "ids": [1]},
        {"vector": one, "ids": []},
    ):
        with pytest.raises(msgspec.ValidationError, match=r"`ids` goes with .* one entry for each ticket"):
            ask(type_, **fields)


@of_each_kind
@pytest.mark.parametrize("id_", [1.5, True, [1], {}])
def test_id_is_text_or_a_whole_number(type_: type[Search], id_: object) -> None:
    """Anything else would not come back as it was sent."""
    with pytest.raises(msgspec.ValidationError, match=r"`\$\.id`"):
        ask(type_, vector=VECTOR[type_], id=id_)


@of_each_kind
def test_misspelt_field_is_refused(type_: type[Search]) -> None:
    """A field that no question has is a fault, and so is a model that is not named."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `vectro`"):
        ask(type_, vector=VECTOR[type_], vectro=1)
    for field in ("name", "neural_network_type"):
        with pytest.raises(msgspec.ValidationError, match=r"`\$\." + field):
            ask(type_, vector=VECTOR[type_], **{field: None})


@of_each_kind
def test_question_survives_the_wire(type_: type[Search]) -> None:
    """What was decoded is encoded as it came, without the fields that were not given."""
    raw = msgspec.json.encode({"name": "m", "neural_network_type": "K", "vector": VECTOR[type_]})

    assert msgspec.json.encode(msgspec.json.decode(raw, type=type_)) == raw


def test_bases_leave_the_rest_to_the_kinds() -> None:
    """A base Struct has no content of its own: a kind that forgets one is told at the first use and not answered."""
    for read in (
        lambda: Row().expected,
        lambda: Row().content,
        lambda: Row().content_field,
        lambda: Evaluation().summary,
    ):
        with pytest.raises(NotImplementedError):
            read()


def test_answer_names_only_what_it_has() -> None:
    """In a list the model is named once, so the answers in it leave it out."""
    assert msgspec.json.encode(Answer()) == b"{}"
    assert msgspec.json.encode(Answer(id=0, model_name="m", version=2)) == b'{"id":0,"model_name":"m","version":2}'
