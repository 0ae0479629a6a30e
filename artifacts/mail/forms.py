"""From the bytes of a file to the bytes of the message in it.

In: a message as it is posted, or as mail programs keep it: UTF-8 or UTF-16, with a mark of the byte order or without,
Apple Mail's `.emlx`, Outlook's `.msg`. Out: a message of RFC 5322, lines ended by LF.

A `.msg` is no message but a small file system of properties (MS-OXMSG); a kept library (python-oxmsg, extra `mail`)
reads it, and what is read here, its header, its text and the names of its attachments, is written as a message.
"""

import codecs
import io
import re
import struct

from artifacts.errors import InvalidMail, MailMissing

OUTLOOK_START = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of a compound file (MS-CFB), which a .msg is
_EMLX_LENGTH = re.compile(rb"[ \t]*+(\d{1,12})[ \t]*+\n")
_LF = bytes.maketrans(b"\r", b"\n")  # ten times as fast as `replace` where every byte is one
_BOUNDARY = "puppet-outlook-msg"


def unwrap(raw: bytes) -> bytes:
    """Return the message that a file holds, lines ended by LF, from its first header line on.

    Raises:
        InvalidMail: it is an Outlook .msg that cannot be read.
        MailMissing: it is an Outlook .msg, and the extra `mail` is not installed.
    """
    if raw.startswith(OUTLOOK_START):
        raw = _from_outlook(raw)
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16", "replace").encode("utf-8", "replace")
    elif raw[1:40:2].count(0) >= 15 and raw[0:1].isalpha():  # "F\0r\0o\0m\0:\0", without a mark
        raw = raw.decode("utf-16-le", "replace").encode("utf-8", "replace")
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").translate(_LF)
    raw = raw.removeprefix(codecs.BOM_UTF8).lstrip(b"\n\t ")
    if length := _EMLX_LENGTH.match(raw):  # Apple Mail: the length, the message, a property list
        raw = raw[length.end() : length.end() + int(length[1])]
    return raw


def _from_outlook(raw: bytes) -> bytes:
    """Return an Outlook .msg as a message of RFC 5322."""
    try:
        import oxmsg
    except ImportError:
        raise MailMissing("outlook-reader-missing") from None
    try:
        message = oxmsg.Message.load(io.BytesIO(raw))
        header = {name: value for name, value in message.message_headers.items() if not name.lower().startswith(_MIME)}
        header.setdefault("Subject", message.subject)
        header.setdefault("From", message.sender or "")
        texts = [("plain", message.body or ""), ("html", message.html_body or "")]
        names = [attachment.file_name or "attachment" for attachment in message.attachments]
    except _BROKEN as error:
        raise InvalidMail("outlook-unreadable", reason=type(error).__name__) from None
    fields = [f"{name}: {' '.join(value.split())}" for name, value in header.items() if value.strip()]
    parts = [f"Content-Type: text/{kind}; charset=utf-8\n\n{text}" for kind, text in texts if text.strip()]
    inner = "\n".join(f"--{_BOUNDARY}-texts\n{part}" for part in parts)
    files = ["Content-Type: application/octet-stream\nContent-Disposition: attachment\n\n" for _ in names]
    texts_part = f"Content-Type: multipart/alternative; boundary={_BOUNDARY}-texts\n\n{inner}\n--{_BOUNDARY}-texts--"
    whole = "\n".join(f"--{_BOUNDARY}\n{part}" for part in [texts_part, *files])
    head = "\n".join([*fields, f"Content-Type: multipart/mixed; boundary={_BOUNDARY}"])
    return f"{head}\n\n{whole}\n--{_BOUNDARY}--\n".encode("utf-8", "replace")


_MIME = ("content-", "mime-version")
# What the library raises for bytes that are no such file; it checks little by itself.
_BROKEN = (
    OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, struct.error,
    MemoryError, RecursionError,
)  # fmt: skip
