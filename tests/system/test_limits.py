"""A limit of time in a test guards against hanging only: it is a minute or more, so that a busy machine fails nothing.

Where a wait must be short because it waits for what does not come, the line says so: `# short on purpose`.
"""

import ast
from pathlib import Path

import pytest

from tests.system.server import ROOT

LEAST_S = 60
LIMITS = {"timeout", "within_s"}  # keywords of what waits
CLOCKS = {"perf_counter", "monotonic"}  # process_time stands still while others have the core
EXCUSE = "# short on purpose"


def calls(node: ast.AST) -> set[str]:
    """Return the names that are called in an expression."""
    called = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    names = {one.id for one in called if isinstance(one, ast.Name)}
    return names | {one.attr for one in called if isinstance(one, ast.Attribute)}


def is_short(node: ast.expr) -> bool:
    """Return whether an expression is a number of seconds below the least."""
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value < LEAST_S


def is_timed(node: ast.Compare) -> bool:
    """Return whether seconds of wall time are compared with a number below the least."""
    return bool(CLOCKS & calls(node)) and any(map(is_short, (node.left, *node.comparators)))


def short_limits(source: str) -> list[int]:
    """Return the lines that end a wait after less than a minute, or want something done by a clock on the wall."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in LIMITS and is_short(node.value):
            found.add(node.value.lineno)
        elif isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and is_timed(node.test):
            found.add(node.lineno)
    return sorted(line for line in found if EXCUSE not in source.splitlines()[line - 1])


@pytest.mark.parametrize("folder", ["tests", "docs/exercises"])
def test_limits_only_guard_against_hanging(folder: str) -> None:
    """No test waits less than a minute for what must come, and none asserts seconds of wall time."""
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__) and (lines := short_limits(path.read_text("utf-8")))
    }

    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "worker.communicate(timeout=5)",
        "assert time.perf_counter() - start < 5",
        "assert monotonic() - began <= 0.5",
        "subprocess.run(words, timeout=10.0)",
    ],
)
def test_short_limit_is_noticed(line: str) -> None:
    """A wait of some seconds is found, a minute is none, and one that says why it is short is let through."""
    assert short_limits(f"x = 1\n{line}\n") == [2]
    assert short_limits(f"x = 1\n{line}  {EXCUSE}: nothing is to come\n") == []
    assert short_limits("worker.communicate(timeout=60)\nassert time.process_time() - start < 5\n") == []
