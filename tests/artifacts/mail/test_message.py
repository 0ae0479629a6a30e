"""Tests of artifacts/mail: what of an e-mail is read, what is left out and counted, and that nothing breaks it."""

import base64
import os
import quopri
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidMail
from artifacts.mail.message import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_HEADER_BYTES,
    MAX_HTML_CHARACTERS,
    MAX_PARTS,
    Mail,
    Stripped,
    read_mail,
)
from artifacts.text.tokens import tokenize
from benchmarks.mail.hostile import FORMS
from benchmarks.mail.reading import growth

ROOT = Path(__file__).parents[3]

OWN = "Bonjour,\n\nLe VPN ne marche plus depuis hier."
HTML = "Content-Type: text/html; charset=utf-8"
PLAIN = "Content-Type: text/plain; charset=utf-8"


def mail(body: str, *fields: str, subject: str = "Panne") -> bytes:
    """Return a message with a subject, the given fields and a body."""
    return "\n".join([f"Subject: {subject}", *fields, "", body]).encode()


def multipart(kind: str, *parts: str, boundary: str = "cut") -> str:
    """Return a part that holds parts, from its Content-Type to its end line."""
    pieces = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{pieces}--{boundary}--\n'


def body(raw: bytes) -> str:
    """Return the body that is read from a message."""
    return read_mail(raw).body


def check(found: Mail) -> None:
    """Assert what holds for whatever was read."""
    tokenize(found.text)  # refuses NUL and halves of surrogate pairs
    found.text.encode()
    assert "\r" not in found.text
    counts = found.stripped
    assert min(counts.num_attachments, counts.num_quoted_lines, counts.num_signature_lines) >= 0
    assert min(counts.num_disclaimer_lines, counts.num_truncated_characters) >= 0


NOTICE_FR = (
    "Ce message et toutes les pièces jointes sont confidentiels et établis à l'intention exclusive de ses\n"
    "destinataires. Toute utilisation non autorisée est interdite."
)
NOTICE_EN = (
    "This e-mail and any attachments are confidential and intended solely for the addressee.\n"
    "If you have received it in error, please notify the sender and delete it."
)

