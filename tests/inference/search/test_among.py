"""/search, /predict and /classify with `among` and `otherwise`: only what applies is answered, by either engine."""

import contextlib
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from inference.routes.access import JSON
from inference.search.bodies import SLICE_TICKETS
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CATEGORY, CLIENT, CONNECTION, MODEL, PRICES, check_problem, pointers

pytestmark = pytest.mark.anyio

RULE = Abstention(0.95, 0.6, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.9, accuracy=0.95)
OTHERS = ["Création de client", "Accès utilisateur"]  # all but what CONNECTION is about


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test run on each engine."""
    return str(request.param)


@pytest.fixture
async def client(settings: Settings, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server whose model has a rule of abstention."""
    manifest, files = store.read_version("puppet-o2", 1)
    assert isinstance(manifest, GruManifest)
    store.publish(msgspec.structs.replace(manifest, abstain=RULE), files)
    async with started(settings) as app, connect(app) as client:
        yield client


async def found(client: httpx.AsyncClient, path: str = "/search", **body: Any) -> dict[str, Any]:
    """Return a good answer."""
    named = MODEL if path == "/search" else {"name": MODEL["name"]}
    response = await client.post(path, json=named | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_masked_category_is_not_answered_and_the_rest_sums_to_one(client: httpx.AsyncClient) -> None:
    """The best of the others, with the ratio that they had; the order of `among` is of no account."""
    whole = await found(client, vector=CONNECTION, top_k=20)
    before = {one["category"]: one["confidence"] for one in whole["best"]}

    answer = await found(client, vector=CONNECTION, among=OTHERS, top_k=20)
    reversed_ = await found(client, vector=CONNECTION, among=OTHERS[::-1], top_k=20)
    plain = await found(client, vector=CONNECTION, among=OTHERS)

    assert whole["category"] not in OTHERS
    assert answer == reversed_
    assert [one["category"] for one in answer["best"]] == sorted(OTHERS, key=lambda name: -before[name])
    assert sum(one["confidence"] for one in answer["best"]) == pytest.approx(1)
    total = sum(before[name] for name in OTHERS)
    for one in answer["best"]:
        assert one["confidence"] == pytest.approx(before[one["category"]] / total, rel=1e-5)
    assert (plain["category"], plain["confidence"]) == (answer["category"], answer["confidence"])
    assert "reason" not in plain
    assert "best" not in plain


async def test_all_categories_are_the_plain_answer(client: httpx.AsyncClient) -> None:
    """Where nothing is masked nothing changes but rounding, and the fields are those of a plain answer."""
    plain = await found(client, vector=CONNECTION)

    answer = await found(client, vector=CONNECTION, among=list(CATEGORY))

    assert list(answer) == list(plain)
    assert answer | {"confidence": 0} == plain | {"confidence": 0}
    assert answer["confidence"] == pytest.approx(plain["confidence"], abs=1e-6)


async def test_searches_of_one_turn_have_each_its_own_choice(client: httpx.AsyncClient) -> None:
    """Several tickets keep their order and their ids, past a turn of the loop too."""
    tickets = [CONNECTION, ACCESS, CLIENT] * (SLICE_TICKETS // 3 + 2)
    ids = list(range(len(tickets)))

    answer = await found(client, vectors=tickets, ids=ids, among=OTHERS)

    assert [one["id"] for one in answer["results"]] == ids
    one, two, three = answer["results"][:3]
    assert [item["category"] for item in (two, three)] == ["Accès utilisateur", "Création de client"]
    assert one["category"] in OTHERS
    strip = [{**item, "id": None} for item in answer["results"]]
    assert strip == ([{**item, "id": None} for item in (one, two, three)] * len(tickets))[: len(tickets)]


@pytest.mark.parametrize(
    ("asked", "category", "reason"),
    [
        ({"vector": CONNECTION}, "Accueil", "none_applies"),
        ({"vector": ["zzzz", "yyyy", "xxxx"]}, "Accueil", "unknown_tokens"),
        ({"vector": [" "]}, "Accueil", "empty"),
        ({"vector": CLIENT}, "Création de client", None),
        ({"vector": CLIENT, "abstain": True}, "Création de client", None),
    ],
)
async def test_otherwise_takes_the_place_of_no_category(
    client: httpx.AsyncClient, asked: dict[str, Any], category: str, reason: str | None
) -> None:
    """With the reason why; where the model is sure of one that may be answered, that is answered."""
    answer = await found(client, **asked, among=OTHERS, otherwise="Accueil")
    several = await found(client, vectors=[asked["vector"]], among=OTHERS, otherwise="Accueil")

    assert (answer["category"], answer.get("reason")) == (category, reason)
    assert {name: answer[name] for name in several["results"][0]} == several["results"][0]


async def test_otherwise_needs_no_among(client: httpx.AsyncClient) -> None:
    """By itself it is what a model that is not sure enough of any category answers."""
    answer = await found(client, vector=["zzzz", "yyyy", "xxxx"], otherwise="Accueil")

    assert (answer["category"], answer["reason"]) == ("Accueil", "unknown_tokens")


async def test_mail_is_answered_with_what_applies(client: httpx.AsyncClient) -> None:
    """/predict takes both fields, under the names of its answer."""
    text = " ".join(CONNECTION)

    masked = await found(client, "/predict", email_text=text, among=OTHERS)
    other = await found(client, "/predict", email_text=text, among=OTHERS, otherwise="Accueil")

    assert masked["predicted_label"] in OTHERS
    assert (other["predicted_label"], other["reason"]) == ("Accueil", "none_applies")
    assert other["confidence_score"] == masked["confidence_score"]


async def test_explanation_is_of_what_is_answered(client: httpx.AsyncClient) -> None:
    """A masked category is not named there either."""
    answer = await found(client, vector=CONNECTION, among=OTHERS, explain=True)

    assert answer["explanation"]["category"] == answer["category"] in OTHERS
    assert len(answer["explanation"]["tokens"]) == len(CONNECTION)


async def test_drift_sees_what_the_model_itself_says(client: httpx.AsyncClient, settings: Settings) -> None:
    """Which queues are open says nothing of whether the tickets have changed."""
    async with started(settings) as app, connect(app) as other:
        heard: list[Any] = []
        app.state.batcher._listen = lambda _, answers: heard.extend(answers)
        await found(other, vector=CONNECTION, among=OTHERS)

    assert [one.category for one in heard] == ["Problème de connexion"]


@pytest.mark.parametrize(
    ("body", "places", "type_"),
    [
        ({"among": ["Accès utilisateur", "accès", "Facture"]}, ["/among/1", "/among/2"], "unknown-category"),
        ({"among": []}, ["/among"], "wrong-length"),
        ({"otherwise": " "}, ["/otherwise"], "wrong-pattern"),
        ({"otherwise": "Accueil", "abstain": False}, ["/otherwise"], "otherwise-without-abstain"),
    ],
)
@pytest.mark.parametrize("path", ["/search", "/predict"])
async def test_what_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], places: list[str], type_: str
) -> None:
    """400 with the place of each fault, in the language of the request."""
    content = {"vector": CONNECTION} if path == "/search" else {"email_text": "connexion"}
    named = MODEL if path == "/search" else {"name": MODEL["name"]}

    response = await client.post(path, json=named | content | body, headers={"Accept-Language": "fr"})

    problem = check_problem(response, 400)
    assert pointers(problem) == places
    assert {fault["type"] for fault in problem["errors"]} == {f"/problems/{type_}"}


