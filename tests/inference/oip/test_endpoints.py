"""The routes under /v2 in this process: what a model takes and gives, the same answers as /search, and refusals."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from litestar import Litestar

from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from inference.oip import infer as infer_module
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CATEGORY, CLIENT, CONNECTION, MODEL, PRICES, check_problem, pointers

pytestmark = pytest.mark.anyio

RULE = Abstention(0.95, 0.6, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.9, accuracy=0.95)
INFER = "/v2/models/puppet-o2/infer"
TEXTS = [" ".join(tokens) for tokens in (CONNECTION, ACCESS, CLIENT)]
SEARCH_TOKEN = "search-token-of-the-tests"


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test run on each engine."""
    return str(request.param)


@pytest.fixture
async def client(settings: Settings, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server whose model has a rule of abstention, which sends no content type."""
    manifest, files = store.read_version("puppet-o2", 1)
    assert isinstance(manifest, GruManifest)
    store.publish(msgspec.structs.replace(manifest, abstain=RULE), files)
    async with started(settings) as app, connect(app) as client:
        yield client


def texts(texts: list[str], **more: Any) -> dict[str, Any]:
    """Return a request about texts."""
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}]} | more


async def asked(client: httpx.AsyncClient, body: dict[str, Any], path: str = INFER) -> dict[str, list[Any]]:
    """Return the elements of each output of a good answer, after a look at its shapes."""
    response = await client.post(path, content=json.dumps(body))
    assert response.status_code == 200, response.text
    outputs = response.json()["outputs"]
    for output in outputs:
        assert len(output["data"]) == int(np.prod(output["shape"]))
    return {output["name"]: output["data"] for output in outputs}


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return a refusal that clients of the protocol can read."""
    problem = check_problem(response, status)
    assert problem["error"].startswith(problem["detail"])
    return problem


async def test_metadata_says_what_a_model_takes(client: httpx.AsyncClient) -> None:
    """Of both kinds: inputs, outputs, the version that serves, the categories in their order."""
    server = (await client.get("/v2")).json()
    model = (await client.get("/v2/models/puppet-o2")).json()
    prices = (await client.get("/v2/models/prices/versions/1")).json()

    assert server == {"name": "puppet", "version": server["version"],
                      "extensions": ["binary_tensor_data", "parameters"]}  # fmt: skip
    assert (await client.get("/v2/")).json() == server
    assert (model["name"], model["versions"]) == ("puppet-o2", ["2"])
    assert [one["name"] for one in model["inputs"]] == ["text", "tokens"]
    assert [one["name"] for one in model["outputs"]] == ["category", "confidence", "reason", "probabilities"]
    assert model["outputs"][-1]["shape"] == [-1, len(CATEGORY)]
    assert set(model["parameters"]["categories"]) == set(CATEGORY)
    assert prices["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, 2]}]
    assert prices["outputs"] == [{"name": "value", "datatype": "FP64", "shape": [-1]}]


async def test_health_is_that_of_the_server(client: httpx.AsyncClient, app: Litestar) -> None:
    """Live, ready, and whether a model or a version of it answers."""
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    for path in ("/v2/models/puppet-o2/ready", "/v2/models/puppet-o2/versions/2/ready"):
        assert (await client.get(path)).json() == {"name": "puppet-o2", "ready": True}
    refused(await client.get("/v2/models/puppet-o2/versions/1/ready"), 404)
    refused(await client.get("/v2/models/untrained/ready"), 400)
    refused(await client.get("/v2/models/stats"), 404)


async def test_answers_are_those_of_a_search(client: httpx.AsyncClient) -> None:
    """Category and confidence of each ticket in order, with and without a version in the address."""
    searched = (await client.post("/search", json=MODEL | {"texts": TEXTS})).json()["results"]

    for path in (INFER, "/v2/models/puppet-o2/versions/2/infer"):
        found = await asked(client, texts(TEXTS), path)
        assert list(found) == ["category", "confidence", "reason"]
        assert found["category"] == [one["category"] for one in searched]
        assert found["confidence"] == [one["confidence"] for one in searched]
        assert found["reason"] == ["", "", ""]


async def test_tokens_are_taken_as_they_are(client: httpx.AsyncClient) -> None:
    """Each element is a JSON array of the tokens of a ticket."""
    tickets = [CONNECTION, ["mot de passe", *ACCESS]]
    searched = (await client.post("/search", json=MODEL | {"vectors": tickets})).json()["results"]
    tokens = {"name": "tokens", "shape": [2], "datatype": "BYTES", "data": [json.dumps(one) for one in tickets]}

    found = await asked(client, {"inputs": [tokens]})

    assert found["confidence"] == [one["confidence"] for one in searched]


async def test_answer_names_model_version_and_request(client: httpx.AsyncClient) -> None:
    """The version is text, the id comes back, and `Server-Timing` says where the time went."""
    response = await client.post(INFER, json=texts(TEXTS[:1], id="42"))

    assert [response.json()[name] for name in ("model_name", "model_version", "id")] == ["puppet-o2", "2", "42"]
    assert response.headers["server-timing"].startswith("parse;dur=")
    assert "id" not in (await client.post(INFER, json=texts(TEXTS[:1]))).json()


async def test_probabilities_come_on_request(client: httpx.AsyncClient, store: Store) -> None:
    """A row for each ticket, in the order of the categories that the metadata lists, each summing to 1."""
    model = GruModel(*store.read_version("puppet-o2", 2))
    expected_NC = model.probabilities([model.encode(text) for text in TEXTS])

    found = await asked(client, texts(TEXTS, outputs=[{"name": "probabilities"}, {"name": "category"}]))

    assert list(found) == ["probabilities", "category"]
    rows_NC = np.array(found["probabilities"]).reshape(len(TEXTS), -1)
    assert rows_NC == pytest.approx(expected_NC, abs=1e-5)
    assert rows_NC.sum(axis=1) == pytest.approx(1)
    assert [model.labels[label] for label in rows_NC.argmax(axis=1)] == found["category"]


@pytest.mark.parametrize("as_text", [False, True])
async def test_parameters_are_those_of_a_search(client: httpx.AsyncClient, as_text: bool) -> None:
    """`abstain`, `among` and `otherwise`; no category is the empty string, masked probabilities are 0."""
    others = ["Création de client", "Accès utilisateur"]
    among: Any = json.dumps(others) if as_text else others
    more = {"outputs": [{"name": name} for name in ("category", "reason", "probabilities")]}

    silent = await asked(client, texts([*TEXTS, "  "], parameters={"abstain": True, "among": among}, **more))
    told = await asked(client, texts(TEXTS, parameters={"among": among, "otherwise": "Accueil"}))
    plain = await asked(client, texts(TEXTS, parameters={"among": among}))

    assert silent["category"] == ["", "Accès utilisateur", "Création de client", ""]
    assert silent["reason"] == ["none_applies", "", "", "empty"]
    rows_NC = np.array(silent["probabilities"]).reshape(4, 3)
    labels = (await client.get("/v2/models/puppet-o2")).json()["parameters"]["categories"]
    assert (rows_NC[:, labels.index("Problème de connexion")] == 0).all()
    assert rows_NC.sum(axis=1) == pytest.approx([1, 1, 1, 0])
    assert told["category"][0] == "Accueil"
    assert plain["category"][0] in others


async def test_numbers_are_estimated(client: httpx.AsyncClient) -> None:
    """A SimpleNN takes both widths, as JSON and as bytes, and answers as /search does."""
    rows = [[50.0, 2.0], [75.5, 4.0]]
    searched = (await client.post("/search", json=PRICES | {"vectors": rows})).json()["results"]

    for datatype, dtype in (("FP64", "<f8"), ("FP32", "<f4")):
        tensor = {"name": "features", "shape": [2, 2], "datatype": datatype}
        found = await asked(client, {"inputs": [tensor | {"data": rows}]}, "/v2/models/prices/infer")
        raw = np.array(rows, dtype).tobytes()
        head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}],
                           "parameters": {"binary_data_output": True}}).encode()  # fmt: skip
        response = await client.post("/v2/models/prices/infer", content=head + raw,
                                     headers={"Inference-Header-Content-Length": str(len(head))})  # fmt: skip
        assert found["value"] == [one["value"] for one in searched]
        num_json = int(response.headers["inference-header-content-length"])
        assert response.headers["content-type"] == "application/octet-stream"
        assert np.frombuffer(response.content[num_json:], "<f8").tolist() == found["value"]
        assert json.loads(response.content[:num_json])["outputs"][0]["parameters"] == {"binary_data_size": 16}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "/inputs"),
        ({"inputs": []}, "/inputs"),
        (texts(["a"]) | {"inputs": texts(["a"])["inputs"] * 2}, "/inputs"),
        ({"inputs": [{"name": "TEXT", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}, "/inputs/0/name"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "FP32", "data": ["a"]}]}, "/inputs/0/datatype"),
        ({"inputs": [{"name": "text", "shape": [0], "datatype": "BYTES", "data": []}]}, "/inputs/0/shape"),
        ({"inputs": [{"name": "text", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "b"]}]}, "/inputs/0/shape"),
        ({"inputs": [{"name": "tokens", "shape": [1, 1], "datatype": "BYTES", "data": ["[]"]}]}, "/inputs/0/shape"),
        ({"inputs": [{"name": "tokens", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}, "/inputs/0/data/0"),
        ({"inputs": [{"name": "tokens", "shape": [1], "datatype": "BYTES", "data": ["[1]"]}]}, "/inputs/0/data/0/0"),
        ({"inputs": [{"name": "text", "shape": [-1], "datatype": "BYTES", "data": ["a"]}]}, "/inputs/0/shape/0"),
        (texts(["a", " ", "b"]), "/inputs/0/data/1"),
        (texts(["a"], outputs=[{"name": "label"}]), "/outputs/0/name"),
        (texts(["a"], outputs=[{"name": "reason"}] * 2), "/outputs/1/name"),
        (texts(["a"], parameters={"abstian": True}), "/parameters/abstian"),
        (texts(["a"], parameters={"among": ["Facture"]}), "/parameters/among/0"),
        (texts(["a"], parameters={"among": "Facture"}), "/parameters/among"),
        (texts(["a"], parameters={"among": "[]"}), "/parameters/among"),
        (texts(["a"], parameters={"otherwise": "x", "abstain": False}), "/parameters/otherwise"),
        (texts(["a"], parameters={"timeout": 0}), "/parameters/timeout"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    client: httpx.AsyncClient, body: dict[str, Any], place: str
) -> None:
    """400 with a JSON Pointer, which clients of the protocol find in `error`."""
    problem = refused(await client.post(INFER, content=json.dumps(body)), 400)

    assert pointers(problem) == [place]
    assert place in problem["error"]


@pytest.mark.parametrize("values", [[1.0, float("nan")], [float("inf"), 1.0], [1e200, 1.0]])
async def test_numbers_that_are_none_are_refused(client: httpx.AsyncClient, values: list[float]) -> None:
    """Bytes can hold what JSON cannot."""
    raw = np.array(values, "<f8").tobytes()
    tensor = {"name": "features", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor]}).encode()

    response = await client.post("/v2/models/prices/infer", content=head + raw,
                                 headers={"Inference-Header-Content-Length": str(len(head))})  # fmt: skip

    assert pointers(refused(response, 400)) == ["/inputs/0/data/0"]


