"""The exercises of the chapters: their checks refuse what is not solved or wrong, and accept the solutions.

All exercises are run together, once for each state they can be in, because starting pytest and torch takes longer than
the checks do.
"""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
EXERCISES = ROOT / "docs" / "exercises" / "en"
# In the solution of each exercise, a line and the mistake that a learner is likely to make there.
MISTAKES = {
    "ex_ngrams": ("% num_buckets + 1", "% num_buckets"),  # row 0 is padding
    "ex_gru_step": ("r_H * of_state_n", "(u_3HH @ (r_H * h_H) + c_3H)[2 * len(h_H) :]"),  # reset before the product
    "ex_linear": ("(counts_NV > 0).sum(axis=0)", "counts_NV.sum(axis=0)"),  # counts words and not tickets
    "ex_gru_back": ("d_h_BH * step.z + of_state", "of_state"),  # the straight way is forgotten
    "ex_attention": ("np.where(is_padding_BT[:, None, :], -np.inf, fits_BTT)", "fits_BTT"),  # looks at the padding
    "ex_buckets": (", key=lambda ticket: lengths[ticket])", ")"),  # sorted by number instead of length
    "ex_dropout": ("values / (1 - share)", "values"),  # the mean shrinks
    "ex_temperature": ("return 1 / low", "return low"),  # s instead of T
    "ex_gates": ("np.concatenate((z, r, n))", "np.concatenate((r, z, n))"),  # the order of PyTorch
    "ex_folding": ("weight_HF @ (mean_F / std_F)", "weight_HF @ mean_F"),  # a mean that is not divided
    "ex_replies": ("continue  #", "break  #"),  # the first quoted line taken for the end of the answer
    "ex_two_bugs": ("len(lengths_B)), lengths_B - 1]", "len(lengths_B)), -1]"),  # the state after the padding
    "ex_better_or_lucky": ("range(num_wins, num", "range(num_wins + 1, num"),  # more wins instead of as many or more
    "ex_batches": ("arrivals[end] <= begin", "arrivals[end] <= begin + run_ms"),  # joins a run that has begun
    "ex_abstain": ("place >= num_least", "place > num_least"),  # one ticket more than it takes
    "ex_occlusion": ("sum(others)", "max(1 - row[label], 1e-12)"),  # what is left of 1 has lost its digits
    "ex_wrong_categories": ("says_NC[given_N == label, label].mean()", "says_NC[:, label].mean()"),  # of all tickets
    "ex_names": ('normalize("NFKD"', 'normalize("NFC"'),  # an accent stays on its letter
    "ex_exponential": ("np.rint(t_N)", "np.trunc(t_N)"),  # towards 0, so the rest is up to 1
}
WITHOUT_TORCH = (
    *("ex_ngrams", "ex_batches", "ex_abstain", "ex_occlusion", "ex_wrong_categories", "ex_names"),
    *("ex_exponential", "ex_buckets", "ex_dropout"),
)
NAMES = [name if name in WITHOUT_TORCH else pytest.param(name, marks=pytest.mark.torch) for name in MISTAKES]

Outcomes = dict[str, list[str]]  # exercise -> of each of its tests, "passed" or the message of its failure


def outcomes(folder: Path) -> Outcomes:
    """Run the checks in `folder` as a reader does, and return what each came to."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    options = ["-p", "no:cacheprovider", "--continue-on-collection-errors", f"--junitxml={report}", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*command, *options], cwd=folder, env=environment, check=False, timeout=300, stdout=subprocess.DEVNULL
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):
        faults = [str(child.get("message")) for child in case if child.tag in ("failure", "error", "skipped")]
        name = case.get("classname", "").removeprefix("test_")
        found[name].append(faults[0] if faults else "passed")
    return found


def copied(folder: Path) -> Path:
    """Copy the exercises as the reader finds them to `folder`."""
    return Path(shutil.copytree(EXERCISES, folder, ignore=shutil.ignore_patterns("solutions", "__pycache__")))


@pytest.fixture(scope="module")
def unsolved(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Give the outcomes on the files as they are in the repository."""
    return outcomes(copied(tmp_path_factory.mktemp("unsolved") / "exercises"))


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Give the outcomes with each solution in the place of its exercise."""
    folder = copied(tmp_path_factory.mktemp("solved") / "exercises")
    for name in MISTAKES:
        shutil.copy(EXERCISES / "solutions" / f"{name}.py", folder)
    return outcomes(folder)


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Give the outcomes with a mistake in each solution."""
    folder = copied(tmp_path_factory.mktemp("mistaken") / "exercises")
    for name, (right, wrong) in MISTAKES.items():
        solution = (EXERCISES / "solutions" / f"{name}.py").read_text("utf-8")
        assert solution.count(right) == 1, f"the line of {name} that the mistake replaces"
        (folder / f"{name}.py").write_text(solution.replace(right, wrong), "utf-8")
    return outcomes(folder)


