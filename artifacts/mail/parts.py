"""From the bytes of one message to its parts, and to those that are its text.

In: a message of RFC 5322 and MIME, lines ended by LF. Out: `Contents`: the text parts that are to be read, attached
messages, and what the other parts are. Attachments are counted, never decoded.

The idea: a tree of parts is cut at its boundary lines, the outer ones first, so that an inner part can never run past
the one round it, whatever is missing. Nothing here may be quadratic: depth, number of parts and size of a header are
bounded before the work. Why not Python's own parser of messages: docs/decisions/0008-reading-e-mail.md.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from artifacts.errors import InvalidMail
from artifacts.mail.decoding import CLEAN, MAX_FIELD_BYTES, to_characters, untransfer
from artifacts.mail.lines import Line, says_something, split_marked, split_plain
from artifacts.mail.markup import read_marked, shrink
from artifacts.mail.words import words

MAX_HEADER_BYTES = 256 * 1024  # of one part's header; a recipient list of thousands of addresses fits
MAX_DEPTH = 10  # parts within parts; a signed, forwarded mail with inline images has 5
MAX_PARTS = 1000
MAX_ENCODED_BYTES = 1024 * 1024  # of a plain part, before its transfer encoding is undone
MAX_ENCODED_HTML_BYTES = 16 * 1024 * 1024  # HTML may hold its pictures; of what is left MAX_HTML_CHARACTERS are read
MAX_HTML_CHARACTERS = 128 * 1024  # of all HTML, without styles and pictures
MAX_CHARACTERS = 64 * 1024  # of all text that is looked at; the model reads 512 tokens
MIN_SHOWN_WORDS = 4  # of HTML that says something else than its plain part
MAX_STUB_CHARACTERS = 300  # of a plain part that may say nothing of its own

KNOWN_FIELDS = frozenset(
    b"from to cc bcc subject date sender reply-to message-id in-reply-to references received return-path delivered-to "
    b"mime-version content-type content-transfer-encoding content-disposition auto-submitted precedence x-autoreply "
    b"x-autorespond x-autoresponder x-failed-recipients x-gmail-labels".split()
)
_FIELD = re.compile(rb"([!-9;-~]{1,100}+)[ \t]*+:")
_PARAMETER = re.compile(r';\s*+([\w*.-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?|([^;\s]*+))')
_TYPE = re.compile(r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}")
_META_CHARSET = re.compile(rb"charset=[\"']?([\w:.-]{1,40})")


class Part(NamedTuple):
    """One part of a message: the fields that are read, by name in lower case, and the bytes below them."""

    fields: dict[bytes, bytes]
    body: bytes


class Text(NamedTuple):
    """One text part: its characters (HTML without styles and pictures), what they are, how much of it was cut."""

    characters: str
    is_html: bool
    num_truncated: int
    is_flowed: bool = False
    is_named: bool = False  # it has a file's name: an attachment, if there is another text

    def lines(self) -> list[Line]:
        """Return the lines of the text; HTML is turned into text here."""
        if self.is_html:
            return split_marked(read_marked(self.characters))
        return split_plain(self.characters, self.is_flowed)


class Contents(NamedTuple):
    """What a part and the parts in it hold."""

    texts: list[Text]
    mails: list[Part]  # attached messages
    kinds: list[str]  # what the attachments are, without those messages: their media types


def split_header(data: bytes) -> Part:
    """Return the fields that are read, and the rest. The first of a name counts; a line that is no field ends them.

    Raises:
        InvalidMail: the header is over MAX_HEADER_BYTES.
    """
    fields: dict[bytes, bytes] = {}
    name = b""
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        match = None
        if end == position:
            position += 1
            break
        if data[position] in b" \t" and position:
            if name and len(fields[name]) < MAX_FIELD_BYTES:
                fields[name] += b" " + data[position : min(end, position + MAX_FIELD_BYTES)].strip()
        elif match := _FIELD.match(data, position, end):
            found = match[1].lower()
            name = found if found in KNOWN_FIELDS and found not in fields else b""
            if name:
                fields[name] = data[match.end() : min(end, match.end() + 2 * MAX_FIELD_BYTES)].strip()
        elif not data.startswith((b"From ", b">From "), position):  # as an mbox file begins a message
            break
        position = end + 1
        if position > MAX_HEADER_BYTES:
            raise InvalidMail("mail-header-too-large", limit_bytes=MAX_HEADER_BYTES)
    return Part(fields, data[position:])


def field_of(part: Part, name: bytes) -> str:
    """Return a structured field, cut to a length at which reading it costs nothing."""
    return part.fields.get(name, b"")[:MAX_FIELD_BYTES].decode("latin-1")


def kind_of(field: str, default: str = "text/plain") -> str:
    """Return the media type; what is no media type is plain text, as RFC 2045 (5.2) wants it."""
    kind = field.partition(";")[0].strip().lower()
    if not kind:
        return default
    return kind if _TYPE.fullmatch(kind) else "text/plain"


def parameter_of(field: str, name: str) -> str:
    """Return a parameter of a field, or ""; of RFC 2231's `filename*0*=` the first piece, enough to see it is there."""
    for match in _PARAMETER.finditer(field):
        if match[1].lower().partition("*")[0] == name:
            return (match[2] if match[2] is not None else match[3]).strip()
    return ""


