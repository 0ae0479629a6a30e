"""A search is answered alike in front of Litestar and by it: status, headers and bytes, of good and bad requests."""

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from litestar import Litestar

from inference.batcher import INLINE_CHARACTERS
from inference.dispatcher import Dispatcher
from inference.settings import Settings
from tests.inference.conftest import started
from tests.inference.helpers import ACCESS, CLIENT, CONNECTION, DEADLINE_S, MODEL, PRICES

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 64 * 1024
SEARCH_TOKEN, ADMIN_TOKEN = "search-token-of-the-tests", "admin-token-of-the-tests"
Headers = tuple[tuple[str, str], ...]
NO_HEADERS: Mapping[str, str | None] = {}
TOKENS_ALONE = ("no token", "another token", "no bearer", "a lower case scheme")  # wrong only where there are tokens


class Call(NamedTuple):
    """A request as ASGI has it; None for a header that is left out."""

    body: bytes | tuple[bytes, ...]  # or its chunks
    headers: Mapping[str, str | None] = NO_HEADERS  # in place of or beside those of a plain search
    more: Headers = ()  # further ones, which may stand twice
    method: str = "POST"
    path: str = "/search"
    query: bytes = b""
    peer: str | None = "127.0.0.1"


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def body(**fields: Any) -> bytes:
    """Return the body of a search."""
    return msgspec.json.encode(MODEL | fields)


PLAIN = body(vector=CONNECTION)
GOOD: dict[str, Call] = {
    "one ticket": Call(PLAIN),
    "its id": Call(body(vector=ACCESS, id="a1")),
    "its number": Call(body(vector=ACCESS, id=7)),
    "unknown words": Call(body(vector=["Conntecter", "zzz", "<PRODUCT>", "zzz", "é" * 300])),
    "a long ticket": Call(body(vector=CONNECTION * 200)),
    "a text": Call(body(text="Bonjour, problème de connexion à <PRODUCT> depuis le 3 mai !")),
    "a long text": Call(body(text="problème " * INLINE_CHARACTERS)),
    "several tickets": Call(body(vectors=[CONNECTION, ACCESS, CLIENT, ["zzz"]])),
    "several with ids": Call(body(vectors=[CONNECTION, ACCESS], ids=["a", None])),
    "several texts": Call(body(texts=["problème connexion", "création client"])),
    "the best guesses": Call(body(vectors=[CONNECTION, ["zzz"]], top_k=2)),
    "many tickets": Call(body(vectors=[CONNECTION] * 700)),
    "of another kind": Call(msgspec.json.encode(PRICES | {"vector": [70, 3]})),
    "several of another kind": Call(msgspec.json.encode(PRICES | {"vectors": [[70, 3], [40, 1]], "ids": [1, 2]})),
    "white space": Call(b" \n" + PLAIN + b"\n "),
    "a host with port": Call(PLAIN, {"host": "LOCALHOST:8000"}),
    "a deadline": Call(PLAIN, {"x-timeout-ms": "60000"}),
    "a trace": Call(PLAIN, {"x-request-id": "7f-3", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}),
    "a trace that is none": Call(PLAIN, {"traceparent": "00-0-0-0"}),
    "headers that say nothing": Call(PLAIN, {"accept": "text/html", "user-agent": "é", "cookie": "a=b"}),
}
OTHERWISE: dict[str, Call] = {  # good or bad, Litestar answers
    "a parameter of the type": Call(PLAIN, {"content-type": "application/json; charset=utf-8"}),
    "a type in capitals": Call(PLAIN, {"content-type": "Application/JSON"}),
    "a query": Call(PLAIN, query=b"a=b"),
    "chunks": Call((PLAIN[:10], PLAIN[10:])),
    "no length": Call(PLAIN, {"content-length": None}),
    "another path": Call(PLAIN, path="/search/"),
    "a lower case scheme": Call(PLAIN, {"authorization": f"bearer {SEARCH_TOKEN}"}),
    "another method": Call(b"", {}, method="GET"),
    "options": Call(b"", {}, method="OPTIONS"),
    "another type": Call(PLAIN, {"content-type": "text/plain"}),
    "no type": Call(PLAIN, {"content-type": None}),
    "another host": Call(PLAIN, {"host": "evil.example"}),
    "no host": Call(PLAIN, {"host": None}),
    "two hosts": Call(PLAIN, more=(("host", "evil.example"),)),
    "two types": Call(PLAIN, more=(("content-type", "application/json"),)),
    "no length that is one": Call(PLAIN, {"content-length": "-1"}),
    "a length beyond numbers": Call(PLAIN, {"content-length": "9" * 5000}),
    "too long": Call(body(text="x" * LIMIT_BYTES)),
    "too long in chunks": Call((body(text="x" * LIMIT_BYTES)[:-5], b"     "), {"content-length": None}),
    "no token": Call(PLAIN, {"authorization": None}),
    "another token": Call(PLAIN, {"authorization": "Bearer wrong"}),
    "no bearer": Call(PLAIN, {"authorization": f"Basic {SEARCH_TOKEN}"}),
    "two tokens": Call(PLAIN, more=(("authorization", f"Bearer {SEARCH_TOKEN}"),)),
    "a caller without address": Call(PLAIN, {"authorization": None}, peer=None),
    "an empty body": Call(b""),
    "no JSON": Call(b"{"),
    "no UTF-8": Call(b'{"name":"\xff"}'),
    "compressed": Call(gzip.compress(PLAIN), {"content-encoding": "gzip"}),
    "deep nesting": Call(b"[" * 20_000),
    "half a surrogate pair": Call(PLAIN.replace(b"avoir", b"\\ud800")),
    "a NUL": Call(body(vector=["a\0"])),
    "an empty ticket": Call(body(vector=[])),
    "a blank ticket of several": Call(body(vectors=[CONNECTION, [" "], []])),
    "no ticket": Call(body()),
    "two tickets": Call(body(vector=CONNECTION, text="a")),
    "ids that are too few": Call(body(vectors=[CONNECTION, ACCESS], ids=[1])),
    "a number for a word": Call(body(vectors=[[1], ["a", None]])),
    "an unknown field": Call(body(vector=CONNECTION, extra=1)),
    "a threshold that is none": Call(body(vector=CONNECTION, abstain=True)),
    "an unknown kind": Call(body(vector=CONNECTION, neural_network_type="CNN")),
    "the kind of another model": Call(body(vector=[1, 2], neural_network_type="SimpleNN")),
    "too many features": Call(msgspec.json.encode(PRICES | {"vector": [1, 2, 3]})),
    "an infinite feature": Call(b'{"name":"prices","neural_network_type":"SimpleNN","vector":[1e999,1]}'),
    "an unknown model": Call(body(name="other", vector=CONNECTION)),
    "no name of a model": Call(body(name="../puppet-o2", vector=CONNECTION)),
    "an untrained model": Call(body(name="untrained", vector=CONNECTION)),
    "a deadline that is none": Call(PLAIN, {"x-timeout-ms": "soon"}),
    "two deadlines": Call(PLAIN, {"x-timeout-ms": "1"}, (("x-timeout-ms", "2"),)),
}


