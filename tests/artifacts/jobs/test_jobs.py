"""Tests of artifacts/jobs/jobs.py and table.py: each step is whole or not at all, once, and by whom it belongs to."""

import contextlib
import errno
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.errors import (
    Fault,
    Fenced,
    IdempotencyConflict,
    InvalidInput,
    InvalidName,
    JobNotFound,
    QueueFull,
    StoreRefused,
)
from artifacts.jobs import jobs as jobs_module
from artifacts.jobs import table
from artifacts.jobs.events import MAX_EVENTS_BYTES, MAX_EVENTS_READ, Event, append_event
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import (
    ANSWER,
    BODY,
    EVENTS,
    LOG,
    MAX_DETAIL,
    MAX_RESULT_BYTES,
    RESULT,
    SHORT_KINDS,
    Job,
    JobResult,
    read_result,
    write_result,
)
from artifacts.jobs.table import DATABASE, SCHEMA_VERSION
from artifacts.networks.manifest import Comparison, Served, seal
from artifacts.problems.sentences import message
from artifacts.store.store import JOBS, Store
from artifacts.system import sqlite as database_module
from artifacts.system.disk import try_lock
from tests.artifacts.crash import crash
from tests.artifacts.store.test_store import fail_at

ROOT = Path(__file__).parents[3]
NAME = "puppet-o2"


@pytest.fixture
def job(store: Store) -> Path:
    """Give an empty job folder."""
    return Jobs(store).new_folder()


def test_new_job_is_a_private_folder_of_its_own(store: Store) -> None:
    """Two jobs are two empty folders under `.jobs`, which only the owner may enter."""
    jobs = Jobs(store)
    first, second = jobs.new_folder(), jobs.new_folder()

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


def test_discarded_folder_leaves_no_training_text(store: Store) -> None:
    """The folder goes with the body, the result and whatever else is in it; a second time does nothing."""
    jobs = Jobs(store)
    job = jobs.new_folder()
    (job / BODY).write_bytes(msgspec.json.encode({"training_data": ["secret"]}))
    (job / "run").mkdir()
    (job / "run" / "events.jsonl").write_text("x")
    write_result(job, JobResult("failed"))

    jobs.discard(job)

    assert [entry.name for entry in (store.root / JOBS).iterdir()] == [DATABASE]
    jobs.discard(job)


# The jobs of a store

STATES = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "interrupted"]
# call -> what it makes of a job; a state that is not named stays as it is. `cancelling`: running, to be cancelled.
TRANSITIONS: dict[str, dict[str, str]] = {
    "claim": {"queued": "running"},
    "cancel": {"queued": "cancelled", "running": "cancelling"},
    "finish": {"running": "failed", "cancelling": "failed"},
    "finish another attempt": {},
    "publish": {"running": "succeeded"},
    "publish another attempt": {},
    "recover, alive": {},
    "recover, dead": {"running": "interrupted", "cancelling": "cancelled"},
}


@pytest.fixture
def jobs(store: Store) -> Jobs:
    """Give the jobs of the store, none so far."""
    return Jobs(store, queue_limit=3)


def submit(jobs: Jobs, name: str = NAME, **options: Any) -> Job:
    """Submit a job whose body is "secret"."""
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"secret")
    return jobs.submit(folder, name, "GRU", **options)


def claimed(jobs: Jobs) -> Job:
    """Claim the job that is there to be claimed."""
    job = jobs.claim()
    assert job is not None
    return job


def die(jobs: Jobs, job: Job) -> None:
    """Let go of the job's lock, as the end of its processes does."""
    with jobs.run_lock(job.id):
        pass


def publish(store: Store, job: Job, attempt: int = 1) -> int:
    """Put a version of the job in its place, and return its number; the database is not told."""
    manifest, files = store.read_version(NAME, 1)
    return store.publish(msgspec.structs.replace(manifest, job=job.id, attempt=attempt), files).version


def in_state(jobs: Jobs, store: Store, state: str) -> Job:
    """Return a new job that has come to this state."""
    job = submit(jobs)
    if state == "cancelled":
        return jobs.request_cancel(job.id)
    if state == "queued":
        return job
    job = claimed(jobs)
    if state == "cancelling":
        jobs.request_cancel(job.id)
    elif state == "succeeded":
        with jobs.publishing(job.id, 1) as publishing:
            publishing.done(publish(store, job), {"accuracy": 0.5}, 1.5)
    elif state in ("failed", "interrupted"):
        assert jobs.finish(job.id, 1, "failed" if state == "failed" else "interrupted", "for a reason")
    return jobs.get(job.id)


def state_of(job: Job) -> str:
    """Return the state as the table names it."""
    return "cancelling" if job.state == "running" and job.cancel_requested else job.state


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("call", TRANSITIONS)
def test_each_call_in_each_state_does_what_the_table_says(jobs: Jobs, store: Store, state: str, call: str) -> None:
    """A call makes its one step, or changes nothing of the job and says so."""
    before = in_state(jobs, store, state)
    assert state_of(before) == state
    after = TRANSITIONS[call].get(state, state)
    attempt = before.attempt + call.endswith("another attempt")

    if call == "claim":
        assert (jobs.claim() is not None) == (state == "queued")
    elif call == "cancel":
        assert jobs.request_cancel(before.id) == jobs.get(before.id)
    elif call.startswith("finish"):
        assert jobs.finish(before.id, attempt, "failed", "for a reason") == (after != state)
    elif call.startswith("recover"):
        if call.endswith("dead") and before.state == "running":
            die(jobs, before)
        assert len(jobs.recover()) == (after != state)
    elif after != state:
        with jobs.publishing(before.id, attempt) as publishing:
            publishing.done(publish(store, before), {"accuracy": 0.5}, 1.5)
    else:
        wish = "is to be cancelled" if before.cancel_requested else f"is {before.state} at attempt {before.attempt}"
        with pytest.raises(Fenced, match=f"{wish}, attempt {attempt} was given"):
            jobs.publishing(before.id, attempt).__enter__()

    job = jobs.get(before.id)
    assert state_of(job) == after
    if after == state:
        assert job == before
    has_ended = after not in ("queued", "running", "cancelling")
    assert (job.started is not None) == (job.attempt == 1)
    assert (job.ended is not None) == has_ended
    assert (jobs.folder(job.id) / BODY).exists() == (not has_ended)  # the training text goes with the end


