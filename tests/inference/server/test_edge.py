"""The edge in this process: what is refused, when, and what is still answered; tests/system has the sockets."""

import asyncio

import pytest
from litestar import Litestar

from inference.server.connections import (
    BODY,
    CROWDED,
    HEAD,
    IDLE,
    LINGER_S,
    REFUSED,
    SLOW_READER,
    ConnectionLimits,
    Connections,
)
from inference.server.edge import DISCARD_S, ENOUGH_BYTES, LEFT_AFTER_S, MAX_TARGET_BYTES
from tests.inference.helpers import eventually
from tests.inference.server.test_protocol import PLAIN, Peer, answers, json_of, search, statuses

pytestmark = pytest.mark.anyio

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = (
    b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


async def told(peer: Peer, *parts: bytes, num: int = 1) -> list[int]:
    """Return the statuses of the answers to what is sent."""
    return statuses(await peer.ask(*parts, num_answers=num))


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (ENOUGH_BYTES + 4096), 431, "larger than 65536 bytes"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431, "more than 100 headers"),
        (b"GET /" + b"a" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n\r\n", 414, "longer than 8192 bytes"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "has 2 Host headers"),
        (b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "evil.example"),
        (GET[:-2] + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "gzip, chunked"),
        (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "CONNECT"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00", 400, "TLS was spoken"),
        (b"NOTHING AT ALL\r\n\r\n", 400, "no request of HTTP/1.1"),
        (CHUNKED + b'3\r\n{"n\r\nzzz', 400, "no request of HTTP/1.1"),
    ],
    ids=["head", "lines", "target", "hosts", "foreign", "coding", "connect", "tls", "garbage", "chunk"],
)
async def test_refusal_names_its_reason(app: Litestar, sent: bytes, status: int, word: str) -> None:
    """What cannot be taken is a problem with its reason, alone and behind a request that is answered first."""
    for before in (b"", GET):
        peer = Peer(app)
        found = await peer.ask(before + sent, num_answers=1 + bool(before))
        if before and b"TLS" in word.encode():
            word = "no request of HTTP/1.1"  # only a connection that begins so is TLS

        assert statuses(found) == [200] * bool(before) + [status]
        assert word in json_of(found[-1])["detail"]
        assert peer.wire.closed


async def test_trailer_is_dropped_and_bounded(app: Litestar) -> None:
    """A header behind the last chunk is none; too much of it is refused when the request itself is answered."""
    body = b"%x\r\n%s\r\n0\r\n" % (len(PLAIN), PLAIN)
    peer = Peer(app)
    assert await told(peer, CHUNKED + body + b"X-Timeout-Ms: nonsense\r\n\r\n") == [200]

    peer = Peer(app)
    assert (await told(peer, CHUNKED + body + b"X: " + b"a" * (ENOUGH_BYTES + 4096)))[-1:] == [431]


@pytest.mark.parametrize("option", [b"Upgrade", b"keep-alive, Upgrade", b"Upgrade, close"])
async def test_upgrade_is_read_without_its_offer(app: Litestar, option: bytes) -> None:
    """The request of an offer is answered with its body; the other options of Connection still count."""
    offer = b"Connection: %s\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n" % option
    head, _, body = search().partition(b"\r\n\r\n")
    peer = Peer(app)

    assert await told(peer, head + b"\r\n" + offer + b"\r\n" + body) == [200]
    assert peer.wire.closed == (b"close" in option)


async def test_client_that_has_ended_its_side(app: Litestar) -> None:
    """It is answered, then the connection closes; not so if its body was still to come, or if it waits for long."""
    peer = Peer(app)
    peer.protocol.data_received(GET)
    assert peer.protocol.eof_received()  # stays half open
    await eventually(lambda: answers(peer.wire.written), "the answer")
    assert peer.wire.closed

    cut = Peer(app)
    cut.protocol.data_received(search()[:-5])
    assert not cut.protocol.eof_received()

    behind = Peer(app)
    behind.protocol.data_received(GET + CHUNKED + b"1\r\n{")
    assert behind.protocol.eof_received()
    await eventually(lambda: answers(behind.wire.written), "the answer to the first")
    assert statuses(answers(behind.wire.written)) == [200]

    waiting = Peer(app)
    waiting.protocol._has_ended = True
    assert not waiting.protocol.has_left()
    waiting.protocol._last_byte -= 2 * LEFT_AFTER_S
    assert waiting.protocol.has_left()


async def test_each_phase_has_its_deadline(app: Litestar) -> None:
    """Head, body, a reader that does not read, a refusal and a close are overdue after their times, and not before."""
    limits, now = app.state.connections.limits, asyncio.get_running_loop().time()
    silent = Peer(app).protocol
    assert silent.overdue(now + limits.head_timeout_s - 1) is None
    assert silent.overdue(now + limits.head_timeout_s + 1) == HEAD

    slow = Peer(app)
    slow.protocol.data_received(CHUNKED + b"1\r\n{\r\n")
    assert slow.protocol.overdue(now + limits.body_idle_timeout_s - 1) is None
    assert slow.protocol.overdue(now + limits.body_idle_timeout_s + 1) == BODY
    slow.protocol.give_up(BODY)
    await eventually(lambda: answers(slow.wire.written), "the refusal")
    assert statuses(answers(slow.wire.written)) == [408]
    assert slow.protocol.overdue(now + 2 * DISCARD_S + 1) == REFUSED
    slow.protocol.data_received(b"what comes now is dropped")

    reader = Peer(app).protocol
    reader.pause_writing()
    assert reader.overdue(now + LINGER_S + 1) == SLOW_READER
    reader.resume_writing()
    assert reader.overdue(now + 1) is None

    closing = Peer(app)
    closing.protocol.give_up(IDLE)
    assert closing.wire.closed
    assert closing.protocol.overdue(now) is None
    assert closing.protocol.overdue(now + LINGER_S + 1) == SLOW_READER


async def test_longest_idle_connection_gives_way(app: Litestar) -> None:
    """Beyond max_connections the one that has been idle longest is closed and counted; one at work never is."""
    counters = app.state.counters
    table = Connections(ConnectionLimits(10, 20, 1024, 75, 2), counters)
    peers = [Peer(app) for _ in range(3)]
    peers[0].protocol.data_received(search()[:-5])
    peers[1].protocol._since -= 5
    for peer in peers:
        table.add(peer.protocol)

    assert [peer.wire.closed for peer in peers] == [False, True, False]
    assert counters.closings[CROWDED] == 1
    peers[0].protocol.data_received(search()[-5:])
    await eventually(lambda: answers(peers[0].wire.written), "the answer")
