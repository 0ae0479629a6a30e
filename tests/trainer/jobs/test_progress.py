"""What a job's folder says of its training while it goes on."""

from pathlib import Path

import msgspec
import pytest

from artifacts.jobs.events import Event
from artifacts.jobs.records import EVENTS
from artifacts.networks.manifest import Epoch
from trainer.jobs.pace import OUTSIDE_S, Round
from trainer.jobs.progress import FIRST_S, QUIET_S, EventProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def written(folder: Path) -> list[Event]:
    """Return the events in a folder."""
    return [msgspec.json.decode(line, type=Event) for line in (folder / EVENTS).read_bytes().splitlines()]


def test_time_that_is_left_is_what_the_steps_so_far_took(tmp_path: Path, clock: list[float]) -> None:
    """After 2 of 8 epochs in 3 seconds there are 9 seconds left, at most; a second training begins a new count."""
    progress = EventProgress(tmp_path)
    progress.phase("network")
    progress.start(10, 8, is_refit=False)
    clock[0] = 103.0
    progress.step(2, 10, 0.5)

    progress.epoch(Epoch(2, 0.5, None, None, 10.0))
    progress.start(12, 3, is_refit=True)
    clock[0] = 104.0
    progress.step(1, 12, 0.25)
    progress.epoch(Epoch(1, 0.25, 0.75, 0.5, 10.0))

    events = [event for event in written(tmp_path) if event.kind != "phase"]
    assert [event.seconds_left for event in events] == [None, 9.0, None, 2.0]
    assert [event.phase for event in events] == [None, "network", None, "network"]
    assert [event.num_epochs for event in events] == [8, 8, 3, 3]
    assert [event.detail for event in events] == [
        "training on 10 rows",
        None,
        "training again on all 12 rows",
        None,
    ]


def test_each_phase_is_told_once(tmp_path: Path, clock: list[float]) -> None:
    """A phase that comes again at once, as of one linear part after another, is no news."""
    progress = EventProgress(tmp_path)

    for phase in ("read", "check", "linear", "linear", "network", "linear"):
        progress.phase(phase)

    assert [event.phase for event in written(tmp_path)] == ["read", "check", "linear", "network", "linear"]
    assert {(event.kind, event.seconds_left) for event in written(tmp_path)} == {("phase", None)}


def test_long_epoch_says_how_much_is_left_now_and_then(tmp_path: Path, clock: list[float]) -> None:
    """10,000 steps of 10 ms write ten events: one after the first second, then one each ten seconds."""
    progress = EventProgress(tmp_path)
    progress.phase("network")
    progress.start(10_000, 2, is_refit=False)

    for step in range(10_000):
        clock[0] += 0.01
        progress.step(1, step + 1, 0.5)

    _, _, first, *rest = written(tmp_path)
    assert first.seconds_left == pytest.approx((20_000 - FIRST_S * 100) * 0.01, abs=0.1)
    assert len(rest) == (100.0 - FIRST_S) // QUIET_S
    assert [event.seconds_left for event in rest] == sorted((event.seconds_left or 0.0 for event in rest), reverse=True)
    assert rest[-1].seconds_left == pytest.approx(100.0 + 100.0 - FIRST_S - QUIET_S * len(rest), abs=0.2)


def test_whole_time_is_told_once(tmp_path: Path, clock: list[float]) -> None:
    """A tenth of a second a row, 20 rows: 2 s of steps and 6 outside them, told in one event and in no other."""
    progress = EventProgress(tmp_path)
    progress.plan([Round("parts", 10, 1, 0, 2, 1)])
    progress.phase("network")
    progress.start(10, 2, is_refit=False)
    for epoch in (1, 2):
        for row in range(10):
            clock[0] += 0.1
            progress.step(epoch, row + 1, 0.5)

    told = [event.seconds_expected for event in written(tmp_path) if event.seconds_expected is not None]
    assert told == [pytest.approx(OUTSIDE_S + 2.0, abs=0.1)]


def test_folder_that_is_gone_ends_no_training(tmp_path: Path, clock: list[float]) -> None:
    """Progress is told to nobody then."""
    progress = EventProgress(tmp_path / "gone")

    progress.phase("read")
    progress.epoch(Epoch(1, 0.5, None, None, 10.0))

    assert not (tmp_path / "gone").exists()
