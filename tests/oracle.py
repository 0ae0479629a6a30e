"""The network once more, in NumPy and for one ticket at a time: what PyTorch and the ONNX graph must both equal.

It shares no code with either. Nothing is padded, so nothing has to be masked, and a batch is only a loop over tickets:
whatever a mask, a packed sequence or a length could get wrong shows as a difference. All sums are float64.

In: a torch state dict (as arrays) or the initializers of `model.onnx`. Out: probabilities. It leaves text -> ids and
the hashing of n-grams to `artifacts`, which has tests of its own.
"""

# Axes: N tickets, T tokens of one ticket, V known words, G n-gram rows, E a vector's size, H hidden, C categories.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from artifacts.text import ngrams
from artifacts.vocabulary import RESERVED, Encoded

Array = NDArray[np.float64]


class Table(NamedTuple):
    """A vector per known word, and what an unknown one is made of: `unknown` + the mean of its n-grams' rows."""

    known: Array  # [V, E]
    grams: Array  # [G, E]
    unknown: Array  # [E]


class Direction(NamedTuple):
    """One GRU that reads one way; the rows of each are its three gates, r, z and n, one under the other."""

    input_weight: Array  # W [3H, E]
    state_weight: Array  # U [3H, H]
    input_bias: Array  # b [3H]
    state_bias: Array  # c [3H]


class Network(NamedTuple):
    """Everything that was learnt. A layer has one direction, or two: forward, then backward."""

    embedding: Table
    layers: list[list[Direction]]
    head_weight: Array  # [C, 2H] or [C, 4H]
    head_bias: Array  # [C]


class Fitted(NamedTuple):
    """The linear part that was fitted by itself: rows that are added up."""

    words: Array  # [V, C]
    grams: Array  # [G, C]; of an unknown word, added up and not averaged
    pairs: Array  # [P, C]
    bias: Array  # [C]
    num_taught: int  # in a pair the words from here on count as unknown


class Together(NamedTuple):
    """All that answers together: the mean of the networks' logits and the fitted part's scores, each weighted."""

    members: list[Network]
    fitted: Fitted
    weight: float
    fitted_weight: float


def probabilities(together: Together, tickets: Sequence[Encoded], temperature: float = 1.0) -> Array:
    """Return probabilities_NC: softmax of logits / temperature, ticket by ticket."""
    logits_NC = np.stack([joint_logits(together, ticket) for ticket in tickets]) / temperature
    odds_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))  # the largest is 1, so nothing overflows
    shares_NC: Array = odds_NC / odds_NC.sum(axis=1, keepdims=True)
    return shares_NC


def logits(network: Network, ticket: Encoded) -> Array:
    """Return the logits of one ticket: the head on the pooled states."""
    x_TE = look_up(network.embedding, ticket)
    for layer in network.layers:
        forward, *backward = layer
        ways = [read(forward, x_TE)] + [read(way, x_TE[::-1])[::-1] for way in backward]
        x_TE = np.concatenate(ways, axis=1)
    pooled_H = np.concatenate((x_TE.max(axis=0), x_TE.mean(axis=0)))
    logits_C: Array = network.head_weight @ pooled_H + network.head_bias
    return logits_C


def joint_logits(together: Together, ticket: Encoded) -> Array:
    """Return the logits of all experts together."""
    of_networks_C = np.mean([logits(member, ticket) for member in together.members], axis=0)
    logits_C: Array = of_networks_C * together.weight + add_up(together.fitted, ticket) * together.fitted_weight
    return logits_C


def add_up(fitted: Fitted, ticket: Encoded) -> Array:
    """Return the scores of the linear part that was fitted by itself."""
    num_words, num_pairs = len(fitted.words), len(fitted.pairs)
    total_C = np.zeros(len(fitted.bias))
    for token in ticket.ids:
        if token < num_words:
            total_C += fitted.words[token]
        else:
            for gram in ticket.grams[token - num_words]:
                total_C += fitted.grams[gram]
    ids = [token if token < fitted.num_taught else 1 for token in ticket.ids]
    for before, after in zip([0, *ids], [*ids, 0], strict=True):
        if num_pairs:
            total_C += fitted.pairs[(before * 1009 + after) % num_pairs]
    scores_C: Array = total_C / np.sqrt(len(ticket.ids)) + fitted.bias
    return scores_C