# Name, message, body that must come out, and the lines left out: quoted, signature, notice.
GOLDEN = [
    (
        "Gmail, French, attribution on two lines",
        mail(
            f"{OWN}\n\nCordialement,\nJean Dupont\n\nLe lun. 4 nov. 2024 à 10:12, Le Support Informatique\n"
            "<support@x.fr> a écrit :\n\n> Avez-vous essayé ?\n>\n> Le support\n"
        ),
        OWN,
        (5, 2, 0),
    ),
    (
        "Gmail, English, answers between quotes",
        mail(
            "On Mon, Nov 4, 2024 at 10:12 AM Support <s@x.com> wrote:\n\n> Does it light?\n\nYes, red.\n\n"
            "> And now?\n\nNo."
        ),
        "Yes, red.\n\nNo.",
        (3, 0, 0),
    ),
    (
        "Outlook, French, plain text",
        mail(
            f"{OWN}\n\n________________________________\nDe : Support <s@x.fr>\nEnvoyé : lundi 4 novembre 2024 10:12\n"
            "À : Jean Dupont\nObjet : RE: Panne\n\nAvez-vous essayé ?\n"
        ),
        OWN,
        (5, 0, 0),
    ),
    (
        "Outlook, English, old separator",
        mail(
            "It works now.\n\nBest regards,\nJohn Smith\nACME Ltd\n\n-----Original Message-----\nFrom: Support\n"
            "Sent: Monday\nTo: John\nSubject: Down\n\nTry again.\n"
        ),
        "It works now.",
        (6, 3, 0),
    ),
    (
        "Outlook, French, old separator",
        mail(f"{OWN}\n\n-----Message d'origine-----\nDe : Support\nEnvoyé : lundi\nÀ : Jean\nObjet : x\n\nVieux.\n"),
        OWN,
        (6, 0, 0),
    ),
    (
        "Outlook for phones, French",
        mail(f"{OWN}\n\nTélécharger Outlook pour iOS<https://aka.ms/o0ukef>\n"),
        OWN,
        (0, 1, 0),
    ),
    (
        "Apple Mail, French",
        mail(f"{OWN}\n\nEnvoyé de mon iPhone\n\n> Le 4 nov. 2024 à 10:12, Support <s@x.fr> a écrit :\n> \n> Vieux.\n"),
        OWN,
        (3, 1, 0),
    ),
    (
        "Apple Mail, English",
        mail("Still down.\n\nSent from my iPad\n\n> On 4 Nov 2024, at 10:12, Support <s@x.com> wrote:\n> \n> Old.\n"),
        "Still down.",
        (3, 1, 0),
    ),
    (
        "Thunderbird, French, signature",
        mail(f"Le 04/11/2024 à 10:12, Support a écrit :\n> Vieux.\n\n{OWN}\n\n-- \nJean Dupont\nTél. 01 23 45 67 89\n"),
        OWN,
        (2, 3, 0),
    ),
    (
        "Orange webmail",
        mail(
            f'{OWN}\n\n\n> Message du 04/11/24 10:12\n> De : "Support" <s@x.fr>\n> A : jean@orange.fr\n> Objet : x\n>\n'
            "> Vieux.\n"
        ),
        OWN,
        (6, 0, 0),
    ),
    (
        "Orange webmail, quote without marks",
        mail(f"{OWN}\n\nMessage du 04/11/24 10:12\nDe : S <s@x.fr>\nA : jean@orange.fr\nObjet : x\n\nVieux.\n"),
        OWN,
        (5, 0, 0),
    ),
    (
        "Zimbra, HTML",
        mail(
            "<div>Bonjour</div><hr id='zwchr'><div><b>De: </b>S &lt;s@x.fr&gt;<br><b>À: </b>J<br><b>Envoyé: </b>lundi"
            "<br><b>Objet: </b>x<br></div><br>Vieux",
            HTML,
        ),
        "Bonjour",
        (5, 0, 0),
    ),
    (
        "Forward under a greeting, Outlook",
        mail(
            "Bonjour,\n\nDe : C <c@x.fr>\nEnvoyé : lundi\nÀ : S\nObjet : Box\n\nMa box clignote.\n", subject="TR: Box"
        ),
        "Bonjour,\n\nMa box clignote.",
        (4, 0, 0),
    ),
    (
        "Reply of one word, Outlook",
        mail("Merci\n\nDe : C <c@x.fr>\nEnvoyé : lundi\nÀ : S\nObjet : Box\n\nMa box clignote.\n", subject="RE: Box"),
        "Merci",
        (5, 0, 0),
    ),
    (
        "Forward under a greeting, Gmail, HTML",
        mail(
            "Hello<br><div class='gmail_quote'>---------- Forwarded message ---------<br>From: C &lt;c@x.fr&gt;<br>"
            "Subject: Box<br><br>It blinks.</div>",
            HTML,
        ),
        "Hello\n\nIt blinks.",
        (3, 0, 0),
    ),
    (
        "SFR webmail",
        mail(f"{OWN}\n\nDe : Support\nEnvoyé : 4 novembre\nA : Jean\nObjet : x\n\nVieux.\n"),
        OWN,
        (5, 0, 0),
    ),
    (
        "Notices in both languages",
        mail(f"{OWN}\n\nBien cordialement\nJean\n\n{NOTICE_FR}\n\n{NOTICE_EN}\n"),
        OWN,
        (0, 2, 4),
    ),
    (
        "Gmail, HTML",
        mail(
            "<html><head><title>T</title><style>p{color:red}</style></head><body><div dir=ltr>Bonjour,<div><br></div>"
            "<div>Le <b>V</b>PN ne&nbsp;marche plus, voir <a href='http://x.fr'>ici</a>.</div></div><br>"
            "<div class='gmail_quote'><div class='gmail_attr'>Le lun. 4 nov. 2024 &agrave; 10:12, S &lt;s@x.fr&gt; a "
            "&eacute;crit&nbsp;:<br></div><blockquote class='gmail_quote'>Vieux.<br>Encore.</blockquote></div></body>",
            HTML,
        ),
        "Bonjour,\n\nLe VPN ne marche plus, voir ici.",
        (3, 0, 0),
    ),
    (
        "Outlook, HTML, a language that we do not read",
        mail(
            "<p>Hallo,</p><p>geht nicht.</p><div id='appendonsend'></div><hr><div id='divRplyFwdMsg'><b>Von:</b> S<br>"
            "<b>Gesendet:</b> Montag<br></div><div>Alt.</div>",
            HTML,
        ),
        "Hallo,\n\ngeht nicht.",
        (3, 0, 0),
    ),
    (
        "Thunderbird, HTML, answers between quotes",
        mail(
            "<div class='moz-cite-prefix'>Le 04/11/2024 à 10:12, S a écrit :<br></div><blockquote type='cite'>"
            "<p>Rouge ?</p></blockquote><p>Oui.</p><blockquote type='cite'>Et là ?</blockquote><p>Non.</p>"
            "<div class='moz-signature'>Jean<br>Service achats</div>",
            HTML,
        ),
        "Oui.\n\nNon.",
        (3, 2, 0),
    ),
    (
        "Yahoo, HTML",
        mail("<div>Toujours rien.</div><div id='ydp1yahoo_quoted_2' class='x'><div>Vieux.</div></div>", HTML),
        "Toujours rien.",
        (1, 0, 0),
    ),
    (
        "Gmail's indentation is no quote",
        mail("<p>Voici :</p><blockquote style='margin:0 0 0 40px;border:none;padding:0px'>erreur 5</blockquote>", HTML),
        "Voici :\n\nerreur 5",
        (0, 0, 0),
    ),
    (
        "Forward with a remark",
        mail(
            "Ce client attend depuis mardi.\n\n---------- Forwarded message ---------\nDe : Client <c@x.fr>\n"
            "Date: lun. 4 nov. 2024\nSubject: Box\nTo: <s@x.fr>\n\nMa box clignote.\n",
            subject="Fwd: Box",
        ),
        "Ce client attend depuis mardi.",
        (6, 0, 0),
    ),
    (
        "Forward without a word",
        mail(
            "\n\n---------- Forwarded message ---------\nDe : Client <c@x.fr>\nDate: lun. 4 nov. 2024\nSubject: Box\n"
            "To: <s@x.fr>\n\nMa box clignote.\n\nCordialement,\nPaul\n",
        ),
        "Ma box clignote.",
        (7, 0, 0),
    ),
    (
        "Forward under a greeting, Apple Mail",
        mail(
            "Bonjour, pour info.\n\nDébut du message transféré :\n\n> De: C <c@x.fr>\n> Objet: Box\n>\n"
            "> Ma box clignote.\n"
        ),
        "Bonjour, pour info.\n\nMa box clignote.",
        (4, 0, 0),
    ),
    (
        "Forward in HTML without a word",
        mail(
            "<br><div class='gmail_quote'><div>---------- Forwarded message ---------<br>De : C &lt;c@x.fr&gt;<br>"
            "Date : lundi<br>Subject: Box<br></div><p>Ma box clignote.</p></div>",
            HTML,
            subject="TR : Box",
        ),
        "Ma box clignote.",
        (4, 0, 0),
    ),
]


