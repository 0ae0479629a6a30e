"""From the bytes of an e-mail to the text that is to be sorted: the pipeline, from its entry to its result.

In: one message as it is posted, or as it lies in an .eml, .emlx or .msg file. Out: its subject and its body as text,
and a count of what was left out. Trainer and server both call this file, so that a mail cannot be read one way in
training and another way in production. It leaves the words themselves to `tokens.py`, and the size of the message to
the caller (the server allows 10 MiB).

The way of a message, a module a step:

    forms.py     bytes of a file     -> bytes of a message
    parts.py     bytes               -> parts, and which of them are text (decoding.py: their characters)
    markup.py    HTML                -> text, with marks
    lines.py     text                -> lines
    quotes.py    lines               -> labelled lines: introductions and quotes
    endings.py   labelled lines      -> labelled lines: signatures and notices
    author.py    labelled lines      -> text
    words.py     what programs and people write round a text, in words.toml, a section a language

Anybody can send a mail, so nothing here may be quadratic: sizes, depths and numbers are bounded before the work. What
was tried and measured: docs/decisions/0008-reading-e-mail.md.
"""

import msgspec

from artifacts.errors import InvalidMail
from artifacts.mail import author, forms, parts
from artifacts.mail.decoding import MAX_FIELD_BYTES, read_field
from artifacts.mail.lines import Label, Line, says_something
from artifacts.mail.parts import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_HEADER_BYTES,
    MAX_HTML_CHARACTERS,
    MAX_PARTS,
    Contents,
    Part,
    Text,
)
from artifacts.mail.words import words

__all__ = [
    "MAX_CHARACTERS", "MAX_DEPTH", "MAX_HEADER_BYTES", "MAX_HTML_CHARACTERS", "MAX_MAIL_BYTES", "MAX_PARTS", "Mail",
    "Stripped", "read_mail",
]  # fmt: skip

_AUTOMATIC_FIELDS = frozenset((b"x-autoreply", b"x-autorespond", b"x-autoresponder", b"x-failed-recipients"))
_ARMOUR = "-----BEGIN PGP MESSAGE-----"
MAX_MAIL_BYTES = 10 * 2**20  # of a message, attachments included; the callers hold it


class Stripped(msgspec.Struct, frozen=True):
    """What an e-mail held that was not read, and what it was.

    Attributes:
        num_attachments: parts that are no text of the mail's own, inline images and attached mails too.
        num_quoted_lines: lines of earlier mails, with the lines that introduce them. Blank lines never count.
        num_signature_lines: lines of signatures, closings and what programs add ("Sent from my iPhone", list footers).
        num_disclaimer_lines: lines of legal notices and of warnings about external senders.
        num_truncated_characters: characters over a limit; what was not even decoded counts by its bytes.
        is_html: the HTML was read (some of it at least), because there was no plain text that said anything.
        reads_below: an earlier mail was read too, or alone, because the author's own lines only point at it.
        auto_submitted: a program sent it: a bounce, an automatic reply, a notification.
        unread: what a mail without a text consists of: "encrypted", "winmail.dat", "calendar", "pictures"; else "".
    """

    num_attachments: int = 0
    num_quoted_lines: int = 0
    num_signature_lines: int = 0
    num_disclaimer_lines: int = 0
    num_truncated_characters: int = 0
    is_html: bool = False
    reads_below: bool = False
    auto_submitted: bool = False
    unread: str = ""


class Mail(msgspec.Struct, frozen=True):
    """An e-mail as it is read: no NUL, no half of a surrogate pair, lines ended by LF.

    Attributes:
        subject: without "Re:", "TR :" and the like; "" if there is none.
        body: the author's own lines; "" if the mail has no text.
        stripped: what was left out.
    """

    subject: str
    body: str
    stripped: Stripped

    @property
    def text(self) -> str:
        """Subject and body together, as the model reads them."""
        return "\n\n".join(part for part in (self.subject, self.body) if part)


def read_mail(raw: bytes) -> Mail:
    r"""Return the subject and the author's own text of one e-mail.

    A mail without a word of its own is not an error: `text` is "" then, and the caller decides.

    >>> mail = read_mail(b"Subject: Re: VPN\n\nIt is down.\n\nOn 4 Nov 2024, Al <a@b.c> wrote:\n> Is it?\n")
    >>> mail.text, mail.stripped.num_quoted_lines
    ('VPN\n\nIt is down.', 2)

    Raises:
        InvalidMail: the bytes are no e-mail (empty, no header), its header is over 256 KiB, its parts lie over 10 deep
            or are over 1,000; it is an Outlook .msg that cannot be read.
        MailMissing: it is an Outlook .msg, and the extra `mail` is not installed.
    """
    if not raw.strip():
        raise InvalidMail("empty-mail")
    part = parts.split_header(forms.unwrap(raw))
    if not part.fields:
        raise InvalidMail("not-a-mail")
    return _read(part, parts.Walker(), 0)


