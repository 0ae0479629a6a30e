"""The routes of the seed documents: their replies, sentences and statuses to the letter, and what was added to them."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from litestar import Litestar

from artifacts import kinds
from artifacts.evaluation.metrics import Metrics, ValueMetrics, measure, measure_values
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GoldenRow
from artifacts.networks.learnt import trained_on
from artifacts.networks.runtime import Model
from artifacts.networks.simple_nn import SimpleNNModel
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from artifacts.text.tokens import MAX_TOKENS
from artifacts.text.vocabulary import Encoded
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import (
    ACCESS,
    CATEGORY,
    CLIENT,
    CONNECTION,
    DEADLINE_S,
    MODEL,
    PRICES,
    check_problem,
    eventually,
    pointers,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test that starts a server run on each engine."""
    return str(request.param)


UNTRAINED = MODEL | {"name": "untrained"}
NOBODY = MODEL | {"name": "nobody"}
EMPTY = "the ticket is empty: no token that is not blank; send at least one"


@pytest.fixture
def second_kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a further kind of network that reads tickets to the table and give its name."""
    monkeypatch.setitem(kinds.KINDS, "LSTM", msgspec.structs.replace(kinds.KINDS["GRU"], name="LSTM"))
    return "LSTM"


# /create_model


async def test_created_model_is_confirmed(client: httpx.AsyncClient, store: Store) -> None:
    """Creating a model answers 200 (never 201) with just the seeds' two fields, and the store has its record."""
    response = await client.post("/create_model", json={"name": "nouveau-2", "neural_network_type": "GRU"})

    assert response.status_code == 200
    assert response.json() == {"status": "model created", "model_name": "nouveau-2"}
    assert store.read_model("nouveau-2").neural_network_type == "GRU"


@pytest.mark.parametrize("name", ["puppet-o2", "untrained"])
async def test_existing_model_is_not_created_again(client: httpx.AsyncClient, store: Store, name: str) -> None:
    """A name that is taken is 400 with the seeds' sentence, and the model is as it was."""
    before = (store.root / name / "model.json").read_bytes()

    response = await client.post("/create_model", json=MODEL | {"name": name})

    check_problem(response, 400, "Model already exists")
    assert (store.root / name / "model.json").read_bytes() == before


async def test_one_of_many_creates_succeeds(client: httpx.AsyncClient) -> None:
    """Of 20 requests at once to create one model, one creates it and the others are told that it exists."""
    body = {"name": "wanted", "neural_network_type": "GRU"}

    answers = await asyncio.gather(*(client.post("/create_model", json=body) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert {answer.json().get("detail") for answer in answers} == {None, "Model already exists"}


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/b", "/etc", "%2e%2e", "a\0b", "A", "Modèle", "mode\u0300le", "\u212a", "a b", "-a",
        "_a", "a.b", "a\n", "con:", "a" * 64, "a" * 10_000, "💥",
    ],
)  # fmt: skip
async def test_hostile_name_is_refused(client: httpx.AsyncClient, store: Store, name: str) -> None:
    """A name outside the pattern is 400 on every route that takes one, and nothing appears in the store."""
    before = sorted(store.root.iterdir())

    bodies: dict[str, dict[str, Any]] = {
        "/create_model": {},
        "/search": {"text": "a"},
        "/test": {"test_data": [{"category": "a", "text": "b"}]},
        "/predict": {"email_text": "a"},
    }
    for path, body in bodies.items():
        fields = {"name": name} if path == "/predict" else {"name": name, "neural_network_type": "GRU"}
        assert "is not allowed" in check_problem(await client.post(path, json=fields | body), 400)["detail"]
    assert sorted(store.root.iterdir()) == before


@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "con", "a_b-c9"])
async def test_plain_name_is_accepted(client: httpx.AsyncClient, name: str) -> None:
    """A name of 1 to 63 letters, digits, '_' and '-' names a model."""
    assert (await client.post("/create_model", json=MODEL | {"name": name})).status_code == 200


@pytest.mark.parametrize("kind", ["gru", "LSTM", "", "G" * 1000])
async def test_unknown_kind_names_the_known_ones(client: httpx.AsyncClient, kind: str) -> None:
    """A kind of network that is not in the table is 400 on every route, and the known ones are named."""
    tickets = [{"category": "a", "text": "b"}]
    bodies: dict[str, dict[str, Any]] = {
        "/create_model": {},
        "/search": {"text": "a"},
        "/test": {"test_data": tickets},
    }

    for path, body in bodies.items():
        name = "new" if path == "/create_model" else "puppet-o2"
        response = await client.post(path, json=body | {"name": name, "neural_network_type": kind})

        detail = check_problem(response, 400)["detail"]
        assert "is unknown" in detail
        assert "known: GRU" in detail


async def test_other_kind_than_the_models_is_refused(client: httpx.AsyncClient, second_kind: str) -> None:
    """A kind that exists but is not the model's is 400 and names the model's own."""
    assert (await client.post("/create_model", json={"name": "b", "neural_network_type": second_kind})).is_success
    bodies: dict[str, dict[str, Any]] = {
        "/search": {"text": "a"},
        "/test": {"test_data": [{"category": "a", "text": "b"}]},
    }

    for path, body in bodies.items():
        response = await client.post(path, json=MODEL | {"neural_network_type": second_kind} | body)

        check_problem(response, 400, "model puppet-o2 is of neural_network_type GRU, not LSTM; name its own type")


# /train_model: the seeds' refusals come from the trainer's process; test_training.py has the rest


