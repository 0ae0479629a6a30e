"""A training that nobody has to ask for: queued once enough corrections have come since the last one (`train_after`).

    POST /feedback ─► kept ─► how many since the model's last training was asked for? ─► POST /train_model of our own

It trains as a request with `include_feedback` and `promote = "if_better"` would: the new version serves only if it is
surely better than the one that serves.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec

from artifacts.errors import PuppetError
from artifacts.jobs.records import Job
from artifacts.jobs.request import TrainModel
from artifacts.store import feedback
from artifacts.store.audit import Author
from artifacts.store.store import Store
from inference.training import Training

LOOKED_AT = 100  # newest jobs in which the model's last training is looked for
NOBODY_ASKED = Author("(train_after)", "")  # in the audit log; brackets are in no token's name

log = logging.getLogger("puppet")


class Retraining:
    """Queues trainings on corrections; belongs to one event loop."""

    def __init__(self, store: Store, training: Training, train_after: int) -> None:
        """Take what trains, and after how many corrections; 0 never queues one."""
        self._store = store
        self._training = training
        self._train_after = train_after
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
            record = await asyncio.to_thread(self._store.read_model, name)
            body = TrainModel[msgspec.Raw](name, record.neural_network_type, promote="if_better", include_feedback=True)
            # Every worker counts the same corrections: the key makes one training of what two of them ask for.
            key = f"train_after-{name}-{last.id if last is not None else 'first'}"
            job = await self._training.submit(_once(msgspec.json.encode(body)), key, NOBODY_ASKED)
            log.info("model %s: %d new corrections, training %s is queued (train_after)", name, num_new, job.id)
        except PuppetError as error:
            log.error("model %s: the training that is due cannot be queued (train_after): %s", name, error)

    def _last_training(self, name: str) -> Job | None:
        return next((job for job in self._training.jobs.list(LOOKED_AT) if job.model_name == name), None)


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
