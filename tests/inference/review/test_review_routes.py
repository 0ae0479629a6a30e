"""The routes of the review queue: what is shown, in which order, what is refused, and what closes a ticket."""

import json
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.store.review import FOLDER, MAX_TICKET_BYTES, id_of
from artifacts.store.store import Store
from inference.settings import Settings
from inference.tokens import NamedToken, sha256_of
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CATEGORY, CLIENT, CONNECTION, check_problem, pointers, publish_permuted
from tests.inference.search.test_ranked import UNKNOWN, publish

pytestmark = pytest.mark.anyio

NAME = "puppet-o2"
PATH = f"/models/{NAME}/review"
DESK = {"Authorization": "Bearer desk's"}
TOKENS = [NamedToken("anna", "admin", sha256_of("anna's")), NamedToken("desk", "label", sha256_of("desk's"))]


@pytest.fixture
def settings(store: Store) -> Settings:
    """Give the settings of a server that keeps tickets to be reviewed."""
    return Settings(store=str(store.root), trainer="none", review=True, review_limit=50)


async def load(client: httpx.AsyncClient, *tickets: dict[str, Any], path: str = PATH) -> dict[str, Any]:
    """Load tickets, and return what the server says of them."""
    answer = await client.post(path, json={"tickets": tickets})
    assert answer.status_code == 200, answer.text
    loaded: dict[str, Any] = answer.json()
    return loaded


async def shown(client: httpx.AsyncClient, path: str = PATH, **query: Any) -> list[dict[str, Any]]:
    """Return the tickets that wait."""
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_loaded_tickets_wait_with_guesses(client: httpx.AsyncClient) -> None:
    """A ticket is shown as it was loaded, with the guesses of the version that serves."""
    told = await load(client, {"id": "a", "tokens": ACCESS}, {"text": "Un souci !"}, {"id": 7, "tokens": ACCESS})

    assert told == {
        "status": "tickets wait", "model_name": NAME, "num_added": 2, "num_known": 1, "num_waiting": 2,
    }  # fmt: skip
    first, second = await shown(client, order="oldest")
    assert list(first) == [
        *("id", "tokens", "created", "category", "confidence", "reason", "best", "version", "group", "group_size")
    ]
    assert (first["id"], first["tokens"], first["category"]) == ("a", ACCESS, "Accès utilisateur")
    assert (first["version"], first["reason"], first["group"], first["group_size"]) == (1, None, 0, 1)
    assert first["best"][0] == {"category": "Accès utilisateur", "confidence": first["confidence"]}
    assert sorted(guess["category"] for guess in first["best"]) == sorted(CATEGORY)
    assert (second["id"], second["text"], second["group"]) == (id_of("Un souci !"), "Un souci !", 1)


async def test_orders(client: httpx.AsyncClient, store: Store) -> None:
    """Uncertain is by confidence, diverse shows each group once first, oldest as they came; `limit` cuts."""
    copies = [{"id": f"copy-{number}", "tokens": [*CONNECTION, "!" * number]} for number in range(4)]
    await load(client, *copies, {"id": "other", "tokens": ACCESS}, {"id": "odd", "tokens": UNKNOWN})

    oldest = [item["id"] for item in await shown(client, order="oldest")]
    unsure = await shown(client, order="uncertain")
    spread = await shown(client, order="diverse", limit=3)

    assert oldest == [*(copy["id"] for copy in copies), "other", "odd"]
    assert [item["confidence"] for item in unsure] == sorted(item["confidence"] for item in unsure)
    assert sorted(item["id"] for item in unsure) == sorted(oldest)
    assert unsure == await shown(client)
    assert {item["group"] for item in spread} == {0, 1, 2}
    assert (spread[0]["group"], spread[0]["group_size"]) == (0, 4)
    answer = (await client.get(PATH, params={"limit": 2})).json()
    assert (answer["model_name"], answer["num_waiting"], len(answer["items"])) == (NAME, 6, 2)


