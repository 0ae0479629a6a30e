"""Several pieces of a training at once, each in a process with one thread.

In: tasks that know nothing of each other. Out: what each gives, in their order, the same as one after the other. A
second thread within a network as small as ours gains little (docs/decisions/0004); a second network on the second core
gains all of it.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from trainer.jobs.process import die_with
from trainer.kinds import Progress, Silent

T = TypeVar("T")


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
    # A forked process would inherit locks that a thread of PyTorch may hold, so each starts anew, which takes seconds.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes - 1, context, initializer=die_with, initargs=(os.getpid(),)) as pool:
        try:
            given = {number: pool.submit(task, Silent()) for number, task in enumerate(tasks) if number}
            own = {0: tasks[0](progress)}
            for number, future in reversed(given.items()):
                if future.cancel():
                    own[number] = tasks[number](progress)
            return [own[number] if number in own else given[number].result() for number in range(len(tasks))]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
