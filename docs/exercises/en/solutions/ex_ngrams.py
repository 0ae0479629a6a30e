"""A solution of the exercise."""

import zlib
from collections.abc import Mapping, Sequence


def ngram_rows(word: str, num_buckets: int) -> list[int]:
    """Return the rows, 1 to `num_buckets`, of the first 24 n-grams of `word`."""
    marked = f"<{word}>"
    pieces = []
    for size in (3, 4, 5):
        for start in range(len(marked) - size + 1):
            pieces.append(marked[start : start + size])
    return [zlib.crc32(piece.encode()) % num_buckets + 1 for piece in pieces[:24]]


def ids(tokens: Sequence[str], rows: Mapping[str, int]) -> list[int]:
    """Return the id of each token: its row, or V + u if it is the u-th unknown one."""
    unknown: list[str] = []
    found = []
    for token in tokens:
        if token in rows:
            found.append(rows[token])
        else:
            if token not in unknown:
                unknown.append(token)
            found.append(len(rows) + unknown.index(token))
    return found
