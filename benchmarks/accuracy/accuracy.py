"""How accurate a model trained here is on each public set of a folder, next to what a team might take in its place.

In: a folder of sets (sets.py). Every learner is trained on the same training file in a process of its own with one
thread, `--jobs` of them at a time, and measured on the test file (learners.py). Out: tables, with how sure the lead
over each peer is (summary.py, tables.py); a record of the run in `accuracy_runs.jsonl`; with `--save` the tables as
a file and two pictures. The floor is what always answering the commonest category would get; the ceiling is 1.

    sets -> plan -> one process per training -> summary per set -> table, record, pictures

Test files are read by this command only: what is chosen by looking at them is no longer measured by them. So every run
is recorded, an interrupted one too.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from benchmarks.accuracy.learners import GRU, PEERS, Run, Work, measure_work
from benchmarks.accuracy.sets import DataSet, Facts, Part, choose, find_sets, read_facts
from benchmarks.accuracy.summary import SUBSAMPLE_ROWS, Numbers, Settings, bare, parts, summary
from benchmarks.accuracy.tables import make_sheets, pictures
from benchmarks.common import machine, options, report
from benchmarks.common.options import FOLDER
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config

M = TypeVar("M")  # what a training comes to, for whoever asks for it
RUNS = "accuracy_runs.jsonl"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
# Roughly how long each takes with the same rows, so that the longest start first.
RELATIVE_COST = {GRU: 10, "minilm": 6, "minilm-int8": 6, "fasttext": 4, "svc": 4}


@click.command("accuracy")
@options.data_sets
@options.sets
@options.settings("One setting of the training; repeatable.")
@click.option("--recipe", metavar="NAME", help="The same as --set recipe=NAME.")
@options.seeds("Trainings of the GRU on each set.")
@click.option(
    "--subsamples",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help=f"Parts of {SUBSAMPLE_ROWS} rows of each training file that are trained on too.",
)
@click.option("--curve", is_flag=True, help="Train on an eighth, a quarter and half of each training file too.")
@click.option(
    "--peers",
    metavar="NAMES",
    help="Of svc,fasttext,minilm,minilm-int8; svc is always among them. Default: those installed.",
)
@options.jobs("Processes at a time.")
@options.resume("each measurement; what it has already, of the same commit, is not measured again.")
@click.option("--save", is_flag=True, help="Keep table and pictures in benchmarks/results.")
@click.option(
    "--results",
    type=FOLDER,
    default=machine.RESULTS,
    help=f"Another folder for the results and for {RUNS}, to which every run is appended.",
)
@shows_errors
def accuracy_command(
    data: Path,
    sets: tuple[str, ...],
    overrides: tuple[str, ...],
    recipe: str | None,
    seeds: int,
    subsamples: int,
    curve: bool,
    peers: str | None,
    jobs: int,
    resume: Path | None,
    save: bool,
    results: Path,
) -> None:
    """Train on every set, peers beside, and measure on its test file."""
    here = machine.read_machine()
    if recipe is not None:
        overrides = (*overrides, f"recipe={recipe}")
    config = read_config(TrainConfig, None, overrides)
    chosen = choose(find_sets(data.absolute()), sets, data)
    learners = choose_peers(peers)
    if save:
        check_plots()
    facts = [read_facts(one) for one in chosen]  # a fault in the last file is found before an hour is spent on others
    numbered = [config.seed + number for number in range(seeds)]
    works = plan(chosen, facts, learners, numbered, subsamples, curve, overrides)
    hashes = {fact.label: (fact.train_sha256, fact.test_sha256) for fact in facts}
    settings = Settings(hashes, config, numbered, learners, subsamples, curve, jobs)
    runs: list[Run] = []
    numbers = None
    try:
        source = machine.read_source()
        for run in measure_all(works, jobs, lambda work: measured(work, resume, str(source.git_sha))):
            runs.append(run)
            told = f"{run.label}: {run.learner}, {run.num_train} rows, seed {run.seed}: {run.accuracy:.4f}"
            click.echo(f"{len(runs)} of {len(works)}: {told}, {run.train_seconds:.0f} s", err=True)
        numbers = summary(facts, learners, runs)
    finally:
        if runs:  # at least one test file was read
            found = machine.result("accuracy", here, settings, numbers or Numbers(False, [], [], bare(runs)))
            append(found, results / RUNS)
    report.conclude(found, make_sheets(numbers, settings), pictures(numbers), [], save, results)


@click.command("one-training", hidden=True)
@shows_errors
def one_training_command() -> None:
    """Train and measure what stdin says, and print its numbers as JSON."""
    work = msgspec.json.decode(sys.stdin.buffer.read(), type=Work, dec_hook=lambda _, path: Path(path))
    click.echo(msgspec.json.encode(measure_work(work)).decode())


def choose_peers(names: str | None) -> list[str]:
    """Return the peers to measure, in the order of PEERS; with no names those whose packages are there.

    Raises:
        click.UsageError: a name is unknown, or its package is missing.
    """
    if names is None:
        return [name for name, peer in PEERS.items() if peer.is_installed]
    wanted = {"svc", *(name.strip() for name in names.split(","))}
    if unknown := wanted - PEERS.keys():
        raise click.UsageError(f"--peers: no peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    for name in sorted(wanted):
        if not PEERS[name].is_installed:
            raise click.UsageError(f"--peers: {name} is not installed; {options.how_to_install(PEERS[name].extra)}")
    return [name for name in PEERS if name in wanted]


def check_plots() -> None:
    """Do nothing if pictures can be drawn.

    Raises:
        click.UsageError: matplotlib is missing.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise click.UsageError(f"--save draws with matplotlib; {options.how_to_install('bench')}") from error


