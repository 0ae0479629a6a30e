"""The languages that the chapter promises: attribution, header, separator, phone's line, closing, notice, subject."""

from typing import NamedTuple

import pytest

from artifacts.mail import read_mail
from artifacts.mail.words import words

ANSWER = "D'accord, 12."


def read(body: str, subject: str = "Re: x", is_reply: bool = True) -> str:
    """Return the body that is read of a plain mail."""
    reply = "In-Reply-To: <a@example.org>\n" if is_reply else ""
    return read_mail(f"Subject: {subject}\n{reply}Content-Type: text/plain; charset=utf-8\n\n{body}\n".encode()).body


class Language(NamedTuple):
    """What mail programs and people write in one language."""

    attribution: str
    header: tuple[str, str, str, str]
    separator: str
    phone: str
    closing: str
    notice: str
    forward: str  # prefix of a subject


LANGUAGES = {
    "fr": Language(
        "Le lun. 11 mars 2024 à 17:40, Paul Marin <p@example.org> a écrit :",
        ("De : Paul", "Envoyé : lundi 11 mars 2024 17:40", "À : Camille", "Objet : x"),
        "-------- Message d'origine --------",
        "Envoyé de mon iPhone",
        "Bien cordialement,\nPaul Marin",
        "Ce message est confidentiel et réservé à son destinataire.",
        "TR : ",
    ),
    "en": Language(
        "On Mon, Mar 11, 2024 at 5:40 PM Lee Ward <l@example.org> wrote:",
        ("From: Lee", "Sent: Monday, March 11, 2024 5:40 PM", "To: Camille", "Subject: x"),
        "-----Original Message-----",
        "Sent from my iPhone",
        "Kind regards,\nLee Ward",
        "This e-mail is confidential and intended solely for the addressee.",
        "FW: ",
    ),
    "de": Language(
        "Am Mo., 11. März 2024 um 17:40 Uhr schrieb Jana Vogt <j@example.org>:",
        ("Von: Jana", "Gesendet: Montag, 11. März 2024 17:40", "An: Camille", "Betreff: x"),
        "-----Ursprüngliche Nachricht-----",
        "Gesendet von meinem iPhone",
        "Mit freundlichen Grüßen\n\nJana Vogt",
        "Diese E-Mail ist vertraulich und nur für den Empfänger bestimmt.",
        "WG: ",
    ),
    "es": Language(
        "El lun, 11 mar 2024 a las 17:40, Ana Ruiz (<a@example.org>) escribió:",
        ("De: Ana", "Enviado el: lunes, 11 de marzo de 2024 17:40", "Para: Camille", "Asunto: x"),
        "-----Mensaje original-----",
        "Enviado desde mi iPhone",
        "Un cordial saludo,\nAna Ruiz",
        "Este mensaje es confidencial y va dirigido exclusivamente a su destinatario.",
        "RV: ",
    ),
    "it": Language(
        "Il giorno lun 11 mar 2024 alle ore 17:40 Ida Costa <i@example.org> ha scritto:",
        ("Da: Ida", "Inviato: lunedì 11 marzo 2024 17:40", "A: Camille", "Oggetto: x"),
        "-----Messaggio originale-----",
        "Inviato da iPhone",
        "Cordiali saluti\nIda Costa",
        "Questo messaggio è riservato e destinato esclusivamente al destinatario.",
        "I: ",
    ),
    "pt": Language(
        "Em seg., 11 de mar. de 2024 às 17:40, Rui Lima <r@example.org> escreveu:",
        ("De: Rui", "Enviada em: segunda-feira, 11 de março de 2024 17:40", "Para: Camille", "Assunto: x"),
        "-----Mensagem original-----",
        "Enviado do meu iPhone",
        "Com os melhores cumprimentos,\nRui Lima",
        "Esta mensagem é confidencial e destina-se exclusivamente ao destinatário.",
        "ENC: ",
    ),
    "nl": Language(
        "Op ma 11 mrt 2024 om 17:40 schreef Jan Smit <j@example.org>:",
        ("Van: Jan", "Verzonden: maandag 11 maart 2024 17:40", "Aan: Camille", "Onderwerp: x"),
        "-----Oorspronkelijk bericht-----",
        "Verstuurd vanaf mijn iPhone",
        "Met vriendelijke groet,\nJan Smit",
        "Dit bericht is vertrouwelijk en uitsluitend bestemd voor de geadresseerde.",
        "Doorst: ",
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("below", ["> Ancien.", "Ancien."])
def test_attribution(language: str, below: str) -> None:
    """What is below an attribution is quoted, with ">" or without, and so is the attribution, wrapped too."""
    attribution = LANGUAGES[language].attribution
    wrapped = attribution.replace(" <", " <\n").replace("(<\n", "\n(<")

    assert read(f"{ANSWER}\n\n{attribution}\n\n{below}") == ANSWER
    assert read(f"{ANSWER}\n\n{wrapped}\n\n{below}") == ANSWER


@pytest.mark.parametrize("language", LANGUAGES)
def test_header(language: str) -> None:
    """A header of four keys is known in any order, with a wrapped value and an unknown key, and ends the text."""
    first, second, third, fourth = LANGUAGES[language].header
    wrapped = f"{third};\n Service des achats"

    for lines in ((first, second, third, fourth), (second, first, wrapped, fourth), (fourth, second, first, third)):
        assert read(f"{ANSWER}\n\n" + "\n".join(lines) + "\n\nAncien.") == ANSWER
    assert read(f"{ANSWER}\n\n{first}\n{second}\n{third}\nX-Suivi: 12\n{fourth}\n\nAncien.") == ANSWER


@pytest.mark.parametrize("language", LANGUAGES)
def test_separator(language: str) -> None:
    """A phrase between dashes ends the text, in bold too."""
    separator = LANGUAGES[language].separator

    assert read(f"{ANSWER}\n\n{separator}\nAncien.") == ANSWER
    assert read(f"{ANSWER}\n\n*{separator}*\n\nAncien.") == ANSWER


@pytest.mark.parametrize("language", LANGUAGES)
def test_endings(language: str) -> None:
    """A phone's line, a closing with its name and a legal notice are left out, alone and together."""
    _, _, _, phone, closing, notice, _ = LANGUAGES[language]

    for ending in (phone, closing, notice, f"{closing}\n\n{phone}", f"{closing}\n\n{notice}", f"{phone}\n\n{notice}"):
        assert read(f"{ANSWER}\n\n{ending}", is_reply=False) == ANSWER
    assert read(f"{notice}\n\n{ANSWER}", is_reply=False) == ANSWER


@pytest.mark.parametrize("language", LANGUAGES)
def test_forward(language: str) -> None:
    """The prefix of a forwarded mail goes, and under a word or two what is forwarded is read."""
    prefix = LANGUAGES[language].forward
    header = "\n".join(LANGUAGES[language].header)
    raw = f"Subject: {prefix}x\nContent-Type: text/plain; charset=utf-8\n\nVoilà.\n\n{header}\n\nIl ne s'allume plus."

    found = read_mail(raw.encode())

    assert (found.subject, found.body) == ("x", "Voilà.\n\nIl ne s'allume plus.")
    assert found.stripped.reads_below


OTHERS = [
    "Den man. 11. mar. 2024 kl. 17.40 skrev Bo <b@example.org>:",
    "pe 11. maaliskuuta 2024 klo 17.40 Aino <a@example.org> kirjoitti:",
    "W dniu 11 marca 2024 17:40 użytkownik Zoe <z@example.org> napisał:",
    "Dne 11.3.2024 v 17:40 Jan <j@example.org> napsal(a):",
    "пн, 11 мар. 2024 г. в 17:40, Иван <i@example.org>:",
    "2024年3月11日(月) 17:40 織田 <o@example.org>:",
    "在 2024年3月11日，17:40，张三 <z@example.org> 写道：",
    "11 Mart 2024 Pzt, 17:40 tarihinde Ali <a@example.org> şunu yazdı:",
    "În lun., 11 mar. 2024 la 17:40, Ion <i@example.org> a scris:",
    "Från: Bo <b@example.org>\nSkickat: den 11 mars 2024 17:40\nTill: C\nÄmne: x",
    "Od: Jan <j@example.org>\nWysłano: 11 marca 2024 17:40\nDo: C\nTemat: x",
    "发件人: 张三 <z@example.org>\n发送时间: 2024年3月11日 17:40\n收件人: C\n主题: x",
]


@pytest.mark.parametrize("introduction", OTHERS)
def test_other_languages_as_far_as_shapes_go(introduction: str) -> None:
    """A language that is data alone is known by its dates, addresses and "key: value" lines."""
    assert read(f"{ANSWER}\n\n{introduction}\n\nAncien.") == ANSWER


def test_words_are_lower_case_and_whole() -> None:
    """What lines are compared with can match: lower case, the straight apostrophe, no blank at an end."""
    found = words()
    phrases = [*found.roles, *found.original, *found.forwarded, *found.closings, *found.thanks, *found.greetings]

    assert phrases
    for phrase in [*phrases, *found.strong, *found.terms, *found.footers, *found.above]:
        assert phrase.strip() == phrase.rstrip() != ""
        assert phrase == phrase.lower()
        assert "\u2019" not in phrase
