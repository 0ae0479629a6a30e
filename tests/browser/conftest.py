"""What the tests of the page share: the browser, and a store whose model knows when to abstain."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from click.testing import CliRunner

from artifacts.problems.sentences import LANGUAGES, Language
from artifacts.store.store import Store
from tests.inference.helpers import publish_permuted
from tests.system.server import Server, serving
from trainer.cli.main import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.browser.browsing import Tab

# Without the extra `browser` nothing here can be collected; in CI, where it is installed, that would be a failure.
if importlib.util.find_spec("playwright") is None and not os.environ.get("CI"):
    collect_ignore_glob = ["test_*.py"]

INSTALL = "run: apt-get update && apt-get install -y chromium"
# In which languages the tests are run: one in CI, where time is short, and both by `make browser`.
ASKED = os.environ.get("PUPPET_TEST_LANGUAGES", "fr").split()
NUM_TICKETS = 700
QUICK = {
    "epochs": 3, "embedding": 16, "hidden": 16, "lr": 0.02, "batch": 16, "threads": 1, "folds": 1, "grus": 1,
    "validation": 0.3, "refit": "false",
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `language` in each of those that were asked for."""
    if "language" in metafunc.fixturenames:
        assert set(ASKED) <= set(get_args(Language)), f"PUPPET_TEST_LANGUAGES names some of {LANGUAGES}"
        metafunc.parametrize("language", ASKED)


def chromium(playwright: "Playwright") -> "Browser":
    """Return the system's Chromium, started; Playwright's own download is not needed.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise FileNotFoundError(f"Chromium is not installed; {INSTALL}")
    # No sandbox: CI runs as root in a container. No name is resolved, so no other host can be reached.
    args = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    return playwright.chromium.launch(executable_path=found, args=args)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Give Chromium; without it the tests are skipped, but fail in CI."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = chromium(playwright)
        except FileNotFoundError as error:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
        yield browser
        browser.close()


@pytest.fixture
def tabs(browser: "Browser") -> Iterator[Callable[..., "Tab"]]:
    """Give what opens a tab on a server's port; at the end each is closed and checked."""
    from tests.browser.browsing import Tab

    with contextlib.ExitStack() as opened:

        def open_tab(port: int, *args: Any, **kwargs: Any) -> Tab:
            tab = Tab(browser, port, *args, **kwargs)
            opened.callback(tab.close)
            return tab

        yield open_tab


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with two versions of `puppet-o2`, trained quickly on invented tickets; the first one serves."""
    folder = tmp_path_factory.mktemp("trained")
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    commands = [
        ["sample", str(folder / "tickets.jsonl"), "--num-tickets", str(NUM_TICKETS)],
        ["fit", str(folder / "tickets.jsonl"), "--name", "puppet-o2", "--store", str(folder / "store"), *settings],
    ]
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    store = Store(folder / "store")
    publish_permuted(store)  # answers each ticket otherwise, so that a comparison has something to show
    store.promote("puppet-o2", 1)
    return store.root


def copied(store: Path, folder: Path) -> Path:
    """Return a copy of a store in a folder, with the mode that a store has."""
    shutil.copytree(store, folder / "store")
    (folder / "store").chmod(0o700)
    return folder / "store"


@pytest.fixture
def store_copy(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of the trained store for one test alone."""
    return copied(trained, tmp_path)


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server with its trainer on a copy that the tests of a file share."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, copied(trained, folder), PUPPET_REVIEW="true") as server:
        yield server
