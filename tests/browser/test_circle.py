"""The whole circle in a browser, as someone without a terminal goes it, on a real server with a real trainer.

    export ─► columns ─► inspect ─► correct ─► train ─► promote ─► sort a file ─► label ─► train again ─► roll back

And what must not cost anybody their work: a server that restarts in the middle of a training, and what a stranger wrote
into a ticket, a category or the name of a file.
"""

import base64
import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from artifacts.problems.sentences import Language
from artifacts.store.store import Store
from tests.browser.browsing import FAILED_REQUEST, NARROW, Tab, word
from tests.system.server import Server, eventually, serving

pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.torch]

Tabs = Callable[..., Tab]
Row = tuple[str, str, str]  # subject, body, category
TRAINING_MS = (
    600_000.0  # only guards against a hang, as DEADLINE_S does; a training takes seconds where nothing else runs
)
MARKUP = "<img src=x onerror=alert(1)>"
NAME = "essai"
HEADER = ["Numéro", "Objet", "Corps du message", "Famille"]  # none of them is a name that the server takes by itself
ROLES = {"Numéro": "id", "Objet": "text", "Corps du message": "text", "Famille": "category"}
SUBJECTS = {
    "Facturation": ["facture", "paiement", "prélèvement", "avoir", "échéance", "montant"],
    "Connexion": ["mot de passe", "connexion", "identifiant", "compte bloqué", "session", "authentification"],
    MARKUP: ["imprimante", "toner", "scanner", "bourrage", "impression", "cartouche"],
}
OPENINGS = ["Bonjour, un souci de", "Je n'arrive plus à gérer", "Merci de vérifier", "Question à propos de", "Urgent :"]
NUM_ROWS, NUM_WRONG, NUM_NEW, NUM_LABELS = 90, 4, 30, 20


def tickets(num: int, seed: int) -> list[Row]:
    """Return invented tickets, of the categories in turn."""
    chance = random.Random(seed)
    found = []
    for number in range(num):
        category = list(SUBJECTS)[number % len(SUBJECTS)]
        first, second, third = chance.sample(SUBJECTS[category], 3)
        body = f"{chance.choice(OPENINGS)} {first} et {second}, dossier {chance.randrange(1000)}"
        found.append((third, body, category))
    return found


def table(rows: Sequence[Row], has_category: bool) -> bytes:
    """Return an export as Excel in French writes it: semicolons and cp1252."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(HEADER if has_category else HEADER[:-1])
    for number, (subject, body, category) in enumerate(rows):
        cells = [f"T-{number}", subject, body]
        writer.writerow([*cells, category] if has_category else cells)
    return text.getvalue().encode("cp1252")


def labelled() -> bytes:
    """Return the export that is learnt from: some tickets of it stand under a wrong category, one holds markup."""
    rows = tickets(NUM_ROWS, 0)
    for number in range(NUM_WRONG):
        place = number * 20
        subject, body, category = rows[place]
        rows[place] = (subject, body, next(one for one in SUBJECTS if one != category))
    rows[1] = (rows[1][0], f"{rows[1][1]} {MARKUP}", rows[1][2])
    return table(rows, True)


def unsorted() -> bytes:
    """Return the export that is to be sorted: every third ticket is about nothing that was learnt."""
    rows = tickets(NUM_NEW, 1)
    strange = [f"zzyx{number} qwrt vblk {MARKUP}" for number in range(NUM_NEW)]
    return table(
        [(row[0] if n % 3 else "?", row[1] if n % 3 else strange[n], row[2]) for n, row in enumerate(rows)], False
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Server]:
    """Give a server with its trainer and its review queue, over a store without a model."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    with serving(tmp_path, store, PUPPET_REVIEW="true") as server:
        yield server


def drop(page: Page, name: str, content: bytes) -> None:
    """Drop a file on the page's field, as from a folder of the desktop."""
    page.evaluate(
        """([name, content]) => {
          const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector(".drop").dispatchEvent(event);
        }""",
        [name, base64.b64encode(content).decode()],
    )


def choose_columns(page: Page, language: Language, has_category: bool) -> None:
    """Say of each column what it is."""
    for column, role in ROLES.items():
        if role != "category" or has_category:
            page.get_by_label(word(language, "file.use", name=column)).select_option(role)


def press(page: Page, language: Language, key: str, **parameters: object) -> None:
    """Press the button that has a word on it."""
    page.get_by_role("button", name=word(language, key, **parameters), exact=True).click()


