"""Named tokens on a real server of two workers: read again at SIGHUP, kept when the file is broken, noted by all."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from artifacts.store.store import Store
from inference.tokens import make_token
from tests.system.server import DEADLINE_S, MODEL, Server, environment, eventually, serving

pytestmark = pytest.mark.system

SEARCH = MODEL | {"vector": ["création", "client", "<COMPANY>"]}
REFUSED = {401, 429}  # the second after ten wrong tokens
NUM_CALLS = 8  # on connections of their own, so that both workers are asked


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def statuses(server: Server, token: str) -> set[int]:
    """Return what both workers answer to a search with a token."""
    url = f"http://127.0.0.1:{server.port}/search"
    return {
        httpx.post(url, json=SEARCH, headers=bearer(token), timeout=DEADLINE_S).status_code for _ in range(NUM_CALLS)
    }


def logged(server: Server, words: str) -> list[str]:
    """Return the log lines that hold these words."""
    return [event["event"] for event in server.events if words in event["event"]]


@pytest.fixture
def file(store: Store) -> Path:
    """Give the path of the store's named tokens."""
    return store.root / "tokens.toml"


@pytest.fixture
def admin(file: Path) -> str:
    """Give a named admin token."""
    return make_token(file, "anna", "admin", None)


@pytest.fixture
def server(store: Store, tmp_path: Path, admin: str) -> Iterator[Server]:
    """Give a server of two workers that knows the tokens which are in the file by then."""
    with serving(tmp_path, store.root, ["--trainer", "none", "--workers", "2"]) as server:
        yield server


def test_tokens_are_read_again_by_every_worker(file: Path, admin: str, server: Server) -> None:
    """A new token opens after SIGHUP; a broken file changes nothing, in one line of the log, and stops no worker.

    A worker that is started again while the file is broken knows the tokens that were read last.
    """
    desk = make_token(file, "desk", "search", None)
    assert statuses(server, desk) == {200}  # nobody needs a token for a search yet
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(logged(server, "2 named tokens are known")) == 2, "both workers to have read the file")
    assert statuses(server, desk) == {200}
    assert statuses(server, "wrong") <= REFUSED

    good = file.read_text()
    file.write_text(good + "[[token]]\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: logged(server, "the named tokens stay as they were"), "the line on the broken file")
    killed = server.workers[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(server.workers) == 2 and killed not in server.workers, "the worker to be started again")
    eventually(lambda: statuses(server, desk) == {200}, "both workers to answer")
    assert statuses(server, "wrong") <= REFUSED
    assert len(logged(server, "the named tokens stay as they were")) == 1
    assert "/token/1" not in logged(server, "the named tokens stay as they were")[0]
    assert "/token/2" in logged(server, "the named tokens stay as they were")[0]

    file.write_text(good.partition("\n[[token]]")[0] + "\n")  # anna's alone
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(logged(server, "1 named tokens are known")) == 3, "the start and both workers to say so")
    assert statuses(server, desk) <= REFUSED
    assert statuses(server, admin) == {200}
    assert server.stop() == 0


def test_both_workers_write_one_audit_log(admin: str, server: Server, file: Path) -> None:
    """Corrections that come to both workers at the same time are all noted, under the name of the token."""

    def post(number: int) -> int:
        body = {"name": "puppet-o2", "id": number, "text": f"ticket {number}", "category": "Nouveau"}
        url = f"http://127.0.0.1:{server.port}/feedback"
        return httpx.post(url, json=body, headers=bearer(admin), timeout=DEADLINE_S).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, range(60))) == {200}
    entries = server.client.get("/audit?limit=1000", headers=bearer(admin)).json()["entries"]

    assert [one["number"] for one in entries] == list(range(60, 0, -1))
    assert {(one["token_name"], one["action"], one["outcome"]) for one in entries} == {
        ("anna", "keep_correction", "done")
    }
    assert len({one["correction"] for one in entries}) == 60
    for secret in (admin, file.read_text().partition('sha256 = "')[2][:64]):
        assert secret not in server.log_file.read_text()


@pytest.mark.parametrize("nohup", [False, True])
def test_closed_terminal_ends_the_server(store: Store, tmp_path: Path, nohup: bool) -> None:
    """SIGHUP because the terminal is gone ends the server in order; under nohup, and without a loss, it goes on."""
    code = "import os, runpy, signal, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    # Either way by hand, for the tests themselves may run under nohup.
    code += f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if nohup else 'SIG_DFL'}); "
    code += "sys.argv[1:] = sys.argv[2:]; runpy.run_module('inference', run_name='__main__', alter_sys=True)"
    ours, theirs = pty.openpty()
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, "x", *("--port", "0", "--store", str(store.root), "--trainer", "none")],
            cwd=tmp_path, env=environment(), stdin=theirs, stdout=file, stderr=file,
        )  # fmt: skip
    os.close(theirs)
    try:
        eventually(lambda: "model puppet-o2" in log.read_text() or process.poll() is not None, "the worker")
        process.send_signal(signal.SIGHUP)  # by hand, the terminal is there: nothing ends
        eventually(lambda: "named tokens are known" in log.read_text(), "the reload")
        os.close(ours)
        if nohup:
            time.sleep(1.0)  # an end would have begun by then
            assert process.poll() is None
            process.terminate()
        assert process.wait(DEADLINE_S) == 0, log.read_text()
        assert "ending: what has been accepted is answered" in log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
