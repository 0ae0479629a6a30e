"""The routes under /models: what is shown, what changes which version serves, what is refused."""

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.store.store import Store
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import CONNECTION, MODEL, check_problem, damage, publish_permuted

pytestmark = pytest.mark.anyio


async def category(client: httpx.AsyncClient) -> tuple[str, int]:
    """Return what the serving version says of a ticket, and its number."""
    answer = (await client.post("/search", json=MODEL | {"vector": CONNECTION})).json()
    return answer["category"], answer["version"]


@pytest.fixture
async def two(store: Store, app: Litestar, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Give a client of a server whose model has two versions that answer differently; the second one serves."""
    assert publish_permuted(store) == 2
    await app.state.registry.refresh()
    return client


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    """Every model of the store is there with its kind, its versions, what serves, and since when."""
    models = {model["name"]: model for model in (await client.get("/models")).json()["models"]}

    assert list(models) == ["prices", "puppet-o2", "untrained"]
    assert models["prices"]["neural_network_type"] == "SimpleNN"
    shown = models["puppet-o2"]
    assert (shown["state"], shown["version"], shown["current"], shown["versions"]) == ("serving", 1, 1, [1])
    assert [served["version"] for served in shown["history"]] == [1]
    assert shown["engine"] == "onnxruntime"
    assert models["untrained"] | {"created": ""} == {
        "name": "untrained", "neural_network_type": "GRU", "created": "", "state": "untrained", "version": None,
        "engine": None, "current": None, "versions": [], "history": [], "before": None,
    }  # fmt: skip


async def test_version_tells_its_categories_and_how_sure_it_is(client: httpx.AsyncClient, store: Store) -> None:
    """The categories are those of labels.json, the figures those of the report; older versions and kinds have none."""
    manifest, files = store.read_version("puppet-o2", 1)
    report = msgspec.json.decode(files["report.json"])
    figures = {"accuracy_interval": {"low": 0.76, "high": 1.0}, "ece": 0.03}
    report["validation"] |= figures
    store.publish(manifest, files | {"report.json": msgspec.json.encode(report)})
    paths = ("puppet-o2/versions/2", "puppet-o2/versions/1", "prices/versions/1")
    newer, older, prices = [(await client.get(f"/models/{path}")).json() for path in paths]

    assert newer["categories"] == older["categories"] == msgspec.json.decode(files["labels.json"])
    assert newer["figures"] == figures
    assert older["figures"] == prices["figures"] == dict.fromkeys(figures)
    assert prices["categories"] == []


async def test_model_tells_what_a_rollback_would_let_serve(two: httpx.AsyncClient) -> None:
    """It is the version that a rollback then does let serve; with nothing before it there is none."""
    before = [(await two.get("/models/puppet-o2")).json()["before"]]
    rolled_back = (await two.post("/models/puppet-o2/rollback", json={})).json()["version"]
    before.append((await two.get("/models/puppet-o2")).json()["before"])

    assert before == [rolled_back, None]


async def test_one_model_is_shown_as_in_the_list(client: httpx.AsyncClient) -> None:
    """The model's own page says what the list says of it."""
    models = (await client.get("/models")).json()["models"]

    assert [(await client.get(f"/models/{model['name']}")).json() for model in models] == models


async def test_version_shows_its_manifest_and_its_etag(store: Store, client: httpx.AsyncClient) -> None:
    """The manifest comes whole, and the ETag is the hash that it carries."""
    response = await client.get("/models/puppet-o2/versions/1")

    manifest, _ = store.read_version("puppet-o2", 1)
    assert response.json()["serves"] is True
    assert response.json()["manifest"]["sha256"] == manifest.sha256
    assert response.json()["manifest"]["parity"]["tolerance"] == 1e-5
    assert response.headers["etag"] == f'"{manifest.sha256}"'


async def test_damaged_version_is_shown_as_it_is(store: Store, settings: Settings) -> None:
    """A model whose version cannot be verified after a restart says so; with an earlier one, that another serves."""
    publish_permuted(store)
    damage(store, "puppet-o2", 2)
    damage(store, "prices", 1)

    async with started(settings) as app, connect(app) as client:
        puppet = (await client.get("/models/puppet-o2")).json()
        prices = (await client.get("/models/prices")).json()

    assert (puppet["state"], puppet["version"], puppet["current"]) == ("serving another version", 1, 2)
    assert (prices["state"], prices["version"], prices["current"]) == ("refused", None, 1)


async def test_promoted_version_serves_at_once(two: httpx.AsyncClient) -> None:
    """After the answer of promote the next search comes from that version, and the history says so."""
    before = await category(two)

    response = await two.post("/models/puppet-o2/promote", json={"version": 1})

    assert (response.status_code, response.json()) == (200, {"model_name": "puppet-o2", "version": 1})
    after = await category(two)
    assert (before[1], after[1]) == (2, 1)
    assert before[0] != after[0] == "Problème de connexion"
    history = (await two.get("/models/puppet-o2")).json()["history"]
    assert [served["version"] for served in history] == [1, 2, 1]


async def test_promote_if_match(two: httpx.AsyncClient) -> None:
    """With If-Match the change is made only if that version serves; another one is 412 and changes nothing."""
    first = (await two.get("/models/puppet-o2/versions/1")).headers["etag"]
    second = (await two.get("/models/puppet-o2/versions/2")).headers["etag"]

    lost = await two.post("/models/puppet-o2/promote", json={"version": 1}, headers={"If-Match": first})
    unchanged = await category(two)
    won = await two.post("/models/puppet-o2/promote", json={"version": 1}, headers={"If-Match": f"{first}, {second}"})

    assert second in check_problem(lost, 412)["detail"]
    assert unchanged[1] == 2
    assert won.status_code == 200
    any_etag = await two.post("/models/puppet-o2/promote", json={"version": 2}, headers={"If-Match": "*"})
    assert any_etag.json()["version"] == 2


async def test_damaged_version_is_not_promoted(store: Store, two: httpx.AsyncClient) -> None:
    """A version whose files are damaged is refused and the other goes on serving."""
    damage(store, "puppet-o2", 1)

    check_problem(await two.post("/models/puppet-o2/promote", json={"version": 1}), 503)

    assert (await category(two))[1] == 2


async def test_rollback_serves_what_served_before(two: httpx.AsyncClient) -> None:
    """Rollback goes to the version before; where there is none it is 409."""
    response = await two.post("/models/puppet-o2/rollback", json={})

    assert response.json() == {"model_name": "puppet-o2", "version": 1}
    assert (await category(two))[1] == 1
    check_problem(await two.post("/models/prices/rollback", json={}), 409)


async def test_version_that_serves_is_not_deleted(two: httpx.AsyncClient) -> None:
    """The serving version is 409; another one is gone at once, and its number is free for nobody."""
    check_problem(await two.request("DELETE", "/models/puppet-o2/versions/2"), 409)

    gone = await two.request("DELETE", "/models/puppet-o2/versions/1")

    assert gone.json() == {"status": "deleted", "model_name": "puppet-o2", "version": 1}
    assert (await two.get("/models/puppet-o2")).json()["versions"] == [2]
    check_problem(await two.get("/models/puppet-o2/versions/1"), 404)
    check_problem(await two.request("DELETE", "/models/puppet-o2/versions/1"), 404)


async def test_deleted_model_answers_no_more(client: httpx.AsyncClient) -> None:
    """After a model is deleted a search is 404, and the name may be used again."""
    assert (await client.request("DELETE", "/models/puppet-o2")).json() == {
        "status": "deleted", "model_name": "puppet-o2", "version": None,
    }  # fmt: skip

    check_problem(await client.post("/search", json=MODEL | {"vector": CONNECTION}), 404, "Model not found")
    check_problem(await client.get("/models/puppet-o2"), 404, "Model not found")
    assert (await client.post("/create_model", json=MODEL)).status_code == 200
    check_problem(await client.post("/search", json=MODEL | {"vector": CONNECTION}), 400, "Model not trained yet")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/models/nobody", None, 404),
        ("GET", "/models/nobody/versions/1", None, 404),
        ("GET", "/models/puppet-o2/versions/9", None, 404),
        ("GET", "/models/puppet-o2/versions/0", None, 404),
        ("GET", "/models/..%2fx", None, 404),
        ("POST", "/models/puppet-o2/promote", {"version": 9}, 404),
        ("POST", "/models/puppet-o2/promote", {"version": 0}, 400),
        ("POST", "/models/puppet-o2/promote", {"version": "1"}, 400),
        ("POST", "/models/puppet-o2/promote", {"version": 1, "force": True}, 400),
        ("POST", "/models/untrained/rollback", {}, 400),
        ("DELETE", "/models/nobody", None, 404),
        ("DELETE", "/models/UPPER", None, 400),
    ],
)
async def test_what_is_not_there_is_said(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None, status: int
) -> None:
    """A model, version or body that does not fit gets its status and one sentence."""
    check_problem(await client.request(method, path, json=body), status)


