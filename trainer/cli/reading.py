"""The options of every command that reads an export: which columns, which encoding, and what may be left out.

They can stand in the table [data] of the file that `--config` names as well, under the names of `columns.Reading`; what
is on the command line wins. What was read is remembered in the manifest, so that the next export needs none of them.
"""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from artifacts.errors import InvalidInput
from artifacts.problems.phrases import phrase
from trainer.cli.terminal import language, out, shows_errors
from trainer.data.columns import Reading, check_merge, read_data_table
from trainer.data.files import excerpt
from trainer.data.tickets import Rows

# Languages in which Excel's list separator is a semicolon, because the comma is the decimal sign.
DECIMAL_COMMA = (
    "fr",
    "de",
    "es",
    "it",
    "nl",
    "pt",
    "pl",
    "cs",
    "da",
    "sv",
    "nb",
    "nn",
    "fi",
    "el",
    "tr",
    "ro",
    "hu",
    "ru",
    "uk",
)

_TEXT = (
    click.option(
        "--text", multiple=True, metavar="COLUMN", help="Column of the text; repeat it for a subject and a body."
    ),
    click.option("--id", "id_column", metavar="COLUMN", help="Column by which your team knows a ticket."),
    click.option("--encoding", help="Of a text file, such as cp1252; found by itself otherwise."),
    click.option("--delimiter", help="Between the columns of a table, such as ';' or tab; found by itself otherwise."),
    click.option("--no-header", is_flag=True, help="The first line is a ticket; columns are named 1, 2, ..."),
    click.option("--skip-faulty", is_flag=True, help="Leave out rows that do not fit, and count them."),
    click.option("--max-bytes", type=click.IntRange(min=1), help="Of a compressed file once unpacked.  [2 GiB]"),
)
_LABELS = (
    click.option("--category", metavar="COLUMN", help="Column of the category; a.b reaches inside an object."),
    click.option("--skip-unlabelled", is_flag=True, help="Leave out rows without a category, and count them."),
    click.option("--first-label", is_flag=True, help="Of several categories in a cell, take the first."),
    click.option("--merge", multiple=True, metavar="OLD=NEW", help="Read a category as another; may be repeated."),
    click.option("--faults", "faults_file", type=click.Path(path_type=Path), help="List every faulty row in this CSV."),
)
_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Settings as a TOML file; of it the table [data]."
)


def reading_options(labels: bool = True, config: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options to a command, which gets what they say as `reading`, and with labels `faults_file`.

    Args:
        labels: whether a category is read too.
        config: whether `--config` is added; otherwise the command has it itself.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            given = {option: kwargs.pop(option) for option in _names(labels)}
            file = kwargs.get("config_file") if not config else kwargs.pop("config_file")
            command(*args, reading=_reading(file, given), **kwargs)

        decorated = shows_errors(wrapper)  # an option that does not fit is an error like any other
        for option in reversed(((_LABELS if labels else ()) + _TEXT) + ((_CONFIG,) if config else ())):
            decorated = option(decorated)
        return decorated

    return decorate


def _names(labels: bool) -> tuple[str, ...]:
    text = ("text", "id_column", "encoding", "delimiter", "no_header", "skip_faulty", "max_bytes")
    return (*text, "category", "skip_unlabelled", "first_label", "merge") if labels else text


def _reading(file: Path | None, given: dict[str, Any]) -> Reading:
    """Return how to read: the table of the configuration, changed by the command line.

    Raises:
        InvalidInput: a field of the table is unknown or does not fit.
    """
    table = read_data_table(file)
    if isinstance(words := table.get("merge"), list):
        table["merge"] = check_merge([str(word) for word in words])
    if isinstance(table.get("text"), str):
        table["text"] = [table["text"]]
    named = {
        "id" if name == "id_column" else name: value for name, value in given.items() if value not in (None, False, ())
    }
    if named.pop("no_header", False):
        named["header"] = False
    if "merge" in named:
        named["merge"] = {**table.get("merge", {}), **check_merge(named["merge"])}  # type: ignore[dict-item]
    if named.get("delimiter") in ("tab", "\\t"):
        named["delimiter"] = "\t"
    if len(character := str(named.get("delimiter", ","))) != 1:
        raise InvalidInput("delimiter-too-long", delimiter=character, num_characters=len(character))
    try:
        return msgspec.convert({**table, **named}, Reading)
    except msgspec.ValidationError as error:
        if file is None:
            raise InvalidInput("reading-option-does-not-fit", reason=error) from error
        known = [field.name for field in msgspec.structs.fields(Reading) if field.name != "remembered"]
        raise InvalidInput("data-table-does-not-fit", file=file, reason=error, known=known) from error


def say_intake(rows: object, path: object) -> None:
    """Print how a file was read, and what was left out of it."""
    if not isinstance(rows, Rows) or rows.intake is None:
        return
    out.print(f"{path}: {rows.intake.said}", soft_wrap=True)
    for group in rows.intake.faults:
        out.print(f"  {phrase('left-out', language(), text=group.shown(language()))}", soft_wrap=True)
    if rows.intake.num_repaired:
        out.print(f"  {phrase('repaired', language(), count=rows.intake.num_repaired)}", soft_wrap=True)
    if rows.empty:
        out.print(f"  {phrase('no-word', language(), count=len(rows.empty))}", soft_wrap=True)


def place_of(rows: object, row: int) -> str:
    """Return where a row stands in its file, with its first words."""
    if not isinstance(rows, Rows):
        return f"row {row}"
    return f"{rows.place(row)} {excerpt(' '.join(rows.tokens[row]))!r}"


def skipped(rows: object) -> dict[str, int]:
    """Return what was left out of a file, for `--json`."""
    if not isinstance(rows, Rows):
        return {}
    intake = rows.intake
    return {
        "num_unlabelled": intake.num_unlabelled if intake is not None else 0,
        "num_faulty": intake.num_faulty if intake is not None else 0,
        "num_empty": len(rows.empty),
        "num_repaired": intake.num_repaired if intake is not None else 0,
    }


def excel_delimiter() -> str:
    """Return what Excel separates the cells of a CSV by under the user's locale: a comma, or a semicolon in French."""
    # A program that Excel's users start has their locale in the environment; setlocale needs it installed.
    locale = next((value for name in ("LC_ALL", "LC_NUMERIC", "LANG") if (value := os.environ.get(name))), "")
    return ";" if locale.lower().startswith(tuple(f"{language}_" for language in DECIMAL_COMMA)) else ","
