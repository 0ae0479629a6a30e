"""The routes of corrections: what is kept, what is refused, who may, and what an erasure leaves."""

import asyncio
import json
import sqlite3

import httpx
import msgspec
import pytest

from artifacts.store import feedback as kept
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from inference import corrections
from inference.settings import Settings
from tests.conftest import full_disk
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, check_problem, pointers

pytestmark = pytest.mark.anyio

NAME = "puppet-o2"
GOOD = {"name": NAME, "id": "t-1", "tokens": ACCESS, "category": "Accès utilisateur", "version": 1}


async def test_correction_is_kept_and_shown(client: httpx.AsyncClient) -> None:
    """The answer says what was kept, and an administrator finds it by its id."""
    answer = await client.post("/feedback", json=GOOD)

    assert answer.json() == {
        "status": "feedback stored", "model_name": NAME, "id": "t-1", "replaced": False, "is_new_category": False,
    }  # fmt: skip
    shown = (await client.get(f"/models/{NAME}/feedback/t-1")).json()
    assert shown.pop("created").endswith("Z")
    assert shown == {"id": "t-1", "category": "Accès utilisateur", "tokens": ACCESS, "version": 1}


async def test_same_id_is_replaced_and_new_category_is_told(client: httpx.AsyncClient) -> None:
    """A category that the model lacks is kept and told; a number as id is the same id as its digits."""
    await client.post("/feedback", json=GOOD | {"id": 7})

    answer = await client.post("/feedback", json={"name": NAME, "id": "7", "text": "Où ?", "category": " Lieu\u0301 "})

    assert (answer.json()["replaced"], answer.json()["is_new_category"]) == (True, True)
    (line,) = (await client.get(f"/models/{NAME}/feedback")).text.splitlines()
    assert (json.loads(line)["category"], json.loads(line)["text"]) == ("Lie\u00fa", "Où ?")


async def test_untrained_model_takes_corrections(client: httpx.AsyncClient) -> None:
    """There is nothing yet that could have the category, or have answered."""
    good = {"name": "untrained", "id": "a", "text": "bonjour", "category": "x"}

    assert (await client.post("/feedback", json=good)).json()["is_new_category"] is None
    assert pointers(check_problem(await client.post("/feedback", json=good | {"version": 1}), 400)) == ["/version"]


async def test_export_is_training_data(client: httpx.AsyncClient, store: Store) -> None:
    """More corrections than a page holds come as JSONL, in their order, each line a row of training data."""
    num = kept.PAGE + 5
    for number in range(num):
        kept.add(store, NAME, kept.Correction(id=str(number), category="é", text=f"ticket {number}"), num)

    answer = await client.get(f"/models/{NAME}/feedback")

    assert answer.headers["content-type"] == "application/jsonl"
    rows = [msgspec.json.decode(line, type=Ticket) for line in answer.content.splitlines()]
    assert [(row.expected, row.content) for row in rows] == [("é", f"ticket {number}") for number in range(num)]
    assert (await client.get("/models/prices/feedback")).content == b""


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"category": " "}, ["/category"]),
        ({"category": 1}, ["/category"]),
        ({"tokens": []}, ["/tokens"]),
        ({"tokens": [" ", ""]}, ["/tokens"]),
        ({"tokens": ["a", 2, 3]}, ["/tokens/1", "/tokens/2"]),
        ({"tokens": ["a\x00b"]}, ["/tokens"]),
        ({"tokens": None, "text": "..."}, ["/text"]),
        ({"text": "both"}, [""]),
        ({"tokens": None}, [""]),
        ({"version": 0}, ["/version"]),
        ({"version": 99, "category": "", "tokens": []}, ["/category", "/tokens", "/version"]),
        ({"id": ""}, ["/id"]),
        ({"id": "a/b"}, ["/id"]),
        ({"id": ".."}, ["/id"]),
        ({"id": "x" * 201}, ["/id"]),
        ({"id": "a\nb"}, ["/id"]),
        ({"id": None}, ["/id"]),
        ({"id": -1}, ["/id"]),
        ({"neural_network_type": "GRU"}, ["/neural_network_type"]),
    ],
)
async def test_body_that_does_not_fit_is_refused_with_every_fault(
    client: httpx.AsyncClient, changes: dict[str, object], found: list[str]
) -> None:
    """Each fault has its pointer, and nothing is kept."""
    body = {name: value for name, value in (GOOD | changes).items() if value is not None or name == "id"}

    assert pointers(check_problem(await client.post("/feedback", json=body), 400)) == found

    assert (await client.get(f"/models/{NAME}/feedback")).content == b""


