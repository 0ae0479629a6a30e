"""A person is found in every file of a store and erased from all but published versions; old things go by their age."""

import json
import sqlite3
import stat
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import JobNotFound
from artifacts.jobs.events import Event, append_event, read_events
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, EVENTS, LOG
from artifacts.jobs.table import ERASED
from artifacts.problems.sentences import Message, message
from artifacts.store import feedback, forgetting
from artifacts.store.feedback import Correction
from artifacts.store.forgetting import COUNTS, Trace, Wanted, erase, erase_old, find, wanted
from artifacts.store.review import ReviewItem, ReviewQueue
from artifacts.store.store import Store
from artifacts.store.versions import DAY_S
from artifacts.text.people import Person
from inference.monitoring import drift
from tests.artifacts.store.test_feedback import files_with

NAME = "puppet-o2"
CANARY = "Zwxqcanari"
LIMIT = 1000


@pytest.fixture
def jobs(store: Store) -> Jobs:
    """Give the jobs of the fixture store."""
    return Jobs(store)


def ended_job(
    store: Store, jobs: Jobs, body: object, *, detail: Message | str = "", keep_data: bool = True, key: str = ""
) -> str:
    """Return the id of a training that has failed."""
    folder = jobs.new_folder()
    (folder / BODY).write_text(json.dumps(body), "utf-8")
    job = jobs.submit(folder, NAME, "GRU", keep_data=keep_data, idempotency_key=key or None)
    claimed = jobs.claim()
    assert claimed is not None
    assert claimed.id == job.id
    with jobs.run_lock(job.id):
        append_event(jobs.folder(job.id), Event(kind="message", time="t", detail="first"))
        append_event(jobs.folder(job.id), Event(kind="message", time="t", detail=str(detail)))
        append_event(jobs.folder(job.id), Event(kind="message", time="t", detail="last"))
        (jobs.folder(job.id) / LOG).write_text(f"Traceback\nValueError: {detail}\n", "utf-8")
        jobs.finish(job.id, 1, "failed", detail, error="InvalidInput")
    return job.id


def counted(store: Store, *words: str) -> Path:
    """Return the counts of the model, in which these new words stand."""
    path = store.folder(NAME) / COUNTS
    with sqlite3.connect(path) as file:
        file.execute(drift.SCHEMA)
        file.executemany("INSERT INTO counts VALUES (1, '2026-01-01', 'word', ?, 12)", [(word,) for word in words])
        file.execute("INSERT INTO counts VALUES (1, '2026-01-01', 'category', 'Nouveau', 12)")
    file.close()
    return path


def forget(store: Store, jobs: Jobs, *names: str, ids: tuple[str, ...] = (), name: str | None = None) -> list[Trace]:
    """Erase what can be erased, and return what is left."""
    what = wanted(store, Person(names), ids, name)
    erase(store, jobs, what, find(store, jobs, what, name))
    return find(store, jobs, what, name)


def test_counts_are_the_servers() -> None:
    """The file that is searched for new words is the one that the server writes."""
    assert COUNTS == drift.FILE


