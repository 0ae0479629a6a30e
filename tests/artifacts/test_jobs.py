"""Tests of artifacts/jobs.py: what passes between the server and the trainer's process."""

import os
import stat
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import Fault
from artifacts.jobs import BODY, MAX_RESULT_BYTES, RESULT, JobResult, new_job, read_result, remove_job, write_result
from artifacts.store import JOBS, Store


@pytest.fixture
def job(store: Store) -> Path:
    """Give an empty job folder."""
    return new_job(store)


def test_new_job_is_a_private_folder_of_its_own(store: Store) -> None:
    """Two jobs are two empty folders under `.jobs`, which only the owner may enter."""
    first, second = new_job(store), new_job(store)

    assert first != second
    assert first.parent == second.parent == store.root / JOBS
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert list(first.iterdir()) == []


@pytest.mark.parametrize(
    "result",
    [
        JobResult("trained", model_name="m", version=3, validation={"accuracy": 0.9, "num_tickets": 40}, seconds=1.5),
        JobResult(
            "trained", model_name="m", version=1, validation={"accuracy": None, "macro_f1": None, "num_tickets": 0}
        ),
        JobResult("refused", "no", "InvalidInput", [Fault("/training_data/1", "is missing"), Fault("", "é", 3)], 70),
        JobResult("failed", "out of memory\n\u2028"),
    ],
)
def test_result_comes_back_as_it_was_written(job: Path, result: JobResult) -> None:
    """What the trainer writes is what the server reads, and nothing else is left in the folder."""
    write_result(job, result)

    assert read_result(job) == result
    assert [path.name for path in job.iterdir()] == [RESULT]


def test_result_is_replaced_whole(job: Path) -> None:
    """A second result takes the place of the first."""
    write_result(job, JobResult("failed"))
    write_result(job, JobResult("trained", version=2))

    assert read_result(job) == JobResult("trained", version=2)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"garbage",
        b"\xff\xfe",
        b'{"outcome":"won"}',
        b'{"outcome":"failed","more":1}',
        b'{"outcome":"failed","detail":"\xff"}',
        b'{"outcome":"trained","version":"1"}',
        b'{"outcome":' + b"[" * 100_000,
        b'{"outcome":"failed","detail":"' + b"x" * MAX_RESULT_BYTES + b'"}',
    ],
)
def test_result_that_cannot_be_read_is_none(job: Path, raw: bytes) -> None:
    """Garbage, an unknown outcome or field, and more than a MiB are as good as no result."""
    (job / RESULT).write_bytes(raw)

    assert read_result(job) is None


def test_missing_result_is_none(job: Path) -> None:
    """A process that died before its end leaves no result, or half of one under another name."""
    (job / f"{RESULT}.part").write_bytes(b'{"outcome":"trained"}')

    assert read_result(job) is None
    assert read_result(job / "nowhere") is None


def test_result_is_never_seen_half_written(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the last step the old result is there: a crash before the rename changes nothing."""
    write_result(job, JobResult("failed", "first"))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_result(job, JobResult("trained"))
    assert read_result(job) == JobResult("failed", "first")


def test_removed_job_leaves_no_training_text(store: Store, job: Path) -> None:
    """The folder goes with the body, the result and whatever else is in it; a second removal does nothing."""
    (job / BODY).write_bytes(msgspec.json.encode({"training_data": ["secret"]}))
    (job / "run").mkdir()
    (job / "run" / "events.jsonl").write_text("x")
    write_result(job, JobResult("failed"))

    remove_job(job)

    assert list((store.root / JOBS).iterdir()) == []
    remove_job(job)