async def test_version_without_a_rule_has_no_otherwise(settings: Settings) -> None:
    """It would never be answered, and nobody would notice; `among` needs no rule."""
    async with started(settings) as app, connect(app) as client:
        refused = await client.post("/search", json=MODEL | {"vector": CONNECTION, "otherwise": "Accueil"})
        answer = await found(client, vector=CONNECTION, among=OTHERS)

    assert pointers(check_problem(refused, 400)) == ["/otherwise"]
    assert answer["category"] in OTHERS


async def test_kind_without_categories_knows_neither(client: httpx.AsyncClient) -> None:
    """A SimpleNN has nothing to mask."""
    response = await client.post("/search", json=PRICES | {"vector": [50.0, 2.0], "among": ["a"]})

    assert pointers(check_problem(response, 400)) == ["/among"]


@contextlib.asynccontextmanager
async def sorting(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server that sorts files; the trainer's own code does, in a thread."""
    from artifacts.jobs.records import Checked
    from inference import training
    from tests.inference.worker import WorkerHere
    from trainer.jobs.body import check_body
    from trainer.jobs.runners import run_any

    async def check(folder: Any) -> Checked:
        return check_body(folder)

    monkeypatch.setattr(training, "_check", check)
    with WorkerHere(store, lambda folder, attempt: run_any(folder, attempt, 2**20)):
        async with started(Settings(store=str(store.root), trainer="local")) as app, connect(app) as client:
            yield client


async def test_file_is_sorted_among_what_applies(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file as it is, with parameters in the query, and rows in JSON; the numbers say how many were not sure."""
    raw = "\n".join(["text", *(" ".join(tokens) for tokens in (CONNECTION, ACCESS, CLIENT))]).encode()
    async with sorting(store, monkeypatch) as sorter:
        query = httpx.QueryParams([*MODEL.items(), *(("among", name) for name in OTHERS), ("otherwise", "Accueil")])
        response = await sorter.post("/classify", params=query, content=raw, headers={"Content-Type": "text/csv"})
        body = MODEL | {"data": [{"tokens": CONNECTION}, {"tokens": ACCESS}], "among": OTHERS, "otherwise": "Accueil"}
        counted = await sorter.post("/classify", json=body, headers={"Accept": JSON})
        refused = await sorter.post("/classify", json=body | {"among": ["Facture"]})

    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [(row["category"], row["reason"]) for row in rows] == [
        ("Accueil", "none_applies"), ("Accès utilisateur", ""), ("Création de client", ""),
    ]  # fmt: skip
    assert counted.json()["per_category"] == {"Accueil": 1, "Accès utilisateur": 1}
    assert (counted.json()["num_abstained"], counted.json()["reasons"]) == (1, {"none_applies": 1})
    assert pointers(check_problem(refused, 400)) == ["/among/0"]
