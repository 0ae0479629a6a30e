"""Single steps of the reader: evidence, ends, HTML, MIME, forms, and what the answer says."""

import codecs
from pathlib import Path

import pytest

from artifacts.errors import InvalidMail
from artifacts.mail import read_mail
from artifacts.mail.markup import html_to_text
from tests.artifacts.mail.test_message import HTML, NOTICE_EN, PLAIN, body, mail, multipart

OUTLOOK_MSG = Path(__file__).parents[2] / "fixtures" / "mail" / "outlook.msg"


@pytest.mark.parametrize(
    "text",
    [
        "Voici :\n> un\n> deux\nMerci.",
        "Voici :\n> Paramètres > Réseau\nOù ?",
        ">>> import numpy\nModuleNotFoundError: numpy",
        "Le serveur a écrit :\n> disque plein\nQue faire ?",
        "Le 11/03/2024 le serveur a écrit :\ndisque plein",
        "De : Achats\nPour : Informatique\nDate : 18 mars\nObjet : poste\n\nUn portable pour Nora.",
        "Formulaire.\n\nFrom: Ana <ana@example.org>\nSubject: x\nDate: 12/03/2024\n\nLa table est cassée.",
    ],
)
def test_without_evidence_of_a_reply_it_is_the_author_s(text: str) -> None:
    """Bullets, menus, prompts, forms and logs stay where nothing says that the mail answers another."""
    assert body(mail(text, PLAIN)) == text


@pytest.mark.parametrize("evidence", ["In-Reply-To: <a@b.example>", "References: <a@b.example>", ""])
def test_evidence_of_a_reply_is_read(evidence: str) -> None:
    """In-Reply-To, References or a prefix of the subject make a quote of a line that might be the author's."""
    raw = mail(
        "Oui.\n\nPaul a écrit :\n> Et là ?", PLAIN, *[evidence] * bool(evidence), subject="AW: x" * (not evidence)
    )

    assert body(raw) == "Oui."


def test_text_of_a_mail_is_evidence_too() -> None:
    """An address and a time in an attribution prove a reply, and then a ">" above it is a quote too."""
    text = "> Et là ?\nOui.\n\nLe 4 nov. 2024 à 10:12, S <s@b.example> a écrit :\nVieux."

    assert body(mail(text, PLAIN)) == "Oui."


NOTE = "De : Ida <ida@b.example>\nEnvoyé : lundi 11 mars 2024 09:02\nÀ : S\nObjet : x\n\n{}"
TICKET = "Bonjour, j'ai été prélevée deux fois pour l'abonnement de février. Merci de me rembourser."


@pytest.mark.parametrize(
    ("note", "subject", "reads"),
    [
        ("Tu peux prendre ça ?", "TR: x", True),
        ("Salut, cette cliente attend depuis mardi, peux-tu lui répondre avant ce soir ? Merci", "TR: x", True),
        (" ".join(["mot"] * 16), "TR: x", False),
        ("Voir ci-dessous.", "RE: x", True),
        ("Mes réponses en rouge dans le texte", "RE: x", True),
        ("D'accord.", "RE: x", False),
        ("D'accord.", "RE: TR: x", False),
        ("À traiter.", "[EXT] TR: RE: x", True),
        ("À : Accueil", "x", True),
    ],
)
def test_text_never_ends_on_a_pointer(note: str, subject: str, reads: bool) -> None:
    """A note above a forward, or a text that points below, is read with the first level below; an answer is not."""
    found = read_mail(mail(f"{note}\n\n{NOTE.format(TICKET)}", PLAIN, subject=subject))

    assert found.body.endswith(TICKET) is reads
    assert found.stripped.reads_below is reads


def test_only_the_first_level_below_is_read() -> None:
    """What the forwarded mail quotes itself is not read."""
    below = NOTE.format(TICKET + "\n\nLe 4 nov. 2024 à 10:12, S <s@b.example> a écrit :\n> Ancien.")

    assert body(mail(f"Pour info\n\n{below}", PLAIN, subject="TR: x")) == f"Pour info\n\n{TICKET}"


def test_attached_message_under_a_note_is_read() -> None:
    """A note on top of an attached message is read with it; a text of its own is read alone; a bounce is itself."""
    attached = f"Content-Type: message/rfc822\n\nSubject: Box\n{PLAIN}\n\n{TICKET}"

    def read(note: str, kind: str = "mixed") -> str:
        return body(b"Subject: x\n" + multipart(kind, f"{PLAIN}\n\n{note}", attached).encode())

    assert read("merci de traiter le message joint.") == f"merci de traiter le message joint.\n\nBox\n\n{TICKET}"
    assert read("mot " * 30).split() == ["mot"] * 30
    assert read("Votre message n'a pas pu être remis.", "report") == "Votre message n'a pas pu être remis."


