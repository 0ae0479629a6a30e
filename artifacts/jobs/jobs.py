"""The jobs: who asked for what, who runs it, how it ended.

A job is a row of `STORE/.jobs/jobs.sqlite` and a folder `STORE/.jobs/ID/` with `body.json` (the request as it came),
`events.jsonl` (how it goes) and `log.txt`; where a file was posted also `upload`, and of a job that publishes nothing
`answer.json` and the file that it gives back. Server, trainer worker and run process share nothing else, so any of them
may die at any moment without harming the others.

    new_folder -> submit -> queued -> claim -> running -> publishing -> succeeded
                              |                   |`----> finish -----> failed, cancelled, interrupted
                              `--> cancelled      `-----> recover ----> succeeded or interrupted

Three ideas hold it together.

The database decides (table.py). Each arrow is one transaction that begins by taking the one write lock (BEGIN
IMMEDIATE) and looks before it changes, so two processes never both succeed.

A lock says who lives. Whoever fills or runs a job holds a lock (flock) on its folder, which the kernel lets go when
the last process that has it ends, however it ends. So a folder or a running job without a lock is nobody's, at any
time, and no clock and no process number is asked.

A version is published inside the transaction that finds its job running. A run that was given up in the meantime is
turned away before anybody can see its version (`Fenced`). If the process dies after the version is in its place and
before the commit, the version's manifest, which carries job and attempt, tells it: the job is rolled forward.
"""

import codecs
import contextlib
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from artifacts.errors import (
    ArtifactRefused,
    Fault,
    Fenced,
    JobNotFound,
    ModelNotTrained,
    StoreRefused,
    VersionChanged,
)
from artifacts.jobs.events import Event, read_events
from artifacts.jobs.records import (
    ANSWER,
    ANSWER_FILE,
    ASKED,
    BODY,
    EVENTS,
    KINDS_OF_JOBS,
    LOG,
    UPLOAD,
    UPLOAD_FACTS,
    Ended,
    Job,
    JobKind,
    Upload,
    read_result,
    read_upload,
)
from artifacts.jobs.table import ERASABLE, ID, JobTable, check_key, key_conflict
from artifacts.networks.manifest import NO_SIGNAL, Manifest
from artifacts.problems.sentences import Message, message
from artifacts.schemas import Summary
from artifacts.store.store import Store
from artifacts.store.versions import DAY_S, HOUR_S, at, check_name
from artifacts.system.disk import flush, flush_file, try_lock, write
from artifacts.text.people import Person

SEARCHED_BYTES = 2**20  # of a body at once
# Files of a folder that hold tickets as somebody sent them, or as they were given back; they are erased as a whole.
COPIES = (BODY, UPLOAD, UPLOAD_FACTS, ANSWER)
MAX_LOG_BYTES = 64 * 2**20  # of a log that is erased line by line; a longer one goes whole


class JobTrace(NamedTuple):
    """Where a job names a person.

    Attributes:
        job_id: of the job; empty for what belongs to none.
        model_name: that it trains.
        state: of the job.
        what: column of its row, name of a file of its folder, `key`, or the database itself.
        can_erase: whether it can be erased now.
    """

    job_id: str
    model_name: str
    state: str
    what: str
    can_erase: bool


