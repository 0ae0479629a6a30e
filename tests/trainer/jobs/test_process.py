"""A training's own process: the limits hold in a real child, and it ends with its worker."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.cgroups import make_cgroups
from tests.trainer.processes import PROJECT, becomes, is_gone
from trainer.jobs.process import Limits, spare_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only the niceness is set elsewhere")

BEHAVE = """
import sys
import msgspec
from trainer.jobs.process import Limits, behave_as_child
behave_as_child(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Limits))
"""
TELL = """
import json, os, resource
names = "AS", "CPU", "FSIZE", "NOFILE", "CORE"
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}
print(json.dumps([os.nice(0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)), limits]))
"""


def child(code: str, limits: Limits, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process that behaves as a child of `parent`, of this process by default."""
    return subprocess.run(
        [sys.executable, "-c", BEHAVE + code, str(parent or os.getpid()), msgspec.json.encode(limits).decode()],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=PROJECT,
        check=False,
    )


def test_process_gives_way_and_is_limited() -> None:
    """It has the lowest priority, runs when nobody else wants the core, and its limits are those that were asked."""
    core = max(os.sched_getaffinity(0))
    limits = Limits(memory_bytes=2**32, cpu_s=77, file_bytes=2**20, open_files=99, cores=(core,))

    done = child(TELL, limits)

    assert done.returncode == 0, done.stderr
    nice, scheduler, cores, held = json.loads(done.stdout)
    assert (nice, scheduler, cores) == (19, os.SCHED_IDLE, [core])
    assert held == {"AS": [2**32] * 2, "CPU": [77, 78], "FSIZE": [2**20] * 2, "NOFILE": [99] * 2, "CORE": [0, 0]}


def test_limits_that_are_not_set_are_as_they_were() -> None:
    """0 is no limit, and no cores are all of them; there is never a core file, which would hold the tickets."""
    done = child(TELL, Limits())

    nice, _, cores, held = json.loads(done.stdout)
    assert (nice, cores) == (19, sorted(os.sched_getaffinity(0)))
    assert held["AS"] == list(resource.getrlimit(resource.RLIMIT_AS))
    assert held["CPU"] == list(resource.getrlimit(resource.RLIMIT_CPU))
    assert held["CORE"] == [0, 0]
    assert held["NOFILE"][0] <= 1024
    assert held["FSIZE"][0] == 4 * 2**30


def test_limit_above_the_hard_one_is_the_hard_one() -> None:
    """A training in a container that allows less starts all the same."""
    lower = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
    done = subprocess.run(
        [sys.executable, "-c", lower + BEHAVE + TELL, str(os.getpid()), '{"open_files": 500}'],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=PROJECT,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[3]["NOFILE"] == [64, 64]


def test_too_much_memory_is_an_error_in_the_process() -> None:
    """What is asked beyond the limit is refused to it, and to nobody else."""
    done = child("bytearray(2**30)", Limits(memory_bytes=2**29))

    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("MemoryError")


def test_too_much_processor_time_ends_the_process() -> None:
    """A training that never ends is ended by the kernel."""
    done = child("while True: pass", Limits(cpu_s=1))

    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)  # soft and hard limit are the same second


def test_file_without_end_is_cut(tmp_path: Path) -> None:
    """The disk belongs to the store."""
    code = f"""
with open({str(tmp_path / "large")!r}, "wb", buffering=0) as file:
    while True:
        file.write(bytes(2**16))
"""
    done = child(code, Limits(file_bytes=2**20))

    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert (tmp_path / "large").stat().st_size == 2**20


def test_too_many_files_are_refused() -> None:
    """As above, of files that are open at once."""
    done = child("files = [open('/dev/null') for _ in range(100)]", Limits(open_files=50))

    assert "Too many open files" in done.stderr


def test_process_of_a_worker_that_is_gone_does_not_begin() -> None:
    """The worker may end before the call that ties the process to it; then the process has another parent."""
    done = child("print('begun')", Limits(), parent=1)

    assert (done.returncode, done.stdout) == (1, "")
    assert "the process that asked for this training has ended" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_process_ends_with_its_parent(number: signal.Signals) -> None:
    """However the parent ends, the kernel ends the process."""
    code = f"""
import os, subprocess, sys, time
child = {BEHAVE + "import time; print('tied', flush=True); time.sleep(600)"!r}
run = subprocess.Popen(
    [sys.executable, "-c", child, str(os.getpid()), "{{}}"], stdout=subprocess.PIPE, start_new_session=True
)
run.stdout.readline()
print(run.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PROJECT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)

        parent.send_signal(number)

        assert becomes(lambda: is_gone(pid))


def test_cores_beside_the_serving_ones_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each serving process is taken off; if none is left, any will do."""
    make_cgroups(tmp_path, monkeypatch, "", {})  # without a quota, whatever the tests run in
    cores = sorted(os.sched_getaffinity(0))

    assert spare_cores(0) == tuple(cores)
    assert spare_cores(1) == tuple(cores[1:])
    assert spare_cores(len(cores)) == ()
    assert spare_cores(len(cores) + 5) == ()


@pytest.mark.parametrize(
    ("quota", "num_serving", "expected"),
    [
        ("max", 1, tuple(range(1, 64))),
        ("400000", 1, (1, 2, 3)),
        ("400000", 3, (3,)),
        ("100000", 1, (1,)),
        ("50000", 1, (1,)),
        ("100000", 2, (2,)),
        ("100000", 64, ()),
    ],
)
def test_training_gets_no_more_cores_than_the_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, num_serving: int, expected: tuple[int, ...]
) -> None:
    """On a host of 64 cores the quota's cores are shared: one for each serving process, and one at least to train."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    make_cgroups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": f"{quota} 100000\n"})

    assert spare_cores(num_serving) == expected


def test_limits_pass_as_json() -> None:
    """The worker gives them to the process in its command line."""
    limits = Limits(timeout_s=1.5, memory_bytes=2, cpu_s=3, file_bytes=4, open_files=5, cores=(0, 1))

    assert msgspec.json.decode(msgspec.json.encode(limits), type=Limits) == limits
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"memory": 1}', type=Limits)
