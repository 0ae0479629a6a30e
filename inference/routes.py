"""The routes: bytes -> Struct -> ids -> answer. One function each, in the order of the seed documents."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import MediaType, Request, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema

from artifacts.errors import EmptyTicket, Fault, InvalidInput, InvalidText
from artifacts.kinds import Ticket, check_kind
from artifacts.metrics import Evaluation
from artifacts.runtime import Model
from artifacts.validation import MAX_FAULTS_SHOWN, decode, decoder_of, find_faults, summary
from artifacts.vocabulary import Encoded
from inference import access
from inference.batcher import SLICE_TICKETS, Batcher
from inference.errors import ModelLoading, NoTestData, TrainingFailed
from inference.registry import Registry
from inference.schemas import (
    Created,
    CreateModel,
    Predict,
    PredictAnswer,
    Probe,
    Problem,
    Search,
    SearchAnswer,
    SearchAnswers,
    Test,
    TestRows,
    Trained,
    TrainModel,
)
from inference.settings import Settings
from inference.training import Training

ERRORS = {
    400: "The body does not fit; every fault is listed with its JSON Pointer. Or one of the seeds' sentences.",
    401: "The route needs the admin token.",
    404: "There is no such model.",
    413: "The body is larger than the route's limit.",
    415: "The body is not sent as application/json.",
    421: "The Host header is none of the server's names.",
    500: "The training failed, or an error of ours; the log has it.",
    503: "Not now: loading, training, shutting down, or no version that can be verified. Retry-After says when.",
}
READ = (400, 404, 413, 415, 421, 503)
ADMIN = (400, 401, 413, 415, 421, 503)

TICKETS = [
    Ticket("Problème de connexion", ["avoir", "problème", "connexion", "<PRODUCT>"]),
    Ticket("Accès utilisateur", ["ajouter", "utilisateur", "coffre"]),
]
EXAMPLES: tuple[msgspec.Struct, ...] = (  # what the documentation page offers to send, one of each body
    CreateModel("puppet-o2", "GRU"),
    TrainModel("puppet-o2", "GRU", TICKETS),
    Search("puppet-o2", "GRU", vector=["avoir", "problème", "connexion", "<PRODUCT>"]),
    Test("puppet-o2", "GRU", TICKETS),
    Predict("Réunion d'équipe prévue demain à 10h."),
)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what bytes that do not fit raise

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]


def documented(body: type[msgspec.Struct]) -> type[Operation]:
    """Return the OpenAPI operation of a route that reads its body itself.

    The handlers decode raw bytes: Litestar's own decoding answers 500 to invalid UTF-8 and to deep nesting.
    """

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            schema = Reference(ref=f"#/components/schemas/{body.__name__}")
            (example,) = (msgspec.to_builtins(one) for one in EXAMPLES if type(one) is body)
            content = {MediaType.JSON.value: OpenAPIMediaType(schema=schema, example=example)}
            self.request_body = RequestBody(content=content, required=True)

    return Documented


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the OpenAPI entries of a route's error answers."""
    media_type = cast(MediaType, "application/problem+json")
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=ERRORS[status], media_type=media_type)
        for status in statuses
    }


def body_schemas() -> dict[str, Schema]:
    """Return the JSON Schema of every body, for the OpenAPI document."""
    _, found = msgspec.json.schema_components(map(type, EXAMPLES), ref_template="#/components/schemas/{name}")
    return cast(dict[str, Schema], found)  # Litestar passes plain dicts through


async def read(request: AnyRequest, type_: type[T]) -> T:
    """Return the request's body as a `type_`.

    Raises:
        WrongMediaType, InvalidInput; Litestar's RequestEntityTooLarge over the route's limit.
    """
    access.check_media_type(request)
    raw = await request.body()
    try:
        return decoder_of(type_).decode(raw)
    except UNREADABLE:
        # Finding every fault is slow: 256 KiB of nothing else held each search up for 0.8 s.
        return await asyncio.to_thread(decode, raw, type_)


def registry_of(request: AnyRequest) -> Registry:
    """Return the process's registry."""
    registry: Registry = request.app.state.registry
    return registry


def batcher_of(request: AnyRequest) -> Batcher:
    """Return the process's batcher."""
    batcher: Batcher = request.app.state.batcher
    return batcher


async def in_turns(items: Sequence[T]) -> AsyncIterator[tuple[int, T]]:
    """Yield the items with their places, and let other requests in between slices of them."""
    for index, item in enumerate(items):
        if index and index % SLICE_TICKETS == 0:
            await asyncio.sleep(0)
        yield index, item


class Faults:
    """The faults of a body: all are counted and the first 20 kept, for a body of nothing else would fill the memory."""

    def __init__(self) -> None:
        self._shown: list[Fault] = []
        self._num = 0

    def add(self, fault: Fault) -> None:
        """Take one more."""
        self._num += 1
        if self._num <= MAX_FAULTS_SHOWN:
            self._shown.append(fault)

    def refuse(self, what: str) -> None:
        """Do nothing if there is none.

        Raises:
            InvalidInput: there are some; `what` says in what.
        """
        if self._num:
            raise InvalidInput(summary(what, self._num), self._shown, self._num)


async def encode_one(batcher: Batcher, model: Model, content: Sequence[str] | str, pointer: str) -> Encoded:
    """Return a ticket's ids.

    Raises:
        InvalidInput: it cannot be read; `pointer` says which field it came in.
    """
    try:
        return await batcher.encode(model, content)
    except (EmptyTicket, InvalidText) as error:
        raise InvalidInput(summary("body", 1), [Fault(pointer, str(error))]) from error


