"""The files of a review queue: what waits is the same for every process, and what has gone is gone from the disk."""

import functools
import itertools
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts.errors import ArtifactRefused, ModelNotFound, ReviewFull, ReviewItemNotFound, StoreRefused
from artifacts.jobs.jobs import Jobs
from artifacts.store import feedback, review
from artifacts.store.feedback import Correction
from artifacts.store.review import FOLDER, REWRITE_S, ReviewItem, ReviewQueue, erase_older, erase_where, read_all
from artifacts.store.store import Store
from artifacts.store.versions import DAY_S
from tests.artifacts.store.test_feedback import files_with

NAME, OTHER = "puppet-o2", "untrained"
CANARY = "Zwxqcanari"
DAYS, LIMIT = 14, 5
NOON = 1_790_000_000.0 - 1_790_000_000.0 % DAY_S + DAY_S / 2  # of a day in 2026
LOOK_S = 5.0  # between two calls of `tidy`, at most


class Clock:
    """A clock that a test sets.

    Attributes:
        now_s: seconds since 1970.
    """

    def __init__(self) -> None:
        self.now_s = NOON

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Give the clock of all workers."""
    return Clock()


@pytest.fixture
def workers(store: Store, clock: Clock) -> tuple[ReviewQueue, ReviewQueue]:
    """Give the queue as two processes have it."""
    first, second = (ReviewQueue(store, DAYS, LIMIT, clock) for _ in range(2))
    return first, second


def ticket(id_: str, text: str = "") -> ReviewItem:
    """Return a ticket whose text is like no other's."""
    return ReviewItem(id=id_, text=text or f"texte {id_} {CANARY}")


def ids(queue: ReviewQueue, name: str = NAME) -> list[str]:
    """Return the ids of what waits."""
    return [item.id for item in queue.waiting(name)]


def files(store: Store) -> list[Path]:
    """Return the files of the queue."""
    return sorted((store.folder(NAME) / FOLDER).iterdir())


