"""Words that look like names: found by a capital next to another, and by nothing that only looks so."""

import pytest

from artifacts.text.people import Person
from trainer.curation.capitals import dictionary, names_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("le dossier de Jean Lefèvre attend", ["Jean", "Lefèvre"]),
        ("appeler Mme LEFÈVRE au plus vite", ["LEFÈVRE"]),
        ("appeler M. Roy", ["Roy"]),
        ("contact: Dr. Zwoki", ["Zwoki"]),
        ("please call John Zwoki-Vrart now", ["John", "Zwoki-Vrart"]),
        ("signé Paul ZWOKI", ["Paul", "ZWOKI"]),
        ("Zwoki ne marche pas. Zwoki encore", []),  # the beginning of a sentence says nothing
        ("la ville de Lyon", []),  # alone
        ("ERREUR GRAVE SUR TOUT", []),  # somebody shouts
        ("ouvrir Microsoft Outlook le Lundi", []),  # frequent
        ("deux Colis Perdus, un colis, ils sont perdus", []),  # written small elsewhere
        ("Bonjour", []),
        ("", []),
    ],
)
def test_capital_next_to_another_looks_like_a_name(text: str, names: list[str]) -> None:
    """Within a sentence, unless the word is frequent, or some ticket writes it small."""
    assert sorted(names_in([text])) == names


def test_tickets_are_counted_once_each() -> None:
    """A ticket that repeats a name counts once; the spelling that is no shout is shown; the most frequent is first."""
    tickets = ["de Jean LEFÈVRE et Jean LEFÈVRE", "pour Mme Lefèvre", ["jean", "lefèvre"]]

    assert names_in(tickets) == {"Lefèvre": 2, "Jean": 1}


def test_forbidden_names_are_not_named_again() -> None:
    """What is kept out of the vocabulary already needs no warning."""
    assert names_in(["de Jean Lefèvre"], Person(["lefevre"]).is_word) == {"Jean": 1}


def test_frequent_words_are_both_languages() -> None:
    """The file is read, folded, and holds words of both."""
    words = dictionary().words

    assert {"avec", "etaient", "which", "outlook", "fevrier", "mme"} <= words
    assert len(words) > 1000
