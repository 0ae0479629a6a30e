"""How many cores this process may use: those that it may run on, and no more than its container's share of time."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available(cgroups: Path = CGROUPS, own_groups: Path = OWN_GROUPS) -> float:
    """Return how many cores this process may use; a container may have half of one.

    Args:
        cgroups: where the kernel shows the limits of its control groups.
        own_groups: where it says which of them this process is in.
    """
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(num_cores), *_quotas(cgroups, own_groups)])


def _quotas(cgroups: Path, own_groups: Path) -> Iterator[float]:
    """Yield the share of each group that this process is in, in cores; nothing where there is no limit."""
    for line in _words(own_groups):
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:  # version 2: one tree
            tree = cgroups
        elif "cpu" in controllers.split(","):  # version 1: one for each controller
            tree = cgroups / "cpu"
        else:
            continue
        here = Path(path.lstrip("/"))
        for group in (here, *here.parents):  # an outer group limits the inner ones; in a container the last is its own
            quota = _words(tree / group / "cpu.max") or [
                *_words(tree / group / "cpu.cfs_quota_us"),
                *_words(tree / group / "cpu.cfs_period_us"),
            ]
            if len(quota) == 2 and all(number.isdigit() for number in quota) and int(quota[1]):  # else "max", or -1
                yield int(quota[0]) / int(quota[1])


def _words(path: Path) -> list[str]:
    """Return the words of a file; none if there is no such file."""
    try:
        return path.read_text().split()
    except OSError:
        return []
