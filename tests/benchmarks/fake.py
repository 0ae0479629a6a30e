"""A server whose answers a test chooses, on threads of its own, so that its stalls are not the generator's.

Threads and not asyncio: asyncio's server of 3.11 leaks a connection that is accepted while it closes.
"""

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.load.client import Address

# The number of the request, from 0 -> the bytes sent back; None hangs up, GONE also stops listening.
Answer = Callable[[int], bytes | None]
GONE = b"gone"


def http(status: int, body: bytes = b"{}") -> bytes:
    """Return an answer as uvicorn writes it."""
    return b"HTTP/1.1 %d Words\r\ndate: today\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class Stall:
    """Answer 200, but stand still once for `seconds`, for all connections, as a blocked event loop does."""

    def __init__(self, at: int, seconds: float) -> None:
        self.start = self.end = float("nan")  # on the clock of time.perf_counter
        self._at, self._seconds = at, seconds

    def __call__(self, number: int) -> bytes:
        """Return the answer to the number-th request."""
        if number == self._at:
            self.start = time.perf_counter()
            time.sleep(self._seconds)
            self.end = time.perf_counter()
        return http(200)


class Fake(NamedTuple):
    """A running fake; `requests` are whole, in the order in which they came."""

    address: Address
    requests: list[bytes]


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    request_queue_size = 128


@contextlib.contextmanager
def fake_server(answer: Answer) -> Iterator[Fake]:
    """Give a server that answers as `answer` says, one request at a time."""
    requests: list[bytes] = []
    one_at_a_time = threading.Lock()  # what makes one connection's stall everybody's

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # a client that did not wait for its answer
                while (raw := self.answer_one()) is not None:
                    self.wfile.write(raw)

        def answer_one(self) -> bytes | None:
            head, length = b"", 0
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return None  # the client hung up
                head += line
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            body = self.rfile.read(length)
            with one_at_a_time:
                requests.append(head + body)
                raw = answer(len(requests) - 1)
                if raw == GONE:
                    server.shutdown()
                    server.socket.close()
                    return None
                return raw

    with Server(("127.0.0.1", 0), Handler) as server:  # at the end it waits for every connection's thread
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Fake(Address("127.0.0.1", server.server_address[1]), requests)
        finally:
            server.shutdown()
            thread.join()
