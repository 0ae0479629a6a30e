"""What reading a mail costs: a typical one, and one that is made to cost as much as it can.

The ceiling is a second of CPU for any mail of 10 MiB, because a server reads them in one thread, and 1.2 times the cost
of another checkout (`--base`) for a typical one. Typical mails are read in processes of their own, this checkout and
the other in turns; the least of the rounds is what the code costs, the rest is the machine. Times are CPU times. A
hostile form is read at 16 KiB and at 64 KiB too, below every limit: a ratio over 4 would be a step that grows faster
than its mail. Memory is resident memory after so many mails, and after twice as many.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import click

from artifacts.errors import InvalidMail
from artifacts.mail import read_mail
from benchmarks.common.machine import ROOT
from benchmarks.mail.hostile import FORMS, MIB
from benchmarks.mail.typical import TYPICAL

SMALL, LARGE = 16 * 1024, 64 * 1024
# Runs in whichever checkout is its working directory.
_WORKER = """
import json, sys, time
sys.path.insert(0, "")
from artifacts.mail import read_mail
found = {}
for name, text in json.load(sys.stdin).items():
    raw = text.encode()
    for _ in range(30):
        read_mail(raw)
    times = []
    for _ in range(10):
        start = time.process_time()
        for _ in range(50):
            read_mail(raw)
        times.append((time.process_time() - start) / 50)
    found[name] = min(times) * 1e6
print(json.dumps(found))
"""


def cpu_seconds(raw: bytes) -> float:
    """Return the CPU time of reading a mail, or of refusing it."""
    start = time.process_time()
    with contextlib.suppress(InvalidMail):
        read_mail(raw)
    return time.process_time() - start


def growth(name: str, rounds: int = 3) -> tuple[float, float]:
    """Return the CPU seconds of a hostile form at SMALL and at LARGE bytes, each the least of some rounds."""
    small, large = FORMS[name](SMALL), FORMS[name](LARGE)
    return min(cpu_seconds(small) for _ in range(rounds)), min(cpu_seconds(large) for _ in range(rounds))


def typical_us(checkout: Path) -> dict[str, float]:
    """Return the microseconds of each typical mail, in a process that imports a checkout."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WORKER],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        input=json.dumps(TYPICAL),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def resident_mb() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command("mail")
@click.option("--base", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another checkout.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of the typical mails, in turns.")
@click.option("--mails", type=click.IntRange(1), default=20_000, show_default=True, help="Before memory is read.")
def mail_command(base: Path | None, rounds: int, mails: int) -> None:
    """Measure what reading an e-mail costs, typical and hostile."""
    here: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    for _ in range(rounds):
        if base is not None:
            there.append(typical_us(base.resolve()))
        here.append(typical_us(ROOT))
    typical = {}
    click.echo(f"{'typical mail':32}{'us':>8}{'base us':>10}{'ratio':>8}")
    for name in TYPICAL:
        own = min(found[name] for found in here)
        other = min((found[name] for found in there), default=0.0)
        typical[name] = {"us": own, "base_us": other}
        click.echo(f"{name:32}{own:8.0f}{other:10.0f}{own / other if other else 0:8.2f}")
    hostile = {}
    click.echo(f"\n{'hostile form':32}{'10 MiB, s':>10}{'64 KiB, ms':>12}{'ratio to 16 KiB':>17}")
    for name, form in FORMS.items():
        small, large = growth(name)
        hostile[name] = {"cpu_s": cpu_seconds(form(10 * MIB)), "large_s": large, "small_s": small}
        ratio = large / max(small, 1e-4)
        click.echo(f"{name:32}{hostile[name]['cpu_s']:10.2f}{large * 1e3:12.1f}{ratio:17.1f}")
    raws = [text.encode() for text in TYPICAL.values()]
    memory = []
    for _ in range(2):
        for number in range(mails):
            read_mail(raws[number % len(raws)])
        memory.append(resident_mb())
    slowest = max(hostile, key=lambda name: hostile[name]["cpu_s"])
    click.echo(f"\nslowest: {slowest}, {hostile[slowest]['cpu_s']:.2f} s of CPU")
    click.echo(f"memory: {memory[0]:.0f} MB after {mails} mails, {memory[1]:.0f} MB after twice as many")
    click.echo(json.dumps({"typical": typical, "hostile": hostile, "memory_mb": memory}))
