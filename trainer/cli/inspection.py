"""The command `puppet-train inspect`: what to look at in labelled tickets before they teach.

What is looked for is in audit.py; here it is read, shown, and written as a CSV for whoever labels.
"""

import csv
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from artifacts.errors import InvalidInput, PuppetError
from artifacts.system import cores
from trainer import simple_nn
from trainer.cli.terminal import data_argument, json_option, out, print_line, shows_errors
from trainer.data import tickets
from trainer.data.audit import SMALL_CATEGORY, Audit, Leak, audit, leaks
from trainer.data.files import RawRow, read_file
from trainer.data.mails import read_folder
from trainer.data.tickets import Rows, check_categories, check_rows

MAX_SHOWN = 10  # rows of a kind in the terminal; --csv has all
EXCERPT = 60  # characters
COLUMNS = ("row", "place", "id", "category", "suggested_category", "score", "reasons", "content")


@click.command("inspect")
@data_argument
@click.option("--test", type=click.Path(path_type=Path), help="Find what is also, or nearly, in this test data.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the tickets to look at, all of them.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the folds.")
@json_option
@shows_errors
def inspect_command(data: Path, test: Path | None, csv_file: Path | None, seed: int, as_json: bool) -> None:
    """Look for wrong categories and other faults in the tickets of DATA, before they teach.

    DATA is what `fit` reads. Nothing is changed.
    """
    start = time.perf_counter()
    rows, places = read_tickets(data)
    check_categories(rows)
    test_rows, test_places = read_tickets(test) if test else (None, [])
    found = audit(rows, cores.whole(), seed)
    if test_rows is not None:
        found = msgspec.structs.replace(found, leaks=leaks(rows, test_rows))
    seconds = time.perf_counter() - start
    out.print(
        f"{data}: {found.num_tickets} tickets in {found.num_categories} categories, {seconds:.1f} s", soft_wrap=True
    )
    for line in advice(found, test):
        out.print(line, soft_wrap=True)
    show_suspects(found, rows, places)
    if test is not None:
        show_leaks(found.leaks, places, test_places)
    if csv_file is not None:
        write_csv(csv_file, found, rows, places)
        out.print(f"{len(found.suspects)} tickets written to {csv_file}, the likeliest errors first", soft_wrap=True)
    if as_json:
        print_line(found)


def read_tickets(path: Path) -> tuple[Rows, list[str]]:
    """Return the checked tickets of a data file or folder, and where each stands.

    Raises:
        InvalidInput: it cannot be read, rows of it do not fit, or they are no tickets.
        NoTrainingData: it holds none.
        MailMissing: it is a folder and the extra `mail` is not installed.
    """
    try:
        raw_rows = list(read_folder(path)) if path.is_dir() else read_file(path, tickets.table)
        rows = check_rows(raw_rows, str(path))
    except InvalidInput as error:
        if not path.is_dir() and holds_numbers(path):
            raise InvalidInput(
                f"{path} holds features and targets, as a SimpleNN learns from; inspect looks at tickets in categories "
                "and has nothing to say of numbers"
            ) from error
        raise
    return rows, [place_of(raw_row) for raw_row in raw_rows]


def holds_numbers(path: Path) -> bool:
    """Return whether a file that holds no tickets is one that a SimpleNN is trained on."""
    try:
        simple_nn.check_rows(read_file(path, simple_nn.table), str(path))
    except PuppetError:
        return False
    return True


def place_of(raw_row: RawRow) -> str:
    """Return where a row stands, as one looks for it: its line, or the pointer into a JSON body or a folder."""
    return f"line {raw_row.line}" if raw_row.line is not None else raw_row.pointer