@pytest.mark.parametrize("name", NAMES)
def test_unsolved_exercise_fails(unsolved: Outcomes, name: str) -> None:
    """Every test of the check fails, and says that the function is still to be written."""
    assert unsolved[name]
    assert all(message.startswith("NotImplementedError: write ") for message in unsolved[name]), unsolved[name]


@pytest.mark.parametrize("name", NAMES)
def test_solution_passes(solved: Outcomes, unsolved: Outcomes, name: str) -> None:
    """With the solution in place every test of the check passes."""
    assert solved[name] == ["passed"] * len(unsolved[name])


@pytest.mark.parametrize("name", NAMES)
def test_likely_mistake_is_noticed(mistaken: Outcomes, name: str) -> None:
    """A solution with the mistake that the chapter warns of fails, by a comparison and not by accident."""
    faults = [message for message in mistaken[name] if message != "passed"]

    assert faults
    assert all("assert" in message.lower() for message in faults), faults


def test_every_exercise_is_checked() -> None:
    """Each exercise has its check, its solution with the same functions documented, and a place in this file."""
    found = sorted(path.stem for path in EXERCISES.glob("ex*.py"))

    assert found == sorted(MISTAKES)
    assert sorted(path.stem for path in (EXERCISES / "solutions").glob("*.py")) == found
    assert sorted(path.stem for path in EXERCISES.glob("test_*.py")) == [f"test_{name}" for name in found]


@pytest.fixture(scope="module")
def translating() -> ModuleType:
    """Give the script that writes the French exercises; it lies in no package."""
    spec = importlib.util.spec_from_file_location("translate_exercises", EXERCISES.parent / "translate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def what_runs(source: str) -> str:
    """Return a program without its docstrings, its comments and what an unwritten function says."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NotImplementedError":
            node.args = []
    return ast.dump(tree)


def test_french_exercises_are_the_same_programs(translating: ModuleType) -> None:
    """Each exercise, check and solution is there in French, says every line in French and runs the same code.

    `python docs/exercises/translate.py` writes them again.
    """
    french = translating.words()
    twins = translating.twins()

    for english, path in twins.items():
        source = english.read_text("utf-8")
        translated, missing = translating.in_french(source, french)
        assert missing == [], english.name
        assert path.read_text("utf-8") == translated
        assert what_runs(translated) == what_runs(source)
    assert sorted(EXERCISES.parent.joinpath("fr").rglob("*.py")) == sorted(twins.values())


def test_every_french_line_is_said(translating: ModuleType) -> None:
    """No translation is left of a line that is gone, and none says its line in English."""
    sources = "\n".join(path.read_text("utf-8") for path in translating.twins())
    found = {line.strip().strip('"') for line in sources.splitlines()}

    french = translating.words()

    assert [line for line in french if not any(line in one for one in found)] == []
    assert [line for line, translated in french.items() if line == translated and " " in line] == []


def test_line_without_a_translation_is_named(translating: ModuleType) -> None:
    """A comment that nobody has translated is found, and code that looks like text is left alone."""
    source = '"""Known."""\n\nname = "Known."  # new\nother = 1  # type: ignore[assignment]\n'

    translated, missing = translating.in_french(source, {"Known.": "Connu."})

    assert translated == source.replace('"""Known."""', '"""Connu."""')
    assert missing == ["new"]
