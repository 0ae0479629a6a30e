"""What a job's folder says of its training while it goes on."""

from pathlib import Path

import msgspec
import pytest

from artifacts.jobs.events import Event
from artifacts.jobs.records import EVENTS
from artifacts.networks.manifest import Epoch
from trainer.jobs.progress import EventProgress


def test_time_that_is_left_is_what_the_epochs_so_far_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 2 of 8 epochs in 3 seconds there are 9 seconds left, at most; a second training begins a new count."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = EventProgress(tmp_path)
    progress.start(10, 8, is_refit=False)
    clock[0] = 103.0
    progress.step(1, 5, 0.5)

    progress.epoch(Epoch(2, 0.5, None, None, 10.0))
    progress.start(12, 3, is_refit=True)
    clock[0] = 104.0
    progress.epoch(Epoch(1, 0.25, 0.75, 0.5, 10.0))

    events = [msgspec.json.decode(line, type=Event) for line in (tmp_path / EVENTS).read_bytes().splitlines()]
    assert [event.seconds_left for event in events] == [None, 9.0, None, 2.0]
    assert [event.num_epochs for event in events] == [8, 8, 3, 3]
    assert [event.detail for event in events] == [
        "training on 10 rows",
        None,
        "training again on all 12 rows",
        None,
    ]