async def test_missing_fields_are_named(client: httpx.AsyncClient) -> None:
    """An empty object lacks what every correction has."""
    assert pointers(check_problem(await client.post("/feedback", json={}), 400)) == ["/name", "/id", "/category"]


async def test_model_must_tell_categories_apart(client: httpx.AsyncClient) -> None:
    """A model of numbers takes no corrections, and an unknown one is 404."""
    problem = check_problem(await client.post("/feedback", json=GOOD | {"name": "prices"}), 400)
    assert "SimpleNN" in problem["detail"]
    check_problem(await client.post("/feedback", json=GOOD | {"name": "nobody"}), 404, "Model not found")
    check_problem(await client.post("/feedback", json=GOOD | {"name": "../x"}), 400)


async def test_body_has_a_limit_and_a_type(client: httpx.AsyncClient) -> None:
    """A body over the limit is 413, one that is not sent as JSON 415."""
    check_problem(await client.post("/feedback", json=GOOD | {"tokens": ["x" * 300_000]}), 413)
    check_problem(await client.post("/feedback", content=json.dumps(GOOD)), 415)


async def test_what_was_not_corrected_is_404(client: httpx.AsyncClient) -> None:
    """An id without a correction and a model that is not there are told by whoever looks or erases."""
    for method in ("GET", "DELETE"):
        check_problem(await client.request(method, f"/models/{NAME}/feedback/t-9"), 404)
        check_problem(await client.request(method, "/models/nobody/feedback"), 404, "Model not found")
        check_problem(await client.request(method, "/models/nobody/feedback/t-9"), 404, "Model not found")


async def test_erased_correction_is_gone_from_the_disk(client: httpx.AsyncClient, store: Store) -> None:
    """Of two corrections the erased one stands in no file; then all are erased."""
    for number, word in enumerate(("zwxqcanari", "reste")):
        await client.post("/feedback", json=GOOD | {"id": f"{word} é{number}", "tokens": [word]})

    answer = await client.request("DELETE", f"/models/{NAME}/feedback/zwxqcanari é0")

    assert answer.json() == {"status": "erased", "model_name": NAME, "num_erased": 1, "num_bodies": 0}
    held = [path for path in store.root.rglob("*") if path.is_file() and b"zwxqcanari" in path.read_bytes()]
    assert held == []
    assert len((await client.get(f"/models/{NAME}/feedback")).content.splitlines()) == 1
    assert (await client.request("DELETE", f"/models/{NAME}/feedback")).json()["num_erased"] == 1
    assert (await client.get(f"/models/{NAME}/feedback")).content == b""


async def test_limit_of_a_model_is_told(store: Store) -> None:
    """One correction more than the setting allows is 507."""
    async with (
        started(Settings(store=str(store.root), trainer="none", feedback_limit=1)) as app,
        connect(app) as client,
    ):
        assert (await client.post("/feedback", json=GOOD)).status_code == 200

        check_problem(await client.post("/feedback", json=GOOD | {"id": "t-2"}), 507)


