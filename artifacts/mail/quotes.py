"""Which lines are of earlier mails: quotes, and what introduces them.

In: lines, and whether the message's header says that it answers or forwards. Out: a label for each line.

The idea: an introduction is known by its shape, so that a language needs few words:

- an attribution has a date or an address, a verb or none, and a colon, within four lines
  ("Le lun. 4 nov. 2024 à 10:12, Jean <j@x.example> a écrit :");
- a header is three or more "key: value" lines in any order, with wrapped values and unknown keys among them;
- a separator is a phrase between dashes ("----- Message d'origine -----").

A person may write such lines too. So without evidence of a reply (the message's header, or a shape that no person
types: an address and a time) a ">", a "De : ... À : ..." and "a écrit :" are the author's. Even in a reply a weak
header is, below a line such as "La fiche à créer :". In doubt a line is the author's: a quote too many costs a few
words of noise, a sentence too few may cost the category. Each line is looked at a few times at most, by patterns that
do not backtrack: anybody can send a mail.
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from artifacts.mail.lines import (
    MAX_KEY_CHARACTERS,
    Label,
    Line,
    has_address,
    has_clock,
    has_date,
    is_quote_sign,
    key_of,
    line_of,
    next_lines,
    unquoted,
)
from artifacts.mail.words import speaks, words

_INLINE_KEY = re.compile(r"\s([^\W\d_]{2,12})\s?:(?=\s)")
_UNTIL_DIGIT = re.compile(r"\A\D*+")
_COLONS = (":", "\uff1a")
_ENDS = (*_COLONS, ">", "-", "_", "*")  # of an attribution
MAX_ATTRIBUTION_LINES = 4
MAX_ATTRIBUTION_CHARACTERS = 500
MAX_SHORT_CHARACTERS = 120  # of an attribution that is known by the quote below it alone
MAX_DATED_CHARACTERS = 60  # of "Message du 04/11/24 10:12"
MAX_ABOVE_CHARACTERS = 80  # of "reply above this line" without signs round it
MAX_HEADER_LINES = 60  # of a quoted mail; a list of recipients goes over many
MAX_WRAPPED_LINES = 40  # of one value
MAX_RUN_LINES = 12  # of a run of ">" lines that are searched for a mail's introduction


class Proof(IntEnum):
    """How sure it is that an earlier mail is below."""

    NONE = 0
    IN_A_REPLY = 1  # in a message that answers or forwards; elsewhere a person may have typed it
    ANYWHERE = 2


class Intro(NamedTuple):
    """Lines `first` to `end` (without) introduce an earlier mail."""

    first: int
    end: int
    is_forward: bool = False


def unglue(lines: Sequence[Line]) -> list[Line]:
    """Return the lines, with an attribution that stands behind the author's words on a line of its own.

    "Yes. On Mon, 4 Nov 2024 at 10:12, Al <al@x.example> wrote:" is what some programs make of a reply of one line.
    """
    found = list(lines)
    # From the end: a line that becomes two moves none that is still to be looked at.
    for end in [place for place, line in enumerate(lines) if line.key[-1:] in _COLONS and line.key][::-1]:
        for place in range(end, max(-1, end - MAX_ATTRIBUTION_LINES), -1):
            line = lines[place]
            if not line.text or line.depth or line.text.startswith(">") or len(line.text) > MAX_ATTRIBUTION_CHARACTERS:
                break
            match = words().glued.search(line.text)
            if match is None:
                continue
            text = " ".join([line.text[match.start(1) :].lower(), *(more.key for more in lines[place + 1 : end + 1])])
            if _proof_of_attribution(text, False) is Proof.ANYWHERE:
                before, after = line.text[: match.start()].rstrip(" -"), line.text[match.start(1) :]
                found[place : place + 1] = [line_of(before), line_of(after)]
            break
    return found


def label_quotes(lines: Sequence[Line], is_reply: bool) -> tuple[list[Label], bool]:
    """Return whose each line is, as far as earlier mails go, and whether one says that a mail is forwarded."""
    whole = "\n".join(line.key for line in lines)
    has_above = any(phrase in whole for phrase in words().above)
    reader = _Reader(lines, is_reply, has_above)
    reader.label()
    if reader.has_proof and not is_reply:  # the text itself is the evidence: what is weak alone counts now
        if reader.is_doubtful:
            reader = _Reader(lines, True, has_above)
            reader.label()
        elif reader.has_signs:
            reader.labels = [
                Label.QUOTE if weak and label is Label.OWN else label
                for label, weak in zip(reader.labels, reader.is_weak, strict=True)
            ]
    return reader.labels, reader.has_forward


def without_introduction(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the lines of a quote without what introduces it, if it stands within: a header, an attribution."""
    reader = _Reader(lines, True)
    reader.is_weak, reader.labels = [False] * len(lines), [Label.OWN] * len(lines)
    start = reader.next_line[0]
    for place in range(start, min(len(lines), start + MAX_ATTRIBUTION_LINES)):
        intro = reader.introduction(place) if lines[place].text else None
        if intro is not None and intro.first == start:
            return lines[intro.end :]
    end, _, _ = reader.header(start)
    return lines[end:] if end >= start + 2 else lines


