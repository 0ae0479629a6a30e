"""A training that a request asks for, with a stand-in for each of the trainer's two processes.

The check is a script that a test writes, started by the very command line of the real one, so what it is given
(arguments, environment) is checked too. The worker is a thread of this process. tests/system trains in earnest.
"""

import asyncio
import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.errors import Fault, InvalidInput, ModelNotFound, NoTrainingData, QueueFull, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Checked, Job, JobResult, write_result
from artifacts.problems.sentences import message
from artifacts.store.audit import AuditLog
from artifacts.store.store import Store
from inference import training as module
from inference.errors import Draining, TrainerMissing, TrainingFailed, TrainingStopped
from inference.settings import Settings
from inference.training import MAX_CHECKS, Training
from tests.inference.conftest import connect, started
from tests.inference.helpers import CLIENT, DEADLINE_S, MODEL, check_problem, eventually
from tests.inference.worker import WorkerHere, publish

pytestmark = pytest.mark.anyio

BODY_OF_ONE = MODEL | {"training_data": [{"category": "a", "tokens": ["b"]}]}
UNREAD = b"words of a ticket"
SCRIPT = """#!{python} -I
import json, os, sys, time
from pathlib import Path
here, job = Path({here!r}), Path(sys.argv[-1])
seen = {{"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(),
        "stdin": os.readlink("/proc/self/fd/0"), "body": (job / "body.json").read_bytes().decode("latin-1"),
        "mode": os.stat(job).st_mode & 0o777, "fds": len(os.listdir("/proc/self/fd"))}}
(here / "seen.part").write_text(json.dumps(seen))
os.rename(here / "seen.part", here / "seen.json")
def say(**fields):
    os.write(1, json.dumps(fields).encode())
{code}
"""
SAY = "say(name='puppet-o2', neural_network_type='GRU')"
HANGS = "time.sleep(600)"


class Check:
    """The stand-in for the check: `does` says in Python what it does, `seen` is what it was given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._python = sys.executable
        self._monkeypatch = monkeypatch

    def does(self, code: str) -> None:
        """Let every check from now on be this code."""
        script = self._folder / "python"
        script.write_text(SCRIPT.format(python=self._python, here=str(self._folder), code=code))
        script.chmod(0o700)
        self._monkeypatch.setattr(sys, "executable", str(script))

    @property
    def seen(self) -> dict[str, Any] | None:
        """What the last process was given; None before it has started."""
        file = self._folder / "seen.json"
        return json.loads(file.read_text()) if file.exists() else None


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Give the stand-in for the check's process."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    return Check(folder, monkeypatch)


@pytest.fixture
def settings(store: Store) -> Settings:
    """Give the settings of a server that trains."""
    return Settings(store=str(store.root), trainer="local", queue_limit=3)


@pytest.fixture
def worker(store: Store, check_here: None) -> Iterator[WorkerHere]:
    """Give the stand-in for the worker, which publishes; bodies are checked by the trainer's own code."""
    with WorkerHere(store, publish) as worker:
        yield worker


@pytest.fixture
async def training(settings: Settings, store: Store) -> AsyncIterator[Training]:
    """Give a training service, and check at the end of each test that no folder is left that belongs to no job."""
    yield Training(store, settings, AuditLog(store.root, 1))
    check_folders(store)


def check_folders(store: Store) -> None:
    """Do nothing if the folders are those of the jobs, and no job that has ended has kept its training text."""
    jobs = {job.id: job for job in Jobs(store).list()}
    assert {path.name for path in (store.root / ".jobs").iterdir() if path.is_dir()} == set(jobs)
    for job in jobs.values():
        has_body = (store.root / ".jobs" / job.id / BODY).exists()
        assert has_body == (job.state in ("queued", "running")), job


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """Yield a body as it arrives."""
    for part in parts or (json.dumps(BODY_OF_ONE).encode(),):
        yield part


async def queued(training: Training, key: str | None = None) -> Job:
    """Return a job that waits."""
    return await training.submit(chunks(), key)


