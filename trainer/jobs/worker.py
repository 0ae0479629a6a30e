"""The trainer's worker: claims jobs from the store and runs each in a process of its own, until it is asked to end.

In: queued jobs (artifacts/jobs/jobs.py). Out: their states; versions and answers come from the processes that it runs.
A job can so be cancelled by killing it, cannot leak into anything else, and cannot outlive the worker. It has two
lanes, one for trainings and one for the shorter kinds: who looks at a file does not wait for hours of training. One
worker a store: it holds a lock, and a second one is refused.
"""

import contextlib
import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from artifacts.errors import PuppetError, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import LOG, SHORT_KINDS, Ended, Job, JobKind, read_result
from artifacts.problems.sentences import Message, message
from artifacts.store.store import Store
from artifacts.system.processes import give_way
from trainer.jobs.process import Limits

log = logging.getLogger("puppet")

SAFE_PATH = ("-P",) if sys.flags.safe_path else ()  # a child finds modules where we do
POLL_S = 0.1  # how soon a new job, a cancellation or an end is noticed
RECOVER_S = 2.0  # between two looks for what dead processes have left; a look costs a millisecond
TROUBLE_S = 1.0  # between two tries while the store cannot be used
LOG_TAIL_BYTES = 4000
LANES: tuple[tuple[JobKind, ...], ...] = (("train",), SHORT_KINDS)  # kinds of which one job runs at a time
SCRUBBED = "PUPPET_"  # variables that a training has no use for: tokens are among them
LOCK = "worker.lock"


class Run:
    """A job that runs: its process, when it has to be over, and the lock that says that it lives."""

    def __init__(
        self, job: Job, process: "subprocess.Popen[bytes]", timeout_s: float, lock: contextlib.ExitStack
    ) -> None:
        self.job = job
        self.process = process
        self.deadline_s = time.monotonic() + timeout_s
        self.lock = lock  # held until its end is written down


