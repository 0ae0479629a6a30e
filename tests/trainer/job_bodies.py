"""Jobs for the tests: bodies, their folders, and the queue they wait in."""

import json
from pathlib import Path

import msgspec

from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job
from artifacts.store.store import Store
from tests.trainer import small
from trainer.run import check_body


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