class _Reader:
    """Finds the introductions in lines and labels what they introduce; holds what every step needs."""

    def __init__(self, lines: Sequence[Line], is_reply: bool, has_above: bool = False) -> None:
        self.lines = lines
        self.is_reply = is_reply
        self.has_above = has_above  # a line says "reply above this line", perhaps without a sign in front
        # Lines that a ">" or a bare <blockquote> marks: quotes in a reply, elsewhere perhaps the author's.
        self.is_weak = [False] * len(lines)
        self.labels = [Label.OWN] * len(lines)
        self.has_marks = False  # of HTML
        for place, line in enumerate(lines):
            if line.text[:1] == ">" and is_quote_sign(lines, place):
                self.is_weak[place] = not _is_arrowed(lines, place)
            elif line.depth or line.mark is not Label.OWN:
                self.is_weak[place] = line.is_bare
                self.has_marks = True
                if line.depth and not line.is_bare:
                    self.labels[place] = Label.QUOTE
                elif line.mark is not Label.SIGNATURE:
                    self.labels[place] = line.mark
            if is_reply and self.is_weak[place]:
                self.labels[place] = Label.QUOTE
        self.has_signs = True in self.is_weak
        self.next_line = next_lines(lines)
        self.has_forward = False
        self.has_proof = False  # that there is an earlier mail
        self.is_doubtful = False  # a line was left to the author that would introduce a mail in a reply
        self.num_read = 0  # lines that are in no header: read before, so that no block is read from each of its lines

    def label(self) -> None:
        """Label all lines: an introduction with ">" lines below ends with them, any other at the end."""
        lines, labels = self.lines, self.labels
        if self.has_marks:
            self.has_forward = _is_forwarded_by_html(lines)
            self.has_proof = any(label is not Label.OWN for label in labels)
        if self.has_signs and not self.is_reply:
            self.prove_runs()
        place = 0
        while place < len(lines):
            line = lines[place]
            if line.mark is Label.QUOTE and not line.text:
                labels[place:] = [Label.QUOTE] * (len(lines) - place)  # HTML says that the rest is an earlier mail
                return
            if not line.text or labels[place] is not Label.OWN or self.is_weak[place]:
                place += 1
                continue
            intro = self.introduction(place)
            if intro is None:
                place += 1
                continue
            self.has_forward = self.has_forward or intro.is_forward
            self.has_proof = True
            labels[intro.first : intro.end] = [Label.INTRO] * (intro.end - intro.first)
            below = self.next_line[intro.end]
            if below == len(lines) or not (self.is_weak[below] or labels[below] is Label.QUOTE):
                labels[intro.end :] = [Label.QUOTE] * (len(lines) - intro.end)
                return
            while below < len(lines) and (self.is_weak[below] or not lines[below].text):
                labels[below] = Label.QUOTE if self.is_weak[below] else labels[below]
                below += 1
            place = intro.end  # the marks say where the quote ends

    def prove_runs(self) -> None:
        """Label the runs of ">" lines in which a mail's introduction stands."""
        place = 0
        while place < len(self.lines):
            end = place
            while end < len(self.lines) and self.is_weak[end]:
                end += 1
            if end > place:
                inner = [unquoted(line) for line in self.lines[place : min(end, place + MAX_RUN_LINES)]]
                reader = _Reader(inner, False)
                if any(
                    reader.introduction(at) for at, line in enumerate(inner) if line.text and not reader.is_weak[at]
                ):
                    self.labels[place:end] = [Label.QUOTE] * (end - place)
                    self.has_proof = True
            place = end + 1

    def introduction(self, place: int) -> Intro | None:
        """Return the introduction that ends or begins at a line, if it shows one."""
        key = self.lines[place].key
        if key.endswith(_ENDS) or key[:-13:-1] in words().wrote_ends:
            first = self.attribution(place)
            if first is not None:
                return Intro(first, place + 1)
        separator = _separator(key) if self.has_separator(key) else ""
        if separator:
            end, proof, _ = self.header(place + 1)
            if separator != "dated" or self.holds(proof):
                return Intro(place, end, separator == "forwarded")
        if place >= self.num_read and key_of(key) in words().roles:
            end, proof, last = self.header(place)
            self.num_read = last
            if self.holds(proof) and (proof is Proof.ANYWHERE or not self.is_announced(place)):
                return Intro(place, end)
        return None

    def holds(self, proof: Proof) -> bool:
        """Return whether what was found is enough here."""
        if proof is Proof.IN_A_REPLY and not self.is_reply:
            self.is_doubtful = True
        return proof is Proof.ANYWHERE or (proof is Proof.IN_A_REPLY and self.is_reply)

    def is_announced(self, place: int) -> bool:
        """Return whether the author's line above a line says that something of the author's follows: "La fiche :"."""
        above = next((line for line in reversed(self.lines[max(0, place - 2) : place]) if line.text), None)
        return above is not None and above.text.endswith(_COLONS)

    def has_separator(self, key: str) -> bool:
        """Return whether a line may separate: most may not, and are not compared with the phrases that do."""
        return not key[0].isalnum() or key.endswith(_COLONS) or key in words().dated or self.has_above or "---" in key

    def attribution(self, place: int) -> int | None:
        """Return the first line of the attribution that ends at a line; None if none does."""
        below = self.next_line[place + 1]
        is_quoted = below < len(self.lines) and (self.is_weak[below] or self.labels[below] is Label.QUOTE)
        nearest = begun = None
        text = ""
        for first in range(place, max(-1, place - MAX_ATTRIBUTION_LINES), -1):
            line = self.lines[first]
            if not line.text or self.labels[first] is not Label.OWN or (first < place and self.is_weak[first]):
                break
            text = f"{line.key} {text}" if text else line.key
            if len(text) > MAX_ATTRIBUTION_CHARACTERS:
                break
            # "2024-03-11 17:40 GMT+01:00 Paul" begins one, the "416ffd@mail.example> wrote:" of a broken line does not
            is_begun = words().begins.match(line.key) is not None or (
                line.key[:1].isdigit() and (has_date(line.key[:40]) or has_clock(line.key[:40]))
            )
            proof = _proof_of_attribution(text, is_quoted, is_begun)
            if self.holds(proof):
                if words().begins.match(line.key):
                    return first
                begun = first if is_begun else begun
                nearest = first if nearest is None else nearest
        return nearest if begun is None else begun

    def header(self, start: int) -> tuple[int, Proof, int]:
        """Return the end of the header of a mail that begins at a line, what it proves, and how far was read.

        The end is `start` if there is no "key: value" line.
        """
        roles: dict[str, str] = {}
        text: list[str] = []
        end = place = self.next_line[min(start, len(self.lines))]
        if place >= start + 3:
            return start, Proof.NONE, start
        while place < len(self.lines) and place < start + MAX_HEADER_LINES:
            line = self.lines[place]
            if self.is_weak[place]:
                break
            key = key_of(line.key)
            role = words().roles.get(key, "")
            if role == "sender" and role in roles:
                break  # the next mail's
            if role:
                roles.setdefault(role, key)
                # "Date: ... From: ... To: ... Subject: ...", which a program has put on one line
                for match in _INLINE_KEY.finditer(line.key):
                    if match[1] in words().roles:
                        roles.setdefault(words().roles[match[1]], match[1])
                text.append(line.key)
                end = place + 1
                place = self.next_line[place + 1]
                continue
            wrapped = self.wrapped(place, end)
            if wrapped == place:
                break
            text += [more.key for more in self.lines[place:wrapped]]
            end = wrapped
            place = self.next_line[wrapped]
        if not roles:
            return start, Proof.NONE, max(end, start + 1)
        return end, _proof_of_header(roles, " ".join(text)), max(end, start + 1)

    def wrapped(self, place: int, end: int) -> int:
        """Return the end of the lines that continue a value, or have an unknown key, within a header."""
        last = place
        while last < len(self.lines) and last < place + MAX_WRAPPED_LINES:
            line = self.lines[last]
            if not line.text:
                break
            role = words().roles.get(key_of(line.key))
            if role is not None:
                return last  # a known key below: what is above belongs to the header
            last += 1
        # At the end of the header: a list that goes on, or a line that is indented.
        if place != end:
            return place
        last = place
        while last < len(self.lines) and last < place + MAX_WRAPPED_LINES and self.lines[last].text:
            above = self.lines[last - 1].text
            if not (above.endswith((",", ";", "<")) or self.lines[last].is_indented):
                break
            last += 1
        return last


