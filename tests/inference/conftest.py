"""An application over the fixture store and a client of it, both in the test's own event loop.

`httpx.ASGITransport` and not `litestar.testing`: the address that a request comes from decides who may train, and
Litestar's client always comes from "testclient".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from artifacts.jobs.records import Checked
from artifacts.networks.engines import fused
from artifacts.networks.engines.build import EngineName
from artifacts.store.store import Store
from inference import training
from inference.app import create_app
from inference.settings import Settings
from inference.tokens import NamedToken
from tests.artifacts.networks.kernels import best
from tests.inference.contract import held
from tests.inference.worker import WorkerHere


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def engine() -> EngineName:
    """Give the engine that serves: the default. A file of tests that has a fixture of this name runs them on each."""
    return "onnxruntime"


@pytest.fixture
def settings(store: Store, engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give the settings of a server over the fixture store that does not train."""
    if engine == "fused":
        monkeypatch.setattr(fused, "kernel", best)
    return Settings(store=str(store.root), trainer="none", engine=engine)


@contextlib.asynccontextmanager
async def started(settings: Settings, tokens: Sequence[NamedToken] | None = None) -> AsyncIterator[Litestar]:
    """Give a running application whose models are loaded; its named tokens are these, or those of its file."""
    app = create_app(settings, tokens=tokens)
    async with app.lifespan():
        await app.state.registry.refresh()
        yield app


@contextlib.asynccontextmanager
async def connect(app: Litestar, address: str | None = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that calls from `address`; None is a caller without one, as on a Unix socket."""
    # The stubs want an address; ASGI allows none.
    peer: tuple[str, int] = (address, 50000) if address is not None else None  # type: ignore[assignment]
    transport = httpx.ASGITransport(held(app), client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def check_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trainer's own code check a spooled body in this process, which is quick and needs no torch."""
    from trainer.jobs.body import check_body

    async def check(folder: Path) -> Checked:
        return await asyncio.to_thread(check_body, folder)

    monkeypatch.setattr(training, "_check", check)


@pytest.fixture
def trainer_here(store: Store, check_here: None) -> Iterator[None]:
    """Let the trainer's own code check and run the jobs of the fixture store, in a thread of this process."""
    from trainer.run import run_job

    with WorkerHere(store, run_job):
        yield


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    """Give the running application of `settings`."""
    async with started(settings) as app:
        yield app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client on this machine."""
    async with connect(app) as client:
        yield client
