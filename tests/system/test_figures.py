"""The figures of the chapters: drawn from the numbers of real runs, in both languages, for eyes and for ears."""

import importlib.util
import re
import tomllib
import xml.etree.ElementTree as ET
from types import ModuleType
from typing import Any

import pytest

from tests.system.server import ROOT

FIGURES = ROOT / "docs" / "figures"
NAMES = (
    *("ids", "unrolled", "gates", "padded", "softmax", "padding", "padding-loss", "coverage", "reliability", "turns"),
    *("life", "frontier", "differences", "attention"),
)
LANGUAGES = ("en", "fr")
BOTH = [(name, language) for name in NAMES for language in LANGUAGES]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """Give the script that draws the figures."""
    spec = importlib.util.spec_from_file_location("draw_figures", FIGURES / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_figure_is_what_the_script_draws(drawing: ModuleType, name: str, language: str) -> None:
    """The committed picture is drawn from the committed numbers; `python docs/figures/draw.py` draws it again."""
    assert (FIGURES / f"{name}.{language}.svg").read_text("utf-8") == drawing.draw(name, language)


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_figure_can_be_read_and_heard(name: str, language: str) -> None:
    """It has a title and a description by its id, follows light and dark, and no text lies outside of it."""
    root = ET.parse(FIGURES / f"{name}.{language}.svg").getroot()
    _, _, width, height = map(float, root.get("viewBox", "").split())
    parts = {child.get("id"): child.text or "" for child in root if child.tag in (f"{SVG}title", f"{SVG}desc")}

    assert root.get("role") == "img"
    assert root.get("lang") == language
    assert list(parts) == root.get("aria-labelledby", "").split()
    assert [said for said in parts.values() if len(said) < 10 or "{" in said] == []
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    texts = list(root.iter(f"{SVG}text"))
    assert texts
    for text in texts:
        x, y = float(text.get("x", "-1")), float(text.get("y", "-1"))
        # 5 pixels are less than a character is wide, on the mean: nobody's font makes a text narrower than this.
        long = 5 * len(text.text or "")
        start = {"start": x, "middle": x - long / 2, "end": x - long}[text.get("text-anchor", "start")]
        assert start >= 0, text.text
        assert start + long <= width, text.text
        assert 8 <= y <= height, text.text


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_figure_stands_in_a_chapter(name: str, language: str) -> None:
    """A chapter of its language shows it, with a text for those who do not see it, in a paragraph of its own."""
    chapters = [path.read_text("utf-8") for path in sorted((ROOT / "docs" / language).glob("[0-9]*.md"))]
    shown = [re.search(rf"\n\n!\[(.+)\]\(\.\./figures/{name}\.{language}\.svg\)\n\n", text) for text in chapters]

    (found,) = filter(None, shown)
    assert len(found[1]) > 10


def test_all_figures_are_tested(drawing: ModuleType) -> None:
    """Each figure that the script draws is in this file; no other picture lies there."""
    assert tuple(drawing.FIGURES) == NAMES
    assert {path.name for path in FIGURES.glob("*.svg")} == {f"{name}.{language}.svg" for name, language in BOTH}


def test_both_languages_say_everything() -> None:
    """The words of the figures have the same keys in both languages."""
    english, french = (tomllib.loads((FIGURES / "words" / f"{one}.toml").read_text("utf-8")) for one in LANGUAGES)

    assert {name: set(words) for name, words in french.items()} == {name: set(words) for name, words in english.items()}


def test_numbers_change_the_figure(drawing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure is drawn from runs.json: other numbers, another figure."""
    before = {name: drawing.draw(name, "en") for name in NAMES}
    read = drawing.json.loads

    def changed(text: str) -> Any:
        runs = read(text)
        runs["ticket"]["tokens"][0], runs["ticket"]["z"][0][0] = "other", 0.123
        runs["batch"][0][0] = 77
        runs["coverage"]["right"][0] = not runs["coverage"]["right"][0]
        runs["reliability"]["after"]["bins"][0][1] = 0.123
        runs["turns"]["comes"][0] = 0.123
        runs["store"][0]["serves"] = 7
        runs["frontier"]["shapes"][0]["accuracy"] = 0.86
        runs["differences"]["64"][0] = 0.123
        runs["attention"]["gru"][0] = 123456
        for curve in runs["curves"]["runs"].values():
            curve["loss"][-1], curve["accuracy"][-1] = 0.1234, 0.1234
        return runs

    monkeypatch.setattr(drawing.json, "loads", changed)

    assert [name for name in NAMES if drawing.draw(name, "en") == before[name]] == []
