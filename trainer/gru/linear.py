"""The linear part's own fit: what each word, each n-gram and each pair of neighbours says by itself.

In: tickets as ids. Out: one row of category scores per word, n-gram and pair, which the graph only adds up. What it
leaves to others: how much this part counts beside the GRU (calibrate.py), and the graph (export.py).

A ticket becomes a long vector of counts, one entry per word, n-gram (2 to 5 letters) and pair of neighbouring words,
edges included. Rare ones tell more than common ones, so each count is multiplied by
    idf = ln((1 + N) / (1 + number of tickets that hold it)) + 1
(Sparck Jones 1972), and all are divided by sqrt(length of the ticket). A linear support vector machine then finds, one
category against all others, the weights that part the tickets with the widest margin (Fan et al. 2008, "LIBLINEAR";
LinearSVC of scikit-learn). That is a convex problem: no seed, no epochs, seconds. On a few hundred tickets it is hard
to beat (docs/LOG.md).

Where a file of pretrained vectors was given, the sum of the words' vectors is counted too, each times its word's idf: a
word that no ticket holds then says what its neighbours say, which on few tickets is worth up to five points.

What makes it fit into the graph: a count is a sum over the tokens, and so is a score. The row of a known word is
therefore its own weight plus those of all its n-grams, added up once at export; only an unknown word brings its n-grams
to the search. A pair's row is found by a hash that the graph itself computes from two ids; in a pair an unknown word
stands as <UNK>, and the start and the end of a ticket as <PAD>.
"""

# Axes: N tickets, V known words, G rows of the n-gram table, P rows of the table of pairs, C categories,
#       D entries of a pretrained vector, F features: V words, then G n-grams, then P pairs,
#       S columns of the tables: C, or R of tables of low rank (low_rank.py).

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from artifacts.arrays import Floats
from artifacts.text.tokens import gram_row, mask, ngrams
from artifacts.text.vocabulary import PAD, RESERVED, UNK, Encoded, Vocabulary
from trainer.kernels import margin

WORD_GRAM_SIZES = (2, 3, 4, 5)  # of known words, whose n-grams cost a search nothing
GRAM_WEIGHT = 0.7  # of an n-gram's count, beside 1 for a word's and a pair's (docs/LOG.md)
# A prime that spreads the pairs: (first * PAIR_FACTOR + second) mod P. So small that a million words fit into the int32
# that the graph computes in.
PAIR_FACTOR = 1009
VECTORS_WEIGHT = 1.0  # of the sum of vectors, beside the length of all that is counted (docs/LOG.md)
NORM = 1.414  # mean length that the vectors are scaled to, so that C means the same for every set


class Linear(msgspec.Struct, frozen=True):
    """A fitted linear part: rows to add up over a ticket's tokens and pairs, divided by sqrt(length), plus the bias.

    Attributes:
        words_VS: float32; the row of each known word, its n-grams included; the reserved rows are 0.
        num_taught: how many of the known words stand in the tickets; the rest, which a file of vectors brought, count
            as unknown ones do: by their n-grams, and as <UNK> in pairs.
        grams_GS: float32; the row of each n-gram of an unknown word; row 0 is 0.
        pairs_PS: float32; the row of each pair; row 0 is 0; no row at all if pairs do not count.
        bias_C: float32.
        basis_RC: float32; what turns the sum of rows of R columns into scores; None where the tables have C columns.
    """

    words_VS: Floats
    grams_GS: Floats
    pairs_PS: Floats
    bias_C: Floats
    num_taught: int
    basis_RC: Floats | None = None


class Tokens(NamedTuple):
    """The tickets of a set as matrices, so that what is counted of one is counted of all at once.

    Attributes:
        tokens_NT: how often each ticket holds each token: T = the V known words, and after them the unknown words of
            all tickets, each ticket's own; the reserved rows, which say nothing, are left out.
        grams_UG: how often each of these U unknown words holds each n-gram.
        ids_I: the ids of all tickets in a row.
        lengths_N: how many of these are each ticket's.
    """

    tokens_NT: sparse.csr_matrix
    grams_UG: sparse.csr_matrix
    ids_I: NDArray[np.int64]
    lengths_N: NDArray[np.int64]


