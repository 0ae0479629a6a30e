"""The screens Try, Models and Watch, the frame of the page, and what it does when something goes wrong under way."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from artifacts.problems.sentences import Language
from artifacts.store.store import Store
from tests.browser.browsing import FAILED_REQUEST, NARROW, SCREENS, WIDE, Tab, word
from tests.system.server import MODEL, Server, serving

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.torch]

Tabs = Callable[..., Tab]
HOSTILE = "<img src=x onerror=\"alert('x')\">"
TOKEN, OTHER_TOKEN = "an-admin-token-of-the-tests-0123456789", "another-admin-token-of-the-tests-98765"


def ask(page: Page, language: Language, text: str) -> None:
    """Type a ticket on the screen Try and ask the model about it."""
    page.get_by_label(word(language, "ticket"), exact=True).fill(text)
    page.get_by_role("button", name=word(language, "try.ask")).click()


def test_one_ticket_is_asked_and_put_right(tabs: Tabs, server: Server, language: Language) -> None:
    """Category, confidence, guesses and weights come; an unknown word is dotted; a correction reaches the store."""
    tab = tabs(server.port, language)
    page = tab.open("try")
    ask(page, language, f"problème connexion conntecterr {HOSTILE}")

    expect(page.locator("#try-answer")).to_be_visible()
    tokens = page.locator(".token")
    assert "unknown" in (tokens.filter(has_text="conntecterr").get_attribute("class") or "")
    assert page.locator("main img").count() == 0
    assert page.locator("table").first.locator("tbody tr").count() == 5
    tab.check_accessible("try")

    page.get_by_label(word(language, "try.it-was")).fill(HOSTILE)
    page.get_by_role("button", name=word(language, "try.keep")).click()
    expect(page.locator(".notice.good")).to_contain_text(HOSTILE)
    expect(page.locator(".notice.good")).to_contain_text(word(language, "try.stored.new"))
    kept = [json.loads(line) for line in server.client.get("/models/puppet-o2/feedback").text.splitlines()]
    assert [(one["category"], one["text"]) for one in kept] == [(HOSTILE, f"problème connexion conntecterr {HOSTILE}")]
