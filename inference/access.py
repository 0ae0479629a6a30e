"""Who may call what: the Host header, the content type, and the role that each route declares.

A route without a role is refused to everybody, so that a forgotten one is noticed at once.
"""

import hashlib
import hmac
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from inference.errors import HostRefused, TokenRefused, WrongMediaType
from inference.settings import Settings, is_loopback

JSON, MAIL = "application/json", "message/rfc822"
OPEN, SEARCH, ADMIN = {"role": "open"}, {"role": "search"}, {"role": "admin"}  # a handler's `opt`


async def check_host(request: Request[Any, Any, Any]) -> None:
    """Do nothing if the request was sent to one of our names; a page of another site cannot choose this header.

    Raises:
        HostRefused: naming the remedy.
    """
    settings: Settings = request.app.state.settings
    host = request.headers.get("host", "").lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name not in settings.hosts:
        raise HostRefused(
            f"this server does not answer for host {name!r:.80}; call it as one of "
            f"{', '.join(sorted(settings.hosts))}, or add the name to PUPPET_ALLOWED_HOSTS"
        )


async def check_role(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Do nothing if the caller may use the route.

    Raises:
        TokenRefused: saying how to send the token, or where to set one.
    """
    role = handler.opt.get("role")
    if role in ("open", "search"):
        return
    settings: Settings = connection.app.state.settings
    if role != "admin":
        raise TokenRefused("this route declares no role, nobody may use it; this is our bug")
    if settings.admin_token:
        given = connection.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        # Digests in bytes: comparing text of other lengths or scripts would tell by time, or raise.
        same = hmac.compare_digest(_digest(token.strip()), _digest(settings.admin_token))
        if scheme.lower() != "bearer" or not same:
            raise TokenRefused("this route needs the admin token; send the header Authorization: Bearer TOKEN")
    elif connection.client is None or not is_loopback(connection.client.host):
        raise TokenRefused(
            "this route is only for callers on this machine while no admin token is set; set PUPPET_ADMIN_TOKEN in the "
            "server's environment and send the header Authorization: Bearer TOKEN"
        )


def check_media_type(request: Request[Any, Any, Any], *accepted: str) -> str:
    """Return the type that the body is sent as, one of `accepted`; JSON alone if none is given.

    A web page can send neither JSON nor an e-mail to another site without asking first.

    Raises:
        WrongMediaType: naming the header to add.
    """
    accepted = accepted or (JSON,)
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type not in accepted:
        found = f"found {given!r:.80}" if given else "there is none"
        names = {JSON: "JSON", MAIL: "an e-mail"}
        ways = " or ".join(f"as {names[one]} with the header Content-Type: {one}" for one in accepted)
        raise WrongMediaType(f"send the body {ways}; {found}", accepted)
    return media_type


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
