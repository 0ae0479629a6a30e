"""The audit log: written before a change, closed after it, only ever added to, and without a client's own text."""

import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest

from artifacts.errors import ModelNotFound, StoreRefused
from artifacts.store import audit
from artifacts.store.audit import DATABASE, NO_TOKEN, NOBODY, AuditLog, Author, digest_of
from artifacts.store.store import Store

ADMIN = Author("anna", "admin")
DAYS = 30


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Give the log of an empty folder."""
    return AuditLog(tmp_path, DAYS)


def note(log: AuditLog, name: str, author: Author = ADMIN) -> None:
    """Note a change that works."""
    with log.change(author, "promote", name, version=2):
        pass


def note_some(root: Path, who: int) -> None:
    """Note 20 changes; run in a process of its own."""
    log = AuditLog(root, DAYS)
    for number in range(20):
        note(log, f"m{number}", Author(f"p{who}", "admin"))


def test_change_is_noted_with_its_outcome(log: AuditLog) -> None:
    """Who, what, to what and how it ended come back, the newest first; what the block finds out counts."""
    note(log, "a")
    with log.change(NOBODY, "rollback", "b") as changed:
        changed.version = 7
    with pytest.raises(ModelNotFound), log.change(ADMIN, "delete_model", "c"):
        raise ModelNotFound("gone")
    with pytest.raises(KeyError), log.change(ADMIN, "train", "d") as changed:
        raise KeyError("a ticket's text")
    with pytest.raises(SystemExit), log.change(ADMIN, "cancel", "e", job="0a"):
        raise SystemExit  # the process dies here

    entries = log.newest(10)

    assert [(one.number, one.token_name, one.role, one.action, one.model_name) for one in entries] == [
        (5, "anna", "admin", "cancel", "e"),
        (4, "anna", "admin", "train", "d"),
        (3, "anna", "admin", "delete_model", "c"),
        (2, NO_TOKEN, "", "rollback", "b"),
        (1, "anna", "admin", "promote", "a"),
    ]
    assert [(one.outcome, one.error) for one in entries] == [
        ("unknown", ""), ("failed", "KeyError"), ("refused", "ModelNotFound"), ("done", ""), ("done", ""),
    ]  # fmt: skip
    assert [one.version for one in entries] == [None, None, None, 7, 2]
    assert entries[0].job == "0a"
    assert entries[4].time <= entries[0].time
    assert entries[0].time.endswith("Z")
    assert [one.number for one in log.newest(2)] == [5, 4]
    assert [one.number for one in log.newest(2, before=4)] == [3, 2]


def test_empty_log_has_no_entry_and_makes_no_file(log: AuditLog, tmp_path: Path) -> None:
    """Reading and pruning a log that was never written leaves the store as it is."""
    assert log.newest(10) == []
    log.prune()
    assert list(tmp_path.iterdir()) == []


def test_file_is_its_owners_alone(log: AuditLog, tmp_path: Path) -> None:
    """Whatever the umask, others can neither read nor write it."""
    note(log, "a")

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_id_of_a_correction_is_not_kept(log: AuditLog, tmp_path: Path) -> None:
    """An id may hold a name: only a digest is in the file, by which one who has the id finds the entry."""
    with log.change(ADMIN, "keep_correction", "m", correction_id="Zwxqcanari 2026"):
        pass

    assert log.newest(1)[0].correction == digest_of("Zwxqcanari 2026")
    assert not any(b"Zwxqcanari" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE changes SET token_name = 'bob'",
        "UPDATE outcomes SET outcome = 'done'",
        "DELETE FROM changes",
        "DELETE FROM outcomes",
        "REPLACE INTO outcomes VALUES (1, 'failed', '', NULL, '')",
    ],
)
def test_rows_are_only_added(log: AuditLog, tmp_path: Path, statement: str) -> None:
    """SQLite refuses to change a row, and to delete a young one."""
    note(log, "a")
    before = log.newest(10)

    database = sqlite3.connect(tmp_path / DATABASE)
    database.execute("PRAGMA recursive_triggers=ON")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(statement)
    database.close()
    assert log.newest(10) == before


def test_entries_are_kept_for_their_days(log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its days an entry is neither shown nor in the file, whether something is changed meanwhile or not."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000 * 1_000_000_000)  # 2001
    note(log, "zwxqcanari")
    monkeypatch.undo()

    assert log.newest(10) == []
    assert any(b"zwxqcanari" in path.read_bytes() for path in tmp_path.iterdir())
    log.prune()
    assert not any(b"zwxqcanari" in path.read_bytes() for path in tmp_path.iterdir())
    note(log, "b")
    assert [(one.number, one.outcome) for one in log.newest(10)] == [(2, "done")]  # numbers are not given again


def test_log_that_cannot_be_written_refuses_the_change(log: AuditLog, tmp_path: Path) -> None:
    """Nothing is changed unseen: the block is not entered."""
    (tmp_path / DATABASE).touch(0o600)
    (tmp_path / DATABASE).write_bytes(b"no database, and long enough to be taken for none " * 20)

    with pytest.raises(StoreRefused, match="damaged"):
        note(log, "a")
    with pytest.raises(StoreRefused, match="damaged"):
        log.newest(1)
    entered = []
    gone = AuditLog(tmp_path / "gone", DAYS)
    with pytest.raises(StoreRefused, match="nothing was changed"), gone.change(ADMIN, "promote", "a"):
        entered.append(1)
    assert entered == []


def test_outcome_that_cannot_be_written_is_unknown(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A change that was made stays made; the server's log has what the audit log lacks."""
    path = tmp_path / DATABASE
    with log.change(ADMIN, "promote", "a"):
        path.rename(tmp_path / "elsewhere")  # with its write-ahead log, as one that moves a database away has to
        path.with_name(f"{DATABASE}-wal").rename(tmp_path / "elsewhere-wal")

    assert "change 1 of the audit log is done, but that could not be noted" in caplog.text
    (tmp_path / "elsewhere").rename(path)
    (tmp_path / "elsewhere-wal").rename(path.with_name(f"{DATABASE}-wal"))
    assert log.newest(1)[0].outcome == "unknown"


