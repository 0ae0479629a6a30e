"""From the bytes of an e-mail to the text that its author wrote.

In: one message of RFC 5322 and MIME, as it is posted or as it lies in an .eml file. Out: its subject and its body as
text, and a count of what was left out: attachments, quoted replies, signatures, legal notices. Trainer and server both
call this file, so that a mail cannot be read one way in training and another way in production. It leaves the words
themselves to `tokens.py`, and the size of the message to the caller (the server allows 10 MiB).

The way of a message:

1. The header, then the tree of parts, cut at its boundary lines. Only text parts are decoded, attachments are counted.
2. Of alternatives the plain text is read, or the HTML if the plain one says nothing. A kept library (resiliparse) turns
   HTML into text, and the elements that mail programs put round quotes and signatures are skipped.
3. Only the author's own lines are the body (replies.py). If none is left (a mail that only forwards another), what was
   forwarded is the body: no mail with text is read as empty.

Anybody can send a mail, so nothing here may be quadratic: sizes, depths and numbers are bounded before the work. Why
not Python's own parser of messages: docs/decisions/0008-reading-e-mail.md.
"""

import binascii
import codecs
import email.errors
import email.header
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from artifacts.errors import InvalidMail, MailMissing, how_to_install
from artifacts.mail.replies import Label, num_lines, own_text, says_something

MAX_MAIL_BYTES = 10 * 2**20  # of a message, attachments included; the callers hold it
MAX_HEADER_BYTES = 256 * 1024  # of one part's header; a recipient list of thousands of addresses fits
MAX_FIELD_BYTES = 4096  # of a field that is read; longer ones are cut, since a subject or a type says it before
MAX_DEPTH = 10  # parts within parts; a signed, forwarded mail with inline images has 5
MAX_PARTS = 1000
MAX_ENCODED_BYTES = 1024 * 1024  # of a text part, before its transfer encoding is undone
MAX_HTML_CHARACTERS = 128 * 1024  # of all HTML; Outlook puts up to 100 KB of styles before the first word
MAX_CHARACTERS = 64 * 1024  # of all text that is looked at; the model reads 512 tokens
MAX_MARKERS = 100  # quotes in one HTML text that an attribution line above them is matched with

KNOWN_FIELDS = frozenset(
    b"from to cc bcc subject date sender reply-to message-id in-reply-to references received return-path delivered-to "
    b"mime-version content-type content-transfer-encoding content-disposition".split()
)
_FIELD = re.compile(rb"([!-9;-~]{1,100}+)[ \t]*+:")
_PARAMETER = re.compile(r';\s*+([\w*.-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?|([^;\s]*+))')
_TYPE = re.compile(r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}")
_META_CHARSET = re.compile(rb"charset=[\"']?([\w:.-]{1,40})")
_ENCODED_WORD = re.compile(r"=\?[^?\s]{1,60}\?[bBqQ]\?[^?]{0,4096}\?=")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))

# The names are looked up only if they look like a text encoding: Python's own table also holds zlib, punycode (which is
# quadratic) and the like, and remembers every unknown name for ever.
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?(?:7|8|16|32)(?:-?[lb]e)?|iso-?8859-?\d{1,2}|cp\d{3,5}|latin-?\d{1,2}|koi8-?[rtu]|gbk|gb2312"
    r"|gb18030|big5(?:-?hkscs)?|euc-?(?:jp|kr)|shift-?jis|iso-?2022-?(?:jp|kr)(?:-[123])?|tis-?620|mac-?roman|hz"
)
ALIASES = {"utf8mb4": "utf-8", "macintosh": "mac-roman", "hz-gb-2312": "hz", "iso-8859-8-i": "iso-8859-8"}
# Written with plain ASCII bytes, or with bytes that are no ASCII at all: here "UTF-8 first" would misread.
_NOT_LIKE_ASCII = ("iso2022", "iso-2022", "utf-16", "utf16", "utf-32", "utf32", "utf-7", "utf7", "hz")

_LF = bytes.maketrans(b"\r", b"\n")  # ten times as fast as `replace` where every byte is one
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u034f\u061c\u180e"
_INVISIBLE += "".join(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))  # writing direction
_SPACES = "\t\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_CLEAN: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " "),  # control characters
    **dict.fromkeys((0, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)),  # what no text has: dropped
    **dict.fromkeys(map(ord, _INVISIBLE)),
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _BREAKS), "\n"),
    ord("\n"): "\n",
    ord("\u2019"): "'",  # the curved apostrophe; tokens.py reads both alike
}

