"""Who may call what: the Host header, the content type, and the role that each route declares.

    role      opened by                       while its own token is not set
    open      (needs no token)
    search    the search or the admin token   open to callers on this machine
    admin     the admin token                 open to callers on this machine

A route without a role is refused to everybody, so that a forgotten one is noticed at once.
"""

import functools
import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from inference.errors import HostRefused, TokenRefused, TooManyAttempts, WrongCoding, WrongMediaType
from inference.settings import Settings, is_loopback

JSON, MAIL = "application/json", "message/rfc822"
OPEN, SEARCH, ADMIN = {"role": "open"}, {"role": "search"}, {"role": "admin"}  # a handler's `opt`
OPENED_BY = {"search": ("search", "admin"), "admin": ("admin",)}  # role of a route -> roles whose token opens it
REMEDY = "send the header Authorization: Bearer TOKEN"
MAX_FAILURES, WINDOW_S = 10, 60.0  # wrong tokens that one address may send in a minute
MAX_PEERS = 1024  # whose failures are remembered; then the one that failed longest ago is forgotten

log = logging.getLogger("puppet")


async def check_address(request: Request[Any, Any, Any]) -> None:
    """Raise unless a request was sent to one of the server's names, and to the one spelling of its route's path.

    The name: a page of another site cannot choose the Host header (DNS rebinding). The spelling: int() reads "+1",
    "01", " 1" and the digits of every script, and a proxy that filters by path compares (monitoring/observer.py).

    Raises:
        HostRefused: naming the remedy.
        NotFoundException: a number of the path is spelt otherwise than the server spells it.
    """
    settings: Settings = request.app.state.settings
    host = request.headers.get("host", "")
    if not is_own_host(host, settings.hosts):
        raise HostRefused(
            f"this server does not answer for host {_without_port(host)!r:.80}; call it as one of "
            f"{', '.join(sorted(settings.hosts))}, or add the name to PUPPET_ALLOWED_HOSTS"
        )
    numbers = [value for value in request.path_params.values() if isinstance(value, int)]
    if numbers and not {str(number) for number in numbers} <= set(request.scope["path"].split("/")):
        raise NotFoundException


@functools.lru_cache(256)  # each request asks; nearly all of them of the same host
def is_own_host(host: str, hosts: frozenset[str]) -> bool:
    """Return whether a Host header, with or without a port, has one of the names."""
    return _without_port(host) in hosts


def _without_port(host: str) -> str:
    name, _, port = host.lower().rpartition(":")
    # ASCII digits: str.isdigit takes superscripts too, which int() does not, nor any other program.
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    return name if is_port else host.lower()