async def test_training_an_unknown_model_is_404(settings: Settings, trainer_here: None) -> None:
    """Training a model that was not created is 404 with the seeds' sentence."""
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        for rows in ([], [{"category": "a", "tokens": ["b"]}]):
            check_problem(
                await client.post("/train_model", json=NOBODY | {"training_data": rows}), 404, "Model not found"
            )


@pytest.mark.parametrize("body", [{"training_data": []}, {"training_data": None}, {}])
async def test_training_without_data_is_400(settings: Settings, trainer_here: None, body: dict[str, Any]) -> None:
    """Training on an empty or absent list is 400 with the seeds' sentence."""
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        response = await client.post("/train_model", json=MODEL | body)

    check_problem(response, 400, "No training data provided or training data is empty")


async def test_faults_of_training_data_are_listed(settings: Settings, trainer_here: None) -> None:
    """Every bad ticket of a training is named with its row and field."""
    rows = [
        {"category": "a", "tokens": ["b"]},
        {"category": 3, "tokens": ["b", 4]},
        {"category": "x", "tokens": [" "]},
        {"tokens": ["b"]},
    ]
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        response = await client.post("/train_model", json=MODEL | {"training_data": rows})

    assert pointers(check_problem(response, 400)) == [
        "/training_data/1/category", "/training_data/1/tokens/1", "/training_data/2/tokens", "/training_data/3",
    ]  # fmt: skip


async def test_wrong_config_of_a_training_is_refused(settings: Settings, trainer_here: None) -> None:
    """A field of `config` that TrainConfig lacks, or a value outside its range, is named."""
    body = MODEL | {"training_data": [{"category": "a", "text": "b"}], "config": {"epochs": -1, "epoch": 3}}
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        response = await client.post("/train_model", json=body)

    assert pointers(check_problem(response, 400)) == ["/config/epochs", "/config/epoch"]


# /search


@pytest.mark.parametrize(("path", "body"), [("/search", {"vector": ["a"]}), ("/test", {"test_data": []})])
async def test_unknown_model_is_404(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """A model that was not created is 404 with the seeds' sentence."""
    check_problem(await client.post(path, json=NOBODY | body), 404, "Model not found")


@pytest.mark.parametrize(("path", "body"), [("/search", {"vector": ["a"]}), ("/test", {"test_data": []})])
async def test_untrained_model_is_400(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """A model without a version is 400 with the seeds' sentence."""
    check_problem(await client.post(path, json=UNTRAINED | body), 400, "Model not trained yet")


@pytest.mark.parametrize(("category", "tokens"), CATEGORY.items())
async def test_ticket_is_answered_with_its_category(
    client: httpx.AsyncClient, model: GruModel, category: str, tokens: list[str]
) -> None:
    """One ticket gets its category, the probability of it, what was not known, and which version says so."""
    response = await client.post("/search", json=MODEL | {"vector": tokens})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    confidence = float(model.probabilities([model.encode(tokens)]).max())
    assert answer.pop("confidence") == pytest.approx(confidence, abs=1e-6)
    assert confidence > 0.9
    assert answer == {
        "category": category, "model_name": "puppet-o2", "version": 1, "unknown_tokens": [], "num_truncated_tokens": 0,
    }  # fmt: skip


async def test_answers_are_those_of_the_golden_rows(client: httpx.AsyncClient, store: Store) -> None:
    """The probabilities that the export recorded come out of the server within 1e-4 (another processor rounds)."""
    folder = store.root / "puppet-o2" / "1"
    golden = msgspec.json.decode((folder / "golden.json").read_bytes(), type=list[GoldenRow])
    labels = msgspec.json.decode((folder / "labels.json").read_bytes(), type=list[str])

    for row in golden:
        answer = (await client.post("/search", json=MODEL | {"vector": row.tokens})).json()
        assert answer["confidence"] == pytest.approx(max(row.probabilities), abs=1e-4)
        assert answer["category"] == labels[row.probabilities.index(max(row.probabilities))]
    assert len(golden) >= 3


async def test_text_is_read_like_its_words(client: httpx.AsyncClient) -> None:
    """A raw text is answered as the tokens that the tokenizer makes of it: masked, lower case, elisions cut."""
    tokens = ["connexion", "impossible", "à", "l'", "accès", "<EMAIL>", "<PRODUCT>", "!"]
    body = {"vector": tokens}, {"text": "Connexion impossible à L’accès (jean@mail.fr), <PRODUCT> !"}

    as_tokens, as_text = [(await client.post("/search", json=MODEL | fields)).json() for fields in body]

    assert as_text == as_tokens
    assert as_text["unknown_tokens"] == ["impossible", "à", "l'", "accès", "<EMAIL>", "!"]


async def test_several_tickets_are_answered_in_order(client: httpx.AsyncClient) -> None:
    """Many tickets of mixed lengths get their answers in the order of the request, from one version."""
    vectors = [ACCESS * 20, CONNECTION, CLIENT * 3, ["ajouter"], CONNECTION * 9, CLIENT, ACCESS]

    response = await client.post("/search", json=MODEL | {"vectors": vectors})

    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"model_name", "version", "results"}
    assert (answer["model_name"], answer["version"]) == ("puppet-o2", 1)
    assert [result["category"] for result in answer["results"]] == [
        "Accès utilisateur", "Problème de connexion", "Création de client", "Accès utilisateur",
        "Problème de connexion", "Création de client", "Accès utilisateur",
    ]  # fmt: skip
    assert set(answer["results"][0]) == {"category", "confidence", "unknown_tokens", "num_truncated_tokens"}


async def test_ticket_alone_equals_itself_among_others(client: httpx.AsyncClient) -> None:
    """A ticket's answer does not depend on those that it is sent with, be they longer or full of new words."""
    texts = [
        "connexion",
        "créer un client",
        "utilisatreur coffre zzz",
        "avoir " * 60,
        "conntecter",
        "client zzz yyy xxx",
    ]
    alone = [(await client.post("/search", json=MODEL | {"text": text})).json() for text in texts]

    together = (await client.post("/search", json=MODEL | {"texts": texts})).json()["results"]

    for one, among in zip(alone, together, strict=True):
        assert among["confidence"] == pytest.approx(one["confidence"], abs=1e-6)
        assert among == {name: one[name] for name in among} | {"confidence": among["confidence"]}


async def test_unknown_and_truncated_tokens_are_reported(client: httpx.AsyncClient) -> None:
    """Each unknown token is named once in its normal form; tokens past the 512th and overlong ones are counted."""
    tokens = ["Zéphyr", "connexion", "zéphyr", "x" * 300] + ["client"] * (MAX_TOKENS + 1)

    answer = (await client.post("/search", json=MODEL | {"vector": tokens})).json()

    assert answer["unknown_tokens"] == ["zéphyr", "x" * 256]
    assert answer["num_truncated_tokens"] == (4 + MAX_TOKENS + 1 - MAX_TOKENS) + 1


@pytest.mark.parametrize("given", [0, 7, -1, 2**64 - 1, 2**70, "a-1", "", "Zoé 💥"])
async def test_id_is_echoed(client: httpx.AsyncClient, given: object) -> None:
    """The caller's id comes back as it was sent, number or text, on /search and on /predict."""
    one = (await client.post("/search", json=MODEL | {"vector": ["a"], "id": given})).json()
    mail = (await client.post("/predict", json={"email_text": "a", "id": given})).json()

    assert one["id"] == mail["id"] == given
    assert type(one["id"]) is type(given)


async def test_ids_are_echoed_each_with_its_ticket(client: httpx.AsyncClient) -> None:
    """Several tickets get their ids back in order; a ticket without one gets none."""
    body = {"vectors": [CLIENT, ACCESS, CONNECTION], "ids": ["c", None, 3]}

    results = (await client.post("/search", json=MODEL | body)).json()["results"]

    assert [result.get("id", "none") for result in results] == ["c", "none", 3]
    assert [result["category"] for result in results] == [
        "Création de client", "Accès utilisateur", "Problème de connexion",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"vector": []}, ["/vector"]),
        ({"vector": [" ", "\t", ""]}, ["/vector"]),
        ({"text": ""}, ["/text"]),
        ({"text": " ... \n"}, ["/text"]),
        ({"vectors": [["a"], ["b"], ["c"], []]}, ["/vectors/3"]),
        ({"vectors": [[], ["b"], [" "]]}, ["/vectors/0", "/vectors/2"]),
        ({"texts": ["a", "", "b", ","]}, ["/texts/1", "/texts/3"]),
    ],
)
async def test_empty_ticket_is_refused_with_its_place(
    client: httpx.AsyncClient, body: dict[str, Any], places: list[str]
) -> None:
    """A ticket without a readable token is 400; all of them are named with their pointers."""
    problem = check_problem(await client.post("/search", json=MODEL | body), 400)

    assert pointers(problem) == places
    assert {fault["detail"] for fault in problem["errors"]} == {EMPTY}


