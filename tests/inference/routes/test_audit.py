"""The audit log over HTTP: each change is in it under the name of its token, without a word of a ticket."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from artifacts.store import audit
from artifacts.store.audit import AuditLog, digest_of
from artifacts.store.store import Store
from inference.settings import Settings
from inference.tokens import NamedToken, sha256_of
from tests.inference.conftest import connect, started
from tests.inference.helpers import check_problem, publish_permuted

pytestmark = pytest.mark.anyio

NAME, CANARY = "puppet-o2", "zwxqcanari"
TOKENS = [NamedToken("anna", "admin", sha256_of("anna's")), NamedToken("desk", "label", sha256_of("desk's"))]
ANNA, DESK = {"Authorization": "Bearer anna's"}, {"Authorization": "Bearer desk's"}
CORRECTION = {"name": NAME, "id": "t-1", "text": f"ticket {CANARY}", "category": "Accès utilisateur"}
TRAINING = {
    "name": NAME,
    "neural_network_type": "GRU",
    "training_data": [{"category": "a", "tokens": [CANARY]}, {"category": "b", "tokens": ["x"]}],
}


def files_with(store: Store, word: str) -> list[Path]:
    """Return the files of the audit log in which a word stands."""
    return [path for path in store.root.glob(f"{audit.DATABASE}*") if word.encode() in path.read_bytes()]


async def entries(client: httpx.AsyncClient, **query: int) -> list[dict[str, Any]]:
    """Return the entries of the log, the newest first."""
    answer = await client.get("/audit", params=query, headers=ANNA)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entries"])


async def test_every_change_is_noted(settings: Settings, store: Store) -> None:
    """Who did what to what, with which outcome: a row for each route that changes something, in order."""
    version = publish_permuted(store)
    async with started(settings, TOKENS) as app, connect(app) as client:

        async def ask(method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
            return (await client.request(method, path, headers=headers, json=body)).status_code

        new = {"name": "new", "neural_network_type": "GRU"}
        assert await ask("POST", "/create_model", ANNA, new) == 200
        assert await ask("POST", "/create_model", ANNA, new) == 400
        assert await ask("POST", "/feedback", DESK, CORRECTION) == 200
        assert await ask("POST", f"/models/{NAME}/promote", ANNA, {"version": 1}) == 200
        assert await ask("POST", f"/models/{NAME}/promote", ANNA, {"version": 2**64 - 1}) == 404
        assert await ask("POST", f"/models/{NAME}/rollback", ANNA, {}) in (200, 409)
        assert await ask("POST", f"/models/{NAME}/promote", ANNA, {"version": 1}) == 200
        assert await ask("DELETE", f"/models/{NAME}/versions/{version}", ANNA) == 200
        assert await ask("DELETE", f"/models/{NAME}/versions/1", ANNA) == 409
        assert await ask("DELETE", f"/models/{NAME}/feedback/t-1", ANNA) == 200
        assert await ask("DELETE", f"/models/{NAME}/feedback", ANNA) == 200
        assert await ask("DELETE", "/models/new", ANNA) == 200
        found = (await entries(client))[::-1]

        limited = await entries(client, limit=2)
        older = await entries(client, limit=2, before=limited[-1]["number"])

    what = [(one["token_name"], one["action"], one.get("model_name"), one["outcome"]) for one in found]
    rolled_back = what.pop(5)
    assert rolled_back[:3] == ("anna", "rollback", NAME)
    assert what == [
        ("anna", "create_model", "new", "done"),
        ("anna", "create_model", "new", "refused"),
        ("desk", "keep_correction", NAME, "done"),
        ("anna", "promote", NAME, "done"),
        ("anna", "promote", NAME, "refused"),
        ("anna", "promote", NAME, "done"),
        ("anna", "delete_version", NAME, "done"),
        ("anna", "delete_version", NAME, "refused"),
        ("anna", "erase_correction", NAME, "done"),
        ("anna", "erase_corrections", NAME, "done"),
        ("anna", "delete_model", "new", "done"),
    ]
    assert (found[1]["error"], found[8]["error"]) == ("ModelExists", "VersionServes")
    assert found[3]["version"] == 1
    assert found[7]["version"] == version
    assert found[2]["role"] == "label"
    assert found[2]["correction"] == found[9]["correction"] == digest_of("t-1")
    assert [one["number"] for one in limited + older] == [one["number"] for one in found[:-5:-1]]
    assert files_with(store, CANARY) == []


@pytest.mark.usefixtures("check_here")
async def test_training_and_its_cancellation_are_noted(settings: Settings, store: Store) -> None:
    """Job and log name the token; a body that the check refuses asks for nothing and is not noted."""
    trains = Settings(store=settings.store, trainer="local")
    async with started(trains, TOKENS) as app, connect(app) as client:
        headers = ANNA | {"Prefer": "respond-async"}
        bad = await client.post("/train_model", json=TRAINING | {"training_data": []}, headers=headers)
        check_problem(bad, 400)
        job = (await client.post("/train_model", json=TRAINING, headers=headers)).json()["job"]
        cancelled = (await client.post(f"/jobs/{job}/cancel", json={}, headers=ANNA)).json()
        check_problem(await client.post(f"/jobs/{CANARY}/cancel", json={}, headers=ANNA), 404)
        cancel, train = await entries(client)

    assert cancelled["token_name"] == "anna"
    assert (train["action"], train["job"], train["model_name"], train["outcome"]) == ("train", job, NAME, "done")
    assert (cancel["action"], cancel["job"], cancel["token_name"]) == ("cancel", job, "anna")
    assert files_with(store, CANARY) == []


async def test_correction_carries_the_name(settings: Settings) -> None:
    """Who reads corrections sees by which token each came."""
    async with started(settings, TOKENS) as app, connect(app) as client:
        for number, headers in enumerate((DESK, ANNA)):
            await client.post("/feedback", json=CORRECTION | {"id": number}, headers=headers)

        answer = await client.get(f"/models/{NAME}/feedback", headers=DESK)

    assert [json.loads(line)["token_name"] for line in answer.text.splitlines()] == ["desk", "anna"]


async def test_caller_without_a_token_has_no_name(client: httpx.AsyncClient) -> None:
    """On a server without tokens the log says that the caller was on this machine."""
    await client.post("/feedback", json=CORRECTION)

    (entry,) = (await client.get("/audit")).json()["entries"]
    assert (entry["token_name"], entry.get("role")) == ("(this machine)", None)


async def test_refused_caller_leaves_no_entry(settings: Settings) -> None:
    """A request without the right token, or for what can be no model, writes nothing: it could fill the disk."""
    async with started(settings, TOKENS) as app, connect(app) as client:
        check_problem(await client.delete(f"/models/{NAME}", headers=DESK), 401)
        check_problem(await client.delete(f"/models/{NAME}"), 401)
        check_problem(await client.delete("/models/Zwxq%20Canari", headers=ANNA), 400)
        check_problem(
            await client.post("/create_model", json={"name": "A b", "neural_network_type": "GRU"}, headers=ANNA), 400
        )

        assert await entries(client) == []


async def test_change_that_cannot_be_noted_is_refused(settings: Settings, store: Store) -> None:
    """With an audit log that cannot be written nothing is changed, and the answer says why."""
    (store.root / audit.DATABASE).write_bytes(b"no database, and long enough to be taken for none " * 20)
    async with started(settings, TOKENS) as app, connect(app) as client:
        for answer in (
            await client.post("/feedback", json=CORRECTION, headers=DESK),
            await client.delete(f"/models/{NAME}", headers=ANNA),
        ):
            assert "audit log" in check_problem(answer, 503)["detail"]
        assert (await client.get(f"/models/{NAME}/feedback", headers=DESK)).text == ""

    assert NAME in store.models()


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "before=0", "before=x", f"before={2**63}"])
async def test_wrong_page_is_refused(client: httpx.AsyncClient, query: str) -> None:
    """What is no number of entries, or no number of an entry, is 400."""
    check_problem(await client.get(f"/audit?{query}"), 400)


async def test_old_entries_go_at_the_start(settings: Settings, store: Store) -> None:
    """A server that starts deletes what is older than `audit_days`."""
    with AuditLog(store.root, 10).change(audit.NOBODY, "promote", CANARY):
        pass
    database = sqlite3.connect(store.root / audit.DATABASE)
    database.execute("DROP TRIGGER changes_stay")
    database.execute("UPDATE changes SET at = at - 11 * 86400000")
    database.commit()
    database.close()
    short = Settings(store=settings.store, trainer="none", audit_days=10)

    async with started(short) as app, connect(app) as client:
        assert (await client.get("/audit")).json() == {"entries": []}
        app.state.audit.prune()

    assert files_with(store, CANARY) == []
