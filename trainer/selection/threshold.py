"""From a target ("95 % right of what is routed") to the confidence that a ticket needs to be routed.

In: the calibrated probabilities of tickets that were kept out of training, and the truth. Out: the record that goes
into the manifest, and the same per category. What it leaves to others: how the rule is applied (evaluation/abstain.py).

The threshold. Sort the kept-out tickets by confidence, the surest first. The more of them are routed, the lower the
share that is right; wanted is the longest beginning whose share is still the target. Counting who is right in it is
noisy: of 600 tickets some 25 mistakes decide. So the mistakes are smoothed first, by a logistic curve with two numbers,
    P(right | confidence p) = sigmoid(a + b logit(p))
fitted to all kept-out tickets, and the mean of that curve over a beginning stands for its share of right answers. That
share must be half a standard error above the target: on few tickets the threshold is a guess, and the careful one.
Sources: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", arXiv 1705.08500; Platt 1999,
"Probabilistic Outputs for Support Vector Machines". Compared on unseen tickets with the plain count, with its
finite-sample correction (conformal risk control, arXiv 2208.02814) and with the mean confidence (docs/LOG.md).

The check. A curve of two numbers may pass over a handful of very sure mistakes, so the tickets themselves have the last
word. Were a share `target` of the routed ones right, then so few of n would be with the probability
    P(X <= right),    X ~ Binomial(n, target)
and where that is below DOUBT the threshold contradicts its own evidence. It is raised to the next confidence from which
on the target was reached, or nothing is routed. Either is said in `detail`. The test is the exact one of Clopper and
Pearson 1934, one-sided; it only finds a broken promise, and 20 tickets all right are no proof that it is kept.

A tie. Between the two best categories, how much does it say that one is ahead by m? Of the tickets where either is
right, the first one is with P(first) = sigmoid(k m): a coin at 0. They tie as long as that is below TIE.
"""

# Axes: N tickets that were kept out, C categories, F features of the logistic curve.

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.arrays import Floats
from artifacts.evaluation.abstain import Abstention, CategoryCoverage, why_not

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_TICKETS = 50  # kept out; fewer say nothing of a share near 1
MIN_ROUTED = 20
TIE = 0.6
MIN_UNKNOWN, USUAL = 0.5, 0.99  # the share of unknown tokens that this share of the tickets stays below, but at least
# Pull towards a = 0, b = 1, where p is honest, because the temperature was fitted on the same tickets. After one split
# of a large set a and b are mostly luck, and the network that learns from a ninth more tickets is hardly surer. On a
# small set it is too sure by up to five points, so that there the mistakes have the word (docs/LOG.md).
STRONG_PULL, WEAK_PULL = 300.0, 10.0
STRONG_FROM = 500  # tickets that one split kept out; with 350 it was better on one set and worse on another
LEAST_PULL = 1.0  # for the tie, of which nothing is known before; without any, tickets all right have no best k
CAUTION = (
    0.5  # standard errors above the target, for falling short of a promise is worse than a ticket too many by hand
)
DOUBT = 0.05  # probability of so few right answers below which the tickets contradict the target; one-sided
LOWER_TARGETS = (0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)  # to propose in place of one
STEPS = 20  # of Newton's method; it is done after ten
SMALLEST_STEP = 1e-9


def logistic(features_NF: Numbers, true_N: Bools, start_F: Numbers, pull: float) -> Numbers:
    """Return the weights under which `true_N` is most probable, by Newton's method.

    Args:
        features_NF: of each ticket.
        true_N: whether what is asked about is so.
        start_F: where the weights begin, and what they are pulled towards.
        pull: how strongly, as half the square of the distance costs.
    """
    sign_N = np.where(true_N, 1.0, -1.0)

    def loss(weights_F: Numbers) -> float:
        cost = pull / 2 * np.square(weights_F - start_F).sum()
        return float(np.logaddexp(0.0, -sign_N * (features_NF @ weights_F)).sum() + cost)

    weights_F = start_F
    for _ in range(STEPS):
        p_N = sigmoid(features_NF @ weights_F)
        slope_F = features_NF.T @ (true_N - p_N) - pull * (weights_F - start_F)
        curvature_FF = (features_NF.T * (p_N * (1 - p_N))) @ features_NF + pull * np.eye(len(start_F))
        step_F, before = np.linalg.solve(curvature_FF, slope_F), loss(weights_F)
        while loss(weights_F + step_F) > before and np.abs(step_F).max() > SMALLEST_STEP:
            step_F = step_F / 2  # where the curve is flat Newton's step goes far too far
        weights_F = weights_F + step_F
    return weights_F


def sigmoid(values: Numbers) -> Numbers:
    """Return 1 / (1 + exp(-v)) of each; beyond 30 it is 1 or 0 but for rounding."""
    found: Numbers = 1 / (1 + np.exp(-np.clip(values, -30.0, 30.0)))
    return found


