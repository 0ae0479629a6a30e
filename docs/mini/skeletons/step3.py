"""Step 3: the gradient by machine. An autograd for single numbers, in some eighty lines.

    python step3.py tickets.jsonl

In step 1 you worked out the gradient with pencil and paper. Here every operation keeps its inputs and the slope by each
of them, and `backward` multiplies and adds these slopes on the way back (the chain rule). PyTorch does the same with
matrices. It is slow, number by number: so the model of step 1 is trained on fewer tickets, once each.
"""

from __future__ import annotations

import math

from step1 import UNK, Predict, Ticket, build_vocabulary, main, tokenize

NUM_TAUGHT, LEARNING_RATE = 400, 0.3


class Value:
    """A number that remembers what it was made of.

    Attributes:
        data: the number.
        grad: how the last result changes when this number grows; 0 before `backward`.
        parents: (input, slope) of the operation that made it; empty for an input.
    """

    def __init__(self, data: float, parents: tuple[tuple[Value, float], ...] = ()) -> None:
        self.data, self.grad, self.parents = data, 0.0, parents

    def __add__(self, other: Value) -> Value:
        # The sum grows by 1 when either term grows by 1: both slopes are 1.
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other: Value) -> Value:
        # the product, and for each factor how fast the product grows with it
        raise NotImplementedError("write __mul__")

    def exp(self) -> Value:
        """Return e to the power of this number."""
        # exp is its own slope
        raise NotImplementedError("write exp")

    def log(self) -> Value:
        """Return the natural logarithm."""
        # the slope of log x is 1 / x
        raise NotImplementedError("write log")

    def tanh(self) -> Value:
        """Return the hyperbolic tangent, between -1 and 1."""
        # with y = tanh x, the slope is 1 - y * y
        raise NotImplementedError("write tanh")

    def backward(self) -> None:
        """Set `grad` of every number that this one was made of."""
        # put each number after all its inputs, walk back from the result, add slope * grad to each input
        raise NotImplementedError("write backward")


# From here on it is given.


def cross_entropy(logits: list[Value], target: int) -> Value:
    """Return log(sum of exp(logits)) - logits[target]: minus the logarithm of softmax at the true category."""
    total = logits[0].exp()
    for logit in logits[1:]:
        total = total + logit.exp()
    return total.log() + Value(-1.0) * logits[target]


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories: the model of step 1, each ticket a step of its own."""
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    weights = [[Value(0.0) for _ in labels] for _ in vocabulary]
    bias = [Value(0.0) for _ in labels]

    def score(text: str) -> tuple[list[list[Value]], list[Value]]:
        rows = [bias, *(weights[vocabulary.get(token, UNK)] for token in tokenize(text))]
        logits = list(rows[0])
        for row in rows[1:]:
            logits = [logit + weight for logit, weight in zip(logits, row, strict=True)]
        return rows, logits

    for category, text in taught[:NUM_TAUGHT]:
        rows, logits = score(text)
        cross_entropy(logits, labels.index(category)).backward()
        for weight in {id(weight): weight for row in rows for weight in row}.values():
            weight.data -= LEARNING_RATE * weight.grad
            weight.grad = 0.0

    def predict(texts: list[str]) -> list[str]:
        found = [[logit.data for logit in score(text)[1]] for text in texts]
        return [labels[row.index(max(row))] for row in found]

    return predict


if __name__ == "__main__":
    main(fit)
