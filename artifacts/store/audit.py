"""The audit log of a store: who changed what and when, and how that ended; without a word of any ticket.

    change() ─► a row of `changes`, on the disk ─► the change itself ─► a row of `outcomes`

The first row is written before the change, and where it cannot be written the change is refused: else a full disk
would be a way to change things unseen. The second row comes after it. A change whose process died in between has no
second row and its outcome is "unknown", so the log never claims more than what happened.

Two tables and no column that is filled in later, because rows are only added: SQLite itself refuses to update a row or
to delete one that is younger than a day (triggers). Rows older than `days` are deleted, and their bytes overwritten.

The file has a write-ahead log (WAL), unlike the other databases of the store: the first row costs one flush of the disk
instead of three, and the second, which a power cut may take (the outcome is then "unknown"), costs none. A correction
took 73 ms with the usual journal, 36 ms so, and 27 ms without an audit log (medians of 400, 7 ms a flush).

The id of a correction is the client's own text and may hold a person's name. The log keeps the beginning of its
SHA-256 instead: an erased id is in no file of the store, and who has the id still finds its rows.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from artifacts.errors import PuppetError, StoreRefused
from artifacts.system.disk import flush
from artifacts.system.sqlite import opened, schema_version

DATABASE = "audit.sqlite"
SCHEMA_VERSION = 1
DAY_MS = 86_400_000
NO_TOKEN = "(this machine)"  # noqa: S105  # a caller on loopback without a token; brackets are in no token's name
CORRECTION_DIGITS = 16  # of the SHA-256 of a correction's id: 64 bits tell the ids of a store apart
_SCHEMA = (
    """CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they began: a clock may be set back
        at INTEGER NOT NULL,  -- milliseconds since 1970, UTC
        token_name TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        model_name TEXT NOT NULL,
        version INTEGER,
        job TEXT NOT NULL,
        correction TEXT NOT NULL)""",
    """CREATE TABLE outcomes (
        number INTEGER PRIMARY KEY,  -- of the change
        outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
        error TEXT NOT NULL,
        version INTEGER,
        job TEXT NOT NULL)""",
    "CREATE INDEX changes_by_time ON changes (at)",
    "CREATE TRIGGER changes_stay BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'rows are only added'); END",
    "CREATE TRIGGER outcomes_stay BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'rows are only added'); END",
    """CREATE TRIGGER young_changes_stay BEFORE DELETE ON changes
        WHEN OLD.at > 1000 * (strftime('%s', 'now') - 86400)
        BEGIN SELECT RAISE(ABORT, 'rows are kept for a day at least'); END""",
    """CREATE TRIGGER outcomes_of_changes_stay BEFORE DELETE ON outcomes
        WHEN EXISTS (SELECT 1 FROM changes WHERE number = OLD.number)
        BEGIN SELECT RAISE(ABORT, 'an outcome goes after its change'); END""",
    f"PRAGMA user_version={SCHEMA_VERSION}",
)

Action = Literal[
    "create_model",
    "train",
    "cancel",
    "promote",
    "rollback",
    "delete_version",
    "delete_model",
    "keep_correction",
    "erase_correction",
    "erase_corrections",
    "load_review",
    "skip_review",
]
Outcome = Literal["done", "refused", "failed", "unknown"]

log = logging.getLogger("puppet")


class Author(msgspec.Struct, frozen=True):
    """Who changes something: the name and the role of a token; NO_TOKEN and no role for a caller without one."""

    token_name: str = NO_TOKEN
    role: str = ""


NOBODY = Author()


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change: who made it, when, to what, and how it ended.

    Attributes:
        number: of the change; a later change has a higher one.
        time: of its beginning: RFC 3339, UTC, milliseconds.
        token_name: of the token that was sent; PUPPET_ADMIN_TOKEN and PUPPET_SEARCH_TOKEN are those of the
            environment, "(this machine)" is a caller on this machine without one.
        role: of that token.
        action: what was to be done.
        model_name: to which model.
        version: to which version.
        job: the training that was asked for or cancelled.
        correction: the first 16 digits of the SHA-256 of the correction's id (UTF-8).
        outcome: done; refused (nothing was changed, `error` says why); failed (an internal error, the server's log
            has it); unknown (under way, or its process died).
        error: name of the error's class.
    """

    number: int
    time: str
    token_name: str
    role: str = ""
    action: Action
    model_name: str = ""
    version: int | None = None
    job: str = ""
    correction: str = ""
    outcome: Outcome
    error: str = ""


