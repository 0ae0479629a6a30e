"""The table of the jobs, in SQLite: its columns, its transactions, and each thing that is read or changed in it.

In: changes that jobs.py has decided on. Out: jobs as Structs. What it leaves to others: who may change what, folders
and locks (jobs.py), and the file (sqlite.py).
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from artifacts.errors import Fault, IdempotencyConflict, InvalidInput, JobNotFound, QueueFull, StoreRefused
from artifacts.jobs.records import KINDS_OF_JOBS, MAX_FAULT, Ended, Job, JobKind, clean, lane_of
from artifacts.problems.sentences import Message, message
from artifacts.schemas import Summary
from artifacts.store.versions import now
from artifacts.system.disk import flush
from artifacts.system.sqlite import BUSY_S, LOCKED, code_of, compact, opened, schema_version
from artifacts.system.validation import MAX_FAULTS_SHOWN
from artifacts.text.people import Person

DATABASE = "jobs.sqlite"
SCHEMA_VERSION = 4  # 1 had no token_name, 2 no problem, 3 no kind and no token_role; `make` brings them up to date
MAX_LISTED = 1000
ERASED = "(erased on request)"  # in place of a detail that named a person
ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[!-~]{1,255}")
_SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of the queue: a clock may be set back
    id TEXT NOT NULL UNIQUE,
    model_name TEXT NOT NULL,
    neural_network_type TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    attempt INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    started TEXT,
    ended TEXT,
    detail TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    faults TEXT NOT NULL DEFAULT '[]',
    num_faults INTEGER NOT NULL DEFAULT 0,
    version INTEGER,
    metrics TEXT NOT NULL DEFAULT 'null',
    seconds REAL,
    promote TEXT NOT NULL,
    keep_data INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    token_name TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT 'null',
    kind TEXT NOT NULL DEFAULT 'train',
    token_role TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX one_running_training_per_model ON jobs (model_name) WHERE state = 'running' AND kind = 'train';
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE TABLE keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    job TEXT  -- NULL: the key of a request that makes no job
);
"""
# From each earlier schema to the next one. A job of schema 3 is a training; the index counted every running job.
_UPGRADES: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE jobs ADD COLUMN token_name TEXT NOT NULL DEFAULT ''",),
    2: ("ALTER TABLE jobs ADD COLUMN problem TEXT NOT NULL DEFAULT 'null'",),
    3: (
        "ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train'",
        "ALTER TABLE jobs ADD COLUMN token_role TEXT NOT NULL DEFAULT ''",
        "DROP INDEX one_running_job_per_model",
        "CREATE UNIQUE INDEX one_running_training_per_model ON jobs (model_name)"
        " WHERE state = 'running' AND kind = 'train'",
    ),
}

_FAULTS_DECODER = msgspec.json.Decoder(Annotated[list[Fault], msgspec.Meta(max_length=MAX_FAULTS_SHOWN)])
_METRICS_DECODER = msgspec.json.Decoder(Summary | None)
_PROBLEM_DECODER = msgspec.json.Decoder(Message | None)


class Known(NamedTuple):
    """What of a job says which of its files are still needed."""

    id: str
    state: str
    keep_data: bool
    kind: str
    ended: str


class Key(NamedTuple):
    """An idempotency key, the body it came with, and the job that made; None for a request that makes none."""

    key: str
    body_sha256: str
    job_id: str | None


ERASABLE = ("detail", "faults", "token_name", "problem")  # columns that `blank` empties


class Naming(NamedTuple):
    """A job in whose row a person is named, and the columns that do so."""

    id: str
    model_name: str
    state: str
    columns: list[str]


