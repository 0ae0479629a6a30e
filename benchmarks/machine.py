"""Where a number comes from (which machine, which versions, which commit), and where it is kept.

In: the settings and the numbers of a benchmark. Out: a table on stdout, then the whole result as one JSON line, and
with `--save` both as files in benchmarks/results. A saved file is never written over.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = (
    *("litestar", "msgspec", "numpy", "onnx", "onnxruntime", "torch", "uvicorn", "uvloop"),
    *("scikit-learn", "fasttext-numpy2-wheel", "sentence-transformers"),  # peers in the accuracy benchmark
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


class Sheet(msgspec.Struct, frozen=True):
    """A table for people, and the sentences below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def read_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """Return this machine as it is now; call it before the measurement makes a load of its own."""
    found = (
        re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text("utf-8"), re.MULTILINE) if cpuinfo.exists() else None
    )
    return Machine(
        cpu=found[1].strip() if found else platform.machine() or "unknown",  # ARM's cpuinfo has no name
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
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


def show(sheet: Sheet) -> None:
    """Print a table and its notes; in a pipe it is wide enough not to be folded."""
    out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 180)
    table = Table(title=sheet.title, title_justify="left", title_style="bold")
    for place, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if place else "left")
    for row in sheet.rows:
        table.add_row(*row)
    out.print(table)
    for note in sheet.notes:
        out.print(note, style="bold red" if note.startswith("VOID") else None, soft_wrap=True)


def markdown(sheet: Sheet, found: Result) -> str:
    """Return the table as a short Markdown document."""
    machine, source = found.machine, found.source
    commit = (
        f"commit {source.git_sha[:12]}{' with changes' if source.is_dirty else ''}" if source.git_sha else "no commit"
    )
    versions = ", ".join(f"{name} {number}" for name, number in source.libraries.items())
    lines = [
        f"# {sheet.title}",
        "",
        f"{found.date}, {machine.cpu}, {machine.num_cores} cores, {machine.system}, {commit}.",
        f"Python {source.python}, {versions}.",
        "",
        *table_lines(sheet),
    ]
    return "\n".join(lines).rstrip() + "\n"


def table_lines(sheet: Sheet) -> list[str]:
    """Return the table and its notes as lines of Markdown."""
    cells = [sheet.columns, ["---", *["---:"] * (len(sheet.columns) - 1)], *sheet.rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells), "", *sheet.notes]


def save(found: Result, sheet: Sheet, folder: Path = RESULTS) -> Path:
    """Write DATE_machine_topic.json and the Markdown beside it, and return the former's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{found.date[:10]}_{found.machine.short_name}_{found.topic}"
    path, number = folder / f"{stem}.json", 2
    while path.exists():  # a second result of a day is kept beside the first
        path, number = folder / f"{stem}-{number}.json", number + 1
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    path.with_suffix(".md").write_text(markdown(sheet, found), "utf-8")
    return path


def extend(path: Path, sheets: Sequence[Sheet], pictures: Sequence[tuple[str, Path]]) -> None:
    """Add more tables to the Markdown of a saved result, and then its pictures, which lie beside it.

    Args:
        path: from `save`.
        sheets: each under a heading of its own.
        pictures: title and path.
    """
    lines = []
    for sheet in sheets:
        lines += ["", f"## {sheet.title}", "", *table_lines(sheet)]
    for title, picture in pictures:
        lines += ["", f"![{title}]({picture.name})"]
    with path.with_suffix(".md").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def conclude(found: Result, sheet: Sheet, void_because: Sequence[str], save_it: bool) -> None:
    """Show what was measured, keep it if that was asked for, and print it as JSON last.

    Raises:
        click.ClickException: it was to be kept and is void.
    """
    show(sheet)
    if save_it and not void_because:
        click.echo(f"saved as {save(found, sheet)}")
    print_json(found)
    if save_it and void_because:
        raise click.ClickException("a void run is not saved")


def print_json(found: Result) -> None:
    """Print the line that other programs read; nothing may follow it on stdout."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()


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
