"""Where a number comes from, and that no saved result is lost."""

import os
import subprocess
from pathlib import Path

import click
import msgspec
import pytest

from benchmarks.common.machine import Machine, Result, Source, read_machine, read_source
from benchmarks.common.report import Sheet, conclude, markdown, save
from benchmarks.load.server import listening_url, pinned, resident_bytes, two_cores


class Anything(msgspec.Struct):
    """Settings or numbers of some benchmark."""

    value: float


SHEET = Sheet("How long", ["what", "p50"], [["a | b", "0.100"]], ["A note."])


def a_result(value: float = 1.5) -> Result:
    """Return a result of a fixed day."""
    machine = Machine("AMD EPYC", 2, "Linux 6", 0.1)
    source = Source("0123456789abcdef", False, "3.11.7", {"numpy": "2.4"})
    return Result("latency", "2026-11-22T15:00:00Z", machine, source, Anything(1.0), Anything(value))


@pytest.mark.parametrize(
    ("cpu", "num_cores", "name"),
    [
        ("AMD EPYC", 2, "epyc-2c"),
        ("AMD EPYC 9B14 96-Core Processor", 8, "epyc-9b14-8c"),
        ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", 4, "xeon-platinum-8370c-4c"),
        ("AMD Ryzen 7 5800X 8-Core Processor", 16, "ryzen-7-5800x-16c"),
        ("aarch64", 4, "aarch64-4c"),
    ],
)
def test_short_name_is_the_processor_and_its_cores(cpu: str, num_cores: int, name: str) -> None:
    """Maker, clock and padding words are left out, and only a-z, 0-9 and '-' stay."""
    assert Machine(cpu, num_cores, "Linux", 0.0).short_name == name


def test_machine_is_read_from_cpuinfo(tmp_path: Path) -> None:
    """The first processor's name is taken; a file without one (ARM) gives the architecture."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU 1\n\nprocessor\t: 1\nmodel name\t: Some CPU 2\n")
    arm = tmp_path / "arm"
    arm.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")

    assert read_machine(cpuinfo).cpu == "Some CPU 1"
    assert read_machine(arm).cpu == os.uname().machine
    assert read_machine(cpuinfo).num_cores >= 1


def test_source_names_the_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    """A changed file makes the checkout dirty; an earlier result, new or changed, does not."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert read_source(tmp_path).git_sha is None
    assert read_source(tmp_path).is_dirty is None
    git("init", "--quiet")
    (tmp_path / "code.py").write_text("1")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "old.json").write_text("{}")
    clean = read_source(tmp_path)
    (tmp_path / "code.py").write_text("2")
    dirty = read_source(tmp_path)

    assert clean.git_sha == dirty.git_sha == git("rev-parse", "HEAD")
    assert (clean.is_dirty, dirty.is_dirty) == (False, True)
    assert {"numpy", "onnxruntime", "msgspec"} <= clean.libraries.keys()


def test_results_are_saved_under_their_day_and_never_written_over(tmp_path: Path) -> None:
    """A second result of a day stands beside the first, each with its table."""
    first, second = (save(a_result(value), [SHEET], (), tmp_path / "results") for value in (1.5, 2.5))

    assert first.name == "2026-11-22_epyc-2c_latency.json"
    assert second.name == "2026-11-22_epyc-2c_latency-2.json"
    assert [msgspec.json.decode(path.read_bytes())["numbers"] for path in (first, second)] == [
        {"value": 1.5},
        {"value": 2.5},
    ]
    assert {path.suffix for path in first.parent.iterdir()} == {".json", ".md"}
    assert len(list(first.parent.iterdir())) == 4


def test_markdown_has_machine_commit_table_and_notes() -> None:
    """A bar in a cell is escaped, and the first column is to the left of numbers."""
    lines = markdown(SHEET, a_result()).splitlines()

    assert lines[0] == "# How long"
    assert "AMD EPYC, 2 cores, Linux 6, commit 0123456789ab." in lines[2]
    assert lines[5:8] == ["| what | p50 |", "| --- | ---: |", "| a \\| b | 0.100 |"]
    assert lines[-1] == "A note."


def test_void_run_says_so_first_and_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Why it is void stands above the notes of the first table, and the JSON is the last line all the same."""
    with pytest.raises(click.ClickException, match="a void run is not saved"):
        conclude(a_result(), [SHEET, SHEET], (), ["too few"], True, tmp_path)

    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("VOID: too few") + 1] == "A note."
    assert lines.count("VOID: too few") == 1
    assert msgspec.json.decode(lines[-1])["numbers"] == {"value": 1.5}
    assert list(tmp_path.iterdir()) == []


def test_listening_url_is_found_in_the_log() -> None:
    """Only the event that says so counts; other lines, other events and half a line do not."""
    settings = b'{"level":"info","event":"settings {\\"host\\": \\"http://127.0.0.1:1\\"}"}\n'
    line = b'{"level":"info","event":"listening on http://127.0.0.1:34567, documentation at /schema"}\n'

    assert listening_url(b"a warning\n" + settings + line) == "http://127.0.0.1:34567"
    assert listening_url(settings + line[:60]) == ""


def test_pinned_keeps_to_one_core_and_lets_go() -> None:
    """Inside the block this thread runs on the core, after it where it ran before; None changes nothing."""
    before = os.sched_getaffinity(0)
    core, _ = two_cores()
    with pinned(core):
        inside = os.sched_getaffinity(0)
    with pinned(None):
        unchanged = os.sched_getaffinity(0)

    assert inside == ({core} if core is not None else before)
    assert os.sched_getaffinity(0) == unchanged == before


def test_resident_memory_is_read_in_bytes() -> None:
    """This process holds more than 10 MB and less than 10 GB; a process that is not there has none."""
    resident = resident_bytes(os.getpid())

    assert resident is not None
    assert 10e6 < resident < 10e9
    assert resident_bytes(2**22 + 1) is None  # above the kernel's highest process id
