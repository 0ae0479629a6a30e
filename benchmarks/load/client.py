"""How long a caller waits, counted from the moment at which it meant to ask.

Two ways to ask over HTTP/1.1 on raw sockets, both light, so that the server is measured and not the client:

- `closed_loop`: one connection, the next request follows the answer. It shows what one call costs. It hides queueing:
  while the server stalls, it asks nothing, so one call is slow where a hundred callers would have waited.
- `open_loop`: arrivals of a Poisson process on a schedule that is fixed before the first request is sent. What the
  server does changes no arrival, and latency counts from the intended time (no coordinated omission, G. Tene 2013).
  So a request that queued behind a stall shows the stall, and a generator that was late adds its own lateness to the
  latency. The lateness is reported, so that nobody takes the generator's fault for the server's.
"""

# Axes: N requests of a run, M those of them that were answered with 200.

import asyncio
import contextlib
import gc
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

NO_ANSWER = 0  # the status of a request whose answer never came or could not be read
REFUSED = 503  # the server says "not now"; any other status but 200 is an error
MAX_LATENESS_MS = 1.0  # at p99; a later generator measures itself
TIMEOUT_S = 10.0  # after the last arrival; what has not been answered by then is an error
LEAD_S = 0.01  # from the making of the connections to the origin of the schedule
# uvloop's and asyncio's timers tick in milliseconds: the last two before an arrival are waited for by turning the loop.
SPIN_S = 0.002
SHORT_SPIN_S = 0.0002  # on a loop that wakes in time; several times the 0.05 ms by which Linux lets a sleeper wake late
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)

CLOSE = b"\r\nconnection: close\r\n"  # as uvicorn writes it


class BadAnswer(Exception):
    """What came back is no answer that this client reads (HTTP/1.1 with a Content-Length, one per request)."""


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return the address in `http://HOST:PORT`.

        Raises:
            ValueError: it is another kind of URL.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"{url!r} is not of the form http://HOST:PORT")
        return cls(parts.hostname, parts.port or 80)


class Calls(NamedTuple):
    """What became of N requests, in the order of the schedule; times on the clock of `time.perf_counter`.

    Attributes:
        intended_s: [N] when it was to be sent.
        sent_s: [N] when the generator turned to it; this minus the former is the generator's lateness.
        answered_s: [N] when the whole answer was there; NaN if it never was.
        statuses: [N] the HTTP status, NO_ANSWER without one.
        num_waited: requests that found every connection busy. Their wait is the server's doing: it is in the latency,
            and not in the lateness.
    """

    intended_s: Seconds
    sent_s: Seconds
    answered_s: Seconds
    statuses: NDArray[np.int16]
    num_waited: int

    @property
    def latency_s(self) -> Seconds:
        """From the intended time to the answer, of the requests that were answered with 200."""
        good_N = self.statuses == 200
        latency_M: Seconds = self.answered_s[good_N] - self.intended_s[good_N]
        return latency_M

    @property
    def lateness_s(self) -> Seconds:
        """By how much the generator was late, of every request."""
        lateness_N: Seconds = self.sent_s - self.intended_s
        return lateness_N

    @property
    def lateness_p99_ms(self) -> float:
        """What the generator was late by at p99; 0 of no requests."""
        return float(np.quantile(self.lateness_s, 0.99)) * 1e3 if len(self.statuses) else 0.0

    @property
    def num_refused(self) -> int:
        """Requests that the server turned away."""
        return int((self.statuses == REFUSED).sum())

    @property
    def num_errors(self) -> int:
        """Requests that came to anything else than an answer or a refusal."""
        return int(((self.statuses != 200) & (self.statuses != REFUSED)).sum())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector from stopping the generator."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def schedule(rate: float, seconds: float, seed: Sequence[int]) -> Seconds:
    """Return arrivals_N in seconds from the start, in order: a Poisson process of `rate` a second, cut at `seconds`.

    Given how many there are, the arrivals of a Poisson process are uniform (Kingman, Poisson Processes, 2.4).
    """
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0.0, seconds, size=random.poisson(rate * seconds)))


def new_sleeping_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that wakes within a tenth of a millisecond and so need not turn without rest.

    `open_loop` with SHORT_SPIN_S leaves most of a core to others on it. It costs more for each request than uvloop.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())  # select() counts microseconds, epoll milliseconds


