"""A job that a request asks for: spool its body, have it checked, queue it, and wait for its end.

The event loop never decodes training data (93 MB decoded beside it held every search up for 1.4 s): chunks go to the
disk in a thread, and processes of their own read them there. Torch lives in none of ours.
"""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from artifacts.errors import JobNotFound, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import (
    ASKED,
    BODY,
    UPLOAD,
    UPLOAD_FACTS,
    AskedJob,
    Checked,
    Job,
    JobKind,
    Upload,
    lane_of,
)
from artifacts.problems.sentences import Language, Message
from artifacts.store.audit import NO_TOKEN, NOBODY, AuditLog, Author
from artifacts.store.store import Store
from artifacts.store.versions import check_name
from artifacts.system.processes import give_way
from inference.errors import Draining, TrainerMissing, TrainingFailed, TrainingStopped, from_result
from inference.following import Followers
from inference.schemas import CreateModel, Trained
from inference.search.registry import Registry
from inference.settings import PREFIX, Settings

CHUNK_BYTES = 2**20  # collected before the disk is asked
CHECK_S = 600.0  # a body of 256 MiB is checked in 2 s; beside searches that take all of a core it waits for them
CHECK_BYTES = 2**20  # of its answer
SAFE_PATH = ("-P",) if sys.flags.safe_path else ()  # a child finds modules where we do
MAX_CHECKS = 2  # at once; each is a process of 80 MB, and what waits for its turn waits as a file
KEPT_FILES = 16  # of the largest size that may be kept for jobs that have ended; beyond it the oldest are erased
KEPT_JOBS = 1000  # that have ended; what is older is not found
POLL_S = 0.1  # how soon the end of a job is noticed


TRAIN = AskedJob()


class Posted(NamedTuple):
    """A file that is posted as it is.

    Attributes:
        body: the request for it, as JSON; it holds no row.
        upload: what is known of the file.
    """

    body: bytes
    upload: Upload


