"""The review queue on a real server with several processes: what one keeps all show, and a label closes it for all."""

import contextlib
from pathlib import Path

import httpx
import msgspec
import pytest

from artifacts.evaluation.abstain import Abstention
from artifacts.networks.gru_records import GruManifest
from artifacts.store.review import ReviewQueue
from artifacts.store.store import Store
from tests.system.server import DEADLINE_S, MODEL, Server, eventually, serving

NAME = "puppet-o2"
PATH = f"/models/{NAME}/review"
NUM_CONNECTIONS = 12  # over two processes: that all of them reach one is improbable (1 in 2,048)
# A version that is sure of nothing.
RULE = Abstention(0.95, 2.0, tie_margin=0.1, max_unknown=0.5, num_tickets=600, coverage=0.0, accuracy=None)

pytestmark = pytest.mark.system


def connections(server: Server, ends: contextlib.ExitStack) -> list[httpx.Client]:
    """Return clients, each with a connection of its own, which the kernel has given to one of the processes."""
    url = f"http://127.0.0.1:{server.port}"
    found = [ends.enter_context(httpx.Client(base_url=url, timeout=DEADLINE_S)) for _ in range(NUM_CONNECTIONS)]
    for client in found:
        assert client.get("/livez").status_code == 200
    return found


def seen(clients: list[httpx.Client]) -> list[set[str]]:
    """Return which tickets wait, as each connection is told."""
    return [{item["id"] for item in client.get(PATH, params={"limit": 1000}).json()["items"]} for client in clients]


def test_queue_is_one_for_all_processes(tmp_path: Path, store: Store) -> None:
    """Searches on which the model abstains wait, are shown by every process, and are closed in all by their label."""
    manifest, files = store.read_version(NAME, 1)
    assert isinstance(manifest, GruManifest)
    store.publish(msgspec.structs.replace(manifest, abstain=RULE), files)
    args = ["--trainer", "none", "--workers", "2"]
    with serving(tmp_path, store.root, args, PUPPET_REVIEW="true") as server, contextlib.ExitStack() as ends:
        clients = connections(server, ends)
        for number, client in enumerate(clients):
            asks = {"abstain": True} if number % 2 else {}  # with and without what a plain search leaves out
            body = MODEL | asks | {"text": f"souci zwxq{number}zwxq", "id": number}
            assert (client.post("/search", json=body).json()["category"] is None) == bool(asks)
        everything = {str(number) for number in range(NUM_CONNECTIONS)}
        eventually(lambda: seen(clients) == [everything] * NUM_CONNECTIONS, "every process to show every ticket")

        correction = {"name": NAME, "id": "0", "text": "souci", "category": "Nouveau"}
        assert clients[0].post("/feedback", json=correction).status_code == 200
        assert clients[1].delete(f"{PATH}/1").status_code == 200
        assert seen(clients) == [everything - {"0", "1"}] * NUM_CONNECTIONS  # immediately, wherever one asks
        for number in range(2):
            clients[2].post("/search", json=MODEL | {"text": f"souci zwxq{number}zwxq", "id": number})
        clients[3].post(PATH, json={"tickets": [{"id": "loaded", "text": "un ticket sans catégorie"}]})
        expected = everything - {"0", "1"} | {"loaded"}
        assert seen(clients) == [expected] * NUM_CONNECTIONS

        server.kill()

    assert {item.id for item in ReviewQueue(store, 14, 1000).waiting(NAME)} == expected
