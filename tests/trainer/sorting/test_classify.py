"""An export in, the same export with categories out: every column kept, any form, no library of a training."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from artifacts.errors import InvalidInput, KindMismatch
from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru import GruModel
from artifacts.networks.simple_nn import SimpleNNModel
from artifacts.store.store import Store
from artifacts.text.vocabulary import Encoded
from tests.trainer.data.forms import FORMS
from tests.trainer.files import jsonl, table, written
from trainer.cli import classification
from trainer.cli.main import main
from trainer.data.columns import AS_FOUND, Reading
from trainer.data.forms import open_export
from trainer.sorting.classify import Asked, Sorted, classify

TEXTS = [
    "connexion impossible au <PRODUCT>",
    "ajouter un utilisateur",
    "",
    "créer un nouveau client",
    ".......",
    "=1+1",
]
CELLS = [(str(number), text, f"note; {number}") for number, text in enumerate(TEXTS)]
SURE = Abstention(0.95, 0.7, tie_margin=0.0, max_unknown=0.3, num_tickets=600, coverage=0.9, accuracy=0.95)


def sorted_rows(path: Path) -> list[dict[str, object]]:
    """Return the rows of a file that was written."""
    with open_export(path, lambda cells: int("confidence" in list(cells))) as export:
        return [record.fields for record in export.records]


def run(model: GruModel, data: Path, out: Path, asked: Asked = Asked(), reading: Reading = AS_FOUND) -> Sorted:  # noqa: B008
    """Write an export with the answers of a model."""
    return classify(data, out, model, asked, reading)[0]


def puppet_train(*words: object, status: int = 0) -> Result:
    """Return what a command printed."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx", "jsonl", "parquet"])
def test_every_column_is_kept_and_four_are_added(model: GruModel, tmp_path: Path, suffix: str) -> None:
    """In each form that is written, in the order of the export, with the very answer that the model gives."""
    data = written(tmp_path, "export.csv", table(CELLS, ";", ("id", "text", "note")))

    found = run(model, data, tmp_path / f"sorted.{suffix}")

    rows = sorted_rows(tmp_path / f"sorted.{suffix}")
    assert list(rows[0]) == ["id", "text", "note", "category", "confidence", "reason", "version"]
    assert [(row["id"] or "", row["text"] or "", row["note"]) for row in rows] == CELLS
    (expected,) = model.predict([model.encode(TEXTS[0])])
    assert rows[0]["category"] == expected.category
    assert float(str(rows[0]["confidence"])) == pytest.approx(expected.confidence, abs=1e-4)
    assert [row["reason"] or "" for row in rows] == ["", "", "empty", "", "empty", ""]
    assert [row["category"] or "" for row in rows][2:5:2] == ["", ""]
    assert {str(row["version"]) for row in rows} == {"1"}
    assert (found.num_tickets, found.reasons, sum(found.categories.values())) == (6, {"empty": 2}, 4)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_sorted(model: GruModel, tmp_path: Path, form: object) -> None:
    """Whatever is read can be sorted, into CSV and into JSON Lines, and a category that is there stays."""
    data = written(tmp_path, f"export.{form.suffix}", form.make())  # type: ignore[attr-defined]  # a Form

    for suffix in ("csv", "jsonl"):
        found = run(model, data, tmp_path / f"sorted.{suffix}")
        rows = sorted_rows(tmp_path / f"sorted.{suffix}")
        assert [row["category"] for row in rows] == ["Réseau", "Imprimante", "Réseau", "Compte"]
        assert {row["predicted_category"] for row in rows} <= set(model.labels)
        assert found.columns["category"] == "predicted_category"


def test_objects_keep_all_that_they_had(model: GruModel, tmp_path: Path) -> None:
    """Of JSON Lines each row may have other fields; nested ones stay as they are, half an emoji too."""
    objects: list[dict[str, object]] = [
        {"text": "connexion", "tags": ["a", {"b": 1}]},
        {"text": "client", "more": None, "n": 1.5},
    ]
    data = written(tmp_path, "export.jsonl", jsonl(*objects))

    run(model, data, tmp_path / "sorted.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "sorted.jsonl").read_text("utf-8").splitlines()]
    assert [{key: line[key] for key in row} for line, row in zip(lines, objects, strict=True)] == objects


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "jsonl", "parquet"])
def test_file_that_was_sorted_before_keeps_its_columns(model: GruModel, tmp_path: Path, suffix: str) -> None:
    """A column of the export is never written over, and may hold any text under the name of one of ours."""
    names = ("text", "category", "confidence", "predicted_category", "version")
    data = written(tmp_path, "export.csv", table([("connexion", "a", "high", "b", "v1")], ",", names))

    found = run(model, data, tmp_path / f"sorted.{suffix}")

    (row,) = sorted_rows(tmp_path / f"sorted.{suffix}")
    assert [row[name] for name in names] == ["connexion", "a", "high", "b", "v1"]
    assert found.columns["category"] == "predicted_category_again"
    assert row["predicted_category_again"] in model.labels
    assert len(row) == len(names) + 4


