"""La vérification de l’exercice."""

import unicodedata

import ex_names
import pytest

from artifacts.text.people import Person

NAME = "Jean Lefèvre"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_and_case_are_taken_off(form: str) -> None:
    """De quelque façon qu’Unicode compose une lettre, il ne reste qu’une graphie."""
    assert ex_names.fold(unicodedata.normalize(form, "LEFÈVRE")) == "lefevre"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["M. JEAN LEFEVRE", '["jean", "lefèvre"]', "jeanlefevre@mail.example", "jean-lefevre_2.eml", "Jean et Paul", ""],
)
def test_name_is_found_as_the_project_finds_it(text: str) -> None:
    """Les mots peuvent être séparés ou collés, mais sans autre mot entre eux."""
    assert ex_names.names(NAME, text) == Person([NAME]).is_in(text)
