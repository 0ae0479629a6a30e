"""The commands of `puppet-train` that give a support team its file back: classify and apply.

Both are commands of the plain install: they answer through onnxruntime, and import neither torch nor onnx nor
scikit-learn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from artifacts.errors import InvalidInput
from artifacts.kinds import load
from artifacts.problems.phrases import phrase
from artifacts.store.store import Store
from artifacts.text.tickets import MAX_TOP_K
from trainer.cli.reading import excel_delimiter, reading_options
from trainer.cli.terminal import (
    data_argument,
    err,
    json_option,
    language,
    name_option,
    out,
    print_line,
    shows_errors,
    store_option,
)
from trainer.data.columns import Reading, remembering
from trainer.sorting import classify, corrections

MAX_SHOWN = 10  # categories in the terminal
out_argument = click.argument("target", metavar="OUT", type=click.Path(path_type=Path))


class Follower(Protocol):
    """What follows a file that is written."""

    def __call__(self, num_tickets: int, num_read: int, num_bytes: int) -> None:
        """Take the rows done, the bytes read, and the bytes of the file."""


@click.command("classify")
@data_argument
@out_argument
@name_option
@click.option("--version", "version", type=int, help="Which version; the serving one by default.")
@click.option(
    "--abstain/--no-abstain",
    "abstain",
    default=None,
    help="Leave the category empty where the model is not sure, and say why; its own setting by default.",
)
@click.option(
    "--top-k", type=click.IntRange(1, MAX_TOP_K), default=1, show_default=True, help="Name the next best too."
)
@click.option("--among", multiple=True, metavar="CATEGORY", help="A category that may be answered; repeatable.")
@click.option("--otherwise", metavar="NAME", help="Written where the category would stay empty.")
@click.option("--explain", is_flag=True, help="Name the words that weigh most; takes many times as long.")
@reading_options(labels=False)
@store_option
@json_option
@shows_errors
def classify_command(
    data: Path,
    target: Path,
    name: str,
    version: int | None,
    abstain: bool | None,
    top_k: int,
    among: tuple[str, ...],
    otherwise: str | None,
    explain: bool,
    reading: Reading,
    store: Path,
    as_json: bool,
) -> None:
    """Write the tickets of DATA with their categories to OUT.

    DATA is any export that `fit` reads, `-` for standard input; its columns are those of the training, unless --text
    names others. OUT is .csv, .tsv, .xlsx, .jsonl or .parquet, with every column of DATA and then category, confidence,
    reason (of an empty category) and version; one that DATA has already is called predicted_category, and so on.
    """
    opened = existing(store)
    reading = remembering(reading, opened, name)
    number = opened.current(name).version if version is None else version
    opened.check_version(name, number)
    model = load(*opened.read_version(name, number))
    delimiter = ";" if excel_delimiter() == ";" else None
    with progress() as follow:
        asked = classify.Asked(abstain, top_k, explain, among=among or None, otherwise=otherwise)
        found, _ = classify.classify(data, target, model, asked, reading, delimiter, follow)
    out.print(f"{data}: {found.said}", soft_wrap=True)
    out.print(f"{found.num_tickets} tickets written to {target} by {name} version {number}", soft_wrap=True)
    for category, count in list(found.categories.items())[:MAX_SHOWN]:
        out.print(f"  {count} {category}", soft_wrap=True)
    if len(found.categories) > MAX_SHOWN:
        out.print(f"  ... and {len(found.categories) - MAX_SHOWN} more categories")
    for reason, count in found.reasons.items():
        instead = f"with {otherwise!r} instead of" if otherwise is not None else "without"
        out.print(f"  {count} {instead} a category: {reason}", soft_wrap=True)
    if found.num_repaired:
        out.print(
            f"  {found.num_repaired} were encoded twice (Ã¨ for è) and were read as they were meant", soft_wrap=True
        )
    if found.num_skipped:
        out.print(f"  {phrase('rows-left-out', language(), count=found.num_skipped)}", soft_wrap=True)
    if as_json:
        print_line(found)


@click.command("apply")
@click.argument("look", type=click.Path(path_type=Path))
@data_argument
@out_argument
@reading_options(labels=True)
@json_option
@shows_errors
def apply_command(
    look: Path, data: Path, target: Path, reading: Reading, faults_file: Path | None, as_json: bool
) -> None:
    """Write DATA to OUT with the categories that a person corrected in LOOK, which `inspect --csv` wrote.

    Change the column `category` of LOOK in a spreadsheet and save it in any form; each row is found by its place and
    its first words. OUT is .csv, .tsv, .xlsx, .jsonl or .parquet. The options are those that `inspect` had.
    """
    if faults_file is not None:
        raise InvalidInput("apply-lists-no-faults")
    delimiter = ";" if excel_delimiter() == ";" else None
    with progress() as follow:
        found = corrections.apply(look, data, target, reading, delimiter, follow)
    out.print(
        f"{found.num_corrected} of {found.num_tickets} tickets corrected, written to {target}; "
        f"{found.num_same} rows of {look} left as they were",
        soft_wrap=True,
    )
    for category, count in found.categories.items():
        new = " (a new category)" if category in found.new_categories else ""
        out.print(f"  {count} now {category}{new}", soft_wrap=True)
    if found.num_blank:
        out.print(f"  {found.num_blank} with a deleted category keep the one they had", soft_wrap=True)
    if as_json:
        print_line(found)


COMMANDS = (classify_command, apply_command)


def existing(path: Path) -> Store:
    """Return the store, which must be there: a typing error would look like an empty one.

    Raises:
        InvalidInput: it is not.
    """
    if not path.exists():
        raise InvalidInput("no-such-store", path=path)
    return Store(path)


@contextmanager
def progress() -> Iterator[Follower]:
    """Give what follows a file on stderr: how far it is and how long it takes; nothing where stderr is no terminal."""
    columns = (TextColumn("{task.fields[num_tickets]:,} tickets"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, num_tickets=0)

        def follow(num_tickets: int, num_read: int, num_bytes: int) -> None:
            bar.update(task, completed=num_read, total=num_bytes or None, num_tickets=num_tickets)

        yield follow
