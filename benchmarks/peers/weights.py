"""The seed's network with fixed weights: E = H = 128, both directions, the last states into a linear layer, softmax.

The seed documents describe it (Embedding, GRU, Linear, Softmax). Its weights are drawn from a number and not trained:
what an answer costs does not depend on them, and so the same network can be had in PyTorch (servers/seed_way.py) and as
ONNX (seed_graph.py) without a training. Needs numpy alone, because the peers have an environment of their own.
"""

# Axes: V words, E embedding, H hidden, D = 2 directions, C categories, G = 3H the gates of a direction.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EMBEDDING = HIDDEN = 128
SEED = 0
UNK = 1  # as in the seed: every unknown word is one row

Floats = NDArray[np.float32]


class Weights(NamedTuple):
    """The network's numbers, the gates in PyTorch's order: r, z, n."""

    embedding_VE: Floats
    input_DGE: Floats
    recurrent_DGH: Floats
    input_bias_DG: Floats
    recurrent_bias_DG: Floats
    head_CF: Floats  # F = 2H, the forward state first
    head_bias_C: Floats


def make_weights(num_words: int, num_categories: int, seed: int = SEED) -> Weights:
    """Return the same weights for the same numbers, spread as PyTorch spreads those of a new network."""
    random = np.random.default_rng(seed)

    def uniform(*shape: int, fan: int = HIDDEN) -> Floats:
        bound = fan**-0.5  # torch.nn.GRU and torch.nn.Linear: uniform within 1 / sqrt(inputs)
        return random.uniform(-bound, bound, shape).astype(np.float32)

    return Weights(
        embedding_VE=random.standard_normal((num_words, EMBEDDING)).astype(np.float32),
        input_DGE=uniform(2, 3 * HIDDEN, EMBEDDING),
        recurrent_DGH=uniform(2, 3 * HIDDEN, HIDDEN),
        input_bias_DG=uniform(2, 3 * HIDDEN),
        recurrent_bias_DG=uniform(2, 3 * HIDDEN),
        head_CF=uniform(num_categories, 2 * HIDDEN, fan=2 * HIDDEN),
        head_bias_C=uniform(num_categories, fan=2 * HIDDEN),
    )


def encode(vocabulary: Mapping[str, int], tokens: Sequence[str]) -> list[int]:
    """Return a ticket's ids as the seed encodes it.

    >>> encode({"<PAD>": 0, "<UNK>": 1, "client": 2}, ["client", "navigateur"])
    [2, 1]
    """
    return [vocabulary.get(token, UNK) for token in tokens]
