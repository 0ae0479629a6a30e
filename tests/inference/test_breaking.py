"""A difference that breaks a client of the last release is named in CHANGELOG, and each sort of it is found."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inference.breaking import breaking, without_words
from tests.inference.contract import document

ROOT = Path(__file__).parents[2]
RELEASED = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))
SEARCH = ("paths", "/search", "post")
SCHEMAS = ("components", "schemas")


def at(node: Any, *keys: str) -> Any:
    """Return what stands at a place of a document."""
    for key in keys:
        node = node[key]
    return node


def test_what_breaks_clients_is_in_the_changelog() -> None:
    """The unreleased part names the operation in bold; at a release `make document` writes docs/openapi.json anew."""
    unreleased = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1]
    bold = " ".join(re.findall(r"\*\*(.+?)\*\*", unreleased))

    unnamed = [one for one in breaking(RELEASED, document()) if f"`{one.partition(':')[0]}`" not in bold]

    assert unnamed == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda new: new["paths"].pop("/search"), "search: POST /search is gone"),
        (lambda new: at(new, *SEARCH).update(operationId="ask"), "search: is called ask"),
        (lambda new: at(new, *SEARCH)["parameters"].pop(), "search: parameter X-Timeout-Ms is gone"),
        (lambda new: at(new, *SEARCH)["parameters"][0].update(required=True), "parameter X-Timeout-Ms is required"),
        (lambda new: at(new, *SEARCH, "responses").pop("200"), "search: answer 200 is gone"),
        (lambda new: at(new, "paths", "/train_model", "post", "responses", "202", "headers").pop("Location"),
         "header Location of 202 is gone"),
        (lambda new: at(new, "paths", "/predict", "post", "requestBody", "content").pop("message/rfc822"),
         "body: message/rfc822 is gone"),
        (lambda new: at(new, *SCHEMAS, "TicketSearch", "properties").pop("top_k"), "search: body: top_k is gone"),
        (lambda new: at(new, *SCHEMAS, "TicketSearch", "required").append("id"), "search: body: id is required"),
        (lambda new: at(new, *SCHEMAS, "PredictAnswer", "properties").pop("version"), "200: version is gone"),
        (lambda new: at(new, *SCHEMAS, "PredictAnswer", "required").remove("version"),
         "predict: 200: version is not sure to be there"),
        (lambda new: at(new, *SCHEMAS, "Created", "properties", "status").update(type="integer"),
         "create_model: 200: status: type was string, is integer"),
        (lambda new: at(new, *SEARCH, "requestBody", "content", "application/json", "schema", "anyOf").pop(),
         "search: body: ValueSearch is taken no more"),
        (lambda new: at(new, *SEARCH, "responses", "200", "content", "application/json", "schema", "anyOf").append(
            {"$ref": "#/components/schemas/Probe"}), "search: 200: Probe is a new answer"),
    ],
)  # fmt: skip
def test_what_breaks_is_found(change: Callable[[Any], object], said: str) -> None:
    """Each sort of difference, in a document that is otherwise the same."""
    new = copy.deepcopy(RELEASED)
    change(new)

    assert any(said in one for one in breaking(RELEASED, new)), breaking(RELEASED, new)


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new["paths"].update({"/new": {}}),
        lambda new: at(new, *SCHEMAS, "TicketSearch", "properties").update(new={"type": "string"}),
        lambda new: at(new, *SCHEMAS, "PredictAnswer", "properties").update(new={"type": "string"}),
        lambda new: at(new, *SCHEMAS, "TicketSearch", "required").remove("name"),
        lambda new: at(new, *SEARCH, "responses").update({"418": {}}),
        lambda new: at(new, *SEARCH).update(description="other words"),
    ],
)
def test_what_is_added_breaks_nobody(change: Callable[[Any], object]) -> None:
    """A client that knows nothing of it goes on."""
    new = copy.deepcopy(RELEASED)
    change(new)

    assert breaking(RELEASED, new) == []


def test_document_is_kept_without_words() -> None:
    """So that a better description changes no line of it; a property that is called `title` stays."""
    assert without_words({"title": "x", "properties": {"title": {"type": "string", "title": "y"}}}) == {
        "properties": {"title": {"type": "string"}}
    }
    assert without_words(RELEASED) == RELEASED
