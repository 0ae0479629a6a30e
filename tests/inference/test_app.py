"""The application as a whole: its OpenAPI document, its documentation page, its start and end."""

import asyncio
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.openapi.plugins import OpenAPIRenderPlugin

from artifacts.errors import StoreRefused
from artifacts.evaluation.metrics import Metrics, ValueMetrics
from artifacts.jobs.answers import ClassifiedFile, Difference, InspectionAnswer, Preview, WrittenReport
from artifacts.jobs.request import TrainModel
from artifacts.kinds import KINDS
from artifacts.networks.simple_nn import Example, Value, ValueSearch
from artifacts.networks.steps import Steps
from artifacts.store.feedback import Correction
from artifacts.text.tickets import Prediction, RankedPrediction, Ticket, TicketSearch
from inference import schemas
from inference.app import ASSET_TYPES, create_app
from inference.jobs.posted import FILES
from inference.oip import wire
from inference.schemas import TrainedAnswer
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import POST_ROUTES, check_problem

STREAMS = {
    "/metrics": "text/plain",
    "/models/{name}/feedback": "application/jsonl",
    "/jobs/{job_id}/events": "text/event-stream",
    "/problems/{type}": "text/html",
    "/models/{name}/versions/{version}/report": "text/html",
    "/models/{name}/versions/{version}/download": "application/zip",
}
ROOT = Path(__file__).parents[2]
BODIES: dict[str, dict[str, Any]] = {  # of each route: the name of its schema -> the type that says its fields
    "/create_model": {"CreateModel": schemas.CreateModel},
    "/train_model": {
        "TrainModel_Ticket_": TrainModel[Ticket],
        "TrainModel_Example_": TrainModel[Example],
    },
    "/search": {"TicketSearch": TicketSearch, "ValueSearch": ValueSearch},
    "/test": {"Test_Ticket_": schemas.Test[Ticket], "Test_Example_": schemas.Test[Example]},
    "/predict": {"Predict": schemas.Predict},
}
EVALUATIONS = tuple(kind.evaluation for kind in KINDS.values())
# Of each other route: method -> the role whose token opens it, and the schema of its answer, or those that it may have.
OTHERS: dict[str, dict[str, tuple[str, type[msgspec.Struct] | tuple[type[msgspec.Struct], ...] | None]]] = {
    "/models": {"get": ("view", schemas.ModelsAnswer)},
    "/models/{name}": {"get": ("view", schemas.ModelAnswer), "delete": ("admin", schemas.Deleted)},
    "/models/{name}/versions/{version}": {
        "get": ("view", schemas.VersionAnswer),
        "delete": ("admin", schemas.Deleted),
    },
    "/models/{name}/versions/{version}/report": {"get": ("label", None), "post": ("admin", WrittenReport)},
    "/models/{name}/versions/{version}/download": {"get": ("admin", None)},
    "/models/{name}/diff": {"post": ("search", Difference)},
    "/inspect": {"post": ("inspect", (Preview, InspectionAnswer))},
    "/evaluate": {"post": ("search", EVALUATIONS)},
    "/classify": {"post": ("search", ClassifiedFile)},
    "/models/{name}/drift": {"get": ("search", schemas.DriftAnswer)},
    "/models/{name}/feedback": {"get": ("label", None), "delete": ("admin", schemas.FeedbackErased)},
    "/models/{name}/feedback/{correction_id}": {
        "get": ("label", Correction),
        "delete": ("admin", schemas.FeedbackErased),
    },
    "/feedback": {"post": ("label", schemas.FeedbackStored)},
    "/models/{name}/review": {"get": ("label", schemas.ReviewAnswer), "post": ("label", schemas.ReviewLoaded)},
    "/models/{name}/review/{item_id}": {"delete": ("label", schemas.ReviewSkipped)},
    "/models/{name}/steps": {"post": ("label", Steps)},
    "/models/{name}/promote": {"post": ("admin", schemas.Serves)},
    "/models/{name}/rollback": {"post": ("admin", schemas.Serves)},
    "/jobs": {"get": ("job", schemas.JobsAnswer)},
    "/jobs/{job_id}": {"get": ("job", schemas.JobAnswer)},
    "/jobs/{job_id}/result": {
        "get": (
            "job",
            (TrainedAnswer, Preview, InspectionAnswer, *EVALUATIONS, Difference, ClassifiedFile, WrittenReport),
        )
    },
    "/jobs/{job_id}/events": {"get": ("job", None)},  # a stream
    "/jobs/{job_id}/cancel": {"post": ("job", schemas.JobAnswer)},
    "/audit": {"get": ("admin", schemas.AuditAnswer)},
    "/metrics": {"get": ("search", None)},
    "/livez": {"get": ("open", schemas.Probe)},
    "/readyz": {"get": ("open", schemas.Probe)},
    "/problems/{type}": {"get": ("open", None)},  # a page
    "/v2": {"get": ("open", wire.ServerMetadata)},
    "/v2/health/live": {"get": ("open", wire.ServerLive)},
    "/v2/health/ready": {"get": ("open", wire.ServerReady)},
    **{f"/v2/models/{{name}}{of}": {"get": ("view", wire.ModelMetadata)} for of in ("", "/versions/{version}")},
    **{f"/v2/models/{{name}}{of}/ready": {"get": ("view", wire.ModelReady)} for of in ("", "/versions/{version}")},
    **{
        f"/v2/models/{{name}}{of}/infer": {"post": ("search", wire.InferenceAnswer)}
        for of in ("", "/versions/{version}")
    },
}
ROW_FIELDS = {"Ticket": ["category", "tokens"], "Example": ["features", "target"]}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """Give the OpenAPI document."""
    response = await client.get("/schema/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/schema/openapi.json", "/schema"])
