"""The edge of the server: an end to everything that a client may send, and an answer to each of its requests, in order.

    bytes ─► slices ─► counted ─► httptools ─► head: judged before its body ─► uvicorn ─► Litestar
                          │ too many            │ not to be taken
                          └────────► refusal ◄──┘ written when the requests before it have been answered

uvicorn bounds neither a head nor the time that it takes, answers a malformed request before the good ones in front of
it, takes trailers for headers, and drops the body of a request that offers an upgrade. This class, between uvicorn's
protocol and ours, sets these right:

- A head, and whatever else is no body (trailers, chunk extensions), has at most 64 KiB, 100 lines, and 8 KiB of target.
  It is counted before the parser, which keeps all that it is given: 50 MB of header lines were 1 GB.
- Each phase of a connection has its deadline (connections.py): head, body, a client that does not read, idleness.
- Headers are frozen when the head ends (RFC 9110 6.5.1): a token in a trailer opens nothing.
- An upgrade that nobody here speaks is ignored and its request answered as any other (RFC 9110 7.8).
- A client that has ended its own side is answered all the same (RFC 9112 9.6).
"""

import logging
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from artifacts.errors import PuppetError
from artifacts.problems.sentences import Language
from inference import errors
from inference.errors import (
    CodingNotImplemented,
    HeadTooLarge,
    HostRefused,
    MalformedRequest,
    RequestTimeout,
    TargetTooLong,
)
from inference.monitoring.counters import Counters
from inference.monitoring.observer import METHODS, NO_ROUTE
from inference.routes.access import is_own_host
from inference.server.connections import BODY, HEAD, IDLE, LINGER_S, REFUSED, SLOW_READER, Connections
from inference.server.request_head import MAX_HEADER_LINES
from inference.settings import Settings

SLICE_BYTES = 4096  # fed to the parser at once, outside a body of known length: the precision of the count
MAX_HEAD_BYTES = 64 * 1024
ENOUGH_BYTES = MAX_HEAD_BYTES + 2 * SLICE_BYTES  # counted so many, it is over the limit wherever in a slice it began
MAX_TARGET_BYTES = 8 * 1024
DISCARD_S = (
    2.0  # what comes after a refusal is read for so long: closed any sooner, the client's kernel drops the answer
)
LEFT_AFTER_S = 1.0  # a client that has ended its side and waits so long for its turn is taken for one that has left
TLS = b"\x16\x03"  # how a ClientHello begins (RFC 8446 5.1); no method of HTTP does
UPGRADE = (b"upgrade", b"http2-settings")  # the headers of an offer, and its options in Connection

log = logging.getLogger("puppet")


