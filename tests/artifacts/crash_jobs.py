"""What the tests of jobs need a process of its own for: to be killed, to be stopped, to race another.

`python -m tests.artifacts.crash_jobs crash STORE OUT STEP` does the step in a copy of the store, in a process that is
killed at its n-th call to the disk or n-th statement to the database, for n = 1, 2, ... until it lives. It leaves
OUT/1, OUT/2, ..., and prints each call.

`... claim STORE` waits for a line, then claims, says so and finishes until nothing is left. `... stop STORE MOMENT`
claims, stops itself (SIGSTOP) before or in the transaction that publishes, and says how publishing went.
"""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from artifacts.errors import PuppetError
from artifacts.job_records import BODY, Job
from artifacts.jobs import Jobs
from artifacts.store import Store

CALLS = ("mkdir", "open", "fsync", "link", "rename", "replace", "unlink", "rmdir")
MAX_CRASHES = 300
NAME = "puppet-o2"


def kill_at(number: int, told: int) -> None:
    """Have this process killed just before its `number`-th call, after it told the call's name to the pipe."""
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.write(told, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            step(name)
            return call(*args, **kwargs)

        return counted

    class Counting(sqlite3.Connection):
        def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
            step(statement.split()[0])
            cursor = super().execute(statement, *args)
            if statement == "COMMIT":
                step("committed")
            return cursor

    for name in CALLS:
        setattr(os, name, counting(name, getattr(os, name)))
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **kwargs: connect(*args, **kwargs, factory=Counting)  # type: ignore[assignment]  # fewer arguments


def publish(store: Store, jobs: Jobs, job: Job) -> None:
    """Publish the version of a job, as its run process does: the fixture's version once more."""
    manifest, files = store.read_version(NAME, 1)
    with jobs.publishing(job.id, job.attempt) as publishing:
        manifest = store.publish(msgspec.structs.replace(manifest, job=job.id, attempt=job.attempt), files)
        publishing.done(manifest.version, manifest.validation, manifest.seconds)


def prepared(store: Store, step: str) -> Callable[[], object]:
    """Return the step, with what must be there before it done."""
    jobs = Jobs(store)
    if step == "submit":
        folder = jobs.new_folder()
        (folder / BODY).write_bytes(b"the new one")
        return lambda: jobs.submit(folder, NAME, "GRU", idempotency_key="new", body_sha256="sha")
    if step == "cancel":
        (waiting,) = jobs.list()
        return lambda: jobs.request_cancel(waiting.id)
    if step == "claim":
        return jobs.claim
    if step == "recover":
        return jobs.recover
    job = jobs.claim()
    assert job is not None
    if step == "finish":
        return lambda: jobs.finish(job.id, 1, "failed", "it failed")
    return lambda: publish(store, jobs, job)


def crash(template: Path, out: Path, step: str) -> None:
    """Crash at each call in turn."""
    for number in range(1, MAX_CRASHES):
        shutil.copytree(template, out / str(number))
        listening, told = os.pipe()
        child = os.fork()
        if child == 0:
            act = prepared(Store(out / str(number)), step)
            kill_at(number, told)
            act()
            os._exit(0)
        os.close(told)
        with os.fdopen(listening) as pipe:
            call = pipe.read()
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        print(call, flush=True)
    sys.exit("it never came to its end")


def claim(store: Store) -> None:
    """Claim and finish until nothing is left."""
    jobs = Jobs(store)
    print("ready", flush=True)
    sys.stdin.readline()
    while job := jobs.claim():
        assert jobs.finish(job.id, job.attempt, "failed")
        print(job.id, flush=True)


def stop(store: Store, moment: str) -> None:
    """Claim, stop, and publish when continued."""
    jobs = Jobs(store)
    job = jobs.claim()
    assert job is not None
    print(job.id, flush=True)
    if moment == "before":
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        with jobs.publishing(job.id, job.attempt):
            os.kill(os.getpid(), signal.SIGSTOP)
            print("entered", flush=True)
            raise SystemExit
    except PuppetError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        crash(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    elif sys.argv[1] == "claim":
        claim(Store(Path(sys.argv[2])))
    else:
        stop(Store(Path(sys.argv[2])), sys.argv[3])
