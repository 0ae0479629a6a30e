"""A request's ID and its place in a trace: X-Request-ID and traceparent (W3C Trace Context).

A request's own X-Request-ID comes back, so that its log and ours can be laid side by side; one without gets a number
from us. A traceparent comes back with the same trace and a span of ours. Neither reaches the model or is kept.
"""

import itertools
import os
import re
from collections.abc import Mapping

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")  # no space, quote or control character reaches the log
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")

_start = int.from_bytes(os.urandom(8), "big") | 1  # of this process; numbers go on from there
_numbers = itertools.count()

Headers = list[tuple[bytes, bytes]]


def trace(headers: Mapping[bytes, bytes]) -> tuple[bytes, Headers]:
    """Return a request's id, and the headers that say it, and its place in a trace, in the answer.

    Args:
        headers: of the request, names in lower case.
    """
    request_id = headers.get(b"x-request-id")
    span = None
    if request_id is None or _REQUEST_ID.fullmatch(request_id) is None:
        request_id = span = _next()
    answered = [(b"x-request-id", request_id)]
    parent = headers.get(b"traceparent")
    if parent is not None and (found := _TRACEPARENT.fullmatch(parent)) is not None:
        answered.append((b"traceparent", b"00-%s-%s-%s" % (found[1], span or _next(), found[2])))
    return request_id, answered


def _next() -> bytes:
    """Return 16 hexadecimal digits that no other request has; not secret, and never all 0."""
    # An odd step visits every number of 64 bits, and makes neighbours look different.
    return b"%016x" % ((_start + next(_numbers) * 0x9E3779B97F4A7C15) % 2**64 or 1)