class Edge(HttpToolsProtocol):
    """One connection, within its limits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.app.state  # of Litestar, which uvicorn knows as any application
        self._counters: Counters = state.counters
        self._settings: Settings = state.settings
        self._connections: Connections = state.connections
        self._answering: RequestResponseCycle | None = None
        self._is_between = True  # two messages: what comes next begins one
        self._is_head_done = False
        self._body_left = 0  # bytes of a body of known length that are still to come
        self._uncounted = 0  # bytes since the last one that was body, or since the message began
        self._fault: PuppetError | None = None  # of the message that is coming in
        self._refusal: PuppetError | None = None  # to be written when all before it is answered; nothing more is read
        self._has_ended = False  # the client's side
        self._since = self._last_byte = self.loop.time()  # since when nothing has been under way
        self._head_since: float | None = self._since  # since when a head has been due
        self._body_since, self._num_body_bytes = 0.0, 0
        self._paused_since: float | None = None  # writing, because the client does not read
        self._closing_since: float | None = None
        self._refused_at: float | None = None

    # What the table of connections asks

    def is_busy(self) -> bool:
        """Return whether a request is being answered, or waits for that."""
        return self.cycle is not None and not self.cycle.response_complete

    def has_left(self) -> bool:
        """Return whether the client has gone, as far as can be told.

        One that has only ended its own side may still read (RFC 9112 9.6), and looks just like one that has closed.
        So it is answered if its turn comes soon; under load, when it does not, work for those who left is not done.
        """
        return self.transport.is_closing() or (self._has_ended and self.loop.time() - self._last_byte > LEFT_AFTER_S)

    def idle_since(self) -> float | None:
        """See `Connection.idle_since`; one whose head has not ended counts as idle."""
        return None if self.is_busy() else self._since

    def overdue(self, now: float) -> str | None:
        """See `Connection.overdue`."""
        limits = self._connections.limits
        if self._refused_at is not None and now - self._refused_at > DISCARD_S:
            return REFUSED
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            return SLOW_READER if now - self._closing_since > LINGER_S else None
        if self._paused_since is not None and now - self._paused_since > LINGER_S:
            return SLOW_READER
        if not self._is_between and self._is_head_done and not self.flow.read_paused:
            return self._overdue_body(now, self._body_since, self._num_body_bytes)
        if self.is_busy():
            return None  # the client waits for the server; a job may take hours
        if self._head_since is not None:
            return HEAD if now - self._head_since > limits.head_timeout_s else None
        return IDLE if now - self._since > limits.keep_alive_s else None

    def _overdue_body(self, now: float, since: float, num_bytes: int) -> str | None:
        """Return BODY if no byte has come for too long, or too few on the whole."""
        limits = self._connections.limits
        is_slow = now - since > limits.body_idle_timeout_s and num_bytes < (now - since) * limits.body_bytes_s
        return BODY if is_slow or now - self._last_byte > limits.body_idle_timeout_s else None

    def give_up(self, why: str) -> None:
        """See `Connection.give_up`."""
        if why in (SLOW_READER, REFUSED):
            self.transport.abort()  # what was written for it has been taken by now, or never will be
        elif why == BODY:
            limits = self._connections.limits
            self._refuse(
                RequestTimeout(
                    "body-too-slow",
                    body_idle_timeout_s=limits.body_idle_timeout_s,
                    body_bytes_s=limits.body_bytes_s,
                )
            )
        else:
            self.transport.close()  # nothing has been asked, so there is nothing to answer

    # What the transport calls

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; its head is due from now on."""
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.discard(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._paused_since = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Leave it to the sweep over all connections; uvicorn's timer calls this."""

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's None closes, whatever is still due
        """Return whether the connection stays half open, because an answer is still due."""
        self._has_ended = True
        if not self._is_between and self._is_head_done:
            self._drop_last()  # the rest of its body will never come
        return self.is_busy()

    def data_received(self, data: bytes) -> None:
        """Feed what has come in to the parser, in slices, until it is refused; what comes then is dropped."""
        if self._refusal is not None:
            return
        self._note_bytes()
        self._unset_keepalive_if_required()
        self._feed_all(data)

    def _note_bytes(self) -> None:
        """Note when bytes came, and that they begin a head if nothing else is coming in."""
        self._last_byte = self.loop.time()
        if self._is_between and self._head_since is None:
            self._head_since = self._last_byte

    def _feed_all(self, data: bytes) -> None:
        place = 0
        while place < len(data) and self._refusal is None and not self.transport.is_closing():
            size = self._body_left or SLICE_BYTES
            self._feed(data[place : place + size])
            place += size

    def _feed(self, piece: bytes) -> None:
        """Feed one slice, and refuse what it shows to be at fault."""
        self._uncounted += len(piece)
        self._body_left = max(0, self._body_left - len(piece))
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._fault = self._fault or self._fault_of_bytes(piece)
        if self._fault is None and self._uncounted > ENOUGH_BYTES:
            self._fault = HeadTooLarge("head-too-large", limit_bytes=MAX_HEAD_BYTES)
        if self._fault is not None:
            self._refuse(self._fault)

    def _fault_of_bytes(self, piece: bytes) -> PuppetError:
        """Return what is wrong with bytes that are no HTTP."""
        is_tls = self._answering is None and piece.startswith(TLS)
        return MalformedRequest("tls-on-http-port" if is_tls else "malformed-request")

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a message."""
        self._is_between = self._is_head_done = False
        self._num_body_bytes = 0
        self._uncounted = SLICE_BYTES  # at most: it began within this slice
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._fault = self._fault or TargetTooLong("target-too-long", limit_bytes=MAX_TARGET_BYTES)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of a trailer nothing is kept."""
        if self._is_head_done:
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADER_LINES:
            self._fault = self._fault or HeadTooLarge("too-many-headers", limit=MAX_HEADER_LINES)

    def on_headers_complete(self) -> None:
        """Judge the head, and let its request begin if nothing is wrong with it."""
        self._is_head_done = True
        self._head_since = None
        self._fault = self._fault or self._fault_of_head()
        if self._fault is not None or self.parser.should_upgrade():
            return  # refused after this slice, or read again without the offer
        length = dict(self.headers).get(b"content-length", b"")
        self._body_left = int(length) if length.isdigit() else 0
        self._body_since = self.loop.time()
        super().on_headers_complete()

    def _fault_of_head(self) -> PuppetError | None:
        """Return why a head cannot be taken: found here, before any of its body has been read."""
        if (num_hosts := sum(name == b"host" for name, _ in self.headers)) > 1:
            return MalformedRequest("several-hosts", num_hosts=num_hosts)
        codings = b",".join(value for name, value in self.headers if name == b"transfer-encoding").strip().lower()
        if codings not in (b"", b"chunked"):
            return CodingNotImplemented("unknown-transfer-coding", coding=codings.decode("latin-1"))
        if not self.url.startswith(b"/") and b"://" in self.url:  # the absolute form (RFC 9112 3.2.2)
            authority = self.url.split(b"/", 3)[2].partition(b"?")[0].decode("latin-1")
            if not is_own_host(authority, self._settings.hosts):
                return HostRefused("wrong-host", host=authority, known=sorted(self._settings.hosts))
        return None

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._uncounted = 0
        self._num_body_bytes += len(body)
        if self._fault is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a message."""
        self._is_between = True
        self._uncounted = self._body_left = 0
        if self._fault is None and not self.parser.should_upgrade():
            super().on_message_complete()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that offers an upgrade once more without the offer, and its body with it.

        The parser takes what follows the head for another protocol's; so a new parser is given the head as it was read,
        less the headers of the offer. Source: RFC 9110 7.8, "a server MAY ignore".
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._fault = self._fault or MalformedRequest("proxy-method")
        if self._fault is not None:
            return
        lines = []
        for name, value in self.headers:
            if name == b"connection":
                options = [one.strip() for one in value.split(b",")]
                value = b", ".join(one for one in options if one.lower() not in UPGRADE)
            if name not in UPGRADE and value:
                lines.append(b"%s: %s\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets its own
        self._feed(b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version.encode(), b"".join(lines)))
        self._feed_all(rest)

    # Answers

    def on_response_complete(self) -> None:
        """Go on with what waits: the next request, a refusal, the end of the client's side, or nothing."""
        super().on_response_complete()
        self._since = self.loop.time()
        if self.is_busy() or self.transport.is_closing():
            return
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._has_ended:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Note which request is being answered, and begin."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _drop_last(self) -> None:
        """Give up the request whose body is coming in: it cannot be answered by what it asks for any more."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return
        if self.pipeline and self.pipeline[0][0] is cycle:  # it waits behind others, which are answered
            self.pipeline.popleft()
            before = self.pipeline[0][0] if self.pipeline else self._answering
            assert before is not None, "what waits in the pipeline waits for a request in front; internal error"
            self.cycle = before
        else:
            cycle.disconnected = cycle.response_complete = True  # its handler sees a client that has left
            cycle.message_event.set()

    def _refuse(self, error: PuppetError) -> None:
        """Answer with an error and close, after the answers to the requests in front; nothing more is read."""
        if self._refusal is not None:
            return
        self._refusal = error
        self.flow.pause_reading()
        if self.cycle is not None and self.cycle.more_body and self.cycle.response_started:
            self.transport.close()  # a part of its answer is out: nothing can be said any more
            return
        self._drop_last()
        if not self.is_busy():
            self._write_refusal(error)

    def _language(self) -> Language:
        """Return the language that the head asks for, as far as it has been read."""
        # None before the first message. What follows a refusal is not parsed, so these are the refused one's own.
        return errors.language_asked(self.headers or ())

    def _write_refusal(self, error: PuppetError) -> None:
        status, described, body = written(error, self._language())
        described += b"content-length: %d\r\n" % len(body)
        usual = b"".join(b"%s: %s\r\n" % one for one in self.server_state.default_headers if one[0] != b"connection")
        self.transport.write(b"".join((STATUS_LINE[status], usual, described, b"connection: close\r\n\r\n", body)))
        if self._has_ended:
            self.transport.close()
        else:  # the client may be sending still: a socket closed with unread bytes is reset, and its answer lost
            self.transport.write_eof()
            self.flow.resume_reading()
            self._refused_at = self.loop.time()
        self.server_state.total_requests += 1
        method = self.parser.get_method().decode("latin-1") if self._is_head_done else "other"
        line = f"{method if method in METHODS else 'other'} {NO_ROUTE} {status}"
        self._counters.count_request(line, NO_ROUTE, self.loop.time() - (self._head_since or self._last_byte))
        log.warning("connection from %s refused: %s", self.client[0] if self.client else "a Unix socket", error)


def written(error: PuppetError, language: Language, path: str = "") -> tuple[int, bytes, bytes]:
    """Return the status, the header lines and the body that Litestar would answer an error with, at a path.

    The line of the body's length is left to the caller.
    """
    response = errors.answer_puppet_error(None, error, language, path)
    lines = [f"{name.lower()}: {value}\r\n" for name, value in response.headers.items()]
    lines += [f"content-type: {response.media_type}\r\n"]
    return errors.STATUS[type(error)], "".join(lines).encode(), response.content
