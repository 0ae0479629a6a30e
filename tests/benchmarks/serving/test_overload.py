"""`python -m benchmarks overload`: its schedule, its arithmetic, and refusals as the generator sees them."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.common.bars import plot_bars
from benchmarks.load.client import Calls, open_loop, post
from benchmarks.serving.overload import (
    TITLES,
    Phases,
    Round,
    Settings,
    counted,
    make_phases,
    make_sheet,
    panels,
    read_round,
    seconds_until_normal,
    sentence,
    summarise,
)
from tests.benchmarks.fake import fake_server, http
from tests.benchmarks.load.test_workload import common

SETTINGS = Settings(common(), 10)
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\ncontent-length: 2\r\n\r\n{}"
ROUND = Round(
    *(1000.0, 2000.0, 900.0, 2.0, 4.0, 8.0, 900, 1100, 0),
    *(0.5, 1.0, {"1": 1100}, 40, 40, 3.0, 0.2, 0.5),
)


def test_phases_are_at_their_rates() -> None:
    """At 100, 400 and 100 a second for 2 s each, about so many, in order; probes keep their pace in all of them."""
    phases = make_phases([b"one"], [b"many", b"more"], [b"livez", b"readyz"], [100.0, 400.0], 2.0, [0])

    assert (np.diff(phases.arrivals_N) >= 0).all()
    for phase, expected in enumerate((200, 800, 200)):
        inside = (phases.phase_N == phase) & ~phases.is_probe_N
        assert abs(int(inside.sum()) - expected) < 5 * expected**0.5  # five standard deviations
        times_N = phases.arrivals_N[inside]
        assert 2 * phase <= times_N.min() < times_N.max() < 2 * phase + 2
        asked = {phases.requests[place] for place in np.flatnonzero(inside).tolist()}
        assert asked == ({b"many", b"more"} if phase == 1 else {b"one"})
        probes = np.flatnonzero((phases.phase_N == phase) & phases.is_probe_N).tolist()
        assert Counter(phases.requests[place] for place in probes) == {b"livez": 20, b"readyz": 20}


def test_round_is_read_from_its_calls() -> None:
    """By hand: phases of 1 s; in the rush two bodies of 32 accepted of which one in time, one refused, one lost."""
    arrivals_N = np.array([0.1, 0.2, 1.1, 1.2, 1.3, 1.4, 1.5, 2.05, 2.95])
    took_N = np.array([0.010, 0.020, 0.5, 1.9, 0.002, np.nan, 0.030, 0.5, 0.010])
    statuses = np.array([200, 200, 200, 200, 503, 0, 200, 200, 200], np.int16)
    phase_N = np.array([0, 0, 1, 1, 1, 1, 1, 2, 2], np.int8)
    probe_N = np.array([0, 0, 0, 0, 0, 0, 1, 0, 0], bool)
    start = 1000.0
    calls = Calls(start + arrivals_N, start + arrivals_N + 1e-4, start + arrivals_N + took_N, statuses, 0)

    found = read_round(Phases(arrivals_N, [b""] * 9, phase_N, probe_N), calls, Counter({"1": 1}), 1.0, 100.0, 32)

    assert (found.num_accepted, found.num_refused, found.num_errors) == (2, 1, 1)
    assert (found.offered, found.goodput) == (4 * 32, 32)
    assert found.normal_p99_ms == pytest.approx(19.9)
    assert found.refusal_p99_ms == pytest.approx(2.0)
    assert (found.num_probes, found.num_probes_ok) == (1, 1)
    assert found.probe_p99_ms == pytest.approx(30.0)
    assert found.again_s == 0.1
    assert found.lateness_ms == pytest.approx(0.1)
    assert found.retry_after == {"1": 1}


def test_seconds_until_normal_counts_the_last_slow_window() -> None:
    """Slow at 0.05 and 0.25 s: normal from 0.3 s on; slow at the end: not normal; never slow: at once."""
    since_N = np.array([0.05, 0.15, 0.25, 0.35])

    assert seconds_until_normal(since_N, np.array([9.0, 1.0, np.inf, 1.0]), 2.0, 0.4) == 0.3
    assert seconds_until_normal(since_N, np.array([1.0, 1.0, 1.0, 9.0]), 2.0, 0.4) is None
    assert seconds_until_normal(since_N, np.ones(4), 2.0, 0.4) == 0.0


def test_refusals_are_counted_by_their_retry_after() -> None:
    """Every other request is refused, half of the refusals without the header."""
    heads: Counter[str] = Counter()
    answers = [http(200), BUSY, http(200), http(503)]
    with fake_server(lambda number: answers[number % 4]) as fake:
        request = post(fake.address, "/search", b"{}")
        calls = asyncio.run(open_loop(fake.address, [request], np.zeros(8), 2, take_refusal=counted(heads)))

    assert calls.num_refused == 4
    assert heads == {"2": 2, "none": 2}


def rounds(**changes: Any) -> dict[str, list[Round]]:
    """Return five equal rounds of each rush."""
    return {rush: [msgspec.structs.replace(ROUND, **changes)] * 5 for rush in TITLES}


def test_rush_is_summed_up_in_a_sentence(tmp_path: Path) -> None:
    """What a reader wants to know of each rush, and a picture of it."""
    numbers = summarise(SETTINGS, rounds())

    assert numbers.void_because == []
    assert sentence("single", numbers.rounds["single"]) == (
        "twice the capacity, single tickets: goodput 0.90 of the capacity; accepted p99 4.0 times the normal; "
        "refusals at p99 after 1.0 ms, Retry-After 1; 200 of 200 probes answered; as before after 0.2 s at most."
    )
    sheet = make_sheet(SETTINGS, numbers)
    assert len(sheet.rows) == 10
    assert all(len(row) == len(sheet.columns) for row in sheet.rows)
    plot_bars(tmp_path / "rush.png", panels(numbers))
    assert (tmp_path / "rush.png").read_bytes().startswith(b"\x89PNG")


def test_server_that_refuses_nobody_is_told_apart() -> None:
    """Without a refusal there is no time until it; a server that stays slow has no seconds until normal."""
    numbers = summarise(SETTINGS, rounds(refusal_p99_ms=None, refusal_p50_ms=None, again_s=None, retry_after={}))

    said = sentence("bodies", numbers.rounds["bodies"])

    assert "no refusal" in said
    assert "not as before" in said


def test_late_generator_voids_the_run() -> None:
    """A lateness over 1 ms at p99 in any round."""
    assert len(summarise(SETTINGS, rounds(lateness_ms=1.01)).void_because) == 1
