"""What one worker counts: plain numbers that a request adds to in a microsecond. prometheus.py says them to Prometheus.

prometheus_client's own counters take a lock and look their labels up; here a request costs a dict, a bisection and
four additions.
"""

from bisect import bisect_left

import msgspec

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)  # upper bounds of the buckets
TICKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 4096.0)
MAX_MODELS = 1000  # whose version is told; a series for each of more would fill the scraper
FULL, LATE, LEFT = "full", "late", "left"  # why work is not done


class Histogram(msgspec.Struct):
    """How often a value fell in each bucket, the last of which has no upper bound; and the sum of the values."""

    counts: list[int]
    sum: float = 0.0

    def add(self, bounds: tuple[float, ...], value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(bounds, value)] += 1
        self.sum += value

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another with the same buckets."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


def empty(bounds: tuple[float, ...]) -> Histogram:
    """Return a histogram of nothing."""
    return Histogram([0] * (len(bounds) + 1))


class Counters(msgspec.Struct):
    """Everything that a worker counts; belongs to its event loop, and is what it tells the others.

    Attributes:
        requests: "METHOD ROUTE STATUS" -> how many.
        seconds: route -> how long its requests took until the end of their answers.
        batches: tickets of each run of a model.
        refusals: why -> how many requests for a model's answer were not worth it.
        queue_tokens: that wait now.
        versions: model -> the version that serves.
        engines: "MODEL ENGINE" -> how many workers answer with it.
        connections: that are open now.
        closings: why -> how many connections the server has ended by itself.
    """

    requests: dict[str, int] = {}
    seconds: dict[str, Histogram] = {}
    batches: Histogram = msgspec.field(default_factory=lambda: empty(TICKETS))
    refusals: dict[str, int] = {}
    queue_tokens: int = 0
    versions: dict[str, int] = {}
    engines: dict[str, int] = {}
    connections: int = 0
    closings: dict[str, int] = {}

    def count_request(self, line: str, route: str, seconds: float) -> None:
        """Count a request; `line` is "METHOD ROUTE STATUS"."""
        self.requests[line] = self.requests.get(line, 0) + 1
        histogram = self.seconds.get(route)
        if histogram is None:
            histogram = self.seconds[route] = empty(SECONDS)
        histogram.add(SECONDS, seconds)

    def count_refusal(self, why: str) -> None:
        """Count work that is not done."""
        self.refusals[why] = self.refusals.get(why, 0) + 1

    def count_closing(self, why: str) -> None:
        """Count a connection that the server ends by itself."""
        self.closings[why] = self.closings.get(why, 0) + 1

    def merge(self, other: "Counters") -> None:
        """Add what another worker has counted; of a model's version the newest is kept."""
        for line, count in other.requests.items():
            self.requests[line] = self.requests.get(line, 0) + count
        for route, histogram in other.seconds.items():
            self.seconds.setdefault(route, empty(SECONDS)).merge(histogram)
        self.batches.merge(other.batches)
        for why, count in other.refusals.items():
            self.refusals[why] = self.refusals.get(why, 0) + count
        self.queue_tokens += other.queue_tokens
        self.connections += other.connections
        for why, count in other.closings.items():
            self.closings[why] = self.closings.get(why, 0) + count
        for line, count in other.engines.items():
            self.engines[line] = self.engines.get(line, 0) + count
        for model, version in other.versions.items():
            self.versions[model] = max(version, self.versions.get(model, 0))