def encoding_of(part: Part) -> str:
    """Return the transfer encoding of a part, in lower case."""
    return field_of(part, b"content-transfer-encoding").partition(";")[0].strip().lower()


class Walker:
    """Walks through the parts of one message; holds what was met so far, which bounds the work over all of them."""

    def __init__(self) -> None:
        self.num_parts = 0
        self.num_plain_left = MAX_CHARACTERS
        self.num_html_left = MAX_HTML_CHARACTERS

    def walk(self, part: Part, depth: int, default: str = "text/plain") -> Contents:
        """Return the texts and attachments of `part` and of all parts in it, in order.

        Raises:
            InvalidMail: the parts lie over MAX_DEPTH deep, or are over MAX_PARTS.
        """
        if depth > MAX_DEPTH:
            raise InvalidMail("mail-too-deep", max_depth=MAX_DEPTH)
        field = field_of(part, b"content-type")
        kind = kind_of(field, default)
        if kind.startswith("multipart/"):
            pieces = self.pieces(part, parameter_of(field, "boundary"))
            if pieces:
                within = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                children = [self.walk(piece, depth + 1, within) for piece in pieces]
                return _choose(children) if kind == "multipart/alternative" else _join(children)
            kind = "text/plain"  # announced, but never cut into parts: all there is is text
        if kind in ("message/rfc822", "message/global"):
            body = part.body
            if encoding_of(part) in ("base64", "quoted-printable"):
                body = untransfer(body[:MAX_ENCODED_HTML_BYTES], encoding_of(part))
            return Contents([], [split_header(body.lstrip(b"\n"))], [])
        disposition = field_of(part, b"content-disposition")
        is_attached = depth > 0 and disposition.strip().lower().startswith("attachment")
        if is_attached or kind not in ("text/plain", "text/html") or "uu" in encoding_of(part):
            return Contents([], [], [kind])
        is_named = parameter_of(disposition, "filename") != "" or parameter_of(field, "name") != ""
        return Contents([self.text(part, field, kind == "text/html", is_named)], [], [])

    def text(self, part: Part, field: str, is_html: bool, is_named: bool) -> Text:
        """Return the characters of one text part, as many as may still be looked at."""
        limit = MAX_ENCODED_HTML_BYTES if is_html else MAX_ENCODED_BYTES
        if is_named:  # most of these are attachments after all
            limit = MAX_ENCODED_BYTES
        data = untransfer(part.body[:limit], encoding_of(part))
        num_left = max(0, len(part.body) - limit)
        charset = parameter_of(field, "charset")
        if not charset and is_html and (meta := _META_CHARSET.search(data[:4096])):
            charset = meta[1].decode("ascii", "replace")
        characters = to_characters(data, charset)
        # Some programs label HTML as plain text.
        is_html = is_html or characters[:200].lstrip().lower().startswith(("<html", "<!doctype html"))
        if is_html:
            characters = shrink(characters)
        read = characters[: self.num_html_left if is_html else self.num_plain_left]
        if is_named:
            pass  # what is an attachment in the end must not take from what the texts may use
        elif is_html:
            self.num_html_left -= len(read)
        else:
            self.num_plain_left -= len(read)
        is_flowed = parameter_of(field, "format").lower() == "flowed"
        return Text(read.translate(CLEAN), is_html, len(characters) - len(read) + num_left, is_flowed, is_named)

    def pieces(self, part: Part, boundary: str) -> list[Part]:
        """Return the parts between the boundary lines of `part`; none if there is no such line.

        A missing end line ends the last part at the end of the one round it: outer boundaries are cut first, so an
        inner part can never run past them.
        """
        mark = boundary.rstrip().encode("latin-1", "replace")
        if not mark:
            return []
        line = re.compile(rb"\n--" + re.escape(mark) + rb"(--)?+[ \t]*+(?=\n|\Z)")
        body = b"\n" + part.body
        pieces: list[Part] = []
        start = None
        for match in line.finditer(body):
            if start is not None:
                pieces.append(self.piece(body[start : match.start()]))
            start = match.end() + 1
            if match[1]:  # the end line; what follows is no part
                return pieces
        if start is not None:
            pieces.append(self.piece(body[start:]))
        return pieces

    def piece(self, body: bytes) -> Part:
        """Return one part, and count it."""
        self.num_parts += 1
        if self.num_parts > MAX_PARTS:
            raise InvalidMail("too-many-mail-parts", max_parts=MAX_PARTS)
        return split_header(body)


