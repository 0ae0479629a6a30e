"""What a terminal says around the sentences of problems, in both languages: "error: ...", "3 rows: ...".

In: the name of a phrase and its values. Out: the phrase. A phrase names no problem of its own, so it has no type and no
remedy; the words stand in phrases.toml.
"""

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from artifacts.problems.sentences import Counted, Language, wording


@cache
def phrases() -> dict[str, dict[Language, str | Counted]]:
    """Return name -> language -> wording."""
    text = files(__package__).joinpath("phrases.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[Language, str | Counted]])


def phrase(name: str, language: Language, /, **values: object) -> str:
    r"""Return a phrase with its values.

    >>> phrase("group", "en", count=1, text="is missing"), phrase("group", "fr", count=2, text="manque")
    ('1 row: is missing', '2 lignes\xa0: manque')
    """
    return wording(phrases()[name][language], values, language).format_map(values)
