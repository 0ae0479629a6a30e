"""Enough corrections queue a training by themselves, once, whichever worker they come to."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from artifacts.jobs.records import BODY, UPLOAD
from artifacts.jobs.request import TrainModel
from artifacts.jobs.table import DATABASE
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CLIENT

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("check_here")]

NAME = "puppet-o2"


@pytest.fixture
def settings(store: Store) -> Settings:
    """Give the settings of a server that trains after four corrections; nobody runs the jobs."""
    return Settings(store=str(store.root), trainer="local", train_after=4)


@pytest.fixture
async def apps(settings: Settings) -> AsyncIterator[list[Litestar]]:
    """Give two workers of one server."""
    async with started(settings) as first, started(settings) as second:
        yield [first, second]


async def correct(app: Litestar, id_: str, name: str = NAME) -> None:
    """Post a correction, and wait until what follows from it has been done."""
    body = {"name": name, "id": id_, "tokens": ACCESS if id_ < "c" else CLIENT, "category": id_}
    async with connect(app) as client:
        assert (await client.post("/feedback", json=body)).status_code == 200
    for look in list(app.state.retraining._looking.values()):
        await look


async def jobs(app: Litestar) -> list[dict[str, Any]]:
    """Return the jobs, the newest first."""
    async with connect(app) as client:
        found: list[dict[str, Any]] = (await client.get("/jobs")).json()["jobs"]
        return found


async def test_training_is_queued_once_it_is_due(apps: list[Litestar]) -> None:
    """The fourth correction queues one that includes them and serves only if it is better; both workers count."""
    for number, id_ in enumerate("abcd"):
        assert await jobs(apps[0]) == []
        await correct(apps[number % 2], id_)
    await correct(apps[0], "e")  # the next four begin after the job
    (job,) = await jobs(apps[1])

    assert (job["model_name"], job["state"], job["promote"]) == (NAME, "queued", "if_better")
    raw = (apps[0].state.training.jobs.folder(job["id"]) / BODY).read_bytes()
    body = msgspec.json.decode(raw, type=TrainModel[Ticket])
    assert (body.include_feedback, body.training_data, body.neural_network_type) == (True, None, "GRU")
    async with connect(apps[0]) as client:
        log = (await client.get("/audit")).json()["entries"]
    assert [(one["token_name"], one["job"]) for one in log if one["action"] == "train"] == [
        ("(train_after)", job["id"])
    ]


@pytest.mark.parametrize(("name", "start"), [(NAME, "serving"), ("untrained", None)])
async def test_training_starts_from_the_version_that_serves(settings: Settings, name: str, start: str | None) -> None:
    """With `train_from`; a model that no version of serves has none to start from."""
    async with started(msgspec.structs.replace(settings, train_from="serving")) as app:
        for id_ in "abcd":
            await correct(app, id_, name)
        (job,) = await jobs(app)
        raw = (app.state.training.jobs.folder(job["id"]) / BODY).read_bytes()

    assert msgspec.json.decode(raw, type=TrainModel[Ticket]).start == start
    assert msgspec.json.decode(raw).get("from") == start


async def test_two_workers_queue_one(apps: list[Litestar]) -> None:
    """Where both find that it is due, they ask for the same training."""
    for id_ in "abc":
        await correct(apps[0], id_)
    looks = [app.state.retraining for app in apps]
    await correct(apps[0], "d")

    for look in looks:  # as if each had looked before the other's job was there
        look._last_training = lambda _: None
        await look._queue_if_due(NAME)
    assert len(await jobs(apps[0])) == 1


async def test_other_models_and_zero_do_not_count(settings: Settings, apps: list[Litestar]) -> None:
    """Each model counts its own corrections, and 0 never queues a training."""
    for id_ in "abc":
        await correct(apps[0], id_)
        await correct(apps[0], id_, "untrained")
    async with started(msgspec.structs.replace(settings, train_after=0)) as app:
        for id_ in "defgh":
            await correct(app, id_)
    assert await jobs(apps[0]) == []


async def test_training_that_is_refused_costs_no_correction(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A server without a trainer keeps corrections all the same, and its log says why it does not train."""
    async with started(msgspec.structs.replace(settings, trainer="none")) as app, connect(app) as client:
        for id_ in "abcde":
            await correct(app, id_)
        assert (await client.get(f"/models/{NAME}/feedback")).text.count("\n") == 5
        assert await jobs(app) == []
    assert "train_after" in caplog.text


async def test_data_that_was_kept_is_trained_on_again(apps: list[Litestar]) -> None:
    """The newest training with `keep_data` is asked for once more, as its file was read, with the corrections."""
    asked = {"name": NAME, "neural_network_type": "GRU", "text": "Texte", "category": "Sorte", "keep_data": "true"}
    rows = b"Texte,Sorte\n" + b"".join(b"mot %d,a\nautre %d,b\n" % (number, number) for number in range(20))
    async with connect(apps[0]) as client:
        response = await client.post(
            "/train_model",
            params=asked | {"config": '{"epochs": 3}'},
            content=rows,
            headers={"Content-Type": "text/csv", "Prefer": "respond-async"},
        )
    kept = response.json()["job"]
    folder = apps[0].state.training.jobs.folder
    # As if a trainer had run it, long ago.
    with closing(sqlite3.connect(folder(kept).parent / DATABASE)) as database, database:
        database.execute("UPDATE jobs SET state = 'succeeded', created = '2026-11-01' WHERE id = ?", (kept,))
    for id_ in "abcd":
        await correct(apps[0], id_)

    job = (await jobs(apps[0]))[0]["id"]
    body = msgspec.json.decode((folder(job) / BODY).read_bytes(), type=TrainModel[Ticket])
    assert job != kept
    assert (body.data_of, body.include_feedback, body.promote, body.keep_data) == (kept, True, "if_better", True)
    assert (body.reading.text, body.reading.category) == (["Texte"], "Sorte")
    assert msgspec.json.decode(msgspec.json.encode(body.config)) == {"epochs": 3}
    assert (folder(job) / UPLOAD).read_bytes() == rows