def _is_forwarded_by_html(lines: Sequence[Line]) -> bool:
    """Return whether a quote of HTML begins with the separator of a forwarded mail."""
    was_inside = False
    for line in lines:
        if line.text:
            is_inside = line.depth > 0 or line.mark is Label.INTRO
            if is_inside and not was_inside and _separator(line.key) == "forwarded":
                return True
            was_inside = is_inside
    return False


def _is_arrowed(lines: Sequence[Line], place: int) -> bool:
    """Return whether GroupWise introduces a mail: one line of three arrows, and no quoted line next to it."""
    text = lines[place].text
    if not text.startswith(">>>") or not text.endswith((">>>", ":")):
        return False
    near = (*lines[max(0, place - 1) : place], *lines[place + 1 : place + 2])
    if any(line.text.startswith(">") for line in near):
        return False
    return has_clock(text) and has_date(text) and has_address(text)


def _separator(key: str) -> str:
    """Return "original", "forwarded" or "above" if a line separates an earlier mail from what is above it, else "".

    "dated": it does if the header of a mail is below it.
    """
    bare = key.strip("-\u2013\u2014_*=#+ :>\u00b7\uff1a[]")
    core = key.strip("*> ")
    is_marked = core.startswith(("--", "__", "==", "\u2014", "\u2013", "[")) or core.endswith((*_COLONS, "--"))
    if is_marked and (bare in words().forwarded or bare in words().original):
        return "forwarded" if bare in words().forwarded else "original"
    # "----- Forwarded by Jean Dupont/Ventes on 11/03/2024 17:40 -----", as Lotus Notes writes it
    if core[:2] == "--" == core[-2:] and bare in words().separators:
        return "forwarded" if any(bare.startswith(phrase) for phrase in words().forwarded) else "original"
    # "##- Please type your reply above this line -##": with signs round it, or alone
    if any(phrase in key for phrase in words().above) and (
        not key[0].isalnum() or (len(key) <= MAX_ABOVE_CHARACTERS and key[-1] != "?")
    ):
        return "above"
    # ">>> Jean Dupont <j@x.example> 11/03/2024 17:40 >>>", as GroupWise writes it; `_is_arrowed` looked round it
    if key.startswith(">>>") and has_clock(key) and has_date(key) and has_address(key):
        return "original"
    # "Jean Dupont ---11/03/2024 17:40:12---Bonjour, ...", as Lotus Notes writes it
    rules = key.split("---", 2)
    if len(rules) == 3 and len(rules[1]) <= MAX_DATED_CHARACTERS and has_clock(rules[1]) and has_date(rules[1]):
        return "dated"
    # "Message du 04/11/24 10:12", as Orange writes it
    if key in words().dated and has_date(key) and len(key) <= MAX_DATED_CHARACTERS and key[-1] not in ".?":
        return "original"
    return ""


