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
from typing import NoReturn, get_args

import click
import msgspec

from artifacts.errors import InvalidInput, PuppetError
from artifacts.networks.engines import build
from artifacts.networks.engines.build import EngineChoice
from artifacts.problems.phrases import phrase
from artifacts.problems.sentences import language_of
from artifacts.system import cores
from artifacts.system.logs import start_log
from inference.monitoring.shared_counters import open_board
from inference.server import listeners
from inference.server.connections import raise_descriptor_limit
from inference.server.listeners import listen
from inference.server.supervisor import END_SIGNALS, WORKER_SIGNALS, Child, StartRefusal, Supervisor, read_refusal
from inference.settings import PREFIX, Given, Settings, named_tokens, read_settings
from inference.tokens import FILE, ROLES, NamedToken, Role, make_token

# Of a worker: NumPy's products on several threads take the cores of the others, and four times the time of one thread
# (groups of 5,000 tickets, docs/LOG.md). An environment that says otherwise is left so.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}

log = logging.getLogger("puppet")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.option("--host", help="Address to listen on; another than loopback needs both tokens.  [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one and prints it.  [8000]")
@click.option("--workers", type=int, help="Processes that answer, one per core; 1 to 64.  [1]")
@click.option("--store", help="Folder that holds the models.  [artifacts/models]")
@click.option(
    "--engine",
    type=click.Choice(get_args(EngineChoice)),
    help="What answers; fused is a kernel of its own, auto takes it if it has been compiled.  [onnxruntime]",
)
@click.option("--trainer", type=click.Choice(["local", "none"]), help="Train beside the server, or not at all.")
@click.version_option(package_name="puppet-o2")
@click.pass_context
def main(context: click.Context, /, **options: object) -> None:
    """Serve the models of a store over HTTP. docs/en/reference.md lists the PUPPET_ variables."""
    if context.invoked_subcommand is not None:
        return
    start_log()
    try:
        settings = choose_engine(choose_trainer(read_settings(os.environ, options)))
        tokens = named_tokens(settings)
        is_new = not settings.store_path.exists()
        listening = listen(settings)
    except PuppetError as error:
        refuse(error)
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
    if is_new:  # a slip of the pen would serve nothing, and say so nowhere
        log.warning("store %s did not exist: it is made now and holds no model", settings.store)
    log.info("listening on http://%s:%d, documentation at /schema", f"[{host}]" if ":" in host else host, port)
    if tokens:
        log.info("%d named tokens are known", len(tokens))
    sys.exit(supervise(settings, tokens, listening))


@main.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the token opens.")
@click.option("--days", type=int, help="Days after which it opens nothing.  [never]")
@click.option("--file", help="File of the named tokens.  [PUPPET_TOKENS_FILE, or tokens.toml in the store]")
@click.pass_context
def token(context: click.Context, name: str, role: Role, days: int | None, file: str | None) -> None:
    """Make a token, print it this once, and add its digest to the file of the named tokens.

    A server that runs reads the file again at SIGHUP.
    """
    assert context.parent is not None, "the command stands below `main`"
    # Not `read_settings`: it refuses an address without tokens, and here they are being made.
    store = context.parent.params["store"] or os.environ.get(f"{PREFIX}STORE") or Settings().store
    path = Path(file or os.environ.get(f"{PREFIX}TOKENS_FILE") or Path(store) / FILE)
    try:
        made = make_token(path, name, role, days)
    except PuppetError as error:
        refuse(error)
    click.echo(made)
    click.echo(
        f"this is the {role} token {name!r}, shown only now; its digest is in {path}, which a server reads at its "
        f"start and at SIGHUP",
        err=True,
    )


def refuse(error: PuppetError) -> NoReturn:
    """Say what is wrong, in the language of the terminal, and end with status 1."""
    show(StartRefusal.of(error).shown(language_of(os.environ)))
    sys.exit(1)


def show(refusal: str) -> None:
    """Say why the server cannot run."""
    click.echo(phrase("error", language_of(os.environ), text=refusal), err=True)


def supervise(settings: Settings, tokens: tuple[NamedToken, ...], listening: Sequence[socket.socket]) -> int:
    """Return the exit status of the server, which has run to its end; the sockets are closed then."""
    raise_descriptor_limit()
    reports, report_fd = os.pipe()
    board_fd = open_board()
    os.set_blocking(reports, False)

    def turn_away() -> None:
        listeners.turn_away(listening)
        listeners.close(listening)  # or they would go on listening when the workers have closed theirs

    def workers(tokens: tuple[NamedToken, ...]) -> list[Child]:
        given = Given(settings, tokens)
        return [worker(number, given, one, report_fd, board_fd, os.environ) for number, one in enumerate(listening, 1)]

    def read_tokens_again() -> list[Child] | None:
        try:
            tokens = named_tokens(settings)
        except InvalidInput as error:  # the one line on it: workers are not sent to a file that cannot be used
            log.error("the named tokens stay as they were: %s", "; ".join([str(error), *map(str, error.faults)]))
            return None
        return workers(tokens)

    supervisor = Supervisor(
        [*workers(tokens), *([trainer(settings, report_fd, os.environ)] if settings.trainer == "local" else [])],
        on_end=turn_away,
        reports=reports,
        on_reload=read_tokens_again,
    )
    status = asyncio.run(supervisor.run())
    if supervisor.refusal:
        show(read_refusal(supervisor.refusal, language_of(os.environ)))
    return status


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours, found where this one was found."""
    # Without -P the working directory's modules come first. So do not, unless `python -m inference` found us there.
    is_here = sys.path[0] == str(Path(__file__).parents[2]) and not sys.flags.safe_path
    return (sys.executable, *(() if is_here else ("-P",)), "-m", module)


def worker(
    number: int,
    given: Given,
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
        environment=ONE_THREAD | {name: value for name, value in environment.items() if not name.startswith(PREFIX)},
        stdin=msgspec.json.encode(given),
        fds=(listening.fileno(), report_fd, board_fd),
        blocked=WORKER_SIGNALS,  # connections may be waiting on its socket before it can take a signal
        takes_reload=True,
    )


def trainer(settings: Settings, report_fd: int, environment: Mapping[str, str]) -> Child:
    """Return the worker that trains what is asked for, on the cores that the answering ones leave."""
    return Child(
        "trainer",
        (
            *(*program("trainer"), "work", "--store", settings.store),
            *("--timeout-s", str(settings.train_timeout_s), "--beside", str(settings.workers)),
            *("--keep-versions", str(settings.keep_versions)),
            *("--unpacked-bytes", str(settings.unpacked_bytes)),
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
        raise InvalidInput("no-trainer-installed")
    return settings


def choose_engine(settings: Settings) -> Settings:
    """Return the settings with `engine` decided; which one serves a version, the version's proof decides.

    Raises:
        InvalidInput: the kernel is asked for where none that this processor can run has been compiled.
    """
    is_compiled = bool(build.objects())
    if settings.engine == "auto":
        return msgspec.structs.replace(settings, engine="fused" if is_compiled else "onnxruntime")
    if settings.engine == "fused" and not is_compiled:
        raise InvalidInput("no-kernel-compiled")
    return settings
