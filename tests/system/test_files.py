"""Jobs of each kind once, with a real server and a real trainer: a file in, an answer out, next to a training.

One export in the form of another program, sent once; what is learnt from it, looked at and sorted by it afterwards.
"""

import csv
import io
import shutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.conftest import FIXTURE_STORE
from tests.system.server import Server, eventually, serving
from tests.trainer import small

pytestmark = [pytest.mark.system, pytest.mark.torch]

MODEL = {"name": "desk", "neural_network_type": "GRU"}
CSV = {"Content-Type": "text/csv"}
ASYNC = {"Prefer": "respond-async"}
READING = {"category": "Nature", "text": ["Objet", "Descriptif"]}
JOB_S = 600.0  # only guards against a hang


def export() -> bytes:
    """Return tickets as a French desk exports them: cp1252, semicolons, two columns of text."""
    rows = ["Nature;Objet;Descriptif"]
    for category, group in small.tickets(10).items():
        rows += [f"{category};Ticket {number};{' '.join(tokens)} é" for number, tokens in enumerate(group)]
    return "\r\n".join(rows).encode("cp1252")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server with a trainer, and the model `desk`, which is not trained yet."""
    folder = tmp_path_factory.mktemp("files")
    shutil.copytree(FIXTURE_STORE, folder / "store")
    (folder / "store").chmod(0o700)
    with serving(folder, folder / "store", ["--trainer", "local"]) as server:
        server.client.timeout = JOB_S
        assert server.client.post("/create_model", json=MODEL).status_code == 200
        yield server


def good(response: Any) -> Any:
    """Return a good answer of the server."""
    assert response.status_code in (200, 202), response.text
    return response


def test_file_goes_the_whole_way(server: Server) -> None:
    """Preview, inspection, a training with a row put right, report, evaluation, comparison, and the file sorted."""
    client, config = server.client, msgspec.structs.asdict(small.CONFIG)
    seen = good(client.post("/inspect?preview=true&filename=juin.csv", content=export(), headers=CSV))
    assert (seen.json()["num_rows"], seen.json()["encoding"]) == (40, "cp1252")
    upload = seen.headers["location"].rpartition("/")[2]
    of_file = {"data_of": upload, "reading": READING}

    learnt = []
    for corrections in ([], [{"line": 2, "category": "Facture"}, {"line": 3, "category": None}]):
        body = MODEL | of_file | {"config": config, "corrections": corrections}
        queued = good(client.post("/train_model", json=body, headers=ASYNC)).headers["location"]
        # While it trains, what takes a moment is done next to it.
        found = good(client.post("/inspect", json=of_file)).json()
        assert (found["num_tickets"], found["num_categories"]) == (40, 4)
        learnt.append(version_learnt(server, queued))
    assert learnt == [1, 2]
    manifests = [good(client.get(f"/models/desk/versions/{number}")).json()["manifest"] for number in learnt]
    assert [one["data"]["num_tickets"] for one in manifests] == [40, 39]
    assert manifests[0]["columns"] == {"category": "Nature", "text": ["Objet", "Descriptif"]}

    measured = good(client.post("/evaluate", json=MODEL | of_file)).json()
    assert measured["total_tests"] + measured["learnt"]["num_tickets"] >= 40
    compared = good(client.post("/models/desk/diff", json=of_file | {"old": 1, "new": 2})).json()
    assert (compared["old"], compared["new"]) == (1, 2)

    page = eventually(lambda: report_of(server), "the report of the version", JOB_S)
    assert '<html lang="fr">' in page

    answer = good(client.post("/classify", json=MODEL | of_file))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert len(rows) == 40
    assert {row["category"] for row in rows} <= set(small.TEMPLATES) | {""}
    assert "juin-sorted.csv" in answer.headers["content-disposition"]
    assert {job["kind"] for job in good(client.get("/jobs")).json()["jobs"]} == {
        "train", "inspect", "evaluate", "diff", "classify",
    }  # fmt: skip


def version_learnt(server: Server, job: str) -> int:
    """Return the version that a training has published, once it has."""
    eventually(lambda: server.client.get(job).json()["state"] == "succeeded", "the end of the training", JOB_S)
    return int(good(server.client.get(f"{job}/result")).json()["version"])


def report_of(server: Server) -> str | None:
    """Return the report of the second version in French, once it is there."""
    response = server.client.get("/models/desk/versions/2/report?lang=fr")
    return response.text if response.status_code == 200 else None
