"""From a folder of e-mails to raw rows: one folder per category, of `.eml` files, mbox files or both.

In: what mail programs export. Out: rows as a data file has them; what a mail says is read by artifacts/mail, as the
server reads it.
"""

import mailbox
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec

from artifacts.errors import Fault, InvalidInput, InvalidMail
from artifacts.mail.message import MAX_MAIL_BYTES, read_mail
from trainer.data.files import RawRow

MBOX_START = b"From "
# A line that would begin the next mail of an mbox is written with a ">", which would make it look quoted.
ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_folder(folder: Path) -> Iterator[RawRow]:
    """Yield a row for each e-mail, categories and files in the order of their names; its id says where it lay.

    A hidden file is left out. A mail that cannot be read, and a file that is neither `.eml` nor mbox, is the fault of
    its row.

    Raises:
        InvalidInput: the folder cannot be read, or has no folder in it.
        MailMissing: the extra `mail` is not installed.
    """
    try:
        entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    except OSError as error:
        raise InvalidInput(f"cannot read {folder}: {error.strerror}") from error
    if not any(entry.is_dir() for entry in entries):
        raise InvalidInput(
            f"{folder} holds no folder; expected one folder per category, with its .eml or mbox files in it"
        )
    for entry in entries:
        if not entry.is_dir():
            detail = "stands beside the folders of the categories; move it into the one that it belongs to"
            yield faulty(f"/{entry.name}", detail)
            continue
        category = unicodedata.normalize("NFC", entry.name)
        for file in sorted(entry.rglob("*")):
            inside = file.relative_to(entry)
            if file.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield from read_mails(file, category, f"/{category}/{inside}")


def read_mails(file: Path, category: str, place: str) -> Iterator[RawRow]:
    """Yield a row for each e-mail of a file."""
    try:
        with open(file, "rb") as opened:
            is_mbox = opened.read(len(MBOX_START)) == MBOX_START
        if is_mbox:
            box = mailbox.mbox(file, create=False)
            try:
                for number, key in enumerate(box.iterkeys()):
                    yield row_of(ESCAPED.sub(rb"\1", box.get_bytes(key)), category, f"{place}/{number}")
            finally:
                box.close()
        elif file.suffix.lower() == ".eml":
            yield row_of(file.read_bytes(), category, place)
        else:
            yield faulty(place, "is neither an .eml file nor an mbox, which begins with the word From and a space")
    except OSError as error:
        yield faulty(place, f"cannot be read: {error.strerror}")


def row_of(raw: bytes, category: str, place: str) -> RawRow:
    """Return the row of one e-mail."""
    if len(raw) > MAX_MAIL_BYTES:
        return faulty(place, f"has {len(raw)} bytes, limit is {MAX_MAIL_BYTES}; remove its attachments")
    try:
        text = read_mail(raw).text
    except InvalidMail as error:
        return faulty(place, str(error))
    return RawRow(msgspec.json.encode({"category": category, "text": text, "id": place.removeprefix("/")}), place)


def faulty(place: str, detail: str) -> RawRow:
    """Return a row that says what is wrong at a place."""
    return RawRow(b"", place, fault=Fault(place, detail))