class Worker:
    """Runs the jobs of a store, one of each lane at a time."""

    def __init__(self, store: Store, limits: Limits, keep_versions: int = 0) -> None:
        """Open the jobs of the store.

        Args:
            store: whose jobs are run.
            limits: of each run.
            keep_versions: newest versions of a model that stay after a training, see `Store.prune`; 0: all.
        """
        self._store = store
        self._keep_versions = keep_versions
        self._jobs = Jobs(store)
        self._limits = limits
        self._stopping = False
        self._parent: int | None = None
        self._runs: dict[tuple[JobKind, ...], Run] = {}  # by lane

    def stop(self) -> None:
        """Ask `work` to end; jobs that run are ended and marked as interrupted."""
        self._stopping = True

    def work(self, parent: int | None = None) -> None:
        """Claim and run jobs until `stop`, or until the process `parent` has ended.

        Raises:
            StoreRefused: another worker is at this store, or it cannot be written.
        """
        self._parent = parent
        if not self._wait_until_writable():
            return
        with self._alone():
            self._recover()
            recovered_s = time.monotonic()
            while not self._is_ending():
                try:
                    # Not at the start alone: the run of a worker that was killed dies with it, but takes some
                    # milliseconds to let go of the job's lock, and until then it counts as alive.
                    if time.monotonic() - recovered_s > RECOVER_S:
                        self._recover()
                        recovered_s = time.monotonic()
                    for lane in LANES:
                        if lane not in self._runs and (job := self._jobs.claim(lane)) is not None:
                            self._begin(job, lane)
                except StoreRefused as error:  # a full or read-only disk may be mended; nothing was changed
                    log.error("no job can be claimed: %s", error)
                    self._end_those_over()
                    time.sleep(TROUBLE_S)
                    continue
                self._end_those_over()
                time.sleep(POLL_S)
            self._end_those_over()  # all of them, since the worker ends

    def _wait_until_writable(self) -> bool:
        """Wait until this store's lock can be opened, and return whether it can; False at the end of the worker.

        A volume that is mounted read-only serves searches all the same, so the server must not end with its trainer,
        nor start it again and again; the reason is logged once.
        """
        is_told = False
        while not self._is_ending():
            try:
                os.close(self._open_lock())
                return True
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES):
                    raise
                if not is_told:
                    log.error(
                        "store %s is read-only (%s): nothing can be trained here; mount it writable, or serve with "
                        "--trainer none",
                        self._store.where,
                        error.strerror,
                    )
                is_told = True
                time.sleep(TROUBLE_S)
        return False

    def _open_lock(self) -> int:
        return os.open(self._store.jobs_folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _recover(self) -> None:
        for sentence in self._jobs.recover():
            log.info("%s", sentence)

    def _is_ending(self) -> bool:
        return self._stopping or (self._parent is not None and os.getppid() != self._parent)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of this store's worker."""
        fd = self._open_lock()
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreRefused("another-worker", store=self._store.where) from error
            yield
        finally:
            os.close(fd)

    def _begin(self, job: Job, lane: tuple[JobKind, ...]) -> None:
        """Start a claimed job, which then runs until `_end_those_over` finds it over."""
        with contextlib.ExitStack() as lock:
            lock_fd = lock.enter_context(self._jobs.run_lock(job.id))
            try:
                process = self._start(job, lock_fd)
            except OSError as error:
                why = message("job-not-started", {"reason": error.strerror})
                self._jobs.finish(job.id, job.attempt, "failed", why)
                return
            log.info("job %s (%s) of model %s runs in process %d", job.id, job.kind, job.model_name or "-", process.pid)
            self._runs[lane] = Run(job, process, self._limits.timeout_s, lock.pop_all())

    def _end_those_over(self) -> None:
        """End each run that has come to its end, its deadline, its cancellation or our own end; write down which."""
        for lane, run in list(self._runs.items()):
            killed: Ended | None = None
            if run.process.poll() is None:
                if self._is_ending():
                    killed = "interrupted"
                elif self._is_cancelled(run.job):
                    killed = "cancelled"
                elif time.monotonic() > run.deadline_s:
                    killed = "failed"
                else:
                    continue
            with run.lock:
                with contextlib.suppress(ProcessLookupError):  # it has ended, and so has all that it may have started
                    os.killpg(run.process.pid, signal.SIGKILL)  # its own group: this job and nothing else
                run.process.wait()
                del self._runs[lane]
                self._settle(run.job, run.process.returncode, killed)
                if run.job.kind == "train":
                    self._prune(run.job.model_name)

    def _is_cancelled(self, job: Job) -> bool:
        """Return whether the job is to be ended; a disk that cannot be read now is no reason to end it."""
        try:
            return self._jobs.get(job.id).cancel_requested
        except StoreRefused as error:
            log.error("job %s cannot be looked up: %s", job.id, error)
            return False

    def _start(self, job: Job, lock_fd: int) -> subprocess.Popen[bytes]:
        """Start the job's own process; it inherits the lock, so that it is seen to live even if we do not."""
        folder = self._jobs.folder(job.id)
        with open(folder / LOG, "wb") as output:
            process = subprocess.Popen(  # noqa: S603  # our own program, words that are ours
                [
                    *(sys.executable, *SAFE_PATH, "-m", "trainer", "run", str(folder)),
                    *("--attempt", str(job.attempt), "--parent", str(os.getpid())),
                    *("--limits", msgspec.json.encode(self._limits).decode()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)},
                pass_fds=(lock_fd,),
                process_group=0,  # in the session of the server, or its priority means nothing there (supervisor.py)
            )
        with contextlib.suppress(OSError):  # it has ended, or a sandbox forbids it, which it will say itself
            give_way(process.pid)  # from the start: its first imports take a third of a second
        return process

    def _settle(self, job: Job, status: int, killed: Ended | None) -> None:
        """Write down how a job ended, unless it has published and so is written down already."""
        result = read_result(self._jobs.folder(job.id))
        ended: Ended | Literal["succeeded"] = killed or "failed"
        detail: Message | str
        error, faults, num_faults = "", [], 0
        if killed == "cancelled":
            detail = message("job-cancelled", {})
        elif killed == "interrupted":
            detail = message("job-interrupted", {})
        elif killed == "failed":
            detail = message("job-timed-out", {"limit_s": self._limits.timeout_s})
        elif result is not None and result.outcome == "done":
            ended, detail = "succeeded", ""
        elif result is not None and result.outcome != "trained":
            detail, error = result.problem or result.detail, result.error
            faults, num_faults = result.faults, result.num_faults
        elif status == -signal.SIGKILL:
            detail = message("job-killed", {})
        elif status == -signal.SIGXCPU:
            detail = message("job-out-of-processor-time", {"limit_s": self._limits.cpu_s})
        else:
            detail = message("job-without-result", {"exit_status": status})
        if self._jobs.finish(job.id, job.attempt, ended, detail, error=error, faults=faults, num_faults=num_faults):
            tail = "" if error or killed or ended == "succeeded" else f": {self._output(job)}"
            why = f": {error or detail}{tail}" if error or detail else ""  # a refusal may quote a ticket
            log.info("job %s ended, %s%s", job.id, ended, why)
        else:
            log.info("job %s ended, %s", job.id, self._jobs.get(job.id).state)

    def _prune(self, name: str) -> None:
        """Delete the model's oldest versions, if only so many are to be kept; what cannot be is left to next time."""
        if not self._keep_versions:
            return
        try:
            if old := self._store.prune(name, self._keep_versions):
                log.info("model %s keeps %d versions: deleted %s", name, self._keep_versions, ", ".join(map(str, old)))
        except PuppetError as error:
            log.error("old versions of model %s cannot be deleted: %s", name, error)

    def _output(self, job: Job) -> str:
        """Return the end of what the process printed: tracebacks, which hold code and no ticket."""
        try:
            with open(self._jobs.folder(job.id) / LOG, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL_BYTES))
                return file.read(LOG_TAIL_BYTES).decode("utf-8", "backslashreplace")
        except OSError:
            return "it printed nothing that is left"
