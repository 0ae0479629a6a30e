"""The commands of `puppet-train` that do what the server asks for: `work` runs jobs, `run` one, `check` reads one.

The work is in `trainer/jobs/worker.py`, `trainer/run.py` and `trainer/jobs/body.py`; `main.py` adds these commands.
"""

import os
import signal
import sys
from pathlib import Path

import click
import msgspec

from artifacts.errors import StoreRefused
from artifacts.store.store import Store
from artifacts.system.logs import start_log
from trainer.cli.terminal import shows_errors, store_option
from trainer.jobs.body import check_body
from trainer.jobs.process import Limits, behave_as_child, spare_cores
from trainer.jobs.worker import Worker


@click.command("run", hidden=True)
@click.argument("job", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--attempt", type=int, required=True, help="Which run of the job this is.")
@click.option("--parent", type=int, required=True, help="End when this process ends, and give way to others.")
@click.option("--limits", required=True, help="What it may use, as JSON.")
def run_command(job: Path, attempt: int, parent: int, limits: str) -> None:
    """Do what the folder JOB asks for; the worker calls this in a process of its own."""
    found = msgspec.json.decode(limits, type=Limits)
    behave_as_child(parent, found)
    from trainer.jobs.runners import run_any  # with what all kinds need; a check that is refused waits for none of it

    outcome = run_any(job.absolute(), attempt, found.unpacked_bytes).outcome
    sys.exit(0 if outcome in ("trained", "done") else 1)


@click.command("check", hidden=True)
@click.argument("job", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check_command(job: Path) -> None:
    """Print what the body in the folder JOB asks for, as JSON; the server calls this before it queues a job."""
    sys.stdout.buffer.write(msgspec.json.encode(check_body(job.absolute())))


@click.command("work")
@store_option
@click.option("--timeout-s", type=click.FloatRange(min=1), default=4 * 3600.0, show_default=True, help="Of a training.")
@click.option("--memory-bytes", type=click.IntRange(min=0), default=0, help="Of a training; 0: no limit.")
@click.option("--cpu-s", type=click.IntRange(min=0), default=0, help="Processor time of a training; 0: no limit.")
@click.option(
    "--unpacked-bytes", type=click.IntRange(min=1), default=2**30, help="Of a posted file once unpacked.  [1 GiB]"
)
@click.option("--keep-versions", type=click.IntRange(min=0), default=0, help="Newest of a model that stay; 0: all.")
@click.option("--beside", type=click.IntRange(min=0), default=0, help="Leave cores to as many serving processes.")
@click.option("--parent", type=int, hidden=True, help="End when this process ends.")
@click.option("--report", type=int, hidden=True, help="Where a supervisor reads why this could not start.")
@shows_errors
def work_command(
    store: Path,
    timeout_s: float,
    memory_bytes: int,
    cpu_s: int,
    unpacked_bytes: int,
    keep_versions: int,
    beside: int,
    parent: int | None,
    report: int | None,
) -> None:
    """Do what is asked for through the server until Ctrl+C: a training, and a shorter job next to it.

    `puppet-serve` runs this beside itself; run it by hand where the server has --trainer none.
    """
    cores = spare_cores(beside) if beside else ()
    limits = Limits(
        timeout_s=timeout_s, memory_bytes=memory_bytes, cpu_s=cpu_s, cores=cores, unpacked_bytes=unpacked_bytes
    )
    start_log()
    try:
        opened = Store(store)
    except StoreRefused as error:
        if report is None:
            raise
        os.write(report, str(error).encode() + b"\0")
        sys.exit(os.EX_CONFIG)  # to start again would not help
    worker = Worker(opened, limits, keep_versions)
    asked = (signal.SIGTERM, signal.SIGINT)
    for number in asked:
        signal.signal(number, lambda *_: worker.stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)  # a supervisor blocks them until they can be taken
    worker.work(parent)


COMMANDS = (run_command, check_command, work_command)