def test_each_worker_sees_what_any_has_added_and_closed(workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """The queue is one, whichever process is asked, and each model has its own."""
    first, second = workers

    assert first.add(NAME, [ticket("a"), ticket("b")])[:3] == (2, 0, 2)
    assert second.add(NAME, [ticket("c")])[:3] == (1, 0, 3)
    second.add(OTHER, [ticket("a")])
    assert ids(first) == ids(second) == ["a", "b", "c"]
    assert second.close(NAME, "a")
    assert not first.close(NAME, "a")
    first.skip(NAME, "c")

    assert ids(first) == ids(second) == ["b"]
    assert ids(first, OTHER) == ["a"]
    with pytest.raises(ReviewItemNotFound):
        second.skip(NAME, "c")
    with pytest.raises(ModelNotFound):
        first.add("nobody", [ticket("a")])


def test_what_waits_or_was_closed_is_known(workers: tuple[ReviewQueue, ReviewQueue], clock: Clock) -> None:
    """By its id or its text a ticket waits once, and one that was closed does not come back, also after a rewriting."""
    first, second = workers
    first.add(NAME, [ticket("a", "un"), ticket("b", "deux")])
    second.close(NAME, "b")

    assert second.add(NAME, [ticket("a", "autre"), ticket("c", "un"), ticket("d", "deux")])[:3] == (0, 3, 1)
    clock.now_s += REWRITE_S + 1
    first.tidy()
    assert second.add(NAME, [ticket("d", "deux"), ticket("e", "trois"), ticket("f", "trois")])[:3] == (1, 2, 2)
    assert ids(first) == ["a", "e"]


def test_labelled_ticket_waits_under_no_id(store: Store, workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """A label closes the same ticket under another id, and one that a worker has noted and not yet written."""
    first, second = workers
    first.add(NAME, [ticket("a", "un"), ticket("b", "deux"), ticket("c", "trois")])

    assert second.close(NAME, "label-1", "un")
    assert second.close(NAME, "b", "deux, et une signature")
    assert not second.close(NAME, "label-2", "quatre")
    assert first.add(NAME, [ticket("d", "quatre"), ticket("e", "un"), ticket("f", "cinq")])[:3] == (1, 2, 2)

    assert ids(first) == ids(second) == ["c", "f"]
    assert files_with(store, "quatre") == []


def test_queue_is_bounded(workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """What was loaded comes in whole or not at all; of what a worker noted as much as there is room for."""
    first, second = workers
    many = [ticket(str(number)) for number in range(LIMIT + 1)]

    with pytest.raises(ReviewFull):
        first.add(NAME, many)
    assert ids(second) == []
    assert first.add(NAME, many, whole=False) == (LIMIT, 0, LIMIT, True)
    second.close(NAME, "0")
    assert second.add(NAME, many[LIMIT:]) == (1, 0, LIMIT, True)


def test_files_are_private(store: Store, workers: tuple[ReviewQueue, ReviewQueue], clock: Clock) -> None:
    """Nobody else may read a file or look into the folder, before and after a rewriting."""
    for _ in range(2):
        workers[0].add(NAME, [ticket("a"), ticket("b")])
        workers[0].close(NAME, "a")
        assert [stat.S_IMODE(path.stat().st_mode) for path in (*files(store), files(store)[0].parent)] == [0o600, 0o700]
        clock.now_s += REWRITE_S + 1
        workers[1].tidy()


def test_closed_ticket_is_off_the_disk_within_a_minute(
    store: Store, workers: tuple[ReviewQueue, ReviewQueue], clock: Clock
) -> None:
    """However many close, a file is rewritten once in REWRITE_S, and no byte of a ticket outlives its minute."""
    workers[0].add(NAME, [ticket(str(number), f"{CANARY}{number} fin") for number in range(LIMIT)])
    closed: dict[str, float] = {}
    versions = {files(store)[0].stat().st_ino}
    for step in range(40):  # 200 s
        if step % 4 == 0 and step // 4 < LIMIT - 1:
            number = str(step // 4)
            workers[step % 8 // 4].close(NAME, number)
            closed[number] = clock.now_s
        clock.now_s += LOOK_S
        workers[step % 2].tidy()
        versions.add(files(store)[0].stat().st_ino)

        old = [number for number, since in closed.items() if clock.now_s - since > 60 - LOOK_S]
        assert [number for number in old if files_with(store, f"{CANARY}{number} fin")] == []
    assert len(versions) <= 1 + 200 / REWRITE_S
    assert ids(workers[0]) == ids(workers[1]) == [str(LIMIT - 1)]
    assert files_with(store, f"{CANARY}{LIMIT - 1} fin") == files(store)


def test_nothing_is_rewritten_where_nothing_has_closed(
    store: Store, workers: tuple[ReviewQueue, ReviewQueue], clock: Clock
) -> None:
    """A file that only grows is never written anew, and keeps its lines."""
    workers[0].add(NAME, [ticket("a")])
    before = files(store)[0].stat().st_ino, files(store)[0].read_bytes()
    for queue in workers * 3:
        clock.now_s += REWRITE_S
        queue.tidy()

    assert (files(store)[0].stat().st_ino, files(store)[0].read_bytes()) == before


def test_erasure_leaves_no_byte(store: Store, workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """What is erased is gone when that returns, with what has closed; the others wait on, in every process."""
    first, second = workers
    first.add(NAME, [ticket("a"), ticket("b", "reste"), ticket("c")])
    assert ids(second) == ["a", "b", "c"]
    second.close(NAME, "c")

    assert [item.id for item in read_all(store, NAME)] == ["a", "b", "c"]
    assert erase_where(store, NAME, lambda item: item.id == "a") == 1

    assert files_with(store, CANARY) == []
    assert ids(first) == ids(second) == ["b"]
    assert erase_where(store, NAME, lambda _: True) == 1
    assert ids(first) == ids(second) == []
    assert files_with(store, "reste") == []


def test_erasing_a_correction_reaches_the_queue(store: Store, workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """The same ticket goes, under its id and under any other; erasing all corrections leaves what nobody labelled."""
    jobs = Jobs(store)
    workers[0].add(NAME, [ticket("a", f"un {CANARY}"), ticket("b", f"deux {CANARY}"), ticket("c", "trois")])
    feedback.add(store, NAME, Correction(id="b", category="x", text="une réponse"), 10)
    feedback.add(store, NAME, Correction(id="z", category="x", text=f"un {CANARY}"), 10)

    feedback.erase(store, jobs, NAME, "b")
    feedback.erase(store, jobs, NAME, "z")
    assert files_with(store, CANARY) == []
    workers[0].add(NAME, [ticket("d", f"quatre {CANARY}")])
    workers[0].close(NAME, "d")
    feedback.erase(store, jobs, NAME)

    assert files_with(store, CANARY) == []
    assert ids(workers[1]) == ["c"]


def test_tickets_expire(store: Store, workers: tuple[ReviewQueue, ReviewQueue], clock: Clock) -> None:
    """A ticket waits to the end of the day that is DAYS after its own; then its file is removed, with or without us."""
    workers[0].add(NAME, [ticket("old")])
    clock.now_s += DAY_S
    workers[1].add(NAME, [ticket("new")])
    clock.now_s += (DAYS - 1) * DAY_S
    assert ids(workers[0]) == ["old", "new"]
    clock.now_s += DAY_S / 2
    assert erase_older(store, NAME, DAYS, clock.now_s - DAY_S) == 0

    workers[0].tidy()
    assert len(files(store)) == 1
    assert ids(workers[0]) == ids(workers[1]) == ["new"]
    assert erase_older(store, NAME, DAYS, clock.now_s + DAY_S) == 1
    assert ids(workers[0]) == []
    assert files_with(store, CANARY) == []


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_line_that_a_crash_cut_short_costs_no_other(
    store: Store, workers: tuple[ReviewQueue, ReviewQueue], cut: int
) -> None:
    """What is left of a line is passed over, spoils no later line, and goes; a process that reads on sees the same."""
    workers[0].add(NAME, [ticket("a")])
    assert ids(workers[1]) == ["a"]
    workers[0].add(NAME, [ticket("b", f"bbb {CANARY}bbb")])
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-cut])
    whole = ["a", "b"] if cut == 1 else ["a"]  # all but the end of the line is a whole line

    assert ids(workers[1]) == whole
    workers[1].add(NAME, [ticket("c")])
    assert ids(workers[0]) == ids(workers[1]) == [*whole, "c"]
    assert bool(files_with(store, f"{CANARY}bbb")) == (cut == 1)


def test_disk_that_refuses_is_told(store: Store, workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """A folder that cannot be used is a refusal that names it, and no other model is touched."""
    (store.folder(NAME) / FOLDER).write_bytes(b"no folder")

    with pytest.raises(StoreRefused, match="review"):
        workers[0].add(NAME, [ticket("a")])
    assert workers[0].add(OTHER, [ticket("a")]).num_added == 1


def test_trouble_with_one_model_keeps_nothing_of_another_on_the_disk(
    store: Store, workers: tuple[ReviewQueue, ReviewQueue], clock: Clock
) -> None:
    """What has closed goes although the record of a model before it is damaged; the error is told."""
    workers[0].add(NAME, [ticket("a"), ticket("b", "reste")])
    workers[0].add("prices", [ticket("c", "autre")])
    workers[0].close(NAME, "a")
    workers[0].close("prices", "c")
    (store.folder("prices") / "model.json").write_bytes(b"{}")
    clock.now_s += REWRITE_S

    with pytest.raises(ArtifactRefused):
        workers[1].tidy()
    assert files_with(store, CANARY) == []
    assert ids(workers[0]) == ["b"]


def test_deleted_model_takes_its_queue_along(store: Store, workers: tuple[ReviewQueue, ReviewQueue]) -> None:
    """A model that is made again under the name has an empty queue, in a process that knew the old one too."""
    workers[0].add(NAME, [ticket("a")])
    assert ids(workers[1]) == ["a"]
    store.delete_model(NAME)
    store.create_model(NAME, "GRU")

    for queue in workers:
        queue.tidy()
        assert ids(queue) == []


def is_called(id_: str, item: ReviewItem) -> bool:
    """Return whether a ticket has an id."""
    return item.id == id_


STEP = st.tuples(
    st.sampled_from(["add", "close", "tidy", "erase"]), st.integers(0, 1), st.integers(0, 5), st.sampled_from([0, 30])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=15))
def test_any_order_of_steps_is_as_a_dict_would_have_it(store: Store, steps: list[tuple[str, int, int, int]]) -> None:
    """Two processes that add, close, erase and tidy in turn agree with a dict that one thread changes."""
    clock = Clock()
    workers = [ReviewQueue(store, DAYS, LIMIT, clock) for _ in range(2)]
    erase_where(store, NAME, lambda _: True)
    run = next(RUNS)  # tickets of an earlier example are known, so each example has its own
    expected: list[str] = []
    ever: set[str] = set()
    for what, worker, number, seconds in steps:
        clock.now_s += seconds
        id_ = f"{run}-{number}"
        if what == "add":
            workers[worker].add(NAME, [ticket(id_)], whole=False)
            if id_ not in ever and len(expected) < LIMIT:
                expected.append(id_)
                ever.add(id_)
        elif what == "close":
            assert workers[worker].close(NAME, id_) == (id_ in expected)
            expected = [one for one in expected if one != id_]
        elif what == "erase":
            erase_where(store, NAME, functools.partial(is_called, id_))
            expected = [one for one in expected if one != id_]
        else:
            workers[worker].tidy()
        assert ids(workers[0]) == ids(workers[1]) == expected
    assert {item.id for item in read_all(store, NAME)} >= set(expected)


RUNS = itertools.count()


def test_ids_are_of_the_ticket() -> None:
    """Equal tickets have equal ids, tokens are another ticket than their text, and feedback takes the id."""
    assert review.id_of("a b") == review.id_of("a b") != review.id_of(["a", "b"])
    assert review.id_of(["ab"]) != review.id_of(["a", "b"])
