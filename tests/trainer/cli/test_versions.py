"""The commands that look after versions: what they print, what they leave in the store, and how they refuse."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from artifacts.store.store import Store
from trainer.cli import main

NAME = "puppet-o2"


def puppet_train(store: Store, command: str, *arguments: object, status: int = 0, typed: str = "") -> Result:
    """Run `puppet-train` on the store and return what it printed; its exit status must be `status`."""
    words = [command, "--store", str(store.root), *map(str, arguments)]
    result = CliRunner().invoke(main.main, words, input=typed)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def as_json(store: Store, command: str, *arguments: object) -> dict[str, object]:
    """Return the JSON object in the last line of what a command prints."""
    found: dict[str, object] = json.loads(puppet_train(store, command, *arguments, "--json").stdout.splitlines()[-1])
    return found


def refusal(store: Store, command: str, *arguments: object) -> str:
    """Run a command that must refuse, and return its message."""
    result = puppet_train(store, command, *arguments, status=1)
    assert result.stderr.startswith("error: ")
    return result.stderr


@pytest.fixture
def three(store: Store) -> Store:
    """Give the store with three versions of `puppet-o2`, of which the second serves; the third never did."""
    manifest, files = store.read_version(NAME, 1)
    store.publish(msgspec.structs.replace(manifest, validation={"accuracy": 0.51234, "num_tickets": 12}), files)
    store.publish(msgspec.structs.replace(manifest, validation={"accuracy": None}), files, serve=False)
    return store


def cells(output: str) -> list[list[str]]:
    """Return the cells of a printed table's rows, but for its head."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line]


def test_models_are_listed(three: Store) -> None:
    """Each model has a row with its kind, how many versions it has, and which one serves."""
    rows = cells(puppet_train(three, "models").stdout)

    assert [[row[0], row[1], *row[3:]] for row in rows] == [
        ["prices", "SimpleNN", "1", "1"],
        [NAME, "GRU", "3", "2"],
        ["untrained", "GRU", "0", "-"],
    ]
    assert [row[2] for row in rows] == [three.read_model(name).created for name in three.models()]
    assert as_json(three, "models")["models"] == [
        {
            "name": name,
            "neural_network_type": kind,
            "created": three.read_model(name).created,
            "num_versions": num_versions,
            "serves": serves,
            "refused": None,
        }
        for name, kind, num_versions, serves in (
            ("prices", "SimpleNN", 1, 1),
            (NAME, "GRU", 3, 2),
            ("untrained", "GRU", 0, None),
        )
    ]


def test_versions_are_listed(three: Store) -> None:
    """Each version has its kind, time and metrics; the serving one and the one before it are marked."""
    rows = cells(puppet_train(three, "versions", "--name", NAME).stdout)

    created = three.read_manifest(NAME, 1).created
    assert [row[:3] for row in rows if row[0]] == [[number, "GRU", created] for number in "123"]
    assert [row[4] for row in rows if row[0]] == ["before", "serves", ""]
    assert [row[3].split(",")[0] for row in rows if row[0]] == ["accuracy 1", "accuracy 0.5123", "accuracy -"]
    found = as_json(three, "versions", "--name", NAME)
    assert (found["name"], found["serves"], found["before"]) == (NAME, 2, 1)
    assert found["versions"] == [
        {
            "version": version,
            "serves": version == 2,
            "neural_network_type": "GRU",
            "created": created,
            "validation": three.read_manifest(NAME, version).validation,
            "refused": None,
        }
        for version in (1, 2, 3)
    ]


def test_versions_of_an_untrained_model(store: Store) -> None:
    """A model without versions has an empty list, and nothing serves."""
    assert as_json(store, "versions", "--name", "untrained") == {
        "name": "untrained",
        "serves": None,
        "before": None,
        "versions": [],
    }


