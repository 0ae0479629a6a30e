"""The routes of jobs: ask for one that publishes nothing; look, follow, take the result, cancel. One method each."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import UNSET
from msgspec.json import encode

from artifacts.jobs.answers import ClassifiedFile, Difference, InspectionAnswer, Preview
from artifacts.jobs.events import Event
from artifacts.jobs.records import AskedJob, Job
from artifacts.kinds import KINDS
from artifacts.problems.sentences import ADDRESS, Language
from artifacts.store.audit import AuditLog
from artifacts.store.versions import check_name
from inference.errors import fault_shown, language_of
from inference.following import has_ended
from inference.jobs.answered import result_of
from inference.jobs.asking import answer_to, is_preview
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import (
    ADMIN,
    CLASSIFY,
    DIFF,
    EMPTY,
    EVALUATE,
    INSPECT,
    documented,
    job_answers,
    job_results,
    refusals,
)
from inference.schemas import JobAnswer, JobsAnswer, ProblemError
from inference.search.registry import Registry
from inference.training import Training, detail_of

HEARTBEAT_S = 15.0  # a comment, so that proxies do not take a quiet connection for a dead one
RETRY_MS = 2000  # after which a client that has lost the connection comes back

AnyRequest = Request[Any, Any, Any]


def shown(training: Training, job: Job, language: Language) -> JobAnswer:
    """Return what a job is and how far it has come, worded in a language; reads the disk."""
    epoch: Event | None = None
    latest: Event | None = None  # that says a phase
    expected_s: float | None = None
    offset = 0
    while found := training.jobs.read_events(job.id, offset):
        offset = found[-1][0]
        epoch = next((event for _, event in reversed(found) if event.kind == "epoch"), epoch)
        latest = next((event for _, event in reversed(found) if event.phase is not None), latest)
        # Of a training that was begun again, as it said last.
        said = (event.seconds_expected for _, event in reversed(found) if event.seconds_expected is not None)
        expected_s = next(said, expected_s)
    return JobAnswer(
        id=job.id,
        state=job.state,
        model_name=job.model_name,
        neural_network_type=job.neural_network_type,
        attempt=job.attempt,
        created=job.created,
        started=job.started,
        ended=job.ended,
        detail=detail_of(job, language),
        # Documented as such a Struct; each has members of its own as well, as in a problem.
        errors=cast(list[ProblemError], [fault_shown(fault, language) for fault in job.faults]),
        num_errors=job.num_faults,
        version=job.version,
        metrics=job.metrics,
        seconds=job.seconds,
        promote=job.promote,
        cancel_requested=job.cancel_requested,
        kind=job.kind,
        has_result=job.version is not None or training.jobs.answer_file(job) is not None,
        token_name=job.token_name or UNSET,
        type=ADDRESS + job.problem.type if job.problem is not None and job.problem.is_known else UNSET,
        phase=latest.phase if latest is not None else None,
        seconds_left=latest.seconds_left if latest is not None and not has_ended(job) else None,
        seconds_expected=expected_s,
        progress=epoch,
    )


async def told(
    training: Training, job_id: str, offset: int, language: Language
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield what a job tells from `offset` on, then its end; ends early when the server shuts down."""
    yield ServerSentEventMessage(data=None, comment="follows", retry=RETRY_MS)  # "" would be an event
    async for job, events in training.followers.follow(job_id, offset, HEARTBEAT_S):
        for offset, event in events:
            yield ServerSentEventMessage(data=encode(event).decode(), event=event.kind, id=str(offset))
        if events:
            continue
        if has_ended(job):
            answer = await asyncio.to_thread(shown, training, job, language)
            yield ServerSentEventMessage(data=encode(answer).decode(), event="end", id=str(offset))
        else:
            yield ServerSentEventMessage(data=None, comment="still there")


