"""Every problem has a type and words in both languages, which name the fact, the limit, the value and the remedy."""

import importlib.util
import re
import string

import pytest

from artifacts.problems.sentences import LANGUAGES, Counted, Language, parameters_of, sentences
from tests.system.problems import ROOT, TABLE, as_toml, named, statuses

# Members that a problem has anyway (RFC 9457, and `errors` with its pointers): a parameter would overwrite them.
TAKEN = {"type", "title", "status", "detail", "instance", "errors", "num_errors", "pointer", "line"}
# Made where the type is not said in words: what is passed on has been named elsewhere.
PASSED_ON = {
    "artifacts/errors.py",  # Fault.of itself
    "artifacts/system/validation.py",  # a type that a pattern names
    "inference/errors.py",  # what the trainer's process has met
}
# Their faults or their reason, a problem with a remedy of its own, say what to do.
WITHOUT_REMEDY = {"does-not-fit", "too-many-faults", "training-cancelled", "training-interrupted"}
TYPES = sorted(sentences("en"))


def test_languages_have_the_same_types() -> None:
    """No problem is told in one language only."""
    assert set(sentences("en")) == set(sentences("fr"))


@pytest.mark.parametrize("type_", TYPES)
def test_sentence_is_whole(type_: str) -> None:
    """A type is a path segment; each language has a title, a fact and a remedy, and both name the same parameters."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", type_)
    for language in LANGUAGES:
        sentence = sentences(language)[type_]
        assert sentence.title, language
        assert sentence.title[0].isupper(), language
        assert sentence.fact or sentence.seed, language
        assert sentence.remedy or type_ in WITHOUT_REMEDY, language
        assert parameters_of(sentence) == parameters_of(sentences("en")[type_]), language
        assert not parameters_of(sentence) & TAKEN, language
        for text in sentence.texts:
            assert text == text.strip(), language
            assert not text.endswith((".", ";", ",")), language
    if isinstance(sentences("en")[type_].fact, Counted):
        assert isinstance(sentences("fr")[type_].fact, Counted)


@pytest.mark.parametrize("type_", TYPES)
def test_limit_is_told_with_the_value_that_breaks_it(type_: str) -> None:
    """Where a sentence names a limit, a parameter or its own words give the number or the choice, in both languages."""
    for language in LANGUAGES:
        sentence = sentences(language)[type_]
        if "limit" in parameters_of(sentence):
            assert any("{limit" in text for text in sentence.texts[1:]), language
        if sentence.limit:
            has_value = bool(re.search(r"\d|'|«|`", sentence.limit)) or any(
                name for _, name, _, _ in string.Formatter().parse(sentence.limit)
            )
            assert has_value, language


@pytest.mark.parametrize("type_", TYPES)
def test_french_is_set_as_french(type_: str) -> None:
    """Colons, semicolons, question marks and guillemets have their spaces that do not break."""
    for text in sentences("fr")[type_].texts:
        plain = re.sub(r"\{[^}]*\}|`[^`]*`|https?://\S+|\S+:\S+", "", text)
        assert not re.search(r"[^\u00a0\u202f\s][;!?»]|[^\u00a0\u202f]:(\s|$)|«[^\u00a0]| [:;!?»]", plain), text


def test_code_names_a_type_with_its_parameters() -> None:
    """Every error, fault and message names types that have sentences, and gives just what these name."""
    wrong = []
    for one in named():
        if one.place.partition(":")[0] in PASSED_ON and not one.types:
            continue
        if not one.types:
            wrong.append(f"{one.place}: {one.by} names no type")
        for type_ in one.types:
            if type_ not in sentences("en"):
                wrong.append(f"{one.place}: {one.by} names {type_[:60]!r}, which has no sentence")
            elif one.parameters is not None and one.parameters != parameters_of(sentences("en")[type_]):
                wanted = sorted(parameters_of(sentences("en")[type_]))
                wrong.append(f"{one.place}: {type_} is given {sorted(one.parameters)}, its sentences name {wanted}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_list_of_problems_is_what_the_words_say(language: Language) -> None:
    """docs/en/problems.md and docs/fr/problems.md have a section a type, with its members; `make docs`."""
    spec = importlib.util.spec_from_file_location("write_problems", ROOT / "docs" / "write_problems.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)

    written = (ROOT / "docs" / language / "problems.md").read_text("utf-8")

    assert written == writer.page(language), "run make docs"
    for type_ in set(TYPES) - {"untyped"}:
        (section,) = re.findall(rf"^### `/problems/{type_}`\n(.*?)(?=^##|\Z)", written, re.MULTILINE | re.DOTALL)
        named_members = re.findall(r"`(\w+)`", section.rpartition("\nMemb")[2]) if "\nMemb" in section else []
        assert set(named_members) == parameters_of(sentences(language)[type_])


def test_every_type_is_named_by_the_code() -> None:
    """A sentence that nobody can meet is deleted."""
    used = {type_ for one in named() for type_ in one.types}
    patterns = {"invalid-model-name-field", "invalid-correction-id", "invalid-digest"}  # named by the Meta of a field

    unused = (
        set(TYPES)
        - used
        - patterns
        - {"wrong-type", "out-of-range", "not-exactly-one", "wrong-length", "wrong-pattern"}
    )

    assert not unused


def test_table_of_statuses_is_what_the_code_says() -> None:
    """The pages of the types show the statuses of the errors that name them; `python -m tests.system.problems`."""
    assert TABLE.read_text("utf-8") == as_toml(statuses())