# CSS selectors of what mail programs mark. A quotation mark in front of an ordinary blockquote cannot be told from a
# quoted mail's, but Gmail's indentation can: it is a blockquote without a border.
QUOTES = (
    'blockquote:not([style*="border:none" i]):not([style*="border: none" i])',
    ".gmail_quote", ".gmail_quote_container", ".moz-cite-prefix", ".moz-forward-container", ".yahoo_quoted",
    '[id*="yahoo_quoted"]', ".protonmail_quote", ".tutanota_quote", ".zmail_extra", "#OLK_SRC_BODY_SECTION",
    "#mail-editor-reference-message-container", ".ms-outlook-mobile-reference-message", "#reply-intro",
)  # fmt: skip
OUTLOOK = ("#divRplyFwdMsg", "#appendonsend", "#x_divRplyFwdMsg")  # the quoted mail is what follows
SIGNATURES = (
    ".gmail_signature", ".moz-signature", "#Signature", "#ms-outlook-mobile-signature", ".protonmail_signature_block",
)  # fmt: skip
HIDDEN = (
    "title", "[hidden]", '[style*="display:none" i]', '[style*="display: none" i]', '[style*="mso-hide:all" i]',
)  # fmt: skip

_SUBJECT_PREFIX = re.compile(
    r"\s*+(?:(?P<forward>tr|fwd?|wg|i)|re|ré|réf|ref|rép|rep|aw|sv|rv|antw)\s?(?:\[\d{1,3}\]|\(\d{1,3}\)|\d{1,2})?\s?:"
    r"|\s*+\[(?:ext|external|externe|extern)\]",
    re.IGNORECASE,
)

# What stands in the plain part of a mail that was written in HTML alone.
STUBS = (
    "html", "version en ligne", "navigateur", "view this email", "view this message", "your browser", "online version",
    "view in browser", "view online",
)  # fmt: skip
MAX_STUB_CHARACTERS = 300


class Stripped(msgspec.Struct, frozen=True):
    """What an e-mail held that was not read.

    Attributes:
        num_attachments: parts that are no text of the mail's own, inline images and attached mails too.
        num_quoted_lines: lines of earlier mails, with the lines that introduce them. Blank lines never count.
        num_signature_lines: lines of signatures, closings and what mail programs add ("Sent from my iPhone").
        num_disclaimer_lines: lines of legal notices and of warnings about external senders.
        num_truncated_characters: characters over a limit; what was not even decoded counts by its bytes.
        is_html: the HTML was read (some of it at least), because there was no plain text that said anything.
    """

    num_attachments: int = 0
    num_quoted_lines: int = 0
    num_signature_lines: int = 0
    num_disclaimer_lines: int = 0
    num_truncated_characters: int = 0
    is_html: bool = False


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


class _Part(NamedTuple):
    """One part of a message: the fields that are read, by name in lower case, and the bytes below them."""

    fields: dict[bytes, bytes]
    body: bytes


class _Text(NamedTuple):
    """One text part: its characters, whether they are HTML, how much of it was cut."""

    characters: str
    is_html: bool
    num_truncated: int


class _Found(NamedTuple):
    """What a part and the parts in it hold."""

    texts: list[_Text]
    mails: list[_Part]  # attached messages
    num_attachments: int  # without those messages


def read_mail(raw: bytes) -> Mail:
    r"""Return the subject and the author's own text of one e-mail.

    A mail without a word of its own is not an error: `text` is "" then, and the caller decides.

    >>> mail = read_mail(b"Subject: Re: VPN\n\nIt is down.\n\nOn 4 Nov 2024, Al <a@b.c> wrote:\n> Is it?\n")
    >>> mail.text, mail.stripped.num_quoted_lines
    ('VPN\n\nIt is down.', 2)

    Raises:
        InvalidMail: the bytes are no e-mail (empty, no header), its header is over 256 KiB, its parts lie over 10 deep
            or are over 1,000.
        MailMissing: the extra `mail` is not installed.
    """
    try:
        import resiliparse.extract.html2text  # noqa: F401  only to know, before any work, that it is there
    except ImportError:
        raise MailMissing(f"e-mail cannot be read without resiliparse; {how_to_install('mail')}") from None
    return _Reader().read(raw)


