"""The command line of `puppet-train`: it parses, calls, and shows; the work is in run.py and data.py.

What a person reads goes to the terminal as tables; with `--json` the last line of stdout is one JSON object. An error
is one message and exit status 1; a wrong option is exit status 2.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from artifacts.errors import ArtifactRefused, InvalidInput, ModelExists, NoTrainingData, PuppetError
from artifacts.manifest import Epoch, Manifest, Report
from artifacts.metrics import Evaluation
from artifacts.runtime import Model
from artifacts.store import Store
from trainer.config import TrainConfig, read_config
from trainer.data import MIN_FOR_VALIDATION, Rows, check_categories, check_rows, read_file
from trainer.run import behave_as_child, fit, run_job

DEFAULT_STORE = "artifacts/models"
# A category is printed as it is, were it "[/red]" or ":smile:".
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def shows_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn an error of ours into its message, its faults and exit status 1."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PuppetError as error:
            err.print(f"error: {error}", style="bold red", soft_wrap=True)
            if isinstance(error, InvalidInput):
                for fault in error.faults:
                    err.print(f"  {fault}", soft_wrap=True)
            sys.exit(1)

    return wrapper


store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, envvar="PUPPET_STORE",
    show_envvar=True, help="Folder that holds the models.",
)  # fmt: skip
name_option = click.option("--name", required=True, help="Name of the model: a-z, 0-9, '_' and '-'.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout.")
data_argument = click.argument("data", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="puppet-o2")
def main() -> None:
    """Train, measure and check Puppet's models, offline."""


