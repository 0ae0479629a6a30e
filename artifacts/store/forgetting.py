"""Finding a person in the files of a store, and erasing what can be erased without training again.

In: what names the person (text/people.py), or the id of a correction. Out: a `Trace` for each place. Corrections,
tickets that wait for review, bodies that were kept, what jobs say, and new words of the counts are erased from every
byte of their files. A published version is never changed: if its vocabulary holds the person's words, a version without
them has to take its place, and then it is deleted. So `find` after `erase` says what is left, and a caller believes
nothing but that second look.

What it does not read: `model.onnx`, which holds numbers and no word; and the memory of a server, which writes a new
word to the counts again only after another ticket has brought it.

Whoever erases holds the lock that every other writer of that file takes (the model's, or SQLite's own), so it is safe
beside a server and a trainer.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from artifacts.errors import PuppetError, StoreRefused
from artifacts.jobs.jobs import Jobs, is_copy
from artifacts.jobs.table import DATABASE as JOBS_DATABASE
from artifacts.store import feedback, review
from artifacts.store.audit import DATABASE as AUDIT_DATABASE
from artifacts.store.feedback import Correction
from artifacts.store.review import ReviewItem
from artifacts.store.store import Store
from artifacts.store.versions import VERSION
from artifacts.system.sqlite import code_of, compact, opened
from artifacts.text.people import Person

COUNTS = "drift.sqlite"  # of the answers of a model; inference/monitoring/drift.py writes it
GRAPH = ".onnx"  # a file of weights
WORDS = "vocab.json"
JOURNAL = "-journal"

What = Literal["correction", "review_ticket", "new_word", "version", "kept_body", "job", "model_name", "file"]


class Wanted(NamedTuple):
    """What is looked for: a person by name, and corrections by id with all that holds the same ticket.

    Attributes:
        person: the names.
        ids: of corrections.
        spellings: of those ids and their tickets in a body; `wanted` has looked them up before they are erased.
    """

    person: Person
    ids: frozenset[str] = frozenset()
    spellings: tuple[bytes, ...] = ()

    def is_in(self, one: Correction | ReviewItem) -> bool:
        """Return whether a correction or a ticket that waits is to be erased; every field of it counts."""
        return one.id in self.ids or self.person.is_in(msgspec.json.encode(one).decode())


class Trace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place of the store where a person was found; what was found there is not repeated.

    Attributes:
        what: the kind of place.
        path: of the file, below the store's folder.
        model: whose it is.
        version: of the model.
        job: that it belongs to.
        count: of corrections, words or files.
        can_erase: whether `erase` erases it.
        remedy: what to do about it by hand, where it does not.
    """

    what: What
    path: str
    model: str | None = None
    version: int | None = None
    job: str | None = None
    count: int = 1
    can_erase: bool = True
    remedy: str | None = None


def wanted(store: Store, person: Person, ids: Sequence[str], name: str | None = None) -> Wanted:
    """Return what to look for, with the tickets of these ids as bodies may spell them.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    if not ids:
        return Wanted(person)
    spellings: dict[bytes, None] = {}
    for one in ids:  # a body may hold the id of a ticket that no correction has
        by_id = feedback.spellings(Correction(id=one, category="", text=""))
        spellings |= dict.fromkeys(spelt for spelt in by_id if spelt.startswith(b'"id"'))
    for model in _models(store, name):
        for correction in feedback.read_all(store, model):
            if correction.id in ids:
                spellings |= dict.fromkeys(feedback.spellings(correction))
        for item in review.read_all(store, model):
            if item.id in ids:
                of_ticket = Correction(id=item.id, category="", tokens=item.tokens, text=item.text)
                spellings |= dict.fromkeys(feedback.spellings(of_ticket))
    return Wanted(person, frozenset(ids), tuple(spellings))


def find(store: Store, jobs: Jobs, what: Wanted, name: str | None = None) -> list[Trace]:
    """Return every place of the store that holds what is wanted.

    Args:
        store: that is searched.
        jobs: of the store.
        what: from `wanted`.
        name: of the model to which the search is limited; None: the whole store.
    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    found: list[Trace] = []
    for model in _models(store, name):
        found += _in_model(store, model, what)
    for one in jobs.traces(what.person, what.spellings):
        if name is None or one.model_name == name:
            is_file = "." in one.what or is_copy(one.what)
            path = f"{one.job_id}/{one.what}" if one.job_id and is_file else JOBS_DATABASE
            found.append(
                Trace(
                    what="kept_body" if is_copy(one.what) else "job",
                    path=f"{store.jobs_folder.name}/{path}",
                    model=one.model_name or None,
                    job=one.job_id or None,
                    can_erase=one.can_erase,
                    remedy=None if one.can_erase else _of_job(one.job_id, one.what, one.state),
                )
            )
    if name is None:
        found += _elsewhere(store, what, {trace.path for trace in found})
    return found


