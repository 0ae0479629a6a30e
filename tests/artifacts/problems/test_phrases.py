"""Phrases: the words that a terminal puts around problems, in both languages."""

import re

import pytest

from artifacts.problems.phrases import phrase, phrases
from artifacts.problems.sentences import LANGUAGES, Counted


def wordings(words: str | Counted) -> list[str]:
    """Return the wordings of a phrase in one language."""
    return [words.one, words.other] if isinstance(words, Counted) else [words]


@pytest.mark.parametrize("name", phrases())
def test_phrase_is_there_in_both_languages_with_the_same_values(name: str) -> None:
    """A value that one language leaves out would be missed by its readers."""
    assert set(phrases()[name]) == set(LANGUAGES)
    named = [
        sorted(set(re.findall(r"\{(\w+)", text))) for words in phrases()[name].values() for text in wordings(words)
    ]
    assert named.count(named[0]) == len(named)


@pytest.mark.parametrize("name", phrases())
def test_french_phrase_is_set_as_french(name: str) -> None:
    """A space that does not break stands before ; : ! and ?."""
    for text in wordings(phrases()[name]["fr"]):
        assert not re.search(r"[^\u00a0\s][;:!?]|[ ][;:!?]", re.sub(r"\{[^}]*\}", "x", text))


def test_phrase_counts_as_its_language_does() -> None:
    """English has one row, French one row or none."""
    said = [phrase("rows-left-out", language, count=count) for language in LANGUAGES for count in (0, 1, 2)]

    assert said == [
        "0 rows that do not fit left out", "1 row that does not fit left out", "2 rows that do not fit left out",
        "0 ligne non conforme laissée de côté", "1 ligne non conforme laissée de côté",
        "2 lignes non conformes laissées de côté",
    ]  # fmt: skip