def test_submitted_job_is_as_it_was_asked_for(jobs: Jobs) -> None:
    """Every field of a new job, and its id, a UUID of version 7 that is the folder's name."""
    job = submit(jobs, promote="never", keep_data=True)

    assert uuid.UUID(job.id).version == 7
    assert uuid.UUID(job.id).variant == uuid.RFC_4122
    assert abs((int(job.id, 16) >> 80) / 1000 - time.time()) < 60
    assert (job.model_name, job.neural_network_type, job.state, job.attempt) == (NAME, "GRU", "queued", 0)
    assert (job.started, job.ended, job.version, job.metrics, job.seconds) == (None, None, None, None, None)
    assert (job.detail, job.error, job.faults, job.num_faults) == ("", "", [], 0)
    assert (job.promote, job.keep_data, job.cancel_requested) == ("never", True, False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job.created)
    assert jobs.folder(job.id) == jobs._root / job.id
    assert (jobs.folder(job.id) / BODY).read_bytes() == b"secret"
    assert jobs.get(str(uuid.UUID(job.id)).upper()) == job
    assert jobs.list() == [job]


@pytest.mark.parametrize(
    "job_id", ["", "0" * 32, "..", "../puppet-o2", "jobs.sqlite", "A" * 32, "0" * 33, "\ud800", "٣" * 32]
)
def test_unknown_id_is_not_found(jobs: Jobs, job_id: str) -> None:
    """What is no id, or the id of no job, is refused by each call and reaches no file."""
    calls: list[Callable[[], object]] = [
        lambda: jobs.get(job_id),
        lambda: jobs.read_events(job_id),
        lambda: jobs.request_cancel(job_id),
        lambda: jobs.finish(job_id, 1, "failed"),
        lambda: jobs.publishing(job_id, 1).__enter__(),
    ]

    for call in calls:
        with pytest.raises(JobNotFound, match=r"is not the ID of a job|no job '"):
            call()


def test_end_keeps_what_was_said(jobs: Jobs) -> None:
    """Reason, error, faults and seconds come back; what is too long is cut, half a surrogate pair written out."""
    submit(jobs)
    faults = [Fault(f"/training_data/{row}", "is wrong \ud800") for row in range(30)]

    jobs.finish(
        claimed(jobs).id, 1, "failed", "x" * 5000, error="InvalidInput", faults=faults, num_faults=70, seconds=2.5
    )

    (job,) = jobs.list()
    assert (job.detail, job.error, job.num_faults, job.seconds) == ("x" * MAX_DETAIL, "InvalidInput", 70, 2.5)
    assert job.faults == [Fault(f"/training_data/{row}", "is wrong \\ud800") for row in range(20)]


def test_success_keeps_version_and_metrics(jobs: Jobs, store: Store) -> None:
    """What the run says of its version is the job's; without a word the manifest tells."""
    job = in_state(jobs, store, "succeeded")
    assert (job.version, job.metrics, job.seconds, job.detail) == (2, {"accuracy": 0.5}, 1.5, "")

    submit(jobs)
    job = claimed(jobs)
    with jobs.publishing(job.id, 1):
        assert publish(store, job) == 3
    job = jobs.get(job.id)
    manifest, _ = store.read_version(NAME, 3)
    assert (job.state, job.version, job.metrics, job.seconds) == ("succeeded", 3, manifest.validation, manifest.seconds)


def test_block_that_fails_or_publishes_nothing_is_no_success(jobs: Jobs) -> None:
    """An error in the block leaves the job running, and so does a block that published nothing, which is our bug."""
    submit(jobs)
    job = claimed(jobs)

    with pytest.raises(ZeroDivisionError), jobs.publishing(job.id, 1):
        raise ZeroDivisionError
    with pytest.raises(AssertionError, match="our bug"), jobs.publishing(job.id, 1):
        pass

    assert jobs.get(job.id) == job


def test_data_is_kept_if_that_was_asked_for(jobs: Jobs) -> None:
    """With `keep_data` the body outlives the job; events and log always do, and nothing else."""
    kept, removed = submit(jobs, keep_data=True), submit(jobs, "prices")
    for job in (kept, removed):
        for name in (EVENTS, LOG, "else"):
            (jobs.folder(job.id) / name).write_text("x")
        (jobs.folder(job.id) / "run").mkdir()
        (jobs.folder(job.id) / "run" / "tickets").write_text("x")

        jobs.request_cancel(job.id)

    assert {path.name for path in jobs.folder(kept.id).iterdir()} == {BODY, EVENTS, LOG}
    assert {path.name for path in jobs.folder(removed.id).iterdir()} == {EVENTS, LOG}


# The queue


def test_queue_is_served_in_order_one_for_each_model(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first whatever the clock says, and a model that trains holds up only its own jobs."""
    submitted = []
    for hour, name in enumerate([NAME, NAME, "prices"]):
        monkeypatch.setattr(table, "now", lambda hour=hour: f"2026-01-01T{20 - hour}:00:00Z")
        monkeypatch.setattr(time, "time_ns", lambda hour=hour: (10 - hour) * 10**15)
        submitted.append(submit(jobs, name).id)

    assert [job.id for job in jobs.list()] == submitted[::-1]
    assert [job.id for job in jobs.list(2)] == submitted[:0:-1]
    assert jobs.list(0) == jobs.list(-1) == []
    first, third = claimed(jobs), claimed(jobs)
    assert [first.id, third.id] == [submitted[0], submitted[2]]
    assert jobs.claim() is None
    jobs.finish(first.id, 1, "failed")
    assert claimed(jobs).id == submitted[1]


def test_full_queue_refuses_and_leaves_room_to_what_runs(jobs: Jobs) -> None:
    """Of the limit of 3 a running job takes nothing; a refused folder is still the caller's and makes no job."""
    for _ in range(3):
        submit(jobs)
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"x")

    with pytest.raises(QueueFull, match="3 trainings are waiting, the limit is 3; try again"):
        jobs.check_room()
    with pytest.raises(QueueFull):
        jobs.submit(folder, NAME, "GRU", idempotency_key="k")
    assert len(jobs.list()) == 3
    assert folder.exists()
    claimed(jobs)
    jobs.check_room()
    assert jobs.submit(folder, NAME, "GRU", idempotency_key="k").state == "queued"


