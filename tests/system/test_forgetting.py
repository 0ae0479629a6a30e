"""Fifty invented people, planted wherever a store keeps anything, are forgotten while the server runs."""

import itertools
import json
import random
from email.message import EmailMessage
from pathlib import Path

import pytest

from artifacts.store.store import Store
from artifacts.text.people import fold
from tests.system.server import Server, eventually, serving
from tests.trainer import small
from tests.trainer.cli.commands import SETTINGS, puppet_train
from trainer.cli.versions import LEFT

pytestmark = [pytest.mark.system, pytest.mark.torch]

NAME = "people"
NUM_PEOPLE = 50


def invented(num: int) -> list[str]:
    """Return surnames that nobody has, half of them with an accent, of six letters or more."""
    rng = random.Random(19)
    starts, middles, ends = (
        ("Zw", "Qx", "Vr", "Kj", "Xh"),
        ("èvu", "oki", "ïma", "uzo", "éry"),
        ("xart", "qvin", "zdel"),
    )
    found = ["".join(parts) for parts in itertools.product(starts, middles, ends)]
    return rng.sample(found, num)


def holding(root: Path, people: list[str]) -> dict[str, list[str]]:
    """Return the files of the store whose bytes hold a name, whatever its case and whether it is escaped."""
    needles = {}
    for person in people:
        spellings = {person.lower(), json.dumps(person.lower())[1:-1], fold(person)}
        needles[person] = [spelt.encode() for spelt in spellings] + [person.upper().encode(), person.encode()]
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        raw = path.read_bytes().lower() if path.is_file() else b""
        raw += path.name.lower().encode()
        for person, spelt in needles.items():
            if any(one.lower() in raw for one in spelt):
                found.setdefault(str(path.relative_to(root)), []).append(person)
    return found


def mails(folder: Path, people: list[str]) -> Path:
    """Return a folder of e-mails, a sub-folder a category, whose names and texts are people's."""
    categories = list(small.tickets(10).items())
    for number, person in enumerate(people * 3):
        category, tickets = categories[number % len(categories)]
        mail = EmailMessage()
        mail["From"], mail["Subject"] = f"{person} <{fold(person)}@mail.example>", f"{category} {person}"
        mail.set_content(f"{' '.join(tickets[number % len(tickets)])} pour {person} ici\n")
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / f"{person}_{number}.eml").write_bytes(bytes(mail))
    return folder


def plant(server: Server, people: list[str]) -> None:
    """Send people's names to a server: as corrections, as trainings whose bodies are kept, and as searches."""
    rows = small.json_rows(small.tickets(10))
    for number, person in enumerate(people):
        correction = {"id": f"{fold(person)}-{number}", "text": f"M. {person.upper()} attend", "category": "Facture"}
        sent = server.client.post("/feedback", json={"name": NAME, **correction})
        assert sent.status_code == 200, sent.text
    named = [{"id": person, "text": f"facture {person}", "category": "Facture"} for person in people]
    wrong = {"epochs": 3, "aliases": "<NOBODY>=<NOTHING>"}  # refused once it runs, so its body is kept with a job
    body = {"training_data": rows + named, "keep_data": True, "config": wrong}
    headers = {"Prefer": "respond-async", "Idempotency-Key": f"import-{fold(people[0])}"}
    accepted = server.client.post(
        "/train_model", json={"name": NAME, "neural_network_type": "GRU", **body}, headers=headers
    )
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["job"]
    eventually(lambda: server.client.get(f"/jobs/{job}").json()["state"] == "failed", "the end of the job", 600.0)
    for person in people:
        for number in range(11):  # a spelling is kept from the tenth ticket of a day on
            tokens = ["facture", str(number), f"{person}bis"]
            answer = server.post("/search", name=NAME, vector=tokens)
            assert answer.status_code == 200, answer.text


def test_forgotten_people_are_in_no_file(tmp_path: Path) -> None:
    """None of their bytes is left but in versions that were said to need another training, until these are deleted.

    Vocabularies of tickets and of e-mails, corrections and their ids, kept bodies, keys, and counts of new words.
    """
    people = invented(NUM_PEOPLE)
    root = tmp_path / "store"
    names = tmp_path / "names.txt"
    names.write_text("\n".join(people), "utf-8")
    tickets = tmp_path / "tickets.jsonl"
    rows = small.json_rows(small.tickets(10))
    planted = [
        {"category": "Facture", "tokens": ["facture", word, person]} for person in people for word in ("une", "deux")
    ]
    tickets.write_text("".join(json.dumps(row) + "\n" for row in rows + planted))
    puppet_train("fit", tickets, "--name", NAME, "--store", root, *SETTINGS)
    puppet_train("fit", mails(tmp_path / "mails", people), "--name", NAME, "--store", root, *SETTINGS)

    with serving(tmp_path, root, ["--trainer", "local"]) as server:
        plant(server, people)
        eventually(lambda: f"{NAME}/drift.sqlite" in holding(root, people), "the counts to be saved")
        before = holding(root, people)
        assert {f"{NAME}/1/vocab.json", f"{NAME}/2/vocab.json", f"{NAME}/feedback.sqlite"} <= set(before)
        assert any(path.endswith("/body.json") for path in before)
        assert {person for found in before.values() for person in found} == set(people)
        forget = ("forget", "--file", names, "--store", root, "--json")

        dry = json.loads(puppet_train(*forget, "--dry-run", status=LEFT).stdout.splitlines()[-1])
        assert holding(root, people) == before
        said = json.loads(puppet_train(*forget, status=LEFT).stdout.splitlines()[-1])

        assert dry["found"] == said["found"]
        assert [(one["what"], one["version"]) for one in said["left"]] == [("version", 1), ("version", 2)]
        assert {path.rpartition("/")[0] for path in holding(root, people)} == {f"{NAME}/1", f"{NAME}/2"}

        for command in said["commands"]:
            words = [{"DATA": tickets, "FILE": names}.get(word, word) for word in command.split()[1:]]
            puppet_train(*words, *(SETTINGS if words[0] == "fit" else ()))
        puppet_train(*forget)
        assert holding(root, people) == {}
        eventually(lambda: server.post("/search", name=NAME, vector=["facture"]).json()["version"] == 3, "version 3")
        assert server.client.get(f"/models/{NAME}/feedback").text == ""

    assert holding(root, people) == {}
    manifest = Store(root).read_manifest(NAME, 3)
    assert getattr(manifest, "data").num_forbidden == NUM_PEOPLE  # noqa: B009  # of a GRU's manifest
    assert manifest.training["forbid"] == ""
