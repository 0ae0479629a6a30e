"""kill -9 and failing disks at each system call by which a change reaches the disk, by strace.

A dry run under strace lists the calls. Call number N of its name is then one point: `inject=CALL:signal=KILL:when=N`
kills the process as it enters the call, which is not carried out any more (tests/faults/test_faults.py shows it). So a
point is the moment after one step and before the next, and the kill after the acknowledgement is the last of them.
`error=` lets the call fail without being carried out.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from artifacts.store.store import Store
from tests.conftest import FIXTURE_STORE
from tests.faults.changes import TRAINING, Change
from tests.faults.oracle import Complaint, View, corrections, judge, look, settle, shape
from tests.faults.worker import TIMEOUT_S, Worker

# The calls that change a disk or wait for it. `?`: not every processor has it.
CALLS = (
    *("openat", "?open", "?creat", "write", "writev", "pwrite64", "pwritev", "ftruncate", "?truncate", "fallocate"),
    *("fsync", "fdatasync", "sync_file_range", "?rename", "?renameat", "renameat2", "?link", "linkat", "?symlink"),
    *("symlinkat", "?unlink", "unlinkat", "?mkdir", "mkdirat", "?rmdir", "?chmod", "fchmod", "?fchmodat"),
)
# What a disk answers when it is full, and when it is failing.
FULL = {"openat", "open", "write", "pwrite64", "ftruncate", "rename", "renameat", "renameat2", "link", "linkat"}
FULL |= {"mkdir", "mkdirat"}
FAILING = {"fsync", "fdatasync"}


PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


def lacking() -> str:
    """Return what keeps strace from working here, empty if nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed; run: apt-get update && apt-get install -y strace"
    if os.geteuid() and PTRACE_SCOPE.exists() and PTRACE_SCOPE.read_text().strip() != "0":
        return "strace may not look into other processes here; run as root"
    return ""


class Point(NamedTuple):
    """The `number`-th call of this name since the change began; `line` is what strace shows of it."""

    call: str
    number: int
    line: str

    @property
    def error(self) -> str:
        """What the call may answer, empty where it is not made to fail."""
        return "ENOSPC" if self.call in FULL else "EIO" if self.call in FAILING else ""


class Case(NamedTuple):
    """A change that was counted: the store that each fault begins with a copy of, and what is right.

    Attributes:
        change: the one.
        template: the store, prepared.
        before, after: what is seen.
        points: each call by which it reaches the disk, in order.
    """

    change: Change
    template: Path
    before: View
    after: View
    points: tuple[Point, ...]


def copied(template: Path, target: Path) -> Path:
    """Return a copy of a store."""
    shutil.copytree(template, target)
    target.chmod(0o700)
    return target


