"""The training jobs: who asked for what, who runs it, how it ended.

A job is a row of `STORE/.jobs/jobs.sqlite` and a folder `STORE/.jobs/ID/` with `body.json` (the request as it came),
`events.jsonl` (how it goes) and `log.txt`. Server, trainer worker and run process share nothing else, so any of them
may die at any moment without harming the others.

    new_folder -> submit -> queued -> claim -> running -> publishing -> succeeded
                              |                   |`----> finish -----> failed, cancelled, interrupted
                              `--> cancelled      `-----> recover ----> succeeded or interrupted

Three ideas hold it together.

The database decides. Each arrow is one transaction that begins by taking the one write lock (BEGIN IMMEDIATE) and
looks before it changes, so two processes never both succeed.

A lock says who lives. Whoever fills or runs a job holds a lock (flock) on its folder, which the kernel lets go when
the last process that has it ends, however it ends. So a folder or a running job without a lock is nobody's, at any
time, and no clock and no process number is asked.

A version is published inside the transaction that finds its job running. A run that was given up in the meantime is
turned away before anybody can see its version (`Fenced`). If the process dies after the version is in its place and
before the commit, the version's manifest, which carries job and attempt, tells it: the job is rolled forward.
"""

import contextlib
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from artifacts.disk import flush, flush_file, read, try_lock
from artifacts.errors import (
    ArtifactRefused,
    Fault,
    Fenced,
    IdempotencyConflict,
    InvalidInput,
    JobNotFound,
    ModelNotFound,
    ModelNotTrained,
    QueueFull,
    StoreRefused,
    VersionChanged,
)
from artifacts.job_events import Event, read_events
from artifacts.job_records import BODY, EVENTS, LOG, MAX_FAULT, Ended, Job, clean
from artifacts.manifest import MANIFEST, Manifest, decode_record
from artifacts.schemas import Summary
from artifacts.store import JOBS, MAX_RECORD_BYTES, Store, check_name, now
from artifacts.validation import MAX_FAULTS_SHOWN

DATABASE = "jobs.sqlite"
SCHEMA_VERSION = 1
BUSY_S = 10.0  # a transaction takes milliseconds, one that publishes some tens; only a stopped process takes longer
MAX_ROW_BYTES = 2**20  # SQLite refuses to write or read a longer one, so a damaged length takes no memory
MAX_LISTED = 1000
SEARCHED_BYTES = 2**20  # of a body at once


_ID = re.compile(r"[0-9a-f]{32}")
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
    cancel_requested INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX one_running_job_per_model ON jobs (model_name) WHERE state = 'running';
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE TABLE keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    job TEXT  -- NULL: the key of a request that makes no job
);
"""


class _Origin(msgspec.Struct, frozen=True):
    """What of a manifest tells which run made the version."""

    job: str | None = None
    attempt: int = 0


_FAULTS_DECODER = msgspec.json.Decoder(Annotated[list[Fault], msgspec.Meta(max_length=MAX_FAULTS_SHOWN)])
_METRICS_DECODER = msgspec.json.Decoder(Summary | None)
_JobList: TypeAlias = list[Job]  # inside the class, `list` is the method
_EventList: TypeAlias = list[tuple[int, Event]]


class Publishing:
    """The right to publish, held while its transaction is open; see `Jobs.publishing`."""

    def __init__(self) -> None:
        self.published: tuple[int, Summary, float] | None = None

    def done(self, version: int, metrics: Summary, seconds: float) -> None:
        """Say what was published, for the job's record."""
        self.published = (version, metrics, seconds)


