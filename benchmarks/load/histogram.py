"""The latencies of all rounds as one HdrHistogram: far percentiles, and a form that can be kept and added to others.

A quantile of one round is exact (latency.py); p99.9 and beyond need more calls than a round has. An HdrHistogram counts
each latency within a thousandth of it and packs into a few kilobytes of text (format V2, which other programs read).
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram

from benchmarks.load.client import Seconds

HIGHEST_US, DIGITS = 60_000_000, 3  # a minute, in microseconds
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


class Histogram(msgspec.Struct, frozen=True):
    """The latencies of many calls.

    Attributes:
        num_calls: that were counted.
        percentiles_ms: percentile -> milliseconds.
        max_ms: the longest.
        encoded: all of it, in microseconds; HdrHistogram V2, compressed, in base64.
    """

    num_calls: int
    percentiles_ms: dict[str, float]
    max_ms: float
    encoded: str


def histogram(rounds: Sequence[Seconds]) -> Histogram:
    """Return the latencies of all rounds as one, each rounded to a microsecond, within 1 us and a minute."""
    counted = HdrHistogram(1, HIGHEST_US, DIGITS)
    for seconds_N in rounds:
        us_N = np.clip(np.rint(seconds_N * 1e6), 1, HIGHEST_US).astype(int)
        for value, count in zip(*(part.tolist() for part in np.unique(us_N, return_counts=True)), strict=True):
            counted.record_value(value, count)
    found = counted.get_percentile_to_value_dict(list(PERCENTILES))
    return Histogram(
        num_calls=counted.get_total_count(),
        percentiles_ms={f"{percentile:g}": value / 1e3 for percentile, value in found.items()},
        max_ms=counted.get_max_value() / 1e3,
        encoded=counted.encode().decode("ascii"),
    )
