"""Plain requests of the Open Inference Protocol in front of uvicorn: to the byte as the ordinary way answers them."""

import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from inference.search.batcher import Batcher
from inference.settings import Settings
from tests.inference.conftest import started
from tests.inference.server.test_protocol import ADMIN_TOKEN, LIMIT_BYTES, SEARCH_TOKEN, Call, Peer, both, statuses

pytestmark = pytest.mark.anyio

PATH = "/v2/models/puppet-o2/infer"
TEXTS = ["avoir problème connexion", "ajouter utilisateur coffre"]
UNTYPED: dict[str, str | None] = {"content-type": None}
OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test that starts a server run on each engine."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["without tokens", "with tokens"])
async def guarded(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Litestar]:
    """Give the application, open to this machine and then with tokens."""
    tokens = {"search_token": SEARCH_TOKEN, "admin_token": ADMIN_TOKEN} if request.param else {}
    async with started(msgspec.structs.replace(settings, search_body_bytes=LIMIT_BYTES, **tokens)) as app:
        yield app


def body(data: list[str] = TEXTS, name: str = "text", **more: Any) -> bytes:
    """Return a request in JSON."""
    return json.dumps(
        {"inputs": [{"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data}]} | more
    ).encode()


def binary(**parameters: Any) -> Call:
    """Return a request with its tensor behind the JSON."""
    behind = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in TEXTS)
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(behind)}}
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    length: dict[str, str | None] = {"inference-header-content-length": str(len(head))}
    return Call(head + behind, UNTYPED | length, path=PATH)


GOOD = {
    "json": Call(body(), path=PATH),
    "untyped": Call(body(), UNTYPED, path=PATH),
    "octets": Call(body(), OCTETS, path=PATH),
    "id": Call(body(id="42"), UNTYPED, path=PATH),
    "outputs": Call(body(outputs=[{"name": "reason"}, {"name": "category"}]), UNTYPED, path=PATH),
    "tokens": Call(body([json.dumps(text.split()) for text in TEXTS], "tokens"), UNTYPED, path=PATH),
    "nulls": Call(body(id=None, parameters=None, outputs=None), UNTYPED, path=PATH),
    "timeout": Call(body(parameters={"timeout": 60_000_000}), UNTYPED, path=PATH),
    "binary input": binary(),
    "binary": binary(binary_data_output=True),
}
ORDINARY = {  # answered, but behind
    "probabilities": (Call(body(outputs=[{"name": "probabilities"}]), UNTYPED, path=PATH), 200),
    "among": (Call(body(parameters={"among": ["Accès utilisateur"]}), UNTYPED, path=PATH), 200),
    "version": (Call(body(), UNTYPED, path="/v2/models/puppet-o2/versions/1/infer"), 200),
    "long text": (Call(body(["connexion " * 500]), UNTYPED, path=PATH), 200),
    "an own page": (Call(body(), {"origin": "http://127.0.0.1:8000"}, path=PATH), 200),
    "another page": (Call(body(), {"origin": "http://evil.example"}, path=PATH), 403),
    "another type": (Call(body(), {"content-type": "text/plain"}, path=PATH), 415),
    "a coding": (Call(body(), {"content-encoding": "gzip"}, path=PATH), 415),
    "another model": (Call(body(), UNTYPED, path="/v2/models/nobody/infer"), 404),
    "another spelling": (Call(body(), UNTYPED, path="/v2/models/puppet%2do2/infer"), 404),
    "a query": (Call(body(), UNTYPED, path=f"{PATH}?a=b"), 200),
    "numbers": (Call(body(), UNTYPED, path="/v2/models/prices/infer"), 400),
    "no json": (Call(b"{", UNTYPED, path=PATH), 400),
    "empty ticket": (Call(body([" "]), UNTYPED, path=PATH), 400),
    "a wrong length": (Call(body(), UNTYPED | {"inference-header-content-length": "0"}, path=PATH), 400),
    "a length of nothing": (Call(body(), UNTYPED | {"inference-header-content-length": "abc"}, path=PATH), 400),
    "what is left over": (Call(body() + b"x", UNTYPED | {"inference-header-content-length": str(len(body()))},
                               path=PATH), 400),
    "get": (Call(b"", UNTYPED, method="GET", path=PATH), 405),
}  # fmt: skip


async def test_plain_inference_is_answered_in_front(guarded: Litestar) -> None:
    """Each good request is answered without uvicorn and Litestar, and to the byte as they answer it; twice as well."""
    for name, one in GOOD.items():
        for _ in range(2):  # its head is new, and then it is known
            answer, num_begun = await both(guarded, one)
            assert (name, statuses([answer]), num_begun) == (name, [200], 0)


async def test_what_is_not_plain_goes_the_ordinary_way(guarded: Litestar) -> None:
    """What asks for more, or is wrong, comes back as it does without us, who have handed it on once."""
    for name, (one, status) in ORDINARY.items():
        answer, num_begun = await both(guarded, one)
        assert (name, statuses([answer]), num_begun) == (name, [status], 1)


async def test_refusal_has_an_error(guarded: Litestar) -> None:
    """A full server and a deadline that cannot be met are told to the byte as Litestar tells them."""
    batcher: Batcher = guarded.state.batcher
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens
    full, num_full = await both(guarded, GOOD["untyped"])
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens // 2
    late, num_late = await both(guarded, Call(body(), {"x-timeout-ms": "1"}, path=PATH))
    batcher.admission.waiting_tokens = 0

    assert (statuses([full, late]), num_full, num_late) == ([503, 504], 0, 0)
    for answer in (full, late):
        problem = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
        assert problem["error"] == problem["detail"]


async def test_request_that_comes_in_pieces_is_whole_before_it_is_asked(guarded: Litestar) -> None:
    """Wherever it is cut; the answer is the same."""
    raw = GOOD["binary"].raw
    (expected,) = await Peer(guarded).ask(raw)

    for cut in range(20, len(raw), 37):
        (found,) = await Peer(guarded).ask(raw[:cut], raw[cut:])
        assert found == expected


async def test_it_counts_under_its_template(app: Litestar) -> None:
    """A model's name is a caller's own text, and makes no series of its own."""
    await Peer(app).ask(GOOD["json"].raw)

    assert app.state.counters.requests["POST /v2/models/{name}/infer 200"] == 1
