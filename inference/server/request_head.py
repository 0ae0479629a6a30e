"""The head of a plain search: recognised from its bytes, and read once for all requests that begin with the same.

A request of the Open Inference Protocol (`POST /v2/models/NAME/infer`) is a plain search in another form.

    bytes up to the blank line ─► seen before? ─► Head
                                  else httptools ─► a plain search? ─► Head, and kept
                                                                    ─► None: uvicorn's

A client sends the same head with each request, but for the length of the body. So what a head says is looked up by its
bytes, in .1 us where uvicorn takes 10 to parse it. Whoever is unknown is read by the very parser that uvicorn uses, so
that no two programs can take the same bytes for different requests (request smuggling); and whatever is unusual, wrong
or not sure to be right is no plain search.
"""

import re
from collections.abc import Mapping

import httptools
import msgspec

from artifacts.problems.sentences import Language
from artifacts.schemas import NAME_PATTERN
from inference.errors import language_asked
from inference.routes.access import JSON, OCTETS, Gate, is_own_host
from inference.settings import Settings

PATH = "/search"
LINE = f"POST {PATH} HTTP/1.1\r\n".encode()
INFER_PATH, INFER_LINE = "/v2/models/{name}/infer", b"POST /v2/models/"  # how it is counted, and how it begins
INFER_URL = re.compile(f"/v2/models/({NAME_PATTERN})/infer".encode())
INFER_TYPES = (None, JSON.encode(), OCTETS.encode())
END = b"\r\n\r\n"
JSON_TYPE = JSON.encode()
MAX_LENGTH_DIGITS = 9
MAX_BODY_BYTES = 64 * 1024  # of a plain search; more is collected by uvicorn, which lets a fast client wait meanwhile
MAX_HEADS, MAX_KEPT_BYTES = 2048, 512  # that are kept, and of each: 2 MB at most
OTHERWISE = (
    b"transfer-encoding",
    b"content-encoding",
    b"expect",
    b"upgrade",
)  # whoever sends one wants more than an answer
MAX_HEADER_LINES = 100  # of any request; a browser sends some 20
TRACED = (b"x-request-id", b"traceparent")  # come back in the answer, and are another each time
NOTHING: Mapping[bytes, bytes] = {}


class Head(msgspec.Struct, frozen=True):
    """What the head of a plain search says.

    Attributes:
        body_bytes: that follow it.
        is_own_host: whether it was sent to one of our names.
        has_token: whether it has a token that opens the route.
        expires: seconds since 1970 from which on that token opens nothing; None: never.
        timeout_ms: the header X-Timeout-Ms; None without one.
        language: that a refusal is to be worded in.
        traced: those of its headers that come back in the answer.
        path: under which it is counted.
        model: that an inference request asks; None of a search, whose body says it.
        header_length: the header Inference-Header-Content-Length of an inference request; None without one.
    """

    body_bytes: int
    is_own_host: bool
    has_token: bool
    expires: float | None
    timeout_ms: bytes | None
    language: Language
    traced: Mapping[bytes, bytes]
    path: str = PATH
    model: str | None = None
    header_length: str | None = None


class Heads:
    """Reads heads; for one process, whose hosts stay the same. What it keeps is forgotten when the tokens change."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        """Take what a head is compared with."""
        self._hosts = settings.hosts
        self._limit_bytes = min(settings.search_body_bytes, MAX_BODY_BYTES)
        self._gate = gate
        self._kept: dict[bytes, Head] = {}
        gate.on_change = self._kept.clear

    def read(self, raw: bytes) -> Head | None:
        """Return what a head says, None if it is not that of a plain search.

        Args:
            raw: from LINE, or INFER_LINE, to END.
        """
        head = self._kept.get(raw)
        if head is None or (head.expires is not None and self._gate.wall() >= head.expires):
            head = self._parse(raw)
            if head is not None and not head.traced and len(raw) <= MAX_KEPT_BYTES:
                if len(self._kept) >= MAX_HEADS:
                    self._kept.clear()  # what is sent again is soon back
                self._kept[raw] = head
        return head

    def _parse(self, raw: bytes) -> Head | None:
        found = _Found()
        parser = httptools.HttpRequestParser(found)
        try:
            parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        headers = dict(found.headers)
        length = headers.get(b"content-length", b"")
        inference = INFER_URL.fullmatch(found.url)
        # Without a content type a page of another site could have sent it, and then its Origin says so (access.py).
        is_typed = headers.get(b"content-type") in INFER_TYPES and b"origin" not in headers
        is_plain = (
            found.is_whole
            and (is_typed if inference else found.url == PATH.encode() and headers.get(b"content-type") == JSON_TYPE)
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and len(headers) == len(found.headers) <= MAX_HEADER_LINES  # none stands twice
            and not any(name in headers for name in OTHERWISE)
            and length.isdigit()
            and len(length) <= MAX_LENGTH_DIGITS
            and int(length) <= self._limit_bytes
        )
        if not is_plain:
            return None
        header_length = headers.get(b"inference-header-content-length")
        token = self._gate.token_that_opens("search", headers.get(b"authorization"))
        return Head(
            body_bytes=int(length),
            is_own_host=is_own_host(headers.get(b"host", b"").decode("latin-1"), self._hosts),
            has_token=token is not None,
            expires=token.expires if token is not None else None,
            timeout_ms=headers.get(b"x-timeout-ms"),
            language=language_asked(found.headers),
            traced={name: headers[name] for name in TRACED if name in headers} or NOTHING,
            path=INFER_PATH if inference else PATH,
            model=inference[1].decode() if inference else None,
            header_length=header_length.decode("latin-1") if inference and header_length is not None else None,
        )


class _Found:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_whole = True

    def on_body(self, body: bytes) -> None:  # noqa: ARG002  # as the parser calls it
        self.is_whole = False  # the head has ended before its end: let uvicorn see to that
