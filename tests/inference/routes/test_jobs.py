"""The routes under /jobs, and /train_model when it does not wait: what is shown, followed, cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.response import ServerSentEventMessage

from artifacts.jobs.events import Event, append_event
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import EVENTS, Job, JobResult, write_result
from artifacts.store.store import Store
from artifacts.store.versions import now
from inference.routes.jobs import told
from inference.settings import Settings
from inference.training import Training
from tests.inference.helpers import DEADLINE_S, MODEL, check_problem, eventually, pointers
from tests.inference.worker import WorkerHere, publish

pytestmark = pytest.mark.anyio

BODY = MODEL | {"training_data": [{"category": "a", "tokens": ["b"]}]}
ASYNC = {"Prefer": "respond-async"}
NOBODY = "0" * 32


@pytest.fixture
def settings(store: Store, check_here: None) -> Settings:
    """Give the settings of a server that trains; nothing works its queue unless `worker` is there."""
    return Settings(store=str(store.root), trainer="local")


@pytest.fixture
def worker(store: Store, check_here: None) -> Iterator[WorkerHere]:
    """Give a worker whose trainings tell three epochs and publish."""

    def train(folder: Path, attempt: int) -> None:
        for number in (1, 2, 3):
            append_event(folder, epoch(number))
        publish(folder, attempt)

    with WorkerHere(store, train) as worker:
        yield worker


@pytest.fixture
def training(app: Litestar) -> Training:
    """Give the training service of the application."""
    training: Training = app.state.training
    return training


def epoch(number: int) -> Event:
    """Return the event of an epoch."""
    return Event(kind="epoch", time=now(), epoch=number, num_epochs=3, loss=1 / number)


async def asked(client: httpx.AsyncClient, **fields: Any) -> str:
    """Return the id of a job that was asked for without waiting."""
    response = await client.post("/train_model", json=BODY | fields, headers=ASYNC)
    assert response.status_code == 202, response.text
    return str(response.json()["job"])


async def ended(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """Return a job as it is shown once it has ended."""
    async with asyncio.timeout(DEADLINE_S):
        while (job := (await client.get(f"/jobs/{job_id}")).json())["state"] in ("queued", "running"):
            await asyncio.sleep(0.01)
    return dict(job)


def claimed(jobs: Jobs) -> Job:
    """Return the job that waited longest, now running."""
    job = jobs.claim()
    assert job is not None
    return job


def parsed(text: str) -> list[dict[str, str]]:
    """Return the events of a stream of Server-Sent Events, as its specification reads them."""
    events = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            events.append(fields)
    return events


# Without waiting


async def test_training_without_waiting_is_202(client: httpx.AsyncClient, training: Training) -> None:
    """With Prefer: respond-async the answer comes at once and says where to look, and that the wish was followed."""
    response = await client.post("/train_model", json=BODY, headers=ASYNC)

    (job,) = training.jobs.list()
    assert (response.status_code, response.json()) == (
        202, {"status": "training queued", "model_name": "puppet-o2", "job": job.id, "kind": "train"},
    )  # fmt: skip
    assert response.headers["location"] == f"/jobs/{job.id}"
    assert response.headers["preference-applied"] == "respond-async"
    assert int(response.headers["retry-after"]) > 0
    shown = (await client.get(response.headers["location"])).json()
    assert (shown["id"], shown["state"]) == (job.id, "queued")


@pytest.mark.parametrize("wish", ["respond-async; a=b", "handling=lenient, respond-async", "wait=5,respond-async "])
async def test_wish_is_found_among_others(client: httpx.AsyncClient, wish: str) -> None:
    """Prefer is a list whose members may have parameters."""
    assert (await client.post("/train_model", json=BODY, headers={"Prefer": wish})).status_code == 202


async def test_other_wish_is_not_followed(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A Prefer of something else is waited for, and the answer does not say that a wish was followed."""
    response = await client.post("/train_model", json=BODY, headers={"Prefer": "respond-asynchronously"})

    assert response.status_code == 200
    assert "preference-applied" not in response.headers


async def test_same_key_is_the_same_job(client: httpx.AsyncClient, training: Training) -> None:
    """An Idempotency-Key that comes again is the job of the first time; with another body it is 422."""
    headers = ASYNC | {"Idempotency-Key": "4b1d"}
    first, again = [await client.post("/train_model", json=BODY, headers=headers) for _ in range(2)]

    other = await client.post("/train_model", json=BODY | {"promote": "never"}, headers=headers)

    assert first.json() == again.json()
    check_problem(other, 422)
    assert len(training.jobs.list()) == 1


