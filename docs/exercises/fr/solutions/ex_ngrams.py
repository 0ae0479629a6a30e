"""Une solution de l’exercice."""

import zlib
from collections.abc import Mapping, Sequence


def ngram_rows(word: str, num_buckets: int) -> list[int]:
    """Renvoie les lignes, de 1 à `num_buckets`, des 24 premiers n-grammes de `word`."""
    marked = f"<{word}>"
    pieces = []
    for size in (3, 4, 5):
        for start in range(len(marked) - size + 1):
            pieces.append(marked[start : start + size])
    return [zlib.crc32(piece.encode()) % num_buckets + 1 for piece in pieces[:24]]


def ids(tokens: Sequence[str], rows: Mapping[str, int]) -> list[int]:
    """Renvoie l’identifiant de chaque token : sa ligne, ou V + u pour le u-ième inconnu."""
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