@pytest.mark.parametrize(
    "banner",
    ["CAUTION: This email originated from outside ACME.", "Mail externe : ne cliquez pas sur les liens.", "[EXTERNAL]"],
)
@pytest.mark.parametrize("between", ["", "________________________________\n", "\n"])
def test_banner_takes_nothing_along(banner: str, between: str) -> None:
    """A banner ends at a greeting, a rule, a blank line or a line without a term."""
    for text in ("Bonjour,\nmon badge ne s'ouvre plus.", "Mon badge ne s'ouvre plus."):
        assert body(mail(f"{banner}\n{between}{text}", PLAIN)) == text


def test_notice_in_the_middle_is_the_author_s() -> None:
    """What reads like a notice, and is followed by the author's question, is what the question is about."""
    text = f"Voici ce que je reçois :\n\n{NOTICE_EN}\n\nDois-je m'inquiéter ?"

    assert body(mail(text, PLAIN)) == text


@pytest.mark.parametrize("rule", ["-- ", "--"])
def test_dashes_keep_their_blank(rule: str) -> None:
    """Below "-- " all is a signature, of any length and with sentences; "--" is one near the end only."""
    lines = (
        "\n".join(f"ligne {number}" for number in range(30))
        + "\nNous sommes ouverts de neuf à dix-sept heures, sauf lundi."
    )

    assert body(mail(f"Panne.\n\n{rule}\n{lines}", PLAIN)) == ("Panne." if rule == "-- " else f"Panne.\n\n--\n{lines}")


@pytest.mark.parametrize(
    "style",
    [
        "display:none", "visibility: hidden", "font-size:0px", "opacity:0", "max-height:0;overflow:hidden",
        "color:#FFF",
        "color:#336699;background:#336699", "mso-hide:all", "text-indent:-9999px",
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_not_read(style: str) -> None:
    """An element that its own style hides, or that of its class, is left out."""
    assert html_to_text(f'<p style="{style}">Offres</p><p>Colis arrivé.</p>') == "Colis arrivé."
    sheet = f"<style>@media print {{.a {{display:none}}}} .b, p.c {{{style}}}</style>"
    if style in ("display:none", "visibility: hidden", "opacity:0", "mso-hide:all"):
        assert html_to_text(f'{sheet}<p class="a">un</p><p class="b">deux</p><p class="c">trois</p>') == "un"


def test_what_can_be_seen_is_read() -> None:
    """White on a dark ground, letters of no size round others that have one, and large letters are shown."""
    page = (
        '<table bgcolor="#003366"><tr><td style="color:#fff">blanc</td></tr></table>'
        '<div style="font-size:0"><p style="font-size:13px">cellule</p></div><p style="font-size:10px">petit</p>'
    )

    assert html_to_text(page).split() == ["blanc", "cellule", "petit"]


def test_pictures_and_styles_go_before_the_limit() -> None:
    """Text below a megabyte of pasted pictures, styles and comments is read."""
    picture, style = "A" * 400_000, "p{color:red}" * 30_000
    heavy = f'<img src="data:image/png;base64,{picture}"><style>{style}</style><!--{picture}-->'

    found = read_mail(mail(f"<p>Avant</p>{heavy}<p>Après</p>", HTML))

    assert (found.body.split(), found.stripped.num_truncated_characters) == (["Avant", "Après"], 0)


def test_answers_inside_a_container_are_read() -> None:
    """Of Gmail's container only the blockquotes are quotes; one without a blockquote is quoted as a whole."""
    answers = "<div class='gmail_quote'><blockquote class='gmail_quote'>Un ?</blockquote>Oui.</div>"
    whole = "<p>Oui.</p><div class='gmail_quote'><div class='gmail_attr'>Kto?</div>Vieux.</div>"

    assert body(mail(answers, HTML)) == body(mail(whole, HTML)) == "Oui."


def test_bare_blockquote_needs_evidence() -> None:
    """A <blockquote> that no program marked is the author's citation, unless the mail answers another."""
    page = "<p>Je cite :</p><blockquote>erreur 5</blockquote>"

    assert body(mail(page, HTML)) == "Je cite :\n\nerreur 5"
    assert body(mail(page, HTML, subject="Re: x")) == "Je cite :"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Auto-Submitted: auto-replied"], True), (["Auto-Submitted: no"], False), (["Return-Path: <>"], True),
        (["X-Autoreply: yes"], True), (["Precedence: auto_reply"], True), (["Precedence: bulk"], False),
        (["From: MAILER-DAEMON@b.example"], True), ([], False),
    ],
)  # fmt: skip
def test_automatic_mail_is_marked(fields: list[str], expected: bool) -> None:
    """Bounces and automatic replies say so, in fields of several programs."""
    assert read_mail(mail("Absent.", *fields)).stripped.auto_submitted is expected


