"""How accurate a model trained here is on each public set of a folder, beside what a team might take in its place.

In: a folder of sets (sets.py). Every learner is trained on the same training file in a process of its own with one
thread, `--jobs` of them at a time, and measured on the test file (learners.py). Out: a table, with how sure the lead
over the LinearSVC is (intervals.py); a record of the run in `accuracy_runs.jsonl`; with `--save` the table as a file
and two pictures (plots.py). The floor is what always answering the commonest category would get; the ceiling is 1.

    sets -> plan -> one process per training -> summary per set -> table, record, pictures

Test files are read by this command only: what is chosen by looking at them is no longer measured by them. So every run
is recorded, an interrupted one too.
"""

import hashlib
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path

import click
import msgspec

from benchmarks import machine
from benchmarks.curve import Curve, fit_curve, sentence
from benchmarks.intervals import Interval, paired_interval
from benchmarks.learners import GRU, PEERS, Run, Work, measure_work
from benchmarks.plots import Point, plot_curves, plot_latency
from benchmarks.sets import DataSet, Facts, Part, choose, find_sets, read_facts
from trainer.config import TrainConfig, read_config
from trainer.terminal import shows_errors

RUNS = "accuracy_runs.jsonl"
SUBSAMPLE_ROWS = 600  # what a support team begins with
CURVE_SHARES = (1 / 8, 1 / 4, 1 / 2)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
# Roughly how long each takes with the same rows, so that the longest start first.
RELATIVE_COST = {GRU: 10, "minilm": 6, "fasttext": 4, "svc": 1}


class Settings(msgspec.Struct, frozen=True):
    """What was asked for: the folder, the sets that it came to, and every setting of the training."""

    data: str
    sets: list[str]
    config: TrainConfig
    seeds: list[int]
    peers: list[str]
    subsamples: int
    curve: bool
    jobs: int


class Costs(msgspec.Struct, frozen=True):
    """What a classifier costs; see `Run`. Of several seeds the median."""

    ticket_us: float
    train_seconds: float
    model_bytes: int
    batch_ticket_us: float | None = None


class PeerNumbers(msgspec.Struct, frozen=True):
    """What a peer reaches, with what it costs and the setting that it chose."""

    accuracy: float
    macro_f1: float
    costs: Costs
    detail: str


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set, or on a part of its training file.

    Attributes:
        accuracies, macro_f1s: of each seed, on the test file, through onnxruntime.
        lead: of the mean of the seeds over the LinearSVC, with its interval.
        validation_accuracy, linear_validation, gru_validation: means of what the trainings said of themselves.
    """

    facts: Facts
    part: Part
    num_train: int
    accuracies: list[float]
    macro_f1s: list[float]
    lead: Interval
    costs: Costs
    peers: dict[str, PeerNumbers]
    validation_accuracy: float | None
    linear_validation: float | None
    gru_validation: float | None

    @property
    def label(self) -> str:
        """The set's, and which part of it."""
        if self.part.num_rows is None:
            return self.facts.label
        return f"{self.facts.label}, {self.part.num_rows} rows, draw {self.part.draw}"


class SetCurve(msgspec.Struct, frozen=True):
    """The learning curve of one learner on one set."""

    label: str
    learner: str
    curve: Curve


class Numbers(msgspec.Struct, frozen=True):
    """What was measured: each training alone, and what they come to; the latter only if the run came to its end."""

    is_complete: bool
    sets: list[SetNumbers]
    curves: list[SetCurve]
    runs: list[Run]


