"""From the bytes of one part, or of one header field, to characters.

In: bytes as they travel. Out: text without NUL, halves of surrogate pairs or invisible characters, lines ended by LF.
Two disguises are taken off: the transfer encoding (quoted-printable, base64, RFC 2045), then the charset, under the
names that WHATWG's encoding standard gives to what programs really send. Garbage is dropped, never refused: mail
programs show what they can read, and so does this.

Work is linear in the bytes, and nearly all of it is C.
"""

import binascii
import codecs
import email.errors
import email.header
import functools
import re

MAX_FIELD_BYTES = 4096  # of a field that is read; longer ones are cut, since a subject or a type says it before
MAX_BASE64_LINES = (
    200_000  # that are looked at one by one, if there is something else among them; 14 MB as they are sent
)
MAX_PADDED_RUNS = 1000  # pieces of base64 that end with "=", in one part; programs that join pieces make a few

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64 + b"="))
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]*+={0,2}[ \t]*+")
_ENCODED_WORD = re.compile(r"=\?[^?\s]{1,60}\?[bBqQ]\?[^?]{0,4096}\?=")

# The names are looked up only if they look like a text encoding: Python's own table also holds zlib, punycode (which is
# quadratic) and the like, and remembers every unknown name for ever.
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?(?:7|8|16|32)(?:-?[lb]e)?|iso-?8859-?\d{1,2}|cp\d{3,5}|latin-?\d{1,2}|koi8-?[rtu]|gbk|gb2312"
    r"|gb18030|big5(?:-?hkscs)?|euc-?(?:jp|kr)|shift-?jis|iso-?2022-?(?:jp|kr)(?:-[123])?|tis-?620"
    r"|mac-(?:roman|cyrillic|greek|turkish|latin2)|hz"
)
# Names of the standard and of old programs, and the superset that bytes under a name are written in.
# https://encoding.spec.whatwg.org/#names-and-labels
_ALIASES = {
    "utf8mb4": "utf-8", "unicode-1-1-utf-8": "utf-8", "unicode-1-1-utf-7": "utf-7", "hz-gb-2312": "hz",
    "macintosh": "mac-roman", "mac": "mac-roman", "x-mac-roman": "mac-roman", "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-ukrainian": "mac-cyrillic", "x-mac-greek": "mac-greek", "x-mac-turkish": "mac-turkish",
    "x-mac-ce": "mac-latin2", "iso-8859-8-i": "iso-8859-8", "logical": "iso-8859-8", "visual": "iso-8859-8",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "chinese": "gb18030", "csgb2312": "gb18030",
    "gb-2312-80": "gb18030", "cp936": "gb18030", "euc-cn": "gb18030",
    "shift-jis": "cp932", "shiftjis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "ms-kanji": "cp932",
    "cp31j": "cp932", "windows-31j": "cp932", "csshiftjis": "cp932", "ms932": "cp932",
    "euc-kr": "cp949", "euckr": "cp949", "ks-c-5601-1987": "cp949", "ks-c-5601-1989": "cp949", "ksc5601": "cp949",
    "korean": "cp949", "cseuckr": "cp949", "uhc": "cp949",
    "x-euc-jp": "euc-jp", "cseucpkdfmtjapanese": "euc-jp", "csiso2022jp": "iso-2022-jp", "cp50220": "iso-2022-jp",
    "cp50221": "iso-2022-jp", "cp50222": "iso-2022-jp",
    "big5": "big5-hkscs", "x-x-big5": "big5-hkscs", "csbig5": "big5-hkscs", "cn-big5": "big5-hkscs",
    "cp950": "big5-hkscs",
    "iso-8859-9": "cp1254", "iso8859-9": "cp1254", "latin5": "cp1254", "latin-5": "cp1254", "turkish": "cp1254",
    "iso-8859-11": "cp874", "iso8859-11": "cp874", "tis-620": "cp874", "dos-874": "cp874",
    "koi": "koi8-r", "koi8": "koi8-r", "cskoi8r": "koi8-r", "koi8-ru": "koi8-u", "cyrillic": "iso-8859-5",
    "greek": "iso-8859-7", "ecma-118": "iso-8859-7", "arabic": "iso-8859-6", "hebrew": "iso-8859-8",
    "ansi-x3.4-1968": "ascii", "ansi": "ascii", "unknown-8bit": "ascii", "x-unknown": "ascii", "iso-ir-100": "latin-1",
    "unicode": "utf-16", "ucs-2": "utf-16", "iso-10646-ucs-2": "utf-16", "csunicode": "utf-16", "unicodefeff": "utf-16",
}  # fmt: skip
# iso-8859-1 is in practice windows-1252: the quotes of Word are in 0x80 to 0x9F.
_WESTERN = frozenset(("", "ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1", "iso8859-1", "latin1", "latin-1"))
# Written with plain ASCII bytes, or with bytes that are no ASCII at all: here "UTF-8 first" would misread.
_NOT_LIKE_ASCII = ("iso2022", "iso-2022", "utf-16", "utf16", "utf-32", "utf32", "utf-7", "utf7", "hz")
_TWO_BYTES = ("utf-16", "utf16", "utf-32", "utf32")  # no header is written so, whatever the body is

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u034f\u061c\u180e"
_INVISIBLE += "".join(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))  # writing direction
_SPACES = "\t\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
TIDY: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " "),  # control characters
    **dict.fromkeys((0, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)),  # what no text has: dropped
    **dict.fromkeys(map(ord, _INVISIBLE)),
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _BREAKS), "\n"),
    ord("\n"): "\n",
    ord("\u2019"): "'",  # the curved apostrophe; tokens.py reads both alike
}
# What a mail brings: without the private characters that markup.py puts in as marks.
CLEAN = TIDY | dict.fromkeys(range(0xE000, 0xE009))


