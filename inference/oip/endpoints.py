"""The routes under /v2, the Open Inference Protocol. One method each.

Clients of the protocol send no content type, read only the member `error` of a refusal, and know a model's version as
text; roles, limits, the batcher and the counters are those of every route.
"""

import importlib.metadata
import time
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from artifacts.system.validation import decoder_of
from inference.errors import Draining, ModelLoading
from inference.oip.infer import described, infer, model_of
from inference.oip.tensors import header_length
from inference.oip.wire import (
    InferenceRequest,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.injected import Serving, context_of
from inference.routes.openapi import ASK, INFER, OCTETS_BODY, READ, documented, infer_answers, refusals
from inference.search.bodies import UNREADABLE, decoded
from inference.search.registry import Registry

EXTENSIONS = ["binary_tensor_data", "parameters"]
HEADER_LENGTH = "Inference-Header-Content-Length"
AnyRequest = Request[Any, Any, Any]


async def answer_to(request: AnyRequest, name: str, version: int | None = None) -> Response[bytes]:
    """Return the answer to an inference request; see `infer`.

    Raises:
        OriginRefused, WrongMediaType, WrongCoding: as `check_origin`.
        VersionNotFound and others: as `model_of`.
        InvalidInput and others: as `infer`.
    """
    arrived = time.perf_counter()
    serving: Serving = request.app.state.serving  # and not injected: as for /search (routes/seeds.py)
    access.check_origin(request)
    raw = await request.body()
    context = context_of(request, arrived)
    serving.batcher.check_room(len(raw))
    model = model_of(serving.registry, name, version)
    num_header = header_length(request.headers.get(HEADER_LENGTH), len(raw))
    head = raw[:num_header]
    try:
        asked = decoder_of(InferenceRequest).decode(head)
    except UNREADABLE:
        asked = await decoded(head, InferenceRequest)
    context.parse_s = time.perf_counter() - arrived
    body, num_bytes = await infer(model, asked, raw[num_header:], serving.batcher, context)
    headers = {"Server-Timing": context.server_timing()}
    if num_bytes is None:
        return Response(body, media_type=access.JSON, headers=headers)
    return Response(body, media_type=access.OCTETS, headers=headers | {HEADER_LENGTH: str(num_bytes)})


class ProtocolRoutes(Routes):
    """The routes of the Open Inference Protocol, version 2."""

    path = "/v2"

    @get("/", opt=access.OPEN, responses=refusals(421))
    async def server(self) -> ServerMetadata:
        """Say what the server is, and which extensions of the protocol it has."""
        return ServerMetadata("puppet", importlib.metadata.version("puppet-o2"), EXTENSIONS)

    @get("/health/live", opt=access.OPEN, responses=refusals(421))
    async def live(self) -> ServerLive:
        """Answer as long as the process does."""
        return ServerLive()

    @get("/health/ready", opt=access.OPEN, responses=refusals(421, 503))
    async def ready(self, registry: NamedDependency[Registry], draining: NamedDependency[bool]) -> ServerReady:
        """Answer 200 once every trained model has been loaded or refused, and until the server is asked to end."""
        if draining:
            raise Draining("draining")
        if not registry.is_ready:
            raise ModelLoading("models-loading")
        return ServerReady()

    @get("/models/{name:str}", opt=access.VIEW, responses=refusals(*READ))
    async def metadata(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelMetadata:
        """Say what the serving version of a model takes and gives."""
        return described(model_of(registry, name))

    @get("/models/{name:str}/versions/{version:int}", opt=access.VIEW, responses=refusals(*READ))
    async def metadata_of_version(
        self, name: FromPath[str], version: FromPath[int], registry: NamedDependency[Registry]
    ) -> ModelMetadata:
        """Say the same of a version, which is 404 unless it serves."""
        return described(model_of(registry, name, version))

    @get("/models/{name:str}/ready", opt=access.VIEW, responses=refusals(*READ))
    async def model_ready(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelReady:
        """Answer 200 if a model answers."""
        return ModelReady(model_of(registry, name).name)

    @get("/models/{name:str}/versions/{version:int}/ready", opt=access.VIEW, responses=refusals(*READ))
    async def version_ready(
        self, name: FromPath[str], version: FromPath[int], registry: NamedDependency[Registry]
    ) -> ModelReady:
        """Answer 200 if a version of a model answers."""
        return ModelReady(model_of(registry, name, version).name)

    @post(
        "/models/{name:str}/infer",
        operation_class=documented(INFER, OCTETS_BODY),
        opt=access.SEARCH,
        status_code=200,
        responses=infer_answers() | refusals(403, *ASK),
    )
    async def infer(self, request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        """Answer tickets, or cases, with the serving version of a model: as JSON, or with binary tensors behind it."""
        return await answer_to(request, name)

    @post(
        "/models/{name:str}/versions/{version:int}/infer",
        operation_class=documented(INFER, OCTETS_BODY),
        opt=access.SEARCH,
        status_code=200,
        responses=infer_answers() | refusals(403, *ASK),
    )
    async def infer_version(self, request: AnyRequest, name: FromPath[str], version: FromPath[int]) -> Response[bytes]:
        """Answer the same with a version, which is 404 unless it serves."""
        return await answer_to(request, name, version)
