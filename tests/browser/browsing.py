"""A browser's tab that notices what must never happen: a message on its console, a violation, a foreign host."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from artifacts.problems.sentences import Language
from tests.system.server import DEADLINE_S, ROOT

ColorScheme = Literal["light", "dark"]
Size = tuple[int, int]  # CSS pixels
SCREENS = ("sort", "try", "label", "train", "models", "watch", "learn")
WIDE: Size = (1280, 900)
NARROW: Size = (320, 640)  # WCAG 1.4.10; as narrow as a screen of 1280 pixels at 400 %
LOCALE: dict[Language, str] = {"en": "en-GB", "fr": "fr-FR"}
# Violations of the policy reach the console too, but not those that a script catches.
LISTEN = "addEventListener('securitypolicyviolation', (one) => console.error('policy: ' + one.violatedDirective))"
# What the browser itself writes where a request is lost or refused; a test that provokes it says so by `expect`.
FAILED_REQUEST = r"Failed to load resource"


@cache
def table(language: Language) -> dict[str, str | dict[str, str]]:
    """Return the words of the page in a language."""
    raw = (ROOT / "inference" / "page" / "words" / f"{language}.json").read_bytes()
    return cast(dict[str, str | dict[str, str]], json.loads(raw))


def word(language: Language, key: str, **parameters: object) -> str:
    """Return a word of the page, as words.js makes it; of a plural the form of several."""
    found = table(language)[key]
    text = found["other"] if isinstance(found, dict) else found
    for name, value in parameters.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


class Tab:
    """One page of one context, so that nothing is shared with another tab; `page` is Playwright's."""

    def __init__(
        self, browser: Browser, port: int, language: Language = "en", scheme: ColorScheme = "light", size: Size = WIDE
    ) -> None:
        """Open it, on nothing yet; transitions are off, so that no colour is measured half-way."""
        self._context = browser.new_context(
            locale=LOCALE[language],
            color_scheme=scheme,
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
            accept_downloads=True,
        )
        self._context.set_default_timeout(DEADLINE_S * 1000)
        expect.set_options(timeout=DEADLINE_S * 1000)
        self._context.add_init_script(LISTEN)
        self._own = f"127.0.0.1:{port}"
        self._faults: list[str] = []
        self._expected: tuple[str, ...] = ()
        self.language: Language = language
        self.address = f"http://{self._own}/ui/"
        self.page: Page = self._context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._faults.append(f"error: {error}"))
        self.page.on("request", self._on_request)

    def open(self, screen: str) -> Page:
        """Load the page anew on one of its screens."""
        self.page.goto(f"{self.address}#/{screen}")
        self.page.wait_for_selector("h1")
        return self.page

    def go(self, screen: str) -> Page:
        """Change to another screen by its link, as a person does."""
        self.page.click(f"nav a[href='#/{screen}']")
        self.page.wait_for_selector(f"nav a[href='#/{screen}'][aria-current=page]")
        return self.page

    def expect(self, *patterns: str) -> None:
        """Take console messages that match one of these for expected, from now on."""
        self._expected += patterns

    def check_accessible(self, what: str) -> None:
        """Fail if axe finds anything, or if the page is wider than its window."""
        found: Sequence[dict[str, Any]] = Axe().run(self.page).response["violations"]
        said = [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]
        assert not said, f"{what}: {said}"
        wide = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], f"{what}: sticks out"

    def picture(self, path: Path) -> None:
        """Save what is shown, from top to bottom."""
        self.page.screenshot(path=path, full_page=True)

    def close(self) -> None:
        """Close it and fail if anything happened in it that must not."""
        self._context.close()
        assert not self._faults, self._faults

    def _on_console(self, message: ConsoleMessage) -> None:
        said = f"{message.type}: {message.text}"
        if not any(re.search(pattern, said) for pattern in self._expected):
            self._faults.append(said)

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        # A download is a blob that the page has made; a blob and data never leave the browser.
        if address.scheme not in ("blob", "data") and address.netloc != self._own:
            self._faults.append(f"request to {request.url}")
        if "token" in address.query.lower():
            self._faults.append(f"token in an address: {request.url}")
