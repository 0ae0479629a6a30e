"""The way back: a file of `inspect --csv`, corrected in a spreadsheet, applied to the export that it came from."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from artifacts.errors import InvalidInput
from tests.trainer.data.forms import workbook
from tests.trainer.files import jsonl, table, written
from trainer.data.columns import AS_FOUND, Reading
from trainer.sorting.corrections import Applied, apply, quoted, unquoted

TICKETS = [
    ("Comptes", "bourrage papier\nau bac deux, à l'étage"), ("Comptes", "mot de passe oublié"),
    ("Réseau", "=1+1 câble"), ("Réseau", "wifi lent"),
]  # fmt: skip
HEADER = ("place", "id", "category", "suggested_category", "score", "reasons", "text")
CORRECTED = [("line 1", "Imprimantes", 0), ("line 3", "Réseau", 2), ("line 4", "", 3)]
LOOK = [
    (place, "", category, "", "0.1", "probably another category", quoted(TICKETS[row][1]))
    for place, category, row in CORRECTED
]


def data(tmp_path: Path) -> Path:
    """Return the export."""
    return written(tmp_path, "export.jsonl", jsonl(*({"category": one, "text": two, "n": 5} for one, two in TICKETS)))


def categories(path: Path) -> list[str]:
    """Return the categories of a JSON Lines file."""
    return [json.loads(line)["category"] for line in path.read_text("utf-8").splitlines()]


SAVED: dict[str, Callable[[], bytes]] = {
    "as it was": lambda: b"\xef\xbb\xbf" + table(LOOK, ",", HEADER).encode(),
    "semicolons, cp1252": lambda: table(LOOK, ";", HEADER).encode("cp1252"),
    "Unicode text": lambda: table(LOOK, "\t", HEADER).encode("utf-16"),
    "xlsx": lambda: workbook([HEADER, *LOOK]),
    "sorted, columns moved": lambda: table([(row[6], row[2], row[0]) for row in reversed(LOOK)], ";",
                                           ("text", "category", "place")).encode(),
    "line ends of Mac": lambda: table(LOOK, ";", HEADER).replace("\r\n", "\r").encode("mac_roman"),
}  # fmt: skip


@pytest.mark.parametrize("saved", SAVED)
def test_corrections_are_applied_whatever_saved_them(tmp_path: Path, saved: str) -> None:
    """A changed category is written, an unchanged and a deleted one are not, and every other field stays."""
    look = written(tmp_path, "look.any", SAVED[saved]())

    found = apply(look, data(tmp_path), tmp_path / "fixed.jsonl", AS_FOUND)

    assert found == Applied(4, 1, 1, 1, {"Imprimantes": 1}, ["Imprimantes"])
    assert categories(tmp_path / "fixed.jsonl") == ["Imprimantes", "Comptes", "Réseau", "Réseau"]
    assert all(json.loads(line)["n"] == 5 for line in (tmp_path / "fixed.jsonl").read_text().splitlines())


def test_table_is_written_as_a_table(tmp_path: Path) -> None:
    """With its own delimiter, and places that count the lines of cells."""
    export = written(
        tmp_path, "export.csv", table([(two, one, "x") for one, two in TICKETS], ";", ("text", "File", "n"))
    )
    look = written(
        tmp_path, "look.csv", table([("line 4", "Imprimantes", TICKETS[1][1])], ",", ("place", "category", "text"))
    )

    apply(look, export, tmp_path / "fixed.csv", Reading(category="File"))

    with (tmp_path / "fixed.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["File"] for row in rows] == ["Comptes", "Imprimantes", "Réseau", "Réseau"]
    assert [row["text"] for row in rows] == [text for _, text in TICKETS]


def test_field_inside_an_object_is_corrected(tmp_path: Path) -> None:
    """At the end of its dotted path."""
    export = written(
        tmp_path,
        "x.json",
        json.dumps([{"text": "a b", "q": {"name": "x", "id": 1}}, {"text": "c", "q": {"name": "y"}}]),
    )
    look = written(tmp_path, "look.csv", table([("/0", "y", "a b")], ",", ("place", "category", "text")))

    apply(look, export, tmp_path / "fixed.jsonl", Reading(category="q.name"))

    first = json.loads((tmp_path / "fixed.jsonl").read_text().splitlines()[0])
    assert first == {"text": "a b", "q": {"name": "y", "id": 1}}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            ("line 2", "Imprimantes", "bourrage papier au bac deux"),
            "'line 2' is 'bourrage papier au bac deux' in",
        ),
        (("line 9", "Imprimantes", "x"), "corrects line 9, which"),
    ],
)
def test_corrections_of_another_export_change_nothing(tmp_path: Path, row: tuple[str, ...], expected: str) -> None:
    """The words tell, and the places."""
    look = written(tmp_path, "look.csv", table([row], ",", ("place", "category", "text")))

    with pytest.raises(InvalidInput, match=expected):
        apply(look, data(tmp_path), tmp_path / "fixed.jsonl", AS_FOUND)
    assert not (tmp_path / "fixed.jsonl").exists()


def test_file_that_inspect_did_not_write_is_refused(tmp_path: Path) -> None:
    """With the columns that are needed."""
    look = written(tmp_path, "look.csv", "row,category\n1,a\n")

    with pytest.raises(InvalidInput, match="has no column 'place'"):
        apply(look, data(tmp_path), tmp_path / "fixed.jsonl", AS_FOUND)


@pytest.mark.parametrize("cell", ["=1+1", "'=1", "'quoted'", "-5", "plain", "", "@", "'"])
def test_quoted_cell_comes_back(cell: str) -> None:
    """What keeps a spreadsheet from computing a cell is taken off again."""
    assert unquoted(quoted(cell)) == cell or cell.startswith("'=")


def test_correction_keeps_the_type_of_a_column_or_is_refused(tmp_path: Path) -> None:
    """A number corrected in a spreadsheet is text there; a word is no number. The corrections are never overwritten."""
    rows = pyarrow.table({"label": [0, 1], "text": ["bonjour à tous", "merci bien"]})
    pyarrow.parquet.write_table(rows, tmp_path / "export.parquet")
    header = ("place", "category", "text")

    number = written(tmp_path, "number.csv", table([("row 1", "2", "bonjour à tous")], ",", header))
    apply(number, tmp_path / "export.parquet", tmp_path / "fixed.parquet", AS_FOUND)
    assert pyarrow.parquet.read_table(tmp_path / "fixed.parquet")["label"].to_pylist() == [2, 1]

    word = written(tmp_path, "word.csv", table([("row 1", "Réseau", "bonjour à tous")], ",", header))
    with pytest.raises(InvalidInput, match=r"the column 'label' is int64 .* write \.csv"):
        apply(word, tmp_path / "export.parquet", tmp_path / "other.parquet", AS_FOUND)
    with pytest.raises(InvalidInput, match="is the file that is read"):
        apply(word, tmp_path / "export.parquet", word, AS_FOUND)