class _Reader:
    """Reads one message; holds what was met so far, which bounds the work over all of its parts."""

    def __init__(self) -> None:
        self.num_parts = 0
        self.num_plain_left = MAX_CHARACTERS
        self.num_html_left = MAX_HTML_CHARACTERS

    def read(self, raw: bytes) -> Mail:
        if not raw.strip():
            raise InvalidMail("the e-mail is empty; send its source, header lines first")
        if b"\r" in raw:
            raw = raw.replace(b"\r\n", b"\n").translate(_LF)
        part = _split_header(raw.removeprefix(codecs.BOM_UTF8).lstrip(b"\n\t "))
        if not part.fields:
            raise InvalidMail(
                "this is no e-mail: it does not begin with a header line such as `Subject:` or `From:`; send the "
                "source of the message (.eml), or its text as JSON"
            )
        return self.mail(part, 0)

    def mail(self, part: _Part, depth: int) -> Mail:
        """Return what the message `part` says."""
        subject, is_forward, num_truncated = _read_subject(part.fields.get(b"subject", b""))
        found = self.walk(part, depth)
        num_attachments = found.num_attachments + len(found.mails)
        texts = found.texts
        # A mail that is nothing but another mail is about that mail.
        if found.mails and not any(says_something(text.characters) for text in texts):
            inner = self.mail(found.mails[0], depth + 1)
            texts = [_Text(inner.text, is_html=False, num_truncated=inner.stripped.num_truncated_characters)]
            num_attachments += inner.stripped.num_attachments - 1
        num_truncated += sum(text.num_truncated for text in texts)
        own, everything, num_signature, num_cut = _join(texts)
        body, counts = own_text(own, everything, is_forward)
        stripped = Stripped(
            num_attachments=num_attachments,
            num_quoted_lines=counts[Label.QUOTE] + counts[Label.INTRO],
            num_signature_lines=counts[Label.SIGNATURE] + num_signature,
            num_disclaimer_lines=counts[Label.NOTICE],
            num_truncated_characters=num_truncated + num_cut,
            is_html=any(text.is_html for text in texts),
        )
        return Mail(subject, body, stripped)

    def walk(self, part: _Part, depth: int, default: str = "text/plain") -> _Found:
        """Return the texts and attachments of `part` and of all parts in it, in order."""
        if depth > MAX_DEPTH:
            raise InvalidMail(
                f"the e-mail's parts lie more than {MAX_DEPTH} deep, which is the limit; send the innermost message"
            )
        field = _field(part, b"content-type")
        kind = _kind(field, default)
        if kind.startswith("multipart/"):
            pieces = self.pieces(part, _parameter(field, "boundary"))
            if pieces:
                within = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                children = [self.walk(piece, depth + 1, within) for piece in pieces]
                if kind == "multipart/alternative":
                    return _choose(children)
                texts = [text for child in children for text in child.texts]
                mails = [mail for child in children for mail in child.mails]
                return _Found(texts, mails, sum(child.num_attachments for child in children))
            kind = "text/plain"  # announced, but never cut into parts: all there is is text
        disposition = _field(part, b"content-disposition")
        is_attached = (
            disposition.strip().lower().startswith("attachment")
            or _parameter(disposition, "filename") != ""
            or _parameter(field, "name") != ""
        )
        if kind in ("message/rfc822", "message/global"):
            body = part.body
            if _encoding(part) in ("base64", "quoted-printable"):
                body = _decoded(part)[0]
            return _Found([], [_split_header(body.lstrip(b"\n"))], 0)
        if is_attached or kind not in ("text/plain", "text/html") or "uu" in _encoding(part):
            return _Found([], [], 1)
        return _Found([self.text(part, field, kind == "text/html")], [], 0)

    def text(self, part: _Part, field: str, is_html: bool) -> _Text:
        """Return the characters of one text part, as many as may still be looked at."""
        data, num_left = _decoded(part)
        charset = _parameter(field, "charset")
        if not charset and is_html and (meta := _META_CHARSET.search(data[:4096])):
            charset = meta[1].decode("ascii", "replace")
        characters = _characters(data, charset)
        # Some programs label HTML as plain text.
        is_html = is_html or characters[:200].lstrip().lower().startswith(("<html", "<!doctype html"))
        limit = self.num_html_left if is_html else self.num_plain_left
        read = characters[:limit]
        if is_html:
            self.num_html_left -= len(read)
        else:
            self.num_plain_left -= len(read)
        return _Text(read.translate(_CLEAN), is_html, len(characters) - len(read) + num_left)

    def pieces(self, part: _Part, boundary: str) -> list[_Part]:
        """Return the parts between the boundary lines of `part`; none if there is no such line.

        A missing end line ends the last part at the end of the one round it: outer boundaries are cut first, so an
        inner part can never run past them.
        """
        mark = boundary.rstrip().encode("latin-1", "replace")
        if not mark:
            return []
        line = re.compile(rb"\n--" + re.escape(mark) + rb"(--)?+[ \t]*+(?=\n|\Z)")
        body = b"\n" + part.body
        pieces: list[_Part] = []
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

    def piece(self, body: bytes) -> _Part:
        """Return one part, and count it."""
        self.num_parts += 1
        if self.num_parts > MAX_PARTS:
            raise InvalidMail(f"the e-mail has more than {MAX_PARTS} parts, which is the limit; send them one by one")
        return _split_header(body)