async def test_checks_are_few_and_count_as_queued(
    training: Training, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many requests that come together two are checked at a time, and more than the queue holds hear 503 first."""
    under_way = most = 0

    async def slow(folder: Path) -> Checked:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return Checked(name="puppet-o2", neural_network_type="GRU")

    monkeypatch.setattr(module, "_check", slow)

    found = await asyncio.gather(*(queued(training) for _ in range(12)), return_exceptions=True)

    assert most == MAX_CHECKS
    assert sum(isinstance(one, Job) for one in found) == 3  # queue_limit
    assert sum(isinstance(one, QueueFull) for one in found) == 9
    assert training._num_coming.total() == 0


def leave(result: JobResult) -> Callable[[Path, int], None]:
    """Return a training that leaves this result."""
    return lambda folder, _: write_result(folder, result)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


# How it ends


async def test_trained_version_serves_with_the_answer(
    store: Store, worker: WorkerHere, client: httpx.AsyncClient
) -> None:
    """A training answers 200 with the seeds' fields, version, job and metrics, and that version serves from then on."""
    response = await client.post("/train_model", json=BODY_OF_ONE)

    assert response.status_code == 200, response.text
    (job,) = Jobs(store).list()
    manifest = store.read_manifest("puppet-o2", 2)
    assert response.json() == {
        "status": "training completed", "model_name": "puppet-o2", "version": 2, "job": job.id,
        "metrics": msgspec.to_builtins(manifest.validation), "seconds": manifest.seconds,
        "serves": True, "detail": "",
    }  # fmt: skip
    assert response.headers["location"] == f"/jobs/{job.id}"
    assert (manifest.job, manifest.attempt) == (job.id, 1)
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 2
    check_folders(store)


async def test_rollback_just_after_the_publication_is_no_fault_of_the_training(
    store: Store, worker: WorkerHere, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is published; that somebody has decided otherwise about what serves is said, not an error."""
    wait = Training.wait

    async def rolled_back(training: Training, job: Job) -> Job:
        found = await wait(training, job)
        store.rollback("puppet-o2")
        return found

    monkeypatch.setattr(Training, "wait", rolled_back)

    response = await client.post("/train_model", json=BODY_OF_ONE)

    assert response.status_code == 200, response.text
    assert (response.json()["version"], response.json()["serves"]) == (2, False)


async def test_version_that_is_not_to_serve_does_not(worker: WorkerHere, client: httpx.AsyncClient) -> None:
    """With promote "never" the answer names the new version, and the one before goes on serving."""
    response = await client.post("/train_model", json=BODY_OF_ONE | {"promote": "never"})

    assert (response.status_code, response.json()["version"]) == (200, 2)
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 1
    model = (await client.get("/models/puppet-o2")).json()
    assert (model["current"], model["versions"]) == (1, [1, 2])


async def test_refused_training_lists_its_faults(training: Training, worker: WorkerHere) -> None:
    """What the run finds wrong in a body comes back with its faults and their number."""
    faults = [Fault("/training_data/7/tokens", "is empty")]
    worker.run = leave(JobResult("refused", "does not fit", "InvalidInput", faults, 30))

    with pytest.raises(InvalidInput, match="does not fit") as caught:
        await training.wait(await queued(training))

    assert list(caught.value.faults) == faults
    assert caught.value.num_faults == 30


@pytest.mark.parametrize(
    ("error", "type_", "sentence"),
    [
        (ModelNotFound, "model-not-found", "Model not found"),
        (NoTrainingData, "no-training-data", "No training data provided or training data is empty"),
    ],
)
async def test_refused_training_says_the_seeds_sentence(
    training: Training, worker: WorkerHere, error: type[Exception], type_: str, sentence: str
) -> None:
    """An error that the run names comes back as itself, to the letter."""
    worker.run = leave(JobResult("refused", sentence, error.__name__, problem=message(type_, {})))

    with pytest.raises(error) as caught:
        await training.wait(await queued(training))

    assert str(caught.value) == sentence


async def test_failed_training_answers_with_the_reason(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A training that failed through no fault of the request is 500 and says why."""
    worker.run = leave(JobResult("failed", "RuntimeError: no more memory"))

    response = await client.post("/train_model", json=BODY_OF_ONE)

    detail = "the training failed: RuntimeError: no more memory; the log of the job in the store says more"
    check_problem(response, 500, detail)


async def test_reason_of_a_training_is_in_the_language_of_who_waits(
    client: httpx.AsyncClient, worker: WorkerHere
) -> None:
    """What the run says of a request is answered in French to whoever asks in French, with its type and its faults."""
    said = message("does-not-fit", {"what": "training_data", "count": 1})
    faults = [Fault.of("/training_data/0/tokens", "missing-field")]
    worker.run = leave(JobResult("refused", str(said), "InvalidInput", faults, 1, problem=said))

    response = await client.post("/train_model", json=BODY_OF_ONE, headers={"Accept-Language": "fr"})

    problem = check_problem(response, 400, said.detail("fr"))
    assert problem["type"] == "/problems/does-not-fit"
    assert problem["errors"][0]["detail"] == "manque\u00a0; ajoutez-le"


async def test_death_without_a_result_is_answered(training: Training, worker: WorkerHere) -> None:
    """Whoever waits is answered when the run dies without a word, and the next one trains."""
    worker.run = lambda *_: None
    with pytest.raises(TrainingFailed, match="left no result"):
        await training.wait(await queued(training))

    worker.run = publish
    assert (await training.wait(await queued(training))).version == 2


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        ("cancelled", "cancelled on request, nothing was published; ask for the training again if it is needed"),
        (
            "interrupted",
            "the training was interrupted: the trainer was shut down, nothing was published;"
            " ask for the training again",
        ),
    ],
)
async def test_stopped_training_is_answered(
    training: Training, store: Store, check_here: None, state: Any, detail: str
) -> None:
    """A training that is cancelled, or ends with its worker, says so to the client that waits, and its remedy once."""
    job = await queued(training)
    waiting = asyncio.create_task(training.wait(job))
    jobs = Jobs(store)
    claimed = jobs.claim()
    assert claimed is not None
    with jobs.run_lock(claimed.id):
        jobs.finish(claimed.id, claimed.attempt, state, message(f"job-{state}", {}))

    with pytest.raises(TrainingStopped) as caught:
        await asyncio.wait_for(waiting, DEADLINE_S)
    assert str(caught.value) == detail


