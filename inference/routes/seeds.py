"""The routes: bytes -> Struct -> ids -> answer. One function each, in the order of the seed documents."""

import asyncio
import functools
import hashlib
import time
from collections.abc import Coroutine
from typing import Any, cast

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromQuery
from litestar.types import HTTPReceiveMessage, Receive

from artifacts.errors import Fault, InvalidContent, InvalidInput, KindMismatch
from artifacts.kinds import KINDS, check_kind, kind_named
from artifacts.mail.message import read_mail
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer, Row, Search
from artifacts.system.validation import decoder_of, find_faults
from artifacts.text.tickets import Prediction, RankedPrediction
from inference.errors import BodyTooLarge, Draining, ModelLoading, NoTestData, TrainingFailed
from inference.routes import access
from inference.routes.openapi import (
    ADMIN,
    ASK,
    CREATE,
    MAIL_BODY,
    PREDICT,
    SEARCH,
    TEST,
    TRAIN,
    accepted,
    answers,
    documented,
    refusals,
    search_answers,
    token_needed,
)
from inference.schemas import (
    Accepted,
    Created,
    CreateModel,
    Predict,
    PredictAnswer,
    Probe,
    Test,
    Trained,
)
from inference.search.batcher import Batcher
from inference.search.bodies import UNREADABLE, Faults, decoded, encode_all, encode_one, in_turns, kind_asked
from inference.search.context import RequestContext
from inference.search.ranked import rank, ranking_of
from inference.search.registry import Registry
from inference.search.search import answer, deadline_after
from inference.settings import Settings
from inference.training import Training

AnyRequest = Request[Any, Any, Any]


def registry_of(request: AnyRequest) -> Registry:
    """Return the process's registry."""
    registry: Registry = request.app.state.registry
    return registry


def batcher_of(request: AnyRequest) -> Batcher:
    """Return the process's batcher."""
    batcher: Batcher = request.app.state.batcher
    return batcher


def caller_of(request: AnyRequest, arrived: float) -> RequestContext:
    """Return who asks a model, once its body has come.

    Raises:
        InvalidInput: the header X-Timeout-Ms.
    """
    given = request.headers.get("x-timeout-ms")
    deadline = deadline_after(arrived, given.encode("latin-1") if given is not None else None)
    return RequestContext(deadline, functools.partial(has_left, request.receive))


def has_left(receive: Receive) -> bool:
    """Return whether the client has closed its connection; its body has been received.

    Servers tell the end of a connection to whoever asks for a further message, and let it wait until there is one. So
    one is asked for, for a single step: a task that waits beside each search would cost more than the search saves.
    """
    asking = cast(Coroutine[Any, Any, HTTPReceiveMessage], receive())
    try:
        asking.send(None)
    except StopIteration as answered:
        return bool(answered.value["type"] == "http.disconnect")
    finally:
        asking.close()
    return False


def check_size(raw: bytes, limit: int, what: str) -> None:
    """Do nothing if a body is within its limit.

    Raises:
        BodyTooLarge: saying by how much it is not.
    """
    if len(raw) > limit:
        raise BodyTooLarge(f"the body has {len(raw)} bytes, the limit for {what} is {limit}; send a shorter one")


def check_reads_text(model: Model[Any]) -> None:
    """Do nothing if the model says of a text which category it belongs to.

    Raises:
        KindMismatch: it takes something else.
    """
    kind = kind_named(model.manifest.neural_network_type)
    if not kind.reads_text:
        readers = ", ".join(one.name for one in KINDS.values() if one.reads_text)
        raise KindMismatch(
            f"model {model.name} is of neural_network_type {kind.name}, which does not read text; name a model of "
            f"{readers}, or ask this one through /search"
        )


