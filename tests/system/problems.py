"""Where the code names a problem: each call that makes an error, a fault or a message, read from the source.

Used by the test of the sentences. As a program it writes the table of the statuses that the pages of the types show.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import artifacts.errors
import inference.errors
import inference.settings
import trainer.data.columns
import trainer.data.files
from artifacts.errors import PuppetError
from artifacts.problems.sentences import sentences

ROOT = Path(__file__).parents[2]
PACKAGES = ("artifacts", "trainer", "inference")
MODULES = (artifacts.errors, inference.errors, inference.settings, trainer.data.columns, trainer.data.files)

TABLE = ROOT / "inference" / "problem_statuses.toml"
HEAD = "# With which statuses each type of problem is answered: written by `python -m tests.system.problems`.\n"
# Where errors are shown on a terminal and never answered.
NEVER_ANSWERED = (
    "inference/settings.py", "inference/tokens.py", "inference/server/cli.py", "inference/server/listeners.py",
    "trainer/cli/", "trainer/kinds.py",
)  # fmt: skip
# Answered without an error of ours: what Litestar refuses, and bugs.
ANSWERED = {
    "no-such-route": 404,
    "method-not-allowed": 405,
    "body-too-large-for-route": 413,
    "query-does-not-fit": 400,
    "request-refused": 400,
    "internal-error": 500,
}


class Named(NamedTuple):
    """A place that names a problem.

    Attributes:
        place: file and line.
        by: the class of the error, or `Fault` or `message`.
        types: the problems that it may be; empty if the code does not say so in words.
        parameters: the names that it gives; None if some come from a mapping.
    """

    place: str
    by: str
    types: list[str]
    parameters: set[str] | None


def errors() -> dict[str, type[PuppetError]]:
    """Return every class of error by name."""

    def below(kind: type[PuppetError]) -> Iterator[type[PuppetError]]:
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    return {kind.__name__: kind for kind in below(PuppetError) if kind.__module__.split(".")[0] in PACKAGES}


def named() -> list[Named]:
    """Return every place in the three packages, in the order of files and lines."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (made := _made(node)) is not None:
                by, first = made
                names = [keyword.arg for keyword in node.keywords]
                parameters = None if None in names else {name for name in names if name}
                if by == "message":
                    parameters = _keys(node.args[1]) if len(node.args) > 1 else set()
                found.append(Named(f"{path.relative_to(ROOT)}:{node.lineno}", by, _texts(first), parameters))
    return found


def statuses() -> dict[str, list[int]]:
    """Return the statuses that each type of problem is answered with, from the classes of the errors that name it."""
    found: dict[str, set[int]] = {type_: {status} for type_, status in ANSWERED.items()}
    for one in named():
        if one.by in errors() and not one.place.startswith(NEVER_ANSWERED):
            for type_ in sentences("en").keys() & set(one.types):
                found.setdefault(type_, set()).add(_status(errors()[one.by]))
    return {type_: sorted(found[type_]) for type_ in sorted(found)}


def _status(kind: type[PuppetError]) -> int:
    """Return the status of a class of error; one that only the trainer raises has that of its base."""
    return next(inference.errors.STATUS[base] for base in kind.__mro__ if base in inference.errors.STATUS)


def as_toml(table: dict[str, list[int]]) -> str:
    """Return a table of statuses as its file has it."""
    return "".join([HEAD, *(f"{type_} = {found}\n" for type_, found in table.items())])


def _made(node: ast.Call) -> tuple[str, ast.expr | None] | None:
    """Return what a call makes and the expression of its type; None if it makes no problem."""
    function = node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    if name == "of" and isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "Fault":
        return "Fault", node.args[1] if len(node.args) > 1 else None
    if name == "Fault":
        return "Fault", None  # made by hand, without a type
    if name in errors() or name == "message":
        return name, node.args[0] if node.args else None
    return None


def _texts(node: ast.expr | None) -> list[str]:
    """Return the texts that an expression may be: a literal, or one literal or another."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    return []


def _keys(node: ast.expr) -> set[str] | None:
    """Return the keys of a literal mapping; None of any other."""
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    return None


if __name__ == "__main__":
    TABLE.write_text(as_toml(statuses()), "utf-8")
