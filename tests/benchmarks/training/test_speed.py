"""`python -m benchmarks training-speed`: what is invented, looked into and set against the ceiling."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.common.machine import ROOT
from benchmarks.training import speed
from benchmarks.training.speed import Line, Numbers, Settings, exponents, files_of, parts, sheet, speed_command
from benchmarks.training.speed_profile import STEPS, Measured, Task, measure, write_invented

SMALL = ("embedding=8", "hidden=8", "ngram_buckets=64", "grus=1", "epochs=2", "folds=1", "processes=1")
ONE = Measured(
    1000, 12_000, 9.0, 10.0, 0.5, {"read": 1.0, "parts: network": 6.0, "all: network": 2.0}, {"backward": 3.0},
    200_000_000, 40, 480_000, 40_000_000, 2e7, 0.9,
)  # fmt: skip


def grown(num_tickets: int, num_words: int, exponent: float) -> Line:
    """Return a set whose time is a power of its tickets."""
    cpu_s = 10.0 * (num_tickets / 1000) ** exponent
    return Line("a", num_words, msgspec.structs.replace(ONE, num_tickets=num_tickets, cpu_s=cpu_s))


def test_invented_tickets_are_as_long_as_asked_and_the_same_each_time(tmp_path: Path) -> None:
    """Of 400 tickets of 30 words in 3 categories each has 133 or 134; another seed gives others."""
    one, again, other = (tmp_path / name for name in ("one", "again", "other"))
    for path, seed in ((one, 0), (again, 0), (other, 1)):
        write_invented(path, 400, 30, 3, seed)

    rows = [json.loads(line) for line in one.read_text("utf-8").splitlines()]
    lengths = [len(row["text"].split()) for row in rows]

    assert [row["category"] for row in rows] == [f"c{number % 3:03d}" for number in range(400)]
    assert sum(lengths) / 400 == pytest.approx(30, rel=0.1)
    assert max(lengths) > 2 * min(lengths)
    assert one.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.torch
def test_a_look_into_a_training_finds_its_phases_and_its_steps(tmp_path: Path) -> None:
    """Nearly all of the processor's time is given to a phase, and the loop's backward pass is among the steps."""
    write_invented(file := tmp_path / "rows.jsonl", 120, 10, 2)

    found = measure(Task(str(file), SMALL, looks=True), file)

    assert {"read", "imports", "parts: network", "all: network", "calibrate", "export"} <= set(found.phases)
    assert sum(found.phases.values()) == pytest.approx(found.cpu_s, rel=0.1)
    assert found.steps["backward"] > 0
    assert sum(found.steps.values()) <= found.phases["parts: network"] + found.phases["all: network"] + 0.1
    assert found.num_tickets == 120
    assert found.epochs in (3, 4), "two with tickets kept out, and as many on all as the best one took"
    assert 0 < found.tokens_read <= found.epochs * found.num_tokens
    # Two directions of three gates, 8 x (8 + 8) weights each, multiplied and added, and twice that for the gradients.
    assert found.flops > found.tokens_read * 2 * 3 * 8 * 16 * 2 * 3


def test_every_step_names_a_function_that_there_is() -> None:
    """A function that was renamed would be counted as the rest, and nobody would see it."""
    ours = [(path, name) for path, name in STEPS if path.split("/")[0] in ("gru", "stepping", "kernels")]

    assert len(ours) > 10
    for path, name in ours:
        assert f"def {name}(" in (ROOT / "trainer" / path).read_text("utf-8"), path


def test_ceiling_and_ratio() -> None:
    """4e7 operations at 2e7 a second are 2 s, a quarter of the networks' 8 s, in which 480,000 words are read."""
    (row,) = sheet(Numbers([Line("a", 12, ONE, wait_s=7.0, wait_bytes=300_000_000)], {12: 1.05})).rows

    assert row == ["a", "7.0", "10.0", "8.0", "2.00", "25.0%", "40", "60000", "300", "0.900"]


def test_exponent_is_that_of_the_large_sets() -> None:
    """Time that grows with n^1.1 says 1.1, whatever a set of 300 took; one size says nothing."""
    lines = [grown(300, 12, 3.0), *(grown(size, 12, 1.1) for size in (1000, 4000, 50_000)), grown(3000, 60, 1.0)]

    assert exponents(lines) == {12: pytest.approx(1.1)}
    assert "to the power of 1.10" in sheet(Numbers(lines, exponents(lines))).notes[-1]


def test_parts_have_their_shares() -> None:
    """A phase's share is of the training, a step's of the loops."""
    rows = parts(Line("a", 12, ONE)).rows

    assert rows[0] == ["start of Python", "0.50", "5.0%"]
    assert rows[-1] == ["loop: backward", "3.00", "100.0%"]


def test_files_are_copied_and_sets_are_invented(tmp_path: Path) -> None:
    """A store is made where the file is, so the data are not trained in their own folder."""
    (data := tmp_path / "rows.jsonl").write_text('{"category":"a","text":"b"}\n')
    settings = Settings((40, 50), (5,), 2, (), waits=False)

    ((label, words, copy),) = files_of(settings, data, (), tmp_path)
    invented = files_of(settings, None, (), tmp_path)

    assert (label, words, copy.read_text()) == ("rows.jsonl", 0, data.read_text())
    assert copy != data
    assert [label for label, _, _ in invented] == ["40 x 5 words", "50 x 5 words"]
    assert all(math.isclose(words, 5) and path.exists() for _, words, path in invented)


def test_command_trains_twice_and_prints_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked into in one process, and with the default ones."""
    asked: list[Task] = []

    def train(task: Task) -> Measured:
        asked.append(task)
        return ONE

    monkeypatch.setattr(speed, "train", train)

    done = CliRunner().invoke(speed_command, ["--tickets", "40", "--words", "5", "--set", "epochs=1"])

    assert done.exit_code == 0, done.output
    assert [(task.looks, task.overrides) for task in asked] == [
        (True, ("epochs=1", "processes=1")),
        (False, ("epochs=1",)),
    ]
    (line,) = json.loads(done.stdout.splitlines()[-1])["numbers"]["lines"]
    assert (line["label"], line["wait_s"]) == ("40 x 5 words", 9.0)
