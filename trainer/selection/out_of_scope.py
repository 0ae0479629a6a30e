"""How well confidence tells a ticket of no known category apart, tried on categories that a training never saw.

    categories -> a fifth is left out -> experts of the rest, quickly -> confidence of known and of left-out -> AUROC

A desk gets tickets that none of its categories fits, and a classifier must call them something. One hopes that it is
less sure of them. Nobody has labelled tickets of no category, so some categories play that part: left out of a training
of its own, of the linear part and one GRU of few epochs, their tickets are asked about beside kept-out tickets of the
others. The number is that network's, which is a little worse than the published one.

AUROC: the probability that a ticket of a known category, drawn at random, gets a higher confidence than one of a
category left out; .5 tells nothing, 1 all. By ranks: with R the sum of the known tickets' ranks among all,
    AUROC = (R - n (n + 1) / 2) / (n m),    n known, m left out
Sources: Mann and Whitney 1947; Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and
Out-of-Distribution Examples", arXiv 1610.02136.
"""

# Axes: N tickets of known categories, M of those left out, K both, C known categories.

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.abstain import OutOfScope
from trainer.config import FAST_EPOCHS, TrainConfig
from trainer.data.tickets import Rows
from trainer.kinds import Progress

SHARE = 0.2  # of the categories, that is left out
MIN_CATEGORIES = 5
MIN_TICKETS = 20  # of either sort

Numbers = NDArray[np.float64]


def auroc(known_N: Numbers, unknown_M: Numbers) -> float:
    """Return how probably one of `known_N` is larger than one of `unknown_M`; equal ones count half.

    >>> auroc(np.array([0.9, 0.8, 0.5]), np.array([0.4, 0.5]))  # 5 of 6 pairs, and a draw
    0.9166666666666666
    """
    values_K = np.concatenate((known_N, unknown_M))
    _, place_K, count = np.unique(values_K, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks_K = (last - (count - 1) / 2)[place_K]  # equal values share the mean of their ranks
    n, m = len(known_N), len(unknown_M)
    return float((ranks_K[:n].sum() - n * (n + 1) / 2) / (n * m))


def left_out(categories: Sequence[str], seed: int) -> list[str]:
    """Return a fifth of the categories, drawn at random."""
    drawn = np.random.default_rng(seed).permutation(len(categories))[: max(1, round(SHARE * len(categories)))]
    return sorted(categories[place] for place in drawn.tolist())


def try_out(rows: Rows, part: tuple[list[int], list[int]], config: TrainConfig, progress: Progress) -> OutOfScope:
    """Return what the confidence of experts is worth that were not taught a fifth of the categories.

    Args:
        rows: checked.
        part: the numbers of the rows to learn from, and of those kept out.
        config: resolved.
        progress: of the training.
    """
    categories = sorted(rows.categories)
    out = left_out(categories, config.seed) if len(categories) >= MIN_CATEGORIES else []
    known = [category for category in categories if category not in set(out)]
    label_of = {category: label for label, category in enumerate(known)}
    targets = [label_of.get(ticket.expected, -1) for ticket in rows.tickets]
    teaching, kept_out = ([row for row in group if targets[row] >= 0] for group in part)
    unknown = [row for row, target in enumerate(targets) if target < 0]
    if min(len(kept_out), len(unknown)) < MIN_TICKETS or len({targets[row] for row in teaching}) < 2:
        detail = (
            f"not tried: it takes {MIN_CATEGORIES} categories, there are {len(categories)}; and {MIN_TICKETS} tickets "
            f"of known ones and of others, there are {len(kept_out)} and {len(unknown)}"
        )
        return OutOfScope(None, len(kept_out), len(unknown), out, detail)

    import torch

    from trainer.gru import ensemble
    from trainer.gru.calibrate import fit_share, fit_temperature

    # Two folds by name: then the tickets to answer choose no epoch, half of whom have no label here.
    quick = msgspec.structs.replace(config, grus=1, epochs=FAST_EPOCHS, folds=2, linear_c=config.linear_c or 1.0)
    lessons = [(teaching, kept_out + unknown)]
    (found,) = ensemble.train(rows, [max(0, target) for target in targets], lessons, len(known), quick, progress)
    n = len(kept_out)
    known_N = torch.tensor([targets[row] for row in kept_out], dtype=torch.int64)
    mix = fit_share(found.gru_NC[:n], found.linear_NC[:n], known_N)
    logits_KC = mix.logits(found.gru_NC, found.linear_NC)
    temperature = fit_temperature(logits_KC[:n], known_N).temperature
    confidence_K = torch.softmax(logits_KC / temperature, dim=1).amax(dim=1).numpy().astype(np.float64)
    detail = (
        f"the linear part and one GRU of {FAST_EPOCHS} epochs, "
        f"taught {len(teaching)} tickets of {len(known)} categories"
    )
    return OutOfScope(auroc(confidence_K[:n], confidence_K[n:]), n, len(unknown), out, detail)
