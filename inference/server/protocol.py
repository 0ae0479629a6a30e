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
import itertools
import time
from typing import Any, cast

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from artifacts.errors import PuppetError
from artifacts.problems.sentences import LANGUAGES, Language
from inference.errors import ServerFull, TooLate
from inference.monitoring.tracing import trace
from inference.oip.infer import Wire, begin_inference
from inference.routes.access import Gate
from inference.search.admission import LARGE_FACTOR
from inference.search.batcher import Batcher
from inference.search.bodies import read_search
from inference.search.context import RequestContext
from inference.search.registry import Registry
from inference.search.search import begin, deadline_after
from inference.server.edge import MAX_HEAD_BYTES, Edge, written
from inference.server.request_head import END, INFER_LINE, INFER_PATH, JSON_TYPE, LINE, PATH, Head, Heads

# Path and status -> how an answer is counted.
LINES = {(path, status): f"POST {path} {status}" for path in (PATH, INFER_PATH) for status in (200, 503, 504)}
STAND_IN = 10**15 + 1  # for the number in a refusal that is written out beforehand; no queue is so long


class Protocol(Edge):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.app.state
        self._batcher: Batcher = state.batcher
        self._registry: Registry = state.registry
        self._heads: Heads = state.heads
        self._gate: Gate = state.gate
        self._peer: str | None = None
        self._begun = b""  # of a plain search, the rest of which is still to come
        self._is_asked = False  # a plain search, which waits for its answer
        self._behind = b""  # what has come behind that search

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a new connection."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else None

    def shutdown(self) -> None:
        """Close, after the request that is under way; while the server ends its answer says so and closes."""
        self._hand_over_begun()  # under way, to uvicorn, which waits for it
        if not self._is_asked:
            super().shutdown()

    def is_busy(self) -> bool:
        """Return whether a request is being answered, or waits for that."""
        return self._is_asked or super().is_busy()

    def overdue(self, now: float) -> str | None:
        """See `Connection.overdue`; a plain search that is not yet whole is a body that is coming in."""
        if self._begun and not self.transport.is_closing():
            return self._overdue_body(now, self._body_since, len(self._begun))
        return super().overdue(now)

    def give_up(self, why: str) -> None:
        """See `Connection.give_up`; a plain search that is not yet whole goes the ordinary way, to be refused there."""
        self._hand_over_begun()
        super().give_up(why)

    def _hand_over_begun(self) -> None:
        if self._begun:
            begun, self._begun = self._begun, b""
            super().data_received(begun)

    def eof_received(self) -> bool:  # type: ignore[override]  # as `Edge` has it
        """Return whether the connection stays half open, because an answer is still due."""
        self._hand_over_begun()
        return super().eof_received() or self._is_asked

    def data_received(self, data: bytes) -> None:
        """Take what has come in."""
        if self._is_asked:  # answers go out in the order of their requests
            self._behind += data
            self.flow.pause_reading()
            return
        if self._refusal is not None:  # what comes behind a refused request is dropped
            return
        self._note_bytes()
        if self._begun:
            data, self._begun = self._begun + data, b""
            self._head_since = None  # no new head: the rest of the search that has begun
        # A search is looked for first: it pays nothing for the other form.
        is_known = data.startswith(LINE) or data.startswith(INFER_LINE)
        if not (is_known and self._is_free() and self._takes(data)):
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
        head = self._heads.read(data[:end]) if len(END) <= end <= MAX_HEAD_BYTES else None
        if head is None or len(data) > end + head.body_bytes:
            return False
        # Asked for each search: a token may come into being while a connection lasts (SIGHUP).
        is_let_in = head.is_own_host and (head.has_token or self._gate.opens("search", None, self._peer))
        if len(data) < end + head.body_bytes:
            # What its head refuses is refused before its body has come, so it is not kept.
            if is_let_in:
                self._begun = data
                if self._head_since is not None:
                    self._body_since, self._head_since = self._head_since, None
            return is_let_in
        context = RequestContext(has_left=self.has_left)  # of a client that has left nothing is run
        try:
            # Before tokens are looked at: a full server says so to whoever asks, as cheaply as it can.
            self._batcher.check_room(head.body_bytes)
            if not is_let_in:
                return False
            context.deadline = deadline_after(context.began, head.timeout_ms)
            reply = ConnectionReply(self, head, context, data)
            self._is_asked = True  # before it is, for it may end immediately
            if head.model is None:
                is_asked = begin(*read_search(data[end:]), self._registry, self._batcher, context, reply)
            else:
                of = head.model, head.header_length, data[end:]
                is_asked = begin_inference(*of, self._registry, self._batcher, context, reply)
        except (ServerFull, TooLate) as error:
            self._is_asked = False
            self._answer_refusal(error, head, context)
            return True
        except Exception:  # a fault of the request, or a bug: met again there, answered, and logged if it is a bug
            is_asked = False
        if not is_asked:
            self._is_asked = False
        return is_asked

    def end(self, head: Head, context: RequestContext, data: bytes, found: bytes | Wire | BaseException) -> None:
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
            self._answer(200, described, head, found, context)
        elif isinstance(found, Wire):
            described = b"server-timing: %s\r\n%scontent-length: %d\r\n" % (
                context.server_timing().encode(),
                found.described,
                len(found.body),
            )
            self._answer(200, described, head, found.body, context)
        elif isinstance(found, TooLate):
            self._answer_refusal(found, head, context)
        elif isinstance(found, asyncio.CancelledError):  # the server has ended
            self.transport.close()
        else:
            super().data_received(data)
        if self._has_ended and not self._behind and not self.is_busy():
            self.transport.close()
        elif self._behind:
            behind, self._behind = self._behind, b""
            self.flow.resume_reading()
            self.data_received(behind)

    def _answer_refusal(self, error: ServerFull | TooLate, head: Head, context: RequestContext) -> None:
        status, described, body = refusal(error, head.language, head.path)
        self._answer(status, described, head, body, context)

    def _answer(self, status: int, described: bytes, head: Head, body: bytes, context: RequestContext) -> None:
        """Write an answer as uvicorn would, and count it."""
        # A copy, because a signal may add to them between any two lines here: who is not told so is not to be closed.
        usual = tuple(self.server_state.default_headers)
        lines = [b"%s: %s\r\n" % header for header in usual]
        lines += [described, *(b"%s: %s\r\n" % header for header in trace(head.traced)[1])]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        if CLOSE_HEADER in usual:
            self.transport.close()
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        self._head_since = None
        self._counters.count_request(LINES[head.path, status], head.path, time.perf_counter() - context.began)


