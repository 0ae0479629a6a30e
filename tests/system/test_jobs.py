"""Trainings as jobs on a real server of two workers with both tokens: followed, cancelled, killed, rolled back.

It prints what it measures (`pytest -s`); the bounds in its assertions are far above that, so that a busy machine fails
no test.
"""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from artifacts.jobs.jobs import Jobs
from artifacts.store.store import Store
from tests.conftest import FIXTURE_STORE
from tests.inference.helpers import CONNECTION, publish_permuted
from tests.system.server import DEADLINE_S, MODEL, Server, descendants, eventually, is_alive, serving
from tests.system.test_server import LONG, QUICK, check_problem, texts, tickets

pytestmark = [pytest.mark.system, pytest.mark.torch]

ADMIN, SEARCH = "ad-min_17", "se-arch_42"
TOKENS = {"PUPPET_ADMIN_TOKEN": ADMIN, "PUPPET_SEARCH_TOKEN": SEARCH}
JOB_S = 600.0  # only guards against a hang: a training that takes seconds alone takes a minute on a busy machine
NUM_PROMOTES, NUM_CLIENTS = 20, 4
ENDED = ("succeeded", "failed", "cancelled", "interrupted")


@contextlib.contextmanager
def two_workers(folder: Path, store: Path) -> Iterator[Server]:
    """Give a server of two workers that both tokens guard; its client is the administrator."""
    with serving(folder, store, ["--workers", "2", "--trainer", "local"], **TOKENS) as server:
        server.client.headers["Authorization"] = f"Bearer {ADMIN}"
        eventually(lambda: len(server.workers) == 2 and server.trainer_worker, "the processes of the server")
        yield server


def new_store(folder: Path) -> Path:
    """Return a new store with the small trained models."""
    shutil.copytree(FIXTURE_STORE, folder / "store")
    (folder / "store").chmod(0o700)
    return folder / "store"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give the server that the tests of this file share; each leaves it without a job that runs."""
    folder = tmp_path_factory.mktemp("jobs")
    with two_workers(folder, new_store(folder)) as server:
        yield server


def submit(server: Server, config: dict[str, Any], **body: object) -> str:
    """Ask for a training that nobody waits for, and return the path of its job."""
    answer = server.client.post(
        "/train_model",
        json=MODEL | {"training_data": tickets(24), "config": config} | body,
        headers={"Prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    location = answer.headers["location"]
    assert location == f"/jobs/{answer.json()['job']}"
    return str(location)


def job_of(server: Server, path: str) -> dict[str, Any]:
    """Return what the server says of a job."""
    answer = server.client.get(path)
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def ended(server: Server, path: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    eventually(lambda: job_of(server, path)["state"] in ENDED, f"the end of {path}", JOB_S)
    return job_of(server, path)


def begun(server: Server, path: str) -> int:
    """Return the process of a job once it trains."""
    eventually(lambda: job_of(server, path)["progress"], f"the first epoch of {path}", JOB_S)
    return eventually(server.trainer, "the trainer's process")


def searched(server: Server, client: httpx.Client | None = None) -> dict[str, Any]:
    """Return the answer to a search, asked with the token for it."""
    answer = (client or server.client).post(
        "/search", json=MODEL | {"vector": CONNECTION}, headers={"Authorization": f"Bearer {SEARCH}"}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(server: Server, path: str, last_id: int = 0, limit: int | None = None) -> list[tuple[int, str, Any]]:
    """Return what a job tells after an event: number, kind and data; the connection is cut after `limit` events."""
    events = []
    headers = {"Last-Event-ID": str(last_id)} if last_id else {}
    with server.client.stream("GET", f"{path}/events", headers=headers, timeout=JOB_S) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                if fields.keys() & {"event", "data"}:  # a browser would take either for an event; a comment is none
                    events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
            if len(events) == limit:
                break
    return events


def answering(server: Server, client: httpx.Client) -> int:
    """Return the worker that has the other end of a client's connection."""
    stream = client.get("/livez").extensions["network_stream"]
    port = stream.get_extra_info("client_addr")[1]
    ends = (f"0100007F:{server.port:04X}", f"0100007F:{port:04X}")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if (row[1], row[2]) == ends]
    for pid in server.workers:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(fd.readlink()) == f"socket:[{inode}]":
                    return pid
    raise AssertionError(f"no worker has the connection from port {port}")


@contextlib.contextmanager
def a_client_each(server: Server) -> Iterator[list[httpx.Client]]:
    """Give a client of each worker."""
    with contextlib.ExitStack() as stack:
        found: dict[int, httpx.Client] = {}
        for _ in range(200):  # the kernel chooses the worker of a new connection by chance
            client = stack.enter_context(httpx.Client(base_url=server.client.base_url, timeout=60.0))
            found.setdefault(answering(server, client), client)
            if len(found) == 2:
                break
        assert sorted(found) == sorted(server.workers)
        yield list(found.values())


