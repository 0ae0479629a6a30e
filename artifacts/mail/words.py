"""The words of mail programs and of letters, read from words.toml once and made ready to be looked up.

In: words.toml, a section a language. Out: one `Words`, in which the languages are merged: a mail says nowhere in which
language it is, and its reply may be in another than what it quotes. What can be looked up is a set or a dict; what has
to be searched in a line is one pattern without anything that backtracks.
"""

import functools
import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple

# The keys of a quoted mail's header, by what they say; `other` keys may stand within a header and prove nothing.
ROLES = ("other", "to", "subject", "sent", "sender")


class Starts:
    """Phrases that a line may begin with, by their first two letters: one look-up in place of 400 comparisons."""

    def __init__(self, phrases: Iterable[str]) -> None:
        table: dict[str, list[str]] = {}
        for phrase in phrases:
            table.setdefault(phrase[:2], []).append(phrase)
        self._table = {letters: tuple(found) for letters, found in table.items()}

    def __contains__(self, key: str) -> bool:
        """Return whether a line, in lower case, begins with one of the phrases."""
        found = self._table.get(key[:2])
        return found is not None and key.startswith(found)


class Words(NamedTuple):
    """All that words.toml says, lower case, all languages together."""

    roles: dict[str, str]  # "envoyé" -> "sent": a key of a header and its role
    mail_only: frozenset[str]  # keys that stand in no form that people fill in
    wrote: re.Pattern[str]  # a verb of an attribution, anywhere
    wrote_ends: Starts  # the verbs as ends of a line, letters backwards
    begins: re.Pattern[str]  # a line that begins like an attribution: "le lun. 4", "mon, 4"
    glued: re.Pattern[str]  # such a beginning within a line, of which the first letter is a capital
    original: frozenset[str]
    forwarded: frozenset[str]
    separators: Starts  # both, as beginnings
    dated: Starts
    stubs: tuple[str, ...]
    subject: re.Pattern[str]  # one prefix of a subject; its group `forward` or `automatic` says more
    automatic: re.Pattern[str]
    sent_by: Starts
    sent_by_phrases: tuple[str, ...]  # the longest first
    device: frozenset[str]
    possessives: tuple[str, ...]
    excuses: tuple[str, ...]
    closing_starts: Starts  # what a line with a closing may begin with
    closings: frozenset[str]
    closing_words: frozenset[str]  # all single words of closings
    cores: frozenset[str]
    exact: frozenset[str]
    before: tuple[str, ...]
    before_starts: Starts
    after: tuple[str, ...]
    after_ends: frozenset[str]  # their last words
    thanks: frozenset[str]
    polite: tuple[str, ...]
    waiting: tuple[str, ...]
    greetings: frozenset[str]
    says_nothing: frozenset[str]  # greetings, thanks and "pour info"
    first_person: frozenset[str]  # single words
    first_person_phrases: tuple[str, ...]
    first_person_heads: frozenset[str]  # their first words
    postscript: re.Pattern[str]
    notices: Starts
    cautions: Starts  # those of `notices` that people write too
    of_mail: tuple[str, ...]
    strong: tuple[str, ...]
    terms: tuple[str, ...]  # those of `strong` too
    programs: Starts
    paper: tuple[str, ...]
    prints: tuple[str, ...]
    printing: tuple[str, ...]
    meetings: Starts
    footers: tuple[str, ...]
    footer_starts: Starts
    above: tuple[str, ...]
    points: re.Pattern[str]
    labels: tuple[str, ...]
    contacts: re.Pattern[str]  # a label that begins so stands in signatures


def _any_of(phrases: Iterable[str]) -> str:
    """Return a pattern of any of the phrases, as whole words where a script writes words apart (the longest first)."""
    apart: list[str] = []
    others: list[str] = []
    for phrase in sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase)):
        # Chinese, Japanese and Korean write no blanks between words.
        is_apart = ord(phrase[0]) < 0x1100 and phrase[0].isalnum() and phrase[-1].isalnum()
        (apart if is_apart else others).append(re.escape(phrase))
    # One look at what is before for all of them: a search costs a fifth of what one look each does.
    return "(?:" + "|".join([rf"(?<!\w)(?:{'|'.join(apart)})(?!\w)"] * bool(apart) + others) + ")"


_WORD = re.compile(r"[\w'-]+")


def speaks(key: str) -> bool:
    """Return whether a person speaks in a text, in lower case: a program never says "I"."""
    found = set(_WORD.findall(key))
    if not found.isdisjoint(words().first_person):
        return True
    if found.isdisjoint(words().first_person_heads):
        return False
    return any(phrase in key for phrase in words().first_person_phrases)


