"""AdamW by rows: the schedule is PyTorch's one cycle, and a row that missed steps is where AdamW would have left it."""

import numpy as np
import pytest
import torch

from trainer.stepping import rows as module
from trainer.stepping.rows import SQUARES, Schedule, SteppedTable, as_one_row, kernel, shortening

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
    rows = SteppedTable(by_rows, schedule)
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


@pytest.fixture(params=["kernel", "PyTorch"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Step rows by the kernel, and as where there is no compiler."""
    if request.param == "PyTorch":
        monkeypatch.setattr(module, "kernel", lambda: None)
    elif kernel() is None:
        pytest.skip("there is no kernel; run python -m artifacts.networks.engines.build")
    return str(request.param)


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


def test_rows_of_any_size_are_stepped() -> None:
    """The default size is a constant in the kernel; another takes the same steps."""
    schedule, random = Schedule(6, 0.02, 0.01), torch.Generator().manual_seed(0)
    wide_VE = torch.randn(5, 32, generator=random)
    narrow_VE = wide_VE[:, :7].clone()
    wide, narrow = SteppedTable(wide_VE, schedule), SteppedTable(narrow_VE, schedule)

    for chosen in ([0, 1], [1], [4, 2], [0], [1], [0, 3]):
        gradient_SE = torch.randn(len(chosen), 32, generator=random)
        for rows, own_SE in ((wide, gradient_SE), (narrow, gradient_SE[:, :7])):
            rows.take(torch.tensor(chosen))
            rows.step(own_SE, factor=0.5)
    wide.catch_up()
    narrow.catch_up()

    torch.testing.assert_close(narrow_VE, wide_VE[:, :7], rtol=1e-6, atol=1e-6)


def test_a_factor_shortens_the_gradient() -> None:
    """A gradient times a factor is stepped as the product of both."""
    tables = [torch.ones(3, 4), torch.ones(3, 4)]
    gradient_SE = torch.tensor([[0.1, -0.2, 0.3, 0.0]])

    for table_VE, given_SE, factor in zip(tables, (gradient_SE, 0.25 * gradient_SE), (0.25, 1.0), strict=True):
        rows = SteppedTable(table_VE, Schedule(3, 0.1, 0.0))
        for _ in range(3):
            rows.take(torch.tensor([2]))
            rows.step(given_SE, factor)

    torch.testing.assert_close(tables[0], tables[1], rtol=0, atol=1e-6)


def test_the_kernel_refuses_rows_of_no_table(way: str) -> None:
    """A row beyond the table is an error, and nothing is written."""
    if way != "kernel":
        pytest.skip("PyTorch has errors of its own")
    rows = SteppedTable(torch.zeros(3, 4), Schedule(3, 0.1, 0.0))

    for bad in (-1, 3):
        with pytest.raises(AssertionError, match="a row is not the table's"):
            rows.take(torch.tensor([0, bad]))


def test_weights_as_one_row_share_their_memory() -> None:
    """What is written into the row is the weights, and a gradient that PyTorch computes is in the other row."""
    first, second = (torch.nn.Parameter(torch.full(shape, 2.0)) for shape in ((2, 2), (3,)))

    table_1P, gradient_1P = as_one_row([first, second])
    (first.sum() + 3 * second.sum()).backward()  # type: ignore[no-untyped-call]  # of torch
    table_1P += 1.0

    assert table_1P.shape == gradient_1P.shape == (1, 7)
    assert (first.tolist(), second.tolist()) == ([[3.0, 3.0], [3.0, 3.0]], [3.0, 3.0, 3.0])
    assert gradient_1P.tolist() == [[1.0] * 4 + [3.0] * 3]


def test_gradients_are_shortened_together() -> None:
    """Of lengths 3 and 4 both together have 5: to be 1 they are divided by 5, and 6 they need not be."""
    gradients = torch.tensor([3.0, 0.0]), None, torch.tensor([[0.0, 4.0]])

    assert shortening(gradients, 1.0) == pytest.approx(0.2)
    assert shortening(gradients, 6.0) == 1.0
