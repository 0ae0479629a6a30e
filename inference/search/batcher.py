"""From encoded inputs to answers without holding up the event loop: what waits, in which order, and what is refused.

    arrived in this turn of the loop ─► queue ─► next turn: up to 2048 tokens at once, sorted by length ─► answers
    a large request                  ─► its own queue ─► one thread, one request after the other        ─► answers
    queue full                       ─► refused at once

Zero-wait batching: inputs that arrive in one turn of the event loop run together in the next one, and nothing ever
waits for more to come. Alone, an input is answered at once; under load a turn lasts longer, so more arrive in it, and
batches grow by themselves to where they are cheapest. A turn is cut at TURN_TOKENS, so that sockets, probes and
refusals have theirs in between. Small work runs on the loop, because handing it to a thread has a price too, which one
plain ticket is not worth; large work goes to one thread, and onnxruntime releases the interpreter lock while it
computes, so searches go on beside it.

Admission is by predicted cost. The work that waits is counted in tokens, which is what the time goes by (a request in
itself counts as 20), and whoever would have to stand behind too many is refused while that is still cheap: an answer
that comes late is worth no more than a refusal, and takes the core from one that would have come in time.
"""

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

from artifacts.mail.message import Mail, read_mail
from artifacts.networks.runtime import Answerer, Model
from artifacts.schemas import Answer, Evaluation, Row
from inference.errors import ClientLeft, ServerFull, TooLate
from inference.monitoring.counters import FULL, LATE, LEFT, TICKETS, Counters
from inference.monitoring.drift import Drift

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")  # an input as the model's graph takes it
Done = Callable[[Sequence[Answer] | BaseException], object]  # takes the answers, or the error instead of them

TURN_TOKENS = 2048  # after which the loop looks at its sockets again: some 40 tickets, 3 ms of the default model
REQUEST_TOKENS = 20  # that a request costs beside its tickets: 30 us of HTTP and JSON, the model's time for so many
INLINE_TOKENS = 2048  # of one request, the most that runs on the loop; 32 tickets of 8 to 50 tokens are 930
INLINE_CHARACTERS = 4096  # of a raw text, about 2 ms; 256 KiB of short words take 150 ms
SLICE_TICKETS = 256  # that are decoded and encoded in one turn of the loop, about 1 ms
BYTES_A_TOKEN = 8  # of a body; French words and what JSON puts around them are 9, so this guesses high
LARGE_FACTOR = 16  # the thread's queue is so many times the loop's; who sends 20 times the work can wait for it
LEARN_TOKENS = 256  # of a turn; less says more of the price of a run than of that of a token
TOKEN_S = 2e-6  # of a token, until the first turn has been measured

log = logging.getLogger("puppet")


class Caller:
    """Who waits for an answer, and how its time was spent.

    Attributes:
        began: when its body had come, of `time.perf_counter`.
        deadline: of the same clock, after which the answer is of no use; None if there is none.
        has_left: says whether it waits no longer; called on the loop.
        parse_s: seconds from bytes to a Struct.
        ids_s: seconds from a Struct to ids.
        queue_s: seconds in the queue.
        model_s: seconds of the runs that it was part of.
    """

    __slots__ = ("began", "deadline", "has_left", "ids_s", "model_s", "parse_s", "queue_s")

    def __init__(self, deadline: float | None = None, has_left: Callable[[], bool] = lambda: False) -> None:
        self.began = time.perf_counter()
        self.deadline = deadline
        self.has_left = has_left
        self.parse_s = self.ids_s = self.queue_s = self.model_s = 0.0


class Job:
    """One request's inputs in a queue, and whom to tell what came of them."""

    __slots__ = ("arrived", "caller", "cost", "done", "encoded", "model")

    def __init__(self, model: Answerer[Any], encoded: Sequence[Any], cost: int, caller: Caller, done: Done) -> None:
        self.model = model
        self.encoded = encoded
        self.cost = cost
        self.caller = caller
        self.done = done
        self.arrived = time.perf_counter()

    def begin(self, now: float, counters: Counters) -> bool:
        """Return whether the job is still worth its work; whoever waits for one that is not is told so."""
        caller = self.caller
        caller.queue_s = now - self.arrived
        if caller.has_left():
            counters.count_refusal(LEFT)
            self.end(ClientLeft("the client has closed its connection; nothing was done"), 0.0)
            return False
        if caller.deadline is not None and now > caller.deadline:
            counters.count_refusal(LATE)
            self.end(TooLate(TooLate.DETAIL), 0.0)
            return False
        return True

    def end(self, found: Sequence[Answer] | BaseException, model_s: float) -> None:
        """Hand the answers, or the error instead of them, to whoever waits."""
        self.caller.model_s = model_s
        try:
            self.done(found)
        except Exception:  # of one who waits; the others of its turn are answered all the same
            log.exception("bug in handing over an answer")


