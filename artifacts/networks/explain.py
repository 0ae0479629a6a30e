"""What each token of a ticket weighs in its answer: the ticket is asked again without it.

In: a loaded model and an encoded ticket. Out: an `Explanation`. Both `puppet-train explain` and POST /search call this.

The idea, once (occlusion: Zeiler & Fergus 2014; of tokens, Li et al. 2016, "Understanding Neural Networks through
Representation Erasure"). A token's weight is by how much the log-odds of the category that the ticket was given fall
when the token is left out: over 0 it speaks for that category, below 0 against it.

- Left out, and not replaced: a ticket of one token less is one that the desk could have sent. There is no neutral token
  to put in its place; an <UNK> without n-grams is nothing that the network met in training. Only where nothing would be
  left, in a ticket of one token, <UNK> stands in.
- Log-odds, and not the probability: a ticket that is sure to .999 loses next to nothing of it without any one token,
  whatever that token says; the logits move all the same, and log-odds are what logits are differences of. The
  probability without the token stands beside, because people read it more easily.

What it cannot tell: two tokens that say the same cover for each other, and either alone weighs little.
"""

# Axes: N the ticket and its variants, C categories.

import math
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from artifacts.arrays import Doubles, Floats, Longs
from artifacts.errors import NotFinite
from artifacts.networks.gru import GruModel
from artifacts.networks.ranking.among import renormalised
from artifacts.text.tickets import Explanation, Neighbour, TokenWeight
from artifacts.text.vocabulary import UNK, Encoded

MAX_VARIANTS = 64  # that are asked of one ticket: without a bound, 512 tokens are 513 runs of the longest kind
MAX_UNKNOWN = 64  # distinct unknown tokens whose neighbours are looked up
SLICE_TOKENS = 256  # between two looks at who else wants the thread: eight tickets of 30, one run (docs/LOG.md)
SLICE_UNKNOWN = 8  # tokens whose neighbours are looked up in one slice; 0.2 ms each with 50,000 words
SMALLEST = float(np.finfo(np.float32).tiny)  # a probability of 0 has no logarithm


class Explaining(NamedTuple):
    """An explanation that is still to be made.

    Attributes:
        cost: how much work it is, in tokens; see `Model.cost`.
        steps: does a slice of it at each step, says how many tickets the model was asked in it, and returns the
            explanation at the end. It holds no lock and may go on in another thread.
    """

    cost: int
    steps: Generator[int, None, Explanation]


def begin(model: GruModel, ticket: Encoded, kept_K: Longs | None = None) -> Explaining:
    """Return the explanation of a ticket's answer as work to be done.

    Args:
        model: that answers.
        ticket: encoded.
        kept_K: numbers of the categories that may be answered (ranking/), of which the best one is explained; None: of
            all.
    """
    asked = [ticket, *variants(ticket)]
    return Explaining(sum(map(model.cost, asked)), _steps(model, asked, kept_K))


def explain(model: GruModel, ticket: Encoded, kept_K: Longs | None = None) -> Explanation:
    """Return what each token of a ticket weighs; see `begin`.

    Raises:
        NotFinite: the model answers with what is no probability.
    """
    return finish(begin(model, ticket, kept_K))


def finish(work: Explaining) -> Explanation:
    """Return the explanation, with all of its steps done at once.

    Raises:
        NotFinite: the model answers with what is no probability.
    """
    while True:
        try:
            next(work.steps)
        except StopIteration as end:
            explanation: Explanation = end.value
            return explanation


def window(num_tokens: int) -> int:
    """Return how many neighbouring tokens are left out at once, so that there are 64 variants at most.

    >>> window(30), window(64), window(65), window(512)
    (1, 1, 2, 8)
    """
    return math.ceil(num_tokens / MAX_VARIANTS)


def variants(ticket: Encoded) -> list[Encoded]:
    """Return the ticket without its first window of tokens, without its second, and so on."""
    size = window(len(ticket.ids))
    kept = [ticket.ids[:start] + ticket.ids[start + size :] for start in range(0, len(ticket.ids), size)]
    return [Encoded(ids or [UNK], ticket.unknown, ticket.grams, 0) for ids in kept]


def log_odds(probabilities_NC: Floats | Doubles, label: int) -> list[float]:
    """Return ln(p / (1 - p)) of one category in each row, where 1 - p is what the others have.

    Summing those keeps the digits that 1 - p would lose: with p = 1 - 1e-9, a float32 says 1.
    """
    rows_NC = probabilities_NC.astype(np.float64)
    others_N = np.delete(rows_NC, label, axis=1).sum(axis=1)
    odds_N = np.log(np.maximum(rows_NC[:, label], SMALLEST)) - np.log(np.maximum(others_N, SMALLEST))
    found: list[float] = odds_N.tolist()
    return found


def _steps(model: GruModel, asked: Sequence[Encoded], kept_K: Longs | None) -> Generator[int, None, Explanation]:
    ticket, *_ = asked
    found = []
    for some in _slices(asked):
        found.append(model.probabilities(some))
        yield len(some)
    found_NC = np.concatenate(found)
    if not np.isfinite(found_NC).all():
        raise NotFinite("answer-not-finite", model=model.where)
    labels, rows_NC = model.labels, found_NC.astype(np.float64)
    if kept_K is not None:
        labels, (rows_NC, _) = [labels[number] for number in kept_K.tolist()], renormalised(found_NC, kept_K)
    label = int(rows_NC[0].argmax())
    whole, *without = log_odds(rows_NC, label)
    confidences = rows_NC[1:, label].tolist()

    for _ in model.spellings.prepare():
        yield 0
    nearest: list[list[Neighbour]] = []
    for number, token in enumerate(ticket.unknown[:MAX_UNKNOWN], start=1):
        nearest.append(model.spellings.nearest(token))
        if number % SLICE_UNKNOWN == 0:
            yield 0

    size, num_words = window(len(ticket.ids)), len(model.vocabulary)
    tokens = []
    for place, number in enumerate(ticket.ids):
        weight, confidence = whole - without[place // size], confidences[place // size]
        if number < num_words:
            tokens.append(TokenWeight(model.spellings.word(number), weight, confidence, True))
        else:
            unknown = number - num_words
            near = nearest[unknown] if unknown < len(nearest) else None
            tokens.append(TokenWeight(ticket.unknown[unknown], weight, confidence, False, near))
    return Explanation(labels[label], tokens, size)


def _slices(asked: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
    """Yield the tickets in their order, at least one and about 256 tokens at a time."""
    size = max(1, SLICE_TOKENS // len(asked[0].ids))
    for start in range(0, len(asked), size):
        yield asked[start : start + size]
