"""A small supervisor: starts child processes, starts them again when they die, ends them all when it is asked to.

    SIGHUP ─► on_reload() ─► SIGHUP to each child that takes it
    SIGTERM ─► on_end() ─► each child's signal ─► wait ─► exit 0
    a child dies ─► wait 0.1 s, 0.2 s, ... 10 s ─► start it again

It knows nothing of HTTP or of models and imports neither, so that it stays small (25 MB) and has nothing to crash on.
A child must end by itself when the supervisor is killed: see `die_with`.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import msgspec

from artifacts.errors import Fault, InvalidInput, PuppetError
from artifacts.problems.sentences import DEFAULT, Language, Message

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
HEALTHY_S = 60.0  # a child that ran for so long is started again as if it had never died
REPEAT_S = 0.5  # in which a second signal is the first one again: `timeout` and `uv run` send each twice
GRACE_S = 15.0  # for the children to end; a worker takes 10.5 s at most
CANNOT_START = 78  # exit status of a child that no other attempt would help: a wrong setting (EX_CONFIG, <sysexits.h>)
REPORT_BYTES = 65536  # what a pipe holds
END_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
WORKER_SIGNALS = END_SIGNALS | {signal.SIGHUP}

log = logging.getLogger("puppet")


class Child(msgspec.Struct, frozen=True):
    """A process to keep running.

    Attributes:
        name: in the log.
        command: program and arguments; other users of the machine see them.
        environment: all of it.
        stdin: what it reads, then the end of the file.
        fds: files that it inherits, under the same numbers.
        end_signal: that asks it to finish what it is at and end.
        blocked: signals that wait until it unblocks them, because it cannot take them in its first half second.
        takes_reload: whether it is sent SIGHUP, which ends a process that does not expect it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: bytes = b""
    fds: tuple[int, ...] = ()
    end_signal: int = signal.SIGTERM
    blocked: frozenset[int] = frozenset()
    takes_reload: bool = False


def next_delay_s(delay_s: float, lived_s: float) -> float:
    """Return how long to wait before a child is started again.

    Args:
        delay_s: the wait before the run that has just ended; 0 if it was the first.
        lived_s: how long it ran.

    >>> next_delay_s(0, 3.0), next_delay_s(0.1, 3.0), next_delay_s(8.0, 3.0), next_delay_s(8.0, 3600.0)
    (0.1, 0.2, 10.0, 0.1)
    """
    if lived_s >= HEALTHY_S:
        return FIRST_DELAY_S
    return min(max(2 * delay_s, FIRST_DELAY_S), LONGEST_DELAY_S)


