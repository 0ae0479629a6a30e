"""A real server in a process of its own, started and stopped by a test."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
NUM_ASKED = 16  # so that two workers are both asked, but for once in 30,000 starts
DEADLINE_S = 120.0  # only guards against a hang: what takes a second alone takes many on a busy machine
MODEL = {"name": "puppet-o2", "neural_network_type": "GRU"}


def environment(**variables: str) -> dict[str, str]:
    """Return an English environment that finds our packages from anywhere and has only these PUPPET_ variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUPPET_")}
    return kept | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | variables


def eventually(found: Callable[[], T | None], what: str, timeout_s: float = DEADLINE_S) -> T:
    """Return what `found` finds, once it finds something."""
    deadline = time.monotonic() + timeout_s
    while not (result := found()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.01)
    return result


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started and that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state not in "ZX":
                    found.append(int(folder.name))
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid` that have not ended: its children, theirs, and so on."""
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def words(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet has ended all the same."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def has_torch(pid: int) -> bool:
    """Return whether a process has PyTorch loaded."""
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


class Server:
    """`puppet-serve` over a store, from its start; `client` speaks HTTP with it."""

    def __init__(self, folder: Path, store: Path, args: Sequence[str] = (), **variables: str) -> None:
        """Start it and wait until it is ready; its log goes to a file in `folder`."""
        number = len(list(folder.glob("server-*.log")))
        self.log_file = folder / f"server-{number}.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "inference", "--port", "0", "--store", str(store), *args],
                cwd=folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.store = store
        try:
            self.port = int(eventually(self._port, "the server's address in its log"))
            self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=DEADLINE_S)
            # Of several workers one may be ready before the others; each connection of its own comes to any of them.
            num_asked = NUM_ASKED if "--workers" in args else 1
            ready = f"http://127.0.0.1:{self.port}/readyz"
            eventually(
                lambda: all(httpx.get(ready, timeout=DEADLINE_S).status_code == 200 for _ in range(num_asked)),
                "the server to be ready",
            )
        except BaseException:
            self.stop()
            raise

    def _port(self) -> str | None:
        assert self.process.poll() is None, f"the server has ended: {self.log_file.read_text()}"
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log_file.read_text())
        return found[1] if found else None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has logged; each line must be JSON."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def post(self, path: str, **body: object) -> httpx.Response:
        """Post a body about the model puppet-o2, unless the body names another."""
        return self.client.post(path, json=MODEL | body)

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        return [pid for pid in children(self.pid) if "inference.server.worker" in words(pid)]

    @property
    def trainer_worker(self) -> int | None:
        """The process that runs trainings, each in a process of its own."""
        return next((pid for pid in children(self.pid) if words(pid)[3:5] == ["trainer", "work"]), None)

    def trainer(self) -> int | None:
        """Return the process that trains, once it is at it (it has loaded PyTorch); None before."""
        return next((pid for pid in descendants(self.pid) if has_torch(pid)), None)

    def kill(self) -> None:
        """End it as a power cut would, and wait until what it has started, which notices, has ended too."""
        below = descendants(self.pid)
        self.process.kill()
        self.process.wait(DEADLINE_S)
        eventually(lambda: not any(map(is_alive, below)), "the end of the processes that the server has started")

    def stop(self) -> int:
        """Ask it to end as a service manager does, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextlib.contextmanager
def serving(folder: Path, store: Path, args: Sequence[str] = (), **variables: str) -> Iterator[Server]:
    """Give a running server and stop it at the end."""
    server = Server(folder, store, args, **variables)
    try:
        yield server
    finally:
        server.client.close()
        if server.process.poll() is None:
            server.kill()
