"""The Litestar application: settings in, an ASGI application out.

    app -> routes -> search (search -> batcher, registry) -> artifacts

The application owns the process's state (registry, batcher, training) from its start to its end, and gives its parts
to the handlers that ask for them (routes/injected.py).
"""

import asyncio
import contextlib
import importlib.metadata
import importlib.resources
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Components
from litestar.params import FromPath
from litestar.routes import HTTPRoute

from artifacts.errors import InvalidInput, PuppetError, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.problems.page import page_of
from artifacts.problems.sentences import ADDRESS, sentences
from artifacts.schemas import Answer
from artifacts.store.audit import AuditLog
from artifacts.store.forgetting import erase_old
from artifacts.store.review import ReviewQueue
from artifacts.store.store import Store
from inference import errors
from inference.corrections import Corrections
from inference.document.finished import CompletedConfig
from inference.monitoring.counters import Counters
from inference.monitoring.drift import Drift
from inference.monitoring.observer import Observer
from inference.monitoring.shared_counters import Board
from inference.oip.endpoints import ProtocolRoutes
from inference.page.files import PageRoutes
from inference.page.site import SiteRoutes
from inference.review.intake import FLUSH_S, TIDY_S, ReviewIntake
from inference.review.retraining import Retraining
from inference.review.routes import Review, ReviewRoutes
from inference.routes import access
from inference.routes.access import check_address
from inference.routes.audit import AuditRoutes
from inference.routes.declared import Declared
from inference.routes.feedback import FeedbackRoutes
from inference.routes.injected import Serving, parts_of
from inference.routes.jobs import AskRoutes, JobRoutes
from inference.routes.models import ModelRoutes, days_asked
from inference.routes.openapi import DocumentOnce, PageOnce, body_schemas, page_answer, refusals, token_schemes
from inference.routes.probes import ProbeRoutes, counted
from inference.routes.seeds import SeedRoutes
from inference.search.batcher import Batcher
from inference.search.context import QueuedRequest
from inference.search.large import Listener
from inference.search.registry import Registry
from inference.server.connections import Connections, limits_of
from inference.server.request_head import Heads
from inference.settings import Settings, named_tokens
from inference.tokens import NamedToken
from inference.training import Training

RETAIN_S = 3600.0  # between two looks for what is older than it may be kept

log = logging.getLogger("puppet")

PRUNE_S = 3600.0  # how often entries of the audit log that are too old are deleted where nothing is changed
SHOW_S = 1.0  # what /metrics says of other workers is so old at most
ASSETS = "/schema/assets"
PAGE_HEADERS = {
    # The page is text alone: nothing of it may run, load, be sent or be framed.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Language",
}
ASSET_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
}


def create_app(settings: Settings, board: Board | None = None, tokens: Sequence[NamedToken] | None = None) -> Litestar:
    """Return the application over the store that the settings name.

    Args:
        settings: of the server.
        board: where the workers show what they have counted; None for one without others.
        tokens: the named ones; None: those of the file that the settings name.
    Raises:
        InvalidInput: that file cannot be used.
        StoreRefused: the store's folder cannot be trusted or used.
    """
    state = state_of(settings, board, named_tokens(settings) if tokens is None else tokens)
    app = Litestar(
        route_handlers=[
            SeedRoutes,
            ModelRoutes,
            FeedbackRoutes,
            AskRoutes,
            ReviewRoutes,
            JobRoutes,
            AuditRoutes,
            ProbeRoutes,
            ProtocolRoutes,
            PageRoutes,
            SiteRoutes,
            asset,
            problem_page,
        ],
        dependencies=parts_of(state) | {"num_days": days_asked(max(1, settings.drift_days))},
        plugins=[Declared(settings, state.gate)],
        lifespan=[running],
        guards=[access.check_role],
        before_request=check_address,
        exception_handlers={
            PuppetError: errors.answer_puppet_error,
            HTTPException: errors.answer_http_exception,
            Exception: errors.answer_bug,
        },
        request_max_body_size=settings.search_body_bytes,
        state=state,
        openapi_config=document_of(state.gate),
        logging_config=None,
        debug=False,
    )
    # Litestar knows the Structs of the answers and drops other schemas from its configuration, so they are added here.
    components = app.openapi_schema.components
    components.schemas = body_schemas() | (components.schemas or {})
    for name in ("Problem", "ProblemError"):  # what the sentence of a problem names stands beside the named members
        components.schemas[name].additional_properties = True
    methods = {route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)}
    app.asgi_handler = Observer(app.asgi_handler, state.counters, methods)
    return app


def state_of(settings: Settings, board: Board | None, tokens: Sequence[NamedToken]) -> State:
    """Return the parts of the process's state that there are before its start."""
    store = Store(settings.store_path)
    gate = access.Gate(settings, tokens)
    audit = AuditLog(store.root, settings.audit_days)
    counters = board.own() if board is not None else Counters()
    queue = ReviewQueue(store, settings.review_days, settings.review_limit)
    return State(
        {
            "settings": settings,
            "registry": Registry(store, settings.engine),
            "gate": gate,
            "heads": Heads(settings, gate),
            "draining": False,
            "connections": Connections(limits_of(settings), counters),
            "counters": counters,
            "board": board,
            "drift": Drift(store.root, settings.drift_days),
            "audit": audit,
            "corrections": Corrections(*(store, settings.feedback_limit, audit, queue), is_reviewing=settings.review),
            "review": Review(queue, settings),
        }
    )


