"""Whether the text tells the categories at all, or the column does not follow from it.

A column of priorities, of agents or of dice has categories too, and a model that learns them is right in as many cases
as chance is. Whoever looks for wrong tickets in such a set accuses most of it, and whoever trains on it serves chance.

In: labelled tickets, and what models that had not seen them say. Out: whether the text tells the categories, how
surely, and what always answering with the largest category would come to. What it leaves to others: the models
(folds.py), and what is done about it (inspection.py, run.py).

The test: the idea. If the categories had nothing to do with the texts, they could be dealt out among the tickets anew,
like cards, and a model's answers would suit them as well as before. So the self-confidence of the tickets, which is
the probability that the model gives to a ticket's own category, is added up and compared with the sums after 999 deals.
A sum that no deal reaches is luck in one case of a thousand at most. That is a permutation test (Fisher 1935, "The
Design of Experiments"; Ojala and Garriga 2010, "Permutation Tests for Studying Classifier Performance", test 1). It
takes account of categories of any sizes: who always says the largest one has the same sum after every deal.

The trap: five folds are less evidence than they seem. Of two tickets that are nearly alike and in two folds each gets
the category of the other, so both are right or both are wrong, and the sum spreads up to 1.7 times as far as deals do
(docs/LOG.md, "Labels that no text tells"). So the tickets are asked in a chain: each fold is answered by a model of the
folds before it alone. Then no ticket has a say in the answer to an earlier one, and the spread is that of the deals.
The chain takes time, so it is asked only where the five folds, which are there anyway, leave a doubt: whatever they
have in common, a lead of five standard deviations in the mean of the folds is not luck.
"""

# Axes: N tickets, K of them answered, M of one fold, C categories, F folds, D deals.

import warnings
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.evaluation.metrics import Baseline, baseline
from trainer.curation.folds import NUM_FOLDS, Ints, answers, assign, probabilities
from trainer.data.tickets import Rows
from trainer.kinds import Silent

NUM_DEALS = 999
MAX_P = 0.001  # none of the deals may do as well
SURE = 5.0  # standard deviations, in the mean of the folds
SAME = 1e-9  # of a sum: a spread below it is one of rounding
MIN_TICKETS = 100  # with fewer, no evidence is no proof that there is none

Probabilities = NDArray[np.floating]


class Answered(msgspec.Struct, frozen=True):
    """What models said of tickets that they had not learnt from.

    Attributes:
        rows_K: the numbers of the tickets.
        probabilities_KC: of each ticket's categories; any scores will do that are higher for the more probable.
        folds_K: tickets of one number were answered by one model.
    """

    rows_K: Ints
    probabilities_KC: Probabilities
    folds_K: Ints


class Signal(Baseline, frozen=True):
    """How well the text tells the categories, cross-validated, next to what needs no text.

    Attributes:
        num_tickets: that could be judged.
        accuracy: of the linear part on tickets that it had not learnt from.
        p_value: share of random deals of the categories that suit the answers as well; 0.001 is the least it can say.
        labels_follow_text: the verdict; None: too few tickets for one.
    """

    num_tickets: int
    accuracy: float
    p_value: float
    labels_follow_text: bool | None


def signal_of(
    rows: Rows, labels: Sequence[str], given_N: Ints, probabilities_NC: Probabilities, folds_N: Ints
) -> Signal:
    """Return how well the text tells the categories.

    Args:
        rows: checked.
        labels: the names of the C categories.
        given_N: the label of each ticket.
        probabilities_NC: out of fold.
        folds_N: of each ticket; -1: not judged.
    """
    judged_K = np.flatnonzero(folds_N >= 0)
    answered = Answered(judged_K, probabilities_NC[judged_K], folds_N[judged_K])
    follows, p_value = follows_text(rows, given_N, answered)
    named = baseline([labels[label] for label in given_N[judged_K].tolist()])
    right_K = answered.probabilities_KC.argmax(axis=1) == given_N[judged_K]
    return Signal(
        largest_category=named.largest_category,
        largest_share=named.largest_share,
        chance=named.chance,
        num_tickets=len(judged_K),
        accuracy=float(right_K.mean()) if len(judged_K) else 0.0,
        p_value=p_value,
        labels_follow_text=follows,
    )