def test_same_key_is_the_same_job(jobs: Jobs) -> None:
    """A repeated request is answered with its job, even if that has ended or the queue is full; its folder goes."""
    first = submit(jobs, idempotency_key="k", body_sha256="a")
    jobs.request_cancel(first.id)
    for _ in range(3):
        submit(jobs)

    jobs.check_room("k")
    again = submit(jobs, idempotency_key="k", body_sha256="a")

    assert again == jobs.get(first.id)
    assert again.state == "cancelled"
    assert len([path for path in jobs._root.iterdir() if path.is_dir()]) == 4
    with pytest.raises(QueueFull):
        jobs.check_room("other")


def test_same_key_with_another_request_is_refused(jobs: Jobs) -> None:
    """A key stands for one body and for one kind of request; the refused one changes nothing."""
    submit(jobs, idempotency_key="k", body_sha256="a")
    with jobs.once("created", "b") as is_new:
        assert is_new

    for key, sha in (("k", "b"), ("created", "b")):
        with pytest.raises(IdempotencyConflict, match=f"{key} came with another request before; send a new key"):
            submit(jobs, idempotency_key=key, body_sha256=sha)
    for key, sha in (("k", "a"), ("created", "a")):
        with pytest.raises(IdempotencyConflict), jobs.once(key, sha):
            pytest.fail("the block is not entered")
    assert len(jobs.list()) == 1


@pytest.mark.parametrize("key", ["", "a b", "\n", "é", "x" * 256, "\ud800", "a\0"])
def test_key_that_is_none_is_refused(jobs: Jobs, key: str) -> None:
    """A key is 1 to 255 printable characters of ASCII."""
    for call in (lambda: submit(jobs, idempotency_key=key), lambda: jobs.check_room(key), jobs.once(key).__enter__):
        with pytest.raises(InvalidInput, match="1 to 255 characters"):
            call()
    assert submit(jobs, idempotency_key="~" * 255).state == "queued"


def test_work_is_done_once_for_a_key(jobs: Jobs) -> None:
    """The second time the block is told so; a block that fails is not remembered; no key, no memory."""
    with pytest.raises(ZeroDivisionError), jobs.once("k", "a"):
        raise ZeroDivisionError

    told = []
    for key in ("k", "k", None, None):
        with jobs.once(key, "a") as is_new:
            told.append(is_new)

    assert told == [True, False, True, True]


def test_hostile_name_is_no_job(jobs: Jobs) -> None:
    """The name is checked before anything is written."""
    with pytest.raises(InvalidName):
        submit(jobs, "../x")
    assert jobs.list() == []


def test_threads_with_one_key_make_one_job(jobs: Jobs) -> None:
    """Of 16 requests at once with one key all are answered with one job."""
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: submit(jobs, idempotency_key="k", body_sha256="a").id, range(16)))

    assert len(set(found)) == 1
    assert [job.id for job in jobs.list()] == found[:1]
    assert jobs._held == {}


def run(*args: object) -> "subprocess.Popen[str]":
    """Start a process of tests/artifacts/rival.py."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.artifacts.rival", *map(str, args)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.one_python
def test_processes_never_claim_the_same_job(store: Store) -> None:
    """Three processes that claim at once share 60 jobs, each taken by just one of them."""
    jobs = Jobs(store, queue_limit=60)
    submitted = [submit(jobs, f"m{number}").id for number in range(60)]
    processes = [run("claim", store.root) for _ in range(3)]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    taken = [process.communicate(timeout=60)[0].split() for process in processes]

    assert sorted(job_id for some in taken for job_id in some) == sorted(submitted)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all(job.state == "failed" and job.attempt == 1 for job in jobs.list())


def test_two_runs_of_a_model_are_impossible(jobs: Jobs) -> None:
    """The database itself refuses a second running job of a model, whoever asks."""
    submit(jobs)
    submit(jobs)
    claimed(jobs)

    with pytest.raises(sqlite3.IntegrityError), jobs._table.writing() as database:
        database.execute("UPDATE jobs SET state = 'running'")
    assert [job.state for job in jobs.list()] == ["queued", "running"]


def test_job_without_its_folder_fails_and_the_next_is_claimed(jobs: Jobs) -> None:
    """A folder that somebody took away holds nobody up."""
    lost, next_one = submit(jobs), submit(jobs, "prices")
    shutil.rmtree(jobs.folder(lost.id))

    assert claimed(jobs).id == next_one.id
    assert (jobs.get(lost.id).state, jobs.get(lost.id).attempt) == ("failed", 0)
    assert "its folder is gone" in jobs.get(lost.id).detail


# Who lives


def test_run_process_keeps_the_job_alive(jobs: Jobs, store: Store) -> None:
    """The lock that was passed on holds when the worker is gone, until the run process ends, even by kill -9."""
    submit(jobs)
    job = claimed(jobs)
    with jobs.run_lock(job.id) as lock:
        process = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))

    with pytest.raises(Fenced, match="run by another process"), Jobs(store).run_lock(job.id):
        pytest.fail("it is locked")
    assert Jobs(store).recover() == []
    assert jobs.get(job.id) == job
    process.kill()
    process.wait()
    assert Jobs(store).recover() == [f"job {job.id} of {NAME}: its process had died: interrupted"]
    assert jobs.get(job.id).state == "interrupted"


def test_claimed_job_is_alive_before_its_process_starts(jobs: Jobs, store: Store) -> None:
    """There is no moment between `claim` and `run_lock` in which another worker takes the job for dead."""
    submit(jobs)
    job = claimed(jobs)

    assert Jobs(store).recover() == []
    assert jobs.get(job.id) == job


def test_folder_that_is_being_filled_is_nobodys_prey(jobs: Jobs, store: Store) -> None:
    """Only when the process that fills a folder is gone, `recover` removes it; what is no job's folder it leaves."""
    folder = jobs.new_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / BODY).write_bytes(b"secret")
    (jobs._root / "notes").mkdir()
    (jobs._root / ("a" * 32)).write_text("a file")

    assert Jobs(store).recover() == []
    os.close(jobs._held.pop(folder.name))  # as its end does
    assert Jobs(store).recover() == [f"folder {folder.name} belonged to no job: removed"]
    assert sorted(path.name for path in jobs._root.iterdir()) == ["a" * 32, "jobs.sqlite", "notes"]