@pytest.mark.parametrize("subject", ["Réponse automatique : x", "Automatic reply: x", "Undeliverable: x"])
def test_automatic_subject_is_marked(subject: str) -> None:
    """The subjects that Outlook gives automatic replies and bounces are known."""
    assert read_mail(mail("x", subject=subject)).stripped.auto_submitted
    assert not read_mail(mail("x", subject="Absence de réseau")).stripped.auto_submitted


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("Content-Type: application/pkcs7-mime; name=smime.p7m\n\nMIIB", "encrypted"),
        ("Content-Type: application/ms-tnef; name=winmail.dat\n\neJ8", "winmail.dat"),
        ("Content-Type: text/calendar\n\nBEGIN:VCALENDAR", "calendar"),
        ("Content-Type: image/png\n\nx", "pictures"),
        (f"{PLAIN}\n\nUn texte.", ""),
    ],
)
def test_mail_without_a_text_says_what_it_is(part: str, expected: str) -> None:
    """Encrypted, winmail.dat, an invitation, pictures: `unread` names it."""
    assert read_mail(f"Subject: x\n{part}".encode()).stripped.unread == expected


def test_named_text_is_an_attachment_only_next_to_another() -> None:
    """The one text of a mail is read though it has a file's name; next to another it is counted."""
    named = "Content-Type: text/plain; name=a.txt\n\njournal"

    alone = read_mail(b"Subject: x\n" + multipart("mixed", named, "Content-Type: image/png\n\nx").encode())
    beside = read_mail(b"Subject: x\n" + multipart("mixed", f"{PLAIN}\n\nVoici.", named).encode())

    assert (alone.body, alone.stripped.num_attachments) == ("journal", 1)
    assert (beside.body, beside.stripped.num_attachments) == ("Voici.", 1)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("dW4K\nZGV1eA==\n\n-----\nListe des achats\n", "un\ndeux\n-----\nListe des achats"),
        ("dW4=\nZGV1eA==\n", "undeux"),
        ("dW4KZGV1eAp1\nbgpkZXV4Cn*VuCmRldXg=\n", "un\ndeux\nun\ndeux\nun\ndeux"),
    ],
)
def test_base_64_is_read_by_lines(encoded: str, expected: str) -> None:
    """Text below, padding within and a damaged sign cost nothing of the rest."""
    assert body(f"Content-Transfer-Encoding: base64\n\n{encoded}".encode()).replace("\n\n", "\n") == expected


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        ("gb2312", "gb18030", "镕基"), ("shift_jis", "cp932", "①"), ("ks_c_5601-1987", "cp949", "똠"),
        ("x-mac-roman", "mac-roman", "déjà"), ("iso-8859-9", "cp1254", "ğüş €"), ("big5", "big5-hkscs", "測試"),
        ("koi8-r*ru", "koi8-r", "Принтер"), ("iso-2022-jp", "iso2022_jp_2004", "日本"),
    ],
)  # fmt: skip
def test_charsets_have_the_names_of_the_web(charset: str, encoding: str, text: str) -> None:
    """A name is read as WHATWG's standard reads it: the superset that programs really write."""
    data = text.encode(encoding).replace(b"\x1b$(Q", b"\x1b$B")

    assert body(f"Content-Type: text/plain; charset={charset}\n\n".encode() + data) == text


def test_raw_subject_is_in_the_charset_of_the_body() -> None:
    """Bytes over 127 in a subject are read as the body's are, and an encoded word may name its language."""
    raw = b"Subject: " + "Принтер".encode("koi8-r") + b"\nContent-Type: text/plain; charset=koi8-r\n\nx"

    assert read_mail(raw).subject == "Принтер"
    assert read_mail(b"Subject: =?iso-8859-15*fr?q?5_=A4?=\n\nx").subject == "5 €"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_message_may_be_saved_in_other_forms(encoding: str) -> None:
    """A file in UTF-8 or UTF-16 with a mark of its byte order, in UTF-16 without one, and Apple's .emlx."""
    text = "Subject: x\nContent-Type: text/plain; charset=iso-8859-1\n\ndéjà"
    raw = text.encode(encoding)
    raw = codecs.BOM_UTF16_BE + raw if encoding == "utf-16-be" else raw
    message = text.encode()

    assert body(raw) == "déjà"
    assert body(str(len(message)).encode() + b"\n" + message + b"<?xml version='1.0'?><plist/>") == "déjà"


def test_outlook_msg_is_read() -> None:
    """An Outlook .msg gives its subject, its text without the quote, and the number of its attachments."""
    pytest.importorskip("oxmsg")

    found = read_mail(OUTLOOK_MSG.read_bytes())

    assert found.text == "Écran noir\n\nBonjour,\nmon écran reste noir depuis lundi."
    assert (found.stripped.num_attachments, found.stripped.num_quoted_lines) == (1, 5)


def test_broken_outlook_msg_is_refused() -> None:
    """A compound file that is no message is refused with what it is and what to do."""
    pytest.importorskip("oxmsg")

    with pytest.raises(InvalidMail, match=r"Outlook \.msg that cannot be read .* save it as"):
        read_mail(OUTLOOK_MSG.read_bytes()[:508])


def test_html_reader_is_for_any_text() -> None:
    """What a field of HTML shows: entities, lines, no markup; nothing of an empty page."""
    assert html_to_text("<p>Le <b>V</b>PN&nbsp;: &eacute;cran<br>noir</p>") == "Le VPN : écran\nnoir"
    assert html_to_text("") == html_to_text("<!-- -->") == ""
    assert html_to_text("sans balise") == "sans balise"
