"""A job and how it ended, as Structs, and the files of its folder that hold them."""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from artifacts.errors import Fault
from artifacts.networks.manifest import ModelName
from artifacts.problems.sentences import Message
from artifacts.schemas import Summary

BODY, EVENTS, LOG, RESULT = "body.json", "events.jsonl", "log.txt", "result.json"
MAX_RESULT_BYTES = 2**20
MAX_DETAIL, MAX_FAULT = 2000, 500  # characters of a job's detail, and of each part of a fault; the rest is cut

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
Ended = Literal["failed", "cancelled", "interrupted"]
JobId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job.

    Attributes:
        id: 32 hexadecimal digits, a UUID of version 7; also the name of its folder.
        model_name: what is to be trained.
        neural_network_type: as the request names it.
        state: queued, running, or one of the four ends.
        attempt: how often it was begun; a run is known by (id, attempt).
        created, started, ended: RFC 3339 in UTC, only to show; None where it has not come to that.
        detail: the reason, for whoever asked.
        error: name of a class of `artifacts.errors` if the request was refused, else empty.
        faults: at most 20 of `num_faults`.
        num_faults: in the request.
        version: that was published.
        metrics: of that version.
        seconds: the training took.
        promote: when the version is to serve; "always": at once.
        keep_data: whether the request stays in the folder after the end.
        cancel_requested: the worker is to end it.
        token_name: of the token that it was asked for with; empty for none.
        problem: why it has no version, for other languages than the detail's; None in a record of an earlier release.
    """

    id: JobId
    model_name: ModelName
    neural_network_type: str
    state: State
    attempt: int
    created: str
    started: str | None
    ended: str | None
    detail: str
    error: str
    faults: list[Fault]
    num_faults: int
    version: int | None
    metrics: Summary | None
    seconds: float | None
    promote: str
    keep_data: bool
    cancel_requested: bool
    token_name: str = ""
    problem: Message | None = None


class JobResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a training ended.

    Attributes:
        outcome: trained; refused (the request was wrong, `error` names our exception); failed (ours to mend).
        detail: the reason, for whoever asked.
        error: name of a class of `artifacts.errors`.
        faults: at most 20 of `num_faults`.
        model_name: what was trained.
        version: that was published and serves.
        validation: its metrics.
        seconds: the training took.
        problem: type and parameters of the detail.
    """

    outcome: Literal["trained", "refused", "failed"]
    detail: str = ""
    error: str = ""
    faults: list[Fault] = []
    num_faults: int = 0
    model_name: str = ""
    version: int = 0
    validation: Summary | None = None
    seconds: float = 0.0
    problem: Message | None = None


class Checked(msgspec.Struct, frozen=True):
    """What the server has to know of a body before it queues it; or why it does not.

    Attributes:
        refusal: None if the body may be queued.
    """

    name: str = ""
    neural_network_type: str = ""
    promote: str = "always"
    keep_data: bool = False
    refusal: JobResult | None = None


def write_result(job: Path, result: JobResult) -> None:
    """Leave the result in the job's folder, whole or not at all."""
    part = job / f"{RESULT}.part"
    part.write_bytes(msgspec.json.encode(result))
    os.replace(part, job / RESULT)


def read_result(job: Path) -> JobResult | None:
    """Return the result; None if there is none that can be read, because the process died before it."""
    try:
        with open(job / RESULT, "rb") as file:
            return msgspec.json.decode(file.read(MAX_RESULT_BYTES), type=JobResult)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def clean(text: str, limit: int = MAX_DETAIL) -> str:
    """Return at most `limit` characters, halves of surrogate pairs written out: neither SQLite nor JSON takes them."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()[:limit]
