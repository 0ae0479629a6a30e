"""Change a copy of a store in a process that is killed at its n-th call to the disk, for n = 1, 2, ... until it lives.

`python -m tests.artifacts.crash STORE OUT CHANGE` leaves OUT/1, OUT/2, ..., each as its killed process left it, and
prints for each the call at which it was killed; one more copy is as the change leaves it at its end. test_store.py
runs it as a process of its own: a fork is only safe where there is one thread, and the test's own process has those of
onnxruntime.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifacts.store import Store

CALLS = ("mkdir", "open", "fsync", "link", "rename", "replace", "unlink", "rmdir")
NAME = "puppet-o2"
CHANGES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.create_model("new", "GRU"),
    "publish": lambda store: store.publish(*store.read_version(NAME, 1)),
    "promote": lambda store: store.promote(NAME, 2),
    "rollback": lambda store: store.rollback(NAME),
    "delete_version": lambda store: store.delete_version(NAME, 2),
    "delete_model": lambda store: store.delete_model(NAME),
    "prune": lambda store: store.prune(NAME, 1),
}
MAX_CRASHES = 300


def kill_at(number: int, told: int) -> None:
    """Have this process killed just before its `number`-th call, after it told the call's name to the pipe."""
    count = 0

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                os.write(told, name.encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    for name in CALLS:
        setattr(os, name, counting(name, getattr(os, name)))


def main() -> None:
    """Crash at each call in turn."""
    template, out, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    for number in range(1, MAX_CRASHES):
        shutil.copytree(template, out / str(number))
        store = Store(out / str(number))
        listening, told = os.pipe()
        child = os.fork()
        if child == 0:
            kill_at(number, told)
            CHANGES[what](store)
            os._exit(0)
        os.close(told)
        with os.fdopen(listening) as pipe:
            call = pipe.read()
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        print(call, flush=True)
    sys.exit("it never came to its end")


if __name__ == "__main__":
    main()
