"""Power cuts: the store is on an ext4 of its own, which is shut down without its caches being written.

An ext4 in a file of 64 MB is mounted by loop; `noauto_da_alloc`, so that it does not write a renamed file's bytes
unasked, and a commit only when somebody waits for it, so that no timer saves what was forgotten. EXT4_IOC_SHUTDOWN
stops it dead: what was not flushed is lost (NOTHING_FLUSHED), or the file system's journal is written first
(JOURNAL_FLUSHED), which makes names durable whose bytes are not. Then it is mounted again, which replays its journal.
It needs root.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults import kill
from tests.faults.changes import RECOVERY
from tests.faults.kill import Case, Point, copied, examined, kill_in, traced
from tests.faults.oracle import Complaint
from tests.faults.worker import Worker

DISK_BYTES = 64 * 2**20
EXT4_IOC_SHUTDOWN = 0x8004587D  # linux, fs/ext4/ext4.h
JOURNAL_FLUSHED, NOTHING_FLUSHED = 1, 2  # its flags LOGFLUSH and NOLOGFLUSH
OPTIONS = "loop,noauto_da_alloc,commit=600"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # where mkfs is, which not everybody's path has
# The calls of a recovery that change something, which of them comes first being left to chance.
OF_RECOVERY = "unlink,unlinkat,rmdir,rename,pwrite64,fsync,fdatasync"


def lacking() -> str:
    """Return what keeps power cuts from being made here, empty if nothing."""
    if os.geteuid():
        return "a power cut needs a file system of its own to be mounted; run as root"
    for tool, package in (("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("umount", "mount")):
        if shutil.which(tool, path=PATH) is None:
            return f"{tool} is not installed; run: apt-get update && apt-get install -y {package}"
    if not Path("/dev/loop-control").exists():
        return "this kernel has no loop devices (/dev/loop-control); run: modprobe loop"
    return kill.lacking()


class Disk:
    """A file system in a file, mounted at `path`."""

    def __init__(self, folder: Path) -> None:
        """Make it in `folder`, empty; not mounted yet."""
        self._image, self.path = folder / "disk", folder / "mounted"
        self.path.mkdir(exist_ok=True)
        self._image.unlink(missing_ok=True)
        with open(self._image, "wb") as file:
            file.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))

    def mount(self) -> None:
        """Mount it, which replays its journal."""
        _run("mount", "-o", OPTIONS, str(self._image), str(self.path))

    def unmount(self) -> None:
        """Unmount it; if it was not cut off, all is written first."""
        _run("umount", str(self.path))

    def cut(self, flag: int) -> None:
        """Cut the power: nothing reaches the disk any more."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(fd)


def _run(*command: str) -> None:
    environment = os.environ | {"PATH": PATH}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@contextlib.contextmanager
def disk_with(template: Path, folder: Path) -> Iterator[tuple[Disk, Path]]:
    """Give a mounted disk and the store on it, a copy of the template that is all on the disk."""
    disk = Disk(folder)
    disk.mount()
    try:
        root = copied(template, disk.path / "store")
        disk.unmount()
        disk.mount()
        yield disk, root
    finally:
        with contextlib.suppress(AssertionError):  # the test has failed before, between an unmount and a mount
            disk.unmount()


def cut(
    worker: Worker,
    case: Case,
    point: Point | None,
    folder: Path,
    *,
    flag: int = NOTHING_FLUSHED,
    recovery_call: int = 0,
    sabotage: str = "",
) -> list[Complaint]:
    """Return what is wrong after a power cut.

    Args:
        worker: makes the change.
        case: the change.
        point: the process is killed there, and then the power is cut; None: it is cut right after the acknowledgement,
            while the process lives.
        folder: for the disk.
        flag: JOURNAL_FLUSHED or NOTHING_FLUSHED.
        recovery_call: the power is cut once more, when the recovery comes to this call of one name, or at its end.
        sabotage: of the change.
    """
    with disk_with(case.template, folder) as (disk, root):
        acknowledged = not kill_in(worker, case, point, root, folder, sabotage)
        disk.cut(flag)
        if acknowledged:
            worker.kill()
        disk.unmount()
        disk.mount()
        if recovery_call:
            _cut_recovery(worker, disk, root, folder, recovery_call, flag)
        return examined(worker, case, root, acknowledged=acknowledged)


def _cut_recovery(worker: Worker, disk: Disk, root: Path, folder: Path, number: int, flag: int) -> None:
    """Begin the recovery and cut the power in it."""
    pid = worker.begin(RECOVERY.name, root)
    with traced(pid, folder / "log", "-e", f"inject={OF_RECOVERY}:signal=KILL:when={number}"):
        said = worker.act()
        if said != "ended -9":
            assert said == "acknowledged", said
            worker.end()
    disk.cut(flag)
    disk.unmount()
    disk.mount()
