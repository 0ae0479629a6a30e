"""Which lines of an e-mail its author wrote: not what is quoted, no signature, no legal notice.

In: the text of a mail, French or English, with a ">" where HTML marked a quote (message.py). Out: the author's own
lines, and how many others there were.

Each line gets a label: the author's own, the introduction of an earlier mail, quoted, signature or notice. Lines are
looked at one by one and a few times at most, with patterns that do not backtrack: anybody can send a mail, so nothing
here may be quadratic. Where a line could be either, it is the author's: a signature too many costs a few words of
noise, a sentence too few may cost the category. Why no library does this: docs/decisions/0008-reading-e-mail.md.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum

MAX_QUOTE_DEPTH = 10  # quotes within quotes that are opened to find a word
MAX_SIGNATURE_LINES = 15  # below a "Cordialement,"; more than that is text again

FORWARDED = (
    "forwarded message", "message transféré", "message réexpédié", "message transmis", "begin forwarded message",
    "début du message transféré", "début du message réexpédié", "courriel transféré", "fwd",
)  # fmt: skip
REPLIED = ("original message", "message d'origine", "message original", "courriel original", "message initial")
_WROTE = re.compile(r"(?:a écrit|wrote|a ecrit)\s?:$")
_WHEN = re.compile(r"\d{4}|\d{1,2}[:h]\d{2}|@")  # every program's attribution has a year, a time or an address
_INTRO_START = re.compile(r"(?:le|on|el)\b")
_HEADING = re.compile(
    r"\*{0,2}(?:(?P<sender>de|from|expéditeur)|(?P<sent>envoyé|envoyé le|sent|date|envoyée?)"
    r"|(?P<to>à|a|to|pour|destinataires?|cc|copie à|copie)|(?P<subject>objet|subject|sujet))\s?:(?!//)"
)
_ORANGE = re.compile(r"message du \d{1,2}/\d{1,2}/\d{2,4}")
_RULE = re.compile(r"[-_=*~#.\s>|]*")  # a line of these alone says nothing
TOOLS = (  # a line that a program adds by itself, with any end
    "envoyé de mon ", "envoyé depuis ", "envoyé à partir d", "envoyé avec ", "envoyé par mon ", "sent from ",
    "sent with ", "sent via ", "get outlook for", "obtenir outlook pour", "obtenez outlook pour",
    "télécharger outlook pour", "téléchargez outlook pour", "provenance : courrier", "provenance: courrier",
    "garanti sans virus", "sans virus.", "virus-free", "cet e-mail a été vérifié par le logiciel",
)  # fmt: skip
CLOSINGS = frozenset(
    """cordialement|bien cordialement|très cordialement|cordialement votre|cordialement vôtre|cdlt|cdt|bien cdlt|
    cordiales salutations|cordialement à vous|bien à vous|bien à toi|salutations|salutations distinguées|
    sincères salutations|meilleures salutations|mes salutations|mes salutations distinguées|mes sincères salutations|
    respectueusement|sincèrement|amicalement|bonne journée|bonne soirée|bonne fin de journée|bon week-end|
    bonne réception|bonne continuation|bonne journée à vous|bonne journée à tous|belle journée|excellente journée|
    best regards|kind regards|warm regards|with kind regards|regards|best wishes|best|sincerely|yours sincerely|
    sincerely yours|yours faithfully|yours truly|cheers|all the best|have a nice day|have a good day|
    respectfully""".replace("\n", "").replace("    ", "").split("|")
)  # fmt: skip
THANKS = frozenset(
    """merci|merci d'avance|merci par avance|merci beaucoup|avec mes remerciements|en vous remerciant|
    en vous remerciant par avance|vous en remerciant par avance|thanks|thank you|many thanks|
    thanks in advance|thank you in advance""".replace("\n", "").replace("    ", "").split("|")
)  # fmt: skip
POLITE = (
    "d'agréer", "veuillez agréer", "veuillez recevoir", "prie de croire", "prie de recevoir", "veuillez croire",
)  # fmt: skip
_PIECE = re.compile(r"[,.;:!/&]+|\s[-\u2013\u2014]\s|\s(?:et|and)\s")
_POSTSCRIPT = re.compile(r"p\.?\s?s\.?\s?[:,.\-]|p\.s\.|ps\s")

# A legal notice is a paragraph that begins like one and holds at least two of the terms; one alone is in many mails.
NOTICE_STARTS = (
    "ce message", "ce courriel", "ce courrier", "cet e-mail", "cet email", "ce mail", "le présent message",
    "les informations contenues", "l'information contenue", "le contenu de ce", "si vous n'êtes pas",
    "si vous avez reçu", "si ce message", "toute utilisation", "toute diffusion", "toute publication",
    "l'intégrité de ce message", "avis de confidentialité", "confidentialité", "avertissement", "attention :",
    "attention:", "pensez à l'environnement", "avant d'imprimer", "n'imprimez", "this message", "this e-mail",
    "this email", "this mail", "this communication", "this transmission", "the information contained",
    "the information in this", "the contents of this", "any unauthorized", "any unauthorised", "any views",
    "any dissemination", "if you are not", "if you have received", "if you received", "confidentiality", "confidential",
    "disclaimer", "caution", "warning", "please consider the environment", "think before you print", "[external",
    "privileged", "important notice", "legal notice", "messages are susceptible",
)  # fmt: skip
NOTICE_TERMS = (
    "confidenti", "destinataire", "pièces jointes", "pièce jointe", "exclusive", "diffusion", "divulg", "par erreur",
    "altér", "non autorisé", "interdit", "strictement", "responsabilité", "à l'intention", "environnement", "imprimer",
    "expéditeur", "l'extérieur", "externe", "liens", "virus", "privileg", "intended", "recipient", "attachment",
    "disclos", "distribut", "in error", "prohibited", "unauthori", "liab", "sender", "dissemin", "addressee", "notify",
    "outside", "external", "links", "environment", "printing", "print this", "solely", "delete", "détruire",
    "supprimer", "provient", "originated",
)  # fmt: skip

GREETINGS = frozenset(  # a forwarded mail under these alone is what the mail is about
    """bonjour|bonsoir|bonjour à tous|bonjour madame|bonjour monsieur|madame|monsieur|madame, monsieur|hello|hi|
    dear all|hi all|hi team|salut|pour info|pour information|fyi|for your information|pour suite à donner|
    pour traitement|
    ci-dessous|voir ci-dessous|cf ci-dessous|cf. ci-dessous|voir mail ci-dessous|see below|please see below|
    merci|thanks""".replace("\n", "").replace("    ", "").split("|")
)  # fmt: skip


class Label(Enum):
    """Whose a line is."""

    OWN = "own"
    INTRO = "intro"  # "Le 4 nov. 2024 à 10:12, Jean a écrit :", or the header of a forwarded mail
    QUOTE = "quote"
    SIGNATURE = "signature"
    NOTICE = "notice"


def num_lines(text: str) -> int:
    """Return how many lines are not blank."""
    return sum(1 for line in text.split("\n") if line.strip())


def own_text(own: str, everything: str, is_forward: bool) -> tuple[str, dict[Label, int]]:
    """Return the author's lines, or what stands in for them, and how many lines of each label were left out.

    Args:
        own: the text, with a line ">" where HTML marks a quote.
        everything: the text with those quotes in full; the same string if there is none.
        is_forward: the subject says so.
    """
    lines = _lines(own)
    labels, has_forward = _label(lines)
    counts = dict.fromkeys(Label, 0)
    for line, label in zip(lines, labels, strict=True):
        counts[label] += bool(line)
    counts[Label.QUOTE] += num_lines(everything) - num_lines(own)  # each mark counts for one line
    body = _tidy(line for line, label in zip(lines, labels, strict=True) if label is Label.OWN)
    is_forward = is_forward or has_forward or _label(_lines(everything))[1]
    if says_something(body) and not (is_forward and _only_greets(body)):
        return body, counts

    # Nothing of the author's own. First what was quoted or forwarded, without its own quotes; then what looked like a
    # signature; then a notice. Quotes within quotes go as deep as the one that says something.
    quoted = _quoted(_lines(everything))
    for _ in range(MAX_QUOTE_DEPTH):
        if not says_something("\n".join(quoted)):
            break
        inner, _ = _label(quoted)
        found = _tidy(line for line, label in zip(quoted, inner, strict=True) if label is Label.OWN)
        if says_something(found):
            counts[Label.QUOTE] = max(0, counts[Label.QUOTE] - num_lines(found))
            return _tidy([*body.split("\n"), "", *found.split("\n")]), counts
        quoted = _quoted(quoted)
    if says_something(body):
        return body, counts
    for label in (Label.SIGNATURE, Label.NOTICE, Label.QUOTE, Label.INTRO):
        found = _tidy(line for line, of in zip(lines, labels, strict=True) if of is label)
        if says_something(found):
            counts[label] = max(0, counts[label] - num_lines(found))
            return found, counts
    return "", counts


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n")]


def _tidy(lines: Iterable[str]) -> str:
    """Return lines as text, without rules at its ends and with one blank line where there were several."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    start, end = 0, len(kept)
    while start < end and not says_something(kept[start]):
        start += 1
    while end > start and not says_something(kept[end - 1]):
        end -= 1
    return "\n".join(kept[start:end])


