"""How a result of several tables and pictures is shown and kept: machine.py for one table, and the rest after it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks import machine


class Picture(NamedTuple):
    """A picture that is drawn when a result is kept: its title, the end of its file's name, and who draws it."""

    title: str
    suffix: str
    draw: Callable[[Path], None]


def save_all(found: machine.Result, sheets: Sequence[machine.Sheet], pictures: Sequence[Picture], folder: Path) -> Path:
    """Write JSON, Markdown and pictures beside each other, and return the path of the JSON."""
    path = machine.save(found, sheets[0], folder)
    drawn = [(picture.title, path.with_name(f"{path.stem}_{picture.suffix}.png")) for picture in pictures]
    for picture, (_, target) in zip(pictures, drawn, strict=True):
        picture.draw(target)
    machine.extend(path, sheets[1:], drawn)
    return path


def conclude(
    found: machine.Result,
    sheets: Sequence[machine.Sheet],
    pictures: Sequence[Picture],
    void_because: Sequence[str],
    save_it: bool,
) -> None:
    """Show what was measured, keep it if that was asked for, and print it as JSON last.

    Raises:
        click.ClickException: it was to be kept and is void.
    """
    for sheet in sheets:
        machine.show(sheet)
    if save_it and not void_because:
        click.echo(f"saved as {save_all(found, sheets, pictures, machine.RESULTS)}")
    machine.print_json(found)
    if save_it and void_because:
        raise click.ClickException("a void run is not saved")
