"""What the routes say of themselves in the OpenAPI document: bodies with examples, answers, refusals.

The handlers decode raw bytes, because Litestar's own decoding answers 500 to invalid UTF-8 and to deep nesting; so the
document is told here what they read. What a kind of network reads and answers comes from the table of kinds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Union, cast

import msgspec
from litestar import MediaType, Request
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityRequirement,
    SecurityScheme,
)
from litestar.params import Body

from artifacts.jobs.answers import ClassifiedFile, Difference, InspectionAnswer, Preview, WrittenReport
from artifacts.jobs.records import JobKind
from artifacts.jobs.request import (
    ClassifyTickets,
    DiffVersions,
    EvaluateModel,
    InspectData,
    TrainModel,
    UnsortedTicket,
)
from artifacts.kinds import KINDS
from inference.jobs.posted import FILES, parameters_of
from inference.oip.wire import InferenceAnswer, InferenceRequest, RequestInput
from inference.routes.access import OPENED_BY, Gate
from inference.schemas import (
    Accepted,
    AskSteps,
    CreateModel,
    Feedback,
    Nothing,
    Predict,
    Problem,
    Promote,
    ReviewLoad,
    ReviewTicket,
    SearchAnswers,
    Test,
    Trained,
    TrainedAnswer,
)


class Once(OpenAPIRenderPlugin):
    """What a plugin renders as bytes that are made once: every answer sends the same ones.

    Litestar encodes the 160 kB of the document anew for each request: 2 ms for anybody, without a token. And 1,000
    callers that leave their answer unread would hold 1,000 copies of it.
    """

    _bytes: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return what the plugin renders; the routes of an application do not change."""
        if self._bytes is None:
            self._bytes = super().render(request, openapi_schema)  # type: ignore[safe-super]  # of the plugin beside it
        return self._bytes


class DocumentOnce(Once, JsonRenderPlugin):
    """The document."""


class PageOnce(Once, SwaggerRenderPlugin):
    """The page that shows it."""