def test_parquet_keeps_its_types(model: GruModel, tmp_path: Path) -> None:
    """A number stays a number and a date a date."""
    rows = pyarrow.table({"n": pyarrow.array([1, None], pyarrow.int8()), "text": ["connexion", "client"],
                          "day": pyarrow.array([1, 2], pyarrow.date32())})  # fmt: skip
    pyarrow.parquet.write_table(rows, tmp_path / "export.parquet")

    run(model, tmp_path / "export.parquet", tmp_path / "sorted.parquet")

    found = pyarrow.parquet.read_table(tmp_path / "sorted.parquet")
    assert found.select(["n", "text", "day"]).equals(rows)
    assert str(found.schema.field("confidence").type) == "double"


def test_no_cell_becomes_a_formula(model: GruModel, tmp_path: Path) -> None:
    """What a stranger wrote is kept to the letter in CSV, and is text in a workbook."""
    data = written(tmp_path, "export.csv", table([("=HYPERLINK(1)",), ("+33 1",), ("@x",)], ",", ("text",)))

    run(model, data, tmp_path / "sorted.csv")
    run(model, data, tmp_path / "sorted.xlsx")

    with (tmp_path / "sorted.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["=HYPERLINK(1)", "+33 1", "@x"]
    assert [row["text"] for row in sorted_rows(tmp_path / "sorted.xlsx")] == ["=HYPERLINK(1)", "+33 1", "@x"]


def test_unsure_rows_are_left_empty_with_the_reason(model: GruModel, tmp_path: Path) -> None:
    """With abstain; the confidence stays. A model without a rule says so before it writes."""
    data = written(tmp_path, "export.csv", table([("connexion",), ("zzzz qqqq wwww",)], ",", ("text",)))
    model.abstention = SURE

    found = run(model, data, tmp_path / "sorted.csv", Asked(abstain=True))

    sure, unsure = sorted_rows(tmp_path / "sorted.csv")
    assert (unsure["category"], unsure["reason"]) == ("", "unknown_tokens")
    assert float(str(unsure["confidence"])) > 0
    assert found.reasons["unknown_tokens"] >= 1
    assert sure["reason"] in ("", "low_confidence")
    run(model, data, tmp_path / "all.csv", Asked(abstain=False))
    assert all(row["category"] for row in sorted_rows(tmp_path / "all.csv"))
    model.abstention = None
    with pytest.raises(InvalidInput, match="does not know when to abstain"):
        run(model, data, tmp_path / "none.csv", Asked(abstain=True))
    assert not (tmp_path / "none.csv").exists()


def test_what_a_person_has_decided_is_written(model: GruModel, tmp_path: Path) -> None:
    """In place of the model's category, and no longer among what it is not sure of; of no row it is refused."""
    data = written(tmp_path, "export.csv", table([("connexion",), ("zzzz qqqq wwww",)], ",", ("text",)))
    model.abstention = SURE
    place = "line 3"
    before = classify(data, tmp_path / "before.csv", model, Asked(abstain=True), AS_FOUND)[1]
    assert 3 in [one.line for one in before.sorted()]

    found, unsure = classify(data, tmp_path / "out.csv", model, Asked(abstain=True, decided={place: "Neu"}), AS_FOUND)

    row = sorted_rows(tmp_path / "out.csv")[1]
    assert (row["category"], row["reason"]) == ("Neu", "decided")
    assert found.categories["Neu"] == 1
    assert unsure.num_tickets == before.num_tickets - 1
    with pytest.raises(InvalidInput, match="no ticket stands at line 9"):
        run(model, data, tmp_path / "none.csv", Asked(decided={"line 9": "Neu"}))
    assert not (tmp_path / "none.csv").exists()


def test_next_best_and_words_that_weigh_are_added(model: GruModel, tmp_path: Path) -> None:
    """Two columns a further category, and one of words with their weights."""
    data = written(tmp_path, "export.csv", table([("connexion impossible",), ("...",)], ",", ("text",)))

    run(model, data, tmp_path / "sorted.csv", Asked(top_k=3, explain=True))

    row, empty = sorted_rows(tmp_path / "sorted.csv")
    named = [row["category"], row["category_2"], row["category_3"]]
    assert sorted(map(str, named)) == sorted(model.labels)
    assert float(str(row["confidence"])) >= float(str(row["confidence_2"])) >= float(str(row["confidence_3"]))
    assert "connexion (" in str(row["explanation"])
    assert empty["category_2"] == empty["explanation"] == ""


def test_unreadable_cell_gets_no_category_and_stays(model: GruModel, tmp_path: Path) -> None:
    """A ticket with a NUL is no reason to leave out a row of somebody's file."""
    data = written(tmp_path, "export.csv", table([("a\0b",), ("client",)], ",", ("text",)))

    run(model, data, tmp_path / "sorted.csv")

    rows = sorted_rows(tmp_path / "sorted.csv")
    assert [row["reason"] for row in rows] == ["unreadable", ""]
    assert rows[0]["text"] == "a\0b"


def test_row_that_cannot_be_kept_is_refused_or_counted(model: GruModel, tmp_path: Path) -> None:
    """Cells beyond the header have no column; nothing is written before that is decided."""
    data = written(tmp_path, "export.csv", "text,n\nconnexion,1\nclient, encore,2\n")

    with pytest.raises(InvalidInput, match="does not fit"):
        run(model, data, tmp_path / "sorted.csv")
    assert not list(tmp_path.glob("*sorted*"))
    found = run(model, data, tmp_path / "sorted.csv", reading=Reading(skip_faulty=True))
    assert (found.num_tickets, found.num_skipped) == (1, 1)


def test_file_appears_as_a_whole_or_not_at_all(
    model: GruModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays if the work breaks off."""
    data = written(tmp_path, "export.csv", table(CELLS * 200, ",", ("id", "text", "note")))
    (tmp_path / "sorted.csv").write_text("old")
    calls = iter(range(2))
    ranker = model.ranker

    class Broken:
        def predict(self, encoded: list[Encoded]) -> object:
            next(calls)
            assert ranker is not None
            return ranker.predict(encoded)

    monkeypatch.setattr(model, "ranker", Broken())
    with pytest.raises((StopIteration, RuntimeError)):
        run(model, data, tmp_path / "sorted.csv")

    assert (tmp_path / "sorted.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2 or not list(tmp_path.glob(".sorted*"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sorted.docx", "expected one of .csv, .tsv, .xlsx"), ("export.csv", "is the file that is read"),
     ("folder.csv", "is a folder"), ("nowhere/sorted.csv", "cannot write")],
)  # fmt: skip
def test_target_that_cannot_be_written_is_refused(model: GruModel, tmp_path: Path, name: str, expected: str) -> None:
    """Before any ticket is answered."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(InvalidInput, match=expected):
        run(model, data, tmp_path / name)


def test_cell_longer_than_a_workbook_holds_is_refused(model: GruModel, tmp_path: Path) -> None:
    """And not left out, which is what the library does."""
    data = written(tmp_path, "export.csv", table([("x" * 40_000,)], ",", ("text",)))

    with pytest.raises(InvalidInput, match="a workbook's limit is 32767"):
        run(model, data, tmp_path / "sorted.xlsx")


def test_model_of_numbers_sorts_nothing(prices: SimpleNNModel, tmp_path: Path) -> None:
    """It answers with a value."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))

    with pytest.raises(KindMismatch, match="sorts no tickets"):
        classify(data, tmp_path / "sorted.csv", prices, Asked(), AS_FOUND)


def test_answers_do_not_depend_on_the_batch(model: GruModel, tmp_path: Path) -> None:
    """A file of 1,100 tickets is answered in several batches, in order."""
    words = ["connexion", "client", "utilisateur", "ajouter", "créer", "expirer", "nouveau"]
    random = np.random.default_rng(3)
    texts = [" ".join(random.choice(words, size=random.integers(1, 9))) for _ in range(1100)]
    data = written(tmp_path, "export.csv", table([(text,) for text in texts], ",", ("text",)))

    run(model, data, tmp_path / "sorted.csv")

    rows = sorted_rows(tmp_path / "sorted.csv")
    for place in (0, 511, 512, 1099):
        (expected,) = model.predict([model.encode(texts[place])])
        assert (rows[place]["text"], rows[place]["category"]) == (texts[place], expected.category)


# The command


def test_command_says_what_it_did(store: Store, tmp_path: Path) -> None:
    """What was read, how many tickets each category got, and the same as JSON in the last line."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))

    result = puppet_train("classify", data, tmp_path / "o.csv", "--name", "puppet-o2", "--store", store.root, "--json")

    found = json.loads(result.stdout.splitlines()[-1])
    assert found["num_tickets"] == 6
    assert "text from 'text'" in result.stdout
    assert "2 without a category: empty" in result.stdout


def test_command_reads_by_what_the_model_remembers(store: Store, tmp_path: Path) -> None:
    """Columns of the training need no option; others are refused with a command to copy."""
    data = written(tmp_path, "export.csv", table([("1", "x", "connexion"), ("2", "y", "client")], ";", ("n", "a", "b")))
    words = ["classify", data, tmp_path / "o.csv", "--name", "puppet-o2", "--store", store.root]

    result = puppet_train(*words, status=1)

    assert "ready to copy: main classify" in result.stderr
    assert f"{data} {tmp_path / 'o.csv'} --name puppet-o2 --store {store.root} --text b" in result.stderr
    puppet_train(*words, "--text", "b")


def test_command_reads_standard_input(store: Store, tmp_path: Path) -> None:
    """`-` in the place of the export."""
    raw = table([("connexion",), ("client",)], ",", ("text",))

    words = ["classify", "-", str(tmp_path / "o.csv"), "--name", "puppet-o2", "--store", str(store.root)]
    result = CliRunner().invoke(main, words, input=raw)

    assert result.exit_code == 0, result.output
    assert len(sorted_rows(tmp_path / "o.csv")) == 2


def test_missing_store_is_not_made(tmp_path: Path) -> None:
    """A typing error would look like an empty store."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))

    result = puppet_train("classify", data, tmp_path / "o.csv", "--name", "m", "--store", tmp_path / "no", status=1)

    assert "there is no store" in result.stderr
    assert not (tmp_path / "no").exists()


def test_no_library_of_a_training_is_imported() -> None:
    """The commands of the plain install import neither torch nor onnx, scikit-learn or scipy."""
    code = (
        "import sys, trainer.cli.main, trainer.cli.classification\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'onnx', 'sklearn', 'scipy', 'pyarrow', 'xlsxwriter')))"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_command_of_a_training_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not there, the help lists what works and the command says what to install."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    for name in [
        name for name in sys.modules if name.startswith(("trainer.cli.inspection", "trainer.curation", "scipy."))
    ]:
        monkeypatch.delitem(sys.modules, name)

    result = CliRunner().invoke(main, ["inspect", "x.csv"])

    assert result.exit_code == 1
    assert "inspect needs scipy; install the extra train" in result.stderr
    assert "classify" in puppet_train("--help").stdout


def test_result_is_what_json_prints(model: GruModel, tmp_path: Path) -> None:
    """Its fields are stable."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))

    found = run(model, data, tmp_path / "sorted.csv")

    assert set(msgspec.to_builtins(found)) == {
        "name", "version", "num_tickets", "categories", "reasons", "num_skipped", "num_repaired", "form", "encoding",
        "columns", "said",
    }  # fmt: skip
    assert io.StringIO(found.said).readline() == found.said


def test_bar_follows_the_bytes_of_the_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line says how many tickets are done."""
    screen = io.StringIO()
    monkeypatch.setattr(classification, "err", Console(file=screen, force_terminal=True, width=100))
    data = written(tmp_path, "export.csv", table(CELLS * 200, ",", ("id", "text", "note")))

    puppet_train("classify", data, tmp_path / "o.csv", "--name", "puppet-o2", "--store", store.root)

    assert "1,200 tickets" in screen.getvalue()


def test_only_what_applies_is_written(model: GruModel, tmp_path: Path) -> None:
    """What is masked stands in no cell; `otherwise` stands where the category would be empty, and is counted."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))
    among = ["Accès utilisateur", "Création de client"]
    model.abstention = SURE

    plain = run(model, data, tmp_path / "plain.csv", Asked(among=among, abstain=False, top_k=2, explain=True))
    other = run(model, data, tmp_path / "other.csv", Asked(among=among, otherwise="Accueil"))

    cells = [row[name] for row in sorted_rows(tmp_path / "plain.csv") for name in ("category", "category_2")]
    assert {cell for cell in cells if cell} == set(among)
    assert plain.reasons == {"empty": 2}
    rows = sorted_rows(tmp_path / "other.csv")
    assert [row["category"] == "Accueil" for row in rows] == [bool(row["reason"]) for row in rows]
    assert other.categories["Accueil"] == sum(other.reasons.values()) == sum(bool(row["reason"]) for row in rows) > 2


def test_command_takes_what_applies(store: Store, tmp_path: Path) -> None:
    """A name that the model does not have is refused with its place, before anything is written."""
    data = written(tmp_path, "export.csv", table(CELLS, ",", ("id", "text", "note")))
    words = ["classify", data, tmp_path / "o.csv", "--name", "puppet-o2", "--store", store.root]

    puppet_train(*words, "--among", "Accès utilisateur")
    refused = puppet_train(*words, "--among", "Accès utilisateur", "--among", "Accueil", status=1)
    without = puppet_train(*words, "--otherwise", "Accueil", "--no-abstain", status=1)

    assert {row["category"] for row in sorted_rows(tmp_path / "o.csv") if row["category"]} == {"Accès utilisateur"}
    assert "/among/1" in refused.stderr
    assert "abstain" in without.stderr
