"""The tickets of a training behind one another, and a batch of them as sums of rows of tables.

In: encoded tickets. Out: for any of them the rows of the two tables that they touch, and two sparse matrices that turn
these rows into the vectors of the tokens. What it leaves to others: the tables (model.py), their steps (rows.py), which
tickets are a batch (train.py).

The idea. What does not change from epoch to epoch is worked out once: which distinct tokens the set has, the row and
the n-grams of each. A batch then only picks: its tokens are places in one long array, no list is walked and nothing is
padded. A batch touches few rows, so it takes them out of the tables as a small table of its own:

    t_U = M_US grams_S      M_us = 1 / (number of kept n-grams of token u) where s is one of them
    x_N = words[word of n] + t[token of n]

which are products with sparse matrices, and so are their gradients: d_t = (those of x, summed by token), d_grams =
M^T d_t.
"""

# Axes: B tickets of the batch, N tokens of the batch, L tokens of the set, Q distinct tokens of the set, U of the
#       batch, F n-grams of the distinct tokens of a set, one behind the other, M of these the batch's, R word rows and
#       S n-gram rows that the batch touches, E entries of a row.

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from artifacts.arrays import Longs
from artifacts.text.vocabulary import UNK, Encoded
from trainer.stepping.rows import addresses, kernel

if TYPE_CHECKING:
    from scipy import sparse


class Sums(NamedTuple):
    """Sums of weighted rows: the terms of all sums one behind the other, as a sparse matrix of compressed rows is kept.

    Attributes:
        ends: int32 [N + 1], 0 and where the terms of each sum end.
        columns_M: int32, which row each term is of.
        weights_M: float32.
        num_rows: S.
    """

    ends: NDArray[np.int32]
    columns_M: NDArray[np.int32]
    weights_M: NDArray[np.float32]
    num_rows: int


class Batch(NamedTuple):
    """What one step reads.

    Attributes:
        words_R, grams_S: int64, the rows of the tables that are touched, each once.
        token_US: the distinct tokens as means of their n-grams' rows.
        sum_NT: each token as the sum of a word's row and a distinct token's, which stand in this order in T = R + U.
        used_U: int64, which of the set's distinct tokens these are.
        lengths_B: int64, tokens of each ticket; their sum is N.
    """

    words_R: Tensor
    grams_S: Tensor
    token_US: Sums
    sum_NT: Sums
    used_U: Tensor
    lengths_B: Tensor


