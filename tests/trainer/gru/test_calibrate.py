"""The temperature: found where it is known, harmless where there is nothing to find."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.gru.calibrate import RANGE, fit_share, fit_temperature

pytestmark = pytest.mark.torch


def drawn(temperature: float, num_tickets: int, num_categories: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random logits and labels that were drawn from softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    logits_NC = random.normal(scale=3.0, size=(num_tickets, num_categories))
    # The largest of z/T + Gumbel noise is a draw from softmax(z/T).
    targets_N = (logits_NC / temperature + random.gumbel(size=logits_NC.shape)).argmax(axis=1)
    return torch.tensor(logits_NC, dtype=torch.float32), torch.tensor(targets_N)


def cross_entropy(logits_NC: torch.Tensor, targets_N: torch.Tensor, temperature: float) -> float:
    """Return the mean of -log softmax(z/T)[label] in float64."""
    z_NC = logits_NC.double().numpy() / temperature
    log_sum_N = np.log(np.exp(z_NC - z_NC.max(axis=1, keepdims=True)).sum(axis=1)) + z_NC.max(axis=1)
    return float((log_sum_N - z_NC[np.arange(len(z_NC)), targets_N.numpy()]).mean())


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 2.0, 5.0])
def test_known_temperature_is_found(temperature: float) -> None:
    """Labels drawn at a temperature give it back within 10 %."""
    logits_NC, targets_N = drawn(temperature, 5000, 6, seed=1)

    found = fit_temperature(logits_NC, targets_N)

    assert found.temperature == pytest.approx(temperature, rel=0.1)


def test_found_temperature_is_the_lowest_point() -> None:
    """No temperature on a fine grid has a lower cross entropy than the one that is found."""
    logits_NC, targets_N = drawn(2.0, 300, 4, seed=2)

    found = fit_temperature(logits_NC, targets_N)

    grid = np.geomspace(*RANGE, 400)
    lowest = min(cross_entropy(logits_NC, targets_N, temperature) for temperature in grid)
    assert found.loss_after is not None
    assert found.loss_after <= lowest + 1e-4


def test_losses_before_and_after_are_those_of_the_temperatures() -> None:
    """What is recorded is the cross entropy at T = 1 and at the temperature found."""
    logits_NC, targets_N = drawn(3.0, 200, 4, seed=3)

    found = fit_temperature(logits_NC, targets_N)

    assert found.loss_before == pytest.approx(cross_entropy(logits_NC, targets_N, 1.0), abs=1e-5)
    assert found.loss_after == pytest.approx(cross_entropy(logits_NC, targets_N, found.temperature), abs=1e-5)


@given(
    num_tickets=st.integers(1, 12),
    num_categories=st.integers(2, 5),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 10_000),
)
def test_loss_is_never_worse_and_accuracy_is_unchanged(
    num_tickets: int, num_categories: int, scale: float, seed: int
) -> None:
    """Whatever the logits, T is a finite number in its range, the loss does not rise and no answer changes."""
    random = np.random.default_rng(seed)
    logits_NC = torch.tensor(random.normal(scale=scale, size=(num_tickets, num_categories)), dtype=torch.float32)
    targets_N = torch.tensor(random.integers(num_categories, size=num_tickets))

    found = fit_temperature(logits_NC, targets_N)

    assert RANGE[0] * 0.999 <= found.temperature <= RANGE[1] * 1.001
    assert found.loss_before is not None
    assert found.loss_after is not None
    assert math.isfinite(found.loss_after)
    assert found.loss_after <= found.loss_before
    assert torch.equal((logits_NC / found.temperature).argmax(dim=1), logits_NC.argmax(dim=1))


def test_no_validation_tickets_give_1() -> None:
    """With nothing to measure, the logits stay as they are, and no loss is claimed."""
    found = fit_temperature(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))

    assert (found.temperature, found.loss_before, found.loss_after) == (1.0, None, None)


def test_equal_logits_give_1() -> None:
    """Where no temperature changes anything, none is claimed."""
    found = fit_temperature(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1]))

    assert found.temperature == 1.0
    assert found.loss_after == found.loss_before


def test_hand_worked_temperature_is_exact() -> None:
    """Logits (2, 0), right 3 times of 4: softmax must give 3/4, so 2/T = ln 3 and T = 2/ln 3 = 1.8205."""
    found = fit_temperature(torch.tensor([[2.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))

    assert found.temperature == pytest.approx(2 / math.log(3), rel=1e-9)


def test_all_right_tiny_set_stays_within_the_range() -> None:
    """Three right answers would ask for T = 0; they get the lowest temperature allowed or more, and finite losses."""
    logits_NC, targets_N = torch.eye(3) * 2.0, torch.arange(3)

    found = fit_temperature(logits_NC, targets_N)

    assert RANGE[0] * 0.999 <= found.temperature < 1.0
    assert found.loss_after is not None
    assert math.isfinite(found.loss_after)


def test_all_wrong_tiny_set_stays_within_the_range() -> None:
    """Three wrong answers would ask for T = infinity; they get the highest temperature allowed or less."""
    logits_NC, targets_N = torch.eye(3) * 2.0, torch.tensor([1, 2, 0])

    found = fit_temperature(logits_NC, targets_N)

    assert 1.0 < found.temperature <= RANGE[1] * 1.001


# The share


def experts(num_tickets: int, gru: float, linear: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return two experts' logits and the truth, which the experts see through noise of these sizes."""
    random = np.random.default_rng(3)
    targets_N = random.integers(4, size=num_tickets)
    truth_NC = np.eye(4)[targets_N]
    gru_NC, linear_NC = (
        torch.from_numpy(truth_NC + random.normal(scale=noise, size=truth_NC.shape)) for noise in (gru, linear)
    )
    return gru_NC, linear_NC * 0.1, torch.from_numpy(targets_N)


