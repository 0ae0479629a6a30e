"""The progress bar of a training, on a terminal and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from artifacts.networks.manifest import Epoch
from trainer.cli import terminal
from trainer.jobs.pace import Round


def test_bar_shows_phase_loss_accuracy_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line follows the training as a whole, and one each network."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen, force_terminal=True, width=140))
    now = [10.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    with terminal.Bar() as bar:
        bar.plan([Round("parts", 40, 1, 1, 3, 1), Round("all", 50, 1, 1, 3, 1)])
        bar.phase("linear")
        bar.fitted(40)
        (whole,) = bar._bar.tasks
        assert (whole.description, whole.fields["says"]) == ("linear part", "")
        bar.phase("network")
        bar.start(40, 3, is_refit=False)
        bar.step(1, 8, 1.5)
        bar.epoch(Epoch(1, 1.5, 1.2, 0.875, 1000.0))
        now[0] += 52.0  # a second a ticket, so that 60 of 120 are left, and 150 of the next network
        bar.step(2, 20, 0.25)
        whole, task = bar._bar.tasks
        assert whole.fields["says"] == "about 0:03:38 left"

    assert (task.completed, task.total) == (60, 120)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    assert any("networks" in line for line in shown)
    assert "epoch 2/3" in shown[-1]
    assert "loss 0.250" in shown[-1]
    assert "validation 0.875" in shown[-1]
    assert re.search(r"[\d,]+ tickets/s", shown[-1])


def test_bar_counts_the_second_training_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training on every ticket has a line of its own, which says so and begins at nothing."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen, force_terminal=True, width=140))

    with terminal.Bar() as bar:
        bar.phase("network")
        bar.start(40, 3, is_refit=False)
        bar.step(3, 40, 1.5)
        bar.start(50, 2, is_refit=True)
        bar.step(2, 25, 0.5)
        _, first, second = bar._bar.tasks

    assert [(task.completed, task.total) for task in (first, second)] == [(120, 120), (75, 100)]
    assert (first.description, second.description) == ("epoch 3/3", "all tickets, epoch 2/2")


def test_whole_time_is_a_line_of_a_log_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """10 tickets in 2 s, twice, and 6 s outside: said when it is known, though nobody sees the bar; then kept."""
    monkeypatch.setattr(terminal, "err", Console(file=io.StringIO()))
    now = [10.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    with terminal.Bar() as bar:
        bar.plan([Round("parts", 10, 1, 0, 2, 1)])
        bar.phase("network")
        bar.start(10, 2, is_refit=False)
        for epoch in (1, 2):
            for row in range(10):
                now[0] += 0.2
                bar.step(epoch, row + 1, 0.5)

    assert capsys.readouterr().out == "this training takes about 0:00:10\n"
    assert bar.expected_s == pytest.approx(10.0, abs=0.2)


def test_bar_is_silent_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log holds no bar."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=screen))

    with terminal.Bar() as bar:
        bar.phase("network")
        bar.start(40, 3, is_refit=False)
        bar.step(1, 40, 1.5)
        bar.epoch(Epoch(1, 1.5, None, None, 1000.0))

    assert screen.getvalue() == ""
