"""The routes of the seed documents: bytes -> Struct -> work -> answer. One method each, in the documents' order."""

import time
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from artifacts.errors import InvalidInput
from artifacts.jobs.records import AskedJob
from artifacts.kinds import KINDS
from artifacts.mail.message import read_mail
from artifacts.schemas import Search
from artifacts.store.audit import AuditLog
from inference.errors import BodyTooLarge, language_of
from inference.evaluation import evaluate
from inference.jobs.asking import accepted as accepted_job
from inference.jobs.asking import job_asked, wants_job
from inference.prediction import label
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.injected import Serving, context_of
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
)
from inference.schemas import Created, CreateModel, Predict, PredictAnswer, Test
from inference.search.bodies import decoded, kind_asked
from inference.search.registry import Registry
from inference.search.search import answer, explains
from inference.training import Training, create_once, served

AnyRequest = Request[Any, Any, Any]


def check_size(raw: bytes, limit_bytes: int, media_type: str) -> None:
    """Raise BodyTooLarge unless a body of a type is within its limit."""
    if len(raw) > limit_bytes:
        raise BodyTooLarge("body-too-large", num_bytes=len(raw), media_type=media_type, limit_bytes=limit_bytes)


class SeedRoutes(Routes):
    """The contract of the seed documents."""

    @post(
        "/create_model",
        operation_class=documented(CREATE),
        opt=access.ADMIN,
        status_code=200,
        responses=refusals(*ADMIN),
    )
    async def create_model(
        self,
        request: AnyRequest,
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
        audit: NamedDependency[AuditLog],
    ) -> Created:
        """Record a new, untrained model. With Idempotency-Key a request that comes twice is answered twice."""
        access.check_media_type(request)
        raw = await request.body()
        body = await decoded(raw, CreateModel)
        key = request.headers.get("idempotency-key")
        await create_once(registry.store, training, body, raw, key, audit, access.author_of(request))
        return Created(model_name=body.name)

    @post(
        "/train_model",
        operation_class=documented(TRAIN, job="train"),
        opt=access.ADMIN,
        body_limits=("train_body_bytes",),
        status_code=200,
        responses=accepted() | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def train_model(
        self, request: AnyRequest, registry: NamedDependency[Registry], training: NamedDependency[Training]
    ) -> Response[Any]:
        """Train a model on labelled rows in a process of its own, and wait until the new version serves.

        The rows stand in the JSON, or in a file that is sent as it is, with the rest in the query of the address.
        With the header Prefer: respond-async it answers 202 at once, and Location says where the job can be followed.
        With Idempotency-Key a request that comes twice is one job.
        """
        job = await job_asked(request, training, AskedJob("train"))
        if wants_job(request):
            return accepted_job(job)
        headers = {"Location": f"/jobs/{job.id}"}
        return Response(await served(await training.wait(job), registry, language_of(request)), headers=headers)

    @post(
        "/search",
        operation_class=documented(SEARCH),
        opt=access.SEARCH,
        status_code=200,
        responses=search_answers() | refusals(*ASK),
    )
    async def search(self, request: AnyRequest) -> Response[bytes]:
        """Answer one input, or several in their order: with the category of a ticket, or the value of a case."""
        arrived = time.perf_counter()
        # The one handler that reads the state: injected, even this single part makes a search 4.4 % slower (3.2 to 5.7;
        # CPU time from ASGI to ASGI, 150 rounds in turns), and so it is as fast as a function without a class was.
        serving: Serving = request.app.state.serving
        access.check_media_type(request)
        raw = await request.body()
        context = context_of(request, arrived)
        serving.batcher.check_room(len(raw))
        kind = kind_asked(raw)
        body: Search = await decoded(raw, kind.search)
        # A plain search shows no word at all, so it does not look the token up once more.
        shows_words = explains(body) and access.sees_words(request)
        found = await answer(kind, body, serving.registry, serving.batcher, context, shows_words=shows_words)
        return Response(found, media_type=access.JSON, headers={"Server-Timing": context.server_timing()})

    @post(
        "/test",
        operation_class=documented(TEST),
        opt=access.SEARCH,
        body_limits=("test_body_bytes",),
        status_code=200,
        responses=answers(kind.evaluation for kind in KINDS.values()) | refusals(*ASK),
    )
    async def test(self, request: AnyRequest, serving: NamedDependency[Serving]) -> Any:
        """Measure the serving version on labelled rows."""
        access.check_media_type(request)
        body = await decoded(await request.body(), Test[msgspec.Raw])
        return await evaluate(body, serving.registry, serving.batcher)

    @post(
        "/predict",
        operation_class=documented(PREDICT, MAIL_BODY),
        opt=access.SEARCH,
        body_limits=("search_body_bytes", "mail_body_bytes"),
        status_code=200,
        responses=refusals(*ASK),
    )
    async def predict(
        self,
        request: AnyRequest,
        serving: NamedDependency[Serving],
        name: FromQuery[str | None] = None,
        show_text: FromQuery[bool] = False,
    ) -> PredictAnswer:
        """Answer with the label of one e-mail: its text as JSON, or the e-mail itself as message/rfc822.

        With show_text the answer also has the text that was read of an e-mail, so that a person can see it.
        """
        arrived = time.perf_counter()
        settings = serving.settings
        media_type = access.check_media_type(request, access.JSON, access.MAIL)
        raw = await request.body()
        context = context_of(request, arrived)
        serving.batcher.check_room(0)
        mail = None
        if media_type == access.MAIL:
            check_size(raw, settings.mail_body_bytes, media_type)
            mail = await serving.batcher.large.run(read_mail, raw)
            body = Predict(mail.text)
        else:
            check_size(raw, settings.search_body_bytes, media_type)
            body = await decoded(raw, Predict)
        if name is not None and body.name is not None:
            raise InvalidInput("model-named-twice")
        named = next(one for one in (body.name, name, settings.default_model) if one is not None)
        found = await label(serving.registry.serving(named), body, mail, serving.batcher, context)
        return msgspec.structs.replace(found, text=mail.text) if show_text and mail is not None else found
