"""`python -m benchmarks drain`: its arithmetic, and one run with a real server."""

import msgspec
import pytest
from click.testing import CliRunner

from artifacts.store.store import Store
from benchmarks.common.machine import read_machine, result
from benchmarks.common.report import markdown
from benchmarks.serving import drain
from benchmarks.serving.drain import MIN_RUNS, Run, Settings, drain_command, make_sheet, measure_run, summarise

GOOD = Run(100, 10, 2, 0, 0, [], 0, 0.5)
SETTINGS = Settings(None, "puppet-o2", 1, 2, 4, 20, 3, 0)


def test_losses_are_counted_over_the_runs() -> None:
    """Two runs of three lose 3 requests of 6 + 2 * 102 + 1; an error is no loss, and a bad end is counted."""
    numbers = summarise([GOOD, GOOD, Run(1, 1, 2, 1, 2, ["lost: closed"], 1, 1.5), Run(0, 0, 0, 0, 1, [], 0, 0.7)])

    assert numbers.num_requests == 2 * 102 + 6 + 1
    assert (numbers.num_lost, numbers.num_runs_with_loss, numbers.num_bad_ends) == (3, 2, 1)
    assert numbers.num_after_signal == 21
    assert numbers.end_s == pytest.approx(0.6)
    assert len(numbers.void_because) == 2  # too few runs, and one of them not under load


def test_enough_runs_under_load_are_a_result() -> None:
    """Twenty runs that were under load are not void, whatever they have lost; the table has a line for each."""
    numbers = summarise([GOOD] * MIN_RUNS)
    assert numbers.void_because == []

    sheet = make_sheet(SETTINGS, numbers)

    assert len(sheet.rows) == MIN_RUNS + 1
    assert sheet.rows[-1][:6] == ["all", "2000", "200", "40", "0", "0"]
    assert f"0 of {102 * MIN_RUNS} requests were lost" in markdown(
        sheet, result("drain", read_machine(), SETTINGS, numbers)
    )


@pytest.mark.system
def test_run_ends_a_server_under_load(store: Store) -> None:
    """SIGTERM after 20 answers of a real server with two workers: what is counted adds up, and its status is told."""
    body = msgspec.json.encode({"name": "puppet-o2", "neural_network_type": "GRU", "vector": ["client"]})

    run = measure_run(SETTINGS, store.root, body)

    assert run.num_answered >= 20
    assert 0 < run.num_after_signal < run.num_answered
    assert (run.num_lost, run.num_other, run.reasons) == (0, 0, [])
    assert run.exit_status == 0
    assert run.end_s > 0


def test_void_run_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--save` of too few runs is refused, and they are shown all the same."""
    monkeypatch.setattr(drain, "measure_run", lambda *_: GOOD)

    done = CliRunner().invoke(drain_command, ["--store", "x", "--runs", "2", "--save"])

    assert done.exit_code == 1
    assert "a void run is not saved" in done.stderr
    assert "VOID: 2 runs" in done.stdout
