"""From labelled lines to the text that is to be sorted: the author's, and what the author points at.

In: the lines of a mail, and what its header says of it. Out: a body, and how many lines were left out and why.

The idea: what a team sorts is the ticket. Mostly that is what the author wrote. But a forward under "tu peux prendre
ça ?" is about what it forwards, "mes réponses ci-dessous en rouge" about what is below, and a mail that is all quote,
all signature or all notice about that: no mail with text is read as empty, and the answer says when more was read.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from artifacts.mail.endings import label_endings
from artifacts.mail.lines import Label, Line, key_of, says_something, unquoted
from artifacts.mail.quotes import label_quotes, unglue, without_introduction
from artifacts.mail.words import words

MAX_QUOTE_DEPTH = 10  # quotes within quotes that are opened to find a word
MAX_NOTE_WORDS = 15  # above a forward: more than that is a text of its own
NOTE_SHARE = 1.5  # a note is no note if it says more than this times what it forwards

_SPLIT = re.compile("[,:;.!?]")


class Own(NamedTuple):
    """What is read of a mail.

    Attributes:
        body: the author's own lines, or what stands in for them.
        counts: how many lines of each label were left out.
        reads_below: an earlier mail was read, with the author's lines or in their place.
    """

    body: str
    counts: dict[Label, int]
    reads_below: bool


def own_text(lines: Sequence[Line], is_reply: bool, is_forward: bool) -> Own:
    """Return the author's lines, or what stands in for them.

    Args:
        lines: of all texts of the mail, in order.
        is_reply: the message's header says that it answers or forwards another.
        is_forward: it says that it forwards.
    """
    lines = unglue(lines)
    labels, has_forward = label_quotes(lines, is_reply or is_forward)
    label_endings(lines, labels)
    said = [label for line, label in zip(lines, labels, strict=True) if line.text]
    counts = {label: said.count(label) for label in Label}
    body = _tidy(_with(lines, labels, Label.OWN))
    if _is_header(body):
        body = ""
    below = _below(lines, labels) if _needs_more(body, lines, labels, is_forward or has_forward) else ""
    if says_something(below) and not (body and not _points(body, below)):
        counts[Label.QUOTE] = max(0, counts[Label.QUOTE] - len(_said(below)))
        return Own(_tidy([*body.split("\n"), "", *below.split("\n")]), counts, True)
    if _is_greeting(body) and counts[Label.NOTICE]:
        # "Bonjour," and a notice: it is what the author has to say, for example of a mail that is blocked.
        counts[Label.OWN], counts[Label.NOTICE] = counts[Label.OWN] + counts[Label.NOTICE], 0
        labels = [Label.OWN if label is Label.NOTICE else label for label in labels]
        body = _tidy(_with(lines, labels, Label.OWN))
    if says_something(body):
        return Own(body, counts, False)
    for label in (Label.OWN, Label.SIGNATURE, Label.NOTICE, Label.QUOTE, Label.INTRO):
        found = _tidy(_with(lines, labels, label))
        if says_something(found):
            counts[label] = max(0, counts[label] - len(_said(found)))
            return Own(found, counts, label in (Label.QUOTE, Label.INTRO))
    return Own("", counts, False)


def is_note(body: str, below: str) -> bool:
    """Return whether a text only hands on the mail below it: a few words, fewer than that mail's or pointing at it."""
    num_words = _num_words(body)
    if num_words > MAX_NOTE_WORDS:
        return False
    return num_words <= NOTE_SHARE * _num_words(below)


def _needs_more(body: str, lines: Sequence[Line], labels: Sequence[Label], is_forward: bool) -> bool:
    """Return whether what is below has to be looked at: the author's lines say nothing, or may only point at it."""
    if Label.QUOTE not in labels:
        return False
    if not says_something(body):
        return True
    if _num_words(body) > MAX_NOTE_WORDS or not (is_forward or points_below(body)):
        return False
    # All of the author's lines must be above the earlier mail: answers between its lines say something themselves.
    return not any(
        label is Label.OWN and line.text
        for line, label in zip(lines[labels.index(Label.QUOTE) :], labels[labels.index(Label.QUOTE) :], strict=True)
    )


def _points(body: str, below: str) -> bool:
    return points_below(body) or is_note(body, below)


def points_below(body: str) -> bool:
    """Return whether a few words say that the text is elsewhere: below, in red, in the attached message."""
    return _num_words(body) <= MAX_NOTE_WORDS and words().points.search(body.lower()) is not None


def _below(lines: Sequence[Line], labels: Sequence[Label]) -> str:
    """Return the first level below that says something: what was quoted or forwarded, without its own quotes."""
    quoted = _quoted(lines, labels)
    found = ""
    for _ in range(MAX_QUOTE_DEPTH):
        if not any(says_something(line.text) for line in quoted):
            break
        inner, _ = label_quotes(quoted, True)
        label_endings(quoted, inner)
        said = _tidy(_with(quoted, inner, Label.OWN))
        if says_something(said):
            found = f"{found}\n\n{said}" if found else said
            if _num_words(said) and not points_below(said):
                break
        quoted = _quoted(quoted, inner)
    return found


def _quoted(lines: Sequence[Line], labels: Sequence[Label]) -> list[Line]:
    """Return what the lines quote, one level of it taken off, without the lines that introduce it."""
    inner = [
        unquoted(line) if line.text.startswith(">") or line.depth else line._replace(mark=Label.OWN)
        for line, label in zip(lines, labels, strict=True)
        if label is Label.QUOTE or (label is Label.OWN and not line.text)
    ]
    return list(without_introduction(inner))


def _with(lines: Sequence[Line], labels: Sequence[Label], wanted: Label) -> Iterable[str]:
    return (line.text for line, label in zip(lines, labels, strict=True) if label is wanted)


def _said(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _num_words(text: str) -> int:
    """Return how many words a text has without greetings, thanks and "pour info"."""
    pieces = (piece.strip() for line in text.lower().split("\n") for piece in _SPLIT.split(line))
    return sum(len(piece.split()) for piece in pieces if piece and piece not in words().says_nothing)


def _is_greeting(body: str) -> bool:
    """Return whether a body is nothing but one line that greets: "Bonjour Madame Petit,"."""
    found = body.lower().split()
    if "\n" in body or not 0 < len(found) <= 4 or body[-1] in "?:":
        return False
    return not words().greetings.isdisjoint((found[0].strip(",.!"), " ".join(found).strip(",.! ")))


def _is_header(body: str) -> bool:
    """Return whether a body is nothing but lines of a mail's header."""
    found = _said(body)
    return 0 < len(found) <= 3 and all(words().roles.get(key_of(line.lower()), "other") != "other" for line in found)


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
