"""What no source file may do: import against the direction of the layers, or load code from data."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.jobs.request import TrainModel
from inference.routes import openapi
from tests.system.server import ROOT
from trainer.jobs.body import SpooledBody

PACKAGES = ("artifacts", "trainer", "inference")
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
DANGEROUS = (
    r"\bpickle\b", r"\bjoblib\b", r"\btorch\.load\b", r"\byaml\b", r"allow_pickle\s*=\s*True", r"\btarfile\b",
    r"\beval\s*\((?!\))",  # torch's `model.eval()` takes nothing and only switches dropout off
    r"\bexec\s*\(", r"shell\s*=\s*True", r"\bos\.system\b", r"\bmarshal\b", r"\bshelve\b", r"\bdill\b",
)  # fmt: skip


def imported(source: str) -> Iterator[str]:
    """Yield the top-level name of every module that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            assert name not in ("__import__", "import_module"), "modules are imported by name here"


def calls(source: str) -> str:
    """Return the source without its comments and strings, where a forbidden word may be explained."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            node.value = ""
    return ast.unparse(tree)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the contracts of pyproject.toml."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from importlinter.cli import lint_imports_command as c; c()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, "--no-cache", "--config", "pyproject.toml"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_layers_hold() -> None:
    """Trainer -> artifacts <- inference, as the contracts in pyproject.toml have it."""
    found = lint(ROOT)

    assert found.returncode == 0, found.stdout + found.stderr
    assert ", 0 broken" in found.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("artifacts/text/tokens.py", "from artifacts.networks.gru import pad"),
        ("trainer/gru/train.py", "from trainer.run import fit"),
        ("inference/search/batcher.py", "from inference.search.search import begin"),
        ("inference/monitoring/drift.py", "from inference.search.batcher import Batcher"),
        ("inference/search/batcher.py", "from trainer.config import TrainConfig"),
        ("trainer/config.py", "import inference.settings"),
        ("artifacts/text/tokens.py", "import trainer"),
        ("artifacts/text/tokens.py", "from inference import schemas"),
    ],
)
def test_contracts_notice_a_wrong_import(tmp_path: Path, file: str, line: str) -> None:
    """An import against the direction breaks a contract, so the test above can fail."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "models"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")

    found = lint(tmp_path)

    assert found.returncode == 1
    assert "broken" in found.stdout


@pytest.mark.parametrize("package", ["artifacts", "inference"])
def test_serving_side_names_no_training_library(package: str) -> None:
    """No module of artifacts or inference imports torch, onnx, scikit-learn or the trainer, in a function neither."""
    for file in (ROOT / package).rglob("*.py"):
        assert not set(imported(file.read_text("utf-8"))) & {"torch", "onnx", "sklearn", "trainer"}, file


def test_artifacts_need_little() -> None:
    """Artifacts imports the standard library, numpy, msgspec and onnxruntime; of e-mail two modules their library."""
    allowed = set(sys.stdlib_module_names) | {"numpy", "msgspec", "onnxruntime", "artifacts"}
    for file in (ROOT / "artifacts").rglob("*.py"):
        extra = {"markup.py": {"resiliparse"}, "forms.py": {"oxmsg"}}.get(file.name, set())
        assert set(imported(file.read_text("utf-8"))) <= allowed | extra, file


@pytest.mark.parametrize("file", SOURCES, ids=[str(file.relative_to(ROOT)) for file in SOURCES])
def test_nothing_loads_code_from_data(file: Path) -> None:
    """No source uses pickle, joblib, torch.load, YAML, tar, eval, exec or a shell."""
    code = calls(file.read_text("utf-8"))

    assert [pattern for pattern in DANGEROUS if re.search(pattern, code)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "yaml.load(text)", "import tarfile",
        "np.load(path, allow_pickle=True)", "eval(text)", "exec(text)", "os.system(word)",
        "subprocess.run(words, shell=True)",
    ],
)  # fmt: skip
def test_search_for_dangers_finds_them(line: str) -> None:
    """Each forbidden call is found in a line of code, and none in a string that names it."""
    assert any(re.search(pattern, calls(line)) for pattern in DANGEROUS)
    assert not any(re.search(pattern, calls(repr(line))) for pattern in DANGEROUS)
    assert not any(re.search(pattern, calls("model.eval()")) for pattern in DANGEROUS)


def test_body_of_a_training_is_specified_once() -> None:
    """One Struct says what a training request may hold: the server shows it, the trainer decodes the same fields."""
    field = re.compile(r"^    include_feedback *: *bool *=", re.MULTILINE)  # a Struct's, not a parameter or a docstring
    holding = [file for file in SOURCES if field.search(file.read_text("utf-8"))]
    documented = {type_.__origin__ for type_, _ in openapi.TRAIN.values()}

    assert [str(file.relative_to(ROOT)) for file in holding] == ["artifacts/jobs/request.py"]
    assert documented == {TrainModel}
    assert issubclass(SpooledBody, TrainModel)
    assert SpooledBody.__struct_fields__ == TrainModel.__struct_fields__
