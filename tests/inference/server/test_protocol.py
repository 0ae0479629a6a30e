"""A plain search is answered in front of uvicorn as by Litestar behind it, to the byte; nothing else is taken for one.

Each request goes over two connections: one of uvicorn's own protocol and one of ours.
"""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.server import ServerState

from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from artifacts.text.tickets import Prediction
from artifacts.text.vocabulary import Encoded
from inference.routes.access import Gate
from inference.search.batcher import Batcher
from inference.search.bodies import INLINE_CHARACTERS, SLICE_TICKETS
from inference.server import request_head
from inference.server.edge import Edge
from inference.server.protocol import Protocol
from inference.server.request_head import Heads
from inference.settings import Settings
from inference.tokens import NamedToken, Role, sha256_of
from tests.inference.conftest import started
from tests.inference.helpers import ACCESS, CLIENT, CONNECTION, MODEL, PRICES, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["onnxruntime", pytest.param("fused", marks=pytest.mark.one_python)])
def engine(request: pytest.FixtureRequest) -> str:
    """Let every test that starts a server run on each engine."""
    return str(request.param)


LIMIT_BYTES = 64 * 1024
SEARCH_TOKEN, ADMIN_TOKEN = "search-token-of-the-tests", "admin-token-of-the-tests"
Headers = tuple[tuple[str, str], ...]
NO_HEADERS: Mapping[str, str | None] = {}
TOKENS_ALONE = ("no token", "another token", "no bearer", "a lower case scheme")  # wrong only where there are tokens


class Call(NamedTuple):
    """A request; None for a header that is left out."""

    body: bytes | tuple[bytes, ...]  # or its chunks
    headers: Mapping[str, str | None] = NO_HEADERS  # in place of or beside those of a plain search
    more: Headers = ()  # further ones, which may stand twice
    method: str = "POST"
    path: str = "/search"
    version: str = "1.1"
    peer: str | None = "127.0.0.1"

    @property
    def raw(self) -> bytes:
        """The request as it comes over a socket."""
        usual: dict[str, str | None] = {
            "host": "127.0.0.1:8000",
            "content-type": "application/json",
            "authorization": f"Bearer {SEARCH_TOKEN}",
            "x-request-id": "one-of-the-tests",
        }
        if isinstance(self.body, bytes):
            usual["content-length"] = str(len(self.body))
            sent = self.body
        else:
            usual["transfer-encoding"] = "chunked"
            sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*self.body, b""))
        given = [(name, value) for name, value in (usual | dict(self.headers)).items() if value is not None]
        lines = [
            f"{self.method} {self.path} HTTP/{self.version}",
            *(f"{name}: {value}" for name, value in (*given, *self.more)),
        ]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + sent


class Wire(asyncio.Transport):
    """The server's end of a connection, which keeps what is written."""

    def __init__(self, peer: str | None = "127.0.0.1") -> None:
        super().__init__({"peername": (peer, 50000) if peer else None, "sockname": ("127.0.0.1", 8000)})
        self.written = b""
        self.closed = False
        self.is_paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written."""
        self.written += bytes(data)

    def close(self) -> None:
        """Note the end."""
        self.closed = True

    def write_eof(self) -> None:
        """Note the end of the server's side."""
        self.closed = True

    def is_closing(self) -> bool:
        """Tell whether it has ended."""
        return self.closed

    def pause_reading(self) -> None:
        """Note it."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Note it."""
        self.is_paused = False


