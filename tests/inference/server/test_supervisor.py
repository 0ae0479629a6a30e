"""The supervisor over small children: what it starts again, when it gives up, and in which order it ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import Fault, InvalidInput
from artifacts.problems.sentences import LANGUAGES
from inference.server import supervisor as module
from inference.server.supervisor import (
    CANNOT_START,
    END_SIGNALS,
    FIRST_DELAY_S,
    HEALTHY_S,
    LONGEST_DELAY_S,
    REPORT_BYTES,
    Child,
    StartRefusal,
    Supervisor,
    next_delay_s,
    read_refusal,
)
from tests.inference.helpers import DEADLINE_S, eventually
from tests.system.server import environment, is_alive

pytestmark = pytest.mark.anyio

STAY = 'trap "echo end >> told; exit 0" TERM; echo up >> told; while :; do sleep 0.01; done'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the children write into a folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start children again soon."""
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.01)


@pytest.fixture
def pipe(soon: None) -> Iterator[tuple[int, int]]:
    """Give both ends of the pipe for reports."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


def shell(script: str, name: str = "child", fds: tuple[int, ...] = (), stdin: bytes = b"") -> Child:
    """Return a child that runs a script."""
    return Child(name, ("/bin/sh", "-c", script), {"PATH": os.environ["PATH"]}, stdin, fds)


def told() -> list[str]:
    """Return what the children have written, in order."""
    path = Path("told")
    return path.read_text().splitlines() if path.exists() else []


@contextlib.asynccontextmanager
async def running(
    *children: Child, reports: int, on_end: Callable[[], object] = lambda: None
) -> AsyncIterator[tuple[Supervisor, "asyncio.Task[int]"]]:
    """Give a supervisor that runs, and its exit status to come; end it."""
    supervisor = Supervisor(children, on_end, reports)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, DEADLINE_S)


# When to start again


def test_waits_double_up_to_ten_seconds() -> None:
    """A child that dies at once is started again after 0.1, 0.2, 0.4 ... 6.4, 10, 10 seconds."""
    delays = [0.0]
    for _ in range(9):
        delays.append(next_delay_s(delays[-1], 0.5))

    assert [round(delay, 9) for delay in delays[1:]] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


@given(st.floats(0, LONGEST_DELAY_S), st.floats(0, 1e9))
def test_wait_is_within_its_limits(delay_s: float, lived_s: float) -> None:
    """Every wait is between the shortest and 10 s, and the shortest after a minute of health."""
    found = next_delay_s(delay_s, lived_s)

    assert FIRST_DELAY_S <= found <= LONGEST_DELAY_S
    assert (found == FIRST_DELAY_S) if lived_s >= HEALTHY_S else (found >= min(2 * delay_s, LONGEST_DELAY_S))


async def test_child_that_ends_is_started_again(pipe: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    """A child that ends, well or not, or is killed, runs again, with the same stdin each time."""
    script = "cat >> told; case $(wc -l < told) in 1) exit 0;; 2) exit 5;; 3) kill -9 $$;; esac; exec sleep 600"
    async with running(shell(script, stdin=b"line\n"), reports=pipe[0]):
        await eventually(lambda: len(told()) == 4, "the fourth run")

    assert [line for line in caplog.messages if "started again" in line] == [
        "child ended with status 0; it is started again in 0.0 s",
        "child ended with status 5; it is started again in 0.0 s",
        "child was killed by signal 9; it is started again in 0.0 s",
    ]


async def test_program_that_is_missing_is_tried_again(
    pipe: tuple[int, int], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A child that cannot even be started is no end of the others, and runs as soon as it can."""
    child = Child("child", (str(folder / "program"),), {"PATH": os.environ["PATH"]})
    async with running(child, shell(STAY, "other"), reports=pipe[0]) as (_, task):
        await eventually(lambda: "could not be started: No such file" in caplog.text, "the first try")
        Path("new").write_text("#!/bin/sh\necho late >> told; exec sleep 600\n")
        Path("new").chmod(0o700)
        Path("new").rename("program")
        await eventually(lambda: "late" in told(), "the later try")

        assert not task.done()


async def test_first_start_that_is_impossible_ends_the_rest(pipe: tuple[int, int]) -> None:
    """A child that says at its first start that no other attempt would help ends all with its message and status 1."""
    refusing = shell(f"printf 'set X right\\0' > /dev/fd/{pipe[1]}; exit {CANNOT_START}", "refusing", (pipe[1],))
    supervisor = Supervisor([shell(STAY), refusing, refusing], lambda: None, pipe[0])

    assert await asyncio.wait_for(supervisor.run(), DEADLINE_S) == 1
    assert supervisor.refusal == "set X right"


def test_refusal_travels_in_every_language() -> None:
    """A child reports a type and no words: the terminal's language is not the log's. Faults are there if they fit."""
    faults = [Fault.of("PUPPET_PORT", "invalid-setting", found="x" * 300, expected="`int`")]
    error = InvalidInput("settings-do-not-fit", faults, num_faults=1)
    report = StartRefusal.of(error).report()
    crowded = StartRefusal.of(InvalidInput("settings-do-not-fit", faults * 100, num_faults=100)).report()

    assert report.endswith(b"}\0")
    for language in LANGUAGES:
        expected = [error.message.detail(language), f"  {faults[0].shown(language)}"]
        assert read_refusal(report[:-1].decode(), language).splitlines() == expected
    assert len(crowded) <= REPORT_BYTES // 64  # 64 children may report before the supervisor reads
    assert read_refusal(crowded[:-1].decode(), "en").startswith("the settings do not fit: 100 faults")


