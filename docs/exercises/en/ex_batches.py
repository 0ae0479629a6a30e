"""Exercise: the zero-wait queue.

Read docs/en/14-serving.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_batches.py
"""

from collections.abc import Sequence


def batches(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[list[int]]:
    """Return which tickets run together, by their places in `arrivals`.

    A server that is free takes every ticket that has arrived, or the next one if there is none. It is busy for `run_ms`
    and `ticket_ms` more for each ticket of the batch, and then takes every ticket that has arrived by then.

    Args:
        arrivals: when each ticket arrives, in milliseconds, in order.
        run_ms: what a run costs whatever is in it.
        ticket_ms: what each ticket of it costs.
    """
    raise NotImplementedError("write batches; start with the moment at which the server is free")


def waits_ms(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[float]:
    """Return how long each ticket waits from its arrival to the end of its batch."""
    raise NotImplementedError("write waits_ms; walk through the batches with the same clock")