async def test_document_is_rendered_once(client: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can have the server encode its document again and again."""
    first = await client.get(path)

    def fail(*_: object) -> bytes:
        raise AssertionError("encoded again")

    monkeypatch.setattr(OpenAPIRenderPlugin, "render_json", fail)
    assert (await client.get(path)).content == first.content
    assert len(first.content) > 100_000


def references(node: Any) -> Iterator[str]:
    """Yield every `$ref` of a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each path, method and what the document says of them."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolve(document: dict[str, Any], reference: str) -> Any:
    """Return what a reference points at."""
    node: Any = document
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        node = node[part]
    return node


@pytest.mark.anyio
async def test_document_lists_every_route(document: dict[str, Any]) -> None:
    """The document is OpenAPI 3.1, is called Puppet, and has each route with its method and nothing else."""
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Puppet"
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        *((path, "post") for path in POST_ROUTES),
        *((path, method) for path, methods in OTHERS.items() for method in methods),
    }


@pytest.mark.anyio
async def test_every_reference_of_the_document_resolves(document: dict[str, Any]) -> None:
    """No schema is named that the document does not hold."""
    found = set(references(document))

    assert len(found) >= 15
    for reference in found:
        assert resolve(document, reference), reference


@pytest.mark.anyio
async def test_component_is_named_by_its_class_alone(document: dict[str, Any]) -> None:
    """A schema's name holds no module, so a client that was generated from the document outlives a move of modules."""
    names = list(document["components"]["schemas"])

    assert len(names) >= 50
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]*(_[A-Z][A-Za-z]*_)?", name)] == []


