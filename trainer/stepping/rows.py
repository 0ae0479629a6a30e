"""AdamW for a table of which a step touches few rows: the others are left alone, and caught up when they are needed.

In: the rows that a batch touches, and their gradients. Out: the table as torch.optim.AdamW would have left it, had it
stepped every row every time. The idea: a row without a gradient still moves, because its momentum runs out and its
weights decay; but all of that is known beforehand, so it can be done at once, later. With g = 0, step j does

    m_j = b_j m_(j-1)      v_j = q v_(j-1)      p_j = (1 - lr_j w) p_(j-1) - c_j m_j / sqrt(v_j)
    c_j = lr_j sqrt(1 - q^j) / (1 - b_j^j)      b_j, q: AdamW's two betas, of which the schedule moves the first

so m / sqrt(v) shrinks by r_j = b_j / sqrt(q) a step, and from step s to step t a row owes

    (m_s / sqrt(v_s)) sum over j in s+1..t of c_j r_(s+1) ... r_j = (m_s / sqrt(v_s)) (owed_s - r_(s+1) ... r_t owed_t)

where owed_t = r_(t+1) (c_(t+1) + owed_(t+1)), the same sum from t to the end of the schedule. It is worked out once for
a whole training, from the back. Two things are not exact: a row decays after its momentum has run out and not on the
way, and AdamW's epsilon stays what it was at the last gradient. Both are below a thousandth of what a row owes.

The kernel (trainer/kernels/rows.c) does to one row after the other what PyTorch does to all of them operation by
operation; where it was not compiled, PyTorch does.
"""

# Axes: J steps of the training and the time before the first, V rows of the table, S of them touched, E entries.

import ctypes
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from artifacts.arrays import Doubles
from trainer.kernels import native

SQUARES = 0.999  # q: AdamW's second beta, PyTorch's default
EPSILON = 1e-8  # and its epsilon
# PyTorch's OneCycleLR, which was used before and which these numbers are the defaults of.
WARM_SHARE, FIRST_DIVISOR, LAST_DIVISOR = 0.3, 25.0, 1e4
LEAST_MOMENTUM, MOST_MOMENTUM = 0.85, 0.95


class Schedule:
    """The rate and the momentum of every step, and what follows from them for rows that miss steps.

    Attributes:
        rate_J, momentum_J: of step j; place 0 is before the first step.
    """

    def __init__(self, num_steps: int, lr: float, weight_decay: float) -> None:
        """Plan the steps: the rate climbs to `lr` over three tenths of them, and falls to nearly 0.

        Warm up, so that Adam's first noisy estimates do no harm; then cool down, so that the weights settle. The
        momentum does the opposite. Source: Smith and Topin 2018, "Super-Convergence", arXiv 1708.07120.
        """
        self.weight_decay = weight_decay
        step_J = np.arange(-1, num_steps, dtype=np.float64).clip(min=0)
        warm_until = WARM_SHARE * (num_steps + 1) - 1
        up_J = np.minimum(step_J / warm_until if warm_until > 0 else np.ones_like(step_J), 1.0)
        down_J = ((step_J - warm_until) / (num_steps - warm_until)).clip(min=0.0)
        low, last = lr / FIRST_DIVISOR, lr / FIRST_DIVISOR / LAST_DIVISOR
        is_warm_J = step_J <= warm_until
        self.rate_J = np.where(is_warm_J, along(low, lr, up_J), along(lr, last, down_J))
        self.momentum_J = np.where(
            is_warm_J,
            along(MOST_MOMENTUM, LEAST_MOMENTUM, up_J),
            along(LEAST_MOMENTUM, MOST_MOMENTUM, down_J),
        )
        number_J = np.arange(num_steps + 1, dtype=np.float64)
        number_J[0] = 1.0  # there is no step 0; any number will do
        self.bias_J = np.sqrt(1 - SQUARES**number_J)  # what sqrt(v) is to be divided by
        self.size_J = self.rate_J / (1 - self.momentum_J**number_J)
        shrink_J = self.momentum_J / math.sqrt(SQUARES)
        self.owed_J = np.zeros(num_steps + 1)
        for j in range(num_steps - 1, -1, -1):
            self.owed_J[j] = shrink_J[j + 1] * (self.size_J[j + 1] * self.bias_J[j + 1] + self.owed_J[j + 1])
        # Products over many steps as sums of logarithms: of 10,000 steps they would be 0. A decay beyond a thousandth a
        # step is another training's, and only kept from being infinite.
        self.log_shrink_J = np.cumsum(np.log(shrink_J))
        self.log_momentum_J = np.cumsum(np.log(self.momentum_J))
        self.log_decay_J = np.cumsum(np.log(np.maximum(1 - self.rate_J * weight_decay, 1e-9)))
        logs = self.log_shrink_J, self.log_momentum_J, self.log_decay_J
        self.plan_J5 = np.stack((self.owed_J, *logs, self.bias_J), axis=1)  # as the kernel reads it