def post(address: Address, path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a POST that keeps the connection open."""
    about = ("Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return request(address, "POST", path, *about) + body


def request(address: Address, method: str, path: str, *headers: str) -> bytes:
    """Return the bytes of a request without a body, which keeps the connection open."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{address.port}", *headers, "", ""]
    return "\r\n".join(lines).encode("ascii")


def parse(received: bytes | bytearray) -> tuple[int, bytes] | None:
    """Return the status and body of the answer in `received`, or None while it is not whole.

    Raises:
        BadAnswer: it will never be one.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = LENGTH.search(received, 0, end + 2)
    if not received.startswith(b"HTTP/1.1 ") or not received[9:12].isdigit() or length is None:
        raise BadAnswer(f"not an HTTP/1.1 answer with a Content-Length: {bytes(received[: end + 4])!r:.200}")
    total = end + 4 + int(length[1])
    if len(received) > total:
        raise BadAnswer(f"{len(received) - total} bytes more than the answer has; one request was sent")
    return (int(received[9:12]), bytes(received[end + 4 :])) if len(received) == total else None


class Connection:
    """One keep-alive connection with at most one request under way.

    Attributes:
        may_stay: False once an answer has said that the server closes the connection.
        head: status line and headers of the last answer.
    """

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S) -> None:
        """Connect, blocking.

        Raises:
            OSError: nobody listens.
        """
        self.socket = socket.create_connection(address, timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.may_stay = True
        self.head = b""
        self._received = bytearray()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, request: bytes) -> None:
        """Send a whole request.

        Raises:
            OSError: the connection is lost.
        """
        self._received.clear()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Take what has come, and return status and body once the answer is whole.

        Raises:
            OSError, BadAnswer: it will not come.
        """
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        self._received += received
        answer = parse(self._received)
        if answer is not None:
            self.head = bytes(self._received[: len(self._received) - len(answer[1])])
            self.may_stay = CLOSE not in self.head
        return answer

    def call(self, request: bytes) -> tuple[int, bytes]:
        """Send a request, wait, and return status and body.

        Raises:
            OSError, BadAnswer: there is no answer.
        """
        self.send(request)
        while True:
            if (answer := self.receive()) is not None:
                return answer


def closed_loop(address: Address, requests: Sequence[bytes], num_calls: int, timeout_s: float = TIMEOUT_S) -> Calls:
    """Return what became of `num_calls` requests in turn over one connection; each is sent when the last has ended.

    Raises:
        OSError: nobody listens (any more).
    """
    sent, answered, statuses = [], [], []
    connection = Connection(address, timeout_s)
    try:
        for number in range(num_calls):
            request = requests[number % len(requests)]
            sent.append(time.perf_counter())
            try:
                status, _ = connection.call(request)
                answered.append(time.perf_counter())
            except (OSError, BadAnswer):
                status = NO_ANSWER
                answered.append(float("nan"))
                connection.socket.close()
                connection = Connection(address, timeout_s)
            statuses.append(status)
    finally:
        connection.socket.close()
    return _calls(sent, sent, answered, statuses, num_waited=0)


async def open_loop(
    address: Address,
    requests: Sequence[bytes],
    arrivals_N: Seconds,
    num_connections: int,
    timeout_s: float = TIMEOUT_S,
    spin_s: float = SPIN_S,
    take: Callable[[int, bytes], object] | None = None,
    take_refusal: Callable[[bytes], object] | None = None,
) -> Calls:
    """Return what became of one request per arrival.

    Turns the event loop without rest near an arrival, so it wants a core of its own; see `new_sleeping_loop`.

    Args:
        address: of the server.
        requests: taken in turn.
        arrivals_N: in seconds from the start, from `schedule`.
        num_connections: to spread them over; a request that finds none free waits for the first that is.
        timeout_s: how long to wait for answers after the last arrival.
        spin_s: before an arrival, in which the loop is turned without rest.
        take: called with each answer of status 200, as the request's number and the body.
        take_refusal: called with the head of each answer of status 503.

    Raises:
        OSError: nobody listens.
    """
    run = _OpenLoop(address, requests, num_connections, spin_s, take, take_refusal)
    try:
        return await run.run(arrivals_N, timeout_s)
    finally:
        run.close()


