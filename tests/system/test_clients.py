"""The snippets of docs/clients ask a real server, each in its language, as far as there is an interpreter here."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FIXTURE_STORE
from tests.system.server import ROOT, Server, serving

pytestmark = pytest.mark.system

CLIENTS = ROOT / "docs/clients"
COMMANDS = {  # file -> the program that runs it
    "search.py": ["python3"],
    "search.mjs": ["node"],
    "Search.java": ["java"],
    "search.php": ["php"],
    "search.sh": ["sh"],
}
TOKEN = "search-token-of-the-tests"
TICKET = 'avoir "problème" connexion \\ <PRODUCT>'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server over the fixture store that only a token opens."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(FIXTURE_STORE, folder / "store")
    (folder / "store").chmod(0o700)
    with serving(folder, folder / "store", ["--trainer", "none"], PUPPET_SEARCH_TOKEN=TOKEN) as server:
        yield server


def run(file: str, server: Server, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a snippet, and return what it printed."""
    if shutil.which(COMMANDS[file][0]) is None and "CI" not in os.environ:
        pytest.skip(f"no {COMMANDS[file][0]} here")
    variables = {"PUPPET_URL": f"http://127.0.0.1:{server.port}", "LC_ALL": "C.UTF-8"} | variables
    words = [*COMMANDS[file], str(CLIENTS / file), TICKET]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=300, cwd=folder, env=os.environ | variables, check=False
    )


def test_every_snippet_is_run() -> None:
    """A file that nobody runs would be wrong one day."""
    assert {path.name for path in CLIENTS.iterdir() if path.suffix != ".md"} == set(COMMANDS)


@pytest.mark.parametrize("file", COMMANDS)
def test_snippet_prints_the_category(server: Server, tmp_path: Path, file: str) -> None:
    """Also of a text that has to be escaped."""
    done = run(file, server, tmp_path, PUPPET_TOKEN=TOKEN)

    assert done.returncode == 0, done.stderr
    assert "Problème de connexion" in done.stdout


@pytest.mark.parametrize("file", COMMANDS)
def test_snippet_shows_why_it_is_refused(server: Server, tmp_path: Path, file: str) -> None:
    """Without its token it ends with another status than 0, and with the sentence of the problem."""
    done = run(file, server, tmp_path, PUPPET_TOKEN="")

    assert done.returncode != 0
    assert "this route needs the search token" in done.stdout + done.stderr
