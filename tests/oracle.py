"""The network in NumPy (artifacts/networks/reference.py) with PyTorch's weights: what PyTorch's must equal."""

# Axes: V known words, G n-gram rows, E a vector's size, C categories, P rows of pairs.

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from artifacts.networks.reference import Direction, LinearWeights, Network, Table, Together
from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import RESERVED


def from_state_dict(
    state: Mapping[str, NDArray[np.float32]], tokens: Sequence[str], pretrained: NDArray[np.float32] | None = None
) -> Network:
    """Return the network in a torch state dict; `tokens` is the vocabulary in row order, with a vector for each."""
    weights = {name: value.astype(np.float64) for name, value in state.items()}

    def table(name: str) -> Table:
        word_VE, gram_GE = weights[f"{name}.word.weight"], weights[f"{name}.gram.weight"]
        spelt = [[] if token in RESERVED else ngrams(token, len(gram_GE) - 1) for token in tokens]
        means = [gram_GE[rows].mean(axis=0) if rows else 0.0 * gram_GE[0] for rows in spelt]
        rows_VE = np.concatenate((word_VE, np.repeat(word_VE[1:2], len(tokens) - len(word_VE), axis=0))) + means
        if pretrained is not None:
            rows_VE = rows_VE + pretrained.astype(np.float64) @ weights["projection.weight"].T
        return Table(rows_VE, gram_GE, unknown=word_VE[1])

    layers: list[list[Direction]] = []
    while f"gru.weight_ih_l{len(layers)}" in weights:
        ways = [f"l{len(layers)}{end}" for end in ("", "_reverse") if f"gru.weight_ih_l{len(layers)}{end}" in weights]
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        layers.append([Direction(*(weights[f"gru.{name}_{way}"] for name in names)) for way in ways])
    return Network(table("embedding"), layers, weights["head.weight"], weights["head.bias"])


def from_mixture(
    state: Mapping[str, NDArray[np.float32]],
    tokens: Sequence[str],
    weight: float,
    fitted_weight: float,
    num_taught: int,
    pretrained: NDArray[np.float32] | None = None,
) -> Together:
    """Return the experts in the torch state dict of a mixture, whose weights do not stand in it."""
    members: list[Network] = []
    while f"members.{len(members)}.head.weight" in state:
        prefix = f"members.{len(members)}."
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        members.append(from_state_dict(own, tokens, pretrained))
    names = ("words_VS", "grams_GS", "pairs_PS", "bias_C")
    words_VS, grams_GS, pairs_PS, bias_C = (state[f"linear.{name}"].astype(np.float64) for name in names)
    basis_RC = state["linear.basis_RC"].astype(np.float64) if "linear.basis_RC" in state else None
    fitted = LinearWeights(words_VS, grams_GS, pairs_PS, bias_C, num_taught, basis_RC)
    return Together(members, fitted, weight, fitted_weight)
