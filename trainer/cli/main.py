"""The command line of `puppet-train`: it parses, calls, and shows; the work is in run.py and files.py.

The commands that look after the versions in the store are in versions.py, those that show how an answer comes
about in explanation.py.

What a person reads goes to the terminal as tables; with `--json` the last line of stdout is one JSON object. An error
is one message and exit status 1; a wrong option is exit status 2.
"""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from artifacts.errors import ArtifactRefused, InvalidInput, ModelNotFound, NoTrainingData, StoreRefused, how_to_install
from artifacts.kinds import DEFAULT, Kind, check_kind, kind_named, load
from artifacts.networks.manifest import Epoch, Manifest, Report
from artifacts.schemas import Evaluation, Summary
from artifacts.store.store import Store
from artifacts.system.logs import start_log
from trainer.cli import explanation, inspection, versions
from trainer.cli.terminal import (
    data_argument,
    err,
    json_option,
    name_option,
    out,
    print_line,
    show_comparison,
    shows_errors,
    store_option,
)
from trainer.config import read_config
from trainer.jobs.process import Limits, behave_as_child, spare_cores
from trainer.jobs.worker import Worker
from trainer.kinds import Rows, trainer_of
from trainer.run import Promote, check_body, enriched, evaluate, fit, read_rows, run_job, with_feedback


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="puppet-o2")
def main() -> None:
    """Train, measure and check Puppet's models, offline."""


for command in (*inspection.COMMANDS, *versions.COMMANDS, *explanation.COMMANDS):
    main.add_command(command)


@main.command("fit")
@click.argument("data", required=False, type=click.Path(path_type=Path))
@name_option
@store_option
@click.option("--kind", "kind_name", help=f"The neural_network_type of a new model.  [{DEFAULT}]")
@click.option("--test", type=click.Path(path_type=Path), help="Measure the new version on this data at the end.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings as a TOML file.")
@click.option(
    "--recipe",
    type=click.Choice(["fast", "default", "best"]),
    help="fast: in seconds, a little less accurate. default: what to use. best: four GRUs, twice the time and cost.",
)
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="One setting; wins over --config.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Be done in this time, and use all of it.")
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    help="Pretrained word vectors: fastText .vec, GloVe .txt, or spaCy.",
)
@click.option(
    "--unlabelled", type=click.Path(path_type=Path), help="Tickets without a category, to learn from as well."
)
@click.option(
    "--include-feedback", is_flag=True, help="Train on the model's corrections as well; DATA may be left out then."
)
@click.option(
    "--promote",
    type=click.Choice(["always", "if_better", "never"]),
    default="always",
    show_default=True,
    help="Whether the new version serves; if_better: if it is surely better than the serving one, on --test if given.",
)
@json_option
@shows_errors
def fit_command(
    data: Path | None,
    name: str,
    store: Path,
    kind_name: str | None,
    test: Path | None,
    config_file: Path | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    minutes: float | None,
    vectors: Path | None,
    unlabelled: Path | None,
    include_feedback: bool,
    promote: Promote,
    as_json: bool,
) -> None:
    """Train on DATA and publish the result as the next version.

    DATA is JSONL, the JSON body of /train_model, CSV or TSV, each row a category and either tokens or text; or a folder
    of e-mails, one folder per category of .eml or mbox files. For --kind SimpleNN a row is features and a target. Every
    row that does not fit is reported before anything is trained.
    """
    if data is None and not include_feedback:
        raise click.MissingParameter(param_type="argument", param_hint="'DATA'")
    kind, is_new = kind_of(store, name, kind_name)
    trainer = trainer_of(kind)
    named = [f"{field}={value}" for field, value in (("recipe", recipe), ("minutes", minutes)) if value is not None]
    config = read_config(trainer.Config, config_file, (*named, *overrides))
    rows = read_rows(data, kind) if data is not None else None
    if include_feedback and not is_new:
        rows = with_feedback(Store(store), name, kind, rows)
    if rows is None:
        raise NoTrainingData("No training data provided or training data is empty")
    trainer.check_trainable(rows)
    rows = enriched(rows, kind, config, unlabelled, vectors)
    test_rows = read_test_rows(test, kind) if test else None
    source = data if data is not None else f"the corrections of {name}"
    out.print(f"{source}: " + "\n".join(trainer.show_rows(rows)), soft_wrap=True)
    if include_feedback and (num_feedback := getattr(rows, "num_feedback", 0)):
        out.print(f"  {num_feedback} of them are corrections", soft_wrap=True)
    show_config(trainer.resolved(config, rows))
    opened = Store(store)
    if is_new:
        opened.create_model(name, kind.name)
    with Bar() as bar:
        compare_on = test_rows if promote == "if_better" else None
        manifest, report = fit(opened, name, rows, config, bar, promote, compare_on)
    show_training(manifest, report, kind)
    if manifest.comparison is not None:
        show_comparison(manifest.comparison)
    if opened.serving(name) != manifest.version:
        out.print(f"version {manifest.version} does not serve; puppet-train promote lets it", soft_wrap=True)
    metrics = manifest.validation
    if test_rows is not None and test is not None:
        evaluation = evaluate(opened, name, manifest.version, test_rows)
        show_evaluation(evaluation, test, kind)
        metrics = evaluation.summary
    if as_json:
        print_json(name, manifest.version, metrics, manifest.seconds, "test" if test else "validation")