def untransfer(body: bytes, encoding: str) -> bytes:
    """Return the bytes of a part without its transfer encoding."""
    if encoding == "base64":
        return _from_base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    return body  # 7bit, 8bit, binary, and what nobody knows


def _from_base64(body: bytes) -> bytes:
    """Return what base64 stands for; plain text below it, as mailing lists add, is kept as it is."""
    end, tail = len(body), b""
    if body.translate(None, _BASE64 + b"=\n"):  # something else: damage, or text below
        end = _end_of_base64(body)
        tail = body[end:].lstrip(b"\n")
    # Each run up to its padding is decoded by itself: programs join pieces that were encoded one by one.
    pieces = body[:end].translate(None, _NOT_BASE64).split(b"=", MAX_PADDED_RUNS)
    pieces[-1] = pieces[-1].replace(b"=", b"")
    data = b"".join(map(_from_base64_run, pieces))
    return data + (b"\n" + tail if tail else b"")


def _end_of_base64(body: bytes) -> int:
    """Return where the lines of base64 end: at the first that is text, which may be below some that hold garbage."""
    place = 0
    was_data = False
    for _ in range(MAX_BASE64_LINES):
        if place >= len(body):
            break
        end = body.find(b"\n", place)
        end = len(body) if end < 0 else end
        line = body[place:end]
        if line.strip() and not _BASE64_LINE.fullmatch(line):
            # One sign that was damaged on its way leaves a line of base64; a line of words has blanks, or is a rule.
            garbage = len(line.translate(None, _BASE64 + b"="))
            if was_data and (b" " in line.strip() or garbage * 8 > len(line)):
                return place
        was_data = was_data or bool(line.strip())
        place = end + 1
    return len(body)


def _from_base64_run(run: bytes) -> bytes:
    run = run[: len(run) - (len(run) % 4 == 1)]  # a digit too many stands for nothing
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


@functools.lru_cache(maxsize=256)  # a mailbox has a few charsets; what a stranger makes up is forgotten again
def charset_of(name: str) -> str:
    """Return Python's name of a declared charset, or "" if it is no charset of text."""
    name = name.partition("*")[0]  # RFC 2231: a language may follow
    name = re.sub(r"[\s_]+", "-", name.strip().strip("'\"").lower())
    name = re.sub(r"^(?:x-)?(?:windows|cp|ibm|dos)-?(?=\d)", "cp", name)
    name = _ALIASES.get(name, name)
    return name if _CHARSET.fullmatch(name) else ""


def to_characters(data: bytes, charset: str) -> str:
    """Return bytes as characters: UTF-8 if they are that, else the declared charset, else windows-1252; never fails.

    The declared one comes second because it is often wrong, while bytes that happen to be UTF-8 are nothing else.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and len(data) % 2 == 0:
        return data.decode("utf-16", "replace")
    name = charset_of(charset)
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
    return _attempt(data, "cp1252" if name in _WESTERN else name) or data.decode("cp1252", "replace")


def _attempt(data: bytes, charset: str) -> str:
    """Return the characters, or "" if Python knows no such charset after all."""
    if charset.startswith(("iso-2022-jp", "iso2022-jp", "iso2022jp")):
        # Programs write NEC's signs ("1" in a circle) under this name; JIS X 0213 holds them in the same places.
        data, charset = data.replace(b"\x1b$B", b"\x1b$(Q").replace(b"\x1b$@", b"\x1b$(Q"), "iso2022_jp_2004"
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):  # ValueError: a decoder that has no "replace"
        return ""


def read_field(field: bytes, charset: str) -> str:
    """Return a field that people read, such as the subject: encoded words decoded, blanks folded.

    Args:
        field: at most MAX_FIELD_BYTES of it are read.
        charset: the body's, for bytes over 127 as they stand: not allowed here, but they are sent.
    """
    field = field[:MAX_FIELD_BYTES]
    if field.isascii() and b"\x1b" not in field:
        charset = ""
    raw = to_characters(field, "" if charset_of(charset).startswith(_TWO_BYTES) else charset)
    try:
        text = _words(raw)
    except (email.errors.HeaderParseError, ValueError):  # one broken word: the others are still read
        text = _ENCODED_WORD.sub(lambda match: _word(match[0]), raw)
    return " ".join(text.translate(CLEAN).split())


def _words(raw: str) -> str:
    """Return a field with its encoded words (RFC 2047) decoded."""
    if "=?" not in raw:
        return raw
    pieces = email.header.decode_header(raw)
    return "".join(
        piece if isinstance(piece, str) else
        to_characters(piece, charset) if charset is not None else
        piece.decode("raw-unicode-escape", "replace")  # as decode_header encoded what stands between encoded words
        for piece, charset in pieces
    )  # fmt: skip


def _word(word: str) -> str:
    try:
        return _words(word)
    except (email.errors.HeaderParseError, ValueError):
        return ""
