"""What is counted, how workers add it up, and what Prometheus reads of it."""

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from prometheus_client.parser import text_string_to_metric_families

from inference.app import create_app
from inference.monitoring import prometheus
from inference.monitoring.counters import SECONDS, TICKETS, Counters, empty
from inference.monitoring.shared_counters import HEAD, SLOT_BYTES, Board, open_board
from inference.monitoring.tracing import trace
from inference.search.context import RequestContext
from inference.settings import Settings
from tests.inference.conftest import connect
from tests.inference.helpers import CONNECTION, MODEL

BODY = MODEL | {"vector": CONNECTION}
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Return a Prometheus text as name and labels -> value, by the client library's own reader."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(found: Samples) -> dict[tuple[str, str, str], float]:
    """Return how many requests there were by method, route and status."""
    return {
        (labels["method"], labels["route"], labels["status"]): value
        for (name, pairs), value in found.items()
        for labels in [dict(pairs)]
        if name == "puppet_requests_total"
    }


async def read(client: httpx.AsyncClient) -> Samples:
    """Return what /metrics says."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(response.text)


@pytest.fixture
def board_fd() -> Iterator[int]:
    """Give an empty board."""
    fd = open_board()
    yield fd
    os.close(fd)


@pytest.mark.anyio
async def test_requests_are_counted_by_template(app: Litestar, client: httpx.AsyncClient) -> None:
    """Each request counts once, under its route's template, method and status; paths of nobody share one name."""
    for _ in range(3):
        await client.post("/search", json=BODY)
    await client.post("/search", content=b"{", headers={"content-type": "application/json"})
    await client.get("/models/puppet-o2")
    await client.get("/models/nobody")
    await client.get("/nope")
    await client.get("/nope/again")
    await client.request("BREW", "/livez")
    app.state.batcher.admission.waiting_tokens = 10**6
    await client.post("/search", json=BODY)
    app.state.batcher.admission.waiting_tokens = 0

    found = await read(client)

    assert requests(found) == {
        ("POST", "/search", "200"): 3,
        ("POST", "/search", "400"): 1,
        ("POST", "/search", "503"): 1,
        ("GET", "/models/{name}", "200"): 1,
        ("GET", "/models/{name}", "404"): 1,
        ("GET", "none", "404"): 2,
        ("other", "none", "405"): 1,
    }
    assert found[("puppet_request_seconds_count", (("route", "/search"),))] == 5
    assert 0 < found[("puppet_request_seconds_sum", (("route", "/search"),))] < 60
    assert found[("puppet_refusals_total", (("why", "full"),))] == 1
    assert found[("puppet_model_version", (("model", "puppet-o2"),))] == 1
    assert found[("puppet_model_engine", (("engine", "onnxruntime"), ("model", "puppet-o2")))] == 1
    assert found[("puppet_queue_tokens", ())] == 0


@pytest.mark.anyio
async def test_batches_are_counted_in_tickets(client: httpx.AsyncClient) -> None:
    """A run of a model counts once, with its tickets, on the loop and in the thread."""
    await client.post("/search", json=MODEL | {"vectors": [CONNECTION] * 5})
    await client.post("/search", json=MODEL | {"vectors": [CONNECTION] * 1000})

    found = await read(client)
    await client.post("/search", json=MODEL | {"vector": CONNECTION, "explain": True})
    explained = await read(client)

    assert found[("puppet_batch_tickets_count", ())] == 2
    assert found[("puppet_batch_tickets_sum", ())] == 1005
    # The answer, then in one run the ticket once more and without each of its tokens.
    assert explained[("puppet_batch_tickets_count", ())] == 4
    assert explained[("puppet_batch_tickets_sum", ())] == 1005 + 1 + (1 + len(CONNECTION))
    assert [found[("puppet_batch_tickets_bucket", (("le", le),))] for le in ("4.0", "8.0", "512.0", "4096.0")] == [
        0, 1, 1, 2,
    ]  # fmt: skip


