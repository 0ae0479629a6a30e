"""The screen Learn: the numbers of a ticket's way as the server has them, from the keyboard and for a screen reader."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from artifacts.problems.sentences import Language
from tests.browser.browsing import NARROW, WIDE, ColorScheme, Size, Tab, table, word
from tests.system.server import Server

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.torch]

Tabs = Callable[..., Tab]
TICKET = "problème connexion conntecterr <b>"
PANELS = ("ids", "vectors", "gates", "pooled", "linear", "answer", "proof")
GATES = ("reset", "update", "proposal", "state")


def show(tab: Tab, ticket: str) -> Page:
    """Ask for the steps of a ticket."""
    page, language = tab.open("learn"), tab.language
    page.get_by_label(word(language, "ticket"), exact=True).fill(ticket)
    page.get_by_role("button", name=word(language, "learn.ask"), exact=True).click()
    page.locator("#learn-proof").wait_for()
    return page


def numbers(page: Page, name: str) -> list[list[float]]:
    """Return the rows of the table behind a heat map, which is found by its name, as numbers."""
    found = page.get_by_role("table", name=name, exact=True, include_hidden=True)
    rows: list[list[str]] = found.evaluate(
        "(one) => [...one.tBodies[0].rows].map((row) => [...row.cells].slice(1).map((cell) => cell.textContent))"
    )
    return [[float(cell.replace(",", ".").replace("\N{MINUS SIGN}", "-")) for cell in row] for row in rows]


def close(found: list[list[float]], expected: list[list[float]]) -> bool:
    """Return whether numbers are equal as far as the page writes them."""
    pairs = [(a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True)]
    return all(abs(a - b) <= 5.1e-4 for a, b in pairs)


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)])
def test_ticket_is_followed_through_the_network(
    tabs: Tabs, server: Server, language: Language, scheme: ColorScheme, size: Size
) -> None:
    """Each panel shows the server's numbers, the slider goes from token to token by its keys, and axe finds nothing."""
    steps = server.client.post("/models/puppet-o2/steps", json={"text": TICKET}).json()
    tab = tabs(server.port, language, scheme, size)
    page = show(tab, TICKET)
    way: dict[str, Any] = steps["networks"][0]["layers"][0][0]
    tokens = [token["token"] for token in steps["tokens"]]

    assert close(numbers(page, word(language, "learn.states")), way["state"])
    assert close(numbers(page, word(language, "learn.vectors")), steps["networks"][0]["vectors"])
    slider = page.get_by_label(word(language, "learn.token"), exact=True)
    for at, key in ((0, ""), (1, "ArrowRight"), (len(tokens) - 1, "End"), (0, "Home")):
        if key:
            slider.press(key)
        said = word(language, "learn.token.of", token=tokens[at], n=at + 1, of=len(tokens))
        expect(slider).to_have_attribute("aria-valuetext", said)
        before = way["state"][at - 1] if at else [0.0] * len(way["state"][0])
        expected = [before, *(way[kind][at] for kind in GATES)]
        assert close(numbers(page, word(language, "learn.step", token=tokens[at])), expected)
    best = max(range(len(steps["categories"])), key=lambda label: steps["probabilities"][label])
    answer = page.get_by_role("table", name=word(language, "learn.answer")).locator("tbody tr")
    expect(answer).to_have_count(min(5, len(steps["categories"])))
    expect(answer.first.locator("th")).to_have_text(steps["categories"][best])
    expect(page.get_by_role("table", name=word(language, "learn.proof")).locator("tbody tr")).to_have_count(4)
    tab.check_accessible("learn")


def test_each_step_leads_to_its_chapter(tabs: Tabs, server: Server, language: Language) -> None:
    """A link a panel, each said by what it is about; where no site was built it opens a page that says how."""
    page = show(tabs(server.port, language), TICKET)
    for panel in PANELS:
        title = word(language, f"learn.{panel}")
        link = page.get_by_role("link", name=word(language, "learn.chapter", title=title), exact=True)
        assert link.get_attribute("href") == f"../docs/{language}/{table(language)[f'learn.{panel}.chapter']}.html"
    with page.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.endswith("/problems/no-site")


def test_long_ticket_is_shown_in_part(tabs: Tabs, server: Server, language: Language) -> None:
    """Of a long ticket the first 64 tokens are shown, and the page says so."""
    page = show(tabs(server.port, language), "connexion problème " * 40)

    expect(page.locator(".notice", has_text=word(language, "learn.first", n=64, of=80))).to_be_visible()
    assert len(numbers(page, word(language, "learn.states"))) == 64
