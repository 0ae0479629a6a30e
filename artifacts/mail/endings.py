"""What stands at the ends of the author's text: signatures, legal notices, and lines that programs add.

In: lines with the labels of quotes.py. Out: the labels, with SIGNATURE and NOTICE where the author's text ends.

The idea: such lines stand at an end of the text, the top or the bottom, and are whole lines, so the search goes from
the ends inwards and stops at the first line that is the author's: a greeting, a question, a sentence in the first
person.
"Envoyé depuis le dépôt de Lille lundi, ..." begins like a phone's line and is none, since its words are no device's.

- "-- " with its blank begins a signature (RFC 3676), of any length; "Cordialement," with a name one near the end.
- A notice begins like one and holds two of its terms, one of them strong; it ends at a greeting, a rule, a new block or
  a line without a term.
- Below a closing, "label: value" lines, questions and sentences are the author's, unless they say how to reach
  somebody.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from artifacts.mail.lines import Label, Line, has_address, is_long_rule, key_of, says_something
from artifacts.mail.words import speaks, words

MAX_SIGNATURE_LINES = 15  # below a "Cordialement,"; more than that is text again
MAX_END_LINES = 80  # from an end that are searched for notices; a long one in two languages has 40
MAX_FOOTER_LINES = 8  # below the rule of a mailing list
MIN_NOTICE_CHARACTERS = 40  # of a notice's second paragraph; a name or a place is shorter
MAX_PROGRAM_CHARACTERS = 400  # of one line that a program writes
MAX_SENT_BY_WORDS = 12  # of a phone's line, behind "Sent from"
MIN_SENTENCE_WORDS = 8
MAX_LEAD_WORDS = 12  # of the line above a closing that belongs to it

_PIECE = re.compile(r"[,.;:!/&]+|\s[-\u2013\u2014|]\s|\s(?:et|and|und|y|e|en|och|og|i)\s")
_LINK = re.compile(r"<[^<>]*>|\(?https?://\S+|\[[^\[\]]*\]")
_ONLY_LINK = re.compile(r"[<(\[]?(?:https?://|www\.|#)\S+[>)\]]?")
# Under any label; "Commande : 12345678" is no number to call.
_PHONE = re.compile(r"[+(0][\d().\s/-]{7,}")
_WORD = re.compile(r"[^\s,.;:!?()\[\]<>\"|]+")
_PGP = "-----begin pgp "


def label_endings(lines: Sequence[Line], labels: list[Label]) -> None:
    """Label what stands at the ends of the author's lines, in place."""
    has_armour = False
    for place, line in enumerate(lines):
        if line.mark is Label.SIGNATURE and labels[place] is Label.OWN:
            labels[place] = Label.SIGNATURE
        if line.key[:5] == "-----" and line.key.startswith(_PGP):
            has_armour = True
    if has_armour:
        _label_armour(lines, labels)
    own = _own(lines, labels)
    own = _label_meeting(lines, labels, own)
    own = _label_top(lines, labels, own)
    own = _label_footer(lines, labels, own)
    # A signature may stand below a notice or above it: each makes the other the last.
    has_notice = _may_have_notice(lines, own)
    if has_notice:
        own = _label_bottom(lines, labels, own)
    num_left = len(own)
    own = _label_signature(lines, labels, own)
    if has_notice and len(own) < num_left and _may_have_notice(lines, own):
        num_left = len(own)
        own = _label_bottom(lines, labels, own)
        if len(own) < num_left:
            _label_signature(lines, labels, own)


def _own(lines: Sequence[Line], labels: Sequence[Label]) -> list[int]:
    return [place for place, line in enumerate(lines) if line.text and labels[place] is Label.OWN]


def _label_armour(lines: Sequence[Line], labels: list[Label]) -> None:
    """Label what PGP puts round a signed text: its header, and the signature to its end."""
    inside = ""
    for place, line in enumerate(lines):
        if line.key.startswith(_PGP):
            inside = "header" if "signed message" in line.key else "block"
        elif not inside:
            continue
        if labels[place] is Label.OWN and line.text:
            labels[place] = Label.SIGNATURE
        if (inside == "header" and not line.text) or line.key.startswith("-----end pgp "):
            inside = ""


