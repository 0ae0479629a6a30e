"""Counting how a stream of tickets looks."""

import msgspec
import pytest

from artifacts.evaluation.profile import CONFIDENCE_BINS, UNKNOWN_BINS, Profile


@pytest.mark.parametrize(
    ("confidence", "num_unknown", "num_tokens", "bins"),
    [
        (0.0, 0, 1, (0, 0, 0)),
        (0.0499, 1, 512, (0, 1, 9)),
        (0.05, 1, 20, (1, 1, 5)),
        (0.999, 2, 20, (19, 2, 5)),
        (1.0, 512, 512, (19, 20, 9)),
        (0.5, 1, 2, (10, 10, 1)),
        (0.5, 3, 3, (10, 20, 2)),
    ],
)
def test_ticket_falls_in_one_bin_of_each(
    confidence: float, num_unknown: int, num_tokens: int, bins: tuple[int, int, int]
) -> None:
    """Ends of the ranges have their bins, and a single unknown token is never counted as none."""
    profile = Profile()

    profile.add("a", confidence, num_unknown, num_tokens)

    histograms = (profile.confidence, profile.unknown, profile.lengths)
    assert tuple(counts.index(1) for counts in histograms) == bins
    assert [sum(counts) for counts in histograms] == [1, 1, 1]
    assert (profile.categories, profile.num_tickets) == ({"a": 1}, 1)


def test_profile_of_other_bins_is_refused() -> None:
    """A record whose histograms have another number of bins is not read."""
    raw = msgspec.json.encode(Profile())
    assert msgspec.json.decode(raw, type=Profile) == Profile()

    for number in (CONFIDENCE_BINS - 1, UNKNOWN_BINS):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode({"confidence": [0] * number}), type=Profile)
