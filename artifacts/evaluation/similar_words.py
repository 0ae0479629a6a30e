"""The known words that are spelt most like an unknown one, so that a person sees what a typing error may have meant.

In: a token. Out: known words, by the share of the n-grams of either that the two have in common (Jaccard). What it
leaves to others: what a word means; "facture" and "note" are strangers here.

The idea, once. A list of all n-grams of all words, sorted, says which words hold a given one without a look at the
others. The n-grams are those that the model reads (tokens.py), but hashed to 31 bits and not to the few rows of its
table, where two pieces that share a row would make strangers look alike. At 24 n-grams a word and 8 bytes each the list
of 50,000 words takes 10 MB at most, so it is made for the first question and not for every model that is loaded.
"""

# Axes: V known words, P pairs of an n-gram and a word that holds it, in the order of the n-grams.

from array import array
from collections.abc import Iterator

import numpy as np

from artifacts.arrays import Ints
from artifacts.text.tickets import Neighbour
from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import RESERVED, Vocabulary

NUM_NEAREST = 3
MIN_SIMILARITY = 0.2  # below it one finds chance; "conntecter" and "connecter" have 0.37
NUM_HASHES = 2**31 - 2  # the largest hash still fits into 32 bits with a sign
SLICE_WORDS = 32  # that are read between two looks at who else wants the interpreter, within a millisecond


class Spellings:
    """Finds the words of a vocabulary that are spelt like another. For one thread at a time."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Take the vocabulary; nothing is computed before `prepare`."""
        self._vocabulary = vocabulary
        self._words: list[str] = []  # by row
        self._grams, self._sizes = array("i"), array("i")  # of the words that have been read
        self._gram_P: Ints | None = None
        self._word_P: Ints | None = None
        self._size_V: Ints | None = None

    def prepare(self) -> Iterator[None]:
        """Make the list, in slices that take no longer than a run of the model; nothing if it is there.

        Whoever stops in between has not lost what is done.
        """
        if self._gram_P is not None:
            return
        if not self._words:
            self._words = self._vocabulary.words
            yield
        while len(self._sizes) < len(self._words):
            start = len(self._sizes)
            for word in self._words[start : start + SLICE_WORDS]:
                grams = set() if word in RESERVED else set(ngrams(word, NUM_HASHES))
                self._grams.extend(grams)
                self._sizes.append(len(grams))
            yield
        gram_P, self._size_V = np.array(self._grams, dtype=np.int32), np.array(self._sizes, dtype=np.int32)
        order_P = np.argsort(gram_P, kind="stable")
        self._word_P = np.repeat(np.arange(len(self._words), dtype=np.int32), self._size_V)[order_P]
        self._gram_P = gram_P[order_P]
        self._grams = array("i")

    def word(self, row: int) -> str:
        """Return the known word of a row; once `prepare` has come to its end."""
        return self._words[row]

    def nearest(self, token: str) -> list[Neighbour]:
        """Return the known words nearest to a normalised token, nearest first, three at most, and none that is far.

        Of words that are equally near, the more frequent one comes first. Once `prepare` has come to its end.
        """
        assert self._gram_P is not None, "spellings are prepared before they are asked; this is our bug"
        assert self._word_P is not None, "the same"
        assert self._size_V is not None, "the same"
        own = np.array(sorted(set(ngrams(token, NUM_HASHES))), dtype=np.int32)
        starts, ends = (np.searchsorted(self._gram_P, own, side) for side in ("left", "right"))
        holders = [self._word_P[start:end] for start, end in zip(starts, ends, strict=True)]
        shared_V = np.bincount(np.concatenate(holders), minlength=len(self._words))
        similarity_V = shared_V / (self._size_V + len(own) - shared_V)
        near = np.flatnonzero(similarity_V >= MIN_SIMILARITY)  # few, so sorting them is cheap
        best = near[np.argsort(-similarity_V[near], kind="stable")][:NUM_NEAREST].tolist()
        return [Neighbour(self._words[row], float(similarity_V[row])) for row in best]
