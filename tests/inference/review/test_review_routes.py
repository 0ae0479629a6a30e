"""The routes of the review queue: what waits, in which order, what is refused, and what closes a ticket."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from inference.settings import Settings
from tests.inference.conftest import started
from tests.inference.helpers import ACCESS, MODEL

pytestmark = pytest.mark.anyio

NAME = "puppet-o2"
PATH = f"/models/{NAME}/review"


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    """Give a running application that keeps tickets for review."""
    async with started(msgspec.structs.replace(settings, review=True)) as app:
        yield app


async def load(client: httpx.AsyncClient, *tickets: dict[str, Any], path: str = PATH) -> Any:
    answer = await client.post(path, json={"tickets": tickets})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def waiting(client: httpx.AsyncClient, **query: Any) -> Any:
    answer = await client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_loaded_tickets_wait_with_guesses(client: httpx.AsyncClient) -> None:
    """What was loaded is shown with what the serving version thinks of it, and in which group of like ones it is."""
    told = await load(
        client, {"id": "a", "tokens": ACCESS}, {"text": "Problème de connexion au coffre"}, {"id": 7, "tokens": ACCESS}
    )

    assert told == {
        "status": "tickets wait", "model_name": NAME, "num_added": 2, "num_known": 1, "num_waiting": 2,
    }  # fmt: skip
    found = await waiting(client, order="oldest")
    print(found)
    assert found["num_waiting"] == 2
    assert [item["id"] for item in found["items"]][0] == "a"


async def test_unsure_search(client: httpx.AsyncClient, app: Litestar) -> None:
    found = await client.post("/search", json=MODEL | {"vector": ["zzz", "qqq", "www"], "id": "s-1"})
    print(found.text)
    import asyncio

    await asyncio.sleep(1.3)
    print(await waiting(client))
    print((await client.post("/feedback", json={"name": NAME, "id": "s-1", "text": "xx", "category": "u"})).text)
    print(await waiting(client))