async def test_changes_are_for_administrators(settings: Settings) -> None:
    """From another machine nobody changes anything while no admin token is set."""
    async with started(settings) as app, connect(app, "192.0.2.1") as client:
        for method, path in (
            ("POST", "/models/puppet-o2/promote"),
            ("POST", "/models/puppet-o2/rollback"),
            ("DELETE", "/models/puppet-o2/versions/1"),
            ("DELETE", "/models/puppet-o2"),
        ):
            check_problem(await client.request(method, path, json={"version": 1}), 401)


async def test_steps_lead_to_what_a_search_answers(client: httpx.AsyncClient) -> None:
    """The last probabilities are those of a search, the words named are the ticket's own, and the proof is small."""
    ticket = [*CONNECTION, "conntecter"]
    answer = (await client.post("/search", json=MODEL | {"vector": ticket})).json()
    response = await client.post("/models/puppet-o2/steps", json={"vector": ticket})
    found = response.json()

    assert response.status_code == 200, response.text
    best = max(range(len(found["categories"])), key=lambda label: found["probabilities"][label])
    assert found["categories"][best] == answer["category"]
    assert found["probabilities"][best] == pytest.approx(answer["confidence"], abs=1e-5)
    assert found["num_tokens"] == len(ticket) == len(found["tokens"])
    assert [token["token"] for token in found["tokens"] if not token["known"]] == ["conntecter"]
    # A caller learns no word of the vocabulary (docs/decisions/0026): neighbours in the table of pairs are its own.
    named = {pair[side] for pair in found["linear"]["pairs"] for side in ("before", "after")}
    assert named <= {*ticket, "<begin>", "<end>", "<UNK>"}
    assert max(found["differences"].values()) < 1e-4


