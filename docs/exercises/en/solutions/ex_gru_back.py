"""A solution of the exercise."""

# Axes: B tickets in the batch, E a token's vector, H hidden; 3H is the gates r, z and n, one under the other.

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Step(NamedTuple):
    """What the step forward has computed, each [B, H]: the gates, the proposal, and U_n h + c_n."""

    r: Array
    z: Array
    n: Array
    of_state_n: Array


def forward(x_BE: Array, h_BH: Array, w_3HE: Array, u_3HH: Array, b_3H: Array, c_3H: Array) -> tuple[Step, Array]:
    """Return the step and the new state [B, H]; this function is given."""
    x_r, x_z, x_n = np.split(x_BE @ w_3HE.T + b_3H, 3, axis=1)
    h_r, h_z, h_n = np.split(h_BH @ u_3HH.T + c_3H, 3, axis=1)
    r, z = 1 / (1 + np.exp(-(x_r + h_r))), 1 / (1 + np.exp(-(x_z + h_z)))
    n = np.tanh(x_n + r * h_n)
    return Step(r, z, n, h_n), (1 - z) * n + z * h_BH


def backward(step: Step, h_BH: Array, slope_BH: Array, w_3HE: Array, u_3HH: Array) -> tuple[Array, Array]:
    """Return the slope of the loss by the token's vector, [B, E], and by the old state, [B, H]."""
    # Through tanh and sigmoid: d_n, d_z and d_r are the slopes by what stands inside of them.
    d_n = slope_BH * (1 - step.z) * (1 - step.n * step.n)
    d_z = slope_BH * (h_BH - step.n) * step.z * (1 - step.z)
    d_r = d_n * step.of_state_n * step.r * (1 - step.r)
    of_input = np.concatenate((d_r, d_z, d_n), axis=1)
    # r stands between U_n h + c_n and n, so it shortens the slope on that way, and on no other.
    of_state = np.concatenate((d_r, d_z, d_n * step.r), axis=1)
    # Two kinds of ways to the old state: straight through z, and through U.
    return of_input @ w_3HE, slope_BH * step.z + of_state @ u_3HH