def find_threshold(confidence_N: Numbers, right_N: Bools, target: float, pull: float = WEAK_PULL) -> float | None:
    """Return the lowest confidence down to which curve and tickets allow the target; None if there is none.

    The arguments are those of `on_curve`.
    """
    threshold = on_curve(confidence_N, right_N, target, pull)
    return threshold if threshold is None else raised(confidence_N, right_N, target, threshold)


def on_curve(confidence_N: Numbers, right_N: Bools, target: float, pull: float = WEAK_PULL) -> float | None:
    """Return the lowest confidence down to which the smoothed share reaches the target; None if there is none.

    Args:
        confidence_N: of the most probable category.
        right_N: whether that is the true one.
        target: share to be right.
        pull: towards the confidence's own word; STRONG_PULL or WEAK_PULL.
    """
    p_N = np.clip(confidence_N, 1e-6, 1 - 1e-6)
    features_NF = np.stack((np.ones_like(p_N), np.log(p_N / (1 - p_N))), axis=1)
    weights_F = logistic(features_NF, right_N, np.array([0.0, 1.0]), pull)
    if weights_F[1] <= 0.0:  # the surer, the more often wrong: such confidence chooses nothing
        return None
    order_N = np.argsort(-confidence_N, kind="stable")
    sorted_N = confidence_N[order_N]
    chance_N = sigmoid(features_NF @ weights_F)[order_N]
    n_N = np.arange(1, len(p_N) + 1)
    share_N = np.cumsum(chance_N) / n_N - CAUTION * np.sqrt(target * (1 - target) / n_N)
    is_end_N = np.append(sorted_N[1:] < sorted_N[:-1], True)  # equally sure tickets are routed together or not at all
    ends = np.flatnonzero(is_end_N & (share_N >= target))
    return float(sorted_N[ends[-1]]) if len(ends) and ends[-1] + 1 >= MIN_ROUTED else None


def so_few_right(num_right: int, num_tickets: int, target: float) -> float:
    """Return how probably no more than `num_right` of so many tickets are right where a share `target` of all is.

    >>> round(so_few_right(25, 30, 0.95), 3), round(so_few_right(28, 30, 0.95), 3)
    (0.016, 0.446)
    """
    from scipy.special import bdtr  # here, for rows are read and checked where there is no SciPy

    return float(bdtr(num_right, num_tickets, target))


def raised(confidence_N: Numbers, right_N: Bools, target: float, least: float) -> float | None:
    """Return `least` if the tickets from it on do not contradict it; else a higher threshold, or None.

    Only a threshold that its tickets bear out takes its place: of at least MIN_ROUTED a share `target` is right. The
    next one that is not surely wrong would leave out a mistake or two, and promise .95 on 25 right ones of 29.

    Args:
        confidence_N: of the tickets that a threshold may route.
        right_N: whether they are answered rightly.
        target: share to be right.
        least: the threshold of the curve.
    """
    is_routed_N = confidence_N >= least
    n, num_right = int(is_routed_N.sum()), int(right_N[is_routed_N].sum())
    if n >= MIN_ROUTED and so_few_right(num_right, n, target) >= DOUBT:
        return least
    order_N = np.argsort(-confidence_N, kind="stable")
    sorted_N = confidence_N[order_N]
    n_N = np.arange(1, len(sorted_N) + 1)
    share_N = np.cumsum(right_N[order_N]) / n_N
    is_end_N = np.append(sorted_N[1:] < sorted_N[:-1], True)
    ends = np.flatnonzero(is_end_N & (sorted_N > least) & (n_N >= MIN_ROUTED) & (share_N >= target))
    return float(sorted_N[ends[-1]]) if len(ends) else None


def find_tie_margin(probabilities_NC: Floats, targets_N: NDArray[np.int64]) -> float:
    """Return the margin below which the better of the two best categories is the truth less than TIE of the time."""
    best_N2 = np.argsort(-probabilities_NC, axis=1, kind="stable")[:, :2]
    p_N2 = np.take_along_axis(probabilities_NC, best_N2, axis=1).astype(np.float64)
    is_true_N2 = best_N2 == targets_N[:, None]
    either_N = is_true_N2.any(axis=1)
    if not either_N.any():
        return 0.0
    margin_N1 = (p_N2[:, :1] - p_N2[:, 1:])[either_N]
    (k,) = logistic(margin_N1, is_true_N2[either_N, 0], np.array([1.0]), LEAST_PULL)
    return float(min(1.0, np.log(TIE / (1 - TIE)) / k)) if k > 0.0 else 1.0


