"""The command `puppet-train inspect`: what to look at in labelled tickets before they teach.

What is looked for is in audit.py and variants.py; here it is read, shown, and written for the people who label.
"""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from artifacts.errors import InvalidInput, PuppetError
from artifacts.system import cores
from artifacts.text.people import Person, read_names
from artifacts.text.tickets import Ticket
from artifacts.text.tokens import MAX_TOKENS
from trainer import simple_nn
from trainer.cli.reading import excel_delimiter, reading_options, say_intake
from trainer.cli.terminal import data_argument, json_option, out, print_line, shows_errors
from trainer.config import TrainConfig
from trainer.curation.audit import SMALL_CATEGORY, Audit, Leak, audit, leaks
from trainer.curation.capitals import names_in
from trainer.curation.signal import Signal
from trainer.curation.variants import Variants, variants
from trainer.data import tickets
from trainer.data.columns import AS_FOUND, ColumnsUnclear, Reading, as_remembered
from trainer.data.files import FaultGroup, FaultyRows
from trainer.data.forms import read_file
from trainer.data.tickets import Rows, about_single_tickets, check_several, single_ticket_categories
from trainer.sorting import writers
from trainer.sorting.corrections import quoted

MAX_SHOWN = 10  # rows of a kind in the terminal; --csv has all
MAX_CREDIBLE = 0.25  # of the tickets; a model that calls more of them wrong is often wrong itself (docs/LOG.md)
EXCERPT = 60  # characters
MAX_CELL = 30_000  # characters of a ticket in the file for a spreadsheet, which holds 32,767
COLUMNS = ("place", "id", "category", "suggested_category", "score", "reasons", "text")


class Warned(msgspec.Struct, frozen=True):
    """One thing to look at.

    Attributes:
        kind: a word that does not change from release to release.
        num_tickets: that it is about.
        detail: what it is and what to do about it, for a person.
    """

    kind: str
    num_tickets: int
    detail: str


class Inspection(Audit, frozen=True, kw_only=True):
    """What `--json` prints: the audit, how the file was read, and every warning.

    Attributes:
        columns: what was read of the file: category, text, id.
        encoding: of a text; None of a form that has none.
        form: of the file, in words.
        faults: rows that were left out, in groups.
        warnings: the most important first.
        variants: categories that are probably one.
        num_empty: tickets without a token.
        num_unlabelled, num_faulty: rows that were left out.
        num_repaired: tickets that were encoded twice, and are read as they were meant.
    """

    columns: dict[str, object]
    encoding: str | None
    form: str
    faults: list[FaultGroup]
    warnings: list[Warned]
    variants: list[Variants]
    num_empty: int
    num_unlabelled: int
    num_faulty: int
    num_repaired: int


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
    check_several(rows)
    test_rows = read_tickets(test, as_remembered(reading)) if test else None
    found = audit(rows, cores.whole(), seed)
    if test_rows is not None:
        found = msgspec.structs.replace(found, leaks=leaks(rows, test_rows))
    is_forbidden = Person(read_names(forbid)).is_word if forbid is not None else None
    names = names_in((ticket.content for ticket in rows.tickets), is_forbidden)
    found = msgspec.structs.replace(found, names=names)
    alike = variants(rows.categories)
    first = single_tickets(rows)
    warnings = [*first, *spellings(alike), *advice(found, test, len(rows.empty), num_repaired(rows))]
    seconds = time.perf_counter() - start
    out.print(
        f"{data}: {found.num_tickets} tickets in {found.num_categories} categories, {seconds:.1f} s", soft_wrap=True
    )
    if found.labels_follow_text is False:
        warnings.sort(key=lambda one: one.kind != "labels_do_not_follow_text")  # before names of categories, too
    if not first:  # with a ticket a category there is nothing that a text could tell
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


def inspection(found: Audit, rows: Rows, warnings: list[Warned], alike: list[Variants]) -> Inspection:
    """Return all that was found, for other programs."""
    intake = rows.intake
    columns: dict[str, object] = {}
    if intake is not None:
        columns = {"category": intake.columns.category, "text": intake.columns.text, "id": intake.columns.id}
    return Inspection(
        **msgspec.structs.asdict(found),
        columns=columns,
        encoding=intake.encoding if intake is not None else None,
        form=intake.form if intake is not None else "folder of e-mails",
        faults=intake.faults if intake is not None else [],
        warnings=warnings,
        variants=alike,
        num_empty=len(rows.empty),
        num_repaired=num_repaired(rows),
        num_unlabelled=intake.num_unlabelled if intake is not None else 0,
        num_faulty=intake.num_faulty if intake is not None else 0,
    )


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


def single_tickets(rows: Rows) -> list[Warned]:
    """Return a warning if nearly each ticket has a category of its own, which `fit` refuses."""
    refusal = about_single_tickets(rows)
    return [Warned("single_tickets", len(single_ticket_categories(rows)), str(refusal))] if refusal else []


def spellings(found: Sequence[Variants]) -> list[Warned]:
    """Return a warning for each group of categories that are probably one, with the options that merge them."""
    return [
        Warned(
            "category_names",
            one.num_tickets,
            f"{', '.join(f'{name!r} ({count})' for name, count in one.others.items())} look like {one.kept!r}: "
            f"add {shlex.join(one.options)}",
        )
        for one in found
    ]


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


