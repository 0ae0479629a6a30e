"""The open connections of a worker: how many there may be, and which of them have waited for too long.

    add ─► over the limit? ─► the longest idle one is closed
    once a second ─► each connection is asked whether it is overdue ─► closed, and counted by its reason

One sweep for all and no timer for each: setting a timer costs a search 3 us, and a sweep over 1,000 connections takes
a fifth of a millisecond. A connection is closed up to a second late, which no caller notices.
"""

import asyncio
import resource
from typing import Protocol

import msgspec

from inference.monitoring.counters import Counters
from inference.settings import Settings

SWEEP_S = 1.0
RESERVED_DESCRIPTORS = 64  # of the process for all else: listeners, the store's files, pipes, the event loop
DEFAULT_CONNECTIONS = 10_000  # of a worker, where the descriptors allow it; each takes some 20 KB
LINGER_S = 30.0  # in which a client takes what was written for it; then its connection is cut

# Why one was closed.
IDLE, CROWDED, HEAD, BODY, SLOW_READER, REFUSED = "idle", "crowded", "head", "body", "slow_reader", "refused"


class ConnectionLimits(msgspec.Struct, frozen=True):
    """How long each part of a request may take, in seconds, and how many connections there may be."""

    head_timeout_s: float
    body_idle_timeout_s: float
    body_bytes_s: int
    keep_alive_s: float
    max_connections: int


def limits_of(settings: Settings) -> ConnectionLimits:
    """Return the limits of one worker: as set, and no more connections than there are file descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(1, soft - RESERVED_DESCRIPTORS) if soft != resource.RLIM_INFINITY else DEFAULT_CONNECTIONS
    return ConnectionLimits(
        settings.head_timeout_s,
        settings.body_idle_timeout_s,
        settings.body_bytes_s,
        settings.keep_alive_s,
        min(most, settings.max_connections or DEFAULT_CONNECTIONS),
    )


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, for this process and those that it starts.

    The usual soft limit, 1,024, is there for programs that use select(); this one does not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Connection(Protocol):
    """What the table needs of a connection."""

    def idle_since(self) -> float | None:
        """Return the loop's time since which no request has been under way; None if one is."""

    def overdue(self, now: float) -> str | None:
        """Return why the connection must end, at the loop's time `now`; None if it may stay."""

    def give_up(self, why: str) -> None:
        """End the connection, with an answer where one is due."""


class Connections:
    """The table of one worker; belongs to its event loop."""

    def __init__(self, limits: ConnectionLimits, counters: Counters) -> None:
        """Take the limits, and the counters that note how many there are and why they were closed."""
        self.limits = limits
        self._counters = counters
        self._open: dict[Connection, None] = {}  # in the order of their arrival
        self._sweeping: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> None:
        """Take a new connection, and close the longest idle one if there are too many now."""
        if len(self._open) >= self.limits.max_connections:
            idle = [(since, one) for one in self._open if (since := one.idle_since()) is not None]
            # With nothing idle all of them are at work, and the newcomer waits no longer than the next that ends.
            if idle:
                self._close(min(idle, key=lambda pair: pair[0])[1], CROWDED)
        self._open[connection] = None
        self._counters.connections = len(self._open)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._open.pop(connection, None)
        self._counters.connections = len(self._open)

    def _sweep(self) -> None:
        """Close what is overdue, and look again in a second for as long as there is anything to look at."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        # Before the look: were it to fail at one connection, the deadlines of all the others would end with it.
        self._sweeping = loop.call_later(SWEEP_S, self._sweep) if self._open else None
        for connection in list(self._open):
            if (why := connection.overdue(now)) is not None:
                self._close(connection, why)

    def _close(self, connection: Connection, why: str) -> None:
        self._counters.count_closing(why)
        connection.give_up(why)
