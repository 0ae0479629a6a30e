"""What a model sees of new tickets, and how a correction of each ticket gets into the model's tables.

In: a reopened version and encoded tickets. Out: features of each ticket, and the version with a correction learnt. What
it leaves to others: how large the corrections are (learn.py).

A correction is a sum over the tickets that were learnt from, z(x) = z_serving(x) + sum of k(x, i) a_i, and k is a
product of features, k(x, i) = f(x) f(i). So it is linear in f(x), and needs none of these tickets any more:
    correction(x) = f(x) W,    W = sum over the tickets of f(i)' a_i
f are what the graph adds up anyway: the counts of words, n-grams and pairs (gru/linear.py), and the pooled states of
the GRUs, which the head multiplies. So W is added to the linear part's tables and to the head, and the graph stays the
same graph: a version that has learnt on ten times costs a search what it cost before.
"""

# Axes: N tickets, V known words, F features of the linear part, D entries of the pooled states of all GRUs, C
#       categories.

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from artifacts.arrays import Floats
from artifacts.text.vocabulary import Encoded, Vocabulary
from trainer.continuing.reopen import Reopened
from trainer.gru import linear
from trainer.gru.linear import GRAM_WEIGHT, NORM, Features, Linear
from trainer.gru.model import TicketClassifier
from trainer.gru.train import logits

Numbers = NDArray[np.float64]
STATES_WEIGHT = 0.3  # of the states' share of k, next to 1 for the counts' (docs/LOG.md)


def widened(version: Reopened, words: Sequence[str], categories: Sequence[str], first_logit: float = 0.0) -> Reopened:
    """Return a version that also knows these words and has these categories, and answers as before.

    A new word's row is what it was read as before: <UNK> and its n-grams. In pairs it goes on standing as <UNK>.

    Args:
        version: reopened.
        words: that are in no row of its vocabulary.
        categories: that are none of its labels.
        first_logit: of these categories, whatever the ticket, as long as nothing of them is learnt.
    """
    rows = version.vocabulary.rows | {word: len(version.vocabulary) + place for place, word in enumerate(words)}
    vocabulary = Vocabulary(rows, version.vocabulary.num_buckets, version.vocabulary.rules)
    num_more = len(categories)
    old = version.linear
    # The n-grams of a word that is unknown to the tables of pairs are those that a search would bring of it.
    grams = Features(vocabulary, len(old.pairs_PS), old.num_taught).grams_VG[len(old.words_VS) :]
    words_VC = np.concatenate([old.words_VS, (grams @ old.grams_GS).astype(np.float32)])

    def wider(rows_NC: Floats) -> Floats:
        return np.pad(rows_NC, ((0, 0), (0, num_more)))

    return msgspec.structs.replace(
        version,
        vocabulary=vocabulary,
        labels=[*version.labels, *categories],
        members=[with_rows(member, vocabulary, num_more) for member in version.members],
        linear=msgspec.structs.replace(
            old,
            words_VS=wider(words_VC),
            grams_GS=wider(old.grams_GS),
            pairs_PS=wider(old.pairs_PS),
            bias_C=np.pad(old.bias_C, (0, num_more), constant_values=first_logit),
        ),
    )


@torch.no_grad()
def with_rows(member: TicketClassifier, vocabulary: Vocabulary, num_more: int) -> TicketClassifier:
    """Return a GRU over a larger vocabulary and with more categories, which answers as before."""
    num_rows = len(member.embedding.word.weight)
    wider = TicketClassifier(vocabulary.words, member.num_categories + num_more, member.config, num_rows)
    wider.embedding.load_state_dict(member.embedding.state_dict())
    wider.gru.load_state_dict(member.gru.state_dict())
    wider.head.weight.copy_(nn.functional.pad(member.head.weight, (0, 0, 0, num_more)))
    wider.head.bias.copy_(nn.functional.pad(member.head.bias, (0, num_more)))
    return wider.eval()


def states(version: Reopened, tickets: Sequence[Encoded]) -> Floats:
    """Return the pooled states [N, D] of all GRUs, side by side: what their heads multiply."""
    found = []
    for member in version.members:
        # A head that hands the state on as it is: then the network's answer is the state.
        through = copy.deepcopy(member)
        size = through.head.in_features
        through.head = nn.Linear(size, size)
        nn.init.eye_(through.head.weight)
        nn.init.zeros_(through.head.bias)
        found.append(logits(through, tickets, len(version.vocabulary), torch.device("cpu")).numpy())
    return np.concatenate(found, axis=1)


