"""Write the list of problems from their words: docs/en/problems.md, and docs/fr/problems.md in French.

    python docs/write_problems.py

In: the sentences in artifacts/problems, and inference/problem_statuses.toml. Out: a page for each language with a
section a type, by topic, the same to the byte for the same words (tests/system/test_problems.py).

Only the standard library is needed, so that `make docs` works before anything is installed.
"""

import re
import string
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORDS = ROOT / "artifacts" / "problems"
STATUSES = ROOT / "inference" / "problem_statuses.toml"
SPACE = "\u00a0"  # French sets one that does not break in front of a colon
PHRASES = {
    "en": {
        "head": "# Problems\n\nWritten by `make docs` from [artifacts/problems](../../artifacts/problems).\n"
        "Each error, each fault of a body or a file, and each job that ends without a version has a type from this "
        "list.\n"
        "A program looks at the type, which stays; the sentence is for people and comes in English or French "
        "(`Accept-Language`, or `LANG` on a terminal).\n"
        "What stands in italics is a member of the problem, by that name.\n",
        "status": "Status: {}.",
        "nowhere": "Status: none of its own.",
        "members": "Members: {}.",
        "joined": "; ",
    },
    "fr": {
        "head": "# Problèmes\n\nÉcrit par `make docs` d’après [artifacts/problems](../../artifacts/problems).\n"
        "Chaque erreur, chaque faute d’un corps ou d’un fichier et chaque tâche qui finit sans version a un type de "
        "cette liste.\n"
        "Un programme regarde le type, qui est stable ; la phrase est pour les personnes, en français ou en anglais "
        "(`Accept-Language`, ou `LANG` dans un terminal).\n"
        "Ce qui est en italique est un membre du problème, de ce nom.\n",
        "status": "Statut : {}.",
        "nowhere": "Statut : aucun en propre.",
        "members": "Membres : {}.",
        "joined": f"{SPACE}; ",
    },
}


def page(language: str) -> str:
    """Return the page of a language, in Markdown."""
    said = PHRASES[language]
    statuses = tomllib.loads(STATUSES.read_text("utf-8"))
    parts = [said["head"]]
    for file in sorted((WORDS / language).glob("*.toml")):
        if file.stem == "untyped":  # TRANSITION: a sentence that has no type yet
            continue
        text = file.read_text("utf-8")
        parts.append(f"## {text.splitlines()[0].removeprefix('# ').partition('. ')[0].removesuffix('.')}\n")
        for type_, words in tomllib.loads(text).items():
            parts.append(section(type_, words, statuses.get(type_, []), said))
    written = "\n".join(parts)
    if language == "fr":
        return re.sub(r"(?<=\w)'(?=[\w«`*])", "’", re.sub(r" (?=[;:!?»])|(?<=«) ", SPACE, written))
    return written


def section(type_: str, words: dict[str, Any], statuses: list[int], said: dict[str, str]) -> str:
    """Return what is said of a type: its title, its sentence, its statuses, its members."""
    fact = words.get("fact", "")
    if isinstance(fact, dict):  # worded for one and for several
        fact = fact["other"]
    sentence = words.get("seed") or ", ".join(part for part in (fact, words.get("limit")) if part)
    lines = [f"**{words['title']}**", "", shown(said["joined"].join(filter(None, (sentence, words.get("remedy")))))]
    lines += ["", said["status"].format(", ".join(map(str, statuses))) if statuses else said["nowhere"]]
    if names := members(words):
        lines.append(said["members"].format(", ".join(f"`{name}`" for name in names)))
    return "\n".join([f"### `/problems/{type_}`", "", *lines, ""])


def members(words: dict[str, Any]) -> list[str]:
    """Return the names of a type's parameters, in the order of the alphabet."""
    fact = words.get("fact", "")
    texts = [*(fact.values() if isinstance(fact, dict) else [fact]), words.get("limit", ""), words.get("remedy", "")]
    named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
    return sorted(named | ({fact["by"]} if isinstance(fact, dict) else set()))


def shown(text: str) -> str:
    r"""Return a sentence as Markdown, its parameters in italics; within backticks nothing needs either.

    >>> shown("the limit is {limit!r}, *")
    'the limit is *limit*, \\*'
    """
    found = ""
    for literal, name, _, _ in string.Formatter().parse(text):
        for place, part in enumerate(literal.split("`")):
            found += "`" if place else ""
            found += part if found.count("`") % 2 else re.sub(r"([*\\<\[\]])", r"\\\1", part)
        if name:
            found += name if found.count("`") % 2 else f"*{name}*"
    return found


def main() -> None:
    """Write the pages."""
    for language in PHRASES:
        (ROOT / "docs" / language / "problems.md").write_text(page(language), "utf-8")


if __name__ == "__main__":
    main()
