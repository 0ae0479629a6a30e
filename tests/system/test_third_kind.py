"""The third kind of docs/examples/third_kind: a module a side and a row make it work everywhere.

The packages are copied to an empty folder, the two modules and their sentences are added, the row goes into the table,
and nothing else is touched; then real processes train it, check it, serve it and are asked.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from artifacts.problems.sentences import LANGUAGES
from tests.system.server import DEADLINE_S, ROOT, environment, serving

EXAMPLE = ROOT / "docs" / "examples" / "third_kind"
PLACES = {"neural_network_type": "Centroid", "name": "places"}


def points(seed: int, num_points: int = 60) -> list[dict[str, object]]:
    """Return points around three middles."""
    random = np.random.default_rng(seed)
    middles = {"near": [0.0, 0.0], "far": [9.0, 9.0], "high": [0.0, 9.0]}
    return [
        {"vector": (np.array(middle) + random.normal(size=2)).tolist(), "category": category}
        for category, middle in middles.items()
        for _ in range(num_points // 3)
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the packages with the third kind in it."""
    folder = tmp_path_factory.mktemp("house")
    for package in ("artifacts", "trainer", "inference"):
        ignore = shutil.ignore_patterns("__pycache__", "models")
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    for place in ("artifacts/networks", "trainer"):
        shutil.copy(EXAMPLE / place / "centroid.py", folder / place)
    for language in LANGUAGES:
        shutil.copy(
            EXAMPLE / "artifacts" / "problems" / language / "centroid.toml", folder / "artifacts/problems" / language
        )
    table = folder / "artifacts" / "kinds.py"
    source = table.read_text("utf-8")
    row = (EXAMPLE / "row.txt").read_text("utf-8")
    source, num_imports = re.subn(
        "^from artifacts.networks import ", "from artifacts.networks import centroid, ", source, flags=re.M
    )
    source, num_rows = re.subn(r"^    \)\n}\nDEFAULT", f"{row}    )\n}}\nDEFAULT", source, flags=re.M)
    assert (num_imports, num_rows) == (1, 1), "the table has changed: so must this test"
    table.write_text(source, "utf-8")
    return folder


def train(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `puppet-train` of the copy."""
    return subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        cwd=house, env=environment(PYTHONPATH=str(house)), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip


@pytest.mark.torch
@pytest.mark.system
def test_third_kind_is_a_module_a_side_and_a_row(house: Path, tmp_path: Path) -> None:
    """It is trained offline and over HTTP, verified, served, asked, measured and documented like the other two."""
    data = tmp_path / "points.jsonl"
    data.write_text("".join(json.dumps(point) + "\n" for point in points(0)))
    store = tmp_path / "store"

    fitted = train(house, "fit", str(data), "--name", "places", "--kind", "Centroid", "--store", str(store), "--json")
    assert fitted.returncode == 0, fitted.stderr
    assert train(house, "verify", "--name", "places", "--store", str(store)).returncode == 0
    evaluated = train(house, "evaluate", str(data), "--name", "places", "--store", str(store), "--json")
    assert json.loads(evaluated.stdout.splitlines()[-1])["accuracy"] == 1.0
    with serving(tmp_path, store, PYTHONPATH=str(house)) as server:
        check_served(server.client)


def check_served(client: httpx.Client) -> None:
    """Ask the server everything that it does with a kind."""
    answer = client.post("/search", json=PLACES | {"vector": [0.5, 0.2]})
    assert (answer.status_code, answer.json()["category"]) == (200, "near")
    answers = client.post("/search", json=PLACES | {"vectors": [[8, 8], [0, 8]], "ids": ["a", "b"]}).json()["results"]
    assert answers == [{"category": "far", "id": "a"}, {"category": "high", "id": "b"}]
    wrong = client.post("/search", json=PLACES | {"vector": [1.0]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "/vector")
    assert client.post("/test", json=PLACES | {"test_data": points(1)}).json()["accuracy"] == 1.0
    assert client.post("/predict", json={"name": "places", "email_text": "a"}).status_code == 400

    again = PLACES | {"name": "again"}
    assert client.post("/create_model", json=again).status_code == 200
    trained = client.post("/train_model", json=again | {"training_data": points(2), "config": {"num_proofs": 10}})
    assert trained.status_code == 200, trained.text
    assert client.post("/search", json=again | {"vector": [9, 9]}).json()["category"] == "far"
    schema = client.get("/schema/openapi.json").json()
    assert {"PointSearch", "Nearest"} <= schema["components"]["schemas"].keys()
