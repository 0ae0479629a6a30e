"""Many followers of a job cost one look at a time, and each is told everything once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from artifacts.errors import JobNotFound
from artifacts.jobs.events import Event
from artifacts.jobs.records import Job, State
from inference import following
from inference.following import Followers
from tests.inference.helpers import DEADLINE_S

pytestmark = pytest.mark.anyio


def a_job(state: State) -> Job:
    """Return a job in a state."""
    return Job(
        id="0" * 32, model_name="m", neural_network_type="GRU", state=state, attempt=1, created="now", started=None,
        ended=None, detail="", error="", faults=[], num_faults=0, version=None, metrics=None, seconds=None,
        promote="always", keep_data=False, cancel_requested=False,
    )  # fmt: skip


class Table:
    """A table with one job, whose events are their own offsets; counts how often it is asked."""

    def __init__(self) -> None:
        self.job = a_job("running")
        self.events: list[tuple[int, Event]] = []
        self.num_looks = 0
        self.is_gone = False

    def get(self, _: str) -> Job:
        """Return the job."""
        self.num_looks += 1
        if self.is_gone:
            raise JobNotFound("gone")
        return self.job

    def read_events(self, _: str, offset: int) -> list[tuple[int, Event]]:
        """Return the events behind an offset."""
        return [one for one in self.events if one[0] > offset]

    def tell(self, *numbers: int) -> None:
        """Add events."""
        self.events += [(number, Event(time="now", kind="epoch", epoch=number)) for number in numbers]

    def end(self) -> None:
        """End the job."""
        self.job = a_job("succeeded")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """Give the table, looked at as often as the loop can."""
    monkeypatch.setattr(following, "LOOK_S", 0.005)
    return Table()


def followers_of(table: Table) -> Followers:
    """Return the followers of a process."""
    return Followers(table, asyncio.Event())  # type: ignore[arg-type]  # stands in for Jobs


async def offsets(stream: AsyncIterator[following.News]) -> list[int]:
    """Return the offsets of all events until the stream ends."""
    return [offset async for news in stream for offset, _ in news.events]


@pytest.mark.parametrize("num_followers", [1, 200])
async def test_looks_do_not_grow_with_followers(table: Table, num_followers: int) -> None:
    """Two hundred followers are told every event once, for the looks of one, and each its first."""
    followers = followers_of(table)
    table.tell(1, 2)
    told = [asyncio.create_task(offsets(followers.follow("j", place % 2, 60.0))) for place in range(num_followers)]
    for number in range(3, 9):
        await asyncio.sleep(0.02)
        table.tell(number)
    await asyncio.sleep(0.02)
    num_before_end = table.num_looks
    table.end()

    found = await asyncio.wait_for(asyncio.gather(*told), DEADLINE_S)

    assert found == [list(range(1 + place % 2, 9)) for place in range(num_followers)]
    assert num_before_end <= num_followers + 100  # one to begin with, and those of one watch


async def test_follower_of_an_old_event_reads_the_disk(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that is further behind than what is kept in memory misses nothing."""
    monkeypatch.setattr(following, "KEPT_EVENTS", 3)
    followers = followers_of(table)
    first = asyncio.create_task(offsets(followers.follow("j", 0, 60.0)))
    await asyncio.sleep(0.02)
    table.tell(*range(1, 20))
    await asyncio.sleep(0.02)
    late = asyncio.create_task(offsets(followers.follow("j", 5, 60.0)))
    await asyncio.sleep(0.02)
    table.end()

    assert await asyncio.wait_for(first, DEADLINE_S) == list(range(1, 20))
    assert await asyncio.wait_for(late, DEADLINE_S) == list(range(6, 20))


async def test_offset_that_was_made_up_is_its_followers_alone(table: Table) -> None:
    """A first follower that asks from far beyond the file holds no event back from those who come after it."""
    followers = followers_of(table)
    beyond = asyncio.create_task(offsets(followers.follow("j", 999_999_999, 60.0)))
    await asyncio.sleep(0.02)
    usual = followers.follow("j", 0, 10 * DEADLINE_S)
    waiting = asyncio.ensure_future(anext(usual))
    await asyncio.sleep(0.02)
    table.tell(1, 2, 3)

    news = await asyncio.wait_for(waiting, DEADLINE_S)  # while the job goes on, and not only at its end
    assert [offset for offset, _ in news.events] == [1, 2, 3]
    table.end()
    assert await asyncio.wait_for(beyond, DEADLINE_S) == []


async def test_job_that_is_removed_ends_its_streams(table: Table) -> None:
    """When a job can no longer be read each of its followers gets the error, and nobody waits for ever."""
    followers = followers_of(table)
    streams = [asyncio.create_task(offsets(followers.follow("j", 0, 60.0))) for _ in range(3)]
    await asyncio.sleep(0.02)
    table.is_gone = True

    found = await asyncio.wait_for(asyncio.gather(*streams, return_exceptions=True), DEADLINE_S)

    assert [type(one) for one in found] == [JobNotFound] * 3
