"""The trainer's worker with real processes: however one of them ends, the job's record says how.

Most runs here are `Script`s, which stand in for `python -m trainer run` and take a moment; the trainings are real ones
where the run itself matters.
"""

import contextlib
import errno
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.errors import StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import ASKED, BODY, LOG, RESULT, Job, JobKind
from artifacts.problems.sentences import message
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.job_bodies import body, queued
from tests.trainer.processes import DEADLINE_S, PROJECT, becomes, is_gone
from tests.trainer.small import NAME
from trainer.jobs.process import Limits
from trainer.jobs.worker import LOG_TAIL_BYTES, Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are tied together by Linux's prctl")

ENDED = {"succeeded", "failed", "cancelled", "interrupted"}
LONG = {"epochs": 1000, "patience": 1000, "batch": 1, "threads": 1, "min_count": 1}  # longer than a test lasts
PYTHON = sys.executable


class Script:
    """What runs instead of a training; it finds FOLDER (of the job) and HERE (a folder of the test)."""

    def __init__(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = here
        self._monkeypatch = monkeypatch

    def use(self, code: str) -> None:
        """Have the worker run this code."""
        path = self.here / "run"
        path.write_text(
            f"#!{PYTHON}\nimport os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
            f"FOLDER = Path(sys.argv[sys.argv.index('run') + 1])\nHERE = Path({str(self.here)!r})\n{code}\n"
        )
        path.chmod(stat.S_IRWXU)
        self._monkeypatch.setattr(sys, "executable", str(path))

    def told(self, name: str) -> str:
        """Return what the code has written to a file of that name, once it has written a line."""
        path = self.here / name
        assert becomes(lambda: path.exists() and path.read_text().endswith("\n")), f"the run has not written {name}"
        return path.read_text()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Give the means to run something else than a training."""
    here = tmp_path / "script"
    here.mkdir()
    return Script(here, monkeypatch)


@contextlib.contextmanager
def working(store: Store, limits: Limits | None = None, keep_versions: int = 0) -> Iterator[Worker]:
    """Have a worker work in a thread, and end it."""
    worker = Worker(store, limits or Limits(), keep_versions)
    thread = threading.Thread(target=worker.work)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()


def ended(store: Store, job: Job) -> Job:
    """Return the job once it has ended."""
    jobs = Jobs(store)
    assert becomes(lambda: jobs.get(job.id).state in ENDED), jobs.get(job.id)
    return jobs.get(job.id)


PUBLISHES = f"""
sys.path.insert(0, {str(PROJECT)!r})
import msgspec
from artifacts.store import Store
store = Store(FOLDER.parent.parent)
manifest, files = store.read_version("puppet-o2", 1)
store.publish(msgspec.structs.replace(manifest, job=FOLDER.name, attempt=1), files)
"""
SLEEPS = """
(HERE / "pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""


# Trainings


@pytest.mark.torch
def test_training_is_run_to_its_version(empty: Store) -> None:
    """The version serves, the job has succeeded with its metrics, and its tickets are gone."""
    job = queued(empty, body())

    with worker_process(empty):
        found = ended(empty, job)

    assert (found.state, found.version, found.attempt, found.detail) == ("succeeded", 1, 1, "")
    manifest, _ = empty.read_version(NAME, 1)
    assert (found.metrics, found.seconds, manifest.job) == (manifest.validation, manifest.seconds, job.id)
    assert empty.current(NAME).version == 1
    folder = Jobs(empty).folder(job.id)
    assert not (folder / BODY).exists()
    assert (folder / LOG).read_bytes() == b""
    assert Jobs(empty).read_events(job.id)


def test_wrong_job_fails_with_its_reason(empty: Store) -> None:
    """Whoever asked is told the class of our error, the sentence, and each fault by its pointer; tickets are gone."""
    rows = [*small.json_rows(small.tickets(1)), {"category": "a", "tokens": ["x", 5]}]
    job = queued(empty, body(training_data=rows))

    with worker_process(empty):
        found = ended(empty, job)

    assert (found.state, found.error, found.num_faults, found.version) == ("failed", "InvalidInput", 1, None)
    assert found.detail.startswith("training_data does not fit: 1 fault")
    assert [fault.pointer for fault in found.faults] == ["/training_data/4/tokens/1"]
    # It is told before they go.
    assert becomes(lambda: not {BODY, RESULT} & {path.name for path in Jobs(empty).folder(job.id).iterdir()})
    assert empty.versions(NAME) == []


@contextlib.contextmanager
def worker_process(store: Store) -> Iterator["subprocess.Popen[str]"]:
    """Give `puppet-train work` in a process of its own, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", "work", "--store", str(store.root)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        # Linux shares a core between sessions first (autogroup): in the tests' own session a training, which runs only
        # when nobody else wants the core, would never end beside other work.
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def pid_of_run(worker: "subprocess.Popen[str]") -> int:
    """Return the process of the training that the worker runs."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    assert becomes(lambda: children.read_text().strip() != "")
    return int(children.read_text().split()[0])


def trains(store: Store, job: Job) -> bool:
    """Return whether the job has come to its second epoch."""
    return any((event.epoch or 0) >= 2 for _, event in Jobs(store).read_events(job.id))


def test_short_job_runs_next_to_a_training(empty: Store, script: Script) -> None:
    """Who looks at a file does not wait for the end of a training; the two are ended apart."""
    script.use(
        """
(HERE / FOLDER.name).write_text(f"{os.getpid()}\\n")
if (FOLDER / "asked.json").exists():
    (FOLDER / "answer.json").write_text("{}")
    (FOLDER / "result.json").write_text('{"outcome": "done"}')
else:
    time.sleep(600)
"""
    )
    jobs = Jobs(empty)
    training = queued(empty, body())
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b"{}")
    (folder / ASKED).write_bytes(b'{"kind": "inspect"}')
    looking = jobs.submit(folder, "", "GRU", job_kind="inspect")

    with working(empty):
        script.told(training.id)
        found = ended(empty, looking)
        assert jobs.get(training.id).state == "running"

    assert (found.state, found.kind, found.version) == ("succeeded", "inspect", None)
    assert jobs.answer_file(found) is not None
    assert jobs.get(training.id).state == "interrupted"


@pytest.mark.torch
def test_training_ends_with_its_worker_and_the_next_worker_tells_so(
    empty: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """After kill -9 of the worker in mid-training nothing trains on, and the next one marks the job interrupted."""
    job = queued(empty, body(config=LONG))
    with worker_process(empty) as worker:
        assert becomes(lambda: trains(empty, job))
        run = pid_of_run(worker)

        worker.kill()

        assert becomes(lambda: is_gone(run))
    assert Jobs(empty).get(job.id).state == "running"

    with caplog.at_level(logging.INFO, "puppet"), working(empty):
        found = ended(empty, job)

    assert (found.state, found.version) == ("interrupted", None)
    assert "its process ended without a result" in found.detail
    assert f"job {job.id} of {NAME}: its process had died: interrupted" in caplog.messages
    assert not (Jobs(empty).folder(job.id) / BODY).exists()
    assert empty.versions(NAME) == []


@pytest.mark.torch
def test_worker_that_is_asked_to_end_interrupts_its_training(empty: Store) -> None:
    """SIGTERM in mid-training: the run ends, the job says that it was interrupted, exit status 0; who waited waits."""
    job, waiting = queued(empty, body(config=LONG)), queued(empty, body())
    with worker_process(empty) as worker:
        assert becomes(lambda: trains(empty, job))
        run = pid_of_run(worker)

        worker.terminate()

        _, log = worker.communicate(timeout=DEADLINE_S)
        assert (worker.returncode, is_gone(run)) == (0, True)
    found = Jobs(empty).get(job.id)
    assert (found.state, found.version) == ("interrupted", None)
    assert found.detail == "the trainer was shut down, nothing was published; ask for the training again"
    assert Jobs(empty).get(waiting.id).state == "queued"
    assert [json.loads(line)["event"].split(" ", 2)[2] for line in log.splitlines()] == [
        f"(train) of model {NAME} runs in process {run}",
        f"ended, interrupted: {found.detail}",
    ]


# Ends


def test_cancelled_run_ends_with_all_that_it_has_started(empty: Store, script: Script) -> None:
    """The process ignores SIGTERM and would sleep for 600 s: it is killed, and so is what it started; no body stays."""
    script.use(
        """
other = subprocess.Popen(["sleep", "600"])
(HERE / "other").write_text(f"{other.pid}\\n")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
        + SLEEPS
    )
    job = queued(empty, body())
    with working(empty):
        run, other = int(script.told("pid")), int(script.told("other"))

        Jobs(empty).request_cancel(job.id)

        found = ended(empty, job)
        assert becomes(lambda: is_gone(run) and is_gone(other))
    assert (found.state, found.detail) == ("cancelled", str(message("job-cancelled", {})))
    assert (found.cancel_requested, found.error) == (True, "")
    assert not (Jobs(empty).folder(job.id) / BODY).exists()


def test_run_gives_way_before_it_is_told_to(empty: Store, script: Script) -> None:
    """The worker takes the run's priority away, so that its first imports hold no search up either."""
    script.use(SLEEPS)
    queued(empty, body())
    with working(empty):
        run = int(script.told("pid"))

        assert becomes(lambda: os.sched_getscheduler(run) == os.SCHED_IDLE)
        assert os.getpriority(os.PRIO_PROCESS, run) == 19
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_cancelled_job_that_waits_is_never_run(empty: Store, script: Script) -> None:
    """It ends at once, and the worker takes the next one."""
    script.use('(HERE / FOLDER.name).write_text("run\\n")')
    cancelled, next_one = queued(empty, body()), queued(empty, body())
    Jobs(empty).request_cancel(cancelled.id)

    with working(empty):
        ended(empty, next_one)

    assert (script.here / next_one.id).exists()
    assert not (script.here / cancelled.id).exists()
    assert Jobs(empty).get(cancelled.id).state == "cancelled"


def test_run_past_its_time_is_ended(empty: Store, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """A training that hangs does not hold up the others for ever."""
    caplog.set_level("INFO", "puppet")
    script.use(SLEEPS)
    job = queued(empty, body())

    with working(empty, Limits(timeout_s=1)):
        found = ended(empty, job)

    assert (found.state, found.detail) == ("failed", str(message("job-timed-out", {"limit_s": 1.0})))
    # Not what the run has written: on a busy machine a second may be over before it could.
    (run,) = re.findall(r"runs in process (\d+)", caplog.text)
    assert is_gone(int(run))


def test_killed_run_has_failed_with_the_likely_reason(empty: Store, script: Script) -> None:
    """As the kernel kills where memory runs out; the worker goes on."""
    script.use(SLEEPS)
    job = queued(empty, body())
    with working(empty):
        os.kill(int(script.told("pid")), signal.SIGKILL)
        found = ended(empty, job)

        script.use("sys.exit(0)")
        assert ended(empty, queued(empty, body())).state == "failed"

    assert (found.state, found.error) == ("failed", "")
    assert found.problem == message("job-killed", {})


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("sys.exit(3)", "its process ended with status 3 and left no result; see the log of the trainer"),
        ("sys.exit(0)", "its process ended with status 0 and left no result; see the log of the trainer"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process ended with status -11 and left no result; see the log"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "it used more than 7 s of processor time and was ended"),
        (
            '(FOLDER / "result.json").write_text("{}")',
            "its process ended with status 0 and left no result; see the log",
        ),
        ('(FOLDER / "result.json").write_text(\'{"outcome":"failed","detail":"no graph"}\')', "no graph"),
    ],
)
def test_run_that_ends_without_a_version_has_failed(empty: Store, script: Script, code: str, detail: str) -> None:
    """Whatever its status, a job without a version is no success, and says why as far as that is known."""
    script.use(code)
    job = queued(empty, body())

    with working(empty, Limits(cpu_s=7)):
        found = ended(empty, job)

    assert (found.state, found.error, found.version) == ("failed", "", None)
    assert found.detail.startswith(detail)


def test_run_that_only_says_that_it_has_published_has_failed(empty: Store, script: Script) -> None:
    """A version that is not there is none."""
    script.use("""(FOLDER / "result.json").write_text('{"outcome":"trained","model_name":"tiny","version":1}')""")
    job = queued(empty, body())

    with working(empty):
        found = ended(empty, job)

    assert (found.state, found.version) == ("failed", None)


@pytest.mark.parametrize("keep", [True, False])
def test_body_of_a_failed_job_stays_only_if_that_was_asked_for(empty: Store, script: Script, keep: bool) -> None:
    """The tickets are not kept longer than they are needed, however the job ends."""
    script.use("sys.exit(1)")
    job = queued(empty, body(keep_data=keep))

    with working(empty):
        ended(empty, job)
        assert becomes(lambda: (Jobs(empty).folder(job.id) / BODY).exists() is keep)


def test_run_that_cannot_be_started_has_failed(empty: Store, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on with the next job."""
    monkeypatch.setattr(sys, "executable", str(script.here / "nothing"))
    job = queued(empty, body())

    with working(empty):
        found = ended(empty, job)
        script.use("sys.exit(1)")
        assert ended(empty, queued(empty, body())).detail.startswith("its process ended with status 1")

    assert (found.state, found.detail) == (
        "failed",
        "its process cannot be started: No such file or directory; free some memory",
    )


def test_run_that_had_published_when_it_was_ended_has_succeeded(store: Store, script: Script) -> None:
    """A version that everybody can see already is not taken back, and its job says so."""
    script.use(PUBLISHES + SLEEPS)
    job = queued(store, body(name="puppet-o2"))
    with working(store):
        run = int(script.told("pid"))
        Jobs(store).request_cancel(job.id)
        found = ended(store, job)

    assert (found.state, found.version) == ("succeeded", 2)
    assert found.detail == "its process ended just after the version was published"
    assert is_gone(run)
    assert store.current("puppet-o2").version == 2


@pytest.mark.parametrize(("keep", "left"), [(0, [1, 2, 3, 4]), (1, [3, 4]), (3, [2, 3, 4])])
def test_so_many_versions_stay_after_a_training(store: Store, script: Script, keep: int, left: list[int]) -> None:
    """The oldest go, but not the serving one nor the one that a rollback would serve; 0 keeps all."""
    manifest, files = store.read_version("puppet-o2", 1)
    store.publish(manifest, files)
    store.publish(manifest, files)
    script.use(PUBLISHES)
    job = queued(store, body(name="puppet-o2"))

    with working(store, keep_versions=keep):
        assert ended(store, job).version == 4
        assert becomes(lambda: store.versions("puppet-o2") == left)

    assert store.current("puppet-o2").version == 4


def test_versions_that_cannot_be_deleted_stay(
    store: Store, script: Script, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training has succeeded all the same; the log says why they are still there."""

    def refuse(*_: object) -> None:
        raise StoreRefused("not-valid", reason="the disk is read-only")

    monkeypatch.setattr(Store, "prune", refuse)
    script.use(PUBLISHES)
    job = queued(store, body(name="puppet-o2"))

    with working(store, keep_versions=1):
        found = ended(store, job)
        assert becomes(lambda: "cannot be deleted: the disk is read-only" in caplog.text)

    assert found.state == "succeeded"
    assert store.versions("puppet-o2") == [1, 2]


# The worker itself


def test_read_only_store_is_said_once_and_waited_for(
    empty: Store, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At a store that is mounted read-only the worker logs one line, goes on, and works when it can be written."""
    script.use("pass")
    job = queued(empty, body())
    real, read_only = os.open, threading.Event()
    read_only.set()
    tries = []

    def try_open(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if str(path).endswith("worker.lock"):
            tries.append(path)
            if read_only.is_set():
                raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", try_open)
    monkeypatch.setattr("trainer.jobs.worker.TROUBLE_S", 0.01)
    with caplog.at_level(logging.ERROR, "puppet"), working(empty):
        assert becomes(lambda: len(tries) > 3)
        assert sum("is read-only" in message and "--trainer none" in message for message in caplog.messages) == 1
        read_only.clear()
        ended(empty, job)


def test_store_that_cannot_be_read_for_a_while_is_waited_for(
    empty: Store, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is mended by somebody; until then no job is lost and no run is ended for it."""
    script.use(SLEEPS)
    job = queued(empty, body())
    broken = threading.Event()
    broken.set()
    claim, get = Jobs.claim, Jobs.get

    def try_claim(self: Jobs, kinds: Sequence[JobKind]) -> Job | None:
        if broken.is_set():
            raise StoreRefused("not-valid", reason="no space")
        return claim(self, kinds)

    def try_get(self: Jobs, job_id: str) -> Job:
        if broken.is_set():
            raise StoreRefused("not-valid", reason="no space")
        return get(self, job_id)

    monkeypatch.setattr(Jobs, "claim", try_claim)
    monkeypatch.setattr(Jobs, "get", try_get)
    with caplog.at_level(logging.ERROR, "puppet"), working(empty):
        assert becomes(lambda: "no job can be claimed: no space; correct the value" in caplog.messages)
        broken.clear()
        run = int(script.told("pid"))
        broken.set()
        assert becomes(lambda: f"job {job.id} cannot be looked up: no space; correct the value" in caplog.messages)
        assert not is_gone(run)
        broken.clear()
        assert Jobs(empty).get(job.id).state == "running"


def test_second_worker_at_the_store_is_refused(empty: Store) -> None:
    """Two would train at once and take the processor from the server; the first goes on, and a later one may work."""
    sentence = str(message("another-worker", {"store": empty.root}))
    lock = empty.root / ".jobs" / "worker.lock"
    with working(empty):
        assert becomes(lock.exists)

        with pytest.raises(StoreRefused) as refused:
            Worker(empty, Limits()).work()

        with worker_process(empty) as other:
            _, log = other.communicate(timeout=DEADLINE_S)
    assert str(refused.value) == sentence
    assert (other.returncode, log) == (1, f"error: {sentence}\n")
    with working(empty):
        pass


def test_worker_that_is_asked_to_end_interrupts_its_run(empty: Store, script: Script) -> None:
    """`stop` ends the process too, and at once."""
    script.use(SLEEPS)
    job = queued(empty, body())
    with working(empty) as worker:
        run = int(script.told("pid"))

        worker.stop()

        assert ended(empty, job).state == "interrupted"
        assert is_gone(run)


def test_worker_ends_with_its_parent(empty: Store, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be gone without a word; then nobody waits for the training."""
    script.use(SLEEPS)
    job = queued(empty, body())
    worker = Worker(empty, Limits())
    thread = threading.Thread(target=worker.work, args=(os.getppid(),))
    thread.start()
    run = int(script.told("pid"))

    monkeypatch.setattr(os, "getppid", lambda: 1)

    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert Jobs(empty).get(job.id).state == "interrupted"
    assert is_gone(run)
    monkeypatch.undo()
    Worker(empty, Limits()).work(parent=1)  # it returns at once


def test_jobs_run_one_after_the_other_in_their_order(empty: Store, script: Script) -> None:
    """Also those of different models: a machine trains one thing at a time."""
    empty.create_model("other", "GRU")
    script.use(
        """
with open(HERE / "order", "a") as file:
    print("begin", FOLDER.name, file=file, flush=True)
    time.sleep(0.3)
    print("end", FOLDER.name, file=file, flush=True)
"""
    )
    waiting = [queued(empty, body(name=name)) for name in (NAME, "other", NAME)]

    with working(empty):
        for job in waiting:
            ended(empty, job)

    assert script.told("order").split() == [word for job in waiting for word in ("begin", job.id, "end", job.id)]


def test_run_holds_the_lock_of_its_job(empty: Store, script: Script) -> None:
    """So that another process sees it live, even if its worker is gone; `recover` leaves it alone."""
    script.use(SLEEPS)
    job = queued(empty, body())
    with working(empty):
        run = int(script.told("pid"))

        assert Jobs(empty).recover() == []

        assert Jobs(empty).get(job.id).state == "running"
        folder = Jobs(empty).folder(job.id).stat()
        held = [path.stat() for path in Path(f"/proc/{run}/fd").iterdir() if path.exists()]
        assert any(os.path.samestat(folder, found) for found in held)


def test_run_is_a_group_of_its_own_in_our_session_without_input(empty: Store, script: Script) -> None:
    """Ctrl+C at the terminal is the worker's, nobody is asked to type, and priorities count as within a session."""
    script.use(
        "group, session = os.getpgid(0) == os.getpid(), os.getsid(0) == os.getsid(os.getppid())\n"
        '(HERE / "said").write_text(f"{group} {session} {sys.stdin.read()!r} {FOLDER.is_absolute()}\\n")'
    )
    job = queued(empty, body())

    with working(empty):
        ended(empty, job)

    assert script.told("said") == "True True '' True\n"


def test_run_is_given_its_attempt_its_parent_and_its_limits(empty: Store, script: Script) -> None:
    """The command line of the hidden `run`."""
    script.use('(HERE / "words").write_text("\\n".join(sys.argv[1:]) + "\\n")')
    limits = Limits(timeout_s=60, memory_bytes=2**40, cores=(0,))
    job = queued(empty, body())

    with working(empty, limits):
        ended(empty, job)

    words = script.told("words").splitlines()
    assert words == [
        *("-m", "trainer", "run", str(Jobs(empty).folder(job.id)), "--attempt", "1"),
        *("--parent", str(os.getpid()), "--limits", msgspec.json.encode(limits).decode()),
    ]


def test_much_output_of_a_run_is_harmless(empty: Store, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """10 MB on stdout neither block the run nor fill the job's record or the worker's log."""
    script.use("sys.stdout.write('x' * 10_000_000 + 'the end'); sys.stderr.write('broken'); sys.exit(1)")
    job = queued(empty, body())

    with caplog.at_level(logging.INFO, "puppet"), working(empty):
        found = ended(empty, job)

    assert found.problem == message("job-without-result", {"exit_status": 1})
    output = (Jobs(empty).folder(job.id) / LOG).read_bytes()
    assert len(output) == 10_000_013
    [line] = [message for message in caplog.messages if "ended, failed" in message]
    assert len(line) < LOG_TAIL_BYTES + 300
    assert "the end" in line


def test_run_does_not_have_our_variables(empty: Store, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training needs no token; the other variables it has."""
    monkeypatch.setenv("PUPPET_TOKENS", "secret")
    monkeypatch.setenv("PUPPET_STORE", "elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    script.use('(HERE / "names").write_text("\\n".join(os.environ) + "\\n")')
    job = queued(empty, body())

    with working(empty):
        ended(empty, job)

    names = script.told("names").splitlines()
    assert not [name for name in names if name.startswith("PUPPET_")]
    assert "OMP_NUM_THREADS" in names