async def test_features_of_another_number_are_refused(client: httpx.AsyncClient) -> None:
    """So is a parameter that only tickets have."""
    tensor = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    fit = {"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}

    number = await client.post("/v2/models/prices/infer", json={"inputs": [tensor]})
    parameter = await client.post("/v2/models/prices/infer", json={"inputs": [fit], "parameters": {"abstain": True}})

    assert pointers(refused(number, 400)) == ["/inputs/0/data/0"]
    assert pointers(refused(parameter, 400)) == ["/parameters/abstain"]


async def test_too_many_probabilities_are_refused(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small body must not make an answer of hundreds of megabytes."""
    monkeypatch.setattr(infer_module, "MAX_NUMBERS", 8)
    outputs = [{"name": "probabilities"}]

    few = await asked(client, texts(TEXTS[:2], outputs=outputs))
    many = await client.post(INFER, json=texts(TEXTS, outputs=outputs))

    assert len(few["probabilities"]) == 6
    assert pointers(refused(many, 400)) == ["/outputs"]


@pytest.mark.parametrize("media_type", [None, "application/json", "application/octet-stream"])
async def test_a_missing_type_is_taken(client: httpx.AsyncClient, media_type: str | None) -> None:
    """As the clients send it; the types that a page may send without asking are refused."""
    headers = {"Content-Type": media_type} if media_type is not None else {}

    assert (await client.post(INFER, content=json.dumps(texts(TEXTS)), headers=headers)).status_code == 200
    for other in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"):
        response = await client.post(INFER, content=json.dumps(texts(TEXTS)), headers={"Content-Type": other})
        refused(response, 415)
    coded = await client.post(INFER, content=b"x", headers={"Content-Encoding": "gzip"})
    refused(coded, 415)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8080", "http://localhost"])
async def test_a_page_of_another_site_is_refused(client: httpx.AsyncClient, origin: str) -> None:
    """Whatever the type; of another port of this machine too. A page of this server is let in."""
    for headers in ({}, {"Content-Type": "application/json"}):
        response = await client.post(INFER, content=json.dumps(texts(TEXTS)), headers=headers | {"Origin": origin})
        assert refused(response, 403)["origin"] == origin
    own = await client.post(INFER, content=json.dumps(texts(TEXTS)), headers={"Origin": "http://127.0.0.1"})
    assert own.status_code == 200


async def test_refusals_of_other_addresses_can_be_read_too(client: httpx.AsyncClient) -> None:
    """What the protocol has and this server has not is 404 with `error`; other routes are as before."""
    refused(await client.post("/v2/repository/index", content=b"{}"), 404)
    refused(await client.get("/v2/models/nobody/infer"), 405)
    refused(await client.get("/v2/models/nobody"), 404)
    refused(await client.post("/v2/models/puppet-o2/versions/7/infer", content=json.dumps(texts(TEXTS))), 404)
    refused(await client.post("/v2/models/puppet-o2/versions/02/infer", content=json.dumps(texts(TEXTS))), 404)
    refused(await client.post("/v2/models/untrained/infer", content=json.dumps(texts(TEXTS))), 400)
    refused(await client.post(INFER, content=b"x" * (300 * 1024)), 413)
    assert "error" not in check_problem(await client.get("/v2models"), 404)
    assert "error" not in check_problem(await client.post("/search", json={}), 400)


async def test_deadline_is_microseconds(client: httpx.AsyncClient) -> None:
    """A timeout that has passed is 504, and the model is not asked."""
    refused(await client.post(INFER, json=texts(TEXTS, parameters={"timeout": 1})), 504)
    assert (await asked(client, texts(TEXTS, parameters={"timeout": 60_000_000})))["category"]


async def test_roles_and_counters_are_those_of_a_search(store: Store, engine: str) -> None:
    """Health and the server's own metadata are open, the rest needs a token; requests count by their template."""
    settings = Settings(store=str(store.root), trainer="none", search_token=SEARCH_TOKEN)
    async with started(settings) as app, connect(app) as client:
        for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path)).status_code == 200
        refused(await client.get("/v2/models/puppet-o2"), 401)
        refused(await client.post(INFER, json=texts(TEXTS)), 401)
        headers = {"Authorization": f"Bearer {SEARCH_TOKEN}"}
        assert (await client.get("/v2/models/puppet-o2", headers=headers)).status_code == 200
        assert (await client.post(INFER, json=texts(TEXTS), headers=headers)).status_code == 200
        counted = (await client.get("/metrics", headers=headers)).text

    lines = [line for line in counted.splitlines() if line.startswith("puppet_requests_total{") and "/infer" in line]
    assert len(lines) == 2
    for line, status in zip(sorted(lines), ("200", "401"), strict=True):
        assert "/v2/models/{name}/infer" in line
        assert f'"{status}"' in line
        assert line.endswith(" 1.0")


async def test_name_of_an_address_is_reserved(client: httpx.AsyncClient) -> None:
    """/v2/models/stats is what clients of Triton ask for counters."""
    response = await client.post("/create_model", json={"name": "stats", "neural_network_type": "GRU"})

    assert check_problem(response, 400)["type"] == "/problems/reserved-model-name"
