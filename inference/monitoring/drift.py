"""What is counted of the tickets that a server answers, so that it can be told when they have become others.

    answers -> counts in memory -> every few seconds, added to those on the disk -> drift_tests.py

Counts of a model's version and a day (UTC), and nothing that a ticket could be read from. STORE/NAME/drift.sqlite holds
them: there all workers add theirs, a restart finds them, and they go with the model. A crash loses the last seconds,
which a statistic does not miss; so nothing waits for the disk.

New words are the one thing that has a spelling. A word alone may be a name, so a worker counts hashes, which never
leave its memory, and notes a spelling only when it meets the word in the tenth ticket of the day. Hashes are counted as
Misra and Gries do (1982, "Finding repeated elements"): whenever the table is full every count loses one. That counts
too low and never too high, so no word is shown too early.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from artifacts.evaluation.profile import Profile
from artifacts.networks.runtime import Answerer
from artifacts.system.sqlite import make_private
from artifacts.text.vocabulary import Encoded

FILE = "drift.sqlite"
SAVE_S = 5.0  # what other workers have counted is so old at most, and a crash loses so much
DAY_S = 86400
MIN_WORD_TICKETS = 10  # of a day that hold a new word before its spelling is kept
MAX_HASHES = 4096  # counted at once, of a version and a day
MAX_WORDS = 200  # spellings kept, of a version and a day
MAX_WORD_CHARACTERS = 40
MAX_COUNTED = 1024  # tickets of one request; of a larger one each n-th is counted, or the loop would stand still
LOCK_S = 1.0  # that another worker may hold the file
SCHEMA = """CREATE TABLE IF NOT EXISTS counts (
    version INTEGER NOT NULL, day TEXT NOT NULL, what TEXT NOT NULL, bin TEXT NOT NULL, tickets INTEGER NOT NULL,
    PRIMARY KEY (version, day, what, bin)) WITHOUT ROWID"""
WHAT = ("confidence", "unknown", "lengths")  # the histograms of a Profile

log = logging.getLogger("puppet")

Key = tuple[str, int, int]  # model, version, day since 1970
Noted = tuple[Answerer[Any], Sequence[Encoded], Sequence[Any]]  # what was asked, and the answers


class AnsweredRequest(Protocol):
    """A request that was answered, as far as it is counted; the search's `QueuedRequest` is one."""

    model: Answerer[Any]
    encoded: Sequence[Any]


class NewWords:
    """Which unknown words come often on one day; belongs to one event loop, and is never written as a whole."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}  # hash of a word -> tickets, and the hash of the last of them
        self.words: dict[str, int] = {}  # that enough tickets hold -> tickets that are not saved yet

    def add(self, ticket: Encoded) -> None:
        """Count a ticket's unknown words; the same ticket sent again and again counts once."""
        counts = self._counts
        last = hash((*ticket.ids, *ticket.unknown))  # Python salts its hashes anew in each process
        for word in ticket.unknown:
            if word in self.words:
                self.words[word] += 1
                continue
            key = hash(word)
            count, before = counts.get(key, (0, 0))
            if count and before == last:
                continue
            if not count and len(counts) == MAX_HASHES:
                self._counts = counts = {key: (num - 1, seen) for key, (num, seen) in counts.items() if num > 1}
            elif count + 1 < MIN_WORD_TICKETS or len(self.words) == MAX_WORDS or not is_word(word):
                counts[key] = count + 1, last
            else:
                counts.pop(key, None)
                self.words[word] = count + 1


def is_word(token: str) -> bool:
    """Return whether a token may be shown: letters, with hyphens and apostrophes; numbers and addresses are not."""
    return len(token) <= MAX_WORD_CHARACTERS and token.replace("-", "").replace("'", "").isalpha()


class Found(msgspec.Struct):
    """What was counted of a version, over some days.

    Attributes:
        profile: of all tickets.
        words: new words -> tickets that held them.
        days: on which there were any -> tickets.
    """

    profile: Profile = msgspec.field(default_factory=Profile)
    words: dict[str, int] = {}
    days: dict[str, int] = {}

    def add(self, day: str, what: str, bin_: str, tickets: int) -> None:
        """Add one count."""
        put(self.profile, self.words, what, bin_, tickets)
        if what == "category":
            self.days[day] = self.days.get(day, 0) + tickets


def put(profile: Profile, words: dict[str, int], what: str, bin_: str, tickets: int) -> None:
    """Add one count, which `_rows` has yielded, to others."""
    if what == "category":
        profile.categories[bin_] = profile.categories.get(bin_, 0) + tickets
    elif what == "word":
        words[bin_] = words.get(bin_, 0) + tickets
    elif what in WHAT:
        getattr(profile, what)[int(bin_)] += tickets