def fit_abstention(
    probabilities_NC: Floats,
    targets_N: NDArray[np.int64],
    unknown_N: Numbers,
    target: float,
    by_default: bool,
    folds: int = 1,
) -> tuple[Abstention, Bools] | None:
    """Return the rule, and which of the tickets it routes; None if there are too few to find one.

    Args:
        probabilities_NC: calibrated, of networks that were not trained on the ticket.
        targets_N: the true labels.
        unknown_N: share of each ticket's tokens that the network did not know.
        target: share of the routed to be right.
        by_default: see `Abstention`.
        folds: in which the tickets were kept out in turn; 1: one split.
    """
    if len(targets_N) < MIN_TICKETS:
        return None
    pull = STRONG_PULL if folds == 1 and len(targets_N) >= STRONG_FROM else WEAK_PULL
    confidence_N = probabilities_NC.max(axis=1).astype(np.float64)
    second_N = np.sort(probabilities_NC, axis=1)[:, -2]
    right_N = probabilities_NC.argmax(axis=1) == targets_N
    rule = Abstention(
        target=target,
        threshold=on_curve(confidence_N, right_N, target, pull),
        tie_margin=find_tie_margin(probabilities_NC, targets_N),
        max_unknown=max(MIN_UNKNOWN, float(np.quantile(unknown_N, USUAL))),
        num_tickets=len(targets_N),
        coverage=0.0,
        accuracy=None,
        by_default=by_default,
    )

    def routed_by(rule: Abstention) -> Bools:
        every = zip(confidence_N, second_N, unknown_N, strict=True)
        return np.array([why_not(rule, *one) is None for one in every], dtype=np.bool_)

    routed_N = routed_by(rule)
    if rule.threshold is not None:
        # Only the tickets that the rule as a whole routes, ties and unknown words left out, bear it out or do not.
        found = raised(confidence_N[routed_N], right_N[routed_N], target, rule.threshold)
        if found != rule.threshold:
            rule = msgspec.structs.replace(rule, threshold=found, detail=objection(rule, right_N[routed_N], found))
            routed_N = routed_by(rule)
    if rule.threshold is not None:
        accuracy = float(right_N[routed_N].mean())
        return msgspec.structs.replace(rule, coverage=float(routed_N.mean()), accuracy=accuracy), routed_N
    return msgspec.structs.replace(rule, detail=remedy(rule, confidence_N, right_N, pull)), routed_N


def objection(rule: Abstention, right_N: Bools, found: float | None) -> str:
    """Return why a threshold of the curve is not published.

    Args:
        rule: with that threshold.
        right_N: of the tickets that it routes.
        found: the threshold in place of it; None: there is none.
    """
    n, num_right = len(right_N), int(right_N.sum())
    chance = so_few_right(num_right, n, rule.target)
    told = (
        f"of the {n} tickets from {rule.threshold:.3f} on {num_right} are right ({num_right / max(n, 1):.1%}), "
        f"too few for {rule.target:.1%} (p = {chance:.2g})"
        if n >= MIN_ROUTED
        else f"only {n} tickets are sure from {rule.threshold:.3f} on, and it takes {MIN_ROUTED}"
    )
    return told if found is None else f"threshold raised to {found:.3f}: {told}"


def remedy(rule: Abstention, confidence_N: Numbers, right_N: Bools, pull: float) -> str:
    """Return what there is, what a threshold would take, and what to do; with the highest target that is reached."""
    n = min(MIN_ROUTED, len(right_N))
    surest_N = right_N[np.argsort(-confidence_N, kind="stable")[:n]]
    told = (
        f"{rule.target:.1%} right is not reached: of the {n} surest of {len(right_N)} tickets kept out "
        f"{surest_N.mean():.1%} are right, of all {right_N.mean():.1%}"
    )
    if rule.detail:
        told += f"; {rule.detail}"
    for target in LOWER_TARGETS:
        if target < rule.target and (threshold := find_threshold(confidence_N, right_N, target, pull)) is not None:
            share = (confidence_N >= threshold).mean()
            return f"{told}; give more tickets, or set target={target:g}, which routes about {share:.0%}"
    return f"{told}; give more tickets, for no target from {LOWER_TARGETS[-1]:.0%} on is reached"


def coverage_by_category(
    labels: Sequence[str], probabilities_NC: Floats, targets_N: NDArray[np.int64], routed_N: Bools
) -> dict[str, CategoryCoverage]:
    """Return for each category of which tickets were kept out what becomes of them."""
    right_N = probabilities_NC.argmax(axis=1) == targets_N
    found = {}
    for label, category in enumerate(labels):
        of_it_N = targets_N == label
        if of_it_N.any():
            right = right_N[of_it_N & routed_N]
            accuracy = float(right.mean()) if len(right) else None
            found[category] = CategoryCoverage(int(of_it_N.sum()), float(routed_N[of_it_N].mean()), accuracy)
    return found