@click.command("accuracy")
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder of sets."
)
@click.option(
    "--sets", multiple=True, metavar="NAME", help="A set, such as banking77_fr or 'banking77_fr (tokens)'; repeatable."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="One setting of the training; repeatable."
)
@click.option("--recipe", metavar="NAME", help="The same as --set recipe=NAME.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of the GRU on each set.")
@click.option(
    "--subsamples",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help=f"Parts of {SUBSAMPLE_ROWS} rows of each training file that are trained on too.",
)
@click.option("--curve", is_flag=True, help="Train on an eighth, a quarter and half of each training file too.")
@click.option(
    "--peers", metavar="NAMES", help="Of svc,fasttext,minilm; svc is always among them. Default: those installed."
)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes at a time.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps each measurement; what it has already, of the same commit, is not measured again.",
)
@click.option("--save", is_flag=True, help="Keep table and pictures in benchmarks/results.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
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
    settings = Settings(str(data), [one.label for one in chosen], config, numbered, learners, subsamples, curve, jobs)
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
    accuracies, costs = make_sheets(numbers, settings)
    machine.show(accuracies)
    machine.show(costs)
    if save:
        click.echo(f"saved as {save_all(found, numbers, [accuracies, costs], results)}")
    machine.print_json(found)


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
            extra = PEERS[name].extra
            raise click.UsageError(f"--peers: {name} needs `pip install -c constraints.txt -e '.[{extra}]'`")
    return [name for name in PEERS if name in wanted]


def check_plots() -> None:
    """Do nothing if pictures can be drawn.

    Raises:
        click.UsageError: matplotlib is missing.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise click.UsageError("--save draws and needs `pip install -c constraints.txt -e '.[bench]'`") from error


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


def parts(fact: Facts, subsamples: int, curve: bool) -> list[Part]:
    """Return the parts of a set's training file that are trained on beside the whole."""
    found = [Part(SUBSAMPLE_ROWS, draw) for draw in range(subsamples)] if fact.num_train > SUBSAMPLE_ROWS else []
    return found + [part for part in curve_parts(fact) if curve and part not in found]


def curve_parts(fact: Facts) -> list[Part]:
    """Return the parts that the learning curve is read from, smallest first; each has every category."""
    sizes = sorted({max(fact.num_categories, round(share * fact.num_train)) for share in CURVE_SHARES})
    return [Part(size) for size in sizes if size < fact.num_train]


def measure_all(works: Sequence[Work], jobs: int, measure: Callable[[Work], Run]) -> Iterable[Run]:
    """Yield each run as it ends, `jobs` at a time; after a failure or an interrupt no other is begun."""
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


def bare(runs: Sequence[Run]) -> list[Run]:
    """Return the runs as they are recorded, in a fixed order: without the answers ticket by ticket, which are long."""
    ordered = sorted(runs, key=lambda run: (run.label, run.learner, run.part.num_rows or 0, run.part.draw, run.seed))
    return [msgspec.structs.replace(run, correct="") for run in ordered]


def summary(facts: Sequence[Facts], peers: Sequence[str], runs: Sequence[Run]) -> Numbers:
    """Return what the runs come to: whole sets first, then their subsamples, then curves."""
    whole = [summarise(fact, Part(), peers, runs) for fact in facts]
    draws = sorted({run.part.draw for run in runs if run.part.num_rows == SUBSAMPLE_ROWS})
    trained = {(run.label, run.part) for run in runs}
    small = [
        summarise(fact, Part(SUBSAMPLE_ROWS, draw), ["svc"], runs)
        for fact, draw in product(facts, draws)
        if (fact.label, Part(SUBSAMPLE_ROWS, draw)) in trained
    ]
    curves = []
    for fact, learner in product(facts, (GRU, "svc")):
        wanted = [*curve_parts(fact), Part()]
        if all((fact.label, part) in trained for part in wanted) and len(wanted) > 1:
            # The first seed alone, at every size: a mean at one of them would be compared with luck at the others.
            points = [min(of(runs, fact.label, learner, part), key=lambda run: run.seed) for part in wanted]
            sizes, heights = [run.num_train for run in points], [run.accuracy for run in points]
            curves.append(SetCurve(fact.label, learner, fit_curve(sizes, heights, fact.num_categories, fact.num_test)))
    return Numbers(True, whole + small, curves, bare(runs))


def of(runs: Sequence[Run], label: str, learner: str, part: Part) -> list[Run]:
    """Return the runs of one learner on one part of a set, by seed."""
    found = [run for run in runs if (run.label, run.learner, run.part) == (label, learner, part)]
    return sorted(found, key=lambda run: run.seed)


def summarise(fact: Facts, part: Part, peers: Sequence[str], runs: Sequence[Run]) -> SetNumbers:
    """Return the numbers of one set or part: ours over the seeds, each peer's, and the lead over the SVC."""
    ours = of(runs, fact.label, GRU, part)
    theirs = {name: of(runs, fact.label, name, part)[0] for name in peers}
    return SetNumbers(
        facts=fact,
        part=part,
        num_train=ours[0].num_train,
        accuracies=[run.accuracy for run in ours],
        macro_f1s=[run.macro_f1 for run in ours],
        lead=paired_interval([bits(run) for run in ours], [bits(theirs["svc"])]),
        costs=costs_of(ours),
        peers={
            name: PeerNumbers(run.accuracy, run.macro_f1, costs_of([run]), run.detail) for name, run in theirs.items()
        },
        validation_accuracy=mean_of([run.validation_accuracy for run in ours]),
        linear_validation=mean_of([run.linear_validation for run in ours]),
        gru_validation=mean_of([run.gru_validation for run in ours]),
    )


def bits(run: Run) -> list[bool]:
    """Return whether each answer was right."""
    return [letter == "1" for letter in run.correct]


def costs_of(runs: Sequence[Run]) -> Costs:
    """Return the median of what the runs cost."""
    batches = [run.batch_ticket_us for run in runs if run.batch_ticket_us is not None]
    return Costs(
        ticket_us=statistics.median(run.ticket_us for run in runs),
        train_seconds=statistics.median(run.train_seconds for run in runs),
        model_bytes=int(statistics.median(run.model_bytes for run in runs)),
        batch_ticket_us=statistics.median(batches) if batches else None,
    )


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of those that are there, None if none is."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def append(found: machine.Result, path: Path) -> None:
    """Add the run to the file that keeps every one, a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(found) + b"\n")


def make_sheets(numbers: Numbers, settings: Settings) -> tuple[machine.Sheet, machine.Sheet]:
    """Return the tables for people: how accurate, and at what cost."""
    return accuracy_sheet(numbers, settings), cost_sheet(numbers, settings)


def accuracy_sheet(numbers: Numbers, settings: Settings) -> machine.Sheet:
    """Return the table of accuracies, with the verdict and the learning curves as sentences."""
    columns = [
        *("set", "train", "test", "categories", "commonest", "accuracy", "min-max", "macro F1"),
        *(PEERS[name].title for name in settings.peers),
        *("lead, points", "95 % interval", "linear alone", "GRU alone"),
    ]
    rows = []
    for one in numbers.sets:
        lead, spread = one.lead, f"{min(one.accuracies):.4f}-{max(one.accuracies):.4f}"
        peers = [one.peers[name].accuracy if name in one.peers else None for name in settings.peers]
        rows.append(
            [
                *(one.label, str(one.num_train), str(one.facts.num_test), str(one.facts.num_categories)),
                *(f"{one.facts.majority_accuracy:.4f}", f"{statistics.fmean(one.accuracies):.4f}"),
                *(spread if len(one.accuracies) > 1 else "-", f"{statistics.fmean(one.macro_f1s):.4f}"),
                *map(share, peers),
                *(f"{100 * lead.mean:+.2f}", f"{100 * lead.low:+.2f} to {100 * lead.high:+.2f}"),
                *(share(one.linear_validation), share(one.gru_validation)),
            ]
        )
    notes = [
        f"On the test file, through onnxruntime; accuracy and macro F1: mean of the seeds {settings.seeds}, "
        "of the first one where there is no min-max; `commonest`: the accuracy of always answering that category.",
        "Lead over LinearSVC (TF-IDF of words 1-2 and characters 2-5, C=1): paired bootstrap of the test tickets, "
        "10,000 resamples; `alone`: each half of the network, on validation tickets.",
        *verdict(numbers),
        f"Settings: {changed(settings.config)}; peers not measured: {missing(settings.peers)}.",
        *(sentence(f"{one.label}, {name_of(one.learner)}", one.curve) for one in numbers.curves),
    ]
    return machine.Sheet("How accurate a model trained here is", columns, rows, notes)


def cost_sheet(numbers: Numbers, settings: Settings) -> machine.Sheet:
    """Return the table of what an answer, a training and a model cost."""
    titles = [PEERS[name].title for name in settings.peers]
    columns = [
        *("set", "us a ticket", "in a batch"),
        *(f"{title} us" for title in titles),
        *("training s", *(f"{title} s" for title in titles)),
        *("model bytes", *(f"{title} bytes" for title in titles)),
    ]
    rows = []
    for one in numbers.sets:
        if one.part.num_rows is not None:
            continue
        peers = [one.peers[name].costs for name in settings.peers]
        in_batch = one.costs.batch_ticket_us
        rows.append(
            [
                *(one.label, f"{one.costs.ticket_us:.0f}", "-" if in_batch is None else f"{in_batch:.0f}"),
                *(f"{cost.ticket_us:.0f}" for cost in peers),
                *(f"{cost.train_seconds:.1f}" for cost in (one.costs, *peers)),
                *(str(cost.model_bytes) for cost in (one.costs, *peers)),
            ]
        )
    notes = [
        "Medians of one ticket after the other in process, text to category, one thread; `in a batch`: of one in a "
        "batch of 8 tickets of 30 tokens.",
        f"{settings.jobs} processes ran at a time, so all times are of a busy machine.",
    ]
    chosen = {one.label: one.peers["fasttext"].detail for one in numbers.sets if "fasttext" in one.peers}
    if chosen:
        notes.append("fastText chose " + "; ".join(f"{label}: {detail}" for label, detail in chosen.items()) + ".")
    return machine.Sheet("What an answer costs", columns, rows, notes)


def verdict(numbers: Numbers) -> list[str]:
    """Return on which sets and subsamples the interval of the lead lies above 0, and on which below."""
    whole = [one for one in numbers.sets if one.part.num_rows is None]
    above = [one.label for one in whole if one.lead.low > 0]
    below = [one.label for one in numbers.sets if one.lead.high < 0]
    return [
        f"The interval lies above 0 on {len(above)} of {len(whole)} whole sets ({', '.join(above) or 'none'}).",
        f"It lies below 0 on {len(below)} of all {len(numbers.sets)} rows ({'; '.join(below) or 'none'}).",
    ]


def share(value: float | None) -> str:
    """Return an accuracy as a cell."""
    return "-" if value is None else f"{value:.4f}"


def name_of(learner: str) -> str:
    """Return a learner's name for people."""
    return "GRU" if learner == GRU else PEERS[learner].title


def changed(config: TrainConfig) -> str:
    """Return the settings that are not the defaults."""
    default = TrainConfig()
    found = [
        f"{name}={value}" for name, value in msgspec.structs.asdict(config).items() if value != getattr(default, name)
    ]
    return ", ".join(found) or "the defaults"


def missing(peers: Sequence[str]) -> str:
    """Return the names of the peers that are not among these."""
    return ", ".join(peer.title for name, peer in PEERS.items() if name not in peers) or "none"


def save_all(found: machine.Result, numbers: Numbers, sheets: Sequence[machine.Sheet], folder: Path) -> Path:
    """Write tables and pictures beside each other, and return the path of the JSON."""
    path = machine.save(found, sheets[0], folder)
    text = path.with_suffix(".md").read_text("utf-8")
    for sheet in sheets[1:]:
        text += "\n".join(["", f"## {sheet.title}", "", *machine.table_lines(sheet), ""])
    pictures = [("Accuracy against microseconds a ticket", path.with_name(f"{path.stem}_latency.png"))]
    plot_latency(pictures[0][1], [(one.label, points(one)) for one in numbers.sets if one.part.num_rows is None])
    if numbers.curves:
        pictures.append(("Learning curves", path.with_name(f"{path.stem}_curves.png")))
        labels = dict.fromkeys(one.label for one in numbers.curves)
        panels = [
            (label, [(name_of(c.learner), c.curve) for c in numbers.curves if c.label == label]) for label in labels
        ]
        plot_curves(pictures[1][1], panels)
    text += "".join(f"\n![{title}]({picture.name})\n" for title, picture in pictures)
    path.with_suffix(".md").write_text(text, "utf-8")
    return path


def points(one: SetNumbers) -> list[Point]:
    """Return a set's classifiers as points of the picture, ours first."""
    mean = statistics.fmean(one.accuracies)
    ours = Point("Puppet", one.costs.ticket_us, mean, min(one.accuracies), max(one.accuracies))
    return [ours] + [
        Point(PEERS[name].title, peer.costs.ticket_us, peer.accuracy, peer.accuracy, peer.accuracy)
        for name, peer in one.peers.items()
    ]
