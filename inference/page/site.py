"""The chapters as a site, where there is one: the folder that `make docs` writes, under /docs/.

    GET /docs/en/04-gru.html  -> SETTING docs/en/04-gru.html

The page links each step of a ticket to its chapter. The package holds no chapters, so whoever wants them beside the
server builds them once; without them a link leads to the page that says how. Like the page, the site holds no secret.
"""

import asyncio
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from artifacts.problems.sentences import ADDRESS
from inference.errors import ResultMissing
from inference.page.files import TYPES
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.injected import Serving

AnyRequest = Request[Any, Any, Any]

SITE_TYPES = TYPES | {"svg": "image/svg+xml", "png": "image/png", "webp": "image/webp", "ico": "image/x-icon"}
# The generator writes a few scripts and styles into its pages, so these are allowed here; all of it is this server's.
SITE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SITE_HEADERS = {
    "Content-Security-Policy": SITE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class SiteRoutes(Routes):
    """GET what lies under /docs/; no part of the API, and so not of its document."""

    @get("/docs", opt=access.OPEN, include_in_schema=False)
    async def start(self, request: AnyRequest, serving: NamedDependency[Serving]) -> Response[Any]:
        """Answer with the first page; without the slash its links would lead to the wrong place."""
        if not request.scope["raw_path"].endswith(b"/"):
            return Redirect("docs/", status_code=307)
        return await answer_site(request, serving.settings.docs, "index.html")

    @get("/docs/{path:path}", opt=access.OPEN, include_in_schema=False)
    async def page(self, request: AnyRequest, path: FromPath[str], serving: NamedDependency[Serving]) -> Response[Any]:
        """Answer with a file of the site."""
        return await answer_site(request, serving.settings.docs, path.removeprefix("/"))


async def answer_site(request: AnyRequest, docs: str, name: str) -> Response[Any]:
    """Return a file of the site.

    Raises:
        ResultMissing: no site has been built; a browser is led to the page that explains it.
        NotFoundException: the site has no such file.
    """
    folder = Path(docs).resolve()
    if not (folder / "index.html").is_file():
        if "text/html" in request.headers.get("accept", ""):
            return Redirect("../" * (name.count("/") + 1) + f"{ADDRESS.removeprefix('/')}no-site", status_code=307)
        raise ResultMissing("no-site", folder=docs)
    # What a link in the folder leads to outside it is not of the site, nor is what ".." leads to.
    path = await asyncio.to_thread(found_in, folder, name)
    if path is None:
        raise NotFoundException
    raw = await asyncio.to_thread(path.read_bytes)
    return Response(raw, media_type=SITE_TYPES[path.suffix.removeprefix(".")], headers=SITE_HEADERS)


def found_in(folder: Path, name: str) -> Path | None:
    """Return the file of a name below a folder, if it is one of the site's."""
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return None
    is_of_site = path.is_relative_to(folder) and path.suffix.removeprefix(".") in SITE_TYPES and path.is_file()
    return path if is_of_site else None