def erase(store: Store, jobs: Jobs, what: Wanted, found: Sequence[Trace]) -> None:
    """Erase what `find` has found and says can be erased.

    Raises:
        StoreRefused: a disk that is full or failing, or a file that another process holds; ask again.
    """
    for model in dict.fromkeys(trace.model for trace in found if trace.what == "correction" and trace.model):
        feedback.erase_where(store, model, what.is_in)
    for model in dict.fromkeys(trace.model for trace in found if trace.what == "review_ticket" and trace.model):
        review.erase_where(store, model, what.is_in)
    for model in dict.fromkeys(trace.model for trace in found if trace.what == "new_word" and trace.model):
        _erase_counts(store, model, what.person)
    if any(trace.what in ("kept_body", "job") for trace in found):
        # Of the whole store even where one model is asked about: a name in a job's row is no other model's concern.
        models = {trace.model for trace in found}
        traces = [one for one in jobs.traces(what.person, what.spellings) if (one.model_name or None) in models]
        jobs.erase_traces(what.person, traces)
    store.sweep()


def erase_old(
    store: Store,
    jobs: Jobs,
    feedback_days: int,
    jobs_days: int,
    clock: Callable[[], float],
    files_hours: int = 24,
    review_days: int = 0,
) -> list[str]:
    """Erase corrections, tickets that wait for review, ended jobs and their files that are too old; say what was done.

    What cannot be erased now is tried again the next time; so this raises nothing.

    Args:
        store: whose corrections these are.
        jobs: of the store.
        feedback_days: that a correction is kept; 0: for ever.
        jobs_days: that a job is kept after its end; 0: for ever.
        clock: seconds since 1970.
        files_hours: that a file which was posted for a job, and what the job gave back, are kept after its end.
        review_days: that a ticket waits for review; 0: for ever.
    """
    said = []
    try:
        if num_jobs := jobs.expire(files_hours, clock()):
            said.append(
                f"removed the files of {num_jobs} jobs that ended more than {files_hours} hours ago (files_hours)"
            )
    except PuppetError as error:
        said.append(f"old files of jobs cannot be removed: {error}")
    try:
        if num_jobs := jobs.erase_older(jobs_days, clock()):
            said.append(f"erased {num_jobs} trainings that ended more than {jobs_days} days ago (jobs_days)")
    except PuppetError as error:
        said.append(f"old trainings cannot be erased: {error}")
    for name in store.models() if review_days else ():
        try:
            if num := review.erase_older(store, name, review_days, clock()):
                said.append(f"erased {num} tickets of {name} that waited {review_days} days for review (review_days)")
        except PuppetError as error:
            said.append(f"old tickets of {name} that wait for review cannot be erased: {error}")
    for name in store.models() if feedback_days else ():
        try:
            if num := feedback.erase_older(store, name, feedback_days, clock()):
                said.append(f"erased {num} corrections of {name} older than {feedback_days} days (feedback_days)")
        except PuppetError as error:
            said.append(f"old corrections of {name} cannot be erased: {error}")
    return said


def _models(store: Store, name: str | None) -> list[str]:
    if name is None:
        return store.models()
    store.read_model(name)
    return [name]


def _in_model(store: Store, name: str, what: Wanted) -> Iterator[Trace]:
    person, folder = what.person, store.folder(name)
    if person.is_in(name):
        yield Trace(
            what="model_name",
            path=name,
            model=name,
            can_erase=False,
            remedy=f"the model's name itself: train another model, then delete this one with DELETE /models/{name}",
        )
    num_corrections = sum(what.is_in(one) for one in feedback.read_all(store, name))
    if num_corrections or _is_in_database(folder / feedback.DATABASE, person):
        yield Trace(what="correction", path=f"{name}/{feedback.DATABASE}", model=name, count=num_corrections)
    for file in review.files_of(store, name):
        num_waiting = sum(what.is_in(item) for item in review.items_in(store, name, file))
        if num_waiting or _is_in_database(file, person):
            path = f"{name}/{review.FOLDER}/{file.name}"
            yield Trace(what="review_ticket", path=path, model=name, count=num_waiting)
    num_words = _count_words(store, name, person)
    if num_words or _is_in_database(folder / COUNTS, person):
        yield Trace(what="new_word", path=f"{name}/{COUNTS}", model=name, count=num_words)
    for version in store.versions(name):
        files = [one.name for one in sorted((folder / str(version)).iterdir()) if _is_in_version(one, person)]
        if files:
            yield Trace(
                what="version",
                path=f"{name}/{version}",
                model=name,
                version=version,
                count=len(files),
                can_erase=False,
                remedy=f"{', '.join(files)} {'hold' if len(files) > 1 else 'holds'} the words, and a published version "
                "is never changed: train without them, then delete it",
            )


