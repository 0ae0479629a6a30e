"""The door in front of uvicorn's parser: what is refused there, what is not, and that nothing is taken for another."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence

import pytest
import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from artifacts.gru import GruModel
from artifacts.tickets import Prediction
from artifacts.vocabulary import Encoded
from inference.batcher import LOOK_S, Batcher
from inference.protocol import Protocol
from tests.inference.helpers import eventually

pytestmark = pytest.mark.anyio

BODY = b'{"name":"puppet-o2","neural_network_type":"GRU","vector":["avoir","connexion"]}'
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"


def search(head: bytes = HEAD, body: bytes = BODY, line: bytes = b"POST /search HTTP/1.1") -> bytes:
    """Return a request as it comes over a socket."""
    return b"%s\r\n%sContent-Length: %d\r\n\r\n%s" % (line, head, len(body), body)


class Wire(asyncio.Transport):
    """The server's end of a connection, which keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written."""
        self.written += bytes(data)

    def close(self) -> None:
        """Note the end."""
        self.closed = True

    def is_closing(self) -> bool:
        """Tell whether it has ended."""
        return self.closed

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


class Peer:
    """A client on a connection of its own."""

    def __init__(self, app: Litestar, protocol: type[HttpToolsProtocol]) -> None:
        config = uvicorn.Config(app, http=protocol, ws="none", log_config=None, access_log=False, proxy_headers=False)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        self.wire = Wire()
        self.protocol = protocol(config, state, {})
        self.protocol.connection_made(self.wire)

    async def ask(self, *parts: bytes, num_answers: int = 1) -> list[bytes]:
        """Return the answers to what is sent in so many parts, without what differs each time."""
        self.wire.written = b""
        for part in parts:
            self.protocol.data_received(part)
            await asyncio.sleep(0)
        await eventually(lambda: len(answers(self.wire.written)) >= num_answers, "the answers")
        return answers(self.wire.written)


def answers(written: bytes) -> list[bytes]:
    """Return each whole answer, without its number and times."""
    found = []
    while match := re.match(rb"HTTP/1\.1 .*?content-length: (\d+)\r\n.*?\r\n\r\n", written, re.DOTALL):
        end = match.end() + int(match[1])
        if len(written) < end:
            break
        found.append(re.sub(rb"x-request-id: [0-9a-f]{16}|dur=[\d.]+", b"", written[:end]))
        written = written[end:]
    return found


def statuses(found: Sequence[bytes]) -> list[int]:
    """Return the status of each answer."""
    return [int(answer.split()[1]) for answer in found]


@pytest.fixture
async def full(app: Litestar) -> AsyncIterator[Batcher]:
    """Give the batcher of the application, whose queue is full until the test empties it."""
    batcher: Batcher = app.state.batcher
    batcher.waiting_tokens = batcher.limit_tokens
    yield batcher
    batcher.waiting_tokens = 0


async def test_refusal_is_that_of_the_dispatcher(app: Litestar, full: Batcher) -> None:
    """The bytes are those that uvicorn and the dispatcher write, they cost no task, and the connection stays."""
    expected = await Peer(app, HttpToolsProtocol).ask(search())
    peer = Peer(app, Protocol)

    peer.protocol.data_received(search())
    assert answers(peer.wire.written) == expected
    assert statuses(expected) == [503]
    assert b"retry-after: 1\r\n" in expected[0]
    assert not peer.wire.closed
    assert not peer.protocol.tasks
    full.waiting_tokens = 0
    assert statuses(await peer.ask(search())) == [200]
    assert app.state.counters.refusals == {"full": 2}
    assert app.state.counters.requests == {"POST /search 503": 2, "POST /search 200": 1}