def _proof_of_attribution(text: str, is_quoted: bool, is_begun: bool = True) -> Proof:
    """Return what a text proves as an attribution.

    Args:
        text: up to four lines, joined, in lower case.
        is_quoted: the line below them is marked as a quote.
        is_begun: it begins like an attribution.
    """
    is_closed = text.endswith((":", "\uff1a", ":*", ": *"))
    is_dashed = text.startswith("--") and text.endswith(("--", "__"))
    if not (is_closed or is_dashed or is_quoted) or len(text) > MAX_ATTRIBUTION_CHARACTERS:
        return Proof.NONE
    date, clock, address = has_date(text), has_clock(text), has_address(text)
    if not (date or clock or address or is_dashed or is_quoted):
        return Proof.NONE
    if words().wrote.search(text) is None:
        # "2024-03-11 17:40 GMT+01:00 Paul Marin <p@x.example>:"
        if address and is_begun and (date or clock) and len(text) <= MAX_KEY_CHARACTERS and not is_dashed:
            return Proof.ANYWHERE if is_quoted or (date and clock and is_closed) else Proof.IN_A_REPLY
        # "Paul Marin, le 11/03/2024 17:40 :" or "Quoting Paul Marin <p@x.example>:" right above ">" lines
        is_named = is_quoted and is_closed and len(text) <= MAX_SHORT_CHARACTERS and not speaks(text)
        return Proof.IN_A_REPLY if is_named and (address or (date and clock)) else Proof.NONE
    if not is_begun and speaks(text):
        return Proof.NONE  # "je vous ai écrit le 4 novembre à 10:12 :"
    # "On 4 November at 10:12 I sent the following:"; the day is left out, since "mon" is "my" in French.
    if not (address or is_quoted or is_dashed) and speaks(_UNTIL_DIGIT.sub("", text, 1)):
        return Proof.NONE
    if (date or clock) and (address or is_dashed):
        return Proof.ANYWHERE
    if is_quoted and (address or (date and clock and is_begun)):
        return Proof.ANYWHERE
    if is_dashed or date or clock or address:
        return Proof.IN_A_REPLY
    # "Jean Dupont a écrit :" right above ">" lines
    return Proof.IN_A_REPLY if is_quoted and len(text) <= MAX_SHORT_CHARACTERS else Proof.NONE


def _proof_of_header(roles: dict[str, str], text: str) -> Proof:
    """Return what the keys and values of "key: value" lines prove: a form that a person fills in has such lines too."""
    main = roles.keys() - {"other"}
    address, clock = has_address(text), has_clock(text)
    if len(main) == 4 and roles["sent"] in words().mail_only:
        return Proof.ANYWHERE
    if len(main) >= 3 and address and clock:
        return Proof.ANYWHERE
    # A time alone proves nothing: a journey has "De : Paris", "À : Rome" and "Date : 11/03/2024 17:40" too.
    is_timed = clock and roles.get("sent") in words().mail_only
    if len(main) >= 3 and "sender" in main and ("subject" in main or address or is_timed):
        return Proof.IN_A_REPLY
    if len(main) == 2 and (("sent" in main and (address or is_timed)) or ("sender" in main and address)):
        return Proof.IN_A_REPLY
    return Proof.NONE
