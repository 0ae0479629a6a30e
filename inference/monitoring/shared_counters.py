"""Where the workers of a server hang up what they have counted, so that the one that is asked can answer for all.

A file without a name, which the supervisor opens and each worker inherits: nothing of it is left after a kill -9, and
no disk is needed where the system has files in memory. Each worker has a slot and writes it as a whole each second.
"""

import os
import tempfile
import zlib
from struct import Struct

import msgspec

from inference.monitoring.counters import Counters

SLOT_BYTES = 2**18  # 1,000 models and 30 routes are 100 KB; what is not written takes no memory
HEAD = Struct("<II")  # length and CRC-32 of what follows

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Counters)


def open_board() -> int:
    """Return the file descriptor of an empty board."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("puppet-counters")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Board:
    """One worker's view of the board."""

    def __init__(self, fd: int, number: int) -> None:
        """Take the board's file descriptor and the worker's number, which counts from 1."""
        self._fd = fd
        self._number = number

    def hang(self, counters: Counters) -> None:
        """Show what this worker has counted; nothing is shown, and the last stays, if it does not fit."""
        raw = _encoder.encode(counters)
        if len(raw) <= SLOT_BYTES - HEAD.size:
            os.pwrite(self._fd, HEAD.pack(len(raw), zlib.crc32(raw)) + raw, self._place(self._number))

    def own(self) -> Counters:
        """Return what a worker of the same number has counted before this one took its place, so as to go on there.

        Else the sum over the workers would fall, which to Prometheus says that all of them began anew.
        """
        return self._read(self._number) or Counters()

    def others(self) -> list[Counters]:
        """Return what every other worker has shown last."""
        num_slots = -(-os.fstat(self._fd).st_size // SLOT_BYTES)
        found = (self._read(number) for number in range(1, num_slots + 1) if number != self._number)
        return [counters for counters in found if counters is not None]

    def _place(self, number: int) -> int:
        return (number - 1) * SLOT_BYTES

    def _read(self, number: int) -> Counters | None:
        for _ in range(3):  # it may be in the middle of being written
            slot = os.pread(self._fd, SLOT_BYTES, self._place(number))
            if len(slot) < HEAD.size:
                return None
            length, checksum = HEAD.unpack_from(slot)
            raw = slot[HEAD.size : HEAD.size + length]
            if length and len(raw) == length and zlib.crc32(raw) == checksum:
                return _decoder.decode(raw)
        return None