def _split_header(data: bytes) -> _Part:
    """Return the fields that are read, and the rest. The first of a name counts; a line that is no field ends them."""
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
            raise InvalidMail(
                f"the e-mail has a header of more than {MAX_HEADER_BYTES} bytes, which is the limit; "
                "remove header lines, or send the text as JSON"
            )
    return _Part(fields, data[position:])


def _field(part: _Part, name: bytes) -> str:
    """Return a structured field, cut to a length at which reading it costs nothing."""
    return part.fields.get(name, b"")[:MAX_FIELD_BYTES].decode("latin-1")


def _kind(field: str, default: str) -> str:
    """Return the media type; what is no media type is plain text, as RFC 2045 (5.2) wants it."""
    kind = field.partition(";")[0].strip().lower()
    if not kind:
        return default
    return kind if _TYPE.fullmatch(kind) else "text/plain"


def _parameter(field: str, name: str) -> str:
    """Return a parameter of a field, or ""; of RFC 2231's `filename*0*=` the first piece, enough to see it is there."""
    for match in _PARAMETER.finditer(field):
        if match[1].lower().partition("*")[0] == name:
            return (match[2] if match[2] is not None else match[3]).strip()
    return ""


def _encoding(part: _Part) -> str:
    return _field(part, b"content-transfer-encoding").partition(";")[0].strip().lower()


def _decoded(part: _Part) -> tuple[bytes, int]:
    """Return the bytes of a part without its transfer encoding, and how many encoded bytes were left.

    Garbage is dropped, never refused: mail programs show what they can read, and so do we.
    """
    encoded = part.body[:MAX_ENCODED_BYTES]
    encoding = _encoding(part)
    if encoding == "base64":
        encoded = encoded.translate(None, _NOT_BASE64).partition(b"=")[0]
        encoded = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
        data = binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4))
    elif encoding == "quoted-printable":
        data = binascii.a2b_qp(encoded)
    else:
        data = encoded  # 7bit, 8bit, binary, and what nobody knows
    return data, max(0, len(part.body) - MAX_ENCODED_BYTES)


def _characters(data: bytes, charset: str) -> str:
    """Return bytes as characters: UTF-8 if they are that, else the declared charset, else windows-1252; never fails.

    The declared one comes second because it is often wrong, while bytes that happen to be UTF-8 are nothing else.
    """
    name = re.sub(r"[\s_]+", "-", charset.strip().lower())
    name = re.sub(r"^(?:x-)?(?:windows|cp|ibm)-?(?=\d)", "cp", name)
    name = ALIASES.get(name, name)
    name = name if _CHARSET.fullmatch(name) else ""
    if name.startswith(_NOT_LIKE_ASCII):
        return _attempt(data, name) or data.decode("cp1252", "replace")
    try:
        text = codecs.getincrementaldecoder("utf-8")("strict").decode(data, False)
    except UnicodeDecodeError:
        pass
    else:
        # A cut message may end within a character; but the one accent of "caf\xe9" is Latin-1, no beginning of UTF-8.
        if not text.isascii() or data.isascii():
            return text
    if name in ("utf-8", "utf8"):  # damaged UTF-8, or something else under its name: more letters than holes?
        text = data.decode("utf-8", "replace")
        num_holes = text.count("\ufffd")
        if len(text.encode("ascii", "ignore")) + 2 * num_holes < len(text):
            return text
    # iso-8859-1 is in practice windows-1252 (WHATWG encoding standard): the quotes of Word are in 0x80 to 0x9F.
    if name in ("", "ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1", "iso8859-1", "latin1", "latin-1"):
        name = "cp1252"
    return _attempt(data, name) or data.decode("cp1252", "replace")


def _attempt(data: bytes, charset: str) -> str:
    """Return the characters, or "" if Python knows no such charset after all."""
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):  # ValueError: a decoder that has no "replace"
        return ""


