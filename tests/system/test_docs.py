"""The documents under docs/: their examples run, their figures are the code's, both languages say the same.

A block marked `python` is a doctest, a block marked `sh` holds commands, a block marked `text` is only to read. Blocks
run in order, in an empty folder of their own, so that an example may use the model that a command trained.
"""

import doctest
import re
import shlex
import urllib.parse
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from trainer.cli.main import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILES = sorted(DOCS.rglob("*.md"))
CHAPTERS = list(zip(*(sorted((DOCS / language).glob("[0-9]*.md")) for language in ("en", "fr")), strict=True))
# A French chapter has the blocks of the English one, to the byte (test_languages_are_in_step), so these run once.
# Those of docs/use.md need a server, which tests/system/test_readme.py starts.
RUN = [path for path in FILES if path not in {french for _, french in CHAPTERS} and path.stem not in ("use", "use.fr")]
EXERCISE = {"en": "Exercise", "fr": "Exercice"}
SPACE = "\u00a0"  # does not break; French sets it before ; : ! ? and inside its quotation marks


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the file after which it starts."""

    language: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    text = path.read_text("utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2))) for match in found]


def prose(path: Path) -> list[str]:
    """Return the lines between the blocks, without inline code and without the addresses of links."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    # An image is a link with a ! before it, which is no sign of the sentence.
    return re.sub(r"`[^`\n]*`", "`", re.sub(r"\]\([^)\n]*\)", "]", text).replace("![", "[")).splitlines()


def needs_torch(path: Path) -> bool:
    """Return whether a block of the document imports torch, or a command of it does."""
    return any(re.search(r"\btorch\b|^puppet-train|\btrainer\.", block.text, re.MULTILINE) for block in blocks(path))


def named(path: Path) -> str:
    """Return the document's path as pytest shows it."""
    return str(path.relative_to(DOCS))


def run_command(command: str) -> None:
    """Run one command of a document, or check that what it runs is there."""
    words = shlex.split(command)
    if words[0] == "puppet-train":
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
    elif words[0] == "pytest":  # an exercise: tests/system/test_exercises.py runs it, unsolved and solved
        assert [word for word in words[1:] if not (ROOT / word).is_file()] == [], command
    elif words[:3] == ["python", "-m", "docs.mini"]:  # the course: tests/system/test_mini_steps.py plays the learner
        assert words[3] in ("start", "check"), command
    else:
        pytest.fail(f"no test runs `{command}`: teach run_command to, or mark the block as text")


def run_examples(block: Block, path: Path, names: dict[str, object]) -> None:
    """Run a block's examples with the names that the blocks before it have left, and add its own."""
    test = doctest.DocTestParser().get_doctest(block.text, {}, path.stem, str(path), block.line)
    assert test.examples, f"{path}:{block.line}: a python block without >>>; nothing proves it"
    test.globs = names
    output: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append, clear_globs=False)
    assert not failed, "".join(output)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.torch if needs_torch(path) else (), id=named(path)) for path in RUN],
)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example prints what the document says, and every command ends well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PUPPET_STORE", raising=False)
    names: dict[str, object] = {}
    for block in blocks(path):
        if block.language == "python":
            run_examples(block, path, names)
        elif block.language in ("sh", "console"):
            for line in block.text.splitlines():
                run_command(line.removeprefix("$ "))
        else:
            assert block.language == "text", f"{path}:{block.line}: a block is python, sh or text"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file or folder of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8"))
    local = [target for target in targets if not urllib.parse.urlsplit(target).scheme]

    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_one_sentence_stands_on_a_line(path: Path) -> None:
    """No line of prose goes on after the end of a sentence."""
    cells = [cell for line in prose(path) for cell in line.split("|")]

    assert [cell for cell in cells if re.search(r"[^\d\s.][.!?][»\")]* +[A-ZÀ-ÖØ-Þ«\"`]", cell)] == []