async def test_many_empty_tickets_are_counted(client: httpx.AsyncClient) -> None:
    """Of many empty tickets the first 20 are named and all are counted."""
    problem = check_problem(await client.post("/search", json=MODEL | {"vectors": [["a"], *[[]] * 700]}), 400)

    assert pointers(problem) == [f"/vectors/{index}" for index in range(1, 21)]
    assert problem["num_errors"] == 700


@pytest.mark.parametrize(
    "names", [(), ("vector", "text"), ("vectors", "texts"), ("vector", "vectors", "text", "texts")]
)
async def test_search_needs_exactly_one_content(client: httpx.AsyncClient, names: Sequence[str]) -> None:
    """None or more than one of the four ways to send a ticket is 400 and names them."""
    contents = {"vector": ["a"], "text": "a", "vectors": [["a"]], "texts": ["a"]}

    problem = check_problem(await client.post("/search", json=MODEL | {name: contents[name] for name in names}), 400)

    assert (
        problem["errors"][0]["detail"]
        == "expected exactly one of `vector`, `text`, `vectors`, `texts`; send one of them"
    )


# Work that would hold the others up goes to a thread


class Gate:
    """Holds the large calls of a model's method until `open` is set; `was_open` tells of each whether it was, in time.

    Were such a call made on the event loop, nobody could open the gate for it.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, method: str, smallest: int, model: type[Model[Any]] = GruModel
    ) -> None:
        self.open = threading.Event()
        self.was_open: list[bool] = []
        real = getattr(model, method)

        def held(one: Model[Any], *args: Any) -> Any:
            if len(args[-1]) >= smallest:
                self.was_open.append(self.open.wait(DEADLINE_S / 3))
            return real(one, *args)

        monkeypatch.setattr(model, method, held)


async def search_category(client: httpx.AsyncClient, tokens: list[str]) -> str:
    """Return the category of a ticket, and let other tasks have a turn (a client in the same loop need not wait)."""
    await asyncio.sleep(0)
    response = await client.post("/search", json=MODEL | {"vector": tokens})
    category: str = response.json()["category"]
    return category


async def test_large_search_lets_others_through(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """43,000 one-token tickets in one body are all answered, and other searches are answered before them."""
    words = ["client", "coffre"]
    vectors = [[words[index % 2]] for index in range(43_000)]
    body = json.dumps(MODEL | {"vectors": []}).replace("[]", json.dumps(vectors, separators=(",", ":")))
    body = body.replace('"client"', '"a"').replace('"coffre"', '"b"')
    assert len(body) <= 256 * 1024
    gate = Gate(monkeypatch, "predict", 1000)

    large = asyncio.create_task(client.post("/search", content=body, headers={"Content-Type": "application/json"}))
    categories = [await search_category(client, ACCESS) for _ in range(100)]
    assert not large.done()
    gate.open.set()
    response = await asyncio.wait_for(large, DEADLINE_S)

    assert categories == ["Accès utilisateur"] * 100
    assert gate.was_open == [True]
    results = response.json()["results"]
    assert len(results) == 43_000
    for index, word in enumerate("ab"):
        one = (await client.post("/search", json=MODEL | {"vector": [word]})).json()
        assert {result["category"] for result in results[index::2]} == {one["category"]}
        assert {tuple(result["unknown_tokens"]) for result in results[index::2]} == {(word,)}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", lambda text: MODEL | {"text": text}),
        ("/search", lambda text: MODEL | {"texts": ["a", text]}),
        ("/test", lambda text: MODEL | {"test_data": [{"category": "a", "text": text}]}),
        ("/predict", lambda text: {"email_text": text}),
    ],
)
async def test_long_text_lets_others_through(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, body: Callable[[str], dict[str, Any]]
) -> None:
    """While a text of 200,000 characters is read, other searches go on being answered."""
    gate = Gate(monkeypatch, "encode", 1000)

    long = asyncio.create_task(client.post(path, json=body("a b " * 50_000)))
    categories = [await search_category(client, ACCESS) for _ in range(100)]
    assert not long.done()
    gate.open.set()
    response = await asyncio.wait_for(long, DEADLINE_S)

    assert response.status_code == 200
    assert categories == ["Accès utilisateur"] * 100
    assert gate.was_open == [True]


async def test_large_batch_equals_small_ones(client: httpx.AsyncClient) -> None:
    """Tickets that go to the thread in one body get the answers that they get one by one."""
    vectors = [
        (CONNECTION + ACCESS + CLIENT)[start : start + 3] * repeats for start in range(8) for repeats in (1, 100)
    ]
    alone = [(await client.post("/search", json=MODEL | {"vector": vector})).json() for vector in vectors]

    together = (await client.post("/search", json=MODEL | {"vectors": vectors})).json()["results"]

    assert sum(map(len, vectors)) > 2048
    assert [result["category"] for result in together] == [one["category"] for one in alone]
    assert [result["confidence"] for result in together] == pytest.approx(
        [one["confidence"] for one in alone], abs=1e-6
    )


async def test_long_test_lets_searches_through(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """While 10,000 tickets are decoded, read and measured, searches go on being answered."""
    rows = [{"category": category, "tokens": tokens} for category, tokens in CATEGORY.items()]
    gate = Gate(monkeypatch, "evaluate", 1000)

    test = asyncio.create_task(client.post("/test", json=MODEL | {"test_data": (rows * 3334)[:10_000]}))
    categories = [await search_category(client, CLIENT) for _ in range(100)]
    assert not test.done()
    gate.open.set()
    answer = (await asyncio.wait_for(test, DEADLINE_S)).json()

    assert categories == ["Création de client"] * 100
    assert gate.was_open == [True]
    assert (answer["total_tests"], answer["correct_predictions"]) == (10_000, 10_000)


async def test_decoding_of_a_long_test_is_in_turns(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two slices of a long test's tickets others get their turn: 10,000 tickets are at least 30 turns."""
    rows = [{"category": "a", "tokens": ["b"]}] * 10_000
    turns, num_encoded, seen = 0, 0, set[int]()
    real = GruModel.encode

    def count(model: GruModel, content: Sequence[str] | str) -> Encoded:
        nonlocal num_encoded
        num_encoded += 1
        return real(model, content)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            seen.add(num_encoded)
            await asyncio.sleep(0)

    monkeypatch.setattr(GruModel, "encode", count)
    async with connect(app) as client:
        watching = asyncio.create_task(others())
        response = await client.post("/test", json=MODEL | {"test_data": rows})
        watching.cancel()

    assert response.status_code == 200
    steps = sorted(seen)
    assert len(steps) >= 30
    assert max(after - before for before, after in itertools.pairwise(steps)) <= 256