class Learning:
    """The features of some tickets, by which they are alike, and the way of a correction into the tables."""

    def __init__(self, version: Reopened, tickets: Sequence[Encoded]) -> None:
        """Count the features.

        Args:
            version: which reads the tickets.
            tickets: to learn from, at least one.
        """
        self._version = version
        self._features = Features(version.vocabulary, len(version.linear.pairs_PS), version.linear.num_taught)
        self._num_taught = self._features.num_words
        counts_NF = self._features.counts(tickets)
        # Words that count as unknown ones in the tables, new ones most of all, get something to say of their own.
        own_NU = self._features.known(tickets)[:, self._num_taught :]
        all_NF = sparse.hstack([counts_NF, own_NU]).tocsr().astype(np.float64)
        held_F = np.bincount(all_NF.indices, minlength=all_NF.shape[1])
        weight_F = np.log((1 + len(tickets)) / (1 + held_F)) + 1  # idf, as in linear.weigh
        weight_F[self._num_taught : self._num_taught + self._features.num_grams] *= GRAM_WEIGHT
        weighted_NF = all_NF @ sparse.diags(weight_F)
        # By one factor to the mean length NORM, so that a strength means the same for every set.
        weight_F *= NORM / np.sqrt(weighted_NF.multiply(weighted_NF).sum(axis=1).mean())
        self._weight_F, self._counts_NF = weight_F, (all_NF @ sparse.diags(weight_F)).tocsr()
        states_ND = states(version, tickets).astype(np.float64)
        # What all states have in common tells no two tickets apart.
        self._middle_D = states_ND.mean(axis=0)
        centred_ND = states_ND - self._middle_D
        length = np.sqrt(max(np.square(centred_ND).sum(axis=1).mean(), 1e-12))
        self._scale = np.sqrt(STATES_WEIGHT) * NORM / length
        self._states_ND = centred_ND * self._scale
        heads_CD = np.concatenate([member.head.weight.detach().numpy() for member in version.members], axis=1)
        of_gru_NC = states_ND @ heads_CD.T.astype(np.float64)
        # The calibrated logits of the version as it is.
        self.logits_NC: Numbers = of_gru_NC + linear.scores(version.linear, tickets)

    def alike(self) -> Numbers:
        """Return k of each two tickets, [N, N]."""
        of_counts_NN = (self._counts_NF @ self._counts_NF.T).toarray()
        found: Numbers = of_counts_NN + self._states_ND @ self._states_ND.T
        return found

    def learnt(self, a_NC: Numbers) -> Reopened:
        """Return the version with a correction a_i of each ticket in its tables and heads."""
        f = self._features
        rows_FC = (self._counts_NF.T @ a_NC) * self._weight_F[:, None]
        rows_FC, own_UC = np.split(rows_FC, [f.num_words + f.num_grams + f.num_pairs])
        own_VC = np.zeros((f.num_known, a_NC.shape[1]), dtype=np.float32)
        own_VC[f.num_words :] = own_UC
        more = linear.fold(f, rows_FC.astype(np.float32), own_VC, np.zeros(a_NC.shape[1], dtype=np.float32))
        heads_CD = (self._states_ND.T @ a_NC).T * self._scale
        # The states were centred, and the graph's are not: what their middle brings is taken back in the bias.
        bias_C = more.bias_C - (heads_CD @ self._middle_D).astype(np.float32)
        members = []
        for member, head_CH in zip(
            self._version.members, np.split(heads_CD, len(self._version.members), axis=1), strict=True
        ):
            member = copy.deepcopy(member)
            with torch.no_grad():
                member.head.weight.add_(torch.from_numpy(head_CH.astype(np.float32)))
            members.append(member)
        return msgspec.structs.replace(self._version, members=members, linear=added(self._version.linear, more, bias_C))


def added(old: Linear, more: Linear, bias_C: Any) -> Linear:
    """Return the rows of both together."""
    return msgspec.structs.replace(
        old,
        words_VS=old.words_VS + more.words_VS,
        grams_GS=old.grams_GS + more.grams_GS,
        pairs_PS=old.pairs_PS + more.pairs_PS,
        bias_C=old.bias_C + bias_C,
    )