def drop_named(found: Contents) -> Contents:
    """Return what is left when texts with a file's name are attachments: those next to another text are."""
    if not any(text.is_named for text in found.texts):
        return found
    kept = [text for text in found.texts if not text.is_named and says_something(text.characters)]
    if not kept:  # the one text there is: some programs name every part
        kept = [text for text in found.texts if text.is_named][:1]
    dropped = [text for text in found.texts if text.is_named and text not in kept]
    texts = [text for text in found.texts if not text.is_named or text in kept]
    return Contents(texts, found.mails, [*found.kinds, *("text/plain" for _ in dropped)])


def _join(children: Sequence[Contents]) -> Contents:
    """Return all that the parts of one part hold."""
    return Contents(
        [text for child in children for text in child.texts],
        [mail for child in children for mail in child.mails],
        [kind for child in children for kind in child.kinds],
    )


def _choose(children: Sequence[Contents]) -> Contents:
    """Return the alternative that is read: the plain one, unless it says nothing of its own and an HTML one does."""
    found = _join(children)
    plain = [text for text in found.texts if not text.is_html]
    html = [text for text in found.texts if text.is_html]
    chosen = html if html and _is_stub("\n".join(text.characters for text in plain), html) else plain
    return Contents(chosen or found.texts, found.mails, found.kinds)


def _is_stub(plain: str, html: Sequence[Text]) -> bool:
    """Return whether a plain part says no more than that there is another part, or who sends it."""
    folded = plain.strip().lower()
    if not says_something(folded):
        return True
    if len(folded) > MAX_STUB_CHARACTERS:
        return False
    if any(stub in folded for stub in words().stubs):
        return True
    # A letterhead: short lines without a sentence or a greeting, where the HTML says something else.
    lines = [" ".join(line.split()) for line in folded.split("\n") if says_something(line)]
    if any(line.endswith((".", "!", "?", ":", "...")) or len(line.split()) > 9 for line in lines):
        return False
    if any(piece.strip() in words().greetings for line in lines for piece in line.split(",")):
        return False
    said = {word for line in lines for word in line.split()}
    shown = " ".join(line.key for text in html for line in text.lines()).split()
    says_other = len(shown) >= MIN_SHOWN_WORDS and len(said.intersection(shown)) * 2 < len(said)
    return says_other or len(shown) > 3 * len(said) + 10
