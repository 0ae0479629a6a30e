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
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from artifacts.mail import Mail, read_mail
from artifacts.runtime import Model
from artifacts.schemas import Answer, Evaluation, Row
from inference.counters import FULL, LATE, LEFT, TICKETS, Counters
from inference.drift import Drift
from inference.errors import ClientLeft, ServerFull, TooLate

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")  # an input as the model's graph takes it

TURN_TOKENS = 2048  # after which the loop looks at its sockets again: some 40 tickets, 3 ms of the default model
REQUEST_TOKENS = 20  # that a request costs beside its tickets: 30 us of HTTP and JSON, the model's time for so many
INLINE_TOKENS = 2048  # of one request, the most that runs on the loop; 32 tickets of 8 to 50 tokens are 930
INLINE_CHARACTERS = 4096  # of a raw text, about 2 ms; 256 KiB of short words take 150 ms
SLICE_TICKETS = 256  # that are decoded and encoded in one turn of the loop, about 1 ms
BYTES_A_TOKEN = 8  # of a body; French words and what JSON puts around them are 9, so this guesses high
LARGE_FACTOR = 16  # the thread's queue is so many times the loop's; who sends 20 times the work can wait for it
LOOK_S = 0.001  # in the queue, after which it is worth 2 us to see whether the client is still there
LEARN_TOKENS = 256  # of a turn; less says more of the price of a run than of that of a token
TOKEN_S = 2e-6  # of a token, until the first turn has been measured


class Caller:
    """Who waits for an answer, and how its time was spent.

    Attributes:
        began: when its body had come, of `time.perf_counter`.
        deadline: of the same clock, after which the answer is of no use; None if there is none.
        has_left: says whether the client has closed its connection; called on the loop.
        parse_s: seconds from bytes to a Struct.
        ids_s: seconds from a Struct to ids.
        queue_s: seconds in the queue.
        model_s: seconds of the runs that it was part of.
    """

    __slots__ = ("began", "deadline", "has_left", "ids_s", "model_s", "parse_s", "queue_s")

    def __init__(self, deadline: float | None = None, has_left: Callable[[], bool] | None = None) -> None:
        self.began = time.perf_counter()
        self.deadline = deadline
        self.has_left = has_left
        self.parse_s = self.ids_s = self.queue_s = self.model_s = 0.0