def test_discarded_folder_is_gone(jobs: Jobs) -> None:
    """With its body and its lock; a second time does nothing."""
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"secret")

    jobs.discard(folder)

    assert not folder.exists()
    assert jobs._held == {}
    jobs.discard(folder)


def test_new_folder_that_was_swept_is_not_given_out(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """If `recover` locks the folder in the moment after it was made, another one is given."""
    ids = iter(["a" * 32, "b" * 32])
    monkeypatch.setattr(jobs_module, "_new_id", lambda: next(ids))
    sweepers = []
    make = Path.mkdir

    def make_and_sweep(path: Path, mode: int) -> None:
        make(path, mode)
        if path.name == "a" * 32:
            sweepers.append(try_lock(path))

    monkeypatch.setattr(Path, "mkdir", make_and_sweep)

    assert jobs.new_folder().name == "b" * 32
    (sweeper,) = sweepers
    assert sweeper is not None
    os.close(sweeper)


@pytest.mark.parametrize("how", ["finish", "cancel", "recover"])
def test_stopped_process_is_fenced_out(jobs: Jobs, store: Store, how: str) -> None:
    """A run that is stopped (SIGSTOP), given up and continued publishes nothing."""
    job = submit(jobs)
    process = run("stop", store.root, "before")
    assert process.stdout
    assert process.stdout.readline() == f"{job.id}\n"
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])

    if how == "finish":
        assert jobs.finish(job.id, 1, "interrupted")
    elif how == "cancel":
        jobs.request_cancel(job.id)
    else:
        assert jobs.recover() == []  # it is not dead: nothing is decided behind its back
        with jobs._table.writing() as database:
            database.execute("UPDATE jobs SET attempt = 2")  # as a worker would that begins it anew
    before = jobs.get(job.id)
    process.send_signal(signal.SIGCONT)

    assert process.communicate(timeout=60)[0] == "Fenced\n"
    assert jobs.get(job.id) == before
    assert store.versions(NAME) == [1]


