"""The campaign: `python -m tests.faults [--seed S] [--cuts N] [--only CHANGE] [--save]` interrupts every change.

Kills and disk errors are made at each point; of the power cuts, which take longer, those after an acknowledgement are
all made and of the others a seeded sample. It prints a table, and the last line of stdout is the whole result as JSON;
what is wrong goes to stderr as it is found, and the campaign then ends with status 1. `--save` writes docs/faults.md,
`--only correct` tries one change alone. It takes some ten minutes and needs root; run nothing beside it that writes
much, for the disk is waited for.
"""

import itertools
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from benchmarks.common.machine import Result, read_machine, result
from benchmarks.common.report import Sheet, markdown, print_json, show
from tests.faults import power
from tests.faults.changes import CHANGES
from tests.faults.kill import Case, Point, counted, failed, killed
from tests.faults.oracle import Complaint
from tests.faults.sabotage import SABOTAGES
from tests.faults.worker import Worker

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
MEMORY = Path("/dev/shm")  # a killed process leaves its writes to the kernel, so no disk is needed for that
MIN_KILLS, MIN_CUTS = 1000, 20
FAMILIES = sorted({name.split(":")[0] for name in CHANGES})
FRENCH = "# Pannes provoquées : ce qui reste après kill -9, une erreur de disque ou une coupure de courant"


class Row(msgspec.Struct):
    """What was done to one change, in all of its states, and what was found wrong.

    Attributes:
        states: that it begins from.
        kills: points at which its process was killed.
        disk_errors: calls that were made to fail.
        refused: of these, how often the change was refused and left nothing; else it was made all the same.
        cuts: of power.
        recovery_cuts: of these, how often it was cut once more during the recovery.
        lost, partial, job, other: complaints of the oracle; 0 is what is wanted.
    """

    change: str
    states: int = 0
    kills: int = 0
    disk_errors: int = 0
    refused: int = 0
    cuts: int = 0
    recovery_cuts: int = 0
    lost: int = 0
    partial: int = 0
    job: int = 0
    other: int = 0


class Control(msgspec.Struct, frozen=True):
    """How often the oracle saw that a store was sabotaged."""

    sabotage: str
    change: str
    fault: str
    caught: int
    tried: int


class Settings(msgspec.Struct, frozen=True):
    """What was asked for."""

    seed: int
    cuts: int
    only: tuple[str, ...]


class Numbers(msgspec.Struct, frozen=True):
    """What was found."""

    rows: list[Row]
    controls: list[Control]
    seconds: float


def complain(row: Row, fault: str, complaints: list[Complaint]) -> None:
    """Count what is wrong, and say it."""
    for complaint in complaints:
        setattr(row, complaint.sort, getattr(row, complaint.sort) + 1)
        click.echo(f"{fault}: {complaint.sort}: {complaint.sentence}", err=True)


def kills_and_errors(worker: Worker, case: Case, row: Row, folder: Path) -> None:
    """Kill a change at each of its points and after its end, and have each call fail that can."""
    name = case.change.name
    row.states += 1
    for point in (*case.points, None):
        row.kills += 1
        complain(row, f"{name}, killed at {point or 'its end'}", killed(worker, case, point, folder))
    for point in case.points:
        if point.error:
            said, complaints = failed(worker, case, point, folder)
            row.disk_errors += 1
            row.refused += said.startswith("refused")
            complain(row, f"{name}, {point.error} at {point}", complaints)


def power_cuts(worker: Worker, cases: list[Case], rows: dict[str, Row], settings: Settings, folder: Path) -> None:
    """Cut the power after each acknowledgement, and at a sample of the points; every fourth of these twice."""
    chance = random.Random(settings.seed)
    flags = (power.NOTHING_FLUSHED, power.JOURNAL_FLUSHED)
    every = [(case, point) for case in cases for point in case.points]
    sample: list[tuple[Case, Point | None]] = list(chance.sample(every, min(settings.cuts, len(every))))
    planned: list[tuple[Case, Point | None, int, int]] = [(case, None, flag, 0) for case in cases for flag in flags]
    planned += [
        (case, point, flag, chance.randint(1, 6) if number % 4 == 0 else 0)
        for number, ((case, point), flag) in enumerate(zip(sample, itertools.cycle(flags)))
    ]
    for case, point, flag, recovery_call in planned:
        row = rows[family(case)]
        row.cuts += 1
        row.recovery_cuts += bool(recovery_call)
        complaints = power.cut(worker, case, point, folder, flag=flag, recovery_call=recovery_call)
        complain(row, f"{case.change.name}, power cut at {point or 'its end'}, flag {flag}", complaints)


