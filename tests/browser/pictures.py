"""Take a picture of each screen, as docs/page/SCREEN.LANGUAGE.KIND.webp: `make pictures`.

Two real servers, one a language, are brought to where something is to be seen; then each screen is photographed light
and dark, and as on a telephone. Somebody has to look at the pictures: a test cannot say that a page is well made.
"""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from artifacts.problems.sentences import LANGUAGES, Language
from tests.browser.browsing import Size, Tab, word
from tests.browser.conftest import chromium
from tests.system.server import ROOT, Server, serving
from trainer.cli.main import main as train_main

FOLDER = ROOT / "docs" / "page"
NAME = "support"
QUALITY = 30  # of WebP; text stays sharp, and all pictures together stay under 1.5 MB
HEIGHT = 1200  # CSS pixels at most: what is further down is cut off
KINDS: dict[str, tuple[str, Size]] = {
    "light": ("light", (1000, 800)),
    "dark": ("dark", (1000, 800)),
    "phone": ("light", (360, 720)),
}
TRAINING_MS = 900_000.0  # on a machine that does other things as well
Row = tuple[str, str]  # text, category


def rows(folder: Path, num: int, seed: int) -> list[Row]:
    """Return invented French tickets."""
    path = folder / f"{seed}.jsonl"
    done = CliRunner().invoke(train_main, ["sample", str(path), "--num-tickets", str(num), "--seed", str(seed)])
    assert done.exit_code == 0, done.output
    found = map(json.loads, path.read_text("utf-8").splitlines())
    return [(" ".join(one["tokens"]), one["category"]) for one in found]


def export(path: Path, tickets: Sequence[Row], has_category: bool) -> Path:
    """Write tickets as a spreadsheet program in French exports them, and return where."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(["Numéro", "Objet", "Famille"][: 3 if has_category else 2])
    for number, (ticket, category) in enumerate(tickets):
        writer.writerow([f"T-{1000 + number}", ticket, category][: 3 if has_category else 2])
    path.write_bytes(text.getvalue().encode("cp1252", "replace"))
    return path


def take(tab: Tab, screen: str, above: str = "body") -> None:
    """Photograph what a tab shows, from an element on, in each kind."""
    for kind, (scheme, (width, height)) in KINDS.items():
        tab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a name of KINDS
        tab.page.set_viewport_size({"width": width, "height": height})
        box = tab.page.locator(above).last.bounding_box()
        assert box is not None
        top = round(box["y"] + tab.page.evaluate("scrollY"))
        whole = Image.open(io.BytesIO(tab.page.screenshot(full_page=True)))
        image = whole.crop((0, top, whole.width, min(whole.height, top + HEIGHT)))
        image.save(FOLDER / f"{screen}.{tab.language}.{kind}.webp", quality=QUALITY, method=6)
    tab.page.set_viewport_size({"width": 1000, "height": 800})


def press(page: Page, language: Language, key: str, **parameters: object) -> None:
    """Press the button that has a word on it."""
    page.get_by_role("button", name=word(language, key, **parameters), exact=True).click()


def train(tab: Tab, folder: Path) -> None:
    """Choose a file, inspect it, train on it, and let the new version serve."""
    page, language = tab.open("train"), tab.language
    tickets = rows(folder, 800, 0)
    for place in range(0, 60, 6):  # as in every export, some stand under a wrong category
        tickets[place] = (tickets[place][0], tickets[place + 1][1])
    page.locator("input[type=file]").set_input_files(export(folder / "clos.csv", tickets, True))
    press(page, language, "train.inspect")
    page.locator("details.finding").first.wait_for()
    page.get_by_label(word(language, "train.name"), exact=True).fill(NAME)
    page.get_by_label(word(language, "train.recipe")).select_option("fast")
    take(tab, "train-inspected")
    press(page, language, "train.start")
    expect(page.locator("main").get_by_text(word(language, "train.done", version=1, name=NAME))).to_be_visible()
    take(tab, "train", above="main section >> nth=2")
    press(page, language, "train.promote", version=1)
    expect(page.locator("main").get_by_text(word(language, "train.serves", version=1))).to_be_visible()


def sort(tab: Tab, folder: Path) -> None:
    """Sort a file."""
    page = tab.go("sort")
    page.locator("input[type=file]").set_input_files(export(folder / "neuf.csv", rows(folder, 60, 5), False))
    press(page, tab.language, "sort.sort", n=60)
    expect(page.get_by_role("heading", name=word(tab.language, "sort.result"))).to_be_visible()
    take(tab, "sort")
    take(tab, "sorted", above="main h2 >> nth=2")


def show(tab: Tab, server: Server, folder: Path) -> None:
    """Bring every screen to where there is something to see, and photograph it."""
    language = tab.language
    train(tab, folder)
    sort(tab, folder)
    page = tab.go("try")
    page.get_by_label(word(language, "ticket"), exact=True).fill("problème connexion conntecter mot de passe facture")
    press(page, language, "try.ask")
    expect(page.locator("#try-answer")).to_be_visible()
    take(tab, "try", above="main form >> nth=0")
    page = tab.go("learn")  # with the ticket that was tried
    press(page, language, "learn.ask")
    page.locator("#learn-proof").wait_for()
    take(tab, "learn", above="#learn-gates")
    waiting = [{"id": f"R-{number}", "text": text} for number, (text, _) in enumerate(rows(folder, 20, 7))]
    assert server.client.post(f"/models/{NAME}/review", json={"tickets": waiting}).status_code == 200
    page = tab.go("label")
    page.locator("form.group").wait_for()
    take(tab, "label")
    page = tab.go("models")
    page.get_by_role("table").first.wait_for()
    take(tab, "models")
    model = {"name": NAME, "neural_network_type": "GRU"}
    tickets = [f"{text} webinaire" for text, category in rows(folder, 260, 6) if category != "Facturation"]
    for start in range(0, len(tickets), 50):
        answer = server.client.post("/search", json=model | {"texts": tickets[start : start + 50]})
        assert answer.status_code == 200, answer.text
    page = tab.go("watch")
    page.locator("svg.chart").wait_for()
    page.wait_for_load_state("networkidle")
    take(tab, "watch")


def pictures(browser: Browser, language: Language) -> None:
    """Take the pictures of a language."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store").mkdir(mode=0o700)
        with serving(folder, folder / "store", PUPPET_REVIEW="true") as server:
            tab = Tab(browser, server.port, language)
            expect.set_options(timeout=TRAINING_MS)
            show(tab, server, folder)
            tab.close()


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for language in LANGUAGES:
            pictures(browser, language)
        browser.close()
    files = sorted(FOLDER.glob("*.webp"))
    print(f"{len(files)} pictures, {sum(file.stat().st_size for file in files)} bytes, in {FOLDER}")


if __name__ == "__main__":
    main()
