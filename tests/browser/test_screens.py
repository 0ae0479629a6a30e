"""The screens Try, Models and Watch, the frame of the page, and what it does when something goes wrong under way."""

import json
import re
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from artifacts.problems.sentences import Language
from artifacts.store.store import Store
from inference.tokens import make_token
from tests.browser.browsing import FAILED_REQUEST, NARROW, SCREENS, WIDE, Tab, word
from tests.system.server import Server, eventually, serving

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.torch]

Tabs = Callable[..., Tab]
HOSTILE = "<img src=x onerror=\"alert('x')\">"
TICKET = "problème connexion conntecterr"


def ask(page: Page, language: Language, text: str) -> None:
    """Type a ticket on the screen Try and ask the model about it."""
    page.get_by_label(word(language, "ticket"), exact=True).fill(text)
    press(page, language, "try.ask")


def press(page: Page, language: Language, key: str, **parameters: object) -> None:
    """Press the button that has a word on it; in the dialog, if there is one."""
    place = page.locator("dialog") if page.locator("dialog").count() else page.locator("body")
    place.get_by_role("button", name=word(language, key, **parameters), exact=True).click()


def test_one_ticket_is_asked_and_put_right(tabs: Tabs, server: Server, language: Language) -> None:
    """Category, guesses and weights come, and the correction is kept; what looks like markup stays text."""
    tab = tabs(server.port, language)
    page = tab.open("try")
    ask(page, language, f"{TICKET} {HOSTILE}")

    expect(page.locator("#try-answer")).to_be_visible()
    assert "unknown" in (page.locator(".token", has_text="conntecterr").get_attribute("class") or "")
    assert page.locator("main table").first.locator("tbody tr").count() == 5
    assert json.dumps(f"{TICKET} {HOSTILE}", ensure_ascii=False).replace("'", "'\\''") in (
        page.locator("pre").text_content() or ""
    )
    tab.check_accessible("try")

    page.get_by_label(word(language, "try.it-was")).fill(HOSTILE)
    press(page, language, "try.keep")
    expect(page.locator(".notice.good")).to_contain_text(HOSTILE)
    expect(page.locator(".notice.good")).to_contain_text(word(language, "try.stored.new"))
    kept = server.client.get("/models/puppet-o2/feedback").text.splitlines()
    assert (json.loads(kept[-1])["category"], json.loads(kept[-1])["text"]) == (HOSTILE, f"{TICKET} {HOSTILE}")
    assert page.locator("main img").count() == 0


def test_email_is_read_before_it_is_asked(tabs: Tabs, server: Server, language: Language, tmp_path: Path) -> None:
    """Of an e-mail the text that is read is shown, and then asked about, and what was left out is counted."""
    (tmp_path / "mail.eml").write_text("Subject: connexion\n\nmot de passe perdu\n\n-- \nAnna\n")
    page = tabs(server.port, language).open("try")
    page.locator("input[type=file]").set_input_files(tmp_path / "mail.eml")

    expect(page.locator("#try-answer")).to_be_visible()
    text = page.get_by_label(word(language, "ticket"), exact=True).input_value()
    assert text.split() == ["connexion", "mot", "de", "passe", "perdu"]
    expect(page.get_by_role("region", name=word(language, "try.answer"))).to_contain_text(
        word(language, "try.stripped", attachments=0, quoted=0, signature=2)
    )