class Peer:
    """A client on a connection of its own.

    Attributes:
        num_begun: messages that uvicorn's parser has begun to read.
    """

    def __init__(self, app: Litestar, protocol: type[Edge] = Protocol, peer: str | None = "127.0.0.1") -> None:
        config = uvicorn.Config(app, http=protocol, ws="none", log_config=None, access_log=False, proxy_headers=False)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        self.num_begun = 0

        class Watched(protocol):  # type: ignore[misc, valid-type]  # one of the two
            def on_message_begin(watched) -> None:  # noqa: N805
                self.num_begun += 1
                super().on_message_begin()

        self.wire = Wire(peer)
        self.protocol: Edge = Watched(config, state, {})
        self.protocol.connection_made(self.wire)

    async def ask(self, *parts: bytes, num_answers: int = 1) -> list[bytes]:
        """Return the answers to what is sent in so many parts, without what differs each time."""
        self.wire.written = b""
        for part in parts:
            self.protocol.data_received(part)
            await asyncio.sleep(0)
        await eventually(
            lambda: len(answers(self.wire.written)) >= num_answers and not self.protocol.tasks, "the answers"
        )
        return answers(self.wire.written)


def answers(written: bytes) -> list[bytes]:
    """Return each whole answer, without its times, its number and span if it got them here, in a usual order."""
    found = []
    while match := re.match(rb"HTTP/1\.1 (?:204 .*?|.*?content-length: (\d+)\r\n.*?)\r\n\r\n", written, re.DOTALL):
        end = match.end() + int(match[1] or 0)
        if len(written) < end:
            break
        answer = re.sub(rb"x-request-id: [0-9a-f]{16}|dur=[\d.]+|(?<=-)[0-9a-f]{16}(?=-01\r)", b"", written[:end])
        # Litestar keeps the methods of a path in a set.
        found.append(re.sub(rb"(?<=\nallow: )[^\r]*", lambda allow: b", ".join(sorted(allow[0].split(b", "))), answer))
        written = written[end:]
    return found


def statuses(found: Sequence[bytes]) -> list[int]:
    """Return the status of each answer."""
    return [int(answer.split()[1]) for answer in found]


def json_of(answer: bytes) -> Any:
    """Return the body of an answer."""
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])


def body(**fields: Any) -> bytes:
    """Return the body of a search."""
    return msgspec.json.encode(MODEL | fields)


PLAIN = body(vector=CONNECTION)
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"

