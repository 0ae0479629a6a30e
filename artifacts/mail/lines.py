"""From a text to its lines, and what the shape of one line says in any language.

In: the characters of a plain part (parts.py), or what markup.py made of HTML, in which a mark stands on a line of its
own wherever the HTML says where a quote or a signature begins and ends. Out: a list of `Line`, each with what was
round it; quotes.py and endings.py then give each a `Label`.

The idea: blanks are folded for whoever compares words, but what they said is kept beside the text: that a line was
indented (a wrapped header), that it was "-- " with its blank (a signature, RFC 3676), that its ">" is the author's own
(RFC 3676 stuffs such a line with a blank, a mailbox file stuffs "From " with a ">").
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

MAX_KEY_CHARACTERS = 300  # of a line that is compared with words; no attribution is longer
MAX_ROLE_CHARACTERS = 32  # of the key in "key: value"

# Private characters of Unicode, alone on a line: what HTML says about the lines between two of them.
QUOTE_OPEN, QUOTE_CLOSE = "\ue000", "\ue001"
BARE_OPEN, BARE_CLOSE = "\ue002", "\ue003"  # a <blockquote> of which nothing says that a mail program wrote it
INTRO_OPEN, INTRO_CLOSE = "\ue004", "\ue005"
SIGNATURE_OPEN, SIGNATURE_CLOSE = "\ue006", "\ue007"
REST = "\ue008"  # all that follows is an earlier mail
MARKS = dict.fromkeys(range(0xE000, 0xE009))  # for str.translate: decoding.py drops those that a mail brings
_MARK = re.compile("([\ue000-\ue008])")

_RULE = re.compile(r"[-\u2010-\u2015_=*~#.\s>|]*")  # a line of these alone says nothing
_LONG_RULE = re.compile(r"[-\u2013\u2014_=*~]{5,}")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)|(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?!\d)|\d\u5e74|\d\ub144")
# "17:40", "17 h 40", "17.40", but not the "12.03" of "12.03.2024"
_CLOCK = re.compile(r"(?<!\d)(?<!\d\.)\d{1,2}(?:\s?[:h]\s?\d{2}(?!\d)|\.\d{2}(?!\d|\.\d))")
_ADDRESS = re.compile(r"[^\s<>@]@[^\s<>@]|<\s?mailto:|<[^<>\s]{0,200}>")


class Label(Enum):
    """Whose a line is."""

    OWN = "own"
    INTRO = "intro"  # "Le 4 nov. 2024 à 10:12, Jean a écrit :", or the header of a quoted mail
    QUOTE = "quote"
    SIGNATURE = "signature"  # with closings, and what programs add
    NOTICE = "notice"


class Line(NamedTuple):
    """One line.

    Attributes:
        text: without blanks at its ends or two in a row.
        key: the text in lower case, cut: to be compared with words.
        depth: how many quotes of HTML are round it.
        mark: what HTML says of it (INTRO, SIGNATURE, QUOTE for all that follows), else OWN.
        is_bare: nothing but bare <blockquote>s are round it, which may be the author's.
        is_stuffed: its ">" is the author's own.
        is_indented: it began with a blank.
        is_dashes: it is "-- ", which begins a signature and nothing else.
    """

    text: str
    key: str
    depth: int = 0
    mark: Label = Label.OWN
    is_bare: bool = False
    is_stuffed: bool = False
    is_indented: bool = False
    is_dashes: bool = False


def line_of(text: str) -> Line:
    """Return a line of text that has no blanks at its ends."""
    return Line(text, text[:MAX_KEY_CHARACTERS].lower())


def split_plain(text: str, is_flowed: bool = False) -> list[Line]:
    """Return the lines of plain text; `is_flowed`: as RFC 3676 wraps and stuffs them."""
    raws = text.split("\n")
    lines = []
    for place, raw in enumerate(raws):
        folded = " ".join(raw.split())
        is_indented = raw[:1] == " "
        is_stuffed = False
        if folded[:1] == ">":
            is_stuffed = is_flowed and is_indented
            # ">From" alone among lines without a mark: a mailbox file escaped it, nobody is quoted.
            if raw.startswith(">From ") and not any(near.startswith(">") for near in _neighbours(raws, place)):
                folded = folded[1:]
        lines.append(
            Line(
                folded, folded[:MAX_KEY_CHARACTERS].lower(), 0, Label.OWN, False, is_stuffed, is_indented, raw == "-- "
            )
        )
    return lines


def _neighbours(raws: Sequence[str], place: int) -> tuple[str, ...]:
    return (*raws[max(0, place - 1) : place], *raws[place + 1 : place + 2])


def split_marked(text: str) -> list[Line]:
    """Return the lines of what markup.py made of HTML: the marks are gone, and what they said is in the lines."""
    lines: list[Line] = []
    num_quotes = num_bare = 0
    mark = Label.OWN
    # In a table a mark may stand on the line of a cell: it gets its own line first.
    for raw in _MARK.sub(r"\n\1\n", text).split("\n"):
        folded = " ".join(raw.split())
        if len(folded) == 1 and "\ue000" <= folded <= REST:
            if folded in (QUOTE_OPEN, QUOTE_CLOSE):
                num_quotes = max(0, num_quotes + (1 if folded == QUOTE_OPEN else -1))
            elif folded in (BARE_OPEN, BARE_CLOSE):
                num_bare = max(0, num_bare + (1 if folded == BARE_OPEN else -1))
            elif folded == REST:
                lines.append(Line("", "", mark=Label.QUOTE))
            else:
                mark = {INTRO_OPEN: Label.INTRO, SIGNATURE_OPEN: Label.SIGNATURE}.get(folded, Label.OWN)
            continue
        is_dashes = folded == "--"  # HTML keeps no blank at the end of a line
        of = Label.OWN if is_dashes and mark is Label.SIGNATURE else mark  # more may be below than what is marked
        depth = num_quotes + num_bare
        lines.append(
            Line(
                folded, folded[:MAX_KEY_CHARACTERS].lower(), depth, of, num_bare > 0 and num_quotes == 0, False,
                False, is_dashes,
            )
        )  # fmt: skip
    return lines


def is_quote_sign(lines: Sequence[Line], place: int) -> bool:
    """Return whether a line begins with the ">" of a quote, and not with the end of a link that was broken in two."""
    line = lines[place]
    if not line.text.startswith(">") or line.is_stuffed:
        return False
    above = lines[place - 1].text if place else ""
    if above.startswith(">"):
        return True
    if place > 1 and "<" not in above:
        above = lines[place - 2].text + above
    return above.rfind("<") <= above.rfind(">")


def unquoted(line: Line) -> Line:
    """Return a line of a quote without one level of it."""
    if line.depth > 1:
        return line._replace(depth=line.depth - 1)
    if line.depth == 1:
        return line._replace(depth=0, is_bare=False)
    return line_of(line.text.removeprefix(">").lstrip())._replace(mark=line.mark, is_indented=line.is_indented)


def next_lines(lines: Sequence[Line]) -> list[int]:
    """Return for each line, and for the end, the first line from there on that is not blank."""
    found = [len(lines)] * (len(lines) + 1)
    for place in range(len(lines) - 1, -1, -1):
        found[place] = place if lines[place].text else found[place + 1]
    return found


def key_of(key: str) -> str:
    """Return what stands before the colon of "key: value", or "" if the line is none.

    >>> key_of("*objet :* panne"), key_of("http://a.example"), key_of("une longue phrase qui finit par un mot : lui")
    ('objet', '', '')
    """
    end = key.find(":", 0, MAX_ROLE_CHARACTERS)
    if end < 0:
        end = key.find("\uff1a", 0, MAX_ROLE_CHARACTERS)
        if end < 0:
            return ""
    return "" if key.startswith("//", end + 1) else key[:end].strip("*_ \t>[")


def has_date(text: str) -> bool:
    """Return whether a text has a date with its year, in any order and language."""
    return _YEAR.search(text) is not None


def has_clock(text: str) -> bool:
    """Return whether a text has a time of day."""
    return _CLOCK.search(text) is not None


def has_address(text: str) -> bool:
    """Return whether a text has an e-mail address, or what programs put in its place between "<" and ">"."""
    return _ADDRESS.search(text) is not None


def is_long_rule(text: str) -> bool:
    """Return whether a line is a rule of five signs or more."""
    return _LONG_RULE.fullmatch(text) is not None


def says_something(text: str) -> bool:
    """Return whether a text is more than rules and blanks."""
    return _RULE.fullmatch(text) is None


def num_lines(lines: Sequence[Line]) -> int:
    """Return how many lines are not blank."""
    return sum(1 for line in lines if line.text)
