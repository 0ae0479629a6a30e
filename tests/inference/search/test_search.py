"""What /search says of time and room, and why: a deadline by header, a queue that is full, what a token weighs."""

import asyncio

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.errors import InvalidInput
from artifacts.kinds import KINDS
from artifacts.networks.explain import explain
from inference.search.admission import LARGE_FACTOR
from inference.search.batcher import Batcher
from inference.search.search import deadline_after
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import CONNECTION, MODEL, check_problem

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test that starts a server run on each engine."""
    return str(request.param)


BODY = MODEL | {"vector": CONNECTION}


def fill(app: Litestar) -> Batcher:
    """Let as much work stand in the application's queue as may, and return the batcher."""
    batcher: Batcher = app.state.batcher
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens
    return batcher


@pytest.mark.parametrize("path", ["/search", "/predict"])
async def test_full_server_says_when_to_come_back(app: Litestar, client: httpx.AsyncClient, path: str) -> None:
    """While the queue is full a question is 503 with Retry-After, probes and looks answer, and then it is answered."""
    body = BODY if path == "/search" else {"email_text": "avoir problème connexion"}
    batcher = fill(app)

    refused = await client.post(path, json=body)
    others = [(await client.get(other)).status_code for other in ("/livez", "/readyz", "/models")]
    batcher.admission.waiting_tokens = 0

    problem = check_problem(refused, 503)
    assert problem["detail"].endswith("; retry in 1 s")
    assert problem["num_tokens"] > problem["limit_tokens"] == 4096
    assert refused.headers["retry-after"] == "1"
    assert others == [200, 200, 200]
    assert (await client.post(path, json=body)).status_code == 200


async def test_full_server_refuses_before_it_decodes(app: Litestar, client: httpx.AsyncClient) -> None:
    """A refusal costs no decoding: what no body should be is refused in the same way."""
    fill(app)

    response = await client.post("/search", content=b"{", headers={"content-type": "application/json"})

    check_problem(response, 503)


async def test_burst_is_answered_or_refused(settings: Settings) -> None:
    """Of many requests at once those that fit are answered, the others refused, and none hangs."""
    small = Settings(store=settings.store, trainer="none", search_queue_tokens=200)
    async with started(small) as app, connect(app) as client:
        responses = await asyncio.gather(*(client.post("/search", json=BODY) for _ in range(40)))

    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 5
    assert {response.content for response in responses if response.status_code == 200} == {
        next(response.content for response in responses if response.status_code == 200)
    }


@pytest.mark.parametrize("path", ["/search", "/predict"])
async def test_deadline_that_cannot_be_met_is_told(app: Litestar, client: httpx.AsyncClient, path: str) -> None:
    """With X-Timeout-Ms a question that would wait longer is 504, one that would not is answered."""
    body = BODY if path == "/search" else {"email_text": "avoir problème connexion"}
    app.state.batcher.admission.waiting_tokens = 2000  # 4 ms

    late = await client.post(path, json=body, headers={"x-timeout-ms": "1"})
    in_time = await client.post(path, json=body, headers={"x-timeout-ms": "60000"})

    assert "X-Timeout-Ms" in check_problem(late, 504)["detail"]
    assert late.headers["retry-after"] == "1"
    assert in_time.status_code == 200


@pytest.mark.parametrize("given", [b"0", b"600001", b"1e3", b"1.5", b"-1", b"", b" ", b"12ms", b"\xb2", b"1" * 5000])
def test_timeout_that_is_none_is_a_fault(given: bytes) -> None:
    """X-Timeout-Ms takes whole milliseconds within its limits and says so; the value is cut."""
    with pytest.raises(InvalidInput, match="1 to 600000") as caught:
        deadline_after(0.0, given)
    assert len(str(caught.value)) < 200


def test_timeout_counts_from_the_arrival() -> None:
    """The deadline is the arrival and so many milliseconds; without the header there is none."""
    assert deadline_after(100.0, b"250") == 100.25
    assert deadline_after(100.0, b"600000") == 700.0
    assert deadline_after(100.0, None) is None