def lay_out(tickets: Sequence[Encoded], num_known: int, num_grams: int) -> Tokens:
    """Return the tickets as matrices.

    Args:
        tickets: encoded.
        num_known: V.
        num_grams: G.
    """
    lengths_N = np.fromiter((len(ticket.ids) for ticket in tickets), np.int64, len(tickets))
    ids_I = np.fromiter(chain.from_iterable(ticket.ids for ticket in tickets), np.int64, lengths_N.sum())
    unknown = [grams for ticket in tickets for grams in ticket.grams]
    sizes_U = np.fromiter(map(len, unknown), np.int64, len(unknown))
    grams = np.fromiter(chain.from_iterable(unknown), np.int64, sizes_U.sum())
    # The u-th unknown word of a ticket is V + u to it; here it stands behind those of all tickets before.
    unknown_N = np.fromiter((len(ticket.grams) for ticket in tickets), np.int64, len(tickets))
    places_I = ids_I + np.where(ids_I >= num_known, np.repeat(starts(unknown_N)[:-1], lengths_N), 0)
    return Tokens(
        counted(places_I, places_I >= len(RESERVED), lengths_N, num_known + len(unknown)),
        counted(grams, grams > 0, sizes_U, num_grams),
        ids_I,
        lengths_N,
    )


def starts(lengths_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of the pieces of these lengths begins, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(lengths_N)))


def counted(
    columns: NDArray[np.int64], is_counted: NDArray[np.bool_], lengths_N: NDArray[np.int64], num_columns: int
) -> sparse.csr_matrix:
    """Return how often each row holds each column, float32.

    Args:
        columns: of the first row, then of the second, and so on.
        is_counted: which of them count.
        lengths_N: how many of them are each row's.
        num_columns: of the matrix.
    """
    # The three arrays of a sparse matrix: its values, their columns, and where in there each row begins.
    shape = (len(lengths_N), num_columns)
    found = sparse.csr_matrix((is_counted.astype(np.float32), columns, starts(lengths_N)), shape)
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def pair_rows(
    ids_I: NDArray[np.int64], lengths_N: NDArray[np.int64], num_words: int, num_pairs: int
) -> NDArray[np.int64]:
    """Return the rows of the pairs of each ticket: start and first word, each two neighbours, last word and end.

    Row 0 means nothing: it is that of two of PAD, and of the few pairs whose hash is 0.

    >>> found = pair_rows(np.array([5, 7, 12]), np.array([3]), 10, 1000)
    >>> found.tolist() == [5, (5 * 1009 + 7) % 1000, (7 * 1009 + UNK) % 1000, 1009 % 1000]
    True

    Args:
        ids_I: of the tickets, in a row.
        lengths_N: how many of them are each ticket's.
        num_words: V; from here on an id is an unknown word.
        num_pairs: P.
    """
    # The edges count too: how a ticket begins or ends is worth .1 to .2 points (docs/LOG.md, "Two experts"). One PAD
    # between two tickets is the end of one and the start of the other.
    with_edges = np.insert(ids_I, starts(lengths_N), PAD)
    # An unknown word takes part as <UNK>; leaving its pairs out cost half a point ("Unknown words in pairs").
    with_edges[with_edges >= num_words] = UNK
    rows: NDArray[np.int64] = (with_edges[:-1] * PAIR_FACTOR + with_edges[1:]) % num_pairs
    return rows


def pairs_of(tokens: Tokens, num_words: int, num_pairs: int) -> sparse.csr_matrix:
    """Return how often each ticket holds each pair, [N, P]; row 0 of the table is the padding's, and is not counted."""
    rows = pair_rows(tokens.ids_I, tokens.lengths_N, num_words, num_pairs) if num_pairs else np.zeros(0, np.int64)
    return counted(rows, rows > 0, tokens.lengths_N + 1 if num_pairs else tokens.lengths_N * 0, num_pairs)


