"""Processes that the tests start: whether they have ended, and waiting for what they do."""

import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[2]  # where `python -m trainer` finds the trainer
DEADLINE_S = 120.0  # only guards against a hang: what takes a second alone takes many on a busy machine


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def becomes(condition: Callable[[], bool]) -> bool:
    """Return whether something becomes true before a wait that only guards against a hang is over."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