async def test_corrections_wait_in_a_bounded_queue(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many at once as many as may wait are kept, and the others are told to come again."""
    monkeypatch.setattr(corrections, "WAITING_LIMIT", 3)

    answers = await asyncio.gather(*(client.post("/feedback", json=GOOD | {"id": number}) for number in range(12)))

    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)
    kept = [json.loads(line)["id"] for line in (await client.get(f"/models/{NAME}/feedback")).text.splitlines()]
    assert sorted(kept) == sorted(str(number) for number in range(12) if statuses[number] == 200)


async def test_damaged_corrections_are_503_and_searches_go_on(client: httpx.AsyncClient, store: Store) -> None:
    """A file that is no database is refused with a remedy; the model answers as before."""
    (store.root / NAME / kept.DATABASE).write_bytes(b"nothing that a database would begin with" * 99)

    for problem in (await client.post("/feedback", json=GOOD), await client.get(f"/models/{NAME}/feedback")):
        assert "move the file away" in check_problem(problem, 503)["detail"]
    search = {"name": NAME, "neural_network_type": "GRU", "vector": ACCESS}
    assert (await client.post("/search", json=search)).status_code == 200


async def test_full_disk_is_503_and_loses_nothing(client: httpx.AsyncClient) -> None:
    """A correction that the disk has no room for is refused with a remedy; those before it are kept, the rest goes on.

    Once there is room, the same correction is taken by the same server.
    """
    search = {"name": NAME, "neural_network_type": "GRU", "vector": ACCESS}
    acknowledged = []
    with full_disk(200_000):
        for number in range(200):
            body = {"name": NAME, "id": f"t-{number}", "text": "x" * 5000, "category": "Nouveau"}
            answer = await client.post("/feedback", json=body)
            if answer.status_code != 200:
                break
            acknowledged.append(f"t-{number}")
        assert "free some space" in check_problem(answer, 503)["detail"]
        assert (await client.post("/search", json=search)).status_code == 200
        exported = [json.loads(line)["id"] for line in (await client.get(f"/models/{NAME}/feedback")).text.splitlines()]

    assert len(acknowledged) > 10
    assert exported == acknowledged
    assert (await client.post("/feedback", json=body)).json()["replaced"] is False
    assert (await client.get(f"/models/{NAME}/feedback")).text.count("\n") == len(acknowledged) + 1


async def test_damaged_record_is_503_and_searches_go_on(client: httpx.AsyncClient, store: Store) -> None:
    """A ticket that no program of ours has written is not exported as something else, and not left out unsaid."""
    for number in (1, 2):
        assert (await client.post("/feedback", json=GOOD | {"id": number})).status_code == 200
    database = sqlite3.connect(store.root / NAME / kept.DATABASE)
    with database:
        database.execute("UPDATE corrections SET ticket = '[1]' WHERE id = '2'")
    database.close()

    for path in (f"/models/{NAME}/feedback", f"/models/{NAME}/feedback/2"):
        assert "are damaged" in check_problem(await client.get(path), 503)["detail"]
    assert (await client.get(f"/models/{NAME}/feedback/1")).status_code == 200
    search = {"name": NAME, "neural_network_type": "GRU", "vector": ACCESS}
    assert (await client.post("/search", json=search)).status_code == 200


async def test_desk_writes_and_only_administrators_read_and_erase(store: Store) -> None:
    """Where search posts corrections its token opens that alone; without a token nothing opens."""
    tokens = {"search_token": "s" * 20, "admin_token": "a" * 20}
    settings = Settings(store=str(store.root), trainer="none", feedback_role="search", **tokens)  # type: ignore[arg-type]
    search, admin = {"Authorization": "Bearer " + "s" * 20}, {"Authorization": "Bearer " + "a" * 20}
    async with started(settings) as app, connect(app) as client:
        check_problem(await client.post("/feedback", json=GOOD), 401)
        assert (await client.post("/feedback", json=GOOD, headers=search)).status_code == 200
        for method in ("GET", "DELETE"):
            for path in (f"/models/{NAME}/feedback/t-1", f"/models/{NAME}/feedback"):
                check_problem(await client.request(method, path, headers=search), 401)
                check_problem(await client.request(method, path), 401)
                assert (await client.request(method, path, headers=admin)).status_code == 200
            await client.post("/feedback", json=GOOD, headers=search)