class Features:
    """Counts features; what it needs of the vocabulary is worked out once."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        num_pairs: int,
        num_taught: int | None = None,
        pretrained_VD: Floats | None = None,
    ) -> None:
        """Take what is counted.

        Args:
            vocabulary: over which the tickets are encoded.
            num_pairs: rows of the table of pairs.
            num_taught: the rows of the vocabulary from here on count as unknown words do; none by default.
            pretrained_VD: a vector for each word of the vocabulary, if they are to be counted.
        """
        self.pretrained_VD = pretrained_VD
        self.num_known = len(vocabulary)
        self.num_words = num_taught if num_taught is not None else len(vocabulary)
        self.num_grams = vocabulary.num_buckets + 1
        self.num_pairs = num_pairs
        # grams_VG[word, gram] = how often the word holds the n-gram. A ticket's n-grams are then one sparse product
        # with its words, in place of cutting each word once for every ticket that holds it.
        grams_of: list[list[int]] = [[] for _ in range(self.num_known)]
        for token, row in vocabulary.rows.items():
            if row >= self.num_words:
                # Only what a search brings of an unknown word: 24 n-grams of 3 to 5 letters.
                grams_of[row] = ngrams(token, vocabulary.num_buckets)
            elif row >= len(RESERVED):
                grams_of[row] = gram_rows(token, vocabulary.num_buckets)
        grams = np.array([gram for grams in grams_of for gram in grams], dtype=np.int64)
        self.grams_VG = counted(grams, grams > 0, np.array([*map(len, grams_of)]), self.num_grams)

    @property
    def num_rows(self) -> int:
        """Rows of the tables of words, n-grams and pairs together."""
        return self.num_known + self.num_grams + self.num_pairs

    def counts(self, tickets: Sequence[Encoded]) -> sparse.csr_matrix:
        """Return counts_NF float32, each row divided by sqrt(length)."""
        tokens = lay_out(tickets, self.num_known, self.num_grams)
        # In the order F of the features: words, then n-grams, of known and of unknown words alike, then pairs. `fold`
        # cuts the weights apart at the same places.
        words_NV = tokens.tokens_NT[:, : self.num_words]
        grams_NG = tokens.tokens_NT @ sparse.vstack([self.grams_VG, tokens.grams_UG])
        found_NF = sparse.hstack([words_NV, grams_NG, pairs_of(tokens, self.num_words, self.num_pairs)], "csr")
        # sqrt(length) stands for the vector's true length: as good, and the graph knows it ("Two experts").
        found_NF.data /= np.repeat(np.sqrt(tokens.lengths_N), np.diff(found_NF.indptr)).astype(np.float32)
        return found_NF

    def known(self, tickets: Sequence[Encoded]) -> sparse.csr_matrix:
        """Return how often each ticket holds each word of the vocabulary, divided by sqrt(length)."""
        tokens = lay_out(tickets, self.num_known, self.num_grams)
        return sparse.diags(1 / np.sqrt(tokens.lengths_N)) @ tokens.tokens_NT[:, : self.num_known]


def gram_rows(token: str, num_buckets: int) -> list[int]:
    """Return the rows of all n-grams of a known word; those of 3 to 5 letters are where an unknown word's are."""
    marked = f"<{mask(token)}>"  # so that the beginning and the end of a word are letters too; of a number its shape
    pieces = [marked[i : i + size] for size in WORD_GRAM_SIZES for i in range(len(marked) - size + 1)]
    return [gram_row(piece, num_buckets) for piece in pieces]


