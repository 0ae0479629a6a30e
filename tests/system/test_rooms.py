"""The rooms of the house: few modules in each folder, and one meaning for each name.

A folder is an activity and holds at most ten modules; within a package no two modules share a name, and within the
three packages no two classes do. So a stack trace, a search and a talk name one place (docs/decisions/0020-rooms.md).
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.system.server import ROOT

PACKAGES = ("artifacts", "trainer", "inference")
MAX_MODULES = 10
# The main path of a program stands beside the command of the same name: `python -m trainer` is no module to import.
NO_MODULES = {"__init__", "__main__"}
# Class names that still stand for two things, each with its reason; the list only gets shorter.
SAME_CLASS: Mapping[str, str] = {
    "Data": "a record of each kind of network: what a version was trained on",
    "GoldenRow": "a record of each kind of network: a row that is replayed at load",
    "Rows": "the checked rows of each kind of network, and what all of them have",
}


def modules(root: Path) -> list[Path]:
    """Return the modules of the three packages, relative to the root."""
    found = (path.relative_to(root) for package in PACKAGES for path in (root / package).rglob("*.py"))
    return sorted(path for path in found if path.stem not in NO_MODULES)


def crowded(root: Path) -> dict[str, int]:
    """Return the folders that hold too many modules, and how many."""
    counts: dict[str, int] = defaultdict(int)
    for path in modules(root):
        counts[str(path.parent)] += 1
    return {folder: count for folder, count in counts.items() if count > MAX_MODULES}


def twice(named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names that stand for more than one place, and the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in named:
        places[name].append(place)
    return {name: sorted(found) for name, found in places.items() if len(found) > 1}


def modules_twice(root: Path) -> dict[str, list[str]]:
    """Return the modules that share a name within a package."""
    return twice((f"{path.parts[0]}: {path.stem}", str(path)) for path in modules(root))


def classes_twice(root: Path) -> dict[str, list[str]]:
    """Return the classes that share a name within the three packages; a private one is its module's own affair."""
    return twice(
        (node.name, str(path))
        for path in modules(root)
        for node in ast.parse((root / path).read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )


def test_no_folder_is_crowded() -> None:
    """No folder of the three packages has over ten modules."""
    assert crowded(ROOT) == {}


def test_no_module_name_stands_twice_in_a_package() -> None:
    """A module's name says which it is; trainer and inference may each have one of a name."""
    assert modules_twice(ROOT) == {}


def test_no_class_name_stands_for_two_things() -> None:
    """A class's name says which it is, whatever the package."""
    assert {name: found for name, found in classes_twice(ROOT).items() if name not in SAME_CLASS} == {}


def test_known_pairs_of_classes_are_still_pairs() -> None:
    """A pair that has been renamed is taken off the list, so that it cannot come back."""
    assert set(SAME_CLASS) <= set(classes_twice(ROOT))


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Give three packages that keep the rules: ten modules in one folder, one module name in two packages."""
    for name in (*(f"trainer/room/m{number}" for number in range(10)), "trainer/app", "inference/app", "artifacts/a"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"class In{path.parent.name}{path.stem}:\n    class Part: ...\n\n\nclass _Own: ...\n")
        (path.parent / "__init__.py").touch()
    assert (crowded(tmp_path), modules_twice(tmp_path), classes_twice(tmp_path)) == ({}, {}, {})
    return tmp_path


def test_what_breaks_the_rules_is_found(house: Path) -> None:
    """An eleventh module, a module's name in another room and a class's name in another package are each named."""
    (house / "trainer/room/eleventh.py").touch()
    (house / "trainer/other").mkdir()
    (house / "trainer/other/app.py").touch()
    (house / "artifacts/b.py").write_text("class Ininferenceapp: ...\n")

    assert crowded(house) == {"trainer/room": 11}
    assert modules_twice(house) == {"trainer: app": ["trainer/app.py", "trainer/other/app.py"]}
    assert classes_twice(house) == {"Ininferenceapp": ["artifacts/b.py", "inference/app.py"]}