def test_process_stopped_while_it_publishes_is_named_and_can_be_ended(
    jobs: Jobs, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the database: changes are refused in time and say why, reading goes on, and its end frees all."""
    job = submit(jobs)
    process = run("stop", store.root, "in")
    assert process.stdout
    assert process.stdout.readline() == f"{job.id}\n"
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    monkeypatch.setattr(database_module, "BUSY_S", 0.05)

    with pytest.raises(StoreRefused, match=r"was locked for more than.*nothing was changed; a stopped process"):
        jobs.finish(job.id, 1, "failed")
    assert jobs.get(job.id).state == "running"
    process.kill()
    process.communicate(timeout=60)
    assert jobs.finish(job.id, 1, "failed")


# After a death between the version and the commit


@pytest.mark.parametrize("way", ["finish", "recover"])
@pytest.mark.parametrize("promote", ["always", "never"])
@pytest.mark.parametrize("pointer", ["old", "moved"])
def test_published_version_is_rolled_forward(jobs: Jobs, store: Store, way: str, promote: str, pointer: str) -> None:
    """A version in its place is the job's success, and serves if the job was to have that, however far it came."""
    submit(jobs, promote=promote)
    job = claimed(jobs)
    current = store.root / NAME / "current"
    old = current.read_bytes()
    assert publish(store, job) == 2
    if pointer == "old":
        current.write_bytes(old)

    if way == "finish":
        assert not jobs.finish(job.id, 1, "cancelled", "too late")
    else:
        die(jobs, job)
        (sentence,) = jobs.recover()
        assert "it has succeeded" in sentence

    job = jobs.get(job.id)
    manifest, _ = store.read_version(NAME, 2)
    assert (job.state, job.version, job.metrics, job.seconds) == ("succeeded", 2, manifest.validation, manifest.seconds)
    assert "just after the version was published" in job.detail
    history = [served.version for served in store.current(NAME).history]
    assert history == ([1, 2] if promote == "always" or pointer == "moved" else [1])
    assert store.current(NAME).version == history[-1]
    assert not (jobs.folder(job.id) / BODY).exists()


@pytest.mark.parametrize(
    ("comparison", "serving", "serves", "told"),
    [
        (None, None, 1, "nothing served that it could be compared with; it serves"),
        (
            None,
            1,
            1,
            "nothing served that it could be compared with; "
            "it does not serve, because what serves was changed during the training",
        ),
        (Comparison(against=1, measured_on="test_data", is_better=True, detail="better"), 1, 2, "better; it serves"),
        (
            Comparison(against=7, measured_on="test_data", is_better=True, detail="better"),
            1,
            1,
            "better; it does not serve, because what serves was changed during the training",
        ),
        (Comparison(against=1, measured_on="test_data", detail="not better"), 1, 1, "not better; it does not serve"),
    ],
)
def test_version_of_a_dead_run_serves_as_its_comparison_says(
    jobs: Jobs, store: Store, comparison: Comparison | None, serving: int | None, serves: int, told: str
) -> None:
    """The manifest holds the verdict, so whoever finds the version after a crash decides as the run would have."""
    if serving is None:
        (store.root / NAME / "current").unlink()
    submit(jobs, promote="if_better")
    job = claimed(jobs)
    manifest, files = store.read_version(NAME, 1)
    manifest = msgspec.structs.replace(manifest, job=job.id, attempt=1, comparison=comparison)
    version = store.publish(manifest, files, serve=False).version
    die(jobs, job)

    jobs.recover()

    job = jobs.get(job.id)
    assert (job.state, job.version) == ("succeeded", version)
    assert job.detail == f"its process ended just after the version was published; {told}"
    assert store.serving(NAME) == (version if serving is None else serves)


def test_job_that_publishes_tells_the_verdict(jobs: Jobs, store: Store) -> None:
    """Whoever asked for the training reads why the version serves or not."""
    submit(jobs, promote="if_better")
    job = claimed(jobs)
    manifest, files = store.read_version(NAME, 1)
    comparison = Comparison(against=1, measured_on="validation", detail="not better than version 1: too few rows")

    with jobs.run_lock(job.id), jobs.publishing(job.id, 1):
        manifest = msgspec.structs.replace(manifest, job=job.id, attempt=1, comparison=comparison)
        store.publish(manifest, files, serve=False)

    assert jobs.get(job.id).detail == "not better than version 1: too few rows; it does not serve"


def test_later_choice_of_the_pointer_is_kept(jobs: Jobs, store: Store) -> None:
    """A version that served once is not served again because its job is recovered."""
    submit(jobs)
    job = claimed(jobs)
    publish(store, job)
    current = store.current(NAME)
    back = msgspec.structs.replace(current, version=1, history=[*current.history, Served(1, "2026-01-01T00:00:00Z")])
    (store.root / NAME / "current").write_bytes(seal(back))

    assert not jobs.finish(job.id, 1, "failed")
    assert store.current(NAME).version == 1


@pytest.mark.parametrize("fault", ["attempt", "job", "damaged", "half", "no model"])
def test_version_that_is_not_the_runs_or_not_whole_is_no_success(jobs: Jobs, store: Store, fault: str) -> None:
    """Another attempt's or job's version, a damaged one, one without its manifest: interrupted."""
    submit(jobs)
    job = claimed(jobs)
    other = msgspec.structs.replace(job, id="0" * 32) if fault == "job" else job
    folder = store.root / NAME / str(publish(store, other, attempt=2 if fault == "attempt" else 1))
    if fault == "damaged":
        (folder / "vocab.json").write_bytes(b"{}")
    elif fault == "half":
        (folder / "manifest.json").unlink()
    elif fault == "no model":
        shutil.rmtree(store.root / NAME)
    die(jobs, job)

    (sentence,) = jobs.recover()

    assert sentence.endswith("its process had died: interrupted")
    assert (jobs.get(job.id).state, jobs.get(job.id).version) == ("interrupted", None)


def test_old_jobs_are_forgotten_with_their_keys_and_folders(store: Store) -> None:
    """`recover` keeps the newest that have ended, and all that have not."""
    jobs = Jobs(store, keep_ended=2)
    waiting = submit(jobs, "prices", idempotency_key="waiting")
    ended = [submit(jobs, idempotency_key=f"k{number}").id for number in range(4)]
    for number in range(4):
        jobs.request_cancel(ended[number])
        with jobs.once(f"created{number}"):
            pass

    assert len(jobs.recover()) == 2
    assert [job.id for job in jobs.list()] == [ended[3], ended[2], waiting.id]
    assert {path.name for path in jobs._root.iterdir() if path.is_dir()} == {ended[3], ended[2], waiting.id}
    with jobs._table.reading() as database:
        keys = [row["key"] for row in database.execute("SELECT key FROM keys ORDER BY key")]
    assert keys == ["created2", "created3", "k2", "k3", "waiting"]
    with pytest.raises(JobNotFound, match="the last 2 that ended are kept"):
        jobs.get(ended[0])


def test_leftover_data_of_an_ended_job_is_removed(jobs: Jobs) -> None:
    """A process that died before it removed the training text has not kept it; the data of others stays."""
    waiting = submit(jobs, "prices")
    kept, job = submit(jobs, keep_data=True), submit(jobs)
    for ended in (kept, job):
        jobs.request_cancel(ended.id)
        (jobs.folder(ended.id) / BODY).write_bytes(b"secret")

    assert jobs.recover() == []
    assert not (jobs.folder(job.id) / BODY).exists()
    assert (jobs.folder(kept.id) / BODY).exists()
    assert (jobs.folder(waiting.id) / BODY).exists()


# Crashes


def check_whole(jobs: Jobs) -> None:
    """Check that after `recover` every folder has its job, every waiting job its body, and no ended job has one."""
    jobs.recover()
    assert jobs.recover() == []
    known = {job.id: job for job in jobs.list()}
    assert {path.name for path in jobs._root.iterdir() if path.is_dir()} == set(known)
    for job in known.values():
        assert (jobs.folder(job.id) / BODY).exists() == (job.state in ("queued", "running"))


@pytest.mark.one_python
@pytest.mark.parametrize(
    ("step", "old", "new", "then"),
    [
        ("submit", ["queued"], ["queued", "queued"], {}),
        ("claim", ["queued"], ["running"], {"running": "interrupted"}),
        ("cancel", ["queued"], ["cancelled"], {}),
        ("finish", ["running"], ["failed"], {"running": "interrupted"}),
    ],
)
def test_kill_at_any_moment_leaves_the_old_or_the_new(
    jobs: Jobs, store: Store, tmp_path: Path, step: str, old: list[str], new: list[str], then: dict[str, str]
) -> None:
    """After kill -9 at each call the database opens, holds one of the two, and `recover` makes all well."""
    first = submit(jobs)

    calls = crash(store, tmp_path / "crashed", step)

    assert calls.count("COMMIT") == 1
    seen = []
    for number in range(1, len(calls) + 1):
        crashed = Jobs(Store(tmp_path / "crashed" / str(number)))
        states: list[str] = [job.state for job in crashed.list()]
        seen.append(states)
        assert first.id in {job.id for job in crashed.list()}
        check_whole(crashed)
        assert [job.state for job in crashed.list()] == [then.get(state, state) for state in states]
        again = submit(crashed, idempotency_key="new", body_sha256="sha")
        assert again.state == "queued"
        if step == "submit":
            assert len(crashed.list()) == 2
        elif "queued" in states:
            assert claimed(crashed).id == first.id
        else:
            assert claimed(crashed).id == again.id
    assert seen == [old] * seen.count(old) + [new] * seen.count(new)
    assert seen.count(old) > 3
    assert seen.count(new) > 0


@pytest.mark.one_python
def test_kill_at_any_moment_of_publishing_leaves_job_and_version_agreed(
    jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    """After `recover` the job has succeeded just if its version is there, and then it serves."""
    submit(jobs)

    calls = crash(store, tmp_path / "crashed", "publishing")

    assert calls.count("COMMIT") == 1
    assert calls.count("fsync") == 12
    seen = []
    for number in range(1, len(calls) + 1):
        crashed_store = Store(tmp_path / "crashed" / str(number))
        crashed = Jobs(crashed_store)
        (before,) = crashed.list()
        check_whole(crashed)
        (job,) = crashed.list()
        versions = crashed_store.versions(NAME)
        seen.append((before.state, job.state))
        assert versions == ([1, 2] if job.state == "succeeded" else [1])
        assert crashed_store.current(NAME).version == versions[-1]
        assert job.version == (2 if job.state == "succeeded" else None)
    assert list(dict.fromkeys(seen)) == [
        ("running", "interrupted"),
        ("running", "succeeded"),
        ("succeeded", "succeeded"),
    ]


@pytest.mark.one_python
def test_kill_at_any_moment_of_recover_is_recovered(store: Store, tmp_path: Path) -> None:
    """However often `recover` is killed, in the end the same is there."""
    jobs = Jobs(store)
    published, dead, ended = submit(jobs), submit(jobs, "prices"), submit(jobs, "untrained")
    for job in (claimed(jobs), claimed(jobs)):
        die(jobs, job)
    jobs.request_cancel(ended.id)
    (jobs.folder(ended.id) / BODY).write_bytes(b"secret")
    current = (store.root / NAME / "current").read_bytes()
    publish(store, published)
    (store.root / NAME / "current").write_bytes(current)
    orphan = jobs.new_folder()
    (orphan / BODY).write_bytes(b"secret")
    os.close(jobs._held.pop(orphan.name))

    calls = crash(store, tmp_path / "crashed", "recover")

    assert calls.count("COMMIT") == 3
    for number in range(1, len(calls) + 1):
        crashed_store = Store(tmp_path / "crashed" / str(number))
        crashed = Jobs(crashed_store)
        check_whole(crashed)
        states = {job.id: job.state for job in crashed.list()}
        assert states == {published.id: "succeeded", dead.id: "interrupted", ended.id: "cancelled"}
        assert crashed_store.current(NAME).version == 2
        assert [served.version for served in crashed_store.current(NAME).history] == [1, 2]


# The disk


def test_database_waits_for_the_disk(jobs: Jobs) -> None:
    """A commit is on the disk when it is told: journal removed, and its folder flushed after that (EXTRA)."""
    with jobs._table.reading() as database:
        assert database.execute("PRAGMA synchronous").fetchone()[0] == 3
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


class FailingAt(sqlite3.Connection):
    """A connection whose n-th statement, counted over all connections, fails as a full or broken disk lets it."""

    left = 0
    code = 0

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        """Fail when it is the turn."""
        FailingAt.left -= 1
        if FailingAt.left == 0:
            error = sqlite3.OperationalError("the disk says no")
            error.sqlite_errorcode = FailingAt.code
            raise error
        return super().execute(statement, *args)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_READONLY])