def plan(
    sets: Sequence[DataSet],
    facts: Sequence[Facts],
    peers: Sequence[str],
    seeds: Sequence[int],
    subsamples: int,
    curve: bool,
    overrides: tuple[str, ...],
) -> list[Work]:
    """Return every training, the longest first, so that no core waits for the other at the end.

    The GRU is trained with each seed; peers with the first one, because theirs hardly matters. Parts of a training file
    are for the GRU and the SVC alone, with the first seed.
    """
    works = []
    for one, fact in zip(sets, facts, strict=True):
        works += [Work(one, GRU, Part(), seed, overrides) for seed in seeds]
        works += [Work(one, peer, Part(), seeds[0]) for peer in peers]
        for part, learner in product(parts(fact, subsamples, curve), (GRU, "svc")):
            works.append(Work(one, learner, part, seeds[0], overrides if learner == GRU else ()))
    rows = {fact.label: fact.num_train for fact in facts}
    return sorted(works, key=lambda w: -(w.part.num_rows or rows[w.data.label]) * RELATIVE_COST[w.learner])


def measure_all(works: Sequence[Work], jobs: int, measure: Callable[[Work], M]) -> Iterable[M]:
    """Yield what each work comes to as it ends, `jobs` at a time; after a failure or an interrupt no other is begun."""
    with ThreadPoolExecutor(jobs) as pool:  # each thread waits for a process
        waiting = [pool.submit(measure, work) for work in works]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def measured(work: Work, folder: Path | None, version: str) -> Run:
    """Return the run of a work, from the folder if it is kept there, else from a process of its own."""
    sent = msgspec.json.encode(work, enc_hook=str)  # a path is text in JSON
    if folder is None:
        return in_child(sent)
    files = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in (work.data.train, work.data.test))
    kept = folder / f"{hashlib.sha256(sent + files + version.encode()).hexdigest()[:32]}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Run)
    run = in_child(sent)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".part")  # an interrupt leaves no half of a file that looks whole
    unfinished.write_bytes(msgspec.json.encode(run))
    unfinished.replace(kept)
    return run


def in_child(sent: bytes) -> Run:
    """Return what a process of its own, with one thread, measured."""
    return msgspec.json.decode(machine.run_child(["one-training"], sent, ONE_THREAD), type=Run)


def append(found: machine.Result, path: Path) -> None:
    """Add the run to the file that keeps every one, a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(found) + b"\n")