async def test_later_start_that_is_impossible_is_tried_again(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Once a child has run, the same refusal is one more reason to wait: the others go on serving."""
    script = f"echo >> told; case $(wc -l < told) in 1) exit 1;; 2) exit {CANNOT_START};; esac; exec sleep 600"
    async with running(shell(script), reports=pipe[0]) as (_, task):
        await eventually(lambda: len(told()) == 3, "the third run")

        assert not task.done()
    assert f"child ended with status {CANNOT_START} (it gave no reason); it is started again" in caplog.text


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_ends_in_order(pipe: tuple[int, int], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal first turns callers away, then lets each child finish, and the status is 0; so does a lost terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` it is ignored, and then it is no end
    terminal = iter([True])  # there at the start, and never again
    monkeypatch.setattr(module, "has_terminal", lambda: next(terminal, False))
    async with running(
        shell(STAY, "one"), shell(STAY, "two"), reports=pipe[0], on_end=lambda: Path("told").write_text("closed\n")
    ) as (_, task):
        await eventually(lambda: told() == ["up", "up"], "both children")
        os.kill(os.getpid(), number)

        assert await asyncio.wait_for(task, DEADLINE_S) == 0
    signal.signal(signal.SIGHUP, before)
    assert told() == ["closed", "end", "end"]


@pytest.mark.parametrize("ignored", [False, True])
async def test_hangup_by_hand_is_a_reload(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, ignored: bool
) -> None:
    """SIGHUP with the terminal still there, without one or under nohup reaches the children that take it, no other.

    A child that is started again is started as the reload has left it; a reload that fails changes and sends nothing.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    terminal = iter([ignored])
    monkeypatch.setattr(module, "has_terminal", lambda: next(terminal, False))
    takes = "trap 'echo again >> told' HUP; " + STAY.replace("echo up", "read line; echo up $line")
    child = msgspec.structs.replace(shell(takes, "one", stdin=b"old\n"), takes_reload=True)
    found: list[list[Child] | None] = [None, [msgspec.structs.replace(child, stdin=b"new\n")]]
    reloads = 0

    def reload() -> list[Child] | None:
        nonlocal reloads
        reloads += 1
        return found[reloads - 1]

    supervisor = Supervisor([child, shell(STAY, "two")], lambda: None, pipe[0], reload)
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: sorted(told()) == ["up", "up old"], "both children")
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: reloads == 1, "the first reload")
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: "again" in told(), "the second reload")
    supervisor._running["one"].kill()
    await eventually(lambda: "up new" in told(), "the child that is started again")
    assert not task.done()
    os.kill(os.getpid(), signal.SIGTERM)

    assert await asyncio.wait_for(task, DEADLINE_S) == 0
    signal.signal(signal.SIGHUP, before)
    assert told().count("again") == 1


async def test_repeated_signal_is_one(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signal twice in a moment, as `timeout` sends it, lets the children finish all the same."""
    monkeypatch.setattr(module, "REPEAT_S", DEADLINE_S)
    async with running(shell(STAY), reports=pipe[0]) as (_, task):
        await eventually(lambda: told() == ["up"], "the child")
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

        assert await asyncio.wait_for(task, DEADLINE_S) == 0
    assert told() == ["up", "end"]


@pytest.mark.parametrize("patience", ["second signal", "too long"])
async def test_child_that_does_not_end_is_killed(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, patience: str
) -> None:
    """A second signal, or 15 s, ends a child that does not end by itself, and the status is 1."""
    caplog.set_level("INFO", "puppet")
    monkeypatch.setattr(module, "REPEAT_S", 0.0)
    if patience == "too long":
        monkeypatch.setattr(module, "GRACE_S", 0.05)
    async with running(shell("trap '' TERM; echo $$ >> told; exec sleep 600"), reports=pipe[0]) as (_, task):
        await eventually(told, "the child")
        os.kill(os.getpid(), signal.SIGTERM)
        if patience == "second signal":
            await eventually(lambda: "a second signal ends at once" in caplog.text, "the first signal")
            os.kill(os.getpid(), signal.SIGTERM)

        assert await asyncio.wait_for(task, DEADLINE_S) == 1
    assert "killing what has not ended: child" in caplog.text
    assert not is_alive(int(told()[0]))


async def test_signal_waits_until_a_child_can_take_it(pipe: tuple[int, int]) -> None:
    """A child finds the signals blocked that it asked for, and no others; the supervisor does not keep them so."""
    child = Child(
        "child",
        (sys.executable, "-c", "import signal; print(*sorted(signal.pthread_sigmask(0, [])), file=open('told', 'w'))"),
        {},
        blocked=END_SIGNALS,
    )
    async with running(child, reports=pipe[0]):
        (line,) = await eventually(told, "the child")

    assert set(map(int, line.split())) == END_SIGNALS
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & END_SIGNALS


def test_child_of_a_dead_parent_does_not_start() -> None:
    """A child whose parent ended before the kernel was asked to watch it ends by itself."""
    code = "from inference.server.supervisor import die_with; die_with(1); print('runs')"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment(), capture_output=True, text=True, timeout=60
    )

    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr == "the process that started this one has ended\n"