@contextlib.contextmanager
def a_copy(template: Path, folder: Path) -> Iterator[Path]:
    """Give a copy of a store, removed at the end."""
    root = copied(template, folder / "store")
    try:
        yield root
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def traced(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Have strace at a process from its next call on until that has ended."""
    command = ["strace", "-p", str(pid), "-y", "-s", "0", "-o", str(log), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        try:
            said = process.stderr.readline()  # what it says when it has stopped the process
            assert said.endswith("attached\n"), said + process.stderr.read()
            yield
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
            process.wait()


def points_of(log: str, root: Path) -> Iterator[Point]:
    """Yield the calls of strace's log that reach the disk under `root`."""
    counts: Counter[str] = Counter()
    for line in log.splitlines():
        if match := re.match(r"(\w+)\(", line):
            call = match[1]
            counts[call] += 1
            looks_only = call in ("openat", "open") and "O_CREAT" not in line
            if str(root) in line and not looks_only and " = -1 " not in line:
                yield Point(call, counts[call], line.replace(str(root), "STORE"))


def counted(worker: Worker, change: Change, folder: Path, sabotage: str = "") -> Case:
    """Return the change with its points, as found in a dry run; its template stays in `folder`, in place of another."""
    shutil.rmtree(folder / "template", ignore_errors=True)
    template = copied(FIXTURE_STORE, folder / "template")
    change.prepare(Store(template))
    with a_copy(template, folder) as root:  # of its own: to look opens the jobs, and so may change them
        worker.begin(change.name, root)
        before = look(root)
        worker.end()
    with a_copy(template, folder) as root:
        with traced(worker.begin(change.name, root, sabotage), folder / "log", "-e", "trace=" + ",".join(CALLS)):
            said = worker.act()
            worker.end()
        assert said == "acknowledged", f"{change.name}: {said}"
        after = look(root)
        points = tuple(points_of((folder / "log").read_text("utf-8", "replace"), root))
    return Case(change, template, before, after, points)


def killed(worker: Worker, case: Case, point: Point | None, folder: Path, sabotage: str = "") -> list[Complaint]:
    """Return what is wrong after a kill at a point, or after the acknowledgement if it is None."""
    with a_copy(case.template, folder) as root:
        acknowledged = not kill_in(worker, case, point, root, folder, sabotage)
        if acknowledged:
            worker.kill()
        return examined(worker, case, root, acknowledged=acknowledged)


def kill_in(worker: Worker, case: Case, point: Point | None, root: Path, folder: Path, sabotage: str = "") -> bool:
    """Make the change in a store, killed at a point; without one it is acknowledged, and the process still lives.

    Returns:
        whether it was killed.
    """
    pid = worker.begin(case.change.name, root, sabotage)
    if point is None:
        said = worker.act()
    else:
        injection = f"{point.call}:signal=KILL:when={point.number}"
        with traced(pid, folder / "log", "-e", f"trace={point.call}", "-e", f"inject={injection}"):
            said = worker.act()
            if said != "ended -9":
                worker.end()  # strace waits for it
    assert said == ("acknowledged" if point is None else "ended -9"), f"{point}: {said}"
    return point is not None


def examined(worker: Worker, case: Case, root: Path, *, acknowledged: bool) -> list[Complaint]:
    """Return what is wrong in a store after a fault, whose process has ended; at the end it is not as it was."""
    found = look(root)
    complaints = list(judge(case.before, case.after, found, acknowledged=acknowledged))
    complaints += settle(root, found)
    if complaints:
        return complaints  # what is built on it would only say the same
    said = worker.do(case.change.name, root)
    if not is_done(case, said):
        complaints.append(Complaint("other", f"done again: {said}"))
    if (said := worker.do(TRAINING.name, root)) != "acknowledged":
        complaints.append(Complaint("other", f"a training after it: {said}"))
    now = look(root)
    complaints += [Complaint("partial", f"after a training: {sentence}") for sentence in now.broken]
    if corrections(now) != corrections(case.after):
        complaints.append(Complaint("lost", f"done again: {corrections(now)}, not {corrections(case.after)}"))
    return complaints


def is_done(case: Case, said: str) -> bool:
    """Return whether a change that is repeated has been made, now or the first time."""
    return said == "acknowledged" or said.startswith(tuple(f"refused {error.__name__}:" for error in case.change.done))


def failed(worker: Worker, case: Case, point: Point, folder: Path) -> tuple[str, list[Complaint]]:
    """Return what was said when the disk failed at a point, and what is wrong.

    The process lives on, and makes the change again when the disk is well.
    """
    with a_copy(case.template, folder) as root:
        pid = worker.begin(case.change.name, root)
        injection = f"{point.call}:error={point.error}:when={point.number}"
        complaints: list[Complaint] = []
        with traced(pid, folder / "log", "-e", f"trace={point.call}", "-e", f"inject={injection}"):
            said = worker.act()
            if "INJECTED" not in (folder / "log").read_text("utf-8", "replace"):
                complaints.append(Complaint("other", "the fault was not reached"))
            found = look(root)
            if said == "acknowledged":
                complaints += judge(case.before, case.after, found, acknowledged=True)
            else:
                if not said.startswith("refused StoreRefused:"):
                    complaints.append(Complaint("other", said))
                if case.change.steps == 1:
                    complaints += judge(case.before, case.before, found, acknowledged=True)
                else:
                    complaints += judge(case.before, case.after, found, acknowledged=False)
                again = worker.act()
                # What was refused whole is made now; of several steps the last may have failed alone.
                if again != "acknowledged" and (case.change.steps == 1 or not is_done(case, again)):
                    complaints.append(Complaint("other", f"done again: {again}"))
                now = look(root)
                complaints += [Complaint("partial", sentence) for sentence in now.broken]
                if case.change.steps == 1 and shape(now) != shape(case.after):
                    complaints.append(Complaint("lost", f"done again: {shape(now)}, not {shape(case.after)}"))
                if corrections(now) != corrections(case.after):
                    complaints.append(Complaint("lost", f"done again: {corrections(now)}"))
            worker.end()
        complaints += settle(root, look(root))
        if (training := worker.do(TRAINING.name, root)) != "acknowledged":
            complaints.append(Complaint("other", f"a training after it: {training}"))
    return said, complaints
