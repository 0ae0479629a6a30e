"""What every command of `puppet-train` shares: its two consoles, how it shows an error, its usual options."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from artifacts.errors import InvalidInput, PuppetError
from artifacts.networks.manifest import Comparison

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


def print_line(line: object) -> None:
    """Print the one line that other programs read: a JSON object, the last of stdout."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def show_comparison(comparison: Comparison) -> None:
    """Print whether a version is better than another, and what that rests on."""
    out.print(comparison.detail, soft_wrap=True)
    if comparison.num_seen_old or comparison.num_seen_new:
        out.print(
            f"of these rows, {comparison.num_seen_old} were in the training data of the old version and "
            f"{comparison.num_seen_new} in that of the new one, which flatters them",
            soft_wrap=True,
        )
