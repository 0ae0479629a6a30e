"""Tests of artifacts/kinds.py: the table of kinds is complete, and nothing else knows a kind by its name."""

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import msgspec
import pytest

from artifacts import kinds
from artifacts.errors import KindMismatch, UnknownKind
from artifacts.kinds import DEFAULT, KINDS, Kind, check_kind, kind_named, load
from artifacts.networks.manifest import Manifest
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer, Evaluation, Row, Search
from artifacts.store.store import Store
from artifacts.text.tickets import Prediction

ROOT = Path(__file__).parents[2]
of_each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_kind_is_found_by_its_exact_name() -> None:
    """A kind is a row of the table; any other name is refused with the known ones."""
    assert [kind_named(name).name for name in ("GRU", "SimpleNN")] == ["GRU", "SimpleNN"]
    for name in ("gru", "simplenn", "", "LSTM", "GRU ", "x" * 500):
        with pytest.raises(UnknownKind, match="known: GRU, SimpleNN") as refused:
            kind_named(name)
        assert len(str(refused.value)) < 200


def test_kind_of_a_request_must_be_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another known kind than the model's is a mismatch, an unknown one is unknown."""
    other = msgspec.structs.replace(KINDS["GRU"], name="OTHER")
    monkeypatch.setattr(kinds, "KINDS", KINDS | {"OTHER": other})

    check_kind("GRU", "m", "GRU")
    with pytest.raises(KindMismatch, match="model m is of neural_network_type GRU, not OTHER"):
        check_kind("OTHER", "m", "GRU")
    with pytest.raises(UnknownKind):
        check_kind("LSTM", "m", "GRU")


# The table is complete


@of_each_kind
def test_structs_of_a_kind_are_built_on_the_common_ones(kind: Kind) -> None:
    """What the server and the trainer do with rows, questions, answers, metrics and manifests works for every kind."""
    for struct, base in (
        (kind.row, Row),
        (kind.search, Search),
        (kind.answer, Answer),
        (kind.evaluation, Evaluation),
        (kind.manifest, Manifest),
    ):
        assert issubclass(struct, base)
        assert struct is not base
    assert issubclass(kind.model, Model)
    assert not inspect.isabstract(kind.model)
    assert kind.name == next(name for name, found in KINDS.items() if found is kind)


@of_each_kind
def test_row_says_what_a_row_must(kind: Kind) -> None:
    """Each example row has an expected answer and a content, which is under the field that it names."""
    for row in kind.examples[0]:
        assert row.expected is not None
        assert row.content == getattr(row, row.content_field)
        assert row.content


@of_each_kind
def test_question_can_be_asked_about_one_and_about_several(kind: Kind) -> None:
    """The fields that a question names are its own, and the routes find them by these names."""
    fields = {field.name for field in msgspec.structs.fields(kind.search)}
    more = {"abstain", "among", "otherwise", "top_k"} if kind.ranked is not None else set()
    more |= {"explain"} if kind.explain is not None else set()

    assert fields - {field.name for field in msgspec.structs.fields(Search)} == {
        *kind.search.ONE,
        *kind.search.SEVERAL,
        *more,
    }
    assert len(kind.search.ONE) == len(kind.search.SEVERAL) >= 1
    assert kind.examples[1].given[0] in kind.search.ONE


@of_each_kind
def test_trainer_of_a_kind_is_there(kind: Kind) -> None:
    """The module that the table names is a file of trainer/, and is found without importing it or PyTorch."""
    before = set(sys.modules)

    assert kind.trainer.startswith("trainer.")
    file = ROOT / f"{kind.trainer.replace('.', '/')}.py"
    assert file.is_file()
    found = importlib.util.find_spec(kind.trainer)
    assert found is not None
    assert found.origin == str(file)
    assert not {"torch", kind.trainer} & (set(sys.modules) - before)


@of_each_kind
def test_examples_of_a_kind_can_be_read_again(kind: Kind) -> None:
    """What the documentation page offers to send is what the kind's own Structs decode."""
    rows, question = kind.examples

    assert [type(row) for row in rows] == [kind.row] * 2
    assert [msgspec.json.decode(msgspec.json.encode(row), type=kind.row) for row in rows] == list(rows)
    assert rows[0].expected != rows[1].expected
    assert type(question) is kind.search
    assert question.neural_network_type == kind.name
    assert msgspec.json.decode(msgspec.json.encode(question), type=kind.search) == question


@of_each_kind
def test_files_of_a_kind(kind: Kind) -> None:
    """Every version has a graph, golden rows and a report, and nothing that leads out of its folder."""
    assert {"model.onnx", "golden.json", "report.json"} <= set(kind.files)
    assert len(set(kind.files)) == len(kind.files)
    assert "manifest.json" not in kind.files
    assert all(re.fullmatch(r"[a-z]+\.(onnx|json)", file) for file in kind.files)