def num_repaired(rows: Rows) -> int:
    """Return how many tickets of a file were encoded twice; of e-mails, whose encoding they name, none."""
    return rows.intake.num_repaired if rows.intake is not None else 0


def advice(found: Audit, test: Path | None, num_empty: int = 0, num_repaired: int = 0) -> list[Warned]:
    """Return what was found and what to do about it, the most important first."""
    warned = []

    def warn(kind: str, num_tickets: int, detail: str) -> None:
        warned.append(Warned(kind, num_tickets, detail))

    if found.labels_follow_text is False:
        warn(
            "labels_do_not_follow_text",
            found.num_tickets,
            "the categories do not follow from the text: dealt out among the tickets at random they suit the model's "
            f"answers as well in {found.signal.p_value:.1%} of 999 deals (limit 0.1%); so no ticket is called wrong. "
            "Is it the right column? Name another with --category, or another text with --text",
        )
    if found.leaks:
        exact = sum(leak.similarity == 1 for leak in found.leaks)
        warn(
            "leaks",
            len(found.leaks),
            f"{exact} tickets of {test} are also in the training data and {len(found.leaks) - exact} nearly: "
            "take them out of either, or what is measured on them flatters",
        )
    if found.num_cut:
        warn(
            "cut",
            found.num_cut,
            f"{found.num_cut} of {found.num_tickets} tickets are cut at the {MAX_TOKENS}th token, {found.num_alike} "
            "are alike up to there: what comes after is not read, so leave out what a program or a template puts first",
        )
    if num_repaired:
        warn(
            "encoded_twice",
            num_repaired,
            f"{num_repaired} tickets look doubly encoded (Ã¨ for è): they are read as they were meant; export again as "
            "UTF-8",
        )
    if found.num_personal:
        kinds = ", ".join(f"{kind} in {number}" for kind, number in found.num_personal.items())
        warn(
            "personal_data",
            sum(found.num_personal.values()),
            f"personal data, by its form: {kinds}; mask it where the tickets come from (training masks e-mail "
            "addresses, phone numbers and IBANs, and neither names nor card numbers in tokens)",
        )
    if found.names:
        often = sum(number >= TrainConfig().min_count for number in found.names.values())
        warn(
            "names",
            sum(found.names.values()),
            f"{len(found.names)} words look like names, {often} of them in tickets enough to enter the vocabulary: "
            f"{shortened([f'{name} ({number})' for name, number in found.names.items()])}; write those that are names "
            "into a file, one a line, and train with --forbid FILE",
        )
    if found.num_conflicts:
        warn(
            "conflicts",
            found.num_conflicts,
            f"{found.num_conflicts} tickets stand under several categories: decide for one",
        )
    if found.num_mislabelled > MAX_CREDIBLE * found.num_tickets:
        warn(
            "mislabelled",
            found.num_mislabelled,
            f"{found.num_mislabelled} tickets look as if they were in a wrong category, but the model that says so is "
            f"right in {found.signal.accuracy:.0%} of cases only: read the first, and do not take the rest for errors",
        )
    elif found.num_mislabelled:
        warn(
            "mislabelled",
            found.num_mislabelled,
            f"{found.num_mislabelled} tickets are probably in a wrong category: correct them from the top",
        )
    for merge in found.merges[:MAX_SHOWN]:
        counts = " + ".join(map(str, merge.of_folds))
        warn(
            "confused_categories",
            sum(merge.of_folds),
            f"{merge.first} and {merge.second} are taken for each other ({counts} tickets in the folds, "
            f"{merge.share:.0%} of the smaller): merge them, or write down what tells them apart",
        )
    if found.small_categories:
        few = [f"{name} ({number})" for name, number in found.small_categories.items()]
        warn(
            "small_categories",
            sum(found.small_categories.values()),
            f"{len(few)} categories have fewer than {SMALL_CATEGORY} distinct tickets: collect more, or merge them: "
            + shortened(few),
        )
    if found.num_duplicates:
        warn(
            "duplicates",
            found.num_duplicates,
            f"{found.num_duplicates} tickets repeat an earlier one: keep them if they came so often",
        )
    if found.num_near_empty:
        warn(
            "near_empty",
            found.num_near_empty,
            f"{found.num_near_empty} tickets are nearly empty: remove those that nobody could sort",
        )
    if num_empty:
        warn("empty", num_empty, f"{num_empty} tickets have no word: a training leaves them out")
    if found.aliases:
        warn("aliases", 0, f"placeholders of the same thing: train with --set 'aliases={found.aliases}'")
    return warned


def shortened(words: Sequence[str]) -> str:
    """Return the first words of a list."""
    return ", ".join(words[:MAX_SHOWN]) + (", ..." if len(words) > MAX_SHOWN else "")


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


def text_of(ticket: Ticket) -> str:
    """Return a ticket as a person reads it."""
    return ticket.content if isinstance(ticket.content, str) else " ".join(ticket.content)


COMMANDS = (inspect_command,)
