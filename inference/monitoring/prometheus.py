"""What has been counted, in the text format of Prometheus; by its maintained client library.

In: `Counters`, summed over the workers. Out: bytes. Labels are bounded: routes are templates, methods a short list,
models those of the store.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from inference.monitoring.counters import SECONDS, TICKETS, Counters, Histogram
from inference.monitoring.shared_counters import Board

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4.removesuffix("; charset=utf-8")  # which Litestar adds to every text


class Told(Collector):
    """Tells counters to prometheus_client, once."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        counters = self._counters
        requests = CounterMetricFamily("puppet_requests", "Requests answered.", labels=["method", "route", "status"])
        for line, count in sorted(counters.requests.items()):
            requests.add_metric(line.split(" "), count)
        yield requests
        seconds = HistogramMetricFamily("puppet_request_seconds", "From headers to last byte.", labels=["route"])
        for route, histogram in sorted(counters.seconds.items()):
            seconds.add_metric([route], buckets(SECONDS, histogram), histogram.sum)
        yield seconds
        batches = HistogramMetricFamily("puppet_batch_tickets", "Tickets that ran together.")
        batches.add_metric([], buckets(TICKETS, counters.batches), counters.batches.sum)
        yield batches
        refusals = CounterMetricFamily(
            "puppet_refusals", "Work not done: queue full, too late for X-Timeout-Ms, client left.", labels=["why"]
        )
        for why, count in sorted(counters.refusals.items()):
            refusals.add_metric([why], count)
        yield refusals
        yield GaugeMetricFamily("puppet_connections", "Connections that are open.", value=counters.connections)
        closings = CounterMetricFamily(
            "puppet_connections_closed",
            "Connections that the server ended: idle, crowded, head or body too slow, slow reader, refused.",
            labels=["why"],
        )
        for why, count in sorted(counters.closings.items()):
            closings.add_metric([why], count)
        yield closings
        yield GaugeMetricFamily("puppet_queue_tokens", "Tokens of tickets that wait.", value=counters.queue_tokens)
        versions = GaugeMetricFamily("puppet_model_version", "The version that serves.", labels=["model"])
        for model, version in sorted(counters.versions.items()):
            versions.add_metric([model], version)
        yield versions
        engines = GaugeMetricFamily(
            "puppet_model_engine", "Workers that answer with the engine.", labels=["model", "engine"]
        )
        for line, count in sorted(counters.engines.items()):
            engines.add_metric(line.split(" "), count)
        yield engines


def buckets(bounds: Sequence[float], histogram: Histogram) -> list[tuple[str, float]]:
    """Return upper bound -> how many values are not above it, as Prometheus wants them.

    >>> buckets((0.5, 1.0), Histogram([3, 0, 2]))
    [('0.5', 3), ('1.0', 3), ('+Inf', 5)]
    """
    return list(zip([*map(str, bounds), "+Inf"], accumulate(histogram.counts), strict=True))


def text(counters: Counters) -> bytes:
    """Return the counters as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(Told(counters))
    return generate_latest(registry)


def summed(own: bytes, board: Board | None) -> bytes:
    """Return the text of what one worker (its counters as JSON, so that they stand still) and the others counted."""
    counters = msgspec.json.decode(own, type=Counters)
    for other in board.others() if board is not None else ():
        counters.merge(other)
    return text(counters)
