"""A solution of the exercise."""

# Axes: B tickets in the batch, E a token's vector, H hidden; 3H is the gates r, z and n, one under the other.

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Step(NamedTuple):
    """What the step forward has computed, each [B, H]: the gates, the proposal, and u = U_n h' + c_n."""

    r: Array
    z: Array
    n: Array
    u: Array


def forward(x_BE: Array, before_BH: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Step, Array]:
    """Return the step and the new state [B, H]; this function is given."""
    x_r, x_z, x_n = np.split(x_BE @ w_3HE.T + b_3H, 3, axis=1)
    h_r, h_z, u = np.split(before_BH @ u_3HH.T + c_3H, 3, axis=1)
    r, z = 1 / (1 + np.exp(-(x_r + h_r))), 1 / (1 + np.exp(-(x_z + h_z)))
    n = np.tanh(x_n + r * u)
    return Step(r, z, n, u), (1 - z) * n + z * before_BH


def backward(step: Step, before_BH: Array, d_h_BH: Array, w_3HE: Array, u_3HH: Array) -> tuple[Array, Array]:
    """Return the slope of the loss by the token's vector, [B, E], and by the old state h', [B, H]."""
    # Through tanh and sigmoid: d_a is the slope by what stands inside of them.
    d_a_n = d_h_BH * (1 - step.z) * (1 - step.n * step.n)
    d_a_z = d_h_BH * (before_BH - step.n) * step.z * (1 - step.z)
    d_a_r = d_a_n * step.u * step.r * (1 - step.r)
    # r stands between u and n, so it shortens the slope on that way, and on no other.
    d_u = d_a_n * step.r
    of_input, of_state = np.concatenate((d_a_r, d_a_z, d_a_n), axis=1), np.concatenate((d_a_r, d_a_z, d_u), axis=1)
    # Two kinds of ways to the old state: straight through z, and through U.
    return of_input @ w_3HE, d_h_BH * step.z + of_state @ u_3HH