class Ragged:
    """The tickets of a set. Not thread-safe: a batch writes into arrays that are kept for the next one."""

    def __init__(self, tickets: Sequence[Encoded], grams_VK: NDArray[np.integer], num_taught: int) -> None:
        """Work out what no epoch changes.

        Args:
            tickets: at least one.
            grams_VK: the n-grams of each known word, 0 behind the last.
            num_taught: rows of the word table; a word from here on takes the row of <UNK>.
        """
        num_words, width = grams_VK.shape
        self.lengths = np.array([len(ticket.ids) for ticket in tickets])
        self._starts = np.cumsum(self.lengths) - self.lengths
        ids_L = np.fromiter((number for ticket in tickets for number in ticket.ids), np.int64, self.lengths.sum())
        # A ticket counts its unknown words from V. In the set each spelling has one number: "conntecter" of two tickets
        # is one token, whose n-grams are looked up once where both are in a batch.
        number_of: dict[str, int] = {}
        grams: list[list[int]] = []
        for start, ticket in zip(self._starts.tolist(), tickets, strict=True):
            if not ticket.unknown:
                continue
            for spelling, found in zip(ticket.unknown, ticket.grams, strict=True):
                if number_of.setdefault(spelling, len(number_of)) == len(grams):
                    grams.append(found)
            numbers = np.array([number_of[spelling] for spelling in ticket.unknown])
            own_N = ids_L[start : start + len(ticket.ids)]  # a view, so what is written here is written there
            own_N[own_N >= num_words] = num_words + numbers[own_N[own_N >= num_words] - num_words]
        # Of the vocabulary only what these tickets hold.
        self.token_Q, self._token_L = np.unique(ids_L, return_inverse=True)
        self._word_Q = np.where(self.token_Q < num_taught, self.token_Q, UNK)
        known_Q = self.token_Q[self.token_Q < num_words]
        unknown_UK = np.zeros((len(grams), width), dtype=grams_VK.dtype)
        for row, found in enumerate(grams):
            unknown_UK[row, : len(found)] = found
        grams_QK = np.concatenate((grams_VK[known_Q], unknown_UK))
        self._num_grams_Q = (grams_QK > 0).sum(axis=1)
        self._first_Q = np.cumsum(self._num_grams_Q) - self._num_grams_Q
        self._gram_F = grams_QK[grams_QK > 0].astype(np.int64)  # row by row, so token by token
        self._slot_Q = np.zeros(len(self.token_Q), dtype=np.int32)
        self._slot_G = np.zeros(int(self._gram_F.max(initial=0)) + 1, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(
        self,
        chosen: Sequence[int] | NDArray[np.integer],
        random: np.random.Generator | None = None,
        word_dropout: float = 0.0,
        ngram_dropout: float = 0.0,
    ) -> Batch:
        """Return what a step reads of the chosen tickets.

        Args:
            chosen: numbers of tickets, at least one.
            random: draws what is left out; without it nothing is.
            word_dropout: share of the tokens that take the row of <UNK> in place of their word's.
            ngram_dropout: share of a token's n-grams that are left out of its mean.
        """
        chosen_B = np.asarray(chosen)
        lengths_B = self.lengths[chosen_B]
        token_N = self._token_L[ranges(self._starts[chosen_B], lengths_B)]
        used_U, place_N = distinct(token_N, self._slot_Q)
        # Words. Row 0 of the batch's small table is that of <UNK>, which every batch has.
        word_U = self._word_Q[used_U]
        has_row_U = word_U != UNK
        words_R = np.concatenate(([UNK], word_U[has_row_U]))
        at_U = np.zeros(len(used_U), dtype=np.int32)
        at_U[has_row_U] = np.arange(1, len(words_R))
        word_N = at_U[place_N]
        # N-grams of the distinct tokens, one behind the other.
        counts_U = self._num_grams_Q[used_U]
        gram_M = self._gram_F[ranges(self._first_Q[used_U], counts_U)]
        if random is not None:
            # A word that is left out is read by its n-grams, as an unknown one will be: they learn to carry it.
            word_N[random.random(len(word_N), dtype=np.float32) < word_dropout] = 0
            kept_M = random.random(len(gram_M), dtype=np.float32) >= ngram_dropout
            gram_M, counts_U = gram_M[kept_M], counted(kept_M, counts_U)
        grams_S, column_M = distinct(gram_M, self._slot_G)
        share_M = np.repeat((1 / np.maximum(counts_U, 1)).astype(np.float32), counts_U)
        token_US = Sums(ends(counts_U), column_M, share_M, len(grams_S))
        pairs_N2 = np.stack((word_N, place_N + np.int32(len(words_R))), axis=1)
        num_N = len(token_N)
        sum_NT = Sums(
            np.arange(0, 2 * num_N + 1, 2, dtype=np.int32),
            pairs_N2.ravel(),
            np.ones(2 * num_N, dtype=np.float32),
            len(words_R) + len(used_U),
        )
        tensors = map(torch.from_numpy, (words_R, grams_S, self.token_Q[used_U], lengths_B))
        words, touched, used, lengths = tensors
        return Batch(words, touched, token_US, sum_NT, used, lengths)


def ranges(starts_B: Longs, lengths_B: Longs) -> Longs:
    """Return start, start + 1, ... of each range, one behind the other.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before_B = np.cumsum(lengths_B) - lengths_B
    found: Longs = np.repeat(starts_B - before_B, lengths_B) + np.arange(lengths_B.sum())
    return found


def distinct(values_N: Longs, slots: NDArray[np.int32]) -> tuple[Longs, NDArray[np.int32]]:
    """Return the distinct values in the order in which they last stand there, and of each value which of them it is.

    Without sorting, as np.unique would: each value leaves its place in its slot, and who finds its own place there is
    the last of its kind.

    Args:
        values_N: each below the length of `slots`.
        slots: is written over, and need not be cleared.
    """
    places_N = np.arange(len(values_N), dtype=np.int32)
    slots[values_N] = places_N  # of equal values NumPy keeps the last
    found_U = values_N[slots[values_N] == places_N]
    slots[found_U] = np.arange(len(found_U), dtype=np.int32)
    return found_U, slots[values_N]


def counted(flags_M: NDArray[np.bool_], lengths_U: Longs) -> Longs:
    """Return how many flags of each range are set; the ranges stand one behind the other, and may be empty."""
    until_M = np.concatenate(([0], np.cumsum(flags_M)))
    found: Longs = np.diff(until_M[np.concatenate(([0], np.cumsum(lengths_U)))])
    return found


def ends(lengths_U: Longs) -> NDArray[np.int32]:
    """Return 0 and the end of each range, as a sparse matrix counts its rows."""
    return np.concatenate(([0], np.cumsum(lengths_U))).astype(np.int32)


class _Summed(torch.autograd.Function):
    """Sums of rows, which have a gradient, by weights, which have none."""

    @staticmethod
    def forward(ctx: Any, rows_SE: Tensor, sums: Sums) -> Tensor:
        ctx.sums = sums
        rows_SE = rows_SE.contiguous()
        if (library := kernel()) is None:
            return torch.from_numpy(matrix(sums) @ rows_SE.numpy())
        found_NE = rows_SE.new_empty(len(sums.ends) - 1, rows_SE.shape[1])
        call(library.rows_sum, sums, rows_SE, found_NE)
        return found_NE

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_sums_NE: Tensor) -> tuple[Tensor, None]:
        sums, d_sums_NE = ctx.sums, d_sums_NE.contiguous()
        if (library := kernel()) is None:
            return torch.from_numpy(matrix(sums).T @ d_sums_NE.numpy()), None
        d_rows_SE = d_sums_NE.new_empty(sums.num_rows, d_sums_NE.shape[1])
        call(library.rows_sum_back, sums, d_sums_NE, d_rows_SE)
        return d_rows_SE, None


def call(function: Any, sums: Sums, given: Tensor, taken: Tensor) -> None:
    """Call the kernel on float32 of the CPU."""
    sizes = len(sums.ends) - 1, len(sums.columns_M), sums.num_rows, given.shape[1]
    arrays = (array.ctypes.data for array in (sums.ends, sums.columns_M, sums.weights_M))
    status = function(*sizes, *arrays, *addresses(given, taken))
    assert status == 0, f"the kernel refuses its input ({status}): terms of no sum or of no row; internal error"


def matrix(sums: Sums) -> "sparse.csr_matrix":
    """Return the weights as a sparse matrix, [N, S]."""
    from scipy import sparse  # only where there is no kernel: it takes a third of a second to import

    shape = (len(sums.ends) - 1, sums.num_rows)
    return sparse.csr_matrix((sums.weights_M, sums.columns_M, sums.ends), shape)


def summed(rows_SE: Tensor, sums: Sums) -> Tensor:
    """Return the sums of rows, [N, E], differentiable by the rows.

    By the kernel, or else by SciPy, whose products go through a row of E numbers as one: PyTorch's own sums of rows
    take their gradient apart row by row, at a microsecond each (docs/LOG.md).
    """
    if rows_SE.device.type == "cpu":
        found_NE: Tensor = _Summed.apply(rows_SE, sums)  # type: ignore[no-untyped-call]  # of torch
        return found_NE
    device, counts_N = rows_SE.device, np.diff(sums.ends)
    row_M = torch.from_numpy(np.repeat(np.arange(len(counts_N)), counts_N)).to(device)
    weight_M1 = torch.from_numpy(sums.weights_M).to(device)[:, None]
    terms_ME = rows_SE[torch.from_numpy(sums.columns_M).long().to(device)] * weight_M1
    return rows_SE.new_zeros(len(counts_N), rows_SE.shape[1]).index_add(0, row_M, terms_ME)


def left_out(values_NE: Tensor, share: float, random: np.random.Generator | None) -> Tensor:
    """Return the values with that share of them 0 and the others larger by as much; as they are without `random`.

    Dropout (Srivastava et al. 2014), drawn by NumPy, which takes a fifth of the time of PyTorch's generator.
    """
    if random is None or not share:
        return values_NE
    kept_NE = random.random(values_NE.shape, dtype=np.float32) >= share
    factors_NE = np.multiply(kept_NE, np.float32(1 / (1 - share)), dtype=np.float32)
    return values_NE * torch.from_numpy(factors_NE).to(values_NE.device)