def _label_meeting(lines: Sequence[Line], labels: list[Label], own: list[int]) -> list[int]:
    """Label the block by which a calendar invites: two of its lines near each other, to the rule or the end below."""
    meetings = words().meetings
    found = [rank for rank, place in enumerate(own) if lines[place].key.lstrip("*_ ") in meetings]
    near = [rank for rank, other in pairwise(found) if other - rank <= MAX_FOOTER_LINES]
    if not near:
        return own
    first, last = near[0], found[-1]
    if first and is_long_rule(lines[own[first - 1]].text):
        first -= 1
    while last + 1 < len(own) and own[last + 1] == own[last] + 1 and not is_long_rule(lines[own[last]].text):
        last += 1
    for place in own[first : last + 1]:
        labels[place] = Label.SIGNATURE
    return own[:first] + own[last + 1 :]


def _label_footer(lines: Sequence[Line], labels: list[Label], own: list[int]) -> list[int]:
    """Label what a mailing list adds: a rule, and a few lines that speak of the list, at the end."""
    last = own[-MAX_FOOTER_LINES:]
    for rank, place in enumerate(last):
        key = lines[place].key
        is_rule = len(key) >= 2 and not key[0].isalnum() and not says_something(key)
        if is_rule or (key in words().footer_starts and not speaks(key)):
            below = [lines[other].key for other in last[rank:]]
            if any(phrase in other for other in below for phrase in words().footers):
                for other_place in last[rank:]:
                    labels[other_place] = Label.SIGNATURE
                return own[: len(own) - len(last) + rank]
    return own


def _label_top(lines: Sequence[Line], labels: list[Label], own: list[int]) -> list[int]:
    """Label banners and programs' lines above the first line of the author's."""
    rank = 0
    while rank < min(len(own), MAX_END_LINES):
        key = _bare(lines[own[rank]].key)
        end = rank
        if _is_program(key):
            end = rank + 1
        elif key in words().notices or _saves_paper(key):
            end = _end_of_banner(lines, own, rank)
        elif rank and (not says_something(key) or _ONLY_LINK.fullmatch(key)):
            end = rank + 1  # the rule below a banner
        if end == rank:
            break
        for place in own[rank:end]:
            labels[place] = Label.NOTICE
        rank = end
    return own[rank:]


def _end_of_banner(lines: Sequence[Line], own: Sequence[int], first: int) -> int:
    """Return the end of the notice that begins at a line; `first` if it is none after all."""
    end = first + 1
    while end < len(own) and own[end] == own[end - 1] + 1:
        key = lines[own[end]].key
        if _is_author(key) or not says_something(key):
            break
        goes_on = not lines[own[end - 1]].text.endswith((".", "!", "?", ":")) and not lines[own[end]].text[0].isupper()
        if not goes_on and not any(term in key for term in words().terms):
            break
        end += 1
    text = " ".join(lines[place].key for place in own[first:end])
    return end if _is_notice(text) or _saves_paper(text) else first


def _may_have_notice(lines: Sequence[Line], own: Sequence[int]) -> bool:
    """Return whether a line begins like a notice or a program's, or something is said of paper: in most mails none."""
    keys = [_bare(lines[place].key) for place in own[-MAX_END_LINES:]]
    notices, programs = words().notices, words().programs
    if any(key in notices or key in programs for key in keys):
        return True
    whole = " ".join(keys)
    return _names_paper(whole)


def _label_bottom(lines: Sequence[Line], labels: list[Label], own: list[int]) -> list[int]:
    """Label notices and programs' lines below the last line of the author's, from the end upwards."""
    near = own[-MAX_END_LINES:]
    keys = [_bare(lines[place].key) for place in near]
    last = len(near)  # what is below is labelled
    text = ""
    for rank in range(len(near) - 1, -1, -1):
        key = keys[rank]
        if _is_author(key):
            break
        is_block = rank == 0 or near[rank - 1] != near[rank] - 1  # the first line of its paragraph
        text = f"{key} {text}" if text else key
        label = None
        if (key in words().notices and _is_notice(text)) or (is_block and _saves_paper(text)):
            label = Label.NOTICE
        elif _is_program(key) and all(
            _is_program(below) or _ONLY_LINK.fullmatch(below) or not says_something(below)
            for below in keys[rank + 1 : last]
        ):
            label = Label.SIGNATURE
        if label is not None:
            for place in near[rank:last]:
                labels[place] = label
            last, text = rank, ""
        elif is_block and says_something(text) and not _may_go_on(text):
            break
    return own[: len(own) - len(near) + last]


def _may_go_on(text: str) -> bool:
    """Return whether a paragraph may be a notice's second one, or a link below a program's line."""
    if len(text) < MIN_NOTICE_CHARACTERS:
        return _ONLY_LINK.fullmatch(text) is not None
    return _ONLY_LINK.fullmatch(text) is not None or any(term in text for term in words().terms)