@pytest.mark.parametrize(("raw", "expected", "lines"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN])
def test_mail_is_read_as_its_author_wrote_it(raw: bytes, expected: str, lines: tuple[int, int, int]) -> None:
    """The exact text of realistic mails, and how many lines were left out as quotes, signatures and notices."""
    found = read_mail(raw)

    assert found.body == expected
    stripped = found.stripped
    assert (stripped.num_quoted_lines, stripped.num_signature_lines, stripped.num_disclaimer_lines) == lines
    assert stripped.num_attachments == stripped.num_truncated_characters == 0
    check(found)


@pytest.mark.parametrize(
    "text",
    [
        "Deux soucis :\n- le VPN coupe\n- l'écran reste noir\nRien ne marche.",
        "De : Paris\nÀ : Lyon\nDate : 5 mars\n\nMon billet est perdu.",
        "Le technicien a écrit :\nredémarrez la box",
        "On my computer nothing works.\nThe printer, as Anna wrote:\nerror 5",
        "Merci de traiter cordialement ma demande.\nElle est urgente.",
        "Cordialement votre service m'a dit non.\nQue faire ?",
        "Ce message est apparu :\nerreur 5",
        "This message popped up yesterday.",
        "J'ai envoyé de mon bureau trois tickets.",
        "Merci !",
        "Best router ever, but it is down.",
        "Regards the invoice of May.",
        "Attention : le modem chauffe.",
        "Message d'origine\nperdu.",
        "a -- b\n\n--\n\n" + "\n".join(f"ligne {i}" for i in range(20)),
        "👍",
        "?",
    ],
)
def test_author_s_words_are_kept(text: str) -> None:
    """Lists, journeys, thanks and sentences that resemble a quote, a closing or a notice stay as they are."""
    text = f"Voici.\n\n{text}"  # with a line that is left, lest the rule that no mail is empty brings the rest back

    found = read_mail(mail(text))

    assert found.body == text
    assert found.stripped == Stripped()


