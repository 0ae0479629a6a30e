"""The routes of models and versions: look, see whether tickets drift, promote, roll back, delete. One method each."""

import asyncio
from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from artifacts.errors import ArtifactRefused, InvalidInput, ModelNotTrained, VersionChanged
from artifacts.networks.manifest import Manifest
from artifacts.store.audit import AuditLog
from artifacts.store.store import Store
from artifacts.store.versions import check_name
from inference.monitoring.drift import Drift
from inference.monitoring.drift_report import judged
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import ADMIN, PROMOTE, READ, documented, refusals
from inference.schemas import (
    Deleted,
    DriftAnswer,
    ModelAnswer,
    ModelsAnswer,
    ModelState,
    Promote,
    Serves,
    VersionAnswer,
)
from inference.search.bodies import decoded
from inference.search.registry import Registry

AnyRequest = Request[Any, Any, Any]
Days = Annotated[int, QueryParameter(description="So many days up to today (UTC).")]


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
        engine=registry.engine_of(name),
        current=wanted,
        versions=store.versions(name),
        history=history,
    )


def etag(manifest: Manifest) -> str:
    """Return the strong ETag of a version: the hash that its manifest carries, which is over all its files' hashes."""
    return f'"{manifest.sha256}"'


class ModelRoutes(Routes):
    """The routes under /models."""

    path = "/models"

    @get("/", opt=access.SEARCH, responses=refusals(*READ))
    async def models(self, registry: NamedDependency[Registry]) -> ModelsAnswer:
        """List the models: what serves, and what else there is."""

        def found() -> list[ModelAnswer]:
            return [look(registry.store, registry, name) for name in registry.store.models()]

        return ModelsAnswer(await asyncio.to_thread(found))

    @get("/{name:str}", opt=access.SEARCH, responses=refusals(*READ))
    async def model(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelAnswer:
        """Show one model: its versions, which one serves, and which served before."""
        return await asyncio.to_thread(look, registry.store, registry, name)

    @get("/{name:str}/versions/{version:int}", opt=access.SEARCH, responses=refusals(*READ))
    async def version(
        self, name: FromPath[str], version: FromPath[int], registry: NamedDependency[Registry]
    ) -> Response[VersionAnswer]:
        """Show one version: metrics, settings, fingerprint of its data, proof of its graph; the ETag is its hash."""

        def found() -> Manifest:
            registry.store.check_version(name, version)
            return registry.store.read_manifest(name, version)

        manifest = await asyncio.to_thread(found)
        answer = VersionAnswer(manifest=manifest, serves=registry.version_of(name) == version)
        return Response(answer, headers={"ETag": etag(manifest)})

    @get("/{name:str}/drift", opt=access.SEARCH, responses=refusals(*READ))
    async def show_drift(
        self,
        request: AnyRequest,
        name: FromPath[str],
        num_days: NamedDependency[int],
        registry: NamedDependency[Registry],
        drift: NamedDependency[Drift],
    ) -> DriftAnswer:
        """Tell whether the tickets that the serving version answers are still like those of its training, and why."""
        model = registry.serving(name)
        found = await drift.found(name, model.version, num_days)
        if not access.sees_words(request):
            found.words.clear()  # a new word that many tickets hold may be a name
        return judged(model.manifest, found, drift.is_saved)

    @post(
        "/{name:str}/promote",
        operation_class=documented(PROMOTE),
        opt=access.ADMIN,
        status_code=200,
        responses=refusals(*ADMIN, 404, 412),
    )
    async def promote(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        audit: NamedDependency[AuditLog],
    ) -> Serves:
        """Let a version serve. With If-Match: only if the version with that ETag serves now."""
        access.check_media_type(request)
        body = await decoded(await request.body(), Promote)
        check_name(name)
        expected = await asyncio.to_thread(expected_version, registry.store, name, request.headers.get("if-match"))

        def promote() -> int:
            with audit.change(access.author_of(request), "promote", name, version=body.version):
                return registry.store.promote(name, body.version, expected=expected).version

        number = await asyncio.to_thread(promote)
        await registry.refresh()
        return Serves(model_name=name, version=number)

    @post("/{name:str}/rollback", opt=access.ADMIN, status_code=200, responses=refusals(*ADMIN, 404, 409))
    async def rollback(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        audit: NamedDependency[AuditLog],
    ) -> Serves:
        """Let the version serve that served before the present one."""
        access.check_media_type(request)
        check_name(name)

        def rollback() -> int:
            with audit.change(access.author_of(request), "rollback", name) as changed:
                changed.version = registry.store.rollback(name).version
                return changed.version

        number = await asyncio.to_thread(rollback)
        await registry.refresh()
        return Serves(model_name=name, version=number)

    @delete(
        "/{name:str}/versions/{version:int}", opt=access.ADMIN, status_code=200, responses=refusals(*ADMIN, 404, 409)
    )
    async def delete_version(
        self,
        request: AnyRequest,
        name: FromPath[str],
        version: FromPath[int],
        registry: NamedDependency[Registry],
        audit: NamedDependency[AuditLog],
    ) -> Deleted:
        """Delete a version that does not serve."""
        check_name(name)

        def delete() -> None:
            with audit.change(access.author_of(request), "delete_version", name, version=version):
                registry.store.delete_version(name, version)

        await asyncio.to_thread(delete)
        return Deleted(model_name=name, version=version)

    @delete("/{name:str}", opt=access.ADMIN, status_code=200, responses=refusals(*ADMIN, 404))
    async def delete_model(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        audit: NamedDependency[AuditLog],
    ) -> Deleted:
        """Delete a model with all its versions."""
        check_name(name)

        def delete() -> None:
            with audit.change(access.author_of(request), "delete_model", name):
                registry.store.delete_model(name)

        await asyncio.to_thread(delete)
        await registry.refresh()
        return Deleted(model_name=name)


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
        raise VersionChanged("version-changed", model_name=name, version=current, etag=found, expected=if_match)
    return current


def days_asked(most: int) -> Provide:
    """Return the provider of `num_days`, the days that a request asks about in its query; a week without it.

    Args:
        most: days that counts are kept for; the default in the OpenAPI document is never over it.
    """
    week = min(7, most)

    def num_days(days: Days = week) -> int:
        if not 1 <= days <= most:
            raise InvalidInput("days-out-of-range", days=days, limit_days=most)
        return days

    return Provide(num_days, sync_to_thread=False)
