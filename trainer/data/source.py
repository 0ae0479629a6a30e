"""Stage 1 of reading an export: a path to its bytes, whole and seekable, whatever they were wrapped in.

In: a path, or `-` for standard input. Out: one open binary file. A file on disk is opened as it is; standard input, a
pipe and what a compressed file holds go to a temporary file first, because the stages that follow read the bytes twice
(once to find the encoding and the columns, once for the rows).

A few kilobytes can unpack to terabytes. So every copy counts what it writes and stops at a limit that can be set.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec

from artifacts.errors import InvalidInput

STDIN = "-"
MAX_BYTES = 2 * 1024**3  # of what a compressed file or standard input may hold: 80 times the largest export we know
IN_MEMORY = 16 * 1024**2  # bytes of a copy that need no file on disk
CHUNK = 1024**2
MAX_WRAPPERS = 3  # a .csv.gz in a .zip is two
# Starts of the files that Python's own library unpacks.
WRAPPERS: dict[bytes, tuple[str, Callable[[BinaryIO], IO[bytes]]]] = {
    b"\x1f\x8b": ("gzip", lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))),  # the caller closes it
    b"BZh": ("bzip2", lambda file: bz2.BZ2File(file)),
    b"\xfd7zXZ\0": ("xz", lambda file: lzma.LZMAFile(file)),  # noqa: SIM115
}
ZIP = b"PK\x03\x04"
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, NotImplementedError)


class Source(msgspec.Struct):
    """The bytes of an export.

    Attributes:
        name: what messages call it: its path, or "stdin".
        file: open, at its start, seekable.
        num_bytes: that `file` holds.
        wrappers: what was unpacked, the outermost first.
        max_bytes: the limit, for a form that is itself compressed (a workbook).
    """

    name: str
    file: BinaryIO
    num_bytes: int
    wrappers: list[str]
    max_bytes: int

    def head(self, num_bytes: int = 65_536) -> bytes:
        """Return the first bytes, and leave the file at its start."""
        self.file.seek(0)
        found = self.file.read(num_bytes)
        self.file.seek(0)
        return found


@contextlib.contextmanager
def opened(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[Source]:
    """Give the bytes of an export, unpacked; they are closed, and temporary files deleted, at the end.

    Args:
        path: of a file; `-`: standard input.
        max_bytes: that standard input, or a compressed file once it is unpacked, may hold.

    Raises:
        InvalidInput: it cannot be read, is damaged, holds more than `max_bytes`, or is an archive of several files.
    """
    with contextlib.ExitStack() as stack:
        name = "stdin" if str(path) == STDIN else str(path)
        try:
            file = sys.stdin.buffer if str(path) == STDIN else cast(BinaryIO, stack.enter_context(path.open("rb")))
            if str(path) == STDIN or not file.seekable():
                file = _copied(file, name, max_bytes, stack)
        except OSError as error:
            raise InvalidInput("file-cannot-be-read", file=name, reason=error.strerror or error) from error
        wrappers: list[str] = []
        while (wrapper := _wrapper(file, name)) is not None and len(wrappers) < MAX_WRAPPERS:
            kind, unpacked = wrapper
            try:
                file = _copied(stack.enter_context(unpacked), name, max_bytes, stack)
            except _DAMAGED as error:
                raise InvalidInput("damaged-file", file=name, form=kind, reason=error) from error
            except RuntimeError as error:  # zipfile's word for a password
                raise InvalidInput("file-locked-by-password", file=name) from error
            wrappers.append(kind)
        num_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        yield Source(name, file, num_bytes, wrappers, max_bytes)


def _wrapper(file: BinaryIO, name: str) -> tuple[str, IO[bytes]] | None:
    """Return what a file is wrapped in, and its content as a stream; None for a file that is not wrapped."""
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    for magic, (kind, unpack) in WRAPPERS.items():
        if start.startswith(magic):
            return kind, unpack(file)
    if not start.startswith(ZIP):
        return None
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise InvalidInput("damaged-file", file=name, form="zip", reason=error) from error
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if "[Content_Types].xml" in names or "mimetype" in names:
        return None  # a workbook or a document is a zip archive too; forms.py says which
    # macOS adds a folder of its own.
    inside = [one for one in names if not one.startswith("__MACOSX/") and not Path(one).name.startswith(".")]
    if not inside:
        raise InvalidInput("empty-archive", file=name)
    if len(inside) > 1:
        listed = inside[:5] + ["..."] * (len(inside) > 5)
        raise InvalidInput("archive-of-several-files", file=name, num_files=len(inside), names=listed)
    try:
        return "zip", archive.open(inside[0])
    except RuntimeError as error:
        raise InvalidInput("file-locked-by-password", file=name) from error


def _copied(stream: IO[bytes], name: str, max_bytes: int, stack: contextlib.ExitStack) -> BinaryIO:
    """Return a temporary file with the bytes of a stream, at most `max_bytes` of them."""
    copy = cast(BinaryIO, stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY)))  # noqa: SIM115  # the stack closes it
    num_bytes = 0
    while chunk := stream.read(CHUNK):
        num_bytes += len(chunk)
        if num_bytes > max_bytes:
            raise InvalidInput("file-too-large", file=name, max_bytes=max_bytes)
        copy.write(chunk)
    copy.seek(0)
    return copy
