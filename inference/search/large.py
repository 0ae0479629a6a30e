"""What takes longer than a moment: one worker thread, so that the event loop goes on answering small requests.

    a large request  ─► its own queue ─► the thread, one request after the other            ─► answers
    work in steps    ─► one task at a time, a step in the thread, a turn for others, a step ─► its result
    any other work   ─► the thread (a long text, an e-mail, the metrics of a test)          ─► its result

One thread and not several: onnxruntime releases the interpreter lock while it computes, so searches on the loop go on
beside it, and a second thread would take a core from them. The queue of large requests is our own and not the thread
pool's, because a request whose client has left, or whose deadline has passed, must be noticed before it runs.
"""

import asyncio
import functools
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

from artifacts.networks.runtime import Model
from artifacts.schemas import Answer
from inference.monitoring.counters import TICKETS, Counters
from inference.search.admission import REQUEST_TOKENS, Admission
from inference.search.context import Awaited, QueuedRequest, RequestContext

P = ParamSpec("P")
T = TypeVar("T")
Listener = Callable[[QueuedRequest, Sequence[Answer]], object]  # takes a request that was answered, and the answers


class LargeWork:
    """The worker thread and its queues; one for the process, belongs to its event loop. `close` ends the thread."""

    def __init__(self, admission: Admission, counters: Counters, listen: Listener) -> None:
        """Take what admits work, and whom to tell of answers."""
        self._admission = admission
        self._counters = counters
        self._listen = listen
        self._queue: deque[QueuedRequest] = deque()
        self._runs = False
        self._stepping = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, or raise what it raises; called in the thread."""
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def submit(self, request: QueuedRequest) -> None:
        """Let a large request, which has been admitted, wait for the thread."""
        self._admission.large_tokens += request.cost
        self._queue.append(request)
        self._begin_next()

    def _begin_next(self) -> None:
        """Hand the next large request to the thread, if that is free."""
        while self._queue and not self._runs:
            request = self._queue.popleft()
            if request.begin(time.perf_counter(), self._counters):
                self._runs = True
                running = asyncio.ensure_future(self.run(request.model.predict, request.encoded))
                running.add_done_callback(functools.partial(self._end, request, time.perf_counter()))
            else:
                self._admission.large_tokens -= request.cost

    def _end(self, request: QueuedRequest, began: float, running: "asyncio.Future[Sequence[Answer]]") -> None:
        self._admission.large_tokens -= request.cost
        self._runs = False
        if running.cancelled():  # `close`
            request.end(asyncio.CancelledError(), 0.0)
        elif (error := running.exception()) is not None:
            self._counters.batches.add(TICKETS, len(request.encoded))
            request.end(error, time.perf_counter() - began)
        else:
            self._counters.batches.add(TICKETS, len(request.encoded))
            request.end(running.result(), time.perf_counter() - began)
            self._listen(request, running.result())
        self._begin_next()

    async def in_steps(
        self, model: Model[Any], steps: Generator[int, None, T], cost: int, context: RequestContext
    ) -> T:
        """Run a long task in the thread, one step at a time, so that other requests can interleave.

        One task at a time; however many wait, a large request stands behind one step and no more. A task is admitted
        and given up like a large request, also between two steps.

        Args:
            model: that is asked.
            steps: yields after each step how many tickets the model was asked, and returns the result.
            cost: of all steps, in tokens.
            context: of the request.
        Raises:
            ServerFull, TooLate: as `Admission.check`.
            ClientLeft: the client has gone.
        """
        self._admission.check(cost, context.deadline, is_large=True)
        waited_s, model_s = context.queue_s, context.model_s
        given_up: Awaited[Sequence[Answer]] = Awaited(context)
        request = QueuedRequest(model, (), cost + REQUEST_TOKENS, context, given_up)
        self._admission.large_tokens += request.cost
        try:
            async with self._stepping:
                began = time.perf_counter()
                while request.begin(time.perf_counter(), self._counters):
                    num_tickets, found = await self.run(_step, steps)
                    if num_tickets is None:
                        context.queue_s, context.model_s = waited_s, model_s + time.perf_counter() - began
                        context.queue_s += began - request.arrived
                        return cast(T, found)
                    if num_tickets:
                        self._counters.batches.add(TICKETS, num_tickets)
                await given_up.found  # raises
                raise AssertionError("a request that does not begin has its error; internal error")
        finally:
            self._admission.large_tokens -= request.cost

    def close(self) -> None:
        """End the thread; work that has not begun is dropped, and its callers are cancelled."""
        for request in self._queue:
            self._admission.large_tokens -= request.cost
            request.end(asyncio.CancelledError(), 0.0)
        self._queue.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _step(steps: Generator[int, None, T]) -> tuple[int | None, T | None]:
    """Take the next step and return what it yields, or None and the result at the end.

    An exception that ends an iteration must not leave the thread: a future cannot carry it.
    """
    try:
        return next(steps), None
    except StopIteration as end:
        return None, end.value