@pytest.mark.parametrize(
    ("line", "num_lines"),
    [
        ("Cordialement,\nJean", 2), ("Bien cordialement", 1), ("Cdlt.", 1), ("Cordialement Jean Dupont", 1),
        ("Merci d'avance et bonne journée, Jean", 1), ("Best regards,\n\nJohn\nACME", 3), ("Kind regards / Al", 1),
        ("Je vous prie d'agréer, Madame, Monsieur, mes salutations.\nJean", 2), ("Sent from my Galaxy", 1),
        ("Envoyé depuis mon mobile Orange", 1), ("Envoyé à partir de Outlook pour Android", 1),
        ("Get Outlook for Android<https://aka.ms/x>", 1), ("-- \nJean", 2), ("--\nJean\n\nService achats", 3),
        ("Envoyé avec la messagerie sécurisée Proton Mail.", 1), ("Provenance : Courrier pour Windows", 1),
    ],
)  # fmt: skip
def test_signature_is_left_out(line: str, num_lines: int) -> None:
    """Closings with a name, "-- " and what programs add are left out and counted."""
    found = read_mail(mail(f"{OWN}\n\n{line}"))

    assert (found.body, found.stripped.num_signature_lines) == (OWN, num_lines)


@pytest.mark.parametrize(
    "after", ["PS : la box clignote.", "Au fait, le modem clignote aussi en rouge depuis ce matin."]
)
def test_text_below_the_closing_is_kept(after: str) -> None:
    """A postscript, or a sentence of eight words, under "Cordialement," is the author's."""
    found = read_mail(mail(f"{OWN}\n\nCordialement,\nJean\n\n{after}"))

    assert (found.body, found.stripped.num_signature_lines) == (f"{OWN}\n\n{after}", 2)


@pytest.mark.parametrize("notice", [
    NOTICE_FR, NOTICE_EN,
    "Les informations contenues dans ce message sont confidentielles.\nSi ce message... par erreur.",
    "Pensez à l'environnement avant d'imprimer ce message.", "CAUTION: This email originated from outside ACME.",
    "Si vous n'êtes pas le destinataire de ce message, merci de le détruire.",
    "Please consider the environment before printing this e-mail.",
])  # fmt: skip
@pytest.mark.parametrize("is_above", [False, True])
def test_notice_is_left_out(notice: str, is_above: bool) -> None:
    """Legal notices and warnings, in both languages, above or below the text."""
    found = read_mail(mail(f"{notice}\n\n{OWN}" if is_above else f"{OWN}\n\n{notice}"))

    assert (found.body, found.stripped.num_disclaimer_lines) == (OWN, len(notice.split("\n")))


@pytest.mark.parametrize(
    "text",
    [
        "Cordialement,\nJean",
        "> Vieux.",
        NOTICE_FR,
        "Sent from my iPhone",
        "-- \nJean",
        "Le 4/11/2024, S a écrit :\nVieux.",
    ],
)
def test_mail_with_text_is_never_empty(text: str) -> None:
    """A mail that is all signature, all quote or all notice is read as that."""
    assert read_mail(mail(text)).body != ""
    assert body(mail("<div class='gmail_signature'>Le VPN ne marche plus.</div>", HTML)) == "Le VPN ne marche plus."


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Re: Panne", "Panne"), ("RE : TR: Panne", "Panne"), ("Fwd: re: Panne", "Panne"), ("Réf: Panne", "Panne"),
        ("Re[2]: Panne", "Panne"), ("[EXTERNAL] RE: Panne", "Panne"), ("Re :", ""), ("Refus: carte", "Refus: carte"),
        ("=?UTF-8?Q?R=C3=A9=3A_caf=C3=A9?=", "café"), ("=?iso-8859-1?b?Y2Fm6Q==?= du", "café du"),
        ("=?utf-8?q?a=C3?= =?utf-8?q?=A9?=", "aé"), ("=?utf-8?q?caf=C3=A9?= =?iso-8859-1?q?_=E9t=E9?=", "café été"),
        ("=?utf-8?b?A?= =?utf-8?q?bon?=", "bon"), ("=?x-unknown?q?bon?=", "bon"), ("caf\u00e9", "café"),
        ("=?utf-8?q?deux?=\n =?utf-8?q?_lignes?=", "deux lignes"), ("un\n deux", "un deux"), ("", ""),
        ("=?utf-8?q?a=00b?=", "ab"), ("=?utf-8?q?=ED=A0=80x?=", "í\u00a0€x".replace("\u00a0", " ")),
    ],
)  # fmt: skip
def test_subject_is_decoded_without_its_prefix(field: str, expected: str) -> None:
    """Encoded words, broken ones too, are decoded; "Re:", "TR :" and the like are taken off."""
    assert read_mail(mail("x", subject=field)).subject == expected