def _only_greets(body: str) -> bool:
    """Return whether a body is nothing but "Bonjour, pour info :"."""
    pieces = (piece.strip() for line in body.split("\n") for piece in re.split("[,:;.!]", line.lower()))
    return all(piece in GREETINGS for piece in pieces if piece)


def _quoted(lines: Sequence[str]) -> list[str]:
    """Return what the lines quote, one level of ">" taken off, without the lines that introduce it."""
    labels, _ = _label(lines)
    inner = [line.removeprefix(">").lstrip() for line, label in zip(lines, labels, strict=True) if label is Label.QUOTE]
    next_line = _next_lines(inner)
    start = next_line[0]
    end = _end_of_headings([line[:300].lower() for line in inner], next_line, start)
    return inner[end:] if end - start >= 2 else inner


def _label(lines: Sequence[str]) -> tuple[list[Label], bool]:
    """Return whose each line is, and whether one says that a mail is forwarded. Looks at each line a few times."""
    keys = [line[:300].lower() for line in lines]
    labels, has_forward = _label_quotes(lines, keys)
    _label_notices(keys, labels)
    _label_signatures(lines, keys, labels)
    return labels, has_forward


def _label_quotes(lines: Sequence[str], keys: Sequence[str]) -> tuple[list[Label], bool]:
    """Label what earlier mails said. An introduction with ">" lines below ends with them, any other at the end."""
    labels = [Label.QUOTE if line.startswith(">") else Label.OWN for line in lines]
    next_line = _next_lines(lines)
    has_forward = False
    index = 0
    while index < len(lines):
        first, end, is_forward = index, index, False
        if labels[index] is Label.OWN and lines[index]:
            first, end, is_forward = _introduction(keys, labels, next_line, index)
        if end == index:
            index += 1
            continue
        has_forward = has_forward or is_forward
        for place in range(first, end):
            labels[place] = Label.INTRO
        below = next_line[end]
        if below == len(lines) or labels[below] is not Label.QUOTE:
            labels[end:] = [Label.QUOTE] * (len(lines) - end)
            break
        index = end
    return labels, has_forward


