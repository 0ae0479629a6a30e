"""Étape 4 : un mot devient un vecteur, et un ticket la moyenne de ses mots.

    python step4.py tickets.jsonl order.jsonl

Une table a une ligne de E nombres par mot. À l’étape 1, un mot avait un poids par catégorie et rien à partager ; à
présent, deux mots de la même catégorie peuvent avoir des lignes voisines. La moyenne ne voit toujours pas l’ordre.
"""

# Axes : B tickets du lot, T tokens (remplissage compris), V identifiants, E embedding, C catégories.

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from step1 import PAD, UNK, Array, Predict, Ticket, build_vocabulary, main, softmax, tokenize

Ids = NDArray[np.int64]
EMBEDDING, BATCH, EPOCHS, LEARNING_RATE = 32, 32, 10, 0.01


def pad(rows: list[list[int]]) -> tuple[Ids, Ids]:
    """Renvoie ids_BT, les tickets courts complétés par PAD à droite, et lengths_B, la vraie longueur de chacun."""
    # le lot est aussi large que son plus long ticket
    raise NotImplementedError("écrivez pad")


def mean_of(table_VE: Array, ids_BT: Ids, lengths_B: Ids) -> Array:
    """Renvoie mean_BE : pour chaque ticket, la ligne moyenne de ses tokens, sans le remplissage."""
    # cherchez les lignes, mettez à 0 celles du remplissage, additionnez sur T, divisez par la vraie longueur
    raise NotImplementedError("écrivez mean_of")


def gradient_of_table(slope_BE: Array, ids_BT: Ids, lengths_B: Ids, num_words: int) -> Array:
    """Renvoie le gradient par rapport à chaque ligne de la table, [V, E], d’après la pente de chaque moyenne."""
    # chaque token du ticket b reçoit slope_BE[b] / sa longueur ; un mot présent deux fois la reçoit deux fois
    raise NotImplementedError("écrivez gradient_of_table")


# À partir d’ici, tout est donné.


class Adam:
    """Une descente où tous les poids avancent à peu près à la même allure ; l’étape 6 l’écrit."""

    def __init__(self, weights: list[Array], rate: float) -> None:
        self.weights, self.rate, self.num_steps = weights, rate, 0
        self.means = [np.zeros_like(weight) for weight in weights]
        self.squares = [np.zeros_like(weight) for weight in weights]

    def step(self, gradients: list[Array]) -> None:
        """Déplace les poids, sur place."""
        self.num_steps += 1
        for weight, slope, mean, square in zip(self.weights, gradients, self.means, self.squares, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope**2 - square)
            usual = np.sqrt(square / (1 - 0.999**self.num_steps)) + 1e-8
            weight -= self.rate * mean / (1 - 0.9**self.num_steps) / usual


def batches(num_tickets: int, random: np.random.Generator) -> Iterator[Ids]:
    """Donne les numéros de tous les tickets, mélangés, quelques-uns à la fois."""
    order = random.permutation(num_tickets)
    for start in range(0, num_tickets, BATCH):
        yield order[start : start + BATCH]


def encode(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Renvoie les identifiants d’un texte, au moins un."""
    return [vocabulary.get(token, UNK) for token in tokenize(text)] or [UNK]


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie : moyenne des vecteurs, puis couche linéaire."""
    random = np.random.default_rng(0)
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    rows = [encode(text, vocabulary) for _, text in taught]
    targets_N = np.array([labels.index(category) for category, _ in taught])
    table_VE = random.normal(size=(len(vocabulary), EMBEDDING))
    head_EC, bias_C = random.normal(size=(EMBEDDING, len(labels))) / np.sqrt(EMBEDDING), np.zeros(len(labels))
    adam = Adam([table_VE, head_EC, bias_C], LEARNING_RATE)
    for _ in range(EPOCHS):
        for chosen in batches(len(rows), random):
            ids_BT, lengths_B = pad([rows[i] for i in chosen])
            mean_BE = mean_of(table_VE, ids_BT, lengths_B)
            slope_BC = softmax(mean_BE @ head_EC + bias_C)
            slope_BC[np.arange(len(chosen)), targets_N[chosen]] -= 1
            slope_BC /= len(chosen)
            of_table = gradient_of_table(slope_BC @ head_EC.T, ids_BT, lengths_B, len(table_VE))
            adam.step([of_table, mean_BE.T @ slope_BC, slope_BC.sum(axis=0)])

    def predict(texts: list[str]) -> list[str]:
        mean_NE = mean_of(table_VE, *pad([encode(text, vocabulary) for text in texts]))
        return [labels[label] for label in (mean_NE @ head_EC + bias_C).argmax(axis=1)]

    return predict


if __name__ == "__main__":
    main(fit)
