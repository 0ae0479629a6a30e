"""uvicorn's HTTP protocol, with a plain search answered, or refused, in front of it, from the bytes of the socket.

    bytes ─► one plain search? ─► room in the queue? ─► ids ─► batcher ─► its answer, in one write
                     │                   none ─► 503, already written out
                     └─ anything else ─► uvicorn ─► Litestar, which sees every byte of it

uvicorn, a task and an ASGI application make requests of any shape into answers of any shape, at the price of a run of
the model. A plain search has one shape, and what comes back has one too. It is recognised by its head (request_head.py)
and must be one whole message; whatever is unusual, wrong, or not sure to be right goes the ordinary way, which stays
the only place that answers errors, and the reference that tests compare this one with.
"""

import asyncio
import functools
import time
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference import errors
from inference.errors import ServerFull, TooLate
from inference.monitoring.counters import Counters
from inference.monitoring.tracing import trace
from inference.routes.access import Gate
from inference.search.batcher import Batcher
from inference.search.bodies import read_search
from inference.search.context import RequestContext
from inference.search.registry import Registry
from inference.search.search import begin, deadline_after
from inference.server.request_head import END, JSON_TYPE, LINE, PATH, Head, Heads

LINES = {status: f"POST {PATH} {status}" for status in (200, 503, 504)}  # as they are counted
REFUSALS = {503: ServerFull(ServerFull.DETAIL), 504: TooLate(TooLate.DETAIL)}


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.app.state  # of Litestar, which uvicorn knows as any application
        self._batcher: Batcher = state.batcher
        self._counters: Counters = state.counters
        self._registry: Registry = state.registry
        self._heads: Heads = state.heads
        self._gate: Gate = state.gate
        self._needs_token = True
        self._is_between = True  # two messages of uvicorn's: what comes next begins one
        self._begun = b""  # of a plain search, the rest of which is still to come
        self._is_asked = False  # a plain search, which waits for its answer
        self._behind = b""  # what has come behind that search
        self._answered_at = 0.0  # of the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a new connection."""
        super().connection_made(transport)
        self._needs_token = not self._gate.opens("search", None, self.client[0] if self.client else None)

    def shutdown(self) -> None:
        """Close, after the request that is under way; while the server ends its answer says so and closes."""
        if self._begun:  # under way, to uvicorn, which waits for it
            begun, self._begun = self._begun, b""
            super().data_received(begun)
        if not self._is_asked:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing has been under way for so long, and else look again."""
        left_s = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if not self._is_asked and not self._begun and left_s <= 0:
            super().timeout_keep_alive_handler()
        else:
            self._look_later(left_s if left_s > 0 else self.timeout_keep_alive)

    def _look_later(self, in_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(in_s, self.timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        """Note that a message has begun; called by uvicorn's parser."""
        self._is_between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that a message has ended; called by uvicorn's parser."""
        self._is_between = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has come in."""
        if self._is_asked:  # answers go out in the order of their requests
            self._behind += data
            self.flow.pause_reading()
            return
        if self._begun:
            data, self._begun = self._begun + data, b""
        if not (data.startswith(LINE) and self._is_free() and self._takes(data)):
            super().data_received(data)

    def _is_free(self) -> bool:
        """Return whether nothing is under way on this connection, and nothing ends."""
        return (
            self._is_between
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused  # uvicorn waits for a client that does not read its answers
            and CLOSE_HEADER not in self.server_state.default_headers
        )

    def _takes(self, data: bytes) -> bool:
        """Return whether the bytes are a plain search, and if so see to it; one that is not yet whole is kept.

        Where it ends must be beyond doubt, or a part of one request might be taken for the next (request smuggling).
        """
        end = data.find(END) + len(END)
        head = self._heads.read(data[:end]) if end >= len(END) else None
        if head is None or len(data) > end + head.body_bytes:
            return False
        if len(data) < end + head.body_bytes:
            self._begun = data
            return True
        context = RequestContext(has_left=self.transport.is_closing)  # of a client that has left nothing is run
        try:
            # Before tokens are looked at: a full server says so to whoever asks, as cheaply as it can.
            self._batcher.check_room(head.body_bytes)
            if not head.is_own_host or (self._needs_token and not head.has_token):
                return False
            context.deadline = deadline_after(context.began, head.timeout_ms)
            reply = ConnectionReply(self, head, context, data)
            self._is_asked = True  # before it is, for it may end immediately
            is_asked = begin(*read_search(data[end:]), self._registry, self._batcher, context, reply)
        except (ServerFull, TooLate) as error:
            self._is_asked = False
            self._refuse(error, head, context)
            return True
        except Exception:  # a fault of the request, or a bug: met again there, answered, and logged if it is a bug
            is_asked = False
        if not is_asked:
            self._is_asked = False
        return is_asked

    def end(self, head: Head, context: RequestContext, data: bytes, found: bytes | BaseException) -> None:
        """Answer a search that has waited, and go on with what came behind it; see `ConnectionReply`."""
        self._is_asked = False
        if self.transport.is_closing():  # the client has left
            return
        if isinstance(found, bytes):
            described = b"server-timing: %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n" % (
                context.server_timing().encode(),
                JSON_TYPE,
                len(found),
            )
            self._answer(200, described, head.traced, found, context)
        elif isinstance(found, TooLate):
            self._refuse(found, head, context)
        elif isinstance(found, asyncio.CancelledError):  # the server has ended
            self.transport.close()
        else:
            super().data_received(data)
        if self._behind:
            behind, self._behind = self._behind, b""
            self.flow.resume_reading()
            self.data_received(behind)

    def _refuse(self, error: ServerFull | TooLate, head: Head, context: RequestContext) -> None:
        status = errors.STATUS[type(error)]
        described, body = refusal(status)
        self._answer(status, described, head.traced, body, context)

    def _answer(
        self, status: int, described: bytes, traced: Mapping[bytes, bytes], body: bytes, context: RequestContext
    ) -> None:
        """Write an answer as uvicorn would, and count it."""
        # A copy, because a signal may add to them between any two lines here: who is not told so is not to be closed.
        usual = tuple(self.server_state.default_headers)
        lines = [b"%s: %s\r\n" % header for header in usual]
        lines += [described, *(b"%s: %s\r\n" % header for header in trace(traced)[1])]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        if CLOSE_HEADER in usual:
            self.transport.close()
        self.server_state.total_requests += 1
        # One timer goes on from search to search; uvicorn's, a new one for each answer, take 3 us.
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_later(self.timeout_keep_alive)
        self._counters.count_request(LINES[status], PATH, time.perf_counter() - context.began)


class ConnectionReply:
    """The way back of a plain search: the connection that it came from."""

    __slots__ = ("_connection", "_context", "_data", "_head")

    def __init__(self, connection: Protocol, head: Head, context: RequestContext, data: bytes) -> None:
        """Take the connection, and the request with all its bytes, in case that it must go the ordinary way."""
        self._connection = connection
        self._head = head
        self._context = context
        self._data = data

    def take(self, found: bytes | BaseException) -> None:
        """Write the answer, or let the ordinary way answer the error."""
        self._connection.end(self._head, self._context, self._data, found)


@functools.cache  # these say the same each time
def refusal(status: int) -> tuple[bytes, bytes]:
    """Return the lines and the body that Litestar sends where the server is full (503) or too late (504)."""
    response = errors.answer_puppet_error(None, REFUSALS[status])
    lines = [f"{name.lower()}: {value}\r\n" for name, value in response.headers.items()]
    lines += [f"content-type: {response.media_type}\r\n", f"content-length: {len(response.content)}\r\n"]
    return "".join(lines).encode(), response.content
