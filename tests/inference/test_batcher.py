"""What runs on the event loop and what goes to the thread, with a fake model whose answers tell."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from artifacts.errors import EmptyTicket
from artifacts.gru import GruModel
from artifacts.schemas import Answer
from artifacts.tickets import Prediction, Ticket
from artifacts.vocabulary import Encoded
from inference.batcher import INLINE_CHARACTERS, INLINE_TOKENS, Batcher
from tests.inference.helpers import ACCESS, CLIENT, CONNECTION, DEADLINE_S

pytestmark = pytest.mark.anyio


class Fake:
    """A model that answers with a ticket's length and first id, and notes in which thread it was asked."""

    def __init__(self) -> None:
        self.threads: list[str] = []
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


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher]:
    """Give a batcher, closed at the end."""
    batcher = Batcher()
    yield batcher
    batcher.close()


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
    """Up to 512 tokens are answered on the loop, without the cost of a thread; one more goes to the thread."""
    answers = await batcher.predict(as_model(fake), [ticket(length, place) for place, length in enumerate(lengths)])

    assert categories(answers) == [f"{length}:{place}" for place, length in enumerate(lengths)]
    assert (fake.threads == [threading.current_thread().name]) == is_inline
    assert (fake.threads[0].startswith("model")) != is_inline


@pytest.mark.parametrize(("num_characters", "is_inline"), [(INLINE_CHARACTERS, True), (INLINE_CHARACTERS + 1, False)])
async def test_long_text_is_read_in_the_thread(
    batcher: Batcher, fake: Fake, num_characters: int, is_inline: bool
) -> None:
    """A raw text up to the limit is read on the loop, a longer one in the thread."""
    encoded = await batcher.encode(as_model(fake), "x" * num_characters)

    assert len(encoded.ids) == num_characters
    assert (fake.threads[0].startswith("model")) != is_inline


async def test_tokens_are_read_on_the_loop(batcher: Batcher, fake: Fake) -> None:
    """A list of tokens is read on the loop whatever its length: only the first 512 are looked at."""
    await batcher.encode(as_model(fake), ["x"] * (INLINE_CHARACTERS + 1))

    assert fake.threads == [threading.current_thread().name]


async def test_measuring_is_done_in_the_thread(batcher: Batcher, fake: Fake) -> None:
    """Labelled tickets are measured in the thread, be they few."""
    assert await batcher.evaluate(as_model(fake), [Ticket("a", ["b"])], [ticket(1)]) == (1, 1)  # type: ignore[comparison-overlap]
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
            raise EmptyTicket("as it happens")

    with pytest.raises(EmptyTicket, match="as it happens"):
        await batcher.predict(as_model(Broken()), [ticket(num_tokens)])
    assert await batcher.predict(as_model(Fake()), [ticket(num_tokens)])


async def test_closing_ends_the_thread_and_drops_what_has_not_begun(fake: Fake) -> None:
    """After `close`, work that waits for the thread is cancelled and never run; what has begun ends."""
    batcher = Batcher()
    fake.go_on.clear()
    begun = asyncio.create_task(batcher.evaluate(as_model(fake), [], []))
    waiting = asyncio.create_task(batcher.evaluate(as_model(fake), [], []))
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
