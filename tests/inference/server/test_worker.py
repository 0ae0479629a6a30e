"""One worker's server: how a signal changes what it answers. How it ends is in tests/system/test_supervisor.py."""

import signal

import httpx
import pytest
import uvicorn
from litestar import Litestar

from inference.server.worker import CLOSE, Server
from tests.inference.helpers import check_problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("num_signals", [1, 3])
async def test_signal_begins_the_end(app: Litestar, client: httpx.AsyncClient, num_signals: int) -> None:
    """A signal lets waiting trainings be answered, makes the server unready and asks clients to leave; more do not."""
    drained: list[bool] = []
    app.state.training.drain = lambda: drained.append(True)
    config = uvicorn.Config(app)
    config.load()
    server = Server(app, config)
    assert (await client.get("/readyz")).status_code == 200

    for _ in range(num_signals):
        server.handle_exit(signal.SIGTERM, None)

    assert server.should_exit
    assert not server.force_exit
    assert drained == [True]
    assert config.encoded_headers.count(CLOSE) == 1
    assert server.server_state.default_headers.count(CLOSE) == 1
    response = await client.get("/readyz")
    check_problem(response, 503, "the server is shutting down; try again when it is back")
    assert response.headers["retry-after"]
    assert (await client.get("/livez")).status_code == 200
