"""What the server starts: a worker, a run, a check of a body; with which words, and how each ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from artifacts.jobs.records import Checked
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.cli.commands import puppet_train, refusal
from tests.trainer.job_bodies import body, claimed, folder_of
from tests.trainer.processes import DEADLINE_S, PROJECT, becomes, is_gone
from trainer.cli import work
from trainer.jobs.process import Limits

pytestmark = pytest.mark.torch


def test_work_says_what_it_does() -> None:
    """The help has the options a person may set, and not the one that only the server gives."""
    text = " ".join(puppet_train("work", "--help").stdout.split())

    assert "Do what is asked for through the server until Ctrl+C: a training, and a shorter job next to it." in text
    for option in ("--store", "--timeout-s", "--memory-bytes", "--cpu-s", "--keep-versions", "--beside"):
        assert option in text
    assert "--parent" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_ends_in_order_at_a_signal(empty: Store, number: signal.Signals) -> None:
    """Exit status 0 within a moment, and nothing on stdout or stderr."""
    lock = empty.root / ".jobs" / "worker.lock"
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", "work", "--store", str(empty.root), "--beside", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as worker:
        try:
            assert becomes(lambda: lock.exists() or worker.poll() is not None)  # it takes signals by then

            worker.send_signal(number)

            assert worker.communicate(timeout=DEADLINE_S) == ("", "")
        finally:
            worker.kill()
    assert worker.returncode == 0


def test_work_ends_with_the_process_that_asked_for_it(empty: Store) -> None:
    """A worker whose server is gone before it begins does nothing."""
    puppet_train("work", "--store", empty.root, "--parent", 1)

    assert not is_gone(os.getpid())


def test_work_at_a_damaged_store_is_refused_with_the_remedy(empty: Store) -> None:
    """The database of jobs can be moved away; the message says so."""
    (empty.root / ".jobs" / "jobs.sqlite").write_bytes(b"not a database" * 1000)

    lines = refusal("work", "--store", empty.root)

    assert "jobs.sqlite is damaged" in lines[0]
    assert "move the file away" in lines[0]


@pytest.mark.parametrize("wrong", ["--timeout-s=0", "--memory-bytes=-1", "--cpu-s=x", "--beside=-1"])
def test_wrong_limit_of_work_is_a_wrong_option(empty: Store, wrong: str) -> None:
    """Exit status 2, as for any option."""
    puppet_train("work", "--store", empty.root, wrong, status=2)


def test_work_passes_its_options_on_as_limits(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training may use is said once, at the worker."""
    made: list[tuple[Limits, int]] = []

    class Spy:
        def __init__(self, _: Store, limits: Limits, keep_versions: int) -> None:
            made.append((limits, keep_versions))

        def work(self, parent: int | None) -> None:
            assert parent is None

    monkeypatch.setattr(work, "Worker", Spy)
    monkeypatch.setattr(work, "start_log", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})

    puppet_train("work", "--store", empty.root)
    puppet_train(
        *("work", "--store", empty.root, "--timeout-s", 9.5, "--memory-bytes", 10, "--cpu-s", 11, "--beside", 2),
        *("--keep-versions", 3),
    )

    assert made == [(Limits(), 0), (Limits(timeout_s=9.5, memory_bytes=10, cpu_s=11, cores=(5,)), 3)]


def test_check_prints_what_a_body_asks_for(empty: Store) -> None:
    """One JSON object on stdout and status 0, for the server, which decides by `refusal`."""
    good = puppet_train("check", folder_of(empty, body(promote="never", keep_data=True)))
    wrong = puppet_train("check", folder_of(empty, body(config={"epochs": -1})))

    assert json.loads(good.stdout) == {
        "name": small.NAME,
        "neural_network_type": "GRU",
        "promote": "never",
        "keep_data": True,
        "data_of": "",
        "refusal": None,
    }
    refused = json.loads(wrong.stdout)["refusal"]
    assert (refused["outcome"], refused["error"], refused["num_faults"]) == ("refused", "InvalidInput", 1)
    assert [fault["pointer"] for fault in refused["faults"]] == ["/config/epochs"]
    assert msgspec.json.decode(wrong.stdout, type=Checked).refusal is not None


def test_check_of_a_folder_that_is_not_there_is_a_wrong_argument(tmp_path: Path) -> None:
    """Exit status 2."""
    puppet_train("check", tmp_path / "nowhere", status=2)


@pytest.mark.parametrize("missing", ["--attempt", "--parent", "--limits"])
def test_run_needs_to_know_for_whom_it_runs(empty: Store, missing: str) -> None:
    """Nobody runs a job by hand: it would not end with its worker, or publish for another attempt."""
    words = {"--attempt": "1", "--parent": str(os.getpid()), "--limits": "{}"}
    del words[missing]

    result = puppet_train("run", claimed(empty, body()), *(word for pair in words.items() for word in pair), status=2)

    assert f"Missing option '{missing}'" in result.stderr
