"""The site of the chapters: it is built without a fault, and a real browser shows it from the disk, without a network.

CI opens a few pages of each language; `make site-check` all of them (PUPPET_TEST_PAGES=all).
"""

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.system.server import DEADLINE_S, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.torch]

LANGUAGES = ("en", "fr")
SCHEMES = ("light", "dark")
WIDTHS = (1280, 360)
EVERY = int(os.environ.get("PUPPET_TEST_PAGES", "25").replace("all", "1"))  # which share of the pages is opened
SEARCHED = {"en": "temperature", "fr": "température"}
# What a reader would see as a fault of a page: a block over the next one, one that sticks out of its place, a picture
# that has not come. A region that scrolls by itself may hold more than it shows.
LOOK = """() => {
  const found = [];
  const name = (one) => `${one.tagName} "${one.textContent.trim().slice(0, 40)}"`;
  const blocks = [...document.querySelectorAll("article section > *, article li > p, article td > *")];
  for (const one of blocks) {
    const next = one.nextElementSibling;
    if (!next) continue;
    const [a, b] = [one.getBoundingClientRect(), next.getBoundingClientRect()];
    if (a.height > 0 && b.height > 0 && b.top < a.bottom - 1 && b.left < a.right - 1 && a.left < b.right - 1) {
      found.push(`${name(one)} lies over ${name(next)}`);
    }
  }
  const root = document.documentElement;
  const [page, window_] = [root.scrollWidth, root.clientWidth];
  if (page > window_) found.push(`the page is ${page} wide, the window ${window_}`);
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) found.push(`${image.src} is not shown`);
    if (!image.alt) found.push(`${image.src} has no text`);
  }
  return found;
}"""
# Words of a figure that lie over one another, or beyond its edge.
LOOK_AT_FIGURE = """() => {
  const svg = document.documentElement, edge = svg.getBoundingClientRect();
  const texts = [...document.querySelectorAll("text")].filter((one) => one.textContent.trim());
  const found = svg.querySelector("title") && svg.querySelector("desc") ? [] : ["no title, or no description"];
  texts.forEach((one, index) => {
    const a = one.getBoundingClientRect();
    if (a.left < edge.left - 1 || a.right > edge.right + 1) found.push(`"${one.textContent}" sticks out`);
    for (const other of texts.slice(index + 1)) {
      const b = other.getBoundingClientRect();
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 2 && high > 4) found.push(`"${one.textContent}" lies over "${other.textContent}"`);
    }
  });
  return found;
}"""


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """Give docs/site/build.py as a module."""
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the site, built strictly: a warning of the generator and a link that leads nowhere are faults."""
    folder = tmp_path_factory.mktemp("site") / "site"
    assert builder.build(folder) == []
    return folder


@pytest.fixture
def tab(browser: "Browser", scheme: str) -> Iterator["Page"]:
    """Give a tab in a colour scheme that fails at a message on its console, and at any request to a host."""
    faults: list[str] = []
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    context.set_default_timeout(DEADLINE_S * 1000)
    page = context.new_page()
    page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(str(error)))

    def on_request(request: "Request") -> None:
        if not request.url.startswith(("file:", "data:")):
            faults.append(request.url)

    page.on("request", on_request)
    yield page
    context.close()
    assert not faults, faults


def test_every_chapter_is_there_in_both_languages(site: Path) -> None:
    """A chapter has its page, which leads to the same chapter in the other language; what it links to has one too."""
    names = [sorted(path.stem for path in (ROOT / "docs" / language).glob("[0-9]*.md")) for language in LANGUAGES]
    for english, french in zip(*names, strict=True):
        assert f'/fr/{french}.html" lang="fr"' in (site / "en" / f"{english}.html").read_text("utf-8")
        assert f'/en/{english}.html" lang="en"' in (site / "fr" / f"{french}.html").read_text("utf-8")
    assert "normalise" in (site / "en" / "source" / "artifacts" / "text" / "tokens.py.html").read_text("utf-8")
    for name in ("reference", "decisions/0032-page", "mini/README"):
        assert (site / "en" / f"{name}.html").is_file()


def test_the_page_links_to_chapters_that_are_there(site: Path) -> None:
    """Each step of the screen Learn names a chapter of its language."""
    from tests.browser.browsing import table

    for language in LANGUAGES:
        named = [name for key, name in table(language).items() if re.fullmatch(r"learn\.\w+\.chapter", key)]
        assert len(named) == 7
        assert [name for name in named if not (site / language / f"{name}.html").is_file()] == []


def test_faults_of_a_site_are_found(builder: ModuleType, tmp_path: Path) -> None:
    """A link that leads nowhere, one to no anchor, a picture without words and a foreign script are each named."""
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html">b</a><a href="#here">ok</a><a href="#there">no</a>')
    (tmp_path / "c.html").write_text('<img src="c.html"><script src="https://cdn.example/x.js"></script>')

    assert builder.faults(tmp_path) == [
        "a.html: b.html leads nowhere",
        "a.html: #there has no such anchor",
        "c.html: the picture c.html has no text",
        "c.html: https://cdn.example/x.js is loaded from another host",
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("side", LANGUAGES)  # `language` is the page's, of which CI takes one
def test_pages_show_nothing_amiss(site: Path, tab: "Page", side: str, scheme: str) -> None:
    """Wide and as on a telephone no block lies over another, nothing sticks out, and pictures are shown."""
    pages = sorted((site / side).rglob("*.html"))
    found = []
    for path in {*pages[::EVERY], site / side / "index.html", *sorted((site / side).glob("04-*.html"))}:
        tab.goto(path.as_uri())
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            found += [f"{path.relative_to(site)}, {width} wide: {one}" for one in tab.evaluate(LOOK)]

    assert found == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_of_the_figures_can_be_read(tab: "Page", scheme: str) -> None:
    """Each figure has a title and a description for those who do not see it, and none of its words lie over others."""
    figures = sorted((ROOT / "docs" / "figures").glob("*.svg"))
    found = []
    for path in figures:
        tab.goto(path.as_uri())
        found += [f"{path.name}: {one}" for one in tab.evaluate(LOOK_AT_FIGURE)]

    assert len(figures) > 10
    assert found == []


@pytest.mark.parametrize("scheme", ["light"])
@pytest.mark.parametrize("side", LANGUAGES)  # `language` is the page's, of which CI takes one
def test_search_works_from_the_disk(site: Path, tab: "Page", side: str, scheme: str) -> None:
    """A word of the chapters is found without a server."""
    tab.goto(f"{(site / side / 'search.html').as_uri()}?q={SEARCHED[side]}")
    tab.wait_for_selector("#search-results li a")
    assert any("07-" in (one.get_attribute("href") or "") for one in tab.query_selector_all("#search-results li a"))