def test_experts_that_err_as_often_share_alike() -> None:
    """Though the one speaks ten times as softly: each is brought to its own temperature first."""
    mixture = fit_share(*experts(4000, 0.7, 0.7))

    assert 0.4 <= mixture.share <= 0.6
    assert mixture.linear_weight == pytest.approx(10 * mixture.weight, rel=0.5)


def test_expert_that_only_repeats_the_other_worse_is_not_heard() -> None:
    """What it says is the other's answer with noise on it."""
    gru_NC, _, targets_N = experts(4000, 0.5, 1.0)
    noise_NC = torch.randn(gru_NC.shape, generator=torch.Generator().manual_seed(0), dtype=gru_NC.dtype)

    assert fit_share(gru_NC, gru_NC + noise_NC, targets_N).share <= 0.1


def test_linear_part_leads_where_the_gru_knows_nothing() -> None:
    """As on a few dozen tickets; the GRU keeps a twentieth."""
    _, linear_NC, targets_N = experts(400, 1.0, 0.3)

    mixture = fit_share(torch.randn(400, 4, generator=torch.Generator().manual_seed(0)), linear_NC, targets_N)

    assert mixture.share >= 0.85


def test_two_experts_together_are_never_less_probable_than_the_gru_alone() -> None:
    """A share of 0 is among those that are tried."""
    gru_NC, linear_NC, targets_N = experts(300, 0.8, 0.9)

    mixture = fit_share(gru_NC, linear_NC, targets_N)

    together = fit_temperature(mixture.logits(gru_NC, linear_NC), targets_N).loss_after
    alone = fit_temperature(gru_NC, targets_N).loss_after
    assert together is not None
    assert alone is not None
    assert together <= alone


def test_no_tickets_mean_half_and_half() -> None:
    """There is nothing to learn the share from."""
    mixture = fit_share(torch.empty(0, 4), torch.empty(0, 4), torch.empty(0, dtype=torch.int64))

    assert (mixture.share, mixture.weight, mixture.linear_weight) == (0.5, 0.5, 2.0)


@pytest.mark.parametrize("num_tickets", [4, 40, 400])
def test_tickets_that_are_all_right_justify_no_certainty(num_tickets: int) -> None:
    """Of N right answers out of N the next is right with (N + 1) / (N + 2); the logits could claim anything."""
    targets_N = torch.arange(num_tickets) % 2
    logits_NC = torch.nn.functional.one_hot(targets_N).double()

    found = fit_temperature(logits_NC, targets_N)

    claimed = torch.softmax(logits_NC / found.temperature, dim=1).amax(dim=1).mean().item()
    assert claimed == pytest.approx((num_tickets + 1) / (num_tickets + 2), abs=1e-6)
