"""Tests of artifacts/text/tickets.py: what a labelled ticket and a question about tickets may look like."""

from typing import Any

import msgspec
import pytest

from artifacts.text.tickets import Prediction, Ticket, TicketSearch


@pytest.mark.parametrize(
    ("raw", "expected", "content", "field"),
    [
        ('{"category":"x","tokens":["a","mot de passe"]}', "x", ["a", "mot de passe"], "tokens"),
        ('{"category":"x","text":"a b"}', "x", "a b", "text"),
        ('{"label":"x","email_text":"a b"}', "x", "a b", "email_text"),
        ('{"label":"x","category":null,"tokens":[],"text":null}', "x", [], "tokens"),
        ('{"category":" e\u0301te\u0301 ","text":""}', "été", "", "text"),
        ('{"category":"x","email_text":""}', "x", "", "email_text"),
        ('{"category":"x","text":"a","id":7,"more":[1]}', "x", "a", "text"),
    ],
)
def test_ticket_reads_each_field_name(raw: str, expected: str, content: list[str] | str, field: str) -> None:
    """Category or label, tokens or text or email_text; the category is compared in NFC without outer white space.

    `content_field` is where the content came from, for the pointer of a fault.
    """
    ticket = msgspec.json.decode(raw, type=Ticket)

    assert ticket.expected == expected
    assert ticket.content == content
    assert ticket.content_field == field


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ('{"text":"a"}', "`category`, `label`"),
        ('{"category":"x","label":"x","text":"a"}', "`category`, `label`"),
        ('{"category":"x"}', "`tokens`, `text`, `email_text`"),
        ('{"category":"x","tokens":["a"],"text":"a"}', "`tokens`, `text`, `email_text`"),
        ('{"category":"x","text":"a","email_text":"a"}', "`tokens`, `text`, `email_text`"),
        ('{"category":"","text":"a"}', "blank"),
        ('{"label":" \\u00a0 ","text":"a"}', "blank"),
        ('{"category":3,"text":"a"}', "Expected `str"),
        ('{"category":"x","tokens":"a"}', "Expected `array"),
        ('{"category":"x","text":"a","id":1.5}', "Expected `int | str"),
    ],
)
def test_ticket_that_does_not_fit_is_refused(raw: str, message: str) -> None:
    """A ticket without one clear category or one clear content is refused with what was expected."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(raw, type=Ticket)


def test_answer_leaves_out_an_id_that_was_not_given() -> None:
    """The id is echoed when there is one; the lists are always there."""
    assert msgspec.json.encode(Prediction("x", 0.5, [], 0)) == (
        b'{"category":"x","confidence":0.5,"unknown_tokens":[],"num_truncated_tokens":0}'
    )
    assert msgspec.json.decode(msgspec.json.encode(Prediction("x", 0.5, ["y"], 0, id="t1")))["id"] == "t1"


def test_row_leaves_out_what_was_not_given() -> None:
    """A ticket is written with just the fields that it came with, so a file of tickets stays readable."""
    raw = b'{"category":"x","text":"a"}'

    assert msgspec.json.encode(msgspec.json.decode(raw, type=Ticket)) == raw


@pytest.mark.parametrize(
    ("field", "value"),
    [("vector", ["a", "mot de passe"]), ("text", "a b"), ("vectors", [["a"], []]), ("texts", ["a", ""])],
)
def test_search_gives_the_one_field_that_it_has(field: str, value: object) -> None:
    """`given` is the name of the field and what it holds, for one ticket and for several, as tokens and as text."""
    body = {"name": "m", "neural_network_type": "GRU", field: value}

    assert msgspec.convert(body, TicketSearch).given == (field, value)


@pytest.mark.parametrize("value", ["", []])
def test_empty_ticket_is_a_question_too(value: Any) -> None:
    """An empty text and an empty list of tokens were given: that they say nothing is for the model to refuse."""
    field = "text" if isinstance(value, str) else "vector"
    body = {"name": "m", "neural_network_type": "GRU", field: value}

    assert msgspec.convert(body, TicketSearch).given == (field, value)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"vector": "a"}, "vector"),
        ({"vector": [1]}, "vector[0]"),
        ({"vectors": ["a"]}, "vectors[0]"),
        ({"text": ["a"]}, "text"),
        ({"texts": "a"}, "texts"),
        ({"texts": [["a"]]}, "texts[0]"),
        ({"vector": [1.0, 2.0]}, "vector[0]"),
    ],
)
def test_search_of_another_type_is_refused(fields: dict[str, Any], place: str) -> None:
    """Tokens are a list of strings and a text is a string; numbers, which another kind reads, are neither."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"name": "m", "neural_network_type": "GRU"} | fields, TicketSearch)

    assert f"`$.{place}`" in str(refused.value)
