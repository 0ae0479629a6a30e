"""Explanations from outside: what comes over a real socket, and that searches go on beside the longest one."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from artifacts.networks.explain import MAX_VARIANTS
from artifacts.store.store import Store
from artifacts.text.tokens import MAX_TOKENS
from tests.system.server import DEADLINE_S, MODEL, Server, serving

pytestmark = pytest.mark.system

LONGEST = [f"inconnu{number}" for number in range(MAX_TOKENS)]  # unknown words cost most


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[Server]:
    """Give a server over the fixture store."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        yield server


def test_ticket_is_explained(server: Server) -> None:
    """The token that the fixture model knows the category by weighs most, and a typing error names what it is near."""
    answer = server.post("/search", vector=["problème", "conexion", "<PRODUCT>"], explain=True)

    assert answer.status_code == 200, answer.text
    explanation = answer.json()["explanation"]
    assert (explanation["method"], explanation["unit"], explanation["window"]) == ("occlusion", "log-odds", 1)
    assert max(explanation["tokens"], key=lambda one: one["weight"])["token"] == "problème"
    assert explanation["tokens"][1]["nearest"][0]["token"] == "connexion"


def test_searches_go_on_beside_the_longest_explanation(server: Server) -> None:
    """While a ticket of 512 unknown words is explained on another connection, plain searches are answered."""
    ended = threading.Event()

    def explain() -> list[int]:
        try:
            with httpx.Client(base_url=server.client.base_url, timeout=DEADLINE_S) as client:
                answers = [client.post("/search", json=MODEL | {"vector": LONGEST, "explain": True}) for _ in range(3)]
        finally:
            ended.set()
        explanations = [answer.raise_for_status().json()["explanation"] for answer in answers]
        return [explanation["window"] for explanation in explanations]

    num_answered = 0
    with ThreadPoolExecutor(1) as pool:
        explaining = pool.submit(explain)
        while not ended.is_set():
            server.post("/search", vector=["problème"]).raise_for_status()
            num_answered += not ended.is_set()
        windows = explaining.result()

    assert windows == [MAX_TOKENS // MAX_VARIANTS] * 3
    assert num_answered >= 5