_JobList: TypeAlias = list[Job]  # inside the class, `list` is the method
_PathList: TypeAlias = list[Path]
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
        self._root = store.jobs_folder
        self._table = JobTable(self._root, queue_limit, keep_ended)
        self._held: dict[str, int] = {}  # id -> descriptor of the folder, which is locked
        if self._table.make():
            with self._disk():
                flush(store.root)  # or a power cut takes `.jobs` away with all that it holds

    # Asking for a job

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

    def check_room(self, idempotency_key: str | None = None, num_coming: int = 0, job_kind: JobKind = "train") -> None:
        """Raise unless a job may be asked for, so that it is refused before a large body is read.

        Args:
            idempotency_key: of the request; one that is known needs no room.
            num_coming: further requests, which are being taken and will be queued.
            job_kind: of the job; trainings and the others have each a queue.
        Raises:
            QueueFull, and InvalidInput for a key that cannot be one.
        """
        check_key(idempotency_key)
        with self._table.reading() as database:
            if self._table.find_key(database, idempotency_key) is None:
                self._table.check_room(database, num_coming, job_kind)

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
        token_name: str = "",
        token_role: str = "",
        job_kind: JobKind = "train",
    ) -> Job:
        """Return the queued job, once it and its body are on the disk.

        Args:
            folder: from `new_folder`, with the body in it. It is the job's afterwards; after an error it is still the
                caller's, to `discard`.
            model_name: whose job it is; empty for an inspection.
            kind: of network.
            idempotency_key: chosen by the client; the same key with the same body is the same job.
            body_sha256: of the body, hexadecimal.
            promote: see Job.
            keep_data: see Job.
            token_name: see Job.
            token_role: see Job.
            job_kind: see Job.
        Returns:
            the new job, whose id is the folder's name; or the one that the key stands for, whatever its state, and
            then the folder is gone.
        Raises:
            QueueFull, IdempotencyConflict, InvalidName, InvalidInput (a key that cannot be one).
        """
        assert folder.name in self._held, "the folder is not from new_folder of this object; our bug"
        if model_name or job_kind == "train":
            check_name(model_name)
        self.check_room(idempotency_key, job_kind=job_kind)
        with self._disk():  # before the transaction, which others wait for
            for file in (BODY, ASKED, UPLOAD, UPLOAD_FACTS):
                with contextlib.suppress(FileNotFoundError):
                    flush_file(folder / file)
            flush(folder)
            flush(self._root)
        with self._table.writing() as database:
            earlier = self._table.find_key(database, idempotency_key)
            if earlier is None:
                self._table.check_room(database, kind=job_kind)
                self._table.add(
                    *(database, folder.name, model_name, kind),
                    promote=promote,
                    keep_data=keep_data,
                    token_name=token_name,
                    token_role=token_role,
                    job_kind=job_kind,
                )
                if idempotency_key is not None:
                    self._table.add_key(database, idempotency_key, body_sha256, folder.name)
                job = self._table.find(database, folder.name)
            elif earlier.job_id is None or earlier.body_sha256 != body_sha256:
                raise key_conflict(earlier)
            else:
                job = self._table.find(database, earlier.job_id)
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
        check_key(idempotency_key)
        with self._table.writing() as database:
            if (earlier := self._table.find_key(database, idempotency_key)) is None:
                yield True
                self._table.add_key(database, idempotency_key, body_sha256, None)
            elif earlier.job_id is not None or earlier.body_sha256 != body_sha256:
                raise key_conflict(earlier)
            else:
                yield False

    # Following it

    def get(self, job_id: str) -> Job:
        """Return the job as it is now.

        Raises:
            JobNotFound.
        """
        with self._table.reading() as database:
            return self._table.find(database, _plain_id(job_id))

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
        with self._table.writing() as database:
            job = self._table.cancel(database, job_id)
        if job.state != "running":
            self._tidy(job.id, job.keep_data, job.kind)
        return job

    def share_upload(self, job_id: str, folder: Path) -> None:
        """Give a new folder the file that was posted with an earlier job, or its body; one copy serves both.

        Args:
            job_id: of the earlier job.
            folder: from `new_folder`, with no file yet.
        Raises:
            JobNotFound: there is no such job, or its file has been erased.
        """
        earlier = self.folder(job_id)
        self.get(job_id)
        with self._disk():
            try:
                # A link and not a copy: the file may have 256 MiB, and each folder's name for it is erased by itself.
                if read_upload(earlier) is not None:
                    os.link(earlier / UPLOAD_FACTS, folder / UPLOAD_FACTS)
                    os.link(earlier / UPLOAD, folder / UPLOAD)
                else:
                    facts = Upload("application/json", "tickets.json")
                    (folder / UPLOAD_FACTS).write_bytes(msgspec.json.encode(facts))
                    os.link(earlier / BODY, folder / UPLOAD)
            except FileNotFoundError as error:
                raise JobNotFound("upload-gone", job=job_id) from error

    def answer_file(self, job: Job) -> Path | None:
        """Return the file `answer.json` of a job; None while it has none, and of a training, which has a version."""
        path = self.folder(job.id) / ANSWER
        return path if job.state == "succeeded" and path.is_file() else None

    def expire(self, hours: int, now_s: float) -> int:
        """Remove the files that were posted and given back by jobs that ended so long ago; return of how many jobs.

        Args:
            hours: that they are kept after the end; the body that a training was to keep stays.
            now_s: seconds since 1970.
        """
        before = at(now_s - hours * HOUR_S)
        with self._table.reading() as database:
            old = [one for one in self._table.known(database) if one.ended and one.ended < before]
        return sum(self._remove_copies(one.id) > 0 for one in old if one.kind != "train")

    def spare(self, limit_bytes: int) -> int:
        """Remove the oldest files of ended jobs until what is left is within a limit; return of how many jobs.

        So files that are sent one after the other fill no disk, however long they are to be kept.

        Args:
            limit_bytes: of all such files together; a file that two jobs share counts for each.
        """
        with self._table.reading() as database:
            ended = [one for one in self._table.known(database) if one.ended and one.kind != "train"]
        left, num_jobs = limit_bytes, 0
        # The newest first; of those that ended in the same second the one that was asked for last.
        for _, _, one in sorted(((one.ended, place, one) for place, one in enumerate(ended)), reverse=True):
            left -= sum(entry.stat().st_size for entry in self._copies(one.id))
            if left < 0:
                num_jobs += self._remove_copies(one.id) > 0
        return num_jobs

    def _copies(self, job_id: str) -> _PathList:
        """Return the files of a job that hold tickets as they were posted or given back."""
        with self._disk():
            try:
                return [entry for entry in (self._root / job_id).iterdir() if is_copy(entry.name)]
            except FileNotFoundError:
                return []

    def _remove_copies(self, job_id: str) -> int:
        """Remove them, and return how many there were."""
        found = self._copies(job_id)
        with self._disk():
            for entry in found:
                entry.unlink(missing_ok=True)
        return len(found)

    def drop_bodies(
        self, model_name: str, holding: Sequence[bytes] | None = None, in_files: Sequence[bytes] = ()
    ) -> int:
        """Remove the data of a model's trainings that was to be kept, body and file, and return of how many trainings.

        That of a training which has not ended is removed when it ends.

        Args:
            model_name: whose trainings.
            holding: only data in which one of these stands, or may stand in a file that cannot be searched; None: all.
            in_files: further strings that are looked for in files, which need not be JSON.
        """
        with self._table.reading() as database:
            kept = self._table.with_kept_data(database, model_name)
        with self._disk():
            kept = [
                one
                for one in kept
                if holding is None
                or _holds(self.folder(one) / BODY, holding)
                or _may_hold(self.folder(one) / UPLOAD, [*holding, *in_files])
            ]
        for job_id in kept:
            with self._table.writing() as database:
                job = self._table.keep_no_data(database, job_id)
            if job.state not in ("queued", "running"):
                self._remove_copies(job_id)
                with self._disk(), contextlib.suppress(FileNotFoundError):
                    flush(self.folder(job_id))
        return len(kept)

    # Erasing what it holds

    def erase_older(self, days: int, now_s: float) -> int:
        """Erase the jobs that ended more than `days` days ago, with their folders; return how many. 0 days: none.

        Args:
            days: that a job is kept after its end; a body that was to be kept goes with its job.
            now_s: seconds since 1970.
        """
        if not days:
            return 0
        before = at(now_s - days * DAY_S)
        with self._table.reading() as database:
            if not self._table.old(database, before):
                return 0  # nearly always; without making others wait
        with self._table.writing() as database:
            ids = self._table.old(database, before)
            self._table.delete(database, ids)
        self._table.compact()
        self.recover()  # it removes the folders, which belong to no job now
        return len(ids)

    def traces(self, person: Person, spellings: Sequence[bytes] = ()) -> list[JobTrace]:
        """Return where the jobs name a person, or a body holds one of `spellings`: in rows, and in the folders' files.

        What a process writes at the moment may be missed.
        """
        with self._table.reading() as database:
            named, keys = self._table.naming(database, person)
            jobs = {one.id: self._table.find(database, one.id) for one in self._table.known(database)}
        found = [
            JobTrace(one.id, one.model_name, one.state, column, column in ERASABLE)
            for one in named
            for column in one.columns
        ]
        found += [JobTrace("", "", "", "key", True)] * bool(keys)
        with self._disk():
            for folder in sorted(entry for entry in self._root.iterdir() if ID.fullmatch(entry.name)):
                job = jobs.get(folder.name)
                for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
                    with contextlib.suppress(FileNotFoundError):  # its job has just ended
                        if _names(file, person) or (is_copy(file.name) and spellings and _holds(file, spellings)):
                            model, state = (job.model_name, job.state) if job else ("", "queued")
                            is_over = state not in ("queued", "running")
                            found.append(JobTrace(folder.name, model, state, file.name, is_over))
            # Deleted rows whose bytes are still in the file: of an earlier program, or of a process that was killed.
            for path in (self._table.path, self._table.path.with_name(f"{self._table.path.name}-journal")):
                with contextlib.suppress(FileNotFoundError):
                    if not (named or keys) and person.is_in_file(path):
                        found.append(JobTrace("", "", "", path.name, True))
        return found

    def erase_traces(self, person: Person, found: Sequence[JobTrace]) -> None:
        """Erase what `traces` has found and says can be erased, from every byte of the files.

        A body goes whole. Of a log or of the events the lines that name the person become blanks, so that an offset
        means the same as before. What belongs to a training that waits or runs stays: that one reads and writes it.
        """
        erasable = [one for one in found if one.can_erase]
        for trace in erasable:
            if trace.job_id and trace.what not in ERASABLE:
                if trace.what in (BODY, UPLOAD):
                    with self._table.writing() as database:
                        self._table.keep_no_data(database, trace.job_id)
                with self._disk(), contextlib.suppress(FileNotFoundError):
                    _erase_in(self.folder(trace.job_id) / trace.what, person)
        if any(trace.what in (*ERASABLE, "key") or not trace.job_id for trace in erasable):
            with self._table.writing() as database:
                self._table.blank(database, *self._table.naming(database, person))
            self._table.compact()

    # Running it

    def claim(self, kinds: Sequence[JobKind] = KINDS_OF_JOBS) -> Job | None:
        """Return the job that waited longest and may begin, now running; None if there is none.

        This process then holds the job's lock, until the block of `run_lock` ends.

        Args:
            kinds: of which it may be.
        """
        with self._table.reading() as database:
            if next(self._table.waiting(database, kinds), None) is None:
                return None  # nearly always; without making others wait
        with contextlib.ExitStack() as undo, self._table.writing() as database:
            for job in self._table.waiting(database, kinds):
                try:
                    with self._disk():
                        held = try_lock(self._root / job.id)
                except FileNotFoundError:
                    self._table.end(database, job, "failed", message("job-folder-gone", {}))
                    continue
                if held is None:
                    continue  # `submit` has not let go of it yet: next time
                self._held[job.id] = held
                undo.callback(self._let_go, job.id)
                claimed = self._table.begin(database, job.id)
                break
            else:
                claimed = None
            self._table.commit(database)
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
                raise Fenced("job-run-elsewhere", job=job_id)
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
        with self._table.writing() as database:
            job = self._table.find(database, job_id)
            if job.state != "running" or job.attempt != attempt or job.cancel_requested:
                if job.cancel_requested:
                    raise Fenced("job-being-cancelled", job=job_id, attempt=attempt)
                raise Fenced(
                    "attempt-given-up", job=job_id, state=job.state, current_attempt=job.attempt, attempt=attempt
                )
            publishing = Publishing()
            yield publishing
            if publishing.published is None:
                manifest = self._store.made_by(job.model_name, job.id, job.attempt)
                assert manifest is not None, "the block has published no version of this job and attempt; our bug"
                publishing.done(manifest.version, manifest.validation, manifest.seconds)
            assert publishing.published is not None
            version, metrics, seconds = publishing.published
            self._table.succeed(database, job, version, metrics, seconds, self._decision(job, version))
            self._table.commit(database, made_again=True)
        self._tidy(job.id, job.keep_data, job.kind)

    def finish(
        self,
        job_id: str,
        attempt: int,
        state: Ended | Literal["succeeded"],
        detail: Message | str = "",
        *,
        error: str = "",
        faults: Sequence[Fault] = (),
        num_faults: int | None = None,
        seconds: float | None = None,
    ) -> bool:
        """Record that a run has ended without a version, and return whether that is so now.

        A job of a kind that publishes nothing succeeds so: its answer is in its folder.

        False: this attempt is not running any more, or it has published just before it died and so has succeeded.
        End the process first: one that was stopped while it published holds the database.

        Raises:
            JobNotFound.
        """
        job_id = _plain_id(job_id)
        with self._table.writing() as database:
            job = self._table.find(database, job_id)
            if job.state != "running" or job.attempt != attempt:
                return False
            is_so = not self._roll_forward(database, job)
            if is_so:
                found = len(faults) if num_faults is None else num_faults
                self._table.end(
                    database, job, state, detail, error=error, faults=faults, num_faults=found, seconds=seconds
                )
        self._tidy(job.id, job.keep_data, job.kind)
        return is_so

    def recover(self) -> list[str]:
        """Put right what dead processes have left, and return what was found, a sentence each.

        A running job whose lock nobody holds has succeeded if its version is there, complete, and was interrupted
        (cancelled, if that was asked for) if not. Folders without a job, and the data of ended jobs, are removed; of
        the ended jobs the newest `keep_ended` are kept. Safe at any time and from any process, also twice at once.
        """
        told = []
        with self._table.reading() as database:
            running = self._table.running(database)
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
        with self._table.writing() as database:
            self._table.forget(database)
            known = self._table.known(database)
            orphans = self._orphans({one.id for one in known})
        for folder, held in orphans:  # locked while the database was, so nobody can have submitted one in between
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
            told.append(f"folder {folder.name} belonged to no job: removed")
        for one in known:
            if one.state not in ("queued", "running"):
                self._tidy(one.id, one.keep_data, one.kind)
        return told

    # What all of these are made of

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn an error of the disk into ours; that a file is missing stays for the caller."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreRefused("jobs-unusable", path=self._store.where, reason=error) from error

    def _let_go(self, job_id: str) -> None:
        if (held := self._held.pop(job_id, None)) is not None:
            os.close(held)

    def _roll_forward(self, database: sqlite3.Connection, job: Job) -> bool:
        """Record success if the version of the run is there, and return whether it is."""
        if job.kind != "train":
            return False
        manifest = self._store.made_by(job.model_name, job.id, job.attempt)
        if manifest is None:
            return False
        self._serve(job, manifest)
        detail = "its process ended just after the version was published"
        if decision := self._decision(job, manifest.version):
            detail += f"; {decision}"
        self._table.succeed(database, job, manifest.version, manifest.validation, manifest.seconds, detail)
        return True

    def _decision(self, job: Job, version: int) -> str:
        """Return whether and why the version serves, where that was to be decided; else nothing."""
        try:
            manifest = self._store.read_manifest(job.model_name, version)
        except ArtifactRefused:
            if job.promote != "if_better":
                return ""  # nothing was to be decided, so there is nothing that must be said
            raise
        if manifest.labels_follow_text is False:
            serves = self._store.serving(job.model_name) == version
            return NO_SIGNAL + ("; it serves, because no other version does" if serves else "; it does not serve")
        if job.promote != "if_better":
            return ""
        comparison = manifest.comparison
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
        if manifest.labels_follow_text is False and self._store.serving(name) is not None:
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
        with self._table.writing() as database:
            job = self._table.find(database, job_id)
            if job.state != "running":
                return []  # it ended between the list and the lock
            if self._roll_forward(database, job):
                found = "its process had died after the version was published: it has succeeded"
            elif job.kind != "train" and _is_done(self._root / job_id):
                self._table.end(database, job, "succeeded", "")
                found = "its process had died after its answer was complete: it has succeeded"
            elif job.cancel_requested:
                self._table.end(database, job, "cancelled", message("job-cancelled", {}))
                found = "its process had died, and it was to be cancelled: cancelled"
            else:
                self._table.end(database, job, "interrupted", message("job-process-gone", {}))
                found = "its process had died: interrupted"
        self._tidy(job.id, job.keep_data, job.kind)
        return [f"job {job_id} of {job.model_name}: {found}"]

    def _orphans(self, jobs: set[str]) -> list[tuple[Path, int]]:
        """Return the folders of no job that nobody fills, locked."""
        orphans = []
        with self._disk():
            for folder in self._root.iterdir():
                if ID.fullmatch(folder.name) and folder.name not in jobs:
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        if (held := try_lock(folder)) is not None:
                            orphans.append((folder, held))
        return orphans

    def _tidy(self, job_id: str, keep_data: bool, kind: str) -> None:
        """Remove what a job needs no more once it has ended, its training text; what fails is left to `recover`.

        What was posted for a job of another kind stays, so that a file is sent once for all that is done with it, and
        so does its answer; `expire` takes them.
        """
        with contextlib.suppress(OSError):
            for entry in (self._root / job_id).iterdir():
                is_kept = is_copy(entry.name) and (keep_data or kind != "train")
                if entry.name not in (EVENTS, LOG) and not is_kept:
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry, ignore_errors=True)
                    else:
                        entry.unlink(missing_ok=True)

    def list(self, limit: int = 100, asker: tuple[str, str] | None = None, trained: str | None = None) -> _JobList:
        """Return the newest jobs, the newest first, at most 1000.

        Args:
            limit: how many.
            asker: name and role of the token that they were asked for with; None: all jobs.
            trained: only trainings of this model; None: all jobs.
        """
        with self._table.reading() as database:
            return self._table.newest(database, limit, asker, trained)