def _next_lines(lines: Sequence[str]) -> list[int]:
    """Return for each line, and for the end, the first line from there on that is not blank."""
    next_line = [len(lines)] * (len(lines) + 1)
    for index in range(len(lines) - 1, -1, -1):
        next_line[index] = index if lines[index] else next_line[index + 1]
    return next_line


def _introduction(
    keys: Sequence[str], labels: Sequence[Label], next_line: Sequence[int], index: int
) -> tuple[int, int, bool]:
    """Return the first line and the end of the introduction that line `index` shows, and whether it forwards.

    The end is `index` if the line shows none.
    """
    key = keys[index]
    if _WROTE.search(key):  # programs break this line into up to three
        first = index
        for back in range(index, max(-1, index - 3), -1):
            if not keys[back] or labels[back] is not Label.OWN:
                break
            if _INTRO_START.match(keys[back]):
                first = back
                break
        if _WHEN.search(" ".join(keys[first : index + 1])):
            return first, index + 1, False
    bare = key.strip("-_*= :")
    if bare in FORWARDED or bare in REPLIED:
        is_marked = key.startswith("--") or key.endswith(":") or key.startswith("__")
        if is_marked:
            return index, _end_of_headings(keys, next_line, index + 1), bare in FORWARDED
    if _ORANGE.match(key) or ((heading := _HEADING.match(key)) and heading["sender"]):
        start = index + bool(_ORANGE.match(key))
        end, names = start, set[str]()
        for _ in range(8):  # a list of recipients may go over a few lines
            end = next_line[min(end, len(keys))]
            if end == len(keys):
                break
            if match := _HEADING.match(keys[end]):
                names.add(match.lastgroup or "")
            end += 1
        # "De : Paris, À : Lyon, Date : lundi" is a ticket about a journey: a mail's header has a subject or an address.
        if {"sender"} < names and len(names) >= 3 and ("subject" in names or "@" in key):
            return index, _end_of_headings(keys, next_line, start), False
    return index, index, False