def test_two_trainings_are_queued_and_followed(service: Server) -> None:
    """Two trainings are accepted at once and run in turn; who follows one and comes back misses and repeats nothing."""
    paths = []
    for name in ("first", "second"):
        assert service.post("/create_model", name=name).status_code == 200
        paths.append(submit(service, QUICK | {"epochs": 12, "patience": 12}, name=name))

    begin = told(service, paths[0], limit=3)
    rest = told(service, paths[0], last_id=begin[-1][0])
    whole = told(service, paths[0])
    second = told(service, paths[1])

    assert begin + rest == whole
    numbers = [number for number, kind, _ in whole if kind != "end"]
    assert numbers == sorted(set(numbers))
    for events, name in ((whole, "first"), (second, "second")):
        epochs = [data["epoch"] for _, kind, data in events if kind == "epoch"]
        assert epochs[:12] == list(range(1, 13))
        assert epochs[12:] == list(range(1, len(epochs) - 11))  # again on every ticket
        assert [kind for _, kind, _ in events].count("end") == 1
        assert (events[-1][1], events[-1][2]["state"]) == ("end", "succeeded")
        assert (events[-1][2]["model_name"], events[-1][2]["version"]) == (name, 1)
        assert service.client.get(f"/models/{name}").json()["current"] == 1
    assert second[-1][2]["started"] >= whole[-1][2]["ended"]
    assert not texts(service.store)


def test_tokens_part_the_two_roles(service: Server) -> None:
    """Who may search sees the models, and neither the jobs of others nor what changes a model."""
    headers = {"Authorization": f"Bearer {SEARCH}"}

    assert service.client.get("/models", headers=headers).status_code == 200
    for path in ("/train_model", "/models/puppet-o2/promote", "/models/puppet-o2/rollback"):
        check_problem(service.client.post(path, json={}, headers=headers), 401)
    assert service.client.get("/jobs", headers=headers).json() == {"jobs": []}
    job = service.client.get("/jobs").json()["jobs"][0]["id"]
    for path in (f"/jobs/{job}", f"/jobs/{job}/events", f"/jobs/{job}/result"):
        check_problem(service.client.get(path, headers=headers), 404)
    check_problem(service.client.post(f"/jobs/{job}/cancel", json={}, headers=headers), 404)
    check_problem(service.client.delete("/models/puppet-o2", headers=headers), 401)


def test_versions_are_promoted_and_rolled_back(service: Server) -> None:
    """A promotion takes place if the version serves that the caller has seen; a rollback brings the one before back."""
    store = Store(service.store)
    before = store.current("puppet-o2").version
    after = publish_permuted(store)
    eventually(lambda: searched(service)["version"] == after, "the new version")
    seen = service.client.get(f"/models/puppet-o2/versions/{after}").headers["etag"]

    assert service.client.post("/models/puppet-o2/rollback", json={}).json()["version"] == before
    assert store.current("puppet-o2").version == before
    stale = service.client.post("/models/puppet-o2/promote", json={"version": after}, headers={"If-Match": seen})
    assert f"version {before} of puppet-o2 serves" in check_problem(stale, 412)
    seen = service.client.get(f"/models/puppet-o2/versions/{before}").headers["etag"]
    answer = service.client.post("/models/puppet-o2/promote", json={"version": after}, headers={"If-Match": seen})
    assert (answer.status_code, answer.json()["version"]) == (200, after)
    check_problem(service.client.delete(f"/models/puppet-o2/versions/{after}"), 409)
    assert service.client.delete(f"/models/puppet-o2/versions/{before}").status_code == 200
    assert before not in service.client.get("/models/puppet-o2").json()["versions"]


def test_every_worker_serves_the_new_version_soon(service: Server) -> None:
    """Once a training has published its version, both workers answer with it."""
    store = Store(service.store)
    before = store.current("puppet-o2").version
    with a_client_each(service) as clients:
        path = submit(service, QUICK)
        eventually(lambda: store.current("puppet-o2").version > before, "the new version", JOB_S)
        published = time.monotonic()
        delays: dict[int, float] = {}
        while len(delays) < len(clients):
            for number, client in enumerate(clients):
                if number not in delays and searched(service, client)["version"] > before:
                    delays[number] = time.monotonic() - published
            assert time.monotonic() < published + DEADLINE_S
    print(f"\nboth workers serve a new version after {max(delays.values()) * 1000:.0f} ms")
    assert ended(service, path)["version"] == before + 1


