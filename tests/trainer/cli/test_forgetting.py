"""Forgetting on the command line: what it says is left, how it ends, and a training that keeps names out."""

import json
from pathlib import Path

import pytest

from artifacts.networks.gru_records import GruManifest
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.cli.commands import fit, last_line, puppet_train, refusal, written
from trainer.cli.versions import LEFT

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store whose model `m` was trained on the small tickets, without two of their words."""
    folder = tmp_path_factory.mktemp("forgetting")
    (folder / "names.txt").write_text("Lundi\n# a comment\nMARDI\n", "utf-8")
    fit(written(folder / "tickets.jsonl", small.tickets(10)), folder / "store", "--forbid", folder / "names.txt")
    return folder / "store"


def words(store: Path, version: int = 1) -> set[str]:
    """Return the vocabulary of a version of `m`."""
    _, files = Store(store).read_version("m", version)
    return set(json.loads(files["vocab.json"]))


def test_forbidden_words_get_no_row(trained: Path) -> None:
    """They are counted in the manifest and named nowhere in the version; every other word is known."""
    manifest, files = Store(trained).read_version("m", 1)

    assert isinstance(manifest, GruManifest)
    assert manifest.data.num_forbidden == 2
    assert manifest.training["forbid"] == ""
    assert {"lundi", "mardi"} & words(trained) == set()
    assert {"bonjour", "urgent", "facture", "<PRODUCT>"} <= words(trained)
    assert [name for name, raw in files.items() if b"lundi" in raw and name != "model.onnx"] == []


def test_forbidden_words_do_not_come_back_with_vectors(tmp_path: Path) -> None:
    """A file of vectors brings words that the tickets lack; a name is none of them."""
    lines = [f"{word} {number} 1 2" for number, word in enumerate(("connexion", "lefèvre", "facture", "avoir"))]
    (tmp_path / "vectors.vec").write_text("\n".join(lines) + "\n", "utf-8")
    data = written(tmp_path / "tickets.jsonl", small.tickets(10))

    fit(data, tmp_path / "store", "--vectors", tmp_path / "vectors.vec", "--set", "forbid=LEFEVRE, lundi")

    assert {"lefèvre", "lundi"} & words(tmp_path / "store") == set()
    assert {"avoir", "connexion"} <= words(tmp_path / "store")


def test_settings_that_are_shown_name_nobody(tmp_path: Path) -> None:
    """What `fit` prints may be logged."""
    result = fit(written(tmp_path / "t.jsonl", small.tickets(4)), tmp_path / "store", "--set", "forbid=zwoki")

    assert "zwoki" not in result.output


def test_nobody_is_left_of_nobody(trained: Path) -> None:
    """What stands nowhere is found nowhere, and the exit status says so."""
    assert "found nowhere" in puppet_train("forget", "Zwoki", "--store", trained).stdout


def test_version_that_holds_the_word_is_named_with_its_commands(trained: Path) -> None:
    """Exit status 3, and how to train without it and delete it, in this order."""
    result = puppet_train("forget", "urgent", "--store", trained, "--json", status=LEFT)

    said = last_line(result.stdout)
    assert said["commands"] == [
        f"puppet-train fit DATA --name m --store {trained} --forbid FILE",
        f"puppet-train delete --name m --version 1 --yes --store {trained}",
    ]
    assert "published version is never changed" in result.stdout


def test_version_that_learnt_the_ticket_is_named(trained: Path) -> None:
    """A correction is erased by its id, and its ticket is looked up among the training rows of each version."""
    ticket = small.tickets(10)["Facture"][0]
    store = Store(trained)
    for one in (
        Correction(id="known", category="Facture", tokens=ticket),
        Correction(id="new", category="F", text="x y"),
    ):
        feedback.add(store, "m", one, 10)

    new = puppet_train("forget", "--id", "new", "--store", trained)
    known = last_line(puppet_train("forget", "--id", "known", "--store", trained, "--json", status=LEFT).stdout)

    assert "erased" in new.stdout
    assert [one["what"] for one in known["left"]] == ["version"]  # type: ignore[attr-defined]  # a list of objects
    assert "trained on this ticket" in known["left"][0]["remedy"]  # type: ignore[index]
    assert list(feedback.read_all(store, "m")) == []


def test_nothing_to_forget_is_refused(trained: Path, tmp_path: Path) -> None:
    """Without a name and an id there is nothing to look for; a store that is not there is not made."""
    assert refusal("forget", "--store", trained) == ["error: nothing to forget; give TEXT, --file FILE or --id ID"]
    assert "there is no store" in refusal("forget", "x y", "--store", tmp_path / "none")[0]
    assert "1 letter or digit" in refusal("forget", "x", "--store", trained)[0]
    assert "Model not found" in refusal("forget", "Zwoki", "--name", "nobody", "--store", trained)[0]
