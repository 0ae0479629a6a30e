"""The page for people without a terminal: the files beside this module, as they are, under /ui/.

    GET /         -> /ui/
    GET /ui/      index.html, which loads main.js, which calls the routes that everybody may call

The files are read once, at the first request. A path is looked up among their names, so none that a caller makes up
reaches the disk. The page holds no secret and no data, so it needs no token: the routes that it calls do.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from inference.routes import access
from inference.routes.declared import Routes

AnyRequest = Request[Any, Any, Any]

TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "json": "application/json",
}
# Nothing may run, load or be asked that does not come from this server; a string never becomes markup or a script
# (Trusted Types); no other site may show the page in a frame, or learn from where a link on it was followed.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # A browser asks each time and is answered 304, so that a page never mixes the files of two releases.
    "Cache-Control": "no-cache",
}


class PageFile(NamedTuple):
    """A file of the page, ready to be sent."""

    raw: bytes
    media_type: str
    etag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Return path below /ui/ -> file, of every file of the page that a browser has a use for."""

    def walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, PageFile]]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from walk(entry, f"{prefix}{entry.name}/")
            elif (media_type := TYPES.get(entry.name.rpartition(".")[2])) is not None:
                raw = entry.read_bytes()
                yield f"{prefix}{entry.name}", PageFile(raw, media_type, f'"{hashlib.sha256(raw).hexdigest()[:32]}"')

    return dict(walk(files(__package__), ""))


class PageRoutes(Routes):
    """GET / and what lies under /ui/; they are no part of the API, and so not of its document."""

    @get("/", opt=access.OPEN, include_in_schema=False)
    async def to_page(self) -> Redirect:
        """Lead who asks for the server itself to the page."""
        return Redirect("ui/", status_code=307)  # relative, so that it holds behind a proxy's prefix too

    @get("/ui", opt=access.OPEN, include_in_schema=False)
    async def index(self, request: AnyRequest) -> Response[bytes]:
        """Answer with the page; without the slash its scripts would be looked for in the wrong place."""
        if not request.scope["raw_path"].endswith(b"/"):
            return Response(b"", status_code=307, headers={"Location": "ui/"})
        return answer(request, "index.html")

    @get("/ui/{path:path}", opt=access.OPEN, include_in_schema=False)
    async def file(self, request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        """Answer with a file of the page."""
        return answer(request, path.removeprefix("/"))


def answer(request: AnyRequest, name: str) -> Response[bytes]:
    """Return a file of the page, or 304 where the browser has it already.

    Raises:
        NotFoundException: the page has no such file.
    """
    file = page_files().get(name)
    if file is None:
        raise NotFoundException
    headers = HEADERS | {"ETag": file.etag}
    if file.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(b"", status_code=304, headers=headers)
    return Response(file.raw, media_type=file.media_type, headers=headers)
