"""Callers that stall: they hold a connection of the server and give it nothing, or next to nothing, to do.

Run as a program of its own, so that the generator's loop is not theirs: `python -m benchmarks.load.stalls KIND NUM
HOST PORT`. It says "open" once each caller has had a connection, puts a new caller in the place of each that the server
ends, and goes on until its standard input is closed.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.common.machine import ROOT
from benchmarks.load.client import Address, request
from benchmarks.load.server import pinned

DRIP_S = 2.0  # between two bytes of a caller that sends; within every limit of a pause, so that only a sum ends it
RETRY_S = 0.5  # after a connection that was refused
RECEIVE_BYTES = 4096  # the smallest window that Linux gives a socket, so that a slow reader's answer has no room
NUM_UNREAD = 10  # answers of 160 KB that a slow reader asks for and leaves: more than all buffers between hold
ARRIVALS_PER_S = 100  # so that they do not all come and go together
OPEN_S = 120.0  # for all of them to have had a connection; also for the program to end


class Stall(NamedTuple):
    """A way to stall: what is sent when the connection has come up, and then every DRIP_S.

    Attributes:
        begin: the first bytes, given the server's address.
        drip: nothing for one that sends no more.
        reads: whether it takes what the server sends.
    """

    begin: Callable[[Address], bytes]
    drip: bytes = b""
    reads: bool = True


_BODY = ("Content-Type: application/json", "Content-Length: 100000")
KINDS = {
    "silent": Stall(lambda _: b""),
    "slow_head": Stall(lambda _: b"POST /search HTTP/1.1\r\nX-Slow: ", b"x"),  # Slowloris, 2009
    "slow_body": Stall(lambda address: request(address, "POST", "/search", *_BODY), b"x"),  # R.U.D.Y., 2010
    # The server's buffers fill. A reset shows only when something is sent; an empty line between requests is allowed
    # (RFC 9112 2.2).
    "slow_reader": Stall(
        lambda address: request(address, "GET", "/schema/openapi.json") * NUM_UNREAD, b"\r\n", reads=False
    ),
    "idle": Stall(lambda address: request(address, "GET", "/livez")),
}


async def stall(kind: Stall, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stall on a connection until the server ends it."""
    writer.write(kind.begin(address))
    if not kind.reads:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    ended = asyncio.ensure_future(reader.read())
    try:
        while not ended.done() and not writer.transport.is_closing():
            await asyncio.wait([ended], timeout=DRIP_S)
            if not ended.done():
                writer.write(kind.drip)
    finally:
        ended.cancel()


async def call(kind: str, address: Address, wait_s: float, opened: asyncio.Event) -> None:
    """Stall on one connection after another, for ever."""
    await asyncio.sleep(wait_s)
    while True:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        client.setblocking(False)
        writer = None
        try:
            await asyncio.get_running_loop().sock_connect(client, address)
            reader, writer = await asyncio.open_connection(sock=client)
            opened.set()
            await stall(KINDS[kind], address, reader, writer)
        except OSError:
            await asyncio.sleep(RETRY_S)
        finally:
            (writer.transport.abort if writer is not None else client.close)()


async def run(kind: str, num_callers: int, address: Address) -> None:
    """Keep so many callers stalling until standard input is closed.

    Raises:
        TimeoutError: some have had no connection within OPEN_S.
    """
    opened = [asyncio.Event() for _ in range(num_callers)]
    callers = [
        asyncio.create_task(call(kind, address, number / ARRIVALS_PER_S, event)) for number, event in enumerate(opened)
    ]
    async with asyncio.timeout(OPEN_S):
        await asyncio.gather(*(event.wait() for event in opened))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for one in callers:
        one.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


@contextlib.contextmanager
def stalling(kind: str, num_callers: int, address: Address, core: int | None) -> Iterator[None]:
    """Have callers of one kind stall while the block runs; all of them have a connection when it begins.

    Args:
        kind: of KINDS.
        num_callers: at a time.
        address: of the server.
        core: they run on it.
    Raises:
        RuntimeError: they did not get their connections.
    """
    with pinned(core):
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, kind, str(num_callers), address.host, str(address.port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "open\n":
            raise RuntimeError(f"{num_callers} callers of the kind {kind} did not get their connections")
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(OPEN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    _, asked, number, host, port = sys.argv
    asyncio.run(run(asked, int(number), Address(host, int(port))))
