"""One worker: a process that answers requests on a socket which the supervisor keeps for it.

    python -P -m inference.server.worker SOCKET_FD REPORT_FD PARENT_PID BOARD_FD NUMBER < given.json

Settings come through a pipe, because others can see arguments and the token is among the settings. With them come the
named tokens, as the supervisor has last read them: a worker that is started again is not stopped by a file that was
broken meanwhile. At SIGHUP a worker reads the file itself.
"""

# ruff: noqa: E402  # other imports come after the first statement

import gc

gc.disable()  # until it serves: all that is made before stays, and to walk over it again and again takes 50 ms

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import msgspec
import uvicorn
from litestar import Litestar

from artifacts.errors import PuppetError
from artifacts.system.logs import start_log
from inference.app import create_app, read_tokens_again
from inference.monitoring.shared_counters import Board
from inference.server.listeners import BACKLOG
from inference.server.protocol import Protocol, write_refusals
from inference.server.supervisor import CANNOT_START, WORKER_SIGNALS, StartRefusal, die_with
from inference.settings import Given

ACCEPT_S = 0.1  # after which every connection that had come up has been accepted
ANSWER_S = 0.2  # in which who was accepted last sends its request
CLOSE = (b"connection", b"close")


class Server(uvicorn.Server):
    """uvicorn, but a signal loses no request that was accepted.

    uvicorn closes its listener at once, and with it resets every connection that waits there, and each idle connection
    on which a request may be arriving. Here first every answer says `Connection: close`, so that clients
    leave by themselves, then connections are accepted to the last one, then their requests are awaited.
    """

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as the signal module calls it
        """Take SIGTERM or SIGINT; a further one changes nothing, because service managers signal every process."""
        if self.should_exit:
            return
        self.should_exit = True  # and not uvicorn's own way, which raises the signal again at the end
        self._app.state.draining = True
        self._app.state.training.drain()
        # These headers are part of every answer, errors too; uvicorn makes the second list of the first each second.
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers.append(CLOSE)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and from then on take signals; the supervisor has blocked them."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_tokens_again, self._app.state)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has been accepted and close; the supervisor has turned newcomers away."""
        await asyncio.sleep(ACCEPT_S)
        for server in self.servers:
            server.close()
        await asyncio.sleep(ANSWER_S)
        for _ in range(2):  # a turn of the loop looks at its timers before its sockets: read first what has come
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def main() -> None:
    """Run the worker."""
    socket_fd, report_fd, parent, board_fd, number = map(int, sys.argv[1:])
    die_with(parent)
    start_log()
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Given)
    for fd in (socket_fd, report_fd, board_fd):
        os.set_inheritable(fd, False)
    # Litestar takes its plugin for pydantic in wherever that is installed; nothing here needs it, and it is 9 MB.
    sys.modules["pydantic"] = None  # type: ignore[assignment]  # as the import system has it: there is none
    try:
        app = create_app(given.settings, Board(board_fd, number), given.tokens)
    except PuppetError as error:
        os.write(report_fd, StartRefusal.of(error).report())
        sys.exit(CANNOT_START)
    write_refusals(given.settings.search_queue_tokens)
    # What is loaded stays: the collector of cycles need not walk over it again, which held searches up for 40 ms.
    gc.freeze()
    gc.enable()
    app.state.registry.on_load = gc.freeze
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=10,
    )
    Server(app, config).run(sockets=[socket.socket(fileno=socket_fd)])


if __name__ == "__main__":
    main()