# /test

LABELLED: list[dict[str, Any]] = [
    {"category": "Problème de connexion", "tokens": CONNECTION, "id": "p-1"},
    {"category": "Problème de connexion", "text": "créer un nouveau client", "id": "p-2"},
    {"category": "Accès utilisateur", "tokens": ACCESS},
    {"label": "Accès utilisateur", "email_text": "connexion expirée", "id": 17},
    {"category": "Création de client", "tokens": CLIENT},
    {"category": " Cre\u0301ation de client ", "tokens": ["client"]},
    {"category": "Facture", "tokens": ["facture", "client"], "id": "f"},
]


async def test_measures_are_those_of_the_answers(client: httpx.AsyncClient, store: Store) -> None:
    """/test counts just what /search answers to each ticket, by the one code that measures (artifacts.metrics)."""
    answers = []
    for row in LABELLED:
        content = {"vector": row["tokens"]} if "tokens" in row else {"text": row.get("text", row.get("email_text"))}
        answers.append((await client.post("/search", json=MODEL | content)).json())
    labels = ["Accès utilisateur", "Création de client", "Problème de connexion"]
    expected = [labels[2], labels[2], labels[0], labels[0], labels[1], labels[1], "Facture"]
    model = kinds.load(*store.read_version("puppet-o2", 1))
    assert isinstance(model, GruModel)
    probabilities_NC = model.probabilities(
        [model.encode(row.get("tokens") or row.get("text") or row["email_text"]) for row in LABELLED]
    )
    metrics = measure(labels, expected, [probabilities_NC], [row.get("id") for row in LABELLED])

    response = await client.post("/test", json=MODEL | {"test_data": LABELLED})

    assert response.status_code == 200
    found = msgspec.json.decode(response.content, type=Metrics)
    whole = msgspec.structs.replace(found, clean=None, learnt=None)
    assert whole == msgspec.structs.replace(metrics, model_name="puppet-o2", version=1)
    wrong = [row for row, answer in enumerate(answers) if answer["category"] != expected[row]]
    assert {mistake.row: mistake.confidence for mistake in found.mistakes} == pytest.approx(
        {row: answers[row]["confidence"] for row in wrong}, abs=1e-6
    )


