"""Corrections on a real server: none that was acknowledged is lost by kill -9, none that was erased is on the disk."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from artifacts.store import feedback
from artifacts.store.store import Store
from tests.system.server import Server, eventually, serving

NAME = "puppet-o2"
NUM_POSTS = 1000
NUM_CLIENTS = 8

pytestmark = pytest.mark.system


def post_until_killed(server: Server, numbers: "itertools.count[int]", acknowledged: list[str]) -> None:
    """Post corrections of ids that nobody else posts, note each that is acknowledged, and end with the server."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        while (number := next(numbers)) < 100 * NUM_POSTS:  # the server is killed long before
            body = {"name": NAME, "id": f"t-{number}", "text": f"ticket numéro {number}", "category": "Nouveau"}
            try:
                answer = client.post("/feedback", json=body)
            except httpx.HTTPError:
                return
            assert answer.status_code == 200, answer.text
            acknowledged.append(f"t-{number}")


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_loses_no_acknowledged_correction(tmp_path: Path, store: Store, workers: int) -> None:
    """Of corrections that come over several connections to several processes, each acknowledged one outlives kill -9.

    The server that starts again serves them, takes one more, and erases one from every file.
    """
    acknowledged: list[str] = []
    numbers = itertools.count()
    args = ["--trainer", "none", "--workers", str(workers)]
    with serving(tmp_path, store.root, args) as server, ThreadPoolExecutor(NUM_CLIENTS) as pool:
        posting = [pool.submit(post_until_killed, server, numbers, acknowledged) for _ in range(NUM_CLIENTS)]
        eventually(
            lambda: len(acknowledged) >= NUM_POSTS or any(one.done() for one in posting), "the corrections", 300.0
        )
        server.kill()
        for one in posting:
            one.result()
    assert len(acknowledged) >= NUM_POSTS
    assert len(set(acknowledged)) == len(acknowledged)

    with serving(tmp_path, store.root, args) as server:
        exported = server.client.get(f"/models/{NAME}/feedback")
        erased = server.client.delete(f"/models/{NAME}/feedback/{acknowledged[-1]}")

    kept = [json.loads(line)["id"] for line in exported.text.splitlines()]
    assert set(acknowledged) <= set(kept)
    assert len(kept) <= len(acknowledged) + NUM_CLIENTS  # what was on its way may be there too
    assert len(set(kept)) == len(kept)
    assert erased.json()["num_erased"] == 1
    word = f'"{acknowledged[-1]}"'.encode()
    text = f'ticket numéro {acknowledged[-1][2:]}"'.encode()
    files = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert [path for path, raw in files.items() if word in raw or text in raw] == []
    assert {one.id for one in feedback.read_all(store, NAME)} == set(kept) - {acknowledged[-1]}
