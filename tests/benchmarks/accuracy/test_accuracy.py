"""`python -m benchmarks accuracy`: what it trains, that it measures the test file, and that every run is on record."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.accuracy import accuracy
from benchmarks.accuracy.accuracy import choose_peers, measure_all, measured, plan
from benchmarks.accuracy.learners import PEERS, Run, Work
from benchmarks.accuracy.sets import DataSet, Facts, Part
from benchmarks.common.machine import ROOT
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
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def facts(label: str, num_train: int = 1000) -> Facts:
    """Return what is known of a set of two categories."""
    return Facts(label, num_train, 10, 2, 0.5, "", "")


def a_set(label: str) -> DataSet:
    """Return a set whose files nobody reads."""
    return DataSet(label, Path("train"), Path("test"))


def a_run(work: Work) -> Run:
    """Return a run that tells which work it is of."""
    return Run(work.data.label, work.learner, work.part, work.seed, 10, 0.5, 0.5, 1.0, 1.0, 1)


WORKS = [Work(a_set(str(number)), "gru", Part(), 0) for number in range(6)]


def test_plan_trains_each_seed_each_peer_and_each_part() -> None:
    """Two seeds, two peers, one subsample of 600 and three points of the curve, and overrides for the GRU alone."""
    works = plan([a_set("a")], [facts("a")], ["svc", "minilm"], [5, 6], 1, True, ("epochs=2",))

    found = {(w.learner, w.part.num_rows, w.part.draw, w.seed) for w in works}
    parts = [600, 125, 250, 500]
    assert found == {("gru", None, 0, 5), ("gru", None, 0, 6), ("svc", None, 0, 5), ("minilm", None, 0, 5)} | {
        (learner, size, 0, 5) for learner in ("gru", "svc") for size in parts
    }
    assert len(works) == len(found)
    assert {(w.learner, w.overrides) for w in works} == {("gru", ("epochs=2",)), ("svc", ()), ("minilm", ())}


def test_plan_begins_with_the_longest() -> None:
    """A large set's GRU is begun before a small one's, though the small one stands first, and the SVC comes last."""
    works = plan([a_set("a"), a_set("b")], [facts("a", 500), facts("b", 900)], ["svc"], [0], 1, False, ())

    assert [(w.data.label, w.learner, w.part.num_rows) for w in works] == [
        ("b", "gru", None),
        ("b", "gru", 600),
        ("a", "gru", None),
        ("b", "svc", None),
        ("b", "svc", 600),
        ("a", "svc", None),
    ]


def test_as_many_are_measured_at_a_time_as_asked() -> None:
    """Two meet at the barrier, three never do: with two jobs each waits for exactly one other."""
    barrier = threading.Barrier(2, timeout=120)
    running, most = set(), []

    def measure(work: Work) -> Run:
        running.add(work.data.label)
        most.append(len(running))
        barrier.wait()
        running.discard(work.data.label)
        return a_run(work)

    found = list(measure_all(WORKS, 2, measure))

    assert {run.label for run in found} == {work.data.label for work in WORKS}
    assert max(most) <= 2


def test_after_a_failure_nothing_else_is_begun() -> None:
    """The third fails: the two before it were measured, and of the 597 after it the one that runs is the last.

    Each of them takes .2 s, so the other thread has two minutes to notice before this fails without a fault.
    """
    begun, never = [], threading.Event()

    def measure(work: Work) -> Run:
        begun.append(work.seed)
        if work.seed == 2:
            raise RuntimeError("no memory")
        if work.seed > 2:
            never.wait(0.2)
        return a_run(work)

    works = [Work(a_set("a"), "gru", Part(), seed) for seed in range(600)]
    found: list[int] = []
    with pytest.raises(RuntimeError, match="no memory"):
        found.extend(run.seed for run in measure_all(works, 1, measure))

    # Of those that have ended before the main thread looks any may come first, the failure too.
    assert 2 not in found
    assert {0, 1} <= set(begun)
    assert len(begun) < 590


def test_kept_measurement_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work on the same files and commit is read from the folder; another seed, commit or file is measured."""
    made = []

    def in_child(sent: bytes) -> Run:
        work = msgspec.json.decode(sent, type=Work, dec_hook=lambda _, path: Path(path))
        made.append(work.seed)
        return a_run(work)

    monkeypatch.setattr(accuracy, "in_child", in_child)
    data = DataSet("a", tmp_path / "train", tmp_path / "test")
    data.train.write_text("1")
    data.test.write_text("2")
    work, kept = Work(data, "gru", Part(), 0), tmp_path / "kept"

    first = measured(work, kept, "v1")
    assert measured(work, kept, "v1") == first
    assert made == [0]
    measured(msgspec.structs.replace(work, seed=1), kept, "v1")
    measured(work, kept, "v2")
    data.test.write_text("3")
    measured(work, kept, "v1")
    assert made == [0, 1, 0, 0]