@pytest.mark.parametrize("step", ["submit", "claim", "cancel", "finish", "publishing", "once", "recover"])
def test_failing_disk_is_said_and_changes_nothing(
    jobs: Jobs, store: Store, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    """Whichever statement fails, the call says so and every job is as it was; the next try succeeds."""
    job = submit(jobs)
    if step in ("finish", "publishing", "recover"):
        job = claimed(jobs)
    if step == "recover":
        die(jobs, job)
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"x")

    def publishing() -> None:
        with jobs.publishing(job.id, 1) as right:
            right.done(2, {}, 1.0)

    def once() -> None:
        with jobs.once("k"):
            pass

    act: dict[str, Callable[[], object]] = {
        "submit": lambda: jobs.submit(folder, NAME, "GRU", idempotency_key="k"),
        "claim": jobs.claim,
        "cancel": lambda: jobs.request_cancel(job.id),
        "finish": lambda: jobs.finish(job.id, 1, "failed"),
        "publishing": publishing,
        "once": once,
        "recover": jobs.recover,
    }
    before, held, real = jobs.list(), dict(jobs._held), sqlite3.connect
    FailingAt.code = code
    number = 0
    while True:
        number += 1
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *args, **kwargs: real(*args, **kwargs, factory=FailingAt))
            FailingAt.left = number
            refusal = ""
            try:
                act[step]()
            except StoreRefused as error:
                refusal = str(error)
        if not refusal:
            break
        assert "nothing was changed: the disk says no; free some space" in refusal
        if step != "recover":  # which does several things, each whole
            assert jobs.list() == before
            assert jobs._held == held
        assert folder.exists()
        assert (jobs.folder(job.id) / BODY).exists() or step == "recover"
    assert number > 4
    assert (jobs.list() != before) == (step != "once")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_body_that_does_not_reach_the_disk_is_no_job(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """Body, folder and the folder of folders are flushed before the job is there; if one fails, it is not."""
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"x")
    fail_at(monkeypatch, ("fsync",), number, code)

    with pytest.raises(StoreRefused, match="cannot be read or written, nothing was changed"):
        jobs.submit(folder, NAME, "GRU")

    assert jobs.list() == []
    assert jobs.submit(folder, NAME, "GRU").state == "queued"


