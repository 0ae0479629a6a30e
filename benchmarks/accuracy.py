"""How accurate a model trained here is, with the default settings, on each public set.

In: a folder with NAME/train.jsonl and NAME/test.jsonl (raw text), or the same with `.tokens.jsonl`. Each set is trained
with the real `fit` in a process of its own and measured on its test file through onnxruntime, from the published
files. The floor is what always answering the commonest category would get; the ceiling is 1. Beside it stands what a
team would try first: scikit-learn's LinearSVC on TF-IDF of words 1-2 and characters 2-5, on the same rows. Both are
asked for one ticket after the other in process as well, so that what an answer costs stands beside what it is worth.

One seed, so one number a set: the same seed, data and machine give the same weights. Another one: `--set seed=1`.
"""

import hashlib
import operator
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from artifacts.gru import Data, GruManifest, GruModel
from artifacts.kinds import kind_named
from artifacts.metrics import Metrics
from artifacts.store import Store
from benchmarks import machine
from trainer.cli import read_test_rows
from trainer.config import TrainConfig, read_config
from trainer.data import read_file
from trainer.run import evaluate, fit
from trainer.terminal import shows_errors
from trainer.tickets import Rows, check_categories, check_rows, table

FORMS = {"text": "jsonl", "tokens": "tokens.jsonl"}
MODEL, KIND = "measured", "GRU"


class Settings(msgspec.Struct, frozen=True):
    """What was asked for: the folder, the sets that it came to, and every setting of the training."""

    data: str
    sets: list[str]
    config: TrainConfig


class DataSet(msgspec.Struct, frozen=True):
    """One set in one form, such as `banking77_fr (tokens)`."""

    label: str
    train: Path
    test: Path


class SetNumbers(msgspec.Struct, frozen=True):
    """What was measured on one set.

    Attributes:
        label: of the set.
        num_test: tickets that it was measured on.
        majority_accuracy: what the commonest category of the training file would get.
        accuracy, macro_f1: on the test file, through onnxruntime.
        svc_accuracy: of the LinearSVC.
        ticket_us, svc_ticket_us: median microseconds for one test ticket in process, one thread, text to category.
        validation_accuracy: on the tickets that `fit` kept out; None where there were too few.
        train_seconds: of `fit`, PyTorch's import and the export included.
        model_bytes: of model.onnx.
        train_data: what the manifest says of the training file.
        test_sha256: of the test file's bytes.
    """

    label: str
    num_test: int
    majority_accuracy: float
    accuracy: float
    macro_f1: float
    svc_accuracy: float
    ticket_us: float
    svc_ticket_us: float
    validation_accuracy: float | None
    train_seconds: float
    model_bytes: int
    train_data: Data
    test_sha256: str


class Numbers(msgspec.Struct, frozen=True):
    """What was measured on each set."""

    sets: list[SetNumbers]


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
@click.option("--save", is_flag=True, help="Keep the result in benchmarks/results.")
@shows_errors
def accuracy_command(data: Path, sets: tuple[str, ...], overrides: tuple[str, ...], save: bool) -> None:
    """Train on every set and measure on its test file, one table."""
    here = machine.read_machine()
    config = read_config(TrainConfig, None, overrides)
    chosen = choose(find_sets(data), sets, data)
    for one in chosen:  # a fault in the last file is found before an hour is spent on the others
        check_categories(check_rows(read_file(one.train, table), str(one.train)))
        read_test_rows(one.test, kind_named(KIND))
    measured = []
    for one in chosen:
        click.echo(f"training on {one.label}", err=True)
        arguments = ["one-set", one.label, str(one.train.absolute()), str(one.test.absolute())]
        line = machine.run_child([*arguments, *(part for word in overrides for part in ("--set", word))])
        measured.append(msgspec.json.decode(line, type=SetNumbers))
    settings = Settings(str(data), [one.label for one in chosen], config)
    found = machine.result("accuracy", here, settings, Numbers(measured))
    sheet = make_sheet(measured, config)
    machine.show(sheet)
    if save:
        click.echo(f"saved as {machine.save(found, sheet)}")
    machine.print_json(found)


@click.command("one-set", hidden=True)
@click.argument("label")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("test", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True)
@shows_errors
def one_set_command(label: str, train: Path, test: Path, overrides: tuple[str, ...]) -> None:
    """Train and measure one set, and print its numbers as JSON."""
    numbers = measure_set(DataSet(label, train, test), read_config(TrainConfig, None, overrides))
    click.echo(msgspec.json.encode(numbers).decode())


def find_sets(data: Path) -> list[DataSet]:
    """Return every set in the folder that has both files of a form, in order."""
    found = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        for form, ending in FORMS.items():
            train, test = folder / f"train.{ending}", folder / f"test.{ending}"
            if train.is_file() and test.is_file():
                found.append(DataSet(f"{folder.name} ({form})", train, test))
    return found


