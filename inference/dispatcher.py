"""In front of Litestar: answers a plain search by itself and hands everything else on, as it came.

    plain POST /search ─► search.answer ─► answer, or refusal of a full server
    anything else      ─► Litestar, which sees every byte of it

A search through Litestar costs 50 us beside the model, through here 15: routing, guards, a Request and a Response are
made for requests of any shape, and this one has one shape. What is plain is decided from the headers alone and errs on
the careful side: whatever is unusual, wrong, or not sure to be right is Litestar's, which stays the only place that
answers errors, and the reference that tests compare this one with.
"""

import functools
import time
from collections.abc import Coroutine
from typing import Any, cast

from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from inference import errors
from inference.access import JSON, Gate, is_own_host
from inference.batcher import Batcher, Caller
from inference.bodies import read_search
from inference.counters import Counters
from inference.errors import ClientLeft, ServerFull, TooLate
from inference.registry import Registry
from inference.search import answer, deadline_after
from inference.settings import Settings
from inference.tracing import server_timing, trace

PATH = "/search"
LINES = {status: f"POST {PATH} {status}" for status in (200, 503, 504)}  # as they are counted
JSON_TYPE = JSON.encode()
MAX_LENGTH_DIGITS = 9
REFUSALS = {503: ServerFull(ServerFull.DETAIL), 504: TooLate(TooLate.DETAIL)}


class Dispatcher:
    """An ASGI application in front of another; for one application and its event loop."""

    def __init__(
        self, ordinary: ASGIApp, settings: Settings, registry: Registry, gate: Gate, counters: Counters
    ) -> None:
        """Take what answers everything else, and what a search needs.

        Args:
            ordinary: the ASGI application behind this one.
            settings: hosts and limits.
            registry: the loaded models.
            gate: that knows the tokens.
            counters: that count what is answered here; the one behind counts the rest.
        """
        self._ordinary = ordinary
        self._hosts = settings.hosts
        self._limit_bytes = settings.search_body_bytes
        self._registry = registry
        self._gate = gate
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it be answered."""
        arrived = time.perf_counter()
        headers = self._plain(scope) if scope["path"] == PATH else None
        if headers is None:
            await self._ordinary(scope, receive, send)
            return
        message = await receive()
        if message["type"] != "http.request" or message["more_body"]:
            await self._ordinary(scope, replay(message, receive), send)
            return
        raw = message["body"]
        batcher: Batcher = scope["litestar_app"].state.batcher
        try:
            deadline = deadline_after(arrived, headers.get(b"x-timeout-ms"))
            batcher.check_room(len(raw))
            caller = Caller(deadline, functools.partial(has_left, receive))
            found = await answer(*read_search(raw), self._registry, batcher, caller)
        except ClientLeft:
            return
        except (ServerFull, TooLate) as error:  # here too, because refusing must cost less than answering
            status, described, body = refusal(errors.STATUS[type(error)])
            await reply(send, status, [*described, *trace(headers)[1]], body)
            self._counters.count_request(LINES[status], PATH, time.perf_counter() - arrived)
        except Exception:  # a fault of the body, or a bug of ours: met again there, answered, and logged if it is a bug
            await self._ordinary(scope, replay(message, receive), send)
        else:
            described = [
                (b"server-timing", server_timing(caller).encode()),
                (b"content-type", JSON_TYPE),
                (b"content-length", b"%d" % len(found)),
                *trace(headers)[1],
            ]
            await reply(send, 200, described, found)
            self._counters.count_request(LINES[200], PATH, time.perf_counter() - arrived)

    def _plain(self, scope: Scope) -> dict[bytes, bytes] | None:
        """Return the headers of a request to our path if it may be answered here, by its line and headers."""
        given = list(scope["headers"])
        headers = dict(given)
        length = headers.get(b"content-length", b"")
        peer = scope["client"]
        is_plain = (
            scope.get("method") == "POST"  # a WebSocket has none
            and not scope["query_string"]
            and not scope.get("root_path")
            and len(headers) == len(given)  # none stands twice
            and headers.get(b"content-type") == JSON_TYPE
            and b"transfer-encoding" not in headers
            and length.isdigit()
            and len(length) <= MAX_LENGTH_DIGITS
            and int(length) <= self._limit_bytes
            and is_own_host(headers.get(b"host", b"").decode("latin-1"), self._hosts)
            and self._gate.opens("search", headers.get(b"authorization"), peer[0] if peer else None)
        )
        return headers if is_plain else None


async def reply(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send an answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@functools.cache  # these say the same each time
def refusal(status: int) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body as Litestar sends them, where the server is full (503) or too late (504)."""
    response = errors.answer_puppet_error(None, REFUSALS[status])
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"content-type", str(response.media_type).encode()))
    headers.append((b"content-length", b"%d" % len(response.content)))
    return status, headers, response.content


def replay(first: Any, receive: Receive) -> Receive:
    """Return a `receive` that gives a message once more, then what comes after it."""
    held = [first]

    async def again() -> Any:  # Litestar's type has the messages of WebSockets too
        return held.pop() if held else await receive()

    return again


def has_left(receive: Receive) -> bool:
    """Return whether the client has closed its connection; its body has been received.

    Servers tell the end of a connection to whoever asks for a further message, and let it wait until there is one. So
    one is asked for, for a single step: a task that waits beside each search would cost more than the search saves.
    """
    asking = cast(Coroutine[Any, Any, HTTPReceiveMessage], receive())
    try:
        asking.send(None)
    except StopIteration as answered:
        return bool(answered.value["type"] == "http.disconnect")
    finally:
        asking.close()
    return False