@main.command("evaluate")
@data_argument
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; the serving one by default.")
@json_option
@shows_errors
def evaluate_command(data: Path, name: str, store: Path, version: int | None, as_json: bool) -> None:
    """Measure a published version on the labelled tickets in DATA, through onnxruntime as the server does."""
    opened = Store(store)
    kind = kind_named(opened.read_model(name).neural_network_type)
    number = opened.current(name).version if version is None else version
    rows = read_test_rows(data, kind)
    start = time.perf_counter()
    evaluation = evaluate(opened, name, number, rows)
    seconds = time.perf_counter() - start
    show_evaluation(evaluation, data, kind)
    if as_json:
        print_json(name, number, evaluation.summary, seconds, "test", msgspec.to_builtins(evaluation))


@main.command("report")
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; the serving one by default.")
@click.option("--test", type=click.Path(path_type=Path), help="Measure on this data, and show its worst mistakes.")
@click.option("--out", "page", type=click.Path(path_type=Path), help="Where the page goes.  [NAME-VERSION.html]")
@click.option("--card", type=click.Path(path_type=Path), help="Write a model card in Markdown here as well.")
@click.option(
    "--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Of the page; the card is English."
)
@shows_errors
def report_command(
    name: str, store: Path, version: int | None, test: Path | None, page: Path | None, card: Path | None, lang: str
) -> None:
    """Write one HTML page on a published version: what it is, how good, how sure, and where it errs.

    Without --test the numbers are those of the validation tickets. The page needs no network; with --test it holds the
    tickets that were answered wrongly, so it is for those who may read them.
    """
    missing = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if missing:
        raise InvalidInput(f"report needs {' and '.join(missing)}; {how_to_install('report')}")
    from trainer.report.page import (  # draws with matplotlib, which takes a second to import
        collect,
        write_card,
        write_page,
    )

    opened = Store(store)
    kind = kind_named(opened.read_model(name).neural_network_type)
    number = opened.current(name).version if version is None else version
    found = collect(opened, name, number, read_test_rows(test, kind) if test else None, test.name if test else "")
    page = page or Path(f"{name}-{number}.html")
    for path, text in ((page, write_page(found, lang)), (card, write_card(found) if card else "")):
        if path is None:
            continue
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
        out.print(f"written: {path}", soft_wrap=True)


@main.command("verify")
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; every one by default.")
@shows_errors
def verify_command(name: str, store: Path, version: int | None) -> None:
    """Check a model's published versions: sizes, hashes, operators of the graph, golden rows."""
    from trainer.graph import check_graph  # imports onnx, which no other command needs

    opened = Store(store)
    trainer = trainer_of(kind_named(opened.read_model(name).neural_network_type))
    serving = opened.current(name).version
    refused = 0
    for number in [version] if version is not None else opened.versions(name):
        try:
            manifest, files = opened.read_version(name, number)
            check_graph(files["model.onnx"], trainer.OPERATORS)
            load(manifest, files)
        except ArtifactRefused as error:
            refused += 1
            out.print(f"REFUSED {error}", style="red", soft_wrap=True)
        else:
            serves = ", serves" if number == serving else ""
            out.print(f"ok      {name} version {number}{serves}, {manifest.sha256}", soft_wrap=True)
    if refused:
        sys.exit(1)


