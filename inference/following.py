"""Followers of jobs: one task watches a job, whoever follows it.

    job's row in SQLite, its events on the disk ─► one look each 0.2 s ─► Watched ─► any number of followers

Asked by each follower for itself, the table and the file cost 300 followers .8 of the core that searches are answered
on. What a follower missed before it came it reads from the disk once.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from artifacts.jobs.events import Event
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import Job

LOOK_S = 0.2  # how soon an event is passed on; reading nothing new is one small read of a file
KEPT_EVENTS = 1000  # of one job in memory; a follower that is further behind reads the disk again

Told = tuple[int, Event]  # the offset behind an event in its file, and the event


class News(NamedTuple):
    """What there is to say of a job: the events since the last news, and the job itself, read before them."""

    job: Job
    events: list[Told]


def has_ended(job: Job) -> bool:
    """Return whether a job will change no more."""
    return job.state not in ("queued", "running")


class Watched:
    """One job that somebody follows; belongs to one event loop."""

    def __init__(self, job: Job) -> None:
        """Take the job as it is; its events are read from the first on."""
        self.job = job
        self.offset = 0  # of no follower: a Last-Event-ID that somebody made up must not decide what others are told
        self.recent: list[Told] = []
        self.first_offset = 0  # what lies before it is on the disk alone
        self.num_followers = 0
        self.is_watched = False  # by a task
        self.error: Exception | None = None  # that ended the watch
        self.changed = asyncio.Event()

    def add(self, job: Job, events: list[Told]) -> None:
        """Take what a look has found, and wake the followers if it is news."""
        is_news = bool(events) or job.state != self.job.state
        self.job = job
        if events:
            self.offset = events[-1][0]
            self.recent += events
            if len(self.recent) > KEPT_EVENTS:
                self.first_offset = self.recent[-KEPT_EVENTS - 1][0]
                del self.recent[:-KEPT_EVENTS]
        if is_news:
            self.wake()

    def wake(self) -> None:
        """Wake the followers; the next news has an event of its own."""
        self.changed.set()
        self.changed = asyncio.Event()


class Followers:
    """The jobs of a process that are followed; belongs to one event loop."""

    def __init__(self, jobs: Jobs, draining: asyncio.Event) -> None:
        """Take the table of jobs, and what is set when the server shuts down."""
        self._jobs = jobs
        self._draining = draining
        self._watched: dict[str, Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self, job_id: str, offset: int, quiet_s: float) -> AsyncIterator[News]:
        """Yield the news of a job from `offset` on, its end included, and no news after `quiet_s` without any.

        Ends after the news that the job has ended, or early when the server shuts down.

        Raises:
            JobNotFound: there is no such job (any more).
        """
        watched = self._watched.get(job_id)
        if watched is None:
            job = await asyncio.to_thread(self._jobs.get, job_id)
            watched = self._watched.setdefault(job_id, Watched(job))  # another may have come meanwhile
        watched.num_followers += 1
        if not watched.is_watched:
            watched.is_watched = True
            task = asyncio.create_task(self._watch(job_id, watched))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        is_new = True
        try:
            while True:
                changed, job = watched.changed, watched.job  # before the events: what is told last is not missed
                if is_new or offset < watched.first_offset:  # what it missed
                    is_new = False
                    events = await asyncio.to_thread(self._jobs.read_events, job_id, offset)
                else:
                    events = [one for one in watched.recent if one[0] > offset]
                offset = events[-1][0] if events else offset
                if events or has_ended(job):
                    yield News(job, events)
                    if not events:
                        return
                    continue
                if watched.error is not None:
                    raise watched.error
                if self._draining.is_set():
                    return
                try:
                    await asyncio.wait_for(changed.wait(), quiet_s)
                except TimeoutError:
                    yield News(job, [])
        finally:
            watched.num_followers -= 1

    async def _watch(self, job_id: str, watched: Watched) -> None:
        """Look at a job again and again, until nobody follows it, it has ended, or the server shuts down."""
        try:
            while watched.num_followers and not has_ended(watched.job) and not self._draining.is_set():
                job = await asyncio.to_thread(self._jobs.get, job_id)
                events = await asyncio.to_thread(self._jobs.read_events, job_id, watched.offset)
                watched.add(job, events)
                try:
                    await asyncio.wait_for(self._draining.wait(), LOOK_S)
                except TimeoutError:
                    continue
        except Exception as error:  # of the disk, or a job that was removed: each follower is told
            watched.error = error
        finally:
            watched.is_watched = False
            # A follower that comes now begins anew; those who are there find the last news, or ask for themselves.
            if self._watched.get(job_id) is watched:
                del self._watched[job_id]
            watched.wake()
