"""Who may call what: the Host header, the content type, and the role that each route declares.

    role       opened by a token of       open to callers on this machine while there is no token of
    open       (needs no token)
    search     search, admin              search
    view       search, label, admin       search                GET /models and versions, which everybody chooses from
    label      label, admin               label, admin
    feedback   label, admin               label, admin          POST /feedback; with feedback_role = "search" as search,
                                                                and label tokens open it too
    inspect    label, search, admin       label, admin          POST /inspect, of a caller's own file: who sorts one has
                                                                its columns looked at first
    admin      admin                      admin
    job        search, label, admin       (each of the three)   /jobs: who may ask for any job may look after those
                                                                that it asked for; an admin sees all (`asker_of`)

The routes of label show people's tickets and were the administrator's alone, so an admin token closes them too.
A token is known by its SHA-256: those of the environment, and the named ones of tokens.toml, which may expire and are
replaced while the server runs (`Gate.take`). A token that has expired opens nothing and still closes its routes.
A route without a role is refused to everybody, so that a forgotten one is noticed at once.
"""

import functools
import hashlib
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

from artifacts.store.audit import NOBODY, Author
from inference.errors import HostRefused, OriginRefused, TokenRefused, TooManyAttempts, WrongCoding, WrongMediaType
from inference.settings import Settings, is_loopback
from inference.tokens import NamedToken, as_time

JSON, MAIL, OCTETS = "application/json", "message/rfc822", "application/octet-stream"
OPEN, SEARCH, VIEW, LABEL, FEEDBACK, INSPECT, ADMIN, JOB = (  # a handler's `opt`
    {"role": role} for role in ("open", "search", "view", "label", "feedback", "inspect", "admin", "job")
)
Roles = dict[str, tuple[str, ...]]  # role of a route -> roles of tokens
OPENED_BY: Roles = {
    "search": ("search", "admin"),
    "view": ("search", "label", "admin"),
    "label": ("label", "admin"),
    "feedback": ("label", "admin"),
    "inspect": ("label", "search", "admin"),
    "admin": ("admin",),
    "job": ("search", "label", "admin"),
}
CLOSED_BY: Roles = {
    "search": ("search",),
    "view": ("search",),
    "label": ("label", "admin"),
    "feedback": ("label", "admin"),
    "inspect": ("label", "admin"),
    "admin": ("admin",),
}
# Roles whose tokens show words of a vocabulary, which may be names: the known words that an unknown one is spelt like,
# and new words that many tickets hold. A search token belongs to a program that only asks, and one that asks for
# "lefevr" is not to be answered with "lefevre".
SEES_WORDS = OPENED_BY["label"]
USUAL = b"Bearer "  # as nearly all clients spell it
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
        raise HostRefused("wrong-host", host=_without_port(host), known=sorted(settings.hosts))
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


def may_see_words(role: str | None) -> bool:
    """Return whether the token of a role shows words of the vocabulary; None: no token was sent."""
    return role in SEES_WORDS


