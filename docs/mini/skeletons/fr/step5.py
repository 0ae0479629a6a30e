"""Étape 5 : un GRU, en avant puis en arrière dans le temps, en NumPy.

    python step5.py tickets.jsonl order.jsonl

Un GRU lit un token après l’autre et garde un état de H nombres. Ce qu’il a lu change ce que fait le token suivant :
les mêmes mots dans un autre ordre finissent donc dans un autre état.
"""

# Axes : B tickets du lot, T tokens (remplissage compris), E embedding, H état ; 3H : r, z, n à la suite, C catégories.

from typing import NamedTuple

import numpy as np
from step1 import Array, Predict, Ticket, build_vocabulary, main, softmax, tokenize
from step4 import Adam, Ids, batches, encode, pad

EMBEDDING, HIDDEN, EPOCHS, LEARNING_RATE = 24, 32, 8, 0.01


class Gru(NamedTuple):
    """Les poids, tels que `torch.nn.GRU` les garde : les lignes de r, puis de z, puis de n."""

    w: Array  # W [3H, E], appliqué au token
    u: Array  # U [3H, H], appliqué à l’état
    b: Array  # b [3H], ajouté à W x
    c: Array  # c [3H], ajouté à U h


def sigmoid(x: Array) -> Array:
    """Renvoie des nombres entre 0 et 1."""
    return 1 / (1 + np.exp(-x))


def gru_step(gru: Gru, x_BE: Array, h_BH: Array) -> tuple[Array, Array, Array, Array]:
    """Renvoie les portes r et z, la proposition n et le nouvel état, chacun [B, H].

    r = sigmoid(W_r x + b_r + U_r h + c_r)
    z = sigmoid(W_z x + b_z + U_z h + c_z)
    n = tanh(W_n x + b_n + r * (U_n h + c_n))
    h = (1 - z) * n + z * h
    """
    # np.split(x_BE @ gru.w.T + gru.b, 3, axis=1) donne la part du token dans r, z et n
    raise NotImplementedError("écrivez gru_step")


def read(gru: Gru, x_BTE: Array, lengths_B: Ids) -> Array:
    """Renvoie states_BSH, S = T + 1 : l’état avant le premier token (des zéros), puis l’état après chacun.

    Après son dernier token, l’état d’un ticket ne bouge plus.
    """
    # gru_step token par token ; là où t >= lengths_B, gardez l’ancien état
    raise NotImplementedError("écrivez read")


def read_back(gru: Gru, x_BTE: Array, lengths_B: Ids, states_BSH: Array, slope_BH: Array) -> tuple[Gru, Array]:
    """Renvoie le gradient par rapport aux poids et à x_BTE, d’après la pente du dernier état : en arrière."""
    # du dernier token au premier : la pente par n, par z, par r, puis par l’ancien état, qui a deux chemins de retour
    raise NotImplementedError("écrivez read_back")


# À partir d’ici, tout est donné.


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie : vecteurs, GRU, couche linéaire sur le dernier état."""
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
            # Un GRU peut rencontrer un gradient énorme, et un pas dans cette direction en déferait cent autres.
            length = np.sqrt(sum(float((slope**2).sum()) for slope in gradients))
            adam.step([slope / max(1.0, length) for slope in gradients])

    def predict(texts: list[str]) -> list[str]:
        ids_BT, lengths_B = pad([encode(text, vocabulary) for text in texts])
        last_BH = read(gru, table_VE[ids_BT], lengths_B)[:, -1]
        return [labels[label] for label in (last_BH @ head_HC + bias_C).argmax(axis=1)]

    return predict


if __name__ == "__main__":
    main(fit)
