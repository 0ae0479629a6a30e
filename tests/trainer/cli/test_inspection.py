"""`puppet-train inspect` as other programs read it, and its way back; what is looked for is in test_audit.py."""

import json
import shlex
from pathlib import Path

import pytest

from artifacts.evaluation.metrics import EMPTY
from artifacts.networks.manifest import Columns
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.cli.commands import fit, last_line, puppet_train, refusal
from tests.trainer.files import jsonl, table, written
from trainer.samples import exports
from trainer.sorting.corrections import quoted

pytestmark = pytest.mark.torch
FIELDS = ("num_tickets", "num_categories", "columns", "encoding", "form", "faults", "warnings")


def tickets_file(folder: Path, **changes: str) -> Path:
    """Return invented tickets as CSV, some categories spelt in another way."""
    rows = [(changes.get(one.category, one.category), f"{one.subject} {one.body}") for one in exports.tickets(60)]
    return written(folder, "export.csv", table(rows, ";", ("category", "text")))


def test_json_has_stable_fields(tmp_path: Path) -> None:
    """Beside what the audit finds: how the file was read, what was left out, and a kind for each warning."""
    rows = [("Réseau" if n % 2 else "réseau", f"pas de réseau {n} salle {n * 7}") for n in range(24)]
    content = table(
        [*rows, ("", "sans"), ("Compte", "..."), *[("Compte", f"mot {n} oublié") for n in range(12)]],
        ";",
        ("category", "text"),
    )

    found = last_line(
        puppet_train("inspect", written(tmp_path, "x.csv", content), "--skip-unlabelled", "--json").stdout
    )

    assert all(field in found for field in FIELDS)
    assert (found["num_tickets"], found["num_unlabelled"], found["num_empty"]) == (36, 1, 1)
    assert (found["columns"], found["encoding"]) == ({"category": "category", "text": ["text"], "id": None}, "utf-8")
    assert found["form"] == "table with semicolons"
    assert found["faults"] == [
        {
            "detail": "category: no category; fill it in",
            "num_tickets": 1,
            "examples": ["line 26 'sans'"],
            "remedy": "--skip-unlabelled goes on without them, and counts them",
            "option": "skip-unlabelled",
            "type": "no-category",
            "field": "category",
        }
    ]
    warned = {one["kind"]: one for one in found["warnings"]}  # type: ignore[attr-defined]
    assert warned["category_names"]["num_tickets"] == 24
    assert "--merge" in warned["category_names"]["detail"]
    assert warned["empty"]["num_tickets"] == 1


def test_json_of_a_refused_file_has_its_faults(tmp_path: Path) -> None:
    """The last line of stdout is there, and the exit status says that nothing was inspected."""
    path = written(tmp_path, "x.csv", "category,text\n,a\nb,c\n")

    result = puppet_train("inspect", path, "--json", status=1)

    found = last_line(result.stdout)
    assert all(field in found for field in FIELDS)
    assert found["faults"][0]["num_tickets"] == 1  # type: ignore[index]


def test_merge_that_is_proposed_can_be_copied(tmp_path: Path) -> None:
    """The option that inspect prints makes one category of two."""
    rows = [("Réseau" if n % 3 else "réseau ", f"coupure {n} salle {n * 7}") for n in range(24)]
    rows += [("Compte", f"mot {n} oublié") for n in range(12)]
    path = written(
        tmp_path,
        "x.jsonl",
        jsonl(
            *(
                {"category": f"{one}.", "text": two} if n == 3 else {"category": one, "text": two}
                for n, (one, two) in enumerate(rows)
            )
        ),
    )

    printed = puppet_train("inspect", path).stdout
    words = shlex.split(printed.split(": add ")[1].splitlines()[0])
    found = last_line(puppet_train("inspect", path, *words, "--json").stdout)

    assert words[::2] == ["--merge", "--merge"]
    assert found["num_categories"] == 2


@pytest.mark.parametrize(("locale", "delimiter"), [("fr_FR.UTF-8", ";"), ("en_US.UTF-8", ","), ("C", ",")])
def test_file_to_correct_is_what_excel_opens_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str, delimiter: str
) -> None:
    """Semicolons under a French locale, a mark always; corrected, it is applied to the export."""
    monkeypatch.setenv("LC_ALL", locale)
    data = tickets_file(tmp_path)
    lines = data.read_text("utf-8").splitlines()
    lines[1] = lines[1].replace("Comptes;", "Réseau;")
    data.write_text("\n".join(lines), "utf-8")

    puppet_train("inspect", data, "--csv", tmp_path / "look.csv")

    raw = (tmp_path / "look.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf" + delimiter.join(["place", "id", "category"]).encode())
    look = raw.decode("utf-8-sig")
    assert f"line 2{delimiter}{delimiter}Réseau{delimiter}Comptes" in look
    corrected = look.replace(f"{delimiter}Réseau{delimiter}Comptes", f"{delimiter}Comptes{delimiter}Comptes")
    (tmp_path / "look.csv").write_text(corrected, "cp1252")
    found = last_line(puppet_train("apply", tmp_path / "look.csv", data, tmp_path / "fixed.csv", "--json").stdout)
    assert found["num_corrected"] >= 1  # type: ignore[operator]
    assert (tmp_path / "fixed.csv").read_text("utf-8-sig").splitlines()[1].startswith("Comptes;")


