"""The routes of models and versions: look, promote, roll back, delete. One function each."""

import asyncio
from typing import Any

from litestar import Request, Response, Router, delete, get, post
from litestar.params import FromPath

from artifacts.errors import ArtifactRefused, ModelNotTrained, VersionChanged
from artifacts.networks.manifest import Manifest
from artifacts.store.store import Store
from inference.routes import access
from inference.routes.openapi import ADMIN, PROMOTE, READ, documented, refusals, token_needed
from inference.schemas import Deleted, ModelAnswer, ModelsAnswer, ModelState, Promote, Serves, VersionAnswer
from inference.search.bodies import decoded
from inference.search.registry import Registry
from inference.settings import Settings

AnyRequest = Request[Any, Any, Any]


def look(store: Store, registry: Registry, name: str) -> ModelAnswer:
    """Return what the store and this process know of a model; reads the disk.

    Raises:
        ModelNotFound, InvalidName, ArtifactRefused.
    """
    record = store.read_model(name)
    try:
        current = store.current(name)
        wanted, history = current.version, current.history
    except (ModelNotTrained, ArtifactRefused):
        wanted, history = None, []
    loaded = registry.version_of(name)
    state: ModelState
    if loaded is not None:
        state = "serving" if loaded == wanted else "serving another version"
    elif wanted is None:
        state = "untrained"
    else:
        state = "refused" if registry.is_ready else "loading"
    return ModelAnswer(
        name=name,
        neural_network_type=record.neural_network_type,
        created=record.created,
        state=state,
        version=loaded,
        current=wanted,
        versions=store.versions(name),
        history=history,
    )


def etag(manifest: Manifest) -> str:
    """Return the strong ETag of a version: the hash that its manifest carries, which is over all its files' hashes."""
    return f'"{manifest.sha256}"'


def create_model_routes(settings: Settings) -> Router:
    """Return the routes under /models."""

    @get("/", opt=access.SEARCH, security=token_needed(settings, "search"), responses=refusals(*READ))
    async def models(request: AnyRequest) -> ModelsAnswer:
        """List the models: what serves, and what else there is."""
        registry: Registry = request.app.state.registry

        def found() -> list[ModelAnswer]:
            return [look(registry.store, registry, name) for name in registry.store.models()]

        return ModelsAnswer(await asyncio.to_thread(found))

    @get("/{name:str}", opt=access.SEARCH, security=token_needed(settings, "search"), responses=refusals(*READ))
    async def model(request: AnyRequest, name: FromPath[str]) -> ModelAnswer:
        """Show one model: its versions, which one serves, and which served before."""
        registry: Registry = request.app.state.registry
        return await asyncio.to_thread(look, registry.store, registry, name)

    @get(
        "/{name:str}/versions/{version:int}",
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        responses=refusals(*READ),
    )
    async def version(request: AnyRequest, name: FromPath[str], version: FromPath[int]) -> Response[VersionAnswer]:
        """Show one version: metrics, settings, fingerprint of its data, proof of its graph; the ETag is its hash."""
        registry: Registry = request.app.state.registry

        def found() -> Manifest:
            registry.store.check_version(name, version)
            return registry.store.read_manifest(name, version)

        manifest = await asyncio.to_thread(found)
        answer = VersionAnswer(manifest=manifest, serves=registry.version_of(name) == version)
        return Response(answer, headers={"ETag": etag(manifest)})

    @post(
        "/{name:str}/promote",
        operation_class=documented(PROMOTE),
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404, 412),
    )
    async def promote(request: AnyRequest, name: FromPath[str]) -> Serves:
        """Let a version serve. With If-Match: only if the version with that ETag serves now."""
        access.check_media_type(request)
        body = await decoded(await request.body(), Promote)
        registry: Registry = request.app.state.registry
        expected = await asyncio.to_thread(expected_version, registry.store, name, request.headers.get("if-match"))

        def change() -> int:
            return registry.store.promote(name, body.version, expected=expected).version

        number = await asyncio.to_thread(change)
        await registry.refresh()
        return Serves(model_name=name, version=number)

    @post(
        "/{name:str}/rollback",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404, 409),
    )
    async def rollback(request: AnyRequest, name: FromPath[str]) -> Serves:
        """Let the version serve that served before the present one."""
        access.check_media_type(request)
        registry: Registry = request.app.state.registry
        current = await asyncio.to_thread(registry.store.rollback, name)
        await registry.refresh()
        return Serves(model_name=name, version=current.version)

    @delete(
        "/{name:str}/versions/{version:int}",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404, 409),
    )
    async def delete_version(request: AnyRequest, name: FromPath[str], version: FromPath[int]) -> Deleted:
        """Delete a version that does not serve."""
        registry: Registry = request.app.state.registry
        await asyncio.to_thread(registry.store.delete_version, name, version)
        return Deleted(model_name=name, version=version)

    @delete(
        "/{name:str}",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404),
    )
    async def delete_model(request: AnyRequest, name: FromPath[str]) -> Deleted:
        """Delete a model with all its versions."""
        registry: Registry = request.app.state.registry
        await asyncio.to_thread(registry.store.delete_model, name)
        await registry.refresh()
        return Deleted(model_name=name)

    return Router(
        "/models",
        route_handlers=[models, model, version, promote, rollback, delete_version, delete_model],
        request_max_body_size=settings.search_body_bytes,
    )


def expected_version(store: Store, name: str, if_match: str | None) -> int | None:
    """Return the serving version if its ETag is what the header wants; None without a header.

    Raises:
        VersionChanged: another version serves by now.
        ModelNotFound, ModelNotTrained, ArtifactRefused.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    current = store.current(name).version
    found = etag(store.read_manifest(name, current))
    if found not in [tag.strip() for tag in if_match.split(",")]:
        raise VersionChanged(f"{name}: version {current} serves, its ETag is {found}, not {if_match:.200}; look again")
    return current