def is_copy(file: str) -> bool:
    """Return whether a file of a job's folder holds tickets as they were posted or given back.

    >>> [is_copy(file) for file in ("body.json", "upload", "answer.json", "answer.csv", "events.jsonl")]
    [True, True, True, True, False]
    """
    return file in COPIES or file.startswith(f"{ANSWER_FILE}.")


def _is_done(folder: Path) -> bool:
    """Return whether the run of a job that publishes nothing has left its answer, whole."""
    result = read_result(folder)
    return result is not None and result.outcome == "done" and (folder / ANSWER).is_file()


def _names(path: Path, person: Person) -> bool:
    """Return whether a file of a job's folder names a person, or may do so where its bytes cannot be searched.

    A workbook, an archive or a text of another encoding hides a name from a search for it. Such a copy lives for hours,
    and erasing one too many costs a second upload; leaving one too many leaves a person.
    """
    if path.name != UPLOAD and not path.name.startswith(f"{ANSWER_FILE}."):
        return person.is_in_file(path)
    return not _is_utf8(path) or person.is_in_file(path)


def _is_utf8(path: Path) -> bool:
    """Return whether a file is text in UTF-8; a NUL is in no text, and in every UTF-16."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open(path, "rb") as file:
            while piece := file.read(SEARCHED_BYTES):
                if "\0" in decoder.decode(piece):
                    return False
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


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


def _may_hold(path: Path, wanted: Sequence[bytes]) -> bool:
    """Return whether one of the strings stands in a posted file, or may stand in one that cannot be searched."""
    return path.is_file() and (not _is_utf8(path) or _holds(path, wanted))


def _erase_in(path: Path, person: Person) -> None:
    """Remove a copy of tickets; of another file, blank the lines that name a person, and put it in its place."""
    if path.name == UPLOAD_FACTS:  # the name of a file may name a person
        path.with_name(UPLOAD).unlink(missing_ok=True)
    if not is_copy(path.name) and path.stat().st_size <= MAX_LOG_BYTES:
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines):
            if person.is_in(line.decode("utf-8", "replace")):
                bare = line.rstrip(b"\r\n")
                lines[number] = b" " * len(bare) + line[len(bare) :]
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        write(part, b"".join(lines))
        if not person.is_in_file(part):  # a name may go over the end of a line
            os.replace(part, path)
            flush(path.parent)
            return
        part.unlink()
    path.unlink()
    flush(path.parent)


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
    if not ID.fullmatch(plain):
        raise JobNotFound("invalid-job-id", job=job_id)
    return plain