async def test_measures_of_a_hand_worked_test(client: httpx.AsyncClient) -> None:
    """Four tickets, three right: accuracy 3/4; F1 of 1, 2/3 and 2/3 gives a macro F1 of 7/9.

    Answered: P->P, A->A, C->C, A->C. For A precision 1, recall 1/2, so F1 2/3; for C precision 1/2, recall 1, so 2/3.
    """
    rows = [{"category": category, "tokens": tokens} for category, tokens in CATEGORY.items()]
    rows.append({"category": "Accès utilisateur", "tokens": CLIENT, "id": "wrong"})

    answer = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    assert (answer["total_tests"], answer["correct_predictions"], answer["total_error"]) == (4, 3, 1)
    assert (answer["accuracy"], answer["macro_f1"]) == (0.75, pytest.approx(7 / 9))
    assert answer["per_category"]["Accès utilisateur"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}
    )
    assert answer["confusions"] == [{"expected": "Accès utilisateur", "predicted": "Création de client", "count": 1}]
    (mistake,) = answer["mistakes"]
    assert (mistake["row"], mistake["id"], mistake["predicted"]) == (3, "wrong", "Création de client")
    assert answer["unknown_categories"] == {}


async def test_category_that_the_model_lacks_is_an_error_and_listed(client: httpx.AsyncClient) -> None:
    """Tickets of a category that the model never saw count as errors, and the category is named with their number."""
    rows = [{"category": "Facture", "tokens": CLIENT}] * 3 + [{"category": "Création de client", "tokens": CLIENT}]

    answer = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    assert (answer["total_tests"], answer["total_error"]) == (4, 3)
    assert answer["unknown_categories"] == {"Facture": 3}
    assert answer["per_category"]["Facture"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 3}