def look_up(table: Table, ticket: Encoded) -> Array:
    """Return the vector of each token of the ticket, [T, E]."""
    unknown = [table.unknown + table.grams[grams].mean(axis=0) for grams in ticket.grams]
    return np.stack([*table.known, *unknown])[ticket.ids]


def read(gru: Direction, x_TE: Array) -> Array:
    """Return the state after each token, [T, H]: the equations of Cho et al. 2014, one line each."""
    h_H = np.zeros(gru.state_weight.shape[1])
    states = []
    for x_E in x_TE:
        from_input = np.split(gru.input_weight @ x_E + gru.input_bias, 3)
        from_state = np.split(gru.state_weight @ h_H + gru.state_bias, 3)
        r_H = 1 / (1 + np.exp(-(from_input[0] + from_state[0])))
        z_H = 1 / (1 + np.exp(-(from_input[1] + from_state[1])))
        n_H = np.tanh(from_input[2] + r_H * from_state[2])
        h_H = (1 - z_H) * n_H + z_H * h_H
        states.append(h_H)
    return np.stack(states)


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
    names = ("words_VC", "grams_GC", "pairs_PC", "bias_C")
    words_VC, grams_GC, pairs_PC, bias_C = (state[f"linear.{name}"].astype(np.float64) for name in names)
    fitted = Fitted(words_VC, grams_GC, pairs_PC, bias_C, num_taught)
    return Together(members, fitted, weight, fitted_weight)


def from_onnx(raw: bytes) -> Together:
    """Return the experts in the initializers of `model.onnx`, whose temperature is folded into its weights.

    So is what all of them add to every ticket: the biases stand with the linear part.
    """
    import onnx.numpy_helper  # here, so that whoever uses the rest needs no training extra

    constants = onnx.load_model_from_string(raw).graph.initializer
    weights = {constant.name: onnx.numpy_helper.to_array(constant).astype(np.float64) for constant in constants}

    def gates(weight: Array) -> Array:
        z, r, n = np.split(weight, 3)  # the order of ONNX
        return np.concatenate((r, z, n))

    stacks: list[list[list[Direction]]] = []
    while f"gru_{len(stacks)}_0_W" in weights:
        layers: list[list[Direction]] = []
        while f"gru_{len(stacks)}_{len(layers)}_W" in weights:
            w_DHE, r_DHH, b_DH = (weights[f"gru_{len(stacks)}_{len(layers)}_{kind}"] for kind in "WRB")
            halves = [np.split(b_H, 2) for b_H in b_DH]  # first all that is added to W x, then all added to U h
            ways = zip(w_DHE, r_DHH, halves, strict=True)
            layers.append([Direction(*map(gates, (w, r, *half))) for w, r, half in ways])
        stacks.append(layers)
    num_categories, num_directions = len(weights["head_bias"]), len(stacks[0][0])
    # A token's row: the vectors of each network side by side, then the scores; of an n-gram, then a 1 to count it by.
    known_VE, words_VC = np.split(weights["words"], [-num_categories], axis=1)
    grams_GE, grams_GC, _ = np.split(weights["grams_of_unknown"], [-num_categories - 1, -1], axis=1)
    tables = (np.split(rows, len(stacks), axis=1) for rows in (known_VE, grams_GE))
    heads = weights["head_weight"].reshape(num_categories, num_directions, 2, len(stacks), -1)
    members = [
        Network(
            Table(known, grams, unknown=known[1]),
            layers,
            heads[:, :, :, m].transpose(0, 2, 1, 3).reshape(num_categories, -1),
            np.zeros(num_categories),
        )
        for m, (layers, known, grams) in enumerate(zip(stacks, *tables, strict=True))
    ]
    num_taught = int(weights["num_taught" if "num_taught" in weights else "num_words"])
    fitted = Fitted(
        words_VC, grams_GC, weights.get("pairs", np.zeros((0, num_categories))), weights["head_bias"], num_taught
    )
    return Together(members, fitted, float(len(stacks)), 1.0)  # the mean times the number is the sum
