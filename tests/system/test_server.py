"""The whole service from outside: a real server, real HTTP, a real trainer's process, and what kills them."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from artifacts.jobs.jobs import Jobs
from artifacts.store.store import Store
from tests.system.server import (
    DEADLINE_S,
    MODEL,
    Server,
    descendants,
    environment,
    eventually,
    has_torch,
    is_alive,
    serving,
)

pytestmark = pytest.mark.system

CATEGORIES = {
    "Problème de connexion": [
        "problème",
        "connexion",
        "expirer",
        "mot_de_passe",
        "connecter",
        "navigateur",
        "bloquer",
        "session",
    ],
    "Accès utilisateur": ["accès", "utilisateur", "droit", "coffre", "ajouter", "modifier", "profil", "rattacher"],
    "Création de client": ["création", "client", "nouveau", "dossier", "créer", "convenue", "société", "contrat"],
}
FILLING = ["bonjour", "<PRODUCT>", "merci", "<NAME>", "ticket", "suite", "appel", "mail", "<PHONE>", "résolu"]
QUICK = {
    "epochs": 8, "embedding": 16, "hidden": 16, "lr": 0.02, "batch": 16, "threads": 1, "folds": 1, "grus": 1,
}  # fmt: skip
LONG = {"epochs": 1000, "patience": 1000, "num_layers": 3, "hidden": 256, "threads": 1}  # minutes: nobody waits for it
CANARY = "zanzibar"  # a word of a customer that must appear nowhere


def tickets(num_each: int, start: int = 0) -> list[dict[str, Any]]:
    """Return labelled tickets in the seeds' form, each of three words of its category and two of none."""
    return [
        {
            "category": category,
            "tokens": [words[(n + k * (1 + n // 8)) % 8] for k in range(3)]
            + [FILLING[(n + k) % len(FILLING)] for k in range(2)],
        }
        for category, words in CATEGORIES.items()
        for n in range(start, start + num_each)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that the tests of this file share."""
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Iterator[Server]:
    """Give a server on an empty store that has created and trained puppet-o2 by the seeds' calls."""
    with serving(folder, folder / "store", ["--trainer", "local"]) as server:
        assert server.post("/create_model").json() == {"status": "model created", "model_name": "puppet-o2"}
        answer = server.post("/train_model", training_data=tickets(24), config=QUICK)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "training completed"
        assert (answer.json()["model_name"], answer.json()["version"]) == ("puppet-o2", 1)
        yield server


@contextlib.contextmanager
def training(server: Server, **body: object) -> Iterator[Future[httpx.Response]]:
    """Give the answer to come of a training that has begun (its process has loaded PyTorch)."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: server.post("/train_model", training_data=tickets(100), **body))
        eventually(lambda: server.trainer() or answer.done(), "the trainer's process")
        assert not answer.done(), answer.result().text
        yield answer


def texts(store: Path) -> list[Path]:
    """Return the training data that is left in a store."""
    return list((store / ".jobs").glob("*/body.json"))


def version_of(server: Server) -> int:
    """Return the version that answers now."""
    answer = server.post("/search", vector=["problème", "connexion"])
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["version"]
    return version


def check_problem(answer: httpx.Response, status: int) -> str:
    """Return the sentence of an error answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    detail: str = answer.json()["detail"]
    return detail


# The seeds' calls, in their order


@pytest.mark.torch
def test_trained_model_finds_the_category(trained: Server) -> None:
    """After the seeds' create and train, search answers a ticket of each category with it, and knows no other word."""
    for category, words in CATEGORIES.items():
        answer = trained.post("/search", vector=[*words[:3], CANARY]).json()
        assert (answer["category"], answer["model_name"]) == (category, "puppet-o2")
        assert answer["unknown_tokens"] == [CANARY]
        assert 0.4 < answer["confidence"] <= 1


@pytest.mark.torch
def test_trained_model_is_measured(trained: Server) -> None:
    """The seeds' test call on tickets that were not trained on finds nearly all right."""
    answer = trained.post("/test", test_data=tickets(8, start=50)).json()

    assert answer["total_tests"] == 24
    assert answer["correct_predictions"] + answer["total_error"] == 24
    assert answer["accuracy"] >= 0.9


@pytest.mark.torch
def test_server_never_has_torch(trained: Server) -> None:
    """After a training PyTorch is in no process that stays, and the supervisor has not even onnxruntime."""
    (worker,) = trained.workers
    eventually(lambda: trained.trainer() is None, "the end of the training's process, which may outlive the answer")
    assert not has_torch(trained.pid)
    assert "onnxruntime" not in Path(f"/proc/{trained.pid}/maps").read_text()
    assert "onnxruntime" in Path(f"/proc/{worker}/maps").read_text()


@pytest.mark.torch
def test_second_training_is_the_next_version_and_search_goes_on(trained: Server) -> None:
    """While a model is trained again its version answers every search; then the next one does."""
    before = version_of(trained)
    seen = []
    with training(trained, config=QUICK | {"seed": 1}) as answer:
        while not answer.done():
            seen.append(version_of(trained))

    assert answer.result().json()["version"] == before + 1
    assert len(seen) >= 20
    assert seen == sorted(seen)
    assert set(seen[:20]) == {before}
    assert version_of(trained) == before + 1


@pytest.mark.torch
def test_training_that_cannot_work_says_why(trained: Server) -> None:
    """Tickets of one category only are refused in words, and the version that serves goes on."""
    before = version_of(trained)

    answer = trained.post("/train_model", training_data=tickets(5)[:5], config=QUICK)

    assert "one category, 'Problème de connexion'" in check_problem(answer, 400)
    assert version_of(trained) == before


@pytest.mark.torch
def test_faults_of_a_training_are_answered_before_torch_is_loaded(trained: Server) -> None:
    """Bad rows are listed with their pointers, by a process that has not loaded PyTorch."""
    rows = [*tickets(50), {"category": "a", "tokens": []}, {"category": 3, "text": "b"}]
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(lambda: trained.post("/train_model", training_data=rows))
        seen = set()
        while not answering.done():
            seen |= {has_torch(pid) for pid in descendants(trained.pid)}

    answer = answering.result()
    check_problem(answer, 400)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        "/training_data/150/tokens", "/training_data/151/category",
    ]  # fmt: skip
    assert seen == {False}


@pytest.mark.torch
def test_killed_trainer_is_answered_and_harms_nothing(trained: Server) -> None:
    """Kill -9 of the trainer in mid-training: the caller gets a 5xx that says so, and searches notice nothing."""
    before = version_of(trained)
    with training(trained, config=LONG) as answer:
        pid = trained.trainer()
        assert pid is not None
        subprocess.run(["kill", "-9", str(pid)], check=True)
        response = answer.result(DEADLINE_S)

    assert "its process was killed" in check_problem(response, 500)
    assert version_of(trained) == before
    assert not texts(trained.store)
    assert Store(trained.store).versions("puppet-o2")[-1] == before


@pytest.mark.torch
def test_no_word_of_a_ticket_is_logged(trained: Server) -> None:
    """Words of tickets, sent to every route and in every wrong way, are in no line of the log."""
    trained.post("/search", vector=[CANARY, 3])
    trained.post("/search", vector=[CANARY + "\0"])
    trained.post("/search", text=CANARY)
    trained.post("/test", test_data=[{"category": CANARY, "text": CANARY}, {"category": CANARY}])
    trained.post("/train_model", training_data=[{"category": CANARY, "tokens": [CANARY]}])
    trained.post("/train_model", training_data=[{"category": "a", "tokens": [CANARY, 3]}])
    trained.client.post("/predict", json={"email_text": CANARY})
    trained.client.post(
        "/predict", content=f'{{"email_text": "{CANARY}'.encode(), headers={"content-type": "text/plain"}
    )
    trained.client.post(
        "/predict", content=f'{{"email_text": "{CANARY}'.encode(), headers={"content-type": "application/json"}
    )

    assert trained.client.get("/livez").status_code == 200
    assert CANARY not in trained.log_file.read_text()
    assert trained.events


@pytest.mark.torch
def test_offline_training_is_noticed(trained: Server, tmp_path: Path) -> None:
    """A version that `puppet-train fit` publishes into the store serves without a restart."""
    data = tmp_path / "tickets.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in tickets(12)))
    before = version_of(trained)
    words = [word for field, value in QUICK.items() for word in ("--set", f"{field}={value}")]

    subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "trainer",
            "fit",
            str(data),
            "--name",
            "puppet-o2",
            "--store",
            trained.store,
            *words,
        ],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
        timeout=DEADLINE_S,
    )

    eventually(lambda: version_of(trained) == before + 1, "the new version to serve")


# A kind that reads numbers

PRICES = {"name": "prices", "neural_network_type": "SimpleNN"}


def price(size: float, floor: float) -> float:
    """Return what a flat costs: 3000 a square metre and 5000 a floor."""
    return 3000 * size + 5000 * floor


def flats(num_flats: int, start: int = 0) -> list[dict[str, Any]]:
    """Return flats of 20 to 98 square metres on floors 0 to 4, 395 different ones; see `price`."""
    sizes = [(20 + number * 7919 % 79, number % 5) for number in range(start, start + num_flats)]
    return [{"features": [size, floor], "target": price(size, floor)} for size, floor in sizes]


@pytest.fixture(scope="module")
def prices(folder: Path) -> Iterator[Server]:
    """Give a server on an empty store that has created and trained a SimpleNN by the seeds' calls."""
    with serving(folder, folder / "prices", ["--trainer", "local"]) as server:
        assert server.post("/create_model", **PRICES).json() == {"status": "model created", "model_name": "prices"}
        config = {"hidden": 8, "epochs": 50, "dropout": 0.0, "lr": 0.05, "batch": 8, "patience": 50}
        answer = server.post("/train_model", **PRICES, training_data=flats(80), config=config)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model_name"], answer.json()["version"]) == ("prices", 1)
        assert set(answer.json()["metrics"]) == {"mae", "rmse", "r2", "num_tickets"}
        yield server


@pytest.mark.torch
def test_trained_model_estimates_a_value(prices: Server) -> None:
    """After the seeds' create and train, search answers a flat that was not trained on with about its price."""
    answer = prices.post("/search", **PRICES, vector=[50.5, 2.5], id=7)

    assert answer.status_code == 200, answer.text
    value = answer.json()["value"]
    assert answer.json() == {"id": 7, "model_name": "prices", "version": 1, "value": value}
    assert value == pytest.approx(price(50.5, 2.5), rel=0.2)
    many = prices.post("/search", **PRICES, vectors=[[30, 0], [50.5, 2.5], [90, 4]], ids=["a", "b", "c"]).json()
    assert [one["id"] for one in many["results"]] == ["a", "b", "c"]
    assert many["results"][1]["value"] == pytest.approx(value, rel=1e-9)
    assert many["results"][0]["value"] < value < many["results"][2]["value"]


@pytest.mark.torch
def test_trained_model_of_values_is_measured(prices: Server) -> None:
    """The seeds' test call on flats that were not trained on: most of what sets their prices apart is explained."""
    answer = prices.post("/test", **PRICES, test_data=flats(30, start=80)).json()

    assert (answer["model_name"], answer["version"], answer["total_tests"]) == ("prices", 1, 30)
    assert answer["r2"] > 0.8
    assert 0 < answer["mae"] <= answer["rmse"] < 30_000
    assert len(answer["largest_errors"]) == 30


@pytest.mark.torch
def test_settings_of_another_kind_are_refused(prices: Server) -> None:
    """A setting that this kind lacks or that is out of its range is named with its place, and nothing is trained."""
    config = {"hidden": 0, "embedding": 64}

    answer = prices.post("/train_model", **PRICES, training_data=flats(20), config=config)

    check_problem(answer, 400)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/config/hidden", "/config/embedding"]
    assert Store(prices.store).versions("prices") == [1]


@pytest.mark.torch
def test_tickets_teach_no_model_of_values(prices: Server) -> None:
    """Rows of another kind are faults of their fields, and a body that names the other kind is refused as a whole."""
    answer = prices.post("/train_model", **PRICES, training_data=tickets(1))
    assert check_problem(answer, 400)
    assert answer.json()["errors"][0]["pointer"] == "/training_data/0/features"

    other = prices.post("/train_model", name="prices", training_data=tickets(4))
    assert check_problem(other, 400) == "model prices is of neural_network_type SimpleNN, not GRU; name its own type"


# Ends and restarts


@pytest.mark.torch
def test_end_during_a_training_answers_who_waits(store: Store, tmp_path: Path) -> None:
    """SIGTERM in mid-training: who waits gets 503 and the job's name, the trainer is gone, nothing is published."""
    with serving(tmp_path, store.root, ["--trainer", "local"]) as server:
        with training(server, config=LONG) as answer:
            pid = server.trainer()
            assert pid is not None
            status = server.stop()
            response = answer.result(DEADLINE_S)

        (job,) = Jobs(store).list()
        assert f"GET /jobs/{job.id} says later how" in check_problem(response, 503)
        assert response.headers["retry-after"]
        assert (job.state, job.version) == ("interrupted", None)
        assert status == 0
        assert not is_alive(pid)
        assert store.versions("puppet-o2") == [1]
        assert not texts(store.root)
        assert "Traceback" not in server.log_file.read_text()


@pytest.mark.torch
def test_killed_server_takes_its_trainer_along(store: Store, tmp_path: Path) -> None:
    """Kill -9 of the server in mid-training: the trainer ends too, nothing is published, and the port is free again."""
    with serving(tmp_path, store.root, ["--trainer", "local"]) as server:
        with training(server, config=LONG) as answer:
            pid = server.trainer()
            assert pid is not None
            server.kill()
            with pytest.raises(httpx.TransportError):
                answer.result(DEADLINE_S)
        assert not is_alive(pid)
    with serving(tmp_path, store.root, ["--port", str(server.port)]) as again:
        assert again.port == server.port
        assert version_of(again) == 1
    assert store.versions("puppet-o2") == [1]


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_end_is_clean(store: Store, tmp_path: Path, signal: str) -> None:
    """SIGTERM and Ctrl+C end an idle server with status 0 and without a traceback, an open connection or not."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        assert server.client.get("/livez").status_code == 200
        subprocess.run(["kill", f"-{signal}", str(server.pid)], check=True)

        assert server.process.wait(DEADLINE_S) == 0
        assert "Traceback" not in server.log_file.read_text()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)


def test_end_during_the_start_is_clean(store: Store, tmp_path: Path) -> None:
    """A server that is asked to end as soon as it listens does so without a traceback."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inference", "--port", "0", "--store", str(store.root), "--trainer", "none"],
            env=environment(), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        eventually(lambda: "listening on" in log.read_text() or process.poll() is not None, "the server's address")
        process.terminate()

        assert process.wait(DEADLINE_S) in (0, -15)  # -15: before uvicorn takes signals
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_restart_serves_what_was_published(store: Store, tmp_path: Path) -> None:
    """After kill -9 and a start, models that were created are there and the published version answers as before."""
    answers = []
    for attempt in range(2):
        with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
            if attempt == 0:
                assert server.post("/create_model", name="later").status_code == 200
            assert check_problem(server.post("/create_model", name="later"), 400) == "Model already exists"
            answers.append(server.post("/search", text="création client <COMPANY>").json())
            server.kill()

    assert answers[0] == answers[1]
    assert answers[0]["category"] == "Création de client"


def test_second_server_on_the_port_is_refused(store: Store, tmp_path: Path) -> None:
    """A second server on the same port ends at once with status 1, a message and a remedy; the first goes on."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        second = subprocess.run(
            [sys.executable, "-P", "-m", "inference", "--port", str(server.port), "--store", str(tmp_path / "other")],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip

        assert second.returncode == 1
        assert f"error: cannot listen on 127.0.0.1 port {server.port}: Address already in use" in second.stderr
        assert "--port" in second.stderr
        assert "Traceback" not in second.stderr
        assert server.client.get("/livez").status_code == 200


def damage(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_damaged_version_is_passed_over_at_the_start(store: Store, tmp_path: Path, file: str) -> None:
    """A start on a store whose current version is damaged serves the version before, and a line of the log says so."""
    manifest, files = store.read_version("puppet-o2", 1)
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    store.publish(manifest, files | {"labels.json": msgspec.json.encode(labels[::-1])})
    damage(store.root / "puppet-o2" / "2" / file)

    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        answer = server.post("/search", text="création client <COMPANY>").json()

        assert (answer["version"], answer["category"]) == (1, "Création de client")
        (refused,) = [event["event"] for event in server.events if "refused" in event["event"]]
        assert "puppet-o2 version 2" in refused
        assert file in refused


def test_damaged_version_is_passed_over_while_serving(store: Store, tmp_path: Path) -> None:
    """A damaged version that appears under a running server is refused in the log and the one before goes on."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        manifest, files = store.read_version("puppet-o2", 1)
        store.publish(manifest, files | {"golden.json": b"[]"})

        eventually(lambda: "version refused" in server.log_file.read_text(), "the refusal in the log")
        assert version_of(server) == 1


# Being a good neighbour


def test_memory_of_a_server_with_one_model(store: Store, tmp_path: Path) -> None:
    """A server with one loaded model holds less than 250 MB, of which its supervisor has less than 40."""
    with serving(tmp_path, store.root, ["--trainer", "none"]) as server:
        assert version_of(server) == 1
        supervisor, worker = (
            int(line.split()[1])
            for pid in (server.pid, *server.workers)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if "VmRSS" in line
        )

        assert supervisor < 40_000
        assert supervisor + worker < 250_000


def test_tokens_guard_the_real_server(store: Store, tmp_path: Path) -> None:
    """Over real HTTP the admin token opens create and the search token search only; nothing that is said shows one."""
    file = tmp_path / "search-token"
    file.touch(0o600)
    file.write_text("re-ad_17\n")
    variables = {"PUPPET_ADMIN_TOKEN": "se-cret_42", "PUPPET_SEARCH_TOKEN_FILE": str(file)}
    bodies = {
        "/create_model": {"name": "later", "neural_network_type": "GRU"},
        "/search": MODEL | {"vector": ["connexion"]},
    }
    wanted = {"": (401, 401), "wrong": (401, 401), "re-ad_17": (401, 200), "se-cret_42": (200, 200)}
    with serving(tmp_path, store.root, ["--trainer", "none"], **variables) as server:
        said = []
        for token, statuses in wanted.items():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answers = [server.client.post(path, json=body, headers=headers) for path, body in bodies.items()]
            assert tuple(answer.status_code for answer in answers) == statuses, token
            said += [answer.text for answer in answers]
        wrong = {"Authorization": "Bearer wrong"}
        limited = [server.client.post("/search", json=bodies["/search"], headers=wrong).status_code for _ in range(9)]
        assert limited == [401] * 8 + [429]  # two have failed above

        said += [server.log_file.read_text()]
        said += [Path(f"/proc/{pid}/cmdline").read_text() for pid in (server.pid, *server.workers)]
        assert "127.0.0.1 has sent 10 wrong tokens" in server.log_file.read_text()
        assert not [text for text in said if "se-cret_42" in text or "re-ad_17" in text]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"G\0T /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /livez\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1e1\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /create_model HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 999999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 5000,
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)  # fmt: skip
def test_malformed_request_is_the_callers_fault(plain: Server, raw: bytes) -> None:
    """What is no proper request is answered with a 4xx or not at all, never a 5xx, and the next one is served."""
    answer = b""
    address = ("127.0.0.1", plain.port)
    with socket.create_connection(address, timeout=1.0) as connection:  # short on purpose: some are not answered
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65_536):
                answer += part

    status = answer.split(b" ", 2)[1:2]
    assert not answer or status[0].startswith((b"2", b"4")), answer
    assert b"Traceback" not in answer
    assert plain.client.get("/livez").status_code == 200


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Server]:
    """Give a server on an empty store that does not train."""
    with serving(folder, folder / "empty", ["--trainer", "none"]) as server:
        yield server


def test_client_that_leaves_in_the_middle_harms_nobody(plain: Server) -> None:
    """Connections that break off in the middle of a body leave no error in the log and the server serving."""
    head = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    for route in (b"search", b"test", b"predict", b"create_model", b"train_model"):
        with socket.create_connection(("127.0.0.1", plain.port), timeout=DEADLINE_S) as connection:
            connection.sendall(b"POST /" + route + b" HTTP/1.1\r\n" + head)

    assert plain.client.get("/livez").status_code == 200
    assert "Traceback" not in plain.log_file.read_text()


def test_connection_is_kept(plain: Server) -> None:
    """Ten requests of one client, refused ones among them, go over one connection."""
    with httpx.Client(base_url=f"http://127.0.0.1:{plain.port}") as client:
        answers = [client.get(path) for path in ["/livez", "/nope"] * 5]
        addresses = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}

    assert len(addresses) == 1


def test_store_that_did_not_exist_is_named(tmp_path: Path) -> None:
    """A slip of the pen in --store is one warning in the log, and not an empty server without a word."""
    with serving(tmp_path, tmp_path / "modles", PUPPET_TRAINER="none") as server:
        assert any("modles did not exist" in event["event"] for event in server.events)