class Batcher:
    """Runs models; one for the process, belongs to its event loop. `close` ends its thread.

    Attributes:
        limit_tokens: that may wait for the loop.
        waiting_tokens: that do.
        large_tokens: that wait for the thread or run in it.
    """

    def __init__(self, limit_tokens: int, counters: Counters | None = None, drift: Drift | None = None) -> None:
        self._drift = drift
        self.limit_tokens = limit_tokens
        self._counters = counters if counters is not None else Counters()
        self.waiting_tokens = 0
        self.large_tokens = 0
        self._queue: deque[Job] = deque()
        self._is_turn_due = False
        self._large: deque[Job] = deque()
        self._large_runs = False
        self._stepping = asyncio.Lock()
        self._token_s = TOKEN_S
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def check_room(self, body_bytes: int) -> None:
        """Do nothing if a body of so many bytes may come in; called before it is decoded, so that refusing is cheap.

        Raises:
            ServerFull: it may not.
        """
        self._check(1 + body_bytes // BYTES_A_TOKEN, None)

    def _check(self, cost: int, deadline: float | None, is_large: bool = False) -> None:
        """Do nothing if work of so many tokens may wait, and can be done in time.

        A queue that is empty takes anything: a request that is larger than the limit has its turn too.

        Raises:
            ServerFull: others wait already.
            TooLate: by what the last turns took it will not be done by the deadline.
        """
        waiting, limit = self.waiting_tokens, self.limit_tokens
        cost += REQUEST_TOKENS
        if is_large or cost > INLINE_TOKENS + REQUEST_TOKENS:
            waiting, limit = self.large_tokens, self.limit_tokens * LARGE_FACTOR
        if waiting and waiting + cost > limit:
            self._counters.count_refusal(FULL)
            raise ServerFull(ServerFull.DETAIL)
        if deadline is not None and time.perf_counter() + (waiting + cost) * self._token_s > deadline:
            self._counters.count_refusal(LATE)
            raise TooLate(TooLate.DETAIL)

    async def encode(self, model: Model[E], content: Any) -> E:
        """Return an input as the graph takes it; a text that is too long to be read in a moment is read in the thread.

        Raises:
            InvalidContent: as `Model.encode`.
        """
        if is_long(content):
            return await self._in_thread(model.encode, content)
        return model.encode(content)

    async def predict(self, model: Answerer[E], encoded: Sequence[E], caller: Caller | None = None) -> Sequence[Answer]:
        """Return the answer to each input, in order.

        Raises:
            ServerFull: too much work waits already.
            TooLate: the caller's deadline cannot be met, or has passed in the queue.
            ClientLeft: the caller has gone while it waited.
            NotFinite: as `Model.predict`.
        """
        caller = caller or Caller()
        found: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        has_left = caller.has_left
        caller.has_left = lambda: found.cancelled() or has_left()
        self.submit(model, encoded, caller, functools.partial(_settle, found))
        return await found

    def submit(self, model: Answerer[E], encoded: Sequence[E], caller: Caller, done: Done) -> None:
        """Let inputs wait for their turn; `done` is called on the loop with what `predict` would return or raise.

        This is what a plain search goes through: a future, a coroutine and a task around it cost 10 us more.

        Raises:
            ServerFull, TooLate: at once, as `predict`; `done` is not called.
        """
        cost = sum(map(model.cost, encoded))
        self._check(cost, caller.deadline)
        if self._drift is not None:
            done = functools.partial(self._drift.count_and, done, model, encoded)
        job = Job(model, encoded, cost + REQUEST_TOKENS, caller, done)
        if cost > INLINE_TOKENS:
            self.large_tokens += job.cost
            self._large.append(job)
            self._begin_large()
        else:
            self.waiting_tokens += job.cost
            self._queue.append(job)
            if not self._is_turn_due:
                self._is_turn_due = True
                # After whatever else is ready now: so the whole of this turn's arrivals stand in the queue by then.
                asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Answer what waits, first come first served, up to TURN_TOKENS; the rest has the next turn."""
        chosen: dict[int, list[Job]] = {}  # the model's id -> its jobs
        num_tokens = 0
        now = time.perf_counter()
        while self._queue and num_tokens < TURN_TOKENS:
            job = self._queue.popleft()
            self.waiting_tokens -= job.cost
            if job.begin(now, self._counters):
                chosen.setdefault(id(job.model), []).append(job)
                num_tokens += job.cost
        for jobs in chosen.values():
            self._counters.batches.add(TICKETS, _answer(jobs))
        if num_tokens >= LEARN_TOKENS:
            self._token_s += 0.1 * ((time.perf_counter() - now) / num_tokens - self._token_s)
        self._is_turn_due = bool(self._queue)
        if self._is_turn_due:
            asyncio.get_running_loop().call_soon(self._turn)

    def _begin_large(self) -> None:
        """Hand the next large request to the thread, if that is free."""
        # The queue is ours and not the thread pool's, so that whoever has left or come too late is noticed on the loop.
        while self._large and not self._large_runs:
            job = self._large.popleft()
            if job.begin(time.perf_counter(), self._counters):
                self._large_runs = True
                running = asyncio.ensure_future(self._in_thread(job.model.predict, job.encoded))
                running.add_done_callback(functools.partial(self._end_large, job, time.perf_counter()))
            else:
                self.large_tokens -= job.cost

    def _end_large(self, job: Job, began: float, running: "asyncio.Future[Sequence[Answer]]") -> None:
        self.large_tokens -= job.cost
        self._large_runs = False
        if running.cancelled():  # `close`
            job.end(asyncio.CancelledError(), 0.0)
        else:
            self._counters.batches.add(TICKETS, len(job.encoded))
            job.end(running.exception() or running.result(), time.perf_counter() - began)
        self._begin_large()

    async def in_steps(self, model: Model[Any], steps: Generator[int, None, T], cost: int, caller: Caller) -> T:
        """Return what a long piece of work comes to: in the thread, step by step, so that others have it in between.

        One piece at a time; however many wait, a large request stands behind one step and no more. It is admitted and
        given up like a large request, also between two steps.

        Args:
            model: that is asked.
            steps: says at each step how many tickets the model was asked, and returns the result.
            cost: of all steps, in tokens.
            caller: who waits.
        Raises:
            ServerFull, TooLate, ClientLeft: as `predict`.
        """
        self._check(cost, caller.deadline, is_large=True)
        waited_s, model_s = caller.queue_s, caller.model_s
        given_up: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        job = Job(model, (), cost + REQUEST_TOKENS, caller, functools.partial(_settle, given_up))
        self.large_tokens += job.cost
        try:
            async with self._stepping:
                began = time.perf_counter()
                while job.begin(time.perf_counter(), self._counters):
                    num_tickets, found = await self._in_thread(_step, steps)
                    if num_tickets is None:
                        caller.queue_s, caller.model_s = waited_s, model_s + time.perf_counter() - began
                        caller.queue_s += began - job.arrived
                        return cast(T, found)
                    if num_tickets:
                        self._counters.batches.add(TICKETS, num_tickets)
                await given_up  # raises
                raise AssertionError("a job that does not begin has its error; this is our bug")
        finally:
            self.large_tokens -= job.cost

    async def evaluate(self, model: Model[E], rows: Sequence[Row], encoded: Sequence[E]) -> Evaluation:
        """Return the metrics on labelled rows and their encoded contents, at least one."""
        return await self._in_thread(model.evaluate, rows, encoded)

    async def read_mail(self, raw: bytes) -> Mail:
        """Return what an e-mail says; in the thread, because a long one takes a second.

        Raises:
            InvalidMail, MailMissing: as `artifacts.mail.message.read_mail`.
        """
        return await self._in_thread(read_mail, raw)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """End the thread; work that has not begun is dropped."""
        for job in (*self._queue, *self._large):
            job.end(asyncio.CancelledError(), 0.0)
        self._queue.clear()
        self._large.clear()
        self.waiting_tokens = 0
        self._thread.shutdown(wait=False, cancel_futures=True)


def _step(steps: Generator[int, None, T]) -> tuple[int | None, T | None]:
    """Do the next step and return what it says, or None and the result at the end.

    An exception that ends an iteration must not leave the thread: a future cannot carry it.
    """
    try:
        return next(steps), None
    except StopIteration as end:
        return None, end.value


def is_long(content: Any) -> bool:
    """Return whether an input is a text that is too long to be read in a moment."""
    return isinstance(content, str) and len(content) > INLINE_CHARACTERS


def _answer(jobs: Sequence[Job]) -> int:
    """Answer jobs of one model in one go, and return how many tickets they have.

    If that fails each is tried by itself, so that one bad ticket fails no other.
    """
    began = time.perf_counter()
    encoded = [one for job in jobs for one in job.encoded]
    try:
        answers = jobs[0].model.predict(encoded)
        assert len(answers) == len(encoded), "a model answers each input; this is our bug"
    except Exception as error:  # whatever it is, whoever waits is told
        if len(jobs) > 1:
            for job in jobs:
                _answer([job])
        else:
            jobs[0].end(error, time.perf_counter() - began)
        return len(encoded)
    model_s = time.perf_counter() - began
    place = 0
    for job in jobs:
        job.end(answers[place : place + len(job.encoded)], model_s)
        place += len(job.encoded)
    return len(encoded)


def _settle(found: "asyncio.Future[Sequence[Answer]]", answers: Sequence[Answer] | BaseException) -> None:
    """Let a future end, unless whoever waits for it has been cancelled."""
    if found.done():
        return
    if isinstance(answers, asyncio.CancelledError):
        found.cancel()
    elif isinstance(answers, BaseException):
        found.set_exception(answers)
    else:
        found.set_result(answers)