def inspect(page: Page, language: Language) -> None:
    """Have the tickets looked at, and put right the first two that stand under a wrong category."""
    press(page, language, "train.inspect")
    wrong = page.locator("details.finding").filter(has=page.locator("tbody tr")).first
    wrong.wait_for(timeout=TRAINING_MS)
    rows = wrong.locator("tbody tr")
    assert rows.count() >= 2
    rows.nth(0).locator("input[type=radio]").nth(1).check()  # the suggestion
    rows.nth(1).locator("input[type=radio]").last.check()  # left out
    expect(page.locator("main").get_by_text(word(language, "train.corrected", n=2))).to_be_visible()


def train(page: Page, language: Language, version: int) -> None:
    """Start a training, and wait until the version is there."""
    page.get_by_label(word(language, "train.recipe")).select_option("fast")
    press(page, language, "train.start")
    expect(page.locator("svg.chart").first).to_be_visible(timeout=TRAINING_MS)
    heading = page.locator("main").get_by_text(word(language, "train.done", version=version, name=NAME))
    expect(heading).to_be_visible(timeout=TRAINING_MS)


def test_whole_circle(desk: Server, tabs: Tabs, language: Language) -> None:
    """From a foreign export to a second version and back to the first, with what the store says at each station."""
    tab = tabs(desk.port, language)
    page = tab.open("train")
    store = Store(desk.store)

    # A cp1252 export with foreign columns.
    drop(page, f"clos {MARKUP}.csv", labelled())
    expect(page.get_by_role("table").first).to_be_visible()
    expect(page.locator("main").get_by_text(f"clos {MARKUP}.csv").first).to_be_visible()
    choose_columns(page, language, True)
    inspect(page, language)
    tab.check_accessible("train, inspected")
    page.get_by_label(word(language, "train.name"), exact=True).fill(NAME)
    train(page, language, 1)
    assert store.versions(NAME) == [1]
    assert store.read_manifest(NAME, 1).data.num_tickets == NUM_ROWS - 1  # type: ignore[attr-defined]  # a GRU's
    press(page, language, "train.promote", version=1)
    expect(page.locator("main").get_by_text(word(language, "train.serves", version=1))).to_be_visible()
    assert store.current(NAME).version == 1
    tab.check_accessible("train, trained")
    assert page.locator("main img").count() == 0, "what a stranger wrote is text"

    # Sort a file; what is decided by hand stands in it.
    tab.go("sort")
    drop(page, f"neuf {MARKUP}.csv", unsorted())
    expect(page.get_by_role("table").first).to_be_visible()
    choose_columns(page, language, False)
    press(page, language, "sort.sort", n=NUM_NEW)
    expect(page.get_by_role("heading", name=word(language, "sort.result"))).to_be_visible()
    unsure = page.locator(".quiet tbody tr")
    assert unsure.count() > 1
    line = int(unsure.first.locator("th").inner_text())
    for place in (0, 1):
        choice = unsure.nth(place).get_by_role("radio", name=MARKUP)
        if choice.count():
            choice.check()
        else:
            unsure.nth(place).locator("select").select_option(MARKUP)
    tab.check_accessible("sort, sorted")
    with page.expect_download() as saved:
        page.get_by_role("button", name=word(language, "sort.save", n=2), exact=True).first.click()
    rows = list(csv.reader(io.StringIO(saved.value.path().read_text("utf-8-sig")), delimiter=";"))
    assert len(rows) == NUM_NEW + 1
    assert MARKUP in rows[line - 1]
    assert page.locator("main img").count() == 0

    label_twenty(tab, language, desk)

    # A second version, next to the first, and back again.
    tab.go("train")
    train(page, language, 2)
    assert store.read_manifest(NAME, 2).num_feedback >= NUM_LABELS
    assert store.current(NAME).version == 1, "no version serves before a person lets it"
    expect(page.get_by_role("columnheader", name=word(language, "train.old", version=1))).to_be_visible()
    press(page, language, "train.promote", version=2)
    expect(page.locator("main").get_by_text(word(language, "train.serves", version=2))).to_be_visible()
    tab.go("models")
    press(page, language, "models.rollback.to", version=1)
    page.get_by_role("dialog").get_by_role("button", name=word(language, "models.rollback"), exact=True).click()
    expect(
        page.locator("main").get_by_text(word(language, "models.done.rollback", version=1, name=NAME))
    ).to_be_visible()
    assert store.current(NAME).version == 1