async def test_steps_of_a_long_ticket_are_those_of_its_first_tokens(client: httpx.AsyncClient) -> None:
    """Of 100 tokens 64 are shown, in every list; the answer is that to all of them."""
    ticket = (CONNECTION * 25)[:100]
    found = (await client.post("/models/puppet-o2/steps", json={"vector": ticket})).json()
    answer = (await client.post("/search", json=MODEL | {"vector": ticket})).json()

    assert (found["num_tokens"], len(found["tokens"])) == (100, 64)
    assert max(found["probabilities"]) == pytest.approx(answer["confidence"], abs=1e-5)
    (network,) = found["networks"]
    lists = [network["vectors"], *(way[kind] for way in network["layers"][0] for kind in way), found["linear"]["words"]]
    assert {len(one) for one in lists} == {64}


@pytest.mark.parametrize(
    ("name", "body", "status", "type_"),
    [
        ("puppet-o2", {"vector": ["avoir"], "text": "avoir"}, 400, "does-not-fit"),
        ("puppet-o2", {}, 400, "does-not-fit"),
        ("puppet-o2", {"text": " "}, 400, "does-not-fit"),
        ("prices", {"text": "avoir"}, 400, "no-steps"),
        ("untrained", {"text": "avoir"}, 400, "model-not-trained"),
        ("nobody", {"text": "avoir"}, 404, "model-not-found"),
    ],
)
async def test_steps_are_refused(
    client: httpx.AsyncClient, name: str, body: dict[str, object], status: int, type_: str
) -> None:
    """A body that is no one ticket, and a model that has no steps to show, are each said to be so."""
    problem = check_problem(await client.post(f"/models/{name}/steps", json=body), status)

    assert problem["type"] == f"/problems/{type_}"
