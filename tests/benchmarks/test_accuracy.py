"""`python -m benchmarks accuracy`: which sets it finds, and that it measures the test file."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from benchmarks.accuracy import choose, find_sets
from benchmarks.machine import ROOT
from tests.trainer.small import json_rows, tickets

SMALL = {
    "embedding": 8,
    "hidden": 8,
    "ngram_buckets": 64,
    "epochs": 30,
    "batch": 8,
    "lr": 0.02,
    "min_count": 1,
    "threads": 1,
}


def write(path: Path, rows: Iterable[object]) -> None:
    """Write rows as JSONL."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def touch(path: Path) -> None:
    """Write a file of which only the name matters."""
    write(path, [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one set in both forms, one in one, and two that lack a file."""
    for name in ("b/train.jsonl", "b/test.jsonl", "b/train.tokens.jsonl", "b/test.tokens.jsonl", "a/train.jsonl",
                 "a/test.jsonl", "only_train/train.jsonl", "mixed/train.jsonl", "mixed/test.tokens.jsonl"):  # fmt: skip
        touch(tmp_path / name)
    touch(tmp_path / "README.md")
    return tmp_path


def test_sets_with_both_files_of_a_form_are_found(folder: Path) -> None:
    """A set is a pair of files of one form; a folder can have two, and half a pair is none."""
    found = find_sets(folder)

    assert [one.label for one in found] == ["a (text)", "b (text)", "b (tokens)"]
    assert found[2].train == folder / "b" / "train.tokens.jsonl"
    assert found[2].test == folder / "b" / "test.tokens.jsonl"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ((), ["a (text)", "b (text)", "b (tokens)"]),
        (("b",), ["b (text)", "b (tokens)"]),
        (("b (tokens)", "a"), ["a (text)", "b (tokens)"]),
    ],
)
def test_sets_are_chosen_by_folder_or_label(folder: Path, names: tuple[str, ...], labels: list[str]) -> None:
    """No name means all."""
    assert [one.label for one in choose(find_sets(folder), names, folder)] == labels


def test_unknown_set_is_refused_with_those_that_are_there(folder: Path) -> None:
    """A misspelt name is not silently nothing, and an empty folder not an empty table."""
    with pytest.raises(click.UsageError, match=r"no set c; it has a \(text\), b \(text\)"):
        choose(find_sets(folder), ("b", "c"), folder)
    with pytest.raises(click.UsageError, match="no folder NAME"):
        choose([], (), folder)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Return what `python -m benchmarks accuracy` did."""
    command = [sys.executable, "-m", "benchmarks", "accuracy", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.torch
@pytest.mark.system
def test_accuracy_is_of_the_test_file(tmp_path: Path) -> None:
    """Four categories that one word tells apart, 2 tickets each in the test file, one of the 8 with a wrong label: 7/8.

    F1: the true category of that ticket has precision 1/2, because the test file gives one of its two away, and recall
    1, so 2/3; the category it is given has precision 1 and recall 2/3, so 4/5; the mean with two ones is .8667. The
    commonest category of training has 9 tickets there and 2 of 8 in the test file, so .25.
    """
    train, test = tickets(8), {name: group[8:] for name, group in tickets(10).items()}
    extra = {"category": "Facture", "tokens": ["facture", "double"]}
    write(tmp_path / "small" / "train.tokens.jsonl", [*json_rows(train), extra])
    rows = json_rows(test)
    assert rows[0]["category"] == "Problème de connexion"
    rows[0]["category"] = "Création de client"
    write(tmp_path / "small" / "test.tokens.jsonl", rows)

    sets = (part for name, value in SMALL.items() for part in ("--set", f"{name}={value}"))
    done = run("--data", str(tmp_path), *sets)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (numbers,) = found["numbers"]["sets"]
    assert found["topic"] == "accuracy"
    assert found["settings"]["sets"] == ["small (tokens)"]
    assert {name: found["settings"]["config"][name] for name in SMALL} == SMALL
    assert numbers["accuracy"] == 7 / 8
    assert numbers["macro_f1"] == pytest.approx((2 / 3 + 4 / 5 + 2) / 4)
    assert numbers["majority_accuracy"] == 2 / 8
    assert numbers["num_test"] == 8
    assert (numbers["train_data"]["num_tickets"], numbers["train_data"]["num_categories"]) == (33, 4)
    assert numbers["train_seconds"] > 0
    assert numbers["model_bytes"] > 1000
    assert set(found["machine"]) == {"cpu", "num_cores", "system", "load_average"}
    (row,) = [line for line in done.stdout.splitlines() if "small (tokens)" in line and "│" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert numbers["svc_accuracy"] == 7 / 8
    assert numbers["ticket_us"] > 0
    assert numbers["svc_ticket_us"] > 0
    assert cells[:8] == ["small (tokens)", "33", "8", "4", "0.2500", "0.8750", "0.8750", "0.8667"]
    assert cells[-1] == str(numbers["model_bytes"])


def test_fault_in_a_later_set_stops_all_before_training(tmp_path: Path) -> None:
    """Every file is checked first, so nothing has been trained when the last one is refused."""
    for name in ("a", "b"):
        write(tmp_path / name / "train.jsonl", [{"category": "x", "text": "un"}, {"category": "y", "text": "deux"}])
        write(tmp_path / name / "test.jsonl", [{"category": "x", "text": "un"}])
    write(tmp_path / "b" / "test.jsonl", [{"category": "x"}])

    done = run("--data", str(tmp_path))

    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert "training on" not in done.stderr