@pytest.mark.anyio
async def test_document_has_the_version_of_the_distribution(document: dict[str, Any]) -> None:
    """The version stands in pyproject.toml, and the document shows what was installed of it."""
    assert document["info"]["version"] == importlib.metadata.version("puppet-o2")
    assert [
        file.name for file in (ROOT / "inference").rglob("*.py") if re.search(r'version="\d', file.read_text())
    ] == []


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
async def test_document_shows_the_body_that_the_server_reads(document: dict[str, Any], path: str) -> None:
    """Each body of a route has the fields of its Struct, the same ones required, and the route needs one of them."""
    body = document["paths"][path]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]

    assert body["required"] is True
    files = set(FILES) if path == "/train_model" else {"message/rfc822"} if path == "/predict" else set()
    assert set(body["content"]) == {"application/json"} | files
    assert ("anyOf" in schema) == (len(BODIES[path]) > 1)
    assert list(references(schema)) == [f"#/components/schemas/{name}" for name in BODIES[path]]
    for name, type_ in BODIES[path].items():
        shown = resolve(document, f"#/components/schemas/{name}")
        fields = msgspec.structs.fields(type_)
        assert list(shown["properties"]) == [field.encode_name for field in fields]
        assert shown["required"] == [field.encode_name for field in fields if field.required]
        assert shown["additionalProperties"] is False


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "field"), [("/train_model", "training_data"), ("/test", "test_data")])
async def test_document_shows_the_rows_of_each_kind(document: dict[str, Any], path: str, field: str) -> None:
    """A body of labelled rows names the fields of its own kind's rows: a category's tokens, or a target's features."""
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    rows = [
        next(references(resolve(document, reference)["properties"][field])).rpartition("/")[2]
        for reference in references(schema)
    ]

    assert rows == list(ROW_FIELDS)
    for name, fields in ROW_FIELDS.items():
        assert set(fields) < set(document["components"]["schemas"][name]["properties"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/create_model", "create"), ("/train_model", "GRU"), ("/train_model", "SimpleNN"), ("/search", "GRU"),
        ("/search", "SimpleNN"), ("/test", "GRU"), ("/test", "SimpleNN"), ("/predict", "predict"),
    ],
)  # fmt: skip
async def test_documented_example_can_be_sent(
    client: httpx.AsyncClient, document: dict[str, Any], path: str, name: str
) -> None:
    """Each body that the documentation page offers to send is one that the route accepts as it stands.

    But for the number of features: the page's flat has three, and those of the fixture's model have two.
    """
    operation = document["paths"][path]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    example = examples[name]["value"]

    answer = await client.post(path, json=example)

    assert len(examples) == len(BODIES[path])
    if path == "/create_model":
        check_problem(answer, 400, "Model already exists")  # in the fixture store
    elif path == "/train_model":
        check_problem(answer, 503)  # this server has no trainer
        row = KINDS[name].row
        assert len(msgspec.convert(example, TrainModel[row]).training_data or []) == 2  # type: ignore[valid-type]
    elif name == "SimpleNN":
        faults = check_problem(answer, 400)["errors"]
        assert {fault["detail"].partition(",")[0] for fault in faults} == {"has 3 features"}
        shorter = json.loads(json.dumps(example).replace(", 1.0]", "]").replace(", 0.0]", "]"))
        assert (await client.post(path, json=shorter)).status_code == 200
    else:
        assert answer.status_code == 200
    assert operation["description"].endswith(".")