@of_each_kind
def test_kind_that_reads_text_answers_with_a_category(kind: Kind) -> None:
    """POST /predict promises a label for a text, so a kind that it may ask has both."""
    assert kind.reads_text == issubclass(kind.answer, Prediction)
    assert kind.reads_text == ("text" in kind.search.ONE)


def test_default_kind_is_in_the_table() -> None:
    """The kind that is taken where none can be read is one that there is, and it reads text."""
    assert KINDS[DEFAULT].reads_text


@pytest.mark.parametrize(("name", "kind"), [("puppet-o2", "GRU"), ("prices", "SimpleNN")])
def test_version_is_loaded_as_its_kind(store: Store, name: str, kind: str) -> None:
    """`load` picks the model's class by the manifest, and the folder holds just the files of the kind."""
    manifest, files = store.read_version(name, 1)

    model = load(manifest, files)

    assert type(model) is KINDS[kind].model
    assert type(model.manifest) is KINDS[kind].manifest
    assert (model.name, model.version) == (name, 1)
    assert {path.name for path in (store.root / name / "1").iterdir()} == {*KINDS[kind].files, "manifest.json"}
    assert set(files) == set(KINDS[kind].files)


# Nothing else knows a kind by its name

SOURCES = sorted(path for package in ("artifacts", "trainer", "inference") for path in (ROOT / package).rglob("*.py"))
OWN = {  # the table, and the modules that are a kind's own
    ROOT / "artifacts" / "kinds.py",
    ROOT / "artifacts" / "networks" / "gru.py",
    ROOT / "artifacts" / "text" / "tickets.py",
    ROOT / "artifacts" / "networks" / "simple_nn.py",
    *(ROOT / f"{kind.trainer.replace('.', '/')}.py" for kind in KINDS.values()),
}
SHOWN = {  # elsewhere, how often: examples of the documentation page; in the export it is an operator of ONNX
    ROOT / "trainer" / "gru" / "export.py": 1,
    ROOT / "artifacts" / "schemas.py": 2,
    ROOT / "inference" / "routes" / "openapi.py": 2,
}


METHODS = {"startswith", "endswith", "get", "setdefault", "pop", "count", "index", "find", "__eq__", "__contains__"}


def names_in(node: ast.AST) -> list[str]:
    """Return the names of kinds that stand under a node as string constants, in whatever case."""
    known = {name.casefold() for name in KINDS}
    constants = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant))
    return [value for value in constants if isinstance(value, str) and value.casefold() in known]


def compared_names(source: str) -> list[str]:
    """Return the names of kinds that a source compares something with.

    By an operator (`==`, `in`, ...), a `match`, a key of a dict, a subscript, or a method of str such as `startswith`.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.match_case):
            found += names_in(node if isinstance(node, ast.Compare) else node.pattern)
        elif isinstance(node, ast.Dict):
            found += [name for key in node.keys if key is not None for name in names_in(key)]
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found += names_in(node.slice)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in METHODS:
            found += [name for argument in node.args for name in names_in(argument)]
    return found


@pytest.mark.parametrize("file", SOURCES, ids=[str(file.relative_to(ROOT)) for file in SOURCES])
def test_no_source_compares_a_kind_by_name(file: Path) -> None:
    """What a kind does is asked of its row of the table; a comparison would be the place that the next kind forgets."""
    assert compared_names(file.read_text("utf-8")) == []


@pytest.mark.parametrize("file", SOURCES, ids=[str(file.relative_to(ROOT)) for file in SOURCES])
def test_names_of_kinds_stand_only_where_they_belong(file: Path) -> None:
    """A kind's name as a string is in the table, in the kind's own modules, and in a few examples that people read."""
    if file not in OWN:
        assert len(names_in(ast.parse(file.read_text("utf-8")))) == SHOWN.get(file, 0)


@pytest.mark.parametrize(
    "line",
    [
        'if kind == "GRU": pass',
        'if "SimpleNN" != kind.name: pass',
        'x = kind in ("GRU", "LSTM")',
        'x = kind not in {"SimpleNN"}',
        'x = kind.lower() == "gru"',
        'x = a < b == "GRU"',
        'match kind:\n    case "GRU" | "LSTM":\n        pass',
        'match kind:\n    case Kind(name="SimpleNN"):\n        pass',
        'x = {"GRU": 1, "LSTM": 2}[kind]',
        'x = KINDS["GRU"]',
        'x = {**others, "SimpleNN": train}',
        'x = kind.startswith("GRU")',
        'x = table.get("SimpleNN")',
        'async def f():\n    return [y for y in z if y.name == "GRU"]',
    ],
)
def test_search_for_comparisons_finds_them(line: str) -> None:
    """Each way to compare a kind's name is found in a line of code, and none in a string that holds it."""
    assert compared_names(line)
    assert names_in(ast.parse(line))
    assert compared_names(f"x = {line!r}") == []
    assert compared_names('x = kind == other\nKind(name="GRU")\nassert "GRU of Cho et al." == y') == []
