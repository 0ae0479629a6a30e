"""What several files of these tests say to the server, and how they read its answers."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

import httpx
import msgspec

from artifacts.problems.sentences import Language, sentences
from artifacts.store.store import Store

T = TypeVar("T")

MODEL = {"name": "puppet-o2", "neural_network_type": "GRU"}
PRICES = {"name": "prices", "neural_network_type": "SimpleNN"}  # features: square metres, floor
POST_ROUTES = ("/create_model", "/train_model", "/search", "/test", "/predict")
CONNECTION = ["avoir", "problème", "connexion", "<PRODUCT>"]  # tickets that the fixture model was trained on
ACCESS = ["ajouter", "utilisateur", "coffre"]
CLIENT = ["création", "client", "<COMPANY>"]
CATEGORY = {"Problème de connexion": CONNECTION, "Accès utilisateur": ACCESS, "Création de client": CLIENT}
DEADLINE_S = 120.0  # only guards against a hang: what takes milliseconds alone takes seconds on a busy machine


def check_problem(response: httpx.Response, status: int, detail: str | None = None) -> dict[str, Any]:
    """Return the body of an error answer that is as RFC 9457 has it, of a known type, and carries `status`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    language = cast(Language, response.headers["content-language"])
    assert problem["title"] == sentences(language)[problem["type"].removeprefix("/problems/")].title
    assert "Accept-Language" in response.headers["vary"]
    assert problem["detail"]
    if detail is not None:
        assert problem["detail"] == detail
    return problem


def pointers(problem: dict[str, Any]) -> list[str]:
    """Return where the faults of an error answer are."""
    assert len(problem["errors"]) == min(20, problem["num_errors"])
    return [fault["pointer"] for fault in problem["errors"]]


async def eventually(found: Callable[[], T | None], what: str) -> T:
    """Return what `found` finds, once it finds something; other tasks run meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not (result := found()):
        assert loop.time() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        await asyncio.sleep(0.005)
    return result


def publish_permuted(store: Store) -> int:
    """Publish a further version of the fixture model that names each category by another, and return its number.

    Its graph and golden rows are the same, so an answer's category says from which version's labels it came.
    """
    manifest, files = store.read_version("puppet-o2", store.current("puppet-o2").version)
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    return store.publish(manifest, files | {"labels.json": msgspec.json.encode(labels[1:] + labels[:1])}).version


def damage(store: Store, name: str, version: int, file: str = "model.onnx") -> None:
    """Flip one bit in the middle of a version's file, as a bad disk would."""
    path = store.root / name / str(version) / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
