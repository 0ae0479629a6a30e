"""A request for a job of any kind: from its content type, query and body to the job, and to the answer.

JSON with rows, or with the name of an earlier job ┐
a file as it is, with parameters in the query      ┴─► spool ─► check ─► queue ─► 202 with Location, or the result
"""

from typing import Any

from litestar import Request, Response

from artifacts.jobs.records import AskedJob, Job
from inference.jobs.answered import result_of
from inference.jobs.posted import FILES, JSON, OWN, is_flag_set, posted_file
from inference.routes import access
from inference.schemas import Accepted
from inference.search.registry import Registry
from inference.training import Training

AnyRequest = Request[Any, Any, Any]


def wants_job(request: AnyRequest) -> bool:
    """Return whether the header Prefer asks for the job at its start, and not for its end (RFC 7240)."""
    return "respond-async" in [word.partition(";")[0].strip() for word in request.headers.get("prefer", "").split(",")]


async def job_asked(request: AnyRequest, training: Training, asked: AskedJob) -> Job:
    """Return the job that a request asks for, queued.

    Raises:
        WrongMediaType, InvalidInput (the query), and as `Training.submit`.
    """
    takes_files = asked.kind in OWN
    media_type = access.check_media_type(request, JSON, *(FILES if takes_files else ()))
    # A JSON body is a request; only one that says so is a file, because an export may look like one.
    posted = None
    if takes_files and (media_type != JSON or request.query_params.get("as") == "file"):
        posted = posted_file(asked.kind, media_type, request.query_params.multi_items())
    return await training.submit(
        request.stream(),
        request.headers.get("idempotency-key"),
        access.author_of(request),
        asked,
        posted,
        access.asker_of(request),
    )


def accepted(job: Job) -> Response[Accepted]:
    """Return the answer to who does not wait: which job it is, and where to look."""
    headers = {"Location": f"/jobs/{job.id}", "Retry-After": "1", "Preference-Applied": "respond-async"}
    status = "training queued" if job.kind == "train" else "job queued"
    return Response(
        Accepted(status=status, model_name=job.model_name, job=job.id, kind=job.kind), status_code=202, headers=headers
    )


async def answer_to(request: AnyRequest, training: Training, registry: Registry, asked: AskedJob) -> Response[Any]:
    """Return the answer to a request for a job that publishes nothing: its result, unless the caller does not wait.

    Raises:
        As `job_asked` and `Training.wait`.
    """
    job = await job_asked(request, training, asked)
    if wants_job(request):
        return accepted(job)
    return await result_of(request, training, registry, await training.wait(job), {"Location": f"/jobs/{job.id}"})


def is_preview(request: AnyRequest) -> bool:
    """Return whether an inspection only says how the file is understood.

    Raises:
        InvalidInput: the parameter is neither true nor false.
    """
    return is_flag_set({name: str(value) for name, value in request.query_params.items()}, "preview")
