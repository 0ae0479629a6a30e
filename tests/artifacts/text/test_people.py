"""Finding what names a person, however it is spelt, escaped or cut."""

import json
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from artifacts.text import people
from artifacts.text.people import Person, fold, read_names

NAME = "Lefèvre"


@pytest.mark.parametrize(
    "text",
    [
        "Mme Lefèvre",
        "LEFEVRE",
        unicodedata.normalize("NFD", "lefèvre"),
        "lefevre_facture.pdf",
        "j.lefevre75@mail.fr",
        "jlefevre@mail.fr",
        "Lefèvre-Martin",
        json.dumps("Lefèvre"),
        json.dumps(json.dumps("Lefèvre")),
        "https://crm.example/" + quote("Lefèvre"),
        "Subject: Lef=C3=A8vre",
        "Subject: Lef=E8vre",
        "Lef&egrave;vre",
        "Lefè=\nvre",
        "\uff2c\uff45\uff46\uff45\uff56\uff52\uff45",  # full width
    ],
)
def test_name_is_found_however_it_is_written(text: str) -> None:
    """Case, accents, their composition, and the escapes of JSON, addresses, e-mails and HTML do not count."""
    assert Person([NAME]).is_in(text)


def test_short_name_is_found_as_a_word_only() -> None:
    """Roy is no part of "royal", and Lefèvre is found inside a word unless whole words are asked for."""
    assert [Person(["Roy"]).is_in(text) for text in ("M. Roy,", "roy_1.eml", "royal", "leroy")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [Person([NAME], whole_words=True).is_in(text) for text in ("m.lefevre@x", "jlefevre@x")] == [True, False]


def test_parts_of_a_name_may_stand_apart_and_together() -> None:
    """What stands between the words does not count; a list of words is searched for each of them."""
    person = Person(["Jean-Luc O'Neill"])

    assert person.is_in('["jean", "luc", "o\'neill"]')
    assert person.is_in("jeanluconeill@mail.fr")
    assert not person.is_in("jean et luc")
    assert person.is_word("o'neill")
    assert not person.is_word("connexion")


def test_too_little_is_refused() -> None:
    """A single letter stands in every text."""
    with pytest.raises(InvalidInput, match="'é' has 1 letter or digit, the least is 2"):
        Person(["é"])


@given(st.text(), st.text())
def test_name_is_found_between_any_texts(before: str, after: str) -> None:
    """Whatever stands around a long name, it is found, in the text and in its JSON."""
    text = f"{before} {NAME} {after}"

    assert Person([NAME]).is_in(text)
    assert Person([NAME]).is_in(json.dumps(text))


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    """Both sides of a comparison may have been folded before."""
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("place", [0, 1, 99, 100, 101, 150, 199, 200, 245])
@pytest.mark.parametrize("name", [NAME, "Roy"])
def test_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, name: str) -> None:
    """A name is found at any place of a file, across the border of two pieces too; a part of a word is not."""
    monkeypatch.setattr(people, "PIECE_BYTES", 100)
    monkeypatch.setattr(people, "OVERLAP_BYTES", 40)
    text = " " * place + name + " " * (250 - place)
    (tmp_path / "file").write_text(text, "utf-8")
    (tmp_path / "part").write_text(" " * (place - 2) + "leroyal" + " " * 200, "utf-8")

    assert Person([name]).is_in_file(tmp_path / "file")
    assert not Person(["Roy"]).is_in_file(tmp_path / "part")


def test_nobody_is_found_nowhere(tmp_path: Path) -> None:
    """Without a name nothing is found."""
    (tmp_path / "file").write_text("x")

    assert not Person([]).is_in("x")
    assert not Person([]).is_in_file(tmp_path / "file")


def test_names_are_read_line_by_line(tmp_path: Path) -> None:
    """Blank lines and comments are passed over; a file that is no UTF-8 is refused."""
    (tmp_path / "names").write_text("\ufeffLefèvre\n\n# asked on 3 May\n  Jean Roy \n", "utf-8")
    (tmp_path / "latin").write_bytes("Lefèvre".encode("latin-1"))

    assert read_names(tmp_path / "names") == ["Lefèvre", "Jean Roy"]
    with pytest.raises(InvalidInput, match="one name a line"):
        read_names(tmp_path / "latin")
