"""From the type of a problem and its parameters to a sentence in the reader's language.

In: `empty-ticket`, or `too-many-tokens` with `limit=512`. Out: a title and a detail, in English or French. The code
names a type and the facts; every word that people read stands in en/*.toml and fr/*.toml, a table a type:

    [head-too-large]
    title = "Request head too large"                      what kind of problem it is, the same for every occurrence
    fact = "the head of the request is over {limit} bytes"
    limit = "..."                                         where the fact does not name it already
    remedy = "send fewer or shorter headers"              what to do, or whom to ask

The detail is fact, limit and remedy in one sentence. A sentence that the seed documents give stands as `seed` and is
the whole detail, in both languages: clients compare it. Source: RFC 9457, "Problem Details for HTTP APIs", where
`type` is what a program looks at and `detail` what a person reads.
"""

import math
import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import msgspec

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
ADDRESS = "/problems/"  # in front of a type, where a problem travels; a page of the server stands there
MAX_PARAMETER = 400  # characters of a parameter; a file name or a word of the user's may be of any length
_JOIN: dict[Language, str] = {"en": "; ", "fr": "\u00a0; "}
_NONE: dict[Language, str] = {"en": "none", "fr": "aucun"}  # of a list
_POINT: dict[Language, str] = {"en": ".", "fr": ","}


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fact that is worded otherwise for one than for several.

    Attributes:
        by: the parameter that is counted.
        one, other: the two wordings; French takes the first for 0 too.
    """

    by: str
    one: str
    other: str


class Sentence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One type's words in one language; the module's docstring says how they are put together."""

    title: str
    fact: str | Counted = ""
    limit: str = ""
    remedy: str = ""
    seed: str = ""

    @property
    def texts(self) -> list[str]:
        """All templates, for whoever looks for their parameters."""
        facts = [self.fact.one, self.fact.other] if isinstance(self.fact, Counted) else [self.fact]
        return [self.title, *facts, self.limit, self.remedy, self.seed]


class Message(msgspec.Struct, frozen=True):
    """A problem's type and what it is about; `str()` of it is its English detail.

    Attributes:
        type: the key of its sentences, such as `empty-ticket`.
        parameters: name -> value, JSON as it travels and is stored; a reason may be a message of its own.
    """

    type: str
    parameters: "dict[str, Value]" = {}

    def title(self, language: Language = DEFAULT) -> str:
        """Return what kind of problem it is, in a few words."""
        return sentences(language)[self.type].title

    def detail(self, language: Language = DEFAULT) -> str:
        """Return the fact, the limit and the remedy, in one sentence."""
        sentence = sentences(language)[self.type]
        if sentence.seed:
            return sentence.seed
        fact = wording(sentence.fact, self.parameters, language)
        shown = {name: _shown(value, language) for name, value in self.parameters.items()}
        said = ", ".join(part.format_map(shown) for part in (fact, sentence.limit) if part)
        return _JOIN[language].join(part for part in (said, sentence.remedy.format_map(shown)) if part)

    def members(self, language: Language = DEFAULT) -> "dict[str, object]":
        """Return its parameters as the members of a problem; a reason is given as its sentence."""
        return {
            name: value.detail(language) if isinstance(value, Message) else value
            for name, value in self.parameters.items()
        }

    @property
    def is_known(self) -> bool:
        """Whether this release has words for its type and the facts that they name; another may have stored it."""
        sentence = sentences(DEFAULT).get(self.type)
        if sentence is None or not parameters_of(sentence) <= self.parameters.keys():
            return False
        return all(value.is_known for value in self.parameters.values() if isinstance(value, Message))

    def __str__(self) -> str:
        return self.detail()


Value = str | int | float | bool | list[str] | Message | None


def message(type: str, parameters: Mapping[str, object]) -> Message:  # noqa: A002  # the RFC's word for it
    """Return a message of parameters of any kind: paths and errors become text, and long text is cut.

    >>> str(message("no-such-store", {"path": "modles"}))
    'there is no store modles; name another one with --store DIR'
    """
    return Message(type, {name: _value(one) for name, one in parameters.items()})


def wording(words: str | Counted, values: Mapping[str, object], language: Language) -> str:
    """Return the wording for the number that is counted; words that count nothing as they are."""
    if isinstance(words, str):
        return words
    count = values[words.by]
    return words.one if count == 1 or (count == 0 and language == "fr") else words.other


def _value(value: object) -> Value:
    """Return a parameter as JSON holds it, which knows neither infinity nor NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | Message):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(str(one)) for one in value]
    inner = getattr(value, "message", None)  # of an error of this project, which is the reason for another
    return inner if isinstance(inner, Message) else _clean(str(value))


def _clean(text: str) -> str:
    """Return text that JSON can carry, halves of surrogate pairs written out."""
    text = text if len(text) <= MAX_PARAMETER else text[: MAX_PARAMETER - 3] + "..."
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(value: Value, language: Language) -> object:
    """Return a parameter as it stands in a sentence."""
    if isinstance(value, Message):
        return value.detail(language)
    if isinstance(value, float):
        return f"{value:.6g}".replace(".", _POINT[language])
    return (", ".join(value) or _NONE[language]) if isinstance(value, list) else value


@cache
def sentences(language: Language) -> dict[str, Sentence]:
    """Return type -> sentence of a language, all topics together."""
    found: dict[str, Sentence] = {}
    for file in sorted(files(__package__).joinpath(language).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for name, table in tomllib.loads(file.read_text("utf-8")).items():
                assert name not in found, f"{language}/{file.name}: {name} stands twice; this is a bug in Puppet"
                found[name] = msgspec.convert(table, Sentence)
    return found


def parameters_of(sentence: Sentence) -> set[str]:
    """Return the names that stand in braces in a type's sentences."""
    named = {name for text in sentence.texts for _, name, _, _ in string.Formatter().parse(text) if name}
    return named | ({sentence.fact.by} if isinstance(sentence.fact, Counted) else set())


def preferred(accept_language: str) -> Language:
    """Return the language that a request asks for most (RFC 9110 12.5.4); English if it asks for neither.

    >>> preferred("de, fr-CH;q=0.9, en;q=0.8"), preferred("fr;q=0, *"), preferred("")
    ('fr', 'en', 'en')
    """
    best, best_quality = DEFAULT, 0.0
    for part in accept_language.split(","):
        tag, _, quality_text = part.partition(";")
        try:
            quality = float(quality_text.strip().removeprefix("q=") or 1)
        except ValueError:
            continue  # not a weight: the rest of the header still counts
        for language in LANGUAGES:
            if tag.strip().lower().partition("-")[0] == language and quality > best_quality:
                best, best_quality = language, quality
    return best


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language of a terminal: the first of LC_ALL, LC_MESSAGES and LANG that is set, as in POSIX.

    >>> language_of({"LANG": "fr_FR.UTF-8"}), language_of({"LC_ALL": "C", "LANG": "fr_FR.UTF-8"})
    ('fr', 'en')
    """
    named = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "fr" if named.lower().startswith("fr") else DEFAULT