class _OpenLoop:
    """The state of one open-loop run. A request's number is its place in the schedule."""

    def __init__(
        self,
        address: Address,
        requests: Sequence[bytes],
        num_connections: int,
        spin_s: float,
        take: Callable[[int, bytes], object] | None,
        take_refusal: Callable[[bytes], object] | None,
    ) -> None:
        self._spin_s = spin_s
        self._take_body = take
        self._take_refusal = take_refusal
        self._address = address
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._carries: dict[Connection, int | None] = {}  # every open connection -> the request under way on it
        self._idle: deque[Connection] = deque()
        self._waiting: deque[int] = deque()
        self._num_waited = 0
        for _ in range(num_connections):
            self._connect()

    async def run(self, arrivals_N: Seconds, timeout_s: float) -> Calls:
        num_requests = len(arrivals_N)
        # Plain lists: writing one number into an array costs several times as much.
        self._sent = [float("nan")] * num_requests
        self._answered = [float("nan")] * num_requests
        self._statuses = [NO_ANSWER] * num_requests
        self._num_open = num_requests  # requests that have not ended, sent or not
        self._ended = self._loop.create_future()
        self._intended: list[float] = (time.perf_counter() + LEAD_S + arrivals_N).tolist()
        self._next = 0
        if num_requests:
            self._turn()
            try:
                async with asyncio.timeout(self._intended[-1] - time.perf_counter() + timeout_s):
                    await self._ended
            except TimeoutError:
                pass  # what is still open has NO_ANSWER
        return _calls(self._intended, self._sent, self._answered, self._statuses, self._num_waited)

    def close(self) -> None:
        for connection in list(self._carries):
            self._drop(connection)

    def _turn(self) -> None:
        """Send what is due, and come back for the next arrival."""
        while self._next < len(self._intended):
            now = time.perf_counter()
            gap = self._intended[self._next] - now
            if gap > self._spin_s:
                self._loop.call_later(gap - self._spin_s, self._turn)
                return
            if gap > 0:
                self._loop.call_soon(self._turn)  # answers are taken in between
                return
            self._sent[self._next] = now
            if not self._idle:
                self._num_waited += bool(self._carries)
                self._waiting.append(self._next)
            else:
                self._send(self._idle.popleft(), self._next)
            self._next += 1
            if not self._carries:
                self._fail_waiting()

    def _send(self, connection: Connection, number: int) -> None:
        self._carries[connection] = number
        try:
            connection.send(self._requests[number % len(self._requests)])
        except OSError:  # a full socket buffer too: a server that takes nothing in has not answered
            self._replace(connection)

    def _take(self, connection: Connection) -> None:
        """Take what a connection has for us; called when it can be read."""
        try:
            answer = connection.receive()
        except BlockingIOError:
            return
        except (OSError, BadAnswer):
            self._replace(connection)
            return
        number = self._carries[connection]
        if number is None:  # nobody asked
            self._replace(connection)
        elif answer is not None:
            self._end(number, answer[0])
            if self._take_body is not None and answer[0] == 200:
                self._take_body(number, answer[1])
            elif self._take_refusal is not None and answer[0] == REFUSED:
                self._take_refusal(connection.head)
            self._carries[connection] = None
            self._rest(connection)

    def _rest(self, connection: Connection) -> None:
        """Give a free connection to who has waited longest."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _end(self, number: int, status: int) -> None:
        if status != NO_ANSWER:
            self._answered[number] = time.perf_counter()
        self._statuses[number] = status
        self._num_open -= 1
        if not self._num_open and not self._ended.done():
            self._ended.set_result(None)

    def _connect(self) -> Connection:
        connection = Connection(self._address, timeout_s=1.0)
        connection.socket.setblocking(False)
        self._carries[connection] = None
        self._loop.add_reader(connection.socket.fileno(), self._take, connection)
        self._idle.append(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._loop.remove_reader(connection.socket.fileno())
        connection.socket.close()
        del self._carries[connection]

    def _replace(self, connection: Connection) -> None:
        """Put a new connection in the place of a lost one; its request has no answer."""
        number = self._carries[connection]
        if number is None:
            self._idle.remove(connection)
        else:
            self._end(number, NO_ANSWER)
        self._drop(connection)
        try:
            fresh = self._connect()
        except OSError:
            if not self._carries:
                self._fail_waiting()
            return
        if self._waiting:
            self._idle.remove(fresh)
            self._send(fresh, self._waiting.popleft())

    def _fail_waiting(self) -> None:
        """End those that wait for a connection when there is none left and none to be had."""
        while self._waiting:
            self._end(self._waiting.popleft(), NO_ANSWER)


def _calls(
    intended: Sequence[float],
    sent: Sequence[float],
    answered: Sequence[float],
    statuses: Sequence[int],
    num_waited: int,
) -> Calls:
    return Calls(np.array(intended), np.array(sent), np.array(answered), np.array(statuses, np.int16), num_waited)