def test_damage_is_listed_and_hides_nothing_else(three: Store) -> None:
    """A damaged record, pointer or manifest is said below the table, in red words; the rest is listed."""
    for path in (f"{NAME}/2/manifest.json", f"{NAME}/current", "prices/model.json"):
        (three.root / path).write_bytes(b"garbage")

    shown = puppet_train(three, "versions", "--name", NAME).stdout
    assert [row[1] for row in cells(shown) if row[0]] == ["GRU", "REFUSED", "GRU"]
    assert f"REFUSED {NAME}/current cannot be read" in shown
    assert f"REFUSED {NAME} version 2: manifest.json cannot be read" in shown
    shown = puppet_train(three, "models").stdout
    assert [row[:2] for row in cells(shown)] == [["prices", "REFUSED"], [NAME, "REFUSED"], ["untrained", "GRU"]]
    assert "REFUSED prices/model.json cannot be read" in shown
    rows = as_json(three, "versions", "--name", NAME)["versions"]
    assert isinstance(rows, list)
    assert [row["refused"] is None for row in rows] == [True, False, True]


def test_promote_and_rollback(three: Store) -> None:
    """What they print is what serves then."""
    assert as_json(three, "promote", "--name", NAME, "--version", 3, "--expected", 2) == {"name": NAME, "version": 3}
    assert three.current(NAME).version == 3

    assert puppet_train(three, "rollback", "--name", NAME).stdout == f"version 2 of {NAME} serves\n"
    assert three.current(NAME).version == 2
    assert as_json(three, "rollback", "--name", NAME) == {"name": NAME, "version": 1}
    assert "no version that served before version 1" in refusal(three, "rollback", "--name", NAME)
    assert "version 1 serves, not 2" in refusal(three, "promote", "--name", NAME, "--version", 3, "--expected", 2)
    assert f"{NAME} has no version 9, its newest versions: 1, 2, 3 (3 in all)" in refusal(
        three, "promote", "--name", NAME, "--version", 9
    )
    assert three.current(NAME).version == 1


def test_delete_asks_first(three: Store) -> None:
    """Nothing is deleted without a yes, be it typed or given as an option."""
    for typed in ("n\n", "\n", ""):
        puppet_train(three, "delete", "--name", NAME, status=1, typed=typed)
        puppet_train(three, "delete", "--name", NAME, "--version", 1, status=1, typed=typed)
    assert three.versions(NAME) == [1, 2, 3]

    asked = puppet_train(three, "delete", "--name", NAME, "--version", 1, typed="y\n")
    assert f"Delete version 1 of {NAME}?" in asked.stderr
    assert asked.stdout == f"deleted version 1 of {NAME}\n"
    assert three.versions(NAME) == [2, 3]
    asked = puppet_train(three, "delete", "--name", NAME, typed="y\n")
    assert f"Delete model {NAME}, versions in all: 2?" in asked.stderr
    assert three.models() == ["prices", "untrained"]


def test_delete_in_a_script(three: Store) -> None:
    """With --yes nothing is asked; the JSON says what is gone."""
    found = as_json(three, "delete", "--name", NAME, "--version", 3, "--yes")
    assert found == {"name": NAME, "deleted": [3], "model": False}
    assert "version 2 serves" in refusal(three, "delete", "--name", NAME, "--version", 2, "--yes")
    assert "has no version 3" in refusal(three, "delete", "--name", NAME, "--version", 3)
    assert three.versions(NAME) == [1, 2]

    found = as_json(three, "delete", "--name", NAME, "--yes")
    assert found == {"name": NAME, "deleted": [1, 2], "model": True}
    assert "Model not found" in refusal(three, "delete", "--name", NAME, "--yes")


