"""Several tasks at once: the same results in the same order as one after the other, and nobody left behind."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from artifacts.errors import Fault, InvalidInput
from tests.trainer.processes import PROJECT, becomes, is_gone
from trainer.jobs import parallel
from trainer.kinds import Progress, Silent


def squared(number: int, progress: Progress) -> tuple[int, int]:
    """Return a square and who worked it out; a task that takes a moment."""
    progress.step(1, number, 0.0)
    time.sleep(0.05)  # so that nobody does everything before the other has begun
    return number * number, os.getpid()


def refuse(progress: Progress) -> None:
    """Fail as a training does whose settings are too bold."""
    raise InvalidInput("does-not-fit", [Fault.of("/lr", "missing-field")], what="body", count=1)


def wait_beside(path: Path, progress: Progress) -> None:
    """Write down which process this is, and never end."""
    path.write_text(str(os.getpid()))
    time.sleep(600)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(processes: int) -> None:
    """However many processes share them; this one does the first."""
    found = parallel.run_all([partial(squared, number) for number in range(12)], processes, Silent())

    assert [square for square, _ in found] == [number * number for number in range(12)]
    assert found[0][1] == os.getpid()
    workers = {worker for _, worker in found}
    assert len(workers) == 1 if processes == 1 else 1 <= len(workers) <= processes


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    """The first of two tasks ends only after the second has begun, so that both run at the same time."""
    begun = tmp_path / "begun"

    (_, first), (_, second) = parallel.run_all([partial(wait_for, begun), partial(begin, begun)], 2, Silent())

    assert first == os.getpid() != second


def test_no_task_waits_for_a_busy_process(tmp_path: Path) -> None:
    """What another process has not begun is done by this one as soon as it is free, and not kept for the other."""
    begun = tmp_path / "begun"
    tasks = [partial(squared, 2), partial(wait_for, begun), partial(begin, begun)]

    (_, first), (_, second), (_, third) = parallel.run_all(tasks, 2, Silent())

    assert first == third == os.getpid() != second


def wait_for(path: Path, progress: Progress) -> tuple[int, int]:
    """Return a square and who worked it out, once the file is there."""
    assert becomes(path.exists), "the other task did not begin meanwhile"
    return squared(2, progress)


def begin(path: Path, progress: Progress) -> tuple[int, int]:
    """Make the file; return a square and who worked it out."""
    path.touch()
    return squared(2, progress)


@pytest.mark.parametrize("place", [0, 1])
def test_failure_of_a_task_is_raised_as_it_is(place: int) -> None:
    """Of this process or of another; with its faults, so that who asked learns what to put right."""
    tasks = [partial(squared, 2), partial(squared, 3)]
    tasks.insert(place, refuse)  # type: ignore[arg-type]  # it returns nothing because it never returns

    with pytest.raises(InvalidInput, match="body does not fit") as caught:
        parallel.run_all(tasks, 2, Silent())

    assert list(caught.value.faults) == [Fault.of("/lr", "missing-field")]


PARENT = """
import sys
from functools import partial
from pathlib import Path
from tests.trainer.jobs.test_parallel import wait_beside
from trainer.jobs import parallel
from trainer.kinds import Silent
if __name__ == "__main__":
    parallel.run_all([partial(wait_beside, Path(path)) for path in sys.argv[1:]], 2, Silent())
"""


def test_other_processes_end_with_this_one(tmp_path: Path) -> None:
    """Kill -9 of a training leaves no process behind that nobody knows of."""
    script, paths = tmp_path / "parent.py", [tmp_path / "one", tmp_path / "two"]
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, script, *paths], env=environment)
    assert becomes(lambda: parent.poll() is not None or all(path.exists() and path.read_text() for path in paths))
    assert parent.poll() is None, "the parent ended before the second task began"
    child = int(paths[1].read_text())
    assert not is_gone(child)

    parent.kill()
    parent.wait()

    assert becomes(lambda: is_gone(child)), f"process {child} goes on without its parent"