def test_subject_of_bare_bytes() -> None:
    """A subject in Latin-1 without any encoding, as old programs send it, is read."""
    assert read_mail(b"Subject: caf\xe9\n\nx").subject == "café"


def test_text_is_subject_and_body() -> None:
    """Both are read, with a blank line between; one alone stands alone."""
    assert read_mail(b"Subject: a\n\nb").text == "a\n\nb"
    assert read_mail(b"Subject: a\n\n").text == read_mail(b"Subject: a").text == "a"
    assert read_mail(b"From: a@b.c\n\nb").text == "b"
    assert read_mail(b"From: a@b.c\n\n").text == ""


@pytest.mark.parametrize(
    ("charset", "data"),
    [
        ("utf-8", "été €".encode()), ("us-ascii", "été €".encode()), ("us-ascii", "été €".encode("cp1252")),
        ("iso-8859-1", "été €".encode()), ("iso-8859-1", "été €".encode("cp1252")),
        ("x-unknown", "été €".encode("cp1252")),
        ("utf8mb4", "été €".encode()), ("cp-850", "été".encode("cp850")), ("utf-8", "été €".encode("cp1252")),
        ("iso-8859-15", "été €".encode("iso-8859-15")), ("", "été €".encode("cp1252")), ("zlib", "été €".encode()),
        ("utf-16", "été €".encode("utf-16")), ("iso-2022-jp", "日本".encode("iso-2022-jp")), ("punycode", b"abc-"),
        ("utf-8", "été".encode()[:-1]), ("windows-1251", "Привет".encode("cp1251")), ("unicode_escape", b"a\\u0041"),
    ],
)  # fmt: skip
def test_charset_is_found(charset: str, data: bytes) -> None:
    """UTF-8 if the bytes are that, else the declared charset, else windows-1252."""
    raw = b"Subject: x\nContent-Type: text/plain; charset=" + charset.encode() + b"\n\n" + data
    expected = {"cp-850": "été", "punycode": "abc-", "unicode_escape": "a\\u0041", "iso-2022-jp": "日本"}.get(
        charset, "été €"
    )
    if charset == "windows-1251":
        expected = "Привет"
    elif data == "été".encode()[:-1]:
        expected = "ét"

    assert body(raw) == expected


def test_charset_of_html_may_stand_in_it() -> None:
    """Where the field declares none, the page's own declaration counts."""
    page = b"Content-Type: text/html\n\n<meta charset='iso-8859-15'><p>5 \xa4</p>"

    assert body(page) == "5 €"


def test_damaged_utf8_stays_utf8() -> None:
    """One broken character does not turn all the others into windows-1252."""
    raw = b"Content-Type: text/plain; charset=utf-8\n\n" + "été à côté".encode() + b"\xc3 fin"

    assert body(raw) == "été à côté\ufffd fin"


def test_invisible_characters_are_dropped() -> None:
    """Soft hyphens, zero-width characters and NUL vanish, spaces of all kinds become spaces, line ends become LF."""
    text = "con\u00adnex\u200bion\ufeff\u00a0:\u202foui\0\r\nfin\u2028ici"

    assert body(mail(text)) == "connexion : oui\nfin\nici"
    assert body(mail("<p>con&shy;nex&#8203;ion&nbsp;: oui&#0;&#xD800;</p>", HTML)).startswith("connexion : oui")


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("base64", base64.b64encode(OWN.encode())), ("BASE64", base64.encodebytes(OWN.encode())),
        ("base64", base64.b64encode(OWN.encode()).rstrip(b"=")),
        ("base64", base64.b64encode(OWN.encode() + b"\n") + b"Q"),  # a digit too many
        ("base64", b"!" + base64.b64encode(OWN.encode()) + b"*"),
        ("quoted-printable", quopri.encodestring(OWN.encode())), ("8bit", OWN.encode()), ("x-odd", OWN.encode()),
    ],
)  # fmt: skip
def test_transfer_encoding_is_undone(encoding: str, data: bytes) -> None:
    """Base64, with garbage or without its padding, quoted-printable, and unknown encodings as they are."""
    assert body(b"Content-Transfer-Encoding: " + encoding.encode() + b"\n\n" + data) == OWN


ALTERNATIVES = [
    ("le texte", "<p>le html</p>", "le texte", False),
    ("", "<p>le html</p>", "le html", True),
    (" \n\u00a0\n", "<p>le html</p>", "le html", True),
    ("Your client does not show HTML.", "<p>le html</p>", "le html", True),
    ("Votre messagerie n'affiche pas le HTML.", "<p>le html</p>", "le html", True),
    ("le texte", "", "le texte", False),
]


