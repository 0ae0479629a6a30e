"""Every answer that a test receives is held against the OpenAPI document: status, media type, headers and schema.

So the document cannot promise what no route keeps: who generates a client from it gets one that reads every answer.
"""

import functools
import json
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from inference.app import create_app
from inference.settings import Settings

# Of the server and not of a route, or before it is known which route is meant.
EVERYWHERE = {
    "405": "the path has no such method",
    "500": "a bug; tests of bugs make one",
}


class Contract:
    """The document of an application, as what answers are held against."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take the document."""
        self._components = document["components"]
        # The longest template first: /models/{name}/feedback before /models/{name}/{anything}.
        self._operations = {
            re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))): methods
            for path, methods in sorted(document["paths"].items(), key=lambda one: -len(one[0]))
        }
        self._validators: dict[int, Draft202012Validator] = {}

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Raise AssertionError unless the document has an answer.

        Args:
            method: of the request.
            path: of the request, without its query.
            status: of the answer.
            headers: of the answer, names in lower case.
            body: of the answer, whole.
        """
        operation = self._operation(method, path)
        if operation is None or str(status) in EVERYWHERE.keys() - operation["responses"].keys():
            return
        where = f"{method} {path} {status}"
        assert str(status) in operation["responses"], f"{where} is not in the document: {body[:300]!r}"
        said = operation["responses"][str(status)]
        for name, reference in said.get("headers", {}).items():
            header = self._components["headers"][reference["$ref"].rpartition("/")[2]]
            assert name.lower() in headers or not header.get("required"), f"{where}: no header {name}"
        content = said.get("content", {})
        media_type = headers.get("content-type", "").partition(";")[0].strip()
        assert media_type in content, f"{where}: {media_type} is not in the document, {list(content)} are"
        if media_type in ("application/json", "application/problem+json") and "schema" in content[media_type]:
            errors = list(self._validator(content[media_type]["schema"]).iter_errors(json.loads(body)))
            assert not errors, f"{where}: {[error.message[:200] for error in errors[:3]]}"

    def _operation(self, method: str, path: str) -> Any:
        for template, methods in self._operations.items():
            if template.fullmatch(path):
                return methods.get(method.lower())
        return None

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = Draft202012Validator({**schema, "components": self._components})
        return self._validators[id(schema)]


def document() -> dict[str, Any]:
    """Return the document of a server with default settings; tokens and limits change none of its schemas."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(store=f"{folder}/store", trainer="none"))
        found: dict[str, Any] = json.loads(msgspec.json.encode(app.openapi_schema.to_schema()))
        return found


@functools.cache
def contract() -> Contract:
    """Return the same as what answers are held against."""
    return Contract(document())


def held(app: Any) -> Any:
    """Return an ASGI application that answers as another does, and holds each answer against the document."""

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        parts: list[bytes] = []
        is_whole = False

        async def sending(message: Any) -> None:
            nonlocal is_whole
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                is_whole = not message.get("more_body", False)
            await send(message)

        await app(scope, receive, sending)
        if is_whole and scope["method"] != "HEAD":
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
            contract().check(scope["method"], scope["path"], start["status"], headers, b"".join(parts))

    return checked
