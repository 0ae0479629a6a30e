"""Ask about each labelled ticket a model that has not learnt from it.

The tickets are cut into 5 folds, and each fold is answered by the linear part (linear.py) that learnt from the other
four. In: checked rows. Out: probabilities of every ticket that can be judged so. What is made of them is for audit.py,
which looks for single tickets under a wrong category, and signal.py, which asks whether the text tells the categories
at all. Nothing here imports torch.
"""

# Axes: N tickets, C categories.

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from artifacts.text.vocabulary import Vocabulary, build_rows
from trainer.config import TrainConfig
from trainer.data.tickets import Rows
from trainer.gru import linear
from trainer.jobs import parallel
from trainer.kinds import Progress, Silent

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUM_FOLDS = 5  # each model learns from 80 % of the tickets
LINEAR_C = 0.3  # tighter than for a model that serves: it should not bend to the wrong tickets (docs/LOG.md)
DEFAULTS = TrainConfig()  # of the words, pairs and n-grams that the linear part tells apart
SHARPNESS = (0.05, 50.0)  # of the scores, between which 1/T is searched
MIN_TO_JUDGE = 3  # distinct tickets of a category: with fewer, a ticket kept out leaves nothing to know it by
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
    scores_NC = np.full((len(given_N), num_categories), np.nan)
    for fold, found_NC in enumerate(parallel.run_all(tasks, processes, Silent())):
        scores_NC[folds_N == fold] = found_NC
    judged_NC, judged_N = scores_NC[folds_N >= 0], given_N[folds_N >= 0]
    if not len(judged_N):
        return scores_NC
    rows_N = np.arange(len(judged_N))
    sharpness = minimize_scalar(
        lambda b: -log_softmax(judged_NC * b, axis=1)[rows_N, judged_N].mean(), bounds=SHARPNESS, method="bounded"
    ).x
    probabilities_NC: Floats = softmax(scores_NC * sharpness, axis=1)
    return probabilities_NC


def answers(
    taught: Sequence[Sequence[str]],
    targets: Sequence[int],
    asked: Sequence[Sequence[str]],
    num_categories: int,
    progress: Progress,  # noqa: ARG001  # a linear part has no steps to tell of
) -> Floats:
    """Return scores_NC of the tickets asked about, from a linear part that learnt the others."""
    if not asked:
        return np.empty((0, num_categories))
    vocabulary = Vocabulary(build_rows(taught, DEFAULTS.min_count, DEFAULTS.max_vocabulary), DEFAULTS.ngram_buckets)
    features = linear.Features(vocabulary, DEFAULTS.pairs)
    fitted = linear.fit([vocabulary.encode(one) for one in taught], targets, features, num_categories, LINEAR_C)
    return linear.scores(fitted, [vocabulary.encode(one) for one in asked]).astype(np.float64)
