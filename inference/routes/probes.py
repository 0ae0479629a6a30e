"""GET /metrics: what all workers have counted, for Prometheus."""

import asyncio
import itertools
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.datastructures import State

from inference.monitoring import prometheus
from inference.monitoring.counters import MAX_MODELS, Counters
from inference.monitoring.shared_counters import Board
from inference.routes import access
from inference.routes.openapi import READ, refusals, text_answer, token_needed
from inference.search.batcher import Batcher
from inference.search.registry import Registry
from inference.settings import Settings


def counted(state: State) -> Counters:
    """Return what this worker has counted until now, with what waits and which versions serve."""
    counters: Counters = state.counters
    batcher: Batcher = state.batcher
    registry: Registry = state.registry
    counters.queue_tokens = batcher.admission.waiting_tokens + batcher.admission.large_tokens
    counters.versions = dict(itertools.islice(registry.versions().items(), MAX_MODELS))
    return counters


def summed(own: bytes, board: Board | None) -> bytes:
    """Return the text of what one worker (its counters as JSON, so that they stand still) and the others counted."""
    counters = msgspec.json.decode(own, type=Counters)
    for other in board.others() if board is not None else ():
        counters.merge(other)
    return prometheus.text(counters)


def create_metrics_routes(settings: Settings) -> Router:
    """Return the route of the metrics."""

    @get(
        "/metrics",
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        responses=text_answer() | refusals(*READ),
    )
    async def show_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Tell what the server has counted since its start, summed over its workers, as Prometheus reads it."""
        state = request.app.state
        raw = await asyncio.to_thread(summed, msgspec.json.encode(counted(state)), state.board)
        return Response(raw, media_type=prometheus.MEDIA_TYPE)

    return Router("/", route_handlers=[show_metrics])