class Job:
    """One request's inputs in a queue."""

    __slots__ = ("arrived", "caller", "cost", "encoded", "found", "model")

    def __init__(self, model: Model[Any], encoded: Sequence[Any], cost: int, caller: Caller) -> None:
        self.model = model
        self.encoded = encoded
        self.cost = cost
        self.caller = caller
        self.arrived = time.perf_counter()
        self.found: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()

    def begin(self, now: float, counters: Counters) -> bool:
        """Return whether the job is still worth its work; whoever waits for one that is not is told so."""
        caller = self.caller
        caller.queue_s = now - self.arrived
        if self.found.done():  # cancelled
            return False
        if caller.deadline is not None and now > caller.deadline:
            counters.count_refusal(LATE)
            self.found.set_exception(TooLate(TooLate.DETAIL))
            return False
        if caller.has_left is not None and caller.queue_s > LOOK_S and caller.has_left():
            counters.count_refusal(LEFT)
            self.found.set_exception(ClientLeft("the client has closed its connection; nothing was done"))
            return False
        return True

    def end(self, answers: Sequence[Answer] | BaseException, model_s: float) -> None:
        """Hand the answers, or the error instead of them, to whoever waits."""
        self.caller.model_s = model_s
        if self.found.done():  # cancelled meanwhile
            return
        if isinstance(answers, BaseException):
            self.found.set_exception(answers)
        else:
            self.found.set_result(answers)


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
        self._coming_tokens = 0
        self._queue: deque[Job] = deque()
        self._is_turn_due = False
        self._large: deque[Job] = deque()
        self._large_runs = False
        self._token_s = TOKEN_S
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def check_room(self, body_bytes: int) -> None:
        """Do nothing if a body of so many bytes may come in; called before it is decoded, so that refusing is cheap.

        Raises:
            ServerFull: it may not.
        """
        self._coming_tokens = 0  # who asks here has been read: so has the whole of its turn
        self._check(1 + body_bytes // BYTES_A_TOKEN, None)

    def lets_in(self, request_bytes: int) -> bool:
        """Return whether a request that has just been read from its socket may go on to be parsed.

        Like `check_room`, and sooner: it counts what is read in the same turn of the loop and does not wait yet.
        """
        cost = request_bytes // BYTES_A_TOKEN  # the bytes of the head are about what a request counts by itself
        standing = self.waiting_tokens + self._coming_tokens
        if standing and standing + cost > self.limit_tokens and cost <= INLINE_TOKENS:
            return False
        self._coming_tokens += cost
        return True

    def _check(self, cost: int, deadline: float | None) -> None:
        """Do nothing if work of so many tokens may wait, and can be done in time.

        A queue that is empty takes anything: a request that is larger than the limit has its turn too.

        Raises:
            ServerFull: others wait already.
            TooLate: by what the last turns took it will not be done by the deadline.
        """
        waiting, limit = self.waiting_tokens, self.limit_tokens
        cost += REQUEST_TOKENS
        if cost > INLINE_TOKENS + REQUEST_TOKENS:
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
        if isinstance(content, str) and len(content) > INLINE_CHARACTERS:
            return await self._in_thread(model.encode, content)
        return model.encode(content)

    async def predict(self, model: Model[E], encoded: Sequence[E], caller: Caller | None = None) -> Sequence[Answer]:
        """Return the answer to each input, in order.

        Raises:
            ServerFull: too much work waits already.
            TooLate: the caller's deadline cannot be met, or has passed in the queue.
            ClientLeft: the caller has gone while it waited.
            NotFinite: as `Model.predict`.
        """
        cost = sum(map(model.cost, encoded))
        caller = caller or Caller()
        self._check(cost, caller.deadline)
        job = Job(model, encoded, cost + REQUEST_TOKENS, caller)
        if cost > INLINE_TOKENS:
            self.large_tokens += job.cost
            self._large.append(job)
            self._begin_large()
        else:
            self.waiting_tokens += job.cost
            self._queue.append(job)
            if not self._is_turn_due:
                self._is_turn_due = True
                # After every task that is ready now: so the whole of this turn's arrivals stand in the queue by then.
                asyncio.get_running_loop().call_soon(self._turn)
        answers = await job.found
        if self._drift is not None:
            self._drift.count(model, encoded, answers)
        return answers

    def _turn(self) -> None:
        """Answer what waits, first come first served, up to TURN_TOKENS; the rest has the next turn."""
        chosen: dict[int, list[Job]] = {}  # the model's id -> its jobs
        num_tokens = self._coming_tokens = 0
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
            job.found.cancel()
        else:
            self._counters.batches.add(TICKETS, len(job.encoded))
            job.end(running.exception() or running.result(), time.perf_counter() - began)
        self._begin_large()

    async def evaluate(self, model: Model[E], rows: Sequence[Row], encoded: Sequence[E]) -> Evaluation:
        """Return the metrics on labelled rows and their encoded contents, at least one."""
        return await self._in_thread(model.evaluate, rows, encoded)

    async def read_mail(self, raw: bytes) -> Mail:
        """Return what an e-mail says; in the thread, because a long one takes a second.

        Raises:
            InvalidMail, MailMissing: as `artifacts.mail.read_mail`.
        """
        return await self._in_thread(read_mail, raw)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """End the thread; work that has not begun is dropped."""
        for job in (*self._queue, *self._large):
            job.found.cancel()
        self._queue.clear()
        self._large.clear()
        self.waiting_tokens = 0
        self._thread.shutdown(wait=False, cancel_futures=True)


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
