"""Around Litestar: counts each request by its route's template, and answers with its id and place in a trace."""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from inference.monitoring.counters import Counters
from inference.monitoring.tracing import trace

METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
NO_ROUTE = "none"  # a path that nobody serves; the path itself would make a series of each that a scanner tries


class Observer:
    """An ASGI application around another."""

    def __init__(self, behind: ASGIApp, counters: Counters) -> None:
        self._behind = behind
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request be answered, and count it."""
        method = scope.get("method")
        if method is None:  # a WebSocket; nobody serves one
            await self._behind(scope, receive, send)
            return
        began = time.perf_counter()
        request_id, headers = trace(dict(scope["headers"]))
        scope["state"]["request_id"] = request_id.decode()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        try:
            await self._behind(scope, receive, sending)
        finally:
            route = scope.get("path_template") or NO_ROUTE
            line = f"{method if method in METHODS else 'other'} {route} {status}"
            self._counters.count_request(line, route, time.perf_counter() - began)