def test_version_of_any_size_can_be_noted(log: AuditLog) -> None:
    """A caller may name a version that no integer of SQLite holds."""
    with log.change(ADMIN, "delete_version", "a", version=2**64):
        pass

    assert log.newest(1)[0].version is None


def test_other_schema_is_left_alone(log: AuditLog, tmp_path: Path) -> None:
    """A log of a later program is neither read nor written."""
    note(log, "a")
    database = sqlite3.connect(tmp_path / DATABASE)
    database.execute("PRAGMA user_version=9")
    database.close()

    for use in (lambda: log.newest(1), lambda: note(log, "b"), log.prune):
        with pytest.raises(StoreRefused, match="schema 9"):
            use()


@pytest.mark.one_python
def test_processes_and_threads_write_together(tmp_path: Path) -> None:
    """Of several workers each entry is kept, with its outcome, and no number is given twice."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=note_some, args=(tmp_path, who)) for who in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)

    entries = AuditLog(tmp_path, DAYS).newest(1000)

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [one.number for one in entries] == list(range(80, 0, -1))
    assert {one.outcome for one in entries} == {"done"}
    assert {who: sum(one.token_name == f"p{who}" for one in entries) for who in range(4)} == dict.fromkeys(range(4), 20)


def test_store_does_not_mind_the_log(store: Store) -> None:
    """The log lies next to the models and is not one of them."""
    models = store.models()
    note(AuditLog(store.root, DAYS), "a")

    assert store.models() == models
    assert store.sweep() == []
    assert audit.DATABASE in {path.name for path in store.root.iterdir()}
