"""A SQLite file of the store: opened so that what was committed outlasts a power cut, its errors told apart.

The jobs (table.py) and the corrections (feedback.py) are such files. What their errors mean for whoever runs the
store they say themselves.
"""

import contextlib
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from artifacts.errors import StoreRefused

BUSY_S = 10.0  # a transaction takes milliseconds, one that publishes some tens; only a stopped process takes longer
MAX_ROW_BYTES = 2**20  # SQLite refuses to write or read a longer one, so a damaged length takes no memory
DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG)
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextlib.contextmanager
def opened(
    path: Path,
    mode: str,
    damaged: Callable[[Path, str], StoreRefused],
    refused: Callable[[Path, sqlite3.Error], StoreRefused],
) -> Iterator[sqlite3.Connection]:
    """Give a connection, closed at the end, which undoes what was not committed.

    EXTRA and not FULL: a transaction is committed by the removal of the journal, and FULL does not wait until the disk
    knows of that (https://sqlite.org/pragma.html#pragma_synchronous); a power cut would bring it back, and what was
    acknowledged would be gone.

    Args:
        path: of the file.
        mode: "rw", or "rwc" to make it if it is missing.
        damaged: returns the error for a file that cannot be understood, from what SQLite says.
        refused: returns the error for anything else that SQLite refuses.
    Raises:
        StoreRefused: what those two return.
    """
    try:
        database = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            make_private(path)
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
            database.execute("PRAGMA synchronous=EXTRA")
            yield database
        finally:
            database.close()
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # our bug
    except sqlite3.Error as error:
        raise (
            damaged(path, " ".join(str(error).split())) if code_of(error) in DAMAGED else refused(path, error)
        ) from error


def make_private(path: Path) -> None:
    """Leave a database to its owner alone, mode 0600; its journal takes the same mode from it.

    By path and never by a descriptor: closing one would let go of the locks that this process has on the file
    (https://sqlite.org/howtocorrupt.html, section 2.2). A disk that is read-only keeps the mode that it has.
    """
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) & ~0o600:
            path.chmod(0o600)


def compact(database: sqlite3.Connection) -> None:
    """Write the database anew without the bytes of deleted rows, in place and for all who have it open.

    `secure_delete` alone leaves copies of a row in the unused part of a page that was split (decision 17); VACUUM
    builds each page from the rows that are there. Its copy is in memory, so no file outside of the store holds a word.

    Raises:
        sqlite3.Error: another process holds the file, or the disk is full; the rows are deleted all the same.
    """
    database.execute("PRAGMA secure_delete=ON")
    database.execute("PRAGMA temp_store=MEMORY")
    database.execute("VACUUM")


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's code, without what an extended one adds to it."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def schema_version(database: sqlite3.Connection) -> int:
    """Return the number that whoever made the tables has set; 0 until then."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version
