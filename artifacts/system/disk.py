"""Reading, writing, renaming and locking on this machine's disk, durably: what the store and the jobs are built of.

Nothing here knows what a model or a job is. Errors are the system's own (OSError); who calls says what they mean.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from artifacts.errors import StoreRefused

MOUNTS = Path("/proc/self/mounts")
# Where a lock or a rename may mean nothing to another machine; names as Linux has them in `MOUNTS`.
NETWORK_FILE_SYSTEMS = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"),
    *("orangefs", "smb3", "smbfs", "fuse.ceph", "fuse.davfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs"),
    *("fuse.goofys", "fuse.nfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs"),
}


def check_local(root: Path) -> None:
    """Refuse a folder on a network file system, where that can be told (Linux)."""
    try:
        lines = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    path, found = Path(os.path.realpath(root)), ("", Path())
    for line in lines:
        # Blanks in a path stand as octal escapes. Of several mounts on one folder the last one is seen.
        _, folder, kind, *_ = (
            re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in line.split(" ")
        )
        if path.is_relative_to(folder) and len(Path(folder).parts) >= len(found[1].parts):
            found = kind, Path(folder)
    if found[0] in NETWORK_FILE_SYSTEMS:
        raise StoreRefused("store-on-network", path=root, file_system=found[0], mounted_on=found[1])


def read(path: Path, limit: int) -> bytes:
    """Return a regular file's bytes, one more than `limit` at most; a link, pipe or folder is an OSError."""
    with open(path, "rb", opener=open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return file.read(limit + 1)


def open_at_once(path: str, flags: int) -> int:
    """Open without following a link and without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def check_regular(fd: int) -> int:
    """Return the file's size; a folder or pipe is an OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise OSError("is not a regular file")
    return found.st_size


def write(path: Path, raw: bytes) -> None:
    """Write a new file and wait until the disk has it. A failed fsync is not retried: the page may be marked clean."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(fd)


def flush(folder: Path) -> None:
    """Wait until the disk has the folder's entries."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def flush_file(path: Path) -> None:
    """Wait until the disk has the file. A failed fsync is not retried: the page may be marked clean."""
    fd = open_at_once(str(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def flush_if_possible(folder: Path) -> None:
    """Flush after something was taken back; the error that made it necessary is the one to tell."""
    with contextlib.suppress(OSError):
        flush(folder)


@contextlib.contextmanager
def put_in_place(folder: Path, target: Path) -> Iterator[None]:
    """Rename a complete folder to `target`, durably; if the block fails, it goes back.

    A rename replaces an empty folder and refuses a full one, so it can only ever put away a left-over that holds
    nothing.

    Raises:
        FileExistsError: there is something at `target`.
    """
    flush(folder)
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise
    try:
        flush(target.parent)
        yield
    except BaseException:
        target.rename(folder)  # it may not be on the disk, so nobody is to see it
        flush_if_possible(target.parent)
        raise


def take_away(entries: list[Path], folder: Path) -> None:
    """Rename folders of one parent into `folder`, durably; after an error all are where they were."""
    parent = entries[0].parent
    moved = []
    try:
        for entry in entries:
            entry.rename(folder / entry.name)
            moved.append(entry)
        flush(parent)
    except BaseException:
        for entry in moved:
            (folder / entry.name).rename(entry)
        flush_if_possible(parent)
        raise


def open_folder(path: Path) -> int:
    """Return a descriptor of the folder."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def lock_folder(path: Path) -> int:
    """Return the open folder, locked; closing it unlocks it.

    Whoever waits may wake up with the lock of a folder that was deleted meanwhile, and perhaps made again under the
    same name: then the lock is worth nothing, and the folder that is there now is locked.

    Raises:
        FileNotFoundError: there is none, or none any more.
    """
    while True:
        fd = open_folder(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def try_lock(folder: Path) -> int | None:
    """Return a descriptor of the folder, locked until it is closed; None if somebody else has the lock.

    Raises:
        FileNotFoundError: the folder is not there, or was removed while it was being locked.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), folder.stat()):
            raise FileNotFoundError(f"{folder} was replaced")
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def held_open(fd: int) -> Iterator[None]:
    """Close the file descriptor, and so release its lock, at the end."""
    try:
        yield
    finally:
        os.close(fd)
