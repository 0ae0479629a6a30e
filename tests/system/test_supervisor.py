"""Several workers under real fire: shared connections, kills, second servers, and an end under load that loses nothing.

The callers speak raw HTTP on sockets of their own, because a client library would hide a lost request by a retry.
"""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.store.store import Store
from benchmarks.load.callers import callers
from benchmarks.load.client import Address
from inference.server.supervisor import REPEAT_S
from tests.inference.helpers import publish_permuted
from tests.system.server import DEADLINE_S, MODEL, Server, environment, eventually, is_alive, serving

pytestmark = pytest.mark.system

BODY = json.dumps(MODEL | {"vector": ["création", "client", "<COMPANY>"]}).encode()
SEARCH = (
    b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)
READY = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Lost(Exception):
    """A request on a connection that had come up got no answer."""


class Connection:
    """One connection to the server.

    Raises:
        OSError: it does not come up.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.may_stay = True

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer.

        Raises:
            Lost: there was none, or half of one.
        """
        try:
            self.socket.sendall(request)
            return self.answer()
        except OSError as error:
            raise Lost(str(error)) from error

    def answer(self) -> tuple[int, bytes]:
        """Return status and body of the answer to what has been sent."""
        head, body = b"", b""
        while b"\r\n\r\n" not in head:
            head += self._more()
        head, _, body = head.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        while len(body) < int(length[1]):
            body += self._more()
        self.may_stay = b"connection: close" not in head
        return int(head.split()[1]), body

    def _more(self) -> bytes:
        part = self.socket.recv(65_536)
        if not part:
            raise Lost("closed")
        return part

    @property
    def inode(self) -> str:
        """How the kernel names the server's side of the connection."""
        ends = [f"0100007F:{end[1]:04X}" for end in (self.socket.getpeername(), self.socket.getsockname())]
        lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
        return next(fields[9] for fields in lines if fields[1:3] == ends)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def holder(server: Server, connection: Connection) -> int:
    """Return the worker that has accepted a connection."""
    wanted = f"socket:[{connection.inode}]"
    for pid in server.workers:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(link.readlink()) == wanted:
                    return pid
    raise AssertionError("nobody has the connection")


def started_by(supervisor: int) -> list[int]:
    """Return the workers that a process has started, be it alive or not."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_text().split("\0")
                if "inference.server.worker" in words and str(supervisor) in words and is_alive(int(folder.name)):
                    found.append(int(folder.name))
    return found


@pytest.fixture
def pair(store: Store, tmp_path: Path) -> Iterator[Server]:
    """Give a server of two workers, each of which has answered."""
    with serving(tmp_path, store.root, ["--workers", "2", "--trainer", "none"]) as server:
        eventually(lambda: len(ready_workers(server)) == 2, "both workers")
        yield server


def ready_workers(server: Server) -> set[int]:
    """Return the workers that have said to be ready, of those that a few connections find."""
    found = set()
    for _ in range(8):
        with Connection(server.port) as connection:
            if connection.ask(READY)[0] == 200:
                found.add(holder(server, connection))
    return found


def test_workers_share_the_connections(pair: Server) -> None:
    """Of 80 connections each of two workers has at least a quarter."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(pair.port)) for _ in range(80)]
        assert {connection.ask(SEARCH)[0] for connection in connections} == {200}
        shares = collections.Counter(holder(pair, connection) for connection in connections)

    assert sorted(shares) == pair.workers
    assert min(shares.values()) >= 20, shares


def test_number_of_workers_is_a_setting(store: Store, tmp_path: Path) -> None:
    """PUPPET_WORKERS is as good as --workers."""
    with serving(tmp_path, store.root, ["--trainer", "none"], PUPPET_WORKERS="3") as server:
        assert len(server.workers) == 3