def along(start: float, end: float, share_J: Doubles) -> Doubles:
    """Return the numbers from start to end, slow at both ends (half a cosine)."""
    found: Doubles = end + (start - end) / 2 * (1 + np.cos(np.pi * share_J))
    return found


@functools.cache
def kernel() -> Any | None:
    """Return the functions of rows.c after saying what they take; None if it was not compiled for this processor."""
    if (library := native.library("rows")) is None:
        return None
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.rows_take.argtypes = [*[size] * 5, *[address] * 7]
    library.rows_step.argtypes = [*[size] * 3, *[address] * 6]
    library.rows_sum.argtypes = library.rows_sum_back.argtypes = [*[size] * 4, *[address] * 5]
    return library


class SteppedTable:
    """A table of which the rows that were taken are stepped. Before its whole is read, `catch_up` must be called."""

    def __init__(self, table_VE: Tensor, schedule: Schedule) -> None:
        """Take a table of float32, which is changed in place, and the steps to come."""
        self._schedule, table_VE = schedule, table_VE.detach()
        # What AdamW keeps of each row: the row, the running mean of its gradient, and of the gradient's square.
        self._parts = (table_VE, torch.zeros_like(table_VE), torch.zeros_like(table_VE))
        self._seen_V = np.zeros(len(table_VE), dtype=np.int64)  # the step that each row is of
        self._step = 0
        self._taken: Tensor | None = None
        is_plain = table_VE.device.type == "cpu" and table_VE.dtype == torch.float32 and table_VE.is_contiguous()
        self._kernel = kernel() if is_plain else None

    @property
    def rate(self) -> float:
        """The rate of the last step."""
        return float(self._schedule.rate_J[self._step])

    def take(self, rows_S: Tensor) -> Tensor:
        """Return these rows as they are now, as a leaf that a gradient can be computed of.

        Args:
            rows_S: int64 on the CPU, each once.
        """
        taken_SE = self._caught_up(rows_S)
        self._taken = rows_S
        return taken_SE.requires_grad_()

    def step(self, gradient_SE: Tensor | None, factor: float = 1.0) -> None:
        """Step the rows that were taken; every other row misses this step.

        Args:
            gradient_SE: of the rows.
            factor: that it is to be multiplied by.
        """
        rows_S, self._taken = self._taken, None
        assert rows_S is not None, "no rows were taken; internal error"
        assert gradient_SE is not None, "no gradient was computed; internal error"
        self._step += 1
        now, schedule = self._step, self._schedule
        # How far the mean and the square go towards the gradient's, what the square's root is divided by, AdamW's
        # epsilon, what is left of a weight after its decay, the length of the step, and the gradient's factor.
        numbers = (
            *(1 - schedule.momentum_J[now], 1 - SQUARES, schedule.bias_J[now], EPSILON),
            *(1 - schedule.rate_J[now] * schedule.weight_decay, schedule.size_J[now], factor),
        )
        if self._kernel is not None:
            given = rows_S, torch.tensor(numbers, dtype=torch.float32), gradient_SE.contiguous(), *self._parts
            self._check(self._kernel.rows_step(len(rows_S), *self._parts[0].shape, *addresses(*given)))
            self._seen_V[rows_S.numpy()] = now
            return
        towards, new, bias, epsilon, kept, size, _ = map(float, numbers)
        rows_S, gradient_SE = rows_S.to(gradient_SE.device), gradient_SE * factor
        row_SE, mean_SE, square_SE = (part.index_select(0, rows_S) for part in self._parts)
        mean_SE.lerp_(gradient_SE, towards)
        square_SE.lerp_(gradient_SE.square(), new)
        row_SE.mul_(kept).addcdiv_(mean_SE, square_SE.sqrt().div_(bias).add_(epsilon), value=-size)
        for part, changed_SE in zip(self._parts, (row_SE, mean_SE, square_SE), strict=True):
            part.index_copy_(0, rows_S, changed_SE)
        self._seen_V[rows_S.cpu().numpy()] = now

    def catch_up(self) -> None:
        """Bring every row to the last step."""
        self._caught_up(torch.arange(len(self._seen_V)))

    def _caught_up(self, rows_S: Tensor) -> Tensor:
        """Do at once the steps that these rows have missed, and return a copy of them."""
        now, schedule = self._step, self._schedule
        if self._kernel is not None:
            taken_SE = torch.empty(len(rows_S), self._parts[0].shape[1])
            plan, seen = schedule.plan_J5.ctypes.data, self._seen_V.ctypes.data
            given = *addresses(rows_S), plan, seen, *addresses(*self._parts, taken_SE)
            sizes = len(rows_S), *self._parts[0].shape, len(schedule.plan_J5), now
            self._check(self._kernel.rows_take(*sizes, *given))
            return taken_SE
        seen_S = self._seen_V[rows_S.numpy()]
        self._seen_V[rows_S.numpy()] = now
        shrunk_S = np.exp(schedule.log_shrink_J[now] - schedule.log_shrink_J[seen_S])
        owed_S = schedule.owed_J[seen_S] - shrunk_S * schedule.owed_J[now]
        factors = (
            owed_S / schedule.bias_J[seen_S],  # the root is divided by it, here and below
            np.exp(schedule.log_decay_J[now] - schedule.log_decay_J[seen_S]),
            np.exp(schedule.log_momentum_J[now] - schedule.log_momentum_J[seen_S]),
            SQUARES ** (now - seen_S),
            1 / schedule.bias_J[seen_S],
        )
        factors_S5 = torch.from_numpy(np.stack(factors, axis=1).astype(np.float32))
        rows_S = rows_S.to(self._parts[0].device)
        row_SE, mean_SE, square_SE = (part.index_select(0, rows_S) for part in self._parts)
        owed, decayed, momentum, squares, bias = factors_S5.to(rows_S.device)[:, :, None].unbind(1)
        root_SE = square_SE.sqrt().mul_(bias).add_(EPSILON)
        row_SE.sub_(mean_SE.mul(owed).div_(root_SE)).mul_(decayed)
        for part, changed_SE in zip(self._parts, (row_SE, mean_SE * momentum, square_SE * squares), strict=True):
            part.index_copy_(0, rows_S, changed_SE)
        return row_SE

    def _check(self, status: int) -> None:
        """Raise unless the kernel did what it was asked."""
        assert status == 0, f"the kernel refuses its input ({status}): a row is not the table's; internal error"


