"""Mails that are made to cost as much as they can, of any size: the corpus that bounds what a stranger can cost.

Each form repeats what some step of artifacts/mail has to look at, so that a step whose work grows faster than its input
shows itself. `python -m benchmarks mail` measures them; tests/artifacts/mail reads them all.
"""

from collections.abc import Callable

MIB = 2**20
_PLAIN = "Subject: x\nContent-Type: text/plain; charset=utf-8\n\n"
_REPLY = "Subject: Re: x\nIn-Reply-To: <a@b.example>\nContent-Type: text/plain; charset=utf-8\n\n"
_HTML = "Subject: x\nContent-Type: text/html; charset=utf-8\n\n"
_BASE64 = "Subject: x\nContent-Transfer-Encoding: base64\n\n"
_BASE64_HTML = "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n"

# Name -> what the message begins with, and what is repeated.
_REPEATED = {
    "one long line": (_PLAIN, "a"),
    "lines of 1 MiB": (_PLAIN, "a" * (MIB - 1) + "\n"),
    "blank lines": (_PLAIN, "\n"),
    "bare CR": (_PLAIN, "\r"),
    "blanks": (_PLAIN, " \n"),
    "quoted lines": (_PLAIN, "> a\n"),
    "quoted lines of a reply": (_REPLY, "> a\n"),
    "one line of quote marks": (_PLAIN, ">"),
    "broken links": (_REPLY, "<a\n> b\n"),
    "quotes and answers": (_REPLY, "> a\nb\n"),
    "attributions, English": (_PLAIN, "On a wrote:\n"),
    "attributions, French": (_REPLY, "Le 4 nov. 2024 a\nécrit :\n"),
    "attributions with a date": (_REPLY, "On 4 Nov 2024 at 10:12 a@b.example\n"),
    "attributions, half": (_PLAIN, "On 2024 "),
    "colons": (_REPLY, "a@b 2024 10:12 wrote: :\n"),
    "attributions behind words": (_PLAIN, "Oui. Le 4 nov. 2024 a écrit :\n"),
    "headings": (_PLAIN, "De : a\nEnvoyé :\n\n"),
    "headings without a sender": (_REPLY, "Objet : a\n"),
    "headings, wrapped": (_REPLY, "À : a;\nb\nc\n"),
    "separators": (_PLAIN, "-----Original Message-----\n>\n"),
    "separators with headings": (_REPLY, "> -----Original Message-----\n> De : a\n"),
    "rules": (_PLAIN, "_____________\n"),
    "notices": (_PLAIN, "this message is confidential\n"),
    "notices, apart": (_PLAIN, "this message\n\nis strictly\n\n"),
    "programs' lines": (_PLAIN, "virus-free.\n"),
    "meetings": (_PLAIN, "meeting id\n"),
    "footers": (_PLAIN, "_____\nunsubscribe\n"),
    "closings": (_PLAIN, "Cordialement,\n\n"),
    "thanks": (_PLAIN, "merci, "),
    "signatures": (_PLAIN, "a\n-- \n"),
    "phones": (_PLAIN, "Sent from my iPhone\n\n"),
    "armour": (_PLAIN, "-----BEGIN PGP SIGNED MESSAGE-----\n"),
    "escaped From lines": (_PLAIN, "a\n>From a\n"),
    "deep div": (_HTML, "<div>"),
    "deep b": (_HTML, "<b>"),
    "deep p b": (_HTML, "<p><b>"),
    "deep list": (_HTML, "<ul><li>"),
    "deep table": (_HTML, "<table><tr><td>"),
    "deep quotes": (_HTML, "<blockquote type=cite>a"),
    "deep containers": (_HTML, "<div class=gmail_quote><blockquote>a"),
    "flat quotes": (_HTML, "<blockquote type=cite>a</blockquote>b"),
    "deep signatures": (_HTML, "<p id=Signature>a"),
    "hidden": (_HTML, "<p style='display:none'>a"),
    "no size": (_HTML, "<div style='font-size:0'>a"),
    "white": (_HTML, "<div style='color:#fff'>a"),
    "style sheets": (_HTML, "<style>.a{display:none}</style>"),
    "rules of a style sheet": (_HTML + "<style>", ".a,.b{display:none}"),
    "style sheets without end": (_HTML, "<style>"),
    "comments without end": (_HTML, "<!--"),
    "comments": (_HTML, "<!-- a -->"),
    "pasted pictures": (_HTML, "<img src='data:image/png;base64,AAAA'>"),
    "one pasted picture": (_HTML + "<img src='data:image/png;base64,", "AAAA"),
    "ampersands": (_HTML, "&"),
    "attributes": (_HTML + "<p ", "a=b "),
    "base64": (_BASE64, "QUFB\n"),
    "base64, padded": (_BASE64, "QQ==\n"),
    "base64, damaged": (_BASE64, "QU*B\n"),
    "base64, only padding": (_BASE64, "=\n"),
    "base64, text below": (_BASE64 + "QUFB\n\n", "some words\n"),
    "base64 of HTML": (_BASE64_HTML, "PHA+YQ==\n"),
    "quoted-printable": ("Content-Transfer-Encoding: quoted-printable\n\n", "=41=\n"),
    "boundaries": ("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n"),
    "parts": ("Content-Type: multipart/mixed; boundary=b\n\n", "--b\nContent-Type: text/html\n\n<p>a\n"),
    "named parts": ("Content-Type: multipart/mixed; boundary=b\n\n", "--b\nContent-Type: text/plain; name=a\n\na\n"),
    "mails in mails": ("", "Content-Type: message/rfc822\n\nSubject: x\n"),
    "header lines": ("Subject: x\n", "X-A: b\n"),
    "long header lines": ("Subject: x\n", "X-A: " + "a" * 1000 + "\n"),
    "wrapped header": ("Subject: x\n", " a\n"),
    "one giant header": ("Subject: x\nX-A: ", "a"),
    "parameters": ("Subject: x\nContent-Type: multipart/mixed", ';a="'),
    "encoded words": ("Subject: ", "=?utf-8?q?a?= "),
    "half encoded words": ("Subject: ", "=?a?q?"),
    "prefixes": ("Subject: ", "re:"),
    "ISO-2022-JP": ("Content-Type: text/plain; charset=iso-2022-jp\n\n", "\x1b$B"),
    "UTF-7": ("Content-Type: text/plain; charset=utf-7\n\n", "+"),
}


def nested(num_bytes: int, depth: int = 100) -> bytes:
    """Return a message whose parts lie `depth` deep, with lines at the bottom."""
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n" for level in range(depth))
    return ("Subject: x\n" + head + "\n").encode() + b"--b\n" * (num_bytes // 4)


def attached(num_bytes: int) -> bytes:
    """Return a message of one line of text with an attachment of that size."""
    head = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nun\n--b\n"
    head += "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n"
    return head.encode() + b"QUFB" * 19 * 1 + b"\n" + (b"QUFB" * 19 + b"\n") * (num_bytes // 77) + b"--b--\n"


def _repeat(start: str, piece: str) -> Callable[[int], bytes]:
    def form(num_bytes: int) -> bytes:
        encoded = piece.encode()
        return start.encode() + encoded * max(1, num_bytes // len(encoded))

    return form


# Name -> what makes a mail of about so many bytes.
FORMS: dict[str, Callable[[int], bytes]] = {
    **{name: _repeat(start, piece) for name, (start, piece) in _REPEATED.items()},
    "nested 100 deep": nested,
    "nested 9 deep": lambda num_bytes: nested(num_bytes, 9),
    "an attachment": attached,
}
