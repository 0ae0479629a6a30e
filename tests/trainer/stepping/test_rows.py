"""AdamW by rows: the schedule is PyTorch's one cycle, and a row that missed steps is where AdamW would have left it."""

import numpy as np
import pytest
import torch

from trainer.stepping.rows import SQUARES, Rows, Schedule

pytestmark = pytest.mark.torch

NUM_STEPS, NUM_ROWS, SIZE = 60, 30, 4


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 60])
def test_schedule_is_the_one_cycle_of_pytorch(num_steps: int) -> None:
    """Rates and momenta of every step are those of OneCycleLR, of the shortest trainings too."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=num_steps + 1)
    expected = []
    for _ in range(num_steps):
        expected.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        cycle.step()

    found = Schedule(num_steps, 0.01, 0.01)

    np.testing.assert_allclose(np.stack((found.rate_J, found.momentum_J), axis=1)[1:], expected, rtol=1e-9)


def dense_and_by_rows(touched: list[list[int]], weight_decay: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a table at its start, stepped whole by PyTorch, and stepped by rows, with the same gradients."""
    generator = torch.Generator().manual_seed(0)
    schedule = Schedule(len(touched), 0.02, weight_decay)
    start = torch.randn(NUM_ROWS, SIZE, generator=generator)
    whole, by_rows = start.clone().requires_grad_(), start.clone()
    optimizer = torch.optim.AdamW([whole], lr=0.02, weight_decay=weight_decay)
    rows = Rows(by_rows, schedule)
    for step, chosen in enumerate(touched, start=1):
        gradient_SE = 1e-3 * torch.randn(len(chosen), SIZE, generator=generator)
        optimizer.param_groups[0].update(lr=schedule.rate_J[step], betas=(schedule.momentum_J[step], SQUARES))
        whole.grad = torch.zeros_like(whole)
        whole.grad[chosen] = gradient_SE
        optimizer.step()
        rows.take(torch.tensor(chosen, dtype=torch.int64))
        rows.step(gradient_SE)
    rows.catch_up()
    return start, whole.detach(), by_rows


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.1])
def test_rows_that_miss_steps_are_where_adamw_leaves_them(weight_decay: float) -> None:
    """Rows of all habits, from one that every step touches to one that none does, end within 1/300 of their way."""
    random = np.random.default_rng(1)
    often_R = np.linspace(0, 1, NUM_ROWS)
    touched = [np.flatnonzero(random.random(NUM_ROWS) < often_R).tolist() for _ in range(NUM_STEPS)]

    start, whole, by_rows = dense_and_by_rows(touched, weight_decay)

    assert (whole - start).abs().max() > 0.1, "the table has moved, so equality says something"
    torch.testing.assert_close(by_rows, whole, rtol=0, atol=float((whole - start).abs().max()) / 300)


def test_a_row_that_every_step_touches_is_adamw_s() -> None:
    """With nothing to catch up, only rounding is left."""
    start, whole, by_rows = dense_and_by_rows([list(range(NUM_ROWS))] * NUM_STEPS, 0.01)

    torch.testing.assert_close(by_rows, whole, rtol=1e-5, atol=1e-6)
    assert not torch.equal(start, whole)


def test_momentum_runs_out_after_the_last_gradient() -> None:
    """A row that is touched once goes on moving in the direction of its step, as AdamW has it."""
    start, whole, by_rows = dense_and_by_rows([[3]] + [[7]] * 40, 0.0)

    first_E = 0.02 / 25 * torch.ones(SIZE)  # a first step of AdamW is the rate in each entry
    assert ((whole[3] - start[3]).abs() > 2 * first_E).all()
    torch.testing.assert_close(by_rows[3], whole[3], rtol=0, atol=1e-4)
