"""`python -m benchmarks latency --peers`: its arithmetic, its tables and pictures, and its histograms."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from benchmarks.load.client import Calls
from benchmarks.load.contenders import CEILING, PUPPET, SEED_WAY, Model, Stage
from benchmarks.load.histogram import histogram
from benchmarks.load.workload import Common, Said, Workload
from benchmarks.serving import latency, loads
from benchmarks.serving.loads import (
    Numbers,
    Opened,
    Settings,
    draw_loads,
    draw_percentiles,
    make_sheets,
    measure_load,
    measure_one,
    summarise,
)
from tests.benchmarks.fake import fake_server, http
from tests.benchmarks.load.test_workload import common

SETTINGS = Settings(common(), 100, [30, 80], [CEILING, PUPPET, SEED_WAY, "litserve"])
STAGE = Stage({"puppet": Model("a", "b")}, "")
WORK = Workload(SETTINGS.common, STAGE, [["client"]], {"litserve": "no litserve"}, {})
MS = 1e-3


def calls(latency_ms: float, lateness_ms: float = 0.1) -> Calls:
    """Return a hundred calls of a latency, of which the last two take twice as long."""
    start_N = np.arange(100.0)
    latency_N = np.full(100, latency_ms * MS)
    latency_N[-2:] *= 2
    return Calls(start_N, start_N + lateness_ms * MS, start_N + latency_N, np.full(100, 200, np.int16), 0)


def numbers(lateness_ms: float = 0.1) -> Numbers:
    """Return five rounds in which our server takes a millisecond, and the seed's seven."""
    took = {CEILING: 0.1, PUPPET: 1.0, SEED_WAY: 7.0}
    saturation = {key: 1000 / ms for key, ms in took.items()}
    ones = {key: [calls(ms)] * 5 for key, ms in took.items()}
    opened = {
        (key, share): [Opened(calls(2 * ms, lateness_ms), 1)] * 5
        for key, ms in took.items()
        for share in SETTINGS.shares
        if key != CEILING
    }
    return summarise(SETTINGS, WORK, {PUPPET: [Said("a", 1.0)]}, saturation, ones, opened)


def test_histogram_keeps_all_calls() -> None:
    """1 to 1000 ms over two rounds: percentiles within a thousandth, and the packed form unpacks to the same."""
    ms_N = np.random.default_rng(0).permutation(np.arange(1, 1001)) * MS

    found = histogram([ms_N[:400], ms_N[400:]])

    assert found.num_calls == 1000
    assert found.percentiles_ms["50"] == pytest.approx(500, rel=2e-3)
    assert found.percentiles_ms["99.9"] == pytest.approx(999, rel=2e-3)
    assert found.max_ms == pytest.approx(1000, rel=1e-3)
    assert HdrHistogram.decode(found.encoded).get_total_count() == 1000


def test_latency_is_judged_by_what_the_issue_wants() -> None:
    """Seven times faster, p99 twice the p50, 4 ms at 80 %: two criteria met at their limit, one missed."""
    found = numbers()

    assert found.waited[PUPPET].seed_over == 7.0
    assert found.waited[PUPPET].loads["80"].rate == 800.0
    assert found.waited[CEILING].loads == {}
    assert [one.is_met for one in found.criteria] == [True, True, False]
    assert found.void_because == []
    assert found.waited[PUPPET].loads["30"].num_repeated == 5


def test_late_generator_voids_the_comparison() -> None:
    """One sentence, however many loads were late."""
    found = numbers(lateness_ms=1.5)

    assert len(found.void_because) == 1
    assert "4 of 4 loads" in found.void_because[0]


def test_tables_and_pictures_have_everybody(tmp_path: Path) -> None:
    """A line for each server, those not measured too; a line for each load; two pictures."""
    found = numbers()

    one, loaded = make_sheets(SETTINGS, found)
    draw_loads(tmp_path / "loads.png", found)
    draw_percentiles(tmp_path / "percentiles.png", found)

    assert [row[1] for row in one.rows] == ["0.100", "1.000", "7.000", "not measured"]
    assert any("no litserve" in note for note in one.notes)
    assert len(loaded.rows) == 4
    assert all(len(row) == len(sheet.columns) for sheet in (one, loaded) for row in sheet.rows)
    for name in ("loads.png", "percentiles.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_server_is_asked_at_a_rate() -> None:
    """A closed loop of as many calls as were asked for, then 150 arrivals or so; the warm-up is not counted."""
    settings = Settings(common(seconds=0.3), 100, [80], [PUPPET])
    with fake_server(lambda _: http(200)) as fake:
        one = measure_one(settings, WORK, PUPPET, fake.address)
        opened = measure_load(settings, WORK, PUPPET, fake.address, 500.0, [0])

    assert one.statuses.tolist() == [200] * 100
    assert abs(len(opened.calls.statuses) - 150) < 62  # five standard deviations
    assert set(opened.calls.statuses.tolist()) == {200}
    assert opened.num_repeated <= loads.MAX_REPEATED


def test_latency_beside_the_peers_is_asked_by_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """`latency --peers` hands its options on; a folder that is no set is refused before anything starts."""
    asked: list[tuple[Common, int, tuple[str, ...], bool]] = []
    monkeypatch.setattr(loads, "run", lambda *arguments: asked.append(arguments))

    done = CliRunner().invoke(latency.latency_command, ["--peers", "--tokens", "20", "--server", PUPPET])
    refused = CliRunner().invoke(latency.latency_command, ["--peers", "--data", "nowhere"])
    unknown = CliRunner().invoke(latency.latency_command, ["--peers", "--server", "nobody"])

    assert done.exit_code == 0, done.output
    ((options, num_calls, servers, save),) = asked
    assert (options.tokens, num_calls, servers, save) == ("20", 2000, (PUPPET,), False)
    assert refused.exit_code == unknown.exit_code == 2