GOOD: dict[str, Call] = {
    "one ticket": Call(PLAIN),
    "its id": Call(body(vector=ACCESS, id="a1")),
    "its number": Call(body(vector=ACCESS, id=7)),
    "unknown words": Call(body(vector=["Conntecter", "zzz", "<PRODUCT>", "zzz", "é" * 300])),
    "a long ticket": Call(body(vector=CONNECTION * 200)),
    "explained not": Call(body(vector=CONNECTION, explain=False)),
    "a text": Call(body(text="Bonjour, problème de connexion à <PRODUCT> depuis le 3 mai !")),
    "several tickets": Call(body(vectors=[CONNECTION, ACCESS, CLIENT, ["zzz"]])),
    "several with ids": Call(body(vectors=[CONNECTION, ACCESS], ids=["a", None])),
    "several texts": Call(body(texts=["problème connexion", "création client"])),
    "of another kind": Call(msgspec.json.encode(PRICES | {"vector": [70, 3]})),
    "several of another kind": Call(msgspec.json.encode(PRICES | {"vectors": [[70, 3], [40, 1]], "ids": [1, 2]})),
    "white space": Call(b" \n" + PLAIN + b"\n "),
    "a host with port": Call(PLAIN, {"host": "LOCALHOST:8000"}),
    "a deadline": Call(PLAIN, {"x-timeout-ms": "60000"}),
    "a trace": Call(PLAIN, {"x-request-id": "7f-3", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}),
    "a trace that is none": Call(PLAIN, {"traceparent": "00-0-0-0"}),
    "a connection that stays": Call(PLAIN, {"connection": "keep-alive"}),
    "headers that say nothing": Call(PLAIN, {"accept": "text/html", "user-agent": "é", "cookie": "a=b"}),
}
OTHERWISE: dict[str, Call] = {  # good or bad, Litestar answers, or uvicorn
    "a long text": Call(body(text="problème " * INLINE_CHARACTERS)),
    "many tickets": Call(body(vectors=[CONNECTION] * (SLICE_TICKETS + 1))),
    "an old version": Call(PLAIN, version="1.0"),
    "an end": Call(PLAIN, {"connection": "close"}),
    "another protocol": Call(PLAIN, {"connection": "upgrade", "upgrade": "h2c"}),
    "an address for a path": Call(PLAIN, path="http://127.0.0.1/search"),
    "a head without end": Call(PLAIN, {"content-length": None}, (("content-length ", "1"),)),
    "a parameter of the type": Call(PLAIN, {"content-type": "application/json; charset=utf-8"}),
    "a type in capitals": Call(PLAIN, {"content-type": "Application/JSON"}),
    "a query": Call(PLAIN, path="/search?a=b"),
    "chunks": Call((PLAIN[:10], PLAIN[10:])),
    "no length": Call(b"", {"content-length": None}),
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
    "too long in chunks": Call((body(text="x" * LIMIT_BYTES)[:-5], b"     ")),
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
    "explained": Call(body(vector=["problème", "conntecter", "coffre"], explain=True, id="e")),
    "a long ticket explained": Call(body(vector=[*CONNECTION, "zzz"] * 200, explain=True)),
    "several explained": Call(body(vectors=[CONNECTION], explain=True)),
    "the best guesses": Call(body(vectors=[CONNECTION, ["zzz"]], top_k=2)),
    "the best guesses, explained": Call(body(vector=CONNECTION, top_k=2, explain=True)),
    "a threshold that is none": Call(body(vector=CONNECTION, abstain=True)),
    "numbers explained": Call(msgspec.json.encode(PRICES | {"vector": [70, 3], "explain": True})),
    "ids that are too few": Call(body(vectors=[CONNECTION, ACCESS], ids=[1])),
    "a number for a word": Call(body(vectors=[[1], ["a", None]])),
    "an unknown field": Call(body(vector=CONNECTION, extra=1)),
    "an unknown kind": Call(body(vector=CONNECTION, neural_network_type="CNN")),
    "the kind of another model": Call(body(vector=[1, 2], neural_network_type="SimpleNN")),
    "too many features": Call(msgspec.json.encode(PRICES | {"vector": [1, 2, 3]})),
    "an infinite feature": Call(b'{"name":"prices","neural_network_type":"SimpleNN","vector":[1e999,1]}'),
    "an unknown model": Call(body(name="other", vector=CONNECTION)),
    "no name of a model": Call(body(name="../puppet-o2", vector=CONNECTION)),
    "an untrained model": Call(body(name="untrained", vector=CONNECTION)),
    "a deadline that is none": Call(PLAIN, {"x-timeout-ms": "soon"}),
    "two deadlines": Call(PLAIN, {"x-timeout-ms": "60000"}, (("x-timeout-ms", "60001"),)),
}


def search(head: bytes = HEAD, body: bytes = PLAIN, line: bytes = b"POST /search HTTP/1.1") -> bytes:
    """Return a request without token as it comes over a socket."""
    return b"%s\r\n%sContent-Length: %d\r\n\r\n%s" % (line, head, len(body), body)


async def both(app: Litestar, one: Call) -> tuple[bytes, int]:
    """Return the answer of uvicorn's protocol and of ours, which is the same, and how much ours left to uvicorn."""
    quick = Peer(app, peer=one.peer)
    (expected,) = await Peer(app, Edge, one.peer).ask(one.raw)
    (found,) = await quick.ask(one.raw)
    assert found == expected
    return found, quick.num_begun


@pytest.fixture(params=[False, True], ids=["without tokens", "with tokens"])
async def guarded(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Litestar]:
    """Give the application, open to this machine and then with tokens."""
    tokens = {"search_token": SEARCH_TOKEN, "admin_token": ADMIN_TOKEN} if request.param else {}
    async with started(msgspec.structs.replace(settings, search_body_bytes=LIMIT_BYTES, **tokens)) as app:
        yield app


@pytest.fixture
async def full(app: Litestar) -> AsyncIterator[Batcher]:
    """Give the batcher of the application, whose queue is full until the test empties it."""
    batcher: Batcher = app.state.batcher
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens
    yield batcher
    batcher.admission.waiting_tokens = 0


