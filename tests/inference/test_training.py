"""A training through the server, with a stand-in for the trainer's process: a script that a test writes.

It is started by the very command line of the real one, so what it is given (arguments, environment, session) is checked
too. tests/system trains in earnest.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.errors import InvalidInput, ModelNotFound, NoTrainingData, StoreRefused
from artifacts.jobs import JobResult, read_result
from artifacts.store import Store
from inference import training as module
from inference.errors import Draining, TrainerBusy, TrainerMissing, TrainingFailed
from inference.settings import Settings
from inference.training import Training
from tests.inference.conftest import connect, started
from tests.inference.helpers import CLIENT, DEADLINE_S, MODEL, check_problem, eventually

pytestmark = pytest.mark.anyio

BODY = MODEL | {"training_data": [{"category": "a", "tokens": ["b"]}]}
SCRIPT = """#!{python} -I
import json, os, sys, time
from pathlib import Path
here = Path({here!r})
job = Path(sys.argv[5])
seen = {{"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(), "session": os.getsid(0),
        "parent": os.getppid(), "stdin": os.readlink("/proc/self/fd/0"),
        "body": (job / "body.json").read_bytes().decode("latin-1"), "mode": os.stat(job).st_mode & 0o777,
        "fds": len(os.listdir("/proc/self/fd"))}}
(here / "seen.part").write_text(json.dumps(seen))
os.rename(here / "seen.part", here / "seen.json")
def leave(**fields):
    (job / "result.json").write_text(json.dumps(fields))
def wait_for_go():
    end = time.monotonic() + 60
    while not (here / "go").exists() and time.monotonic() < end:
        time.sleep(0.005)
def publish():
    sys.path[:0] = {path!r}
    from artifacts.store import Store
    store = Store(job.parent.parent)
    manifest = store.publish(*store.read_version("puppet-o2", 1))
    leave(outcome="trained", model_name="puppet-o2", version=manifest.version, seconds=1.5,
          validation=dict(accuracy=0.9, macro_f1=0.8, num_tickets=12))
{code}
"""


class Trainer:
    """The stand-in: `does` says in Python what it does, `seen` is what it was given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._python = sys.executable
        self._monkeypatch = monkeypatch

    def does(self, code: str) -> None:
        """Let every training from now on be this code."""
        script = self._folder / "python"
        path = [str(Path(module.__file__).parents[1]), *sys.path]
        script.write_text(SCRIPT.format(python=self._python, here=str(self._folder), path=path, code=code))
        script.chmod(0o700)
        self._monkeypatch.setattr(sys, "executable", str(script))

    @property
    def seen(self) -> dict[str, Any] | None:
        """What the last process was given; None before it has started."""
        file = self._folder / "seen.json"
        return json.loads(file.read_text()) if file.exists() else None

    async def running(self) -> dict[str, Any]:
        """Return what the process was given, as soon as it runs."""
        return await eventually(lambda: self.seen, "the trainer's process")


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Give the stand-in for the trainer's process."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    return Trainer(folder, monkeypatch)


@pytest.fixture
def settings(store: Store) -> Settings:
    """Give the settings of a server that trains."""
    return Settings(store=str(store.root), trainer="local")


@pytest.fixture
async def training(settings: Settings, store: Store) -> AsyncIterator[Training]:
    """Give a training service, and check at the end of each test that nothing of its bodies is left on the disk."""
    yield Training(store, settings)
    assert list((store.root / ".jobs").iterdir()) == []


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """Yield a body as it arrives."""
    for part in parts or (json.dumps(BODY).encode(),):
        yield part


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


# How it ends


async def test_trained_version_serves_with_the_answer(
    app: Litestar, client: httpx.AsyncClient, trainer: Trainer
) -> None:
    """A training answers 200 with the seeds' fields, version and metrics, and that version serves from then on."""
    trainer.does("publish()")

    response = await client.post("/train_model", json=BODY)

    assert response.status_code == 200
    assert response.json() == {
        "status": "training completed", "model_name": "puppet-o2", "version": 2,
        "metrics": {"accuracy": 0.9, "macro_f1": 0.8, "num_tickets": 12}, "seconds": 1.5,
    }  # fmt: skip
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 2
    assert not list((app.state.registry.store.root / ".jobs").iterdir())


