"""What a process asks of the system: the lowest priority, and that memory it has freed is taken back."""

import ctypes
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


def give_memory_back() -> None:
    """Return to the system what this process has freed.

    The C library keeps freed memory between pieces that are still in use for the next that asks: 20 MB of a worker's
    124 after it has let a session go. Nothing happens where the C library is not glibc, which alone can be asked.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