class Gate:
    """Which tokens open which roles, and who has sent wrong ones. Belongs to one event loop.

    A wrong token is an Authorization header that holds none of ours; a request without the header, or with the token
    of a lesser role, does not count. Only wrong tokens are answered 429: a right one is let in from any address, or
    one bad client behind a proxy would lock all the others out. So the limit stops a client that has gone wrong and
    tells the operator; what makes guessing hopeless is the length of the tokens.
    """

    def __init__(
        self,
        settings: Settings,
        named: Sequence[NamedToken] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take the tokens.

        Args:
            settings: with the tokens of the environment.
            named: the tokens of the file.
            clock: seconds that never go back, for the limit of wrong tokens.
            wall: seconds since 1970, for the end of tokens.
        """
        self._own = settings.own_tokens
        self._opened_by, self._closed_by = OPENED_BY, CLOSED_BY
        if settings.feedback_role == "search":
            self._opened_by = OPENED_BY | {"feedback": ("search", "label", "admin")}
            self._closed_by = CLOSED_BY | {"feedback": CLOSED_BY["search"]}
        self._clock = clock
        self.wall = wall
        # Peer -> when its minute began, and how many wrong tokens it has sent since; the latest to fail stands last.
        self._failures: dict[str | None, tuple[float, int]] = {}
        self._known: dict[bytes, NamedToken] = {}  # digest -> token
        self._roles: set[str] = set()  # of which there is a token, or has been one since the start
        self.on_change: Callable[[], object] = lambda: None  # what has remembered an answer of this gate forgets it
        self.take(named)

    def take(self, named: Sequence[NamedToken]) -> None:
        """Let these named tokens take the place of the earlier ones.

        A role that has had a token keeps its routes closed until the next start: taking the last token of a role away
        is to let nobody in, and not to let in all callers on this machine, who behind a proxy are all callers.
        """
        tokens = (*self._own, *named)
        self._known = {bytes.fromhex(one.sha256): one for one in tokens}
        self._roles |= {one.role for one in tokens}
        self.on_change()

    def needs_token(self, role: str) -> bool:
        """Return whether the routes of a role are closed to callers on this machine who send no token."""
        if role == "job":  # whoever may ask for a job without a token may look after it without one
            return all(self.needs_token(one) for one in ("search", "label", "admin"))
        return not self._roles.isdisjoint(self._closed_by[role])

    def roles_that_open(self, role: str) -> list[str]:
        """Return the roles whose tokens open the routes of a role, those of which there is a token."""
        return [one for one in self._opened_by[role] if one in self._roles]

    def check(self, role: str, headers: Iterable[tuple[bytes, bytes]], peer: str | None) -> NamedToken | None:
        """Return the token by which a request may use the routes of a role; None if it needs none and has none.

        Args:
            role: of the route: search, label, feedback or admin.
            headers: as ASGI has them, names in lower case.
            peer: the address that the request came from; None for one without, as on a Unix socket.
        Raises:
            TokenRefused: saying how to send the token, or where to set one.
            TooManyAttempts: a wrong token again.
        """
        given = [value for name, value in headers if name == b"authorization"]
        token = self._token_in(given)
        has_expired = token is not None and token.has_expired(self.wall())
        if self._is_open(role, peer):
            return None if has_expired else token
        if token is not None and not has_expired and token.role in self._opened_by[role]:
            return token
        if token is None and any(given):
            self._count_failure(peer)
        wanted = self._opened_by[role][0]
        if not self.needs_token(role):
            raise TokenRefused("only-this-machine", role=wanted)
        if token is None:
            raise TokenRefused("unknown-token" if any(given) else "no-token", role=wanted)
        if token.expires is not None and has_expired:
            raise TokenRefused("expired-token", role=wanted, token_name=token.name, expired_at=as_time(token.expires))
        raise TokenRefused("wrong-role", role=wanted, sent_role=token.role)

    def is_open(self, role: str, peer: str | None) -> bool:
        """Return whether the routes of a role are open to a caller who sends no token."""
        return self._is_open(role, peer)

    def opens(self, role: str, authorization: bytes | None, peer: str | None) -> bool:
        """Return whether `check` would surely let a request in, with one header at most; no means only: ask it."""
        return self._is_open(role, peer) or self.token_that_opens(role, authorization) is not None

    def may_see_words(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether a caller whom `check` has let in may see words of a vocabulary that it has not sent.

        Frequent names are among them. Where no token is set at all, everything is open to this machine, this too.
        """
        if not self._roles:
            return True
        token = self._token_in([value for name, value in headers if name == b"authorization"])
        return may_see_words(token.role if token is not None and not token.has_expired(self.wall()) else None)

    def token_that_opens(self, role: str, authorization: bytes | None) -> NamedToken | None:
        """Return the token in a header of the usual spelling if it opens the routes of a role now; else None."""
        if authorization is None or not authorization.startswith(USUAL):
            return None
        # How long a look among digests takes tells something of digests, and nothing of the tokens.
        token = self._known.get(_digest(authorization[len(USUAL) :]))
        is_good = token is not None and token.role in self._opened_by[role] and not token.has_expired(self.wall())
        return token if is_good else None

    def _is_open(self, role: str, peer: str | None) -> bool:
        return not self.needs_token(role) and peer is not None and is_loopback(peer)

    def _token_in(self, given: Sequence[bytes]) -> NamedToken | None:
        """Return the token, expired or not, that the Authorization headers hold; two headers hold none."""
        if len(given) != 1:
            return None
        scheme, _, token = given[0].strip(b" ").partition(b" ")
        return self._known.get(_digest(token.lstrip(b" "))) if scheme.lower() == b"bearer" else None

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
            raise TooManyAttempts("too-many-wrong-tokens", retry_after_s=wait_s, limit=MAX_FAILURES)


async def check_role(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise TokenRefused unless the caller may use the route; who it is stays with the request (`author_of`).

    Raises:
        TokenRefused, TooManyAttempts: saying what to do about it.
    """
    role = handler.opt.get("role")
    if isinstance(role, str) and role in OPENED_BY:
        gate: Gate = connection.app.state.gate
        peer = connection.client.host if connection.client else None
        connection.scope["state"]["token"] = gate.check(role, connection.scope["headers"], peer)
    # What Litestar adds to each path to answer OPTIONS has no role; it tells the methods, as /schema does.
    elif role != "open" and handler.fn.__module__ != HTTPRoute.__module__:
        raise TokenRefused("route-without-role")


def author_of(request: Request[Any, Any, Any]) -> Author:
    """Return the name and role of the token that a request came with, for what it changes."""
    token: NamedToken | None = request.scope["state"]["token"]
    return Author(token.name, token.role) if token is not None else NOBODY


def asker_of(request: Request[Any, Any, Any]) -> tuple[str, str] | None:
    """Return name and role of the token whose jobs the caller may see; None: it may see all.

    An administrator sees all, and so does a caller without a token while the routes of administrators are open to it.
    """
    token: NamedToken | None = request.scope["state"]["token"]
    if token is not None:
        return None if token.role == "admin" else (token.name, token.role)
    gate: Gate = request.app.state.gate
    peer = request.client.host if request.client else None
    return None if gate.is_open("admin", peer) else ("", "")


def sees_words(request: Request[Any, Any, Any]) -> bool:
    """Return whether the caller may be shown words of the training, some of which may be names; see `Gate`."""
    gate: Gate = request.app.state.gate
    return gate.may_see_words(request.scope["headers"])


def check_origin(request: Request[Any, Any, Any]) -> None:
    """Raise unless a request without a content type may be taken: it comes from no page, or from one of this server.

    A browser sends a body without a content type, or of an unknown one, to any site without asking first; but it says
    in the header Origin from which page. Programs send no such header.

    Raises:
        OriginRefused: the page is of another site, or of another port of this machine.
        WrongMediaType: the body is sent as another type than JSON or octets.
        WrongCoding: the body is compressed.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != request.headers.get("host", "").lower():
        raise OriginRefused("wrong-origin", origin=origin[:200])
    if request.headers.get("content-type") or request.headers.get("content-encoding"):
        check_media_type(request, JSON, OCTETS)


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
        raise WrongCoding("unknown-content-coding", coding=coding)
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if not given:
        raise WrongMediaType("missing-media-type", accepted=accepted)
    if media_type not in accepted:
        raise WrongMediaType("wrong-media-type", accepted=accepted, found=given)
    return media_type


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
