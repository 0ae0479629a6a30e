"""A store made wrong on purpose, in the process that changes it: proof that the oracle can say no."""

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from artifacts.jobs.jobs import Jobs
from artifacts.store import feedback
from artifacts.store.feedback import Erased
from artifacts.store.store import Store


class Sabotage(NamedTuple):
    """What is put into a change, in which it is tried, and the fault that is to find it out."""

    change: str
    fault: str
    put_in: Callable[[], None]


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


def _no_flush_of_corrections() -> None:
    """Acknowledge a correction that is in memory only."""
    opened = feedback._opened

    @contextlib.contextmanager
    def unflushed(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
        with opened(path, mode) as database:
            database.execute("PRAGMA synchronous=OFF")
            yield database

    feedback._opened = unflushed


def _erase_from_the_answers_only() -> None:
    """Delete a row as SQLite does it by itself, which leaves its bytes in the file."""

    def erase(store: Store, jobs: Jobs, name: str, correction_id: str | None = None) -> Erased:
        with store.lock(name), feedback._opened(store.root / name / feedback.DATABASE) as database:
            database.execute("PRAGMA secure_delete=OFF")
            database.execute("DELETE FROM corrections WHERE id = ?", (correction_id,))
        return Erased(1, 0)

    feedback.erase = erase


SABOTAGES: dict[str, Sabotage] = {
    "no flush of folders": Sabotage("publish:second", "power cut", _no_flush_of_folders),
    "no flush of files": Sabotage("publish:second", "power cut", _no_flush_of_files),
    "copy for rename": Sabotage("publish:second", "kill", _copy_for_rename),
    "no flush of corrections": Sabotage("correct:one more", "power cut", _no_flush_of_corrections),
    "deletion by SQLite alone": Sabotage("erase:one", "kill", _erase_from_the_answers_only),
}
