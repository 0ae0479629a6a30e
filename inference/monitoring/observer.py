"""Around Litestar: the outermost handler of a request, which counts it and gives it an id and a place in a trace.

    request ─► one spelling of its path? ─► HEAD asks as GET ─► Litestar ─► no body for HEAD ─► counted

It sees every request that the parser takes and every answer that leaves, whatever fails in between: an exception that
Litestar lets through becomes a problem here and not a plain text of uvicorn's.
"""

import logging
import re
import time
from collections.abc import Collection, Mapping

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from artifacts.problems import sentences as problems
from inference import errors
from inference.monitoring.counters import Counters
from inference.monitoring.tracing import trace

METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
NO_ROUTE = "none"  # a path that nobody serves; the path itself would make a series of each that a scanner tries
# What stands for itself needs no escape (RFC 3986 2.3), and an escaped slash must not divide: %2F, %61, %7E, ...
_NEEDLESS = re.compile(rb"(?i)%(?:2[def]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])")
FOLDERS = (b"/", b"/ui/", b"/docs/", b"/v2/")  # the last as the document of the Open Inference Protocol has it
_SEGMENT = re.compile(rb"(?!\.{1,2}$)[^/]+")

log = logging.getLogger("puppet")


def is_canonical(raw_path: bytes) -> bool:
    """Return whether a path is spelt in the one way that its route has.

    A proxy that filters by path compares spellings; a second spelling of the same route goes round it. So there is no
    empty segment, no `.` or `..`, no slash at the end, and nothing is escaped that can stand for itself. The folders of
    the page and of the chapters end with a slash, without which a browser would look for their files elsewhere.

    >>> [is_canonical(path) for path in (b"/", b"/ui/", b"/models/a", b"/feedback/a/%C3%A9")]
    [True, True, True, True]
    >>> [is_canonical(path) for path in (b"/models/", b"//models", b"/%6dodels", b"/a/../models")]
    [False, False, False, False]
    """
    if raw_path in FOLDERS:
        return True
    segments = raw_path.split(b"/")
    return not segments[0] and all(map(_SEGMENT.fullmatch, segments[1:])) and not _NEEDLESS.search(raw_path)


class Observer:
    """An ASGI application around another."""

    def __init__(self, behind: ASGIApp, counters: Counters, methods: Mapping[str, Collection[str]]) -> None:
        """Take the application, the counters, and the methods of each route by its template."""
        self._behind = behind
        self._counters = counters
        # Litestar's own Allow lacks HEAD, and where a template's methods stand in several handlers all but the first.
        self._allow = {
            route: ", ".join(sorted({*names, "HEAD"} if "GET" in names else names)).encode()
            for route, names in methods.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request be answered, and count it."""
        method = scope.get("method")
        if method is None:  # a WebSocket; nobody serves one
            await self._behind(scope, receive, send)
            return
        began = time.perf_counter()
        request_id, headers = trace(dict(scope["headers"]))
        scope["state"]["request_id"] = request_id.decode()
        status = 0
        is_head = method == "HEAD"
        # RFC 9110 9.1: whatever answers GET answers HEAD. The server's own scope keeps the method, and with it no body.
        inner: Scope = {**scope, "method": "GET"} if is_head else scope  # type: ignore[assignment]
        has_ended = False

        async def sending(message: Message) -> None:
            nonlocal status, has_ended
            if message["type"] == "http.response.start":
                status = message["status"]
                allow = self._allow.get(inner.get("path_template") or "")
                kept = [(name, allow if name == b"allow" and allow else value) for name, value in message["headers"]]
                message["headers"] = [*kept, *headers]
                await send(message)
                if is_head:  # an answer that goes on for ever, such as a job's events, ends here too
                    has_ended = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not has_ended:
                await send(message)

        try:
            if is_canonical(scope["raw_path"]):
                await self._behind(inner, receive, sending)
            else:
                await self._refuse(scope, 404, problems.message("no-such-route", {"path": scope["path"]}), sending)
        except Exception as error:
            if status:  # a part of the answer is out; the server closes the connection
                raise
            log.exception("bug in answering %s (request %s)", method, request_id.decode(), exc_info=error)
            said = problems.message("internal-error", {"request_id": request_id.decode()})
            await self._refuse(scope, 500, said, sending)
        finally:
            route = inner.get("path_template") or NO_ROUTE
            line = f"{method if method in METHODS else 'other'} {route} {status or 500}"
            self._counters.count_request(line, route, time.perf_counter() - began)

    async def _refuse(self, scope: Scope, status: int, said: problems.Message, send: Send) -> None:
        """Answer with a problem, past Litestar."""
        response = errors.problem(status, said, errors.language_asked(scope["headers"]), path=scope["path"])
        raw = response.content
        described = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
        described += [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": status, "headers": described})
        await send({"type": "http.response.body", "body": raw, "more_body": False})
