"""How a result is shown and kept: tables on stdout, then the whole as one JSON line, with `--save` files as well.

In: a `Result` (machine.py), its tables and its pictures. A saved file is never written over.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.common.machine import RESULTS, Result


class Sheet(msgspec.Struct, frozen=True):
    """A table for people, and the sentences below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


class Picture(NamedTuple):
    """A picture that is drawn when a result is kept: its title, the end of its file's name, and who draws it."""

    title: str
    suffix: str
    draw: Callable[[Path], None]


def conclude(
    found: Result,
    sheets: Sequence[Sheet],
    pictures: Sequence[Picture],
    void_because: Sequence[str],
    save_it: bool,
    folder: Path = RESULTS,
) -> None:
    """Show what was measured, keep it if that was asked for, and print it as JSON last; a void result says so first.

    Raises:
        click.ClickException: it was to be kept and is void.
    """
    notes = [*(f"VOID: {reason}" for reason in void_because), *sheets[0].notes]
    sheets = [msgspec.structs.replace(sheets[0], notes=notes), *sheets[1:]]
    for sheet in sheets:
        show(sheet)
    if save_it and not void_because:
        click.echo(f"saved as {save(found, sheets, pictures, folder)}")
    print_json(found)
    if save_it and void_because:
        raise click.ClickException("a void run is not saved")


def show(sheet: Sheet) -> None:
    """Print a table and its notes; in a pipe it is wide enough not to be folded."""
    out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 180)
    table = Table(title=sheet.title, title_justify="left", title_style="bold")
    for place, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if place else "left")
    for row in sheet.rows:
        table.add_row(*row)
    out.print(table)
    for note in sheet.notes:
        out.print(note, style="bold red" if note.startswith("VOID") else None, soft_wrap=True)


def print_json(found: Result) -> None:
    """Print the line that other programs read; nothing may follow it on stdout."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()


def save(found: Result, sheets: Sequence[Sheet], pictures: Sequence[Picture] = (), folder: Path = RESULTS) -> Path:
    """Write DATE_machine_topic.json, Markdown and pictures beside it, and return the path of the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{found.date[:10]}_{found.machine.short_name}_{found.topic}"
    path, number = folder / f"{stem}.json", 2
    while path.exists():  # a second result of a day is kept beside the first
        path, number = folder / f"{stem}-{number}.json", number + 1
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    lines = [markdown(sheets[0], found).rstrip("\n")]
    for sheet in sheets[1:]:
        lines += ["", f"## {sheet.title}", "", *table_lines(sheet)]
    for picture in pictures:
        end = f"_{picture.suffix}.png" if picture.suffix else ".png"
        picture.draw(target := path.with_name(path.stem + end))
        lines += ["", f"![{picture.title}]({target.name})"]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")
    return path


def markdown(sheet: Sheet, found: Result) -> str:
    """Return the table as a short Markdown document."""
    machine, source = found.machine, found.source
    commit = (
        f"commit {source.git_sha[:12]}{' with changes' if source.is_dirty else ''}" if source.git_sha else "no commit"
    )
    versions = ", ".join(f"{name} {number}" for name, number in source.libraries.items())
    lines = [
        f"# {sheet.title}",
        "",
        f"{found.date}, {machine.cpu}, {machine.num_cores} cores, {machine.system}, {commit}.",
        f"Python {source.python}, {versions}.",
        "",
        *table_lines(sheet),
    ]
    return "\n".join(lines).rstrip() + "\n"


def table_lines(sheet: Sheet) -> list[str]:
    """Return the table and its notes as lines of Markdown."""
    cells = [sheet.columns, ["---", *["---:"] * (len(sheet.columns) - 1)], *sheet.rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells), "", *sheet.notes]
