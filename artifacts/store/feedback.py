"""The corrections of a model: what people say of tickets that it has answered, kept until they are trained on.

In: a ticket, its right category, and the id by which the desk knows it. Out: the corrections again, one by one or in
pages, in the order in which they came. A later correction of the same id takes the place of the earlier one.

They are rows of `STORE/NAME/feedback.sqlite`, so they go with their model when that is deleted. Two promises:

What was acknowledged is kept. SQLite commits each correction with its journal flushed, and `add` returns after that.

What was erased is gone from the files too, not only from the answers. SQLite may leave the bytes of a deleted row in
the unused part of a page, so `erase` writes what stays into a new file and renames it over the old one.

Whoever reads or writes holds the model's lock (flock on its folder). So several processes may write at once, the file
may be replaced, and a model may be deleted, while nobody has it open.
"""

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from artifacts.errors import CorrectionNotFound, FeedbackFull, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.problems.sentences import Message, message
from artifacts.store import review
from artifacts.store.review import ReviewItem
from artifacts.store.store import Store
from artifacts.store.versions import DAY_S, at, now
from artifacts.system.disk import flush, flush_file
from artifacts.system.sqlite import make_private, opened, schema_version

DATABASE = "feedback.sqlite"
SCHEMA_VERSION = 2  # 1 had no token_name; it is read as it is, and the next correction adds the column
PAGE = 100  # corrections that are read under one lock; 25 MiB of the longest
_SCHEMA = """
CREATE TABLE {name}.corrections (
    seq INTEGER PRIMARY KEY,  -- the order in which they came: a clock may be set back
    id TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    ticket TEXT NOT NULL,  -- JSON: an array of tokens, or a string of text
    version INTEGER,
    created TEXT NOT NULL,
    token_name TEXT NOT NULL DEFAULT ''
);
PRAGMA {name}.user_version={version}
"""
_COLUMNS = "id, category, ticket, version, created, token_name"
_ADD_COLUMN = "ALTER TABLE corrections ADD COLUMN token_name TEXT NOT NULL DEFAULT ''"
_ticket_decoder = msgspec.json.Decoder(list[str] | str)

# One segment of a path, which no client rewrites on the way: neither `.` nor `..`, no slash, no control character.
CorrectionId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!\.{1,2}$(?!\n))[^/\x00-\x1f\x7f\ud800-\udfff]{1,200}$(?!\n)",
        extra={"problem": "invalid-correction-id"},
    ),
]


class Correction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The right category of a ticket, as a person says it; as JSON it is a row of training data.

    Attributes:
        id: by which the desk knows the ticket.
        category: NFC and without white space around it; the model may not have it yet.
        tokens: of the ticket.
        text: or its raw text.
        version: of the model, whose answer was corrected.
        created: RFC 3339, UTC; only to show.
        token_name: of the token that it was sent with; empty for none.
    """

    id: str
    category: str
    tokens: list[str] | None = None
    text: str | None = None
    version: int | None = None
    created: str = ""
    token_name: str = ""

    @property
    def content(self) -> list[str] | str:
        """The tokens or the raw text."""
        return self.tokens if self.tokens is not None else self.text or ""


class Erased(msgspec.Struct, frozen=True):
    """How many corrections were erased, and how many bodies of trainings, kept with `keep_data`, went with them."""

    num_corrections: int
    num_bodies: int


def add(store: Store, name: str, correction: Correction, limit: int) -> bool:
    """Keep a correction, durably, and return whether it takes the place of an earlier one of its id.

    Args:
        store: where the model `name` is.
        name: of the model.
        correction: checked; `created` is filled in here.
        limit: corrections that a model may have.
    Raises:
        FeedbackFull: it would be one more than that.
        ModelNotFound, InvalidName, StoreRefused.
    """
    ticket = msgspec.json.encode(correction.content).decode()
    with store.lock(name), _opened(store.folder(name) / DATABASE, "rwc") as database:
        database.execute("PRAGMA journal_mode=DELETE")
        database.execute("BEGIN IMMEDIATE")
        if _is_new(database):
            _make(database, "main")
        elif schema_version(database) == 1:
            database.execute(_ADD_COLUMN)
            database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        is_known = database.execute("DELETE FROM corrections WHERE id = ?", (correction.id,)).rowcount > 0
        (num_kept,) = database.execute("SELECT count(*) FROM corrections").fetchone()
        if num_kept >= limit:
            raise FeedbackFull("feedback-full", model=name, num_corrections=num_kept, limit=limit)
        database.execute(
            f"INSERT INTO corrections ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  # our names
            (correction.id, correction.category, ticket, correction.version, now(), correction.token_name),
        )
        database.execute("COMMIT")
    return is_known


def get(store: Store, name: str, correction_id: str) -> Correction:
    """Return the correction of an id.

    Raises:
        CorrectionNotFound, ModelNotFound, InvalidName, StoreRefused.
    """
    found = _read(store, name, "WHERE id = ?", correction_id.encode("utf-8", "replace").decode())
    if not found:
        raise CorrectionNotFound("correction-not-found", model=name, correction=correction_id)
    return found[0][1]


def page(store: Store, name: str, after: int = 0) -> list[tuple[int, Correction]]:
    """Return at most 100 corrections that came after the one of the number `after`, in order, each with its number.

    One that is corrected again while somebody reads page by page comes again, at the end.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    found = _read(store, name, f"WHERE seq > ? ORDER BY seq LIMIT {PAGE}", after)
    # SQLite believes the order of a file whose pages have changed places, and whoever reads on from the last number
    # would then read the same page for ever.
    numbers = [after, *(number for number, _ in found)]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise _damaged(store.folder(name) / DATABASE, message("rows-out-of-order", {}))
    return found