@contextlib.asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """Start what needs an event loop, and end it with the application."""
    state = app.state
    store, settings, drift = state.registry.store, state.settings, state.drift
    intake = ReviewIntake(state.review.queue)
    state.batcher = Batcher(
        settings.search_queue_tokens, state.counters, listen=heard_by(drift, intake) if settings.review else drift.count
    )
    state.training = Training(store, settings, state.audit)
    state.retraining = Retraining(store, state.training, settings.train_after, settings.train_from)
    state.serving = Serving(settings, state.registry, state.batcher)
    for sentence in await asyncio.to_thread(store.sweep):  # what a crash has left; safe beside other processes
        log.info("store: %s", sentence)
    watching = [asyncio.create_task(state.registry.watch()), asyncio.create_task(drift.watch())]
    watching.append(asyncio.create_task(intake.watch(FLUSH_S if settings.review else TIDY_S)))
    watching.append(asyncio.create_task(prune(state.audit)))
    watching.append(asyncio.create_task(retain(store, state.training.jobs, settings)))
    if state.board is not None:
        watching.append(asyncio.create_task(show(app, state.board)))
    try:
        yield
    finally:
        state.training.drain()
        for task in watching:
            task.cancel()
        state.batcher.close()
        await drift.save()
        await intake.save()


def heard_by(drift: Drift, intake: ReviewIntake) -> Listener:
    """Return what is called with each request that was answered, where the review queue is on; else drift alone is."""

    def heard(request: QueuedRequest, answers: Sequence[Answer]) -> None:
        drift.count(request, answers)
        intake.note(request, answers)

    return heard


def read_tokens_again(state: State) -> None:
    """Let the named tokens be those that stand in their file now; a file that cannot be used changes nothing.

    The OpenAPI document goes on naming the roles of which there was a token at the start.
    """
    try:
        tokens = named_tokens(state.settings)
    except InvalidInput as error:
        log.error("the named tokens stay as they were: %s", "; ".join([str(error), *map(str, error.faults)]))
        return
    state.gate.take(tokens)
    log.info("%d named tokens are known", len(tokens))


async def prune(audit: AuditLog) -> None:
    """Delete the entries of the audit log that are too old, for ever; a disk that refuses is asked again."""
    while True:
        try:
            await asyncio.to_thread(audit.prune)
        except StoreRefused as error:
            log.error("%s", error)
        await asyncio.sleep(PRUNE_S)


async def retain(store: Store, jobs: Jobs, settings: Settings) -> None:
    """Erase every hour what is older than it may be, for ever; each worker does, and finds nothing after another."""
    while True:
        for sentence in await asyncio.to_thread(
            erase_old,
            store,
            jobs,
            settings.feedback_days,
            settings.jobs_days,
            time.time,
            settings.files_hours,
            settings.review_days,
        ):
            log.info("store: %s", sentence)
        await asyncio.sleep(RETAIN_S)


def document_of(gate: access.Gate) -> CompletedConfig:
    """Return what the OpenAPI document and its page say beside the routes."""
    return CompletedConfig(
        title="Puppet",
        version=importlib.metadata.version("puppet-o2"),  # pyproject.toml is the one place that states it
        description="Train and ask classifiers of support tickets.",
        components=Components(security_schemes=token_schemes(gate) or None),
        use_handler_docstrings=True,
        openapi_router=Router(
            "/schema", route_handlers=[], opt=access.OPEN, guards=[check_page], include_in_schema=False
        ),
        render_plugins=[
            DocumentOnce(),
            PageOnce(
                path="/",
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                favicon="",
            ),
        ],
    )


async def show(app: Litestar, board: Board) -> None:
    """Show the other workers what this one has counted, for ever."""
    while True:
        board.hang(counted(app.state.counters, app.state.serving))
        await asyncio.sleep(SHOW_S)


@get(f"{ASSETS}/{{name:str}}", opt=access.OPEN, include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    """Answer with a script of the documentation page: from a package, so that the page works offline."""
    if name not in ASSET_TYPES:  # no path that a caller makes up reaches the disk
        raise NotFoundException
    file = importlib.resources.files("litestar_offline_docs") / "static" / name
    return Response(await asyncio.to_thread(file.read_bytes), media_type=ASSET_TYPES[name])


async def check_page(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Raise NotFoundException unless there is such a page under /schema.

    Litestar has a route for every other path, which answers in HTML; only there the path is a parameter.
    """
    if "path" in connection.path_params:
        raise NotFoundException


@get(f"{ADDRESS}{{type:str}}", opt=access.OPEN, responses=page_answer() | refusals(400, 404, 421))
async def problem_page(request: Request[Any, Any, Any], type: FromPath[str]) -> Response[bytes]:  # noqa: A002
    """Explain a type of problem to a person: what its sentence names, its statuses, and what to do."""
    language = errors.language_of(request)
    if type not in sentences(language):
        raise NotFoundException
    raw = page_of(type, errors.statuses().get(type, []), language)
    return Response(raw, media_type=MediaType.HTML, headers=PAGE_HEADERS | {"Content-Language": language})
