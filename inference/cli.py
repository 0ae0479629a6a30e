"""The command line of `puppet-serve`: settings, one listening socket, uvicorn."""

import json
import logging
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from types import FrameType

import click
import msgspec
import uvicorn
from litestar import Litestar

from artifacts.errors import InvalidInput, PuppetError
from inference.app import create_app
from inference.settings import Settings, read_settings
from inference.training import trainer_is_installed

log = logging.getLogger("puppet")


class JsonLines(logging.Formatter):
    """One JSON object a line, so that no text in an event can forge another event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)  # ASCII: a mark that reverses or hides text in a terminal is escaped too


class Server(uvicorn.Server):
    """uvicorn, but a signal first ends what would hold the shutdown up: a request that waits for its training."""

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as the signal module calls it
        """Take SIGTERM or SIGINT."""
        training = self._app.state.get("training")
        if training is not None:  # None: the signal came before the start was over
            training.drain()
        # In place of uvicorn's own, which raises the signal again at the end: who ends as asked has not failed.
        self.force_exit = self.should_exit and sig == signal.SIGINT  # Ctrl+C a second time
        self.should_exit = True


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", help="Address to listen on; another than loopback needs PUPPET_ADMIN_TOKEN.  [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one and prints it.  [8000]")
@click.option("--workers", type=click.IntRange(1, 1), default=1, show_default=True, help="Server processes.")
@click.option("--store", help="Folder that holds the models.  [artifacts/models]")
@click.option("--trainer", type=click.Choice(["local", "none"]), help="Train beside the server, or not at all.")
@click.version_option(package_name="puppet-o2")
def main(**options: object) -> None:
    """Serve the models of a store over HTTP. docs/en/reference.md lists the PUPPET_ variables."""
    del options["workers"]
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = choose_trainer(read_settings(os.environ, options))
        app = create_app(settings)
        listening = listen(settings)
    except PuppetError as error:
        click.echo(f"error: {error}", err=True)
        if isinstance(error, InvalidInput):
            for fault in error.faults:
                click.echo(f"  {fault}", err=True)
        sys.exit(1)
    host, port = listening.getsockname()[:2]
    shown = msgspec.structs.replace(settings, admin_token="set" if settings.admin_token else "", port=port)
    log.info("settings %s", msgspec.json.encode(shown).decode())
    log.info("listening on http://%s:%d, documentation at /schema", f"[{host}]" if ":" in host else host, port)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    Server(app, config).run(sockets=[listening])


def choose_trainer(settings: Settings) -> Settings:
    """Return the settings with `trainer` decided.

    Raises:
        InvalidInput: a trainer is asked for where none is installed.
    """
    installed = trainer_is_installed()
    if settings.trainer == "auto":
        return msgspec.structs.replace(settings, trainer="local" if installed else "none")
    if settings.trainer == "local" and not installed:
        raise InvalidInput("--trainer local needs PyTorch, which is not installed; run: pip install 'puppet-o2[train]'")
    return settings


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket.

    Raises:
        InvalidInput: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise InvalidInput(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another with --port"
        ) from error
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening
