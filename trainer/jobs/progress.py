"""The progress of a job's training, written into its folder for those who follow it (artifacts/jobs/events.py).

An event each time that the training turns to something else, and after each epoch; one that says how long it will take
in all, once that is known; in between only where a while has
passed without one, so that a long epoch is not taken for a standstill and a log stays short.
"""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import StoreRefused
from artifacts.jobs.events import Event, Phase, append_event
from artifacts.networks.manifest import Epoch
from artifacts.store.versions import now
from trainer.jobs.pace import Estimate, Round

QUIET_S = 10.0  # without an event, after which how much is left is said again
FIRST_S = 1.0  # of steps, after which it is said for the first time


class EventProgress:
    """Follow a training as `kinds.Progress` does, with an event for each phase, part and epoch of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_epochs = 0
        self._phase: Phase | None = None
        self._left = Estimate()
        self._told_s = 0.0  # when something was told last
        self._knows = False  # whether what was told last of the phase said how much is left
        self._has_said = False  # how long it takes in all

    def data(self, lines: Sequence[str]) -> None:
        """Write what the data is, from the lines that a terminal would show; they hold no word of a ticket."""
        self._write(Event(kind="message", time=now(), detail="; ".join(line.strip() for line in lines)))

    def plan(self, rounds: Sequence[Round]) -> None:
        """Take what the time that is left is counted by."""
        self._left.plan(rounds)

    def phase(self, phase: Phase) -> None:
        """Write what begins, unless that goes on already."""
        self._left.phase(phase)
        if phase != self._phase:
            self._phase = phase
            self._write_phase()

    def fitted(self, num_tickets: int) -> None:
        """Write nothing: it only tells how fast a linear part is fitted."""
        self._left.fitted(num_tickets)

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Write how much there is to do."""
        self._left.start(num_tickets, num_epochs)
        self._num_epochs = num_epochs
        what = f"training again on all {num_tickets} rows" if is_refit else f"training on {num_tickets} rows"
        self._write(Event(kind="message", time=now(), num_epochs=num_epochs, detail=what))

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:  # noqa: ARG002  # an epoch says its loss
        """Write how much is left, if nothing was written for a while."""
        self._left.step(epoch, num_tickets)
        if self._left.expected_s is not None and not self._has_said:
            self._has_said = True
            self._write_phase(round(self._left.expected_s, 1))
        elif time.monotonic() - self._told_s > (QUIET_S if self._knows else FIRST_S):
            self._write_phase()

    def epoch(self, epoch: Epoch) -> None:
        """Write the metrics of an epoch, and how much is left."""
        self._write(
            Event(
                kind="epoch",
                time=now(),
                phase=self._phase,
                epoch=epoch.epoch,
                num_epochs=self._num_epochs,
                loss=epoch.loss,
                validation_loss=epoch.validation_loss,
                validation_accuracy=epoch.validation_accuracy,
                tickets_per_s=epoch.tickets_per_s,
                seconds_left=self._seconds_left(),
            )
        )

    def _write_phase(self, expected_s: float | None = None) -> None:
        self._write(
            Event(
                kind="phase",
                time=now(),
                phase=self._phase,
                seconds_left=self._seconds_left(),
                seconds_expected=expected_s,
            )
        )

    def _seconds_left(self) -> float | None:
        left = self._left.seconds_left()
        return None if left is None else round(left, 1)

    def _write(self, event: Event) -> None:
        """Append an event; past the limit of the file no more are written, and the training goes on."""
        self._told_s = time.monotonic()
        if event.phase is not None:
            self._knows = event.seconds_left is not None
        with contextlib.suppress(StoreRefused):  # a full disk may have room again before there is a version to write
            append_event(self._folder, event)