@pytest.mark.parametrize(("plain", "html", "expected", "is_html"), ALTERNATIVES)
def test_plain_alternative_is_read_unless_it_is_a_stub(plain: str, html: str, expected: str, is_html: bool) -> None:
    """The plain text is what the author typed; one that only points at the HTML gives way to it."""
    found = read_mail(b"Subject: x\n" + multipart("alternative", f"{PLAIN}\n\n{plain}", f"{HTML}\n\n{html}").encode())

    assert (found.body, found.stripped.is_html) == (expected, is_html)
    assert found.stripped.num_attachments == 0


def test_inline_texts_are_read_in_order_and_attachments_are_counted() -> None:
    """Texts without a name are read; files, images, calendars, keys and attached mails are counted, never decoded."""
    raw = b"Subject: x\n" + multipart(
        "mixed",
        multipart(
            "related",
            multipart("alternative", f"{PLAIN}\n\nun", f"{HTML}\n\n<p>un</p>", "Content-Type: text/calendar\n\nBEGIN"),
            "Content-Type: image/png\nContent-Disposition: inline\n\nxx",
            boundary="in",
        ).replace("--cut", "--alt").replace('boundary="cut"', 'boundary="alt"'),
        f"{PLAIN}\n\n{' '.join(['deux'] * 20)}",  # more than a note on top of the attached mails
        "Content-Type: text/plain; name=log.txt\n\njournal",
        "Content-Type: text/plain\nContent-Disposition: attachment\n\njournal",
        "Content-Type: text/plain\nContent-Disposition: inline; filename*0*=utf-8''a\n\njournal",
        "Content-Type: message/rfc822\n\nSubject: autre\n\nautre",
        "Content-Type: application/ms-tnef; name=winmail.dat\n\nx",
        "Content-Type: application/pkcs7-signature\n\nx",
        "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a",
        multipart("digest", "\nSubject: un autre\n\nun autre", boundary="dig"),
        "Content-Type: text/html\n\n<p>trois</p>",
    ).encode()  # fmt: skip

    found = read_mail(raw)

    assert found.body == f"un\n\n{' '.join(['deux'] * 20)}\n\ntrois"
    assert found.stripped == Stripped(num_attachments=10, is_html=True)


def test_attached_mail_alone_is_read() -> None:
    """A mail that holds nothing but another mail is about that mail."""
    raw = (
        b"Subject: Fwd: x\n"
        + multipart("mixed", "Content-Type: message/rfc822\n\nSubject: Box\n\nElle clignote.").encode()
    )

    found = read_mail(raw)

    assert (found.subject, found.body, found.stripped.num_attachments) == ("x", "Box\n\nElle clignote.", 0)
    inner = base64.b64encode(b"Subject: Box\n\nElle clignote.")
    assert body(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + inner) == found.body


def test_delivery_report_and_encrypted_mail() -> None:
    """Of a report its words are read; of an encrypted mail nothing but the subject can be."""
    report = multipart(
        "report",
        "Content-Type: text/plain\n\nAdresse inconnue.",
        "Content-Type: message/delivery-status\n\nStatus: 5.1.1",
    )

    found = read_mail(b"Subject: x\n" + report.encode())
    closed = read_mail(b"Subject: x\nContent-Type: application/pkcs7-mime; name=smime.p7m\n\nMIIB")

    assert (found.body, found.stripped.num_attachments) == ("Adresse inconnue.", 1)
    assert (closed.text, closed.stripped.num_attachments) == ("x", 1)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nun\n--b\n\ndeux", "un\n\ndeux"),  # no end line
        (b"Content-Type: multipart/mixed; boundary=b\n\nsans coupe", "sans coupe"),
        (b"Content-Type: multipart/mixed\n\nsans nom", "sans nom"),
        (b"Content-Type: garbage\n\ntexte", "texte"),
        (b"Content-Type: text\n\ntexte", "texte"),
        (b"Subject: x\nceci n'est plus un champ\nsuite", "ceci n'est plus un champ\nsuite"),
        (b"From jean Mon Nov  4 2024\nSubject: x\n\ntexte", "texte"),
        (b"\xef\xbb\xbf\r\nSubject: x\r\rbare CR\rligne", "bare CR\nligne"),
        (b"Subject: x\nSubject: y\nContent-Type: text/plain\nContent-Type: image/png\n\ntexte", "texte"),
        (b"Content-Type: text/plain\n\n<!DOCTYPE html><p>un<br>deux</p>", "un\ndeux"),
        (b"Content-Type: multipart/mixed; boundary=b\n\nintro\n--bc\nnon\n--b \n\noui\n--b--\nfin", "oui"),
    ],
)
def test_odd_message_is_read(raw: bytes, expected: str) -> None:
    """Missing ends, missing boundaries, garbage types, no blank line, an mbox line, bare CR, fields twice."""
    assert body(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [b"", b" \r\n\t\n", b"Bonjour, rien ne marche.", b"Bonjour : rien", b'{"tokens": []}', b"<p>a</p>", b"\0" * 99],
)
def test_what_is_no_mail_is_refused(raw: bytes) -> None:
    """Nothing, a text, JSON or HTML is no e-mail, and the error says what to send."""
    with pytest.raises(InvalidMail, match="send"):
        read_mail(raw)


