"""What is wrong is said in the language of the terminal; what programs read is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.cli.commands import last_line, puppet_train
from tests.trainer.files import table, written

FRENCH = {"LANG": "fr_FR.UTF-8"}
ROWS = [("Compte", "mot de passe oublié"), ("", "sans catégorie"), ("Réseau", "plus de réseau")]


def refusal(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *arguments: object) -> list[str]:
    """Return the lines of a refusal under an environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return puppet_train(*arguments, status=1).stderr.splitlines()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "fr_FR.UTF-8"}, "erreur\u00a0: il n'y a pas de dépôt nulle\u00a0; indiquez-en un autre"),
        ({"LANG": "C"}, "error: there is no store nulle; name another one"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}, "error: "),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "fr_CA.UTF-8"}, "erreur\u00a0: "),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "fr_FR"}, "erreur\u00a0: "),
    ],
)
def test_error_is_in_the_language_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """LC_ALL before LC_MESSAGES before LANG."""
    (line,) = refusal(monkeypatch, environment, "models", "--store", "nulle")

    assert line.startswith(expected)


def test_faulty_rows_are_in_french(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, the group with its places, the option that helps, and the one that lists them; JSON stays as it is."""
    path = written(tmp_path, "x.csv", table(ROWS, ";", ("category", "text")))
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")

    result = puppet_train("inspect", path, "--json", status=1)

    assert result.stderr.splitlines() == [
        f"erreur\u00a0: {path} n'est pas conforme\u00a0: 1 ligne est fautive (fautes en tout\u00a0: 1)\u00a0; "
        "corrigez-les, ou laissez-les de côté avec les options indiquées",
        "  1 ligne\u00a0: category\u00a0: pas de catégorie\u00a0; remplissez-la (ligne 3 'sans catégorie')",
        "    --skip-unlabelled continue sans elles, et les compte",
        "--faults FICHIER.csv les liste toutes",
    ]
    assert last_line(result.stdout)["faults"][0]["detail"] == "category: no category; fill it in"  # type: ignore[index]


def test_file_that_lists_the_faults_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was written, in place of the option that writes it."""
    path, listed = written(tmp_path, "x.csv", table(ROWS, ";", ("category", "text"))), tmp_path / "faults.csv"

    assert refusal(monkeypatch, {}, "inspect", path, "--faults", listed)[-1] == f"listed in {listed}"
    assert refusal(monkeypatch, FRENCH, "inspect", path, "--faults", listed)[-1] == f"listées dans {listed}"


def test_unclear_columns_are_in_french(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every column and the command to copy, whose words are the program's."""
    path = written(tmp_path, "x.csv", table([row for row in ROWS if row[0]] * 4, ";", ("File", "Objet")))

    lines = refusal(monkeypatch, FRENCH, "fit", path, "--name", "m", "--store", tmp_path / "s")

    assert lines[1:4] == [
        "les colonnes sont\u00a0:",
        "  File\u00a0: 2 valeurs distinctes, par exemple 'Compte'",
        "  Objet\u00a0: 2 valeurs distinctes, par exemple 'mot de passe oublié'",
    ]
    assert lines[-1].startswith("prêt à copier\u00a0: main fit ")
    assert lines[-1].endswith("--category File --text Objet")


def test_faults_that_are_located_are_in_french(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of another form than the first ones, found while a file is written."""
    path = written(tmp_path, "x.json", '[["category", "text"], ["a", "b"], ["a", "b", "c"]]')

    lines = refusal(monkeypatch, FRENCH, "inspect", path)

    assert lines[1] == (
        "  1 ligne\u00a0: a 3 colonnes, l'en-tête en nomme 2\u00a0; "
        "mettez des guillemets doubles autour d'un texte (/2)"
    )


@pytest.mark.parametrize(
    ("language", "expected"),
    [("fr_FR.UTF-8", ("erreur\u00a0: ", "pas de catégorie")), ("C", ("error: ", "no category"))],
)
def test_refusal_of_a_process_is_in_its_language(tmp_path: Path, language: str, expected: tuple[str, str]) -> None:
    """The README's refusal of a row that does not fit, as somebody meets it."""
    path = written(tmp_path, "x.csv", table(ROWS, ";", ("category", "text")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}

    done = subprocess.run(
        [sys.executable, "-m", "trainer", "fit", path, "--name", "m", "--store", tmp_path / "s"],
        env=environment | {"LANG": language, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(expected[0])
    assert expected[1] in done.stderr
