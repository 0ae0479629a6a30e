"""`python -m benchmarks audit`: what is flipped, found and counted."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.accuracy.audit import Line, SetNumbers, audit_command, measure
from benchmarks.accuracy.sets import read_train
from tests.trainer.small import json_rows, tickets
from trainer.samples.synthetic import generate

LINE = Line(0.9, 10, 0.8, 0.7, 0.6, clean=0.9, flipped=0.8, removed=0.85, relabelled=0.78, corrected=0.9, seconds=1.0)


def test_share_of_the_loss_that_is_recovered() -> None:
    """Of a tenth that was lost, half, less than nothing, and all; of means, where seeds differ."""
    one = SetNumbers("a", 100, [LINE])

    assert [one.recovered(field) for field in ("removed", "relabelled", "corrected")] == pytest.approx([0.5, -0.2, 1])
    two = SetNumbers("a", 100, [LINE, msgspec.structs.replace(LINE, clean=0.8)])
    assert two.recovered("removed") == pytest.approx(1.0)


def test_flipped_categories_cost_and_are_found(tmp_path: Path) -> None:
    """With a third flipped the accuracy falls, a person who corrects raises it, and recall is above chance."""
    data = tmp_path / "sets" / "a"
    data.mkdir(parents=True)
    rows = "".join(json.dumps({"category": c, "tokens": t}) + "\n" for c, t in generate(500, 0))
    (data / "train.tokens.jsonl").write_text(rows)
    checked = read_train(data / "train.tokens.jsonl")

    found = measure(checked, 0.3, 0)

    assert found.clean > found.flipped
    assert found.recall > 2 * 0.06
    assert found.named_precision > 0.6
    assert found == msgspec.structs.replace(measure(checked, 0.3, 0), seconds=found.seconds)


def test_one_seed_is_void_and_not_saved(tmp_path: Path) -> None:
    """The result is printed, says why it is void, and ends with status 1 where it was to be kept."""
    (tmp_path / "a").mkdir()
    for name in ("train", "test"):
        lines = [json.dumps(row) + "\n" for row in json_rows(tickets(10))]
        (tmp_path / "a" / f"{name}.tokens.jsonl").write_text("".join(lines))

    result = CliRunner().invoke(audit_command, ["--data", str(tmp_path), "--seeds", "1", "--flipped", "0.2", "--save"])

    assert result.exit_code == 1
    assert "VOID: 1 seeds, at least 3 are needed" in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("{"))
    assert json.loads(line)["numbers"]["void_because"]
