"""The check of the exercise."""

import unicodedata

import ex_names
import pytest

from artifacts.text.people import Person

NAME = "Jean Lefèvre"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_and_case_are_taken_off(form: str) -> None:
    """However Unicode composes a letter, one spelling is left."""
    assert ex_names.fold(unicodedata.normalize(form, "LEFÈVRE")) == "lefevre"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["M. JEAN LEFEVRE", '["jean", "lefèvre"]', "jeanlefevre@mail.example", "jean-lefevre_2.eml", "Jean et Paul", ""],
)
def test_name_is_found_as_the_project_finds_it(text: str) -> None:
    """The words may stand apart or together, but not with another word between them."""
    assert ex_names.names(NAME, text) == Person([NAME]).is_in(text)
