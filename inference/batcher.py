"""From encoded tickets to answers without holding up the event loop.

Small work runs where it is, because handing it to a thread has a price too, which one plain ticket is not worth. Large
work goes to one thread; onnxruntime releases the interpreter lock while it computes, so searches go on beside it.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from artifacts.kinds import Prediction, Ticket
from artifacts.metrics import Evaluation
from artifacts.runtime import Model
from artifacts.vocabulary import Encoded

P = ParamSpec("P")
T = TypeVar("T")

INLINE_TOKENS = 512  # about 2 ms of the default model, the longest that a search may wait for another
INLINE_CHARACTERS = 4096  # of a raw text, about 2 ms; 256 KiB of short words take 150 ms
SLICE_TICKETS = 256  # that are decoded and encoded in one turn of the loop, about 1 ms


class Batcher:
    """Runs models; one for the process. `close` ends its thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def encode(self, model: Model, content: Sequence[str] | str) -> Encoded:
        """Return a ticket's ids; a text that is too long to be read in a moment is read in the thread.

        Raises:
            EmptyTicket, InvalidText: as `Vocabulary.encode`.
        """
        if isinstance(content, str) and len(content) > INLINE_CHARACTERS:
            return await self._in_thread(model.encode, content)
        return model.encode(content)

    async def predict(self, model: Model, tickets: Sequence[Encoded]) -> list[Prediction]:
        """Return the answer to each ticket, in order."""
        if sum(len(ticket.ids) for ticket in tickets) <= INLINE_TOKENS:
            return model.predict(tickets)
        return await self._in_thread(model.predict, tickets)

    async def evaluate(self, model: Model, rows: Sequence[Ticket], tickets: Sequence[Encoded]) -> Evaluation:
        """Return the metrics on labelled rows and their encoded tickets, at least one."""
        return await self._in_thread(model.evaluate, rows, tickets)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """End the thread; work that has not begun is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)