class JobTable:
    """The jobs of a store and the idempotency keys of requests.

    What takes a connection is called in a block of `reading` or `writing`, each of which may raise StoreRefused.
    """

    def __init__(self, folder: Path, queue_limit: int, keep_ended: int) -> None:
        """Say where it is; `make` makes it.

        Args:
            folder: of the file.
            queue_limit: jobs that may wait.
            keep_ended: jobs that `forget` keeps after their end, and as many keys without a job.
        """
        self.path = folder / DATABASE
        self._folder = folder
        self._queue_limit = queue_limit
        self._keep_ended = keep_ended

    def make(self) -> bool:
        """Make the table if it is missing, and return whether it was.

        Raises:
            StoreRefused: it is damaged, of another schema, or cannot be used.
        """
        with self.reading("rwc") as database:
            database.execute("PRAGMA journal_mode=DELETE")
            was_missing = schema_version(database) == 0
            if was_missing:
                database.execute("BEGIN IMMEDIATE")
                if schema_version(database) == 0:  # no other process was faster
                    for statement in _SCHEMA.split(";\n"):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                database.execute("COMMIT")
            for earlier, statements in _UPGRADES.items():
                if schema_version(database) == earlier:
                    database.execute("BEGIN IMMEDIATE")
                    if schema_version(database) == earlier:  # no other process was faster
                        for statement in statements:
                            database.execute(statement)
                        database.execute(f"PRAGMA user_version={earlier + 1}")
                    database.execute("COMMIT")
            if (found := schema_version(database)) != SCHEMA_VERSION:
                raise StoreRefused("jobs-schema", path=self.path, found=found, known=SCHEMA_VERSION)
            if (verdict := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _damaged(self.path, " ".join(verdict.split()))
        return was_missing

    # Transactions

    @contextlib.contextmanager
    def reading(self, mode: str = "rw") -> Iterator[sqlite3.Connection]:
        """Give a connection, closed at the end, which undoes what was not committed."""
        with opened(self.path, mode, _damaged, _refused) as database:
            database.row_factory = sqlite3.Row
            yield database

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that holds the write lock; all of the block is committed at its end, or nothing."""
        with self.reading() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            if database.in_transaction:
                self.commit(database)

    def commit(self, database: sqlite3.Connection, *, made_again: bool = False) -> None:
        """Commit what a block of `writing` has changed so far.

        SQLite removes the journal, by which all see the transaction, then flushes the folder, and reports an error of
        that flush as if nothing had been made. It has been made; so the folder is flushed once more. Unlike a file's,
        its blocks are in the file system's own journal: if they are lost, that fails for good, and this fails too.

        Args:
            database: whose transaction.
            made_again: by `Jobs.recover`, if a power cut undoes it; then nothing depends on that flush.
        """
        try:
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_DIR_FSYNC:
                raise
            if made_again:
                return
            try:
                flush(self._folder)
            except OSError as failed:
                raise StoreRefused("jobs-change-uncertain", path=self.path, reason=failed) from failed

    # What stands in it

    def _job(self, row: sqlite3.Row) -> Job:
        """Return the job in a row."""
        fields = dict(zip(row.keys(), row, strict=True))
        try:
            fields |= {
                "faults": _FAULTS_DECODER.decode(row["faults"]),
                "metrics": _METRICS_DECODER.decode(row["metrics"]),
                "problem": _PROBLEM_DECODER.decode(row["problem"]),
                "keep_data": row["keep_data"] == 1,
                "cancel_requested": row["cancel_requested"] == 1,
            }
            return msgspec.convert(fields, Job)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise _damaged(self.path, str(error)) from error

    def find(self, database: sqlite3.Connection, job_id: str) -> Job:
        """Return the job of an id.

        Raises:
            JobNotFound.
        """
        row = database.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise JobNotFound("job-not-found", job=job_id, num_kept=self._keep_ended)
        return self._job(row)

    def newest(
        self,
        database: sqlite3.Connection,
        limit: int,
        asker: tuple[str, str] | None = None,
        trained: str | None = None,
    ) -> list[Job]:
        """Return the newest jobs, the newest first, at most 1000; see `Jobs.list`."""
        whose = "TRUE" if asker is None else "token_name = ? AND token_role = ?"
        which = "TRUE" if trained is None else "kind = 'train' AND model_name = ?"
        values = (*(asker or ()), *((trained,) if trained is not None else ()), min(max(limit, 0), MAX_LISTED))
        rows = database.execute(
            f"SELECT * FROM jobs WHERE {whose} AND {which} ORDER BY seq DESC LIMIT ?",  # noqa: S608  # our own words
            values,
        )
        return [self._job(row) for row in rows.fetchall()]

    def waiting(self, database: sqlite3.Connection, kinds: Sequence[JobKind] = KINDS_OF_JOBS) -> Iterator[Job]:
        """Give the jobs of these kinds that may begin, the longest waiting first: a model is trained once at a time."""
        rows = database.execute(
            f"SELECT * FROM jobs AS waiting WHERE state = 'queued' AND kind IN ({', '.join('?' * len(kinds))})"  # noqa: S608  # question marks alone
            " AND NOT (kind = 'train' AND EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND kind = 'train'"
            " AND model_name = waiting.model_name)) ORDER BY seq",
            tuple(kinds),
        )
        yield from map(self._job, rows.fetchall())  # one by one: a damaged job holds up those behind it and no other

    def running(self, database: sqlite3.Connection) -> list[str]:
        """Return the ids of the jobs that run."""
        return [row["id"] for row in database.execute("SELECT id FROM jobs WHERE state = 'running'")]

    def with_kept_data(self, database: sqlite3.Connection, model_name: str) -> list[str]:
        """Return the ids of a model's jobs whose data is to be kept."""
        rows = database.execute("SELECT id FROM jobs WHERE model_name = ? AND keep_data = 1", (model_name,))
        return [row["id"] for row in rows]

    def known(self, database: sqlite3.Connection) -> list[Known]:
        """Return id, state and `keep_data` of every job, and when it ended."""
        rows = database.execute("SELECT id, state, keep_data, kind, ended FROM jobs").fetchall()
        for row in rows:
            if not ID.fullmatch(row["id"]):  # or a damaged id would have us delete in another folder
                raise _damaged(self.path, message("invalid-job-id", {"job": row["id"]}))
        return [Known(row["id"], row["state"], row["keep_data"] == 1, row["kind"], row["ended"] or "") for row in rows]

    def check_room(self, database: sqlite3.Connection, num_coming: int = 0, kind: JobKind = "train") -> None:
        """Raise QueueFull unless one more job of a kind may wait, behind those that wait and `num_coming` more."""
        kinds = lane_of(kind)
        (num_queued,) = database.execute(
            f"SELECT count(*) FROM jobs WHERE state = 'queued' AND kind IN ({', '.join('?' * len(kinds))})",  # noqa: S608  # question marks alone
            kinds,
        ).fetchone()
        num_queued += num_coming
        if num_queued >= self._queue_limit and kind == "train":
            raise QueueFull("training-queue-full", num_queued=num_queued, limit=self._queue_limit)
        if num_queued >= self._queue_limit:
            raise QueueFull("job-queue-full", num_queued=num_queued, limit=self._queue_limit)

    # What is changed in it

    def add(
        self,
        database: sqlite3.Connection,
        job_id: str,
        model_name: str,
        kind: str,
        *,
        promote: str,
        keep_data: bool,
        token_name: str,
        token_role: str,
        job_kind: JobKind,
    ) -> None:
        """Let a new job wait behind the others."""
        database.execute(
            "INSERT INTO jobs (id, model_name, neural_network_type, state, created, promote, keep_data, token_name,"
            " token_role, kind) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
            (
                *(job_id, model_name, clean(kind, 100), now(), clean(promote, 100), keep_data),
                *(token_name, token_role, job_kind),
            ),
        )

    def begin(self, database: sqlite3.Connection, job_id: str) -> Job:
        """Let a job run, and return it."""
        database.execute(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, started = ? WHERE id = ?", (now(), job_id)
        )
        return self.find(database, job_id)

    def cancel(self, database: sqlite3.Connection, job_id: str) -> Job:
        """End a job that waits, mark one that runs, and return it."""
        database.execute(
            "UPDATE jobs SET state = 'cancelled', ended = ?, detail = 'cancelled before it began',"
            " cancel_requested = 1 WHERE id = ? AND state = 'queued'",
            (now(), job_id),
        )
        database.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
        return self.find(database, job_id)

    def keep_no_data(self, database: sqlite3.Connection, job_id: str) -> Job:
        """Take back that a job's data is to be kept, and return it."""
        database.execute("UPDATE jobs SET keep_data = 0 WHERE id = ?", (job_id,))
        return self.find(database, job_id)

    def succeed(
        self, database: sqlite3.Connection, job: Job, version: int, metrics: Summary, seconds: float, detail: str
    ) -> None:
        """End a job that has published a version."""
        database.execute(
            "UPDATE jobs SET state = 'succeeded', ended = ?, detail = ?, version = ?, metrics = ?, seconds = ?"
            " WHERE id = ?",
            (now(), detail, version, msgspec.json.encode(metrics).decode(), seconds, job.id),
        )

    def end(
        self,
        database: sqlite3.Connection,
        job: Job,
        state: Ended | Literal["succeeded"],
        detail: Message | str,
        *,
        error: str = "",
        faults: Sequence[Fault] = (),
        num_faults: int = 0,
        seconds: float | None = None,
    ) -> None:
        """End a job without a version; see `Job` for what is noted. A message is kept in words and as it is."""
        problem = detail if isinstance(detail, Message) else None
        shown = [
            msgspec.structs.replace(
                fault, pointer=clean(fault.pointer, MAX_FAULT), detail=clean(fault.detail, MAX_FAULT)
            )
            for fault in faults[:MAX_FAULTS_SHOWN]
        ]
        database.execute(
            "UPDATE jobs SET state = ?, ended = ?, detail = ?, error = ?, faults = ?, num_faults = ?, seconds = ?,"
            " problem = ? WHERE id = ?",
            (
                *(state, now(), clean(str(detail)), clean(error, 100)),
                *(msgspec.json.encode(shown).decode(), num_faults, seconds),
                *(msgspec.json.encode(problem).decode(), job.id),
            ),
        )

    def naming(self, database: sqlite3.Connection, person: Person) -> tuple[list[Naming], list[str]]:
        """Return the jobs in whose row a person is named, with the columns, and the idempotency keys that do so."""
        rows = database.execute("SELECT * FROM jobs").fetchall()
        found = []
        for row in rows:
            named = [column for column in row.keys() if isinstance(row[column], str) and person.is_in(row[column])]  # noqa: SIM118  # of a row, not of a dict
            if named:
                found.append(Naming(row["id"], row["model_name"], row["state"], named))
        keys = [key for (key,) in database.execute("SELECT key FROM keys") if person.is_in(key)]
        return found, keys

    def blank(self, database: sqlite3.Connection, jobs: Sequence[Naming], keys: Sequence[str]) -> None:
        """Take out of the rows what was said of how these jobs ended, and forget these keys.

        A request that comes again with such a key counts as a new one.
        """
        database.execute("PRAGMA secure_delete=ON")
        for job in jobs:
            if "detail" in job.columns:
                database.execute("UPDATE jobs SET detail = ? WHERE id = ?", (ERASED, job.id))
            if "faults" in job.columns:
                database.execute("UPDATE jobs SET faults = '[]' WHERE id = ?", (job.id,))
            if "problem" in job.columns:
                database.execute("UPDATE jobs SET problem = 'null' WHERE id = ?", (job.id,))
            if "token_name" in job.columns:
                database.execute("UPDATE jobs SET token_name = '' WHERE id = ?", (job.id,))
        database.executemany("DELETE FROM keys WHERE key = ?", ((key,) for key in keys))

    def compact(self) -> None:
        """Write the file anew, so that it holds nothing of what was deleted; others wait meanwhile.

        Raises:
            StoreRefused.
        """
        with self.reading() as database:
            compact(database)

    def old(self, database: sqlite3.Connection, before: str) -> list[str]:
        """Return the ids of the jobs that ended before a time, spelt as `now` does."""
        rows = database.execute("SELECT id FROM jobs WHERE ended < ? AND state NOT IN ('queued', 'running')", (before,))
        return [row["id"] for row in rows]

    def delete(self, database: sqlite3.Connection, ids: Sequence[str]) -> None:
        """Delete jobs and their keys; their folders then belong to no job."""
        database.execute("PRAGMA secure_delete=ON")
        database.executemany("DELETE FROM jobs WHERE id = ?", ((one,) for one in ids))
        database.executemany("DELETE FROM keys WHERE job = ?", ((one,) for one in ids))

    def forget(self, database: sqlite3.Connection) -> None:
        """Delete the oldest ended jobs and keys beyond the limit; folders then belong to no job."""
        database.execute(
            "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND seq NOT IN (SELECT seq FROM jobs"
            " WHERE state NOT IN ('queued', 'running') ORDER BY seq DESC LIMIT ?)",
            (self._keep_ended,),
        )
        database.execute("DELETE FROM keys WHERE job IS NOT NULL AND job NOT IN (SELECT id FROM jobs)")
        database.execute(
            "DELETE FROM keys WHERE job IS NULL AND seq NOT IN"
            " (SELECT seq FROM keys WHERE job IS NULL ORDER BY seq DESC LIMIT ?)",
            (self._keep_ended,),
        )

    # Idempotency keys

    def find_key(self, database: sqlite3.Connection, key: str | None) -> Key | None:
        """Return what a key stands for; None if it is new, or none."""
        row = database.execute("SELECT key, sha256, job FROM keys WHERE key = ?", (key,)).fetchone()
        return Key(*row) if row is not None else None

    def add_key(self, database: sqlite3.Connection, key: str, body_sha256: str, job_id: str | None) -> None:
        """Remember a key and the request that it came with; a request without an id has made no job."""
        database.execute("INSERT INTO keys (key, sha256, job) VALUES (?, ?, ?)", (key, body_sha256, job_id))


def check_key(key: str | None) -> None:
    """Do nothing if a key can be one.

    Raises:
        InvalidInput.
    """
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInput("invalid-idempotency-key", num_characters=len(key))


def key_conflict(earlier: Key) -> IdempotencyConflict:
    """Return the error for a key that came with another request before."""
    return IdempotencyConflict("idempotency-conflict", key=earlier.key)


def _damaged(path: Path, reason: Message | str) -> StoreRefused:
    """Return the error for a file that cannot be understood."""
    return StoreRefused("jobs-damaged", path=path, reason=reason)


def _refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    """Return our error for SQLite's: what it means for whoever runs the store."""
    if code_of(error) in LOCKED:
        return StoreRefused("jobs-locked", path=path, limit_s=BUSY_S)
    return StoreRefused("jobs-unusable", path=path, reason=error)