def test_versions_are_compared_promoted_rolled_back_and_deleted(
    tabs: Tabs, server: Server, language: Language, tmp_path: Path
) -> None:
    """Each change is asked for first, with what will be different, and is what the store then says."""
    store = Store(server.store)
    tab = tabs(server.port, language)
    page = tab.open("models")
    row = page.get_by_role("row").filter(has=page.locator("th", has_text=re.compile(r"^1 ")))
    expect(row).to_contain_text(word(language, "models.serves"))

    press(page, language, "models.promote")
    dialog = page.get_by_role("dialog", name=word(language, "models.ask.promote", version=2))
    expect(dialog.locator("tbody tr")).to_have_count(4)
    tab.check_accessible("models, dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert store.current("puppet-o2").version == 1, "Escape changes nothing"
    press(page, language, "models.promote")
    press(page, language, "models.promote")
    expect(page.locator(".notice.good")).to_contain_text(
        word(language, "models.done.promote", version=2, name="puppet-o2")
    )
    assert store.current("puppet-o2").version == 2
    press(page, language, "models.rollback.to", version=1)
    press(page, language, "models.rollback")
    expect(page.locator(".notice.good")).to_contain_text(
        word(language, "models.done.rollback", version=1, name="puppet-o2")
    )
    assert store.current("puppet-o2").version == 1

    compare(page, language, tmp_path)
    tab.check_accessible("models, compared")

    with page.expect_download() as saved:
        press(page, language, "models.download")
    assert zipfile.ZipFile(saved.value.path()).testzip() is None
    tab.expect(FAILED_REQUEST)  # version 2 is a copy without a report, so it is written first
    with page.expect_download() as saved:
        press(page, language, "models.report")
    assert f'<html lang="{language}"' in Path(saved.value.path()).read_text("utf-8")
    press(page, language, "models.delete")
    press(page, language, "models.delete")
    expect(page.locator(".notice.good")).to_contain_text(
        word(language, "models.done.delete", version=2, name="puppet-o2")
    )
    assert store.versions("puppet-o2") == [1]


def compare(page: Page, language: Language, folder: Path) -> None:
    """Compare both versions on a file of tickets that neither has learnt from: the second answers each otherwise."""
    rows = [f"Facturation;payer facture numéro {number}" for number in range(12)]
    (folder / "tickets.csv").write_text("\n".join(["Catégorie;Objet", *rows]), "utf-8")
    page.locator("input[type=file]").set_input_files(folder / "tickets.csv")
    button = page.get_by_role("button", name=word(language, "models.compare.do"), exact=True)
    expect(button).to_be_enabled()
    button.click()
    changes = page.get_by_role("table", name=word(language, "models.compare.changes", n=12))
    expect(changes.locator("tbody tr")).to_have_count(12)
    expect(changes).to_contain_text("payer facture numéro 11")


def test_what_goes_on_is_shown(tabs: Tabs, server: Server, language: Language) -> None:
    """Drift by category, what was searched, and who changed what; each figure is the server's own."""
    tickets = [["connexion", "impossible", f"nouveau{number % 2}"] for number in range(120)]
    assert server.post("/search", vectors=tickets).status_code == 200
    correction = {"name": "puppet-o2", "id": "1", "category": "Facturation", "text": "payer"}
    assert server.client.post("/feedback", json=correction).status_code == 200
    entries = server.client.get("/audit").json()["entries"]
    drift = server.client.get("/models/puppet-o2/drift").json()
    assert entries
    tab = tabs(server.port, language)
    page = tab.open("watch")

    expect(page.locator(".notice").first).to_contain_text(word(language, f"watch.verdict.{drift['verdict']}"))
    page.locator("summary").first.click()
    shares = page.get_by_role("table", name=word(language, "watch.shares"))
    expect(shares.locator("tbody tr")).to_have_count(len(drift["shares"]))
    searches = page.get_by_role("row").filter(has_text=word(language, "watch.traffic.searches"))
    expect(searches.get_by_role("cell")).to_have_text(str(num_searches(server)))
    audit = page.get_by_role("table", name=word(language, "watch.audit.newest")).locator("tbody tr")
    expect(audit).to_have_count(len(entries))
    expect(audit.first).to_contain_text(word(language, f"watch.action.{entries[0]['action']}"))
    tab.check_accessible("watch")


def num_searches(server: Server) -> int:
    """Return how many searches the server counts as answered."""
    line = next(
        line
        for line in server.client.get("/metrics").text.splitlines()
        if line.startswith('puppet_requests_total{method="POST",route="/search",status="200"}')
    )
    return int(float(line.rpartition(" ")[2]))


def test_every_screen_is_accessible(tabs: Tabs, server: Server, language: Language) -> None:
    """Wide and narrow, light and dark: axe finds nothing, nothing sticks out, and the focus moves with the screen."""
    for scheme, size in (("light", WIDE), ("dark", NARROW)):
        tab = tabs(server.port, language, scheme, size)
        tab.open(SCREENS[-1])
        for screen in SCREENS:
            page = tab.go(screen)
            expect(page.locator("h1")).to_have_count(1)
            expect(page.locator("h1")).to_be_focused()
            expect(page).to_have_title(f"{word(language, f'{screen}.title')} \N{EN DASH} Puppet")
            page.wait_for_load_state("networkidle")
            tab.check_accessible(f"{screen}, {scheme}, {size}")


def test_language_is_the_browsers_until_another_is_chosen(tabs: Tabs, server: Server) -> None:
    """The page begins in the browser's language, and changes it in place: what was typed stays."""
    page = tabs(server.port, "fr").open("try")
    page.get_by_label(word("fr", "ticket"), exact=True).fill(TICKET)
    page.get_by_label(word("fr", "language")).select_option("en")

    expect(page.locator("h1")).to_have_text(word("en", "try.title"))
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.get_by_label(word("en", "ticket"), exact=True).input_value() == TICKET


def test_token_that_expires_is_asked_for_anew(tabs: Tabs, store_copy: Path, tmp_path: Path, language: Language) -> None:
    """A call without a good token waits while a person types one; the ticket and the answer are not lost."""
    file = store_copy / "tokens.toml"
    first = make_token(file, "anna", "search", None)
    with serving(tmp_path, store_copy, ["--trainer", "none"]) as server:
        tab = tabs(server.port, language)
        tab.expect(FAILED_REQUEST)
        page = tab.open("try")
        give_token(page, language, "not-a-token-of-this-server-0123456789")
        expect(page.get_by_role("dialog")).to_be_visible()
        tab.check_accessible("token")
        give_token(page, language, first)
        ask(page, language, TICKET)
        expect(page.locator("#try-answer")).to_be_visible()

        renewed = file.read_text().replace('role = "search"', 'role = "search"\nexpires = 2020-01-01T00:00:00Z')
        file.write_text(renewed)
        second = make_token(file, "bea", "search", None)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: [one for one in server.events if "2 named tokens" in one["event"]], "the tokens to be read")
        ask(page, language, f"{TICKET} encore")
        expect(page.get_by_role("dialog")).to_contain_text("anna")
        give_token(page, language, second)
        expect(page.locator(".token", has_text="encore")).to_be_visible()
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert kept == '[{},{},""]'


def give_token(page: Page, language: Language, token: str) -> None:
    """Type a token into the dialog that asks for one."""
    page.get_by_role("dialog").get_by_label(word(language, "token"), exact=True).fill(token)
    press(page, language, "token.use")


def test_lost_connection_ends_in_a_sentence_and_the_answer(
    tabs: Tabs, store_copy: Path, tmp_path: Path, language: Language
) -> None:
    """While the server is away the page says so and asks again; once it is back, the answer comes by itself."""
    with serving(tmp_path, store_copy, ["--trainer", "none"]) as server:
        tab = tabs(server.port, language)
        tab.expect(FAILED_REQUEST)
        page = tab.open("try")
        expect(page.get_by_role("button", name=word(language, "try.ask"))).to_be_visible()
        assert server.stop() == 0
        ask(page, language, TICKET)
        expect(page.locator(".notice.warning")).to_contain_text(word(language, "trouble.lost"))
        tab.check_accessible("lost")
        with serving(tmp_path, store_copy, ["--trainer", "none", "--port", str(server.port)]):
            expect(page.locator("#try-answer")).to_be_visible()
            expect(page.locator(".notice.warning")).to_have_count(0)