@pytest.mark.anyio
async def test_metrics_say_nothing_of_tickets(client: httpx.AsyncClient) -> None:
    """No word of a ticket and no path of a caller stands in the metrics."""
    await client.post("/search", json=MODEL | {"vector": ["canary"]})
    await client.post("/search", json=MODEL | {"name": "canary", "vector": ["a"]})
    await client.get("/canary")

    assert "canary" not in (await client.get("/metrics")).text


@pytest.mark.anyio
async def test_workers_are_added_up(settings: Settings, board_fd: int) -> None:
    """Whichever worker is asked, what another has shown is in its answer; a successor goes on where one ended."""
    first = create_app(settings, board=Board(board_fd, 1))
    second = create_app(settings, board=Board(board_fd, 2))
    async with first.lifespan(), connect(first) as client:
        await first.state.registry.refresh()
        for _ in range(4):
            await client.post("/search", json=BODY)
        first.state.board.hang(first.state.counters)
    async with second.lifespan(), connect(second) as client:
        await second.state.registry.refresh()
        await client.post("/search", json=BODY)
        together = await read(client)
    again = create_app(settings, board=Board(board_fd, 1))

    assert requests(together)[("POST", "/search", "200")] == 5
    assert again.state.counters.requests == {"POST /search 200": 4}


def test_counters_merge() -> None:
    """Counts and buckets are added, of a version the newest is kept, and what one lacks is taken as it is."""
    one, other = Counters(), Counters()
    for counters, seconds in ((one, 0.003), (other, 0.003), (other, 100.0)):
        counters.count_request("POST /search 200", "/search", seconds)
    other.count_request("GET /livez 200", "/livez", 0.0)
    other.count_refusal("late")
    one.batches.add(TICKETS, 8)
    other.batches.add(TICKETS, 9)
    one.queue_tokens, other.queue_tokens = 5, 7
    one.engines, other.engines = {"a fused": 1, "b fused": 1}, {"a fused": 1, "b onnxruntime": 1}
    one.versions, other.versions = {"a": 3}, {"a": 2, "b": 1}

    one.merge(other)

    assert one.requests == {"POST /search 200": 3, "GET /livez 200": 1}
    expected = empty(SECONDS)
    expected.counts[SECONDS.index(0.005)] = 2
    expected.counts[-1] = 1
    assert one.seconds["/search"].counts == expected.counts
    assert one.seconds["/search"].sum == pytest.approx(100.006)
    assert (one.batches.counts[3], one.batches.counts[4], one.batches.sum) == (1, 1, 17)
    assert one.refusals == {"late": 1}
    assert one.queue_tokens == 12
    assert one.versions == {"a": 3, "b": 1}
    assert one.engines == {"a fused": 2, "b fused": 1, "b onnxruntime": 1}


def test_board_shows_what_was_hung_last(board_fd: int) -> None:
    """Each worker sees the others' last counters and its own; torn, foreign and empty slots are left out."""
    boards = [Board(board_fd, number) for number in (1, 2, 4)]
    assert boards[0].own() == Counters()
    assert boards[0].others() == []
    for number, board in enumerate(boards, 1):
        board.hang(Counters(queue_tokens=99))
        board.hang(Counters(queue_tokens=number))

    assert [counters.queue_tokens for counters in boards[1].others()] == [1, 3]
    assert boards[1].own().queue_tokens == 2
    os.pwrite(board_fd, b"x", HEAD.size)
    assert [counters.queue_tokens for counters in boards[1].others()] == [3]
    assert boards[0].own() == Counters()