@pytest.mark.parametrize("damage", ["header", "text", "cut", "page", "schema", "table", "faults", "state", "huge"])
def test_damaged_database_is_refused_with_a_remedy(jobs: Jobs, store: Store, damage: str) -> None:
    """Garbage, a cut file, a flipped page, an unknown schema, a row that is none: said, with what to do."""
    for _ in range(3):
        jobs.request_cancel(submit(jobs, idempotency_key=uuid.uuid4().hex).id)
    raw = bytearray(jobs._table.path.read_bytes())
    statement = {
        "schema": "PRAGMA user_version=7",
        "table": "DROP TABLE jobs",
        "faults": "UPDATE jobs SET faults = '{'",
        "state": "UPDATE jobs SET promote = x'ff'",
        "huge": "UPDATE jobs SET detail = hex(zeroblob(1000000))",
    }.get(damage)
    if statement is not None:
        with contextlib.closing(sqlite3.connect(jobs._table.path)) as database, database:
            database.execute(statement)
    elif damage == "page":
        raw[4096:] = bytes(byte ^ 0x55 for byte in raw[4096:])
    elif damage == "cut":
        del raw[len(raw) // 2 :]
    else:
        raw[:20] = b"SQLITE format 3\0ABCD" if damage == "header" else b"this is no database"
    if statement is None:
        jobs._table.path.write_bytes(raw)

    with pytest.raises(StoreRefused, match=r"jobs\.sqlite (is damaged: |has schema 7).*move the file away and start"):
        Jobs(store).list()
    jobs._table.path.unlink()
    assert Jobs(store).list() == []


def test_database_that_is_gone_is_not_made_anew_behind_our_back(jobs: Jobs) -> None:
    """A process that lost its database says so, instead of going on with an empty one."""
    jobs._table.path.unlink()

    with pytest.raises(StoreRefused, match="unable to open"):
        submit(jobs)
    assert not jobs._table.path.exists()


@pytest.mark.parametrize(("schema", "missing"), [(1, ["token_name", "problem"]), (2, ["problem"]), (3, list[str]())])
def test_older_jobs_go_on_being_read(jobs: Jobs, store: Store, schema: int, missing: list[str]) -> None:
    """A database of schema 1, 2 or 3 gets the columns that it lacks; its jobs stay as they were: trainings."""
    before = [submit(jobs, "a"), submit(jobs, "b")]
    jobs.request_cancel(before[0].id)
    before[0] = jobs.get(before[0].id)
    database = sqlite3.connect(store.root / ".jobs" / DATABASE)
    database.execute("DROP INDEX one_running_training_per_model")
    database.execute("CREATE UNIQUE INDEX one_running_job_per_model ON jobs (model_name) WHERE state = 'running'")
    for column in (*missing, "kind", "token_role"):
        database.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    database.execute(f"PRAGMA user_version={schema}")
    database.close()

    again = Jobs(store)

    assert again.list() == before[::-1]
    assert submit(again, "c", token_name="anna").token_name == "anna"
    assert [job.token_name for job in again.list()] == ["anna", "", ""]
    again.claim()
    assert again.finish(before[1].id, 1, "failed", message("job-killed", {}))
    assert again.get(before[1].id).problem == message("job-killed", {})


def test_short_jobs_wait_for_no_training(jobs: Jobs) -> None:
    """A model is trained once at a time; what is done with it besides begins, and a lane takes its own kinds alone."""
    training, second = submit(jobs), submit(jobs)
    sorting = submit(jobs, job_kind="classify")
    looking = submit(jobs, "", job_kind="inspect")

    assert jobs.claim(("train",)) == jobs.get(training.id)
    assert jobs.claim(("train",)) is None
    assert [job.id for job in (jobs.claim(SHORT_KINDS), jobs.claim(SHORT_KINDS)) if job] == [sorting.id, looking.id]
    assert jobs.get(second.id).state == "queued"
    assert jobs.finish(sorting.id, 1, "succeeded")
    assert (jobs.get(sorting.id).state, jobs.get(looking.id).model_name) == ("succeeded", "")


def test_each_lane_has_its_own_room(jobs: Jobs) -> None:
    """Files that wait keep no training out, and trainings that wait keep no file out."""
    for _ in range(3):
        submit(jobs, job_kind="classify")
    with pytest.raises(QueueFull, match="3 jobs are waiting"):
        submit(jobs, job_kind="evaluate")
    for name in ("a", "b", "c"):
        submit(jobs, name)
    with pytest.raises(QueueFull, match="3 trainings are waiting"):
        submit(jobs, "d")


@pytest.mark.parametrize("has_answer", [True, False])
def test_answer_of_a_dead_run_counts_if_it_is_whole(jobs: Jobs, store: Store, has_answer: bool) -> None:
    """A process that died after its answer was complete has succeeded; one that died before is interrupted."""
    job = submit(jobs, job_kind="classify")
    jobs.claim()
    folder = jobs.folder(job.id)
    write_result(folder, JobResult("done"))
    if has_answer:
        (folder / ANSWER).write_bytes(b"{}")
    jobs._let_go(job.id)

    Jobs(store).recover()

    assert jobs.get(job.id).state == ("succeeded" if has_answer else "interrupted")
    assert (jobs.answer_file(jobs.get(job.id)) is not None) == has_answer


def test_two_processes_may_open_a_new_store_at_once(store: Store) -> None:
    """The tables are made by one of them."""
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Jobs(store), range(8)))

    assert all(jobs.list() == [] for jobs in opened)


