"""Callers who search without a pause, and what became of each request; a server is ended or changed meanwhile.

A closed loop on threads, for what is lost and not for how long it takes. A request is lost if it was written on a
connection that had come up and no whole answer came back: every other end is a status, or a connection that never was.
"""

import collections
import contextlib
import threading
from collections.abc import Iterator

from benchmarks.load.client import Address, BadAnswer, Connection

# A status, or why a request was lost -> how often.
Outcomes = collections.Counter[int | str]

JOIN_S = 60.0  # for the callers to leave; they take a second or two
CONNECT_S = (
    30.0  # while it ends, a server lets the first packet of a connection pass unheard; the next is a second later
)


@contextlib.contextmanager
def callers(address: Address, request: bytes, num: int) -> Iterator[tuple[Outcomes, threading.Event]]:
    """Ask without a pause, half of the callers on a connection that they keep, half on a new one for each request.

    Gives what became of the requests so far, and the event at which the callers leave. A caller that finds the port
    closed, or has lost a request, leaves by itself.

    Args:
        address: of the server.
        request: that each of them sends.
        num: callers.
    """
    outcomes: Outcomes = collections.Counter()
    counting = threading.Lock()
    stop = threading.Event()

    def count(outcome: int | str) -> None:
        with counting:
            outcomes[outcome] += 1

    def call(keeps: bool) -> None:
        while not stop.is_set():
            try:
                connection = Connection(address, CONNECT_S)
            except (ConnectionRefusedError, ConnectionResetError):  # the port closed before it was accepted
                return
            with connection:
                while connection.may_stay and not stop.is_set():
                    try:
                        status, _ = connection.call(request)
                    except (OSError, BadAnswer) as error:
                        count(f"lost: {error}")
                        return
                    count(status)
                    if not keeps:
                        break

    threads = [threading.Thread(target=call, args=(number % 2 == 0,)) for number in range(num)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes, stop
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in threads:
            thread.join(JOIN_S)
        assert not any(thread.is_alive() for thread in threads), "a caller waits for an answer for ever"


def num_lost(outcomes: Outcomes) -> int:
    """Return how many requests were lost."""
    return sum(times for outcome, times in outcomes.items() if isinstance(outcome, str))