def test_prune(three: Store) -> None:
    """The oldest go, but not the serving one nor the one before; a second time there is nothing to do."""
    assert as_json(three, "prune", "--name", NAME, "--keep", 1) == {"name": NAME, "deleted": [], "model": False}
    three.promote(NAME, 3)

    assert puppet_train(three, "prune", "--name", NAME, "--keep", 1).stdout == f"deleted of {NAME}: 1\n"
    assert puppet_train(three, "prune", "--name", NAME, "--keep", 1).stdout == f"deleted of {NAME}: nothing\n"
    assert three.versions(NAME) == [2, 3]
    assert "-1 is not in the range" in puppet_train(three, "prune", "--name", NAME, "--keep", -1, status=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["versions", "--name", NAME],
        ["promote", "--name", NAME, "--version", "1"],
        ["rollback", "--name", NAME],
        ["delete", "--name", NAME, "--yes"],
        ["prune", "--name", NAME, "--keep", "1"],
    ],
    ids=lambda words: words[0],
)
def test_store_that_is_not_there_is_not_made(tmp_path: Path, words: list[str]) -> None:
    """A typing error in --store is said, and leaves no empty store behind."""
    result = CliRunner().invoke(main.main, [*words, "--store", str(tmp_path / "typo")])

    assert result.exit_code == 1
    assert result.stderr == f"error: there is no store {tmp_path / 'typo'}; name another one with --store DIR\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nobody", "../store"])
@pytest.mark.parametrize("command", ["versions", "rollback", "delete"])
def test_wrong_name_is_refused(three: Store, command: str, name: str) -> None:
    """A model that is not there, or a name that cannot be one, is one message and exit status 1."""
    said = refusal(three, command, "--name", name)

    assert "Model not found" in said or "is not allowed" in said


# diff


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Give a file of 12 tickets that the fixture's version gets right, and one that it gets wrong."""
    right = ["ajouter utilisateur coffre", "création client <COMPANY>", "avoir problème connexion <PRODUCT>"] * 4
    names = ["Accès utilisateur", "Création de client", "Problème de connexion"] * 4
    rows = [{"category": name, "text": text} for name, text in zip(names, right, strict=True)]
    rows.append({"category": "Accès utilisateur", "text": "nouveau client"})
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_diff_of_equal_versions_changes_nothing(three: Store, labelled: Path) -> None:
    """By default the newest version is compared with the serving one."""
    result = puppet_train(three, "diff", labelled, "--name", NAME)

    assert f"{NAME} version 3 against version 2 on" in result.stdout
    assert cells(result.stdout) == []
    assert "undecided: 1 rows to compare on (12 were left out" in result.stdout
    assert "(the old one from 12, the new one from 12)" in result.stdout


def test_diff_lists_each_row_that_is_answered_differently(three: Store, labelled: Path) -> None:
    """A version with two categories the other way round differs on every ticket of the two that neither has learnt."""
    rows = [json.loads(line) for line in labelled.read_text().splitlines()]
    labelled.write_text("".join(json.dumps(row | {"text": f"{row['text']} {row['text']}"}) + "\n" for row in rows))
    manifest, files = three.read_version(NAME, 1)
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    swapped = [labels[1], labels[0], labels[2]]
    three.publish(manifest, {**files, "labels.json": msgspec.json.encode(swapped)}, serve=False)

    found = as_json(three, "diff", labelled, "--name", NAME, "--old", 1, "--new", 4)
    shown = cells(puppet_train(three, "diff", labelled, "--name", NAME, "--old", 1, "--new", 4).stdout)

    comparison = found["comparison"]
    assert isinstance(comparison, dict)
    assert (found["old"], found["new"]) == (1, 4)
    assert comparison["num_worse"] == 8
    assert {row for row, _ in [(change["row"], change) for change in comparison["changes"]]} >= {0, 1, 3, 4, 6, 7, 9}
    places = [row[0].partition(" '")[0] for row in shown if row[0].startswith("line ")]
    assert places == [f"line {change['row'] + 1}" for change in comparison["changes"]]
    assert "nouveau" not in str(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--old", 3), "version 3 would be compared with itself; name another one with --old or --new"),
        (("--new", 9), "has no version 9, its newest versions: 1, 2, 3 (3 in all)"),
    ],
)
def test_diff_of_what_cannot_be_compared_is_refused(
    three: Store, labelled: Path, arguments: tuple[object, ...], message: str
) -> None:
    """The message says what to name."""
    assert message in refusal(three, "diff", labelled, "--name", NAME, *arguments)
