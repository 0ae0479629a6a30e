"""The progress bar of a training, on a terminal and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from artifacts.networks.manifest import Epoch
from trainer.cli import terminal


def test_bar_shows_loss_accuracy_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line follows the training."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen, force_terminal=True, width=140))

    with terminal.Bar() as bar:
        bar.start(40, 3, is_refit=False)
        bar.step(1, 8, 1.5)
        bar.epoch(Epoch(1, 1.5, 1.2, 0.875, 1000.0))
        bar.step(2, 20, 0.25)
        (task,) = bar._bar.tasks

    assert (task.completed, task.total) == (60, 120)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()[-1]
    assert "epoch 2/3" in shown
    assert "loss 0.250" in shown
    assert "validation 0.875" in shown
    assert re.search(r"[\d,]+ tickets/s", shown)
    assert re.search(r"\d:\d\d:\d\d|-:--:--", shown)


def test_bar_counts_the_second_training_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training on every ticket has a line of its own, which says so and begins at nothing."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen, force_terminal=True, width=140))

    with terminal.Bar() as bar:
        bar.start(40, 3, is_refit=False)
        bar.step(3, 40, 1.5)
        bar.start(50, 2, is_refit=True)
        bar.step(2, 25, 0.5)
        first, second = bar._bar.tasks

    assert [(task.completed, task.total) for task in (first, second)] == [(120, 120), (75, 100)]
    assert (first.description, second.description) == ("epoch 3/3", "all tickets, epoch 2/2")


def test_bar_is_silent_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log holds no bar."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen))

    with terminal.Bar() as bar:
        bar.start(40, 3, is_refit=False)
        bar.step(1, 40, 1.5)
        bar.epoch(Epoch(1, 1.5, None, None, 1000.0))

    assert screen.getvalue() == ""