async def test_plain_search_is_answered_in_front(guarded: Litestar) -> None:
    """Each good request is answered without uvicorn and Litestar, and to the byte as they answer it; twice as well."""
    for name, one in GOOD.items():
        for _ in range(2):  # its head is new, and then it is known
            answer, num_begun = await both(guarded, one)
            assert (name, statuses([answer]), num_begun) == (name, [200], 0)


async def test_what_is_not_plain_is_uvicorns(guarded: Litestar) -> None:
    """Each unusual or wrong request comes back as it does without us, who have handed it on once."""
    has_tokens = bool(guarded.state.settings.search_token)
    for name, one in OTHERWISE.items():
        answer, num_begun = await both(guarded, one)
        in_front = name in TOKENS_ALONE and not has_tokens
        num_readings = 2 if name == "another protocol" else 1  # once more without the offer
        assert (name, num_begun) == (name, 0 if in_front else num_readings)
        assert not in_front or statuses([answer]) == [200]


async def test_refusal_is_litestars(guarded: Litestar) -> None:
    """A full server's refusal, of whatever body, is to the byte as Litestar's; so is a deadline that cannot be met."""
    batcher: Batcher = guarded.state.batcher
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens
    full = [await both(guarded, one) for one in (Call(PLAIN), Call(b"{"), Call(body(vectors=[CONNECTION])))]
    batcher.admission.waiting_tokens = batcher.admission.limit_tokens // 2
    late = await both(guarded, Call(PLAIN, {"x-timeout-ms": "1"}))
    batcher.admission.waiting_tokens = 0

    assert statuses([answer for answer, _ in (*full, late)]) == [503, 503, 503, 504]
    assert all(b"retry-after: 1\r\n" in answer for answer, _ in (*full, late))
    assert [num_begun for _, num_begun in (*full, late)] == [0] * 4


async def test_refusal_costs_no_task(app: Litestar, full: Batcher) -> None:
    """A refusal is written at once, is counted, and the connection stays."""
    peer = Peer(app)

    peer.protocol.data_received(search())
    assert statuses(answers(peer.wire.written)) == [503]
    full.admission.waiting_tokens = 0
    assert statuses(await peer.ask(search())) == [200]

    assert not peer.wire.closed
    assert app.state.counters.refusals == {"full": 1}
    assert app.state.counters.requests == {"POST /search 503": 1, "POST /search 200": 1}


async def test_full_server_says_so_to_whoever_asks(settings: Settings) -> None:
    """While the queue is full a wrong token is refused as cheaply as a right one; then it is a wrong one again."""
    wrong = Call(PLAIN, {"authorization": "Bearer wrong"}).raw
    async with started(msgspec.structs.replace(settings, search_token=SEARCH_TOKEN)) as app:
        app.state.batcher.admission.waiting_tokens = app.state.batcher.admission.limit_tokens
        refused = await Peer(app).ask(wrong)
        app.state.batcher.admission.waiting_tokens = 0

        assert statuses(refused) == [503]
        assert statuses(await Peer(app).ask(wrong)) == [401]


async def test_admin_token_opens_it_too(guarded: Litestar) -> None:
    """The admin token is as good, and is known in front as well."""
    answer, num_begun = await both(guarded, Call(PLAIN, {"authorization": f"Bearer {ADMIN_TOKEN}"}))

    assert (statuses([answer]), num_begun) == ([200], 0)


async def test_known_head_opens_nothing_for_others(settings: Settings) -> None:
    """What is let in without a token from this machine is not let in from another, though its head is known."""
    one = Call(PLAIN, {"authorization": None, "x-request-id": None})
    async with started(settings) as app:
        here = [await Peer(app).ask(one.raw) for _ in range(2)]
        there = await Peer(app, peer="192.0.2.1").ask(one.raw)

    assert [statuses(found) for found in (*here, there)] == [[200], [200], [401]]


