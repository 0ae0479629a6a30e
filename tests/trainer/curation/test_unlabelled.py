"""Tickets without a category: read like others, and only what the experts are sure of is learnt from."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from artifacts.errors import InvalidInput
from tests.trainer import small
from trainer.curation.unlabelled import SURE, read_unlabelled, with_labels


def written(path: Path, *rows: object) -> Path:
    """Return the path of a JSONL file of these rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_tokens_and_texts_are_read_and_a_category_is_not(tmp_path: Path) -> None:
    """Each row has its content under one of the three names; what else it has is ignored."""
    path = written(
        tmp_path / "more.jsonl",
        {"tokens": ["Facture", "payer"]},
        {"text": "L'accès échoue"},
        {"email_text": "bonjour", "category": 5},
    )

    assert read_unlabelled(path) == [["facture", "payer"], ["l'", "accès", "échoue"], ["bonjour"]]


@pytest.mark.parametrize(("name", "delimiter"), [("more.csv", ","), ("more.tsv", "\t")])
def test_a_table_needs_one_column_of_tickets(tmp_path: Path, name: str, delimiter: str) -> None:
    """Other columns are ignored; none of tickets is refused with the names that are expected."""
    path = tmp_path / name
    path.write_text(delimiter.join(["nr", "tokens"]) + "\n" + delimiter.join(["7", "facture payer"]) + "\n")
    assert read_unlabelled(path) == [["facture", "payer"]]

    path.write_text(delimiter.join(["nr", "objet"]) + "\n" + delimiter.join(["7", "facture"]) + "\n")
    with pytest.raises(InvalidInput, match="has no column that is surely the text"):
        read_unlabelled(path)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"category": "Facture"}, "expected exactly one of tokens, text, email_text"),
        ({"text": "a", "tokens": ["a"]}, "expected exactly one of tokens, text, email_text"),
    ],
)
def test_row_that_does_not_fit_is_named(tmp_path: Path, row: object, fault: str) -> None:
    """With its line, before anything is trained."""
    with pytest.raises(InvalidInput) as caught:
        read_unlabelled(written(tmp_path / "more.jsonl", {"text": "bonjour"}, row))

    assert caught.value.faults[0].line == 2
    assert fault in caught.value.faults[0].detail


def test_file_without_a_ticket_is_refused(tmp_path: Path) -> None:
    """It is a mistake of the caller's, not nothing to learn; tickets without a token are none."""
    with pytest.raises(InvalidInput, match="holds no ticket"):
        read_unlabelled(written(tmp_path / "empty.jsonl", {"tokens": [" "]}))
    with pytest.raises(InvalidInput, match="holds no ticket"):
        read_unlabelled(written(tmp_path / "more.jsonl"))


def test_only_sure_tickets_get_a_label() -> None:
    """Those at the limit or above, with the likeliest category, after the labelled ones, in their order."""
    rows = msgspec.structs.replace(small.rows(small.tickets(2)), unlabelled=[["a"], ["b"], ["c"]])
    said_NC = np.array([[0.1, SURE, 0.2], [0.5, 0.3, 0.2], [0.01, 0.01, 0.98]], dtype=np.float32)

    more = with_labels(rows, ["x", "y", "z"], said_NC)

    assert more.tickets[: len(rows.tickets)] == rows.tickets
    assert more.tokens[len(rows.tokens) :] == [["a"], ["c"]]
    assert [ticket.expected for ticket in more.tickets[len(rows.tickets) :]] == ["y", "z"]