class Drift:
    """One worker's counts of what its models answer; belongs to its event loop.

    Attributes:
        is_saved: whether the last counts could be written; if not they stay in memory.
    """

    def __init__(self, store: Path, num_days: int) -> None:
        """Take the store's folder, and the days for which counts are kept; 0 counts nothing."""
        self._store = store
        self._num_days = num_days
        self._noted: list[Noted] = []  # in this turn of the loop
        self._counts: dict[Key, Profile] = {}  # not saved yet
        self._words: dict[Key, NewWords] = {}  # of today
        self._lock = asyncio.Lock()
        self.is_saved = True

    def count(self, request: AnsweredRequest, answers: Sequence[Any]) -> None:
        """Note the answers to some tickets; a version without a profile has nothing to be compared with."""
        model = request.model
        if model.manifest.profile is None or not self._num_days:
            return
        if not self._noted:  # what is answered in one turn of the loop is counted together, in the next one
            asyncio.get_running_loop().call_soon(self._count_noted)
        self._noted.append((model, request.encoded, answers))

    def _count_noted(self) -> None:
        noted, self._noted = self._noted, []
        today = int(time.time()) // DAY_S
        last: Answerer[Any] | None = None
        for model, encoded, answers in noted:
            if model is not last:
                last = model
                key = (model.name, model.version, today)
                profile = self._counts.setdefault(key, Profile())
                words = self._words.setdefault(key, NewWords())
            if len(encoded) > MAX_COUNTED:
                step = -(-len(encoded) // MAX_COUNTED)
                encoded, answers = encoded[::step], answers[::step]
            for ticket, answer in zip(encoded, answers, strict=True):
                profile.add(answer.category, answer.confidence, len(ticket.unknown), len(ticket.ids))
                if ticket.unknown:
                    words.add(ticket)

    async def watch(self) -> None:
        """Save what was counted now and then, for ever."""
        while True:
            await asyncio.sleep(SAVE_S)
            await self.save()

    async def save(self) -> None:
        """Add what was counted to what is on the disk; what cannot be written stays in memory for the next time."""
        async with self._lock:
            await self._save()

    async def found(self, name: str, version: int, num_days: int) -> Found:
        """Return what all workers have counted of a version until now (others: until they saved last)."""
        async with self._lock:
            await self._save()
            first = _date(int(time.time()) // DAY_S - num_days + 1)
            try:
                found = await asyncio.to_thread(self._read, name, version, first)
            except sqlite3.Error as error:
                self.is_saved = False
                found = Found()
                log.error("counts of model %s cannot be read, remove %s/%s: %s", name, name, FILE, error)
            self._count_noted()
            for (of_name, of_version, day), profile in self._counts.items():
                if (of_name, of_version) == (name, version) and _date(day) >= first:
                    words = self._words.get((name, version, day))
                    for what, bin_, tickets in _rows(profile, words.words if words is not None else {}):
                        found.add(_date(day), what, bin_, tickets)
        return found

    async def _save(self) -> None:
        self._count_noted()
        today = int(time.time()) // DAY_S
        taken = self._counts
        self._counts = {}
        failed = []
        for name in {key[0] for key in taken}:
            rows = []
            for key, profile in taken.items():
                if key[0] == name:
                    words = self._words[key].words
                    rows += [(key[1], _date(key[2]), *row) for row in _rows(profile, words)]
                    self._words[key].words = dict.fromkeys(words, 0)
            try:
                await asyncio.to_thread(self._write, name, rows, _date(today - self._num_days + 1))
            except (OSError, sqlite3.Error) as error:
                if not (self._store / name).is_dir():  # deleted, and its counts go with it
                    continue
                failed += [(name, *row) for row in rows]
                if self.is_saved:
                    log.warning("counts of model %s stay in memory, they cannot be written: %s", name, error)
        self.is_saved = not failed
        for name, version, day, what, bin_, tickets in failed:
            key = name, version, _day(day)
            put(self._counts.setdefault(key, Profile()), self._words[key].words, what, bin_, tickets)
        oldest = today if not failed else today - self._num_days + 1
        self._words = {key: words for key, words in self._words.items() if key[2] >= oldest}
        self._counts = {key: profile for key, profile in self._counts.items() if key in self._words}

    def _write(self, name: str, rows: Sequence[tuple[int, str, str, str, int]], oldest: str) -> None:
        with _opened(self._store / name / FILE, "rwc") as file, file:
            file.execute("PRAGMA synchronous = OFF")
            file.execute("PRAGMA secure_delete = ON")  # a day that is too old goes, with its words
            file.execute(SCHEMA)
            file.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET tickets = tickets + excluded.tickets",
                rows,
            )
            file.execute("DELETE FROM counts WHERE day < ?", (oldest,))

    def _read(self, name: str, version: int, first: str) -> Found:
        found = Found()
        if (self._store / name / FILE).exists():
            with _opened(self._store / name / FILE, "ro") as file:
                question = "SELECT day, what, bin, tickets FROM counts WHERE version = ? AND day >= ? ORDER BY day"
                for row in file.execute(question, (version, first)):
                    found.add(*row)
        return found


def _rows(profile: Profile, words: dict[str, int]) -> Iterator[tuple[str, str, int]]:
    """Yield what is counted, its bin, and how many tickets fell in it; without the empty ones."""
    yield from (("category", category, tickets) for category, tickets in profile.categories.items())
    for what in WHAT:
        yield from ((what, str(bin_), tickets) for bin_, tickets in enumerate(getattr(profile, what)) if tickets)
    yield from (("word", word, tickets) for word, tickets in words.items() if tickets)


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    file = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=LOCK_S)
    try:
        make_private(path)
        yield file
    finally:
        file.close()


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def _day(date: str) -> int:
    return int(datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp()) // DAY_S
