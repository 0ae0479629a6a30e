"""What messages and documents say of installing: an extra of this project comes from its checkout alone.

The project stands on no registry; `pip install puppet-o2` would run the code of whoever takes the name there.
"""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.accuracy.learners import PEERS
from benchmarks.common.options import how_to_install
from tests.system.server import ROOT

SOURCES = sorted(
    file
    for package in ("artifacts", "trainer", "inference", "benchmarks", "docs")
    for file in (ROOT / package).rglob("*.py")
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "demo.py", *(ROOT / "docs").rglob("*.md")])
ONE_PLACE = ROOT / "benchmarks" / "common" / "options.py"
SENTENCES = sorted((ROOT / "artifacts" / "problems").glob("*/*.toml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BY_NAME = re.compile(rf"pip install[^\n`]*?(?<![\w./-]){PROJECT['name']}", re.IGNORECASE)


def words(text: str) -> str:
    """Return a text on one line: a sentence may be broken anywhere, and a string of Python too."""
    return re.sub(r'\s*"?\s*\n\s*f?"?', " ", text)


def test_one_function_says_how_to_install_an_extra() -> None:
    """No other source says `pip install`, so none can say it of a name that is not ours; users read it in sentences."""
    found = [file for file in SOURCES if re.search(r"pip3? +install", words(file.read_text("utf-8")))]

    assert found == [ONE_PLACE]


@pytest.mark.parametrize("path", [*SOURCES, *SENTENCES, *DOCUMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_sent_to_a_registry_for_this_project(path: Path) -> None:
    """Neither a message nor a document installs the project by its name."""
    text = path.read_text("utf-8")

    assert BY_NAME.search(words(text)) is None


@pytest.mark.parametrize(
    "text", ["pip install puppet-o2", "pip install 'puppet-o2[tune]'", "run pip install\n-U puppet-o2"]
)
def test_search_finds_the_name(text: str) -> None:
    """The pattern of the test above matches what it is to find, also over the end of a line."""
    assert BY_NAME.search(words(text))
    assert not BY_NAME.search(how_to_install("tune"))


def test_every_extra_that_is_named_exists() -> None:
    """What a message says to install is an extra of pyproject.toml, and the command is the one of the Makefile."""
    sentences = "".join(file.read_text("utf-8") for file in SENTENCES)
    said = re.findall(r"pip install [^\n\"]*?\[(\w+)\]'", sentences)
    named = set(said) | {peer.extra for peer in PEERS.values() if peer.extra}

    assert named >= {"mail", "report", "train", "tune"}
    assert named <= PROJECT["optional-dependencies"].keys()
    assert len(said) == sentences.count("pip install")
    for extra in said:
        assert how_to_install(extra).partition(": ")[2].partition("]")[0] in sentences
    for extra in named:
        assert f"pip install -c constraints.txt -e '.[{extra}]'" in how_to_install(extra)