class Training:
    """Asks for jobs, trainings most of all, and follows them; belongs to one event loop."""

    def __init__(self, store: Store, settings: Settings, audit: AuditLog) -> None:
        self.jobs = Jobs(store, settings.queue_limit)
        self._settings = settings
        self._audit = audit
        self._draining = asyncio.Event()
        self._checks = asyncio.Semaphore(MAX_CHECKS)
        self._num_coming = Counter[tuple[JobKind, ...]]()  # requests whose body is being taken or checked, by lane
        self.followers = Followers(self.jobs, self._draining)

    def drain(self) -> None:
        """Answer whoever waits for a training; the training goes on, or its worker ends it."""
        self._draining.set()

    @property
    def is_draining(self) -> bool:
        """Whether the server is shutting down."""
        return self._draining.is_set()

    async def drained(self, timeout_s: float) -> bool:
        """Wait at most so long for the server to shut down, and return whether it does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), timeout_s)
        return self._draining.is_set()

    async def submit(
        self,
        chunks: AsyncIterator[bytes],
        idempotency_key: str | None,
        author: Author = NOBODY,
        asked: AskedJob = TRAIN,
        posted: Posted | None = None,
        asker: tuple[str, str] | None = None,
    ) -> Job:
        """Return the job that a body asks for, queued; or the earlier one that its key stands for.

        Args:
            chunks: the body as it arrives, or the file.
            idempotency_key: of the client, for a request that may come twice.
            author: who asks for it, for the audit log, which notes the body of a training that has passed the check.
            asked: what the address says of the job.
            posted: what is known where `chunks` are a file.
            asker: whose jobs' files it may name; None: anybody's.
        Raises:
            TrainerMissing, Draining, QueueFull, IdempotencyConflict, StoreRefused (the body cannot be spooled), and
            every error that the check finds in the request.
        """
        if self._settings.trainer == "none":
            raise TrainerMissing("trainer-missing", store=self._settings.store)
        if self.is_draining:
            raise Draining("draining")
        # Those in front of it count, or 50 requests would all find one free place, and start 50 processes.
        lane = lane_of(asked.kind)
        await asyncio.to_thread(self.jobs.check_room, idempotency_key, self._num_coming[lane], asked.kind)
        self._num_coming[lane] += 1
        try:
            return await self._take(chunks, idempotency_key, author, asked, posted, asker)
        finally:
            self._num_coming[lane] -= 1

    async def _take(
        self,
        chunks: AsyncIterator[bytes],
        idempotency_key: str | None,
        author: Author,
        asked: AskedJob,
        posted: Posted | None,
        asker: tuple[str, str] | None,
    ) -> Job:
        """Spool a body that has been admitted, have it checked, and return its job; see `submit`."""
        folder = await asyncio.to_thread(self.jobs.new_folder)
        is_job = False
        try:
            if posted is not None:
                await asyncio.to_thread(self.jobs.spare, KEPT_FILES * self._settings.train_body_bytes)
            said = await asyncio.to_thread(_write_asked, folder, asked, posted)
            digest = await _spool(chunks, folder / (BODY if posted is None else UPLOAD), said)
            async with self._checks:
                checked = await _check(folder)
            if checked.refusal is not None:
                refusal = checked.refusal
                raise from_result(refusal.error, refusal.problem, refusal.detail, refusal.faults, refusal.num_faults)

            def submit() -> Job:
                if checked.data_of:
                    self._share(checked.data_of, folder, asker)
                return self.jobs.submit(
                    folder,
                    checked.name,
                    checked.neural_network_type,
                    idempotency_key=idempotency_key,
                    body_sha256=digest,
                    promote=checked.promote,
                    keep_data=checked.keep_data,
                    token_name="" if author.token_name == NO_TOKEN else author.token_name,
                    token_role=author.role,
                    job_kind=asked.kind,
                )

            def submit_noted() -> Job:
                with self._audit.change(author, "train", checked.name) as changed:
                    job = submit()
                    changed.job = job.id
                return job

            # The other kinds change nothing, so the audit log has nothing to note.
            job = await asyncio.to_thread(submit_noted if asked.kind == "train" else submit)
            is_job = True
        except OSError as error:
            raise StoreRefused("body-not-stored", reason=error.strerror) from error
        finally:
            if not is_job:
                await asyncio.to_thread(self.jobs.discard, folder)
        return job

    def _share(self, job_id: str, folder: Path, asker: tuple[str, str] | None) -> None:
        """Let a new job read the file of an earlier one of the same asker.

        Raises:
            JobNotFound: there is none, or it is somebody else's, or its file has been erased.
        """
        self.job_of(job_id, asker)
        self.jobs.share_upload(job_id, folder)

    def job_of(self, job_id: str, asker: tuple[str, str] | None) -> Job:
        """Return a job that an asker may see.

        Args:
            job_id: of the job.
            asker: name and role of the token whose jobs may be seen; None: all.
        Raises:
            JobNotFound: there is none; or it is another's, which is not to be told apart.
        """
        job = self.jobs.get(job_id)
        if asker is not None and asker != (job.token_name, job.token_role):
            raise JobNotFound("job-not-found", job=job_id, num_kept=KEPT_JOBS)
        return job

    async def wait(self, job: Job) -> Job:
        """Return the job when it has succeeded.

        Raises:
            Draining: the server shuts down; the message names the job.
            TrainingStopped: it was cancelled or interrupted.
            TrainingFailed, and every error that the training found in the request.
        """
        while job.state in ("queued", "running"):
            if await self.drained(POLL_S):
                raise Draining("training-goes-on" if job.kind == "train" else "job-goes-on", job=job.id)
            job = await asyncio.to_thread(self.jobs.get, job.id)
        check_succeeded(job)
        return job


def check_succeeded(job: Job) -> None:
    """Raise the error with which a job has ended, unless it has succeeded.

    Raises:
        TrainingStopped, TrainingFailed, and every error that was found in the request.
    """
    reason, is_training = reason_of(job), job.kind == "train"
    if job.state == "cancelled":
        raise TrainingStopped("training-cancelled" if is_training else "job-stopped", reason=reason)
    if job.state == "interrupted":
        raise TrainingStopped("training-interrupted" if is_training else "job-stopped", reason=reason)
    if job.error:
        raise from_result(job.error, job.problem, job.detail, job.faults, job.num_faults)
    if job.state == "failed":
        raise TrainingFailed("training-failed" if is_training else "job-failed", reason=reason)


def reason_of(job: Job) -> Message | str:
    """Return why a job ended as it did, in every language that there are words in; else as its record words it."""
    return job.problem if job.problem is not None and job.problem.is_known else job.detail


def detail_of(job: Job, language: Language) -> str:
    """Return the same in one language."""
    reason = reason_of(job)
    return reason.detail(language) if isinstance(reason, Message) else reason


async def create_once(
    store: Store,
    training: Training,
    body: CreateModel,
    raw: bytes,
    key: str | None,
    audit: AuditLog,
    author: Author,
) -> None:
    """Record a new, untrained model, unless the same request has come before.

    Args:
        store: that will hold it.
        training: whose jobs remember the keys.
        body: of the request.
        raw: its bytes, by which a repeated request is known.
        key: the client's Idempotency-Key; None without one.
        audit: where the creation is noted.
        author: who asks for it.
    Raises:
        ModelExists, InvalidName, IdempotencyConflict, StoreRefused.
    """
    check_name(body.name)  # or a caller's own text would stand in the audit log

    def create() -> None:
        with training.jobs.once(key, hashlib.sha256(raw).hexdigest()) as is_first:
            if is_first:
                with audit.change(author, "create_model", body.name):
                    store.create_model(body.name, body.neural_network_type)

    await asyncio.to_thread(create)


async def served(job: Job, registry: Registry, language: Language) -> Trained:
    """Return the answer to a training that has succeeded, once this server has loaded what it published.

    Raises:
        TrainingFailed: the version is to serve, and this server refuses it.
    """
    await registry.refresh()
    answer = trained(job, registry, language)
    if not answer.serves and await asyncio.to_thread(registry.store.serving, job.model_name) == job.version:
        raise TrainingFailed("version-not-loaded", version=answer.version)
    return answer


def trained(job: Job, registry: Registry, language: Language) -> Trained:
    """Return what a training that has succeeded came to, as this server knows it now."""
    assert job.version is not None, "a job that succeeded has its version; this is our bug"
    assert job.metrics is not None, "and its metrics"
    return Trained(
        model_name=job.model_name,
        version=job.version,
        job=job.id,
        metrics=job.metrics,
        seconds=job.seconds or 0.0,
        serves=registry.version_of(job.model_name) == job.version,
        detail=detail_of(job, language),
    )


async def _check(folder: Path) -> Checked:
    """Return what the trainer's check says of a spooled body; in a process of its own, which decodes it."""
    try:
        # In a thread, and not by the event loop, which would wait for fork and exec. With `nice` below, what the end of
        # a posted body holds searches up for fell from 14 ms to 5 to 9 (100 MB, one core for server and check).
        process = await asyncio.to_thread(_start_check, folder)
    except OSError as error:
        raise TrainingFailed("check-not-started", reason=error.strerror) from error
    stream = asyncio.StreamReader()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), process.stdout
        )
        try:
            raw = await asyncio.wait_for(_read_all(stream), CHECK_S)
        finally:
            transport.close()
        return msgspec.json.decode(raw, type=Checked)
    except (TimeoutError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TrainingFailed("check-without-answer") from error
    finally:
        process.kill()  # it has ended, but for an answer that is too late or too long; a second signal harms nobody
        await asyncio.to_thread(process.wait)


def _start_check(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the trainer's check of a body, which gives way to searches."""
    process = subprocess.Popen(  # noqa: S603  # our own program, words that are ours
        # nice at once, and idle as soon as we come to it: else its first milliseconds are a search's.
        ["nice", "-n", "19", sys.executable, *SAFE_PATH, "-m", "trainer", "check", str(folder)],  # noqa: S607  # coreutils
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
    )
    with contextlib.suppress(OSError):  # it has ended, or a sandbox forbids it
        give_way(process.pid)  # and not by its own doing: half of its time goes into its imports
    return process


async def _read_all(stream: asyncio.StreamReader) -> bytes:
    """Return what comes until the end of the stream, which a single read would not wait for; CHECK_BYTES at most."""
    raw = bytearray()
    while part := await stream.read(CHECK_BYTES - len(raw)):
        raw += part
    return bytes(raw)


def _write_asked(folder: Path, asked: AskedJob, posted: Posted | None) -> bytes:
    """Write what the address of a request says, and return what of it tells this request from another."""
    said = b"" if asked == TRAIN else msgspec.json.encode(asked)
    (folder / ASKED).write_bytes(msgspec.json.encode(asked))
    if posted is not None:
        facts = msgspec.json.encode(posted.upload)
        (folder / BODY).write_bytes(posted.body)
        (folder / UPLOAD_FACTS).write_bytes(facts)
        said += posted.body + facts
    return said


async def _spool(chunks: AsyncIterator[bytes], path: Path, said: bytes = b"") -> str:
    """Write the body to a new file without holding up the loop, and return its SHA-256, with what was said before."""
    file: BinaryIO = await asyncio.to_thread(open, path, "xb")
    digest = hashlib.sha256(said)

    def write(part: bytes) -> None:
        file.write(part)
        digest.update(part)

    try:
        part = bytearray()
        async for chunk in chunks:
            part += chunk
            if len(part) >= CHUNK_BYTES:
                await asyncio.to_thread(write, bytes(part))
                part.clear()
        await asyncio.to_thread(write, bytes(part))
    finally:
        await asyncio.to_thread(file.close)
    return digest.hexdigest()
