"""Write the exercises in French: docs/exercises/fr, from those in docs/exercises/en.

    python docs/exercises/translate.py

In: en/*.py, en/solutions/*.py, and fr.toml, which has a French line for each English one. Out: the same programs with
other docstrings, other comments, and another sentence where a function is still to be written. What Python runs is not
touched: an exercise, its check and its solution are the same programs in both languages
(tests/system/test_exercises.py).
"""

import io
import re
import tokenize
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
CHAPTERS = HERE.parent / "fr"
READ = re.compile(r"Read docs/en/(\d\d)-[\w-]+\.md, fill in the (function|two functions|functions), and run$")
FUNCTIONS = {"function": "la fonction", "two functions": "les deux fonctions", "functions": "les fonctions"}
NOT_TEXT = re.compile(r"(type|fmt|noqa)\b")  # comments that are for programs
# A string is a docstring if it begins a line of the program; before it stands one of these, or nothing.
BEFORE_A_DOCSTRING = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def words() -> dict[str, str]:
    """Return English line -> French line."""
    return tomllib.loads((HERE / "fr.toml").read_text("utf-8"))


def said(line: str, french: dict[str, str], missing: list[str]) -> str:
    """Return one line of text in French; a line without a translation is added to `missing` and stays."""
    bare = line.strip()
    if not re.search(r"[^\W\d_]{3}", bare):  # a formula
        return line
    if found := READ.match(bare):
        (chapter,) = CHAPTERS.glob(f"{found[1]}-*.md")
        translated = f"Lisez docs/fr/{chapter.name}, complétez {FUNCTIONS[found[2]]}, puis lancez"
    elif bare.startswith("pytest docs/exercises/en/"):
        translated = bare.replace("/en/", "/fr/")
    elif bare in french:
        translated = french[bare]
    else:
        missing.append(bare)
        translated = bare
    return line.replace(bare, translated)


def in_french(source: str, french: dict[str, str]) -> tuple[str, list[str]]:
    """Return a program with its text in French, and the lines that have no translation."""
    missing: list[str] = []
    lines = source.splitlines(keepends=True)
    before, previous = tokenize.NEWLINE, ["", ""]
    # From the end to the beginning, so that no place moves before it is used.
    edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.removeprefix("# ")
            if not NOT_TEXT.match(text):
                edits.append((token.start, token.end, f"# {said(text, french, missing)}"))
            continue
        if token.type == tokenize.NL:
            continue
        is_docstring = token.type == tokenize.STRING and before in BEFORE_A_DOCSTRING
        if is_docstring:
            inside = token.string[3:-3]
            edits.append((token.start, token.end, f'"""{"".join(_each_line(inside, french, missing))}"""'))
        elif token.type == tokenize.STRING and previous == ["NotImplementedError", "("]:
            edits.append((token.start, token.end, f'"{said(token.string[1:-1], french, missing)}"'))
        before, previous = token.type, [previous[1], token.string]
    for (row, column), (last_row, last_column), text in reversed(edits):
        head, tail = lines[row - 1][:column], lines[last_row - 1][last_column:]
        lines[row - 1 : last_row] = [head + text + tail]
    return "".join(lines), missing


def _each_line(text: str, french: dict[str, str], missing: list[str]) -> list[str]:
    """Return the lines of a docstring in French, with their ends."""
    return [said(line, french, missing) for line in text.splitlines(keepends=True)]


def twins() -> dict[Path, Path]:
    """Return English file -> French file."""
    found = sorted([*(HERE / "en").glob("*.py"), *(HERE / "en" / "solutions").glob("*.py")])
    return {path: HERE / "fr" / path.relative_to(HERE / "en") for path in found}


def main() -> None:
    """Write every file, or say which lines have no translation."""
    french, untranslated = words(), []
    for english, path in twins().items():
        text, missing = in_french(english.read_text("utf-8"), french)
        untranslated += [f"{english.name}: {line}" for line in missing]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    if untranslated:
        raise SystemExit("no French line in fr.toml:\n" + "\n".join(untranslated))


if __name__ == "__main__":
    main()