ERRORS = {
    400: "The body does not fit; every fault is listed with its JSON Pointer. Or one of the seeds' sentences.",
    401: "The request carries no token that opens the route.",
    403: "The request comes from a page of another site.",
    404: "There is no such model, version, job, result, correction or page.",
    409: "Not in the state that the request needs: the version serves, nothing to roll back to, the training stopped, "
    "the review queue is off.",
    412: "Another version serves than If-Match wants.",
    413: "The body is larger than the route's limit.",
    415: "The body is not sent as application/json.",
    422: "The Idempotency-Key was used for another request.",
    421: "The Host header is none of the server's names.",
    429: "Too many wrong tokens from this address; a right one is still let in. Retry-After says when.",
    500: "The training failed, an answer is no number, or an internal error; the server's log says why.",
    503: "Not now: full, loading, training, shutting down, or no version that can be verified. Retry-After says when.",
    507: "The model has as many corrections, or tickets to be reviewed, as it may have.",
    504: "The answer cannot come within the X-Timeout-Ms of the request; the model was not asked.",
}
JSON_LINES = "application/jsonl"
READ = (400, 401, 404, 413, 415, 421, 429, 503)
ASK = (*READ, 500, 504)  # of the routes that ask a model
ADMIN = (400, 401, 413, 415, 421, 429, 503)

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
STEPS: Bodies = {"steps": (AskSteps, AskSteps(text="Je n'arrive plus à me connecter"))}
FEEDBACK: Bodies = {
    "feedback": (
        Feedback,
        Feedback(
            name="puppet-o2",
            id="2024-1107",
            category="Accès utilisateur",
            tokens=["ajouter", "utilisateur", "coffre"],
            version=1,
        ),
    )
}
REVIEW: Bodies = {
    "review": (
        ReviewLoad,
        ReviewLoad(
            [
                ReviewTicket(id="2024-1108", text="Je n'arrive plus à me connecter depuis ce matin."),
                ReviewTicket(tokens=["ajouter", "utilisateur", "coffre"]),
            ]
        ),
    )
}
EMPTY: Bodies = {"nothing": (Nothing, Nothing())}
PROMOTE: Bodies = {"promote": (Promote, Promote(2))}
INSPECT: Bodies = {
    kind.name: (InspectData[kind.row], InspectData(list(kind.examples[0])))  # type: ignore[name-defined]
    for kind in KINDS.values()
    if kind.reads_text
}
EVALUATE: Bodies = {
    kind.name: (
        EvaluateModel[kind.row],  # type: ignore[name-defined]
        EvaluateModel(kind.examples[1].name, kind.name, list(kind.examples[0])),
    )
    for kind in KINDS.values()
}
DIFF: Bodies = {
    kind.name: (DiffVersions[kind.row], DiffVersions(list(kind.examples[0]), old=1, new=2))  # type: ignore[name-defined]
    for kind in KINDS.values()
}
CLASSIFY: Bodies = {
    "classify": (
        ClassifyTickets,
        ClassifyTickets("puppet-o2", "GRU", [UnsortedTicket(text="Je n'arrive plus à me connecter", id=1107)]),
    )
}
INFER: Bodies = {
    "infer": (
        InferenceRequest,
        InferenceRequest(
            [RequestInput("text", "BYTES", [1], data=msgspec.Raw('["Je n\'arrive plus à me connecter"]'.encode()))]
        ),
    )
}
OCTETS_BODY = {
    "application/octet-stream": OpenAPIMediaType(schema=Schema(type="string", format="binary"))  # type: ignore[arg-type]
}
FILE_BODY = {
    media_type: OpenAPIMediaType(schema=Schema(type="string", format="binary"))  # type: ignore[arg-type]
    for media_type in FILES
}
# How a parameter of the query is written, by how it is read (inference/jobs/posted.py).
QUERY_SCHEMAS: dict[str, Schema] = {
    "text": Schema(type=OpenAPIType.STRING),
    "list": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING)),
    "number": Schema(type=OpenAPIType.INTEGER),
    "flag": Schema(type=OpenAPIType.BOOLEAN),
    "json": Schema(type=OpenAPIType.STRING),
    "start": Schema(type=OpenAPIType.STRING),
    "pairs": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING)),
    "delimiter": Schema(type=OpenAPIType.STRING),
}
DESCRIBED = {
    "name": "Of a file: the model.",
    "neural_network_type": "Of a file: the type of network of the model.",
    "config": "Of a file: settings of the training, as JSON.",
    "promote": "Of a file: when the new version serves: always, if_better or never.",
    "include_feedback": "Of a file: whether the model's corrections are trained on as well.",
    "keep_data": "Of a file: whether it stays on the disk after the training.",
    "from": "Of a file: the version that the training starts from, its number or `serving`.",
    "preview": "Only say how the file is understood: its form, its columns, its first rows.",
    "version": "Of a file: which version; the serving one by default.",
    "old": "Of a file: the one version; the serving one by default.",
    "new": "Of a file: the other version; the newest by default.",
    "abstain": "Of a file: leave the category empty where the model is not sure; its own setting by default.",
    "top_k": "Of a file: how many categories to name.",
    "among": "Of a file: a category that may be answered; may be repeated, and others are masked.",
    "otherwise": "Of a file: what to write where the category would stay empty.",
    "explain": "Of a file: name the words that weigh most.",
    "output": "Of a file: form of the one that is given back: csv, tsv, xlsx, jsonl or parquet.",
    "category": "Of a file: the column of the category.",
    "text": "Of a file: a column of the text; may be repeated.",
    "id": "Of a file: the column by which the support team knows a ticket.",
    "encoding": "Of a file: its encoding, such as cp1252.",
    "delimiter": "Of a file: what stands between its columns; `tab` for a tab.",
    "header": "Of a file: whether a row names the columns.",
    "skip_unlabelled": "Of a file: leave out rows without a category.",
    "skip_faulty": "Of a file: leave out rows that do not fit.",
    "first_label": "Of a file: of several categories in a cell take the first.",
    "merge": "Of a file: OLD=NEW, a category that is read as another; may be repeated.",
    "filename": "Of a file: its name, which names the one that is given back.",
    "as": "`file`: the JSON is an export, and no request.",
}
MAIL_BODY = {
    "message/rfc822": OpenAPIMediaType(
        schema=Schema(type="string", format="binary"),  # type: ignore[arg-type]  # OpenAPIType is not exported
        example="Subject: Réunion\n\nRéunion d'équipe prévue demain à 10h.",
    )
}
_BODIES: tuple[Bodies, ...] = (
    *(CREATE, TRAIN, SEARCH, TEST, PREDICT, STEPS, FEEDBACK, REVIEW, PROMOTE, INSPECT, EVALUATE, DIFF, CLASSIFY),
    *(INFER, EMPTY),
)
_TYPES = [type_ for bodies in _BODIES for type_, _ in bodies.values()]
_REFERENCES, _COMPONENTS = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")


def documented(
    bodies: Bodies, other: dict[str, OpenAPIMediaType] | None = None, job: JobKind | None = None
) -> type[Operation]:
    """Return the OpenAPI operation of a route that takes any of `bodies` as JSON, and `other` media types beside.

    Args:
        bodies: by name.
        other: media type -> its schema.
        job: that the route makes of a file as well, which brings its media types and the parameters of its query.
    """
    if job is not None:
        other = {**(other or {}), **FILE_BODY}
    references = [Reference(ref=_REFERENCES[_TYPES.index(type_)]["$ref"]) for type_, _ in bodies.values()]
    examples: dict[str, Example | Reference] = {
        name: Example(value=msgspec.json.decode(msgspec.json.encode(example))) for name, (_, example) in bodies.items()
    }

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            schema = references[0] if len(references) == 1 else Schema(any_of=references)
            content = {MediaType.JSON.value: OpenAPIMediaType(schema=schema, examples=examples)}
            self.request_body = RequestBody(content=content | (other or {}), required=True)
            if job is not None:
                self.parameters = [*(self.parameters or []), *query_of(job)]

    return Documented


