"""Which answers come into the review queue by themselves, and which never do."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from artifacts.store import review as kept
from artifacts.store.review import FOLDER, MAX_TICKET_BYTES, ReviewItem, ReviewQueue, id_of
from artifacts.store.store import Store
from inference.review import intake
from inference.review.intake import BUFFER_TICKETS
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CONNECTION, MODEL, PRICES
from tests.inference.search.test_ranked import UNKNOWN, publish

pytestmark = pytest.mark.anyio

NAME = "puppet-o2"
SURE, UNSURE = {"threshold": 0.0, "tie_margin": 0.0}, {"threshold": 1.0 + 1e-6}  # rules by which all or none is routed


@contextlib.asynccontextmanager
async def reviewing(settings: Settings, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server that keeps tickets to be reviewed; what it kept is in the files at the end."""
    async with started(msgspec.structs.replace(settings, **{"review": True} | changes)) as app, connect(app) as client:
        yield client


def waiting(store: Store, name: str = NAME) -> list[ReviewItem]:
    """Return what waits in the files."""
    return ReviewQueue(store, 14, 5000).waiting(name)


async def ask(client: httpx.AsyncClient, path: str = "/search", **body: Any) -> Any:
    """Return a good answer."""
    answer = await client.post(path, json=({} if path == "/predict" else MODEL) | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_unsure_ticket_waits_as_it_was_sent(settings: Settings, store: Store) -> None:
    """Its text or its tokens are kept as they came, with the caller's id, and what the model said of it."""
    publish(store, **UNSURE)
    async with reviewing(settings) as client:
        answer = await ask(client, text="Problème de CONNEXION !", id=7)
        await ask(client, vector=ACCESS)
        await ask(client, vectors=[CONNECTION, ["a", "b"]], ids=["x", None])
        await ask(client, "/predict", email_text="Un courriel", id="mail")
        await ask(client, text="Un id de chemin", id="..")

    found = waiting(store)
    assert [(item.id, item.content) for item in found] == [
        ("7", "Problème de CONNEXION !"),
        (id_of(ACCESS), ACCESS),
        ("x", CONNECTION),
        (id_of(["a", "b"]), ["a", "b"]),
        ("mail", "Un courriel"),
        (id_of("Un id de chemin"), "Un id de chemin"),  # POST /feedback would not take the caller's
    ]
    assert (found[0].confidence, found[0].reason, found[0].version) == (answer["confidence"], "low_confidence", 2)


async def test_sure_ticket_is_not_kept(settings: Settings, store: Store) -> None:
    """What the model's own rule routes leaves no trace, not even a folder."""
    publish(store, **SURE)
    async with reviewing(settings) as client:
        await ask(client, vector=CONNECTION)
        await ask(client, vector=[*CONNECTION, "zzzz"], abstain=True)
    assert not (store.folder(NAME) / FOLDER).exists()


async def test_nothing_is_kept_while_the_setting_is_off(settings: Settings, store: Store) -> None:
    """Nothing listens to searches but what did before, and nothing is written."""
    publish(store, **UNSURE)
    async with started(settings) as app, connect(app) as client:
        assert app.state.batcher._listen == app.state.drift.count
        await ask(client, vector=CONNECTION)
    assert not (store.folder(NAME) / FOLDER).exists()


async def test_reasons_are_those_of_the_rule(settings: Settings, store: Store) -> None:
    """Too many unknown tokens count however sure the model is, and a tie where the search asked for guesses."""
    publish(store, threshold=0.0, tie_margin=1.1, max_unknown=0.4)
    async with reviewing(settings) as client:
        await ask(client, vector=[*UNKNOWN, "connexion"], id="words")
        await ask(client, vector=CONNECTION, id="plain")
        await ask(client, vector=ACCESS, id="guesses", top_k=2)
        await ask(client, vectors=[[""], CONNECTION], ids=["empty", "tie"], abstain=True)

    assert {item.id: item.reason for item in waiting(store)} == {
        "words": "unknown_tokens", "guesses": "top_two_tie", "tie": "top_two_tie",
    }  # fmt: skip


async def test_version_without_a_rule_is_unsure_of_what_may_well_be_wrong(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the confidence alone counts."""
    async with reviewing(settings) as client:
        await ask(client, vector=CONNECTION, id="sure")
        monkeypatch.setattr(intake, "UNSURE", 1.1)
    async with reviewing(settings) as client:
        await ask(client, vector=ACCESS, id="unsure")
    assert [item.id for item in waiting(store)] == ["unsure"]


async def test_tests_explanations_and_values_are_not_kept(settings: Settings, store: Store) -> None:
    """A test's tickets have their category already; a model of another kind has none to give."""
    publish(store, **UNSURE)
    async with reviewing(settings) as client:
        rows = [{"category": "Accès utilisateur", "tokens": ACCESS}]
        assert (await client.post("/test", json=MODEL | {"test_data": rows})).status_code == 200
        assert (await client.post("/search", json=PRICES | {"vector": [40, 3]})).status_code == 200
        await ask(client, vector=CONNECTION, explain=True, id="asked")
    assert [item.id for item in waiting(store)] == ["asked"]  # once, whatever the explanation asked besides
    assert waiting(store, "prices") == []


async def test_buffer_and_queue_bound_what_is_kept(settings: Settings, store: Store) -> None:
    """A worker keeps BUFFER_TICKETS between two writes, a model `review_limit`, and no ticket that is far too long."""
    publish(store, **UNSURE)
    many = [[f"mot{number}"] for number in range(3 * BUFFER_TICKETS)]
    async with reviewing(settings) as client:
        await ask(client, vectors=many)
        await ask(client, text="un de trop")
    assert [item.content for item in waiting(store)] == many[:BUFFER_TICKETS]
    async with reviewing(settings, review_limit=BUFFER_TICKETS + 2) as client:
        await ask(client, vectors=many[-5:])
        await ask(client, text="long " * (MAX_TICKET_BYTES // 5 + 1))
    assert len(waiting(store)) == BUFFER_TICKETS + 2


async def test_full_disk_stops_no_search(settings: Settings, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be written is not kept, the log says so once, and searches are answered."""
    publish(store, **UNSURE)
    (store.folder(NAME) / FOLDER).write_bytes(b"no folder")
    async with started(msgspec.structs.replace(settings, review=True)) as app, connect(app) as client:
        listening = intake.ReviewIntake(app.state.review.queue)
        app.state.batcher._listen = listening.note
        for _ in range(3):
            await ask(client, vector=CONNECTION)
            await listening.save()
    said = [record.getMessage() for record in caplog.records if "to be reviewed" in record.getMessage()]
    assert [kept.FOLDER in one and "connexion" not in one for one in said] == [True]