class AskRoutes(Routes):
    """The routes that make a job of a kind which publishes nothing."""

    @post(
        "/inspect",
        operation_class=documented(INSPECT, job="inspect"),
        opt=access.INSPECT,
        body_limits=("train_body_bytes",),
        status_code=200,
        responses=job_answers(Preview, InspectionAnswer) | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def inspect(
        self, request: AnyRequest, registry: NamedDependency[Registry], training: NamedDependency[Training]
    ) -> Response[Any]:
        """Look for wrong categories and other faults in labelled tickets, before they teach.

        With `preview=true` it only says how a file is understood: its form, its columns, its first rows.
        """
        asked = AskedJob("inspect", is_preview=is_preview(request))
        return await answer_to(request, training, registry, asked)

    @post(
        "/evaluate",
        operation_class=documented(EVALUATE, job="evaluate"),
        opt=access.SEARCH,
        body_limits=("train_body_bytes",),
        status_code=200,
        responses=job_answers(*(kind.evaluation for kind in KINDS.values())) | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def evaluate(
        self, request: AnyRequest, registry: NamedDependency[Registry], training: NamedDependency[Training]
    ) -> Response[Any]:
        """Measure a published version on the labelled rows of a file, as /test does on those of a small body."""
        return await answer_to(request, training, registry, AskedJob("evaluate"))

    @post(
        "/classify",
        operation_class=documented(CLASSIFY, job="classify"),
        opt=access.SEARCH,
        body_limits=("train_body_bytes",),
        status_code=200,
        responses=job_answers(ClassifiedFile, is_file=True) | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def classify(
        self, request: AnyRequest, registry: NamedDependency[Registry], training: NamedDependency[Training]
    ) -> Response[Any]:
        """Give a file back with a category for each ticket; with Accept: application/json what came of it."""
        return await answer_to(request, training, registry, AskedJob("classify"))

    @post(
        "/models/{name:str}/diff",
        operation_class=documented(DIFF, job="diff"),
        opt=access.SEARCH,
        body_limits=("train_body_bytes",),
        status_code=200,
        responses=job_answers(Difference) | refusals(*ADMIN, 404, 409, 422, 500),
    )
    async def diff(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
    ) -> Response[Any]:
        """Compare two published versions on labelled rows: which is better, surely, and what changes."""
        check_name(name)
        return await answer_to(request, training, registry, AskedJob("diff", name))


class JobRoutes(Routes):
    """The routes under /jobs. A caller sees its own jobs; an administrator all."""

    path = "/jobs"

    @get("/", opt=access.JOB, responses=refusals(*ADMIN))
    async def jobs(self, request: AnyRequest, training: NamedDependency[Training]) -> JobsAnswer:
        """List the newest 100 jobs, newest first."""
        language, asker = language_of(request), access.asker_of(request)

        def found() -> list[JobAnswer]:
            return [shown(training, job, language) for job in training.jobs.list(asker=asker)]

        return JobsAnswer(await asyncio.to_thread(found))

    @get("/{job_id:str}", opt=access.JOB, responses=refusals(*ADMIN, 404))
    async def job(self, request: AnyRequest, job_id: FromPath[str], training: NamedDependency[Training]) -> JobAnswer:
        """Show one job: its state, its phase and last epoch, the reason if it failed, the version that it made."""
        language, asker = language_of(request), access.asker_of(request)
        return await asyncio.to_thread(lambda: shown(training, training.job_of(job_id, asker), language))

    @get("/{job_id:str}/result", opt=access.JOB, responses=job_results() | refusals(*ADMIN, 404))
    async def result(
        self,
        request: AnyRequest,
        job_id: FromPath[str],
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
    ) -> Response[Any]:
        """Give what a job came to: JSON, or the file that was sorted unless Accept asks for JSON."""
        job = await asyncio.to_thread(training.job_of, job_id, access.asker_of(request))
        return await result_of(request, training, registry, job)

    @get(
        "/{job_id:str}/events",
        media_type="text/event-stream",
        opt=access.JOB,
        responses=refusals(*ADMIN, 404),
    )
    async def events(
        self, request: AnyRequest, job_id: FromPath[str], training: NamedDependency[Training]
    ) -> ServerSentEvent:
        """Follow a job (Server-Sent Events): phases, epochs, then the end; Last-Event-ID goes on where one was."""
        found = await asyncio.to_thread(training.job_of, job_id, access.asker_of(request))
        given = request.headers.get("last-event-id", "")
        offset = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
        return ServerSentEvent(told(training, found.id, offset, language_of(request)))

    @post(
        "/{job_id:str}/cancel",
        operation_class=documented(EMPTY),
        opt=access.JOB,
        status_code=200,
        responses=refusals(*ADMIN, 404),
    )
    async def cancel(
        self,
        request: AnyRequest,
        job_id: FromPath[str],
        training: NamedDependency[Training],
        audit: NamedDependency[AuditLog],
    ) -> JobAnswer:
        """Cancel a job: at once if it waits, within a second if it runs; one that has ended stays as it is."""
        access.check_media_type(request)

        asker = access.asker_of(request)

        def cancel() -> JobAnswer:
            job = training.job_of(job_id, asker)  # an id that no job has is a caller's own text, and is not noted
            with audit.change(access.author_of(request), "cancel", job.model_name, job=job.id):
                job = training.jobs.request_cancel(job.id)
            return shown(training, job, language_of(request))

        return await asyncio.to_thread(cancel)
