"""Change a copy of a store in a process that is killed at its n-th step, for n = 1, 2, ... until it lives.

A step is a call to the disk or a statement to the jobs' database, counted in Python, so that this needs nothing but
Python; tests/faults does the same at system calls.

`python -m tests.artifacts.crash STORE OUT CHANGE` leaves OUT/1, OUT/2, ..., each as its killed process left it, and
prints for each the step at which it was killed; one more copy is as the change leaves it at its end. `crash` runs it as
a process of its own: a fork is only safe where there is one thread, and the test's own process has those of
onnxruntime.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job
from artifacts.store.store import Store

ROOT = Path(__file__).parents[2]
CALLS = ("mkdir", "open", "fsync", "link", "rename", "replace", "unlink", "rmdir")
NAME = "puppet-o2"
CHANGES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.create_model("new", "GRU"),
    "publish": lambda store: store.publish(*store.read_version(NAME, 1)),
    "promote": lambda store: store.promote(NAME, 2),
    "rollback": lambda store: store.rollback(NAME),
    "delete_version": lambda store: store.delete_version(NAME, 2),
    "delete_model": lambda store: store.delete_model(NAME),
    "prune": lambda store: store.prune(NAME, 1),
}
MAX_CRASHES = 300


def crash(store: Store, out: Path, what: str) -> list[str]:
    """Return the steps at which a copy of the store was crashed; the copies are in out/1, out/2, ..."""
    command = [sys.executable, "-m", "tests.artifacts.crash", str(store.root), str(out), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


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


def prepared(store: Store, what: str) -> Callable[[], object]:
    """Return the change, with what must be there before it done."""
    if what in CHANGES:
        return lambda: CHANGES[what](store)
    jobs = Jobs(store)
    if what == "submit":
        folder = jobs.new_folder()
        (folder / BODY).write_bytes(b"the new one")
        return lambda: jobs.submit(folder, NAME, "GRU", idempotency_key="new", body_sha256="sha")
    if what == "cancel":
        (waiting,) = jobs.list()
        return lambda: jobs.request_cancel(waiting.id)
    if what == "claim":
        return jobs.claim
    if what == "recover":
        return jobs.recover
    job = jobs.claim()
    assert job is not None
    if what == "finish":
        return lambda: jobs.finish(job.id, 1, "failed", "it failed")
    return lambda: publish(store, jobs, job)


def main() -> None:
    """Crash at each step in turn."""
    template, out, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    for number in range(1, MAX_CRASHES):
        shutil.copytree(template, out / str(number))
        listening, told = os.pipe()
        child = os.fork()
        if child == 0:
            act = prepared(Store(out / str(number)), what)
            kill_at(number, told)
            act()
            os._exit(0)
        os.close(told)
        with os.fdopen(listening) as pipe:
            step = pipe.read()
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        print(step, flush=True)
    sys.exit("it never came to its end")


if __name__ == "__main__":
    main()
