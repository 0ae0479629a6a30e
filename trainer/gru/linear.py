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

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from artifacts.arrays import Floats
from artifacts.text.tokens import gram_row, mask, ngrams
from artifacts.text.vocabulary import PAD, RESERVED, UNK, Encoded, Vocabulary

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


def pair_rows(ids: Sequence[int], num_words: int, num_pairs: int) -> NDArray[np.int64]:
    """Return the rows of the pairs of a ticket: start and first word, each two neighbours, last word and end.

    Row 0 means nothing: it is that of two of PAD, and of the few pairs whose hash is 0.

    >>> pair_rows([5, 7, 12], 10, 1000).tolist() == [5, (5 * 1009 + 7) % 1000, (7 * 1009 + UNK) % 1000, 1009 % 1000]
    True

    Args:
        ids: of the ticket.
        num_words: V; from here on an id is an unknown word.
        num_pairs: P.
    """
    # The edges count too: how a ticket begins or ends is worth .1 to .2 points (docs/LOG.md, "Two experts").
    with_edges = np.array([PAD, *ids, PAD], dtype=np.int64)
    # An unknown word takes part as <UNK>; leaving its pairs out cost half a point ("Unknown words in pairs").
    with_edges[with_edges >= num_words] = UNK
    rows: NDArray[np.int64] = (with_edges[:-1] * PAIR_FACTOR + with_edges[1:]) % num_pairs
    return rows


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
        rows, columns = [], []
        self.grams_of: dict[int, list[int]] = {}  # of the known words that count as unknown ones
        for token, row in vocabulary.rows.items():
            if row >= self.num_words:
                # Only what a search brings of an unknown word: 24 n-grams of 3 to 5 letters.
                found = self.grams_of[row] = ngrams(token, vocabulary.num_buckets)
            else:
                found = gram_rows(token, vocabulary.num_buckets) if token not in RESERVED else []
            rows += [row] * len(found)
            columns += found
        self.grams_VG = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (self.num_known, self.num_grams))

    @property
    def num_rows(self) -> int:
        """Rows of the tables of words, n-grams and pairs together."""
        return self.num_known + self.num_grams + self.num_pairs

    def counts(self, tickets: Sequence[Encoded]) -> sparse.csr_matrix:
        """Return counts_NF, each row divided by sqrt(length)."""
        # A sparse matrix is given by the coordinates of its entries, (row, column); repeated ones are added up.
        places: tuple[list[int], list[int]] = ([], [])  # of words
        grams: tuple[list[int], list[int]] = ([], [])  # of unknown words
        pairs: tuple[list[int], list[int]] = ([], [])
        for row, ticket in enumerate(tickets):
            for number in ticket.ids:
                if number >= self.num_words:
                    known = number < self.num_known
                    of_token = self.grams_of[number] if known else ticket.grams[number - self.num_known]
                    grams[0].extend([row] * len(of_token))
                    grams[1].extend(of_token)
                elif number >= len(RESERVED):  # a token spelt <UNK> says nothing
                    places[0].append(row)
                    places[1].append(number)
            if self.num_pairs:
                found = pair_rows(ticket.ids, self.num_words, self.num_pairs)
                found = found[found > 0]  # row 0 is the padding's, and stays zero
                pairs[0].extend([row] * len(found))
                pairs[1].extend(found.tolist())

        def counted(where: tuple[list[int], list[int]], num_columns: int) -> sparse.csr_matrix:
            return sparse.csr_matrix((np.ones(len(where[0])), where), (len(tickets), num_columns))

        # In the order F of the features: words, then n-grams (of known words by the product, of unknown ones as they
        # came), then pairs. `fit` cuts the weights apart at the same places.
        words_NV = counted(places, self.num_words)
        grams_NG = words_NV @ self.grams_VG[: self.num_words] + counted(grams, self.num_grams)
        all_NF = sparse.hstack([words_NV, grams_NG, counted(pairs, self.num_pairs)])
        # sqrt(length) stands for the vector's true length: as good, and the graph knows it ("Two experts").
        lengths_N = np.array([len(ticket.ids) for ticket in tickets])
        return (sparse.diags(1 / np.sqrt(lengths_N)) @ all_NF).tocsr()

    def known(self, tickets: Sequence[Encoded]) -> sparse.csr_matrix:
        """Return how often each ticket holds each word of the vocabulary, divided by sqrt(length)."""
        pairs = [(row, n) for row, ticket in enumerate(tickets) for n in ticket.ids if n < self.num_known]
        rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
        counts_NV = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(tickets), self.num_known))
        return sparse.diags([1 / np.sqrt(len(ticket.ids)) for ticket in tickets]) @ counts_NV


def gram_rows(token: str, num_buckets: int) -> list[int]:
    """Return the rows of all n-grams of a known word; those of 3 to 5 letters are where an unknown word's are."""
    marked = f"<{mask(token)}>"  # so that the beginning and the end of a word are letters too; of a number its shape
    pieces = [marked[i : i + size] for size in WORD_GRAM_SIZES for i in range(len(marked) - size + 1)]
    return [gram_row(piece, num_buckets) for piece in pieces]


