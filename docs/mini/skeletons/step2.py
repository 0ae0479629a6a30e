"""Step 2: why counting is hard to beat, and what it cannot see.

    python step2.py tickets.jsonl order.jsonl

A linear model can be read: each word has one score for each category. But a sum does not change when its terms are
moved, so word order is lost. Pairs of neighbours bring back a little of it.
"""

import itertools

import numpy as np
from step1 import Array, Predict, Ticket, build_vocabulary, count, main, regress, tokenize


def contributions(
    tokens: list[str], vocabulary: dict[str, int], weight_VC: Array, label: int
) -> list[tuple[str, float]]:
    """Return what each known token of a ticket adds to the score of a category, the largest first.

    A token that stands twice is named once, with twice its weight; tokens that are not in the vocabulary are left out.
    """
    # count each token, multiply by weight_VC[id, label], and sort; of equal scores in the order of the alphabet
    raise NotImplementedError("write contributions")


def add_pairs(tokens: list[str]) -> list[str]:
    """Return the tokens, followed by each pair of neighbours as one more token: "a b c" adds "a b" and "b c"."""
    # itertools.pairwise gives the neighbours; keep the order inside a pair
    raise NotImplementedError("write add_pairs")


# From here on it is given.


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories: step 1, on words and pairs of words."""
    labels = sorted({category for category, _ in taught})
    tokens = [add_pairs(tokenize(text)) for _, text in taught]
    vocabulary = build_vocabulary(tokens)
    targets_N = np.array([labels.index(category) for category, _ in taught])
    weight_VC, bias_C = regress(count(tokens, vocabulary), targets_N, len(labels))
    for label in (0, 1):
        print(f"what speaks for {labels[label]} in the first ticket:", end=" ")
        print(contributions(tokens[0], vocabulary, weight_VC, label)[:3])

    def predict(texts: list[str]) -> list[str]:
        counts_NV = count([add_pairs(tokenize(text)) for text in texts], vocabulary)
        return [labels[label] for label in (counts_NV @ weight_VC + bias_C).argmax(axis=1)]

    return predict


if __name__ == "__main__":
    main(fit)
