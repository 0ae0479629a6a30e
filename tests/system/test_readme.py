"""The READMEs and docs/use.md: every command that they show works, in the order shown, in both languages the same."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import msgspec
import pytest

from tests.system.server import Server, serving
from trainer.samples import exports

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.fr.md")
USED = (("README.md", "docs/use.md"), ("README.fr.md", "docs/use.fr.md"))  # read one after the other
MAX_LINES = 60  # of a README: a screen
TARGETS_RUN_BY_CI = {"test": "$(TESTS)", "check": "check", "demo": "demo-check"}  # make demo is demo-check that stays
DOCUMENTED_PORT = "127.0.0.1:8000"
# What the test puts in place of what the README shows: less to train on, and one fold. It shows as well that the
# commands fit together; `fit closed.csv` trains as shown, and `make demo-check` on the 3,000 tickets.
LESS = {
    "sample tickets.jsonl": "sample tickets.jsonl --num-tickets 400",
    "--num-tickets 500 mails": "--num-tickets 200 mails",
    "--store models --set epochs=3": "--store models --set epochs=3 --set folds=1",
}

pytestmark = [pytest.mark.system, pytest.mark.torch]


def blocks(file: str) -> list[str]:
    """Return the shell commands of a document, block by block."""
    return re.findall(r"^```sh\n(.*?)^```", (ROOT / file).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a real server over an empty store, where the commands look for theirs."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "artifacts").mkdir()
    with serving(folder, folder / "artifacts" / "models", ["--trainer", "local"]) as started:
        yield started


def test_both_languages_show_the_same_commands() -> None:
    """A reader of either language gets the same commands, but for the words of the ticket."""
    english, french = ([block for file in files for block in blocks(file)] for files in USED)

    assert len(english) > 6
    assert english == french


@pytest.mark.parametrize("readme", READMES)
def test_readme_is_a_screen(readme: str) -> None:
    """A README keeps to a screen, with one table and one picture."""
    lines = (ROOT / readme).read_text("utf-8").splitlines()

    assert len(lines) <= MAX_LINES
    assert sum(line.startswith("|---") for line in lines) == 1
    assert sum(line.startswith("![") for line in lines) == 1


def test_make_targets_are_run_by_ci() -> None:
    """Each `make X` that a document shows exists, and CI runs it."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    run_by_ci = targets_of_ci(makefile)
    shown = {name for file in (*READMES, "CONTRIBUTING.md") for block in blocks(file) for name in block_targets(block)}

    assert shown >= {"demo", "test"}
    for name in shown:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
        assert TARGETS_RUN_BY_CI[name] in run_by_ci, name
    assert "$(MAKE) --no-print-directory -j3 --output-sync=target $(TESTS)\n" in makefile  # which is `make test`


def targets_of_ci(makefile: str) -> list[str]:
    """Return what `make ci` runs, which .ci/run calls."""
    assert re.search(r"^make .*\bci$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    targets: list[str] = re.findall(r"^ci: (.*)$", makefile, re.MULTILINE)
    return " ".join(targets).split()


def block_targets(block: str) -> list[str]:
    """Return the targets of the `make` lines of a block."""
    return re.findall(r"^make ([\w-]+)$", block, re.MULTILINE)


def test_commands_work_in_the_order_shown(server: Server) -> None:
    """A file is sorted and a server asked for it, the five calls answer, and the offline commands train and verify."""
    folder = server.store.parents[1]
    environment = os.environ | {"PATH": f"{shims(folder)}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    exports.write(folder)
    for name in ("closed.csv", "new.csv"):  # what a support team would have
        shutil.copy(folder / exports.SAMPLES["Freshdesk"].file, folder / name)
    answers = []
    shown_blocks = [block for file in USED[0] for block in blocks(file)]
    text = "\n".join(shown_blocks)
    assert [text.count(shown) for shown in LESS] == [1, 1, 2]
    for block in shown_blocks:
        if block_targets(block):
            continue
        for shown, smaller in LESS.items():
            block = block.replace(shown, smaller)
        command = block.replace(DOCUMENTED_PORT, f"127.0.0.1:{server.port}").replace(
            "curl -s", "curl -s --fail-with-body"
        )
        done = subprocess.run(["bash", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        answers.append(done.stdout)

    assert msgspec.json.decode(answers[1]) == shown_answer() | {"confidence": ANY}
    calls = [msgspec.json.decode(answer) for answer in answers[2:7]]
    assert calls[0] == {"status": "model created", "model_name": "support"}
    assert calls[1]["status"] == "training completed"
    assert calls[2]["category"] in ("Problème de connexion", "Accès utilisateur")
    assert calls[3]["total_tests"] == 1
    assert calls[4]["predicted_label"] in ("Problème de connexion", "Accès utilisateur")
    assert "36 tickets written to sorted.csv by desk version 1" in answers[0]
    assert "ok      puppet-o2 version 1, serves" in answers[7]


def shown_answer() -> dict[str, object]:
    """Return the answer that the README shows to its request."""
    (found,) = re.findall(r"^```json\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    answer: dict[str, object] = msgspec.json.decode(found)
    return answer


def shims(folder: Path) -> Path:
    """Return a folder with `puppet-train` in it, for where the packages are not installed."""
    bin_ = folder / "bin"
    bin_.mkdir()
    shim = bin_ / "puppet-train"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m trainer "$@"\n')
    shim.chmod(0o755)
    return bin_


def test_file_tree_names_only_what_is_there() -> None:
    """Each file that the README links to, or that the table of origins names, exists."""
    text = "".join((ROOT / file).read_text("utf-8") for file in ("README.md", "docs/origins.md"))
    named = re.findall(r"`((?:artifacts|trainer|inference|docs)/[\w/.]+\.(?:py|md|http))`", text)
    linked = re.findall(r"\]\(((?!http)[\w/.-]+)\)", (ROOT / "README.md").read_text("utf-8"))

    assert len(named) > 10
    for path in (*named, *linked):
        assert (ROOT / path).exists(), path