class Gate:
    """Which tokens open which roles, and who has sent wrong ones. Belongs to one event loop.

    A wrong token is an Authorization header that holds none of ours; a request without the header, or with the token
    of a lesser role, does not count. Only wrong tokens are answered 429: a right one is let in from any address, or
    one bad client behind a proxy would lock all the others out. So the limit stops a client that has gone wrong and
    tells the operator; what makes guessing hopeless is the length of the tokens.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        tokens = {role: settings.token(role) for role in OPENED_BY}
        self._digests = {role: _digest(token.encode()) for role, token in tokens.items() if token}
        # Of each role the digests of the whole headers that open it in their usual spelling.
        self._usual = {
            role: frozenset(_digest(b"Bearer " + tokens[one].encode()) for one in roles if tokens[one])
            for role, roles in OPENED_BY.items()
        }
        self._clock = clock
        # Peer -> when its minute began, and how many wrong tokens it has sent since; the latest to fail stands last.
        self._failures: dict[str | None, tuple[float, int]] = {}

    def check(self, role: str, headers: Iterable[tuple[bytes, bytes]], peer: str | None) -> None:
        """Do nothing if a request may use the routes of a role.

        Args:
            role: search or admin.
            headers: as ASGI has them, names in lower case.
            peer: the address that the request came from; None for one without, as on a Unix socket.
        Raises:
            TokenRefused: saying how to send the token, or where to set one.
            TooManyAttempts: a wrong token again.
        """
        if role not in self._digests and peer is not None and is_loopback(peer):
            return
        given = [value for name, value in headers if name == b"authorization"]
        held = self._role_held(given)
        if held in OPENED_BY[role]:
            return
        if held is None and any(given):
            self._count_failure(peer)
        if role not in self._digests:
            raise TokenRefused(
                f"this route is only for callers on this machine while no {role} token is set; set "
                f"PUPPET_{role.upper()}_TOKEN in the server's environment and {REMEDY}"
            )
        if held is not None:
            found = f"the {held} token does not open it"
        else:
            found = "the one that was sent is another" if any(given) else "none was sent"
        raise TokenRefused(f"this route needs the {role} token, {found}; {REMEDY}")

    def opens(self, role: str, authorization: bytes | None, peer: str | None) -> bool:
        """Return whether `check` would surely let a request in, with one header at most; no means only: ask it."""
        if role not in self._digests and peer is not None and is_loopback(peer):
            return True
        # How long a look among digests takes tells something of digests, and nothing of the tokens.
        return authorization is not None and _digest(authorization) in self._usual[role]

    def _role_held(self, given: Sequence[bytes]) -> str | None:
        """Return the role whose token the Authorization headers hold; two headers hold none."""
        if len(given) != 1:
            return None
        scheme, _, token = given[0].strip(b" ").partition(b" ")
        # Digests in bytes: comparing text of other lengths or scripts would tell by time, or raise.
        digest = _digest(token.lstrip(b" "))
        held = [role for role, known in self._digests.items() if hmac.compare_digest(digest, known)]
        return held[0] if held and scheme.lower() == b"bearer" else None

    def _count_failure(self, peer: str | None) -> None:
        """Count a wrong token.

        Raises:
            TooManyAttempts: the peer has used up its minute.
        """
        now = self._clock()
        since, num_failures = self._failures.pop(peer, (now, 0))
        if now - since >= WINDOW_S:
            since, num_failures = now, 0
        num_failures += 1
        self._failures[peer] = (since, num_failures)
        if len(self._failures) > MAX_PEERS:
            del self._failures[next(iter(self._failures))]
        if num_failures == MAX_FAILURES:
            log.warning("peer %s has sent %d wrong tokens within a minute", peer, num_failures)
        if num_failures > MAX_FAILURES:
            wait_s = math.ceil(since + WINDOW_S - now)
            raise TooManyAttempts(
                f"this address has sent more than {MAX_FAILURES} wrong tokens within a minute; send the right one, or "
                f"wait {wait_s} s",
                wait_s,
            )


async def check_role(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Do nothing if the caller may use the route.

    Raises:
        TokenRefused, TooManyAttempts: saying what to do about it.
    """
    role = handler.opt.get("role")
    if role in OPENED_BY:
        gate: Gate = connection.app.state.gate
        gate.check(role, connection.scope["headers"], connection.client.host if connection.client else None)
    # What Litestar adds to each path to answer OPTIONS has no role; it tells the methods, as /schema does.
    elif role != "open" and handler.fn.__module__ != HTTPRoute.__module__:
        raise TokenRefused("this route declares no role, nobody may use it; this is our bug")


def check_media_type(request: Request[Any, Any, Any], *accepted: str) -> str:
    """Return the type that the body is sent as, one of `accepted`; JSON alone if none is given.

    A web page can send neither JSON nor an e-mail to another site without asking first.

    Raises:
        WrongMediaType: naming the header to add.
        WrongCoding: the body is compressed.
    """
    accepted = accepted or (JSON,)
    coding = request.headers.get("content-encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        raise WrongCoding(f"the body is sent in the Content-Encoding {coding!r:.80}; send it without one, uncompressed")
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type not in accepted:
        found = f"found {given!r:.80}" if given else "there is none"
        names = {JSON: "JSON", MAIL: "an e-mail"}
        ways = " or ".join(f"as {names[one]} with the header Content-Type: {one}" for one in accepted)
        raise WrongMediaType(f"send the body {ways}; {found}", accepted)
    return media_type


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
