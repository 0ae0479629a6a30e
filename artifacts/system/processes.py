"""The lowest priority, for work that takes long and must not hold a search up."""

import os
import platform

NICEST = 19


def give_way(pid: int = 0) -> None:
    """Let a process that has just been started run only when nobody else wants the core; 0 is this one.

    It reaches the main thread, and what this one starts from then on. Niceness alone, which is
    all elsewhere than on Linux, is not enough: a search that comes then waits for the end of the time slice of whoever
    runs, however nice; a process of class SCHED_IDLE leaves the core at once.

    Raises:
        OSError: the process has ended, or this one may not do it.
    """
    os.setpriority(os.PRIO_PROCESS, pid, NICEST)
    if platform.system() == "Linux":
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