async def test_refused_training_lists_its_faults(training: Training, trainer: Trainer) -> None:
    """What the trainer's process finds wrong in a body comes back with its faults and their number."""
    trainer.does(
        'leave(outcome="refused", error="InvalidInput", detail="does not fit", num_faults=30,'
        ' faults=[dict(pointer="/training_data/7/tokens", detail="is empty")])'
    )

    with pytest.raises(InvalidInput, match="does not fit") as caught:
        await training.train(chunks())

    assert [fault.pointer for fault in caught.value.faults] == ["/training_data/7/tokens"]
    assert caught.value.num_faults == 30


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelNotFound, "Model not found"),
        (NoTrainingData, "No training data provided or training data is empty"),
    ],
)
async def test_refused_training_says_the_seeds_sentence(
    training: Training, trainer: Trainer, error: type[Exception], sentence: str
) -> None:
    """An error that the process names comes back as itself, to the letter."""
    trainer.does(f"leave(outcome='refused', error={error.__name__!r}, detail={sentence!r})")

    with pytest.raises(error) as caught:
        await training.train(chunks())

    assert str(caught.value) == sentence


async def test_failed_training_answers_with_the_reason(
    training: Training, trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    """A training that failed through no fault of the request says why; the process's output is in the log."""
    trainer.does(
        'leave(outcome="failed", detail="RuntimeError: no more memory")\n'
        'print("a traceback", file=sys.stderr); sys.exit(1)'
    )

    with pytest.raises(TrainingFailed, match=r"^the training failed: RuntimeError: no more memory$"):
        await training.train(chunks())

    assert "exit status 1: a traceback" in caplog.text


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.exit(3)", "ended with status 3 and no result"),
        ("pass", "ended with status 0 and no result"),
        ("os.kill(os.getpid(), 9)", "was killed"),
        ("os.kill(os.getpid(), 11)", "ended with status -11 and no result"),
        ("(job / 'result.json').write_text('{\"outcome\": \"trai')", "no result"),
        ("(job / 'result.json').write_bytes(b'\\xff' * 100)", "no result"),
        ("(job / 'result.json').write_text('[' * 100_000)", "no result"),
        ("leave(outcome='trained', model_path='/etc/passwd')", "no result"),
        ("leave(outcome='failed', detail='x' * 2_000_000)", "no result"),
        ("(job / 'result.json').mkdir()", "no result"),
    ],
)
async def test_death_without_a_result_is_answered(training: Training, trainer: Trainer, code: str, reason: str) -> None:
    """Whoever waits is answered when the process dies or leaves no result that can be read, and the next one trains."""
    trainer.does(code)

    with pytest.raises(TrainingFailed, match=reason):
        await training.train(chunks())

    trainer.does("publish()")
    assert (await training.train(chunks())).version == 2


async def test_version_that_the_server_refuses_is_no_success(client: httpx.AsyncClient, trainer: Trainer) -> None:
    """A training whose version cannot be verified is answered with that, and the version before goes on serving."""
    trainer.does("publish(); (job.parent.parent / 'puppet-o2' / '2' / 'model.onnx').write_bytes(b'x')")

    response = await client.post("/train_model", json=BODY)

    assert "version 2 was published, but this server refuses it" in check_problem(response, 500)["detail"]
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 1


async def test_training_ends_at_its_deadline(store: Store, settings: Settings, trainer: Trainer) -> None:
    """A training that takes too long is killed, with whatever it has started, and says so."""
    trainer.does("os.fork(); (here / str(os.getpid())).touch(); time.sleep(60)")
    training = Training(store, msgspec.structs.replace(settings, train_timeout_s=1.0))

    with pytest.raises(TrainingFailed, match=r"killed \(out of memory, or past 1 s\)"):
        await asyncio.wait_for(training.train(chunks()), DEADLINE_S)

    pids = [int(path.name) for path in (trainer._folder).iterdir() if path.name.isdigit()]
    assert len(pids) == 2
    await eventually(lambda: not any(map(is_alive, pids)), "the end of both processes")
    assert list((store.root / ".jobs").iterdir()) == []


# What it is given


