"""The options that several benchmarks have, each with one name and one range, and Settings made of what was given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import msgspec

from artifacts.networks.engines.build import EngineName
from benchmarks.common.rounds import MIN_ROUNDS
from benchmarks.load.contenders import CONTENDERS

C = TypeVar("C", bound=Callable[..., Any])
S = TypeVar("S", bound=msgspec.Struct)

PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
MORE_THAN_0 = click.FloatRange(0, min_open=True)

store = click.option("--store", type=PATH, help="Folder of models.  [a model trained for the occasion]")
tokens = click.option("--tokens", type=click.IntRange(1, 512), default=30, show_default=True, help="Of a ticket.")
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of tickets and arrivals.")
rounds = click.option("--rounds", type=click.IntRange(1), default=MIN_ROUNDS, show_default=True, help="Fewer are void.")
rate = click.option(
    "--rate", type=click.FloatRange(0, 20_000, min_open=True), default=500.0, show_default=True, help="A second."
)
workers = click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the server.")
save = click.option("--save", is_flag=True, help="Keep the result in benchmarks/results, unless it is void.")

# Of the benchmarks that train on every set of a folder.
data_sets = click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder of sets."
)
sets = click.option(
    "--sets", multiple=True, metavar="NAME", help="A set, such as banking77_fr or 'banking77_fr (tokens)'; repeatable."
)


def name(what: str) -> Callable[[C], C]:
    """Return the option of the model's name."""
    return click.option("--name", default="puppet-o2", show_default=True, help=what)  # as the server's own default


def seconds(default: float, what: str) -> Callable[[C], C]:
    """Return the option of how long something is measured."""
    return click.option("--seconds", type=MORE_THAN_0, default=default, show_default=True, help=what)


def warmup(what: str) -> Callable[[C], C]:
    """Return the option of how long it runs before that."""
    return click.option("--warmup", type=click.FloatRange(0), default=1.0, show_default=True, help=what)


def connections(default: int, most: int, what: str) -> Callable[[C], C]:
    """Return the option of the connections that requests are spread over."""
    return click.option("--connections", type=click.IntRange(1, most), default=default, show_default=True, help=what)


def servers(what: str) -> Callable[[C], C]:
    """Return the option of the contenders."""
    return click.option("--server", "servers", multiple=True, type=click.Choice(list(CONTENDERS)), help=what)


def engine(command: C) -> C:
    """Add the engine of our server."""
    choices = click.Choice(get_args(EngineName))
    return click.option("--engine", type=choices, default="onnxruntime", show_default=True, help="That answers.")(
        command
    )


def settings(what: str) -> Callable[[C], C]:
    """Return the option of the trainer's own settings."""
    return click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help=what)


def seeds(what: str) -> Callable[[C], C]:
    """Return the option of how often something is trained."""
    return click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help=what)


def jobs(what: str) -> Callable[[C], C]:
    """Return the option of how many trainings run at a time."""
    return click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help=what)


def resume(what: str) -> Callable[[C], C]:
    """Return the option of the folder from which an interrupted run goes on."""
    return click.option("--resume", type=FOLDER, help=f"Folder that keeps {what}")


def together(*options: Callable[[Any], Any]) -> Callable[[C], C]:
    """Return a decorator that adds several options, in this order."""

    def decorate(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def read(kind: type[S], given: dict[str, Any], **more: Any) -> S:
    """Return Settings of the options of the same names, a path as text, and of more that was found out."""
    known = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return msgspec.convert(known | more, kind)


def how_to_install(extra: str) -> str:
    """Return how to install an extra of this project, as the end of a message.

    The project stands on no registry, so `pip install NAME[extra]` would fetch whatever somebody puts under the name.

    >>> how_to_install("mail")
    "install the extra mail: pip install -c constraints.txt -e '.[mail]' in the checkout of Puppet"
    """
    return f"install the extra {extra}: pip install -c constraints.txt -e '.[{extra}]' in the checkout of Puppet"
