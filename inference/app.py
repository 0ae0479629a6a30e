"""The Litestar application: settings in, an ASGI application out.

    app -> routes -> search (search -> batcher, registry) -> artifacts

The application owns the process's state (registry, batcher, training) from its start to its end.
"""

import asyncio
import contextlib
import importlib.resources
import logging
from collections.abc import AsyncIterator

from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components
from litestar.params import FromPath

from artifacts.errors import PuppetError
from artifacts.store.store import Store
from inference import errors
from inference.monitoring.counters import Counters
from inference.monitoring.drift import Drift
from inference.monitoring.observer import Observer
from inference.monitoring.shared_counters import Board
from inference.routes import access
from inference.routes.access import check_host
from inference.routes.drift_report import create_drift_routes
from inference.routes.feedback import create_feedback_routes
from inference.routes.jobs import create_job_routes
from inference.routes.models import create_model_routes
from inference.routes.openapi import body_schemas, token_schemes
from inference.routes.probes import counted, create_metrics_routes
from inference.routes.seeds import create_routes
from inference.search.batcher import Batcher
from inference.search.registry import Registry
from inference.server.request_head import Heads
from inference.settings import Settings
from inference.training import Training

log = logging.getLogger("puppet")

SHOW_S = 1.0  # what /metrics says of other workers is so old at most
ASSETS = "/schema/assets"
ASSET_TYPES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
}


def create_app(settings: Settings, board: Board | None = None) -> Litestar:
    """Return the application over the store that the settings name.

    Args:
        settings: of the server.
        board: where the workers show what they have counted; None for one without others.
    Raises:
        StoreRefused: the store's folder cannot be trusted or used.
    """
    store = Store(settings.store_path)
    registry = Registry(store)
    gate = access.Gate(settings)
    counters = board.own() if board is not None else Counters()
    drift = Drift(store.root, settings.drift_days)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.batcher = Batcher(settings.search_queue_tokens, counters, listen=drift.count)
        app.state.training = Training(store, settings)
        for sentence in await asyncio.to_thread(store.sweep):  # what a crash has left; safe beside other processes
            log.info("store: %s", sentence)
        watching = asyncio.create_task(registry.watch())
        saving = asyncio.create_task(drift.watch())
        showing = asyncio.create_task(show(app, board)) if board is not None else None
        try:
            yield
        finally:
            app.state.training.drain()
            watching.cancel()
            saving.cancel()
            if showing is not None:
                showing.cancel()
            app.state.batcher.close()
            await drift.save()

    app = Litestar(
        route_handlers=[
            create_routes(settings),
            create_model_routes(settings),
            create_drift_routes(settings),
            create_feedback_routes(settings),
            create_job_routes(settings),
            create_metrics_routes(settings),
            asset,
        ],
        lifespan=[lifespan],
        guards=[access.check_role],
        before_request=check_host,
        exception_handlers={
            PuppetError: errors.answer_puppet_error,
            HTTPException: errors.answer_http_exception,
            Exception: errors.answer_bug,
        },
        state=State(
            {
                "settings": settings,
                "registry": registry,
                "gate": gate,
                "heads": Heads(settings, gate),
                "draining": False,
                "counters": counters,
                "board": board,
                "drift": drift,
            }
        ),
        openapi_config=OpenAPIConfig(
            title="Puppet",
            version="0.1.0",
            description="Train and ask classifiers of support tickets.",
            components=Components(security_schemes=token_schemes(settings) or None),
            use_handler_docstrings=True,
            openapi_router=Router(
                "/schema", route_handlers=[], opt=access.OPEN, after_request=word_missing_page, include_in_schema=False
            ),
            render_plugins=[
                SwaggerRenderPlugin(
                    path="/",
                    js_url=f"{ASSETS}/swagger-ui-bundle.js",
                    css_url=f"{ASSETS}/swagger-ui.css",
                    standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                    favicon="",
                )
            ],
        ),
        logging_config=None,
        debug=False,
    )
    # Litestar knows the Structs of the answers and drops other schemas from its configuration, so they are added here.
    components = app.openapi_schema.components
    components.schemas = body_schemas() | (components.schemas or {})
    app.asgi_handler = Observer(app.asgi_handler, counters)
    return app


async def show(app: Litestar, board: Board) -> None:
    """Show the other workers what this one has counted, for ever."""
    while True:
        board.hang(counted(app.state))
        await asyncio.sleep(SHOW_S)


@get(f"{ASSETS}/{{name:str}}", opt=access.OPEN, include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    """Answer with a script of the documentation page: from a package, so that the page works offline."""
    if name not in ASSET_TYPES:  # no path that a caller makes up reaches the disk
        raise NotFoundException
    file = importlib.resources.files("litestar_offline_docs") / "static" / name
    return Response(await asyncio.to_thread(file.read_bytes), media_type=ASSET_TYPES[name])


async def word_missing_page(response: Response[bytes]) -> Response[bytes]:
    """Return the answer of a path under /schema; Litestar's own page for a missing one is HTML, our errors are not."""
    if response.status_code != 404:
        return response
    return errors.problem(404, "there is no such page; GET /schema lists the routes")
