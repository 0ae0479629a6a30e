"""What a handler is given: the parts of the process's state, each by the name of a parameter.

    async def model(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelAnswer: ...

Litestar looks each parameter up in the table that `parts_of` returns. So a handler's signature says all that it needs,
and only app.py and the server know that there is a state; and POST /search, which cannot afford it (seeds.py). A
request that asks a model has a context besides (`context_of`).
"""

import functools
from collections.abc import Coroutine
from typing import Any, cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import HTTPReceiveMessage, Receive

from inference.search.batcher import Batcher
from inference.search.context import RequestContext
from inference.search.registry import Registry
from inference.search.search import deadline_after
from inference.settings import Settings

PARTS = (
    "registry",
    "serving",
    "training",
    "corrections",
    "review",
    "retraining",
    "audit",
    "drift",
    "counters",
    "board",
    "draining",
)


class Serving:
    """What answers with models, as one part for the routes that ask one.

    Litestar resolves one part in 4 us a request, but several in a task group, which takes 55 us: as long as all else
    that Litestar does for a search (handlers that do nothing, side by side). Other routes wait longer for the disk.

    Attributes:
        settings: of the server: the limits of the bodies and the default model.
        registry: which knows the version that serves.
        batcher: which runs it.
    """

    __slots__ = ("batcher", "registry", "settings")

    def __init__(self, settings: Settings, registry: Registry, batcher: Batcher) -> None:
        self.settings = settings
        self.registry = registry
        self.batcher = batcher


def parts_of(state: State) -> dict[str, Provide]:
    """Return the providers of all parts; those that the application's start makes are looked up at each request."""
    return {name: _part(state, name) for name in PARTS}


def _part(state: State, name: str) -> Provide:
    def part() -> object:
        return getattr(state, name)

    return Provide(part, sync_to_thread=False)  # a thread would cost more than the handler


def context_of(request: Request[Any, Any, Any], arrived: float) -> RequestContext:
    """Return the context of a request that asks a model, once its body has come.

    Raises:
        InvalidInput: the header X-Timeout-Ms.
    """
    given = request.headers.get("x-timeout-ms")
    deadline = deadline_after(arrived, given.encode("latin-1") if given is not None else None)
    return RequestContext(deadline, functools.partial(has_left, request.receive))


def has_left(receive: Receive) -> bool:
    """Return whether the client has closed its connection; its body has been received.

    Servers tell the end of a connection to whoever asks for a further message, and let it wait until there is one. So
    one is asked for, for a single step: a task that waits beside each search would cost more than the search saves.
    """
    asking = cast(Coroutine[Any, Any, HTTPReceiveMessage], receive())
    try:
        asking.send(None)
    except StopIteration as answered:
        return bool(answered.value["type"] == "http.disconnect")
    finally:
        asking.close()
    return False
