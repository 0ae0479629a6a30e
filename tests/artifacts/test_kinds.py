"""Tests of artifacts/kinds.py: what a labelled ticket may look like, and the table of kinds."""

import msgspec
import pytest

from artifacts import kinds
from artifacts.errors import KindMismatch, UnknownKind
from artifacts.kinds import KINDS, Kind, Prediction, Ticket, check_kind, kind_named
from artifacts.store import Store


@pytest.mark.parametrize(
    ("raw", "expected", "content"),
    [
        ('{"category":"x","tokens":["a","mot de passe"]}', "x", ["a", "mot de passe"]),
        ('{"category":"x","text":"a b"}', "x", "a b"),
        ('{"label":"x","email_text":"a b"}', "x", "a b"),
        ('{"label":"x","category":null,"tokens":[],"text":null}', "x", []),
        ('{"category":" e\u0301te\u0301 ","text":""}', "été", ""),
        ('{"category":"x","text":"a","id":7,"more":[1]}', "x", "a"),
    ],
)
def test_ticket_reads_each_field_name(raw: str, expected: str, content: list[str] | str) -> None:
    """Category or label, tokens or text or email_text; the category is compared in NFC without outer white space."""
    ticket = msgspec.json.decode(raw, type=Ticket)

    assert ticket.expected == expected
    assert ticket.content == content


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
    assert msgspec.json.decode(msgspec.json.encode(Prediction("x", 0.5, ["y"], 0, "t1")))["id"] == "t1"


def test_kind_is_found_by_its_exact_name() -> None:
    """A kind is a row of the table; any other name is refused with the known ones."""
    assert kind_named("GRU").name == "GRU"
    for name in ("gru", "", "LSTM", "GRU ", "x" * 500):
        with pytest.raises(UnknownKind, match="known: GRU") as refused:
            kind_named(name)
        assert len(str(refused.value)) < 200


def test_kind_of_a_request_must_be_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another known kind than the model's is a mismatch, an unknown one is unknown."""
    other = Kind("OTHER", Ticket, Prediction, ())
    monkeypatch.setattr(kinds, "KINDS", KINDS | {"OTHER": other})

    check_kind("GRU", "m", "GRU")
    with pytest.raises(KindMismatch, match="model m is of neural_network_type GRU, not OTHER"):
        check_kind("OTHER", "m", "GRU")
    with pytest.raises(UnknownKind):
        check_kind("LSTM", "m", "GRU")


def test_kind_lists_the_files_of_a_version(store: Store) -> None:
    """A published version holds just the files of its kind beside its manifest."""
    found = {path.name for path in (store.root / "puppet-o2" / "1").iterdir()}

    assert found == {*kind_named("GRU").files, "manifest.json"}
