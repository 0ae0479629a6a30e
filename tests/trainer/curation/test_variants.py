"""Names of categories that a person reads as one: found, and a merge proposed; others are left alone."""

import pytest

from trainer.curation.variants import Variants, skeleton, variants


@pytest.mark.parametrize(
    "other",
    [
        "comptes",
        "COMPTES",
        " Comptes",
        "Comptеs",
        "Cómptes",
        "Comptes.",
        "Comp\u00adtes",
        "Ｃomptes",
        "Сomptes",
        "compt\u200bes",
    ],
)
def test_spellings_of_one_name_are_found(other: str) -> None:
    """Case, blanks, accents, punctuation, Cyrillic letters, and characters that nobody sees."""
    assert variants({"Comptes": 6, other: 3, "Réseau": 5}) == [Variants("Comptes", {other: 3}, 9)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C++", "C#"),
        ("Niveau 1.2", "Niveau 12"),
        ("Niveau 1", "Niveau 2"),
        ("A/B", "A/C"),
        ("中文", "日文"),
        ("😀", "😡"),
    ],
)
def test_names_that_differ_are_left_alone(one: str, other: str) -> None:
    """A sign or a number may be all that tells two categories apart."""
    assert variants({one: 5, other: 5}) == []


def test_most_frequent_spelling_is_kept() -> None:
    """Of equals the one in one script and not in capitals; the options say the merge."""
    (found,) = variants({"RÉSEAU": 4, "Resеau": 4, "Réseau": 4, "réseau": 1})

    assert found.kept == "Réseau"
    assert found.options[:2] == ["--merge", "RÉSEAU=Réseau"]
    assert (found.num_tickets, len(found.others)) == (13, 3)


def test_skeleton_of_signs_is_the_name() -> None:
    """So that two names of signs are not one."""
    assert skeleton("!!") != skeleton("??")
