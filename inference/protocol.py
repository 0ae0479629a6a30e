"""uvicorn's HTTP protocol, with a door in front: a search that finds the queue full is refused before it is parsed.

    bytes of a socket ─► room in the queue, or no plain search? ─► uvicorn ─► the application
                         none                                   ─► 503, already written out

A refusal by the application costs a quarter of an answer, most of it to parse the request and to start a task. At twice
the load a server can do, that leaves two thirds of its answers; so the refusal is made of the raw bytes. It is the same
to the byte as the dispatcher's. A full server says so to whoever asks, before it looks at tokens.
"""

import re
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference.batcher import Batcher
from inference.counters import FULL, Counters
from inference.dispatcher import LINES, PATH, refusal
from inference.tracing import trace

LINE = f"POST {PATH} HTTP/1.1\r\n".encode()
_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d{1,9})(?=\r\n)", re.IGNORECASE)
# What must be seen by uvicorn or comes back in the answer; a word of these in a value costs nothing but speed.
_OTHERWISE = re.compile(rb"transfer-encoding|close|upgrade|expect|x-request-id|traceparent", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.app.state  # of Litestar, which uvicorn knows as any application
        self._batcher: Batcher = state.batcher
        self._counters: Counters = state.counters
        self._is_between = True  # two messages: what comes next begins one

    def on_message_begin(self) -> None:
        """Note that a message has begun; called by the parser."""
        self._is_between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that a message has ended; called by the parser."""
        self._is_between = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has come in."""
        if data.startswith(LINE) and not self._batcher.lets_in(len(data)) and self._refuses(data):
            return
        super().data_received(data)

    def _refuses(self, data: bytes) -> bool:
        """Refuse a request, if the bytes are one whole plain request and nothing is under way; else do nothing.

        Where a request ends must be beyond doubt, or a part of one might be taken for the next (request smuggling).
        """
        if not self._is_between or (self.cycle is not None and not self.cycle.response_complete):
            return False
        end = data.find(b"\r\n\r\n")
        head = data[: end + 2]
        lengths = _LENGTH.findall(head)
        if end < 0 or len(lengths) != 1 or end + 4 + int(lengths[0]) != len(data) or _OTHERWISE.search(head):
            return False
        if len(self.server_state.default_headers) != 1:  # only the date: else the server is shutting down
            return False
        began = time.perf_counter()
        status, described, body = refusal(503)
        headers = (*self.server_state.default_headers, *described, *trace({})[1])
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        self._unset_keepalive_if_required()
        self.on_response_complete()
        self._counters.count_refusal(FULL)
        self._counters.count_request(LINES[status], PATH, time.perf_counter() - began)
        return True
