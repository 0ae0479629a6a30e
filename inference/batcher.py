"""From encoded tickets to answers without holding up the event loop.

Small work runs where it is, because handing it to a thread has a price too, which one plain ticket is not worth. Large
work goes to one thread; onnxruntime releases the interpreter lock while it computes, so searches go on beside it.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from artifacts.mail import Mail, read_mail
from artifacts.runtime import Model
from artifacts.schemas import Answer, Evaluation, Row

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")  # an input as the model's graph takes it

INLINE_TOKENS = 512  # about 2 ms of the default model, the longest that a search may wait for another
INLINE_CHARACTERS = 4096  # of a raw text, about 2 ms; 256 KiB of short words take 150 ms
SLICE_TICKETS = 256  # that are decoded and encoded in one turn of the loop, about 1 ms


class Batcher:
    """Runs models; one for the process. `close` ends its thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def encode(self, model: Model[E], content: Any) -> E:
        """Return an input as the graph takes it; a text that is too long to be read in a moment is read in the thread.

        Raises:
            InvalidContent: as `Model.encode`.
        """
        if isinstance(content, str) and len(content) > INLINE_CHARACTERS:
            return await self._in_thread(model.encode, content)
        return model.encode(content)

    async def predict(self, model: Model[E], encoded: Sequence[E]) -> Sequence[Answer]:
        """Return the answer to each input, in order."""
        if sum(map(model.cost, encoded)) <= INLINE_TOKENS:
            return model.predict(encoded)
        return await self._in_thread(model.predict, encoded)

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
        self._thread.shutdown(wait=False, cancel_futures=True)