@pytest.mark.parametrize("body", [{"test_data": []}, {"test_data": None}, {}])
async def test_test_without_data_is_400(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """A test of nothing is refused in the words that the seeds use for a training on nothing."""
    check_problem(await client.post("/test", json=MODEL | body), 400, "No test data provided or test data is empty")


async def test_faults_of_test_data_are_all_listed(client: httpx.AsyncClient) -> None:
    """Every bad ticket of a test is named with its row and field."""
    rows: list[object] = [
        {"category": "a", "tokens": ["b"]},
        7,
        {"category": "a", "tokens": ["b", 3]},
        {"category": "a", "tokens": []},
        {"category": "a", "text": " "},
        {"category": "a", "email_text": ""},
        {"category": "a"},
        {"tokens": ["b"]},
        {"category": " ", "tokens": ["b"]},
        {"category": "a", "tokens": ["nul\0"]},
    ]

    problem = check_problem(await client.post("/test", json=MODEL | {"test_data": rows}), 400)

    assert pointers(problem) == [
        "/test_data/1", "/test_data/2/tokens/1", "/test_data/3/tokens", "/test_data/4/text", "/test_data/5/email_text",
        "/test_data/6", "/test_data/7", "/test_data/8", "/test_data/9/tokens",
    ]  # fmt: skip


async def test_many_faults_of_test_data_are_counted_not_kept(client: httpx.AsyncClient) -> None:
    """Of 5,000 faults the first 20 are named and all are counted."""
    problem = check_problem(await client.post("/test", json=MODEL | {"test_data": [0] * 5000}), 400)

    assert pointers(problem) == [f"/test_data/{index}" for index in range(20)]
    assert problem["num_errors"] == 5000


# /predict


async def test_mail_gets_its_label(client: httpx.AsyncClient) -> None:
    """An e-mail's text is answered under the names of the first seed document, from the default model."""
    response = await client.post("/predict", json={"email_text": "Bonjour,\n\ncréer un client <COMPANY> dossier"})

    assert response.status_code == 200
    answer = response.json()
    search = (await client.post("/search", json=MODEL | {"text": "bonjour créer un client <COMPANY> dossier"})).json()
    assert answer.pop("confidence_score") == pytest.approx(search["confidence"], abs=1e-6)
    assert answer == {
        "predicted_label": "Création de client", "model_name": "puppet-o2", "version": 1,
        "unknown_tokens": search["unknown_tokens"], "num_truncated_tokens": 0,
    }  # fmt: skip


async def test_mail_may_name_its_model(client: httpx.AsyncClient) -> None:
    """A name in the body is asked and not the default: one that is not trained or not there says so."""
    assert (await client.post("/predict", json={"email_text": "a", "name": "puppet-o2"})).status_code == 200
    check_problem(
        await client.post("/predict", json={"email_text": "a", "name": "untrained"}), 400, "Model not trained yet"
    )
    check_problem(await client.post("/predict", json={"email_text": "a", "name": "nobody"}), 404, "Model not found")


async def test_default_model_can_be_set(settings: Settings) -> None:
    """Without a name, the model of the setting is asked."""
    async with started(msgspec.structs.replace(settings, default_model="untrained")) as app, connect(app) as client:
        check_problem(await client.post("/predict", json={"email_text": "a"}), 400, "Model not trained yet")


@pytest.mark.parametrize("text", ["", " \n", "...", "\u00a0"])
async def test_empty_mail_is_refused_with_its_place(client: httpx.AsyncClient, text: str) -> None:
    """A mail without a readable word is 400 with its pointer."""
    problem = check_problem(await client.post("/predict", json={"email_text": text}), 400)

    assert pointers(problem) == ["/email_text"]


# A kind that reads numbers and answers with one

FLATS = [[28.0, 0.0], [52.0, 3.0], [60.0, 1.0], [44.0, 2.0], [36.0, 3.0]]  # square metres, floor


async def test_case_is_answered_with_its_value(client: httpx.AsyncClient, prices: SimpleNNModel) -> None:
    """One case gets just the value that the model has for it, and which version says so."""
    response = await client.post("/search", json=PRICES | {"vector": FLATS[1], "id": "flat-1"})

    assert response.status_code == 200
    (value,) = prices.values([prices.encode(FLATS[1])]).tolist()
    assert response.json() == {"id": "flat-1", "model_name": "prices", "version": 1, "value": value}
    assert value == pytest.approx(3000 * 52 + 5000 * 3, rel=0.03)


async def test_several_cases_are_answered_in_order(client: httpx.AsyncClient) -> None:
    """Each case of many gets its own value in the order of the request, with its id where it has one."""
    alone = [(await client.post("/search", json=PRICES | {"vector": flat})).json()["value"] for flat in FLATS]
    body = {"vectors": FLATS, "ids": ["a", None, 3, "", 0]}

    answer = (await client.post("/search", json=PRICES | body)).json()

    assert list(answer) == ["model_name", "version", "results"]
    assert (answer["model_name"], answer["version"]) == ("prices", 1)
    assert [result["value"] for result in answer["results"]] == pytest.approx(alone, rel=1e-12)
    assert len(set(alone)) == len(FLATS)
    assert [result.get("id", "none") for result in answer["results"]] == ["a", "none", 3, "", 0]
    assert all(set(result) <= {"value", "id"} for result in answer["results"])


async def test_cases_are_measured(client: httpx.AsyncClient) -> None:
    """/test counts just what /search answers to each case: MAE, RMSE, R2, and the rows that are furthest off."""
    targets = [84_000.0, 171_000.0, 100_000.0, 142_000.0, 123_000.0]
    values = [(await client.post("/search", json=PRICES | {"vector": flat})).json()["value"] for flat in FLATS]
    expected = measure_values(targets, values, [0, 1, 2, 3, 4])
    rows = [
        {"features": flat, "target": target, "id": number}
        for number, (flat, target) in enumerate(zip(FLATS, targets, strict=True))
    ]

    response = await client.post("/test", json=PRICES | {"test_data": rows})

    assert response.status_code == 200
    assert set(response.json()) == {"model_name", "version", *(set(ValueMetrics.__struct_fields__) - {"unknown"})}
    found = msgspec.json.decode(response.content, type=ValueMetrics)
    assert (found.model_name, found.version, found.total_tests) == ("prices", 1, 5)
    assert (found.mae, found.rmse, found.r2) == pytest.approx((expected.mae, expected.rmse, expected.r2), rel=1e-9)
    assert [one.row for one in found.largest_errors] == [one.row for one in expected.largest_errors]
    assert (found.largest_errors[0].id, found.largest_errors[0].expected) == (2, 100_000.0)


async def test_values_of_one_target_have_no_r2(client: httpx.AsyncClient) -> None:
    """Where the targets do not vary, R2 is null in the answer and not left out."""
    answer = (await client.post("/test", json=PRICES | {"test_data": [{"features": FLATS[0], "target": 1}]})).json()

    assert answer["r2"] is None
    assert answer["mae"] == answer["rmse"] > 0


@pytest.mark.parametrize(
    ("path", "body", "places"),
    [
        ("/search", {"vector": [1.0]}, ["/vector"]),
        ("/search", {"vectors": [[1, 2], [1, 2, 3], [1, 2], [1]]}, ["/vectors/1", "/vectors/3"]),
        (
            "/test",
            {"test_data": [{"features": [1], "target": 1}, {"features": [1, 2], "target": 1}]},
            ["/test_data/0/features"],
        ),
    ],
)
async def test_another_number_of_features_is_refused_with_its_place(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], places: list[str]
) -> None:
    """A case of another length than the training's is 400; each is named with what it has and what the model takes."""
    problem = check_problem(await client.post(path, json=PRICES | body), 400)

    assert pointers(problem) == places
    for fault in problem["errors"]:
        assert "features, the model was trained on 2; send as many, in the same order" in fault["detail"]


