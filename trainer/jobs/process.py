"""A training's own process: it yields to whoever serves, stays within its limits, and ends with its worker."""

import ctypes
import os
import platform
import resource
import signal

import msgspec

from artifacts.system import cores
from artifacts.system.processes import give_way


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a training may use.

    Attributes:
        timeout_s: seconds of wall clock; the worker ends it then.
        memory_bytes: of address space; 0: no limit.
        cpu_s: seconds of processor time, of all threads together; 0: no limit.
        file_bytes: of one file that it writes; what is longer is its output gone wild.
        open_files: at once.
        cores: that it may run on; empty: all.
        unpacked_bytes: that a posted file may hold once it is unpacked.
    """

    timeout_s: float = 4 * 3600.0
    memory_bytes: int = 0
    cpu_s: int = 0
    file_bytes: int = 4 * 2**30
    open_files: int = 1024
    cores: tuple[int, ...] = ()
    unpacked_bytes: int = 2**30


def spare_cores(num_serving: int) -> tuple[int, ...]:
    """Return the cores that a training may run on next to `num_serving` serving processes, each with one of its own.

    None are returned if every core serves: then any will do.
    """
    spare = cores.allowed()[num_serving:]
    # No more than the container has time for: its libraries start a thread for each core that they see.
    return spare[: max(1, cores.whole() - num_serving)]


def behave_as_child(parent: int, limits: Limits) -> None:
    """Yield the processor to whoever serves, keep to the limits, and end when the process `parent` ends.

    A training whose worker is gone has nobody to answer to. Elsewhere than on Linux only the niceness is set.
    """
    give_way()
    if platform.system() != "Linux":
        return
    die_with(parent)
    if limits.cores:
        os.sched_setaffinity(0, limits.cores)
    wanted = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the tickets
    for what, limit in wanted.items():
        if limit:
            _, hard = resource.getrlimit(what)
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            # A second more of processor time before the hard end, so that the signal says which limit it was.
            more = 1 if what == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
            resource.setrlimit(what, (limit, limit + more))


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; elsewhere than on Linux do nothing."""
    if platform.system() != "Linux":
        return
    pr_set_pdeathsig = 1  # <linux/prctl.h>
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        raise SystemExit("the process that asked for this training has ended")
