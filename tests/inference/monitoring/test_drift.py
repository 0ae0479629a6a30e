"""What is counted of the tickets answered, where it is kept, and what the route tells."""

import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.evaluation.profile import Profile
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from artifacts.text.vocabulary import Encoded
from inference.monitoring.drift import FILE, MAX_COUNTED, MAX_HASHES, MIN_WORD_TICKETS, Drift, NewWords, is_word
from inference.search.context import Awaited, QueuedRequest, RequestContext
from inference.settings import Settings
from tests.conftest import gru_version
from tests.inference.conftest import connect, started
from tests.inference.helpers import CATEGORY, CONNECTION, MODEL, check_problem

pytestmark = pytest.mark.anyio

STREAM = [tokens for category, tokens in CATEGORY.items() for _ in range(60)]
ROUTE = "/models/puppet-o2/drift"


def publish_profile(store: Store, stream: list[list[str]]) -> int:
    """Publish a version of the fixture model whose training saw `stream`, and return its number."""
    manifest, files = gru_version(store)
    model = GruModel(manifest, files)
    encoded = [model.encode(tokens) for tokens in stream]
    profile = Profile()
    for ticket, answer in zip(encoded, model.predict(encoded), strict=True):
        profile.add(answer.category, answer.confidence, len(ticket.unknown), len(ticket.ids))
    return store.publish(msgspec.structs.replace(manifest, profile=profile), files).version


@pytest.fixture
async def app(store: Store, settings: Settings) -> AsyncIterator[Litestar]:
    """Give the running application over a model that has a profile."""
    assert publish_profile(store, STREAM) == 2
    async with started(settings) as app:
        yield app


async def ask(client: httpx.AsyncClient, stream: list[list[str]]) -> None:
    """Have tickets answered, a hundred at a time."""
    for start in range(0, len(stream), 100):
        response = await client.post("/search", json=MODEL | {"vectors": stream[start : start + 100]})
        assert response.status_code == 200, response.text


