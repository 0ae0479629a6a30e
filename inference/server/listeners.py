"""The listening sockets: one for each worker on the same port, owned by the supervisor, so that they outlive a worker.

The kernel spreads new connections over them by a hash (SO_REUSEPORT). With one socket for all, whichever worker wakes
first takes what there is: 8 connections went 8 to one and 0 to the other.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable

from artifacts.errors import InvalidInput
from inference.settings import Settings

BACKLOG = 2048
SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>; the socket module does not name it


def listen(settings: Settings) -> list[socket.socket]:
    """Return one listening socket for each worker; connections wait in them until somebody accepts.

    Raises:
        InvalidInput: the address is taken or not ours.
    """
    listening: list[socket.socket] = []
    address: tuple[str, int] = (settings.host, settings.port)
    try:
        for _ in range(settings.workers):
            one = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM)
            listening.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or the port is taken for a minute after an end
            if len(listening) > 1:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(address)
            one.listen(BACKLOG)
            if len(listening) == 1:
                address = one.getsockname()[:2]  # port 0 is resolved once
                if settings.workers > 1:
                    # Only now: with it from the start, a second server would join the first without a word and take
                    # half of its connections. So the first socket finds the port free and holds it for the others.
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        close(listening)
        raise InvalidInput(
            "address-not-usable", host=settings.host, port=settings.port, reason=error.strerror
        ) from error
    return listening


def close(listening: Iterable[socket.socket]) -> None:
    """Close this process's hold on the sockets; each goes on listening while another process has it."""
    for one in listening:
        one.close()


def turn_away(listening: Iterable[socket.socket]) -> None:
    """Let no new connection begin on the sockets, in no process; those that have begun come up and can be accepted.

    A caller that is turned away hears nothing, tries again after a second and then finds the port closed, or the next
    server. Closing a socket instead resets who waits in it. So does `listen(0)`, the only way elsewhere than on Linux:
    it also drops the third packet of a handshake, whose sender believes to be connected and has sent its request.
    """
    # A classic BPF program over the TCP header (<linux/filter.h>): operation, steps if true and if false, operand.
    drop_syn = b"".join(
        struct.pack("HBBI", *line)
        for line in (
            (0x30, 0, 0, 13),  # load the byte of the flags
            (0x54, 0, 0, 0x12),  # keep SYN and ACK
            (0x15, 0, 1, 0x02),  # SYN without ACK, the first packet of a connection?
            (0x06, 0, 0, 0),  # drop it
            (0x06, 0, 0, 0xFFFFFFFF),  # let it pass
        )
    )
    code = ctypes.create_string_buffer(drop_syn, len(drop_syn))
    program = struct.pack("HP", len(drop_syn) // 8, ctypes.addressof(code))
    for one in listening:
        try:
            one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        except OSError:  # another system, or a sandbox without filters
            one.listen(0)