@pytest.mark.parametrize(
    ("fields", "status", "places"),
    [
        ({"config": {"epochs": -1}}, 400, ["/config/epochs"]),
        ({"config": {"nope": 1}}, 400, ["/config/nope"]),
        ({"promote": "later"}, 400, ["/promote"]),
        ({"training_data": []}, 400, []),
        ({"name": "nobody"}, 404, []),
        ({"neural_network_type": "SimpleNN"}, 400, []),
        ({"neural_network_type": "Magic"}, 400, []),
    ],
)
async def test_body_is_checked_before_it_is_queued(
    client: httpx.AsyncClient, training: Training, fields: dict[str, Any], status: int, places: list[str]
) -> None:
    """Settings, name and kind that do not fit are refused in the answer to the request, and no job is made."""
    response = await client.post("/train_model", json=BODY | fields, headers=ASYNC)

    problem = check_problem(response, status)
    assert pointers({"errors": [], "num_errors": 0} | problem) == places
    assert training.jobs.list() == []


# What is shown


async def test_jobs_are_listed_newest_first(client: httpx.AsyncClient) -> None:
    """The list has each job as its own page shows it."""
    ids = [await asked(client) for _ in range(3)]

    jobs = (await client.get("/jobs")).json()["jobs"]

    assert [job["id"] for job in jobs] == ids[::-1]
    assert [(await client.get(f"/jobs/{job['id']}")).json() for job in jobs] == jobs
    assert jobs[0] | {"id": "", "created": ""} == {
        "id": "", "state": "queued", "model_name": "puppet-o2", "neural_network_type": "GRU", "attempt": 0,
        "created": "", "started": None, "ended": None, "detail": "", "errors": [], "num_errors": 0, "version": None,
        "metrics": None, "seconds": None, "promote": "always", "cancel_requested": False, "phase": None,
        "seconds_left": None, "seconds_expected": None, "progress": None, "kind": "train", "has_result": False,
    }  # fmt: skip


async def test_job_that_succeeded_shows_its_version(
    store: Store, client: httpx.AsyncClient, worker: WorkerHere
) -> None:
    """After its end a job shows version, metrics, time and its last epoch."""
    job = await ended(client, await asked(client))

    manifest = store.read_manifest("puppet-o2", 2)
    assert (job["state"], job["version"], job["attempt"], job["seconds"]) == ("succeeded", 2, 1, manifest.seconds)
    assert job["metrics"]["accuracy"] == manifest.validation["accuracy"]
    assert (job["progress"]["epoch"], job["progress"]["num_epochs"]) == (3, 3)
    assert job["created"] <= job["started"] <= job["ended"]


