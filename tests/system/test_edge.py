"""What the open network may send to a real server: an end to everything, and an answer to each request, in order.

Each kind is tried on the fast way (the content type `application/json`) and on the ordinary one (with a parameter).
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.server.edge import MAX_HEAD_BYTES, MAX_TARGET_BYTES
from inference.server.request_head import MAX_HEADER_LINES
from tests.conftest import FIXTURE_STORE
from tests.system.server import DEADLINE_S, MODEL, ROOT, Server, environment, eventually, serving

pytestmark = pytest.mark.system

SEARCH_TOKEN, ADMIN_TOKEN = "search-token-of-the-tests", "admin-token-of-the-tests"
BODY = json.dumps(MODEL | {"vector": ["connexion"]}).encode()
of_both_ways = pytest.mark.parametrize("type_", ["application/json", "application/json; charset=utf-8"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, copied_store: Path) -> Iterator[Server]:
    """Give a server with tokens and short deadlines."""
    with serving(
        tmp_path_factory.mktemp("edge"),
        copied_store,
        PUPPET_TRAINER="none",
        PUPPET_SEARCH_TOKEN=SEARCH_TOKEN,
        PUPPET_ADMIN_TOKEN=ADMIN_TOKEN,
        PUPPET_HEAD_TIMEOUT_S="1",
        PUPPET_BODY_IDLE_TIMEOUT_S="1",
        PUPPET_KEEP_ALIVE_S="1",
    ) as found:
        yield found


@pytest.fixture(scope="module")
def copied_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the fixture store."""
    folder = tmp_path_factory.mktemp("store") / "models"
    shutil.copytree(FIXTURE_STORE, folder)
    folder.chmod(0o700)
    return folder


def head(
    line: str = "POST /search HTTP/1.1",
    *more: str,
    host: str = "localhost",
    type_: str | None = "application/json",
    token: str | None = SEARCH_TOKEN,
    length: int | None = None,
) -> bytes:
    """Return the head of a request."""
    lines = [line, f"Host: {host}", *more]
    lines += [f"Content-Type: {type_}"] if type_ else []
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def get(path: str = "/livez", *more: str, host: str = "localhost") -> bytes:
    """Return a GET request."""
    return head(f"GET {path} HTTP/1.1", *more, host=host, type_=None)


def connected(server: Server) -> socket.socket:
    """Return a connection."""
    found = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def told(server: Server, *parts: bytes, ends: bool = False) -> bytes:
    """Return all that the server answers to what is sent, until it closes, or has nothing to say for a while."""
    with connected(server) as connection:
        with contextlib.suppress(OSError):  # it may have closed already
            for part in parts:
                connection.sendall(part)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                found += part
        return found


