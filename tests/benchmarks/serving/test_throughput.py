"""`python -m benchmarks throughput`: its arithmetic, its tables and its picture."""

from pathlib import Path

import pytest

from benchmarks.common import report
from benchmarks.common.bars import plot_bars
from benchmarks.common.machine import read_machine, result
from benchmarks.load.contenders import CEILING, PUPPET, SEED_WAY, Model, Stage
from benchmarks.load.workload import Said, Workload
from benchmarks.load.wrk import Answered
from benchmarks.serving.throughput import Measured, Numbers, Settings, is_broken, make_sheets, panels, summarise
from tests.benchmarks.load.test_workload import common

SETTINGS = Settings(common(), [1, 64], [CEILING, PUPPET, SEED_WAY, "bentoml"])
WORK = Workload(
    SETTINGS.common,
    Stage({"puppet": Model("a", "b")}, "python"),
    [["client"]],
    {"bentoml": "bentoml cannot be imported"},
    {"torch": "2"},
)
RATES = {CEILING: 20_000, PUPPET: 13_000, SEED_WAY: 1_000}


def run(rate: float, cpu_seconds: float = 0.5, num_not_200: int = 0, num_errors: int = 0) -> Measured:
    """Return a run of one second at a rate."""
    return Measured(Answered(int(rate) + num_not_200, 1.0, num_errors, num_not_200, 50, 120), cpu_seconds)


def numbers(num_not_200: int = 0) -> Numbers:
    """Return five rounds that the server spent at 90, 95, 100, 105 and 110 % of a rate."""
    shares = (0.9, 0.95, 1.0, 1.05, 1.1)
    found = {(key, num): [run(rate * share) for share in shares] for key, rate in RATES.items() for num in (1, 64)}
    found[PUPPET, 64][0] = run(13_000 * 0.9, num_not_200=num_not_200)
    pairs: list[dict[int, tuple[Measured, float | None]]] = [
        {1: (run(13_000, 1.0), 100.0), 2: (run(25_000, 2.0), 160.0)}
    ] * 5
    return summarise(SETTINGS, found, {PUPPET: [Said("a", 1.0)]}, pairs, WORK)


def test_ratios_are_of_the_medians() -> None:
    """13,000 a second is 13 times the seed's way and 0.65 of the handler that does nothing: just what is wanted."""
    found = numbers()

    rate = found.rates[PUPPET]["64"]
    assert (rate.a_second.median, rate.over_seed, rate.over_ceiling) == (13_000, 13.0, 0.65)
    assert rate.a_cpu_second.median == 26_000
    assert (rate.p50_ms.median, rate.p99_ms.median) == (0.05, 0.12)
    assert [one.is_met for one in found.criteria] == [True, True]
    assert found.void_because == []


def test_two_workers_are_compared_by_the_processors_time() -> None:
    """Two workers: 12,500 searches a CPU second against 13,000, and 60 MB more."""
    workers = numbers().workers

    assert workers is not None
    assert workers.two_over_one == pytest.approx(12_500 / 13_000, abs=1e-3)
    assert workers.next_worker_mb is not None
    assert workers.next_worker_mb.median == 60.0


def test_answers_that_are_no_searches_void_the_run() -> None:
    """A server that refuses is not fast."""
    found = numbers(num_not_200=1)

    assert found.rates[PUPPET]["64"].num_errors == 1
    assert len(found.void_because) == 1


def test_server_that_stood_still_voids_the_run() -> None:
    """Wrk counts no error where nothing came back before its end."""
    assert is_broken(SEED_WAY, [run(1_000), run(0)])
    assert not is_broken(SEED_WAY, [run(1_000), run(1_000)])


def test_peer_may_be_given_up_on_now_and_then() -> None:
    """Wrk waits 2 s for an answer: a slow peer misses that sometimes, ours never."""
    assert not is_broken(SEED_WAY, [run(1_000, num_errors=20)])
    assert is_broken(SEED_WAY, [run(1_000, num_errors=21)])
    assert is_broken(PUPPET, [run(1_000, num_errors=1)])


def test_table_names_who_was_not_measured() -> None:
    """The ceiling stands first, the missing peer has a row and its reason."""
    sheets = make_sheets(SETTINGS, numbers())

    assert sheets[0].rows[0][:3] == ["Litestar, does nothing", "1", "20000"]
    assert [row for row in sheets[0].rows if row[2] == "not measured"]
    assert any("bentoml cannot be imported" in note for note in sheets[0].notes)
    assert "The peers run on torch 2." in sheets[0].notes
    assert all(len(row) == len(sheet.columns) for sheet in sheets for row in sheet.rows)


def test_result_is_kept_with_its_picture(tmp_path: Path) -> None:
    """JSON, Markdown with both tables, and a PNG that the Markdown shows."""
    found = numbers()
    picture = report.Picture("Searches", "rates", lambda path: plot_bars(path, panels(SETTINGS, found)))

    path = report.save(
        result("throughput", read_machine(), SETTINGS, found), make_sheets(SETTINGS, found), [picture], tmp_path
    )

    text = path.with_suffix(".md").read_text("utf-8")
    drawn = path.with_name(f"{path.stem}_rates.png")
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert f"![Searches]({drawn.name})" in text
    assert "## One worker and two" in text