async def test_wrong_tokens_are_counted(settings: Settings) -> None:
    """Wrong tokens reach the gate that counts them, and a right one is let in beside."""
    async with started(msgspec.structs.replace(settings, search_token=SEARCH_TOKEN)) as app:
        wrong = Call(PLAIN, {"authorization": "Bearer wrong", "x-request-id": None})
        found = [await Peer(app).ask(wrong.raw) for _ in range(11)]
        right = await Peer(app).ask(Call(PLAIN).raw)

    assert [status for one in found for status in statuses(one)] == [401] * 10 + [429]
    assert statuses(right) == [200]


async def test_burst_is_answered_each_its_own(guarded: Litestar) -> None:
    """Of many searches at once each gets the answer that it gets alone."""
    calls = [Call(body(vector=(CONNECTION + ACCESS + CLIENT)[start : start + 4], id=start)) for start in range(7)] * 6
    alone = [json_of((await Peer(guarded, Edge).ask(one.raw))[0]) for one in calls]

    together = await asyncio.gather(*(Peer(guarded).ask(one.raw) for one in calls))

    expected = [one | {"confidence": pytest.approx(one["confidence"], abs=1e-6)} for one in alone]
    assert [json_of(answer) for (answer,) in together] == expected
    assert guarded.state.counters.batches.counts[-5] == 1  # 33 to 64 tickets


async def test_large_search_is_answered_beside_small_ones(app: Litestar) -> None:
    """A body of more tokens than run on the loop is answered from the thread, in front of uvicorn too."""
    large = Call(body(vectors=[CONNECTION * 4] * 200))

    (small, large_one) = await asyncio.gather(Peer(app).ask(Call(PLAIN).raw), both(app, large))

    assert statuses([*small, large_one[0]]) == [200, 200]
    assert large_one[1] == 0