def _read_subject(field: bytes) -> tuple[str, bool, int]:
    """Return the subject without prefixes, whether a prefix says it forwards, and how many bytes of it were cut."""
    num_cut = max(0, len(field) - MAX_FIELD_BYTES)
    raw = _characters(field[:MAX_FIELD_BYTES], "")  # bytes over 127 are not allowed here, but they are sent
    try:
        subject = _words(raw)
    except (email.errors.HeaderParseError, ValueError):  # one broken word: the others are still read
        subject = _ENCODED_WORD.sub(lambda match: _word(match[0]), raw)
    subject = " ".join(subject.translate(_CLEAN).split())
    is_forward = False
    position = 0
    while match := _SUBJECT_PREFIX.match(subject, position):
        is_forward = is_forward or match["forward"] is not None
        position = match.end()
    return subject[position:].strip(), is_forward, num_cut


def _words(raw: str) -> str:
    """Return a field with its encoded words (RFC 2047) decoded."""
    pieces = email.header.decode_header(raw)
    return "".join(
        piece if isinstance(piece, str) else
        _characters(piece, charset) if charset is not None else
        piece.decode("raw-unicode-escape", "replace")  # as decode_header encoded what stands between encoded words
        for piece, charset in pieces
    )  # fmt: skip


def _word(word: str) -> str:
    try:
        return _words(word)
    except (email.errors.HeaderParseError, ValueError):
        return ""


def _choose(children: Sequence[_Found]) -> _Found:
    """Return the alternative that is read: the plain one, unless it says nothing and an HTML one does."""
    texts = [text for child in children for text in child.texts]
    plain = [text for text in texts if not text.is_html]
    html = [text for text in texts if text.is_html]
    chosen = html if html and _is_stub("\n".join(text.characters for text in plain)) else plain
    mails = [mail for child in children for mail in child.mails]
    return _Found(chosen or texts, mails, sum(child.num_attachments for child in children))


def _is_stub(plain: str) -> bool:
    """Return whether a plain part only says that there is another part."""
    folded = plain.strip().lower()
    return not says_something(folded) or (
        len(folded) <= MAX_STUB_CHARACTERS and any(words in folded for words in STUBS)
    )


def _join(texts: Sequence[_Text]) -> tuple[str, str, int, int]:
    """Return the text with a ">" for each quote that HTML marks, the text with all quotes in full, and two numbers.

    Those are the lines of signatures that HTML marks, which neither text holds, and the characters that were cut.
    """
    owns, everythings = [], []
    num_signature = 0
    for text in texts:
        own = everything = text.characters
        if text.is_html:
            own, everything, num_lines = _read_html(text.characters)
            num_signature += num_lines
        owns.append(own)
        everythings.append(everything)
    own, everything = "\n\n".join(owns), "\n\n".join(everythings)
    return own[:MAX_CHARACTERS], everything[:MAX_CHARACTERS], num_signature, max(0, len(everything) - MAX_CHARACTERS)


def _read_html(html: str) -> tuple[str, str, int]:
    """Return the text of HTML as `_join` wants it, of one part."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    def text(skip: Iterable[str]) -> str:
        found = extract_plain_text(
            tree, main_content=False, list_bullets=False, alt_texts=False, links=False, noscript=True,
            skip_elements=[*HIDDEN, *skip],
        )  # fmt: skip
        return found.translate(_CLEAN)

    tree = HTMLTree.parse(html)
    if tree.body is None:
        return "", "", 0
    # Where Outlook's quoted mail begins, put the line that the reader of lines knows.
    for node in tree.body.query_selector_all(", ".join(OUTLOOK)).values()[:1]:
        if (mark := tree.create_element("p")) is not None:
            mark.text = "----- Original Message -----"
            node.before(mark)
    complete = text([])
    everything = complete
    if tree.body.query_selector(", ".join(SIGNATURES)) is not None:
        everything = text(SIGNATURES)
        if not says_something(everything):
            everything = complete
    num_signature = num_lines(complete) - num_lines(everything)
    skipped = SIGNATURES if num_signature else ()
    # `values`: iterating over the list itself costs a search per element. A quote in a quote is skipped with its mark.
    quotes = tree.body.query_selector_all(", ".join(QUOTES)).values()[:MAX_MARKERS]
    if not quotes:
        return everything, everything, num_signature
    for node in quotes:
        if (mark := tree.create_element("p")) is not None:
            mark.text = ">"
            node.before(mark)
    return text([*skipped, *QUOTES]), everything, num_signature
