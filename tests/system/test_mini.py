"""docs/mini/mini.py: short enough to be read at one sitting, and its file answers as its network does."""

import ast
import importlib
import io
import json
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from litestar.testing import TestClient

from tests.system.server import ROOT

SCRIPT = ROOT / "docs" / "mini" / "mini.py"
MAX_LINES = 250

pytestmark = pytest.mark.torch


def lines_of_code(source: str) -> int:
    """Return how many lines hold anything but blanks and comments; docstrings count."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found)


@pytest.fixture(scope="module")
def mini() -> Iterator[ModuleType]:
    """Give the file as a module, with two epochs instead of ten: what is tested here does not depend on them."""
    module = importlib.import_module("docs.mini.mini")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EPOCHS", 2)
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give 200 sample tickets, some as text and some as tokens."""
    from trainer.samples.synthetic import generate

    rows = [
        {"category": category, **({"text": " ".join(tokens)} if number % 2 else {"tokens": tokens})}
        for number, (category, tokens) in enumerate(generate(200, seed=0))
    ]
    path = tmp_path_factory.mktemp("mini") / "tickets.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def trained(mini: ModuleType, data: str) -> Path:
    """Give the folder that `train` wrote, after its own proof."""
    folder = Path(data).parent / "model"
    accuracy, worst = mini.train(data, str(folder))
    assert 0 < accuracy <= 1
    assert worst < 1e-5
    return folder


def test_it_is_short() -> None:
    """At most 250 lines without comments, and no line hides two statements."""
    source = SCRIPT.read_text("utf-8")
    statements = [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]

    assert lines_of_code(source) <= MAX_LINES
    assert len(statements) == len(set(statements))


def test_lines_are_counted_as_promised() -> None:
    """Blank lines and comments are free; a docstring and each line of a statement count."""
    assert lines_of_code('# one\n\ndef f():\n    """Say."""\n    # why\n    return [\n        1,\n    ]  # so\n') == 5


def test_a_ticket_is_answered_alone_as_in_a_batch(mini: ModuleType, trained: Path) -> None:
    """The longest ticket of a batch changes nothing about the shortest: lengths reach the exported GRU."""
    model = mini.Model(str(trained))
    rows = [[5, 6, 7, 8, 9, 10, 11, 12] * 4, [5], [9, 3, 4]]

    together_BC = model.probabilities(rows)

    assert together_BC.dtype == np.float32
    assert together_BC.shape == (3, len(model.labels))
    np.testing.assert_allclose(together_BC.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together_BC, np.concatenate([model.probabilities([row]) for row in rows]), atol=1e-6)


def test_proof_notices_a_wrong_export(
    mini: ModuleType, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph with the gates in the order of PyTorch is refused by the proof, before anybody serves it."""
    import onnx

    export = mini.export

    def wrong(network: object) -> bytes:
        graph = onnx.load_model_from_string(export(network))
        weights = {one.name: one for one in graph.graph.initializer}
        values = onnx.numpy_helper.to_array(weights["W"])
        swapped = np.concatenate(np.split(values, 3, axis=1)[::-1], axis=1)
        weights["W"].CopyFrom(onnx.numpy_helper.from_array(swapped, "W"))
        raw: bytes = graph.SerializeToString()
        return raw

    monkeypatch.setattr(mini, "export", wrong)
    monkeypatch.setattr(mini, "EPOCHS", 1)

    with pytest.raises(SystemExit, match="ONNX differs from PyTorch"):
        mini.train(data, str(tmp_path / "model"))


def test_route_answers(mini: ModuleType, trained: Path) -> None:
    """POST /search gives a category, its probability and the unknown words; what does not fit is refused."""
    with TestClient(mini.create_app(str(trained))) as client:
        found = client.post("/search", json={"text": "Facture xyzzy"})

        assert found.status_code == 200
        assert found.json()["category"] in json.loads((trained / "labels.json").read_text("utf-8"))
        assert 0 < found.json()["confidence"] <= 1
        assert found.json()["unknown_tokens"] == ["xyzzy"]
        for body in ({"txet": "panne"}, {"text": 5}, {"text": "panne", "more": 1}):
            assert client.post("/search", json=body).status_code == 400


def test_serving_needs_no_torch(trained: Path) -> None:
    """The application starts and answers in a process where torch and onnx cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; sys.path.insert(0, sys.argv[1]); import mini; "
        "mini.create_app(sys.argv[2]); print(mini.Model(sys.argv[2]).answer('')[2])"
    )
    command = [sys.executable, "-c", code, str(SCRIPT.parent), str(trained)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_wrong_words_show_the_usage() -> None:
    """A call that is neither `train` nor `serve` says what is."""
    done = subprocess.run([sys.executable, str(SCRIPT), "fit"], capture_output=True, text=True, timeout=300)

    assert done.returncode == 1
    assert done.stderr.startswith("usage: mini.py train DATA.jsonl FOLDER")


def test_ideas_of_the_comparison_read_no_padding() -> None:
    """The networks that `points.py` puts in the place of mini.py's answer a ticket alone as in a batch."""
    import torch

    points = importlib.import_module("docs.mini.points")
    for make_network in points.IDEAS.values():
        torch.manual_seed(0)
        network = make_network(9, 3)
        with torch.no_grad():
            together_BC = network(torch.tensor([[2, 3, 4, 5], [6, 0, 0, 0]]), torch.tensor([4, 1], dtype=torch.int32))
            alone_BC = network(torch.tensor([[6]]), torch.tensor([1], dtype=torch.int32))
        assert together_BC.shape == (2, 3)
        torch.testing.assert_close(together_BC[1:], alone_BC)


def test_table_names_files_that_are_there() -> None:
    """Each file of the product that the table at the end names exists."""
    table = SCRIPT.read_text("utf-8").partition("# What the product does better")[2]
    named = [
        word.strip("`,") for line in table.splitlines() for word in line.split() if word.rstrip(",").endswith(".py")
    ]

    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).is_file()] == []