def choose(found: list[DataSet], names: tuple[str, ...], data: Path) -> list[DataSet]:
    """Return the sets that are named, by folder or by label, or all.

    Raises:
        click.UsageError: a name fits none, or there is none.
    """
    known = {one.label for one in found} | {one.train.parent.name for one in found}
    if missing := [name for name in names if name not in known]:
        labels = ", ".join(one.label for one in found) or "none"
        raise click.UsageError(f"{data} has no set {', '.join(missing)}; it has {labels}")
    if not found:
        raise click.UsageError(f"{data} has no folder NAME with train.jsonl and test.jsonl")
    return [one for one in found if not names or one.label in names or one.train.parent.name in names]


def measure_set(one: DataSet, config: TrainConfig) -> SetNumbers:
    """Return the numbers of one set, from a model that is trained, published, loaded again and then thrown away.

    Raises:
        InvalidInput: a file or the settings do not fit.
    """
    rows = check_rows(read_file(one.train, table), str(one.train))
    test_rows = read_test_rows(one.test, kind_named(KIND))
    assert isinstance(test_rows, Rows), "rows of another kind; this is our bug"
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = Store(Path(folder) / "store")
        store.create_model(MODEL, KIND)
        manifest, _ = fit(store, MODEL, rows, config)
        evaluation = evaluate(store, MODEL, manifest.version, test_rows)
        model = GruModel(*store.read_version(MODEL, manifest.version))
    assert isinstance(manifest, GruManifest), "a manifest of another kind; this is our bug"
    assert isinstance(evaluation, Metrics), "metrics of another kind; this is our bug"
    contents = [ticket.content for ticket in test_rows.tickets]
    svc = fit_svc(rows)
    svc_answers = svc.predict([plain(content) for content in contents])
    commonest, _ = Counter(rows.categories).most_common(1)[0]
    return SetNumbers(
        label=one.label,
        num_test=evaluation.total_tests,
        majority_accuracy=test_rows.categories[commonest] / evaluation.total_tests,
        accuracy=evaluation.accuracy,
        macro_f1=evaluation.macro_f1,
        svc_accuracy=sum(map(operator.eq, svc_answers, (t.expected for t in test_rows.tickets))) / len(contents),
        ticket_us=median_us(lambda content: model.predict([model.encode(content)]), contents),
        svc_ticket_us=median_us(lambda content: svc.predict([plain(content)]), contents),
        validation_accuracy=manifest.validation["accuracy"],
        train_seconds=round(manifest.seconds, 2),
        model_bytes=manifest.files["model.onnx"].bytes,
        train_data=manifest.data,
        test_sha256=hashlib.sha256(one.test.read_bytes()).hexdigest(),
    )


def plain(content: list[str] | str) -> str:
    """Return a ticket as the SVC reads it."""
    return content if isinstance(content, str) else " ".join(content)


def fit_svc(rows: Rows) -> Any:
    """Return the pipeline that a team would try first, fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import; only this process needs it
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    characters = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True)
    pipeline = make_pipeline(make_union(words, characters), LinearSVC(C=1.0))
    return pipeline.fit([plain(t.content) for t in rows.tickets], [t.expected for t in rows.tickets])


def median_us(answer: Callable[[Any], object], contents: Sequence[list[str] | str]) -> float:
    """Return the median time of one answer, in microseconds, over the first 500 tickets, each asked once warm."""
    asked = contents[:500]
    for content in asked[:50]:
        answer(content)
    seconds = []
    for content in asked:
        start = time.perf_counter()
        answer(content)
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds) * 1e6, 1)


def make_sheet(measured: list[SetNumbers], config: TrainConfig) -> machine.Sheet:
    """Return the table for people."""
    columns = [
        *("set", "train", "test", "categories", "commonest", "LinearSVC", "accuracy", "macro F1", "training s"),
        *("us a ticket", "LinearSVC us", "ratio", "model bytes"),
    ]
    rows = [
        [
            *(one.label, str(one.train_data.num_tickets), str(one.num_test), str(one.train_data.num_categories)),
            *(f"{share:.4f}" for share in (one.majority_accuracy, one.svc_accuracy, one.accuracy, one.macro_f1)),
            *(f"{one.train_seconds:.1f}", f"{one.ticket_us:.0f}", f"{one.svc_ticket_us:.0f}"),
            *(f"{one.svc_ticket_us / one.ticket_us:.1f}", str(one.model_bytes)),
        ]
        for one in measured
    ]
    default = TrainConfig()
    changed = [
        f"{name}={value}" for name, value in msgspec.structs.asdict(config).items() if value != getattr(default, name)
    ]
    notes = [
        "On the test file, through onnxruntime; `commonest`: the accuracy of always answering the commonest category.",
        "LinearSVC: TF-IDF of words 1-2 and characters 2-5, C=1; its time is asked in the same process, one thread.",
        f"Settings: {', '.join(changed) if changed else 'the defaults'}.",
    ]
    return machine.Sheet("How accurate a model trained here is", columns, rows, notes)
