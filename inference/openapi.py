"""What the routes say of themselves in the OpenAPI document: bodies with examples, answers, refusals.

The handlers decode raw bytes, because Litestar's own decoding answers 500 to invalid UTF-8 and to deep nesting; so the
document is told here what they read. What a kind of network reads and answers comes from the table of kinds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Union, cast

import msgspec
from litestar import MediaType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, Reference, RequestBody, Schema

from artifacts.kinds import KINDS
from inference.schemas import CreateModel, Predict, Problem, SearchAnswers, Test, TrainModel

ERRORS = {
    400: "The body does not fit; every fault is listed with its JSON Pointer. Or one of the seeds' sentences.",
    401: "The route needs the admin token.",
    404: "There is no such model.",
    413: "The body is larger than the route's limit.",
    415: "The body is not sent as application/json.",
    421: "The Host header is none of the server's names.",
    500: "The training failed, an answer is no number, or an error of ours; the log has it.",
    503: "Not now: loading, training, shutting down, or no version that can be verified. Retry-After says when.",
}
READ = (400, 404, 413, 415, 421, 503)
ADMIN = (400, 401, 413, 415, 421, 503)

Bodies = dict[str, tuple[Any, msgspec.Struct]]  # name of an example -> type of the body, and the example

CREATE: Bodies = {"create": (CreateModel, CreateModel("puppet-o2", "GRU"))}
TRAIN: Bodies = {
    kind.name: (TrainModel[kind.row], TrainModel(kind.examples[1].name, kind.name, list(kind.examples[0])))  # type: ignore[name-defined]
    for kind in KINDS.values()
}
SEARCH: Bodies = {kind.name: (kind.search, kind.examples[1]) for kind in KINDS.values()}
TEST: Bodies = {
    kind.name: (Test[kind.row], Test(kind.examples[1].name, kind.name, list(kind.examples[0])))  # type: ignore[name-defined]
    for kind in KINDS.values()
}
PREDICT: Bodies = {"predict": (Predict, Predict("Réunion d'équipe prévue demain à 10h."))}
MAIL_BODY = {
    "message/rfc822": OpenAPIMediaType(
        schema=Schema(type="string", format="binary"),  # type: ignore[arg-type]  # OpenAPIType is not exported
        example="Subject: Réunion\n\nRéunion d'équipe prévue demain à 10h.",
    )
}
_TYPES = [type_ for bodies in (CREATE, TRAIN, SEARCH, TEST, PREDICT) for type_, _ in bodies.values()]
_REFERENCES, _COMPONENTS = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")


def documented(bodies: Bodies, other: dict[str, OpenAPIMediaType] | None = None) -> type[Operation]:
    """Return the OpenAPI operation of a route that takes any of `bodies` as JSON, and `other` media types beside."""
    references = [Reference(ref=_REFERENCES[_TYPES.index(type_)]["$ref"]) for type_, _ in bodies.values()]
    examples: dict[str, Example | Reference] = {
        name: Example(value=msgspec.to_builtins(example)) for name, (_, example) in bodies.items()
    }

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            schema = references[0] if len(references) == 1 else Schema(any_of=references)
            content = {MediaType.JSON.value: OpenAPIMediaType(schema=schema, examples=examples)}
            self.request_body = RequestBody(content=content | (other or {}), required=True)

    return Documented


def answers(types: Iterable[Any]) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer, which is one of several types."""
    return {
        200: ResponseSpec(Union[tuple(types)], generate_examples=False, description="The answer.")  # noqa: UP007
    }


def search_answers() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer of /search, to one input or to several."""
    one = [kind.answer for kind in KINDS.values()]
    return answers([*one, *(SearchAnswers[answer] for answer in one)])  # type: ignore[valid-type]


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entries of a route's error answers."""
    media_type = cast(MediaType, "application/problem+json")
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=ERRORS[status], media_type=media_type)
        for status in statuses
    }


def body_schemas() -> dict[str, Schema]:
    """Return the JSON Schema of every body, for the OpenAPI document."""
    return cast(dict[str, Schema], _COMPONENTS)  # Litestar passes plain dicts through