def statuses(answer: bytes) -> list[int]:
    """Return the status of each answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def is_problem(answer: bytes) -> bool:
    """Return whether the last answer is a problem of RFC 9457 with a status, a title and a detail."""
    last_head, _, last_body = answer.rpartition(b"\r\n\r\n")
    return b"application/problem+json" in last_head and {"status", "title", "detail"} <= set(json.loads(last_body))


@of_both_ways
@pytest.mark.parametrize("num_bytes", [MAX_HEAD_BYTES // 2, 80 * 1024, 4 * 2**20])
def test_head_has_an_end(server: Server, type_: str, num_bytes: int) -> None:
    """Up to 64 KiB of head are taken, from 80 KiB on it is 431, however much comes and in whatever header."""
    long = head("POST /search HTTP/1.1", f"X: {'a' * num_bytes}", type_=type_, length=len(BODY)) + BODY

    answer = told(server, long)

    assert statuses(answer) == ([200] if num_bytes < MAX_HEAD_BYTES else [431])
    assert num_bytes < MAX_HEAD_BYTES or is_problem(answer)


def test_head_at_the_limit_is_taken(server: Server) -> None:
    """A head of exactly 64 KiB is taken, at the start of a connection and behind another request."""
    bare = len(get("/livez", "X: "))
    whole = get("/livez", "X: " + "a" * (MAX_HEAD_BYTES - bare))
    assert len(whole) == MAX_HEAD_BYTES

    assert statuses(told(server, whole)) == [200]
    assert statuses(told(server, get() + whole)) == [200, 200]


@of_both_ways
def test_header_lines_are_counted(server: Server, type_: str) -> None:
    """Of 100 header lines each is taken; of more the request is 431, also if they never end."""
    few = [f"X-{number}: a" for number in range(MAX_HEADER_LINES - 4)]

    assert statuses(told(server, head("POST /search HTTP/1.1", *few, type_=type_, length=len(BODY)), BODY)) == [200]
    many = told(server, head("POST /search HTTP/1.1", *few, "a: b", type_=type_, length=len(BODY)), BODY)
    assert statuses(many) == [431]
    assert statuses(told(server, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 100_000)) == [431]


def test_target_has_an_end(server: Server) -> None:
    """A target of over 8 KiB is 414."""
    assert statuses(told(server, get("/livez?" + "a" * (MAX_TARGET_BYTES - 7)))) == [200]
    answer = told(server, get("/livez?" + "a" * MAX_TARGET_BYTES))
    assert statuses(answer) == [414]
    assert is_problem(answer)


@pytest.mark.parametrize("trailer", [b"X: " + b"a" * 80 * 1024, b"X: a\r\n" * 20_000])
def test_trailers_have_an_end(server: Server, trailer: bytes) -> None:
    """What stands behind the last chunk is counted as a head is; the request itself has been answered or is 431."""
    chunked = head("POST /search HTTP/1.1", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)

    assert statuses(told(server, chunked + b"\r\n")) == [200]
    assert statuses(told(server, chunked + trailer + b"\r\n\r\n")) == [431]


def test_trailer_is_no_header(server: Server) -> None:
    """A token in a trailer opens nothing (RFC 9110 6.5.1)."""
    sent = head("POST /search HTTP/1.1", "Transfer-Encoding: chunked", token=None)
    sent += b"%x\r\n%s\r\n0\r\nAuthorization: Bearer %s\r\n\r\n" % (len(BODY), BODY, SEARCH_TOKEN.encode())

    assert statuses(told(server, sent)) == [401]


@pytest.mark.parametrize(
    "started",
    [b"", b"POST /search HTTP/1.1\r\nHost: loc", head(length=50) + b'{"na', head(type_="a/b", length=50) + b'{"na'],
    ids=["silent", "half a head", "half a body, fast way", "half a body"],
)
def test_slow_client_is_closed(server: Server, started: bytes) -> None:
    """A connection that sends nothing, half a head or half a body is closed; a search goes on meanwhile."""
    with connected(server) as connection:
        connection.sendall(started)
        connection.settimeout(DEADLINE_S)
        assert statuses(told(server, head(length=len(BODY)) + BODY)) == [200]
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part

    assert statuses(answer) in ([], [408], [415])
    assert (statuses(answer) == []) == (b"\r\n\r\n" not in started)


def test_idle_connection_is_closed_and_counted(server: Server) -> None:
    """A connection on which nothing is under way is closed after keep_alive_s, and /metrics says why."""
    assert statuses(told(server, get())) == [200]  # `told` reads until the server closes

    metrics = told(server, get("/metrics")).decode()
    assert re.search(r'puppet_connections_closed_total\{why="idle"\} [1-9]', metrics)
    assert re.search(r"puppet_connections [1-9]", metrics)


@of_both_ways
@pytest.mark.parametrize(
    ("more", "kwargs", "status"),
    [
        ((), {"host": "evil.example"}, 421),
        ((), {"token": None}, 401),
        ((), {"token": ADMIN_TOKEN + "x"}, 401),
        ((), {"host": "localhost:\u00b2"}, 400),
        (("Host: localhost",), {}, 400),
        (("Content-Encoding: gzip",), {}, 415),
    ],
    ids=["host", "no token", "wrong token", "superscript", "two hosts", "coding"],
)
def test_head_decides_before_the_body(
    server: Server, type_: str, more: tuple[str, ...], kwargs: dict[str, str | None], status: int
) -> None:
    """What a head refuses is refused before its body has come, on both ways."""
    with connected(server) as connection:
        connection.sendall(head("POST /search HTTP/1.1", *more, type_=type_, length=len(BODY), **kwargs) + BODY[:3])  # type: ignore[arg-type]
        answer = b""
        while not (found := re.search(rb"content-length: (\d+)\r\n.*?\r\n\r\n", answer, re.DOTALL)) or len(
            answer
        ) < found.end() + int(found[1]):
            part = connection.recv(65536)
            assert part, "the answer breaks off"
            answer += part

    assert statuses(answer) == [status]
    assert is_problem(answer)


def test_foreign_target_is_refused(server: Server) -> None:
    """An absolute target of another host is 421, one of ours is answered."""
    assert statuses(told(server, get("http://evil.example/livez"))) == [421]
    assert statuses(told(server, get("http://localhost/livez"))) == [200]


@pytest.mark.parametrize("bad", [b"BAD\r\n\r\n", b"GET /livez HTTP/9.9\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n"])
@of_both_ways
def test_each_request_has_its_answer(server: Server, type_: str, bad: bytes) -> None:
    """A good request with something malformed behind it in one packet gets both answers, in order."""
    answer = told(server, head(type_=type_, length=len(BODY)) + BODY + bad)

    assert statuses(answer) == [200, 400]
    assert is_problem(answer)


@of_both_ways
def test_client_that_has_ended_its_side_is_answered(server: Server, type_: str) -> None:
    """A client that ends its side behind its request, or behind two, still gets every answer."""
    one = head(type_=type_, length=len(BODY)) + BODY

    for _ in range(10):
        assert statuses(told(server, one, ends=True)) == [200]
    assert statuses(told(server, one + get(), ends=True)) == [200, 200]


def test_tls_is_named(server: Server) -> None:
    """A TLS hello to this port is a problem whose detail says so, and a line of the log with the peer."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))

    answer = told(server, hello)

    assert statuses(answer) == [400]
    assert b"TLS was spoken" in answer
    assert eventually(lambda: [one for one in server.events if "TLS was spoken" in one["event"]], "the log")


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0", "foo/2, h2c"])
@of_both_ways
def test_upgrade_is_ignored(server: Server, type_: str, offer: str) -> None:
    """A request that offers another protocol is answered as one that does not, body and all (RFC 9110 7.8)."""
    lines = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    sent = head("POST /search HTTP/1.1", *lines, type_=type_, length=len(BODY))

    assert statuses(told(server, sent + BODY)) == [200]
    assert statuses(told(server, sent, BODY[:9], BODY[9:] + get())) == [200, 200]


