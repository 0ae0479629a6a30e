"""The routes of models and versions: look, follow a ticket, see drift, promote, roll back, delete. One method each."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from artifacts.errors import ArtifactRefused, InvalidInput, KindMismatch, ModelNotTrained, VersionChanged
from artifacts.jobs.answers import WrittenReport
from artifacts.jobs.records import AskedJob
from artifacts.kinds import kind_named
from artifacts.networks.manifest import Manifest
from artifacts.networks.runtime import Model
from artifacts.networks.steps import Steps
from artifacts.problems.sentences import Language
from artifacts.store.audit import AuditLog
from artifacts.store.bundle import pack
from artifacts.store.store import Store
from artifacts.store.versions import check_name, report_file, version_before
from inference.errors import ResultMissing, language_of
from inference.jobs.asking import answer_to
from inference.monitoring.drift import Drift
from inference.monitoring.drift_report import judged
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.injected import Serving
from inference.routes.openapi import (
    ADMIN,
    EMPTY,
    PROMOTE,
    READ,
    STEPS,
    documented,
    file_answer,
    job_answers,
    page_answer,
    refusals,
)
from inference.schemas import (
    AskSteps,
    Deleted,
    DriftAnswer,
    Figures,
    ModelAnswer,
    ModelsAnswer,
    ModelState,
    Promote,
    Serves,
    VersionAnswer,
)
from inference.search.bodies import decoded, encode_all
from inference.search.context import RequestContext
from inference.search.registry import Registry
from inference.training import Training

SHOWN_TOKENS = 64  # of a ticket: 0.75 MB of the default model's numbers; of all 512 they are 6 MB
OPENING_TOKENS = 4096  # that cost as much as reading a file and opening its graph, 11 ms (docs/decisions/0038)
WALK_FACTOR = 60  # NumPy, a token at a time, takes so many times as long as a search (the same)

AnyRequest = Request[Any, Any, Any]
Days = Annotated[int, QueryParameter(description="So many days up to today (UTC).")]


REPORT_HEADERS = {
    # The page is one file: its style and its drawings stand in it, nothing runs, and nothing is loaded.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Language",
}


class _Report(msgspec.Struct, frozen=True):
    """As much of a version's report.json as is told with the version."""

    validation: Figures | None = None


def look(store: Store, registry: Registry, name: str) -> ModelAnswer:
    """Return what the store and this process know of a model; reads the disk.

    Raises:
        ModelNotFound, InvalidName, ArtifactRefused.
    """
    record = store.read_model(name)
    versions = store.versions(name)
    try:
        current = store.current(name)
        wanted, history, before = current.version, current.history, version_before(current, versions)
    except (ModelNotTrained, ArtifactRefused):
        wanted, history, before = None, [], None
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
        versions=versions,
        history=history,
        before=before,
    )


def etag(manifest: Manifest) -> str:
    """Return the strong ETag of a version: the hash that its manifest carries, which is over all its files' hashes."""
    return f'"{manifest.sha256}"'


