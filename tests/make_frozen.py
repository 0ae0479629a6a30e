"""Freeze a store: `python -m tests.make_frozen STORE TESTS` records what the present program wrote into it and answers.

`tests/test_frozen.py` serves each folder of `tests/fixtures/frozen` for ever, with every later program. STORE holds
models that `puppet-train fit` has made; this adds what else a store of the day holds (trainings in every state,
corrections, a deleted model) and `answers.json`: questions, taken from the JSONL file TESTS, and the server's answers.

A folder is made once, by the program of its day, and never again: its README says how.
"""

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from artifacts.errors import Fault
from artifacts.jobs.events import Event, append_event
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY
from artifacts.store import Store, feedback
from artifacts.store.feedback import Correction
from artifacts.store.versions import now
from inference.app import create_app
from inference.settings import Settings

TOKENS = [
    ["Réunion", "budget", "12,50", "<PRODUCT>"],
    ["FACTURE", "conntecter", "le", "12/11/2024"],
    ["x" * 300, "a b"],
]
FLATS = [[62.0, 3.0], [20.5, 0.0]]


def main(folder: Path, tests: Path) -> None:
    """Add jobs, corrections and a deleted model to a store, and record the answers of its models."""
    store = Store(folder)
    questions = [
        *({"vector": tokens} for tokens in TOKENS),
        *({"text": msgspec.json.decode(line)["email_text"]} for line in tests.read_bytes().splitlines()[:20]),
    ]
    bodies: list[dict[str, Any]] = []
    for name in store.models():
        kind = store.read_model(name).neural_network_type
        head = {"name": name, "neural_network_type": kind}
        if kind == "GRU":
            bodies += [head | one for one in questions] + [head | {"text": questions[5]["text"], "top_k": 3}]
        else:
            bodies += [head | {"vector": one} for one in FLATS]
    if "prices" in store.models():
        add_jobs(store, "prices")
        store.create_model("gone", "SimpleNN")
        manifest, files = store.read_version("prices", 1)
        store.publish(msgspec.structs.replace(manifest, name="gone"), files)
        store.delete_model("gone")
    recorded = [{"body": body, "answer": answer} for body, answer in zip(bodies, ask(folder, bodies), strict=True)]
    (folder / "answers.json").write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=1) + b"\n")
    if "rules-2" in store.models():
        add_corrections(store, "rules-2")
    (folder / ".tmp").rmdir()


def ask(folder: Path, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the server's answer to each search."""

    async def asked() -> list[dict[str, Any]]:
        app = create_app(Settings(store=str(folder), trainer="none"))
        async with app.lifespan():
            await app.state.registry.refresh()
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))  # type: ignore[arg-type]  # as in conftest
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                found = [await client.post("/search", json=body) for body in bodies]
        assert {one.status_code for one in found} == {200}, [one.text for one in found if one.status_code != 200]
        return [one.json() for one in found]

    return asyncio.run(asked())


def add_jobs(store: Store, name: str) -> None:
    """Have a training in every state: queued, running (its process is dead), succeeded, failed and cancelled."""
    jobs = Jobs(store)
    body = msgspec.json.encode({"name": name, "neural_network_type": "SimpleNN", "training_data": []})
    for number, state in enumerate(("succeeded", "failed", "cancelled", "running", "queued")):
        folder = jobs.new_folder()
        (folder / BODY).write_bytes(body)
        append_event(folder, Event(kind="message", time=now(), detail="a made-up message"))
        job = jobs.submit(
            folder,
            name,
            "SimpleNN",
            idempotency_key=f"key-{number}",
            body_sha256=hashlib.sha256(body).hexdigest(),
            promote="if_better" if state == "queued" else "always",
            keep_data=state == "failed",
        )
        if state == "cancelled":
            jobs.request_cancel(job.id)
        elif state != "queued":
            claimed = jobs.claim()
            assert claimed is not None
            assert claimed.id == job.id
            if state == "succeeded":
                manifest, files = store.read_version(name, 1)
                made = msgspec.structs.replace(manifest, job=job.id, attempt=claimed.attempt, parent=1)
                store.publish(made, files, guard=jobs.publishing(job.id, claimed.attempt))
            elif state == "failed":
                fault = Fault("/training_data/0/features", "a made-up fault", 1)
                jobs.finish(
                    job.id, 1, "failed", "1 row does not fit", error="InvalidInput", faults=[fault], seconds=0.5
                )


def add_corrections(store: Store, name: str) -> None:
    """Keep corrections by tokens and by text, one of them corrected again."""
    for one in (
        Correction(id="41", category="Travail", tokens=["réunion", "12,50"], version=1),
        Correction(id="42", category="nouvelle catégorie", text="Où est ma facture ?"),
        Correction(id="41", category="promotions", tokens=["réunion", "12,50"], version=1),
    ):
        feedback.add(store, name, one, 100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
