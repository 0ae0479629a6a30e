"""The routes of training jobs: look, follow, cancel. One method each."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import UNSET
from msgspec.json import encode

from artifacts.jobs.events import Event
from artifacts.jobs.records import Job
from artifacts.store.audit import AuditLog
from inference.following import has_ended
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import ADMIN, refusals
from inference.schemas import JobAnswer, JobsAnswer
from inference.training import Training

HEARTBEAT_S = 15.0  # a comment, so that proxies do not take a quiet connection for a dead one
RETRY_MS = 2000  # after which a client that has lost the connection comes back

AnyRequest = Request[Any, Any, Any]


def shown(training: Training, job: Job) -> JobAnswer:
    """Return what a job is and how far it has come; reads the disk."""
    epoch: Event | None = None
    latest: Event | None = None  # that says a phase
    offset = 0
    while found := training.jobs.read_events(job.id, offset):
        offset = found[-1][0]
        epoch = next((event for _, event in reversed(found) if event.kind == "epoch"), epoch)
        latest = next((event for _, event in reversed(found) if event.phase is not None), latest)
    return JobAnswer(
        id=job.id,
        state=job.state,
        model_name=job.model_name,
        neural_network_type=job.neural_network_type,
        attempt=job.attempt,
        created=job.created,
        started=job.started,
        ended=job.ended,
        detail=job.detail,
        errors=job.faults,
        num_errors=job.num_faults,
        version=job.version,
        metrics=job.metrics,
        seconds=job.seconds,
        promote=job.promote,
        cancel_requested=job.cancel_requested,
        token_name=job.token_name or UNSET,
        phase=latest.phase if latest is not None else None,
        seconds_left=latest.seconds_left if latest is not None and not has_ended(job) else None,
        progress=epoch,
    )


async def told(training: Training, job_id: str, offset: int) -> AsyncIterator[ServerSentEventMessage]:
    """Yield what a job tells from `offset` on, then its end; ends early when the server shuts down."""
    yield ServerSentEventMessage(data=None, comment="follows", retry=RETRY_MS)  # "" would be an event
    async for job, events in training.followers.follow(job_id, offset, HEARTBEAT_S):
        for offset, event in events:
            yield ServerSentEventMessage(data=encode(event).decode(), event=event.kind, id=str(offset))
        if events:
            continue
        if has_ended(job):
            answer = await asyncio.to_thread(shown, training, job)
            yield ServerSentEventMessage(data=encode(answer).decode(), event="end", id=str(offset))
        else:
            yield ServerSentEventMessage(data=None, comment="still there")


class JobRoutes(Routes):
    """The routes under /jobs."""

    path = "/jobs"

    @get("/", opt=access.ADMIN, responses=refusals(*ADMIN))
    async def jobs(self, training: NamedDependency[Training]) -> JobsAnswer:
        """List the newest 100 jobs, newest first."""

        def found() -> list[JobAnswer]:
            return [shown(training, job) for job in training.jobs.list()]

        return JobsAnswer(await asyncio.to_thread(found))

    @get("/{job_id:str}", opt=access.ADMIN, responses=refusals(*ADMIN, 404))
    async def job(self, job_id: FromPath[str], training: NamedDependency[Training]) -> JobAnswer:
        """Show one job: its state, its phase and last epoch, the reason if it failed, the version that it made."""
        return await asyncio.to_thread(lambda: shown(training, training.jobs.get(job_id)))

    @get(
        "/{job_id:str}/events",
        media_type="text/event-stream",
        opt=access.ADMIN,
        responses=refusals(*ADMIN, 404),
    )
    async def events(
        self, request: AnyRequest, job_id: FromPath[str], training: NamedDependency[Training]
    ) -> ServerSentEvent:
        """Follow a job (Server-Sent Events): phases, epochs, then the end; Last-Event-ID goes on where one was."""
        found = await asyncio.to_thread(training.jobs.get, job_id)
        given = request.headers.get("last-event-id", "")
        offset = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
        return ServerSentEvent(told(training, found.id, offset))

    @post("/{job_id:str}/cancel", opt=access.ADMIN, status_code=200, responses=refusals(*ADMIN, 404))
    async def cancel(
        self,
        request: AnyRequest,
        job_id: FromPath[str],
        training: NamedDependency[Training],
        audit: NamedDependency[AuditLog],
    ) -> JobAnswer:
        """Cancel a job: at once if it waits, within a second if it runs; one that has ended stays as it is."""
        access.check_media_type(request)

        def cancel() -> JobAnswer:
            job = training.jobs.get(job_id)  # an id that no job has is a caller's own text, and is not noted
            with audit.change(access.author_of(request), "cancel", job.model_name, job=job.id):
                job = training.jobs.request_cancel(job.id)
            return shown(training, job)

        return await asyncio.to_thread(cancel)
