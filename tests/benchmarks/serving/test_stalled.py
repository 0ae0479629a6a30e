"""`python -m benchmarks stalled`: its arithmetic, and a second of it against a real server."""

import sys

import msgspec
import pytest

from artifacts.store.store import Store
from benchmarks.load.contenders import Model, Stage
from benchmarks.load.stalls import KINDS
from benchmarks.load.workload import Workload
from benchmarks.serving.stalled import BACK_S, Held, Settings, Wave, is_back, make_sheet, measure, summarise
from tests.benchmarks.load.test_workload import common

HELD = Held(20, 80.0)
GOOD = Wave((0.5, 2.0), (0.5, 3.0), 100, 0, 0.1, HELD, Held(1020, 90.0), HELD, 4.0)


def test_each_kind_is_judged_by_failures_latency_and_what_is_left() -> None:
    """The p99 is 1.5 times at the median; one failed search, or one round that does not come back, is NOT MET."""
    settings = Settings(common(), 1000)
    bad = msgspec.structs.replace(GOOD, num_failed=1, back_s=None)
    slow = msgspec.structs.replace(GOOD, beside_ms=(0.5, 3.1))

    numbers = summarise(
        settings, 5000.0, {"silent": [GOOD] * 5, "idle": [GOOD] * 4 + [bad], "slow_head": [slow] * 3 + [GOOD] * 2}
    )
    sheet = make_sheet(settings, numbers)

    assert [one.is_met for one in numbers.criteria] == [True, True, True, False, True, False, True, False, True]
    assert numbers.void_because == []
    assert [row[0] for row in sheet.rows] == ["silent", "idle", "slow_head"]
    assert [row[-1] for row in sheet.rows] == ["4.0", "not back", "4.0"]


def test_generator_that_was_late_voids_the_run() -> None:
    """Late in more than one wave of ten, it measured itself."""
    late = msgspec.structs.replace(GOOD, lateness_ms=1.5)

    assert summarise(Settings(common(), 1000), 5000.0, {"idle": [late] + [GOOD] * 9}).void_because == []
    assert len(summarise(Settings(common(), 1000), 5000.0, {"idle": [late] * 2 + [GOOD] * 8}).void_because) == 1


@pytest.mark.parametrize(
    ("descriptors", "pss_mb", "expected"), [(24, 88.0, True), (25, 80.0, False), (20, 88.1, False)]
)
def test_server_is_back_when_nothing_is_left(descriptors: int, pss_mb: float, expected: bool) -> None:
    """A few descriptors and a tenth of the memory more are not theirs."""
    assert is_back(HELD, Held(descriptors, pss_mb)) is expected


@pytest.mark.system
def test_server_outlives_a_few_of_each_kind(store: Store) -> None:
    """Three callers of each kind: no search fails, and all their descriptors come back."""
    stage = Stage({"puppet": Model(str(store.root), "puppet-o2")}, sys.executable)
    settings = Settings(common(seconds=0.5, rounds=1), 3)

    numbers = measure(settings, Workload(settings.common, stage, [["client", "connexion"]], {}, {}))

    assert list(numbers.waves) == list(KINDS)
    for (wave,) in numbers.waves.values():
        assert wave.num_failed == 0
        assert wave.num_searches > 0
        assert wave.during.num_descriptors >= wave.after.num_descriptors
        assert wave.back_s is not None, wave
        assert wave.back_s <= BACK_S