@pytest.mark.anyio
async def test_document_shows_every_answer(document: dict[str, Any]) -> None:
    """Each route shows what it answers with 200 (never 201), field by field, and its errors as problems."""
    answers: dict[str, dict[str, type[msgspec.Struct]]] = {
        "/create_model": {"Created": schemas.Created},
        "/train_model": {"Trained": schemas.Trained},
        "/search": {
            "Prediction": Prediction,
            "RankedPrediction": RankedPrediction,
            "Value": Value,
            "SearchAnswers_Prediction_": schemas.SearchAnswers,
            "SearchAnswers_RankedPrediction_": schemas.SearchAnswers,
            "SearchAnswers_Value_": schemas.SearchAnswers,
        },
        "/test": {"Metrics": Metrics, "ValueMetrics": ValueMetrics},
        "/predict": {"PredictAnswer": schemas.PredictAnswer},
    }

    for path, method, operation in operations(document):
        said = operation["responses"]
        assert "201" not in said
        if path in OTHERS:
            _, struct = OTHERS[path][method]
            structs = struct if isinstance(struct, tuple) else () if struct is None else (struct,)
            expected = {one.__name__: one for one in structs}
        else:
            expected = answers[path]
        if not expected:
            assert list(said["200"]["content"]) == [STREAMS[path]]
            continue
        schema = said["200"]["content"]["application/json"]["schema"]
        assert ("anyOf" in schema) == (len(expected) > 1)
        assert "oneOf" not in schema
        assert list(references(schema)) == [f"#/components/schemas/{name}" for name in expected]
        for name, struct in expected.items():
            properties = resolve(document, f"#/components/schemas/{name}")["properties"]
            assert set(properties) == set(struct.__struct_fields__)
            if "results" in properties:
                assert list(references(properties)) == [f"#/components/schemas/{name.split('_')[1]}"]
        for status, response in operation["responses"].items():
            if status == "202":
                assert list(references(response["content"])) == ["#/components/schemas/Accepted"]
            elif status != "200":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
                assert list(references(response["content"])) == ["#/components/schemas/Problem"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
async def test_document_lists_the_errors_that_a_caller_meets(document: dict[str, Any], path: str) -> None:
    """A wrong body, token, media type, size or host, and being too early, are in the document of each route."""
    statuses = {"400", "401", "413", "415", "421", "429", "503"}
    statuses |= set() if path in ("/create_model", "/train_model") else {"404"}

    assert statuses <= set(document["paths"][path]["post"]["responses"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tokens", "search", "admin"),
    [
        ([], [], []),
        (["admin_token"], [], ["admin_token"]),
        (["search_token"], ["search_token"], []),
        (["admin_token", "search_token"], ["search_token", "admin_token"], ["admin_token"]),
    ],
)
async def test_document_says_which_token_opens_a_route(
    settings: Settings, tokens: list[str], search: list[str], admin: list[str]
) -> None:
    """The page has a field for each token that is set, and sends it where one of them is needed and nowhere else."""
    async with started(msgspec.structs.replace(settings, **dict.fromkeys(tokens, "t"))) as app, connect(app) as client:
        document = (await client.get("/schema/openapi.json")).json()

    schemes = document["components"].get("securitySchemes", {})
    assert set(schemes) == set(tokens)
    assert all((scheme["type"], scheme["scheme"]) == ("http", "bearer") for scheme in schemes.values())
    assert "security" not in document
    by_role = {"admin": admin, "label": admin, "search": search, "open": []}  # there is no label token here
    # An admin token closes inspections, which a search token opens; jobs are closed where all who ask for one need one.
    by_role |= {"view": search, "inspect": search or admin if admin else [], "job": search if admin else []}
    for path, method, operation in operations(document):
        if path in OTHERS:
            role, _ = OTHERS[path][method]
        else:
            role = "admin" if path in ("/create_model", "/train_model") else "search"
        assert operation.get("security", []) == [{name: []} for name in by_role[role]], (path, method)


@pytest.mark.anyio
async def test_page_asks_no_other_host(client: httpx.AsyncClient) -> None:
    """The documentation page names no address outside this server, and every file that it names is there."""
    page = await client.get("/schema")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Puppet</title>" in page.text
    assert not re.findall(r"(?:https?:)?//[\w.-]+", page.text)
    named = re.findall(r"<(?:script|link)[^>]+?(?:src|href)=[\"']([^\"']*)", page.text)
    assert sorted(named) == sorted(f"/schema/assets/{name}" for name in ASSET_TYPES)
    for address in named:
        asset = await client.get(address)
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(ASSET_TYPES[address.rpartition("/")[2]])
        assert len(asset.content) > 10_000


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "nope", "nope.json", "openapi.yaml", "assets", "assets/", "assets/nope.js", "assets/..%2f__init__.py",
        "assets/%2e%2e/__init__.py", "assets/%00", "assets/swagger-ui.css%00", "assets//etc/passwd",
        "assets/%2fetc%2fpasswd", "assets/" + "a" * 5000, "%00", "assets/default.min.css",
    ],
)  # fmt: skip
async def test_missing_page_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    """Under /schema there is what the page needs and nothing else; no made-up path reaches the disk."""
    check_problem(await client.get(f"/schema/{path}"), 404)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o777])
def test_store_that_others_may_enter_is_refused(settings: Settings, mode: int) -> None:
    """A model is code, so a store's folder that others may enter stops the start, with the remedy."""
    settings.store_path.chmod(mode)

    with pytest.raises(StoreRefused, match="chmod 700"):
        create_app(settings)


@pytest.mark.anyio
async def test_nothing_runs_after_the_end(settings: Settings) -> None:
    """An application that has ended leaves no task that watches and takes no more work."""
    before = asyncio.all_tasks()

    async with started(settings) as app:
        assert len(asyncio.all_tasks()) > len(before)
    await asyncio.sleep(0)

    assert {task for task in asyncio.all_tasks() if not task.done()} <= before
    with pytest.raises(RuntimeError, match="after shutdown"):
        await app.state.batcher.large.run(app.state.registry.serving("puppet-o2").evaluate, [], [])


@pytest.mark.anyio
async def test_application_can_be_started_again(settings: Settings) -> None:
    """A second application on the same store serves what the first one served."""
    for _ in range(2):
        async with started(settings) as app, connect(app) as client:
            response = await client.post("/predict", json={"email_text": "créer client"})
            assert response.json()["predicted_label"] == "Création de client"


def test_server_imports_no_torch() -> None:
    """Importing every module of the server, in a fresh process, loads neither PyTorch nor onnx nor the trainer."""
    code = """if True:
        import importlib, pkgutil, sys
        import artifacts, inference
        for package in (artifacts, inference):
            for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                if not found.name.endswith("__main__"):
                    importlib.import_module(found.name)
        print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "onnx", "trainer", "sklearn"}))
        print("inference.app" in sys.modules)
    """

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.split("\n")[:2] == ["[]", "True"]
