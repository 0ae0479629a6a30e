"""A pending request: its deadline, the time each stage took, and the way back for its answer.

    connection or coroutine ─► RequestContext ─► QueuedRequest in a queue ─► Reply.take(answers or error)

An answer travels back through one object with one method, `take`. Nothing here knows HTTP: the protocol of a connection
and a coroutine of the ordinary way are both a `Reply`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from artifacts.networks.runtime import Answerer
from artifacts.schemas import Answer, Id
from inference.errors import ClientLeft, TooLate
from inference.monitoring.counters import LATE, LEFT, Counters

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

log = logging.getLogger("puppet")


class RequestContext:
    """What a request says of itself, and where its time goes.

    Attributes:
        began: when its body had arrived, on the clock of `time.perf_counter`.
        deadline: on the same clock, the moment after which the answer is of no use; None if there is none.
        has_left: returns whether the client has closed its connection; called on the event loop.
        parse_s: seconds from bytes to a Struct.
        ids_s: seconds from a Struct to ids.
        queue_s: seconds in the queue.
        model_s: seconds of the runs that it was part of.
    """

    __slots__ = ("began", "deadline", "has_left", "ids_s", "model_s", "parse_s", "queue_s")

    def __init__(self, deadline: float | None = None, has_left: Callable[[], bool] = lambda: False) -> None:
        self.began = time.perf_counter()
        self.deadline = deadline
        self.has_left = has_left
        self.parse_s = self.ids_s = self.queue_s = self.model_s = 0.0

    def server_timing(self) -> str:
        """Return where the time went, in milliseconds, for the header Server-Timing.

        >>> context = RequestContext()
        >>> context.parse_s, context.ids_s, context.queue_s, context.model_s = 0.00001, 0.00002, 0.0005, 0.0125
        >>> context.server_timing()
        'parse;dur=0.010, ids;dur=0.020, queue;dur=0.500, model;dur=12.500'
        """
        stages = (self.parse_s * 1e3, self.ids_s * 1e3, self.queue_s * 1e3, self.model_s * 1e3)
        # Half the time of an f-string, on every answer.
        return "parse;dur=%.3f, ids;dur=%.3f, queue;dur=%.3f, model;dur=%.3f" % stages  # noqa: UP031


class AskedInput(NamedTuple):
    """An input as its caller sent it: the caller's own name for it, and what is asked about."""

    id: Id
    content: Any


class Reply(Protocol[T_contra]):
    """The way back to whoever waits."""

    def take(self, found: T_contra | BaseException) -> None:
        """Take the answer, or the error instead of it; called once, on the event loop."""


class ReplyOfInputs(Reply[Sequence[Answer]], Protocol):
    """The way back of the answers to a request's inputs, which still knows how these were sent."""

    def asked(self, index: int) -> AskedInput | None:
        """Return an input as it was sent; None if the request asks for the server itself (a test, an explanation)."""


class Awaited(Generic[T]):
    """A reply that a coroutine awaits.

    Attributes:
        found: the answer; awaiting it raises the error.
        asked: see `ReplyOfInputs`.
    """

    __slots__ = ("asked", "found")

    def __init__(self, context: RequestContext, asked: Callable[[int], AskedInput | None] = lambda _: None) -> None:
        """Make the future, and let the context know when the coroutine that awaits it has been cancelled."""
        self.asked = asked
        self.found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        found, client_has_left = self.found, context.has_left
        context.has_left = lambda: found.cancelled() or client_has_left()

    def take(self, found: T | BaseException) -> None:
        """End the future, unless its coroutine has been cancelled."""
        if self.found.done():
            return
        if isinstance(found, asyncio.CancelledError):
            self.found.cancel()
        elif isinstance(found, BaseException):
            self.found.set_exception(found)
        else:
            self.found.set_result(found)


class QueuedRequest:
    """The encoded inputs of one request in a queue."""

    __slots__ = ("arrived", "context", "cost", "encoded", "model", "reply")

    def __init__(
        self,
        model: Answerer[Any],
        encoded: Sequence[Any],
        cost: int,
        context: RequestContext,
        reply: ReplyOfInputs,
    ) -> None:
        """Take what is to be asked, what it costs in tokens, and where the answers go."""
        self.model = model
        self.encoded = encoded
        self.cost = cost
        self.context = context
        self.reply = reply
        self.arrived = time.perf_counter()

    def begin(self, now: float, counters: Counters) -> bool:
        """Return whether the request is still worth its work; one that is not is answered with the reason."""
        context = self.context
        context.queue_s = now - self.arrived
        if context.has_left():
            counters.count_refusal(LEFT)
            self.end(ClientLeft("client-left"), 0.0)
            return False
        if context.deadline is not None and now > context.deadline:
            counters.count_refusal(LATE)
            self.end(TooLate("too-late"), 0.0)
            return False
        return True

    def end(self, found: Sequence[Answer] | BaseException, model_s: float) -> None:
        """Hand over the answers, or the error instead of them."""
        self.context.model_s = model_s
        try:
            self.reply.take(found)
        except Exception:  # of one request; the others of its turn are answered all the same
            log.exception("bug in handing over an answer")
