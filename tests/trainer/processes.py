"""Processes that the tests start: whether they have ended, and waiting for what they do."""

import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[2]  # where `python -m trainer` finds the trainer


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def becomes(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Return whether something is so before the time is over."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