def read_all(store: Store, name: str) -> Iterator[Correction]:
    """Yield the corrections in the order in which they came; the memory is that of a page.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    after = 0
    while found := page(store, name, after):
        yield from (correction for _, correction in found)
        after = found[-1][0]


def count_after(store: Store, name: str, created: str) -> int:
    """Return how many corrections came after a time, spelt as `versions.at` does; "" is before all of them.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    path = store.folder(name) / DATABASE
    with store.lock(name):
        if not path.exists():
            return 0
        with _opened(path) as database:
            if _is_new(database):
                return 0
            (num,) = database.execute("SELECT count(*) FROM corrections WHERE created > ?", (created,)).fetchone()
    return int(num)


def erase(store: Store, jobs: Jobs, name: str, correction_id: str | None = None) -> Erased:
    """Erase one correction, or all, so that no file of the store holds it, and return what was erased.

    The same ticket goes out of the review queue too, with what has closed there and is still in its files.

    The data of a training that was kept with `keep_data` goes too: a body that has the correction's id or ticket in one
    of the usual spellings of JSON, a file that has the ticket's words or cannot be searched; where all corrections are
    erased, all kept data of the model. What cannot be taken back is what a version has learnt: its vocabulary keeps
    frequent words.

    Raises:
        CorrectionNotFound: there is none of this id.
        ModelNotFound, InvalidName, StoreRefused (then some of it may be gone: ask again).
    """
    correction = get(store, name, correction_id) if correction_id is not None else None
    review.erase_where(store, name, lambda one: correction is not None and is_of(one, correction))
    # Not under the model's lock: who ends a dead training takes the jobs first, and then that lock.
    wanted = (spellings(correction), in_tables(correction)) if correction is not None else ()
    num_bodies = jobs.drop_bodies(name, *wanted)
    num_erased = erase_where(store, name, (lambda one: one.id == correction_id) if correction is not None else None)
    return Erased(num_erased, num_bodies)


def is_of(item: ReviewItem, correction: Correction) -> bool:
    """Return whether a ticket that waits for review is the one that was corrected."""
    return item.id == correction.id or item.content == correction.content


def erase_where(store: Store, name: str, is_erased: Callable[[Correction], bool] | None) -> int:
    """Erase the corrections that `is_erased` says, so that the file holds none of their bytes; return their number.

    None erases all, damaged ones too.

    The file is written anew even if there is none of them: an earlier program may have left bytes of one.

    Raises:
        ModelNotFound, InvalidName, StoreRefused (then all of them may be there still: ask again).
    """
    path = store.folder(name) / DATABASE
    num_erased = 0
    with store.lock(name), store.temporary_folder() as folder:
        if path.exists():
            with _opened(path) as database:
                # To read is also to take back what a crash has left half done, and that journal holds tickets.
                query = f"SELECT seq, {_columns(database)} FROM corrections"  # noqa: S608  # names that are ours
                rows = [] if _is_new(database) else database.execute(query)
                kept = []
                for seq, *fields in rows:
                    if is_erased is None or is_erased(_correction(path, *fields)):
                        num_erased += 1
                    else:
                        kept.append(seq)
                if kept:
                    _copy(database, folder / DATABASE, kept)
            # A write that was killed before its journal was flushed leaves one that SQLite need not take back, and so
            # leaves where it is, with the pages as they were.
            path.with_name(f"{DATABASE}-journal").unlink(missing_ok=True)
            if kept:
                flush_file(folder / DATABASE)
                os.replace(folder / DATABASE, path)
            else:
                path.unlink()
            flush(path.parent)
    store.sweep()  # a crash of an earlier erasure may have left a copy
    return num_erased


