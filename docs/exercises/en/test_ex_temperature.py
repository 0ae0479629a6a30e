"""The check of the exercise."""

import math

import ex_temperature
import numpy as np
import pytest
import torch

from trainer.gru.calibrate import fit_temperature


def test_the_four_tickets_of_the_chapter() -> None:
    """Logits 2 and 0, right three times in four: T = 2 / ln 3."""
    found = ex_temperature.best_temperature(np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1]))

    assert found == pytest.approx(2 / math.log(3), abs=1e-3)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_equals_that_of_the_library(true_temperature: float) -> None:
    """A model that is too humble, one that is right and one that is too bold get the T of `fit_temperature`."""
    random = np.random.default_rng(0)
    logits_NC = random.normal(size=(500, 5)) * 3
    odds_NC = np.exp(logits_NC / true_temperature)
    targets_N = np.array([random.choice(5, p=odds_C / odds_C.sum()) for odds_C in odds_NC])

    found = ex_temperature.best_temperature(logits_NC, targets_N)

    expected = fit_temperature(torch.tensor(logits_NC), torch.tensor(targets_N)).temperature
    assert found == pytest.approx(expected, rel=0.02)
    assert found == pytest.approx(true_temperature, rel=0.2)


def test_all_right_asks_for_the_lower_bound() -> None:
    """Tickets that are all right would like to be infinitely sure; the range ends at 0.05."""
    found = ex_temperature.best_temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))

    assert found == pytest.approx(0.05, rel=1e-3)
