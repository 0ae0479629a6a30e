"""How many cores a process finds, from made-up control groups."""

import os
import re
from pathlib import Path

import pytest

from artifacts.system import cores
from tests.cgroups import make_cgroups

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process be allowed on eight cores, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "200000 100000\n"}, 0.5),
        ("0::/\n", {"cpu.max": "3200000 100000\n"}, 8),
        ("0::/elsewhere\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/a b\n", {"a b/cpu.max": "300000 100000\n"}, 3),
        ("3:memory:/\n2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("2:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "400000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 4),
        ("2:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("0::/\n", {"cpu.max": "no numbers\n"}, 8),
        ("", {"cpu.max": "100000 100000\n"}, 8),
    ],
)
def test_cores_are_those_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str], expected: float
) -> None:
    """The smallest limit on the way up counts, in both versions of control groups; one that is none does not."""
    make_cgroups(tmp_path, monkeypatch, own, files)

    assert cores.available() == expected
    assert cores.allowed() == tuple(range(8))


@pytest.mark.parametrize(
    ("quota", "expected"), [("50000", 1), ("100000", 1), ("190000", 1), ("250000", 2), ("900000", 8), ("max", 8)]
)
def test_half_a_core_is_no_second_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int
) -> None:
    """Whole cores are rounded down, but never to none: something has to do the work."""
    make_cgroups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": f"{quota} 100000\n"})

    assert cores.whole() == expected


def test_cores_without_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel shows none, those count that the process may run on."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "OWN_GROUPS", tmp_path / "missing")

    assert cores.available() == 8


def test_cores_elsewhere_than_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a system knows no affinity, all of its cores count."""
    make_cgroups(tmp_path, monkeypatch, "", {})
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)

    assert (cores.available(), cores.allowed()) == (3, (0, 1, 2))


def test_nobody_else_counts_cores() -> None:
    """One module answers how many cores there are, so that no other forgets the container's share."""
    counting = re.compile(r"cpu_count|sched_getaffinity")
    files = [file for package in ("artifacts", "trainer", "inference") for file in (ROOT / package).rglob("*.py")]

    assert [file.name for file in files if counting.search(file.read_text("utf-8"))] == ["cores.py"]