def test_everything_that_can_be_erased_is(store: Store, jobs: Jobs) -> None:
    """Corrections, bodies, details, faults, events, logs, keys and new words; the others of each stay."""
    others = [Correction(id=f"t-{number}", category="Nouveau", text=f"ticket {number}") for number in range(50)]
    for one in (
        *others[:25],
        Correction(id="p", category="Nouveau", text=f"Mme {CANARY.upper()} attend"),
        *others[25:],
    ):
        feedback.add(store, NAME, one, LIMIT)
    feedback.add(store, NAME, Correction(id=f"{CANARY}-1", category="Nouveau", tokens=["rien"]), LIMIT)
    job = ended_job(
        store, jobs, {"training_data": [{"text": CANARY}]}, detail=f"{CANARY!r} is wrong", key=f"{CANARY}-x"
    )
    other = ended_job(store, jobs, {"training_data": [{"text": "rien"}]}, detail="wrong")
    counted(store, CANARY.lower(), "connexion")
    assert len(files_with(store, CANARY, CANARY.lower(), CANARY.upper())) == 6

    left = forget(store, jobs, CANARY)

    assert left == []
    assert files_with(store, CANARY, CANARY.lower(), CANARY.upper()) == []
    assert [one.id for one in feedback.read_all(store, NAME)] == [one.id for one in others]
    assert jobs.get(job).detail == ERASED
    assert jobs.get(job).error == "InvalidInput"
    assert jobs.get(other).detail == "wrong"
    assert not (jobs.folder(job) / BODY).exists()
    assert (jobs.folder(other) / BODY).exists()
    assert [event.detail for _, event in read_events(jobs.folder(job))] == ["first", "last"]
    assert (jobs.folder(job) / LOG).read_text().splitlines()[0] == "Traceback"
    with sqlite3.connect(store.folder(NAME) / COUNTS) as file:
        assert sorted(bin_ for (bin_,) in file.execute("SELECT bin FROM counts")) == ["Nouveau", "connexion"]
    file.close()


def test_tickets_to_be_reviewed_are_forgotten(store: Store, jobs: Jobs) -> None:
    """By name or by id, those that wait and those that have closed, from every file; the others wait on."""
    days = [1.8e9, 1.8e9 + DAY_S]
    for number, now_s in enumerate(days):
        queue = ReviewQueue(store, 100, 100, lambda now_s=now_s: now_s)  # type: ignore[misc]
        texts = [f"Mme {CANARY.upper()} attend", "rien", f"encore {CANARY}", f"fermé {CANARY}"]
        queue.add(
            NAME, [ReviewItem(id=f"{number}-{place}", text=f"{number} {text}") for place, text in enumerate(texts)]
        )
        queue.close(NAME, f"{number}-3")
    queue.add(NAME, [ReviewItem(id=f"{CANARY}-4", tokens=["sans", "nom"])])
    what = wanted(store, Person([CANARY]), ())
    found = find(store, jobs, what)
    assert [(one.what, one.count, one.can_erase) for one in found] == [
        ("review_ticket", 2, True),  # what had closed there was due to go
        ("review_ticket", 4, True),
    ]
    assert all((store.root / one.path).is_file() for one in found)

    left = forget(store, jobs, CANARY)

    assert left == []
    assert files_with(store, CANARY, CANARY.upper()) == []
    assert [item.id for item in queue.waiting(NAME)] == ["0-1", "1-1"]
    job = ended_job(store, jobs, {"training_data": [{"text": "1 rien"}]})
    assert forget(store, jobs, ids=("1-1",)) == []
    assert [item.id for item in queue.waiting(NAME)] == ["0-1"]
    assert not (jobs.folder(job) / BODY).exists()  # a kept body that held the same ticket


def test_problem_of_a_job_is_erased_with_its_words(store: Store, jobs: Jobs) -> None:
    """The parameters of a problem and of its faults hold what the detail says, so they go with it."""
    job = ended_job(store, jobs, {}, detail=message("job-not-started", {"reason": CANARY}), keep_data=False)
    assert jobs.get(job).problem is not None
    columns = {one.what for one in jobs.traces(Person([CANARY]))}

    left = forget(store, jobs, CANARY)

    assert {"detail", "problem"} <= columns
    assert left == []
    assert files_with(store, CANARY, CANARY.lower(), CANARY.upper()) == []
    assert (jobs.get(job).problem, jobs.get(job).detail) == (None, ERASED)


def test_offset_of_an_event_outlives_an_erasure(store: Store, jobs: Jobs) -> None:
    """Whoever reads on from an offset that came before the erasure gets the events that follow, once."""
    job = ended_job(store, jobs, {}, detail=CANARY)
    offsets = [offset for offset, _ in read_events(jobs.folder(job))]

    forget(store, jobs, CANARY)

    assert [event.detail for _, event in read_events(jobs.folder(job), offsets[1])] == ["last"]
    assert (jobs.folder(job) / EVENTS).stat().st_size == offsets[-1]


