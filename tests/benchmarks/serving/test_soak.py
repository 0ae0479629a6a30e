"""`python -m benchmarks soak`: its mixture, its arithmetic, and a second of it against a real server."""

import sys
from collections import Counter
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest

from artifacts.store.store import Store
from benchmarks.common.bars import plot_lines
from benchmarks.load.client import NO_ANSWER, Address, Calls
from benchmarks.load.contenders import Model, Stage
from benchmarks.load.workload import Workload
from benchmarks.serving.soak import MIXTURE, Look, Settings, make_sheet, measure, mixed, panel, summarise
from tests.benchmarks.load.test_workload import common

ADDRESS = Address("127.0.0.1", 1)
TICKETS = [["client", "connexion"], ["ticket"]]


def looks(last_mb: float) -> list[Look]:
    """Return a look each second of ten minutes: 90 MB at the start, 100 until nine minutes, then another number."""
    return [Look(at, 90.0 if at < 60 else 100.0 if at < 540 else last_mb, 80.0) for at in map(float, range(600))]


def calls(status: int = 200) -> Calls:
    """Return three calls of which one has a status."""
    return Calls(np.zeros(3), np.zeros(3), np.ones(3), np.array([200, 400, status], np.int16), 0)


def test_growth_is_judged_from_warm_to_the_end() -> None:
    """The first minute is warming up; 100 to 101.9 MB is within 2 %, to 102.5 it is not."""
    settings = Settings(common(seconds=600.0), 500.0)

    good, bad = summarise(settings, calls(), looks(101.9)), summarise(settings, calls(), looks(102.5))

    assert (good.first_mb, good.last_mb, good.growth_percent) == (100.0, 101.9, 1.9)
    assert [one.is_met for one in (*good.criteria, *bad.criteria)] == [True, False]
    assert good.pss_growth_percent == 0.0
    assert good.void_because == []


def test_short_or_broken_run_is_void(tmp_path: Path) -> None:
    """Less than ten minutes, or an answer that should not be, is no result; too few looks are none at all."""
    short = Settings(common(seconds=60.0), 500.0)
    some = [one for one in looks(100.0) if one.at_s < 60]

    found = summarise(short, calls(NO_ANSWER), some)
    sheet = make_sheet(short, found)
    plot_lines(tmp_path / "memory.png", [panel(found)], is_log=(False, False))

    assert len(found.void_because) == 2
    assert found.num_errors == 1
    assert len(sheet.rows) == 10
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(click.ClickException, match="too few"):
        summarise(short, calls(), some[:1])


def test_mixture_is_what_it_says() -> None:
    """A hundred shares, each kind as often as it says, the same order for the same seed."""
    requests = mixed(ADDRESS, "puppet-o2", TICKETS, 0)

    assert sum(MIXTURE.values()) == 100
    assert len(requests) == 1000
    assert requests == mixed(ADDRESS, "puppet-o2", TICKETS, 0)
    paths = Counter(one.split(b" ", 2)[1].decode() for one in requests)
    assert paths == {"/search": 940, "/test": 20, "/readyz": 30, "/metrics": 10}
    bodies = [msgspec.json.decode(one.partition(b"\r\n\r\n")[2]) for one in requests if b" /search " in one]
    assert sum("vectors" in body for body in bodies) == 10 * MIXTURE["bodies"]
    assert sum("text" in body for body in bodies) == 10 * MIXTURE["text"]


@pytest.mark.system
def test_server_answers_the_mixture(store: Store) -> None:
    """A few seconds of it: every request comes to what it should, and the memory was looked at."""
    stage = Stage({"puppet": Model(str(store.root), "puppet-o2")}, sys.executable)
    settings = Settings(common(seconds=2.5), 200.0)

    numbers = measure(settings, Workload(settings.common, stage, TICKETS, {}, {}))

    assert numbers.num_errors == 0
    assert numbers.num_requests > 300
    assert all(10 < one.pss_mb < one.rss_mb for one in numbers.looks)