def advice(found: Audit, test: Path | None) -> list[str]:
    """Return what was found and what to do about it, a line each, the most important first."""
    lines = []
    if found.leaks:
        exact = sum(leak.similarity == 1 for leak in found.leaks)
        lines.append(
            f"{exact} tickets of {test} are also in the training data and {len(found.leaks) - exact} nearly: "
            "take them out of either, or what is measured on them flatters"
        )
    if found.num_personal:
        kinds = ", ".join(f"{kind} in {number}" for kind, number in found.num_personal.items())
        lines.append(
            f"personal data, by its form: {kinds}; mask it where the tickets come from (training masks e-mail "
            "addresses, phone numbers and IBANs, and neither names nor card numbers in tokens)"
        )
    if found.num_conflicts:
        lines.append(f"{found.num_conflicts} tickets stand under several categories: decide for one")
    if found.num_mislabelled:
        lines.append(f"{found.num_mislabelled} tickets are probably in a wrong category: correct them from the top")
    for merge in found.merges[:MAX_SHOWN]:
        counts = " + ".join(map(str, merge.of_folds))
        lines.append(
            f"{merge.first} and {merge.second} are taken for each other ({counts} tickets in the folds, "
            f"{merge.share:.0%} of the smaller): merge them, or write down what tells them apart"
        )
    if found.small_categories:
        few = [f"{name} ({number})" for name, number in found.small_categories.items()]
        lines.append(
            f"{len(few)} categories have fewer than {SMALL_CATEGORY} distinct tickets: collect more, or merge them: "
            + shortened(few)
        )
    if found.num_duplicates:
        lines.append(f"{found.num_duplicates} tickets repeat an earlier one: keep them if they came so often")
    if found.num_near_empty:
        lines.append(f"{found.num_near_empty} tickets are nearly empty: remove those that nobody could sort")
    if found.aliases:
        lines.append(f"placeholders of the same thing: train with --set 'aliases={found.aliases}'")
    return lines or ["nothing to complain of"]


def shortened(words: Sequence[str]) -> str:
    """Return the first words of a list."""
    return ", ".join(words[:MAX_SHOWN]) + (", ..." if len(words) > MAX_SHOWN else "")


def show_suspects(found: Audit, rows: Rows, places: Sequence[str]) -> None:
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
        table.add_row(places[one.row], category, one.suggested, f"{one.score:.3f}", excerpt)
    out.print(table)


def show_leaks(found: Sequence[Leak], places: Sequence[str], test_places: Sequence[str]) -> None:
    """Print the test tickets that the training data gives away."""
    if not found:
        return
    table = Table(title="in the test data and in the training data", title_justify="left")
    for column in ("test", "training", "alike", "category"):
        table.add_column(column, justify="right" if column == "alike" else "left")
    for leak in found[:MAX_SHOWN]:
        same = "the same" if leak.same_category else "another"
        table.add_row(test_places[leak.test_row], places[leak.train_row], f"{leak.similarity:.2f}", same)
    out.print(table)


def write_csv(path: Path, found: Audit, rows: Rows, places: Sequence[str]) -> None:
    """Write the tickets that have a reason, as they were given; tokens stand with spaces between them.

    Raises:
        InvalidInput: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:  # the mark that makes Excel read UTF-8
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for one in found.suspects:
                ticket = rows.tickets[one.row]
                content = ticket.content if isinstance(ticket.content, str) else " ".join(ticket.content)
                score = "" if one.score is None else f"{one.score:.4f}"
                cells = (
                    None if ticket.id is None else str(ticket.id),
                    ticket.expected,
                    one.suggested,
                    score,
                    "; ".join(one.reasons),
                    content,
                )
                writer.writerow([one.row, places[one.row], *(as_text(cell) for cell in cells)])
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error


def as_text(cell: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula: a ticket is written by a stranger (OWASP, CSV injection).

    >>> as_text("=HYPERLINK(1)"), as_text("la facture"), as_text(None)
    ("'=HYPERLINK(1)", 'la facture', '')
    """
    return f"'{cell}" if cell and cell[0] in "=+-@\t\r" else cell or ""


COMMANDS = (inspect_command,)