@main.command("sample")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(["ticket", "email"]), default="ticket", show_default=True)
@click.option(
    "--num-tickets", type=click.IntRange(min=1, max=1_000_000), default=3000, show_default=True,
    help="How many tickets, or e-mails.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other tickets.")
@shows_errors
def sample_command(output: Path, kind: str, num_tickets: int, seed: int) -> None:
    """Write synthetic French support tickets to OUTPUT, as JSONL. They are invented: no accuracy claim rests on it.

    With `--kind email`, write short French e-mails in five categories: as JSONL if OUTPUT ends in .jsonl, else as .eml
    files in the new or empty folder OUTPUT, one sub-folder a category.
    """
    try:
        what = write_tickets(output, num_tickets, seed) if kind == "ticket" else write_emails(output, num_tickets, seed)
    except OSError as error:
        raise InvalidInput(f"cannot write {output}: {error.strerror}") from error
    out.print(f"{num_tickets} synthetic {what} (invented, seed {seed}) written to {output}", soft_wrap=True)


@main.command("run", hidden=True)
@click.argument("job", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--attempt", type=int, required=True, help="Which run of the job this is.")
@click.option("--parent", type=int, required=True, help="End when this process ends, and give way to others.")
@click.option("--limits", required=True, help="What it may use, as JSON.")
def run_command(job: Path, attempt: int, parent: int, limits: str) -> None:
    """Train what the folder JOB asks for; the worker calls this in a process of its own."""
    behave_as_child(parent, msgspec.json.decode(limits, type=Limits))
    sys.exit(0 if run_job(job.absolute(), attempt).outcome == "trained" else 1)


@main.command("check", hidden=True)
@click.argument("job", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check_command(job: Path) -> None:
    """Print what the body in the folder JOB asks for, as JSON; the server calls this before it queues a training."""
    sys.stdout.buffer.write(msgspec.json.encode(check_body(job.absolute())))


@main.command("work")
@store_option
@click.option("--timeout-s", type=click.FloatRange(min=1), default=4 * 3600.0, show_default=True, help="Of a training.")
@click.option("--memory-bytes", type=click.IntRange(min=0), default=0, help="Of a training; 0: no limit.")
@click.option("--cpu-s", type=click.IntRange(min=0), default=0, help="Processor time of a training; 0: no limit.")
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
    keep_versions: int,
    beside: int,
    parent: int | None,
    report: int | None,
) -> None:
    """Train what is asked for through the server, one training after the other, until Ctrl+C.

    `puppet-serve` runs this beside itself; run it by hand where the server has --trainer none.
    """
    cores = spare_cores(beside) if beside else ()
    limits = Limits(timeout_s=timeout_s, memory_bytes=memory_bytes, cpu_s=cpu_s, cores=cores)
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


def write_tickets(output: Path, num_tickets: int, seed: int) -> str:
    """Write the synthetic tickets as JSONL, and return what they are called."""
    from trainer.samples.synthetic import generate

    lines = [msgspec.json.encode({"category": c, "tokens": t}) + b"\n" for c, t in generate(num_tickets, seed)]
    output.write_bytes(b"".join(lines))
    return "tickets"


def write_emails(output: Path, num_emails: int, seed: int) -> str:
    """Write the synthetic e-mails as JSONL or as a folder of messages, and return what they are called.

    Raises:
        InvalidInput: the folder is not empty; nothing is written then.
    """
    from trainer.samples.emails import generate

    if output.suffix == ".jsonl":
        rows = ({"email_text": f"{subject}\n{body}", "label": c} for c, subject, body in generate(num_emails, seed))
        output.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        return "e-mails"
    from trainer.samples.messages import messages

    output.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in output.iterdir()):
        # Files left over from another seed would be read as part of this sample.
        raise InvalidInput(f"{output} is not empty ({len(found)} entries, such as {found[0]}); name a new folder")
    for path, content in messages(generate(num_emails, seed), seed):
        (output / path).parent.mkdir(exist_ok=True)
        (output / path).write_bytes(content)
    return "e-mails"