class ModelRoutes(Routes):
    """The routes under /models."""

    path = "/models"

    @get("/", opt=access.VIEW, responses=refusals(*READ))
    async def models(self, registry: NamedDependency[Registry]) -> ModelsAnswer:
        """List the models: what serves, and what else there is."""

        def found() -> list[ModelAnswer]:
            return [look(registry.store, registry, name) for name in registry.store.models()]

        return ModelsAnswer(await asyncio.to_thread(found))

    @get("/{name:str}", opt=access.VIEW, responses=refusals(*READ))
    async def model(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelAnswer:
        """Show one model: its versions, which one serves, and which served before."""
        return await asyncio.to_thread(look, registry.store, registry, name)

    @get("/{name:str}/versions/{version:int}", opt=access.VIEW, responses=refusals(*READ))
    async def version(
        self, name: FromPath[str], version: FromPath[int], registry: NamedDependency[Registry]
    ) -> Response[VersionAnswer]:
        """Show one version: metrics, settings, fingerprint of its data, proof of its graph; the ETag is its hash."""

        def found() -> VersionAnswer:
            registry.store.check_version(name, version)
            manifest, files = registry.store.read_version(name, version, only=("labels.json", "report.json"))
            return VersionAnswer(
                manifest=manifest,
                serves=registry.version_of(name) == version,
                categories=msgspec.json.decode(files.get("labels.json", b"[]"), type=list[str]),
                figures=msgspec.json.decode(files["report.json"], type=_Report).validation or Figures(),
            )

        answer = await asyncio.to_thread(found)
        return Response(answer, headers={"ETag": etag(answer.manifest)})

    @get(
        "/{name:str}/versions/{version:int}/report",
        opt=access.LABEL,
        media_type=MediaType.HTML,
        responses=page_answer() | refusals(*READ),
    )
    async def report(
        self,
        request: AnyRequest,
        name: FromPath[str],
        version: FromPath[int],
        registry: NamedDependency[Registry],
        lang: Annotated[
            Language | None, QueryParameter(description="Of the page; else as Accept-Language says.")
        ] = None,
    ) -> Response[bytes]:
        """Show the page that was written when the version was published: how good it is, how sure, where it errs."""
        language = lang if lang is not None else language_of(request)
        path = registry.store.folder(name) / str(version) / report_file(language)

        def found() -> bytes:
            registry.store.check_version(name, version)
            try:
                return path.read_bytes()
            except FileNotFoundError as error:
                raise ResultMissing("no-report", model=name, version=version) from error

        return Response(
            await asyncio.to_thread(found),
            media_type=MediaType.HTML,
            headers=REPORT_HEADERS | {"Content-Language": language},
        )

    @post(
        "/{name:str}/versions/{version:int}/report",
        operation_class=documented(EMPTY),
        opt=access.ADMIN,
        status_code=200,
        responses=job_answers(WrittenReport) | refusals(*ADMIN, 404),
    )
    async def write_report(
        self,
        request: AnyRequest,
        name: FromPath[str],
        version: FromPath[int],
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
    ) -> Response[Any]:
        """Write the page of a version again, in both languages; a job, as the trainings are."""
        check_name(name)
        return await answer_to(request, training, registry, AskedJob("report", name, version))

    @get(
        "/{name:str}/versions/{version:int}/download",
        opt=access.ADMIN,
        media_type="application/zip",
        responses=file_answer("application/zip") | refusals(*ADMIN, 404),
    )
    async def download(
        self, name: FromPath[str], version: FromPath[int], registry: NamedDependency[Registry]
    ) -> Response[bytes]:
        """Give a version as one file, verified, which `puppet-train import FILE` takes into another store."""
        raw = await asyncio.to_thread(pack, registry.store, name, version)
        headers = {
            "Content-Disposition": f'attachment; filename="{name}-{version}.zip"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(raw, media_type="application/zip", headers=headers)

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
        "/{name:str}/steps",
        operation_class=documented(STEPS),
        opt=access.LABEL,
        status_code=200,
        responses=refusals(*READ),
    )
    async def steps(
        self,
        request: AnyRequest,
        name: FromPath[str],
        serving: NamedDependency[Serving],
    ) -> Steps:
        """Show every number from a ticket to its answer, computed by NumPy, and how far onnxruntime's are from them.

        Of a long ticket what belongs to its first 64 tokens is shown.
        """
        access.check_media_type(request)
        body = await decoded(await request.body(), AskSteps)
        model = serving.registry.serving(name)
        kind = kind_named(model.manifest.neural_network_type)
        if kind.steps is None:
            raise KindMismatch("no-steps", model_name=name, neural_network_type=kind.name)
        field, content = body.given
        large = serving.batcher.large
        (encoded,) = await encode_all(large, model, {f"/{field}": content})
        cost = OPENING_TOKENS + WALK_FACTOR * model.cost(encoded)
        work = in_steps(serving.registry.store, model, kind.steps, encoded)
        return (await large.in_steps(model, work, cost, RequestContext())).first(SHOWN_TOKENS)

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

    @post(
        "/{name:str}/rollback",
        operation_class=documented(EMPTY),
        opt=access.ADMIN,
        status_code=200,
        responses=refusals(*ADMIN, 404, 409),
    )
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


def in_steps(
    store: Store, model: Model[Any], steps: Callable[[Any, Mapping[str, bytes], Any], Steps], encoded: Any
) -> Generator[int, None, Steps]:
    """Return every number of a ticket's way, as work of two slices: the file is read and verified, then used.

    The loaded model has let go of its file's bytes, which would double its memory.
    """
    _, files = store.read_version(model.name, model.version, only=("model.onnx",))
    yield 0
    return steps(model, files, encoded)


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