def _end_of_headings(keys: Sequence[str], next_line: Sequence[int], start: int) -> int:
    """Return the line after the "De :", "Objet :" and so on that begin at `start`; `start` if there are none."""
    end = start
    for _ in range(8):
        place = next_line[min(end, len(keys))]
        if place == len(keys) or not _HEADING.match(keys[place]):
            break
        end = place + 1
    return end


def _label_notices(keys: Sequence[str], labels: list[Label]) -> None:
    """Label legal notices: from a line that begins like one to the end of its paragraph, if it sounds like one."""
    index = 0
    while index < len(keys):
        start = keys[index].lstrip("*_-\"'( «#") if labels[index] is Label.OWN else ""
        end = index + 1
        if start.startswith(NOTICE_STARTS):
            while end < len(keys) and keys[end] and labels[end] is Label.OWN and end < index + 40:
                end += 1
            paragraph = " ".join(keys[index:end])
            if sum(term in paragraph for term in NOTICE_TERMS) >= 2:
                labels[index:end] = [Label.NOTICE] * (end - index)
        index = end


def _label_signatures(lines: Sequence[str], keys: Sequence[str], labels: list[Label]) -> None:
    """Label what a program adds, what stands under "-- ", and a closing with the name under it."""
    for index, key in enumerate(keys):
        if labels[index] is Label.OWN and len(key) <= 120 and key.startswith(TOOLS):
            labels[index] = Label.SIGNATURE
    own = [index for index, label in enumerate(labels) if label is Label.OWN and lines[index]]
    # Only near the end is "--" or "Cordialement," a signature's beginning; elsewhere it is a line of the text.
    for rank in range(max(0, len(own) - MAX_SIGNATURE_LINES - 1), len(own)):
        index = own[rank]
        if lines[index] != "--" and not _closes(lines[index]):
            continue
        for place in own[rank:]:
            if place != index and (_POSTSCRIPT.match(keys[place]) or _is_prose(lines, labels, place)):
                return
            labels[place] = Label.SIGNATURE
        return


def _closes(line: str) -> bool:
    """Return whether a line is a closing, alone or with a name: "Merci d'avance et bien cordialement, Jean Dupont"."""
    key = line.lower()
    if any(words in key for words in POLITE):
        return len(line) <= 250
    if len(line) > 100:
        return False
    pieces = [piece.strip() for piece in _PIECE.split(line) if piece.strip()]
    folded = [piece.lower() for piece in pieces]
    num_phrases = next((i for i, piece in enumerate(folded) if piece not in CLOSINGS | THANKS), len(pieces))
    if any(piece in CLOSINGS for piece in folded[:num_phrases]):
        return all(_is_name(piece) for piece in pieces[num_phrases:])
    # "Cordialement Jean Dupont", but not "Best router ever" nor "Regards the invoice"
    words = pieces[0].split() if len(pieces) == 1 else []
    return any(" ".join(words[:n]).lower() in CLOSINGS - {"best"} and _is_name(" ".join(words[n:])) for n in (1, 2, 3))


def _is_name(piece: str) -> bool:
    """Return whether at most four words all begin with a capital."""
    words = piece.split()
    return 0 < len(words) <= 4 and all(word[0].isupper() for word in words)


def _is_prose(lines: Sequence[str], labels: Sequence[Label], place: int) -> bool:
    """Return whether a sentence of eight words or more begins at this line's paragraph: no signature reads so."""
    if place and lines[place - 1] and labels[place - 1] is Label.SIGNATURE:
        return len(lines[place].split()) >= 8 and lines[place].endswith((".", "!", "?"))
    words: list[str] = []
    for line in lines[place : place + 10]:
        if not line:
            break
        words += line.split()
    return len(words) >= 8 and words[-1].endswith((".", "!", "?")) and "@" not in " ".join(words)


def says_something(text: str) -> bool:
    """Return whether a text is more than rules and blanks."""
    return _RULE.fullmatch(text) is None