def kind_of(store: Path, name: str, asked: str | None) -> tuple[Kind, bool]:
    """Return the kind of the model `name`, and whether the model is still to be created.

    Raises:
        UnknownKind, KindMismatch: another was asked for than the model has.
        InvalidName, ArtifactRefused, StoreRefused.
    """
    if not store.exists():  # opening it would make it, and a fit that is refused later leaves nothing behind
        return kind_named(asked or DEFAULT), True
    try:
        record = Store(store).read_model(name)
    except ModelNotFound:
        return kind_named(asked or DEFAULT), True
    if asked is not None:
        check_kind(asked, name, record.neural_network_type)
    return kind_named(record.neural_network_type), False


def read_test_rows(data: Path, kind: Kind) -> Rows:
    """Return the checked rows of a file to measure on.

    Raises:
        InvalidInput: as `read_rows` does, or the file holds no ticket.
    """
    try:
        return read_rows(data, kind)
    except NoTrainingData as error:
        raise InvalidInput(f"{data} holds no ticket; expected at least one to measure on") from error


class Bar:
    """The progress bar of a training; in a pipe or a log it stays silent."""

    def __init__(self) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  validation {task.fields[accuracy]}  {task.fields[speed]} tickets/s"),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = TaskID(0)
        self._what = ""
        self._num_tickets = 0
        self._num_epochs = 0
        self._start = 0.0

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Show how much there is to do; a line of its own for the second training, on every ticket."""
        self._num_tickets, self._num_epochs, self._start = num_tickets, num_epochs, 0.0
        self._what = "all tickets, epoch" if is_refit else "epoch"
        total = num_tickets * num_epochs
        self._task = self._bar.add_task("loading PyTorch", total=total, loss="-", accuracy="-", speed="-")

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Show how far it is."""
        done = (epoch - 1) * self._num_tickets + num_tickets
        self._start = self._start or time.perf_counter()
        seconds = time.perf_counter() - self._start
        speed = f"{done / seconds:,.0f}" if seconds else "-"
        description = f"{self._what} {epoch}/{self._num_epochs}"
        self._bar.update(self._task, completed=done, description=description, loss=f"{loss:.3f}", speed=speed)

    def epoch(self, epoch: Epoch) -> None:
        """Show what the validation tickets say."""
        if epoch.validation_accuracy is not None:
            self._bar.update(self._task, accuracy=f"{epoch.validation_accuracy:.3f}")


def show_config(config: msgspec.Struct) -> None:
    """Print the settings that the training has in the end."""
    settings = ", ".join(f"{field}={value}" for field, value in msgspec.structs.asdict(config).items())
    out.print(f"settings: {settings}", soft_wrap=True)


def show_training(manifest: Manifest, report: Report, kind: Kind) -> None:
    """Print what the seeds' example logs at the end of a training, and the validation metrics."""
    losses = [epoch.loss for epoch in report.epochs]
    out.print(f"total training time: {report.seconds:.2f} s")
    out.print(f"total number of parameters: {report.num_parameters}")
    out.print(f"mean loss: {sum(losses) / len(losses):.4f}")
    out.print(f"minimum loss: {min(losses):.4f}")
    out.print(f"maximum loss: {max(losses):.4f}")
    out.print(f"final loss after {len(losses)} epochs: {losses[-1]:.4f} (weights of epoch {report.best_epoch})")
    for line in trainer_of(kind).show_validation(manifest, report):
        out.print(line, soft_wrap=True)
    out.print(f"published {manifest.name} version {manifest.version}")


def show_evaluation(evaluation: Evaluation, data: Path, kind: Kind) -> None:
    """Print the metrics of a version."""
    out.print(f"{evaluation.model_name} version {evaluation.version} on {data}", style="bold", soft_wrap=True)
    for part in trainer_of(kind).show_evaluation(evaluation):
        out.print(part, soft_wrap=True)


def print_json(
    name: str, version: int, metrics: Summary, seconds: float, measured_on: str, whole: Mapping[str, object] = {}
) -> None:
    """Print the one line that other programs read: the metrics in short, and as a whole where these are given."""
    more = {field: value for field, value in whole.items() if field not in ("model_name", "version")}
    line = {"name": name, "version": version, **metrics, **more}
    print_line(line | {"seconds": round(seconds, 3), "measured_on": measured_on})