async def test_process_is_the_trainers_and_nothing_else(
    training: Training, trainer: Trainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs `python -P -m trainer run JOB --parent PID` in its own session, without input and without our secrets."""
    monkeypatch.setenv("PUPPET_ADMIN_TOKEN", "secret-1")
    monkeypatch.setenv("PUPPET_SOMETHING_NEW", "secret-2")
    monkeypatch.setenv("HARMLESS", "kept")
    trainer.does("publish()")
    ours, other_end = os.pipe()  # pytest has none, so that an input that was handed on would not show
    before = os.dup(0)
    os.dup2(ours, 0)

    try:
        await training.train(chunks())
    finally:
        os.dup2(before, 0)
        for fd in (ours, other_end, before):
            os.close(fd)

    seen = trainer.seen
    assert seen is not None
    *start, job, option, parent = seen["argv"]
    assert (start, option, parent) == (["-P", "-m", "trainer", "run"], "--parent", str(os.getpid()))
    assert Path(job).parent == store.root / ".jobs"
    assert seen["mode"] == 0o700
    assert seen["session"] == seen["pid"] != os.getsid(0)
    assert seen["stdin"] == "/dev/null"
    assert seen["parent"] == os.getpid()
    assert seen["fds"] <= 4  # in, out, error, and the one that lists them: no socket of the server's
    assert not [name for name in seen["environment"] if name.startswith("PUPPET_")]
    assert "secret" not in json.dumps(seen["environment"])
    assert (seen["environment"]["HARMLESS"], "PATH" in seen["environment"]) == ("kept", True)


async def test_body_is_spooled_byte_by_byte(training: Training, trainer: Trainer) -> None:
    """A body of 3 MiB in pieces of every size arrives at the process as it was sent, be it JSON or not."""
    trainer.does('leave(outcome="failed")')
    body = random.Random(7).randbytes(3 * 2**20 + 17)
    sizes = [1, 0, 5, 65_536, 2**20 - 1, 2**20, 3, 70_000]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    parts = [body[start : start + size] for start, size in zip(starts, sizes, strict=True)] + [body[sum(sizes) :]]

    with pytest.raises(TrainingFailed):
        await training.train(chunks(*parts))

    assert trainer.seen is not None
    assert trainer.seen["body"].encode("latin-1") == body


# While it runs


async def test_search_goes_on_meanwhile(client: httpx.AsyncClient, trainer: Trainer) -> None:
    """While a training runs, searches are answered by the version that serves."""
    trainer.does("wait_for_go(); publish()")

    train = asyncio.create_task(client.post("/train_model", json=BODY))
    await trainer.running()
    answers = [await client.post("/search", json=MODEL | {"vector": CLIENT}) for _ in range(20)]
    assert not train.done()
    (trainer._folder / "go").touch()
    trained = await asyncio.wait_for(train, DEADLINE_S)

    assert [(answer.status_code, answer.json()["version"]) for answer in answers] == [(200, 1)] * 20
    assert trained.json()["version"] == 2


async def test_second_training_is_refused_at_once(client: httpx.AsyncClient, trainer: Trainer) -> None:
    """While one training runs another is 503 with Retry-After; the first is not disturbed, and later another runs."""
    trainer.does("wait_for_go(); publish()")

    first = asyncio.create_task(client.post("/train_model", json=BODY))
    await trainer.running()
    second = await asyncio.wait_for(client.post("/train_model", json=BODY), DEADLINE_S)
    (trainer._folder / "go").touch()
    trained = await asyncio.wait_for(first, DEADLINE_S)
    third = await client.post("/train_model", json=BODY)

    assert "one at a time" in check_problem(second, 503)["detail"]
    assert int(second.headers["retry-after"]) > 0
    assert (trained.json()["version"], third.json()["version"]) == (2, 3)


async def test_of_many_trainings_at_once_one_runs(training: Training, trainer: Trainer) -> None:
    """Of 20 trainings that are asked for in one moment, one runs and 19 are told that it does."""
    trainer.does("publish()")

    results = await asyncio.gather(*(training.train(chunks()) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(result, TrainerBusy) for result in results) == 19


async def test_drain_answers_who_waits(app: Litestar, client: httpx.AsyncClient, trainer: Trainer) -> None:
    """At a shutdown the waiting call is 503, the process and its children are gone, and nothing was published."""
    trainer.does("time.sleep(60)")

    train = asyncio.create_task(client.post("/train_model", json=BODY))
    pid = (await trainer.running())["pid"]
    app.state.training.drain()
    response = await asyncio.wait_for(train, DEADLINE_S)

    assert "nothing was published" in check_problem(response, 503)["detail"]
    assert int(response.headers["retry-after"]) > 0
    assert not is_alive(pid)
    store: Store = app.state.registry.store
    assert store.versions("puppet-o2") == [1]
    assert not list((store.root / ".jobs").iterdir())


async def test_after_a_drain_nothing_is_begun(training: Training, trainer: Trainer) -> None:
    """A training that is asked for during a shutdown is refused before its body is read."""
    trainer.does("publish()")
    training.drain()

    body = chunks()

    with pytest.raises(Draining):
        await training.train(body)
    assert trainer.seen is None
    assert [part async for part in body] == [json.dumps(BODY).encode()]


async def test_drain_while_the_body_arrives_ends_the_training(training: Training, trainer: Trainer) -> None:
    """A drain that comes while the body is still being sent lets no training run to its end."""
    trainer.does("time.sleep(60)")

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        training.drain()
        yield b"}"

    with pytest.raises(Draining):
        await asyncio.wait_for(training.train(slow()), DEADLINE_S)


async def test_training_that_ended_before_the_drain_is_answered(
    training: Training, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is there when the drain comes is the answer: what was published is not denied."""
    trainer.does("publish()")

    def drain_late(job: Path) -> JobResult | None:
        training.drain()
        return read_result(job)

    monkeypatch.setattr(module, "read_result", drain_late)

    assert (await training.train(chunks())).version == 2


async def test_version_published_in_the_last_moment_is_not_denied(training: Training, trainer: Trainer) -> None:
    """A process that has left its result and is slow to end when the drain comes has trained, as the answer says."""
    trainer.does("publish(); (here / 'left').touch(); time.sleep(60)")

    call = asyncio.create_task(training.train(chunks()))
    await eventually((trainer._folder / "left").exists, "the result")
    training.drain()

    assert (await asyncio.wait_for(call, DEADLINE_S)).version == 2


async def test_cancelled_call_leaves_no_process(training: Training, trainer: Trainer) -> None:
    """When the waiting call is cancelled its process is killed and the next training can run."""
    trainer.does("time.sleep(60)")

    call = asyncio.create_task(training.train(chunks()))
    pid = (await trainer.running())["pid"]
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, DEADLINE_S)

    assert not is_alive(pid)
    trainer.does("publish()")
    assert (await training.train(chunks())).version == 2