def test_killed_worker_is_back_and_loses_nobody_who_waits(pair: Server) -> None:
    """After kill -9 of a worker the other goes on, and its successor answers who had been put in its queue."""
    with contextlib.ExitStack() as stack:
        by_worker: dict[int, Connection] = {}
        while len(by_worker) < 2:
            connection = stack.enter_context(Connection(pair.port))
            assert connection.ask(SEARCH)[0] == 200
            by_worker[holder(pair, connection)] = connection
        killed, kept = by_worker
        subprocess.run(["kill", "-9", str(killed)], check=True)
        eventually(lambda: not is_alive(killed), "its end")
        waiting = [stack.enter_context(Connection(pair.port)) for _ in range(20)]
        for connection in waiting:
            connection.socket.sendall(READY)
        num_answered = 0
        while len(pair.workers) < 2 or not num_answered:
            assert by_worker[kept].ask(SEARCH)[0] == 200
            num_answered += 1

        assert [connection.answer()[0] in (200, 503) for connection in waiting] == [True] * 20  # 503: loading
        eventually(lambda: len(ready_workers(pair)) == 2, "the successor")
        assert {holder(pair, connection) for connection in waiting} == set(pair.workers)
    assert killed not in pair.workers
    assert kept in pair.workers
    (again,) = [event["event"] for event in pair.events if "started again" in event["event"]]
    assert re.fullmatch(r"worker [12] was killed by signal 9; it is started again in 0\.1 s", again)


def test_worker_that_is_asked_to_end_is_replaced(pair: Server) -> None:
    """SIGTERM of one worker alone, under load: every request is answered, and another worker takes its place."""
    before = pair.workers
    with callers(Address("127.0.0.1", pair.port), SEARCH, 8) as (outcomes, stop):
        eventually(lambda: outcomes[200] > 100, "some load")
        subprocess.run(["kill", str(before[0])], check=True)
        eventually(lambda: before[0] not in pair.workers and len(pair.workers) == 2, "the successor")
        eventually(lambda: len(ready_workers(pair)) == 2, "both workers to be ready")
        stop.set()

    assert set(outcomes) <= {200, 503}, outcomes  # 503: the successor is loading


@pytest.mark.parametrize("workers", ["1", "2"])
def test_second_server_on_the_port_is_refused(pair: Server, tmp_path: Path, workers: str) -> None:
    """Though workers share a port, a second server does not join them: a message, status 1, and the first goes on."""
    second = subprocess.run(
        [sys.executable, "-P", "-m", "inference", "--port", str(pair.port), "--workers", workers],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip

    assert second.returncode == 1
    assert second.stderr == (
        f"error: cannot listen on 127.0.0.1 port {pair.port}: Address already in use; choose another with --port\n"
    )
    assert len(ready_workers(pair)) == 2


@pytest.mark.parametrize("trainer", ["none", pytest.param("local", marks=pytest.mark.torch)])
def test_wrong_store_is_one_message_and_status_1(tmp_path: Path, trainer: str) -> None:
    """What only the workers can find wrong ends the server with one message, not one of each, nor for ever again."""
    found = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "inference", "--port", "0", "--workers", "3"),
            *("--store", "/dev/null/x", "--trainer", trainer),
        ],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip

    assert found.returncode == 1
    (message,) = [line for line in found.stderr.splitlines() if not line.startswith("{")]
    assert message.startswith("error: store /dev/null/x cannot be used")
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("moment", ["running", "starting"])
def test_killed_supervisor_leaves_nobody(store: Store, tmp_path: Path, moment: str) -> None:
    """Kill -9 of the supervisor ends every worker, be it still importing."""
    if moment == "running":
        with serving(tmp_path, store.root, ["--workers", "2", "--trainer", "none"]) as server:
            supervisor = server.process
            assert len(started_by(supervisor.pid)) == 2
            supervisor.kill()
            supervisor.wait(DEADLINE_S)
    else:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "inference", "--port", "0", "--workers", "2", "--store", str(store.root)],
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(lambda: started_by(supervisor.pid), "the first worker")
        finally:
            supervisor.kill()
            supervisor.wait(DEADLINE_S)

    eventually(lambda: not started_by(supervisor.pid), "the end of the workers")


@pytest.mark.parametrize("attempt", range(5))
def test_end_under_load_loses_no_request(store: Store, tmp_path: Path, attempt: int) -> None:
    """SIGTERM while 16 callers search without a pause: each request that was accepted is answered, and status 0."""
    workers = 1 + attempt % 3
    with serving(tmp_path, store.root, ["--workers", str(workers), "--trainer", "none"]) as server:
        with callers(Address("127.0.0.1", server.port), SEARCH, 16) as (outcomes, _):
            eventually(lambda: outcomes[200] > 500, "some load")
            assert server.stop() == 0

        assert set(outcomes) <= {200, 503}, outcomes  # 503: of a worker that has not loaded its models yet
        assert "Traceback" not in server.log_file.read_text()