def create_routes(settings: Settings) -> Router:
    """Return every route of the service; the settings give the limits of the bodies and the tokens in the document."""

    @post(
        "/create_model",
        operation_class=documented(CREATE),
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN),
    )
    async def create_model(request: AnyRequest) -> Created:
        """Record a new, untrained model. With Idempotency-Key a request that comes twice is answered twice."""
        access.check_media_type(request)
        raw = await request.body()
        body = await decoded(raw, CreateModel)
        training: Training = request.app.state.training
        key = request.headers.get("idempotency-key")

        def create() -> None:
            with training.jobs.once(key, hashlib.sha256(raw).hexdigest()) as is_first:
                if is_first:
                    registry_of(request).store.create_model(body.name, body.neural_network_type)

        await asyncio.to_thread(create)
        return Created(model_name=body.name)

    @post(
        "/train_model",
        operation_class=documented(TRAIN),
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        request_max_body_size=settings.train_body_bytes,
        responses=accepted() | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def train_model(request: AnyRequest) -> Response[Trained | Accepted]:
        """Train a model on labelled rows in a process of its own, and wait until the new version serves.

        With the header Prefer: respond-async it answers 202 at once, and Location says where the job can be followed.
        With Idempotency-Key a request that comes twice is one job.
        """
        access.check_media_type(request)
        training: Training = request.app.state.training
        job = await training.submit(request.stream(), request.headers.get("idempotency-key"))
        headers = {"Location": f"/jobs/{job.id}"}
        if "respond-async" in [word.partition(";")[0].strip() for word in request.headers.get("prefer", "").split(",")]:
            headers |= {"Retry-After": "1", "Preference-Applied": "respond-async"}
            return Response(Accepted(model_name=job.model_name, job=job.id), status_code=202, headers=headers)
        job = await training.wait(job)
        assert job.version is not None, "a job that succeeded has its version; this is our bug"
        assert job.metrics is not None, "and its metrics"
        registry = registry_of(request)
        await registry.refresh()
        serves = registry.version_of(job.model_name) == job.version
        if not serves and await asyncio.to_thread(registry.store.serving, job.model_name) == job.version:
            raise TrainingFailed(
                f"version {job.version} was published, but this server refuses it and the previous one goes on "
                f"serving; the log says why"
            )
        return Response(
            Trained(
                model_name=job.model_name,
                version=job.version,
                job=job.id,
                metrics=job.metrics,
                seconds=job.seconds or 0.0,
                serves=serves,
                detail=job.detail,
            ),
            headers=headers,
        )

    @post(
        "/search",
        operation_class=documented(SEARCH),
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        status_code=200,
        responses=search_answers() | refusals(*ASK),
    )
    async def search(request: AnyRequest) -> Response[bytes]:
        """Answer one input, or several in their order: with the category of a ticket, or the value of a case."""
        arrived = time.perf_counter()
        access.check_media_type(request)
        raw = await request.body()
        caller = caller_of(request, arrived)
        batcher_of(request).check_room(len(raw))
        kind = kind_asked(raw)
        body: Search = await decoded(raw, kind.search)
        found = await answer(kind, body, registry_of(request), batcher_of(request), caller)
        return Response(found, media_type=access.JSON, headers={"Server-Timing": caller.server_timing()})

    @post(
        "/test",
        operation_class=documented(TEST),
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        status_code=200,
        request_max_body_size=settings.test_body_bytes,
        responses=answers(kind.evaluation for kind in KINDS.values()) | refusals(*ASK),
    )
    async def test(request: AnyRequest) -> Any:
        """Measure the serving version on labelled rows."""
        access.check_media_type(request)
        body = await decoded(await request.body(), Test[msgspec.Raw])
        model = registry_of(request).serving(body.name)
        check_kind(body.neural_network_type, body.name, model.manifest.neural_network_type)
        if not body.test_data:
            raise NoTestData("No test data provided or test data is empty")
        kind = kind_named(body.neural_network_type)
        rows: list[Row] = []
        encoded: list[Any] = []
        faults = Faults()
        decoder = decoder_of(kind.row)
        async for index, raw in in_turns(enumerate(body.test_data)):
            pointer = f"/test_data/{index}"
            try:
                row = decoder.decode(raw)
                encoded.append(await encode_one(batcher_of(request).large, model, row.content))
                rows.append(row)
            except UNREADABLE:
                for fault in find_faults(raw, kind.row, pointer):
                    faults.add(fault)
            except InvalidContent as error:
                faults.add(Fault(f"{pointer}/{row.content_field}", str(error)))
        faults.refuse("test_data")
        return await batcher_of(request).large.run(model.evaluate, rows, encoded)

    @post(
        "/predict",
        operation_class=documented(PREDICT, MAIL_BODY),
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        status_code=200,
        request_max_body_size=max(settings.search_body_bytes, settings.mail_body_bytes),
        responses=refusals(*ASK),
    )
    async def predict(request: AnyRequest, name: FromQuery[str | None] = None) -> PredictAnswer:
        """Answer with the label of one e-mail: its text as JSON, or the e-mail itself as message/rfc822."""
        arrived = time.perf_counter()
        media_type = access.check_media_type(request, access.JSON, access.MAIL)
        raw = await request.body()
        caller = caller_of(request, arrived)
        batcher_of(request).check_room(0)
        mail = None
        if media_type == access.MAIL:
            check_size(raw, settings.mail_body_bytes, "an e-mail")
            mail = await batcher_of(request).large.run(read_mail, raw)
            body = Predict(mail.text)
        else:
            check_size(raw, settings.search_body_bytes, "JSON")
            body = await decoded(raw, Predict)
        if name is not None and body.name is not None:
            raise InvalidInput("the model is named twice, in the body and in the address; name it once")
        named = next(one for one in (body.name, name, settings.default_model) if one is not None)
        model = registry_of(request).serving(named)
        check_reads_text(model)
        pointer = "/email_text" if mail is None else ""
        content = {pointer: body.email_text}
        ranking = ranking_of(model, body.ranking)
        if ranking is not None:
            (ranked,) = await rank(model, content, ranking, batcher_of(request), caller)
            found: Answer = ranked
        else:
            encoded = await encode_all(batcher_of(request).large, model, content)
            (found,) = await batcher_of(request).predict(model, encoded, caller)
        assert isinstance(found, Prediction | RankedPrediction), (
            "a kind that reads text answers with a category; our bug"
        )
        return PredictAnswer(
            found.category,
            found.confidence,
            model.name,
            model.version,
            found.unknown_tokens,
            found.num_truncated_tokens,
            body.id,
            mail.stripped if mail is not None else None,
            *((found.reason, found.best) if isinstance(found, RankedPrediction) else ()),
        )

    @get("/livez", opt=access.OPEN)
    async def livez() -> Probe:
        """Answer as long as the process does."""
        return Probe("alive")

    @get("/readyz", opt=access.OPEN)
    async def readyz(request: AnyRequest) -> Probe:
        """Answer 200 once every trained model has been loaded or refused, and until the server is asked to end."""
        if request.app.state.draining:
            raise Draining("the server is shutting down")
        if not registry_of(request).is_ready:
            raise ModelLoading("models are being loaded")
        return Probe("ready")

    return Router(
        "/",
        route_handlers=[create_model, train_model, search, test, predict, livez, readyz],
        request_max_body_size=settings.search_body_bytes,
    )