def test_damaged_id_leads_to_no_other_folder(jobs: Jobs, store: Store) -> None:
    """An id that is a path is a damage, and nothing is removed there."""
    jobs.request_cancel(submit(jobs).id)
    before = sorted(store.root.rglob("*"))
    with jobs._table.writing() as database:
        database.execute("UPDATE jobs SET id = ?", (f"../{NAME}/1",))

    for act in (jobs.recover, jobs.list):
        with pytest.raises(StoreRefused, match="is damaged"):
            act()
    assert sorted(store.root.rglob("*")) == before


# Events


def event(number: int) -> Event:
    """Return an event that tells its number."""
    return Event(kind="epoch", time="2026-01-01T00:00:00Z", epoch=number, num_epochs=9, loss=1 / number)


@pytest.fixture
def running(jobs: Jobs) -> Path:
    """Give the folder of a running job."""
    submit(jobs)
    return jobs.folder(claimed(jobs).id)


def test_events_come_back_in_order_and_can_be_followed(jobs: Jobs, running: Path) -> None:
    """Each event comes with the offset from which the next ones are read."""
    assert jobs.read_events(running.name) == []
    events = [event(number) for number in range(1, 6)]
    for told in events:
        assert append_event(running, told)

    found = jobs.read_events(running.name)

    assert [told for _, told in found] == events
    assert found[-1][0] == (running / EVENTS).stat().st_size
    for index, (offset, _) in enumerate(found):
        assert jobs.read_events(running.name, offset) == found[index + 1 :]
    assert stat.S_IMODE((running / EVENTS).stat().st_mode) == 0o600


def test_any_offset_gives_whole_events(jobs: Jobs, running: Path) -> None:
    """An offset inside a line means the next line, one outside the file nothing; none is an error."""
    for number in range(1, 4):
        append_event(running, event(number))
    found = jobs.read_events(running.name)

    for offset in range(found[-1][0] + 3):
        assert jobs.read_events(running.name, offset) == [
            pair for pair, (begin, _) in zip(found, [(0, None), *found], strict=False) if begin >= offset
        ]
    assert jobs.read_events(running.name, -(10**30)) == found
    assert jobs.read_events(running.name, 10**30) == []


def test_torn_line_is_not_an_event_and_spoils_no_other(jobs: Jobs, running: Path) -> None:
    """A line without its end is not read; what is told after it is."""
    append_event(running, event(1))
    before = jobs.read_events(running.name)
    with open(running / EVENTS, "ab") as file:
        file.write(msgspec.json.encode(event(2)))  # whole, but for the line feed

    assert jobs.read_events(running.name) == before
    with open(running / EVENTS, "ab") as file:
        file.write(b"[torn")
    append_event(running, event(3))
    assert [told for _, told in jobs.read_events(running.name)] == [event(1), event(3)]


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"\xff", b"[" * 10_000, b'{"kind":"other","time":""}', b'{"epoch":1e999}']
)
def test_line_that_is_no_event_is_passed_over(jobs: Jobs, running: Path, line: bytes) -> None:
    """Garbage between two events leaves the two."""
    append_event(running, event(1))
    with open(running / EVENTS, "ab") as file:
        file.write(line + b"\n")
    append_event(running, event(2))

    assert [told for _, told in jobs.read_events(running.name)] == [event(1), event(2)]


def test_events_are_bounded(jobs: Jobs, running: Path) -> None:
    """A long detail is cut, a read takes 256 KiB at most and loses nothing, and a run cannot fill the disk."""
    told = Event(kind="message", time="t", detail="\ud800\0é" * 5000)
    num_told = 0
    while append_event(running, told):
        num_told += 1

    assert MAX_EVENTS_BYTES - 20_000 < (running / EVENTS).stat().st_size <= MAX_EVENTS_BYTES
    found, offset = 0, 0
    while part := jobs.read_events(running.name, offset):
        assert part[-1][0] - offset <= MAX_EVENTS_READ
        found, offset = found + len(part), part[-1][0]
    assert found == num_told
    assert part == []
    ((_, first), *_) = jobs.read_events(running.name)
    assert first.detail is not None
    assert len(first.detail) == MAX_DETAIL


@pytest.mark.parametrize("thing", ["link", "folder", "pipe"])
def test_events_file_that_is_no_file_is_refused(jobs: Jobs, running: Path, thing: str) -> None:
    """A link, folder or pipe in its place is neither read nor written, and nobody waits for it."""
    if thing == "link":
        (running / EVENTS).symlink_to(jobs._table.path)
    elif thing == "folder":
        (running / EVENTS).mkdir()
    else:
        os.mkfifo(running / EVENTS)

    with pytest.raises(StoreRefused):
        jobs.read_events(running.name)
    with pytest.raises(StoreRefused):
        append_event(running, event(1))


def test_event_on_a_full_disk_is_said(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed or short write is an error of the store; the next event is whole."""
    fail_at(monkeypatch, ("write",), 1, errno.ENOSPC)
    with pytest.raises(StoreRefused, match=r"No space left.*free some space"):
        append_event(running, event(1))
    monkeypatch.undo()

    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, raw: real(fd, raw[:5]))
    with pytest.raises(StoreRefused, match="No space left"):
        append_event(running, event(1))
    monkeypatch.undo()
    append_event(running, event(2))
    assert (running / EVENTS).read_bytes().splitlines()[1:] == [msgspec.json.encode(event(2))]


def test_trainings_of_a_model_are_found_behind_other_jobs(jobs: Jobs) -> None:
    """However many files are sorted after it: `train_after` counts from the model's last training."""
    first, last = submit(jobs), submit(jobs)
    submit(jobs, "other")
    sorting = submit(jobs, job_kind="classify")

    assert [one.id for one in jobs.list(1)] == [sorting.id]
    assert [one.id for one in jobs.list(1, trained=NAME)] == [last.id]
    assert [one.id for one in jobs.list(9, trained=NAME)] == [last.id, first.id]
    assert jobs.list(9, asker=("nobody", "search"), trained=NAME) == []
