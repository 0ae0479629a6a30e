"""Step 1: count words. A softmax regression in NumPy, with its gradient worked out by hand.

    python step1.py tickets.jsonl

A ticket becomes a row of counts, one for each word. A category has one weight for each word, and its score (its logit)
is the sum of count times weight. Softmax makes probabilities of the scores; training moves the weights.
"""

# Axes: N tickets, V ids of the vocabulary, C categories.

import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ticket = tuple[str, str]  # category, text
Predict = Callable[[list[str]], list[str]]  # texts -> categories
PAD, UNK = 0, 1  # two ids that are no word
MIN_COUNT = 2
NUM_STEPS, LEARNING_RATE = 200, 2.0


def tokenize(text: str) -> list[str]:
    """Return the lower-case words of a text, and its ! and ?."""
    return re.findall(r"<\w+>|\w+|[!?]", unicodedata.normalize("NFC", text).lower())


def build_vocabulary(tickets: list[list[str]]) -> dict[str, int]:
    """Return token -> id of the tokens that stand in MIN_COUNT tickets or more, in the order of the alphabet.

    The ids begin at 2: `<pad>` is 0 and `<unk>` is 1.
    """
    # count in how many tickets each token stands; a ticket that says it twice counts once
    raise NotImplementedError("write build_vocabulary")


def count(tickets: list[list[str]], vocabulary: dict[str, int]) -> Array:
    """Return counts_NV: how often each id stands in each ticket; unknown tokens are counted under UNK."""
    counts_NV = np.zeros((len(tickets), len(vocabulary)))
    for row, tokens in enumerate(tickets):
        for token in tokens:
            counts_NV[row, vocabulary.get(token, UNK)] += 1
    return counts_NV


def softmax(logits_NC: Array) -> Array:
    """Return probabilities_NC: over 0, each row sums to 1, in the proportion of exp(logits)."""
    # exp, then divide each row by its sum; subtract the largest logit of the row first, or exp(1000) is infinite
    raise NotImplementedError("write softmax")


def gradient(counts_NV: Array, targets_N: NDArray[np.int64], weight_VC: Array, bias_C: Array) -> tuple[Array, Array]:
    """Return how the mean loss changes with each weight, [V, C], and with each bias, [C].

    The loss of a ticket is minus the logarithm of the probability that its true category got.
    """
    # the slope of a ticket's loss by its logits is its probabilities, minus 1 at the true category
    raise NotImplementedError("write gradient")


# From here on it is given: read it, then run it.


def regress(counts_NV: Array, targets_N: NDArray[np.int64], num_categories: int) -> tuple[Array, Array]:
    """Return weight_VC and bias_C after NUM_STEPS of gradient descent: each step goes against the gradient."""
    weight_VC, bias_C = np.zeros((counts_NV.shape[1], num_categories)), np.zeros(num_categories)
    for _ in range(NUM_STEPS):
        of_weight, of_bias = gradient(counts_NV, targets_N, weight_VC, bias_C)
        weight_VC -= LEARNING_RATE * of_weight
        bias_C -= LEARNING_RATE * of_bias
    return weight_VC, bias_C


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories, learnt from labelled tickets."""
    labels = sorted({category for category, _ in taught})
    tokens = [tokenize(text) for _, text in taught]
    vocabulary = build_vocabulary(tokens)
    targets_N = np.array([labels.index(category) for category, _ in taught])
    weight_VC, bias_C = regress(count(tokens, vocabulary), targets_N, len(labels))

    def predict(texts: list[str]) -> list[str]:
        counts_NV = count([tokenize(text) for text in texts], vocabulary)
        return [labels[label] for label in (counts_NV @ weight_VC + bias_C).argmax(axis=1)]

    return predict


def read_tickets(path: str) -> list[Ticket]:
    """Return (category, text) of each line of a JSONL file."""
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    return [(row["category"], row.get("text") or " ".join(row["tokens"])) for row in rows]


def held_out_accuracy(fit: Callable[[list[Ticket]], Predict], tickets: list[Ticket], seed: int = 0) -> float:
    """Return the share of right answers on a fifth of the tickets, which `fit` never sees."""
    order = np.random.default_rng(seed).permutation(len(tickets))
    held_out, taught = np.split(order, [len(tickets) // 5])
    predict = fit([tickets[i] for i in taught])
    answers = predict([tickets[i][1] for i in held_out])
    return float(np.mean([answer == tickets[i][0] for answer, i in zip(answers, held_out, strict=True)]))


def main(fit: Callable[[list[Ticket]], Predict]) -> None:
    """Print the held-out accuracy on the files of the command line."""
    for path in sys.argv[1:]:
        start = time.perf_counter()
        accuracy = held_out_accuracy(fit, read_tickets(path))
        print(f"{path}: held-out accuracy {accuracy:.3f} in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(fit)
