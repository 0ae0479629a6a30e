"""The commands of `puppet-train` that train a model and say how good it is: fit, evaluate, report.

The work is in `trainer/run.py` and `trainer/report/page.py`; `main.py` adds these commands to `puppet-train`.
"""

import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from artifacts.errors import InvalidInput, ModelNotFound, NoTrainingData
from artifacts.jobs.request import Promotion, StartVersion
from artifacts.kinds import DEFAULT, Kind, check_kind, kind_named
from artifacts.networks.manifest import Manifest, Report
from artifacts.schemas import Evaluation, Summary
from artifacts.store.store import Store
from artifacts.store.versions import VERSION
from artifacts.text.people import read_names
from trainer.cli.reading import reading_options, say_intake, skipped
from trainer.cli.terminal import (
    Bar,
    data_argument,
    json_option,
    name_option,
    out,
    print_line,
    show_comparison,
    shows_errors,
    store_option,
)
from trainer.config import read_config
from trainer.data.columns import Reading, as_remembered, remembering
from trainer.kinds import Rows, trainer_of
from trainer.run import enriched, evaluate, fit, read_rows, read_test_rows, show_start, start_of, with_feedback


@click.command("fit")
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
    "--forbid",
    type=click.Path(path_type=Path),
    help="Names that get no row of the vocabulary, one a line; see forget.",
)
@click.option(
    "--promote",
    type=click.Choice(["always", "if_better", "never"]),
    default="always",
    show_default=True,
    help="Whether the new version serves; if_better: if it is surely better than the serving one, on --test if given.",
)
@click.option(
    "--from",
    "asked_start",
    metavar="serving|VERSION",
    help="Learn what is new in DATA on top of this version, in seconds; see full_after.",
)
@reading_options(config=False)
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
    forbid: Path | None,
    promote: Promotion,
    asked_start: str | None,
    reading: Reading,
    faults_file: Path | None,
    as_json: bool,
) -> None:
    """Train on DATA and publish the result as the next version.

    DATA is an export: CSV or another table of text, xlsx, parquet, JSON, JSON Lines, Label Studio's or fastText's form,
    plain or compressed; - for standard input; or a folder of e-mails, one folder per category of .eml or mbox files.
    The columns that are read are said, remembered with the model, and named by --category and --text where they are not
    certain. For --kind SimpleNN a row is features and a target. Every row that does not fit is reported, in groups,
    before anything is trained.
    """
    if data is None and not include_feedback:
        raise click.MissingParameter(param_type="argument", param_hint="'DATA'")
    kind, is_new = kind_of(store, name, kind_name)
    named = [f"{field}={value}" for field, value in (("recipe", recipe), ("minutes", minutes)) if value is not None]
    names = ["forbid=" + "\n".join(read_names(forbid))] if forbid is not None else []
    config = read_config(trainer_of(kind).Config, config_file, (*named, *overrides, *names))
    reading = reading if is_new else remembering(reading, Store(store), name)
    with Bar() as bar:
        bar.phase("read")
        rows = read_rows(data, kind, reading, faults_file) if data is not None else None
    say_intake(rows, data)
    of_file = skipped(rows)
    if include_feedback and not is_new:
        rows = with_feedback(Store(store), name, kind, rows)
    if rows is None:
        raise NoTrainingData("no-training-data")
    with Bar() as bar:
        bar.phase("check")
        if asked_start is None:
            trainer_of(kind).check_trainable(rows)
        rows = enriched(rows, kind, config, unlabelled, vectors, as_remembered(reading))
        test_rows = read_test_rows(test, kind, as_remembered(reading)) if test else None
    say_intake(test_rows, test)
    show_data(rows, kind, data if data is not None else f"the corrections of {name}", include_feedback)
    start = None
    if asked_start is not None:
        if is_new:
            raise InvalidInput("nothing-to-start-from", model=name)
        start = start_of(Store(store), name, kind, rows, config, start_asked(asked_start))
    if start is None:
        # Resolved once, or the words of all tickets would be counted again by the training.
        config = trainer_of(kind).resolved(config, rows)
        show_plan(config, rows, kind)
    else:
        out.print("\n".join(show_start(start)), soft_wrap=True)
    opened = Store(store)
    if is_new:
        opened.create_model(name, kind.name)
    with Bar() as bar:
        compare_on = test_rows if promote == "if_better" else None
        manifest, report = fit(opened, name, rows, config, bar, promote, compare_on, start)
    show_training(manifest, report, kind, bar.expected_s)
    show_promotion(opened, manifest)
    metrics, measured_on = manifest.validation, "validation"
    parts: dict[str, object] = {}
    if test_rows is not None and test is not None:
        evaluation = evaluate(opened, name, manifest.version, test_rows)
        show_evaluation(evaluation, test, kind)
        metrics, measured_on = evaluation.summary, source_of(evaluation)
        parts = {"clean": evaluation.clean, "learnt": evaluation.learnt}
    if as_json:
        print_json(name, manifest.version, metrics, manifest.seconds, measured_on, {**of_file, **parts})


