"""Step 5: a GRU, forwards and then back through time, in NumPy.

    python step5.py tickets.jsonl order.jsonl

A GRU reads one token after the other and keeps a state of H numbers. What it has read changes what the next token does:
so the same words in another order end in another state.
"""

# Axes: B tickets in the batch, T tokens (padded), E embedding, H hidden; 3H is r, z and n side by side, C categories.

from typing import NamedTuple

import numpy as np
from step1 import Array, Predict, Ticket, build_vocabulary, main, softmax, tokenize
from step4 import Adam, Ids, batches, encode, pad

EMBEDDING, HIDDEN, EPOCHS, LEARNING_RATE = 24, 32, 8, 0.01


class Gru(NamedTuple):
    """The weights, as `torch.nn.GRU` keeps them: rows of r, then z, then n."""

    w: Array  # W [3H, E], applied to the token
    u: Array  # U [3H, H], applied to the state
    b: Array  # b [3H], added to W x
    c: Array  # c [3H], added to U h


def sigmoid(x: Array) -> Array:
    """Return numbers between 0 and 1."""
    return 1 / (1 + np.exp(-x))


def gru_step(gru: Gru, x_BE: Array, h_BH: Array) -> tuple[Array, Array, Array, Array]:
    """Return the gates r and z, the proposal n and the new state, each [B, H].

    r = sigmoid(W_r x + b_r + U_r h + c_r)
    z = sigmoid(W_z x + b_z + U_z h + c_z)
    n = tanh(W_n x + b_n + r * (U_n h + c_n))
    h = (1 - z) * n + z * h
    """
    # np.split(x_BE @ gru.w.T + gru.b, 3, axis=1) gives the token's side of r, z and n
    raise NotImplementedError("write gru_step")


def read(gru: Gru, x_BTE: Array, lengths_B: Ids) -> Array:
    """Return states_BSH, S = T + 1: the state before the first token (zeros), then the state after each token.

    After its last token the state of a ticket stands still.
    """
    # gru_step token by token; where t >= lengths_B, keep the old state
    raise NotImplementedError("write read")


def read_back(gru: Gru, x_BTE: Array, lengths_B: Ids, states_BSH: Array, slope_BH: Array) -> tuple[Gru, Array]:
    """Return the gradient by the weights and by x_BTE, given the slope by the last state: back through time."""
    # from the last token to the first: slope by n, by z, by r, then by the old state, which has two ways back
    raise NotImplementedError("write read_back")


# From here on it is given.


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories: vectors, GRU, a linear layer on the last state."""
    random = np.random.default_rng(0)
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    rows = [encode(text, vocabulary) for _, text in taught]
    targets_N = np.array([labels.index(category) for category, _ in taught])

    def draw(*shape: int) -> Array:
        return random.uniform(-1, 1, size=shape) / np.sqrt(HIDDEN)

    table_VE = random.normal(size=(len(vocabulary), EMBEDDING))
    gru = Gru(draw(3 * HIDDEN, EMBEDDING), draw(3 * HIDDEN, HIDDEN), draw(3 * HIDDEN), draw(3 * HIDDEN))
    head_HC, bias_C = draw(HIDDEN, len(labels)), np.zeros(len(labels))
    adam = Adam([table_VE, *gru, head_HC, bias_C], LEARNING_RATE)
    for _ in range(EPOCHS):
        for chosen in batches(len(rows), random):
            ids_BT, lengths_B = pad([rows[i] for i in chosen])
            x_BTE = table_VE[ids_BT]
            states_BSH = read(gru, x_BTE, lengths_B)
            last_BH = states_BSH[:, -1]
            slope_BC = softmax(last_BH @ head_HC + bias_C)
            slope_BC[np.arange(len(chosen)), targets_N[chosen]] -= 1
            slope_BC /= len(chosen)
            of_gru, of_x_BTE = read_back(gru, x_BTE, lengths_B, states_BSH, slope_BC @ head_HC.T)
            of_table = np.zeros_like(table_VE)
            np.add.at(of_table, ids_BT, of_x_BTE)
            gradients = [of_table, *of_gru, last_BH.T @ slope_BC, slope_BC.sum(axis=0)]
            # A GRU can meet one huge gradient, and a step along it would undo a hundred others.
            length = np.sqrt(sum(float((slope**2).sum()) for slope in gradients))
            adam.step([slope / max(1.0, length) for slope in gradients])

    def predict(texts: list[str]) -> list[str]:
        ids_BT, lengths_B = pad([encode(text, vocabulary) for text in texts])
        last_BH = read(gru, table_VE[ids_BT], lengths_B)[:, -1]
        return [labels[label] for label in (last_BH @ head_HC + bias_C).argmax(axis=1)]

    return predict


if __name__ == "__main__":
    main(fit)
