"""Ask about each labelled ticket a model that has not learnt from it.

The tickets are cut into 5 folds, and each fold is answered by the linear part (linear.py) that learnt from the other
four. In: checked rows. Out: probabilities of every ticket that can be judged so. What is made of them is for audit.py,
which looks for single tickets under a wrong category, and signal.py, which asks whether the text tells the categories
at all. Nothing here imports torch.

Of 3,000 categories neither full tables nor a handful of N x C matrices fit into the memory of a small machine. So the
linear part gets tables of low rank where the full ones would be larger than the default of `max_table_mb`, and the
scores are kept in float32, of which a few rows at a time are turned into probabilities.
"""

# Axes: N tickets, C categories, B rows that are worked on at once.

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from artifacts.text.vocabulary import Vocabulary, build_rows
from trainer.config import TrainConfig
from trainer.data.tickets import Rows
from trainer.gru import linear, low_rank
from trainer.jobs import parallel
from trainer.kinds import Progress, Silent

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

NUM_FOLDS = 5  # each model learns from 80 % of the tickets
LINEAR_C = 0.3  # tighter than for a model that serves: it should not bend to the wrong tickets (docs/LOG.md)
DEFAULTS = TrainConfig()  # of the words, pairs and n-grams that the linear part tells apart
SHARPNESS = (0.05, 50.0)  # of the scores, between which 1/T is searched
MIN_TO_JUDGE = 3  # distinct tickets of a category: with fewer, a ticket kept out leaves nothing to know it by
BLOCK = 4_000_000  # scores that are worked on at once: 32 MB in float64
WORTH_A_PROCESS = 200_000  # tickets x categories; with fewer, another process is not worth its start


def assign(rows: Rows, given_N: Ints, seed: int) -> Ints:
    """Return the fold of each ticket, 0..4; -1 for a ticket of a category that is too small to be judged.

    Stratified by category. Equal tickets are in one fold, whatever their categories, or a copy would answer for them.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, tokens in enumerate(rows.tokens):
        groups.setdefault(tuple(tokens), []).append(row)
    by_category: defaultdict[int, list[list[int]]] = defaultdict(list)
    for group in groups.values():
        by_category[int(given_N[group[0]])].append(group)
    random = np.random.default_rng(seed)
    folds_N = np.full(len(given_N), -1)
    for label in sorted(by_category):
        members = by_category[label]
        first = int(random.integers(NUM_FOLDS))  # or every small category's odd ticket would be in the first fold
        for place, member in enumerate(random.permutation(len(members)).tolist()):
            folds_N[members[member]] = (first + place) % NUM_FOLDS
    small = {category for category, count in rows.distinct.items() if count < MIN_TO_JUDGE}
    folds_N[[row for row, ticket in enumerate(rows.tickets) if ticket.expected in small]] = -1
    return folds_N


def out_of_fold(rows: Rows, given_N: Ints, folds_N: Ints, num_categories: int, processes: int) -> Floats:
    """Return probabilities_NC: of each ticket, what a model says that has not seen it; NaN for those of no fold.

    The scores of all folds are turned into probabilities by one temperature, under which the given categories are most
    probable (Guo et al. 2017; calibrate.py does the same with torch).
    """
    tasks = []
    for fold in range(NUM_FOLDS):
        taught, asked = np.flatnonzero(folds_N != fold).tolist(), np.flatnonzero(folds_N == fold).tolist()
        lesson = [rows.tokens[row] for row in taught], given_N[taught].tolist(), [rows.tokens[row] for row in asked]
        tasks.append(partial(answers, *lesson, num_categories))
    if len(rows.tickets) * num_categories < WORTH_A_PROCESS:
        processes = 1
    # float32 is what the linear part answers in; of 30,000 tickets in 3,000 categories it is 360 MB.
    scores_NC = np.full((len(given_N), num_categories), np.nan, dtype=np.float32)
    for fold, found_NC in enumerate(parallel.run_all(tasks, processes, Silent())):
        scores_NC[folds_N == fold] = found_NC
    judged_N = np.flatnonzero(folds_N >= 0)
    if not len(judged_N):
        return scores_NC

    def loss(sharpness: float) -> float:
        total = 0.0
        for rows_B in blocks(judged_N, num_categories):
            logs_BC = log_softmax(scores_NC[rows_B].astype(np.float64) * sharpness, axis=1)
            total -= logs_BC[np.arange(len(rows_B)), given_N[rows_B]].sum()
        return total / len(judged_N)

    return probabilities(scores_NC, minimize_scalar(loss, bounds=SHARPNESS, method="bounded").x)


def probabilities(scores_NC: Floats, sharpness: float = 1.0) -> Floats:
    """Return the softmax of the scores, which it overwrites: a second N x C matrix may not fit."""
    for rows_B in blocks(np.arange(len(scores_NC)), scores_NC.shape[1]):
        scores_NC[rows_B] = softmax(scores_NC[rows_B].astype(np.float64) * sharpness, axis=1)
    return scores_NC


def blocks(rows_N: Ints, num_categories: int) -> Iterator[Ints]:
    """Yield the row numbers in order, as many at a time as have `BLOCK` scores together; at least one.

    >>> [len(rows) for rows in blocks(np.arange(5), BLOCK // 2)]
    [2, 2, 1]
    """
    step = max(1, BLOCK // max(1, num_categories))
    for start in range(0, len(rows_N), step):
        yield rows_N[start : start + step]


def answers(
    taught: Sequence[Sequence[str]],
    targets: Sequence[int],
    asked: Sequence[Sequence[str]],
    num_categories: int,
    progress: Progress,  # noqa: ARG001  # a linear part has no steps to tell of
) -> Floats:
    """Return scores_NC float32 of the tickets asked about, from a linear part that learnt the others."""
    if not asked:
        return np.empty((0, num_categories), dtype=np.float32)
    vocabulary = Vocabulary(build_rows(taught, DEFAULTS.min_count, DEFAULTS.max_vocabulary), DEFAULTS.ngram_buckets)
    features = linear.Features(vocabulary, DEFAULTS.pairs)
    lesson = [vocabulary.encode(one) for one in taught], targets, features, num_categories
    rank = low_rank.choose_rank(features.num_rows, num_categories, DEFAULTS.max_table_mb * low_rank.MB)
    # Of the two ways the ridge: it needs no torch, and is the better one where categories are many and small.
    (fitted,) = low_rank.fit(*lesson, rank, ["ridge"]) if rank else linear.fit(*lesson, [LINEAR_C])
    return linear.scores(fitted, [vocabulary.encode(one) for one in asked])