@click.command("evaluate")
@data_argument
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; the serving one by default.")
@reading_options()
@json_option
@shows_errors
def evaluate_command(
    data: Path,
    name: str,
    store: Path,
    version: int | None,
    reading: Reading,
    faults_file: Path | None,
    as_json: bool,
) -> None:
    """Measure a published version on the labelled tickets in DATA, through onnxruntime as the server does.

    DATA is what `fit` reads. A ticket without a word is answered as empty, which counts as an error. Rows that the
    version has learnt from are measured apart.
    """
    opened = Store(store)
    kind = kind_named(opened.read_model(name).neural_network_type)
    number = opened.current(name).version if version is None else version
    rows = read_test_rows(data, kind, remembering(reading, opened, name), faults_file)
    say_intake(rows, data)
    start = time.perf_counter()
    evaluation = evaluate(opened, name, number, rows)
    seconds = time.perf_counter() - start
    show_evaluation(evaluation, data, kind)
    if as_json:
        whole = msgspec.to_builtins(evaluation) | skipped(rows)
        print_json(name, number, evaluation.summary, seconds, source_of(evaluation), whole)


@click.command("report")
@name_option
@store_option
@click.option("--version", "version", type=int, help="Which version; the serving one by default.")
@click.option("--test", type=click.Path(path_type=Path), help="Measure on this data, and show its worst mistakes.")
@click.option("--out", "page", type=click.Path(path_type=Path), help="Where the page goes.  [NAME-VERSION.html]")
@click.option("--card", type=click.Path(path_type=Path), help="Write a model card in Markdown here as well.")
@click.option(
    "--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Of the page; the card is English."
)
@reading_options()
@shows_errors
def report_command(
    name: str,
    store: Path,
    version: int | None,
    test: Path | None,
    page: Path | None,
    card: Path | None,
    lang: str,
    reading: Reading,
    faults_file: Path | None,
) -> None:
    """Write one HTML page on a published version: what it is, how good, how sure, and where it errs.

    Without --test the numbers are those of the validation tickets. The page needs no network; with --test it holds the
    tickets that were answered wrongly, so it is for those who may read them.
    """
    missing = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if missing:
        raise InvalidInput("report-library-missing", libraries=missing)
    from trainer.report.page import (  # draws with matplotlib, which takes a second to import
        collect,
        write_card,
        write_page,
    )

    opened = Store(store)
    kind = kind_named(opened.read_model(name).neural_network_type)
    number = opened.current(name).version if version is None else version
    reading = remembering(reading, opened, name)
    test_rows = read_test_rows(test, kind, reading, faults_file) if test else None
    say_intake(test_rows, test)
    found = collect(opened, name, number, test_rows, test.name if test else "")
    page = page or Path(f"{name}-{number}.html")
    for path, text in ((page, write_page(found, lang)), (card, write_card(found) if card else "")):
        if path is None:
            continue
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            raise InvalidInput("file-cannot-be-written", file=path, reason=error.strerror or error) from error
        out.print(f"written: {path}", soft_wrap=True)


COMMANDS = (fit_command, evaluate_command, report_command)


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


def start_asked(word: str) -> StartVersion:
    """Return what --from names: the serving version, or the number of one."""
    if word == "serving":
        return "serving"
    if VERSION.fullmatch(word):
        return int(word)
    raise click.BadParameter("expected serving, or the number of a version", param_hint="'--from'")


