r"""What is a word in other scripts than the Latin one: marks, joiners, runs without blanks, unseen characters.

In: text or a token. Out: the same with each word in one piece, and a run without blanks in pieces. tokens.py calls it.

Three ideas, each once.
- A vowel of Hindi or Thai, a point of Hebrew and a tone mark are characters of their own, and Python's \w leaves them
  out: without them two different words are one. They belong to the letter before them (Unicode's categories Mn and Mc).
- Chinese, Japanese, Thai, Lao, Khmer and Burmese put no blank between words. To know where a word ends takes a
  dictionary of each language; two neighbouring characters at a time need none (Nie et al. 2000, "On the use of words
  and n-grams for Chinese information retrieval"). Korean has blanks.
- A soft hyphen, a zero-width space or a mark of the writing direction is not seen, so a word that holds one is the word
  that does not. The two joiners are different: in Persian or Hindi they change what is seen, so there they stay.
"""

import itertools
import re
import unicodedata

# Letters by which a run is known, without digits and punctuation: Han with its repetition signs, kana, and the four
# scripts of South-East Asia.
_HAN_AND_KANA = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
_THAI_AND_LAO = "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2-\u0eb3\u0ebd\u0ec0-\u0ec6\u0edc-\u0edf"
_BURMESE_AND_KHMER = "\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1065\u1066\u106e-\u1070\u1075-\u1081\u1780-\u17b3"
_RUN_LETTERS = _HAN_AND_KANA + _THAI_AND_LAO + _BURMESE_AND_KHMER
# Scripts in which a joiner between two letters is part of the spelling: Arabic and Syriac, those of India, Tibetan,
# Burmese, Khmer, Mongolian, and the presentation forms of Arabic.
_JOINED = "\u0600-\u0fff\u1000-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
_JOINERS = "\u200c\u200d"
# Where marks are: combining ones of Latin and Greek, then script by script up to U+1DFF, and the few further blocks. To
# look at every code point there is would take 0.1 s at each start.
_MARK_BLOCKS = (
    *(range(0x300, 0x1E00), range(0x20D0, 0x2100), range(0x2CEF, 0x2E00), range(0x302A, 0x309B)),
    *(range(0xA66F, 0xAC00), range(0xFB1E, 0xFB1F), range(0xFE20, 0xFE30), range(0x11000, 0x12000)),
    range(0x1E000, 0x1F000),
)


def _ranges(points: list[int]) -> str:
    """Return code points as the inside of a regular expression's [...]."""
    found: list[list[int]] = []
    for point in points:
        if found and point == found[-1][1] + 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in found)


MARKS = _ranges(
    [point for block in _MARK_BLOCKS for point in block if unicodedata.category(chr(point)) in ("Mn", "Mc")]
)
# What a word goes on with after its first letter.
WORD = rf"\w[\w{MARKS}{_JOINERS}]*"

# The soft hyphen; zero-width spaces and word joiners; marks of direction; the mark at the start of a file; variation
# selectors, which choose a picture and no letter; tags.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]+"
)
_STRAY_JOINERS = re.compile(rf"(?<![{_JOINED}{_JOINERS}])[{_JOINERS}]++|[{_JOINERS}]++(?![{_JOINED}])")
# One character of a run with its marks, and the run.
_UNIT = re.compile(rf"[{_RUN_LETTERS}][{MARKS}]*")
_RUN = re.compile(rf"(?:[{_RUN_LETTERS}][{MARKS}]*+)++")
# All of the above lies here, and nothing that French or English is written with: one look tells that all is done.
_BEYOND_LATIN = re.compile(
    "[\u00ad\u0300-\u1fff\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\u2ce0-\uffff\U00010000-\U0001efff"
    "\U00020000-\U0010ffff]"
)
_DOTTED_I = re.compile("i\u0307+")


def is_latin(text: str) -> bool:
    r"""Return whether a text surely has no marks, joiners, runs and unseen characters.

    >>> is_latin("L’été à 5 € 😀"), is_latin("im\u00adprimante"), is_latin("密码")
    (True, False, False)
    """
    return text.isascii() or _BEYOND_LATIN.search(text) is None


def without_unseen(text: str) -> str:
    r"""Return a text without the characters that nobody sees; a joiner stays where its script needs it.

    >>> without_unseen("impri\u00admante ou\u200bvrir"), len(without_unseen("\u0645\u06cc\u200c\u0631\u0648\u062f"))
    ('imprimante ouvrir', 6)
    """
    if is_latin(text):
        return text
    # Joiners last: what stood between a joiner and its letter is gone by then.
    return _STRAY_JOINERS.sub("", _UNSEEN.sub("", text))


def cut_runs(text: str) -> str:
    """Return a text with blanks round each two neighbouring characters of a run; a lone character is a word.

    >>> cut_runs("请重置密码 VPN")
    ' 请重 重置 置密 密码  VPN'
    """
    return _RUN.sub(_pairs, text)


def _pairs(run: re.Match[str]) -> str:
    units = _UNIT.findall(run[0])
    # Overlapping, because nobody knows where a word begins: of "ab cd" and "a bc d" one would miss half of the words.
    pairs = [first + second for first, second in itertools.pairwise(units)]
    return f" {' '.join(pairs or units)} "


def run_characters(text: str) -> int:
    """Return how many characters of runs a text holds, a letter and its marks counted once.

    >>> run_characters("密码 abc"), run_characters("ข้าว")
    (2, 3)
    """
    return 0 if text.isascii() else len(_UNIT.findall(text))


def lower(text: str) -> str:
    r"""Return a text in lower case; Turkish "İ" becomes "i", not the "i" with a second dot of Unicode.

    >>> lower("İSTANBUL"), lower("i\u0307zmir")
    ('istanbul', 'izmir')
    """
    lowered = text.lower()
    return lowered if lowered.isascii() else _DOTTED_I.sub("i", lowered)
