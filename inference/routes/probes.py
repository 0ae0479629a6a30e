"""The routes that a monitor asks: does the process live, may it be sent requests, what has it counted."""

import asyncio
import itertools

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from inference.errors import Draining, ModelLoading
from inference.monitoring import prometheus
from inference.monitoring.counters import MAX_MODELS, Counters
from inference.monitoring.shared_counters import Board
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.injected import Serving
from inference.routes.openapi import READ, refusals, text_answer
from inference.schemas import Probe
from inference.search.registry import Registry


def counted(counters: Counters, serving: Serving) -> Counters:
    """Return what this worker has counted until now, with what waits and which versions serve, on which engine."""
    admission = serving.batcher.admission
    counters.queue_tokens = admission.waiting_tokens + admission.large_tokens
    counters.versions = dict(itertools.islice(serving.registry.versions().items(), MAX_MODELS))
    engines = itertools.islice(serving.registry.engines().items(), MAX_MODELS)
    counters.engines = {f"{model} {engine}": 1 for model, engine in engines}
    return counters


class ProbeRoutes(Routes):
    """GET /livez, /readyz and /metrics."""

    @get("/livez", opt=access.OPEN, responses=refusals(421))
    async def livez(self) -> Probe:
        """Answer as long as the process does."""
        return Probe("alive")

    @get("/readyz", opt=access.OPEN, responses=refusals(421, 503))
    async def readyz(self, registry: NamedDependency[Registry], draining: NamedDependency[bool]) -> Probe:
        """Answer 200 once every trained model has been loaded or refused, and until the server is asked to end."""
        if draining:
            raise Draining("draining")
        if not registry.is_ready:
            raise ModelLoading("models-loading")
        return Probe("ready")

    @get("/metrics", opt=access.SEARCH, responses=text_answer() | refusals(*READ))
    async def show_metrics(
        self,
        counters: NamedDependency[Counters],
        serving: NamedDependency[Serving],
        board: NamedDependency[Board | None],
    ) -> Response[bytes]:
        """Tell what the server has counted since its start, summed over its workers, as Prometheus reads it."""
        own = msgspec.json.encode(counted(counters, serving))
        raw = await asyncio.to_thread(prometheus.summed, own, board)
        return Response(raw, media_type=prometheus.MEDIA_TYPE)
