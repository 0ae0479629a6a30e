"""The experts of all parts, however the tasks are dealt out."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.trainer import small
from tests.trainer.small import Recorder
from trainer.data.tickets import cut
from trainer.gru import ensemble
from trainer.jobs import parallel
from trainer.kinds import Progress

pytestmark = pytest.mark.torch


def test_experts_are_the_same_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first task is a linear part and the last a GRU, so that how long either takes is soon known."""
    rows = small.rows(small.tickets(4))
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]
    config = small.config(epochs=1, folds=2, grus=2, linear_c=0.0)
    dealt = Recorder()

    def in_turn(tasks: Sequence[Callable[[Progress], Any]], processes: int, progress: Progress) -> list[Any]:
        return [task(progress) for task in tasks]

    def train(processes: int, progress: Progress) -> list[ensemble.Experts]:
        settings = msgspec.structs.replace(config, processes=processes)
        return ensemble.train(rows, targets, cut(rows, 2, 0), len(labels), settings, progress)

    alone = train(1, Recorder())
    monkeypatch.setattr(parallel, "run_all", in_turn)
    together = train(2, dealt)

    assert (dealt.phases[0], dealt.phases[-1]) == ("linear", "network")
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.gru_NC, other.gru_NC)
        np.testing.assert_allclose(one.linear_NC, other.linear_NC)
        assert one.linear_choice == other.linear_choice
