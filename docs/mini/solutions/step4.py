"""Step 4: a word becomes a vector, and a ticket the mean of its words.

    python step4.py tickets.jsonl order.jsonl

A table has one row of E numbers for each word. In step 1 a word had one weight for each category and nothing to share;
now two words that call for the same category may come to have like rows. The mean still cannot see word order.
"""

# Axes: B tickets in the batch, T tokens (padded), V ids, E embedding, C categories.

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from step1 import PAD, UNK, Array, Predict, Ticket, build_vocabulary, main, softmax, tokenize

Ids = NDArray[np.int64]
EMBEDDING, BATCH, EPOCHS, LEARNING_RATE = 32, 32, 10, 0.01


def pad(rows: list[list[int]]) -> tuple[Ids, Ids]:
    """Return ids_BT, short tickets filled up with PAD on the right, and lengths_B, the real length of each."""
    # WRITE: the batch is as wide as its longest ticket
    width = max(len(row) for row in rows)
    return np.array([row + [PAD] * (width - len(row)) for row in rows]), np.array([len(row) for row in rows])


def mean_of(table_VE: Array, ids_BT: Ids, lengths_B: Ids) -> Array:
    """Return mean_BE: of each ticket the mean row of its tokens, without the padding."""
    # WRITE: look up the rows, set those of the padding to 0, add up over T, divide by the real length
    is_word_BT = np.arange(ids_BT.shape[1]) < lengths_B[:, None]
    return (table_VE[ids_BT] * is_word_BT[:, :, None]).sum(axis=1) / lengths_B[:, None]


def gradient_of_table(slope_BE: Array, ids_BT: Ids, lengths_B: Ids, num_words: int) -> Array:
    """Return the gradient by each row of the table, [V, E], given the slope by the mean of each ticket."""
    # WRITE: each token of ticket b gets slope_BE[b] / its length; a word that stands twice gets it twice
    is_word_BT = np.arange(ids_BT.shape[1]) < lengths_B[:, None]
    slope_BTE = (slope_BE / lengths_B[:, None])[:, None] * is_word_BT[:, :, None]
    found_VE = np.zeros((num_words, slope_BE.shape[1]))
    np.add.at(found_VE, ids_BT, slope_BTE)
    return found_VE


# From here on it is given.


class Adam:
    """Gradient descent in which every weight moves at about the same pace; step 6 writes it."""

    def __init__(self, weights: list[Array], rate: float) -> None:
        self.weights, self.rate, self.num_steps = weights, rate, 0
        self.means = [np.zeros_like(weight) for weight in weights]
        self.squares = [np.zeros_like(weight) for weight in weights]

    def step(self, gradients: list[Array]) -> None:
        """Move the weights, in place."""
        self.num_steps += 1
        for weight, slope, mean, square in zip(self.weights, gradients, self.means, self.squares, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope**2 - square)
            usual = np.sqrt(square / (1 - 0.999**self.num_steps)) + 1e-8
            weight -= self.rate * mean / (1 - 0.9**self.num_steps) / usual


def batches(num_tickets: int, random: np.random.Generator) -> Iterator[Ids]:
    """Yield the numbers of all tickets, shuffled, some at a time."""
    order = random.permutation(num_tickets)
    for start in range(0, num_tickets, BATCH):
        yield order[start : start + BATCH]


def encode(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Return the ids of a text, at least one."""
    return [vocabulary.get(token, UNK) for token in tokenize(text)] or [UNK]


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories: mean of the vectors, then a linear layer."""
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
