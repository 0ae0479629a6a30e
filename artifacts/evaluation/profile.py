"""How a stream of tickets looks to a model, as counts: of a training's kept-out tickets, or of what a server answers.

Both are counted by the same lines, so that they can be compared. No ticket and no word can be read from a profile.
"""

from typing import Annotated

import msgspec

CONFIDENCE_BINS = 20  # of equal width, the last one with 1.0
UNKNOWN_BINS = 21  # none, then up to each twentieth
LENGTH_BINS = 10  # up to 1, 2, 4, ... 512 tokens


def _bins(number: int) -> msgspec.Meta:
    return msgspec.Meta(min_length=number, max_length=number)


class Profile(msgspec.Struct, forbid_unknown_fields=True):
    """How many tickets a model has answered how.

    Attributes:
        categories: that it answered -> tickets; one that it never answered may be missing.
        confidence: tickets by the probability of that answer.
        unknown: tickets by the share of tokens that are not in the vocabulary, each such token counted once.
        lengths: tickets by the tokens that were read.
    """

    categories: dict[str, int] = {}
    confidence: Annotated[list[int], _bins(CONFIDENCE_BINS)] = msgspec.field(
        default_factory=lambda: [0] * CONFIDENCE_BINS
    )
    unknown: Annotated[list[int], _bins(UNKNOWN_BINS)] = msgspec.field(default_factory=lambda: [0] * UNKNOWN_BINS)
    lengths: Annotated[list[int], _bins(LENGTH_BINS)] = msgspec.field(default_factory=lambda: [0] * LENGTH_BINS)

    @property
    def num_tickets(self) -> int:
        """How many tickets were counted."""
        return sum(self.lengths)

    def add(self, category: str, confidence: float, num_unknown: int, num_tokens: int) -> None:
        """Count a ticket; some .5 us, for it is on the way of every answer.

        Args:
            category: that the model answered.
            confidence: of the answer, 0..1.
            num_unknown: distinct tokens that are not in the vocabulary.
            num_tokens: that were read, 1..512.
        """
        self.categories[category] = self.categories.get(category, 0) + 1
        self.confidence[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
        self.unknown[-(-num_unknown * (UNKNOWN_BINS - 1) // num_tokens)] += 1  # rounded up: 0 is none at all
        self.lengths[(num_tokens - 1).bit_length()] += 1
