"""The maps of the house: the picture is what the imports say, and the pages name only what is there."""

import ast
import importlib.util
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from tests.system.server import ROOT
from tests.system.test_docs import SPACE, prose

PAGES = {"en": ROOT / "docs" / "architecture.md", "fr": ROOT / "docs" / "architecture.fr.md"}
PACKAGES = ("artifacts", "trainer", "inference")
NAMED = r"`((?:artifacts|trainer|inference)/[\w/]+\.py)(?::([\w.]+))?`"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """Give the script that draws the house."""
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lacking(text: str, root: Path = ROOT) -> list[str]:
    """Return the files, and the functions and classes of files, that a page names and that are not there."""
    found = []
    for file, name in re.findall(NAMED, text):
        path = root / file
        if not path.is_file() or (name and not defines(ast.parse(path.read_text("utf-8")), name.split("."))):
            found.append(f"{file}:{name}" if name else file)
    return found


def defines(tree: ast.AST, names: list[str]) -> bool:
    """Return whether a module, or a class within it, defines a function or class of a dotted name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == names[0]:
            return len(names) == 1 or defines(node, names[1:])
    return False


@pytest.mark.parametrize("language", PAGES)
def test_picture_is_what_the_imports_say(drawing: ModuleType, language: str) -> None:
    """The committed picture is what the script draws now; `make docs` draws it again."""
    assert drawing.target(language).read_text("utf-8") == drawing.draw(language), "run `make docs`"
    assert f"({drawing.target(language).name})" in PAGES[language].read_text("utf-8")


@pytest.mark.parametrize("language", PAGES)
def test_picture_shows_every_module_in_words_too(drawing: ModuleType, language: str) -> None:
    """Each module of the three packages stands in the picture and in its description; it is well-formed."""
    root = ET.fromstring(drawing.draw(language))
    name = "{http://www.w3.org/2000/svg}"
    shown = [text.text for text in root.iter(f"{name}text")]
    described = root.findtext(f"{name}desc") or ""

    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if not path.stem.startswith("__"):
                assert path.stem in shown, path
                assert re.search(rf"\b{path.stem}\b", described), path
    assert root.findtext(f"{name}title")
    assert "prefers-color-scheme: dark" in (root.findtext(f"{name}style") or "")


def test_picture_follows_the_imports(drawing: ModuleType, tmp_path: Path) -> None:
    """A new import and a new module change the picture: it is not drawn from anything else."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "models"))
    assert drawing.draw("en", tmp_path) == drawing.draw("en")
    (tmp_path / "artifacts/text/brand_new.py").write_text("import artifacts.evaluation.metrics\n")

    drawn = drawing.draw("en", tmp_path)

    assert "brand_new" in drawn
    text = next(room for room in drawing.rooms("artifacts", tmp_path) if room.path == "artifacts/text")
    assert "artifacts/evaluation" in text.uses
    as_it_is = next(room for room in drawing.rooms("artifacts", ROOT) if room.path == "artifacts/text")
    assert "artifacts/evaluation" not in as_it_is.uses


@pytest.mark.parametrize("language", PAGES)
def test_page_names_what_is_there(language: str) -> None:
    """Every file, function and class that the page names exists, and each step of both ways names one."""
    text = PAGES[language].read_text("utf-8")
    steps = re.findall(r"^\d+\. .*$", text, re.MULTILINE)

    assert lacking(text) == []
    assert len(steps) > 30
    assert [step for step in steps if not re.search(NAMED, step)] == []


@pytest.mark.parametrize(
    "named",
    [
        "trainer/nowhere.py",
        "trainer/run.py:nothing",
        "inference/search/batcher.py:Batcher.nothing",
        "artifacts/run.py:fit",
    ],
)
def test_name_of_nothing_is_noticed(named: str) -> None:
    """A file, a function and a method that do not exist are found."""
    assert lacking(f"`{named}` and `trainer/run.py:fit`") == [named]


def test_both_languages_take_the_same_steps() -> None:
    """The same files and functions, in the same order and under the same headings."""
    english, french = (PAGES[language].read_text("utf-8") for language in ("en", "fr"))

    assert re.findall(NAMED, french) == re.findall(NAMED, english)
    marks = [re.findall(r"^(?:#+|\d+\.|-|!)(?= |\[)", text, re.MULTILINE) for text in (english, french)]
    assert marks[0] == marks[1]


def test_french_page_is_set_as_french() -> None:
    """Signs of two parts have their unbreakable space, apostrophes are curved."""
    wrong = re.compile(rf"(?<!{SPACE})[;:!?»]|«(?!{SPACE})|['\"]|\s{SPACE}|{SPACE}\s")

    assert [line for line in prose(PAGES["fr"]) if wrong.search(line.removeprefix("!"))] == []


@pytest.mark.parametrize("language", PAGES)
def test_core_is_read_in_the_order_of_the_picture(drawing: ModuleType, language: str) -> None:
    """The last list of the page is the core, which the picture shows in blue."""
    *_, core = PAGES[language].read_text("utf-8").split("\n## ")

    assert [file for file, _ in re.findall(NAMED, core)] == list(drawing.CORE)


@pytest.mark.parametrize("language", PAGES)
def test_every_room_is_in_the_tree(language: str) -> None:
    """The tree of the page names each folder of the three packages, and no other."""
    (tree,) = re.findall(r"^(artifacts/ .*?)^tests/", PAGES[language].read_text("utf-8"), re.MULTILINE | re.DOTALL)
    there = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

    shown = sorted(re.findall(r"(?<![\w/])(\w+)/(?= )", tree))

    assert shown == sorted(folder.name for folder in there)
    assert [
        file for file in re.findall(r"\b\w+\.py\b", tree) if not any((ROOT / p / file).is_file() for p in PACKAGES)
    ] == []
