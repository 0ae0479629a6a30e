"""The OpenAPI document as a product: what a client that is generated from it relies on."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from inference.document.finished import OPERATION_IDS, READ_HEADERS, SENT_HEADERS

pytestmark = pytest.mark.anyio

# What patterns of Python know, and those of ECMA-262 do not.
PYTHON_ALONE = re.compile(r"\\[AZzGhHKRX]|\(\?P|\(\?[aiLmsux]")


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """Give the document."""
    document: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each operation by its id."""
    found = [operation for methods in document["paths"].values() for operation in methods.values()]
    by_id = {operation["operationId"]: operation for operation in found}
    assert len(by_id) == len(found)
    return by_id


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield each object of a document."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from objects(inner)


async def test_operations_are_named_as_functions_are(document: dict[str, Any]) -> None:
    """A name is a verb or a noun in lower case, once, and none holds its path."""
    names = list(operations(document))

    assert {"search", "train_model", "list_models", "job_events", "infer"} <= set(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert set(OPERATION_IDS.values()) <= set(names)


async def test_every_post_says_what_it_takes(document: dict[str, Any]) -> None:
    """Also where that is an empty object, without which it answers 415."""
    for path, methods in document["paths"].items():
        if "post" in methods:
            assert "application/json" in methods["post"]["requestBody"]["content"], path
    for name in ("rollback", "cancel_job", "write_report"):
        content = operations(document)[name]["requestBody"]["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Nothing"}


async def test_rollback_takes_the_body_that_is_documented(client: httpx.AsyncClient) -> None:
    """It is not refused for its form; there is nothing to roll back to."""
    assert (await client.post("/models/puppet-o2/rollback", json={})).status_code == 409


async def test_what_may_fit_two_schemas_is_any_of(document: dict[str, Any]) -> None:
    """An integer is a number too, and fits exactly one of neither."""
    assert not [one for one in objects(document) if "oneOf" in one]


async def test_manifest_fits_its_schema(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """The largest answer, with numbers of every form."""
    answer = (await client.get("/models/puppet-o2/versions/1")).json()
    schema = operations(document)["show_version"]["responses"]["200"]["content"]["application/json"]["schema"]

    validator = Draft202012Validator(schema | {"components": document["components"]})

    assert [error.message for error in validator.iter_errors(answer)] == []
    assert not validator.is_valid(answer | {"serves": "yes"})


async def test_patterns_are_those_of_ecma(document: dict[str, Any]) -> None:
    """JSON Schema has the patterns of ECMA-262."""
    patterns = [one["pattern"] for one in objects(document) if isinstance(one.get("pattern"), str)]

    assert len(patterns) > 5
    assert [pattern for pattern in patterns if PYTHON_ALONE.search(pattern)] == []


async def test_names_and_numbers_of_an_address_have_limits(document: dict[str, Any]) -> None:
    """So a client, or a fuzzer, knows what is worth sending."""
    assert "pattern" in document["components"]["schemas"]["CreateModel"]["properties"]["name"]
    for operation in operations(document).values():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] in ("name", "version"):
                assert {"pattern", "minimum"} & set(parameter["schema"]), operation["operationId"]


async def test_headers_are_declared(document: dict[str, Any]) -> None:
    """Those that are read, and those of the answers; each of the tables names operations that are there."""
    by_id = operations(document)
    read = {
        (operation, parameter["name"])
        for operation, said in by_id.items()
        for parameter in said.get("parameters", ())
        if parameter["in"] == "header"
    }

    assert read == {(operation, name) for name, (_, _, names) in READ_HEADERS.items() for operation in names}
    for name, (_, names, status) in SENT_HEADERS.items():
        for operation in names:
            assert name in by_id[operation]["responses"][status]["headers"]
    for said in by_id.values():
        assert "WWW-Authenticate" in said["responses"].get("401", {"headers": ["WWW-Authenticate"]})["headers"]


async def test_components_have_plain_names(document: dict[str, Any]) -> None:
    """Letters and one pair of underscores, so that no generator takes a name for a module."""
    names = [name for names in document["components"].values() for name in names]

    assert [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z_-]*", name)] == []
    assert json.dumps(document).count("artifacts.") == 0
