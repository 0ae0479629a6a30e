"""A job and how it ended, as Structs, and the files of its folder that hold them."""

import os
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from artifacts.errors import Fault
from artifacts.problems.sentences import Message
from artifacts.schemas import NAME_PATTERN, Summary

BODY, EVENTS, LOG, RESULT = "body.json", "events.jsonl", "log.txt", "result.json"
# A job of any kind: what was asked for, a file that was posted as it is with what is known of it, and what came out.
ASKED, UPLOAD, UPLOAD_FACTS, ANSWER = "asked.json", "upload", "upload.json", "answer.json"
ANSWER_FILE = "answer"  # and the suffix of its form
UNPACKED = "unpacked"  # folder in which an archive is unpacked; it goes with the end of the job
MAX_RESULT_BYTES = 2**20
MAX_DETAIL, MAX_FAULT = 2000, 500  # characters of a job's detail, and of each part of a fault; the rest is cut

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
Ended = Literal["failed", "cancelled", "interrupted"]
JobKind = Literal["train", "inspect", "evaluate", "diff", "classify", "report"]
KINDS_OF_JOBS: tuple[JobKind, ...] = get_args(JobKind)
SHORT_KINDS: tuple[JobKind, ...] = tuple(kind for kind in KINDS_OF_JOBS if kind != "train")  # they publish nothing
# The pattern of ModelName, or nothing.
NameOfJob = Annotated[str, msgspec.Meta(pattern=rf"^(?:{NAME_PATTERN})?$(?!\n)")]
JobId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]


def lane_of(kind: JobKind) -> tuple[JobKind, ...]:
    """Return the kinds with which a kind shares the worker and the room in the queue: trainings are apart.

    So who looks at a file does not wait behind a training of hours, and many files keep no training out.
    """
    return ("train",) if kind == "train" else SHORT_KINDS


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job.

    Attributes:
        id: 32 hexadecimal digits, a UUID of version 7; also the name of its folder.
        model_name: whose job it is; empty for an inspection, which has no model.
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
        kind: what it does.
        token_role: of the token that it was asked for with; empty for none.
    """

    id: JobId
    model_name: NameOfJob
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
    kind: JobKind = "train"
    token_role: str = ""


class AskedJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the address of a request says of the job: the file `asked.json`, which a training of earlier has not.

    Attributes:
        kind: of the job.
        name: of the model, where the path names it.
        version: of it, where the path names one.
        is_preview: whether an inspection only says how the file is understood.
    """

    kind: JobKind = "train"
    name: str = ""
    version: int = 0
    is_preview: bool = False


class Upload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a file that was posted as it is.

    Attributes:
        media_type: that it was sent as.
        filename: as the client calls it, without a folder; it names the answer, and nothing on the disk.
    """

    media_type: str
    filename: str


class JobResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a training ended.

    Attributes:
        outcome: trained; done (a job that publishes nothing has left its answer); refused (the request was wrong,
            `error` names our exception); failed (ours to mend).
        detail: the reason, for whoever asked.
        error: name of a class of `artifacts.errors`.
        faults: at most 20 of `num_faults`.
        model_name: what was trained.
        version: that was published and serves.
        validation: its metrics.
        seconds: the training took.
        problem: type and parameters of the detail.
    """

    outcome: Literal["trained", "done", "refused", "failed"]
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
        data_of: the job whose file is to be read, which the one who asks must have asked for too.
    """

    name: str = ""
    neural_network_type: str = ""
    promote: str = "always"
    keep_data: bool = False
    refusal: JobResult | None = None
    data_of: str = ""


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


def read_asked(job: Path) -> AskedJob:
    """Return what the address said of the job; of one that an earlier release has queued, that it is a training."""
    try:
        return msgspec.json.decode((job / ASKED).read_bytes(), type=AskedJob)
    except FileNotFoundError:
        return AskedJob()


def read_upload(job: Path) -> Upload | None:
    """Return what is known of the file that was posted with a job; None if none was, or it has gone."""
    try:
        if not (job / UPLOAD).is_file():
            return None
        return msgspec.json.decode((job / UPLOAD_FACTS).read_bytes(), type=Upload)
    except FileNotFoundError:
        return None


def clean(text: str, limit: int = MAX_DETAIL) -> str:
    """Return at most `limit` characters, halves of surrogate pairs written out: neither SQLite nor JSON takes them."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()[:limit]
