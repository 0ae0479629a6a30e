"""What runs on the event loop and what goes to the thread, with a fake model whose answers tell."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from typing import Any, cast

import pytest

from artifacts.errors import EmptyTicket
from artifacts.networks.gru import GruModel
from artifacts.schemas import Answer
from artifacts.text.tickets import Prediction, Ticket
from artifacts.text.vocabulary import Encoded
from inference.errors import ClientLeft, ServerFull, TooLate
from inference.search.admission import INLINE_TOKENS, LARGE_FACTOR, REQUEST_TOKENS
from inference.search.batcher import BYTES_A_TOKEN, TURN_TOKENS, Batcher
from inference.search.bodies import INLINE_CHARACTERS, encode_one
from inference.search.context import AskedInput, RequestContext
from tests.inference.helpers import ACCESS, CLIENT, CONNECTION, DEADLINE_S, eventually

pytestmark = pytest.mark.anyio

LIMIT_TOKENS = 4 * (1000 + REQUEST_TOKENS)


class Fake:
    """A model that answers with a ticket's length and first id, and notes in which thread it was asked."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.batches: list[list[int]] = []  # of each run the first ids
        self.go_on = threading.Event()
        self.go_on.set()

    def encode(self, content: Sequence[str] | str) -> Encoded:
        """Read a content as ids that are its length."""
        self._work()
        return ticket(len(content))

    def cost(self, one: Encoded) -> int:
        """Count its ids."""
        return len(one.ids)

    def predict(self, tickets: Sequence[Encoded]) -> list[Prediction]:
        """Answer each ticket by what it is."""
        self._work()
        self.batches.append([one.ids[0] for one in tickets])
        return [Prediction(f"{len(one.ids)}:{one.ids[0]}", 1.0, [], 0) for one in tickets]

    def evaluate(self, rows: Sequence[Ticket], tickets: Sequence[Encoded]) -> tuple[int, int]:
        """Count what came."""
        self._work()
        return len(rows), len(tickets)

    def _work(self) -> None:
        self.threads.append(threading.current_thread().name)
        assert self.go_on.wait(DEADLINE_S), "nobody let the model go on: it was asked on the event loop"


@pytest.fixture
def fake() -> Fake:
    """Give a fake model."""
    return Fake()


class Clock:
    """A clock that goes on only when a test says so: how busy the machine is changes nothing."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that `time.perf_counter` reads from now on; the event loop has another."""
    found = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: found.now)
    return found


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher]:
    """Give a batcher, closed at the end."""
    batcher = Batcher(LIMIT_TOKENS)
    yield batcher
    batcher.close()


class Told:
    """A reply that keeps what it takes."""

    def __init__(self) -> None:
        self.found: list[object] = []

    def asked(self, index: int) -> AskedInput | None:
        """Say that nobody needs to know; see `ReplyOfInputs`."""

    def take(self, found: Sequence[Answer] | BaseException) -> None:
        """Keep it."""
        self.found.append(found)


def ticket(num_tokens: int, first: int = 0) -> Encoded:
    """Return a ticket of so many ids."""
    return Encoded([first, *[9] * (num_tokens - 1)], [], [], 0)


def predictions(answers: Sequence[Answer]) -> list[Prediction]:
    """Return the answers under their own type, which the batcher does not know."""
    assert all(isinstance(answer, Prediction) for answer in answers)
    return cast(list[Prediction], answers)


def categories(answers: Sequence[Answer]) -> list[str]:
    """Return what the answers say."""
    return [answer.category for answer in predictions(answers)]


def as_model(fake: Fake) -> GruModel:
    """Return the fake under the type that the batcher takes."""
    return cast(GruModel, fake)