def test_training_that_waits_is_left_and_named(store: Store, jobs: Jobs) -> None:
    """Its body is what it will learn from; once it is cancelled nothing is left."""
    folder = jobs.new_folder()
    (folder / BODY).write_text(json.dumps({"text": CANARY}))
    job = jobs.submit(folder, NAME, "GRU", keep_data=True)

    (left,) = forget(store, jobs, CANARY)

    assert (left.what, left.job, left.can_erase) == ("kept_body", job.id, False)
    assert "cancel it" in (left.remedy or "")
    jobs.request_cancel(job.id)
    assert forget(store, jobs, CANARY) == []
    assert files_with(store, CANARY) == []


def test_version_that_holds_the_word_is_left_and_named(store: Store, jobs: Jobs) -> None:
    """A published version is never changed; it is found by a part of a name too, for its words stand alone."""
    (left,) = forget(store, jobs, "Jean Connexion")

    assert (left.what, left.model, left.version) == ("version", NAME, 1)
    assert "vocab.json holds the words" in (left.remedy or "")
    store.read_version(NAME, 1)  # nothing of it was changed


def test_stray_file_is_left_and_named(store: Store, jobs: Jobs) -> None:
    """A file that no program here writes is for a person to look at, whether its name or its content says it."""
    (store.root / "notes.txt").write_text(f"ask {CANARY}")
    (store.root / f"{CANARY}.txt").write_text("")
    (store.folder(NAME) / f"{CANARY}.eml").write_text("")
    store.create_model(f"{CANARY.lower()}-mails", "GRU")
    store.delete_model(f"{CANARY.lower()}-mails")

    assert sorted(one.path for one in forget(store, jobs, CANARY)) == [
        f".deleted/{CANARY.lower()}-mails.json", f"{CANARY}.txt", "notes.txt", f"{NAME}/{CANARY}.eml",
    ]  # fmt: skip


def test_name_of_a_model_is_left_and_named(store: Store, jobs: Jobs) -> None:
    """A model cannot be renamed, so it is for a person to delete."""
    store.create_model(f"{CANARY.lower()}-mails", "GRU")

    (left,) = [one for one in forget(store, jobs, CANARY) if one.what == "model_name"]

    assert left.model == f"{CANARY.lower()}-mails"


def test_bytes_of_deleted_rows_are_erased_too(store: Store, jobs: Jobs) -> None:
    """What an earlier program has left in the unused part of a database is found and goes, though no row holds it."""
    path = counted(store, *(f"{CANARY.lower()}{number}" for number in range(200)))
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA secure_delete=OFF")
        file.execute("DELETE FROM counts WHERE bin LIKE 'zwxq%'")
    file.close()
    assert files_with(store, CANARY.lower()) == [path]

    assert forget(store, jobs, CANARY) == []

    assert files_with(store, CANARY.lower()) == []


def test_correction_is_forgotten_by_its_id(store: Store, jobs: Jobs) -> None:
    """With it go the bodies that hold the id or the ticket; other ids stay."""
    for number in (1, 12):
        feedback.add(store, NAME, Correction(id=str(number), category="Nouveau", text=f"mon ticket {number}"), LIMIT)
    by_id = ended_job(store, jobs, {"training_data": [{"id": 1, "text": "autre"}]})
    by_text = ended_job(store, jobs, {"training_data": [{"text": "mon ticket 1"}]})
    other = ended_job(store, jobs, {"training_data": [{"id": 12, "text": "mon ticket 12"}]})

    assert forget(store, jobs, ids=("1",)) == []

    assert [one.id for one in feedback.read_all(store, NAME)] == ["12"]
    assert [(jobs.folder(job) / BODY).exists() for job in (by_id, by_text, other)] == [False, False, True]