async def test_guesses_are_of_the_version_that_serves(client: httpx.AsyncClient, app: Litestar, store: Store) -> None:
    """After a training the queue says what the new version thinks, and where it is not sure enough it says nothing."""
    await load(client, {"id": "a", "tokens": ACCESS}, {"id": "b", "tokens": [*UNKNOWN, "accès"]})
    (before, _) = await shown(client, order="oldest")
    publish_permuted(store)
    await app.state.registry.refresh()
    (after, _) = await shown(client, order="oldest")
    publish(store)  # a rule of abstention
    await app.state.registry.refresh()
    (sure, unsure) = await shown(client, order="oldest")

    assert (before["version"], after["version"], sure["version"]) == (1, 2, 3)
    assert before["category"] == sure["category"] != after["category"]
    assert (unsure["category"], unsure["reason"]) == (None, "unknown_tokens")
    assert unsure["best"]


async def test_feedback_and_skipping_close_for_good(client: httpx.AsyncClient) -> None:
    """A labelled ticket is gone from the queue, so is a skipped one, and neither comes back when it is loaded again."""
    tickets = [{"id": name, "text": f"ticket {name}"} for name in ("a", "b", "c")]
    await load(client, *tickets)
    correction = {"name": NAME, "id": "a", "text": "ticket a", "category": "Nouveau"}

    assert (await client.post("/feedback", json=correction)).status_code == 200
    skipped = await client.delete(f"{PATH}/b")

    assert skipped.json() == {"status": "skipped", "model_name": NAME, "id": "b"}
    assert [item["id"] for item in await shown(client)] == ["c"]
    told = await load(client, *tickets)
    assert (told["num_added"], told["num_known"], told["num_waiting"]) == (0, 3, 1)
    problem = check_problem(await client.delete(f"{PATH}/b"), 404)
    assert (problem["type"], problem["item"]) == ("/problems/review-item-not-found", "b")
    assert (await client.post("/feedback", json=correction | {"id": "z", "text": "ticket c"})).status_code == 200
    assert await shown(client) == []  # the same ticket, under another id


async def test_untrained_model_has_a_queue(client: httpx.AsyncClient) -> None:
    """Tickets may wait for the labels of a first training: without guesses, but in every order."""
    path = "/models/untrained/review"
    await load(client, {"id": "a", "tokens": ACCESS}, {"id": "b", "tokens": CLIENT}, path=path)

    for order in ("oldest", "uncertain", "diverse"):
        first, second = await shown(client, path, order=order)
        assert (first["id"], second["id"]) == ("a", "b")
        assert (first["category"], first["confidence"], first["best"], first["version"]) == (None, None, [], None)
    assert (await client.get(PATH)).json() == {"model_name": NAME, "num_waiting": 0, "items": []}


@pytest.mark.parametrize(
    ("tickets", "found"),
    [
        ([{"text": " "}], ["/tickets/0/text"]),
        ([{"text": "a"}, {"tokens": []}], ["/tickets/1/tokens"]),
        ([{"text": "a\x00b"}], ["/tickets/0/text"]),
        ([{"text": "a", "tokens": ["a"]}, {}], ["/tickets/0", "/tickets/1"]),
        ([{"text": "a", "id": ".."}, {"text": "b", "id": "x/y"}], ["/tickets/0/id", "/tickets/1/id"]),
        ([{"text": "a", "id": -1}], ["/tickets/0/id"]),
        ([{"text": "a", "category": "x"}], ["/tickets/0/category"]),
        ([{"text": "ab " * MAX_TICKET_BYTES}], ["/tickets/0/text"]),
        ([{"text": ""}] * 25, [f"/tickets/{number}/text" for number in range(20)]),
        (1, ["/tickets"]),
        (None, ["/tickets"]),
    ],
)
async def test_every_fault_is_named_and_nothing_is_added(
    client: httpx.AsyncClient, store: Store, tickets: Any, found: list[str]
) -> None:
    """A load with a fault is refused as a whole, with a pointer for each."""
    assert pointers(check_problem(await client.post(PATH, json={"tickets": tickets}), 400)) == found
    assert not (store.folder(NAME) / FOLDER).exists()