@functools.cache
def words() -> Words:
    """Return the words of all languages; the file is read when the first mail is."""
    sections = tomllib.loads((files(__package__) / "words.toml").read_text("utf-8")).values()

    def all_of(key: str) -> list[str]:
        """Return the phrases under a key, of every language, each once and in the order of the file."""
        return list(dict.fromkeys(phrase for section in sections for phrase in section.get(key, ())))

    # A key such as "data" is a date in Italian and an attachment nowhere: of two roles the one that proves more counts.
    roles = {key: role for role in ROLES for key in all_of(role)}
    prefixes = _any_of(all_of("replies"))
    forwards = _any_of(all_of("forwards"))
    begins = [word for word in all_of("begins") if len(word) > 1]
    in_a_line = [word for word in begins if not word.endswith(".")]  # "Jean D. a écrit le 4 ..." begins with no "D."
    capitals = "|".join(re.escape(word[0].upper() + word[1:]) for word in sorted(in_a_line, key=len, reverse=True))
    thanks, greetings = all_of("thanks"), all_of("greetings")
    return Words(
        roles=roles,
        mail_only=frozenset(all_of("mail_only")),
        wrote=re.compile(_any_of(all_of("wrote"))),
        wrote_ends=Starts(verb[::-1] for verb in all_of("wrote")),
        begins=re.compile(
            rf"[-\u2013\u2014_*>\"'(<\s]*+(?:{_any_of(begins)}\s.{{0,40}}?\d|\w{{2,10}}[.,]{{0,2}}+\s\d)"
        ),
        glued=re.compile(rf"(?:\s|--)((?:{capitals})\s(?=.{{0,30}}\d))"),
        original=frozenset(all_of("original")),
        forwarded=frozenset(all_of("forwarded")),
        separators=Starts(f"{phrase} " for key in ("original", "forwarded") for phrase in all_of(key)),
        dated=Starts(all_of("dated")),
        stubs=tuple(all_of("stubs")),
        subject=re.compile(
            rf"\s*+(?:(?P<forward>{forwards})|{prefixes})\s?(?:\[\d{{1,3}}\]|\(\d{{1,3}}\)|\^?\d{{1,2}})?\.?\s?[:\uff1a]"
            r"|\s*+\[(?:ext|external|externe|extern)\]",
            re.IGNORECASE,
        ),
        automatic=re.compile(rf"\s*+{_any_of(all_of('automatic'))}\s*+(?:[:\uff1a(-]|$)", re.IGNORECASE),
        sent_by=Starts(all_of("sent_by")),
        sent_by_phrases=tuple(sorted(all_of("sent_by"), key=len, reverse=True)),
        device=frozenset(all_of("device") + all_of("device_glue")),
        possessives=tuple(all_of("possessives")),
        excuses=tuple(all_of("excuses")),
        closing_starts=Starts(
            [phrase for key in ("closings", "exact", "before", "thanks", "waiting") for phrase in all_of(key)]
            + [f"{word} " for phrase in all_of("closings") for word in phrase.split()]
        ),
        closings=frozenset(all_of("closings")),
        closing_words=frozenset(
            word for key in ("closings", "before", "after") for phrase in all_of(key) for word in phrase.split()
        ),
        cores=frozenset(all_of("cores")),
        exact=frozenset(all_of("exact")),
        before=tuple(f"{word} " for word in all_of("before")),
        before_starts=Starts(f"{word} " for word in all_of("before")),
        after=tuple(f" {word}" for word in all_of("after")),
        after_ends=frozenset(phrase.rpartition(" ")[2] for phrase in all_of("after")),
        thanks=frozenset(thanks),
        polite=tuple(all_of("polite")),
        waiting=tuple(all_of("waiting")),
        greetings=frozenset(greetings),
        says_nothing=frozenset([*greetings, *thanks, *all_of("fillers")]),
        first_person=frozenset(phrase for phrase in all_of("first_person") if " " not in phrase),
        first_person_phrases=tuple(phrase for phrase in all_of("first_person") if " " in phrase),
        first_person_heads=frozenset(phrase.split()[0] for phrase in all_of("first_person") if " " in phrase),
        postscript=re.compile(rf"(?:{'|'.join(map(re.escape, all_of('postscripts')))})\s?[:,.\-]|p\.s\.|ps\s"),
        notices=Starts(all_of("notices")),
        cautions=Starts(all_of("cautions")),
        of_mail=tuple(all_of("of_mail")),
        strong=tuple(all_of("strong")),
        terms=tuple(dict.fromkeys([*all_of("terms"), *all_of("strong")])),
        programs=Starts(all_of("programs")),
        paper=tuple(all_of("paper")),
        prints=tuple(all_of("prints")),
        printing=tuple(all_of("printing")),
        meetings=Starts(all_of("meetings")),
        footers=tuple(all_of("footers")),
        footer_starts=Starts(all_of("footers")),
        above=tuple(all_of("above")),
        points=re.compile(_any_of(all_of("points"))),
        labels=tuple(all_of("labels")),
        contacts=re.compile(rf"(?:{'|'.join(map(re.escape, all_of('contacts')))})(?!\w)"),
    )