def _is_author(key: str) -> bool:
    """Return whether a line is the author's own for sure: a greeting, a question, a sentence in the first person."""
    head = key.partition(",")[0].strip(" .!*_")
    if key.endswith("?") or head in words().greetings or words().postscript.match(key):
        return True
    return speaks(key)


def _is_notice(text: str) -> bool:
    """Return whether a text that begins like a notice holds two of its terms, of which one stands in no other text.

    "Attention :" begins what people write too, so a warning must speak of a mail, its sender or a click.
    """
    if _bare(text) in words().cautions and not any(word in text for word in words().of_mail):
        return False
    strong = next((term for term in words().strong if term in text), None)
    if strong is None or speaks(text) or text.endswith("?"):
        return False
    return any(term in text and term != strong for term in words().terms)


def _saves_paper(text: str) -> bool:
    """Return whether a text asks to save paper."""
    return len(text) <= MAX_PROGRAM_CHARACTERS and _names_paper(text) and not speaks(text)


def _names_paper(text: str) -> bool:
    """Return whether a text says both why and what not to print; a printer that is ill says no more than one."""
    if not any(stem in text for stem in words().prints):
        return False  # as most: five look-ups in place of fifty
    return any(phrase in text for phrase in words().printing) and any(phrase in text for phrase in words().paper)


def _is_program(key: str) -> bool:
    return len(key) <= MAX_PROGRAM_CHARACTERS and key in words().programs


def _bare(key: str) -> str:
    """Return a line without the stars, brackets and signs that programs put in front of a warning."""
    return key.lstrip("*_-\"'( \u00ab#\u26a0\ufe0f!>|")


def _label_signature(lines: Sequence[Line], labels: list[Label], own: list[int]) -> list[int]:
    """Label phones' lines, what stands under "-- ", and a closing with the name under it."""
    num_labelled = 0
    for rank, place in enumerate(own):
        if lines[place].is_dashes and rank:
            # To the next quote: below that is an answer.
            end = next((below for below in range(place, len(lines)) if labels[below] is Label.QUOTE), len(lines))
            for other in own[rank:]:
                if other < end:
                    labels[other] = Label.SIGNATURE
            num_labelled += 1
            break
    for rank in range(len(own) - 1, -1, -1):
        place = own[rank]
        if lines[place].key.lstrip("*_[( <") not in words().sent_by:
            continue
        is_last = (
            rank + 1 == len(own)
            or own[rank + 1] != place + 1
            or labels[place + 1] is Label.SIGNATURE
            or not says_something(lines[place + 1].text)  # the rule that Outlook draws above a quoted header
        )
        if is_last and _is_sent_by(lines[place]):
            labels[place] = Label.SIGNATURE
            num_labelled += 1
    if num_labelled:
        own = _own(lines, labels)
    # Only near the end is "--" or "Cordialement," a signature's beginning; elsewhere it is a line of the text.
    for rank in range(max(0, len(own) - MAX_SIGNATURE_LINES - 1), len(own)):
        if lines[own[rank]].text in ("--", "__", "- --") or _closes(lines[own[rank]]):  # PGP writes "- --"
            if rank and own[rank - 1] == own[rank] - 1 and _leads_to_closing(lines[own[rank - 1]]):
                labels[own[rank - 1]] = Label.SIGNATURE
            _label_below(lines, labels, own[rank:])
            return _own(lines, labels)
    return own


def _label_below(lines: Sequence[Line], labels: list[Label], own: Sequence[int]) -> None:
    """Label a closing and what is below it, to the first paragraph that is the author's again."""
    for rank, place in enumerate(own):
        is_block = rank > 0 and own[rank - 1] != place - 1
        if rank and (_is_sentence(lines, place, labels) or (is_block and _is_said(lines, own[rank:]))):
            return
        labels[place] = Label.SIGNATURE


def _is_said(lines: Sequence[Line], own: Sequence[int]) -> bool:
    """Return whether a paragraph below a closing is the author's: a postscript, a question, "label: value" lines."""
    for rank, place in enumerate(own):
        if rank and place != own[rank - 1] + 1:
            break
        key = lines[place].key
        if words().postscript.match(key) or (key.endswith("?") and len(key.split()) >= 3):
            return True
        label = key_of(key)
        value = key.partition(":")[2].strip() or key.partition("\uff1a")[2].strip()
        is_contact = words().contacts.match(label) or has_address(value) or value.startswith(("//", "www."))
        if label and value and not is_contact and not _PHONE.match(value):
            return True
    return False