def test_board_keeps_the_last_that_fits(board_fd: int) -> None:
    """Counters that outgrow their slot do not run into the next one."""
    boards = [Board(board_fd, number) for number in (1, 2)]
    for number, board in enumerate(boards, 1):
        board.hang(Counters(queue_tokens=number))

    boards[0].hang(Counters(versions={f"model-{number}": number for number in range(SLOT_BYTES // 10)}))

    assert boards[1].own().queue_tokens == 2
    assert boards[0].own().queue_tokens == 1


def test_counters_as_text_are_read_back() -> None:
    """The text of hand-made counters has their numbers, cumulated where Prometheus wants it."""
    counters = Counters(versions={"a": 3})
    counters.count_request("POST /search 200", "/search", 0.0015)

    found = samples(prometheus.summed(msgspec.json.encode(counters), None).decode())

    assert found[("puppet_request_seconds_bucket", (("le", "0.001"), ("route", "/search")))] == 0
    assert found[("puppet_request_seconds_bucket", (("le", "0.002"), ("route", "/search")))] == 1
    assert found[("puppet_request_seconds_bucket", (("le", "+Inf"), ("route", "/search")))] == 1
    assert found[("puppet_model_version", (("model", "a"),))] == 3
    assert prometheus.text(counters) == prometheus.text(counters)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/search", "/livez", "/nope"])
async def test_request_id_comes_back(client: httpx.AsyncClient, path: str) -> None:
    """Every answer has the id of its request; one without gets its own, and so does one whose id no log should hold."""

    async def asked(headers: dict[str, str]) -> str:
        response = await client.post(path, json=BODY, headers=headers)
        return response.headers["x-request-id"]

    assert await asked({"x-request-id": "a1-B2.c:3"}) == "a1-B2.c:3"
    made = [await asked(headers) for headers in ({}, {}, {"x-request-id": 'a" b'}, {"x-request-id": "a" * 129})]
    assert len(set(made)) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in made)


@pytest.mark.parametrize(
    ("parent", "trace_flags"),
    [
        (PARENT, (b"a" * 32, b"01")),
        (PARENT.replace("00-", "cc-", 1) + "-more", (b"a" * 32, b"01")),
        (PARENT.replace("00-", "ff-", 1), None),
        (PARENT.replace("a", "0"), None),
        (PARENT.replace("b", "0"), None),
        (PARENT.upper(), None),
        (PARENT[:-1], None),
        ("", None),
    ],
)
def test_trace_goes_on(parent: str, trace_flags: tuple[bytes, bytes] | None) -> None:
    """A valid traceparent comes back with its trace and flags and a span of ours; another one is ignored."""
    request_id, headers = trace({b"traceparent": parent.encode()})
    answered = dict(headers).get(b"traceparent")

    assert dict(headers)[b"x-request-id"] == request_id
    if trace_flags is None:
        assert answered is None
    else:
        assert answered is not None
        version, trace_id, span, flags = answered.split(b"-")
        assert (version, trace_id, flags) == (b"00", *trace_flags)
        assert re.fullmatch(rb"[0-9a-f]{16}", span)
        assert span not in (b"b" * 16, b"0" * 16)


@pytest.mark.anyio
@pytest.mark.parametrize("fields", [{"vector": CONNECTION}, {"vectors": [CONNECTION] * 1000}])
async def test_server_timing_has_the_stages(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """An answer says how many milliseconds each stage took; they are the answer's own, and come to no more than it."""
    response = await client.post("/search", json=MODEL | fields)

    stages = dict(re.findall(r"(\w+);dur=(\d+\.\d{3})(?:, |$)", response.headers["server-timing"]))
    assert list(stages) == ["parse", "ids", "queue", "model"]
    assert all(float(stages[name]) > 0 for name in ("parse", "ids", "model"))
    assert sum(map(float, stages.values())) <= 1.1 * response.elapsed.total_seconds() * 1000


def test_stages_of_nothing_are_zero() -> None:
    """A caller that has not been served yet has spent no time."""
    assert RequestContext().server_timing() == "parse;dur=0.000, ids;dur=0.000, queue;dur=0.000, model;dur=0.000"
