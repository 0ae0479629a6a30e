"""From a type of problem to the page that explains it to a person.

In: a type, the statuses that it is answered with, a language. Out: HTML without a script or a style, from
page.en.html or page.fr.html. HTTP is left to the server.
"""

import string
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

from artifacts.problems.sentences import ADDRESS, Counted, Language, parameters_of, sentences

USUAL = ("type", "title", "status", "detail")  # members of every problem (RFC 9457 3.1)
NOTHING = "\u2014"


def page_of(type: str, statuses: Sequence[int], language: Language) -> bytes:  # noqa: A002  # the RFC's word for it
    """Return the page of a type that there are sentences for, in UTF-8."""
    sentence = sentences(language)[type]
    fact = sentence.fact.other if isinstance(sentence.fact, Counted) else sentence.fact
    said = sentence.seed or ", ".join(part for part in (fact, sentence.limit) if part)
    members = [*USUAL, *sorted(parameters_of(sentence))]
    shown = {
        "type": escape(ADDRESS + type),
        "title": escape(sentence.title),
        "said": _shown(said),
        "remedy": _shown(sentence.remedy) or NOTHING,
        "members": ", ".join(f"<code>{escape(name)}</code>" for name in members),
        "statuses": ", ".join(map(str, statuses)) or NOTHING,
    }
    return _template(language).substitute(shown).encode()


def _shown(text: str) -> str:
    """Return a template of a sentence as HTML, with the name of a parameter in the place of its value.

    >>> _shown("the limit is {limit!r} < 2")
    'the limit is <var>limit</var> &lt; 2'
    """
    return "".join(
        escape(literal, quote=False) + (f"<var>{escape(name)}</var>" if name else "")
        for literal, name, _, _ in string.Formatter().parse(text)
    )


@cache
def _template(language: Language) -> string.Template:
    """Return the page of a language, with its places to fill in."""
    return string.Template(files(__package__).joinpath(f"page.{language}.html").read_text("utf-8"))