async def test_job_that_was_refused_shows_its_faults(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A job whose rows do not fit has failed, with the faults as a refused request has them."""
    from trainer.run import run_job

    worker.run = run_job
    rows = [{"category": "a", "tokens": ["b"]}, {"category": 7, "tokens": ["b"]}]

    job = await ended(client, await asked(client, training_data=rows))

    assert (job["state"], job["num_errors"], job["version"]) == ("failed", 1, None)
    assert [fault["pointer"] for fault in job["errors"]] == ["/training_data/1/category"]
    assert job["detail"]


async def test_promote_never_leaves_the_serving_version(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A job with promote "never" makes a version that can be promoted later and does not serve of itself."""
    job = await ended(client, await asked(client, promote="never"))

    model = (await client.get("/models/puppet-o2")).json()
    assert (job["state"], job["version"], job["promote"]) == ("succeeded", 2, "never")
    assert (model["version"], model["current"], model["versions"]) == (1, 1, [1, 2])
    assert (await client.post("/models/puppet-o2/promote", json={"version": 2})).json()["version"] == 2


@pytest.mark.parametrize("path", ["", "/events", "/cancel"])
@pytest.mark.parametrize("job_id", [NOBODY, "nobody", "..%2f..%2fputs", "%00", "A" * 32, "0" * 31, "é"])
async def test_unknown_job_is_404(client: httpx.AsyncClient, job_id: str, path: str) -> None:
    """An id that is none, or nobody's, is 404 on every route, as a problem."""
    if path == "/cancel":
        response = await client.post(f"/jobs/{job_id}{path}", json={})
    else:
        response = await client.get(f"/jobs/{job_id}{path}")

    check_problem(response, 404)


# Cancelling


async def test_waiting_job_is_cancelled_at_once(client: httpx.AsyncClient, training: Training) -> None:
    """A job that waits has ended with the answer, and its training text is gone."""
    job_id = await asked(client)

    response = await client.post(f"/jobs/{job_id}/cancel", json={})

    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert list(training.jobs.folder(job_id).iterdir()) == []
    assert training.jobs.claim() is None


async def test_running_job_is_marked_for_its_worker(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A job that runs is marked, whoever waits for it is told once it has ended, and nothing was published."""
    worker.go.clear()
    waiting = asyncio.create_task(client.post("/train_model", json=BODY))
    await eventually(lambda: worker.is_busy, "the training")
    (job,) = (await client.get("/jobs")).json()["jobs"]

    marked = (await client.post(f"/jobs/{job['id']}/cancel", json={})).json()

    assert marked["cancel_requested"] is True
    problem = check_problem(await asyncio.wait_for(waiting, DEADLINE_S), 409)
    assert "cancelled" in problem["detail"]
    assert (await ended(client, job["id"]))["state"] == "cancelled"
    assert (await client.get("/models/puppet-o2")).json()["versions"] == [1]


async def test_job_that_has_ended_stays_as_it_is(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """Cancelling what has ended is 200 and changes nothing, how often it is asked."""
    job = await ended(client, await asked(client))

    for _ in range(2):
        assert (await client.post(f"/jobs/{job['id']}/cancel", json={})).json() == job


async def test_cancel_is_no_form(client: httpx.AsyncClient) -> None:
    """A web page of another site, which can send no JSON, cannot cancel."""
    job_id = await asked(client)

    check_problem(await client.post(f"/jobs/{job_id}/cancel", data={"a": "b"}), 415)

    assert (await client.get(f"/jobs/{job_id}")).json()["state"] == "queued"


# Following


async def test_events_tell_each_epoch_and_the_end(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """The stream of a job that has ended is its epochs in order, each with an id, then the job itself."""
    job = await ended(client, await asked(client))

    response = await client.get(f"/jobs/{job['id']}/events")

    assert response.headers["content-type"].startswith("text/event-stream")
    events = parsed(response.text)
    assert [event["event"] for event in events] == ["epoch", "epoch", "epoch", "end"]
    assert [json.loads(event["data"])["epoch"] for event in events[:3]] == [1, 2, 3]
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(ids)
    assert json.loads(events[-1]["data"]) == job


async def test_last_event_id_goes_on_where_one_was(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """A client that comes back with the id of what it saw last is told the rest, once; an odd id means all."""
    job = await ended(client, await asked(client))
    path = f"/jobs/{job['id']}/events"
    all_events = parsed((await client.get(path)).text)

    for number, event in enumerate(all_events[:-1], 1):
        rest = parsed((await client.get(path, headers={"Last-Event-ID": event["id"]})).text)
        assert rest == all_events[number:]
    for odd in (b"-1", b"x", b"1e3", b"9" * 30, b"", "٣".encode()):
        assert parsed((await client.get(path, headers={b"Last-Event-ID": odd})).text) == all_events
    assert [
        event["event"] for event in parsed((await client.get(path, headers={"Last-Event-ID": "999999999"})).text)
    ] == ["end"]


async def test_job_that_told_nothing_has_an_end(client: httpx.AsyncClient) -> None:
    """The stream of a job that was cancelled before it began is its end."""
    job_id = await asked(client)
    await client.post(f"/jobs/{job_id}/cancel", json={})

    (event,) = parsed((await client.get(f"/jobs/{job_id}/events")).text)

    assert (event["event"], json.loads(event["data"])["state"]) == ("end", "cancelled")


async def next_of(stream: AsyncIterator[ServerSentEventMessage]) -> ServerSentEventMessage:
    """Return the next message, which comes soon."""
    return await asyncio.wait_for(anext(stream), DEADLINE_S)


async def test_events_come_while_it_runs(client: httpx.AsyncClient, training: Training) -> None:
    """What a run tells is passed on while it goes on, and its end ends the stream."""
    job_id = await asked(client)
    stream = told(training, job_id, 0, "en")
    opening = await next_of(stream)
    assert opening.retry is not None
    job = claimed(training.jobs)
    folder = training.jobs.folder(job_id)

    with training.jobs.run_lock(job_id):
        for number in (1, 2):
            append_event(folder, epoch(number))
            message = await next_of(stream)
            assert (message.event, json.loads(str(message.data))["epoch"]) == ("epoch", number)
            assert int(str(message.id)) <= (folder / EVENTS).stat().st_size
        assert (await client.get(f"/jobs/{job_id}")).json()["progress"]["epoch"] == 2
        write_result(folder, JobResult("failed", "it broke"))
        training.jobs.finish(job_id, job.attempt, "failed", "it broke")

    message = await next_of(stream)
    assert (message.event, json.loads(str(message.data))["detail"]) == ("end", "it broke")
    with pytest.raises(StopAsyncIteration):
        await next_of(stream)


async def test_phase_and_time_left_are_those_said_last(client: httpx.AsyncClient, training: Training) -> None:
    """An epoch says them too, a message does not; once the job has ended nothing is left, and the phase stays."""
    job_id = await asked(client)
    job = claimed(training.jobs)
    folder = training.jobs.folder(job_id)

    async def shown_now() -> tuple[object, object, object]:
        found = (await client.get(f"/jobs/{job_id}")).json()
        return found["phase"], found["seconds_left"], (found["progress"] or {}).get("epoch")

    with training.jobs.run_lock(job_id):
        append_event(folder, Event(kind="phase", time=now(), phase="read"))
        assert await shown_now() == ("read", None, None)
        said = Event(kind="phase", time=now(), phase="network", seconds_left=50.0, seconds_expected=60.0)
        append_event(folder, said)
        append_event(folder, msgspec.structs.replace(epoch(1), phase="network", seconds_left=41.5))
        append_event(folder, Event(kind="message", time=now(), detail="made up"))
        assert await shown_now() == ("network", 41.5, 1)
        append_event(folder, Event(kind="phase", time=now(), phase="calibrate", seconds_left=12.0))
        assert await shown_now() == ("calibrate", 12.0, 1)
        write_result(folder, JobResult("failed", "it broke"))
        training.jobs.finish(job_id, job.attempt, "failed", "it broke")

    assert await shown_now() == ("calibrate", None, 1)
    assert (await client.get(f"/jobs/{job_id}")).json()["seconds_expected"] == 60.0  # to compare with what it took
    stream = told(training, job_id, 0, "en")
    kinds = [message.event async for message in stream if message.event]
    assert kinds == ["phase", "phase", "epoch", "message", "phase", "end"]


async def test_events_of_a_job_older_than_phases_are_shown(client: httpx.AsyncClient, training: Training) -> None:
    """Epochs without a phase, as they were written before there were any, are its progress as ever."""
    job_id = await asked(client)
    old = b'{"kind":"epoch","time":"2026-11-01T00:00:00Z","epoch":2,"num_epochs":3,"loss":0.5,"seconds_left":4.0}\n'
    (training.jobs.folder(job_id) / EVENTS).write_bytes(old)

    found = (await client.get(f"/jobs/{job_id}")).json()

    assert (found["phase"], found["seconds_left"]) == (None, None)
    assert (found["progress"]["epoch"], found["progress"]["seconds_left"]) == (2, 4.0)


async def test_quiet_stream_is_kept_open(
    client: httpx.AsyncClient, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of which nothing is heard gets a comment from time to time, without an id."""
    monkeypatch.setattr("inference.following.LOOK_S", 0.01)
    monkeypatch.setattr("inference.routes.jobs.HEARTBEAT_S", 0.03)
    stream = told(training, await asked(client), 0, "en")
    await next_of(stream)

    for _ in range(2):
        message = await next_of(stream)
        assert (message.comment, message.data, message.id) == ("still there", None, None)


async def test_stream_ends_when_the_server_does(client: httpx.AsyncClient, training: Training) -> None:
    """A shutdown ends the stream of a job that goes on, without an end event, so that its client comes back."""
    stream = told(training, await asked(client), 0, "en")
    await next_of(stream)

    waiting = asyncio.create_task(next_of(stream))
    await asyncio.sleep(0.01)
    training.drain()

    with pytest.raises(StopAsyncIteration):
        await waiting