class ConnectionReply:
    """The way back of a plain search: the connection that it came from."""

    __slots__ = ("_connection", "_context", "_data", "_head")

    def __init__(self, connection: Protocol, head: Head, context: RequestContext, data: bytes) -> None:
        """Take the connection, and the request with all its bytes, in case that it must go the ordinary way."""
        self._connection = connection
        self._head = head
        self._context = context
        self._data = data

    def take(self, found: bytes | Wire | BaseException) -> None:
        """Write the answer, or let the ordinary way answer the error."""
        self._connection.end(self._head, self._context, self._data, found)


def refusal(error: ServerFull | TooLate, language: Language, path: str = PATH) -> tuple[int, bytes, bytes]:
    """Return the status, the lines and the body that Litestar sends where the server is full (503) or too late (504).

    A refusal must cost next to nothing, and only the number of tokens differs from one to the next.
    """
    about = error.message.parameters
    limit_tokens = cast(int, about["limit_tokens"]) if isinstance(error, ServerFull) else None
    status, described, pieces = _written_out(limit_tokens, language, path)
    body = (b"%d" % cast(int, about.get("num_tokens", 0))).join(pieces)  # one piece, if it is too late
    return status, b"%scontent-length: %d\r\n" % (described, len(body)), body


@functools.cache
def _written_out(limit_tokens: int | None, language: Language, path: str) -> tuple[int, bytes, list[bytes]]:
    """Return the status, the lines and the pieces of a body, between which the number of tokens stands.

    Args:
        limit_tokens: of the queue that is full; None: it is too late.
        language: of the body.
        path: that was asked.
    """
    error: PuppetError = TooLate("too-late")
    if limit_tokens is not None:
        error = ServerFull("server-full", num_tokens=STAND_IN, limit_tokens=limit_tokens)
    status, described, body = written(error, language, path)
    return status, described, body.split(b"%d" % STAND_IN)


def write_refusals(limit_tokens: int) -> None:
    """Write the refusals out in every language, so that the first one under load costs no more than the others."""
    for language, path in itertools.product(LANGUAGES, (PATH, INFER_PATH)):
        for limit in (limit_tokens, limit_tokens * LARGE_FACTOR, None):
            _written_out(limit, language, path)