OTHERS = {
    "another path": (search(line=b"POST /searching HTTP/1.1"), [404]),
    "a probe": (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", [200]),
    "an old version": (search(line=b"POST /search HTTP/1.0"), [503]),
    "its own id": (search(HEAD + b"X-Request-ID: mine\r\n"), [503]),
    "an end": (search(HEAD + b"Connection: close\r\n"), [503]),
    "chunks": (
        b"POST /search HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (HEAD, len(BODY), BODY),
        [503],
    ),
    "two at once": (search() * 2, [503, 503]),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_not_one_plain_search_is_uvicorns(app: Litestar, full: Batcher, name: str) -> None:
    """Anything unusual is parsed, and answered as without the door."""
    request, expected = OTHERS[name]

    found = await Peer(app, Protocol).ask(request, num_answers=len(expected))

    assert statuses(found) == expected
    assert found == await Peer(app, HttpToolsProtocol).ask(request, num_answers=len(expected))


async def test_two_lengths_are_refused(app: Litestar, full: Batcher) -> None:
    """A request whose end is in doubt is uvicorn's, which answers 400 and closes."""
    peers = [Peer(app, protocol) for protocol in (Protocol, HttpToolsProtocol)]

    for peer in peers:
        peer.protocol.data_received(search(HEAD + b"Content-Length: 3\r\n"))

    assert peers[0].wire.written.startswith(b"HTTP/1.1 400")
    assert peers[0].wire.written == peers[1].wire.written
    assert peers[0].wire.closed


@pytest.mark.parametrize("cut", [10, len(b"POST /search HTTP/1.1\r\n") + 5, len(search()) - 5])
async def test_request_in_parts_is_one(app: Litestar, full: Batcher, cut: int) -> None:
    """A search that comes in two parts is answered once, wherever it is cut."""
    request = search()

    assert statuses(await Peer(app, Protocol).ask(request[:cut], request[cut:])) == [503]


async def test_search_inside_a_body_is_a_body(app: Litestar, full: Batcher) -> None:
    """Bytes that look like a search but belong to the request before them are not answered (request smuggling)."""
    inner = search()
    peer = Peer(app, Protocol)

    found = await peer.ask(search(body=b" " * 10 + inner)[: -len(inner)], inner)
    await asyncio.sleep(0.01)

    assert statuses(found) == [503]
    assert len(answers(peer.wire.written)) == 1


async def test_search_inside_a_header_is_a_header(app: Litestar, full: Batcher) -> None:
    """Nor are bytes that look like a search in the middle of a head."""
    peer = Peer(app, Protocol)
    peer.protocol.data_received(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
    peer.protocol.data_received(search())
    await asyncio.sleep(0.01)

    assert b" 503 " not in peer.wire.written.partition(b"\r\n")[0]


async def test_burst_is_counted_before_it_waits(app: Litestar) -> None:
    """Of many searches that are read in one turn those beyond the queue are refused unparsed, though none waits yet."""
    app.state.batcher.limit_tokens = 20 * len(search()) // 8
    peers = [Peer(app, Protocol) for _ in range(40)]

    for peer in peers:
        peer.protocol.data_received(search())
    refused = [bool(peer.wire.written) for peer in peers]
    await eventually(lambda: all(answers(peer.wire.written) for peer in peers), "every answer")

    assert refused == [False] * 20 + [True] * 20
    assert {status for peer in peers[20:] for status in statuses(answers(peer.wire.written))} == {503}
    assert statuses(await peers[0].ask(search())) == [200]


async def test_full_server_that_ends_says_so(app: Litestar, full: Batcher) -> None:
    """While the server shuts down a refusal is uvicorn's, with the header that lets the client leave."""
    peer = Peer(app, Protocol)
    peer.protocol.server_state.default_headers.append((b"connection", b"close"))

    (answer,) = await peer.ask(search())

    assert statuses([answer]) == [503]
    assert b"connection: close\r\n" in answer
    assert peer.wire.closed


@pytest.mark.parametrize("leaves", [False, True])
async def test_client_that_hangs_up_costs_no_run(
    app: Litestar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, leaves: bool
) -> None:
    """A search whose connection is lost while it waits never reaches the model, and nobody calls that an error."""
    batcher: Batcher = app.state.batcher
    runs = list[int]()
    real = GruModel.predict

    def watched(self: GruModel, encoded: Sequence[Encoded]) -> list[Prediction]:
        runs.append(len(encoded))
        return real(self, encoded)

    monkeypatch.setattr(GruModel, "predict", watched)
    peer = Peer(app, Protocol)

    peer.protocol.data_received(search())
    while not batcher.waiting_tokens:
        await asyncio.sleep(0)
    if leaves:
        peer.protocol.connection_lost(None)
    time.sleep(5 * LOOK_S)  # the loop is held up, as by a run
    await eventually(lambda: not peer.protocol.tasks, "the end of the request")

    assert runs == ([] if leaves else [1])
    assert statuses(answers(peer.wire.written)) == ([] if leaves else [200])
    assert app.state.counters.refusals == ({"left": 1} if leaves else {})
    assert not caplog.records
