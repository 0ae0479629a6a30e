"""Tests of artifacts/system/sqlite.py: which error of SQLite becomes which of ours, and what is undone."""

import sqlite3
from pathlib import Path

import pytest

from artifacts.errors import StoreRefused
from artifacts.system import sqlite as database_module
from artifacts.system.sqlite import code_of, opened, schema_version


def damaged(path: Path, reason: str) -> StoreRefused:
    """Return an error that names what was found."""
    return StoreRefused("not-valid", reason=f"damaged {path.name}: {reason}")


def refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    """Return an error that names what was found."""
    return StoreRefused("not-valid", reason=f"refused {path.name}: {code_of(error)}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with one table of one row."""
    path = tmp_path / "some.sqlite"
    with opened(path, "rwc", damaged, refused) as database:
        database.execute("CREATE TABLE rows (n INTEGER UNIQUE)")
        database.execute("INSERT INTO rows VALUES (1)")
    return path


def test_what_was_not_committed_is_undone(path: Path) -> None:
    """A block that ends without COMMIT leaves the file as it was, and its connection closed."""
    with opened(path, "rw", damaged, refused) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO rows VALUES (2)")

    with opened(path, "rw", damaged, refused) as after:
        assert after.execute("SELECT n FROM rows").fetchall() == [(1,)]
    with pytest.raises(sqlite3.ProgrammingError):
        database.execute("SELECT 1")


def test_commit_waits_for_the_disk_to_know_of_it(path: Path) -> None:
    """EXTRA is 3; with less a power cut may bring the journal back, and undo what was acknowledged."""
    with opened(path, "rw", damaged, refused) as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (3,)


def test_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    """Only "rwc" makes one."""
    with (
        pytest.raises(StoreRefused, match=rf"refused none\.sqlite: {sqlite3.SQLITE_CANTOPEN}"),
        opened(tmp_path / "none.sqlite", "rw", damaged, refused),
    ):
        raise AssertionError("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database_is_damaged(path: Path) -> None:
    """What SQLite says of it is handed on."""
    path.write_bytes(b"no database at all" * 100)

    with (
        pytest.raises(StoreRefused, match=r"damaged some\.sqlite: file is not a database"),
        opened(path, "rw", damaged, refused),
    ):
        raise AssertionError("it was opened")


def test_locked_file_is_refused_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another connection holds the write lock; a change waits for it no longer than it says."""
    monkeypatch.setattr(database_module, "BUSY_S", 0.01)
    with opened(path, "rw", damaged, refused) as holder:
        holder.execute("BEGIN IMMEDIATE")

        with (
            pytest.raises(StoreRefused, match=rf"refused some\.sqlite: {sqlite3.SQLITE_BUSY}"),
            opened(path, "rw", damaged, refused) as other,
        ):
            other.execute("BEGIN IMMEDIATE")


def test_broken_rule_of_a_table_is_our_bug_and_raised_as_it_is(path: Path) -> None:
    """A number that is there twice is nothing that whoever runs the store could mend."""
    with pytest.raises(sqlite3.IntegrityError), opened(path, "rw", damaged, refused) as database:
        database.execute("INSERT INTO rows VALUES (1)")


def test_schema_version_is_0_until_it_is_set(path: Path) -> None:
    """So a file whose tables are still to be made tells itself from one that another program has written."""
    with opened(path, "rw", damaged, refused) as database:
        assert schema_version(database) == 0
        database.execute("PRAGMA user_version=7")
        assert schema_version(database) == 7