def query_of(job: JobKind) -> list[Parameter | Reference]:
    """Return the parameters of the query with which a file is posted for a job."""
    return [
        Parameter(
            name=name,
            param_in="query",
            description=DESCRIBED[name],
            required=False,
            explode=form in ("list", "pairs"),
            schema=QUERY_SCHEMAS[form],
        )
        for name, form in parameters_of(job).items()
    ]


def answers(types: Iterable[Any]) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer, which is one of several types."""
    any_of: Any = Union[tuple(types)]  # noqa: UP007  # of as many as there are
    return {200: ResponseSpec(any_of, generate_examples=False, description="The answer.")}


def accepted() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entries of the good answers of /train_model: at its end, or at once."""
    said = "The training is queued; Location says where to follow it."
    return answers([Trained]) | {202: ResponseSpec(Accepted, generate_examples=False, description=said)}


def search_answers() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer of /search, to one input or to several."""
    one = [type_ for kind in KINDS.values() for type_ in (kind.answer, kind.ranked) if type_ is not None]
    return answers([*one, *(_named(SearchAnswers[answer]) for answer in one)])  # type: ignore[valid-type]


def _named(type_: Any) -> Any:
    """Return a generic Struct of another under the name that the bodies' have in the document: SearchAnswers_Value_.

    Litestar's own name for it holds the module of the other, so it would change whenever that module moves.
    """
    (reference,), _ = msgspec.json.schema_components([type_], ref_template="{name}")
    return Annotated[type_, Body(schema_component_key=reference["$ref"])]


def infer_answers() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer of the Open Inference Protocol; with binary tensors it is octets."""
    said = "The answer; application/octet-stream with binary tensors behind the JSON."
    return {200: ResponseSpec(InferenceAnswer, generate_examples=False, description=said)}


def text_answer() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer that is text."""
    media_type = cast(MediaType, "text/plain")
    return {200: ResponseSpec(str, generate_examples=False, description="The answer.", media_type=media_type)}


def page_answer() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer that is a page."""
    return {200: ResponseSpec(str, generate_examples=False, description="The page.", media_type=MediaType.HTML)}


def file_answer(media_type: str) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer that is a file."""
    return {
        200: ResponseSpec(
            bytes, generate_examples=False, description="The file.", media_type=cast(MediaType, media_type)
        )
    }


def job_answers(*types: Any, is_file: bool = False) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entries of the good answers of a route that makes a job: at its end, or at once.

    Args:
        types: of the JSON that the job gives back.
        is_file: whether it gives a file to who does not accept JSON.
    """
    said = "The job is queued; Location says where to follow it."
    at_end = "What the job gives back; a file unless Accept asks for JSON." if is_file else "What the job gives back."
    any_of: Any = Union[tuple(types)]  # noqa: UP007
    return {
        200: ResponseSpec(any_of, generate_examples=False, description=at_end),
        202: ResponseSpec(Accepted, generate_examples=False, description=said),
    }


def job_results() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of what a job of any kind gives back."""
    kinds = [kind.evaluation for kind in KINDS.values()]
    types = (TrainedAnswer, Preview, InspectionAnswer, *kinds, Difference, ClassifiedFile, WrittenReport)
    any_of: Any = Union[types]  # noqa: UP007
    said = "What the job gives back; of a file that was sorted the file, unless Accept asks for JSON."
    return {200: ResponseSpec(any_of, generate_examples=False, description=said)}


def lines_answer() -> dict[int, ResponseSpec]:
    """Return the OpenAPI entry of a good answer that is one JSON object a line."""
    media_type = cast(MediaType, JSON_LINES)
    return {200: ResponseSpec(str, generate_examples=False, description="The answer.", media_type=media_type)}


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entries of a route's error answers."""
    media_type = cast(MediaType, "application/problem+json")
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=ERRORS[status], media_type=media_type)
        for status in statuses
    }


def token_schemes(gate: Gate) -> dict[str, SecurityScheme | Reference]:
    """Return the roles of which there is a token, so that the documentation page has a field for each."""
    descriptions = {
        "search": "Opens search, test and predict.",
        "label": "Opens corrections and the review queue: post, read; inspections and reports.",
        "admin": "Opens every route.",
    }
    there = {one for role in OPENED_BY for one in gate.roles_that_open(role)}
    return {
        f"{role}_token": SecurityScheme(type="http", scheme="bearer", description=description)
        for role, description in descriptions.items()
        if role in there
    }


def token_needed(gate: Gate, role: str | None) -> list[SecurityRequirement]:
    """Return the tokens that open the routes of a role, any one of them; none while they need none.

    None for a route without a role, or with one that no token opens, because nobody may use it.
    """
    if role is None or role not in OPENED_BY or not gate.needs_token(role):
        return []
    return [{f"{one}_token": []} for one in gate.roles_that_open(role)]


def body_schemas() -> dict[str, Schema]:
    """Return the JSON Schema of every body, for the OpenAPI document."""
    return cast(dict[str, Schema], _COMPONENTS)  # Litestar passes plain dicts through
