"""Messages: the same problem in both languages, with its parameters in the sentence and beside it."""

import pickle

import msgspec
import pytest

from artifacts.errors import Fault, InvalidInput, ModelNotFound, PuppetError
from artifacts.problems import sentences as module
from artifacts.problems.sentences import LANGUAGES, Message, language_of, message, preferred, sentences


def test_message_says_its_fact_in_the_language_that_is_asked_for() -> None:
    """The type chooses the sentence and the parameters fill it; `str()` is English, for logs."""
    said = message("unknown-field", {"known": ["name", "vector"]})

    assert str(said) == said.detail("en") == (
        "is an unknown field, expected one of name, vector; correct the name, or remove it"
    )  # fmt: skip
    assert said.detail("fr") == (
        "est un champ inconnu, attendu\u00a0: l'un de name, vector\u00a0; corrigez son nom, ou supprimez-le"
    )  # fmt: skip
    assert said.title("fr") == "Champ inconnu"
    assert said.members() == {"known": ["name", "vector"]}


@pytest.mark.parametrize(
    ("count", "english", "french"),
    [(0, "0 faults", "0 faute,"), (1, "1 fault,", "1 faute,"), (2, "2 faults", "2 fautes")],
)
def test_fact_is_counted_as_each_language_counts(count: int, english: str, french: str) -> None:
    """English has one form for 1 alone, French one for 0 and 1."""
    said = message("does-not-fit", {"what": "body", "count": count})

    assert english in said.detail("en")
    assert french in said.detail("fr")


def test_reason_is_told_in_the_language_of_the_whole() -> None:
    """An error that is the reason for another is translated with it, and is a sentence among the members."""
    said = message("not-valid", {"reason": PuppetError("missing-field")})

    assert said.detail("fr").startswith("manque\u00a0; ajoutez-le")
    assert said.members("fr") == {"reason": "manque\u00a0; ajoutez-le"}


def test_parameters_travel_as_json_whatever_they_are() -> None:
    """A path is its text, half of an emoji is written out, and what is long is cut; nothing stops an answer."""
    said = message("not-valid", {"reason": "\ud800" + "x" * 10_000, "path": module, "none": None, "n": 3})

    again = msgspec.json.decode(msgspec.json.encode(said), type=Message)

    assert again == said
    assert len(str(said.parameters["reason"])) <= module.MAX_PARAMETER + len("\\ud800")
    assert (said.parameters["none"], said.parameters["n"]) == (None, 3)


def test_error_is_whole_after_a_journey_between_processes() -> None:
    """A pool pickles what a worker raises: type, parameters and faults arrive."""
    error = InvalidInput("does-not-fit", [Fault.of("/name", "missing-field", 3)], 7, what="body", count=7)

    again = pickle.loads(pickle.dumps(error))  # our own bytes

    assert (type(again), again.message, again.faults, again.num_faults) == (
        *(InvalidInput, error.message, error.faults, 7),
    )
    assert str(again) == str(error)


def test_fault_of_an_earlier_release_shows_its_own_words() -> None:
    """A record that has a detail and no type, or a type that this release lacks, is shown as it was written."""
    old = msgspec.json.decode(b'{"pointer":"/a","detail":"is wrong","line":4}', type=Fault)
    newer = Fault("/a", "is wronger", None, "a-type-of-tomorrow")

    assert old.shown() == "line 4, /a: is wrong"
    assert old.shown("fr") == "ligne 4, /a\u00a0: is wrong"
    assert newer.said("fr") == "is wronger"


def test_seeds_sentences_are_the_same_in_every_language() -> None:
    """Clients compare them, so they stay to the letter; the title is translated."""
    error = ModelNotFound("model-not-found")

    assert [error.message.detail(language) for language in LANGUAGES] == ["Model not found"] * 2
    assert error.message.title("fr") != error.message.title("en")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fr", "fr"),
        ("fr-CA", "fr"),
        ("FR", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("de;q=1, fr;q=0.2", "fr"),
        ("fr;q=0.5,en;q=0.5", "fr"),  # the first of equals
        ("fr;q=0", "en"),
        ("fr;q=high, fr;q=0.1", "fr"),
        ("frx, *", "en"),
        ("", "en"),
        (",;,", "en"),
    ],
)
def test_header_chooses_the_language(header: str, expected: str) -> None:
    """Weights count, a subtag does not, and what cannot be read is left out (RFC 9110 12.5.4)."""
    assert preferred(header) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "C"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "fr_CA", "LANG": "en_US"}, "fr"),
        ({"LC_ALL": "en_US", "LANG": "fr_FR"}, "en"),
    ],
)
def test_environment_chooses_the_language(environment: dict[str, str], expected: str) -> None:
    """The first of LC_ALL, LC_MESSAGES and LANG that is set."""
    assert language_of(environment) == expected


def test_sentences_are_read_once() -> None:
    """An error under load costs no file."""
    assert sentences("fr") is sentences("fr")