def next_ticket(page: Page, *keys: str) -> None:
    """Type keys, and wait for another ticket under the focus, or for the end of the queue."""
    before = page.evaluate("document.querySelector('form.group h2').textContent")
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function(
        """before => {
          const heading = document.querySelector("form.group h2");
          return !heading || (document.activeElement === heading && heading.textContent !== before);
        }""",
        arg=before,
    )


def label_twenty(tab: Tab, language: Language, desk: Server) -> None:
    """Load tickets into the queue, and label twenty of them without a mouse."""
    page = tab.go("label")
    page.get_by_text(word(language, "label.load")).click()
    drop(page, f"file {MARKUP}.csv", table(tickets(NUM_NEW, 2), False))
    expect(page.get_by_role("table").first).to_be_visible()
    choose_columns(page, language, False)
    press(page, language, "label.put")
    expect(page.locator("main").get_by_text(word(language, "label.loaded", n=NUM_NEW)).first).to_be_visible()
    page.locator("form.group").wait_for()
    tab.check_accessible("label")

    def kept() -> list[dict[str, str]]:
        return [json.loads(line) for line in desk.client.get(f"/models/{NAME}/feedback").text.splitlines()]

    # Undone before it is sent: the same ticket comes back, and takes another category out of all of them.
    first = page.locator("form.group h2").inner_text()
    next_ticket(page, "1", "Enter")
    next_ticket(page, "u")
    assert page.locator("form.group h2").inner_text() == first
    page.keyboard.press("/")
    page.keyboard.type("img src")
    next_ticket(page, "Enter")
    next_ticket(page, "s")
    while len(kept()) < NUM_LABELS and page.locator("form.group").count():
        next_ticket(page, "1", "Enter")
    tab.go("train")  # which sends what was held back to be undone
    eventually(lambda: len(kept()) >= NUM_LABELS, "twenty labels in the store")
    assert any(one["category"] == MARKUP for one in kept())


def test_restart_in_the_middle_of_a_training(tabs: Tabs, tmp_path: Path, language: Language) -> None:
    """A server that goes and comes back costs the training, and neither the file nor a decision: a sentence says so."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    with serving(tmp_path, store) as first:
        tab = tabs(first.port, language, "light", NARROW)
        tab.expect(FAILED_REQUEST)
        page = tab.open("train")
        drop(page, "clos.csv", labelled())
        expect(page.get_by_role("table").first).to_be_visible()
        choose_columns(page, language, True)
        inspect(page, language)
        page.get_by_label(word(language, "train.name"), exact=True).fill(NAME)
        press(page, language, "train.start")
        eventually(first.trainer, "the training to begin")
        first.kill()
        expect(page.locator("main").get_by_text(word(language, "trouble.lost"))).to_be_visible()
        port = first.port
    with serving(tmp_path, store, ["--port", str(port)]) as second:
        expect(page.locator("main").get_by_text(word(language, "train.again"))).to_be_visible()
        expect(page.locator("main").get_by_text(word(language, "trouble.lost"))).to_have_count(0)
        expect(page.locator("main").get_by_text(word(language, "train.corrected", n=2))).to_be_visible()
        tab.check_accessible("train, interrupted")
        press(page, language, "train.start")
        eventually(second.trainer, "another training to begin")


def test_labels_outlive_a_lost_connection(store_copy: Path, tabs: Tabs, tmp_path: Path, language: Language) -> None:
    """Who labels goes on while the server is away; what they decided is sent when it is back."""
    name = "puppet-o2"
    with serving(tmp_path, store_copy, PUPPET_REVIEW="true") as first:
        waiting = [{"id": f"R-{n}", "text": f"{subject} {body}"} for n, (subject, body, _) in enumerate(tickets(8, 3))]
        assert first.client.post(f"/models/{name}/review", json={"tickets": waiting}).status_code == 200
        port = first.port
        tab = tabs(port, language)
        tab.expect(FAILED_REQUEST)
        page = tab.open("label")
        page.locator("form.group").wait_for()
        first.kill()
    num_labelled = 0
    while num_labelled < 3:
        num_labelled += 1 + page.locator("form.group input[type=checkbox]").count()  # the group's other tickets
        next_ticket(page, "1", "Enter")
    expect(page.locator("main").get_by_text(word(language, "trouble.lost"))).to_be_visible()
    with serving(tmp_path, store_copy, ["--port", str(port)], PUPPET_REVIEW="true") as second:
        tab.go("try")

        def kept() -> int:
            return len(second.client.get(f"/models/{name}/feedback").text.splitlines())

        eventually(lambda: kept() == num_labelled, "the labels in the store")
        expect(page.locator("main").get_by_text(word(language, "trouble.lost"))).to_have_count(0)