def controls(worker: Worker, folder: Path) -> list[Control]:
    """Return how often the oracle sees a change that was made wrong on purpose, at each of its points."""
    made = []
    for name, sabotage in SABOTAGES.items():
        case = counted(worker, CHANGES[sabotage.change], folder, name)
        try_ = killed if sabotage.fault == "kill" else power.cut
        found = [bool(try_(worker, case, point, folder, sabotage=name)) for point in (*case.points, None)]
        made.append(Control(name, family(case), sabotage.fault, sum(found), len(found)))
    return made


def family(case: Case) -> str:
    """Return the change's name without its state."""
    return case.change.name.split(":")[0]


def sheet(numbers: Numbers, settings: Settings) -> Sheet:
    """Return the table."""
    fields = Row.__struct_fields__
    total = Row("all", *(sum(getattr(row, field) for row in numbers.rows) for field in fields[1:]))
    columns = ["change", "states", "kills", "disk errors", "of them refused", "power cuts", "of them twice"]
    columns += ["lost", "partial", "wrong jobs", "other faults"]
    cells = [[str(getattr(row, field)) for field in fields] for row in [*numbers.rows, total]]
    return Sheet(
        title="Faults on purpose: what is left after kill -9, a disk error or a power cut",
        columns=columns,
        rows=cells,
        notes=[
            f"{total.kills} kill points, {total.disk_errors} disk errors and {total.cuts} power cuts: "
            f"{total.lost} acknowledged versions, jobs or corrections lost, {total.partial} partial ones visible.",
            "",
            "- A kill point is a system call by which a change reaches the disk, or the moment after its "
            "acknowledgement; strace kills the process as it enters the call.",
            "- A disk error is ENOSPC where a call takes space, EIO where it flushes; the change is to be refused with "
            "nothing changed, and to succeed in the same process when the disk is well; where the last flush fails "
            "a correction may be kept or erased all the same: whoever asks again changes nothing.",
            "- A power cut shuts an ext4 down without its caches being written, or with its journal only; `twice` is "
            "once more during the recovery, or at its end if that comes first.",
            "- After each of them another process reads and loads every version, compares versions, pointers, jobs "
            "and corrections with those before and after the change, recovers, looks for erased corrections in the "
            "bytes of every file, does the change again, and then a whole training.",
            *(
                f"- Control: with `{control.sabotage}` put into {control.change} on purpose, "
                f"{control.caught} of {control.tried} {control.fault}s were found out."
                for control in numbers.controls
            ),
            f"- Made by `make faults` with seed {settings.seed}, in {numbers.seconds:.0f} seconds.",
        ],
    )


def document(table: Sheet, found: Result) -> str:
    """Return docs/faults.md; it is in English under a heading in both languages."""
    english, rest = markdown(table, found).split("\n", 1)
    return f"{english}\n\n{FRENCH}\n{rest}"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", default=1, show_default=True, help="Of the sample of power cuts.")
@click.option("--cuts", default=1000, show_default=True, help="Power cuts beside those after an acknowledgement.")
@click.option("--only", multiple=True, type=click.Choice(FAMILIES), help="These changes alone, without the controls.")
@click.option("--save", is_flag=True, help="Write docs/faults.md.")
def main(seed: int, cuts: int, only: tuple[str, ...], save: bool) -> NoReturn:
    """Interrupt every change to a store at every step, and say what is left."""
    if only and save:
        raise click.UsageError("docs/faults.md is of all changes; leave out --only")
    if lacking := power.lacking():
        raise click.ClickException(lacking)
    settings, machine, begun = Settings(seed, cuts, only), read_machine(), time.monotonic()
    rows: dict[str, Row] = {}
    cases = []
    worker = Worker()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        try:
            for number, change in enumerate(CHANGES.values()):
                if only and change.name.split(":")[0] not in only:
                    continue
                folder = Path(name) / str(number)
                folder.mkdir()
                case = counted(worker, change, folder)
                cases.append(case)
                row = rows.setdefault(family(case), Row(family(case)))
                kills_and_errors(worker, case, row, folder)
                click.echo(f"{time.monotonic() - begun:.0f} s: {change.name}, {len(case.points)} points", err=True)
            power_cuts(worker, cases, rows, settings, Path(name))
            click.echo(f"{time.monotonic() - begun:.0f} s: power cuts", err=True)
            controlled = controls(worker, Path(name)) if not only else []
        finally:
            worker.close()
    numbers = Numbers(list(rows.values()), controlled, round(time.monotonic() - begun, 1))
    table = sheet(numbers, settings)
    found = result("faults", machine, settings, numbers)
    show(table)
    if save:
        DOCUMENT.write_text(document(table, found), "utf-8")
    print_json(found)
    wrong = any(row.lost or row.partial or row.job or row.other for row in rows.values())
    many = sum(row.kills for row in rows.values()) >= MIN_KILLS and sum(row.cuts for row in rows.values()) >= MIN_CUTS
    sys.exit(0 if (many or only) and not wrong and all(control.caught for control in controlled) else 1)


if __name__ == "__main__":
    main()
