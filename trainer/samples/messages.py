"""The e-mails of `emails.py` as messages: MIME files like those a mail program exports, and as varied.

In: (category, subject, body) triples and a seed. Out: the bytes of one .eml file each, under a path whose folder is the
category. The text is that of the triple; what is added here is what a reader of real mail has to see through: plain
text, HTML or both, three transfer encodings, attachments, signatures, quoted replies.

The same seed gives the same bytes: dates, boundaries and Message-IDs are counted or drawn, never from a clock. How
a long header is folded is up to Python's email package, so another release of Python may break its lines elsewhere.
Every address is under a domain that is reserved for examples (RFC 2606).
"""

import html
import random
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage

from trainer.samples.emails import SMALL_TALK, WORDS, expand, is_near_held_out
from trainer.samples.synthetic import pick

# Of all messages; the others are plain text alone.
ALTERNATIVE_RATE, HTML_RATE = 0.35, 0.2
ATTACHMENT_RATE = 0.08
SIGNATURE_RATE, REPLY_RATE = 0.12, 0.12

START = datetime(2025, 1, 6, 8, 0, tzinfo=timezone(timedelta(hours=1)))
NUM_MINUTES = 300 * 24 * 60  # dates lie within so many minutes after START
DOMAINS = ("example.org", "example.com", "example.net", "mail.example", "courrier.example")
TITLES = ("Service clients", "Responsable", "Assistance", "Envoyé de mon téléphone", "Tél. 01 99 00 12 34")
ATTACHMENTS = (
    ("piece-jointe.pdf", "application", "pdf", b"%PDF-1.4\n%%EOF\n"),
    ("relevé.pdf", "application", "pdf", b"%PDF-1.4\n%%EOF\n"),
    ("image.png", "image", "png", b"\x89PNG\r\n\x1a\n"),
    ("tableau.csv", "text", "csv", b"a;b\r\n1;2\r\n"),
)
ENCODINGS = ("quoted-printable", "quoted-printable", "base64", "8bit")

_LINK = re.compile(r"https?://[\w./-]+")
_ANCHOR = r'<a href="\g<0>">\g<0></a>'


def messages(emails: Iterable[tuple[str, str, str]], seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the path of each mail, such as "spam/00007.eml", and its bytes; in order, numbered from 1."""
    rng = random.Random(seed)
    for number, (category, subject, body) in enumerate(emails, 1):
        message = _message(rng, subject, body, f"{seed}.{number}")
        yield f"{category}/{number:05}.eml", message.as_bytes(policy=policy.SMTP)


def _message(rng: random.Random, subject: str, body: str, number: str) -> EmailMessage:
    message = EmailMessage(policy.SMTP)
    message["From"] = sender = _address(rng)
    message["To"] = _address(rng)
    message["Subject"] = subject
    message["Date"] = date = START + timedelta(minutes=int(NUM_MINUTES * rng.random()))
    message["Message-ID"] = f"<{number}@{sender.domain}>"
    text = _with_extras(rng, subject, body, sender, date)

    shape, encoding = rng.random(), pick(rng, ENCODINGS)
    if shape < HTML_RATE:
        message.set_content(_html(text), subtype="html", cte=encoding)
    else:
        message.set_content(text, cte=encoding)
    if HTML_RATE <= shape < HTML_RATE + ALTERNATIVE_RATE:
        message.make_alternative(boundary=f"=_alternative_{number}")
        message.add_alternative(_html(text), subtype="html", cte=encoding)
    if rng.random() < ATTACHMENT_RATE:
        name, maintype, subtype, content = pick(rng, ATTACHMENTS)
        message.make_mixed(boundary=f"=_mixed_{number}")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
    return message


def _with_extras(rng: random.Random, subject: str, body: str, sender: Address, date: datetime) -> str:
    """Return the body, in some messages with a signature or an earlier mail below it.

    What is added must not bring a mail near a held-out sentence either; then it is left out.
    """
    text, draw = body, rng.random()
    if draw < SIGNATURE_RATE:
        text = f"{body}\n\n-- \n{sender.display_name}\n{pick(rng, TITLES)}"
    elif draw < SIGNATURE_RATE + REPLY_RATE:
        earlier = date - timedelta(minutes=1 + int(3000 * rng.random()))
        quoted = expand(rng, pick(rng, SMALL_TALK))
        text = f"{body}\n\nLe {earlier:%d/%m/%Y à %H:%M}, {expand(rng, '<person>')} a écrit :\n> Bonjour,\n> {quoted}"
    return body if is_near_held_out(f"{subject}\n{text}") else text


def _address(rng: random.Random) -> Address:
    first, surname = pick(rng, WORDS["first"].split("|")), pick(rng, WORDS["surname"].split("|"))
    # The part before the at sign is a word of its own and ASCII: an accent there would need SMTPUTF8.
    user = f"{pick(rng, ('contact', 'info', 'boite', 'courrier', 'mail'))}.{surname.lower()}"
    return Address(f"{first} {surname}", user, pick(rng, DOMAINS))


def _html(text: str) -> str:
    """Return the text as an HTML page, a paragraph a line, links made clickable."""
    lines = [html.escape(line, quote=False) for line in text.split("\n") if line]
    paragraphs = "\n".join(f"<p>{_LINK.sub(_ANCHOR, line)}</p>" for line in lines)
    style = "<style>p { font-family: sans-serif; }</style>"
    return f'<!DOCTYPE html>\n<html lang="fr"><head>{style}</head><body>\n{paragraphs}\n</body></html>\n'