def test_file_to_correct_may_be_a_workbook(tmp_path: Path) -> None:
    """By its suffix; a ticket that looks like a formula is text there."""
    data = written(
        tmp_path,
        "x.csv",
        table([("a", "=1+1"), *[("b", f"au revoir {n}") for n in range(3)]], ",", ("category", "text")),
    )

    puppet_train("inspect", data, "--csv", tmp_path / "look.xlsx")

    found = last_line(puppet_train("apply", tmp_path / "look.xlsx", data, tmp_path / "o.csv", "--json").stdout)
    assert found["num_corrected"] == 0
    assert quoted("=1+1") == "'=1+1"


def test_refusal_shows_the_command_to_copy(tmp_path: Path) -> None:
    """With all its words, quoted for a shell."""
    data = written(
        tmp_path,
        "mes tickets.csv",
        table([("a", f"bonjour à tous {n}") for n in range(8)], ",", ("File", "Objet du jour")),
    )

    lines = refusal("fit", data, "--name", "m", "--store", tmp_path / "s")

    assert lines[-1].startswith(f"ready to copy: main fit '{data}' --name m --store {tmp_path / 's'} --")
    assert lines[-1].endswith("--text 'Objet du jour'")
    wrong = refusal("fit", data, "--name", "m", "--text=nope", "--category", "Fil", "--store", tmp_path / "s")
    assert not {"nope", "Fil", "--text=nope"} & set(shlex.split(wrong[-1]))  # what was wrong is not copied again


def test_delimiter_of_two_characters_is_named(tmp_path: Path) -> None:
    """With its length and what is expected."""
    assert (
        "--delimiter '||' has 2 characters, expected 1, such"
        in refusal("inspect", tmp_path / "x", "--delimiter", "||")[0]
    )


def test_settings_of_a_file_name_the_columns(tmp_path: Path) -> None:
    """The table [data] of --config, for every command; the command line wins, and a wrong field is named."""
    data = written(
        tmp_path,
        "x.csv",
        table([(f"sujet {n}", f"corps {n}", "a" if n % 2 else "b") for n in range(30)], ",", ("s", "t", "c")),
    )
    config = written(tmp_path, "c.toml", 'epochs = 1\n[data]\ncategory = "c"\ntext = ["s", "t"]\nmerge = ["b=x"]\n')

    found = last_line(puppet_train("inspect", data, "--config", config, "--json").stdout)
    assert found["columns"] == {"category": "c", "text": ["s", "t"], "id": None}
    one = last_line(puppet_train("inspect", data, "--config", config, "--text", "t", "--json").stdout)
    assert one["columns"]["text"] == ["t"]  # type: ignore[index]
    fit(data, tmp_path / "store", "--config", config)
    columns = Store(tmp_path / "store").read_manifest("m", 1).columns
    assert isinstance(columns, Columns)
    assert (columns.category, columns.text, columns.merge) == ("c", ["s", "t"], {"b": "x"})
    wrong = written(tmp_path, "w.toml", '[data]\nkategory = "c"\n')
    assert "the table [data] of" in refusal("inspect", data, "--config", wrong)[0]


def test_empty_ticket_is_left_out_of_a_training_and_is_an_error_of_a_measurement(tmp_path: Path) -> None:
    """Both count it; one such row refuses no test file of 10,287."""
    rows = small.json_rows(small.tickets())
    data = written(tmp_path, "x.jsonl", jsonl(*rows, {"category": "Facture", "text": "......."}))

    trained = last_line(fit(data, tmp_path / "store", "--json").stdout)
    result = puppet_train("evaluate", data, "--name", "m", "--store", tmp_path / "store", "--json")

    found = last_line(result.stdout)
    assert trained["num_empty"] == found["num_empty"] == 1
    assert found["total_tests"] == len(rows) + 1
    assert {"expected": "Facture", "predicted": EMPTY, "count": 1} in json.loads(json.dumps(found["confusions"]))
    assert EMPTY not in found["per_category"]  # type: ignore[operator]
    assert f"line {len(rows) + 1}" in result.stdout
    assert "1 ticket has no word" in result.stdout