# What never gets so far


async def test_without_a_trainer_the_remedy_is_named(client: httpx.AsyncClient, settings: Settings) -> None:
    """A server with --trainer none answers 503 and says where to train instead, and reads no body."""
    none = msgspec.structs.replace(settings, trainer="none")
    async with started(none) as app, connect(app) as other:
        problem = check_problem(await other.post("/train_model", json=BODY), 503)

    assert "--trainer none" in problem["detail"]
    assert f"puppet-train fit DATA --name NAME --store {settings.store}" in problem["detail"]
    with pytest.raises(TrainerMissing):
        await Training(app.state.registry.store, none).train(chunks())


async def test_body_that_breaks_off_is_removed(training: Training, trainer: Trainer) -> None:
    """A client that leaves in the middle of its body leaves nothing on the disk and starts nothing."""
    trainer.does("publish()")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2**21
        raise ConnectionAbortedError("the client left")

    with pytest.raises((ConnectionAbortedError, StoreRefused)):
        await training.train(broken())

    assert trainer.seen is None
    assert (await training.train(chunks())).version == 2


async def test_too_large_body_is_removed(settings: Settings, trainer: Trainer) -> None:
    """A body that turns out to be over the limit is 413, its part on the disk is removed, and nothing is started."""
    trainer.does("publish()")
    limited = msgspec.structs.replace(settings, train_body_bytes=2**21)
    async with started(limited) as app, connect(app) as client:
        response = await client.post(
            "/train_model", content=chunks(*[b"x" * 2**20] * 4), headers={"Content-Type": "application/json"}
        )

    assert "2097152 bytes" in check_problem(response, 413)["detail"]
    assert trainer.seen is None
    assert not list((app.state.registry.store.root / ".jobs").iterdir())


@pytest.mark.parametrize("step", ["new_job", "_spool"])
async def test_full_disk_is_503(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A body for which there is no room is 503 with that reason, and searches are not touched."""

    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, step, full)

    problem = check_problem(await client.post("/train_model", json=BODY), 503)

    assert problem["detail"] == "the training data cannot be stored: No space left on device; free some space"
    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).status_code == 200


async def test_process_that_cannot_start_is_not_taken_for_a_full_disk(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no process can be started, the answer says that, and the next training can run."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    for _ in range(2):
        with pytest.raises(TrainingFailed, match="the trainer's process cannot be started: No such file or directory"):
            await training.train(chunks())