def fit(
    tickets: Sequence[Encoded], targets: Sequence[int], features: Features, num_categories: int, cs: Sequence[float]
) -> list[Linear]:
    """Return the linear part of these tickets for each C.

    Args:
        tickets: at least one of two categories.
        targets: their labels.
        features: over the vocabulary.
        num_categories: C; one without a ticket gets a score below all others.
        cs: of the support vector machine; a larger one fits the tickets more closely.
    """
    weighted = weigh(tickets, features)
    columns = merge(weighted)
    found = []
    # min over w of |w|^2 / 2 + C x sum of max(0, 1 - y (w x + b))^2, one category (y = 1) against all others (y = -1).
    for weights_MC, bias_C in margin.fit(columns.matrix_NM, np.array(targets), num_categories, cs):
        weights_MC, weights_DC = np.split(weights_MC, [columns.matrix_NM.shape[1] - weighted.vectors_VD.shape[1]])
        # Back to the counts: the machine scored count x weight, so a row of the table is coefficient x weight. A search
        # then only adds up rows and knows nothing of idf.
        rows_FC = weights_MC[columns.column_F] * columns.share_F[:, None]
        found.append(fold(features, rows_FC, weighted.vectors_VD @ weights_DC, bias_C))
    return found


class Weighted(NamedTuple):
    """The tickets as what a linear part learns from.

    Attributes:
        matrix_NF: float32; counts times weights, and after them the D entries of the sum of vectors, if there are any.
        weight_F: of each feature.
        alike_F: features of one number stand in the same tickets, as often as each other.
        vectors_VD: of each known word, weighted; D is 0 without pretrained vectors.
    """

    matrix_NF: sparse.csr_matrix
    weight_F: Floats
    alike_F: NDArray[np.int64]
    vectors_VD: Floats


def weigh(tickets: Sequence[Encoded], features: Features) -> Weighted:
    """Return the counts of these tickets, each times the weight that these tickets give its feature."""
    counts_NF = features.counts(tickets)
    alike_F = alike(counts_NF)
    # idf, worth three points on job titles and minus half a one on questions (docs/LOG.md, "Two experts"). `indices`
    # names a column once for each ticket that has something in it, so counting it gives the tickets.
    held_F = np.bincount(counts_NF.indices, minlength=counts_NF.shape[1])
    weight_F = (np.log((1 + len(tickets)) / (1 + held_F)) + 1).astype(np.float32)
    v, g = features.num_words, features.num_grams
    weight_F[v : v + g] *= GRAM_WEIGHT
    # All by one factor, so that the root mean square of the tickets' lengths is NORM.
    counts_NF.data *= weight_F[counts_NF.indices]
    factor = np.float32(NORM / np.sqrt(np.dot(counts_NF.data, counts_NF.data) / len(tickets)))
    counts_NF.data *= factor
    weight_F *= factor
    vectors_VD = np.zeros((features.num_known, 0), dtype=np.float32)
    if features.pretrained_VD is not None:
        # The sum over a ticket's words of idf(word) x vector(word), scaled as a whole like the counts before.
        known_NV = features.known(tickets)
        held_V = np.bincount(known_NV.indices, minlength=features.num_known)
        vectors_VD = features.pretrained_VD * (np.log((1 + len(tickets)) / (1 + held_V)) + 1)[:, None]
        sums_ND = known_NV @ vectors_VD
        factor = VECTORS_WEIGHT * NORM / np.sqrt(max(np.square(sums_ND).sum(axis=1).mean(), 1e-12))
        vectors_VD = (vectors_VD * factor).astype(np.float32)
        counts_NF = sparse.hstack([counts_NF, sparse.csr_matrix((sums_ND * factor).astype(np.float32))], "csr")
    return Weighted(counts_NF, weight_F, alike_F, vectors_VD)


def alike(counts_NF: sparse.csr_matrix) -> NDArray[np.int64]:
    """Return a number for each feature, the same for those whose columns are the same."""
    # A column's product with random numbers is its fingerprint: equal columns have equal ones to the last bit, since
    # their sums are added up in the same order, and others as good as never (two times 52 bits).
    random = np.random.default_rng(0)
    parts_N2 = random.normal(size=(counts_NF.shape[0], 2))
    prints_F = counts_NF.T @ (parts_N2[:, 0] + 1j * parts_N2[:, 1])
    _, found_F = np.unique(prints_F, return_inverse=True)
    return found_F


