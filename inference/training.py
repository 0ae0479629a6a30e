"""A training that a request asked for: spool its body, run the trainer's process, wait for the result.

The event loop never decodes training data (93 MB decoded beside it held every search up for 1.4 s): chunks go to the
disk in a thread, and the process reads them there. That process is the only place where torch lives.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from artifacts.errors import StoreRefused
from artifacts.jobs import BODY, JobResult, new_job, read_result, remove_job
from artifacts.store import Store
from inference.errors import Draining, TrainerBusy, TrainerMissing, TrainingFailed, from_name
from inference.settings import PREFIX, Settings

CHUNK_BYTES = 2**20  # collected before the disk is asked
LOG_TAIL_BYTES = 4000

log = logging.getLogger("puppet")


def trainer_is_installed() -> bool:
    """Return whether a trainer process could run here; looks without importing."""
    return importlib.util.find_spec("torch") is not None and importlib.util.find_spec("trainer") is not None


class Training:
    """Runs one training at a time; belongs to one event loop."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._is_busy = False
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End a running training and answer whoever waits for it; nothing of it is published."""
        self._draining.set()

    async def train(self, chunks: AsyncIterator[bytes]) -> JobResult:
        """Return the result of training what the body asks for.

        Args:
            chunks: the body as it arrives.
        Raises:
            TrainerMissing, TrainerBusy, Draining, StoreRefused (the body cannot be spooled), TrainingFailed, and every
            error that the trainer's process found in the request.
        """
        if self._settings.trainer == "none":
            raise TrainerMissing(
                "this server does not train (--trainer none); train on a machine that has the extra 'train': "
                f"puppet-train fit DATA --name NAME --store {self._settings.store}"
            )
        if self._draining.is_set():
            raise Draining("the server is shutting down; try again when it is back")
        if self._is_busy:
            raise TrainerBusy("another training is running, one at a time; try again later")
        self._is_busy = True
        try:
            job = await asyncio.to_thread(new_job, self._store)
            try:
                await _spool(chunks, job / BODY)
                result = await self._run(job)
            finally:
                await asyncio.to_thread(remove_job, job)
        except OSError as error:
            raise StoreRefused(f"the training data cannot be stored: {error.strerror}; free some space") from error
        finally:
            self._is_busy = False
        if result.outcome == "refused":
            raise from_name(result.error, result.detail, result.faults, result.num_faults)
        if result.outcome == "failed":
            raise TrainingFailed(f"the training failed: {result.detail}")
        return result

    async def _run(self, job: Path) -> JobResult:
        """Run the trainer's process to its end, the deadline or the drain, whichever comes first."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with open(job / "log.txt", "wb") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "trainer", "run", str(job), "--parent", str(os.getpid())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise TrainingFailed(
                    f"the trainer's process cannot be started: {error.strerror}; free some memory and try again"
                ) from error
        log.info("training %s runs in process %d", job.name, process.pid)
        ended, drained = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait(
                (ended, drained), timeout=self._settings.train_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            drained.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.killpg(process.pid, signal.SIGKILL)  # its own session, so this is the trainer and nothing else
            status = await ended
        result = await asyncio.to_thread(read_result, job)
        if self._draining.is_set() and status < 0 and result is None:
            raise Draining("the server is shutting down, the training was ended and nothing was published")
        if result is None or result.outcome == "failed":
            log.error("training %s: exit status %d: %s", job.name, status, _tail(job / "log.txt"))
        if result is not None:
            return result
        if status == -signal.SIGKILL:
            reason = f"its process was killed (out of memory, or past {self._settings.train_timeout_s:.0f} s)"
        else:
            reason = f"its process ended with status {status} and no result; the server's log has its output"
        return JobResult("failed", reason)


async def _spool(chunks: AsyncIterator[bytes], path: Path) -> None:
    """Write the body to a new file without holding up the loop."""
    file: BinaryIO = await asyncio.to_thread(open, path, "xb")
    try:
        part = bytearray()
        async for chunk in chunks:
            part += chunk
            if len(part) >= CHUNK_BYTES:
                await asyncio.to_thread(file.write, bytes(part))
                part.clear()
        await asyncio.to_thread(file.write, bytes(part))
    finally:
        await asyncio.to_thread(file.close)


def _tail(path: Path) -> str:
    """Return the end of the process's output: tracebacks, which hold code and no ticket."""
    raw = path.read_bytes()[-LOG_TAIL_BYTES:]
    return raw.decode("utf-8", "backslashreplace")
