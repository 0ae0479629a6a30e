"""The command line of `puppet-serve`: settings, listening sockets, and the supervisor of the workers.

This process imports neither Litestar nor onnxruntime: the workers answer, it only starts them.
"""

import asyncio
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from artifacts.errors import InvalidInput, PuppetError, how_to_install
from artifacts.system import cores
from artifacts.system.logs import start_log
from inference.monitoring.shared_counters import open_board
from inference.server import listeners
from inference.server.connections import raise_descriptor_limit
from inference.server.listeners import listen
from inference.server.supervisor import END_SIGNALS, Child, Supervisor
from inference.settings import PREFIX, Settings, read_settings

log = logging.getLogger("puppet")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", help="Address to listen on; another than loopback needs both tokens.  [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one and prints it.  [8000]")
@click.option("--workers", type=int, help="Processes that answer, one per core; 1 to 64.  [1]")
@click.option("--store", help="Folder that holds the models.  [artifacts/models]")
@click.option("--trainer", type=click.Choice(["local", "none"]), help="Train beside the server, or not at all.")
@click.version_option(package_name="puppet-o2")
def main(**options: object) -> None:
    """Serve the models of a store over HTTP. docs/en/reference.md lists the PUPPET_ variables."""
    start_log()
    try:
        settings = choose_trainer(read_settings(os.environ, options))
        if not settings.store_path.exists():  # a slip of the pen would serve nothing, and say so nowhere
            log.warning("store %s did not exist: it is made now and holds no model", settings.store)
        listening = listen(settings)
    except PuppetError as error:
        click.echo(f"error: {error}", err=True)
        if isinstance(error, InvalidInput):
            for fault in error.faults:
                click.echo(f"  {fault}", err=True)
        sys.exit(1)
    host, port = listening[0].getsockname()[:2]
    shown = msgspec.structs.replace(settings.shown, port=port)
    log.info("settings %s", msgspec.json.encode(shown).decode())
    if settings.workers > (num_cores := cores.available()):
        log.warning(
            "%d workers share %g cores: more than one for each core answers no faster and takes 120 MB each; "
            "set --workers or the container's share",
            settings.workers,
            num_cores,
        )
    log.info("listening on http://%s:%d, documentation at /schema", f"[{host}]" if ":" in host else host, port)
    sys.exit(supervise(settings, listening))


def supervise(settings: Settings, listening: Sequence[socket.socket]) -> int:
    """Return the exit status of the server, which has run to its end; the sockets are closed then."""
    raise_descriptor_limit()
    reports, report_fd = os.pipe()
    board_fd = open_board()
    os.set_blocking(reports, False)

    def turn_away() -> None:
        listeners.turn_away(listening)
        listeners.close(listening)  # or they would go on listening when the workers have closed theirs

    supervisor = Supervisor(
        [
            *(
                worker(number, settings, one, report_fd, board_fd, os.environ)
                for number, one in enumerate(listening, 1)
            ),
            *([trainer(settings, report_fd, os.environ)] if settings.trainer == "local" else []),
        ],
        on_end=turn_away,
        reports=reports,
    )
    status = asyncio.run(supervisor.run())
    if supervisor.refusal:
        click.echo(f"error: {supervisor.refusal}", err=True)
    return status


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours, found where this one was found."""
    # Without -P the working directory's modules come first. So do not, unless `python -m inference` found us there.
    is_here = sys.path[0] == str(Path(__file__).parents[2]) and not sys.flags.safe_path
    return (sys.executable, *(() if is_here else ("-P",)), "-m", module)


def worker(
    number: int,
    settings: Settings,
    listening: socket.socket,
    report_fd: int,
    board_fd: int,
    environment: Mapping[str, str],
) -> Child:
    """Return the worker on one of the sockets; the one that comes after it finds the waiting connections there."""
    return Child(
        f"worker {number}",
        (
            *program("inference.server.worker"),
            *(str(listening.fileno()), str(report_fd), str(os.getpid()), str(board_fd), str(number)),
        ),
        environment={name: value for name, value in environment.items() if not name.startswith(PREFIX)},
        stdin=msgspec.json.encode(settings),
        fds=(listening.fileno(), report_fd, board_fd),
        blocked=END_SIGNALS,  # connections may be waiting on its socket before it can take a signal
    )


def trainer(settings: Settings, report_fd: int, environment: Mapping[str, str]) -> Child:
    """Return the worker that trains what is asked for, on the cores that the answering ones leave."""
    return Child(
        "trainer",
        (
            *(*program("trainer"), "work", "--store", settings.store),
            *("--timeout-s", str(settings.train_timeout_s), "--beside", str(settings.workers)),
            *("--keep-versions", str(settings.keep_versions)),
            *("--parent", str(os.getpid()), "--report", str(report_fd)),
        ),
        environment={name: value for name, value in environment.items() if not name.startswith(PREFIX)},
        fds=(report_fd,),
        blocked=END_SIGNALS,
    )


def trainer_is_installed() -> bool:
    """Return whether a trainer process could run here; looks without importing."""
    return importlib.util.find_spec("torch") is not None and importlib.util.find_spec("trainer") is not None


def choose_trainer(settings: Settings) -> Settings:
    """Return the settings with `trainer` decided.

    Raises:
        InvalidInput: a trainer is asked for where none is installed.
    """
    installed = trainer_is_installed()
    if settings.trainer == "auto":
        return msgspec.structs.replace(settings, trainer="local" if installed else "none")
    if settings.trainer == "local" and not installed:
        raise InvalidInput(f"--trainer local needs PyTorch, which is not installed; {how_to_install('train')}")
    return settings
