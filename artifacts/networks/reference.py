"""The network once more, in NumPy and for one ticket at a time: what it answers, and how it comes to that.

It shares no code with the network in PyTorch (trainer/gru/model.py) or with the graph (trainer/gru/export.py): tests
hold both against it. Every number on the way of a ticket is shown by steps.py. Nothing is padded, so nothing has to be
masked, and a batch is only a loop over tickets: whatever a mask, a packed sequence or a length could get wrong shows as
a difference.
All sums are float64.

In: the initializers of `model.onnx`. Out: probabilities, and every number before them. It leaves text -> ids and the
hashing of n-grams to `artifacts`, which has tests of its own.
"""

# Axes: N tickets, T tokens of one ticket, V known words, G n-gram rows, E a vector's size, H hidden, C categories,
#       P rows of pairs, S pairs of one ticket (T + 1), R columns of the linear part's tables: C of full ones.

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from artifacts.networks.engines.weights import initializers
from artifacts.text.vocabulary import PAD, UNK, Encoded

Array = NDArray[np.float64]
Rows = NDArray[np.floating[Any]]  # a table as the file has it, in float32: a ticket reads a few of its rows
TABLES = ("word_embedding", "ngram_embedding", "bigram_weight")


class Table(NamedTuple):
    """A vector per known word, and what an unknown one is made of: `unknown` + the mean of its n-grams' rows."""

    known: Rows  # [V, E]
    grams: Rows  # [G, E]
    unknown: Rows  # [E]


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


class LinearWeights(NamedTuple):
    """The linear part that was fitted by itself: rows that are added up."""

    words: Rows  # [V, R]
    grams: Rows  # [G, R]; of an unknown word, added up and not averaged
    pairs: Rows  # [P, R]
    bias: Array  # [C]
    num_taught: int  # in a pair the words from here on count as unknown
    basis: Array | None = None  # [R, C] of tables of low rank; full ones have R = C and none

    def scores(self, rows: Array) -> Array:
        """Return rows of the tables as scores of the categories."""
        return rows if self.basis is None else rows @ self.basis


class Together(NamedTuple):
    """All that answers together: the mean of the networks' logits and the fitted part's scores, each weighted."""

    members: list[Network]
    fitted: LinearWeights
    weight: float
    fitted_weight: float


class States(NamedTuple):
    """What a GRU did at each token, in the order of the ticket whichever way it read."""

    r_TH: Array  # how much of the old state the proposal could use
    z_TH: Array  # how much of the old state stayed
    n_TH: Array  # the proposal
    h_TH: Array  # the new state


class Walk(NamedTuple):
    """One network's way through a ticket."""

    x_TE: Array  # the tokens' vectors
    layers: list[list[States]]  # of each layer: forward, then backward
    pooled_H: Array  # the largest of each entry of the state over the ticket, then the mean
    logits_C: Array


class Pair(NamedTuple):
    """Two neighbours, PAD before the first token and after the last, and their row of the table."""

    before: int
    after: int
    row: int


class LinearScores(NamedTuple):
    """What the linear part says of a ticket: all rows added up, over the root of the length, and the bias."""

    words_TC: Array
    pairs: list[Pair]
    pairs_SC: Array
    logits_C: Array


def probabilities(together: Together, tickets: Sequence[Encoded], temperature: float = 1.0) -> Array:
    """Return probabilities_NC: softmax of logits / temperature, ticket by ticket."""
    return np.stack([softmax(joint_logits(together, ticket) / temperature) for ticket in tickets])


def softmax(logits_C: Array) -> Array:
    """Return numbers over 0 that sum to 1, in the proportion of exp(logits)."""
    odds_C = np.exp(logits_C - logits_C.max())  # the largest is 1, so nothing overflows
    shares_C: Array = odds_C / odds_C.sum()
    return shares_C


def joint_logits(together: Together, ticket: Encoded) -> Array:
    """Return the logits of all experts together."""
    of_networks_C = np.mean([walk(member, ticket).logits_C for member in together.members], axis=0)
    of_fitted_C = add_up(together.fitted, ticket).logits_C
    logits_C: Array = of_networks_C * together.weight + of_fitted_C * together.fitted_weight
    return logits_C


