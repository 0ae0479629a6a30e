"""A stand-in for the trainer's worker, in a thread of the test's process: jobs are claimed, locked and ended alike."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job, read_result
from artifacts.store.store import Store
from tests.inference.helpers import DEADLINE_S

POLL_S = 0.005
NO_OTHERS: Mapping[str, bytes] = {}
Run = Callable[[Path, int], object]  # a job's folder and attempt -> nothing that is looked at


class WorkerHere:
    """Runs the jobs of a store, one after the other, as long as the block lasts.

    Attributes:
        run: what each job does; it publishes, or leaves a result, or neither.
        errors: what it raised, which is the death of a job's process.
        go: jobs wait until it is set, as it is at first.
        is_busy: whether a job runs.
    """

    def __init__(self, store: Store, run: Run) -> None:
        self.run = run
        self.errors: list[Exception] = []
        self.go = threading.Event()
        self.go.set()
        self.is_busy = False
        self._jobs = Jobs(store)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "WorkerHere":
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ending.set()
        self.go.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "a job did not end"

    def _work(self) -> None:
        while not self._ending.wait(POLL_S):
            if (job := self._jobs.claim()) is not None:
                with self._jobs.run_lock(job.id):
                    self.is_busy = True
                    self._run(job)
                    self.is_busy = False

    def _run(self, job: Job) -> None:
        folder = self._jobs.folder(job.id)
        while not self.go.wait(POLL_S) and not self._jobs.get(job.id).cancel_requested:
            pass
        try:
            self.run(folder, job.attempt)
        except Exception as error:
            self.errors.append(error)
        result = read_result(folder)
        if self._jobs.get(job.id).cancel_requested:
            self._jobs.finish(job.id, job.attempt, "cancelled", "cancelled on request; nothing was published")
        elif result is not None and result.outcome == "done":
            self._jobs.finish(job.id, job.attempt, "succeeded")
        elif result is None or result.outcome == "trained":
            self._jobs.finish(job.id, job.attempt, "failed", "its process ended with status 1 and left no result")
        else:
            found = {"error": result.error, "faults": result.faults, "num_faults": result.num_faults}
            self._jobs.finish(job.id, job.attempt, "failed", result.problem or result.detail, **found)  # type: ignore[arg-type]


class Body(msgspec.Struct):
    """What of a training's body the stand-ins look at."""

    promote: str = "always"


def publish(folder: Path, attempt: int, files: Mapping[str, bytes] = NO_OTHERS) -> None:
    """Publish the fixture model again, as the job's version, with other `files`; this is what a training comes to."""
    store = Store(folder.parent.parent)
    body = msgspec.json.decode((folder / BODY).read_bytes(), type=Body)
    manifest, found = store.read_version("puppet-o2", 1)
    manifest = msgspec.structs.replace(manifest, job=folder.name, attempt=attempt)
    guard = Jobs(store).publishing(folder.name, attempt)
    store.publish(manifest, {**found, **files}, serve=body.promote == "always", guard=guard)