def test_unknown_peer_is_refused_and_a_missing_one_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was asked for is never left out in silence; the SVC is always there."""
    monkeypatch.setitem(PEERS, "minilm", msgspec.structs.replace(PEERS["minilm"], modules=("no_such_module",)))

    with pytest.raises(click.UsageError, match="no peer bert; there are svc, fasttext, minilm, minilm-int8"):
        choose_peers("svc,bert")
    with pytest.raises(click.UsageError, match=r"minilm is not installed; .*\[minilm\]"):
        choose_peers("minilm")
    assert "minilm" not in choose_peers(None)
    assert choose_peers("svc") == ["svc"]


def test_interrupted_run_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails after one training has read a test file, so its line is there, without a summary."""

    def in_child(sent: bytes) -> Run:
        work = msgspec.json.decode(sent, type=Work, dec_hook=lambda _, path: Path(path))
        if work.learner == "svc":
            raise click.ClickException("the process ended")
        return a_run(work)

    monkeypatch.setattr(accuracy, "in_child", in_child)
    for name in ("train", "test"):
        write(tmp_path / "sets" / "small" / f"{name}.tokens.jsonl", json_rows(tickets(8)))
    arguments = ["--data", str(tmp_path / "sets"), "--seeds", "1", "--peers", "svc", "--jobs", "1"]

    done = CliRunner().invoke(accuracy.accuracy_command, [*arguments, "--results", str(tmp_path / "results")])

    assert done.exit_code == 1, done.output
    (line,) = (tmp_path / "results" / accuracy.RUNS).read_text("utf-8").splitlines()
    numbers = json.loads(line)["numbers"]
    assert numbers["is_complete"] is False
    assert numbers["sets"] == []
    assert [run["learner"] for run in numbers["runs"]] == ["gru"]


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
    results = tmp_path / "results"
    extra = {"category": "Facture", "tokens": ["facture", "double"]}
    write(tmp_path / "sets" / "small" / "train.tokens.jsonl", [*json_rows(train), extra])
    rows = json_rows(test)
    assert rows[0]["category"] == "Problème de connexion"
    rows[0]["category"] = "Création de client"
    write(tmp_path / "sets" / "small" / "test.tokens.jsonl", rows)

    sets = (part for name, value in SMALL.items() for part in ("--set", f"{name}={value}"))
    done = run("--data", str(tmp_path / "sets"), *sets, "--seeds", "2", "--peers", "svc", "--results", str(results))

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (numbers,) = found["numbers"]["sets"]
    assert found["topic"] == "accuracy"
    files = [tmp_path / "sets" / "small" / f"{part}.tokens.jsonl" for part in ("train", "test")]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert found["settings"]["sets"] == {"small (tokens)": hashes}
    assert {name: found["settings"]["config"][name] for name in SMALL} == SMALL
    assert numbers["accuracies"] == [7 / 8, 7 / 8]
    assert numbers["macro_f1s"] == [pytest.approx((2 / 3 + 4 / 5 + 2) / 4)] * 2
    assert numbers["peers"]["svc"]["accuracy"] == 7 / 8
    assert numbers["peers"]["svc"]["lead"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    facts = numbers["facts"]
    assert facts["majority_accuracy"] == 2 / 8
    assert (facts["num_train"], facts["num_test"], facts["num_categories"]) == (33, 8, 4)
    for costs in (numbers["costs"], numbers["peers"]["svc"]["costs"]):
        assert costs["train_seconds"] > 0
        assert costs["ticket_us"] > 0
        assert costs["model_bytes"] > 1000
    assert numbers["costs"]["batch_ticket_us"] > 0
    assert set(found["machine"]) == {"cpu", "num_cores", "system", "load_average"}
    row, lead_row, costs_row = [line for line in done.stdout.splitlines() if "small" in line and "│" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:6] == ["33", "8", "4", "0.2500", "0.8750"]
    assert lead_row.strip("│").split("│")[1].strip() == "+0.00 (+0.00 to +0.00)"
    assert costs_row.strip("│").split("│")[-1].strip() == str(numbers["peers"]["svc"]["costs"]["model_bytes"])
    (recorded,) = (results / "accuracy_runs.jsonl").read_text("utf-8").splitlines()
    assert json.loads(recorded) == found
    assert str(tmp_path) not in recorded


def test_fault_in_a_later_set_stops_all_before_training(tmp_path: Path) -> None:
    """Every file is checked first, so nothing has been trained when the last one is refused."""
    for name in ("a", "b"):
        write(tmp_path / name / "train.jsonl", [{"category": "x", "text": "un"}, {"category": "y", "text": "deux"}])
        write(tmp_path / name / "test.jsonl", [{"category": "x", "text": "un"}])
    write(tmp_path / "b" / "test.jsonl", [{"category": "x"}])

    done = run("--data", str(tmp_path), "--results", str(tmp_path / "results"))

    assert done.returncode == 1
    assert "b/test.jsonl" in done.stderr
    assert "1 of" not in done.stderr
    assert not (tmp_path / "results").exists()