def numbers(text: str, decimal: str, group: str) -> list[str]:
    """Return the numbers of a text in Python's spelling: all decimals, and whole ones of two digits or more."""
    found = re.findall(rf"(?<![\w{decimal}])\d+(?:{group}\d{{3}}(?!\d))*(?:{re.escape(decimal)}\d+)?(?!\w)", text)
    plain = [re.sub(group, "", number).replace(decimal, ".") for number in found]
    return sorted(number for number in plain if len(number) > 1)


def spoken(path: Path) -> list[str]:
    """Return the numbers in a chapter's prose."""
    text = "\n".join(line for line in prose(path) if not line.startswith("#"))
    return numbers(text, ",", SPACE) if path.parent.name == "fr" else numbers(text, ".", ",")


@pytest.mark.parametrize(("english", "french"), CHAPTERS, ids=lambda path: path.stem)
def test_figures_of_the_prose_are_computed(english: Path, french: Path) -> None:
    """Each number in a chapter's prose stands in an example, which ran; both languages have the same numbers."""
    # As floats, because 1.0 is the same number as 1.
    known = {float(number) for block in blocks(english) for number in re.findall(r"\d+(?:\.\d+)?", block.text)}

    assert [number for number in spoken(english) if float(number) not in known] == []
    assert spoken(french) == spoken(english)


@pytest.mark.parametrize(("english", "french"), CHAPTERS, ids=lambda path: path.stem)
def test_languages_are_in_step(english: Path, french: Path) -> None:
    """A chapter has the same number, sections, lines and, to the byte, the same blocks in both languages.

    Only the check of its exercise is another file: the one whose words are French.
    """
    assert french.stem[:3] == english.stem[:3]
    assert blocks(french) == [
        block._replace(text=block.text.replace("docs/exercises/en/", "docs/exercises/fr/")) for block in blocks(english)
    ]
    shapes = [[re.match(r"#+|- |\d\.", line) for line in prose(path)] for path in (english, french)]
    assert [match and match[0] for match in shapes[1]] == [match and match[0] for match in shapes[0]]


@pytest.mark.parametrize("path", [path for pair in CHAPTERS for path in pair], ids=named)
def test_chapter_ends_with_an_exercise(path: Path) -> None:
    """The last section is the exercise: it links to the file to fill in and to a solution, and gives the check."""
    *_, last = re.split(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE)
    heading, *_ = last.splitlines()
    language = path.parent.name
    names = [
        re.findall(pattern.format(language), last, re.MULTILINE)
        for pattern in (
            r"\(\.\./exercises/{}/(ex_\w+)\.py\)",
            r"\(\.\./exercises/{}/solutions/(ex_\w+)\.py\)",
            r"^pytest docs/exercises/{}/test_(ex_\w+)\.py$",
        )
    ]

    assert heading == EXERCISE[language]
    assert [len(found) for found in names] == [1, 1, 1]
    assert names[0] == names[1] == names[2]
    assert (DOCS / "exercises" / language / f"test_{names[0][0]}.py").is_file()


@pytest.mark.parametrize("path", [path for pair in CHAPTERS for path in pair], ids=named)
def test_chapter_begins_with_a_question_and_a_trial(path: Path) -> None:
    """Before its first section a chapter asks a question, in italics, and gives something to try."""
    opening, *_ = re.split(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE)
    _, question, *_ = opening.split("\n\n")

    assert re.fullmatch(r"\*[^*\n]+\?\*", question), question
    assert "```python\n>>> " in opening


@pytest.mark.parametrize("path", [french for _, french in CHAPTERS], ids=named)
def test_french_is_set_as_french(path: Path) -> None:
    """Signs of two parts and quotation marks have their unbreakable space, apostrophes are curved."""
    wrong = re.compile(rf"(?<!{SPACE})[;:!?»]|«(?!{SPACE})|['\"]|\s{SPACE}|{SPACE}\s")

    assert [line for line in prose(path) if wrong.search(line)] == []


def test_index_names_every_chapter() -> None:
    """docs/README.md links to each chapter in both languages, in reading order."""
    index = (DOCS / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(((?:en|fr)/\d[^)]+)\)", index)

    assert links == [f"{path.parent.name}/{path.name}" for side in zip(*CHAPTERS, strict=True) for path in side]
