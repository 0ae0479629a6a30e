"""How many cores a process finds, from made-up control groups."""

import os
from pathlib import Path

import pytest

from artifacts.system import cores


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
        ("3:memory:/\n2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("2:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "400000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 4),
        ("2:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("0::/\n", {"cpu.max": "no numbers\n"}, 8),
        ("", {"cpu.max": "100000 100000\n"}, 8),
    ],
)
def test_cores_are_those_of_the_container(tmp_path: Path, own: str, files: dict[str, str], expected: float) -> None:
    """The smallest limit on the way up counts, in both versions of control groups; one that is none does not."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)

    assert cores.available(tmp_path, tmp_path / "own") == expected


def test_cores_without_control_groups(tmp_path: Path) -> None:
    """Where the kernel shows none, those count that the process may run on."""
    assert cores.available(tmp_path, tmp_path / "missing") == 8