def create_routes(settings: Settings) -> Router:
    """Return every route of the service; only the limits of the bodies come from the settings."""

    @post(
        "/create_model",
        operation_class=documented(CreateModel),
        opt=access.ADMIN,
        status_code=200,
        responses=refusals(*ADMIN),
    )
    async def create_model(request: AnyRequest) -> Created:
        """Record a new, untrained model."""
        body = await read(request, CreateModel)
        await asyncio.to_thread(registry_of(request).store.create_model, body.name, body.neural_network_type)
        return Created(model_name=body.name)

    @post(
        "/train_model",
        operation_class=documented(TrainModel),
        opt=access.ADMIN,
        status_code=200,
        request_max_body_size=settings.train_body_bytes,
        responses=refusals(*ADMIN, 404, 500),
    )
    async def train_model(request: AnyRequest) -> Trained:
        """Train a model on labelled tickets in a process of its own, and wait until the new version serves."""
        access.check_media_type(request)
        training: Training = request.app.state.training
        result = await training.train(request.stream())
        registry = registry_of(request)
        await registry.refresh()
        if registry.serving(result.model_name).version < result.version:
            raise TrainingFailed(
                f"version {result.version} was published, but this server refuses it and the previous one goes on "
                f"serving; the log says why"
            )
        assert result.validation is not None, "a training without metrics; this is our bug"
        return Trained(
            model_name=result.model_name,
            version=result.version,
            metrics=result.validation,
            seconds=result.seconds,
        )

    @post(
        "/search",
        operation_class=documented(Search),
        opt=access.SEARCH,
        status_code=200,
        responses=refusals(*READ),
    )
    async def search(request: AnyRequest) -> SearchAnswer | SearchAnswers:
        """Answer with the category of one ticket, or of several in their order."""
        body = await read(request, Search)
        model = registry_of(request).serving(body.name)
        check_kind(body.neural_network_type, body.name, model.kind.name)
        batcher = batcher_of(request)
        one = body.vector if body.vector is not None else body.text
        if one is not None:
            field = "/vector" if body.vector is not None else "/text"
            (answer,) = await batcher.predict(model, [await encode_one(batcher, model, one, field)])
            return SearchAnswer(
                answer.category,
                answer.confidence,
                answer.unknown_tokens,
                answer.num_truncated_tokens,
                body.id,
                model_name=model.name,
                version=model.version,
            )
        several: Sequence[Sequence[str] | str] = body.vectors if body.vectors is not None else body.texts or []
        field = "/vectors" if body.vectors is not None else "/texts"
        encoded: list[Encoded] = []
        faults = Faults()
        async for index, content in in_turns(several):
            try:
                encoded.append(await batcher.encode(model, content))
            except (EmptyTicket, InvalidText) as error:
                faults.add(Fault(f"{field}/{index}", str(error)))
        faults.refuse("body")
        answers = await batcher.predict(model, encoded)
        if body.ids is not None:
            answers = [
                msgspec.structs.replace(answer, id=given) for answer, given in zip(answers, body.ids, strict=True)
            ]
        return SearchAnswers(model.name, model.version, answers)

    @post(
        "/test",
        operation_class=documented(Test),
        opt=access.SEARCH,
        status_code=200,
        request_max_body_size=settings.test_body_bytes,
        responses=refusals(*READ),
    )
    async def test(request: AnyRequest) -> Evaluation:
        """Measure the serving version on labelled tickets."""
        body = await read(request, TestRows)
        model = registry_of(request).serving(body.name)
        check_kind(body.neural_network_type, body.name, model.kind.name)
        if not body.test_data:
            raise NoTestData("No test data provided or test data is empty")
        batcher = batcher_of(request)
        rows: list[Ticket] = []
        encoded: list[Encoded] = []
        faults = Faults()
        decoder = decoder_of(model.kind.row)
        async for index, raw in in_turns(body.test_data):
            pointer = f"/test_data/{index}"
            try:
                row = decoder.decode(raw)
                encoded.append(await batcher.encode(model, row.content))
                rows.append(row)
            except UNREADABLE:
                for fault in find_faults(raw, model.kind.row, pointer):
                    faults.add(fault)
            except (EmptyTicket, InvalidText) as error:
                field = next(name for name in ("tokens", "text", "email_text") if getattr(row, name) is not None)
                faults.add(Fault(f"{pointer}/{field}", str(error)))
        faults.refuse("test_data")
        return await batcher.evaluate(model, rows, encoded)

    @post(
        "/predict",
        operation_class=documented(Predict),
        opt=access.SEARCH,
        status_code=200,
        responses=refusals(*READ),
    )
    async def predict(request: AnyRequest) -> PredictAnswer:
        """Answer with the label of one e-mail's text."""
        body = await read(request, Predict)
        model = registry_of(request).serving(body.name if body.name is not None else settings.default_model)
        batcher = batcher_of(request)
        (answer,) = await batcher.predict(model, [await encode_one(batcher, model, body.email_text, "/email_text")])
        return PredictAnswer(
            answer.category,
            answer.confidence,
            model.name,
            model.version,
            answer.unknown_tokens,
            answer.num_truncated_tokens,
            body.id,
        )

    @get("/livez", opt=access.OPEN)
    async def livez() -> Probe:
        """Answer as long as the process does."""
        return Probe("alive")

    @get("/readyz", opt=access.OPEN)
    async def readyz(request: AnyRequest) -> Probe:
        """Answer 200 once every trained model has been loaded or refused."""
        if not registry_of(request).is_ready:
            raise ModelLoading("models are being loaded")
        return Probe("ready")

    return Router(
        "/",
        route_handlers=[create_model, train_model, search, test, predict, livez, readyz],
        guards=[access.check_role],
        request_max_body_size=settings.search_body_bytes,
    )
