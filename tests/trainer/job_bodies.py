"""Jobs for the tests: bodies, their folders, and the queue they wait in."""

import json
from pathlib import Path

import msgspec

from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job
from artifacts.store.store import Store
from tests.trainer import small
from trainer.jobs.body import check_body


def body(**changes: object) -> dict[str, object]:
    """Return a good body of /train_model for the model of the fixture `empty`, with some of it changed."""
    good = {
        "name": small.NAME,
        "neural_network_type": "GRU",
        "training_data": small.json_rows(small.tickets(4)),
        "config": msgspec.structs.asdict(small.CONFIG),
    }
    return {**good, **changes}


def folder_of(store: Store, content: object, jobs: Jobs | None = None) -> Path:
    """Return a folder with that body, which no job has yet; bytes are written as they are."""
    folder = (jobs or Jobs(store)).new_folder()
    (folder / BODY).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def queued(store: Store, content: object) -> Job:
    """Return a waiting job with that body, as the server makes it, but that it may name no model."""
    jobs = Jobs(store)
    folder = folder_of(store, content, jobs)
    checked = check_body(folder)
    name = checked.name or small.NAME
    return jobs.submit(folder, name, "GRU", promote=checked.promote, keep_data=checked.keep_data)


def claimed(store: Store, content: object) -> Path:
    """Return the folder of a job with that body that runs, at attempt 1; nobody holds its lock."""
    asked = queued(store, content)
    jobs = Jobs(store)
    job = jobs.claim()
    assert job is not None
    assert (job.id, job.attempt) == (asked.id, 1), "another job waits"
    with jobs.run_lock(job.id):
        return jobs.folder(job.id)


# Bodies that are refused: what is sent, then the error, a part of its detail, and the pointers of its faults.
REFUSALS: dict[str, tuple[object, str, str, list[str]]] = {
    "unknown model": (body(name="nobody"), "ModelNotFound", "Model not found", []),
    "name that is none": (body(name="../x"), "InvalidInput", "1 fault", ["/name"]),
    "no training data": (
        {"name": small.NAME, "neural_network_type": "GRU"},
        "NoTrainingData",
        "No training data provided or training data is empty",
        [],
    ),
    "null": (
        body(training_data=None),
        "NoTrainingData",
        "No training data provided or training data is empty",
        [],
    ),
    "empty": (body(training_data=[]), "NoTrainingData", "No training data provided or training data is empty", []),
    "wrong rows": (
        body(
            training_data=[
                *small.json_rows(small.tickets(1))[:3],
                {"category": "a", "tokens": ["x", 5]},
                {"category": "a", "tokens": []},
            ]
        ),
        "InvalidInput",
        "training_data does not fit: 2 faults, listed",
        ["/training_data/3/tokens/1", "/training_data/4/tokens"],
    ),
    "one category": (body(training_data=[{"category": "a", "tokens": ["x"]}]), "InvalidInput", "one category", []),
    "wrong settings": (
        body(config={"epochs": -1, "lr": "fast", "epoch": 3}),
        "InvalidInput",
        "body does not fit: 3 faults, listed",
        ["/config/epochs", "/config/lr", "/config/epoch"],
    ),
    "unknown kind": (body(neural_network_type="LSTM"), "UnknownKind", "'LSTM' is unknown, known: GRU, SimpleNN", []),
    "another kind": (
        body(neural_network_type="SimpleNN", training_data=[{"features": [1], "target": 2}], config={}),
        "KindMismatch",
        f"model {small.NAME} is of neural_network_type GRU, not SimpleNN; name its own type",
        [],
    ),
    "settings of another kind": (
        body(config={"improvement_threshold": 0.1}),
        "InvalidInput",
        "body does not fit: 1 fault, listed",
        ["/config/improvement_threshold"],
    ),
    "name that is no text": (body(name=5), "InvalidInput", "1 fault", ["/name"]),
    "no name": ({"neural_network_type": "GRU", "training_data": []}, "InvalidInput", "1 fault", ["/name"]),
    "no kind": ({"name": small.NAME, "training_data": []}, "InvalidInput", "1 fault", ["/neural_network_type"]),
    "promote": (body(promote="later"), "InvalidInput", "1 fault", ["/promote"]),
    "keep_data": (body(keep_data="yes"), "InvalidInput", "1 fault", ["/keep_data"]),
    "unknown field": (body(colour="red"), "InvalidInput", "1 fault", ["/colour"]),
    "rows are no array": (body(training_data={"a": 1}), "InvalidInput", "1 fault", ["/training_data"]),
    "no JSON": (b"{", "InvalidInput", "body does not fit", [""]),
    "no UTF-8": (b'{"name": "\xe9"}', "InvalidInput", "body does not fit", [""]),
    "nothing": (b"", "InvalidInput", "body does not fit", [""]),
    "deep": (b"[" * 100_000, "InvalidInput", "body does not fit", [""]),
}
NEED_ROWS = ("wrong rows", "one category")  # found only by looking at each row