async def test_refusals(client: httpx.AsyncClient) -> None:
    """Unknown models, other kinds, other content types, orders that there are not, and a queue that is full."""
    good = {"tickets": [{"text": f"ticket {number}"} for number in range(51)]}
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/a")):
        body = good if method == "POST" else None
        check_problem(await client.request(method, f"/models/nobody/review{path}", json=body), 404)
        check_problem(await client.request(method, f"/models/No_Body/review{path}", json=body), 400)
    for method in ("GET", "POST"):
        problem = check_problem(await client.request(method, "/models/prices/review", json=good), 400)
        assert problem["type"] == "/problems/no-categories"
    for content_type in ("text/plain", "text/csv", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": content_type}
        check_problem(await client.post(PATH, content=json.dumps(good), headers=headers), 415)
    for query in ({"order": "best"}, {"limit": 0}, {"limit": 1001}, {"limit": "x"}):
        check_problem(await client.get(PATH, params=query), 400)
    check_problem(await client.post(PATH, content=b'{"tickets": [', headers={"Content-Type": "application/json"}), 400)

    problem = check_problem(await client.post(PATH, json=good), 507)
    assert (problem["type"], problem["num_waiting"], problem["limit"]) == ("/problems/review-full", 0, 50)
    assert (await client.get(PATH)).json()["num_waiting"] == 0


async def test_body_over_its_limit_is_refused(settings: Settings) -> None:
    """A load may be as long as a test."""
    small = msgspec.structs.replace(settings, test_body_bytes=300_000)
    async with started(small) as app, connect(app) as client:
        text = {"text": "mot " * 1000}
        assert (await client.post(PATH, json={"tickets": [text] * 70})).status_code == 200
        check_problem(await client.post(PATH, json={"tickets": [text] * 80}), 413)


async def test_routes_are_refused_while_the_setting_is_off(settings: Settings, store: Store) -> None:
    """409 with what to set; what waits from before still expires, and is closed by its label."""
    async with started(settings) as app, connect(app) as client:
        await load(client, {"id": "a", "text": "ticket a"})
    async with started(msgspec.structs.replace(settings, review=False)) as app, connect(app) as client:
        for method, path in (("GET", PATH), ("POST", PATH), ("DELETE", f"{PATH}/a")):
            problem = check_problem(await client.request(method, path, json={"tickets": []}), 409)
            assert problem["type"] == "/problems/review-off"
        french = await client.get(PATH, headers={"Accept-Language": "fr"})
        assert "PUPPET_REVIEW=true" in check_problem(french, 409)["detail"]
        correction = {"name": NAME, "id": "a", "text": "ticket a", "category": "x"}
        assert (await client.post("/feedback", json=correction)).status_code == 200
    async with started(settings) as app, connect(app) as client:
        assert await shown(client) == []


async def test_loading_and_skipping_are_noted_without_a_word(settings: Settings, store: Store) -> None:
    """The audit log has who loaded and skipped, and no text; a token of the role label is enough."""
    async with started(settings, TOKENS) as app, connect(app) as client:
        body = {"tickets": [{"id": "zwxq-id", "text": "un zwxqcanari"}]}
        assert (await client.post(PATH, json=body, headers=DESK)).status_code == 200
        assert (await client.post(PATH, json={"tickets": [{"text": ""}]}, headers=DESK)).status_code == 400
        assert (await client.get(PATH, headers=DESK)).status_code == 200
        assert (await client.delete(f"{PATH}/zwxq-id", headers=DESK)).status_code == 200
        assert (await client.delete(f"{PATH}/zwxq-id", headers=DESK)).status_code == 404
        log = (await client.get("/audit", headers={"Authorization": "Bearer anna's"})).json()["entries"]

    assert [(one["token_name"], one["action"], one["model_name"], one["outcome"]) for one in log] == [
        ("desk", "skip_review", NAME, "refused"),
        ("desk", "skip_review", NAME, "done"),
        ("desk", "load_review", NAME, "done"),
    ]
    assert "zwxq" not in json.dumps(log)
