"""A training job on disk: what the server hands to the trainer's process, and what comes back.

A job is a folder `STORE/.jobs/ID/` with `body.json`, the request as it came, and `result.json`, written once at the
end. Nothing else passes between the two processes, so either may die without harming the other.
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Literal

import msgspec

from artifacts.errors import Fault
from artifacts.schemas import Summary
from artifacts.store import JOBS, Store

BODY, RESULT = "body.json", "result.json"
MAX_RESULT_BYTES = 2**20


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


def new_job(store: Store) -> Path:
    """Return a new, empty job folder."""
    folder = store.root / JOBS / uuid.uuid4().hex
    folder.mkdir(mode=0o700)
    return folder


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


def remove_job(job: Path) -> None:
    """Delete the folder and with it the training text."""
    shutil.rmtree(job, ignore_errors=True)