async def test_version_that_the_server_refuses_is_no_success(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A training whose version cannot be verified is answered with that, and the version before goes on serving."""
    worker.run = lambda folder, attempt: publish(folder, attempt, {"model.onnx": b"x"})

    response = await client.post("/train_model", json=BODY_OF_ONE)

    assert "version 2 was published, but this server refuses it" in check_problem(response, 500)["detail"]
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 1


# The check


async def test_check_is_the_trainers_and_nothing_else(
    training: Training, check: Check, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs `python -P -m trainer check FOLDER` without input and without our secrets."""
    monkeypatch.setenv("PUPPET_ADMIN_TOKEN", "secret-1")
    monkeypatch.setenv("PUPPET_SOMETHING_NEW", "secret-2")
    monkeypatch.setenv("HARMLESS", "kept")
    check.does(SAY)
    ours, other_end = os.pipe()  # pytest has none, so that an input that was handed on would not show
    before = os.dup(0)
    os.dup2(ours, 0)

    try:
        job = await queued(training)
    finally:
        os.dup2(before, 0)
        for fd in (ours, other_end, before):
            os.close(fd)

    seen = check.seen
    assert seen is not None
    assert seen["argv"] == ["-m", "trainer", "check", str(store.root / ".jobs" / job.id)]
    assert seen["mode"] == 0o700
    assert seen["stdin"] == "/dev/null"
    assert seen["fds"] <= 4  # in, out, error, and the one that lists them: no socket of the server's
    assert not [name for name in seen["environment"] if name.startswith("PUPPET_")]
    assert "secret" not in json.dumps(seen["environment"])
    assert (seen["environment"]["HARMLESS"], "PATH" in seen["environment"]) == ("kept", True)


async def test_job_is_as_the_check_says(training: Training, check: Check) -> None:
    """Name, kind and wishes of a job are what the check has read in the body; the server reads none of it."""
    check.does("say(name='prices', neural_network_type='SimpleNN', promote='never', keep_data=True)")

    job = await training.submit(chunks(UNREAD), None)

    assert (job.state, job.model_name, job.neural_network_type) == ("queued", "prices", "SimpleNN")
    assert (job.promote, job.keep_data) == ("never", True)


async def test_refusal_of_the_check_is_the_answer(training: Training, check: Check) -> None:
    """What the check refuses is no job; it comes back with its faults, however long and in how many pieces."""
    faults = [{"pointer": f"/config/{number}", "detail": "x" * 5000} for number in range(20)]
    refusal = {"outcome": "refused", "detail": "does not fit", "error": "InvalidInput", "num_faults": 30}
    said = json.dumps({"refusal": refusal | {"faults": faults}})
    check.does(
        f"said = {said!r}.encode(); os.write(1, said[:100]); time.sleep(0.2)\nsys.stdout.buffer.write(said[100:])"
    )

    with pytest.raises(InvalidInput) as caught:
        await queued(training)

    assert (len(caught.value.faults), caught.value.num_faults) == (20, 30)
    assert training.jobs.list() == []


@pytest.mark.parametrize(
    "code",
    [
        "sys.exit(3)",
        "pass",
        "os.kill(os.getpid(), 9)",
        'os.write(1, b\'{"name": "pup\')',
        "os.write(1, b'\\xff' * 100)",
        "os.write(1, b'[' * 60_000)",
        'os.write(1, b\'{"name": "\\xff"}\')',
        "say(name=7)",
        "sys.stdout.write('x' * 3_000_000)",
        HANGS,
        f"{SAY}; {HANGS}",
    ],
)
async def test_check_that_gives_no_answer_is_a_failed_training(
    training: Training, check: Check, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A check that dies, says what is no answer, or hangs, makes no job, leaves no process, and the next one works."""
    start = module._start_check

    def start_and_wait(folder: Path) -> "subprocess.Popen[bytes]":
        """Start the check and wait until it has begun: Python alone may take longer than the time of one that hangs."""
        process = start(folder)
        while not check.seen and process.poll() is None:
            time.sleep(0.01)
        return process

    monkeypatch.setattr(module, "_start_check", start_and_wait)
    monkeypatch.setattr(module, "CHECK_S", 0.2 if HANGS in code else DEADLINE_S)
    check.does(code)

    with pytest.raises(TrainingFailed, match="could not be checked"):
        await asyncio.wait_for(queued(training), DEADLINE_S)

    assert check.seen is not None
    assert not is_alive(check.seen["pid"])
    check_folders(training.jobs._store)
    check.does(SAY)
    monkeypatch.setattr(module, "CHECK_S", DEADLINE_S)
    assert (await queued(training)).state == "queued"


async def test_check_that_cannot_start_is_not_taken_for_a_full_disk(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no process can be started, the answer says that, and nothing is left."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)

    with pytest.raises(TrainingFailed, match="cannot be started: Resource temporarily unavailable; free some memory"):
        await queued(training)


async def test_body_is_spooled_byte_by_byte(training: Training, check: Check) -> None:
    """A body of 3 MiB in pieces of every size arrives at the process as it was sent, be it JSON or not."""
    check.does(SAY)
    body = random.Random(7).randbytes(3 * 2**20 + 17)
    sizes = [1, 0, 5, 65_536, 2**20 - 1, 2**20, 3, 70_000]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    parts = [body[start : start + size] for start, size in zip(starts, sizes, strict=True)] + [body[sum(sizes) :]]

    job = await training.submit(chunks(*parts), None)

    assert check.seen is not None
    assert check.seen["body"].encode("latin-1") == body
    assert (training.jobs.folder(job.id) / BODY).read_bytes() == body


@pytest.mark.skipif(sys.platform != "linux", reason="only the niceness is set elsewhere")
async def test_check_gives_way_to_searches(training: Training, check: Check) -> None:
    """The process that checks a body runs only when no search wants the core."""
    check.does(HANGS)
    call = asyncio.create_task(queued(training))
    seen = await eventually(lambda: check.seen, "the check")

    assert await eventually(lambda: os.sched_getscheduler(seen["pid"]) == os.SCHED_IDLE, "its priority")
    assert os.getpriority(os.PRIO_PROCESS, seen["pid"]) == 19
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, DEADLINE_S)


async def test_cancelled_call_leaves_no_check(training: Training, check: Check) -> None:
    """When the call is cancelled while its body is checked, that process is killed and the body removed."""
    check.does(HANGS)

    call = asyncio.create_task(queued(training))
    seen = await eventually(lambda: check.seen, "the check")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, DEADLINE_S)

    assert not is_alive(seen["pid"])
    assert training.jobs.list() == []


# While it runs


async def test_search_goes_on_meanwhile(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """While a training runs, searches are answered by the version that serves."""
    worker.go.clear()
    train = asyncio.create_task(client.post("/train_model", json=BODY_OF_ONE))
    await eventually(lambda: worker.is_busy, "the training")

    answers = [await client.post("/search", json=MODEL | {"vector": CLIENT}) for _ in range(20)]
    assert not train.done()
    worker.go.set()
    trained = await asyncio.wait_for(train, DEADLINE_S)

    assert [(answer.status_code, answer.json()["version"]) for answer in answers] == [(200, 1)] * 20
    assert trained.json()["version"] == 2


async def test_trainings_wait_for_each_other(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """Three trainings that are asked for at once are answered with three versions."""
    answers = await asyncio.gather(*(client.post("/train_model", json=BODY_OF_ONE) for _ in range(3)))

    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4]


async def test_full_queue_refuses_before_the_body_is_read(app: Litestar, check_here: None) -> None:
    """With three trainings waiting a fourth is 503 with Retry-After, its body unread; a known key is let in."""
    training: Training = app.state.training
    first, *_ = [await queued(training, f"key-{number}") for number in range(3)]

    async with connect(app) as client:
        response = await client.post("/train_model", json=BODY_OF_ONE)
    assert "the limit is 3" in check_problem(response, 503)["detail"]
    assert int(response.headers["retry-after"]) > 0
    body = chunks()
    with pytest.raises(QueueFull):
        await training.submit(body, None)
    assert [part async for part in body]
    assert (await queued(training, "key-0")).id == first.id
    check_folders(training.jobs._store)


async def test_client_that_leaves_does_not_end_its_training(training: Training, worker: WorkerHere) -> None:
    """A call that is cancelled while it waits leaves the job to its worker, which ends it."""
    worker.go.clear()
    job = await queued(training)
    call = asyncio.create_task(training.wait(job))
    await eventually(lambda: worker.is_busy, "the training")

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    worker.go.set()

    assert (await asyncio.wait_for(training.wait(job), DEADLINE_S)).version == 2


# At a shutdown


async def test_drain_answers_who_waits_and_names_the_job(
    app: Litestar, client: httpx.AsyncClient, check_here: None
) -> None:
    """At a shutdown the waiting call is 503 and says where to ask for the job, which goes on waiting."""
    jobs: Jobs = app.state.training.jobs
    train = asyncio.create_task(client.post("/train_model", json=BODY_OF_ONE))
    (job,) = await eventually(jobs.list, "the job")

    app.state.training.drain()
    response = await asyncio.wait_for(train, DEADLINE_S)

    assert f"GET /jobs/{job.id}" in check_problem(response, 503)["detail"]
    assert int(response.headers["retry-after"]) > 0
    assert jobs.get(job.id).state == "queued"


async def test_after_a_drain_nothing_is_begun(training: Training, check: Check) -> None:
    """A training that is asked for during a shutdown is refused before its body is read."""
    check.does(SAY)
    training.drain()
    body = chunks()

    with pytest.raises(Draining):
        await training.submit(body, None)

    assert check.seen is None
    assert [part async for part in body] == [json.dumps(BODY_OF_ONE).encode()]


async def test_drain_while_the_body_arrives_is_said(training: Training, check: Check) -> None:
    """A drain that comes while the body is still being sent lets the job be queued, and its caller be told of it."""
    check.does(SAY)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        training.drain()
        yield b"}"

    job = await training.submit(slow(), None)
    with pytest.raises(Draining, match=job.id):
        await asyncio.wait_for(training.wait(job), DEADLINE_S)


async def test_training_that_ended_before_the_drain_is_answered(training: Training, worker: WorkerHere) -> None:
    """An end that is known when the drain comes is the answer: what was published is not denied."""
    job = await queued(training)
    ended = await training.wait(job)
    training.drain()

    assert await training.wait(ended) == ended


async def test_drained_says_whether(training: Training) -> None:
    """Waiting for the drain ends after its time, or with it."""
    assert not await training.drained(0.01)
    assert not training.is_draining

    waiting = asyncio.create_task(training.drained(DEADLINE_S))
    await asyncio.sleep(0)
    training.drain()

    assert await asyncio.wait_for(waiting, DEADLINE_S / 2)
    assert training.is_draining


# A request that comes twice


async def test_same_key_and_body_are_one_job(store: Store, client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A request that comes twice with one Idempotency-Key trains once, also when the first one has ended."""
    headers = {"Idempotency-Key": "3f0c"}

    together = await asyncio.gather(*(client.post("/train_model", json=BODY_OF_ONE, headers=headers) for _ in range(2)))
    later = await client.post("/train_model", json=BODY_OF_ONE, headers=headers)

    assert [answer.status_code for answer in (*together, later)] == [200] * 3
    assert len({answer.text for answer in (*together, later)}) == 1
    assert store.versions("puppet-o2") == [1, 2]
    check_folders(store)


async def test_same_key_with_another_body_is_422(store: Store, client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A key that stood for another request is refused, and nothing is trained or left."""
    headers = {"Idempotency-Key": "3f0c"}
    await client.post("/train_model", json=BODY_OF_ONE, headers=headers)

    response = await client.post("/train_model", json=BODY_OF_ONE | {"promote": "never"}, headers=headers)

    assert "3f0c" in check_problem(response, 422)["detail"]
    assert store.versions("puppet-o2") == [1, 2]
    check_folders(store)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f"])
async def test_key_that_can_be_none_is_400(client: httpx.AsyncClient, store: Store, key: str) -> None:
    """A key that is empty, too long or no printable ASCII is refused before the body is read."""
    response = await client.post(
        "/train_model", content=b"", headers={"Content-Type": "application/json", "Idempotency-Key": key}
    )

    assert "idempotency key" in check_problem(response, 400)["detail"]
    assert Jobs(store).list() == []


# What never gets so far


async def test_without_a_trainer_the_remedy_is_named(settings: Settings) -> None:
    """A server with --trainer none answers 503 and says where to train instead, and reads no body."""
    none = msgspec.structs.replace(settings, trainer="none")
    async with started(none) as app, connect(app) as other:
        problem = check_problem(await other.post("/train_model", json=BODY_OF_ONE), 503)

    assert "--trainer none" in problem["detail"]
    assert f"puppet-train fit DATA --name NAME --store {settings.store}" in problem["detail"]
    with pytest.raises(TrainerMissing):
        await queued(Training(app.state.registry.store, none, app.state.audit))


async def test_body_that_breaks_off_is_removed(training: Training, check: Check) -> None:
    """A client that leaves in the middle of its body leaves nothing on the disk and starts nothing."""
    check.does(SAY)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2**21
        raise ConnectionAbortedError("the client left")

    with pytest.raises((ConnectionAbortedError, StoreRefused)):
        await training.submit(broken(), None)

    assert check.seen is None
    assert training.jobs.list() == []


async def test_too_large_body_is_removed(settings: Settings, check: Check, store: Store) -> None:
    """A body that turns out to be over the limit is 413, its part on the disk is removed, and nothing is started."""
    check.does(SAY)
    limited = msgspec.structs.replace(settings, train_body_bytes=2**21)
    async with started(limited) as app, connect(app) as client:
        response = await client.post(
            "/train_model", content=chunks(*[b"x" * 2**20] * 4), headers={"Content-Type": "application/json"}
        )

    assert "2097152 bytes" in check_problem(response, 413)["detail"]
    assert check.seen is None
    check_folders(store)


async def test_full_disk_is_503(
    store: Store, client: httpx.AsyncClient, check_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body for which there is no room is 503 with that reason, and searches are not touched."""

    async def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_spool", full)

    problem = check_problem(await client.post("/train_model", json=BODY_OF_ONE), 503)

    assert problem["detail"] == "the training data cannot be stored: No space left on device; free some space"
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).status_code == 200
    check_folders(store)


@pytest.mark.parametrize("step", ["check_room", "new_folder", "submit", "get"])
async def test_store_that_cannot_be_used_is_503(
    client: httpx.AsyncClient, check_here: None, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever step the store refuses, the answer is 503 with its reason, and searches are not touched."""

    def refuse(*_: object, **__: object) -> Any:
        raise StoreRefused("jobs-unusable", path="models", reason="disk I/O error")

    monkeypatch.setattr(Jobs, step, refuse)

    check_problem(
        await client.post("/train_model", json=BODY_OF_ONE),
        503,
        "jobs of models cannot be read or written, nothing was changed: disk I/O error;"
        " free some space, or make the store writable",
    )
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).status_code == 200
