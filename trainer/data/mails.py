"""From a folder of e-mails to raw rows: what mail programs export, with a category for each mail.

In: a folder with a folder per category (of `.eml`, `.emlx`, `.msg` and mbox files, Maildirs, MH folders), a folder with
an mbox per category, a Maildir++ (its folders are the categories), or an mbox of Gmail Takeout (its labels are). Out:
rows as a data file has them; what a mail says is read by artifacts/mail, as the server reads it.

Memory holds one mail at a time. What mail programs keep beside their mails (indices, lists of folders) is passed over
and counted; a mail that cannot be read is the fault of its row, or is counted too if faults are to be skipped.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec

from artifacts.errors import Fault, InvalidInput, InvalidMail, MailMissing
from artifacts.mail import read_mail
from artifacts.mail.decoding import read_field
from artifacts.mail.forms import OUTLOOK_START, unwrap
from artifacts.mail.parts import split_header
from artifacts.mail.words import words
from artifacts.system.validation import MAX_FAULTS_SHOWN
from trainer.data.files import RawRow

MAX_READ_BYTES = 32 * 2**20  # of one mail; its text comes before its attachments, and Gmail lets 25 MB through
HEAD_BYTES = 4096  # by which a file is told

MBOX_START = b"From "
# "From a@b.example Tue Mar 12 10:12:00 2024": a sender and a date. A sentence of the text that begins with the word has
# none, and some exporters do not escape it.
_MBOX_LINE = re.compile(rb"From .{0,300}?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?+ .{0,40}?\d\d?:\d\d")
_FIELD_LINE = re.compile(rb"[!-9;-~]{1,100}:")
# A line that would begin the next mail of an mbox is written with a ">", which would make it look quoted.
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_MAILDIR = ("cur", "new")  # "tmp" holds what is not yet delivered
_MAIL_SUFFIXES = (".eml", ".emlx", ".msg", ".mht")
# What mail programs and file managers keep beside the mails.
_INDEX_SUFFIXES = (
    ".msf",
    ".idx",
    ".toc",
    ".cmeta",
    ".ev-summary",
    ".ibex",
    ".snm",
    ".dat",
    ".plist",
    ".db",
    ".ini",
    ".lock",
)
_INDEX_NAMES = (
    "table_of_contents",
    "maildirfolder",
    "subscriptions",
    "dovecot",
    "courierimap",
    "maildirsize",
    "thumbs.db",
)
_FOLDER_SUFFIXES = (".mbox", ".sbd", ".mbx")  # of Apple Mail's export and of Thunderbird's subfolders


class Skipped(msgspec.Struct):
    """What of a folder gave no row, though nothing was refused.

    Attributes:
        num_index_files: files in which mail programs keep lists and indices.
        num_uncategorised: mails without a category: in no folder of a Maildir++, or under no label of one's own.
        num_faulty: mails that cannot be read or have no word, with `skip_faulty`.
        faults: the first of those, by name.
    """

    num_index_files: int = 0
    num_uncategorised: int = 0
    num_faulty: int = 0
    faults: list[Fault] = msgspec.field(default_factory=list)

    @property
    def said(self) -> str:
        """One line for a terminal; "" if nothing was passed over."""
        counts = [
            (self.num_index_files, "index files of mail programs"),
            (self.num_uncategorised, "mails without a category"),
            (self.num_faulty, "mails that cannot be read"),
        ]
        said = ", ".join(f"{number} {what}" for number, what in counts if number)
        return f"passed over: {said}" if said else ""


def is_mails(path: Path) -> bool:
    """Return whether a path is read as e-mails: a folder, or an mbox file, which its first line tells."""
    if path.is_dir():
        return True
    try:
        with open(path, "rb") as file:
            return _is_mbox(file.read(HEAD_BYTES))
    except OSError:
        return False


def read_folder(
    folder: Path, skip_faulty: bool = False, skipped: Skipped | None = None, needs_category: bool = True
) -> Iterator[RawRow]:
    """Yield a row for each e-mail, categories and files in the order of their names; its id says where it lay.

    Args:
        folder: a folder, or an mbox of Gmail Takeout.
        skip_faulty: count a mail that cannot be read, or that has no word, in place of yielding its fault.
        skipped: counts what gave no row.
        needs_category: False: mails lie as they like, and their rows have no category.

    Raises:
        InvalidInput: the folder cannot be read, or nothing in it says a category.
    """
    skipped = skipped if skipped is not None else Skipped()
    for category, file, place in _files(folder, skipped, needs_category):
        for row in _rows(file, category if needs_category else None, place, skipped, needs_category):
            fault = row.fault
            if skip_faulty and fault is None and _is_empty(row):
                fault = Fault.of(row.pointer, "mail-without-words")
            if fault is None or not skip_faulty:
                yield row
                continue
            skipped.num_faulty += 1
            if len(skipped.faults) < MAX_FAULTS_SHOWN:
                skipped.faults.append(fault)


def _files(folder: Path, skipped: Skipped, needs_category: bool) -> Iterator[tuple[str | None, Path, str]]:
    """Yield each file that may hold mails: its category (None: its mails' labels say it), and where it lies."""
    if folder.is_file():
        yield None, folder, f"/{folder.name}"
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidInput("file-cannot-be-read", file=folder, reason=error.strerror or error) from error
    if not needs_category:
        yield from (("", file, f"/{inside}") for file, inside in _files_in(folder, folder, skipped))
        return
    is_maildir = _is_maildir(folder)
    found = [entry for entry in entries if is_maildir == (entry.name.startswith(".") and _is_maildir(entry))]
    found = [entry for entry in found if is_maildir or not entry.name.startswith(".")]
    is_box = {entry: entry.is_file() and _is_mbox(_head(entry)) for entry in found}
    if not any(is_box[entry] or entry.is_dir() for entry in found):
        raise InvalidInput("mail-folder-without-categories", folder=folder)
    if is_maildir:
        skipped.num_uncategorised += sum(1 for _ in _files_in(folder, folder, Skipped(), is_deep=False))
    for entry in found:
        if entry.is_dir():
            name = _decoded(entry.name[1:]) if is_maildir else entry.name
            for suffix in _FOLDER_SUFFIXES:
                name = name.removesuffix(suffix)
            category = unicodedata.normalize("NFC", name)
            for file, inside in _files_in(entry, entry, skipped):
                yield category, file, f"/{category}/{inside}"
        elif is_box[entry]:
            yield None, entry, f"/{entry.name}"
        elif _is_index(entry):
            skipped.num_index_files += 1
        else:
            yield "", entry, f"/{entry.name}"


def _files_in(folder: Path, root: Path, skipped: Skipped, is_deep: bool = True) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder and of those in it, in the order of their names, without hidden ones and indices."""
    is_maildir = _is_maildir(folder)
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            is_subfolder = entry.name.startswith(".") and _is_maildir(entry)  # of a Maildir++
            if is_maildir and (entry.name == "tmp" or (entry.name not in _MAILDIR and not is_deep)):
                continue
            if is_subfolder or not entry.name.startswith("."):
                yield from _files_in(entry, root, skipped)
        elif entry.is_file() and not entry.name.startswith("."):
            if folder.name not in _MAILDIR and _is_index(entry):
                skipped.num_index_files += 1
            else:
                yield entry, str(entry.relative_to(root))


def _rows(
    file: Path, category: str | None, place: str, skipped: Skipped, needs_category: bool = True
) -> Iterator[RawRow]:
    """Yield a row for each e-mail of a file."""
    try:
        head = _head(file)
        if _is_mbox(head):
            by_labels = category is None and b"x-gmail-labels:" in head.lower()
            stem = unicodedata.normalize("NFC", file.stem if file.suffix in _FOLDER_SUFFIXES else file.name)
            for number, raw in enumerate(read_mbox(file)):
                found = _label(raw) if by_labels else category if category is not None else stem
                if not needs_category:  # neither a label nor the file's name is a category that anybody asked for
                    yield row_of(raw, None, f"{place}/{number}")
                elif found is None:
                    skipped.num_uncategorised += 1
                else:
                    yield row_of(raw, found, f"{place}/{number}")
        elif category == "" and place.count("/") == 1:
            yield faulty(Fault.of(place, "file-outside-category-folders"))
        elif file.suffix.lower() in _MAIL_SUFFIXES or file.parent.name in _MAILDIR or _looks_like_mail(head):
            with open(file, "rb") as opened:
                yield row_of(opened.read(MAX_READ_BYTES), category, place)
        else:
            yield faulty(Fault.of(place, "no-mail-file"))
    except OSError as error:
        yield faulty(Fault.of(place, "mail-file-cannot-be-read", reason=error.strerror or error))


def read_mbox(file: Path) -> Iterator[bytes]:
    """Yield the mails of an mbox file one by one, without their "From " lines; of a huge one its first 32 MiB."""
    pieces: list[bytes] = []
    num_bytes = 0
    begins = False  # a "From " line was read that may begin a mail, if a header is below it
    held = b""
    is_strict: bool | None = None  # whether the "From " lines of this file have a date; the first one says it
    above = b"\n"
    with open(file, "rb") as opened:
        for line in opened:
            if is_strict is None:
                line = line.removeprefix(codecs.BOM_UTF8)
                if not line.strip():
                    continue
                is_strict = _MBOX_LINE.match(line) is not None
                above = b"\n"
                held, begins = line, True
                continue
            if begins:
                begins = False
                if _FIELD_LINE.match(line) or line.startswith(b">From "):
                    if pieces:
                        yield _unescaped(pieces)
                    pieces, num_bytes = [], 0
                else:
                    pieces.append(held)
            if line.startswith(MBOX_START) and not above.strip() and (not is_strict or _MBOX_LINE.match(line)):
                held, begins = line, True
            elif num_bytes < MAX_READ_BYTES:
                pieces.append(line)
                num_bytes += len(line)
            above = line
    if pieces:
        yield _unescaped(pieces)


def row_of(raw: bytes, category: str | None, place: str) -> RawRow:
    """Return the row of one e-mail; category None: it gets none."""
    try:
        text = read_mail(raw).text
    except (InvalidMail, MailMissing) as error:
        return faulty(Fault.of_error(place, error))
    row = {"text": text, "id": place.removeprefix("/")}
    return RawRow(msgspec.json.encode(row if category is None else {"category": category, **row}), place)


def faulty(fault: Fault) -> RawRow:
    """Return a row that says what is wrong at a place."""
    return RawRow(b"", fault.pointer, fault=fault)


def _unescaped(pieces: list[bytes]) -> bytes:
    return _ESCAPED.sub(rb"\1", b"".join(pieces))


def _is_empty(row: RawRow) -> bool:
    return not msgspec.json.decode(row.raw, type=dict[str, str])["text"]


def _label(raw: bytes) -> str | None:
    """Return the first label of one's own that Gmail gave a mail; None if it has none but Gmail's."""
    try:
        field = split_header(unwrap(raw)).fields.get(b"x-gmail-labels", b"")
    except InvalidMail:
        return ""  # its row says what is wrong
    labels = (label.strip().strip('"') for label in read_field(field, "").split(","))
    own = (label for label in labels if label and not label.lower().startswith(words().labels))
    return next((unicodedata.normalize("NFC", label) for label in own), None)


def _head(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(HEAD_BYTES)
    except OSError:
        return b""


def _is_mbox(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n").startswith(MBOX_START)


def _looks_like_mail(head: bytes) -> bool:
    """Return whether a file without a suffix that says it begins like a mail: as MH folders keep them."""
    if head.startswith(OUTLOOK_START):
        return True
    lines = head.split(b"\n", 2)
    return len(lines) > 1 and all(_FIELD_LINE.match(line) or line[:1] in b" \t\r" for line in lines[:2])


def _is_maildir(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in _MAILDIR)


def _is_index(file: Path) -> bool:
    name = file.name.lower()
    return name.endswith(_INDEX_SUFFIXES) or name.startswith(_INDEX_NAMES)


def _decoded(name: str) -> str:
    """Return the name of a Maildir++'s folder: parts joined by ".", letters in IMAP's UTF-7 (RFC 3501, 5.1.3)."""

    def letters(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        return f"+{match[1].replace(',', '/')}-".encode("ascii").decode("utf-7", "replace")

    return re.sub("&([A-Za-z0-9+,]*)-", letters, name).replace(".", "/")