def _is_in_version(file: Path, person: Person) -> bool:
    """Return whether a file of a version names a person."""
    if file.suffix == GRAPH:
        return False
    try:
        if person.is_in_file(file):
            return True
        if file.name != WORDS:
            return False
        # Each word stands alone here, so a part of a name is enough.
        words = msgspec.json.decode(file.read_bytes())
        return any(person.is_word(word) for word in words)
    except FileNotFoundError:
        return False  # deleted in the meantime
    except (OSError, msgspec.DecodeError, TypeError) as error:
        raise StoreRefused("version-not-searched", path=file, reason=error) from error


def _is_in_database(path: Path, person: Person) -> bool:
    """Return whether the bytes of a database or of its journal name a person, in rows or beside them."""
    for one in (path, path.with_name(path.name + JOURNAL)):
        with contextlib.suppress(FileNotFoundError):
            if person.is_in_file(one):
                return True
    return False


def _count_words(store: Store, name: str, person: Person) -> int:
    if not (store.folder(name) / COUNTS).exists():
        return 0
    with _counts(store, name) as database:
        return len(_rows_naming(database, person))


def _rows_naming(database: sqlite3.Connection, person: Person) -> list[tuple[str, str]]:
    """Return what is counted and its bin, of the counts that name a person: new words, and categories."""
    try:
        rows = database.execute("SELECT DISTINCT what, bin FROM counts WHERE what IN ('word', 'category')").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # a worker has only just made the file
            return []
        raise
    return [(kind, bin_) for kind, bin_ in rows if (person.is_word if kind == "word" else person.is_in)(bin_)]


def _erase_counts(store: Store, name: str, person: Person) -> None:
    with _counts(store, name) as database:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("BEGIN IMMEDIATE")
        database.executemany("DELETE FROM counts WHERE what = ? AND bin = ?", _rows_naming(database, person))
        database.execute("COMMIT")
        compact(database)


@contextlib.contextmanager
def _counts(store: Store, name: str) -> Iterator[sqlite3.Connection]:
    with opened(store.folder(name) / COUNTS, "rw", _damaged, _refused) as database:
        yield database


def _damaged(path: Path, reason: str) -> StoreRefused:
    return StoreRefused("counts-damaged", path=path, reason=reason)


def _refused(path: Path, error: sqlite3.Error) -> StoreRefused:
    return StoreRefused("counts-unusable", path=path, code=code_of(error), reason=error)


def _of_job(job_id: str, what: str, state: str) -> str:
    """Return what to do about a trace in a job that cannot be erased."""
    if state in ("queued", "running"):
        return f"the training is {state}: cancel it with DELETE /jobs/{job_id}, or wait for its end, then forget again"
    return f"the column {what} of job {job_id}: it goes with the job (setting jobs_days)"


def _elsewhere(store: Store, what: Wanted, known: set[str]) -> Iterator[Trace]:
    """Yield the files of the store that name a person and that nothing above has looked at."""
    models = set(store.models())
    for path in sorted(store.root.rglob("*")):
        inner = path.relative_to(store.root)
        first, *rest = inner.parts
        if first == store.jobs_folder.name and len(rest) > 1:
            continue  # folders of jobs
        is_version = len(rest) > 1 and VERSION.fullmatch(rest[0])
        is_counted = first in models and (is_version or (rest and rest[0].startswith((feedback.DATABASE, COUNTS))))
        is_counted = is_counted or (first in models and rest[:1] == [review.FOLDER] and inner.suffix == review.SUFFIX)
        if is_counted or str(inner) in known or inner.name.startswith(JOBS_DATABASE):
            continue
        with contextlib.suppress(FileNotFoundError):
            is_named = (rest or first not in models) and what.person.is_in(inner.name)
            if is_named or (path.is_file() and path.suffix != GRAPH and _reads(path, what.person)):
                remedy = f"look at {path} and change or remove it by hand"
                if inner.name.startswith(AUDIT_DATABASE):
                    remedy = (
                        "the audit log names a token or a model so; its rows are only added, and go after audit_days"
                    )
                yield Trace(what="file", path=str(inner), can_erase=False, remedy=remedy)


def _reads(path: Path, person: Person) -> bool:
    try:
        return person.is_in_file(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreRefused("file-not-searched", path=path, reason=error) from error