def nested(depth: int) -> bytes:
    """Return a message whose parts lie `depth` deep, with a text at the bottom."""
    fields = (f"Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n" for i in range(depth))
    return ("Subject: x\n" + "".join(fields) + "\nau fond").encode()


def test_limits_are_said() -> None:
    """Depth, parts, header and text: what is just within a limit is read, what is over it is refused or cut."""
    parts = ["Content-Type: text/plain\n\na"] * MAX_PARTS
    long_header = b"X-A: " + b"a" * MAX_HEADER_BYTES + b"\n"

    assert body(nested(MAX_DEPTH)) == "au fond"
    assert len(body(b"Subject: x\n" + multipart("mixed", *parts).encode()).split()) == MAX_PARTS
    with pytest.raises(InvalidMail, match=f"more than {MAX_DEPTH} deep"):
        read_mail(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidMail, match=f"more than {MAX_PARTS} parts"):
        read_mail(b"Subject: x\n" + multipart("mixed", *parts, "\nb").encode())
    with pytest.raises(InvalidMail, match=f"more than {MAX_HEADER_BYTES} bytes"):
        read_mail(b"Subject: x\n" + long_header + b"\nb")
    pages = multipart("mixed", *[f"{HTML}\n\n" + "<p>a</p>" * 10_000] * 2)  # 80,000 characters each
    found = read_mail(b"Subject: x\n" + pages.encode())
    assert found.stripped.num_truncated_characters == 160_000 - MAX_HTML_CHARACTERS
    found = read_mail(b"Subject: x\n\n" + b"a" * (MAX_CHARACTERS + 7))
    assert (len(found.body), found.stripped.num_truncated_characters) == (MAX_CHARACTERS, 7)


