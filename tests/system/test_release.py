"""What is released: the wheel holds every file of the packages, and what checks it notices one that is missing."""

import ast
import fnmatch
import importlib.util
import io
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.system.server import ROOT

PACKAGES = ("artifacts", "trainer", "inference")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
KEPT_OUT = ("__pycache__", "models")  # bytecode, and the default store artifacts/models


def files(root: Path = ROOT) -> list[Path]:
    """Return the files of the three packages, relative to the root."""
    # Not what an editable installation has compiled: setup.py puts the kernel into a wheel.
    found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
    kept = (path.relative_to(root) for path in found if path.suffix != ".kernel")
    return sorted(path for path in kept if not set(KEPT_OUT) & set(path.parts))


def packaged(root: Path, path: Path) -> bool:
    """Return whether a wheel takes the file: a module or data of a package, or data that a package above it names."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    folders = list(path.parents)[:-1]
    if all((root / folder / "__init__.py").is_file() for folder in folders):
        return path.suffix == ".py" or any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns["*"])
    # The folder `en` is no package, so its files need a pattern such as "en/*.toml" of the package that holds it.
    return any(
        path.parent == folder / Path(pattern).parent and fnmatch.fnmatch(path.name, Path(pattern).name)
        for folder in folders
        for pattern in patterns.get(".".join(folder.parts), [])
    )


def left_out(root: Path = ROOT) -> list[Path]:
    """Return what a wheel would lack: files of a folder that is no package, and data that pyproject does not name."""
    return [path for path in files(root) if not packaged(root, path)]


def test_wheel_holds_every_file() -> None:
    """Every folder below the packages is one, and every data file has a name that pyproject gives."""
    assert left_out() == []
    for package in PACKAGES:
        assert Path(package, "py.typed") in files()


@pytest.mark.parametrize(
    "file",
    [
        "trainer/report/words.csv",
        "artifacts/new/module.py",
        "inference/page/other/page.css",
        "artifacts/problems/de/rows.toml",
        "artifacts/problems/en/module.py",
    ],
)
def test_file_that_a_wheel_would_lack_is_noticed(tmp_path: Path, file: str) -> None:
    """Data of another kind, and a module in a folder without `__init__.py`, are found."""
    for path in (*files(), Path(file)):
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()

    assert left_out(tmp_path) == [Path(file)]


@pytest.fixture
def check() -> ModuleType:
    """Give the module of `make release`, which is in no package."""
    spec = importlib.util.spec_from_file_location("check_release", ROOT / ".ci" / "check_release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_release_that_lacks_a_file_is_refused(check: ModuleType, tmp_path: Path) -> None:
    """Of a wheel and of an sdist without one file just that file is named."""
    wanted = ["artifacts/__init__.py", "artifacts/py.typed", "trainer/report/card.md"]
    wheel, sdist = tmp_path / "p-1-py3-none-any.whl", tmp_path / "p-1.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in wanted[:2]:
            archive.writestr(path, "")
    with tarfile.open(sdist, "w:gz") as archive:
        for path in wanted[1:]:
            archive.addfile(tarfile.TarInfo(f"p-1/{path}"), io.BytesIO())

    assert check.missing(wheel, wanted) == wanted[2:]
    assert check.missing(sdist, wanted) == wanted[:1]


def test_ci_checks_every_release_and_python() -> None:
    """CI builds a release, and tests every Python that the classifiers name; the workflow only calls .ci/run."""
    ci, makefile = ((ROOT / name).read_text("utf-8") for name in (".ci/run", "Makefile"))
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    others = re.findall(r"^PYTHONS := (.*)$", makefile, re.MULTILINE)[0].split()
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))

    assert re.search(r"^make .*\bci$", ci, re.MULTILINE)
    assert {"release", "test-pythons"} <= set(re.findall(r"^ci: (.*)$", makefile, re.MULTILINE)[0].split())
    assert named == ["3.11", *others]
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"
    assert re.search(r"^ +- run: \.ci/run$", workflow, re.MULTILINE)
    assert all(version in workflow and version in ci for version in others)


def test_extras_that_make_install_names_exist() -> None:
    """`make install` installs extras of pyproject.toml, and at least what trains, reads e-mails and writes reports."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (extras,) = re.findall(r"^EXTRAS := (.*)$", makefile, re.MULTILINE)

    assert {"train", "mail", "report"} <= set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_packages_state_no_version_of_their_own() -> None:
    """The version stands in pyproject.toml and nowhere in the code, where it would be forgotten."""
    version = PROJECT["project"]["version"]
    for path in files():
        if path.suffix == ".py":
            tree = ast.parse((ROOT / path).read_text("utf-8"))
            strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert version not in strings, path