@pytest.mark.parametrize(
    ("lengths", "is_inline"),
    [
        ([1], True),
        ([INLINE_TOKENS], True),
        ([INLINE_TOKENS // 2, INLINE_TOKENS // 2], True),
        ([INLINE_TOKENS // 2, INLINE_TOKENS // 2, 1], False),
        ([INLINE_TOKENS + 1], False),
        ([1] * (INLINE_TOKENS + 1), False),
    ],
)
async def test_small_work_runs_where_it_is(batcher: Batcher, fake: Fake, lengths: list[int], is_inline: bool) -> None:
    """Up to 2048 tokens are answered on the loop, without the cost of a thread; one more goes to the thread."""
    answers = await batcher.predict(as_model(fake), [ticket(length, place) for place, length in enumerate(lengths)])

    assert categories(answers) == [f"{length}:{place}" for place, length in enumerate(lengths)]
    assert (fake.threads == [threading.current_thread().name]) == is_inline
    assert (fake.threads[0].startswith("model")) != is_inline


@pytest.mark.parametrize(("num_characters", "is_inline"), [(INLINE_CHARACTERS, True), (INLINE_CHARACTERS + 1, False)])
async def test_long_text_is_read_in_the_thread(
    batcher: Batcher, fake: Fake, num_characters: int, is_inline: bool
) -> None:
    """A raw text up to the limit is read on the loop, a longer one in the thread."""
    encoded = await encode_one(batcher.large, as_model(fake), "x" * num_characters)

    assert len(encoded.ids) == num_characters
    assert (fake.threads[0].startswith("model")) != is_inline


async def test_tokens_are_read_on_the_loop(batcher: Batcher, fake: Fake) -> None:
    """A list of tokens is read on the loop whatever its length: only the first 512 are looked at."""
    await encode_one(batcher.large, as_model(fake), ["x"] * (INLINE_CHARACTERS + 1))

    assert fake.threads == [threading.current_thread().name]


async def test_measuring_is_done_in_the_thread(batcher: Batcher, fake: Fake) -> None:
    """Labelled tickets are measured in the thread, be they few."""
    assert await batcher.large.run(as_model(fake).evaluate, [Ticket("a", ["b"])], [ticket(1)]) == (1, 1)  # type: ignore[comparison-overlap]
    assert fake.threads[0].startswith("model")


async def test_loop_goes_on_beside_large_work(batcher: Batcher, fake: Fake) -> None:
    """While the thread works, small work is answered."""
    fake.go_on.clear()
    other = Fake()

    large = asyncio.create_task(batcher.predict(as_model(fake), [ticket(INLINE_TOKENS + 1)]))
    await asyncio.sleep(0)
    small = [await batcher.predict(as_model(other), [ticket(3, 7)]) for _ in range(10)]
    assert not large.done()
    fake.go_on.set()

    assert [categories(one) for one in small] == [["3:7"]] * 10
    assert categories(await asyncio.wait_for(large, DEADLINE_S)) == [f"{INLINE_TOKENS + 1}:0"]


async def test_each_gets_its_own_answers(batcher: Batcher, fake: Fake) -> None:
    """Of many large requests at once each gets the answers to its own tickets, in its own order."""
    sizes = range(1, 30)
    batcher.admission.limit_tokens = 10 * INLINE_TOKENS

    answers = await asyncio.gather(
        *(batcher.predict(as_model(fake), [ticket(INLINE_TOKENS, size), *[ticket(2, size)] * size]) for size in sizes)
    )

    for size, found in zip(sizes, answers, strict=True):
        assert categories(found) == [f"{INLINE_TOKENS}:{size}", *[f"2:{size}"] * size]


@pytest.mark.parametrize("num_tokens", [1, INLINE_TOKENS + 1])
async def test_error_of_the_model_reaches_who_waits(batcher: Batcher, num_tokens: int) -> None:
    """An error, on the loop or in the thread, is raised to its caller, and the next work is done."""

    class Broken(Fake):
        def predict(self, _: Sequence[Encoded]) -> list[Prediction]:
            raise EmptyTicket("not-valid", reason="as it happens")

    with pytest.raises(EmptyTicket, match="as it happens"):
        await batcher.predict(as_model(Broken()), [ticket(num_tokens)])
    assert await batcher.predict(as_model(Fake()), [ticket(num_tokens)])


async def test_closing_ends_the_thread_and_drops_what_has_not_begun(fake: Fake) -> None:
    """After `close`, work that waits for the thread is cancelled and never run; what has begun ends."""
    batcher = Batcher(LIMIT_TOKENS)
    fake.go_on.clear()
    begun = asyncio.create_task(batcher.large.run(as_model(fake).evaluate, [], []))
    waiting = asyncio.create_task(batcher.large.run(as_model(fake).evaluate, [], []))
    while not fake.threads:
        await asyncio.sleep(0)

    batcher.close()
    fake.go_on.set()
    results = await asyncio.wait_for(asyncio.gather(begun, waiting, return_exceptions=True), DEADLINE_S)

    assert cast(Any, results[0]) == (0, 0)
    assert isinstance(results[1], asyncio.CancelledError)
    assert len(fake.threads) == 1


async def test_thread_and_loop_answer_the_same(batcher: Batcher, model: GruModel) -> None:
    """The real model answers a ticket equally on the loop and, in a large batch, in the thread."""
    tickets = [model.encode(tokens) for tokens in (CONNECTION, ACCESS, CLIENT, ["zzz"], CONNECTION * 30)]
    one_by_one = [predictions(await batcher.predict(model, [one]))[0] for one in tickets]

    together = await batcher.predict(model, tickets * 40)

    for place, answer in enumerate(predictions(together)):
        one = one_by_one[place % len(tickets)]
        assert (answer.category, answer.unknown_tokens) == (one.category, one.unknown_tokens)
        assert answer.confidence == pytest.approx(one.confidence, abs=1e-6)


async def test_what_arrives_in_a_turn_runs_together(batcher: Batcher, fake: Fake) -> None:
    """Requests of one turn of the loop are one batch, whether they bring one ticket or several; the next is its own."""
    answers = await asyncio.gather(
        batcher.predict(as_model(fake), [ticket(3, 1)]),
        batcher.predict(as_model(fake), [ticket(5, 2), ticket(4, 3)]),
        batcher.predict(as_model(fake), [ticket(2, 4)]),
    )
    await batcher.predict(as_model(fake), [ticket(1, 5)])

    assert [categories(found) for found in answers] == [["3:1"], ["5:2", "4:3"], ["2:4"]]
    assert fake.batches == [[1, 2, 3, 4], [5]]


async def test_nothing_waits_for_more_to_come(batcher: Batcher, fake: Fake) -> None:
    """A lone request is answered in the turn after its own."""
    asking = asyncio.create_task(batcher.predict(as_model(fake), [ticket(3)]))
    await asyncio.sleep(0)  # it asks
    assert not fake.batches
    await asyncio.sleep(0)  # its turn

    assert fake.batches == [[0]]
    await asyncio.wait_for(asking, DEADLINE_S)


async def test_turn_is_cut_in_order_of_arrival(batcher: Batcher, fake: Fake) -> None:
    """A turn takes the first who came until it has its tokens; other tasks run before the next one."""
    batcher.admission.limit_tokens = 4 * TURN_TOKENS
    asking = [
        asyncio.create_task(batcher.predict(as_model(fake), [ticket(TURN_TOKENS // 3, number)])) for number in range(8)
    ]
    await asyncio.sleep(0)
    seen = []
    while not all(task.done() for task in asking):
        seen.append(len(fake.batches))
        await asyncio.sleep(0)

    assert fake.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert set(seen) >= {1, 2, 3}, "the loop had no turn between the batches"


async def test_models_are_not_mixed(batcher: Batcher) -> None:
    """Requests of one turn for two models are a batch of each."""
    fakes = [Fake(), Fake()]

    await asyncio.gather(*(batcher.predict(as_model(fakes[number % 2]), [ticket(2, number)]) for number in range(6)))

    assert [fake.batches for fake in fakes] == [[[0, 2, 4]], [[1, 3, 5]]]


async def test_bad_ticket_fails_no_other(batcher: Batcher) -> None:
    """Where a batch fails, each request of it is tried by itself, and only the one that fails again is told so."""

    class Picky(Fake):
        def predict(self, tickets: Sequence[Encoded]) -> list[Prediction]:
            if any(one.ids[0] == 2 for one in tickets):
                raise EmptyTicket("not-valid", reason="number 2")
            return super().predict(tickets)

    picky = Picky()

    answers = await asyncio.gather(
        *(batcher.predict(as_model(picky), [ticket(3, number)]) for number in range(4)), return_exceptions=True
    )

    assert isinstance(answers.pop(2), EmptyTicket)
    assert [categories(cast(Sequence[Answer], found)) for found in answers] == [["3:0"], ["3:1"], ["3:3"]]


async def test_full_queue_refuses_at_once(batcher: Batcher, fake: Fake) -> None:
    """Who finds the queue full is refused without waiting, who fits is answered, and afterwards there is room."""
    size = LIMIT_TOKENS // 4 - REQUEST_TOKENS
    asking = [asyncio.create_task(batcher.predict(as_model(fake), [ticket(size, number)])) for number in range(5)]
    await asyncio.sleep(0)

    with pytest.raises(ServerFull):
        batcher.check_room(1)
    answers = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), DEADLINE_S)
    assert [isinstance(found, ServerFull) for found in answers] == [False] * 4 + [True]
    assert batcher.admission.waiting_tokens == 0
    batcher.check_room(LIMIT_TOKENS * BYTES_A_TOKEN)
    await batcher.predict(as_model(fake), [ticket(1)])


async def test_empty_queue_takes_what_is_over_the_limit(fake: Fake) -> None:
    """A request of more tokens than may wait is answered where nothing waits, on the loop and in the thread."""
    batcher = Batcher(10)

    for size in (11, INLINE_TOKENS, INLINE_TOKENS + 1):
        batcher.check_room(size * BYTES_A_TOKEN)
        assert categories(await batcher.predict(as_model(fake), [ticket(size)])) == [f"{size}:0"]
    batcher.close()


async def test_large_work_has_its_own_limit(fake: Fake) -> None:
    """The thread's queue is bounded too, small work comes in beside it, and afterwards there is room again."""
    size = INLINE_TOKENS + 1
    batcher = Batcher(2 * (size + REQUEST_TOKENS) // LARGE_FACTOR + 1)
    fake.go_on.clear()
    large = [asyncio.create_task(batcher.predict(as_model(fake), [ticket(size)])) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(ServerFull):
        await batcher.predict(as_model(fake), [ticket(size)])
    assert await batcher.predict(as_model(Fake()), [ticket(1)])
    fake.go_on.set()
    await asyncio.wait_for(asyncio.gather(*large), DEADLINE_S)
    assert batcher.admission.large_tokens == 0
    assert await batcher.predict(as_model(fake), [ticket(size)])
    batcher.close()


@pytest.mark.parametrize("size", [1, INLINE_TOKENS + 1])
async def test_work_whose_client_left_is_not_run(batcher: Batcher, fake: Fake, size: int) -> None:
    """A request whose client goes while it waits never reaches the model; who stands behind it does."""
    other = Fake()
    if size > INLINE_TOKENS:
        other.go_on.clear()
        first = asyncio.create_task(batcher.predict(as_model(other), [ticket(INLINE_TOKENS + 1)]))
    else:
        first = asyncio.create_task(batcher.predict(as_model(other), [ticket(TURN_TOKENS)]))
    await asyncio.sleep(0)
    told = Told()
    context = RequestContext(has_left=lambda: True)
    batcher.submit(as_model(fake), [ticket(size, 1)], context, told)
    stays = asyncio.create_task(batcher.predict(as_model(fake), [ticket(size, 2)]))
    await asyncio.sleep(0)
    other.go_on.set()

    assert categories(await asyncio.wait_for(stays, DEADLINE_S)) == [f"{size}:2"]
    assert [type(one) for one in told.found] == [ClientLeft]
    assert fake.batches == [[2]]
    await first


@pytest.mark.parametrize("size", [1, INLINE_TOKENS + 1])
async def test_cancelled_work_is_not_run(batcher: Batcher, fake: Fake, size: int) -> None:
    """Who is cancelled while waiting leaves the queue, and its room is free again."""
    blocker = Fake()
    blocker.go_on.clear()
    first = asyncio.create_task(batcher.predict(as_model(blocker), [ticket(INLINE_TOKENS + 1)]))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(batcher.predict(as_model(fake), [ticket(size)]))
    await asyncio.sleep(0)
    waiting.cancel()
    blocker.go_on.set()
    await asyncio.wait([first, waiting], timeout=DEADLINE_S)
    await batcher.predict(as_model(blocker), [ticket(size)])

    assert waiting.cancelled()
    assert not fake.batches
    assert batcher.admission.waiting_tokens == batcher.admission.large_tokens == 0


async def test_deadline_that_has_passed_in_the_queue_saves_the_work(batcher: Batcher, fake: Fake, clock: Clock) -> None:
    """A request whose time runs out while it waits is told so and never reaches the model."""
    context = RequestContext(clock.now + 0.01)
    asking = asyncio.create_task(batcher.predict(as_model(fake), [ticket(1)], context))
    await asyncio.sleep(0)
    clock.now += 0.02  # the loop is held up, as by a run

    with pytest.raises(TooLate):
        await asking
    assert not fake.batches


async def test_deadline_that_cannot_be_met_is_refused_at_once(batcher: Batcher, fake: Fake, clock: Clock) -> None:
    """Who would wait longer than its time, by the tokens before it and what a token takes, does not begin to wait."""
    first = asyncio.create_task(batcher.predict(as_model(fake), [ticket(TURN_TOKENS)]))
    await asyncio.sleep(0)

    with pytest.raises(TooLate):  # 2048 tokens of 2 us, before anything was measured
        await batcher.predict(as_model(fake), [ticket(1)], RequestContext(clock.now + 0.001))
    assert await batcher.predict(as_model(fake), [ticket(1)], RequestContext(clock.now + DEADLINE_S))
    await first


async def test_price_of_a_token_is_learnt(batcher: Batcher, fake: Fake, clock: Clock) -> None:
    """After slow turns a deadline is refused that fast ones would have met."""

    class Slow(Fake):
        def predict(self, tickets: Sequence[Encoded]) -> list[Prediction]:
            clock.now += 0.01
            return super().predict(tickets)

    def context() -> RequestContext:
        return RequestContext(clock.now + 0.005)

    assert await batcher.predict(as_model(fake), [ticket(500)], context())  # 500 of 2 us
    for _ in range(30):
        await batcher.predict(as_model(Slow()), [ticket(500)])

    with pytest.raises(TooLate):
        await batcher.predict(as_model(fake), [ticket(500)], context())


async def test_caller_learns_how_its_time_was_spent(batcher: Batcher, clock: Clock) -> None:
    """Queue and model are told apart: a held-up loop is the queue, a slow run the model."""

    class Slow(Fake):
        def predict(self, tickets: Sequence[Encoded]) -> list[Prediction]:
            clock.now += 0.02
            return super().predict(tickets)

    for size in (1, INLINE_TOKENS + 1):
        context = RequestContext()
        asking = asyncio.create_task(batcher.predict(as_model(Slow()), [ticket(size)], context))
        await asyncio.sleep(0)
        if size == 1:
            clock.now += 0.01
        await asking

        assert context.model_s == pytest.approx(0.02)
        assert context.queue_s == pytest.approx(0.01 if size == 1 else 0.0)


def steps_of(fake: Fake, num_steps: int) -> Generator[int, None, str]:
    """Do so many steps of one ticket each, noted as the fake's batches."""
    for number in range(num_steps):
        fake.predict([ticket(1, number)])
        yield 1
    return f"{num_steps} steps"


async def in_steps(batcher: Batcher, fake: Fake, num_steps: int, context: RequestContext | None = None) -> str:
    """Return what the steps come to."""
    return await batcher.large.in_steps(
        as_model(fake), steps_of(fake, num_steps), num_steps, context or RequestContext()
    )


async def test_steps_run_in_the_thread(batcher: Batcher, fake: Fake) -> None:
    """Every step runs off the loop, in order, the result is that of the last, and the caller learns the time."""
    context = RequestContext()

    assert await in_steps(batcher, fake, 3, context) == "3 steps"
    assert fake.batches == [[0], [1], [2]]
    assert all(name.startswith("model") for name in fake.threads)
    assert context.model_s > 0
    assert batcher.admission.large_tokens == 0


async def test_searches_go_on_beside_steps(batcher: Batcher, fake: Fake) -> None:
    """While a step hangs in the thread, plain searches are answered; the steps go on after it."""
    fake.go_on.clear()
    slow = asyncio.create_task(in_steps(batcher, fake, 2))
    await eventually(lambda: fake.threads, "the first step")

    answered = [categories(await batcher.predict(as_model(Fake()), [ticket(1, n)])) for n in range(20)]
    was_done = slow.done()
    fake.go_on.set()

    assert answered == [[f"1:{number}"] for number in range(20)]
    assert not was_done
    assert await asyncio.wait_for(slow, DEADLINE_S) == "2 steps"


async def test_large_request_stands_behind_one_step(batcher: Batcher, fake: Fake) -> None:
    """Of two pieces of work in many steps, only the step that runs already comes before a large request."""
    fake.go_on.clear()
    slow = [asyncio.create_task(in_steps(batcher, fake, 50)) for _ in range(2)]
    await eventually(lambda: fake.threads, "the first step")
    large = asyncio.create_task(batcher.predict(as_model(fake), [ticket(INLINE_TOKENS + 1, 99)]))
    await asyncio.sleep(0)
    fake.go_on.set()

    await asyncio.wait_for(asyncio.gather(large, *slow), DEADLINE_S)

    assert fake.batches.index([99]) == 1
    assert len(fake.batches) == 101


async def test_steps_are_admitted_like_large_work(fake: Fake) -> None:
    """Their predicted cost counts; whoever comes when too much waits is refused, or told that it would be too late."""
    batcher = Batcher(2 * (1000 + REQUEST_TOKENS) // LARGE_FACTOR + 1)
    other = Fake()
    with pytest.raises(TooLate):
        await batcher.large.in_steps(as_model(other), steps_of(other, 1), 1, RequestContext(time.perf_counter()))
    fake.go_on.clear()
    slow = [
        asyncio.create_task(batcher.large.in_steps(as_model(fake), steps_of(fake, 2), 1000, RequestContext()))
        for _ in range(2)
    ]
    await asyncio.sleep(0)

    assert batcher.admission.large_tokens == 2 * (1000 + REQUEST_TOKENS)
    with pytest.raises(ServerFull):
        await in_steps(batcher, other, 1)
    fake.go_on.set()
    await asyncio.wait_for(asyncio.gather(*slow), DEADLINE_S)
    assert await in_steps(batcher, other, 1) == "1 steps"
    assert other.batches == [[0]]
    batcher.close()


async def test_steps_end_when_the_client_leaves(batcher: Batcher, fake: Fake) -> None:
    """Who leaves between two steps costs no further one, and gives its room back."""

    def has_left() -> bool:
        return len(fake.batches) >= 2

    with pytest.raises(ClientLeft):
        await asyncio.wait_for(
            batcher.large.in_steps(as_model(fake), steps_of(fake, 9), 9, RequestContext(has_left=has_left)), DEADLINE_S
        )

    assert fake.batches == [[0], [1]]
    assert batcher.admission.large_tokens == 0


async def test_error_of_a_step_is_told(batcher: Batcher, fake: Fake) -> None:
    """What a step raises reaches who waits, and the next piece of work has its turn."""

    def broken() -> Generator[int, None, str]:
        yield 1
        raise EmptyTicket("not-valid", reason="nothing in it")

    with pytest.raises(EmptyTicket, match="nothing in it"):
        await batcher.large.in_steps(as_model(fake), broken(), 1, RequestContext())
    assert await in_steps(batcher, fake, 1) == "1 steps"
    assert batcher.admission.large_tokens == 0
