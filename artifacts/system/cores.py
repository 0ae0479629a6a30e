"""How many cores this process may use, and which: the one answer to that question for server and trainer.

Two things limit it: the cores that it may run on (its affinity) and its container's share of their time (a quota of the
control groups, version 1 or 2). With `--cpus=1` on a host of 64 cores Python counts 64; the quota says 1, and 64
processes on it would only take turns. Source: `cpu.max` in
https://docs.kernel.org/admin-guide/cgroup-v2.html, `cpu.cfs_quota_us` in .../scheduler/sched-bwc.html.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")  # where the kernel shows the limits of its control groups
OWN_GROUPS = Path("/proc/self/cgroup")  # where it says which of them this process is in


def allowed() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may run on, in order; a quota of their time is left out."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))  # elsewhere than on Linux


def available() -> float:
    """Return how many cores this process may use; a container may have half of one."""
    return min([float(len(allowed())), *_quotas()])


def whole() -> int:
    """Return how many processes can each keep a core busy: the whole cores of `available`, at least 1."""
    # Rounded down: of two processes on 1.5 cores each waits a quarter of its time, and costs its memory all the same.
    return max(1, int(available()))


def _quotas() -> Iterator[float]:
    """Yield the share of each group that this process is in, in cores; nothing where there is no limit."""
    for line in _read(OWN_GROUPS).splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:  # version 2: one tree
            tree = CGROUPS
        elif "cpu" in controllers.split(","):  # version 1: one for each controller
            tree = CGROUPS / "cpu"
        else:
            continue
        here = Path(path.lstrip("/"))
        for group in (here, *here.parents):  # an outer group limits the inner ones; in a container the last is its own
            quota = _read(tree / group / "cpu.max").split() or [
                *_read(tree / group / "cpu.cfs_quota_us").split(),
                *_read(tree / group / "cpu.cfs_period_us").split(),
            ]
            if len(quota) == 2 and all(number.isdigit() for number in quota) and int(quota[1]):  # else "max", or -1
                yield int(quota[0]) / int(quota[1])


def _read(path: Path) -> str:
    """Return the text of a file; empty if there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""
