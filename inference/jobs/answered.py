"""What a job has given back, as an answer: JSON, or the file that it has made.

In: a job that has ended. Out: a response. The trainer's process has written the JSON, which is passed on as it stands;
a training has no such file, its result is the version that it has published.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response import File

from artifacts.errors import ArtifactRefused
from artifacts.jobs.answers import ClassifiedFile
from artifacts.jobs.records import Job
from artifacts.networks.manifest import Comparison
from inference.errors import ResultMissing, language_of
from inference.schemas import TrainedAnswer
from inference.search.registry import Registry
from inference.training import Training, reason_of, trained

JSON = "application/json"
MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}
# Tickets: no proxy and no browser keeps them, and none of them is taken for a page.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
AnyRequest = Request[Any, Any, Any]


def wants_json(request: AnyRequest) -> bool:
    """Return whether the header Accept asks for JSON, where a job gives a file as well."""
    accepted = (one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(","))
    return JSON in accepted


async def result_of(
    request: AnyRequest, training: Training, registry: Registry, job: Job, headers: Mapping[str, str] = {}
) -> Response[Any]:
    """Return what a job has given.

    Args:
        request: that asks for it.
        training: whose job it is.
        registry: which knows whether a version serves.
        job: as it is now.
        headers: of the answer, besides its own.
    Raises:
        ResultMissing: it has not ended, has ended without a result, or its files have been erased.
    """
    if job.state in ("queued", "running"):
        raise ResultMissing("result-not-yet", job=job.id)
    if job.state != "succeeded":
        raise ResultMissing("no-result", job=job.id, reason=reason_of(job))
    if job.kind == "train":
        return Response(await asyncio.to_thread(_trained, request, registry, job), headers={**HEADERS, **headers})
    path = await asyncio.to_thread(training.jobs.answer_file, job)
    try:
        if path is None:
            raise FileNotFoundError
        raw = await asyncio.to_thread(path.read_bytes)
        if job.kind != "classify" or wants_json(request):
            return Response(raw, media_type=JSON, headers={**HEADERS, **headers, "Vary": "Accept"})
        return await asyncio.to_thread(_file, path, raw, {**HEADERS, **headers, "Vary": "Accept"})
    except FileNotFoundError as error:
        raise ResultMissing("result-gone", job=job.id) from error


def _file(path: Path, raw: bytes, headers: Mapping[str, str]) -> File:
    """Return the file that was sorted, under the name that its sender gave it.

    Raises:
        FileNotFoundError: it has been erased.
    """
    facts = msgspec.json.decode(raw, type=ClassifiedFile)
    file = path.with_name(facts.file)
    if not file.is_file():
        raise FileNotFoundError
    media_type = MEDIA_TYPES[file.suffix.removeprefix(".")]
    return File(
        file, filename=facts.filename, media_type=media_type, content_disposition_type="attachment", headers=headers
    )


def _trained(request: AnyRequest, registry: Registry, job: Job) -> TrainedAnswer:
    """Return what a training came to: its version, and how that compares with the one before."""
    answer = trained(job, registry, language_of(request))
    comparison: Comparison | None = None
    with contextlib.suppress(ArtifactRefused):  # it has been deleted since
        comparison = registry.store.read_manifest(job.model_name, answer.version).comparison
    return TrainedAnswer(**msgspec.structs.asdict(answer), comparison=comparison)