def test_transfer_coding_is_named(server: Server) -> None:
    """A Transfer-Encoding that is not undone is 501 and not taken for chunked."""
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    answer = told(server, head("POST /search HTTP/1.1", "Transfer-Encoding: gzip, chunked") + chunked)
    assert statuses(answer) == [501]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/models", "/models/puppet-o2", "/schema"])
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    """HEAD is answered as GET with the same headers and no body, so two in one packet are two answers."""
    answer = told(server, head(f"HEAD {path} HTTP/1.1", type_=None) * 2)

    assert statuses(answer) == [200, 200]
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 2


@pytest.mark.parametrize("path", ["//jobs", "/jobs/", "/%6aobs", "/models%2fpuppet-o2", "/./jobs", "/jobs/../models"])
def test_path_has_one_spelling(server: Server, path: str) -> None:
    """Another spelling of a route's path is 404, so that a proxy which filters by path is not got round."""
    assert statuses(told(server, get(path))) == [404]


def test_port_of_the_host_is_a_port(server: Server) -> None:
    """A Host with an impossible port is refused like any other that is not ours; nothing fails over it."""
    for host in ("localhost:99999", "localhost:abc", "evil:65536"):
        for request in (get("/nothing", host=host), head("PUT /search HTTP/1.1", host=host)):
            answer = told(server, request)
            assert statuses(answer)[0] in (404, 405, 421)
            assert is_problem(answer)


@pytest.mark.parametrize(
    ("raw", "word"), [(b"\xef\xbb\xbf" + BODY, "byte order mark"), (BODY.decode().encode("utf-16"), "UTF-16")]
)
@of_both_ways
def test_encoding_is_named(server: Server, type_: str, raw: bytes, word: str) -> None:
    """A byte order mark and UTF-16 have a sentence of their own."""
    answer = told(server, head(type_=type_, length=len(raw)) + raw)

    assert statuses(answer) == [400]
    assert word in json.loads(answer.rpartition(b"\r\n\r\n")[2])["errors"][0]["detail"]


def test_descriptors_do_not_run_out(copied_store: Path, tmp_path: Path) -> None:
    """More silent connections than max_connections lock nobody out: the longest idle one is closed."""
    with serving(tmp_path, copied_store, PUPPET_TRAINER="none", PUPPET_MAX_CONNECTIONS="20") as server:
        silent = [connected(server) for _ in range(60)]
        try:
            assert statuses(told(server, head(token=None, length=len(BODY)) + BODY, ends=True)) == [200]
        finally:
            for one in silent:
                one.close()


def test_descriptor_limit_is_raised() -> None:
    """The soft limit of descriptors becomes the hard one."""
    code = (
        "import resource; from inference.server.connections import raise_descriptor_limit as r\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)); r()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout == "200 200\n", done.stderr


def test_refusals_are_counted(server: Server) -> None:
    """What the parser refuses is in /metrics."""
    told(server, b"BAD\r\n\r\n")
    line = 'puppet_requests_total{method="other",route="none",status="400"}'
    assert eventually(lambda: line in told(server, get("/metrics")).decode(), "the count")