class Tables(NamedTuple):
    """What is stepped. A batch touches few rows of the tables of words and n-grams; all other weights are one row."""

    words: SteppedTable
    grams: SteppedTable
    others: SteppedTable
    d_others_1P: Tensor

    @classmethod
    def of(cls, words: Tensor, grams: Tensor, weights: Iterable[nn.Parameter], schedule: Schedule) -> "Tables":
        """Return the tables of a network; its other weights are views of one row from now on.

        Args:
            words: a row a word.
            grams: a row an n-gram.
            weights: all weights, these two as well.
            schedule: of the training.
        """
        others_1P, d_others_1P = as_one_row([one for one in weights if one is not words and one is not grams])
        of_words, of_grams, of_others = (SteppedTable(table, schedule) for table in (words, grams, others_1P))
        return cls(of_words, of_grams, of_others, d_others_1P)

    def catch_up(self) -> None:
        """Bring every row to the last step: before the whole tables are read."""
        self.words.catch_up()
        self.grams.catch_up()


@torch.no_grad()
def as_one_row(weights: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """Return weights, and their gradients, as a table of one row each; from now on they are views of it."""
    table_1P = torch.cat([weight.flatten() for weight in weights])[None]
    gradient_1P = torch.zeros_like(table_1P)
    sizes = [weight.numel() for weight in weights]
    for weight, own_P, gradient_P in zip(
        weights, torch.split(table_1P[0], sizes), torch.split(gradient_1P[0], sizes), strict=True
    ):
        weight.data, weight.grad = own_P.view_as(weight), gradient_P.view_as(weight)
    return table_1P, gradient_1P


def shortening(gradients: Sequence[Tensor | None], longest: float) -> float:
    """Return what gradients are to be multiplied by so that all of them together are no longer than that; 1 at most."""
    length = math.sqrt(sum(float(one.square().sum()) for one in gradients if one is not None))
    return longest / length if length > longest else 1.0


def addresses(*tensors: Tensor) -> list[int]:
    """Return where the numbers of each tensor stand."""
    return [tensor.data_ptr() for tensor in tensors]