async def call(app: Litestar, one: Call) -> Reply:
    """Return an application's reply to a request, as a server hears it."""
    chunks = [one.body] if isinstance(one.body, bytes) else list(one.body)
    usual: dict[str, str | None] = {
        "host": "127.0.0.1:8000",
        "content-type": "application/json",
        "content-length": str(sum(map(len, chunks))),
        "authorization": f"Bearer {SEARCH_TOKEN}",
        "x-request-id": "one-of-the-tests",
    }
    given = [(name, value) for name, value in (usual | dict(one.headers)).items() if value is not None]
    scope = {
        "type": "http", "method": one.method, "path": one.path, "raw_path": one.path.encode(),
        "query_string": one.query, "root_path": "", "scheme": "http", "http_version": "1.1",
        "client": (one.peer, 50000) if one.peer else None, "server": ("127.0.0.1", 8000),
        "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {},
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in (*given, *one.more)],
    }  # fmt: skip
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(DEADLINE_S)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), DEADLINE_S)  # type: ignore[arg-type]
    start, *parts = sent
    headers = [(name, USUAL.get(name, bytes)(value)) for name, value in start["headers"]]
    return Reply(start["status"], headers, b"".join(part.get("body", b"") for part in parts))


def usual_times(stages: bytes) -> bytes:
    """Return the stages of a search without the time that each took."""
    return re.sub(rb"dur=\d+\.\d{3}(?=,|$)", b"dur", stages)


def usual_span(parent: bytes) -> bytes:
    """Return a traceparent without its span, which is another in each answer."""
    return re.sub(rb"(?<=-)[0-9a-f]{16}(?=-)", b"span", parent)


def usual_order(words: bytes) -> bytes:
    """Return words between commas in the order of the alphabet; Litestar keeps the methods of a path in a set."""
    return b", ".join(sorted(words.split(b", ")))


USUAL: dict[bytes, Callable[[bytes], bytes]] = {
    b"allow": usual_order,
    b"server-timing": usual_times,
    b"traceparent": usual_span,
}


class Pair:
    """The same server twice, with the dispatcher and without; counts what the dispatcher hands on."""

    def __init__(self, quick: Litestar, ordinary: Litestar, has_tokens: bool) -> None:
        self.has_tokens = has_tokens
        self.quick, self.ordinary = quick, ordinary
        self.num_handed_on = 0
        dispatcher = quick.asgi_handler
        assert isinstance(dispatcher, Dispatcher)
        assert not isinstance(ordinary.asgi_handler, Dispatcher)
        behind = dispatcher._ordinary

        async def counted(*args: Any) -> None:
            self.num_handed_on += 1
            await behind(*args)

        dispatcher._ordinary = counted

    async def ask(self, one: Call) -> Reply:
        """Return the reply of both, which is the same."""
        expected = await call(self.ordinary, one)
        found = await call(self.quick, one)
        assert found == expected
        return found