def _is_sentence(lines: Sequence[Line], place: int, labels: Sequence[Label]) -> bool:
    """Return whether a sentence of eight words or more begins at this line's paragraph: no signature reads so."""
    if words().postscript.match(lines[place].key):
        return True
    if place and lines[place - 1].text and labels[place - 1] is Label.SIGNATURE:
        text = lines[place].text
        return len(text.split()) >= MIN_SENTENCE_WORDS and text.endswith((".", "!", "?"))
    found: list[str] = []
    for line in lines[place : place + 10]:
        if not line.text:
            break
        found += line.text.split()
    return len(found) >= MIN_SENTENCE_WORDS and found[-1].endswith((".", "!", "?")) and "@" not in " ".join(found)


def _is_sent_by(line: Line) -> bool:
    """Return whether a line is what a phone or a program adds below a text, whole: its words are names and devices."""
    key = line.key.lstrip("*_[( <")
    start = next((phrase for phrase in words().sent_by_phrases if key.startswith(phrase)), "")
    if len(key) > 160 or not start:
        return False
    rest = _LINK.sub(" ", line.text[len(line.key) - len(key) + len(start) :])
    excuse = min((at for phrase in words().excuses if (at := rest.lower().find(phrase)) > 0), default=len(rest))
    rest = rest[:excuse]
    found = _WORD.findall(rest)
    if not found:
        return start.endswith(":") or len(start.split()) > 1
    devices = words().device
    folded = [word.lower().strip("'*_-") for word in found]
    # "Sent from my TI-85": a thing of one's own with a name, whoever made it.
    is_after = folded[0] in words().possessives
    is_own = (is_after and len(found) > 1) or start.endswith(words().possessives)
    if len(found) > MAX_SENT_BY_WORDS or not (is_own or any(word in devices for word in folded)):
        return False
    if is_after:
        found, folded = found[1:], folded[1:]
    return all(
        word in devices or original[:1].isupper() or not word.isalpha()
        for word, original in zip(folded, found, strict=True)
    )


def _closes(line: Line) -> bool:
    """Return whether a line is a closing, alone or with a name: "Merci d'avance et bien cordialement, Jean Dupont"."""
    key = line.key.lstrip(" *_")
    if key not in words().closing_starts or len(line.text) > 120:
        return len(line.text) <= 250 and any(phrase in key for phrase in words().polite)
    pieces = [piece.strip(" *_") for piece in _PIECE.split(line.text) if piece.strip(" *_")]
    if not pieces:
        return False
    folded = [piece.lower() for piece in pieces]
    if key.strip(" *_,.!;") in words().closings or any(phrase in key for phrase in words().polite):
        return True  # also "thanks and regards", which would fall into pieces
    num_phrases = next((rank for rank, piece in enumerate(folded) if not _is_phrase(piece)), len(pieces))
    if any(_is_closing(piece) for piece in folded[:num_phrases]):
        return all(_is_name(piece) for piece in pieces[num_phrases:])
    # "Cordialement Jean Dupont", "Beste Grüße aus Bremen", but not "Best router ever" nor "Regards the invoice"
    found = pieces[0].split() if len(pieces) == 1 else []
    return any(
        (head := " ".join(found[:number]).lower()) not in words().exact
        and _is_closing(head)
        and _is_name(" ".join(found[number:]))
        for number in range(1, min(5, len(found)))
    )


def _leads_to_closing(line: Line) -> bool:
    """Return whether a line is the first half of a closing: "En vous remerciant de votre réponse," and no sentence."""
    return line.key.endswith(",") and line.key.startswith(words().waiting) and len(line.key.split()) <= MAX_LEAD_WORDS


def _is_phrase(piece: str) -> bool:
    return piece in words().thanks or piece.startswith(words().waiting) or _is_closing(piece)


def _is_closing(piece: str) -> bool:
    """Return whether a piece of a line is a closing, with the words that may stand round it."""
    if piece in words().exact:
        return True
    found = piece.split()
    if 2 <= len(found) <= 8 and not words().cores.isdisjoint(found) and words().closing_words.issuperset(found):
        return True  # "excellente fin de journée", which no list can have all of
    for _ in range(4):
        if piece in words().closings:
            return True
        if piece not in words().before_starts and piece.rpartition(" ")[2] not in words().after_ends:
            return False
        before = next((word for word in words().before if piece.startswith(word)), "")
        after = "" if before else next((word for word in words().after if piece.endswith(word)), "")
        if not before and not after:
            return False
        piece = piece[len(before) :] if before else piece[: -len(after)]
    return False


def _is_name(piece: str) -> bool:
    """Return whether at most four words all begin with a capital."""
    found = piece.split()
    return 0 < len(found) <= 4 and all(word[0].isupper() for word in found)
