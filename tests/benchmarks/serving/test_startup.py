"""`python -m benchmarks startup`: its arithmetic, and one start of a real server."""

import sys

import pytest

from artifacts.store.store import Store
from benchmarks.load.contenders import CEILING, PUPPET, SEED_WAY, Model, Stage
from benchmarks.load.workload import Workload
from benchmarks.serving.startup import Settings, Start, make_sheet, measure_start, panels, summarise
from tests.benchmarks.load.test_workload import common

SETTINGS = Settings(common(), 10, [CEILING, PUPPET, SEED_WAY])
WORK = Workload(SETTINGS.common, Stage({"puppet": Model("a", "b")}, ""), [["client"]], {SEED_WAY: "no torch"}, {})


def test_start_is_judged_by_the_median() -> None:
    """Ready in 0.7, 0.8 and 2 s is just within 0.8 s; 131 MB is over 130."""
    starts = [Start(ready_s, 90.0, 131.0, 110.0, 2) for ready_s in (0.7, 0.8, 2.0)]

    numbers = summarise(SETTINGS, {PUPPET: starts}, WORK)
    sheet = make_sheet(SETTINGS, numbers)

    assert [one.is_met for one in numbers.criteria] == [True, False]
    assert numbers.started[PUPPET].ready_s.highest == 2.0
    assert sheet.rows[0] == ["Puppet, its own model", "0.80", "0.70-2.00", "131", "90", "110", "2"]
    assert sheet.rows[1][1] == "not measured"
    assert any("no torch" in note for note in sheet.notes)
    assert [len(bars) for _, bars in panels(numbers)] == [1, 1, 1]


@pytest.mark.system
def test_start_of_a_real_server(store: Store) -> None:
    """Our worker is a part of all its processes; the handler that does nothing is one process, and its own worker."""
    stage = Stage({"puppet": Model(str(store.root), "puppet-o2")}, sys.executable)
    work = Workload(SETTINGS.common, stage, [["client"]], {}, {})

    ours = measure_start(SETTINGS, work, PUPPET)
    nothing = measure_start(SETTINGS, work, CEILING)

    assert ours.ready_s > 0
    assert 10 < ours.pss_mb < ours.rss_mb
    assert ours.pss_mb < ours.all_pss_mb
    assert ours.num_processes == 2
    assert nothing.num_processes == 1
    assert nothing.pss_mb == nothing.all_pss_mb
