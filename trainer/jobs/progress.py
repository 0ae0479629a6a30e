"""The progress of a job's training, written into its folder for those who follow it (artifacts/jobs/events.py)."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import StoreRefused
from artifacts.jobs.events import Event, append_event
from artifacts.networks.manifest import Epoch
from artifacts.store.versions import now


class EventProgress:
    """Follow a training as `kinds.Progress` does, with an event for each part of it and for each epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_epochs = 0
        self._start = 0.0

    def data(self, lines: Sequence[str]) -> None:
        """Write what the data is, from the lines that a terminal would show; they hold no word of a ticket."""
        self._write(Event(kind="message", time=now(), detail="; ".join(line.strip() for line in lines)))

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Write how much there is to do."""
        self._num_epochs, self._start = num_epochs, time.monotonic()
        what = f"training again on all {num_tickets} rows" if is_refit else f"training on {num_tickets} rows"
        self._write(Event(kind="message", time=now(), num_epochs=num_epochs, detail=what))

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Write nothing: an event an epoch is enough."""

    def epoch(self, epoch: Epoch) -> None:
        """Write the metrics of an epoch, and how long the rest of them can take."""
        seconds = time.monotonic() - self._start
        self._write(
            Event(
                kind="epoch",
                time=now(),
                epoch=epoch.epoch,
                num_epochs=self._num_epochs,
                loss=epoch.loss,
                validation_loss=epoch.validation_loss,
                validation_accuracy=epoch.validation_accuracy,
                tickets_per_s=epoch.tickets_per_s,
                seconds_left=round(seconds / epoch.epoch * (self._num_epochs - epoch.epoch), 1),
            )
        )

    def _write(self, event: Event) -> None:
        """Append an event; past the limit of the file no more are written, and the training goes on."""
        with contextlib.suppress(StoreRefused):  # a full disk may have room again before there is a version to write
            append_event(self._folder, event)
