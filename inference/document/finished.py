"""What Litestar's own OpenAPI document lacks before a client can be generated from it.

In: the document as Litestar writes it from the routes. Out: the same, with overlapping answers as `anyOf`, the headers
that are read and answered, the limits of what stands in an address, and the files that some routes answer with. What
each route is, takes and gives is declared next to it; here is what holds for several of them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from artifacts.schemas import NAME_PATTERN
from inference.jobs.answered import MEDIA_TYPES
from inference.search.search import MAX_TIMEOUT_MS

# Name of a handler, where it stands among others of its class -> what it is called in a client.
OPERATION_IDS: Mapping[str, str] = {
    "models": "list_models",
    "model": "show_model",
    "version": "show_version",
    "report": "show_report",
    "download": "download_version",
    "diff": "compare_versions",
    "jobs": "list_jobs",
    "job": "show_job",
    "result": "job_result",
    "events": "job_events",
    "cancel": "cancel_job",
    "entries": "list_audit",
    "server": "protocol_server",
    "live": "protocol_live",
    "ready": "protocol_ready",
    "metadata": "model_metadata",
    "metadata_of_version": "version_metadata",
}
JOBS = (
    "train_model",
    "inspect",
    "evaluate",
    "classify",
    "compare_versions",
    "write_report",
)  # answered at their end, or at once
ASKED = ("search", "predict", "infer", "infer_version")  # with a model's answer, in time or not at all
INFERENCES = ("infer", "infer_version")
FILES = ("classify", "job_result")  # answered with a file too
TEXT: Mapping[str, Any] = {"type": "string"}

# Name -> what it holds, what it is for, and the operations that read it.
READ_HEADERS: Mapping[str, tuple[Mapping[str, Any], str, Collection[str]]] = {
    "X-Timeout-Ms": (
        {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
        "Milliseconds within which the answer is of use; else 504, and the model is not asked.",
        ASKED,
    ),
    "Idempotency-Key": (TEXT, "A request that comes twice with it is done once.", (*JOBS, "create_model")),
    "Prefer": (
        {"type": "string", "examples": ["respond-async"]},
        "respond-async: answer 202 at once, and not at the end of the job.",
        JOBS,
    ),
    "If-Match": (TEXT, "ETag of the version that must serve now; else 412.", ("promote",)),
    "Last-Event-ID": (TEXT, "The event after which to go on.", ("job_events",)),
    "Inference-Header-Content-Length": (
        {"type": "integer", "minimum": 1},
        "Bytes of the JSON, where binary tensors follow it.",
        INFERENCES,
    ),
}
# Name -> what it says, and the operations and the status of the answers that always have it.
SENT_HEADERS: Mapping[str, tuple[str, Collection[str], str]] = {
    "Location": ("Where to follow the job.", JOBS, "202"),
    "ETag": ("Hash of the version.", ("show_version",), "200"),
    "Server-Timing": ("Milliseconds of parse, ids, queue and model.", ("search", *INFERENCES), "200"),
}
# The same of every operation that has an answer of the status.
STATUS_HEADERS: Mapping[str, tuple[str, str]] = {
    "WWW-Authenticate": ("How to send a token.", "401"),
    "Retry-After": ("Seconds until a wrong token is let in again.", "429"),
}
REQUEST_ID = "X-Request-ID"  # of each answer that has come through the application


@dataclass
class CompletedDocument(OpenAPI):
    """Litestar's document, which completes itself as it is written."""

    def to_schema(self) -> dict[str, Any]:
        """Return the document as it is sent."""
        return finished(super().to_schema())


@dataclass
class CompletedConfig(OpenAPIConfig):
    """What the document says beside the routes; it is completed, and operations are named by their handlers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.operation_id_creator = operation_id

    def to_openapi_schema(self) -> OpenAPI:
        """Return the document before its routes are in it."""
        return CompletedDocument(**vars(super().to_openapi_schema()))


def operation_id(handler: HTTPRouteHandler, *_: object) -> str:
    """Return what an operation is called in a client that is generated from the document."""
    name = handler.handler_name
    return OPERATION_IDS.get(name, name)


def finished(document: dict[str, Any]) -> dict[str, Any]:
    """Return Litestar's document, completed."""
    document = _any_of(document)
    document["components"]["headers"] = _sent_headers()
    for operation in _operations(document):
        _declare_headers(operation)
        _bound_parameters(operation)
        if operation["operationId"] in FILES:
            operation["responses"]["200"]["content"] |= {
                media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()
            }
        if operation["operationId"] in INFERENCES:
            operation["responses"]["200"]["content"]["application/octet-stream"] = {
                "schema": {"type": "string", "format": "binary"}
            }
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _any_of(node: Any) -> Any:
    """Return a document in which what may fit several schemas is `anyOf`: an integer is a number too."""
    if isinstance(node, dict):
        return {"anyOf" if key == "oneOf" else key: _any_of(value) for key, value in node.items()}
    return [_any_of(one) for one in node] if isinstance(node, list | tuple) else node


def _declare_headers(operation: dict[str, Any]) -> None:
    """Add the headers that an operation reads, and those of its answers."""
    name = operation["operationId"]
    for header, (schema, said, operations) in READ_HEADERS.items():
        if name in operations:
            parameter = {"name": header, "in": "header", "required": False, "description": said, "schema": schema}
            operation.setdefault("parameters", []).append(parameter)
    for status, response in operation["responses"].items():
        sent = [REQUEST_ID]
        sent += [header for header, (_, of, at) in SENT_HEADERS.items() if name in of and status == at]
        sent += [header for header, (_, at) in STATUS_HEADERS.items() if status == at]
        response.setdefault("headers", {}).update({one: {"$ref": f"#/components/headers/{one}"} for one in sent})


def _sent_headers() -> dict[str, Any]:
    """Return what the headers of answers are, once for all answers that have them."""
    said = {name: one[0] for name, one in (*SENT_HEADERS.items(), *STATUS_HEADERS.items())}
    found = {name: {"description": text, "required": True, "schema": TEXT} for name, text in said.items()}
    text = "The request's own if it brought one; the server's log has it."
    return {**found, REQUEST_ID: {"description": text, "schema": TEXT}}


def _bound_parameters(operation: dict[str, Any]) -> None:
    """Add the limits of what stands in an address; the server answers 400 or 404 to what is beyond them."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        if parameter["in"] == "path" and parameter["name"] == "name":
            schema["pattern"] = f"^{NAME_PATTERN}$"
        elif parameter["in"] == "path" and parameter["name"] == "version":
            schema["minimum"] = 1