async def test_wrong_timeout_is_answered_400(client: httpx.AsyncClient) -> None:
    """A header that cannot be read is a fault of the request."""
    response = await client.post("/search", json=BODY, headers={"x-timeout-ms": "soon"})

    check_problem(response, 400)


async def test_explanation_stands_beside_the_plain_answer(app: Litestar, client: httpx.AsyncClient) -> None:
    """With `explain` the answer is the same and says what each token weighs, as asking without it does."""
    model = app.state.registry.serving("puppet-o2")
    tokens = ["problème", "conntecter", "coffre", "<PRODUCT>"]
    plain = await client.post("/search", json=MODEL | {"vector": tokens, "id": 5})
    off = await client.post("/search", json=MODEL | {"vector": tokens, "id": 5, "explain": False})

    response = await client.post("/search", json=MODEL | {"vector": tokens, "id": 5, "explain": True})

    answer = response.json()
    explanation = answer.pop("explanation")
    assert response.status_code == 200, response.text
    assert plain.content == off.content
    assert answer == plain.json()
    assert explanation == msgspec.to_builtins(explain(model, model.encode(tokens)))
    assert [one["token"] for one in explanation["tokens"]] == tokens
    assert ["nearest" in one for one in explanation["tokens"]] == [False, True, False, False]


@pytest.mark.parametrize(
    ("tokens", "sent", "is_shown"),
    [
        ((), "", True),  # all is open to callers on this machine
        (("admin",), "", False),
        (("admin",), "admin", True),
        (("search",), "search", False),
        (("search", "admin"), "search", False),
        (("search", "admin"), "admin", True),
    ],
)
async def test_known_words_are_not_for_a_search_token(
    settings: Settings, tokens: tuple[str, ...], sent: str, is_shown: bool
) -> None:
    """A word of the vocabulary may be a name: a search token does not show those that an unknown one is spelt like."""
    values = {one: f"{one}-token-of-sixteen" for one in tokens}
    own = msgspec.structs.replace(settings, **{f"{one}_token": value for one, value in values.items()})
    headers = {"Authorization": f"Bearer {values[sent]}"} if sent else {}
    async with started(own) as app, connect(app) as client:
        response = await client.post(
            "/search", json=MODEL | {"vector": ["connexio", "coffre"], "explain": True}, headers=headers
        )

    shown = response.json()["explanation"]["tokens"]
    assert [one["known"] for one in shown] == [False, True]
    assert ["nearest" in one for one in shown] == [is_shown, False]
    assert ('"connexion"' in response.text) == is_shown


async def test_several_tickets_are_not_explained(client: httpx.AsyncClient) -> None:
    """`explain` with several tickets is a fault that says what to send."""
    response = await client.post("/search", json=MODEL | {"texts": ["avoir", "coffre"], "explain": True})

    (fault,) = check_problem(response, 400)["errors"]
    assert "`explain` goes with one ticket; send `vector` or `text`" in fault["detail"]


async def test_kind_that_explains_nothing_says_so(
    app: Litestar, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind of network that takes tickets and has no explanation is a 400; the model is not asked."""
    monkeypatch.setitem(KINDS, "GRU", msgspec.structs.replace(KINDS["GRU"], explain=None))

    response = await client.post("/search", json=BODY | {"explain": True})

    assert "cannot be explained" in check_problem(response, 400)["detail"]
    assert (await client.post("/search", json=BODY)).status_code == 200


async def test_explanation_that_finds_no_room_is_refused(app: Litestar, client: httpx.AsyncClient) -> None:
    """It waits in the queue of large work, and is 503 while that is full; plain searches are answered."""
    batcher: Batcher = app.state.batcher
    batcher.admission.large_tokens = batcher.admission.limit_tokens * LARGE_FACTOR

    refused = await client.post("/search", json=BODY | {"explain": True})
    plain = await client.post("/search", json=BODY)
    batcher.admission.large_tokens = 0

    check_problem(refused, 503)
    assert plain.status_code == 200
    assert "explanation" in (await client.post("/search", json=BODY | {"explain": True})).json()
