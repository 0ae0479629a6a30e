"""The chapters as a site under /docs/: what is served of a folder, and what a reader sees where there is none."""

from pathlib import Path

import httpx
import msgspec
import pytest

from inference.page.site import SITE_POLICY
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import check_problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder as `make docs` writes one, with a file beside it that is not of the site."""
    folder = tmp_path / "site"
    (folder / "en").mkdir(parents=True)
    (folder / "index.html").write_text("both languages")
    (folder / "en" / "04-gru.html").write_text("the network")
    (folder / "en" / "notes.key").write_text("no type that the site has")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "en" / "link.html").symlink_to(tmp_path / "secret.html")
    return folder


async def test_site_is_served_from_its_folder(settings: Settings, site: Path) -> None:
    """A page comes under its own policy, the site itself as its index; nothing outside the folder does."""
    async with started(msgspec.structs.replace(settings, docs=str(site))) as app, connect(app) as client:
        page = await client.get("/docs/en/04-gru.html")
        assert (page.status_code, page.text) == (200, "the network")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"] == SITE_POLICY
        assert (await client.get("/docs/")).text == "both languages"
        assert (await client.get("/docs")).headers["location"] == "docs/"
        for name in (
            "en",
            "en/none.html",
            "en/notes.key",
            "en/link.html",
            "%2e%2e/secret.html",
            "en/%00",
            "en/" + "x" * 400,
        ):
            check_problem(await client.get(f"/docs/{name}"), 404)


async def test_without_a_site_a_reader_is_told_how_to_build_it(settings: Settings, tmp_path: Path) -> None:
    """A program gets the problem, a browser is led to the page that explains it, from whatever depth."""
    async with started(msgspec.structs.replace(settings, docs=str(tmp_path / "none"))) as app, connect(app) as client:
        problem = check_problem(await client.get("/docs/en/04-gru.html"), 404)
        assert problem["type"] == "/problems/no-site"
        for address in ("/docs/", "/docs/en/04-gru.html"):
            answer = await client.get(address, headers={"Accept": "text/html"})
            assert answer.status_code == 307
            explained = await client.get(str(httpx.URL(address).join(answer.headers["location"]).path))
            assert (explained.status_code, "make docs" in explained.text) == (200, True)