async def test_bug_is_litestars(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the model is met again on the ordinary way, answered there and logged; the others are answered."""

    def broken(self: GruModel, encoded: Sequence[Encoded]) -> list[Prediction]:
        if any(len(one.ids) == 1 for one in encoded):
            raise RuntimeError("as it happens")
        return real(self, encoded)

    real = GruModel.predict
    monkeypatch.setattr(GruModel, "predict", broken)
    peers = [Peer(app) for _ in range(3)]

    found = await asyncio.gather(
        *(peer.ask(Call(body(vector=["client"] * size)).raw) for peer, size in zip(peers, (2, 1, 3), strict=True))
    )

    assert [statuses(one) for one in found] == [[200], [500], [200]]
    assert [peer.num_begun for peer in peers] == [0, 1, 0]


async def test_loading_model_is_litestars(app: Litestar) -> None:
    """A model that is not loaded yet is answered 503 as ever."""
    registry = app.state.registry
    async with registry._lock:  # or its watch loads the model again between the two answers
        registry._serving.clear()
        registry._seen.clear()

        answer, num_begun = await both(app, Call(PLAIN))

    assert (statuses([answer]), num_begun) == ([503], 1)


async def test_model_that_abstains_by_itself_is_litestars(settings: Settings, store: Store) -> None:
    """What it answers where nobody asks for more is no plain answer."""
    manifest, files = store.read_version(MODEL["name"], 1)
    rule = Abstention(0.95, None, 0.1, 0.5, num_tickets=600, coverage=0.0, accuracy=None, by_default=True)
    store.publish(msgspec.structs.replace(manifest, abstain=rule), files)
    async with started(settings) as app:
        answer, num_begun = await both(app, Call(PLAIN))

    assert b'"category":null' in answer
    assert num_begun == 1


@pytest.mark.parametrize(
    "cut", [10, len(b"POST /search HTTP/1.1\r\n") + 5, len(search()) - len(PLAIN), len(search()) - 5]
)
async def test_search_in_parts_is_one(app: Litestar, cut: int) -> None:
    """A search that comes in parts is answered once, wherever it is cut; one whose head came whole, in front."""
    request, peer = search(), Peer(app)

    assert statuses(await peer.ask(request[:cut], request[cut:])) == [200]
    assert peer.num_begun == (0 if cut >= len(request) - len(PLAIN) else 1)
    assert statuses(await peer.ask(*(bytes([byte]) for byte in request))) == [200]
    assert statuses(await peer.ask(request)) == [200]


@pytest.mark.parametrize("num", [2, 5])
@pytest.mark.parametrize("cut", [0, 30, len(search()) - 5, len(search()), len(search()) + 30])
async def test_pipelined_searches_are_answered_in_order(app: Litestar, num: int, cut: int) -> None:
    """Requests that come without waiting for an answer are answered one after the other, however they are cut."""
    requests = [search(body=body(vector=CONNECTION, id=number)) for number in range(num)]
    raw = b"".join(requests)
    peer = Peer(app)
    peer.protocol.data_received(raw[:cut])
    peer.protocol.data_received(raw[cut:])
    await eventually(lambda: len(answers(peer.wire.written)) == num and not peer.protocol.tasks, "every answer")

    assert [json_of(answer)["id"] for answer in answers(peer.wire.written)] == list(range(num))
    assert not peer.wire.is_paused
    assert statuses(await peer.ask(search())) == [200]


async def test_what_comes_behind_a_search_waits(app: Litestar) -> None:
    """Of any kind: its answer follows that of the search, and the client is not read meanwhile."""
    peer = Peer(app)

    peer.protocol.data_received(search())
    peer.protocol.data_received(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert peer.wire.is_paused
    await eventually(lambda: len(answers(peer.wire.written)) == 2, "both answers")

    assert [b'"category"' in answer for answer in answers(peer.wire.written)] == [True, False]
    assert not peer.wire.is_paused


async def test_search_behind_another_request_waits(app: Litestar) -> None:
    """A search that comes while uvicorn is at work on this connection is uvicorn's, and answered after."""
    peer = Peer(app)

    peer.protocol.data_received(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    peer.protocol.data_received(search())
    await eventually(lambda: len(answers(peer.wire.written)) == 2, "both answers")

    assert [b'"category"' in answer for answer in answers(peer.wire.written)] == [False, True]
    assert peer.num_begun == 2


async def test_client_that_does_not_read_is_uvicorns(app: Litestar) -> None:
    """While answers stand unread a further search is left to uvicorn, which lets it wait."""
    peer = Peer(app)
    peer.protocol.pause_writing()

    peer.protocol.data_received(search())
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not peer.wire.written
    peer.protocol.resume_writing()
    await eventually(lambda: answers(peer.wire.written), "the answer")

    assert statuses(answers(peer.wire.written)) == [200]


async def test_two_lengths_are_refused(app: Litestar, full: Batcher) -> None:
    """A request whose end is in doubt is uvicorn's, which answers 400 and closes, be the server full or not."""
    for request in (search(HEAD + b"Content-Length: 3\r\n"), search(HEAD + b"Transfer-Encoding: chunked\r\n")):
        peers = [Peer(app, protocol) for protocol in (Protocol, Edge)]
        for peer in peers:
            peer.protocol.data_received(request)

        assert peers[0].wire.written.startswith(b"HTTP/1.1 400")
        assert peers[0].wire.written == peers[1].wire.written
        assert peers[0].wire.closed


@pytest.mark.parametrize("is_full", [False, True])
async def test_search_inside_a_body_is_a_body(app: Litestar, full: Batcher, is_full: bool) -> None:
    """Bytes that look like a search but belong to the request before them are not answered (request smuggling)."""
    full.admission.waiting_tokens *= is_full
    inner = search()
    for outer in (
        search(body=b" " * 10 + inner),
        search(HEAD + b"Connection: x\r\n", b" " * 10 + inner, b"POST /test HTTP/1.1"),
    ):
        peer = Peer(app)

        (answer,) = await peer.ask(outer[: -len(inner)], inner)
        await asyncio.sleep(0.01)

        assert statuses([answer]) != [200]
        assert len(answers(peer.wire.written)) == 1


async def test_search_inside_a_header_is_a_header(app: Litestar) -> None:
    """Nor are bytes that look like a search in the middle of a head."""
    peer = Peer(app)
    peer.protocol.data_received(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
    peer.protocol.data_received(search())
    await asyncio.sleep(0.01)

    assert b'"category"' not in peer.wire.written


async def test_burst_is_counted_as_it_comes(app: Litestar) -> None:
    """Of many searches that are read in one turn those beyond the queue are refused at once."""
    app.state.batcher.admission.limit_tokens = 500
    peers = [Peer(app) for _ in range(40)]

    for peer in peers:
        peer.protocol.data_received(search())
    refused = [bool(peer.wire.written) for peer in peers]
    await eventually(lambda: all(answers(peer.wire.written) for peer in peers), "every answer")

    assert 10 < refused.index(True) < 30
    assert all(refused[refused.index(True) :])
    assert {status for peer in peers if not peer.num_begun for status in statuses(answers(peer.wire.written))} == {
        200,
        503,
    }
    assert statuses(await peers[0].ask(search())) == [200]


async def test_search_ends_with_the_server(app: Litestar) -> None:
    """A search that waits when the server begins to end is answered with `Connection: close`, and then it closes."""
    peers = {protocol: Peer(app, protocol) for protocol in (Protocol, Edge)}
    for peer in peers.values():
        peer.protocol.data_received(search())
        peer.protocol.server_state.default_headers.append(CLOSE_HEADER)
        peer.protocol.shutdown()
        assert not peer.wire.closed
        await eventually(lambda peer=peer: answers(peer.wire.written), "the answer")  # type: ignore[misc]

    assert statuses(answers(peers[Protocol].wire.written)) == [200]
    assert b"connection: close\r\n" in peers[Protocol].wire.written
    assert answers(peers[Protocol].wire.written) == answers(peers[Edge].wire.written)
    assert all(peer.wire.closed for peer in peers.values())


async def test_search_that_has_begun_is_awaited_at_the_end(app: Litestar) -> None:
    """A search that has come in half when the server ends is waited for, as uvicorn does; an idle client is not."""
    begun, idle = Peer(app), Peer(app)
    begun.protocol.data_received(search()[:-5])
    for peer in (begun, idle):
        peer.protocol.server_state.default_headers.append(CLOSE_HEADER)
        peer.protocol.shutdown()

    assert (begun.wire.closed, idle.wire.closed) == (False, True)
    assert statuses(await begun.ask(search()[-5:])) == [200]
    assert begun.wire.closed


@pytest.mark.parametrize("is_full", [False, True])
async def test_server_that_ends_says_so(app: Litestar, full: Batcher, is_full: bool) -> None:
    """What comes while the server shuts down is uvicorn's, with the header that lets the client leave."""
    full.admission.waiting_tokens *= is_full
    peer = Peer(app)
    peer.protocol.server_state.default_headers.append(CLOSE_HEADER)

    (answer,) = await peer.ask(search())

    assert statuses([answer]) == [503 if is_full else 200]
    assert b"connection: close\r\n" in answer
    assert peer.wire.closed
    assert peer.num_begun == 1


async def test_what_waits_at_the_very_end_is_let_go(settings: Settings) -> None:
    """A search that still waits when the application ends has its connection closed, and is not run."""
    async with started(settings) as app:
        peer = Peer(app)
        peer.protocol.data_received(search())

    assert peer.wire.closed
    assert not peer.wire.written


@pytest.mark.parametrize("leaves", [False, True])
async def test_client_that_hangs_up_costs_no_run(
    app: Litestar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, leaves: bool
) -> None:
    """A search whose connection is lost while it waits never reaches the model, and nobody calls that an error."""
    runs = list[int]()
    real = GruModel.predict

    def watched(self: GruModel, encoded: Sequence[Encoded]) -> list[Prediction]:
        runs.append(len(encoded))
        return real(self, encoded)

    monkeypatch.setattr(GruModel, "predict", watched)
    peer = Peer(app)

    peer.protocol.data_received(search())
    assert app.state.batcher.admission.waiting_tokens
    if leaves:
        peer.protocol.connection_lost(None)
    await eventually(lambda: not app.state.batcher.admission.waiting_tokens, "the end of the request")

    assert runs == ([] if leaves else [1])
    assert statuses(answers(peer.wire.written)) == ([] if leaves else [200])
    assert app.state.counters.refusals == ({"left": 1} if leaves else {})
    assert not caplog.records


async def test_idle_connection_is_overdue(app: Litestar) -> None:
    """A connection is overdue after the time of the settings, and not while a search comes in or waits."""
    peer, limits = Peer(app), app.state.connections.limits
    assert statuses(await peer.ask(search())) == [200]
    answered = asyncio.get_running_loop().time()

    assert peer.protocol.overdue(answered + limits.keep_alive_s - 1) is None
    assert peer.protocol.overdue(answered + limits.keep_alive_s + 1) == "idle"
    peer.protocol._since -= 60  # it has been idle for a minute, which is not held against a search that begins now
    peer.protocol.data_received(search()[:-5])  # the rest of its body is due
    assert peer.protocol.overdue(answered + limits.body_idle_timeout_s - 1) is None
    peer.protocol.data_received(search()[-5:-4])  # another byte, in the same body
    assert peer.protocol.overdue(answered + limits.body_idle_timeout_s - 1) is None
    assert peer.protocol.overdue(answered + limits.body_idle_timeout_s + 1) == "body"
    peer.protocol.data_received(search()[-4:])
    assert peer.protocol.overdue(answered + 3600) is None  # it waits for the server
    await eventually(lambda: answers(peer.wire.written)[1:], "the answer")


@pytest.mark.parametrize("role", ["search", "admin", "label"])
async def test_named_token_opens_in_front_until_it_expires(settings: Settings, role: str) -> None:
    """A named search or admin token is let in, in front too; expired, taken away or of another role it is not."""
    now = [1000.0]
    token = NamedToken("desk", msgspec.convert(role, Role), sha256_of("t" * 40), 1060.0)
    call = Call(PLAIN, {"authorization": f"Bearer {'t' * 40}", "x-request-id": None})  # so that its head is kept
    async with started(settings, [token, NamedToken("other", "search", "0" * 64)]) as app:
        app.state.gate.wall = lambda: now[0]
        peer = Peer(app)
        right = 401 if role == "label" else 200
        assert statuses(await peer.ask(call.raw) + await peer.ask(call.raw)) == [right, right]
        assert peer.num_begun == (2 if role == "label" else 0)

        now[0] = 1060.0
        assert statuses(await peer.ask(call.raw)) == [401]
        now[0] = 1000.0
        assert statuses(await peer.ask(call.raw)) == [right]
        app.state.gate.take([])
        assert statuses(await peer.ask(call.raw)) == [401]
        app.state.gate.take([token])
        assert statuses(await peer.ask(call.raw)) == [right]


async def test_first_token_closes_connections_that_are_up(settings: Settings) -> None:
    """A connection that came up while nobody needed a token needs one as soon as there is one."""
    async with started(settings, []) as app:
        peer = Peer(app)
        assert statuses(await peer.ask(search())) == [200]

        app.state.gate.take([NamedToken("desk", "search", sha256_of("t" * 40))])

        assert statuses(await peer.ask(search())) == [401]
        assert statuses(await peer.ask(search(HEAD + b"Authorization: Bearer %s\r\n" % (b"t" * 40)))) == [200]


def test_known_heads_are_few(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of heads that differ each time a bounded number is kept; long ones and those with an id of their own are not."""
    monkeypatch.setattr(request_head, "MAX_HEADS", 8)
    found = Heads(settings, Gate(settings))
    for number in range(100):
        assert found.read(search(HEAD + b"X-N: %d\r\n" % number)[: -len(PLAIN)]) is not None
        assert len(found._kept) <= 8
    kept = len(found._kept)
    for more in (b"X-Request-ID: 1\r\n", b"X-Long: %s\r\n" % (b"x" * request_head.MAX_KEPT_BYTES)):
        assert found.read(search(HEAD + more)[: -len(PLAIN)]) is not None

    assert len(found._kept) == kept
