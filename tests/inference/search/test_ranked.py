"""/search and /predict with `abstain` and `top_k`: what is said where the model is not sure enough."""

from collections import Counter
from typing import Any

import httpx
import msgspec
import pytest

from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CATEGORY, CLIENT, CONNECTION, MODEL, PRICES, check_problem, pointers

pytestmark = pytest.mark.anyio

RULE = Abstention(0.95, 0.6, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.9, accuracy=0.95)
EMPTY = ["", " "]
UNKNOWN = ["zzzz", "yyyy", "xxxx"]


def publish(store: Store, **changes: object) -> None:
    """Publish a further version of the fixture model, which has a rule; what is given of it is changed."""
    manifest, files = store.read_version("puppet-o2", 1)
    assert isinstance(manifest, GruManifest)
    rule = msgspec.structs.replace(RULE, **changes)
    store.publish(msgspec.structs.replace(manifest, abstain=rule), files)


async def ask(settings: Settings, path: str = "/search", **body: Any) -> httpx.Response:
    """Return the answer of a server of its own."""
    named = MODEL if path == "/search" else {"name": MODEL["name"]}
    async with started(settings) as app, connect(app) as client:
        return await client.post(path, json=named | body)


async def found(settings: Settings, path: str = "/search", **body: Any) -> dict[str, Any]:
    """Return a good answer."""
    response = await ask(settings, path, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_plain_search_has_the_same_bytes_as_before(settings: Settings, store: Store) -> None:
    """A rule that nobody asks for changes nothing in an answer but the version."""
    before = await ask(settings, vector=CONNECTION)
    publish(store)

    after = await ask(settings, vector=CONNECTION)

    assert after.content == before.content.replace(b'"version":1', b'"version":2')
    assert list(after.json()) == [
        *("category", "confidence", "unknown_tokens", "num_truncated_tokens", "model_name", "version")
    ]


async def test_sure_answer_is_the_plain_one(settings: Settings, store: Store) -> None:
    """Where the model is sure enough, `abstain` changes nothing."""
    publish(store)

    plain = await ask(settings, vector=CONNECTION)
    asked = await ask(settings, vector=CONNECTION, abstain=True)

    assert asked.content == plain.content


async def test_unsure_answer_is_no_category_but_guesses(settings: Settings, store: Store) -> None:
    """Below the threshold: null, why, and the best guesses with their probabilities, best first."""
    publish(store, threshold=1.1)
    model = GruModel(*store.read_version("puppet-o2", 2))
    (row_C,) = model.probabilities([model.encode(CONNECTION)])

    answer = await found(settings, vector=CONNECTION, abstain=True, id=7)

    assert (answer["id"], answer["category"], answer["reason"]) == (7, None, "low_confidence")
    assert answer["confidence"] == pytest.approx(float(row_C.max()))
    assert [guess["category"] for guess in answer["best"]] == [model.labels[i] for i in (-row_C).argsort()]
    assert [guess["confidence"] for guess in answer["best"]] == pytest.approx(sorted(row_C.tolist(), reverse=True))


@pytest.mark.parametrize(
    ("changes", "vector", "reason"),
    [
        ({"threshold": None}, CONNECTION, "low_confidence"),
        ({"tie_margin": 1.1}, CONNECTION, "top_two_tie"),
        ({}, UNKNOWN, "unknown_tokens"),
        ({"max_unknown": 1.0, "threshold": 1.1}, UNKNOWN, "low_confidence"),
        ({}, EMPTY, "empty"),
    ],
)
async def test_every_reason(
    settings: Settings, store: Store, changes: dict[str, object], vector: list[str], reason: str
) -> None:
    """Each is told where its own rule holds."""
    publish(store, **changes)

    answer = await found(settings, vector=vector, abstain=True)

    assert (answer["category"], answer["reason"]) == (None, reason)
    assert len(answer["best"]) == (0 if reason == "empty" else 3)


@pytest.mark.parametrize("top_k", [1, 2, 3, 20])
async def test_top_k_names_the_best(settings: Settings, top_k: int) -> None:
    """As many as were asked for, or as there are, beside the answer; it needs no rule."""
    answer = await found(settings, vector=CONNECTION, top_k=top_k)

    assert answer["category"] == answer["best"][0]["category"] == "Problème de connexion"
    assert answer["confidence"] == answer["best"][0]["confidence"]
    assert len(answer["best"]) == min(top_k, len(CATEGORY))
    assert "reason" not in answer


async def test_several_tickets_keep_their_order(settings: Settings, store: Store) -> None:
    """Each gets its own answer, an empty one among them too, with its id."""
    publish(store)

    answer = await found(
        settings, vectors=[CONNECTION, EMPTY, UNKNOWN, ACCESS, CLIENT], ids=list("abcde"), abstain=True, top_k=1
    )

    assert [one["id"] for one in answer["results"]] == list("abcde")
    assert [one["category"] for one in answer["results"]] == [
        "Problème de connexion", None, None, "Accès utilisateur", "Création de client",
    ]  # fmt: skip
    assert [one.get("reason") for one in answer["results"]] == [None, "empty", "unknown_tokens", None, None]
    assert [len(one["best"]) for one in answer["results"]] == [1, 0, 1, 1, 1]
    assert (answer["model_name"], answer["version"]) == ("puppet-o2", 2)


async def test_model_may_abstain_by_default(settings: Settings, store: Store) -> None:
    """Its own setting holds where the search does not say; the search has the last word."""
    publish(store, threshold=1.1, by_default=True)

    silent = await found(settings, vector=CONNECTION)
    told = await found(settings, vector=CONNECTION, abstain=False)

    assert (silent["category"], silent["reason"]) == (None, "low_confidence")
    assert told["category"] == "Problème de connexion"
    assert "best" not in told


@pytest.mark.parametrize("dispatch", [True, False])
async def test_version_without_a_threshold_says_so(settings: Settings, dispatch: bool) -> None:
    """An older version cannot abstain: 400, with what to do."""
    response = await ask(settings, vector=CONNECTION, abstain=True)

    problem = check_problem(response, 400)
    assert pointers(problem) == ["/abstain"]
    assert "train it again" in problem["errors"][0]["detail"]


async def test_empty_ticket_is_a_fault_where_the_model_must_answer(settings: Settings, store: Store) -> None:
    """With `top_k` alone, or `abstain` false, the contract holds: 400 with the ticket's pointer."""
    publish(store, by_default=True)

    one = await ask(settings, vector=EMPTY, abstain=False)
    several = await ask(settings, vectors=[ACCESS, EMPTY], abstain=False, top_k=2)

    assert pointers(check_problem(one, 400)) == ["/vector"]
    assert pointers(check_problem(several, 400)) == ["/vectors/1"]


@pytest.mark.parametrize("top_k", [0, 21, -1, 1.5, "3"])
async def test_top_k_has_limits(settings: Settings, top_k: object) -> None:
    """A number out of 1 to 20, or none, is a fault of that field."""
    response = await ask(settings, vector=CONNECTION, top_k=top_k)

    assert pointers(check_problem(response, 400)) == ["/top_k"]


async def test_kind_without_categories_knows_neither_field(settings: Settings) -> None:
    """A SimpleNN has nothing to rank."""
    async with started(settings) as app, connect(app) as client:
        response = await client.post("/search", json=PRICES | {"vector": [50.0, 2.0], "top_k": 2})

    assert pointers(check_problem(response, 400)) == ["/top_k"]


async def test_mail_may_be_left_to_a_person(settings: Settings, store: Store) -> None:
    """/predict takes both fields; without them its answer is as it was."""
    publish(store, threshold=1.1)
    text = "avoir problème connexion"

    plain = await found(settings, "/predict", email_text=text)
    asked = await found(settings, "/predict", email_text=text, abstain=True, top_k=2)
    empty = await found(settings, "/predict", email_text=" ", abstain=True)

    assert list(plain) == ["predicted_label", "confidence_score", "model_name", "version", "unknown_tokens",
                           "num_truncated_tokens"]  # fmt: skip
    assert (asked["predicted_label"], asked["reason"]) == (None, "low_confidence")
    assert asked["best"][0]["category"] == plain["predicted_label"]
    assert asked["confidence_score"] == asked["best"][0]["confidence"] == pytest.approx(plain["confidence_score"])
    assert (empty["predicted_label"], empty["reason"], empty["best"]) == (None, "empty", [])


async def test_raw_mail_follows_the_setting_of_the_model(settings: Settings, store: Store) -> None:
    """A message has no place for the field, so the model's own setting counts."""
    publish(store, threshold=1.1, by_default=True)

    async with started(settings) as app, connect(app) as client:
        response = await client.post(
            "/predict?name=puppet-o2",
            content="Subject: connexion\n\navoir problème".encode(),
            headers={"content-type": "message/rfc822"},
        )

    assert (response.json()["predicted_label"], response.json()["reason"]) == (None, "low_confidence")


async def test_test_measures_what_searches_abstain_from(settings: Settings, store: Store) -> None:
    """/test counts as routed just the tickets that /search with `abstain` gives a category, and the same reasons."""
    tickets = [CONNECTION, ACCESS, CLIENT, UNKNOWN, [*CLIENT, *ACCESS], [*UNKNOWN, *CLIENT], ["client"], ["connexion"]]
    plain = (await found(settings, vectors=tickets, top_k=2))["results"]
    confidences = sorted(answer["confidence"] for answer in plain)
    # Half are sure enough, and whoever is apart by less than another half ties.
    margins = sorted(answer["best"][0]["confidence"] - answer["best"][1]["confidence"] for answer in plain)
    publish(store, threshold=confidences[3], tie_margin=margins[4], target=0.8)
    expected = ["Problème de connexion", "Accès utilisateur", "Création de client", "Facture"] * 2
    rows = [{"category": category, "tokens": tokens} for category, tokens in zip(expected, tickets, strict=True)]

    async with started(settings) as app, connect(app) as client:
        searched = (await client.post("/search", json=MODEL | {"vectors": tickets, "abstain": True})).json()["results"]
        measured = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    told = measured["abstention"]
    right = [answer["category"] == true for answer, true in zip(searched, expected, strict=True) if answer["category"]]
    reasons = Counter(answer["reason"] for answer in searched if not answer["category"])
    assert {"top_two_tie", "unknown_tokens"} <= reasons.keys()
    assert 0 < sum(right) < len(right)
    assert told["reasons"] == reasons
    assert (told["target"], told["num_routed"], told["coverage"]) == (0.8, len(right), len(right) / 8)
    assert told["accuracy"] == sum(right) / len(right)
    assert told["accuracy_interval"]["low"] <= told["accuracy"] <= told["accuracy_interval"]["high"]
    assert {name: one["num_tickets"] for name, one in told["per_category"].items()} == Counter(expected)


async def test_test_of_a_version_without_a_rule_says_nothing_of_it(settings: Settings) -> None:
    """An older version promises nothing that could be measured."""
    measured = await found(settings, "/test", **MODEL, test_data=[{"category": "Facture", "tokens": CLIENT}])

    assert "abstention" not in measured
