r"""Finding what names a person in any text: a ticket, a list of words, the bytes of a file.

In: what names the person, as someone types it (`Lefèvre`, `Jean Lefèvre`, an address). Out: whether a text holds it.
The trainer keeps such words out of a vocabulary with it, and `puppet-train forget` finds them again.

The idea, once. A name is written in many ways: LEFEVRE, Lefèvre, lefe\u0300vre, lefevre in an address. So both sides
are folded first: compatibility forms made one, accents and case taken off. What stands between the parts of a name does
not count ("Jean-Luc", `"Jean", "Luc"` in a list of tokens, "jeanluc@"), and neither does how a program has escaped the
text (JSON's \u00e8, the =C3=A8 of e-mails, the %C3%A8 of addresses, the &egrave; of HTML).

A long name counts inside a longer word too, for "jlefevre@" names the person as well; a short one counts only as a word
of its own, or Roy would be found in every "royal". What no form tells is not found: a nickname, a base64 attachment.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from artifacts.errors import InvalidInput
from artifacts.system.disk import check_regular, open_at_once

INSIDE_WORDS = 5  # letters of a name from which on it is found inside longer words
MIN_LETTERS = 2  # of what is looked for: a single letter stands in every text
BETWEEN = 40  # characters at most between two parts of a name: the indented next line of a list
PIECE_BYTES = 2**20  # of a file at once
OVERLAP_BYTES = 8192  # that two pieces share, so that what stands across their border is whole in one of them
MAX_LINES = 100_000  # of a file of names
# Letters that Unicode does not take apart, as people without that key on their keyboard write them.
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_JSON_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([nrtbf/\"]))")
_BYTE_ESCAPES = re.compile(r"(?:[=%][0-9A-Fa-f]{2})+")
_SOFT_BREAK = re.compile(r"=(?:\r?\n|(?:\\r)?\\n)")


def fold(text: str) -> str:
    """Return a text without what people leave out or change when they write a name: accents, case, ligatures.

    >>> fold("LEFÈVRE"), fold("Le\u0300a Œuvrard")
    ('lefevre', 'lea oeuvrard')
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in apart if not unicodedata.combining(one)).translate(_LETTERS).casefold()


def unescaped(text: str) -> str:
    r"""Return a text with the escapes of JSON, e-mails, addresses and HTML undone, wherever they stand.

    >>> unescaped(r'"Lef\u00e8vre"'), unescaped("Lef=C3=A8vre"), unescaped("Lef%E8vre"), unescaped("Lef&egrave;vre")
    ('"Lefèvre"', 'Lefèvre', 'Lefèvre', 'Lefèvre')
    """
    if "=" in text:
        text = _SOFT_BREAK.sub("", text)
    if "\\" in text:
        text = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    if "=" in text or "%" in text:
        text = _BYTE_ESCAPES.sub(_bytes_meant, text)
    return html.unescape(text) if "&" in text else text


def _bytes_meant(found: re.Match[str]) -> str:
    raw = bytes.fromhex(found[0].translate({ord("="): None, ord("%"): None}))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # as mail programs of Windows still write


class Person:
    """What names one person, or several, ready to be looked for. Read-only, so it may be shared between threads.

    Attributes:
        phrases: as they were given.
    """

    def __init__(self, phrases: Iterable[str], *, whole_words: bool = False) -> None:
        """Take the names, each a phrase of one or more words.

        Args:
            phrases: the names; how their words are spelt, and what stands between them, does not count.
            whole_words: find a long name as a word of its own only, too.
        Raises:
            InvalidInput: a phrase has fewer than two letters or digits.
        """
        self.phrases = tuple(phrases)
        patterns = [_pattern(phrase, whole_words) for phrase in self.phrases]
        words = [word for phrase in self.phrases for word in phrase.split() if len(_parts(word)) > 0]
        # In a list of words each stands alone, so there a phrase is found by any of its words; not by the particles.
        single = [_pattern(word, whole_words) for word in words if len("".join(_parts(word))) > MIN_LETTERS]
        self._found = re.compile("|".join(patterns)) if patterns else None
        self._word_found = re.compile("|".join([*patterns, *single])) if patterns else None

    def __bool__(self) -> bool:
        return self._found is not None

    def is_in(self, text: str) -> bool:
        """Return whether a text holds one of the names."""
        return self._searched(self._found, text)

    def is_word(self, word: str) -> bool:
        """Return whether one word, out of its sentence, is part of one of the names."""
        return self._searched(self._word_found, word)

    def is_in_file(self, path: Path) -> bool:
        """Return whether a file's bytes hold one of the names, read as UTF-8; the memory is that of a few MiB.

        Raises:
            OSError: the file cannot be read, or is no regular one.
        """
        if self._found is None:
            return False
        with open(path, "rb", opener=open_at_once) as file:
            check_regular(file.fileno())
            piece, is_first = file.read(PIECE_BYTES), True
            while piece:
                more = file.read(PIECE_BYTES)
                if self._is_in_piece(piece.decode("utf-8", "replace"), is_first, not more):
                    return True
                piece, is_first = piece[-OVERLAP_BYTES:] + more if more else b"", False
        return False

    def _is_in_piece(self, text: str, is_first: bool, is_last: bool) -> bool:
        """Return whether a piece of a file holds a name; one at a cut edge may be part of a longer word."""
        assert self._found is not None, "asked for no name; internal error"
        for spelling in {fold(text), fold(unescaped(text))}:
            for found in self._found.finditer(spelling):
                # What is cut at an edge stands whole in the piece before or after, thanks to the overlap.
                if (is_first or found.start() > 0) and (is_last or found.end() < len(spelling)):
                    return True
        return False

    @staticmethod
    def _searched(pattern: re.Pattern[str] | None, text: str) -> bool:
        if pattern is None:
            return False
        if pattern.search(fold(text)):
            return True
        plain = unescaped(text)
        return plain != text and pattern.search(fold(plain)) is not None


def read_names(path: Path) -> list[str]:
    """Return the names of a file, one a line; blank lines and those that begin with `#` are passed over.

    Raises:
        InvalidInput: it cannot be read, is no UTF-8, or has more than 100,000 lines.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("names-unreadable", path=path, reason=error) from error
    if len(lines) > MAX_LINES:
        raise InvalidInput("too-many-names", path=path, num_lines=len(lines), limit=MAX_LINES)
    return [name for line in lines if (name := line.strip()) and not name.startswith("#")]


def _parts(phrase: str) -> Sequence[str]:
    """Return the runs of letters and digits in a phrase, folded."""
    return re.findall(r"[^\W_]+", fold(phrase))


def _pattern(phrase: str, whole_words: bool) -> str:
    """Return the regular expression that finds a phrase in a folded text."""
    parts = _parts(phrase)
    num_letters = sum(map(len, parts))
    if num_letters < MIN_LETTERS:
        raise InvalidInput("name-too-short", name=phrase, num_letters=num_letters, limit=MIN_LETTERS)
    # Bounded, so that no text makes the search quadratic.
    found = rf"[\W_]{{0,{BETWEEN}}}".join(map(re.escape, parts))
    if whole_words or num_letters < INSIDE_WORDS:
        return rf"(?<![^\W_]){found}(?![^\W_])"
    return found