class MergedColumns(NamedTuple):
    """What is to be learnt, features that are alike made one.

    Many of a rare word's n-grams stand in no other word. A machine cannot tell them apart, and shares what it learns
    out among them in proportion to their weights. One column whose weight is the root of the sum of their squares gives
    each ticket the same score, so it is the same problem with fewer numbers: less than half of the columns on banking77
    and nine tenths of the entries, which spares a fifth of the time (docs/LOG.md).

    Attributes:
        matrix_NM: float32; the columns, and after them the D entries of the sum of vectors, if there are any.
        column_F: of each feature.
        share_F: float32; what a count of the feature scores, where its column has the weight 1.
    """

    matrix_NM: sparse.csr_matrix
    column_F: NDArray[np.int64]
    share_F: Floats


def merge(weighted: Weighted) -> MergedColumns:
    """Return the columns of these features."""
    matrix_NF, num_features = weighted.matrix_NF, len(weighted.weight_F)
    length_M = np.sqrt(np.bincount(weighted.alike_F, np.square(weighted.weight_F, dtype=np.float64)))
    _, first_M = np.unique(weighted.alike_F, return_index=True)
    # The first of a group keeps its entries, at the group's length; those of the others are dropped.
    num_vectors = matrix_NF.shape[1] - num_features
    scale_F = np.zeros(num_features + num_vectors, dtype=np.float32)
    scale_F[first_M] = length_M / weighted.weight_F[first_M]
    scale_F[num_features:] = 1.0
    place_F = np.concatenate((weighted.alike_F, len(length_M) + np.arange(num_vectors)))
    kept = scale_F[matrix_NF.indices] > 0
    ends = np.concatenate(([0], np.cumsum(kept)))[matrix_NF.indptr]
    columns = matrix_NF.indices[kept]
    matrix_NM = sparse.csr_matrix(
        (matrix_NF.data[kept] * scale_F[columns], place_F[columns], ends),
        (matrix_NF.shape[0], len(length_M) + num_vectors),
    )
    share_F = (np.square(weighted.weight_F) / length_M[weighted.alike_F]).astype(np.float32)
    return MergedColumns(matrix_NM, weighted.alike_F, share_F)


def fold(
    features: Features,
    rows_FS: Floats,
    vectors_VS: Floats,
    bias_C: Floats,
    basis_RC: Floats | None = None,
) -> Linear:
    """Return the tables of a search, in which a known word's row holds its n-grams and its vector already.

    Args:
        features: that the rows are of.
        rows_FS: what each feature says; changed in place.
        vectors_VS: what the vector of each known word says.
        bias_C: of the categories.
        basis_RC: of tables of low rank.
    """
    v, g = features.num_words, features.num_grams
    rows_FS[v] = rows_FS[v + g : v + g + 1] = 0.0  # rows 0 of n-grams and pairs; without pairs there is none
    grams_GS = rows_FS[v : v + g]
    words_VS = features.grams_VG @ grams_GS  # so a search looks up one row of a known word and not 30
    words_VS[:v] += rows_FS[:v]
    words_VS += vectors_VS
    return Linear(
        words_VS,
        grams_GS.copy(),  # or the rows of the words would be kept a second time
        rows_FS[v + g :].copy(),
        bias_C,
        v,
        basis_RC,
    )


def scores(linear: Linear, tickets: Sequence[Encoded]) -> Floats:
    """Return scores_NC float32 of the tickets, as the graph adds them up."""
    # In float32, the graph's own type: what is calibrated here is what is served.
    num_words, num_pairs = len(linear.words_VS), len(linear.pairs_PS)
    tokens = lay_out(tickets, num_words, len(linear.grams_GS))
    sums_NS = tokens.tokens_NT[:, :num_words] @ linear.words_VS
    sums_NS += (tokens.tokens_NT[:, num_words:] @ tokens.grams_UG) @ linear.grams_GS
    if num_pairs:
        sums_NS += pairs_of(tokens, linear.num_taught, num_pairs) @ linear.pairs_PS
    sums_NS /= np.sqrt(tokens.lengths_N).astype(np.float32)[:, None]
    scores_NC: Floats = sums_NS @ linear.basis_RC if linear.basis_RC is not None else sums_NS
    scores_NC += linear.bias_C
    return scores_NC
