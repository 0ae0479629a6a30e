"""How soon a server is ready, and how much memory it holds: a `puppet-serve` of our own, or a peer.

In: a store, or a peer's command. Out: the real server in a process of its own on a free port of loopback, on its own
core where there are two, ended by its process id. Linux only where /proc and core affinity are asked for.
"""

import contextlib
import ctypes
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import click
import msgspec

from artifacts.networks.engines.build import EngineName
from benchmarks.common.machine import ROOT
from benchmarks.load.client import Address, BadAnswer, Connection, request
from inference.settings import PREFIX

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LOOK_S = 0.005  # between two looks whether it is ready: how exact `ready_s` is
MANY = 32  # connections, so that each of a few workers has some: of two, one has none once in 2^31
LISTENING = re.compile(r"listening on (http://[^\s,]+)")


class Event(msgspec.Struct):
    """A line of the server's log, as far as it is read here."""

    event: str


class Server(NamedTuple):
    """A running server. `ready_s` counts from the start of its process until each worker answers /readyz with 200."""

    url: str
    process: "subprocess.Popen[bytes]"
    ready_s: float

    @property
    def pid(self) -> int:
        """The supervisor's number."""
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        return descendants(self.pid, "inference.server.worker")


def two_cores() -> tuple[int | None, int | None]:
    """Return a core for the server and another for the load, or None twice where there are not two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


@contextlib.contextmanager
def pinned(cores: int | Collection[int] | None) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on one core or some; None changes nothing."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores} if isinstance(cores, int) else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def an_installed_environment() -> dict[str, str]:
    """Return our environment, in which Python may keep what it has compiled, as an installed package has been.

    Where it may not (PYTHONDONTWRITEBYTECODE, usual in containers' builds) each start compiles a checkout anew.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextlib.contextmanager
def running_server(
    store: Path,
    cores: int | Collection[int] | None = None,
    *,
    workers: int = 1,
    trainer: str = "none",
    engine: EngineName = "onnxruntime",
) -> Iterator[Server]:
    """Give a server over `store`, ready, and end it unless it has ended.

    Raises:
        click.ClickException: it ended or was not ready in a minute; with the end of its log.
    """
    options = {"--port": "0", "--store": str(store.absolute()), "--trainer": trainer, "--workers": str(workers)}
    options["--engine"] = engine
    command = [sys.executable, "-m", "inference", *(word for option in options.items() for word in option)]
    environment = {name: value for name, value in an_installed_environment().items() if not name.startswith(PREFIX)}
    with tempfile.TemporaryFile() as log:  # a pipe that nobody empties would stop the server one day
        start = time.perf_counter()
        with pinned(cores):  # which the child inherits
            # From ROOT, so that the server measured is the one of this checkout.
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=_end_with_parent
            )
        try:
            url = _wait_until_ready(process, log, start + START_TIMEOUT_S, 1 if workers == 1 else MANY)
            yield Server(url, process, time.perf_counter() - start)
        finally:
            _end(process)


@contextlib.contextmanager
def running_peer(
    command: Sequence[str], ready_path: str, cores: int | Collection[int] | None = None
) -> Iterator[Server]:
    """Give another server, ready, and end it with all that it has started.

    Args:
        command: that serves on the port of loopback that is its last argument, which is added here.
        ready_path: where a GET answers 200 once it serves.
        cores: it runs on these.
    Raises:
        click.ClickException: it ended or was not ready in a minute; with the end of what it printed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # free now, and no other program here takes ports meanwhile
        address = Address(*probe.getsockname())
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        with pinned(cores):
            # A session of its own, so that whatever it starts can be ended with it.
            process = subprocess.Popen(
                [*command, str(address.port)],
                cwd=ROOT,
                env=an_installed_environment(),
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                start_new_session=True,
            )
        try:
            while not is_ready(address, ready_path):
                if time.perf_counter() > start + START_TIMEOUT_S or process.poll() is not None:
                    raise click.ClickException(_last_words(process, log))
                time.sleep(LOOK_S)
            yield Server(f"http://{address.host}:{address.port}", process, time.perf_counter() - start)
        finally:
            _end(process)
            with contextlib.suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(process.pid, signal.SIGKILL)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    """Have the server ended when this process is killed and cannot do it (Linux); runs in the child before exec."""
    if platform.system() == "Linux":
        pr_set_pdeathsig = 1  # <linux/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: IO[bytes], deadline: float, num_looks: int) -> str:
    url = ""
    while time.perf_counter() < deadline and process.poll() is None:
        url = url or listening_url(_read(log))
        if url and all(is_ready(Address.of(url)) for _ in range(num_looks)):
            return url
        time.sleep(LOOK_S)
    raise click.ClickException(_last_words(process, log))


def _last_words(process: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    status = process.poll()
    what = "was not ready in time" if status is None else f"ended with status {status}"
    tail = _read(log)[-2000:].decode("utf-8", "backslashreplace")
    return f"the server {what}; its log ends with:\n{tail}"


def _read(log: IO[bytes]) -> bytes:
    """Return all of the log, without moving the place at which the server writes."""
    return os.pread(log.fileno(), 2**20, 0)


def listening_url(log: bytes) -> str:
    """Return the URL that the server's log names, "" while it names none."""
    for line in log.splitlines():
        try:
            event = msgspec.json.decode(line, type=Event).event
        except msgspec.DecodeError:  # half a line, or a warning that some library printed
            continue
        if found := LISTENING.match(event):
            return found[1]
    return ""


def is_ready(address: Address, path: str = "/readyz") -> bool:
    """Return whether a GET of the path answers 200."""
    try:
        with Connection(address, timeout_s=1.0) as connection:
            status, _ = connection.call(request(address, "GET", path))
    except (OSError, BadAnswer):
        return False
    return status == 200


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and not yet waited for; none where there is no /proc."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return []


def descendants(pid: int, *words: str) -> list[int]:
    """Return the processes below a process whose command lines have all the words."""
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):  # it has ended
            if set(words) <= set(Path(f"/proc/{child}/cmdline").read_text("utf-8", "replace").split("\0")):
                found.append(child)
        found += descendants(child, *words)
    return found


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def pin_process(pid: int, core: int) -> None:
    """Move every thread of a process that runs to one core; what they start later begins there."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, of all its threads.

    Raises:
        OSError: it has ended.
    """
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def family_cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all below it that still run."""
    found = 0.0
    for one in family(pid):
        with contextlib.suppress(OSError):  # it has ended
            found += cpu_seconds(one)
    return found


def proportional_bytes(pid: int) -> int | None:
    """Return a process's proportional share (PSS): pages that n processes share count 1/n; None without /proc.

    This is what another worker adds to a machine, where `resident_bytes` counts shared pages in each.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii", "replace")
    except OSError:
        return None
    found = re.search(r"^Pss:\s*(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def resident_bytes(pid: int) -> int | None:
    """Return the memory that a process and those that it has started hold; None where there is no /proc.

    What they share is counted in each, a few MB between a supervisor and its worker.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return None
    found = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
    if not found:
        return None
    return int(found[1]) * 1024 + sum(resident_bytes(child) or 0 for child in children(pid))