def follows_text(rows: Rows, given_N: Ints, answered: Answered) -> tuple[bool | None, float]:
    """Return whether the text tells the categories (None: too few tickets to deny it), and the p-value of the test.

    Args:
        rows: all tickets, for the chain where the answers leave a doubt.
        given_N: the label of each.
        answered: what is known already; may be empty.
    """
    firsts = first_copies(rows)
    own_F, dealt_FD = standardised(answered, given_N, firsts)
    if not len(own_F) or own_F.mean() < SURE:
        answered = chain(rows, given_N)
        own_F, dealt_FD = standardised(answered, given_N, firsts)
    num_as_good = int((dealt_FD.sum(axis=0) >= own_F.sum()).sum())  # where no fold says anything, every deal
    p_value = (1 + num_as_good) / (1 + NUM_DEALS)
    if p_value <= MAX_P:
        return True, p_value
    return (False if np.isin(answered.rows_K, firsts).sum() >= MIN_TICKETS else None), p_value


def first_copies(rows: Rows) -> Ints:
    """Return the numbers of the distinct tickets, each where it comes first.

    Copies mostly have one category, whatever that follows from, and dealt one by one they would have several.
    """
    first: dict[tuple[str, ...], int] = {}
    for row, tokens in enumerate(rows.tokens):
        first.setdefault(tuple(tokens), row)
    return np.array([*first.values()])


def standardised(answered: Answered, given_N: Ints, counted: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return own_F, the sum of the self-confidences in each fold, and dealt_FD, the same after each deal.

    In standard deviations from the mean of the fold's deals, so that every fold counts the same. Left out is a fold in
    which all deals come to the same, because it is of one category or gets one answer.

    Args:
        answered: to be looked at.
        given_N: the label of every ticket.
        counted: the tickets of which anything is counted.
    """
    random = np.random.default_rng(0)  # the same tickets have the same verdict
    is_counted_K = np.isin(answered.rows_K, counted)
    own, dealt = [], []
    for fold in np.unique(answered.folds_K):
        chosen_K = is_counted_K & (answered.folds_K == fold)
        probabilities_MC = answered.probabilities_KC[chosen_K].astype(np.float64)
        targets_M = given_N[answered.rows_K[chosen_K]]
        places_M = np.arange(len(targets_M))
        # Dealt within the fold: its model, and how many tickets it has of each category, stay as they are.
        sums_D = np.array([probabilities_MC[places_M, random.permutation(targets_M)].sum() for _ in range(NUM_DEALS)])
        if (spread := float(sums_D.std())) > SAME * max(1.0, float(np.abs(sums_D).max())):
            own.append((probabilities_MC[places_M, targets_M].sum() - sums_D.mean()) / spread)
            dealt.append((sums_D - sums_D.mean()) / spread)
    return np.array(own), np.array(dealt).reshape(len(own), NUM_DEALS)


def chain(rows: Rows, given_N: Ints) -> Answered:
    """Return the answers to each fold but the first, by the linear part that learnt the folds before it.

    It costs half of what the five folds of the audit cost: the models learn from 20, 40, 60 and 80 % of the tickets.
    """
    num_categories = int(given_N.max()) + 1
    folds_N = assign(rows, given_N, 0)
    scores, asked = [np.empty((0, num_categories), dtype=np.float32)], [np.empty(0, dtype=np.int64)]
    for fold in range(1, NUM_FOLDS):
        taught_M, asked_M = np.flatnonzero((folds_N >= 0) & (folds_N < fold)), np.flatnonzero(folds_N == fold)
        if len(np.unique(given_N[taught_M])) < 2 or not len(asked_M):
            continue  # nothing to tell apart yet
        with warnings.catch_warnings():
            # scikit-learn takes many categories of few tickets for numbers.
            warnings.filterwarnings("ignore", "The number of unique classes")
            lesson = [rows.tokens[row] for row in taught_M], given_N[taught_M].tolist()
            scores.append(answers(*lesson, [rows.tokens[row] for row in asked_M], num_categories, Silent()))
        asked.append(asked_M)
    rows_K = np.concatenate(asked)
    return Answered(rows_K, probabilities(np.concatenate(scores)), folds_N[rows_K])
