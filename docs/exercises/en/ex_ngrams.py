"""Exercise: from a word to the rows of its n-grams, and from tokens to ids.

Read docs/en/01-text.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_ngrams.py
"""

from collections.abc import Mapping, Sequence


def ngram_rows(word: str, num_buckets: int) -> list[int]:
    """Return the rows, 1 to `num_buckets`, of the first 24 n-grams of `word`.

    The n-grams are those of the marked word (`<cb>` for "cb"): all of 3 characters from left to right, then all of 4,
    then all of 5. The hash is `zlib.crc32` of an n-gram's UTF-8 bytes.
    """
    raise NotImplementedError("write ngram_rows; start with the list of n-grams of '<cb>'")


def ids(tokens: Sequence[str], rows: Mapping[str, int]) -> list[int]:
    """Return the id of each token: its row, or V + u if it is the u-th unknown one (V rows, u counted from 0).

    The tokens are normalised already. The same unknown token has the same id each time.
    """
    raise NotImplementedError("write ids; start with the known tokens")
