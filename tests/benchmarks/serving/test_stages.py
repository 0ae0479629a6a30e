"""`python -m benchmarks stages`: the floor counted by hand, and the stages of a real version in process."""

import math
from pathlib import Path

import pytest

from artifacts.store.store import Store
from benchmarks.common.bars import plot_bars
from benchmarks.load.contenders import Model
from benchmarks.peers.seed_graph import build
from benchmarks.peers.weights import make_weights
from benchmarks.serving.stages import (
    HTTP,
    SHAPES,
    STAGES,
    Peak,
    Settings,
    Task,
    Timed,
    find_floor,
    make_sheet,
    panels,
    peak_bytes,
    run_bytes,
    summarise,
    time_stages,
)
from tests.benchmarks.load.test_workload import common

GRAPH = build(make_weights(50, 7))  # the seed's network: E = H = 128, both directions, 50 words, 7 categories
PEAK = Peak(flops=1e11, bytes=1e10)


def test_floor_is_counted_from_the_graph() -> None:
    """By hand: a token takes 2 * 2 * 3H(E + H) = 393,216 operations, a ticket 2 * 2H * C, and the bytes are theirs."""
    gru = 2 * 3 * 128 * (128 + 128)  # weights of both directions
    head = 256 * 7
    biases = 2 * 6 * 128 + 7

    floor = find_floor(GRAPH, PEAK, num_tickets=8, num_tokens=30)

    assert floor.flops == 2 * gru * 8 * 30 + 2 * head * 8
    assert floor.bytes == run_bytes(GRAPH, 8, 30) == 4 * (gru + head + biases) + 4 * 128 * 8 * 30
    assert floor.flops_us == pytest.approx(floor.flops / 1e5, rel=1e-3)
    assert floor.us == max(floor.flops_us, floor.bytes_us)


def test_bytes_are_the_floor_where_they_take_longer() -> None:
    """On a core that computes fast and reads slowly."""
    floor = find_floor(GRAPH, Peak(flops=1e15, bytes=1e9), 1, 8)

    assert floor.us == floor.bytes_us > floor.flops_us


def test_peak_is_a_speed() -> None:
    """It is a number of bytes a second; how many is the machine's affair."""
    assert 0 < peak_bytes(2**16, rounds=3) < math.inf


def test_stages_of_a_version_are_timed(store: Store) -> None:
    """Each stage of each batch takes some time."""
    batches = [[["client"] * 5], [["connexion"] * 7] * 3]

    one, three = time_stages(Task(Model(str(store.root), "puppet-o2"), batches, 0.0, None))

    assert set(one) == set(three) == set(STAGES) - {HTTP}
    assert all(us > 0 for us in (*one.values(), *three.values()))


def test_ratios_are_of_the_best_peak(tmp_path: Path) -> None:
    """The floor is of the best peak of any round; the run's median over it."""
    stages = [dict.fromkeys(STAGES, 100.0) for _ in SHAPES]
    settings = Settings(common())

    numbers = summarise(settings, [Timed(Peak(1e11, 1e10), stages), Timed(Peak(2e11, 5e9), stages)], GRAPH)
    sheet = make_sheet(settings, numbers)
    plot_bars(tmp_path / "floor.png", panels(numbers))

    assert numbers.peak == Peak(2e11, 1e10)
    assert numbers.shapes[0].run_over_floor == round(100 / numbers.shapes[0].floor.us, 1)
    assert all(len(row) == len(sheet.columns) for row in sheet.rows)
    assert (tmp_path / "floor.png").read_bytes().startswith(b"\x89PNG")
