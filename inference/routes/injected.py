"""What a handler is given: the parts of the process's state, each by the name of a parameter.

    async def model(self, name: FromPath[str], registry: NamedDependency[Registry]) -> ModelAnswer: ...

Litestar looks each parameter up in the table that `parts_of` returns. So a handler's signature says all that it needs,
and only app.py and the server know that there is a state; and POST /search, which cannot afford it (seeds.py).
"""

from litestar.datastructures import State
from litestar.di import Provide

from inference.search.batcher import Batcher
from inference.search.registry import Registry
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