def show_data(rows: Rows, kind: Kind, source: Path | str, include_feedback: bool) -> None:
    """Print what is trained on, and how much of it are corrections where these were asked for."""
    out.print(f"{source}: " + "\n".join(trainer_of(kind).show_rows(rows)), soft_wrap=True)
    if include_feedback and (num_feedback := getattr(rows, "num_feedback", 0)):
        out.print(f"  {num_feedback} of them are corrections", soft_wrap=True)


def show_plan(config: msgspec.Struct, rows: Rows, kind: Kind) -> None:
    """Print the settings that the training has in the end, and what follows from them."""
    values = msgspec.structs.asdict(config)
    if values.get("forbid"):  # a terminal is logged too, and a name has no place there
        values["forbid"] = "(not shown)"
    settings = ", ".join(f"{field}={value}" for field, value in values.items())
    out.print(f"settings: {settings}", soft_wrap=True)
    for line in trainer_of(kind).show_plan(config, rows):
        out.print(line, soft_wrap=True)


def show_training(manifest: Manifest, report: Report, kind: Kind, expected_s: float | None) -> None:
    """Print what the seeds' example logs at the end of a training, and the validation metrics."""
    losses = [epoch.loss for epoch in report.epochs]
    out.print(f"total training time: {report.seconds:.2f} s")
    if expected_s is not None:
        out.print(f"expected training time, as it was said at the start: {expected_s:.0f} s")
    out.print(f"total number of parameters: {report.num_parameters}")
    out.print(f"mean loss: {sum(losses) / len(losses):.4f}")
    out.print(f"minimum loss: {min(losses):.4f}")
    out.print(f"maximum loss: {max(losses):.4f}")
    out.print(f"final loss after {len(losses)} epochs: {losses[-1]:.4f} (weights of epoch {report.best_epoch})")
    for line in trainer_of(kind).show_validation(manifest, report):
        out.print(line, soft_wrap=True)
    out.print(f"published {manifest.name} version {manifest.version}")


def show_promotion(store: Store, manifest: Manifest) -> None:
    """Print how a new version compares with the one before, if that was asked, and whether it serves."""
    if manifest.comparison is not None:
        show_comparison(manifest.comparison)
    if store.serving(manifest.name) != manifest.version:
        out.print(f"version {manifest.version} does not serve; puppet-train promote lets it", soft_wrap=True)


def show_evaluation(evaluation: Evaluation, data: Path, kind: Kind) -> None:
    """Print the metrics of a version, and of the rows that it has learnt from apart."""
    out.print(f"{evaluation.model_name} version {evaluation.version} on {data}", style="bold", soft_wrap=True)
    if (line := show_learnt(evaluation)) is not None:
        out.print(line, soft_wrap=True)
    for part in trainer_of(kind).show_evaluation(evaluation):
        out.print(part, soft_wrap=True)


def show_learnt(evaluation: Evaluation) -> str | None:
    """Return how many of the rows a version has learnt from, and its metrics on these; None if it has from none."""
    if evaluation.unknown is not None:
        return (
            f"it is unknown which of these rows it has learnt from, and what the figures owe them: {evaluation.unknown}"
        )
    clean, learnt = evaluation.clean, evaluation.learnt
    if clean is None or learnt is None or not learnt["num_tickets"]:
        return None
    if not clean["num_tickets"]:
        return (
            f"it has learnt from every one of these {learnt['num_tickets']} rows, so what follows says nothing of "
            "others: measure it on rows that it was not trained on"
        )
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in learnt.items() if isinstance(value, float))
    return (
        f"what follows is of {clean['num_tickets']} rows; it has learnt from {learnt['num_tickets']} more, whose "
        f"figures say nothing of others: {metrics}"
    )


def source_of(evaluation: Evaluation) -> str:
    """Return what an evaluation was measured on, for `--json`: rows of a test, or rows that the version has learnt."""
    return "learnt" if evaluation.clean is not None and not evaluation.clean["num_tickets"] else "test"


def print_json(
    name: str, version: int, metrics: Summary, seconds: float, measured_on: str, whole: Mapping[str, object] = {}
) -> None:
    """Print the one line that other programs read: the metrics in short, and as a whole where these are given."""
    more = {field: value for field, value in whole.items() if field not in ("model_name", "version")}
    line = {"name": name, "version": version, **metrics, **more}
    print_line(line | {"seconds": round(seconds, 3), "measured_on": measured_on})
