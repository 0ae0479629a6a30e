"""From encoded inputs to answers without holding up the event loop: what waits, in which order, and what is refused.

    arrived in this turn of the loop ─► queue ─► next turn: up to 2048 tokens at once, sorted by length ─► answers
    a large request                  ─► large.py: one thread, one request after the other               ─► answers
    queue full                       ─► refused immediately (admission.py)

Zero-wait batching: inputs that arrive in one turn of the event loop run together in the next one, and nothing ever
waits for more to come. Alone, an input is answered at once; under load a turn lasts longer, so more arrive in it, and
batches grow by themselves to where they are cheapest. A turn is cut at TURN_TOKENS, so that sockets, probes and
refusals have theirs in between. Small work runs on the loop, because handing it to a thread has a price too, which one
plain ticket is not worth; large work goes to one thread, and onnxruntime releases the interpreter lock while it
computes, so searches go on beside it.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from artifacts.networks.runtime import Answerer
from artifacts.schemas import Answer
from inference.monitoring.counters import TICKETS, Counters
from inference.search.admission import INLINE_TOKENS, REQUEST_TOKENS, Admission
from inference.search.context import AskedInput, Awaited, QueuedRequest, ReplyOfInputs, RequestContext
from inference.search.large import LargeWork, Listener

E = TypeVar("E")  # an input as the model's graph takes it

TURN_TOKENS = 2048  # after which the loop looks at its sockets again: some 40 tickets, 3 ms of the default model
BYTES_A_TOKEN = 8  # of a body; French words and what JSON puts around them are 9, so this guesses high


class Batcher:
    """Runs models on the event loop of the process, to which it belongs. `close` ends it.

    Attributes:
        admission: how much may wait, and does.
        large: the thread for what takes longer than a moment.
    """

    def __init__(self, limit_tokens: int, counters: Counters | None = None, listen: Listener | None = None) -> None:
        """Take the limit of the queue, the counters, and what is called with every request and its answers.

        `listen` is how drift is counted and tickets are kept for review: from outside, after the answers have gone out.
        """
        self._counters = counters if counters is not None else Counters()
        self._listen = listen if listen is not None else lambda *_: None
        self.admission = Admission(limit_tokens, self._counters)
        self.large = LargeWork(self.admission, self._counters, self._listen)
        self._queue: deque[QueuedRequest] = deque()
        self._is_turn_due = False

    def check_room(self, body_bytes: int) -> None:
        """Raise ServerFull unless a body of so many bytes may come in; before it is decoded, so refusing is cheap."""
        self.admission.check(1 + body_bytes // BYTES_A_TOKEN, None)

    async def predict(
        self,
        model: Answerer[E],
        encoded: Sequence[E],
        context: RequestContext | None = None,
        asked: Callable[[int], AskedInput | None] = lambda _: None,
    ) -> Sequence[Answer]:
        """Return the answer to each input, in order; `asked` says how each was sent, see `ReplyOfInputs`.

        Raises:
            ServerFull: too much work waits already.
            TooLate: the deadline cannot be met, or has passed in the queue.
            ClientLeft: the client has gone while the request waited.
            NotFinite: as `Model.predict`.
        """
        context = context or RequestContext()
        # A coroutine waits on a future; a connection takes its bytes without one. Both are a Reply to the queue.
        reply: Awaited[Sequence[Answer]] = Awaited(context, asked)
        self.submit(model, encoded, context, reply)
        return await reply.found

    def submit(self, model: Answerer[E], encoded: Sequence[E], context: RequestContext, reply: ReplyOfInputs) -> None:
        """Let inputs wait for their turn; `reply` takes, on the loop, what `predict` would return or raise.

        A search on the fast way goes through here: a future, a coroutine and a task around it cost 10 us more.

        Raises:
            ServerFull, TooLate: immediately, as `predict`; `reply` takes nothing then.
        """
        cost = sum(map(model.cost, encoded))  # in tokens, since a run takes time in proportion to them
        # Before anything is queued: work that would come too late must not take the core from work that comes in time.
        self.admission.check(cost, context.deadline)
        request = QueuedRequest(model, encoded, cost + REQUEST_TOKENS, context, reply)
        if cost > INLINE_TOKENS:  # would hold up every socket of the process while it runs
            self.large.submit(request)
            return
        self.admission.waiting_tokens += request.cost
        self._queue.append(request)
        if not self._is_turn_due:
            self._is_turn_due = True
            # After whatever else is ready now: so the whole of this turn's arrivals stand in the queue by then.
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Answer what waits, first come first served, up to TURN_TOKENS; the rest has the next turn."""
        # One batch a model: requests for two models cannot share a run, those for one can share it whatever they ask.
        chosen: dict[int, list[QueuedRequest]] = {}  # the model's id -> its requests
        num_tokens = 0
        now = time.perf_counter()  # once: what has waited until this turn begins together
        while self._queue and num_tokens < TURN_TOKENS:
            request = self._queue.popleft()
            self.admission.waiting_tokens -= request.cost
            # A request whose client has left, or whose deadline has passed, costs nothing more from here on.
            if request.begin(now, self._counters):
                chosen.setdefault(id(request.model), []).append(request)
                num_tokens += request.cost
        for requests in chosen.values():
            self._counters.batches.add(TICKETS, self._answer(requests))
        self.admission.learn(num_tokens, time.perf_counter() - now)
        self._is_turn_due = bool(self._queue)
        if self._is_turn_due:
            # Not a loop here: sockets, probes and refusals have their turn between two batches.
            asyncio.get_running_loop().call_soon(self._turn)

    def _answer(self, requests: Sequence[QueuedRequest]) -> int:
        """Answer requests for one model in one batch, and return how many tickets they have.

        If that fails each is tried by itself, so that one bad ticket fails no other.
        """
        began = time.perf_counter()
        model = requests[0].model
        encoded = [one for request in requests for one in request.encoded]
        try:
            answers = model.predict(encoded)  # sorts by length and cuts into chunks itself (networks/gru.py)
            assert len(answers) == len(encoded), "a model answers each input; internal error"
        except Exception as error:  # whatever it is, each waiting request gets it as its answer
            if len(requests) > 1:
                for request in requests:
                    self._answer([request])
            else:
                requests[0].end(error, time.perf_counter() - began)
            return len(encoded)
        model_s = time.perf_counter() - began
        # Each has its own slice, in the order of the batch: answers of two requests can never be exchanged.
        ends = itertools.accumulate(len(request.encoded) for request in requests)
        slices = [answers[end - len(request.encoded) : end] for request, end in zip(requests, ends, strict=True)]
        for request, found in zip(requests, slices, strict=True):
            request.end(found, model_s)
        for request, found in zip(requests, slices, strict=True):  # only now: listening delays no answer
            self._listen(request, found)
        return len(encoded)

    def close(self) -> None:
        """End the thread; work that has not begun is dropped, and its callers are cancelled."""
        for request in self._queue:
            request.end(asyncio.CancelledError(), 0.0)
        self._queue.clear()
        self.admission.waiting_tokens = 0
        self.large.close()
