"""The bodies of requests and answers: what fits, what does not, what is left out."""

import inspect
import itertools
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.kinds import KINDS, Kind
from artifacts.text.tickets import Prediction, TicketSearch
from inference import schemas
from inference.schemas import Body, CreateModel, Predict, PredictAnswer

MODEL = {"name": "puppet-o2", "neural_network_type": "GRU"}
CONTENTS: dict[str, Any] = {"vector": ["a"], "text": "a", "vectors": [["a"], ["b"]], "texts": ["a", "b"]}
BODIES = [found for found in Body.__subclasses__() if found.__module__ == schemas.__name__]

texts = st.text(st.characters(codec="utf-8"), max_size=8)
ids = st.none() | texts | st.integers(-(2**63), 2**64 - 1)


def search(**fields: object) -> TicketSearch:
    """Return the body with the fields, decoded from JSON as the server does."""
    return msgspec.json.decode(msgspec.json.encode(MODEL | fields), type=TicketSearch)


@pytest.mark.parametrize("names", [set(names) for n in range(5) for names in itertools.combinations(CONTENTS, n)])
def test_search_takes_exactly_one_content(names: set[str]) -> None:
    """Of vector, text, vectors and texts exactly one is accepted; none, two, three or four are refused."""
    fields = {name: CONTENTS[name] for name in names}

    if len(names) == 1:
        assert getattr(search(**fields), next(iter(names))) == next(iter(fields.values()))
    else:
        with pytest.raises(
            msgspec.ValidationError, match="expected exactly one of `vector`, `text`, `vectors`, `texts`"
        ):
            search(**fields)


@pytest.mark.parametrize("field", ["vectors", "texts"])
def test_search_of_no_ticket_is_refused(field: str) -> None:
    """An empty list of tickets has no answer."""
    with pytest.raises(msgspec.ValidationError, match="expected at least one ticket"):
        search(**{field: []})


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"vector": ["a"], "id": 7}, True),
        ({"text": "a", "id": "seven"}, True),
        ({"vectors": [["a"], ["b"]], "ids": [1, "two"]}, True),
        ({"texts": ["a", "b"], "ids": [None, None]}, True),
        ({"vectors": [["a"], ["b"]], "ids": [1]}, False),
        ({"vectors": [["a"], ["b"]], "ids": [1, 2, 3]}, False),
        ({"texts": ["a"], "ids": []}, False),
        ({"vector": ["a"], "ids": [1]}, False),
        ({"vector": ["a"], "ids": []}, False),
        ({"text": "a", "ids": []}, False),
        ({"vectors": [["a"]], "id": 1}, False),
        ({"texts": ["a"], "id": 1}, False),
        ({"vector": ["a"], "id": 1.5}, False),
        ({"vector": ["a"], "id": True}, False),
    ],
)
def test_ids_go_with_their_tickets(fields: dict[str, Any], fits: bool) -> None:
    """`id` goes with one ticket, `ids` with several and one for each; an id is text or a whole number."""
    if fits:
        assert search(**fields) is not None
    else:
        with pytest.raises(msgspec.ValidationError):
            search(**fields)


def test_all_bodies_are_under_test() -> None:
    """The list of bodies in this file is the list of the module."""
    assert {found.__name__ for found in BODIES} == {
        "CreateModel", "Test", "Predict", "Promote", "Feedback", "ReviewLoad", "ReviewLoadRaw", "ReviewTicket",
        "AskSteps", "Nothing",
    }  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_misspelt_field_is_refused(body: type[Body]) -> None:
    """A field that no body has is a fault and not ignored."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `vectro`"):
        msgspec.json.decode(b'{"vectro": 1}', type=body)


@pytest.mark.parametrize("body", BODIES)
def test_no_field_is_a_path_or_an_address(body: type[Body]) -> None:
    """No request can name a file or a URL to load a model from."""
    for field in msgspec.structs.fields(body):
        assert not re.search("path|file|url|uri|dir|folder|store", field.name)


@pytest.mark.parametrize("struct", [found for _, found in inspect.getmembers(schemas, inspect.isclass)])
def test_every_struct_says_what_it_is(struct: type) -> None:
    """Each body and answer has a docstring, which the documentation page shows."""
    if struct.__module__ == schemas.__name__:
        assert struct.__doc__
        assert inspect.cleandoc(struct.__doc__).endswith(".")  # from Python 3.13 on the compiler takes the margin off


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_server_decodes_what_the_document_says(kind: Kind) -> None:
    """`Test[Raw]`, which the server decodes, takes the bodies of each kind that the document shows, row for row."""
    shown = schemas.Test(kind.examples[1].name, kind.name, list(kind.examples[0]))

    read = msgspec.json.decode(msgspec.json.encode(shown), type=schemas.Test[msgspec.Raw])

    assert (read.name, read.neural_network_type) == (shown.name, shown.neural_network_type)
    assert [msgspec.json.decode(raw, type=kind.row) for raw in read.test_data or []] == shown.test_data


def test_absent_id_is_left_out_of_answers() -> None:
    """A ticket without an id gets an answer without one; one that has it gets it back."""
    one = Prediction("c", 0.5, [], 0, model_name="m", version=1)
    other = PredictAnswer("c", 0.5, "m", 1, [], 0, id=3)

    assert msgspec.json.decode(msgspec.json.encode(one)) == {
        "category": "c", "confidence": 0.5, "unknown_tokens": [], "num_truncated_tokens": 0, "model_name": "m",
        "version": 1,
    }  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(other))["id"] == 3


@given(st.builds(CreateModel, texts, texts) | st.builds(Predict, texts, st.none() | texts, ids))
def test_simple_bodies_survive_the_wire(body: CreateModel | Predict) -> None:
    """Encoding a body and decoding it gives the same body."""
    assert msgspec.json.decode(msgspec.json.encode(body), type=type(body)) == body


@given(st.lists(st.lists(texts), min_size=1, max_size=4), st.data())
def test_searches_survive_the_wire(vectors: list[list[str]], data: st.DataObject) -> None:
    """Encoding a search of several tickets and decoding it gives the same tickets and ids in the same order."""
    given_ids = data.draw(st.none() | st.lists(ids, min_size=len(vectors), max_size=len(vectors)))
    body = TicketSearch(name="m", neural_network_type="GRU", vectors=vectors, ids=given_ids)

    assert msgspec.json.decode(msgspec.json.encode(body), type=TicketSearch) == body
