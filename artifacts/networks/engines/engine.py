"""What an engine is, and the proof that another one than onnxruntime needs before it serves a version."""

# Axes: N tickets, C categories.

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from artifacts.arrays import Floats
from artifacts.networks.engines.build import EngineName
from artifacts.text.vocabulary import Encoded

TOLERANCE = 1e-5  # of a probability, as at export
NUM_INVENTED = 64


class EngineRefused(Exception):
    """An engine cannot serve a version; says why, for the log. Another one serves it."""


class Engine(Protocol):
    """What computes the answers of a GRU; one object for each version, safe to call from several threads."""

    name: EngineName

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`, each summing to 1."""

    def best(self, tickets: Sequence[Encoded]) -> list[tuple[int, float]]:
        """Return the label and the probability of the most probable category of each ticket, in order.

        The first of equal ones; a probability that is not finite is returned as it is.
        """


def prove(engine: Engine, reference: Engine, tickets: Sequence[Encoded]) -> float:
    """Return by how much the probabilities of two engines differ at most.

    Raises:
        EngineRefused: by more than 1e-5, or the engine names another category than its own probabilities do.
    """
    found_NC, expected_NC = engine.probabilities(tickets), reference.probabilities(tickets)
    difference = float(np.abs(found_NC - expected_NC).max())
    if not difference <= TOLERANCE:  # written so that NaN is refused too
        raise EngineRefused(f"a probability differs by {difference:.1e} from onnxruntime's, limit {TOLERANCE:.0e}")
    labels_N, highest_N = found_NC.argmax(axis=1), found_NC.max(axis=1)
    if engine.best(tickets) != list(zip(labels_N.tolist(), highest_N.tolist(), strict=True)):
        raise EngineRefused("the categories are not those of the highest probabilities")
    return difference


def invented(num_words: int, num_buckets: int, max_tokens: int, max_ngrams: int) -> list[Encoded]:
    """Return 64 ragged tickets of random ids, the same for the same sizes: most short, the last of `max_tokens`.

    In every other one a few words are unknown, with 1 to `max_ngrams` n-grams; one of them stands there twice.

    Args:
        num_words: V; ids from here on are unknown words.
        num_buckets: rows of the n-gram table without that of padding.
        max_tokens: of a ticket, as the version has it.
        max_ngrams: of a word.
    """
    chance = random.Random(0)  # noqa: S311  # the same tickets each time, and no secret
    tickets = []
    for number in range(NUM_INVENTED):
        length = max_tokens if number == NUM_INVENTED - 1 else chance.randint(1, min(50, max_tokens))
        ids = [chance.randrange(1, num_words) for _ in range(length)]
        grams: list[list[int]] = []
        places = sorted(chance.sample(range(length), (number % 2) * (1 + length // 8)))
        for place in places:
            ids[place] = num_words + len(grams)
            grams.append([chance.randint(1, num_buckets) for _ in range(chance.randint(1, max_ngrams))])
        if places and places[-1] < length - 1:
            ids[-1] = num_words
        tickets.append(Encoded(ids, [""] * len(grams), grams, 0))
    return tickets
