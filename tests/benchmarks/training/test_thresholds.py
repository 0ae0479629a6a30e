"""`python -m benchmarks thresholds`: what is drawn, tried and counted."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.accuracy.sets import read_train
from benchmarks.training.thresholds import Draw, Numbers, Settings, measure, sheet, thresholds_command
from tests.trainer.small import json_rows, tickets
from trainer.samples.synthetic import generate

pytestmark = pytest.mark.torch
ONE = Draw("a", 300, 0.8, "", 0.5, 0.95, 0.9, 0.98, 0.4, 0.92, holds=True)


def test_promise_and_trial_are_of_one_rule(tmp_path: Path) -> None:
    """Of invented tickets, most of which are certain, a threshold is found, routes unseen ones and holds."""
    rows = "".join(json.dumps({"category": c, "tokens": t}) + "\n" for c, t in generate(700, 0))
    (tmp_path / "train.tokens.jsonl").write_text(rows)
    settings = Settings({}, 1, "fast", target=0.6, fewest=300, most=300)

    found = measure("a", read_train(tmp_path / "train.tokens.jsonl"), settings, 0)

    assert found.num_rows == 300
    assert found.threshold is not None
    assert found.low is not None
    assert found.unseen_accuracy is not None
    assert found.unseen_coverage > 0.0
    assert found.holds == (found.unseen_accuracy >= found.low)


def test_table_counts_draws_with_and_without_a_threshold() -> None:
    """One of two has a threshold: half of its coverage is the mean, and only it has a share right."""
    none = Draw("a", 300, None, "why", 0.0, None, None, None, 0.0, None, holds=True)
    fails = msgspec.structs.replace(ONE, unseen_accuracy=0.8, holds=False, detail="threshold raised to 0.800: ...")
    numbers = Numbers([ONE, none, fails], 2, 2, False, [])

    found = sheet(Settings({"a": ""}, 3, "fast", 0.95), numbers)

    assert found.rows[0] == ["a", "3", "2", "2", "0.267", "0.860 (0.800)", "1"]
    assert found.rows[1][1:] == found.rows[0][1:]


def test_few_draws_are_void_and_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is printed, says why it is void, and ends with status 1 where it was to be kept."""
    monkeypatch.setattr("benchmarks.training.thresholds.measure", lambda *_: ONE)
    (tmp_path / "a").mkdir()
    for name in ("train", "test"):
        lines = [json.dumps(row) + "\n" for row in json_rows(tickets(10))]
        (tmp_path / "a" / f"{name}.tokens.jsonl").write_text("".join(lines))

    result = CliRunner().invoke(thresholds_command, ["--data", str(tmp_path), "--draws", "2", "--save"])

    assert result.exit_code == 1
    assert "VOID: 2 draws, at least 10 are needed" in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("{"))
    assert json.loads(line)["numbers"]["num_holding"] == 2
