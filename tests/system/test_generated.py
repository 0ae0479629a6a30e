"""Clients that are generated from the OpenAPI document: they build, and each of their operations reads its answer.

The generators are in an environment of their own, because what they bring does not go with what the tests need; `make
generated` makes it and sets PUPPET_GENERATORS to its programs.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from artifacts.store.store import Store
from tests.system.server import ROOT, serving

GENERATORS = Path(os.environ.get("PUPPET_GENERATORS", "/nonexistent"))
# What a client reads as bytes or text, and not as a type of its own.
UNTYPED = {"export_feedback", "download_version", "job_events", "show_metrics", "show_report", "problem_page"}

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not GENERATORS.is_dir(), reason="PUPPET_GENERATORS names no folder; run `make generated`"),
]


def run(*words: object, **variables: str) -> str:
    """Return what a program printed."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=600, env=os.environ | variables
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_generated_client_calls_every_operation(tmp_path: Path, store: Store) -> None:
    """openapi-python-client makes a function of each operation, which reads its answer as the documented type."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        document = tmp_path / "openapi.json"
        document.write_bytes(server.client.get("/schema/openapi.json").content)
        words = ["--path", document, "--output-path", tmp_path / "generated", "--meta", "none"]
        said = run(GENERATORS / "openapi-python-client", "generate", *words)
        assert "will be omitted from generated client" not in re.sub(r"Unsupported content_type .*", "", said)
        found = json.loads(
            run(
                GENERATORS / "python", ROOT / "tests/system/call_generated.py", f"http://127.0.0.1:{server.port}",
                document, PYTHONPATH=str(tmp_path),
            )
        )  # fmt: skip

    operations = {
        operation["operationId"]: operation
        for methods in json.loads(document.read_bytes())["paths"].values()
        for operation in methods.values()
    }
    assert found.keys() == operations.keys()
    for name, (status, read) in found.items():
        assert str(status) in operations[name]["responses"], name
        if name not in UNTYPED:
            assert read != "NoneType", (name, status)
    assert found["search"] == [200, "Prediction"]
    assert found["infer"] == [200, "InferenceAnswer"]
    assert found["rollback"] == [409, "Problem"]
    assert found["delete_model"] == [200, "Deleted"]


def test_models_are_generated_as_one_file(tmp_path: Path, store: Store) -> None:
    """datamodel-code-generator takes no name of a component for a module, and what it writes can be imported."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        document: dict[str, Any] = server.client.get("/schema/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))

    run(
        GENERATORS / "datamodel-codegen", "--input", tmp_path / "openapi.json", "--input-file-type", "openapi",
        "--output", tmp_path / "models.py", "--output-model-type", "msgspec.Struct",
        "--use-msgspec-nullable-enum-alias",
    )  # fmt: skip

    names = [name.replace("_", "") for name in document["components"]["schemas"]]
    code = f"import models; print([name for name in {names} if not hasattr(models, name)])"
    assert run(sys.executable, "-c", code, PYTHONPATH=str(tmp_path)).strip() == "[]"