def walk(network: Network, ticket: Encoded) -> Walk:
    """Return one network's way through a ticket: vectors, states, pooled state, and the head on that."""
    x_TE = tokens_TE = look_up(network.embedding, ticket)
    layers = []
    for layer in network.layers:
        forward, *backward = layer
        ways = [read(forward, x_TE)]
        # Who reads backwards reads the reversed ticket; reversed again, a state stands at the token that it follows.
        ways += [States(*(kind_TH[::-1] for kind_TH in read(way, x_TE[::-1]))) for way in backward]
        layers.append(ways)
        x_TE = np.concatenate([way.h_TH for way in ways], axis=1)
    pooled_H = np.concatenate((x_TE.max(axis=0), x_TE.mean(axis=0)))
    return Walk(tokens_TE, layers, pooled_H, network.head_weight @ pooled_H + network.head_bias)


def add_up(fitted: LinearWeights, ticket: Encoded) -> LinearScores:
    """Return the scores of the linear part that was fitted by itself."""
    num_words, num_columns = fitted.words.shape
    words_TR = np.zeros((len(ticket.ids), num_columns))
    for place, token in enumerate(ticket.ids):
        if token < num_words:
            words_TR[place] = fitted.words[token]
        else:
            for gram in ticket.grams[token - num_words]:
                words_TR[place] += fitted.grams[gram]
    ids = [token if token < fitted.num_taught else UNK for token in ticket.ids]
    neighbours = zip([PAD, *ids], [*ids, PAD], strict=True) if len(fitted.pairs) else ()
    pairs = [Pair(before, after, (before * 1009 + after) % len(fitted.pairs)) for before, after in neighbours]
    pairs_SR = np.zeros((len(pairs), num_columns))
    for place, pair in enumerate(pairs):
        pairs_SR[place] = fitted.pairs[pair.row]
    # Row by row, though the graph adds up first: it is the same sum, and so each token has scores of its own.
    words_TC, pairs_SC = fitted.scores(words_TR), fitted.scores(pairs_SR)
    total_C = (words_TC.sum(axis=0) + pairs_SC.sum(axis=0)) / np.sqrt(len(ticket.ids))
    return LinearScores(words_TC, pairs, pairs_SC, total_C + fitted.bias)


def look_up(table: Table, ticket: Encoded) -> Array:
    """Return the vector of each token of the ticket, [T, E]."""
    num_words = len(table.known)
    unknown = [table.unknown + table.grams[grams].mean(axis=0, dtype=np.float64) for grams in ticket.grams]
    rows = [table.known[i] if i < num_words else unknown[i - num_words] for i in ticket.ids]
    return np.stack(rows, dtype=np.float64)


def read(gru: Direction, x_TE: Array) -> States:
    """Return what the GRU does at each token: the equations of Cho et al. 2014, one line each."""
    h_H = np.zeros(gru.state_weight.shape[1])
    steps = []
    for x_E in x_TE:
        from_input = np.split(gru.input_weight @ x_E + gru.input_bias, 3)
        from_state = np.split(gru.state_weight @ h_H + gru.state_bias, 3)
        r_H = 1 / (1 + np.exp(-(from_input[0] + from_state[0])))
        z_H = 1 / (1 + np.exp(-(from_input[1] + from_state[1])))
        n_H = np.tanh(from_input[2] + r_H * from_state[2])
        h_H = (1 - z_H) * n_H + z_H * h_H
        steps.append((r_H, z_H, n_H, h_H))
    return States(*(np.stack(kind) for kind in zip(*steps, strict=True)))


def from_onnx(raw: bytes) -> Together:
    """Return the experts in the initializers of `model.onnx`, whose temperature is folded into its weights.

    So is what all of them add to every ticket: the biases stand with the linear part.

    Raises:
        KeyError: a weight is not there by its name.
        EngineRefused: the bytes are no ONNX file, or not one of ours.
    """
    # The tables stay in the file's own bytes: as float64 those of 50,000 words would take 100 MB of a server's memory.
    weights: dict[str, Any] = {
        name: values if name in TABLES else values.astype(np.float64)
        for name, values in initializers(memoryview(raw)).items()
    }

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
    basis_RC = weights.get("linear_basis")
    num_columns = num_categories if basis_RC is None else len(basis_RC)
    # A token's row: the vectors of each network side by side, then the scores; of an n-gram, then a 1 to count it by.
    known_VE, words_VR = np.split(weights["word_embedding"], [-num_columns], axis=1)
    grams_GE, grams_GR, _ = np.split(weights["ngram_embedding"], [-num_columns - 1, -1], axis=1)
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
    num_taught = int(weights["num_trained_words" if "num_trained_words" in weights else "vocab_size"])
    pairs_PR = weights.get("bigram_weight", np.zeros((0, num_columns)))
    fitted = LinearWeights(words_VR, grams_GR, pairs_PR, weights["head_bias"], num_taught, basis_RC)
    return Together(members, fitted, float(len(stacks)), 1.0)  # the mean times the number is the sum
