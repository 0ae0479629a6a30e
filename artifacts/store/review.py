"""The review queue of a model: tickets that wait until a person says their category, in files of lines.

    add ─► STORE/NAME/review/2026-11-30.jsonl ─► waiting
                {"made": "0c9e..."}                          the first line: another one after each rewriting
                {"item": {"id": "2024-1107", "text": ...}}   a ticket that waits
                {"closed": "2024-1107", "at": ...}           labelled or skipped: it waits no more
                {"known": "9f86d081884c7d65"}                all that the next rewriting leaves of it

In: tickets, and the ids of those that were labelled or skipped. Out: the tickets that wait, the oldest first.

One file a day (UTC) for all workers, under the model's lock (flock on its folder), and not one a worker. A label closes
a ticket in whichever worker it arrives, and the limit and the duplicates are of the model; so a worker would have to
read the files of all the others anyway. The lock costs some microseconds a second, since what is kept is added in one
write a second. A worker holds what it has read and reads only what was added since; the first line of a file tells it
that the file was rewritten, and is to be read anew.

What is closed is out of every answer at once and out of the file within a minute: a file is rewritten REWRITE_S after
the first ticket of it has closed, so at most once in that time, however many close. What is erased (`erase_where`) is
gone when that returns. A line that is added is not flushed to the disk, so a power cut may take the last seconds; a
file that is rewritten is, or a power cut would bring back what was erased.

A ticket that was labelled or skipped does not come back when it is asked about again: a file keeps a digest of it until
the file is too old. Of the ticket itself nothing is left.
"""

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from artifacts.errors import ModelNotFound, PuppetError, ReviewFull, ReviewItemNotFound, StoreRefused
from artifacts.schemas import Reason
from artifacts.store.store import Store
from artifacts.store.versions import DAY_S, at
from artifacts.system.disk import flush, read, write

FOLDER, SUFFIX = "review", ".jsonl"
REWRITE_S = 50.0  # after the first closing in a file; with a look every 5 s it is done within a minute
MAX_FILE_BYTES = 2**32  # read at once; review_limit tickets of MAX_TICKET_BYTES are far less
# Of one ticket. A model reads 512 tokens, some 4 KiB; what is longer than this is an attachment that somebody pasted.
MAX_TICKET_BYTES = 64 * 2**10
DIGITS = 16  # of the SHA-256 of a ticket: 64 bits tell those of a model apart


class ReviewItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ticket that waits for a person.

    Attributes:
        id: the caller's own, or one made of the ticket (`id_of`).
        tokens: of the ticket.
        text: or its raw text.
        created: when it came: RFC 3339, UTC.
        confidence: of the most probable category when the model was asked; None: it was not.
        reason: why it was not sure.
        version: of the model that was asked.
    """

    id: str
    tokens: list[str] | None = None
    text: str | None = None
    created: str = ""
    confidence: float | None = None
    reason: Reason | None = None
    version: int | None = None

    @property
    def content(self) -> list[str] | str:
        """The tokens or the raw text."""
        return self.tokens if self.tokens is not None else self.text or ""


class Added(NamedTuple):
    """What became of tickets that were to wait: added, known already, how many wait now, and whether no more may."""

    num_added: int
    num_known: int
    num_waiting: int
    is_full: bool


class _Line(msgspec.Struct, omit_defaults=True):
    """A line of a file; exactly one of the first four is there."""

    made: str | None = None
    item: ReviewItem | None = None
    closed: str | None = None
    known: str | None = None
    at: float = 0.0  # seconds since 1970, of a closing


Stamp = tuple[int, int, int]
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decoder = msgspec.json.Decoder(_Line)
_encode = msgspec.json.Encoder().encode


def digest_of(content: list[str] | str) -> str:
    """Return the digits by which a ticket is known again when nothing else is left of it."""
    return hashlib.sha256(_encode(content)).hexdigest()[:DIGITS]


def id_of(content: list[str] | str) -> str:
    """Return the id of a ticket whose caller gives none: the same for the same ticket."""
    return f"review-{digest_of(content)}"


class _File:
    """A day's file as it was read.

    Attributes:
        made: its first line; another one says that it was rewritten.
        stamp: number (inode), size and time of change: where they are the same there is nothing new to read.
        items: id -> ticket that waits.
        closed: ids of tickets whose lines are still in the file.
        digests: of every ticket that waits in it or ever did.
        first_closed: seconds since 1970; None: there is nothing to rewrite it for.
        ends_in_line: whether nothing was cut short at its end.
    """

    def __init__(self) -> None:
        self.made = ""
        self.stamp: Stamp = (0, 0, 0)
        self.items: dict[str, ReviewItem] = {}
        self.closed: set[str] = set()
        self.digests: set[str] = set()
        self.first_closed: float | None = None
        self.ends_in_line = True

    def take(self, raw: bytes) -> None:
        """Take the lines of some bytes; one that cannot be read is passed over, and goes when the file is rewritten."""
        for line in raw.split(b"\n"):
            if not line:
                continue
            try:
                one = _decoder.decode(line)
            except UNREADABLE:  # cut short by a crash; what it holds nobody can find and erase, so it goes soon
                self.first_closed = 0.0
                continue
            if one.made is not None:
                self.made = one.made
            elif one.item is not None:
                self.items[one.item.id] = one.item
                self.digests.add(digest_of(one.item.content))
            elif one.closed is not None and self.items.pop(one.closed, None) is not None:
                self.closed.add(one.closed)
                self.first_closed = one.at if self.first_closed is None else min(self.first_closed, one.at)
            elif one.known is not None:
                self.digests.add(one.known)

    def lines(self) -> bytes:
        """Return what is to stay in the file: what waits, and the digests of what does not."""
        gone = self.digests - {digest_of(item.content) for item in self.items.values()}
        if not self.items and not gone:
            return b""
        kept = [*(_Line(known=one) for one in sorted(gone)), *(_Line(item=item) for item in self.items.values())]
        return b"".join(_encode(one) + b"\n" for one in (_first_line(), *kept))


def _first_line() -> _Line:
    return _Line(made=uuid.uuid4().hex)


class ReviewQueue:
    """The review queues of a store, as one process reads and writes them; safe from several threads.

    Each method waits for the disk: call it in a thread where an event loop runs.
    """

    def __init__(self, store: Store, days: int, limit: int, clock: Callable[[], float] = time.time) -> None:
        """Take the store, how long a ticket waits, and how many may.

        Args:
            store: that has the models.
            days: after that of its coming (UTC) for which a ticket waits.
            limit: tickets of a model that may wait.
            clock: seconds since 1970.
        """
        self._store = store
        self._days = days
        self._limit = limit
        self._clock = clock
        self._files: dict[str, dict[str, _File]] = {}  # model -> name of a file -> what it holds
        self._turn = threading.RLock()  # of this process; the model's lock is between processes

    def add(self, name: str, items: Sequence[ReviewItem], *, whole: bool = True) -> Added:
        """Let tickets wait; one that waits already, or was labelled or skipped before, is only counted.

        Args:
            name: of the model.
            items: the tickets; `created` is filled in here.
            whole: whether all of them are refused if not all find room; else the first of them are taken.
        Raises:
            ReviewFull: there is no room for all of them, and nothing was added.
            ModelNotFound, InvalidName, StoreRefused.
        """
        with self._held(name) as files:
            now_s = self._clock()
            ids = {id_ for file in files.values() for id_ in (*file.items, *file.closed)}
            known = set().union(*(file.digests for file in files.values()))
            num_waiting = sum(len(file.items) for file in files.values())
            new: list[ReviewItem] = []
            for item in items:
                digest = digest_of(item.content)
                if item.id not in ids and digest not in known:
                    ids.add(item.id)
                    known.add(digest)
                    new.append(msgspec.structs.replace(item, created=at(now_s)))
            room = max(0, self._limit - num_waiting)
            if len(new) > room and whole:
                raise ReviewFull(
                    "review-full", model=name, num_waiting=num_waiting, num_tickets=len(new), limit=self._limit
                )
            num_known = len(items) - len(new)
            del new[room:]
            if new:
                self._append(name, files, self._today(), [_Line(item=item) for item in new])
            num_waiting += len(new)
            return Added(len(new), num_known, num_waiting, num_waiting >= self._limit)

    def close(self, name: str, id_: str, content: list[str] | str | None = None) -> bool:
        """Let a ticket wait no more, and return whether it did.

        Args:
            name: of the model.
            id_: of the ticket.
            content: of the ticket as it was labelled; it waits under no other id either, and does not come later. None:
                only the id counts.
        Raises:
            ModelNotFound, InvalidName, StoreRefused.
        """
        digest = digest_of(content) if content is not None else ""
        is_closed = False
        with self._held(name) as files:
            is_known = any(digest in file.digests for file in files.values())
            for day, file in list(files.items()):
                ids = [id_] if id_ in file.items else []
                if digest in file.digests:
                    ids += [one.id for one in file.items.values() if one.id != id_ and digest_of(one.content) == digest]
                if ids:
                    is_closed = True
                    self._append(name, files, day, [_Line(closed=one, at=self._clock()) for one in ids])
            if digest and not is_known:
                # A worker may have noted the ticket and not yet written it: so it is known before it comes.
                self._append(name, files, self._today(), [_Line(known=digest)])
        return is_closed

    def skip(self, name: str, id_: str) -> None:
        """Let a ticket wait no more, for good.

        Raises:
            ReviewItemNotFound: none of this id waits.
            ModelNotFound, InvalidName, StoreRefused.
        """
        if not self.close(name, id_):
            raise ReviewItemNotFound("review-item-not-found", model=name, item=id_)

    def waiting(self, name: str) -> list[ReviewItem]:
        """Return the tickets that wait, the oldest first.

        Raises:
            ModelNotFound, InvalidName, StoreRefused.
        """
        with self._held(name) as files:
            return [item for day in sorted(files) for item in files[day].items.values()]

    def has_folder(self, name: str) -> bool:
        """Return whether a ticket of the model has ever waited; one look at the disk."""
        return (self._store.folder(name) / FOLDER).is_dir()

    def tidy(self) -> None:
        """Rewrite what has closed long enough ago, and remove the files that are too old; called once a second.

        Raises:
            StoreRefused, ArtifactRefused: of one model; all others were seen to.
        """
        refused: PuppetError | None = None
        with self._turn:
            names = [name for name in self._store.models() if self.has_folder(name)]
            for name in self._files.keys() - set(names):  # deleted
                del self._files[name]
            for name in names:
                if self._has_changed(name) or any(self._is_due(day, file) for day, file in self._files[name].items()):
                    try:
                        with self._held(name):
                            pass
                    except ModelNotFound:  # deleted in the meantime
                        continue
                    except PuppetError as error:  # what others have closed must go all the same
                        refused = error
        if refused is not None:
            raise refused

    def _is_due(self, day: str, file: _File) -> bool:
        is_closed = file.first_closed is not None and self._clock() - file.first_closed >= REWRITE_S
        return is_closed or day < self._oldest()

    def _today(self) -> str:
        """Return the name of the file to which a ticket is added."""
        return datetime.fromtimestamp(self._clock(), UTC).date().isoformat() + SUFFIX

    def _oldest(self) -> str:
        """Return the name of the oldest file whose tickets still wait."""
        return datetime.fromtimestamp(self._clock() - self._days * DAY_S, UTC).date().isoformat() + SUFFIX

    def _has_changed(self, name: str) -> bool:
        """Return whether files are others than those that were read; without the lock, so a moment may be missed."""
        read_before = {day: file.stamp for day, file in self._files.get(name, {}).items()}
        return name not in self._files or read_before != _stamps(self._store.folder(name) / FOLDER)

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[dict[str, _File]]:
        """Hold the model's lock and give its files as they are now, with nothing in them that is due to go."""
        self._store.read_model(name)
        folder = self._store.folder(name) / FOLDER
        with self._turn, self._store.lock(name), _disk(folder):
            files = self._files.setdefault(name, {})
            stamps = _stamps(folder)
            for day in files.keys() - stamps.keys():
                del files[day]
            for day, stamp in stamps.items():
                if day not in files or files[day].stamp != stamp:
                    files[day] = _read_on(folder / day, files.get(day), stamp)
                if self._is_due(day, files[day]):
                    lines = files[day].lines() if day >= self._oldest() else b""
                    _rewrite(self._store, folder / day, lines)
                    if lines:
                        files[day] = _read_on(folder / day, None, _stamps(folder)[day])
                    else:
                        del files[day]
            yield files

    def _append(self, name: str, files: dict[str, _File], day: str, new: Sequence[_Line]) -> None:
        lines = b"".join(_encode(one) + b"\n" for one in new)
        folder = self._store.folder(name) / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        file = files.get(day)
        if file is None:
            lines = _encode(_first_line()) + b"\n" + lines
        elif not file.ends_in_line:  # its last line was cut short, and is not to spoil the next
            lines = b"\n" + lines
        fd = os.open(folder / day, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb", buffering=0) as out:
            num = out.write(lines)
        files[day] = _read_on(folder / day, file, _stamps(folder)[day])
        if num != len(lines):
            raise OSError("the disk took a part of it; is it full?")


def read_all(store: Store, name: str) -> list[ReviewItem]:
    """Return every ticket that a file of the queue holds, those too that wait no more and are still to go.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    return [item for path in files_of(store, name) for item in items_in(store, name, path)]


def items_in(store: Store, name: str, path: Path) -> list[ReviewItem]:
    """Return every ticket that one file holds, see `read_all`; none of a file that has gone.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    found = []
    with store.lock(name), _disk(path), contextlib.suppress(FileNotFoundError):
        for line in read(path, MAX_FILE_BYTES).split(b"\n"):
            with contextlib.suppress(*UNREADABLE):
                if line and (item := _decoder.decode(line).item) is not None:
                    found.append(item)
    return found


def files_of(store: Store, name: str) -> list[Path]:
    """Return the files of a model's queue, there a moment ago."""
    folder = store.folder(name) / FOLDER
    return [folder / day for day in sorted(_stamps(folder))]


def erase_where(store: Store, name: str, is_erased: Callable[[ReviewItem], bool]) -> int:
    """Erase the tickets that `is_erased` says, so that no file of the queue holds one; return their number.

    What has closed goes with them, and lines that cannot be read: one of them may hold a ticket that nobody finds.

    Raises:
        ModelNotFound, InvalidName, StoreRefused (then some may be there still: ask again).
    """
    folder = store.folder(name) / FOLDER
    num_erased = 0
    with store.lock(name), _disk(folder):
        for day, stamp in _stamps(folder).items():
            file = _read_on(folder / day, None, stamp)
            erased = [id_ for id_, item in file.items.items() if is_erased(item)]
            for id_ in erased:
                del file.items[id_]
            num_erased += len(erased)
            if erased or file.first_closed is not None:
                _rewrite(store, folder / day, file.lines())
    return num_erased


def erase_older(store: Store, name: str, days: int, now_s: float) -> int:
    """Remove the files of days that are more than `days` days ago, and return how many tickets waited in them.

    Raises:
        ModelNotFound, InvalidName, StoreRefused.
    """
    oldest = datetime.fromtimestamp(now_s - days * DAY_S, UTC).date().isoformat() + SUFFIX
    old = [path for path in files_of(store, name) if path.name < oldest]
    num = 0
    if old:
        with store.lock(name), _disk(old[0].parent):
            for path in old:
                if (stamp := _stamps(path.parent).get(path.name)) is not None:
                    num += len(_read_on(path, None, stamp).items)
                    _rewrite(store, path, b"")
    return num


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Return the files of a queue, each with what changes with it; none where there is no folder."""
    found = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # removed between the two looks
                    state = entry.stat(follow_symlinks=False)
                    found[entry.name] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found


def _read_on(path: Path, file: _File | None, stamp: Stamp) -> _File:
    """Return what a file holds now: what was read of it before and the rest, or all of it if it was rewritten.

    Args:
        path: of the file.
        file: as it was read before; None: it was not.
        stamp: of the file now; who changes it holds the lock.
    """
    with open(path, "rb", opener=_no_link) as opened:
        first = opened.readline()
        is_same = file is not None and file.made and first == _encode(_Line(made=file.made)) + b"\n"
        if file is not None and is_same and file.ends_in_line:
            opened.seek(file.stamp[1])
        else:
            file = _File()
            opened.seek(0)
        raw = opened.read()
    file.take(raw)
    file.stamp = stamp
    file.ends_in_line = not raw or raw.endswith(b"\n")
    return file


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _rewrite(store: Store, path: Path, lines: bytes) -> None:
    """Put lines in place of a file, durably; no file is left where there are none."""
    if lines:
        with store.temporary_folder() as folder:
            write(folder / path.name, lines)
            os.replace(folder / path.name, path)
    else:
        path.unlink()
    flush(path.parent)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say which files the disk refuses."""
    try:
        yield
    except OSError as error:
        raise StoreRefused("review-unusable", path=folder, reason=error) from error