def erase_older(store: Store, name: str, days: int, now_s: float) -> int:
    """Erase the corrections that came more than `days` days ago, and return their number; 0 days: none.

    Args:
        store: where the model `name` is.
        name: of the model.
        days: that a correction is kept.
        now_s: seconds since 1970.
    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    if not days:
        return 0
    oldest = at(now_s - days * DAY_S)
    # Looked for first: to erase is to write the whole file anew, and nearly always nothing is that old.
    if not _read(store, name, "WHERE created < ? LIMIT 1", oldest):
        return 0
    return erase_where(store, name, lambda one: one.created < oldest)


def spellings(correction: Correction) -> list[bytes]:
    """Return what to look for in the bytes of a body to find a correction: its id and ticket as programs write JSON."""
    ids: list[object] = [correction.id, *([int(correction.id)] if correction.id.isdecimal() else [])]
    found = []
    for ascii_only in (True, False):
        for comma, colon in ((",", ":"), (", ", ": ")):

            def spelt(value: object, separators: tuple[str, str] = (comma, colon), only: bool = ascii_only) -> str:
                return json.dumps(value, ensure_ascii=only, separators=separators)

            found.append(spelt(correction.content))
            # What follows a number tells 12 from 123.
            found += [f'"id"{colon}{spelt(one)}{end}' for one in ids for end in (",", "}")]
    return [one.encode() for one in dict.fromkeys(found)]


def in_tables(correction: Correction) -> list[bytes]:
    """Return what to look for in the bytes of a table or a list of lines: the ticket, also with its quotes doubled."""
    text = correction.text if correction.text is not None else " ".join(correction.tokens or ())
    return [one.encode() for one in dict.fromkeys((text, text.replace('"', '""')))]


def _read(store: Store, name: str, which: str, value: object) -> list[tuple[int, Correction]]:
    store.read_model(name)
    path = store.folder(name) / DATABASE
    with store.lock(name):
        if not path.exists():
            return []
        with _opened(path) as database:
            if _is_new(database):
                return []
            query = f"SELECT seq, {_columns(database)} FROM corrections {which}"  # noqa: S608  # words that are ours
            rows = database.execute(query, (value,)).fetchall()
    return [(row[0], _correction(path, *row[1:])) for row in rows]


def _columns(database: sqlite3.Connection) -> str:
    """Return what to select for `_COLUMNS`; reading changes nothing, so an older file stays of its schema."""
    return _COLUMNS if schema_version(database) > 1 else _COLUMNS.replace("token_name", "''")


def _correction(
    path: Path, id_: str, category: str, ticket: str, version: int | None, created: str, token_name: str
) -> Correction:
    try:
        content = _ticket_decoder.decode(ticket)
        tokens, text = (None, content) if isinstance(content, str) else (content, None)
        fields = {"id": id_, "category": category, "tokens": tokens, "text": text}
        return msgspec.convert(fields | {"version": version, "created": created, "token_name": token_name}, Correction)
    except (msgspec.MsgspecError, TypeError) as error:
        raise _damaged(path, str(error)) from error


def _copy(database: sqlite3.Connection, target: Path, kept: Sequence[int]) -> None:
    """Write the corrections of these numbers to a new file, whose flush is left to the caller."""
    database.execute("ATTACH ? AS clean", (str(target),))
    make_private(target)
    database.execute("PRAGMA clean.journal_mode=OFF")  # of a file that nobody sees yet
    database.execute("PRAGMA clean.synchronous=OFF")
    _make(database, "clean")
    database.execute("BEGIN")
    copied = f"INSERT INTO clean.corrections (seq, {_COLUMNS}) SELECT seq, {_columns(database)}"  # our names
    database.executemany(f"{copied} FROM main.corrections WHERE seq = ?", ((seq,) for seq in kept))
    database.execute("COMMIT")


def _make(database: sqlite3.Connection, name: str) -> None:
    for statement in _SCHEMA.format(name=name, version=SCHEMA_VERSION).split(";\n"):
        database.execute(statement)


def _is_new(database: sqlite3.Connection) -> bool:
    """Return whether the file is empty yet.

    Raises:
        StoreRefused: another program has written it.
    """
    found = schema_version(database)
    if not 0 <= found <= SCHEMA_VERSION:
        raise StoreRefused("corrections-schema", found=found, known=SCHEMA_VERSION)
    return found == 0


@contextlib.contextmanager
def _opened(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Give a connection, closed at the end, which undoes what was not committed; see `database.opened`.

    An error of the flush that comes last is an error here, though the correction may be kept: whoever sends it again
    changes nothing.
    """
    with opened(path, mode, _damaged, _refused) as database:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("PRAGMA temp_store=MEMORY")  # nothing of a ticket outside the store
        yield database


def _refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    return StoreRefused("corrections-unusable", path=path, reason=error)


def _damaged(path: Path, reason: Message | str) -> StoreRefused:
    return StoreRefused("corrections-damaged", path=path, reason=reason)
