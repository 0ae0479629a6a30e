"""A process in which changes are made, to be killed in the middle of them; and the other process's hold on it.

`python -m tests.faults.worker` imports all once, and then makes each change in a fork of itself, which is quick, and
has one thread, and is as good as a process of its own: the store is opened in it. It is told and tells by lines:

    told:  NAME, a tab, ROOT, a tab, SABOTAGE     the fork begins the change in that store
    tells: ready PID
    told:  act                                    as often as wanted
    tells: acknowledged | refused CLASS: MESSAGE | raised CLASS: MESSAGE
    told:  end
    tells: ended STATUS                           or so after a kill, without being told anything
"""

import os
import selectors
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from artifacts.errors import PuppetError

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0


class Worker:
    """The other process. Not for several threads."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker"],
            cwd=ROOT,
            # Without bytecode: to write it would be among the calls that are counted, the first time and not again.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._said = b""
        self.pid = 0

    def begin(self, name: str, root: Path, sabotage: str = "") -> int:
        """Begin a change, and return the number of the process that will act."""
        self._tell(f"{name}\t{root}\t{sabotage}")
        word, number = self.listen().split(maxsplit=1)
        assert word == "ready", f"{name} cannot begin: {word} {number}"
        self.pid = int(number)
        return self.pid

    def act(self) -> str:
        """Make the change, and return what became of it."""
        self._tell("act")
        return self.listen()

    def end(self) -> None:
        """End the fork; one that was told to act and was killed has ended already."""
        self._tell("end")
        said = self.listen()
        assert said == "ended 0", said

    def kill(self) -> None:
        """Kill the fork, which waits."""
        os.kill(self.pid, signal.SIGKILL)
        said = self.listen()
        assert said == "ended -9", said

    def do(self, name: str, root: Path, sabotage: str = "") -> str:
        """Make a change without a fault, and return what became of it."""
        self.begin(name, root, sabotage)
        said = self.act()
        self.end()
        return said

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def listen(self) -> str:
        """Return the next line, without its end."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        with selectors.DefaultSelector() as ready:
            ready.register(fd, selectors.EVENT_READ)
            while b"\n" not in self._said:
                assert ready.select(TIMEOUT_S), f"nothing was said for {TIMEOUT_S:.0f} s"
                more = os.read(fd, 65536)
                assert more, "the worker has ended; see its stderr"
                self._said += more
        line, self._said = self._said.split(b"\n", 1)
        return line.decode()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), line.encode() + b"\n")


def _say(line: str) -> None:
    os.write(1, " ".join(line.split()).encode() + b"\n")


def _hear() -> str:
    """Return the next line; whoever tells waits for the answer, so there is never more than one."""
    return os.read(0, 65536).decode().rstrip("\n")


def _serve(name: str, root: Path, sabotage: str) -> NoReturn:
    """Make one change, as often as told, and end the process."""
    from tests.faults.changes import ALL
    from tests.faults.sabotage import SABOTAGES

    try:
        act = ALL[name].begin(root)
        if sabotage:
            SABOTAGES[sabotage].put_in()
        _say(f"ready {os.getpid()}")
        while _hear() == "act":
            try:
                act()
                _say("acknowledged")
            except PuppetError as error:
                _say(f"refused {type(error).__name__}: {error}")
            except Exception as error:  # whatever it is, it is to be told
                traceback.print_exc()
                _say(f"raised {type(error).__name__}: {error}")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    """Make changes until stdin ends."""
    import tests.faults.changes  # before the forks, so that none has to import anything in mid-change
    import tests.faults.sabotage  # noqa: F401

    while line := _hear():
        pid = os.fork()
        if pid == 0:
            name, root, sabotage = line.split("\t")
            _serve(name, Path(root), sabotage)
        _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


if __name__ == "__main__":
    main()