def test_other_models_are_left_alone(store: Store, jobs: Jobs) -> None:
    """With a model's name only that model is searched."""
    store.create_model("other", "GRU")
    for name in (NAME, "other"):
        feedback.add(store, name, Correction(id="1", category="Nouveau", text=CANARY), LIMIT)

    assert forget(store, jobs, CANARY, name="other") == []

    assert [len(list(feedback.read_all(store, name))) for name in (NAME, "other")] == [1, 0]


def test_databases_are_their_owners_alone(store: Store, jobs: Jobs) -> None:
    """Each is made with mode 0600, and one that others may read is tightened when it is opened."""
    feedback.add(store, NAME, Correction(id="1", category="Nouveau", text="x"), LIMIT)
    databases = [store.jobs_folder / "jobs.sqlite", store.folder(NAME) / feedback.DATABASE]
    assert [stat.S_IMODE(path.stat().st_mode) for path in databases] == [0o600, 0o600]
    databases.append(counted(store, "x"))
    for path in databases:
        path.chmod(0o644)

    jobs.list()
    list(feedback.read_all(store, NAME))
    drift.Drift(store.root, 30)._read(NAME, 1, "2026-01-01")

    assert [stat.S_IMODE(path.stat().st_mode) for path in databases] == [0o600] * 3
    feedback.erase(store, jobs, NAME, "1")


def test_copy_that_an_erasure_leaves_is_private(store: Store, jobs: Jobs) -> None:
    """The file that takes the place of the old one has its mode."""
    for number in (1, 2):
        feedback.add(store, NAME, Correction(id=str(number), category="Nouveau", text="x"), LIMIT)

    feedback.erase(store, jobs, NAME, "1")

    assert stat.S_IMODE((store.folder(NAME) / feedback.DATABASE).stat().st_mode) == 0o600


def test_what_is_too_old_is_erased(store: Store, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Corrections by when they came, trainings by when they ended, from every byte; 0 days keeps them for ever."""
    import time

    feedback.add(store, NAME, Correction(id="1", category="Nouveau", text=CANARY), LIMIT)
    job = ended_job(store, jobs, {"text": CANARY}, detail=CANARY, key=CANARY)
    waiting = jobs.new_folder()
    (waiting / BODY).write_text("{}")
    jobs.submit(waiting, NAME, "GRU")
    begun = time.time()

    assert erase_old(store, jobs, 0, 0, lambda: begun + 10_000 * DAY_S) == []
    assert erase_old(store, jobs, 10, 20, lambda: begun + 9 * DAY_S) == []
    assert len(erase_old(store, jobs, 10, 20, lambda: begun + 11 * DAY_S)) == 1
    assert list(feedback.read_all(store, NAME)) == []
    assert jobs.get(job).detail == CANARY
    assert len(erase_old(store, jobs, 10, 20, lambda: begun + 21 * DAY_S)) == 1

    with pytest.raises(JobNotFound):
        jobs.get(job)
    assert [one.state for one in jobs.list()] == ["queued"]  # however long it waits
    assert files_with(store, CANARY) == []
    assert not (store.jobs_folder / job).exists()


def test_trouble_is_said_and_tried_again(store: Store, jobs: Jobs) -> None:
    """A damaged file of one kind does not keep the others, and raises nothing."""
    (store.folder(NAME) / feedback.DATABASE).write_bytes(b"x" * 5000)

    (sentence,) = erase_old(store, jobs, 1, 1, lambda: 4e9)

    assert "damaged" in sentence


def test_traces_do_not_repeat_what_they_found(store: Store, jobs: Jobs) -> None:
    """A trace is shown and logged, so it names places only."""
    feedback.add(store, NAME, Correction(id="1", category="Nouveau", text=CANARY), LIMIT)
    ended_job(store, jobs, {"text": CANARY}, detail=CANARY)

    found = find(store, jobs, Wanted(Person([CANARY])))

    assert CANARY.lower() not in msgspec.json.encode(found).decode().lower()
    assert forgetting.COUNTS not in {one.path for one in found}
