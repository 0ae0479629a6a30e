"""What the reader of files notices in texts: encoded twice, cut at the 512th token, told apart by a code alone."""

from pathlib import Path

import pytest

from tests.trainer.files import jsonl, written
from trainer.data import tickets
from trainer.data.encodings import repaired
from trainer.data.tickets import Rows, cut_short, near_empty_rows


def read(folder: Path, *rows: tuple[str, str]) -> Rows:
    """Return tickets as they are read from a file."""
    content = jsonl(*({"category": category, "text": text} for category, text in rows))
    return tickets.read(written(folder, "x.jsonl", content))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("problÃ¨me d'accÃ¨s Ã  la messagerie", "problème d'accès à la messagerie"),
        ("contraseÃ±a", "contraseña"),
        ("MÃ¼ller GrÃ¶ÃŸe", "Müller Größe"),
        ("zaÅ¼Ã³Å‚Ä‡", "zażółć"),
        ("lâ€™Ã©cran â€œxâ€\x9d", "l’écran “x”"),
        ("vrai é\nproblÃ¨me", "vrai é\nproblème"),
    ],
)
def test_text_encoded_twice_is_repaired(text: str, meant: str) -> None:
    """A line that is wrong as a whole is read as it was meant."""
    assert repaired(text) == meant


@pytest.mark.parametrize(
    "text", ["SÃO PAULO, AÇÃO", "l’été “x” – 5 €", "il affiche Ã© et non é", "Ã", "CAFÉ™", "25 °C"]
)
def test_right_text_is_not_repaired(text: str) -> None:
    """Portuguese capitals, curved quotes and a mention beside a true accent stay."""
    assert repaired(text) == text


def test_repaired_tickets_are_counted(tmp_path: Path) -> None:
    """Text and category are repaired, and the intake says in how many tickets."""
    rows = read(tmp_path, ("DÃ©sactivÃ©", "clÃ© pÃ©rimÃ©e"), ("Désactivé", "clé périmée"), ("b", "écran"))

    assert set(rows.categories) == {"Désactivé", "b"}
    assert rows.tokens[0] == rows.tokens[1] == ["clé", "périmée"]
    assert rows.intake is not None
    assert rows.intake.num_repaired == 1


@pytest.mark.torch
def test_tickets_that_differ_in_a_number_are_told_apart(tmp_path: Path) -> None:
    """Neither a conflict nor a repetition, whether the number has a row, is rare, or is long."""
    from trainer.curation.audit import conflicting, repeated  # needs SciPy, which comes with torch

    rows = read(
        tmp_path,
        *[("a", f"erreur {code} sur le portail") for code in (401, 403, 407)],
        *[("b", f"erreur {code} sur le portail") for code in (500, 502, 503)],
        *[("a", "facture 123456 perdue"), ("b", "facture 234567 perdue")],
        *[("a", "vraiment pareil 404"), ("b", "vraiment pareil 404"), ("a", "vraiment pareil 404")],
    )

    assert (rows.num_conflicts, rows.num_duplicates) == (1, 1)
    assert conflicting(rows) == {8: ["b"], 9: ["a"], 10: ["b"]}
    assert repeated(rows) == {10: 8}
    # A rare number is shown to nobody, and what differs in it lies on one side of a split.
    assert rows.tokens[0] == rows.tokens[3] == ["erreur", "<999>", "sur", "le", "portail"]


@pytest.mark.torch
def test_frequent_codes_are_kept_and_known_again_in_a_test_file(tmp_path: Path) -> None:
    """With five distinct tickets the digits stay; a test ticket is compared as the training tickets are read."""
    from trainer.curation.audit import leaks

    words = ("un", "le", "mon", "ton", "son")
    rows = read(tmp_path, *[("a", f"{word} 401") for word in words], *[("b", f"{word} 503") for word in words])
    test = read(tmp_path, ("a", "un 401"), ("b", "un 404"))

    assert rows.tokens[0] == ["un", "<#401>"]
    assert [(leak.test_row, leak.train_row) for leak in leaks(rows, test) if leak.similarity == 1] == [(0, 0)]


def test_tickets_cut_at_the_limit_are_counted(tmp_path: Path) -> None:
    """Three are cut, two of them are one as far as they are read; a copy of a ticket counts as no other."""
    rules = " ".join(f"règle{n}" for n in range(512))
    rows = read(
        tmp_path,
        *[("a", f"{rules} écran noir"), ("b", f"{rules} mot oublié"), ("a", f"{rules.upper()} écran noir")],
        *[("b", f"autre {rules} fin"), ("b", f"autre {rules} fin"), ("a", "court")],
    )

    assert cut_short(rows) == (5, 3)


def test_style_sheets_are_not_read(tmp_path: Path) -> None:
    """Six hundred rules of style before a sentence leave the sentence."""
    style = " ".join(f"p.Bloc{n} {{couleur: bleu}}" for n in range(600))
    rows = read(tmp_path, ("a", f"<html><head><style>{style}</style></head><body><p>session expirée</p></body></html>"))

    assert rows.tokens == [["session", "expirée"]]
    assert cut_short(rows) == (0, 0)


def test_scripts_without_blanks_are_not_nearly_empty(tmp_path: Path) -> None:
    """Characters of a run count as words do; one of them, and one word of Latin, are still next to nothing."""
    rows = read(tmp_path, ("a", "密码"), ("a", "ข้าว"), ("b", "错"), ("b", "écran"), ("b", "<PRODUCT> 401"))

    assert near_empty_rows(rows) == [2, 3, 4]