def die_with(parent: int) -> None:
    """End this process when the process `parent`, which started it, ends (Linux; elsewhere it outlives a kill -9)."""
    if platform.system() == "Linux":
        pr_set_pdeathsig = 1  # <linux/prctl.h>; sent when the thread that forked us ends, so only main threads fork
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            raise SystemExit("the process that started this one has ended")


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Supervisor:
    """Keeps children running until a signal ends it; for one `run`.

    SIGTERM and SIGINT end it in order, a second one at once. SIGHUP has two senders. From an operator it means: read
    again what may have changed (`on_reload`). From the kernel it means that the terminal was closed, and ends it in
    order, unless SIGHUP was ignored at the start (`nohup`). The sign of the second is that the terminal of
    the start is gone: Linux takes it from the session before it sends the signal.
    """

    def __init__(
        self,
        children: Sequence[Child],
        on_end: Callable[[], object],
        reports: int,
        on_reload: Callable[[], Sequence[Child] | None] = lambda: None,
    ) -> None:
        """Take what to run.

        Args:
            children: that run side by side.
            on_end: called when the end begins, before the children are asked to end.
            reports: read end of a pipe in which a child says why it ends with CANNOT_START; non-blocking.
            on_reload: called at SIGHUP; returns the same children, by name, as they are to be started from now on, or
                None where nothing is to change, and then they are not sent SIGHUP either.
        """
        self._children = {child.name: child for child in children}
        self._on_reload = on_reload
        self._ends_with_terminal = False
        self.on_end = on_end
        self._reports = reports
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._starting = asyncio.Lock()
        self._ending = asyncio.Event()
        self._at_once = asyncio.Event()
        self._asked_at: float | None = None
        self._status = 0
        self.refusal = ""  # what the child reported whose first start was impossible

    async def run(self) -> int:
        """Return the exit status once every child has ended: 0 if that was asked for and went in order."""
        loop = asyncio.get_running_loop()
        self._ends_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and has_terminal()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take_signal)
        loop.add_signal_handler(signal.SIGHUP, self._take_hangup)
        keeping = asyncio.gather(*(self._keep(name) for name in self._children))
        keeping.add_done_callback(lambda _: self._ending.set())  # a bug in one ends all, rather than go unnoticed
        await self._ending.wait()
        self.on_end()
        for child in self._children.values():
            self._send(child, child.end_signal)
        hurrying = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait((keeping, hurrying), timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not keeping.done():
            log.error("killing what has not ended: %s", ", ".join(self._running))
            self._status = 1
            for child in self._children.values():
                self._send(child, signal.SIGKILL)
        await keeping
        return self._status

    def _take_signal(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked_at is None:
            self._asked_at = now
            log.info("ending: what has been accepted is answered; a second signal ends at once")
            self._ending.set()
        elif now - self._asked_at > REPEAT_S:
            self._at_once.set()

    def _take_hangup(self) -> None:
        if self._ends_with_terminal and not has_terminal():
            if self._asked_at is None:  # however often it comes, it is no second signal
                self._take_signal()
            return
        if self._ending.is_set():
            return
        children = self._on_reload()
        if children is not None:
            self._children |= {child.name: child for child in children}
            for child in children:
                if child.takes_reload:
                    self._send(child, signal.SIGHUP)

    def _send(self, child: Child, number: int) -> None:
        process = self._running.get(child.name)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                process.send_signal(number)

    async def _keep(self, name: str) -> None:
        """Run a child again and again until the end."""
        loop = asyncio.get_running_loop()
        delay_s = 0.0
        while not self._ending.is_set():
            started_at = loop.time()
            child = self._children[name]  # as it is to be started by now
            try:
                status = await self._run(child)
            except OSError as error:
                how = f"could not be started: {error.strerror}"
            else:
                how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
                if self._ending.is_set():
                    log.log(logging.INFO if status == 0 else logging.ERROR, "%s %s", child.name, how)
                    return
                if status == CANNOT_START:
                    report = self._report()
                    if not delay_s:
                        self.refusal = report
                        self._status = 1
                        self._ending.set()
                        return
                    how += f" ({read_refusal(report, DEFAULT)})"
            delay_s = next_delay_s(delay_s, loop.time() - started_at)
            log.error("%s %s; it is started again in %.1f s", child.name, how, delay_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay_s)

    async def _run(self, child: Child) -> int:
        """Run a child once and return its exit status; below 0 is the signal that killed it."""
        async with self._starting:  # one at a time: a child inherits the mask, and each has another
            signal.pthread_sigmask(signal.SIG_BLOCK, child.blocked)
            try:
                process = await asyncio.create_subprocess_exec(
                    *child.command,
                    stdin=asyncio.subprocess.PIPE,
                    env=child.environment,
                    pass_fds=child.fds,
                    # Or Ctrl+C in a terminal would reach it too, before we turn newcomers away. Not a session of its
                    # own: Linux shares a core between sessions first (autogroup), so that a training in another one
                    # would not give way to searches, whatever its priority.
                    process_group=0,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, child.blocked)
        self._running[child.name] = process
        log.info("%s runs as process %d", child.name, process.pid)
        try:
            assert process.stdin is not None, "asked for above"
            process.stdin.write(child.stdin)
            process.stdin.close()
            if self._ending.is_set():  # while it was being started
                self._send(child, child.end_signal)
            return await process.wait()
        finally:
            self._running.pop(child.name, None)

    def _report(self) -> str:
        """Return the first of the reports that have come since the last call."""
        try:
            raw = os.read(self._reports, REPORT_BYTES)
        except BlockingIOError:
            return "it gave no reason"
        return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


class StartRefusal(msgspec.Struct, frozen=True):
    """Why a child cannot start, in every language: the terminal's is not the log's."""

    said: Message
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, error: PuppetError) -> Self:
        """Return the refusal that an error is."""
        return cls(error.message, error.faults if isinstance(error, InvalidInput) else ())

    def shown(self, language: Language) -> str:
        """Return the reason and a line for each fault."""
        return "\n  ".join([self.said.detail(language), *(fault.shown(language) for fault in self.faults)])

    def report(self) -> bytes:
        """Return what a child writes into the pipe; without its faults where they would not fit."""
        raw = msgspec.json.encode(self)
        return (raw if len(raw) < REPORT_BYTES // 64 else msgspec.json.encode(StartRefusal(self.said))) + b"\0"


def read_refusal(report: str, language: Language) -> str:
    """Return what a child has reported, in a language; a child that does not report as `StartRefusal` is quoted."""
    try:
        return msgspec.json.decode(report, type=StartRefusal).shown(language)
    except msgspec.DecodeError:
        return report
