"""What new tickets change in a model that already answers, without the old ones.

In: the serving logits of the new tickets, and how alike any two of them are. Out: one vector of corrections for each
new ticket, which its features carry into the model's tables. What it leaves to others: features (features.py), and
whether the result may serve (fit.py, selection/compare.py).

The idea. The serving model is kept as it is, and a correction is added to its logits:
    z(x) = z_serving(x) + sum over the new tickets i of k(x, i) a_i
k(x, i) is how alike two tickets are: what they share of words, n-grams, pairs and of the GRUs' states. So a ticket that
is like no new one keeps its answer, and that is why nothing is forgotten though no old ticket is there. The vectors a_i
minimise
    sum over i of -ln softmax(z(i))[true category] + sum over c of |correction of category c|^2 / (2 strength of c)
with the norm that k brings along. The problem is convex: no seed, no epochs, one answer. Where the serving model is
sure and right, the first term is near 0 already and the ticket changes nothing; where it is wrong, it changes most.
Sources: Zhu and Hastie 2005, "Kernel Logistic Regression and the Import Vector Machine"; a norm that pulls towards the
weights that one begins with is L2-SP of Li, Grandvalet and Davoine 2018, arXiv 1802.01483.
"""

# Axes: N new tickets, C categories.

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]

# Of what a ticket may change. A known category is only put right: with 1 in place of .3 a model of 900 tickets gained
# more, and one of 7,000 less. A new category begins with nothing (docs/LOG.md, "From the serving version").
STRENGTH, NEW_STRENGTH = 0.3, 10.0
ITERATIONS = 100  # of L-BFGS; it is done after 5 to 30
JITTER = 1e-6  # equal tickets make K singular


def strengths(num_old: int, num_new: int) -> Numbers:
    """Return how far a ticket may change each category: the variance of the correction of a ticket of length 1."""
    return np.concatenate([np.full(num_old, STRENGTH), np.full(num_new, NEW_STRENGTH)])


def solve(alike_NN: Numbers, logits_NC: Numbers, targets_N: Labels, strength_C: Numbers) -> Numbers:
    """Return a_NC, the corrections that each ticket brings.

    Args:
        alike_NN: k of each two tickets, positive semidefinite.
        logits_NC: of the serving model.
        targets_N: the true labels.
        strength_C: of each category; see `strengths`.
    """
    from scipy.optimize import minimize

    n, num_categories = logits_NC.shape
    rows_N, root_C = np.arange(n), np.sqrt(strength_C)
    # Seen along K's own axes, K = L L', the penalty is round: with a = root strength x L'^-1 u it is |u|^2 / 2. Then
    # L-BFGS needs a tenth of the steps.
    factor_NN = np.linalg.cholesky(alike_NN + JITTER * np.eye(n))

    def loss(u: Numbers) -> tuple[float, Numbers]:
        u_NC = u.reshape(n, num_categories)
        z_NC = logits_NC + (factor_NN @ u_NC) * root_C
        z_NC -= z_NC.max(axis=1, keepdims=True)  # or exp would overflow
        odds_NC = np.exp(z_NC)
        sums_N = odds_NC.sum(axis=1)
        value = (np.log(sums_N) - z_NC[rows_N, targets_N]).sum() + np.square(u_NC).sum() / 2
        slope_NC = odds_NC / sums_N[:, None]  # P = softmax(z)
        slope_NC[rows_N, targets_N] -= 1.0  # P - Y, the truth as ones and zeros
        return float(value), (factor_NN.T @ (slope_NC * root_C) + u_NC).ravel()

    start = np.zeros(n * num_categories)
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    a_NC: Numbers = np.linalg.solve(factor_NN.T, found.x.reshape(n, num_categories)) * root_C
    return a_NC


def cross_validated(
    alike_NN: Numbers, logits_NC: Numbers, targets_N: Labels, strength_C: Numbers, kept_out: Sequence[Labels]
) -> Numbers:
    """Return logits_NC of the tickets, each by a model that has not learnt from it; of one never kept out, serving's.

    Args:
        alike_NN: see `solve`.
        logits_NC: see `solve`.
        targets_N: see `solve`.
        strength_C: see `solve`.
        kept_out: row numbers that are kept out in turn.
    """
    found_NC = logits_NC.copy()
    for rows in kept_out:
        taught = np.setdiff1d(np.arange(len(logits_NC)), rows)
        a_NC = solve(alike_NN[np.ix_(taught, taught)], logits_NC[taught], targets_N[taught], strength_C)
        found_NC[rows] += alike_NN[np.ix_(rows, taught)] @ a_NC
    return found_NC


def mean_loss(logits_NC: Numbers, targets_N: Labels) -> float:
    """Return the cross entropy in nats a ticket."""
    z_NC = logits_NC - logits_NC.max(axis=1, keepdims=True)
    losses_N = np.log(np.exp(z_NC).sum(axis=1)) - z_NC[np.arange(len(z_NC)), targets_N]
    return float(losses_N.mean())