def fit(
    tickets: Sequence[Encoded], targets: Sequence[int], features: Features, num_categories: int, c: float
) -> Linear:
    """Return the linear part of these tickets.

    Args:
        tickets: at least one of two categories.
        targets: their labels.
        features: over the vocabulary.
        num_categories: C; one without a ticket gets a score below all others.
        c: of the support vector machine; larger fits the tickets more closely.
    """
    from sklearn.exceptions import ConvergenceWarning  # a second to import
    from sklearn.svm import LinearSVC

    weighted = weigh(tickets, features)
    # min over w of |w|^2 / 2 + C x sum of max(0, 1 - y (w x + b))^2, one category (y = 1) against all others (y = -1).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not count
        # Many categories of one ticket may be a mistake; that is said before, in words (trainer/data/tickets.py).
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        machine = LinearSVC(C=c, random_state=0).fit(weighted.matrix_NF, targets)
    coefficients_CF, intercepts_C = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:  # scikit-learn keeps the one for the second
        coefficients_CF = np.concatenate((-coefficients_CF, coefficients_CF))
        intercepts_C = np.concatenate((-intercepts_C, intercepts_C))
    # Back to the counts: the machine scored count x weight, so a row of the table is coefficient x weight. A search
    # then only adds up rows and knows nothing of idf.
    num_features = len(weighted.weight_F)
    coefficients_CF, coefficients_CD = np.split(coefficients_CF, [num_features], axis=1)
    scores_FC = np.zeros((num_features, num_categories))
    scores_FC[:, machine.classes_] = (coefficients_CF * weighted.weight_F).T
    # A category that no ticket here has must never be the answer. Not -inf: at a mixing weight of 0, 0 x inf is NaN.
    bias_C = np.full(num_categories, intercepts_C.min() - 1.0)
    bias_C[machine.classes_] = intercepts_C
    vectors_VC = np.zeros((features.num_known, num_categories))
    vectors_VC[:, machine.classes_] = weighted.vectors_VD @ coefficients_CD.T
    return fold(features, scores_FC, vectors_VC, bias_C)


class Weighted(NamedTuple):
    """The tickets as what a linear part learns from.

    Attributes:
        matrix_NF: counts times weights, and after them the D entries of the sum of vectors, if there are any.
        weight_F: of each feature.
        vectors_VD: of each known word, weighted; D is 0 without pretrained vectors.
    """

    matrix_NF: sparse.csr_matrix
    weight_F: NDArray[np.float64]
    vectors_VD: NDArray[np.float64]


def weigh(tickets: Sequence[Encoded], features: Features) -> Weighted:
    """Return the counts of these tickets, each times the weight that these tickets give its feature."""
    counts_NF = features.counts(tickets)
    # idf, worth three points on job titles and minus half a one on questions (docs/LOG.md, "Two experts"). `indices`
    # names a column once for each ticket that has something in it, so counting it gives the tickets.
    held_F = np.bincount(counts_NF.indices, minlength=counts_NF.shape[1])
    weight_F = np.log((1 + len(tickets)) / (1 + held_F)) + 1
    v, g = features.num_words, features.num_grams
    weight_F[v : v + g] *= GRAM_WEIGHT
    weighted_NF = counts_NF @ sparse.diags(weight_F)
    # All by one factor, so that the root mean square of the tickets' lengths is NORM.
    weight_F *= NORM / np.sqrt(weighted_NF.multiply(weighted_NF).sum(axis=1).mean())
    weighted_NF = counts_NF @ sparse.diags(weight_F)
    vectors_VD = np.zeros((features.num_known, 0))
    if features.pretrained_VD is not None:
        # The sum over a ticket's words of idf(word) x vector(word), scaled as a whole like the counts before.
        known_NV = features.known(tickets)
        held_V = np.bincount(known_NV.indices, minlength=features.num_known)
        vectors_VD = features.pretrained_VD * (np.log((1 + len(tickets)) / (1 + held_V)) + 1)[:, None]
        sums_ND = known_NV @ vectors_VD
        factor = VECTORS_WEIGHT * NORM / np.sqrt(max(np.square(sums_ND).sum(axis=1).mean(), 1e-12))
        vectors_VD *= factor
        weighted_NF = sparse.hstack([weighted_NF, sparse.csr_matrix(sums_ND * factor)]).tocsr()
    return Weighted(weighted_NF.tocsr(), weight_F, vectors_VD)


def fold(
    features: Features,
    rows_FS: NDArray[np.floating],
    vectors_VS: NDArray[np.floating],
    bias_C: NDArray[np.floating],
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
        words_VS.astype(np.float32),
        grams_GS.astype(np.float32),
        rows_FS[v + g :].astype(np.float32),
        bias_C.astype(np.float32),
        v,
        basis_RC.astype(np.float32) if basis_RC is not None else None,
    )


def scores(linear: Linear, tickets: Sequence[Encoded]) -> Floats:
    """Return scores_NC float32 of the tickets, as the graph adds them up."""
    # Ticket by ticket and in float32, the graph's own type: what is calibrated here is what is served.
    num_words, num_pairs = len(linear.words_VS), len(linear.pairs_PS)
    sums_NS = np.empty((len(tickets), linear.words_VS.shape[1]), dtype=np.float32)
    for row_S, ticket in zip(sums_NS, tickets, strict=True):
        row_S[:] = linear.words_VS[[number for number in ticket.ids if number < num_words]].sum(axis=0)
        for number in ticket.ids:
            if number >= num_words:
                row_S += linear.grams_GS[ticket.grams[number - num_words]].sum(axis=0)
        if num_pairs:
            row_S += linear.pairs_PS[pair_rows(ticket.ids, linear.num_taught, num_pairs)].sum(axis=0)
        row_S /= np.sqrt(len(ticket.ids))
    scores_NC: Floats = sums_NS @ linear.basis_RC if linear.basis_RC is not None else sums_NS
    scores_NC += linear.bias_C
    return scores_NC
