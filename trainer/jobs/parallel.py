"""Several pieces of a training at once, each in a process with one thread.

In: tasks that know nothing of each other. Out: what each gives, in their order, the same as one after the other. A
second thread within a network as small as ours gains little (docs/decisions/0004); a second network on the second core
gains all of it.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

from trainer.jobs.process import die_with
from trainer.kinds import Progress, Silent

T = TypeVar("T")


def take(pop: Callable[[], T]) -> T | None:
    """Return what is taken off a deque; None if there is nothing left. One operation, so no two take the same."""
    try:
        return pop()
    except IndexError:
        return None


def run_all(tasks: Sequence[Callable[[Progress], T]], processes: int, progress: Progress) -> list[T]:
    """Return what each task gives, in order.

    This process does the first one, then takes from the back what nobody has begun, while the others take from the
    front: the longest should come first. Only its own tasks tell of their progress.

    Args:
        tasks: that can be pickled, with what they give; each is told whom to tell of its progress.
        processes: at most, this one included.
        progress: of this process's tasks.

    Raises:
        What a task raises; the others are then given up.
    """
    processes = min(processes, len(tasks))
    if processes <= 1:
        return [task(progress) for task in tasks]
    waiting = deque(enumerate(tasks))
    found: dict[int, T] = {}

    def hand_out() -> None:
        """Give a process one task after the other, from the front."""
        while (taken := take(waiting.popleft)) is not None:
            found[taken[0]] = pool.submit(taken[1], Silent()).result()

    # A forked process would inherit locks that a thread of PyTorch may hold, so each starts anew, which takes seconds.
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes - 1, context, initializer=die_with, initargs=(os.getpid(),)) as pool,
        ThreadPoolExecutor(processes - 1) as threads,
    ):
        try:
            _, first = waiting.popleft()
            # A thread for each process, which hands it a task when it has ended the one before. The pool itself takes
            # a task more than it has processes, and of two networks both would wait for the same one.
            handing = [threads.submit(hand_out) for _ in range(processes - 1)]
            found[0] = first(progress)
            while (taken := take(waiting.pop)) is not None:
                found[taken[0]] = taken[1](progress)
            for one in handing:
                one.result()
        except BaseException:
            waiting.clear()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[number] for number in range(len(tasks))]