def test_promotions_under_load_fail_no_search(service: Server) -> None:
    """While versions change back and forth every search is answered, each by one version and with its own labels."""
    store = Store(service.store)
    old = store.current("puppet-o2").version
    new = publish_permuted(store)
    labels = [
        msgspec.json.decode(store.read_version("puppet-o2", version)[1]["labels.json"], type=list[str])
        for version in (old, new)
    ]
    stop = threading.Event()

    def search() -> list[tuple[int, str]]:
        answers = []
        with httpx.Client(base_url=service.client.base_url, timeout=60.0) as client:
            while not stop.is_set():
                answer = searched(service, client)
                answers.append((answer["version"], answer["category"]))
        return answers

    eventually(lambda: searched(service)["version"] == new, "the new version")
    begun = time.monotonic()
    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        searching = [pool.submit(search) for _ in range(NUM_CLIENTS)]
        try:
            for number in range(NUM_PROMOTES):
                version = new if number % 2 else old
                answer = service.client.post("/models/puppet-o2/promote", json={"version": version})
                assert (answer.status_code, answer.json()["version"]) == (200, version), answer.text
                time.sleep(0.1)
        finally:
            stop.set()
        seen = [one for client in searching for one in client.result()]

    print(f"\n{len(seen)} searches during {NUM_PROMOTES} promotions in {time.monotonic() - begun:.1f} s, 0 failures")
    categories = dict(seen)
    assert sorted(categories) == [old, new]
    assert set(seen) == set(categories.items()), "each version has one answer"
    assert labels[0].index(categories[old]) == labels[1].index(categories[new])
    assert categories[old] != categories[new]


def test_cancelled_training_ends_soon_and_publishes_nothing(service: Server) -> None:
    """A training that is cancelled in the middle is gone soon, and no version came of it."""
    versions = Store(service.store).versions("puppet-o2")
    path = submit(service, LONG)
    pid = begun(service, path)

    asked = time.monotonic()
    assert service.client.post(f"{path}/cancel", json={}).json()["cancel_requested"]
    eventually(lambda: job_of(service, path)["state"] == "cancelled", "the cancellation")
    assert not is_alive(pid)
    print(f"\na training was cancelled in {time.monotonic() - asked:.2f} s")

    assert job_of(service, path)["version"] is None
    assert Store(service.store).versions("puppet-o2") == versions
    assert not texts(service.store)
    assert told(service, path)[-1][2]["state"] == "cancelled"


def test_killed_training_fails_with_a_reason(service: Server) -> None:
    """Kill -9 of the process that trains: its job has failed and says why; searches go on, and so do trainings."""
    version = searched(service)["version"]
    path = submit(service, LONG)

    os.kill(begun(service, path), signal.SIGKILL)

    job = ended(service, path)
    assert (job["state"], job["version"]) == ("failed", None)
    assert "its process was killed" in job["detail"]
    assert searched(service)["version"] == version
    assert not texts(service.store)


def test_killed_trainer_is_started_again(service: Server) -> None:
    """Kill -9 of the trainer's worker: the training ends with it, is marked as interrupted, and the next one runs."""
    path = submit(service, LONG)
    waiting = submit(service, QUICK)
    pid = begun(service, path)
    worker = service.trainer_worker
    assert worker is not None

    killed = time.monotonic()
    os.kill(worker, signal.SIGKILL)

    eventually(lambda: not is_alive(pid), "the end of the training")
    job = ended(service, path)
    print(f"\nafter kill -9 of the trainer its job is {job['state']} in {time.monotonic() - killed:.2f} s")
    assert (job["state"], job["version"]) == ("interrupted", None)
    assert service.trainer_worker not in (None, worker)
    done = ended(service, waiting)
    assert (done["state"], done["version"]) == ("succeeded", Store(service.store).versions("puppet-o2")[-1])


def test_killed_server_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """Kill -9 of the supervisor in mid-training: all end with it, and a restart keeps every promise that was made."""
    store = new_store(tmp_path)
    with two_workers(tmp_path, store) as server:
        assert server.post("/create_model", name="later").status_code == 200
        done = submit(server, QUICK)
        version = ended(server, done)["version"]
        running, waiting, cancelled = submit(server, LONG), submit(server, QUICK, name="later"), submit(server, QUICK)
        assert server.client.post(f"{cancelled}/cancel", json={}).json()["state"] == "cancelled"
        begun(server, running)
        below = descendants(server.pid)
        assert len(below) >= 4

        killed = time.monotonic()
        server.process.kill()
        eventually(lambda: not any(map(is_alive, below)), "the end of its processes")
        print(f"\nafter kill -9 of the supervisor no process is left in {time.monotonic() - killed:.2f} s")

    left = [job.state for job in Jobs(Store(store)).list()]
    assert left in (  # the trainer may notice in time to write it down
        ["cancelled", "queued", "running", "succeeded"],
        ["cancelled", "queued", "interrupted", "succeeded"],
    )
    with two_workers(tmp_path, store) as server:
        assert searched(server)["version"] == version
        states = {path: ended(server, path)["state"] for path in (done, running, waiting, cancelled)}
        assert list(states.values()) == ["succeeded", "interrupted", "succeeded", "cancelled"]
        assert job_of(server, running)["attempt"] == 1
        assert server.client.get("/models/later").json()["current"] == 1
        assert Store(store).versions("puppet-o2")[-1] == version
        assert not texts(store)
        assert "Traceback" not in server.log_file.read_text()