def _read(part: Part, walker: parts.Walker, depth: int) -> Mail:
    """Return what the message `part` says, which lies `depth` deep."""
    whole_subject = _whole_subject(part)
    subject, is_reply, is_forward = _without_prefixes(whole_subject)
    found = parts.drop_named(walker.walk(part, depth))
    is_reply = is_reply or b"in-reply-to" in part.fields or b"references" in part.fields
    auto_submitted = _is_auto_submitted(part, whole_subject)
    lines, num_over = _lines(found.texts)
    own = author.own_text(lines, is_reply, is_forward)
    body, num_attachments = own.body, len(found.kinds) + len(found.mails)
    is_armoured = body.startswith(_ARMOUR)  # encrypted with PGP, without MIME: nothing of it is a text
    body = "" if is_armoured else body
    num_over += max(0, len(part.fields.get(b"subject", b"")) - MAX_FIELD_BYTES)
    num_truncated = num_over + sum(text.num_truncated for text in found.texts)
    reads_below = own.reads_below
    # A mail that is nothing but another mail, or a note on top of it, is about that mail; a bounce is about itself.
    if found.mails and not (auto_submitted and says_something(body)):
        inner = _read(found.mails[0], walker, depth + 1)
        if not says_something(body) or author.points_below(body) or author.is_note(body, inner.text):
            body = "\n\n".join(text for text in (body, inner.text) if text)
            num_attachments += inner.stripped.num_attachments - 1
            num_truncated += inner.stripped.num_truncated_characters
            reads_below = True
    stripped = Stripped(
        num_attachments=num_attachments,
        num_quoted_lines=own.counts[Label.QUOTE] + own.counts[Label.INTRO],
        num_signature_lines=own.counts[Label.SIGNATURE],
        num_disclaimer_lines=own.counts[Label.NOTICE],
        num_truncated_characters=num_truncated,
        is_html=any(text.is_html for text in found.texts),
        reads_below=reads_below,
        auto_submitted=auto_submitted,
        unread="" if says_something(body) else "encrypted" if is_armoured else _unread(part, found),
    )
    return Mail(subject, body, stripped)


def _whole_subject(part: Part) -> str:
    """Return the subject as it was sent."""
    charset = parts.parameter_of(parts.field_of(part, b"content-type"), "charset")
    return read_field(part.fields.get(b"subject", b""), charset)


def _without_prefixes(subject: str) -> tuple[str, bool, bool]:
    """Return the subject without prefixes, whether they say that it answers another mail, and that it forwards one."""
    is_reply = is_forward = False
    position = 0
    while match := words().subject.match(subject, position):
        is_mark = match[0].endswith("]")  # "[EXTERNAL]" says neither
        # The first says what this mail does: "RE: TR: x" answers one that was forwarded.
        if not (is_reply or is_forward or is_mark):
            is_forward = match["forward"] is not None
            is_reply = not is_forward
        position = match.end()
    return subject[position:].strip(), is_reply, is_forward


def _lines(texts: list[Text]) -> tuple[list[Line], int]:
    """Return the lines of all texts, a blank one between two, and how many characters are over MAX_CHARACTERS."""
    found: list[Line] = []
    num_left = MAX_CHARACTERS
    num_over = 0
    for text in texts:
        if found:
            found.append(Line("", ""))
        if len(text.characters) <= num_left:  # as in most mails; the text of HTML is shorter than it
            found += text.lines()
            num_left -= len(text.characters)
            continue
        for line in text.lines():
            if num_left <= 0:
                num_over += len(line.text)
                continue
            if len(line.text) > num_left:
                num_over += len(line.text) - num_left
                line = line._replace(text=line.text[:num_left])
            num_left -= len(line.text) + 1
            found.append(line)
    return found, num_over


def _is_auto_submitted(part: Part, subject: str) -> bool:
    """Return whether the header says that a program sent the message (RFC 3834, and what older programs write)."""
    fields = part.fields
    auto = fields.get(b"auto-submitted", b"no").partition(b";")[0].strip().lower()
    return (
        auto not in (b"", b"no")
        or not _AUTOMATIC_FIELDS.isdisjoint(fields)
        or fields.get(b"precedence", b"").lower() in (b"auto_reply", b"auto-reply")
        or fields.get(b"return-path", b"").upper() in (b"<>", b"<MAILER-DAEMON>")
        or b"mailer-daemon" in fields.get(b"from", b"").lower()
        or fields.get(b"content-type", b"").lower().startswith(b"multipart/report")
        or words().automatic.match(subject) is not None
    )


def _unread(part: Part, found: Contents) -> str:
    """Return what a mail without a text consists of."""
    kinds = {*found.kinds, parts.kind_of(parts.field_of(part, b"content-type"))}
    if kinds & {
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pgp-encrypted",
        "multipart/encrypted",
    }:
        return "encrypted"
    if kinds & {"application/ms-tnef", "application/vnd.ms-tnef"}:
        return "winmail.dat"
    if kinds & {"text/calendar", "application/ics"}:
        return "calendar"
    has_image = any(text.is_html and "<img" in text.characters.lower() for text in found.texts)
    if has_image or any(kind.startswith("image/") for kind in kinds):
        return "pictures"
    return ""
