"""Settings in a given time: what was set by hand stays, and what is found is better than what was asked for."""

import itertools
import time
import types

import msgspec
import optuna
import pytest

from artifacts.errors import InvalidInput
from artifacts.networks.gru_records import GruReport, Trials
from artifacts.store.store import Store
from tests.trainer import small
from trainer import run
from trainer.config import TrainConfig, resolve
from trainer.data.tickets import split
from trainer.gru import ensemble
from trainer.gru.ensemble import Learnt, lesson
from trainer.kinds import Silent
from trainer.selection import tune

pytestmark = pytest.mark.torch

CONFIG = small.config(epochs=2, lr=8e-3, embedding=32, hidden=32, minutes=1.0)


def test_what_was_set_by_hand_is_not_proposed_anew() -> None:
    """Of five settings and the size, those that differ from the default are the caller's."""
    asked = resolve(TrainConfig(dropout=0.25, hidden=24), 5000)
    trial = optuna.create_study().ask()

    found = tune.proposal(asked, trial)

    assert (found.dropout, found.hidden) == (0.25, 24)
    assert (found.lr, found.label_smoothing) != (asked.lr, asked.label_smoothing)
    assert 3e-3 <= found.lr <= 2e-2


def searched(monkeypatch: pytest.MonkeyPatch, loss_of_lr: dict[bool, float]) -> tuple[TrainConfig, Trials]:
    """Return what a search comes to in which a trial's loss depends on whether its rate is the one asked for."""
    rows = small.rows(small.tickets(10))
    targets = [sorted(rows.categories).index(ticket.expected) for ticket in rows.tickets]
    part = split(rows, 0.25, 0)
    told: list[float] = []

    def fake(one: object, config: TrainConfig, progress: object) -> Learnt:
        told.append(config.lr)
        return Learnt({}, found.logits_NC)

    one = lesson(rows, targets, part, 4, CONFIG, False)
    (found,) = ensemble.fit_linear(one, msgspec.structs.replace(CONFIG, pairs=0), [1.0], Silent())
    monkeypatch.setattr(ensemble, "train_gru", fake)
    monkeypatch.setattr(tune, "fit_temperature", lambda *_: Loss(loss_of_lr[told.pop() == CONFIG.lr]))
    clock = itertools.count()  # a second passes with every look at it, however busy the machine is
    monkeypatch.setattr(tune, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    return tune.search(one, [targets[row] for row in part[1]], CONFIG, 20.0, Silent())


class Loss(msgspec.Struct):
    """What `fit_temperature` gives, as far as the search looks at it."""

    loss_after: float


def test_better_settings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those under which the tickets kept out are likelier, by more than luck."""
    config, found = searched(monkeypatch, {True: 1.0, False: 0.5})

    assert config.lr != CONFIG.lr
    assert (found.loss_before, found.loss_after) == (1.0, 0.5)
    assert found.num_trials > 1


@pytest.mark.parametrize("other", [0.995, 1.5])
def test_settings_asked_for_stay_unless_they_are_beaten(monkeypatch: pytest.MonkeyPatch, other: float) -> None:
    """Less than a hundredth of the loss is luck."""
    config, found = searched(monkeypatch, {True: 1.0, False: other})

    assert config == CONFIG
    assert found.num_trials > 1


def test_training_with_a_time_is_done_in_time_and_says_what_it_tried(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real search, a few trials long, within the minutes and a tenth of grace; the report keeps it.

    Pace, plan and end are read on the clock of this process's own work, which stands still while others have the core.
    """
    monkeypatch.setattr(time, "monotonic", time.process_time)
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    rows = small.rows(small.tickets(10))
    start = time.process_time()

    manifest, report = run.fit(empty, small.NAME, rows, small.config(epochs=2, minutes=0.4, processes=1))

    assert time.process_time() - start < 0.4 * 60 * 1.1
    assert isinstance(report, GruReport)
    assert report.search is not None
    assert report.search.num_trials >= 1
    assert manifest.training["minutes"] == 0.4


def test_too_little_time_is_refused_before_training(empty: Store) -> None:
    """With what the least takes; nothing is published."""
    with pytest.raises(InvalidInput, match="give more minutes"):
        run.fit(empty, small.NAME, small.rows(small.tickets(10)), small.config(minutes=0.01))

    assert empty.versions(small.NAME) == []


def test_missing_optuna_is_named_with_the_remedy(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(InvalidInput, match="install the extra tune"):
        run.fit(empty, small.NAME, small.rows(small.tickets(10)), small.config(minutes=1.0))