async def test_faults_of_cases_are_all_listed(client: httpx.AsyncClient) -> None:
    """Every bad case of a test is named with its row and field, be it read or not."""
    rows: list[object] = [
        {"features": [1, 2], "target": 1},
        {"features": [1, "2"], "target": "1"},
        {"features": [], "target": 1},
        {"features": [1, 2]},
        {"category": "a", "tokens": ["b"]},
        {"features": [1e300, 2], "target": -1e300},
        {"features": [1, 2, 3], "target": 1},
        [1, 2],
    ]

    problem = check_problem(await client.post("/test", json=PRICES | {"test_data": rows}), 400)

    assert pointers(problem) == [
        "/test_data/1/features/1", "/test_data/1/target", "/test_data/2/features", "/test_data/3/target",
        "/test_data/4/features", "/test_data/4/target", "/test_data/5/features/0", "/test_data/5/target",
        "/test_data/6/features", "/test_data/7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ({"text": "deux pièces"}, "/text", "is an unknown field, expected one of name, neural_network_type, id, ids, "),
        ({"texts": ["a"]}, "/texts", "vector, vectors"),
        ({"vector": ["a", "b"]}, "/vector/0", "Expected `float`, got `str`"),
        ({"vector": [1, None]}, "/vector/1", "Expected `float`, got `null`"),
        ({"vectors": [[1, 2], ["a"]]}, "/vectors/1/0", "Expected `float`, got `str`"),
        ({"vector": [1, 1e300]}, "/vector/1", "1e+100"),
        ({"vector": []}, "/vector", "length >= 1"),
    ],
)
async def test_text_is_no_question_to_a_kind_that_reads_numbers(
    client: httpx.AsyncClient, fields: dict[str, Any], place: str, said: str
) -> None:
    """A ticket that is sent to a model of numbers is 400, and the fault names the fields that there are."""
    problem = check_problem(await client.post("/search", json=PRICES | fields), 400)

    assert pointers(problem)[0] == place
    assert said in problem["errors"][0]["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_what_is_no_number_is_refused(client: httpx.AsyncClient, number: str) -> None:
    """The literals that JSON lacks, and a number that no float64 holds, are 400 and never reach the model."""
    body = json.dumps(PRICES | {"vector": [1, "?"]}).replace('"?"', number)

    response = await client.post("/search", content=body, headers={"Content-Type": "application/json"})

    assert check_problem(response, 400)["errors"]


@pytest.mark.parametrize(
    ("asked", "model", "body"),
    [
        ("GRU", "prices", {"vector": ["a"]}),
        ("GRU", "prices", {"text": "a"}),
        ("SimpleNN", "puppet-o2", {"vector": [1.0, 2.0]}),
    ],
)
async def test_model_of_another_kind_is_not_asked(
    client: httpx.AsyncClient, asked: str, model: str, body: dict[str, Any]
) -> None:
    """A sound question of another kind than the model's is 400 with a sentence that names both, on both routes."""
    own = {"prices": "SimpleNN", "puppet-o2": "GRU"}[model]
    for path, fields in (("/search", body), ("/test", {"test_data": [{"features": [1.0], "target": 1.0}]})):
        response = await client.post(path, json={"name": model, "neural_network_type": asked} | fields)

        check_problem(response, 400, f"model {model} is of neural_network_type {own}, not {asked}; name its own type")


async def test_model_that_reads_no_text_predicts_nothing(client: httpx.AsyncClient, settings: Settings) -> None:
    """/predict of a model of numbers is 400 and names the kinds that read text, be it named or the default."""
    said = (
        "model prices is of neural_network_type SimpleNN, which does not read text, expected a model of GRU; "
        "name such a model, or ask this one through /search"
    )

    check_problem(await client.post("/predict", json={"email_text": "a", "name": "prices"}), 400, said)
    async with started(msgspec.structs.replace(settings, default_model="prices")) as app, connect(app) as other:
        check_problem(await other.post("/predict", json={"email_text": "a"}), 400, said)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
async def test_answer_that_is_no_number_is_an_error(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """A model whose answer is no finite number is a 500 with its own sentence, never a null that looks answered."""
    monkeypatch.setattr(SimpleNNModel, "values", lambda _, cases: np.array([1.0] * (len(cases) - 1) + [wrong]))
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/search", {"vector": FLATS[0]}),
        ("/search", {"vectors": FLATS}),
        ("/test", {"test_data": [{"features": FLATS[0], "target": 1.0}]}),
    ]

    for path, body in bodies:
        check_problem(
            await client.post(path, json=PRICES | body),
            500,
            "prices version 1 answers with a number that is not finite; train it again",
        )


async def test_many_cases_let_others_through(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 cases in one body are all answered in order, and other searches are answered before them."""
    flats = [FLATS[number % 5] for number in range(20_000)]
    gate = Gate(monkeypatch, "predict", 1000, SimpleNNModel)

    large = asyncio.create_task(client.post("/search", json=PRICES | {"vectors": flats}))
    categories = [await search_category(client, ACCESS) for _ in range(100)]
    assert not large.done()
    gate.open.set()
    results = (await asyncio.wait_for(large, DEADLINE_S)).json()["results"]

    assert categories == ["Accès utilisateur"] * 100
    assert gate.was_open == [True]
    few = (await client.post("/search", json=PRICES | {"vectors": FLATS})).json()["results"]
    assert len(results) == 20_000
    for number, one in enumerate(few):
        np.testing.assert_allclose([result["value"] for result in results[number::5]], one["value"], rtol=1e-12)


@pytest.mark.parametrize(("num_cases", "is_inline"), [(1, True), (2048, True), (2049, False)])
async def test_few_cases_are_answered_where_they_are(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, num_cases: int, is_inline: bool
) -> None:
    """A case counts as one token: up to 2048 are answered on the loop, without the cost of a thread."""
    threads = list[bool]()
    real = SimpleNNModel.predict

    def watched(model: SimpleNNModel, encoded: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return real(model, encoded)

    monkeypatch.setattr(SimpleNNModel, "predict", watched)

    response = await client.post("/search", json=PRICES | {"vectors": [FLATS[0]] * num_cases})

    assert len(response.json()["results"]) == num_cases
    assert threads == [is_inline]


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"config": {"hidden": 0, "embedding": 8, "dropout": 1}}, ["hidden", "dropout", "embedding"]),
        ({"config": {"epochs": "3"}}, ["epochs"]),
    ],
)
async def test_wrong_config_of_a_kind_is_refused(
    settings: Settings, trainer_here: None, fields: dict[str, Any], places: list[str]
) -> None:
    """The settings of a training are those of the model's kind: another kind's are unknown, each with its pointer."""
    body = PRICES | {"training_data": [{"features": [1, 2], "target": 3}] * 20} | fields
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        response = await client.post("/train_model", json=body)

    assert pointers(check_problem(response, 400)) == [f"/config/{place}" for place in places]


async def test_faults_of_training_cases_are_listed(settings: Settings, trainer_here: None) -> None:
    """Every bad case of a training is named, one with another number of features than the first among them."""
    rows: list[object] = [
        {"features": [1, 2], "target": 3},
        {"features": [1], "target": 3},
        {"features": [1, "2"], "target": 3},
        {"category": "a", "tokens": ["b"]},
    ]
    async with started(msgspec.structs.replace(settings, trainer="local")) as app, connect(app) as client:
        response = await client.post("/train_model", json=PRICES | {"training_data": rows})

    assert pointers(check_problem(response, 400)) == [
        "/training_data/1/features", "/training_data/2/features/1", "/training_data/3/features",
        "/training_data/3/target",
    ]  # fmt: skip


# Probes


async def test_probes_answer(client: httpx.AsyncClient) -> None:
    """A server that has loaded its models is alive and ready."""
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_server_is_not_ready_before_its_models_are_loaded(app: Litestar, client: httpx.AsyncClient) -> None:
    """Until every model has been looked at, /readyz is 503 with Retry-After, and /livez is 200."""
    app.state.registry.is_ready = False

    response = await client.get("/readyz")

    check_problem(response, 503)
    assert response.headers["retry-after"] == "1"
    assert (await client.get("/livez")).status_code == 200
    await eventually(lambda: app.state.registry.is_ready, "the next look at the store")
    assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("more", [{}, {"explain": True}, {"top_k": 2}])
async def test_client_that_left_costs_no_run(
    app: Litestar, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """A search on the ordinary way whose client closes its connection while it waits never reaches the model."""
    raw = json.dumps(MODEL | {"vector": CONNECTION} | more).encode()
    messages: list[Any] = [{"type": "http.request", "body": raw, "more_body": False}]
    left = asyncio.Event()
    runs: list[int] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    model, batcher = app.state.registry.serving(MODEL["name"]), app.state.batcher
    monkeypatch.setattr(type(model), "probabilities", lambda _, encoded: runs.append(len(encoded)))
    head = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
    scope = {
        "type": "http", "method": "POST", "path": "/search", "raw_path": b"/search", "query_string": b"",
        "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": head,
    }  # fmt: skip
    asking = asyncio.ensure_future(app(scope, receive, send))  # type: ignore[arg-type]
    while not batcher.admission.waiting_tokens:
        assert not asking.done()
        await asyncio.sleep(0)
    left.set()
    await asyncio.wait_for(asking, DEADLINE_S)

    assert not runs


def with_list(store: Store, rows: list[Ticket] | None) -> None:
    """Publish the fixture's version once more, as if it had been trained on these rows; None: it keeps no list."""
    manifest, files = store.read_version("puppet-o2", 1)
    kept = trained_on(rows) if rows is not None else None
    report = msgspec.json.decode(files["report.json"], type=dict[str, Any]) | {"trained_on": kept}
    store.publish(manifest, files | {"report.json": msgspec.json.encode(report)})


async def test_test_measures_learnt_rows_apart(settings: Settings, store: Store) -> None:
    """At the top stand all rows as sent; `clean` has those that the version has not learnt, `learnt` the others.

    Of four rows three are right. It has learnt from two of them (one comes as text, under another category) and from
    a long one, which is read in the thread.
    """
    long = " ".join(f"mot{number}" for number in range(5000))
    with_list(store, [Ticket("x", CLIENT), Ticket("x", text=long)])
    rows: list[dict[str, Any]] = [
        {"category": category, "tokens": tokens} for category, tokens in CATEGORY.items() if tokens != CLIENT
    ]
    rows += [{"category": "Création de client", "text": " ".join(CLIENT)}, {"category": "nowhere", "text": long}]

    async with started(settings) as app, connect(app) as client:
        answer = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    assert (answer["total_tests"], answer["correct_predictions"], answer["total_error"]) == (4, 3, 1)
    assert answer["accuracy"] == 0.75
    clean, learnt = answer["clean"], answer["learnt"]
    assert (clean["num_tickets"], clean["accuracy"], clean["accuracy_high"]) == (2, 1.0, 1.0)
    assert clean["accuracy_low"] == pytest.approx(2 / (2 + 1.96**2), abs=1e-3)
    assert (learnt["num_tickets"], learnt["accuracy"]) == (2, 0.5)
    assert (clean["largest_share"], clean["chance"]) == (0.5, 0.5)
    assert "unknown" not in answer


async def test_test_of_learnt_rows_only_has_no_clean_figures(settings: Settings, store: Store) -> None:
    """Every field of the contract is there, and nobody can take them for those of other tickets."""
    with_list(store, [Ticket("x", CLIENT)])

    async with started(settings) as app, connect(app) as client:
        rows = [{"category": "Création de client", "tokens": CLIENT}]
        answer = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    assert (answer["total_tests"], answer["accuracy"], answer["learnt"]["num_tickets"]) == (1, 1.0, 1)
    assert answer["clean"]["num_tickets"] == 0
    assert answer["clean"]["accuracy"] is None


async def test_test_of_a_version_without_a_list_says_that_it_is_unknown(settings: Settings, store: Store) -> None:
    """An older version kept none: no part is made up."""
    with_list(store, None)

    async with started(settings) as app, connect(app) as client:
        rows = [{"category": "Création de client", "tokens": CLIENT}]
        answer = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    assert "clean" not in answer
    assert "learnt" not in answer
    assert answer["unknown"] == "it kept no list of the rows that it was trained on"
