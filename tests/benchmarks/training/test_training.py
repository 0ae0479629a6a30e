"""`python -m benchmarks training`: what it sends, its arithmetic, and one short run with a real training."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from artifacts.store.store import Store
from benchmarks.common.machine import ROOT
from benchmarks.common.rounds import MIN_ROUNDS
from benchmarks.load.client import Calls
from benchmarks.training.training import train_body, write_body
from benchmarks.training.training_summary import (
    BESIDE,
    PLACES,
    Beside,
    Phase,
    Place,
    Quantiles,
    judge,
    quantiles,
    summarise,
)
from trainer.jobs.body import SpooledBody

MILLISECOND = 1e-3
LINES = [b'{"category":"a","tokens":["un"]}', b'{"category":"b","tokens":["deux"]}']
SPEED: dict[Place, float] = {"own core": 1000.0, "shared core": 500.0}


def calls(*latency_ms: float, late_ms: float = 0.0, status: int = 200) -> Calls:
    """Return a run with these latencies, whose generator was late all the time."""
    intended_N = np.arange(float(len(latency_ms)))
    answered_N = intended_N + np.array(latency_ms) * MILLISECOND
    statuses_N = np.full(len(latency_ms), 200, np.int16)
    statuses_N[-1] = status
    return Calls(intended_N, intended_N + late_ms * MILLISECOND, answered_N, statuses_N, 0)


def measured(num_rounds: int, **phases: Phase) -> dict[tuple[Place, Beside], list[Phase]]:
    """Return the same rounds in both places."""
    return {(place, beside): [phases[beside]] * num_rounds for place in PLACES for beside in BESIDE}


def test_quantiles_are_in_milliseconds() -> None:
    """Of 0, 1, ... 1000 ms the median is 500, the 99th percentile 990, the 99.9th 999, the greatest 1000."""
    assert quantiles(np.arange(1001.0) * MILLISECOND) == Quantiles(500.0, 990.0, 999.0, 1000.0)


def test_training_body_is_one_that_the_trainer_takes(tmp_path: Path) -> None:
    """Both bodies are read by the trainer's own decoder; the long one names a model that is not there."""
    short = msgspec.json.decode(train_body("a", LINES, b'{"epochs":1000}'), type=SpooledBody)
    write_body(tmp_path / "body", LINES, 100_000)
    raw = (tmp_path / "body").read_bytes()
    long = msgspec.json.decode(raw, type=SpooledBody)

    assert isinstance(short.config, msgspec.Raw)
    assert (short.name, short.neural_network_type, bytes(short.config)) == ("a", "GRU", b'{"epochs":1000}')
    assert [bytes(row) for row in short.training_data or []] == LINES
    assert 100_000 <= len(raw) < 100_500
    assert long.name == "nobody"
    assert {bytes(row) for row in long.training_data or []} == set(LINES)


def test_ratio_is_of_the_p99_in_the_same_place() -> None:
    """Alone 1 ms, beside a training 3 ms, while a body is posted 2 ms: 3 and 2 times; errors are counted, not timed."""
    numbers = summarise(
        SPEED,
        SPEED,
        measured(
            MIN_ROUNDS,
            nothing=Phase(calls(1, 1, 1)),
            training=Phase(calls(3, 3, 9, status=503), trainer_share=0.5),
            body=Phase(calls(2, 2, 9, status=500), post_s=(0.5, 1.5)),
        ),
    )

    assert numbers.void_because == []
    assert [line.place for line in numbers.lines] == ["own core"] * 3 + ["shared core"] * 3
    alone, training, body = numbers.lines[:3]
    assert (alone.p99_over_alone, training.p99_over_alone, body.p99_over_alone) == (None, 3.0, 2.0)
    assert training.p99_over_alone_rounds == [3.0] * MIN_ROUNDS
    assert (training.num_calls, training.num_refused, training.num_errors) == (3 * MIN_ROUNDS, MIN_ROUNDS, 0)
    assert (body.num_refused, body.num_errors, body.num_posts, body.post_s) == (0, MIN_ROUNDS, 2 * MIN_ROUNDS, 1.0)
    assert training.trainer_share == (0.5, 0.5)
    assert judge(training).endswith("wanted at most 2 times: MISSED.")
    assert judge(body).endswith("wanted at most 2 times: met.")
    assert "3.00 ms, wanted at most 5 ms: met." in judge(numbers.lines[4])


def test_faults_late_generator_and_few_rounds_void_the_result() -> None:
    """A training that had ended, a generator late by 2 ms, four rounds: each is a reason, said once."""
    late, fault = Phase(calls(3, 3, late_ms=2.0)), Phase(calls(1, 1), faults=("the training was failed after a round",))

    numbers = summarise(SPEED, SPEED, measured(MIN_ROUNDS - 1, nothing=Phase(calls(1, 1)), training=fault, body=late))

    assert numbers.void_because[0] == "the training was failed after a round"
    assert numbers.void_because[1].startswith("the generator was late by 2.0 ms")
    assert numbers.void_because[2].startswith("4 rounds")
    assert len(numbers.void_because) == 3


@pytest.mark.system
@pytest.mark.torch
def test_run_with_a_real_training(store: Store) -> None:
    """A round of half a second in both places: a training ran, a body was refused at its end. No time is judged."""
    options = ["--rounds", "1", "--seconds", "0.5", "--warmup", "0.1", "--calls", "50", "--body-mb", "0.05"]
    command = [sys.executable, "-m", "benchmarks", "training", "--store", str(store.root), *options]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    numbers = found["numbers"]
    assert found["topic"] == "training"
    assert [(line["place"], line["beside"]) for line in numbers["lines"]] == [
        (place, beside) for place in PLACES for beside in BESIDE
    ]
    assert {(line["num_refused"], line["num_errors"]) for line in numbers["lines"]} == {(0, 0)}
    for place in PLACES:
        assert numbers["rate"][place] == pytest.approx(0.3 * numbers["saturation"][place], abs=0.1)
    for line in numbers["lines"]:
        assert line["num_posts"] == 0 or line["beside"] == "body"  # a busy machine may come to none in half a second
        assert (line["trainer_share"] is not None) == (line["beside"] == "training")
    assert any("1 rounds" in reason for reason in numbers["void_because"])
    assert not any("body was answered" in reason for reason in numbers["void_because"])