class Changed:
    """What a change finds out on its way: the version that it led to, and the job that it made."""

    def __init__(self, version: int | None, job: str) -> None:
        self.version = version
        self.job = job


class AuditLog:
    """The audit log of a store, for one process; safe from several threads and processes.

    Each method waits for the disk: call it in a thread where an event loop runs.
    """

    def __init__(self, root: Path, days: int) -> None:
        """Say where it is; the first change makes it.

        Args:
            root: folder of the store.
            days: for which an entry is kept, at least 1.
        """
        self._path = root / DATABASE
        self._days = days
        # One at a time, for SQLite would have those who wait sleep and look again, up to 100 ms. And closing a file
        # gives up the locks that this process has on it elsewhere (POSIX), so nobody opens it during a transaction.
        self._turn = threading.Lock()
        self._is_held = False

    @contextlib.contextmanager
    def change(
        self,
        author: Author,
        action: Action,
        model_name: str = "",
        *,
        version: int | None = None,
        job: str = "",
        correction_id: str = "",
    ) -> Iterator[Changed]:
        """Note a change before the block that makes it, and afterwards how it ended.

        Args:
            author: who asked for it.
            action: what is to be done.
            model_name: checked, for a name that no model can have is a caller's own text.
            version: of the model; the block may set another on what it is given.
            job: id of a training; likewise.
            correction_id: of which only a digest is kept.
        Raises:
            StoreRefused: the log cannot be written; then the block is not entered and nothing is changed.
        """
        if version is not None and version >= 2**63:
            version = None  # a caller may name any number, SQLite has 64 bits; no model has such a version
        number = self._begin(author, action, model_name, version, job, correction_id)
        changed = Changed(version, job)
        try:
            yield changed
        except PuppetError as error:
            self._end(number, "refused", type(error).__name__, changed)
            raise
        except Exception as error:
            self._end(number, "failed", type(error).__name__, changed)
            raise
        self._end(number, "done", "", changed)

    def newest(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return at most `limit` entries, the newest first; only those of numbers below `before` if that is given.

        Raises:
            StoreRefused: the log cannot be read.
        """
        with self._turn:
            if not self._path.exists():
                return []
            with self._opened() as database:
                if self._is_new(database):
                    return []
                rows = database.execute(
                    "SELECT changes.number, at, token_name, role, action, model_name,"
                    " coalesce(outcomes.version, changes.version), coalesce(nullif(outcomes.job, ''), changes.job),"
                    " correction, coalesce(outcome, 'unknown'), coalesce(error, '')"
                    " FROM changes LEFT JOIN outcomes ON outcomes.number = changes.number"
                    " WHERE at >= ? AND changes.number < ? ORDER BY changes.number DESC LIMIT ?",
                    (self._oldest_ms(), 2**63 - 1 if before is None else before, limit),
                ).fetchall()
        return [self._entry(row) for row in rows]

    def prune(self) -> None:
        """Delete the entries that are older than the days for which they are kept.

        Raises:
            StoreRefused: the log cannot be written.
        """
        with self._turn:
            if self._path.exists():
                with self._opened() as database:
                    if self._is_new(database):
                        return
                    database.execute("BEGIN IMMEDIATE")
                    if database.execute("DELETE FROM changes WHERE at < ?", (self._oldest_ms(),)).rowcount:
                        database.execute("DELETE FROM outcomes WHERE number NOT IN (SELECT number FROM changes)")
                    database.execute("COMMIT")
                    # Until then the old bytes stand in the database, or in the write-ahead log.
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _begin(
        self, author: Author, action: Action, model_name: str, version: int | None, job: str, correction_id: str
    ) -> int:
        with self._turn:
            self._make_file()
            with self._opened() as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("BEGIN IMMEDIATE")
                if self._is_new(database):
                    for statement in _SCHEMA:
                        database.execute(statement)
                number = database.execute(
                    "INSERT INTO changes (at, token_name, role, action, model_name, version, job, correction)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(time.time_ns() // 1_000_000, author.token_name, author.role, action, model_name),
                        *(version, job, digest_of(correction_id)),
                    ),
                ).lastrowid
                database.execute("COMMIT")
            self._hold()
        assert number is not None, "SQLite has numbered the row"
        return number

    def _end(self, number: int, outcome: Outcome, error: str, changed: Changed) -> None:
        """Write how a change ended; what fails here cannot undo the change, so it goes to the server's log."""
        try:
            with self._turn, self._opened() as database:
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute(
                    "INSERT INTO outcomes (number, outcome, error, version, job) VALUES (?, ?, ?, ?, ?)",
                    (number, outcome, error, changed.version if outcome == "done" else None, changed.job),
                )
        except StoreRefused as refused:
            log.error("change %d of the audit log is %s, but that could not be noted: %s", number, outcome, refused)

    def _hold(self) -> None:
        """Keep one connection open to the end of this object: the last to close copies the write-ahead log back.

        That would cost each change what the log saves. A file that was moved away is no longer held, only slower.
        """
        if self._is_held:
            return
        self._is_held = True
        with contextlib.suppress(sqlite3.Error):  # it only saves time
            uri = f"{self._path.as_uri()}?mode=rw"
            held = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
            weakref.finalize(self, held.close)
            schema_version(held)  # SQLite opens the file when it is first asked

    def _oldest_ms(self) -> int:
        return time.time_ns() // 1_000_000 - self._days * DAY_MS

    def _make_file(self) -> None:
        """Make the file if it is missing, for its owner alone; SQLite itself would leave that to the umask."""
        if self._path.exists():
            return
        try:
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                flush(self._path.parent)
        except OSError as error:
            raise StoreRefused("audit-not-made", path=self._path, reason=error) from error

    def _is_new(self, database: sqlite3.Connection) -> bool:
        found = schema_version(database)
        if found not in (0, SCHEMA_VERSION):
            raise StoreRefused("audit-schema", path=self._path, found=found, known=SCHEMA_VERSION)
        return found == 0

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with opened(self._path, "rw", _damaged, _refused) as database:
            database.execute("PRAGMA secure_delete=ON")  # what is older than its days is gone from the file too
            yield database

    def _entry(self, row: tuple[object, ...]) -> AuditEntry:
        number, at_ms, *rest = row
        names = ("token_name", "role", "action", "model_name", "version", "job", "correction", "outcome", "error")
        try:
            began = datetime.fromtimestamp(msgspec.convert(at_ms, int) / 1000, UTC)
            shown = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return msgspec.convert({"number": number, "time": shown, **dict(zip(names, rest, strict=True))}, AuditEntry)
        except (msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
            raise _damaged(self._path, str(error)) from error


def digest_of(correction_id: str) -> str:
    """Return the beginning of the SHA-256 of a correction's id; nothing for no id."""
    raw = correction_id.encode("utf-8", "backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:CORRECTION_DIGITS] if raw else ""


def _refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    return StoreRefused("audit-unusable", path=path, reason=error)


def _damaged(path: Path, reason: str) -> StoreRefused:
    return StoreRefused("audit-damaged", path=path, reason=reason)