class Jobs:
    """The jobs of a store. One for each process is enough: it is safe from several threads.

    It holds the locks of the folders that this process fills or runs. A fork would share them: start processes with
    `subprocess`, which closes what is not passed on.

    Every method may raise StoreRefused: the disk is full, read-only or failing, or the database is damaged or locked
    for longer than 10 s; then nothing was changed. Each waits for the disk, so call it in a thread of its own where an
    event loop runs.
    """

    def __init__(self, store: Store, queue_limit: int = 16, keep_ended: int = 1000) -> None:
        """Open the database, made if it is missing.

        Args:
            store: whose jobs they are.
            queue_limit: jobs that may wait.
            keep_ended: jobs that `recover` keeps after their end, and as many idempotency keys without a job.
        Raises:
            StoreRefused: it is damaged, of another schema, or cannot be used.
        """
        self._store = store
        self._root = store.root / JOBS
        self._path = self._root / DATABASE
        self._queue_limit = queue_limit
        self._keep_ended = keep_ended
        self._held: dict[str, int] = {}  # id -> descriptor of the folder, which is locked
        with self._database("rwc") as database:
            database.execute("PRAGMA journal_mode=DELETE")
            if _schema_version(database) == 0:
                database.execute("BEGIN IMMEDIATE")
                if _schema_version(database) == 0:  # no other process was faster
                    for statement in _SCHEMA.split(";\n"):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                database.execute("COMMIT")
                with self._disk():
                    flush(store.root)  # or a power cut takes `.jobs` away with all that it holds
            if (found := _schema_version(database)) != SCHEMA_VERSION:
                raise StoreRefused(
                    f"jobs database {self._path} has schema {found}, this program reads schema {SCHEMA_VERSION}; "
                    f"use the program that wrote it, or {_MOVE_AWAY}"
                )
            if (verdict := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _damaged(self._path, verdict)

    # Asking for a training

    def folder(self, job_id: str) -> Path:
        """Return the job's folder, there or not.

        Raises:
            JobNotFound: `job_id` can be no id; so every path stays inside the store.
        """
        return self._root / _plain_id(job_id)

    def new_folder(self) -> Path:
        """Return a new folder for a body, locked by this process until `submit` or `discard`; not yet a job."""
        with self._disk():
            while True:
                folder = self._root / _new_id()
                folder.mkdir(mode=0o700)
                if (held := try_lock(folder)) is not None:
                    self._held[folder.name] = held
                    return folder
                # `recover` took it for a left-over, between the two lines above: take another

    def discard(self, folder: Path) -> None:
        """Remove a folder that was not submitted, with all that is in it."""
        shutil.rmtree(folder, ignore_errors=True)  # what cannot be removed is found by `recover`
        self._let_go(folder.name)

    def check_room(self, idempotency_key: str | None = None) -> None:
        """Do nothing if a training may be asked for; to refuse before a large body is read.

        Raises:
            QueueFull, and InvalidInput for a key that cannot be one.
        """
        _check_key(idempotency_key)
        with self._database() as database:
            if idempotency_key is None or _find_key(database, idempotency_key) is None:
                self._check_room(database)

    def submit(
        self,
        folder: Path,
        model_name: str,
        kind: str,
        *,
        idempotency_key: str | None = None,
        body_sha256: str = "",
        promote: str = "always",
        keep_data: bool = False,
    ) -> Job:
        """Return the queued job, once it and its body are on the disk.

        Args:
            folder: from `new_folder`, with the body in it. It is the job's afterwards; after an error it is still the
                caller's, to `discard`.
            model_name: what is to be trained.
            kind: of network.
            idempotency_key: chosen by the client; the same key with the same body is the same job.
            body_sha256: of the body, hexadecimal.
            promote: see Job.
            keep_data: see Job.
        Returns:
            the new job, whose id is the folder's name; or the one that the key stands for, whatever its state, and
            then the folder is gone.
        Raises:
            QueueFull, IdempotencyConflict, InvalidName, InvalidInput (a key that cannot be one).
        """
        assert folder.name in self._held, "the folder is not from new_folder of this object; our bug"
        check_name(model_name)
        self.check_room(idempotency_key)
        with self._disk():  # before the transaction, which others wait for
            flush_file(folder / BODY)
            flush(folder)
            flush(self._root)
        with self._writing() as database:
            earlier = None
            if idempotency_key is not None and (found := _find_key(database, idempotency_key)) is not None:
                earlier = _earlier_job(found, idempotency_key, body_sha256)
            else:
                self._check_room(database)
                database.execute(
                    "INSERT INTO jobs (id, model_name, neural_network_type, state, created, promote, keep_data)"
                    " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
                    (folder.name, model_name, clean(kind, 100), now(), clean(promote, 100), keep_data),
                )
                if idempotency_key is not None:
                    database.execute(
                        "INSERT INTO keys (key, sha256, job) VALUES (?, ?, ?)",
                        (idempotency_key, body_sha256, folder.name),
                    )
            job = self._find(database, earlier or folder.name)
        if earlier:
            self.discard(folder)
        else:
            self._let_go(folder.name)
        return job

    @contextlib.contextmanager
    def once(self, idempotency_key: str | None, body_sha256: str = "") -> Iterator[bool]:
        """Tell whether a request that makes no job is to be carried out, in the block: False if its key says it was.

        The key is remembered when the block ends without an error. A process that dies in the block, its work done,
        leaves the work without the key.

        Raises:
            IdempotencyConflict, InvalidInput (a key that cannot be one).
        """
        if idempotency_key is None:
            yield True
            return
        _check_key(idempotency_key)
        with self._writing() as database:
            if (found := _find_key(database, idempotency_key)) is not None:
                if found["job"] is not None or found["sha256"] != body_sha256:
                    raise _conflict(idempotency_key)
                yield False
            else:
                yield True
                database.execute("INSERT INTO keys (key, sha256) VALUES (?, ?)", (idempotency_key, body_sha256))

    # Following it

    def get(self, job_id: str) -> Job:
        """Return the job as it is now.

        Raises:
            JobNotFound.
        """
        with self._database() as database:
            return self._find(database, _plain_id(job_id))

    def read_events(self, job_id: str, offset: int = 0) -> _EventList:
        """Return what the run has told since `offset`; see `job_events.read_events`.

        Raises:
            JobNotFound.
        """
        try:
            with self._disk():
                return read_events(self.folder(job_id), offset)
        except FileNotFoundError:
            self.get(job_id)
            return []

    def request_cancel(self, job_id: str) -> Job:
        """Return the job, which is cancelled at once if it waited, and marked for the worker to end if it runs.

        A job that has ended is returned as it is.

        Raises:
            JobNotFound.
        """
        job_id = _plain_id(job_id)
        with self._writing() as database:
            database.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ?, detail = 'cancelled before it began',"
                " cancel_requested = 1 WHERE id = ? AND state = 'queued'",
                (now(), job_id),
            )
            database.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
            job = self._find(database, job_id)
        if job.state != "running":
            self._tidy(job.id, job.keep_data)
        return job

    def drop_bodies(self, model_name: str, holding: Sequence[bytes] | None = None) -> int:
        """Remove the bodies of a model's trainings that were to be kept, and return how many.

        That of a training which has not ended is removed when it ends.

        Args:
            model_name: whose trainings.
            holding: only bodies in which one of these stands; None: all.
        """
        with self._database() as database:
            kept = [
                row["id"]
                for row in database.execute("SELECT id FROM jobs WHERE model_name = ? AND keep_data = 1", (model_name,))
            ]
        with self._disk():
            kept = [one for one in kept if holding is None or _holds(self.folder(one) / BODY, holding)]
        for job_id in kept:
            with self._writing() as database:
                database.execute("UPDATE jobs SET keep_data = 0 WHERE id = ?", (job_id,))
                job = self._find(database, job_id)
            if job.state not in ("queued", "running"):
                with self._disk(), contextlib.suppress(FileNotFoundError):
                    (self.folder(job_id) / BODY).unlink()
                    flush(self.folder(job_id))
        return len(kept)

    # Running it

    def claim(self) -> Job | None:
        """Return the job that waited longest for a model that nothing trains, now running; None if there is none.

        This process then holds the job's lock, until the block of `run_lock` ends.
        """
        waiting = (
            "SELECT * FROM jobs AS waiting WHERE state = 'queued' AND NOT EXISTS"
            " (SELECT 1 FROM jobs WHERE state = 'running' AND model_name = waiting.model_name) ORDER BY seq"
        )
        with self._database() as database:
            if database.execute(waiting).fetchone() is None:
                return None  # nearly always; without making others wait
        with contextlib.ExitStack() as undo, self._writing() as database:
            for row in database.execute(waiting).fetchall():
                job = self._job(row)
                try:
                    with self._disk():
                        held = try_lock(self._root / job.id)
                except FileNotFoundError:
                    _end(database, job, "failed", "its folder is gone from the store; ask for the training again")
                    continue
                if held is None:
                    continue  # `submit` has not let go of it yet: next time
                self._held[job.id] = held
                undo.callback(self._let_go, job.id)
                database.execute(
                    "UPDATE jobs SET state = 'running', attempt = attempt + 1, started = ? WHERE id = ?",
                    (now(), job.id),
                )
                claimed = self._find(database, job.id)
                break
            else:
                claimed = None
            self._commit(database)
            undo.pop_all()
        return claimed

    @contextlib.contextmanager
    def run_lock(self, job_id: str) -> Iterator[int]:
        """Give the descriptor that holds the job's lock, to be passed on to the run process (`pass_fds`).

        Leave the block when the run has ended and was said to have ended (`finish`): a running job whose lock nobody
        holds is taken for dead.

        Raises:
            Fenced: another process holds it, or the folder is gone.
        """
        job_id = _plain_id(job_id)
        if job_id not in self._held:
            try:
                with self._disk():
                    held = try_lock(self._root / job_id)
            except FileNotFoundError:
                held = None
            if held is None:
                raise Fenced(f"job {job_id} is run by another process, or its folder is gone")
            self._held[job_id] = held
        try:
            yield self._held[job_id]
        finally:
            self._let_go(job_id)

    @contextlib.contextmanager
    def publishing(self, job_id: str, attempt: int) -> Iterator[Publishing]:
        """Hold the right to publish the version of a run; leaving the block commits that the job has succeeded.

        The block puts the version in its place. What it says with `done` is recorded, or else what the manifest that
        carries (job, attempt) says. An error in the block leaves the job running, for `finish`. All other changes of
        any job wait meanwhile, so keep it short.

        Raises:
            Fenced: it is not this attempt that is running, or it is to be cancelled; raised before the block.
        """
        job_id = _plain_id(job_id)
        with self._writing() as database:
            job = self._find(database, job_id)
            if job.state != "running" or job.attempt != attempt or job.cancel_requested:
                wish = ", to be cancelled" if job.cancel_requested else ""
                raise Fenced(
                    f"job {job_id} is {job.state} at attempt {job.attempt}{wish}; attempt {attempt} was given up and "
                    f"publishes nothing"
                )
            publishing = Publishing()
            yield publishing
            if publishing.published is None:
                manifest = self._published(job)
                assert manifest is not None, "the block has published no version of this job and attempt; our bug"
                publishing.done(manifest.version, manifest.validation, manifest.seconds)
            assert publishing.published is not None
            version, metrics, seconds = publishing.published
            _succeed(database, job, version, metrics, seconds, self._decision(job, version))
            self._commit(database, made_again=True)
        self._tidy(job.id, job.keep_data)

    def finish(
        self,
        job_id: str,
        attempt: int,
        state: Ended,
        detail: str = "",
        *,
        error: str = "",
        faults: Sequence[Fault] = (),
        num_faults: int | None = None,
        seconds: float | None = None,
    ) -> bool:
        """Record that a run has ended without a version, and return whether that is so now.

        False: this attempt is not running any more, or it has published just before it died and so has succeeded.
        End the process first: one that was stopped while it published holds the database.

        Raises:
            JobNotFound.
        """
        job_id = _plain_id(job_id)
        with self._writing() as database:
            job = self._find(database, job_id)
            if job.state != "running" or job.attempt != attempt:
                return False
            is_so = not self._roll_forward(database, job)
            if is_so:
                found = len(faults) if num_faults is None else num_faults
                _end(database, job, state, detail, error=error, faults=faults, num_faults=found, seconds=seconds)
        self._tidy(job.id, job.keep_data)
        return is_so

    def recover(self) -> list[str]:
        """Put right what dead processes have left, and return what was found, a sentence each.

        A running job whose lock nobody holds has succeeded if its version is there, complete, and was interrupted
        (cancelled, if that was asked for) if not. Folders without a job, and the data of ended jobs, are removed; of
        the ended jobs the newest `keep_ended` are kept. Safe at any time and from any process, also twice at once.
        """
        told = []
        with self._database() as database:
            running = [row["id"] for row in database.execute("SELECT id FROM jobs WHERE state = 'running'")]
        for job_id in running:
            try:
                with self._disk():
                    held = try_lock(self._root / job_id)
                if held is None:
                    continue  # it lives
            except FileNotFoundError:
                held = None
            try:
                told += self._bury(job_id)
            finally:
                if held is not None:
                    os.close(held)
        with self._writing() as database:
            self._forget(database)
            rows = database.execute("SELECT id, state, keep_data FROM jobs").fetchall()
            for row in rows:
                if not _ID.fullmatch(row["id"]):  # or a damaged id would have us delete in another folder
                    raise _damaged(self._path, f"{row['id']!r} is no id of a job")
            orphans = self._orphans({row["id"] for row in rows})
        for folder, held in orphans:  # locked while the database was, so nobody can have submitted one in between
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
            told.append(f"folder {folder.name} belonged to no job: removed")
        for row in rows:
            if row["state"] not in ("queued", "running"):
                self._tidy(row["id"], row["keep_data"])
        return told

    # What all of these are made of

    @contextlib.contextmanager
    def _database(self, mode: str = "rw") -> Iterator[sqlite3.Connection]:
        """Give a connection, closed at the end, which undoes what was not committed.

        EXTRA and not FULL: a transaction is committed by the removal of the journal, and FULL does not wait until the
        disk knows of that (https://sqlite.org/pragma.html#pragma_synchronous); a power cut would bring it back, and an
        acknowledged job would be gone.
        """
        try:
            database = sqlite3.connect(
                f"{self._path.as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
            )
            try:
                database.row_factory = sqlite3.Row
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
                database.execute("PRAGMA synchronous=EXTRA")
                yield database
            finally:
                database.close()
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # our bug
        except sqlite3.Error as error:
            raise _refused(self._path, error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that holds the write lock; all of the block is committed at its end, or nothing."""
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            if database.in_transaction:
                self._commit(database)

    def _commit(self, database: sqlite3.Connection, *, made_again: bool = False) -> None:
        """Commit.

        SQLite removes the journal, by which all see the transaction, then flushes the folder, and reports an error of
        that flush as if nothing had been made. It has been made; so the folder is flushed once more. Unlike a file's,
        its blocks are in the file system's own journal: if they are lost, that fails for good, and this fails too.

        Args:
            database: whose transaction.
            made_again: by `recover`, if a power cut undoes it; then nothing depends on that flush.
        """
        try:
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_DIR_FSYNC:
                raise
            if made_again:
                return
            try:
                flush(self._root)
            except OSError as failed:
                raise StoreRefused(
                    f"jobs database {self._path} was changed, but a power cut may undo it, for the disk fails: "
                    f"{failed}; look at the job before asking again"
                ) from failed

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn an error of the disk into ours; that a file is missing stays for the caller."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreRefused(
                f"jobs of store {self._store.root} cannot be read or written, nothing was changed: {error}; "
                f"free some space, or make the store writable"
            ) from error

    def _let_go(self, job_id: str) -> None:
        if (held := self._held.pop(job_id, None)) is not None:
            os.close(held)

    def _job(self, row: sqlite3.Row) -> Job:
        """Return the job in a row."""
        fields = dict(zip(row.keys(), row, strict=True))
        try:
            fields |= {
                "faults": _FAULTS_DECODER.decode(row["faults"]),
                "metrics": _METRICS_DECODER.decode(row["metrics"]),
                "keep_data": row["keep_data"] == 1,
                "cancel_requested": row["cancel_requested"] == 1,
            }
            return msgspec.convert(fields, Job)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise _damaged(self._path, str(error)) from error

    def _find(self, database: sqlite3.Connection, job_id: str) -> Job:
        row = database.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise _not_found(job_id, f"the last {self._keep_ended} that ended are kept")
        return self._job(row)

    def _check_room(self, database: sqlite3.Connection) -> None:
        (num_queued,) = database.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
        if num_queued >= self._queue_limit:
            raise QueueFull(
                f"{num_queued} trainings are waiting, the limit is {self._queue_limit}; try again when one has ended"
            )

    def _published(self, job: Job) -> Manifest | None:
        """Return the manifest of the version that this run has put in its place; None if there is no whole one."""
        try:
            versions = self._store.versions(job.model_name)
        except ModelNotFound:
            return None
        for version in reversed(versions):
            path = self._store.root / job.model_name / str(version) / MANIFEST
            try:
                origin = decode_record(read(path, MAX_RECORD_BYTES), _Origin, str(path))
                if (origin.job, origin.attempt) == (job.id, job.attempt):
                    return self._store.read_version(job.model_name, version)[0]
            except (OSError, ArtifactRefused):
                continue  # a version that nobody can read is nobody's
        return None

    def _roll_forward(self, database: sqlite3.Connection, job: Job) -> bool:
        """Record success if the version of the run is there, and return whether it is."""
        manifest = self._published(job)
        if manifest is None:
            return False
        self._serve(job, manifest)
        detail = "its process ended just after the version was published"
        if decision := self._decision(job, manifest.version):
            detail += f"; {decision}"
        _succeed(database, job, manifest.version, manifest.validation, manifest.seconds, detail)
        return True

    def _decision(self, job: Job, version: int) -> str:
        """Return whether and why the version serves, where that was to be decided by a comparison; else nothing."""
        if job.promote != "if_better":
            return ""
        comparison = self._store.read_manifest(job.model_name, version).comparison
        if comparison is None:
            decision, is_better = "nothing served that it could be compared with", True
        else:
            decision, is_better = comparison.detail, comparison.is_better
        if not is_better:
            return f"{decision}; it does not serve"
        if self._store.serving(job.model_name) == version:
            return f"{decision}; it serves"
        return f"{decision}; it does not serve, because what serves was changed during the training"

    def _serve(self, job: Job, manifest: Manifest) -> None:
        """Have the pointer name the version as the job wants it, unless it has named it or a later one already."""
        name, version = job.model_name, manifest.version
        comparison = manifest.comparison
        is_better = comparison is None or comparison.is_better
        if job.promote == "never" or (job.promote == "if_better" and not is_better):
            return
        try:
            current = self._store.current(name)
            serving, named = current.version, [served.version for served in current.history]
        except (ModelNotTrained, ArtifactRefused):
            serving, named = 0, []
        if job.promote == "if_better" and serving != (comparison.against if comparison else 0):
            return  # it was compared with another one
        if serving < version and version not in named:
            with contextlib.suppress(VersionChanged):  # somebody has just decided otherwise
                self._store.promote(name, version, expected=serving or None)

    def _bury(self, job_id: str) -> list[str]:
        """End a job whose run is dead, and say how."""
        with self._writing() as database:
            job = self._find(database, job_id)
            if job.state != "running":
                return []  # it ended between the list and the lock
            if self._roll_forward(database, job):
                found = "its process had died after the version was published: it has succeeded"
            elif job.cancel_requested:
                _end(database, job, "cancelled", "cancelled while it ran")
                found = "its process had died, and it was to be cancelled: cancelled"
            else:
                _end(database, job, "interrupted", "its process ended without a word; ask for the training again")
                found = "its process had died: interrupted"
        self._tidy(job.id, job.keep_data)
        return [f"job {job_id} of {job.model_name}: {found}"]

    def _forget(self, database: sqlite3.Connection) -> None:
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

    def _orphans(self, jobs: set[str]) -> list[tuple[Path, int]]:
        """Return the folders of no job that nobody fills, locked."""
        orphans = []
        with self._disk():
            for folder in self._root.iterdir():
                if _ID.fullmatch(folder.name) and folder.name not in jobs:
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        if (held := try_lock(folder)) is not None:
                            orphans.append((folder, held))
        return orphans

    def _tidy(self, job_id: str, keep_data: bool) -> None:
        """Remove what a job needs no more once it has ended, its training text; what fails is left to `recover`."""
        kept = {EVENTS, LOG, BODY} if keep_data else {EVENTS, LOG}
        with contextlib.suppress(OSError):
            for entry in (self._root / job_id).iterdir():
                if entry.name not in kept:
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry, ignore_errors=True)
                    else:
                        entry.unlink(missing_ok=True)

    def list(self, limit: int = 100) -> _JobList:
        """Return the newest jobs, the newest first, at most 1000."""
        with self._database() as database:
            rows = database.execute(
                "SELECT * FROM jobs ORDER BY seq DESC LIMIT ?", (min(max(limit, 0), MAX_LISTED),)
            ).fetchall()
        return [self._job(row) for row in rows]


def _holds(path: Path, wanted: Sequence[bytes]) -> bool:
    """Return whether one of the strings stands in a file; false for a file that is not there."""
    overlap = max(map(len, wanted)) - 1  # a string may stand across two pieces
    end = b""
    try:
        with open(path, "rb") as file:
            while piece := file.read(SEARCHED_BYTES):
                piece = end + piece
                if any(one in piece for one in wanted):
                    return True
                end = piece[-overlap:] if overlap else b""
    except FileNotFoundError:
        pass
    return False


def _new_id() -> str:
    """Return a UUID of version 7 (RFC 9562): milliseconds, then chance; only the database knows the order."""
    milliseconds = time.time_ns() // 10**6 & 2**48 - 1
    return f"{milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62):032x}"


def _plain_id(job_id: str) -> str:
    """Return the id as 32 digits, given in this form or in that of a UUID.

    Raises:
        JobNotFound: it is neither.
    """
    plain = job_id
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", job_id):
        plain = job_id.replace("-", "").lower()
    if not _ID.fullmatch(plain):
        raise _not_found(job_id, "an id is 32 digits of 0-9a-f")
    return plain


def _schema_version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check_key(key: str | None) -> None:
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInput(
            f"the idempotency key has {len(key)} characters or one that is not printable ASCII; "
            f"send 1 to 255 without spaces, such as a UUID"
        )


def _find_key(database: sqlite3.Connection, key: str) -> sqlite3.Row | None:
    found: sqlite3.Row | None = database.execute("SELECT sha256, job FROM keys WHERE key = ?", (key,)).fetchone()
    return found


def _earlier_job(found: sqlite3.Row, key: str, body_sha256: str) -> str:
    """Return the id of the job that a key stands for."""
    if found["job"] is None or found["sha256"] != body_sha256:
        raise _conflict(key)
    return str(found["job"])


def _conflict(key: str) -> IdempotencyConflict:
    return IdempotencyConflict(f"the idempotency key {key:.80} came with another request before; send a new key")


def _not_found(job_id: str, limit: str) -> JobNotFound:
    return JobNotFound(f"no job {job_id!r:.80} is known ({limit}); look at the list of jobs")


def _succeed(
    database: sqlite3.Connection, job: Job, version: int, metrics: Summary, seconds: float, detail: str = ""
) -> None:
    database.execute(
        "UPDATE jobs SET state = 'succeeded', ended = ?, detail = ?, version = ?, metrics = ?, seconds = ?"
        " WHERE id = ?",
        (now(), detail, version, msgspec.json.encode(metrics).decode(), seconds, job.id),
    )


def _end(
    database: sqlite3.Connection,
    job: Job,
    state: Ended,
    detail: str,
    *,
    error: str = "",
    faults: Sequence[Fault] = (),
    num_faults: int = 0,
    seconds: float | None = None,
) -> None:
    shown = [
        Fault(clean(fault.pointer, MAX_FAULT), clean(fault.detail, MAX_FAULT), fault.line)
        for fault in faults[:MAX_FAULTS_SHOWN]
    ]
    database.execute(
        "UPDATE jobs SET state = ?, ended = ?, detail = ?, error = ?, faults = ?, num_faults = ?, seconds = ?"
        " WHERE id = ?",
        (
            *(state, now(), clean(detail), clean(error, 100)),
            *(msgspec.json.encode(shown).decode(), num_faults, seconds, job.id),
        ),
    )


_MOVE_AWAY = (
    "stop the server and the trainer worker, move the file away and start them again "
    "(models and versions are untouched; trainings that waited must be asked for again)"
)


def _damaged(path: Path, reason: str) -> StoreRefused:
    return StoreRefused(f"jobs database {path} is damaged: {' '.join(reason.split()):.300}; {_MOVE_AWAY}")


def _refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    """Return our error for SQLite's: what it means for whoever runs the store."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte of an extended code
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreRefused(
            f"jobs database {path} was locked for more than {BUSY_S:.0f} s, nothing was changed; "
            f"a stopped process may hold it: continue or end that one"
        )
    if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG):
        return _damaged(path, str(error))
    return StoreRefused(
        f"jobs database {path} cannot be read or written, nothing was changed: {error}; "
        f"free some space, or make the store writable"
    )
