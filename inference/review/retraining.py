"""A training that nobody has to ask for: queued once enough corrections have come since the last one (`train_after`).

    POST /feedback ─► kept ─► how many since the model's last training was asked for? ─► POST /train_model of our own

It trains on what the last full training with `keep_data` was given, and on the corrections; on the corrections alone
where no such data is kept. With `train_from` it starts from the version that serves, and takes seconds. The new version
serves only if it is surely better than the one that serves.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import msgspec

from artifacts.errors import PuppetError
from artifacts.jobs.records import BODY, Job, read_upload
from artifacts.jobs.request import TrainModel
from artifacts.store import feedback
from artifacts.store.audit import Author
from artifacts.store.store import Store
from inference.training import Training

LOOKED_AT = 100  # newest trainings of a model in which one whose data is kept is looked for
NOBODY_ASKED = Author("(train_after)", "")  # in the audit log; brackets are in no token's name

log = logging.getLogger("puppet")


class Retraining:
    """Queues trainings on corrections; belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        training: Training,
        train_after: int,
        train_from: Literal["nothing", "serving"] = "nothing",
    ) -> None:
        """Take what trains, after how many corrections (0 never queues one), and where it starts."""
        self._store = store
        self._training = training
        self._train_after = train_after
        self._train_from = train_from
        self._looking: dict[str, asyncio.Task[None]] = {}  # model -> look that is under way

    def note(self, name: str) -> None:
        """Look whether a training is due, now that a model has one correction more; the answer does not wait for it."""
        if self._train_after and name not in self._looking:
            task = asyncio.get_running_loop().create_task(self._queue_if_due(name))
            self._looking[name] = task
            task.add_done_callback(lambda _: self._looking.pop(name, None))

    async def _queue_if_due(self, name: str) -> None:
        """Queue a training if it is due; what goes wrong is logged, and the next correction tries again."""
        try:
            last = await asyncio.to_thread(self._last_training, name)
            created = last.created if last is not None else ""
            num_new = await asyncio.to_thread(feedback.count_after, self._store, name, created)
            if num_new < self._train_after:
                return
            body = await asyncio.to_thread(self._request, name)
            # Every worker counts the same corrections: the key makes one training of what two of them ask for.
            key = f"train_after-{name}-{last.id if last is not None else 'first'}"
            job = await self._training.submit(_once(msgspec.json.encode(body)), key, NOBODY_ASKED)
            log.info("model %s: %d new corrections, training %s is queued (train_after)", name, num_new, job.id)
        except (PuppetError, OSError, msgspec.DecodeError) as error:
            log.error("model %s: the training that is due cannot be queued (train_after): %s", name, error)

    def _last_training(self, name: str) -> Job | None:
        return next(self._trainings(name), None)

    def _trainings(self, name: str) -> Iterator[Job]:
        """Yield the trainings of a model, the newest first."""
        return iter(self._training.jobs.list(LOOKED_AT, trained=name))

    def _request(self, name: str) -> TrainModel[msgspec.Raw]:
        """Return what is asked for: the newest training whose data is kept once more, and the corrections with it."""
        record = self._store.read_model(name)
        body = TrainModel[msgspec.Raw](name, record.neural_network_type)
        kept = next((job for job in self._trainings(name) if job.keep_data and self._is_full(job)), None)
        if kept is not None:
            folder = self._training.jobs.folder(kept.id)
            # Where a file was posted, its request holds no row, and says how the file was read and what was put right.
            # A body of rows may have 256 MiB, which no server decodes: it is read as a file, with the default settings.
            if read_upload(folder) is not None:
                body = msgspec.json.decode((folder / BODY).read_bytes(), type=TrainModel[msgspec.Raw])
            body = msgspec.structs.replace(body, data_of=kept.id)
        # Its own data is kept as well, so that the next one finds it.
        # A model that has no version yet has none to start from.
        is_start = self._train_from == "serving" and self._store.serving(name) is not None
        return msgspec.structs.replace(
            body,
            promote="if_better",
            include_feedback=True,
            keep_data=kept is not None,
            start="serving" if is_start else None,
        )

    def _is_full(self, job: Job) -> bool:
        """Return whether a training has published a version that learnt from all of its data, and not on top of one."""
        if job.state != "succeeded":
            return False
        try:
            return job.version is None or self._store.read_manifest(job.model_name, job.version).started_from is None
        except (PuppetError, OSError):  # deleted since; then its data is all that there is to go by
            return True


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
