"""What earlier programs have written is read for ever: each frozen store is served, and answers as it did in its day.

The folders are those of tests/fixtures/frozen; README.md there says what each of them holds.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.jobs.jobs import Jobs
from artifacts.kinds import load
from artifacts.networks.gru import GruModel
from artifacts.store import Store, feedback
from artifacts.text.tokens import RULES
from inference.monitoring.drift import Drift
from inference.settings import Settings
from tests.conftest import FROZEN, frozen_store
from tests.inference.conftest import connect, started

TOLERANCE = 1e-4  # processors round differently, as for golden rows
DAYS = 10_000  # counts of the day on which a store was frozen are to be found for a while


@pytest.fixture(params=FROZEN)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a copy of a frozen store."""
    return frozen_store(request.param, tmp_path)


def recorded(store: Store) -> list[dict[str, Any]]:
    """Return the questions to a store's server and its answers of that day."""
    found = msgspec.json.decode((store.root / "answers.json").read_bytes(), type=list[dict[str, Any]])
    assert {one["body"]["name"] for one in found} == set(store.models())
    return found


def check_same(found: Any, expected: Any) -> None:
    """Compare what was recorded: numbers within 1e-4, all else exactly; a later program may say more."""
    if isinstance(expected, dict):
        assert found.keys() >= expected.keys()
        for field, value in expected.items():
            check_same(found[field], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    else:
        assert found == expected


@pytest.mark.anyio
async def test_answers_are_those_of_the_day(frozen: Store) -> None:
    """Every category, and whatever else was said, as recorded; confidences within 1e-4."""
    asked = recorded(frozen)

    async with started(Settings(store=str(frozen.root), trainer="none")) as app, connect(app) as client:
        for one in asked:
            response = await client.post("/search", json=one["body"])

            assert response.status_code == 200, response.text
            check_same(response.json(), one["answer"])


def test_every_version_is_verified(frozen: Store) -> None:
    """Also those that do not serve: seal, hashes and golden rows; and nothing in the store looks wrong."""
    found = {
        (name, version): load(*frozen.read_version(name, version))
        for name in frozen.models()
        for version in frozen.versions(name)
    }

    assert len(found) >= 5
    assert frozen.sweep() == []


def test_each_version_is_read_by_the_rules_of_its_training(tmp_path: Path) -> None:
    """The old one by rules 1, though its manifest was written before rules had numbers; and it makes a difference."""
    store = frozen_store("2026-11", tmp_path)
    old, new = (load(*store.read_version(name, 1)) for name in ("rules-1", "rules-2"))
    assert isinstance(old, GruModel)
    assert isinstance(new, GruModel)
    texts = [one["body"]["text"] for one in recorded(store) if "text" in one["body"]]

    assert (old.vocabulary.rules.number, new.vocabulary.rules.number) == (1, 2)
    read = [old.encode(text) for text in texts]
    old.vocabulary.rules = RULES[2]
    assert [old.encode(text) for text in texts] != read


def test_trainings_are_read_in_every_state(tmp_path: Path) -> None:
    """Listed as they were; the one whose process is dead is interrupted, and the one that waits is run."""
    jobs = Jobs(frozen_store("2026-11", tmp_path))

    found = {job.state: job for job in jobs.list()}

    assert list(found) == ["queued", "running", "cancelled", "failed", "succeeded"]
    assert (found["succeeded"].version, found["succeeded"].attempt) == (2, 1)
    assert [fault.pointer for fault in found["failed"].faults] == ["/training_data/0/features"]
    assert [event.detail for _, event in jobs.read_events(found["failed"].id)] == ["a made-up message"]
    assert jobs.recover() == [f"job {found['running'].id} of prices: its process had died: interrupted"]
    claimed = jobs.claim()
    assert claimed is not None
    assert (claimed.id, claimed.promote) == (found["queued"].id, "if_better")


def test_a_key_of_the_day_stands_for_its_training(tmp_path: Path) -> None:
    """Who sends a request again after the program was replaced gets the job of the first time."""
    jobs = Jobs(frozen_store("2026-11", tmp_path))
    (failed,) = (job for job in jobs.list() if job.state == "failed")
    body = jobs.folder(failed.id) / "body.json"
    folder = jobs.new_folder()
    shutil.copy(body, folder)
    sha256 = hashlib.sha256(body.read_bytes()).hexdigest()

    found = jobs.submit(folder, "prices", "SimpleNN", idempotency_key="key-1", body_sha256=sha256)

    assert found == failed


def test_corrections_are_read_and_erased(tmp_path: Path) -> None:
    """In the order in which they came, the latest of an id; and a new one is added to them."""
    store = frozen_store("2026-11", tmp_path)

    found = list(feedback.read_all(store, "rules-2"))

    assert [(one.id, one.category, one.content, one.version) for one in found] == [
        ("42", "nouvelle catégorie", "Où est ma facture ?", None),
        ("41", "promotions", ["réunion", "12,50"], 1),
    ]
    assert not feedback.add(store, "rules-2", feedback.Correction(id="43", category="spam", text="x"), 3)
    assert feedback.erase(store, Jobs(store), "rules-2", "41").num_corrections == 1
    assert [one.id for one in feedback.read_all(store, "rules-2")] == ["42", "43"]


def test_numbers_go_on_after_those_of_a_deleted_model(tmp_path: Path) -> None:
    """The record of the deletion says which number was used; and a further version of the others is published."""
    store = frozen_store("2026-11", tmp_path)
    manifest, files = store.read_version("prices", 1)

    assert store.create_model("gone", "SimpleNN").highest_version == 1
    assert store.publish(manifest, files).version == 3
    assert store.rollback("prices").version == 2


@pytest.mark.anyio
async def test_counts_of_answers_are_read(tmp_path: Path) -> None:
    """Of every search that was recorded."""
    store = frozen_store("2026-11", tmp_path)
    asked = [one["answer"] for one in recorded(store) if one["body"]["name"] == "rules-2"]

    found = await Drift(store.root, DAYS).found("rules-2", 1, DAYS)

    assert found.profile.num_tickets == len(asked)
