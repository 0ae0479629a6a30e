"""A store made wrong on purpose, in the process that changes it: proof that the oracle can say no."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _flush_only(wanted: Callable[[int], bool]) -> None:
    flush = os.fsync

    def some(fd: Any) -> None:
        if wanted(os.fstat(fd).st_mode):
            flush(fd)

    os.fsync = some


def _no_flush_of_folders() -> None:
    """Acknowledge a rename that is in memory only."""
    _flush_only(lambda mode: not stat.S_ISDIR(mode))


def _no_flush_of_files() -> None:
    """Make a name durable before the bytes that it stands for."""
    _flush_only(stat.S_ISDIR)


def _copy_for_rename() -> None:
    """Bring a folder into its place file by file, the manifest before the model."""
    rename = os.rename

    def copied(source: Any, target: Any, **others: Any) -> None:
        if Path(source).is_dir():
            Path(target).mkdir(exist_ok=True)
            for entry in sorted(Path(source).iterdir()):
                shutil.copyfile(entry, Path(target) / entry.name)
        else:
            rename(source, target, **others)

    os.rename = copied  # type: ignore[assignment]  # it takes what rename takes


SABOTAGES: dict[str, Callable[[], None]] = {
    "no flush of folders": _no_flush_of_folders,
    "no flush of files": _no_flush_of_files,
    "copy for rename": _copy_for_rename,
}
