"""The figures of the chapters in Chromium, light and dark: every text is inside, apart from others, and legible."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

FIGURES = sorted((Path(__file__).parents[2] / "docs" / "figures").glob("*.svg"))
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of this size
# Of each text: what it says, where it stands, its colour; and the page's size and colour.
LOOK = """() => ({
  width: document.documentElement.viewBox.baseVal.width,
  height: document.documentElement.viewBox.baseVal.height,
  page: getComputedStyle(document.querySelector('.page')).fill,
  title: document.querySelector('title').textContent,
  described: document.querySelector('desc').textContent,
  texts: [...document.querySelectorAll('text')].filter(one => one.textContent.trim()).map(one => {
    const {x, y, width, height} = one.getBBox();
    return {said: one.textContent, x, y, width, height, fill: getComputedStyle(one).fill};
  }),
})"""


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return how far apart two colours are, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two texts share more than the empty edge of their boxes."""
    edge = 1.0
    apart = (
        one["x"] + one["width"] - edge <= other["x"],
        other["x"] + other["width"] - edge <= one["x"],
        # A line's box has room for accents above and tails below, a quarter of it in all.
        one["y"] + one["height"] * 0.75 <= other["y"],
        other["y"] + other["height"] * 0.75 <= one["y"],
    )
    return not any(apart)


@pytest.fixture(scope="module", params=SCHEMES)
def seen(request: pytest.FixtureRequest, browser: "Browser") -> dict[str, Any]:
    """Give what Chromium makes of each figure in one of the two schemes."""
    context = browser.new_context(color_scheme=request.param)
    page = context.new_page()
    found = {}
    for path in FIGURES:
        page.goto(path.as_uri())
        found[path.name] = page.evaluate(LOOK)
    context.close()
    return found


def test_there_are_figures(seen: dict[str, Any]) -> None:
    """At least twelve in each language, each with a title and a description."""
    assert len(seen) >= 24
    assert [name for name, one in seen.items() if not one["title"] or not one["described"]] == []


def test_no_text_lies_on_another(seen: dict[str, Any]) -> None:
    """No two texts of a figure overlap."""
    found = [
        (name, one["said"], other["said"])
        for name, figure in seen.items()
        for place, one in enumerate(figure["texts"])
        for other in figure["texts"][:place]
        if overlap(one, other)
    ]

    assert found == []


def test_no_text_is_cut_off(seen: dict[str, Any]) -> None:
    """Every text is inside of its figure."""
    found = [
        (name, one["said"])
        for name, figure in seen.items()
        for one in figure["texts"]
        if one["x"] < 0 or one["y"] < 0
        or one["x"] + one["width"] > figure["width"] or one["y"] + one["height"] > figure["height"]
    ]  # fmt: skip

    assert found == []


def test_every_text_can_be_read(seen: dict[str, Any]) -> None:
    """Every text stands out from the page as WCAG asks."""
    found = {
        (name, one["fill"])
        for name, figure in seen.items()
        for one in figure["texts"]
        if contrast(one["fill"], figure["page"]) < CONTRAST
    }

    assert found == set()


def test_schemes_differ(browser: "Browser") -> None:
    """A figure follows the reader's choice: its page is light or dark."""
    found = []
    for scheme in SCHEMES:
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(FIGURES[0].as_uri())
        found.append(luminance(page.evaluate(LOOK)["page"]))
        context.close()

    assert found[0] > 0.9
    assert found[1] < 0.1
