"""The command `puppet-train inspect`: what to look at in labelled tickets before they teach.

What is looked for is in trainer/curation/findings.py; here it is read, shown, and written for the people who label.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from artifacts.errors import InvalidInput, PuppetError
from artifacts.text.people import Person, read_names
from trainer import simple_nn
from trainer.cli.reading import excel_delimiter, reading_options, say_intake
from trainer.cli.terminal import data_argument, json_option, out, print_line, shows_errors
from trainer.curation.audit import Audit, Leak
from trainer.curation.findings import Warned, inspect, inspection
from trainer.curation.signal import Signal
from trainer.data import tickets
from trainer.data.columns import AS_FOUND, ColumnsUnclear, Reading, as_remembered
from trainer.data.files import FaultGroup, FaultyRows
from trainer.data.forms import read_file
from trainer.data.tickets import Rows, text_of
from trainer.sorting import writers
from trainer.sorting.corrections import quoted

MAX_SHOWN = 10  # rows of a kind in the terminal; --csv has all
EXCERPT = 60  # characters
MAX_CELL = 30_000  # characters of a ticket in the file for a spreadsheet, which holds 32,767
COLUMNS = ("place", "id", "category", "suggested_category", "score", "reasons", "text")


class Refusal(msgspec.Struct, frozen=True):
    """What `--json` prints of a file that does not fit: the fields of an `Inspection` that can be said of it."""

    error: str
    faults: list[FaultGroup]
    num_tickets: int = 0
    num_categories: int = 0
    columns: dict[str, object] = {}
    encoding: str | None = None
    form: str | None = None
    warnings: list[Warned] = []


@click.command("inspect")
@data_argument
@click.option("--test", type=click.Path(path_type=Path), help="Find what is also, or nearly, in this test data.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path),
    help="Write the tickets to look at, all of them: .csv or .xlsx.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the folds.")
@click.option(
    "--forbid", type=click.Path(path_type=Path), help="Names that are known already, as fit --forbid reads them."
)
@reading_options()
@json_option
@shows_errors
def inspect_command(
    data: Path,
    test: Path | None,
    csv_file: Path | None,
    seed: int,
    forbid: Path | None,
    reading: Reading,
    faults_file: Path | None,
    as_json: bool,
) -> None:
    """Look for wrong categories and other faults in the tickets of DATA, before they teach.

    DATA is what `fit` reads. Nothing is changed. What is written with --csv can be corrected in a spreadsheet;
    `puppet-train apply` brings the corrections back.
    """
    start = time.perf_counter()
    if csv_file is not None:
        writers.check_out(csv_file, data)
    try:
        rows = read_tickets(data, reading, faults_file)
    except FaultyRows as error:
        if as_json:
            print_line(Refusal(str(error), error.groups))
        raise
    say_intake(rows, data)
    test_rows = read_tickets(test, as_remembered(reading)) if test else None
    is_forbidden = Person(read_names(forbid)).is_word if forbid is not None else None
    inspected = inspect(rows, seed, test_rows, test, is_forbidden)
    found, warnings, alike = inspected
    seconds = time.perf_counter() - start
    out.print(
        f"{data}: {found.num_tickets} tickets in {found.num_categories} categories, {seconds:.1f} s", soft_wrap=True
    )
    if not inspected.is_of_single_tickets:  # with a ticket a category there is nothing that a text could tell
        out.print(show_signal(found.signal), soft_wrap=True)
    for warned in warnings:
        out.print(warned.detail, soft_wrap=True)
    if not warnings:
        out.print("nothing to complain of")
    show_suspects(found, rows)
    if test_rows is not None:
        show_leaks(found.leaks, rows, test_rows)
    if csv_file is not None:
        write_look(csv_file, found, rows)
        order = "" if found.labels_follow_text is False else ", the likeliest errors first"
        out.print(f"{len(found.suspects)} tickets written to {csv_file}{order}", soft_wrap=True)
    if as_json:
        print_line(inspection(found, rows, warnings, alike))


def read_tickets(path: Path, reading: Reading = AS_FOUND, faults_file: Path | None = None) -> Rows:
    """Return the checked tickets of an export or folder.

    Raises:
        InvalidInput: it cannot be read, rows of it do not fit, or they are no tickets.
        NoTrainingData: it holds none.
    """
    try:
        return tickets.read(path, reading, faults_file)
    except (ColumnsUnclear, FaultyRows) as error:
        if not path.is_dir() and str(path) != "-" and holds_numbers(path):
            raise InvalidInput("numbers-in-place-of-tickets", file=path) from error
        raise


def holds_numbers(path: Path) -> bool:
    """Return whether a file that holds no tickets is one that a SimpleNN is trained on."""
    try:
        simple_nn.check_rows(read_file(path, simple_nn.table), str(path))
    except PuppetError:
        return False
    return True


def show_signal(found: Signal) -> str:
    """Return how well the text tells the categories, next to what needs no text; one line."""
    if not found.num_tickets:
        return "no category has three distinct tickets, so how well the text tells them cannot be tried"
    return (
        f"{found.accuracy:.1%} of {found.num_tickets} tickets get their category from a linear model that has not seen "
        f"them; always {found.largest_category!r} would be {found.largest_share:.1%}, chance {found.chance:.1%}"
    )


def show_suspects(found: Audit, rows: Rows) -> None:
    """Print the tickets whose category is least probable."""
    shown = [one for one in found.suspects if one.suggested is not None][:MAX_SHOWN]
    if not shown:
        return
    table = Table(title="least probable categories", title_justify="left")
    for column in ("where", "category", "suggested", "score", "ticket, masked"):
        table.add_column(column, justify="right" if column == "score" else "left")
    for one in shown:
        ticket = " ".join(rows.tokens[one.row])
        excerpt = ticket if len(ticket) <= EXCERPT else f"{ticket[:EXCERPT]}..."
        category = rows.tickets[one.row].expected
        table.add_row(rows.place(one.row), category, one.suggested, f"{one.score:.3f}", excerpt)
    out.print(table)


def show_leaks(found: Sequence[Leak], rows: Rows, test_rows: Rows) -> None:
    """Print the test tickets that the training data gives away."""
    if not found:
        return
    table = Table(title="in the test data and in the training data", title_justify="left")
    for column in ("test", "training", "alike", "category"):
        table.add_column(column, justify="right" if column == "alike" else "left")
    for leak in found[:MAX_SHOWN]:
        same = "the same" if leak.same_category else "another"
        table.add_row(test_rows.place(leak.test_row), rows.place(leak.train_row), f"{leak.similarity:.2f}", same)
    out.print(table)


def write_look(path: Path, found: Audit, rows: Rows) -> None:
    """Write the tickets that have a reason, as they were given; tokens stand with spaces between them.

    A CSV has what separates cells in Excel under the user's locale, and the mark that makes Excel read UTF-8.

    Raises:
        InvalidInput: the file cannot be written.
    """
    is_csv = path.suffix.lower() in (".csv", ".tsv")
    with writers.opened(path, COLUMNS, excel_delimiter()) as writer:
        for one in found.suspects:
            ticket = rows.tickets[one.row]
            cells = {
                "place": rows.place(one.row),
                "id": None if ticket.id is None else str(ticket.id),
                "category": ticket.expected,
                "suggested_category": one.suggested,
                "score": "" if one.score is None else f"{one.score:.4f}",
                "reasons": "; ".join(one.reasons),
                "text": text_of(ticket)[:MAX_CELL],
            }
            writer.write({name: quoted(cell) if is_csv else cell for name, cell in cells.items()})


COMMANDS = (inspect_command,)