@pytest.mark.one_python
def test_hostile_mails_end() -> None:
    """10 MiB made to cost as much as they can, in each form, are read or refused; the guard only notices a hang."""
    code = (
        "from artifacts.errors import InvalidMail\nfrom artifacts.mail import read_mail\n"
        "from benchmarks.mail.hostile import FORMS\n"
        "for name, form in FORMS.items():\n"
        "    print(name, flush=True)\n"
        "    try: assert len(read_mail(form(10 * 2**20)).text) <= 3 * 64 * 1024\n"
        "    except InvalidMail: pass\n"
        "print('all')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert done.stdout.split("\n")[-2] == "all", (done.stdout[-100:], done.stderr)


@pytest.mark.one_python
@pytest.mark.parametrize("name", FORMS)
def test_cost_grows_with_the_mail(name: str) -> None:
    """Four times the mail costs about four times the CPU: the square of it would cost sixteen times."""
    small, large = growth(name)
    for _ in range(4):  # another process may have disturbed a measurement, never all of them
        if large <= 8 * small + 0.02:
            break
        small, large = growth(name)

    assert large <= 8 * small + 0.02


def corpus() -> list[bytes]:
    """Return seed messages: the golden ones and some of several parts."""
    parts = multipart(
        "alternative", f"{PLAIN}\nContent-Transfer-Encoding: base64\n\nYm9uam91cg==", f"{HTML}\n\n<p>un</p>"
    )
    cases = sorted((Path(__file__).parents[2] / "fixtures" / "mail" / "cases").glob("*/input.eml"))
    return (
        [row[1] for row in GOLDEN]
        + [case.read_bytes() for case in cases if case.stat().st_size < 20_000]
        + [
            b"Subject: =?utf-8?b?w6l0w6k=?=\r\n" + parts.replace("\n", "\r\n").encode(),
            b"Subject: =?iso-8859-1?q?=E9t=E9?=\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9 =\nfin",
            b"Subject: x\n"
            + multipart("mixed", "Content-Type: message/rfc822\n\nSubject: y\n\nz", boundary="m").encode(),
            nested(4),
        ]
    )


def mutate(seed: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return a message with a few bytes flipped, cut, doubled or taken from another."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        length = rng.choice([1, 2, 8, 40, 400])
        kind = rng.randrange(5)
        if kind == 0 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + length] * rng.randint(1, 20)
        elif kind == 3:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            data[place:place] = other[start : start + length]
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def test_fuzzed_messages_are_read_or_refused() -> None:
    """2,000 damaged messages: a text without NUL and surrogates, or InvalidMail; nothing else."""
    rng = random.Random(20241104)
    seeds = corpus()
    num_read = 0
    for _ in range(int(os.environ.get("PUPPET_TEST_MAILS", "2000"))):
        raw = mutate(rng.choice(seeds), seeds, rng)
        try:
            check(read_mail(raw))
        except InvalidMail:
            continue
        num_read += 1

    assert num_read > 1000


def odd_part(rng: random.Random, depth: int) -> bytes:
    """Return one part that MIME programs would hardly write: its fields, a blank line or none, its content."""
    end = rng.choice([b"\n", b"\n", b"\r\n", b"\r"])
    kinds = [
        b"text/plain", b"text/html", b"text/plain; charset=x-unknown", b'text/plain; charset="utf-16"',
        b"text/calendar",
        b"text/plain; charset=utf-7", b"application/pkcs7-mime", b"application/ms-tnef; name=winmail.dat", b"image/png",
        b"message/rfc822", b"message/delivery-status", b"text", b"/;;=\"", b"", b"multipart/mixed", b"te xt/pl\xe9in",
        b"text/html; charset=iso-8859-1; name*0*=a; name*1=b; name=c", b"multipart/alternative; boundary=",
    ]  # fmt: skip
    fields = [b"Content-Type: " + rng.choice(kinds)] * rng.choice([0, 1, 1, 1, 2])
    content = rng.choice(
        [b"", b"caf\xe9", "été".encode(), b"<p>un<b>deux", b"\0\xff\xfe", b"> a", b"=E9=\n", b"Ym9u=Zm9v"]
    )
    if depth and rng.random() < 0.6:
        mark = rng.choice([b"b", b"bb", b"a b", b"=_?", b"\xe9", b"b" * 80])
        kind = rng.choice([b"mixed", b"alternative", b"related", b"digest", b"report", b"signed"])
        fields = [b"Content-Type: multipart/" + kind + b'; boundary="' + mark + b'"']
        pieces = [odd_part(rng, depth - 1) for _ in range(rng.randint(0, 3))]
        content = b"".join(end + b"--" + mark + end + piece for piece in pieces)
        content += rng.choice([b"", end + b"--" + mark + b"--" + end, end + b"--" + mark])
    for _ in range(rng.randint(0, 3)):
        fields.append(rng.choice([
            b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"\xe9: \xe9",
            b"Content-Transfer-Encoding: x-uuencode", b"Content-Transfer-Encoding: \xe9",
            b"Content-Disposition: inline", b" x",
            b"Content-Disposition: attachment; filename*=utf-8''%", b"Subject: \xe9t\xe9", b"Subject: =?utf-8?b?A?=",
        ]))  # fmt: skip
    return end.join(fields) + rng.choice([end + end, end + end, end + end, end, b""]) + content


@pytest.mark.parametrize("seed", range(200))
def test_generated_odd_message_is_read(seed: int) -> None:
    """Nested parts, missing ends, wrong charsets and types, 8-bit fields, unknown encodings: read, never a crash."""
    found = read_mail(b"Subject: x\n" + odd_part(random.Random(seed), 4))

    check(found)
    assert found.subject.startswith("x")  # a part may begin with a line that continues it


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"Subject: ", b"Subject: x\n\n", b"Content-Type: ", HTML.encode() + b"\n\n"]),
)
def test_any_bytes_are_read_or_refused(data: bytes, start: bytes) -> None:
    """Any bytes at all give a mail whose text UTF-8 can carry, or InvalidMail."""
    try:
        found = read_mail(start + data)
    except InvalidMail:
        return

    check(found)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_with_words_is_not_lost(text: str) -> None:
    """Whatever its lines look like, a body with a letter in it is not read as empty."""
    found = read_mail(mail(f"a{text}", PLAIN))

    assert found.body != ""
    check(found)
