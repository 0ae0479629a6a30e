"""The file that was posted with a job: from what the server has spooled to a path that the readers take.

In: `upload` in the job's folder. Out: that file, or a folder of e-mails where it is one or an archive of several. What
is sent is not trusted: an archive names no file outside its folder, and what it unpacks to is counted while it is.
"""

import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from artifacts.errors import InvalidInput, PuppetError
from artifacts.jobs.records import UNPACKED, UPLOAD, Upload, read_upload
from artifacts.jobs.request import ReadingAsked
from artifacts.problems.sentences import Message, Value
from artifacts.store.interface import AnyStore
from trainer.data.columns import Reading, check_merge, remembering
from trainer.data.source import CHUNK, ZIP

MAIL = "message/rfc822"
E = TypeVar("E", bound=PuppetError)
MAX_FILES = 200_000  # of an archive: one mail a file, so ten times the largest folder that we know
MAX_DIRECTORY_BYTES = 64 * 2**20  # of an archive's list of its files, all of which zipfile keeps in memory
MAIL_SUFFIXES = (".eml", ".emlx", ".msg", ".mbox")
_END = b"PK\x05\x06"  # begins the end of a zip archive (APPNOTE 4.3.16)
_END_BYTES = 22 + 65_535  # with the longest comment


def uploaded(folder: Path, max_bytes: int) -> tuple[Path, Upload] | None:
    """Return what is to be read of the file that was posted with a job, and what is known of it; None without one.

    Args:
        folder: of the job; an archive of several files is unpacked in it.
        max_bytes: that an archive may hold once unpacked.
    Raises:
        InvalidInput: it is damaged, holds more than it may, or names a file outside itself.
    """
    facts = read_upload(folder)
    if facts is None:
        return None
    path, unpacked = folder / UPLOAD, folder / UNPACKED
    if facts.media_type == MAIL:
        unpacked.mkdir(mode=0o700, exist_ok=True)
        if not (unpacked / "mail.eml").exists():
            os.link(path, unpacked / "mail.eml")
        return unpacked, facts
    with open(path, "rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    if is_zip and _holds_mails(path, facts.filename):
        shutil.rmtree(unpacked, ignore_errors=True)  # of an earlier attempt
        unpack(path, unpacked, facts.filename, max_bytes)
        return _inner(unpacked), facts
    return path, facts


def reading_of(asked: ReadingAsked, max_bytes: int, store: AnyStore, name: str | None) -> Reading:
    """Return how a posted file is read: as the request says, else as the model's last training was, else as found.

    Raises:
        InvalidInput: categories are merged in a circle, or one has no name.
    """
    merge = check_merge([f"{old}={new}" for old, new in asked.merge.items()])
    fields = msgspec.structs.asdict(asked) | {"text": tuple(asked.text), "merge": merge, "max_bytes": max_bytes}
    reading = Reading(**fields)
    return reading if name is None else remembering(reading, store, name)


def named_by_sender(error: E, folder: Path) -> E:
    """Return an error in whose words a posted file is called as its sender calls it, and not by its place here."""
    facts = read_upload(folder)
    if facts is not None:
        error.message = _renamed(error.message, folder, facts.filename)
    return error


def _renamed(said: Message, folder: Path, filename: str) -> Message:
    def named(value: Value) -> Value:
        if isinstance(value, Message):
            return _renamed(value, folder, filename)
        if isinstance(value, str) and str(folder) in value:
            return value.replace(str(folder / UPLOAD), filename).replace(str(folder / UNPACKED), filename)
        return value

    return Message(said.type, {name: named(value) for name, value in said.parameters.items()})


def _holds_mails(path: Path, name: str) -> bool:
    """Return whether a zip archive holds files to be read together, and is neither a workbook nor one packed table.

    Raises:
        InvalidInput: it is damaged, or its list of files is longer than it may be.
    """
    check_directory(path, name)
    try:
        with zipfile.ZipFile(path) as archive:
            names = _files_in(archive)
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise InvalidInput("damaged-file", file=name, form="zip", reason=error) from error
    if "[Content_Types].xml" in names or "mimetype" in names:
        return False  # source.py and forms.py say which document it is
    return len(names) > 1 or any(one.lower().endswith(MAIL_SUFFIXES) for one in names)


def check_directory(path: Path, name: str) -> None:
    """Raise InvalidInput if an archive's list of its files is longer than it may be; it is not read for that.

    256 MiB of nothing but names would be five million files, and 2 GB of memory.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
    place = end.rfind(_END)
    if place < 0 or len(end) < place + 16:
        raise InvalidInput("damaged-file", file=name, form="zip", reason="it has no end")
    (directory_bytes,) = struct.unpack_from("<L", end, place + 12)
    if min(directory_bytes, size) > MAX_DIRECTORY_BYTES:
        raise InvalidInput("archive-of-too-many-files", file=name, limit=MAX_FILES)


def unpack(path: Path, folder: Path, name: str, max_bytes: int) -> None:
    """Unpack a zip archive into a new folder, file by file; of links in it only the words are written.

    Args:
        path: of the archive.
        folder: that is made.
        name: what messages call the archive.
        max_bytes: that all its files together may hold.
    Raises:
        InvalidInput: see `uploaded`.
    """
    left = max_bytes
    try:
        with zipfile.ZipFile(path) as archive:
            names = _files_in(archive)
            if len(names) > MAX_FILES:
                raise InvalidInput("archive-of-too-many-files", file=name, limit=MAX_FILES)
            for one in names:
                target = folder / _safe(one, name)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with archive.open(one) as source, open(target, "xb") as file:
                    # What the directory says of a size is the sender's word, so the bytes themselves are counted.
                    while piece := source.read(CHUNK):
                        left -= len(piece)
                        if left < 0:
                            raise InvalidInput("file-too-large", file=name, max_bytes=max_bytes)
                        file.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise InvalidInput("damaged-file", file=name, form="zip", reason=type(error).__name__) from error
    except RuntimeError as error:  # zipfile's word for a password
        raise InvalidInput("file-locked-by-password", file=name) from error


def _files_in(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files of an archive, without what macOS and file managers add."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return [
        one
        for one in names
        if not one.startswith("__MACOSX/") and not PurePosixPath(one).name.startswith((".DS_", "._"))
    ]


def _safe(inside: str, name: str) -> Path:
    """Return the path of a file of an archive, which stays inside its folder.

    Raises:
        InvalidInput: it would not ("zip slip").
    """
    parts = PurePosixPath(inside.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in inside or ":" in parts[0]:
        raise InvalidInput("unsafe-path-in-archive", file=name, path=inside)
    return Path(*parts)


def _inner(folder: Path) -> Path:
    """Return the folder whose folders are categories: an archive of a folder holds that folder alone."""
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        if len(entries) != 1 or not entries[0].is_dir() or not any(inner.is_dir() for inner in entries[0].iterdir()):
            return folder
        folder = entries[0]