def test_port_is_free_again_at_once(store: Store, tmp_path: Path) -> None:
    """After SIGTERM under load the next server listens on the same port."""
    with (
        serving(tmp_path, store.root, ["--workers", "2", "--trainer", "none"]) as server,
        callers(Address("127.0.0.1", server.port), SEARCH, 4) as (outcomes, _),
    ):
        eventually(lambda: outcomes[200] > 50, "some load")
        assert server.stop() == 0
    with serving(tmp_path, store.root, ["--workers", "2", "--trainer", "none", "--port", str(server.port)]) as again:
        assert again.port == server.port


def test_end_is_told_to_who_stays(pair: Server) -> None:
    """While it ends, a server says that it is not ready, and each answer asks its caller to leave."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(pair.port)) for _ in range(8)]
        for connection in connections:  # each worker takes its own
            assert connection.ask(READY)[0] == 200
        pair.process.send_signal(signal.SIGTERM)
        # A 200 that was decided before the signal may be written behind it, and ask its caller to leave too: at most
        # one a worker, for the next caller asks when that has been read.
        for connection in connections:
            with contextlib.suppress(Lost):  # one that waited too long for its turn
                while connection.may_stay:
                    status, body = connection.ask(READY)
            if status == 503:
                break

    assert status == 503
    assert json.loads(body)["detail"] == "the server is shutting down; try again when it is back"
    assert pair.process.wait(DEADLINE_S) == 0


def test_second_signal_ends_at_once(pair: Server) -> None:
    """A second SIGTERM does not wait for a request that does not end; the status says that one was lost."""
    with Connection(pair.port) as slow:
        slow.socket.sendall(SEARCH[:-5])
        # Answered by the same loop after it has read the half request.
        assert len(ready_workers(pair)) == 2
        began = time.monotonic()
        pair.process.send_signal(signal.SIGTERM)
        eventually(lambda: time.monotonic() > began + 2 * REPEAT_S, "a second signal to be one")
        assert pair.process.poll() is None
        pair.process.send_signal(signal.SIGTERM)

        assert pair.process.wait(DEADLINE_S) == 1
    # Alone, uvicorn gives up after 10 s, and there is nothing to kill.
    assert "killing what has not ended" in pair.log_file.read_text()


def test_every_worker_serves_a_new_version(pair: Server) -> None:
    """A version that is published serves in each worker soon, and until then the one before answers every search."""
    store = Store(pair.store)
    with contextlib.ExitStack() as stack:
        by_worker: dict[int, Connection] = {}
        while len(by_worker) < 2:
            connection = stack.enter_context(Connection(pair.port))
            assert connection.ask(SEARCH)[0] == 200
            by_worker[holder(pair, connection)] = connection
        publish_permuted(store)
        versions: dict[int, list[int]] = {pid: [] for pid in by_worker}
        deadline = time.monotonic() + DEADLINE_S
        while {seen[-1] if seen else 1 for seen in versions.values()} != {2}:
            assert time.monotonic() < deadline, versions
            for pid, connection in by_worker.items():
                status, body = connection.ask(SEARCH)
                assert status == 200
                versions[pid].append(json.loads(body)["version"])

    assert all(seen == sorted(seen) for seen in versions.values())


def test_metrics_are_of_all_workers_and_outlive_one(pair: Server) -> None:
    """Whichever worker answers, /metrics has the searches of both; it does not fall when one is killed."""

    def searches() -> int:
        with Connection(pair.port) as connection:
            text = connection.ask(METRICS)[1].decode()
        found = re.search(r'^puppet_requests_total\{.*route="/search",status="200"\} (\d+)', text, re.MULTILINE)
        return int(found[1]) if found else 0

    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(pair.port)) for _ in range(30)]
        assert {connection.ask(SEARCH)[0] for connection in connections} == {200}
        assert len({holder(pair, connection) for connection in connections}) == 2
    eventually(lambda: [searches() for _ in range(8)] == [30] * 8, "both workers to have shown what they counted")
    killed = pair.workers[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed not in pair.workers and len(ready_workers(pair)) == 2, "the successor")

    assert [searches() for _ in range(8)] == [30] * 8