@main.command("fit")
@data_argument
@name_option
@store_option
@click.option("--kind", default="GRU", show_default=True, help="The model's neural_network_type.")
@click.option("--test", type=click.Path(path_type=Path), help="Measure the new version on this file at the end.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings as a TOML file.")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="One setting; wins over --config.")
@json_option
@shows_errors
def fit_command(
    data: Path,
    name: str,
    store: Path,
    kind: str,
    test: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train on DATA (JSONL, the JSON body of /train_model, CSV or TSV) and publish the result as the next version.

    A row is a category and either tokens or text. Every row that does not fit is reported before anything is trained.
    """
    config = read_config(config_file, overrides)
    rows = check_rows(read_file(data), str(data))
    check_categories(rows)
    test_rows = read_test_rows(test) if test else None
    show_rows(rows, data)
    show_config(config)
    opened = Store(store)
    with contextlib.suppress(ModelExists):  # then this is a further version of it
        opened.create_model(name, kind)
    with Bar() as bar:
        manifest, report = fit(opened, name, kind, rows, config, bar)
    show_training(manifest, report)
    accuracy, macro_f1 = manifest.validation.accuracy, manifest.validation.macro_f1
    if test_rows is not None and test is not None:
        evaluation = evaluate(opened, name, manifest.version, test_rows)
        show_evaluation(evaluation, test)
        accuracy, macro_f1 = evaluation.accuracy, evaluation.macro_f1
    if as_json:
        print_json(name, manifest.version, accuracy, macro_f1, manifest.seconds, "test" if test else "validation")


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
    opened.read_model(name)
    number = opened.current(name).version if version is None else version
    rows = read_test_rows(data)
    start = time.perf_counter()
    evaluation = evaluate(opened, name, number, rows)
    seconds = time.perf_counter() - start
    show_evaluation(evaluation, data)
    if as_json:
        print_json(name, evaluation.version, evaluation.accuracy, evaluation.macro_f1, seconds, "test")


@main.command("verify")
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; every one by default.")
@shows_errors
def verify_command(name: str, store: Path, version: int | None) -> None:
    """Check a model's published versions: sizes, hashes, operators of the graph, golden rows."""
    from trainer.export import check_graph  # imports torch, which no other check needs

    opened = Store(store)
    opened.read_model(name)
    serving = opened.current(name).version
    refused = 0
    for number in [version] if version is not None else opened.versions(name):
        try:
            manifest, files = opened.read_version(name, number)
            check_graph(files["model.onnx"])
            Model(manifest, files)
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
@click.option("--num-tickets", type=click.IntRange(min=1, max=1_000_000), default=3000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other tickets.")
@shows_errors
def sample_command(output: Path, num_tickets: int, seed: int) -> None:
    """Write synthetic French support tickets to OUTPUT, as JSONL. They are invented: no accuracy claim rests on it."""
    from trainer.sample import generate

    lines = [msgspec.json.encode({"category": c, "tokens": t}) + b"\n" for c, t in generate(num_tickets, seed)]
    try:
        output.write_bytes(b"".join(lines))
    except OSError as error:
        raise InvalidInput(f"cannot write {output}: {error.strerror}") from error
    out.print(f"{num_tickets} synthetic tickets (invented, seed {seed}) written to {output}", soft_wrap=True)


@main.command("run", hidden=True)
@click.argument("job", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--parent", type=int, help="End when this process ends, and give way to it.")
def run_command(job: Path, parent: int | None) -> None:
    """Train what the folder JOB asks for; the server calls this in a process of its own."""
    if parent is not None:
        behave_as_child(parent)
    sys.exit(0 if run_job(job.absolute()).outcome == "trained" else 1)


def read_test_rows(data: Path) -> Rows:
    """Return the checked rows of a file to measure on.

    Raises:
        InvalidInput: as `check_rows` does, or the file holds no ticket.
    """
    try:
        return check_rows(read_file(data), str(data))
    except NoTrainingData as error:
        raise InvalidInput(f"{data} holds no ticket; expected at least one to measure on") from error


def evaluate(store: Store, name: str, version: int, rows: Rows) -> Evaluation:
    """Return the metrics of a published version on checked rows."""
    model = Model(*store.read_version(name, version))
    return model.evaluate(rows.tickets, [model.encode(tokens) for tokens in rows.tokens])


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
        self._num_train = 0
        self._num_epochs = 0
        self._start = 0.0

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def start(self, num_train: int, num_validation: int, config: TrainConfig) -> None:
        """Show how much there is to do; a line of its own for the second training, on every ticket."""
        self._num_train, self._num_epochs, self._start = num_train, config.epochs, 0.0
        self._what = "epoch" if num_validation else "all tickets, epoch"
        total = num_train * config.epochs
        self._task = self._bar.add_task("loading PyTorch", total=total, loss="-", accuracy="-", speed="-")

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Show how far it is."""
        done = (epoch - 1) * self._num_train + num_tickets
        self._start = self._start or time.perf_counter()
        seconds = time.perf_counter() - self._start
        speed = f"{done / seconds:,.0f}" if seconds else "-"
        description = f"{self._what} {epoch}/{self._num_epochs}"
        self._bar.update(self._task, completed=done, description=description, loss=f"{loss:.3f}", speed=speed)

    def epoch(self, epoch: Epoch) -> None:
        """Show what the validation tickets say."""
        if epoch.validation_accuracy is not None:
            self._bar.update(self._task, accuracy=f"{epoch.validation_accuracy:.3f}")


def table(title: str, columns: Sequence[str]) -> Table:
    """Return a plain table, numbers to the right of the first column."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def show_rows(rows: Rows, data: Path) -> None:
    """Print what the file holds, and what a person should look at in it."""
    lines = [f"{data}: {len(rows.tickets)} tickets in {len(rows.categories)} categories"]
    if rows.num_duplicates:
        lines.append(f"  {rows.num_duplicates} tickets repeat an earlier one; kept, on one side of the split")
    if rows.num_conflicts:
        lines.append(f"  {rows.num_conflicts} distinct tickets stand under more than one category; kept, look at them")
    few = sorted(category for category, count in rows.distinct.items() if count < MIN_FOR_VALIDATION)
    if few:
        shown = ", ".join(few[:10]) + (", ..." if len(few) > 10 else "")
        lines.append(
            f"  {len(few)} categories have fewer than {MIN_FOR_VALIDATION} distinct tickets; all are trained on, "
            f"none validated: {shown}"
        )
    out.print("\n".join(lines), soft_wrap=True)


def show_config(config: TrainConfig) -> None:
    """Print the settings that the training has in the end."""
    settings = ", ".join(f"{field}={value}" for field, value in msgspec.structs.asdict(config).items())
    out.print(f"settings: {settings}", soft_wrap=True)


def show_training(manifest: Manifest, report: Report) -> None:
    """Print what the seeds' example logs at the end of a training, and the validation metrics."""
    losses = [epoch.loss for epoch in report.epochs]
    out.print(f"total training time: {report.seconds:.2f} s")
    out.print(f"total number of parameters: {report.num_parameters}")
    out.print(f"mean loss: {sum(losses) / len(losses):.4f}")
    out.print(f"minimum loss: {min(losses):.4f}")
    out.print(f"maximum loss: {max(losses):.4f}")
    out.print(f"final loss after {len(losses)} epochs: {losses[-1]:.4f} (weights of epoch {report.best_epoch})")
    if report.validation is None:
        words = "no validation: too few tickets to keep some out; measure on others with puppet-train evaluate"
        out.print(words, soft_wrap=True)
    else:
        metrics = report.validation
        out.print(
            f"validation: accuracy {metrics.accuracy:.4f}, macro F1 {metrics.macro_f1:.4f} "
            f"on {metrics.total_tests} tickets; temperature {manifest.calibration.temperature:.3f}"
        )
        if manifest.training["refit"]:
            out.print(f"then trained again on all {manifest.data.num_tickets} tickets, {report.best_epoch} epochs")
    out.print(f"published {manifest.name} version {manifest.version}")


def show_evaluation(evaluation: Evaluation, data: Path) -> None:
    """Print the metrics and the table per category."""
    made = table(f"{evaluation.model_name} version {evaluation.version} on {data}", ["category", *"PRF", "tickets"])
    for category, metrics in evaluation.per_category.items():
        shares = (metrics.precision, metrics.recall, metrics.f1)
        made.add_row(category, *(f"{share:.3f}" for share in shares), str(metrics.support))
    out.print(made)
    for category, count in evaluation.unknown_categories.items():
        out.print(f"the model has no category {category!r}: its {count} tickets count as errors", soft_wrap=True)
    for confusion in evaluation.confusions[:5]:
        words = f"{confusion.count} x {confusion.expected} taken for {confusion.predicted}"
        out.print(words, soft_wrap=True)
    out.print(
        f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}: "
        f"{evaluation.correct_predictions} of {evaluation.total_tests} right"
    )


def print_json(
    name: str, version: int, accuracy: float | None, macro_f1: float | None, seconds: float, measured_on: str
) -> None:
    """Print the one line that other programs read."""
    line = {
        "name": name,
        "version": version,
        "accuracy": accuracy,
        "macro_f1": macro_f1,
        "seconds": round(seconds, 3),
        "measured_on": measured_on,
    }
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()
