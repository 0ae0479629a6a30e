"""A store made wrong on purpose, in the process that changes it: proof that the oracle can say no."""

import os
import shutil
import stat
from collections.abc import Callable
from typing import Any

_fsync = os.fsync


def _no_flush_of_folders() -> None:
    """A rename is acknowledged that is in memory only."""
    os.fsync = lambda fd: None if stat.S_ISDIR(os.fstat(fd).st_mode) else _fsync(fd)


def _no_flush_of_files() -> None:
    """A name is made durable before the bytes that it stands for."""
    os.fsync = lambda fd: _fsync(fd) if stat.S_ISDIR(os.fstat(fd).st_mode) else None


def _copy_for_rename() -> None:
    """A folder comes into its place file by file, the manifest before the model."""
    rename = os.rename

    def copied(source: Any, target: Any, **others: Any) -> None:
        if not os.path.isdir(source):
            return rename(source, target, **others)
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(source)):
            shutil.copyfile(os.path.join(source, name), os.path.join(target, name))
        return None

    os.rename = copied


SABOTAGES: dict[str, Callable[[], None]] = {
    "no flush of folders": _no_flush_of_folders,
    "no flush of files": _no_flush_of_files,
    "copy for rename": _copy_for_rename,
}