async def told(client: httpx.AsyncClient, **query: int) -> dict[str, Any]:
    """Return what the route tells."""
    response = await client.get(ROUTE, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_stream_of_the_training_is_stable(client: httpx.AsyncClient) -> None:
    """The same tickets as at training give no reason, and each is counted once, by whichever route it came."""
    await ask(client, STREAM)
    await client.post("/search", json=MODEL | {"vector": CONNECTION})
    await client.post("/predict", json={"email_text": " ".join(CONNECTION)})

    found = await told(client)

    assert (found["verdict"], found["reasons"], found["detail"]) == ("stable", [], "")
    assert (found["model_name"], found["version"]) == ("puppet-o2", 2)
    assert (found["num_tickets"], found["num_expected"]) == (len(STREAM) + 2, len(STREAM))
    assert [day["num_tickets"] for day in found["days"]] == [len(STREAM) + 2]


async def test_drift_names_the_category_and_the_unknown_tokens(client: httpx.AsyncClient) -> None:
    """A category that takes over and tokens that nobody knows are both told, and how often new words came."""
    stream = [tokens for one in STREAM for tokens in (one, CONNECTION)]
    # Neighbours differ in length, for a ticket that is sent again brings no new word.
    misspelt = {number: ["conecter", *["plus"] * (number % 2)] for number in range(0, len(stream), 3)}
    await ask(client, [misspelt.get(number, []) + tokens for number, tokens in enumerate(stream)])

    found = await told(client)

    assert found["verdict"] == "drift"
    named = {(reason["what"], reason.get("category")) for reason in found["reasons"]}
    assert {("category_share", "Problème de connexion"), ("unknown_tokens", None)} <= named
    assert found["new_words"] == [{"word": "conecter", "num_tickets": len(STREAM) * 2 // 3}]


@pytest.mark.parametrize("num_tickets", [0, 99])
async def test_few_tickets_give_no_verdict(client: httpx.AsyncClient, num_tickets: int) -> None:
    """Under a hundred tickets it is said how many there are, and nothing more."""
    await ask(client, [CONNECTION] * num_tickets)

    found = await told(client)

    assert (found["verdict"], found["reasons"]) == ("not_enough_data", [])
    assert found["detail"].startswith(f"{num_tickets} tickets were answered")


async def test_version_without_a_profile_gives_no_verdict(settings: Settings) -> None:
    """A version of before there were profiles, and a kind without text, say what to do."""
    async with started(settings) as app, connect(app) as client:
        await ask(client, STREAM)
        for name in ("puppet-o2", "prices"):
            found = (await client.get(f"/models/{name}/drift")).json()
            assert (found["verdict"], found["num_tickets"]) == ("not_enough_data", 0)
            assert "train it again" in found["detail"]


async def test_wrong_questions_are_refused(client: httpx.AsyncClient) -> None:
    """Days outside of what is kept are 400, as is an untrained model; a model that is not there is 404."""
    for days in (0, 31, "x"):
        check_problem(await client.get(ROUTE, params={"days": days}), 400)
    check_problem(await client.get("/models/untrained/drift"), 400, "Model not trained yet")
    check_problem(await client.get("/models/nobody/drift"), 404, "Model not found")


async def test_counts_survive_a_restart_and_are_summed_over_workers(store: Store, settings: Settings) -> None:
    """Two workers on one store tell the same sum, and so does one that comes after both."""
    publish_profile(store, STREAM)
    async with started(settings) as first, started(settings) as second:
        async with connect(first) as client:
            await ask(client, STREAM)
        await first.state.drift.save()
        async with connect(second) as client:
            await ask(client, STREAM[:50])
            assert (await told(client))["num_tickets"] == len(STREAM) + 50
        async with connect(first) as client:
            assert (await told(client))["num_tickets"] == len(STREAM) + 50
            await ask(client, STREAM[:5])
    async with started(settings) as third, connect(third) as client:
        assert (await told(client))["num_tickets"] == len(STREAM) + 55


async def test_days_pass(store: Store, app: Litestar, client: httpx.AsyncClient, monkeypatch: Any) -> None:
    """The window leaves older days out, and what is older than is kept is removed from the disk."""
    clock = [1_800_000_000.0]
    monkeypatch.setattr("inference.monitoring.drift.time.time", lambda: clock[0])
    await ask(client, STREAM)
    await told(client)
    clock[0] += 3 * 86400
    await ask(client, STREAM[:7])

    assert [day["num_tickets"] for day in (await told(client))["days"]] == [len(STREAM), 7]
    assert (await told(client, days=3))["num_tickets"] == 7
    clock[0] += 28 * 86400
    await ask(client, STREAM[:1])
    assert [day["num_tickets"] for day in (await told(client, days=30))["days"]] == [7, 1]
    with sqlite3.connect(store.root / "puppet-o2" / FILE) as file:
        assert len(file.execute("SELECT DISTINCT day FROM counts").fetchall()) == 2
    file.close()


async def test_new_words_are_not_for_a_search_token(store: Store, settings: Settings) -> None:
    """A word that ten tickets hold may be a name: only an admin token sees it with the verdict."""
    publish_profile(store, STREAM)
    own = msgspec.structs.replace(settings, search_token="search-token-of-16", admin_token="admin-token-of-16")
    found = {}
    async with started(own) as app, connect(app) as client:
        for token in (own.search_token, own.admin_token):
            client.headers["Authorization"] = f"Bearer {token}"
            await ask(client, [["conecter", *["plus"] * (n % 2), *one] for n, one in enumerate(STREAM)])
            found[token] = await told(client)

    assert found[own.search_token]["new_words"] == []
    assert found[own.search_token]["num_tickets"] == len(STREAM)
    assert [one["word"] for one in found[own.admin_token]["new_words"]] == ["conecter"]


async def test_no_word_of_a_ticket_is_kept(store: Store, app: Litestar, client: httpx.AsyncClient) -> None:
    """A word that few tickets hold is neither told nor on the disk, nor is one with a digit in it, however frequent."""
    few = [["canary", *tokens] for tokens in STREAM[: MIN_WORD_TICKETS - 1]]
    await ask(client, few + [["ab12345", *tokens] for tokens in STREAM] + STREAM)

    found = await told(client)
    await app.state.drift.save()

    raw = b"".join(path.read_bytes() for path in (store.root / "puppet-o2").glob(f"{FILE}*"))
    assert found["new_words"] == []
    assert b"Cr\xc3\xa9ation de client" in raw
    for word in (b"canary", b"ab12345", b"coffre"):
        assert word not in raw


async def test_counts_go_with_the_model(store: Store, app: Litestar, client: httpx.AsyncClient) -> None:
    """A model that is deleted takes its counts along, and what was not saved yet is dropped."""
    await ask(client, STREAM)
    await told(client)
    await ask(client, STREAM)
    await client.delete("/models/puppet-o2")

    await app.state.drift.save()

    assert not (store.root / "puppet-o2").exists()
    assert app.state.drift.is_saved


async def test_counts_stay_in_memory_while_the_disk_cannot_be_written(
    store: Store, app: Litestar, client: httpx.AsyncClient
) -> None:
    """Nothing is lost or counted twice while the file is not to be had, and the answer says so."""
    (store.root / "puppet-o2" / FILE).mkdir()
    await ask(client, STREAM)

    for _ in range(2):
        found = await told(client)
        assert (found["num_tickets"], found["verdict"]) == (len(STREAM), "stable")
        assert "cannot be written" in found["detail"]
    (store.root / "puppet-o2" / FILE).rmdir()
    found = await told(client)
    assert (found["num_tickets"], found["detail"]) == (len(STREAM), "")


async def test_large_request_is_sampled(model: GruModel, store: Store) -> None:
    """Of a request with many tickets each n-th is counted, so that counting cannot hold the loop up."""
    publish_profile(store, STREAM)
    watched = GruModel(*store.read_version("puppet-o2", 2))
    drift = Drift(store.root, 30)
    encoded = [watched.encode(CONNECTION)] * (3 * MAX_COUNTED)
    (answer,) = watched.predict(encoded[:1])
    context = RequestContext()

    drift.count(QueuedRequest(watched, encoded, 1, context, Awaited(context)), [answer] * len(encoded))

    assert (await drift.found("puppet-o2", 2, 1)).profile.num_tickets == MAX_COUNTED


async def test_nothing_is_counted_with_zero_days(store: Store, settings: Settings) -> None:
    """`drift_days` 0 turns counting off."""
    publish_profile(store, STREAM)
    async with started(msgspec.structs.replace(settings, drift_days=0)) as app, connect(app) as client:
        await ask(client, STREAM)
        assert (await told(client))["num_tickets"] == 0
    assert not (store.root / "puppet-o2" / FILE).exists()


def ticket(number: int, *words: str) -> Encoded:
    """Return a ticket with unknown words."""
    return Encoded([number], list(words), [[1]] * len(words), 0)


def test_new_word_is_shown_from_the_tenth_ticket_on() -> None:
    """Nine tickets show nothing, the tenth shows the word with all ten, and a ticket sent again counts once."""
    words = NewWords()
    for number in range(MIN_WORD_TICKETS - 1):
        for _ in range(20):
            words.add(ticket(number, "conexion"))

    assert words.words == {}
    words.add(ticket(99, "conexion"))
    assert words.words == {"conexion": MIN_WORD_TICKETS}


def test_new_words_are_bounded_and_never_counted_too_high() -> None:
    """However many words come, so many hashes are kept; what comes often is found among them."""
    words = NewWords()
    for number in range(3 * MAX_HASHES):
        words.add(ticket(number, f"seldom{number}"))
        words.add(ticket(number, "often"))

    assert len(words._counts) <= MAX_HASHES
    assert list(words.words) == ["often"]
    assert 3 * MAX_HASHES - 10 <= words.words["often"] <= 3 * MAX_HASHES


@pytest.mark.parametrize(
    ("token", "shown"),
    [("conexion", True), ("aujourd'hui", True), ("e-mail", True), ("été", True), ("a1", False), ("a@b", False),
     ("<PERSON>", False), ("mot de passe", False), ("x" * 41, False), ("", False), ("--", False)],
)  # fmt: skip
def test_only_words_of_letters_are_shown(token: str, shown: bool) -> None:
    """Numbers, addresses, phrases and placeholders are counted as unknown and never spelt."""
    assert is_word(token) == shown