@pytest.fixture(params=[False, True], ids=["without tokens", "with tokens"])
async def pair(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Give both applications, open to this machine and then with tokens."""
    tokens = {"search_token": SEARCH_TOKEN, "admin_token": ADMIN_TOKEN} if request.param else {}
    settings = msgspec.structs.replace(settings, search_body_bytes=LIMIT_BYTES, **tokens)
    async with started(settings) as quick, started(settings, dispatch=False) as ordinary:
        yield Pair(quick, ordinary, bool(tokens))


async def test_plain_search_is_answered_in_front(pair: Pair) -> None:
    """Each good request is answered without Litestar, and to the byte as Litestar answers it."""
    for name, one in GOOD.items():
        reply = await pair.ask(one)
        assert (name, reply.status) == (name, 200)
        assert (name, pair.num_handed_on) == (name, 0)


async def test_what_is_not_plain_is_litestars(pair: Pair) -> None:
    """Each unusual or wrong request comes back as it does without the dispatcher, which has handed it on once."""
    for name, one in OTHERWISE.items():
        pair.num_handed_on = 0
        reply = await pair.ask(one)
        in_front = name in TOKENS_ALONE and not pair.has_tokens
        assert (name, pair.num_handed_on) == (name, 0 if in_front else 1)
        assert not in_front or reply.status == 200


async def test_full_server_refuses_in_front(pair: Pair) -> None:
    """A refusal costs no Litestar, and is to the byte as Litestar refuses; so is a deadline that cannot be met."""
    for app in (pair.quick, pair.ordinary):
        app.state.batcher.waiting_tokens = app.state.batcher.limit_tokens
    full = [await pair.ask(one) for one in (Call(PLAIN), Call(b"{"), Call(body(vectors=[CONNECTION])))]
    for app in (pair.quick, pair.ordinary):
        app.state.batcher.waiting_tokens = app.state.batcher.limit_tokens // 2
    late = await pair.ask(Call(PLAIN, {"x-timeout-ms": "1"}))

    assert [reply.status for reply in full] == [503, 503, 503]
    assert late.status == 504
    assert all((b"retry-after", b"1") in reply.headers for reply in (*full, late))
    assert pair.num_handed_on == 0


async def test_admin_token_opens_it_too(pair: Pair) -> None:
    """The admin token is as good, and is known in front as well."""
    assert (await pair.ask(Call(PLAIN, {"authorization": f"Bearer {ADMIN_TOKEN}"}))).status == 200
    assert pair.num_handed_on == 0


async def test_wrong_tokens_are_counted(settings: Settings) -> None:
    """Wrong tokens reach the gate that counts them, and a right one is let in beside."""
    settings = msgspec.structs.replace(settings, search_token=SEARCH_TOKEN)
    async with started(settings) as app:
        wrong = Call(PLAIN, {"authorization": "Bearer wrong"})
        statuses = [(await call(app, wrong)).status for _ in range(11)]
        right = await call(app, Call(PLAIN))

    assert statuses == [401] * 10 + [429]
    assert right.status == 200


async def test_burst_is_answered_each_its_own(pair: Pair) -> None:
    """Of many searches at once each gets the answer that it gets alone."""
    calls = [Call(body(vector=(CONNECTION + ACCESS + CLIENT)[start : start + 4], id=start)) for start in range(7)] * 6
    alone = [await call(pair.ordinary, one) for one in calls]

    together = await asyncio.gather(*(call(pair.quick, one) for one in calls))

    def said(replies: Sequence[Reply]) -> list[Any]:
        found = [msgspec.json.decode(reply.body) for reply in replies]
        return [one | {"confidence": pytest.approx(one["confidence"], abs=1e-6)} for one in found]

    assert [msgspec.json.decode(reply.body) for reply in together] == said(alone)


async def test_loading_model_is_litestars(settings: Settings) -> None:
    """A model that is not loaded yet is answered 503 as ever."""
    async with started(settings) as app:
        app.state.registry._serving.clear()
        app.state.registry._seen.clear()
        reply = await call(app, Call(PLAIN))

    assert reply.status == 503


async def test_client_that_left_costs_no_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose client closes its connection while it waits never reaches the model, and nothing is sent."""
    runs: list[int] = []
    sent: list[Any] = []
    left = asyncio.Event()
    messages: list[Any] = [{"type": "http.request", "body": PLAIN, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with started(settings) as app:
        model, batcher = app.state.registry.serving("puppet-o2"), app.state.batcher
        monkeypatch.setattr(type(model), "predict", lambda _, encoded: runs.append(len(encoded)))
        scope = {
            "type": "http", "method": "POST", "path": "/search", "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(PLAIN)),
            ],
        }  # fmt: skip
        asking = asyncio.ensure_future(app(scope, receive, send))  # type: ignore[arg-type]
        while not batcher.waiting_tokens:
            assert not asking.done()
            await asyncio.sleep(0)
        left.set()
        time.sleep(0.005)  # the loop is held up, as by a run
        await asyncio.wait_for(asking, DEADLINE_S)

    assert not runs
    assert not sent
