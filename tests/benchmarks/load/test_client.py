"""The load generator: arrivals fixed beforehand, latency from the intended time, everything counted."""

import asyncio
import time

import httptools
import numpy as np
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.client import (
    NO_ANSWER,
    Address,
    BadAnswer,
    Calls,
    Connection,
    Seconds,
    closed_loop,
    open_loop,
    parse,
    post,
    schedule,
)
from tests.benchmarks.fake import GONE, Stall, fake_server, http

STALL_S = 0.3


def opened(address: Address, arrivals_N: Seconds, num_connections: int = 8, timeout_s: float = 120.0) -> Calls:
    """Return an open loop's calls, run as the benchmark runs it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        request = post(address, "/search", b"{}")
        return runner.run(open_loop(address, [request], arrivals_N, num_connections, timeout_s))


def num_across(calls: Calls, moment: float) -> int:
    """Return how many requests were meant to be under way at a moment and had their answer after it."""
    return int(((calls.intended_s <= moment) & (calls.answered_s > moment)).sum())


def test_schedule_is_the_same_for_a_seed() -> None:
    """The same seed gives the same arrivals, another one gives others."""
    first_N = schedule(100.0, 2.0, [7, 0])

    assert np.array_equal(first_N, schedule(100.0, 2.0, [7, 0]))
    assert not np.array_equal(first_N[:20], schedule(100.0, 2.0, [8, 0])[:20])


def test_schedule_is_a_poisson_process() -> None:
    """20 s at 500 a second: about 10,000 arrivals, in order, their gaps with mean and deviation of 1/500 s.

    5 standard errors each: 5 * sqrt(10000) = 500 arrivals and 5 % of a gap. Even spacing would have deviation 0. The
    count itself varies: over 200 seeds its variance is its mean, 100, within 5 * 100 * sqrt(2 / 200) = 50.
    """
    arrivals_N = schedule(500.0, 20.0, [1])
    gaps = np.diff(arrivals_N)
    counts = [len(schedule(100.0, 1.0, [seed])) for seed in range(200)]

    assert abs(len(arrivals_N) - 10_000) < 500
    assert arrivals_N.min() >= 0
    assert arrivals_N.max() < 20.0
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(1 / 500, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 500, rel=0.05)
    assert abs(np.var(counts) - 100) < 50


def test_request_is_read_by_an_independent_parser() -> None:
    """httptools, which serves behind uvicorn, finds method, path, headers and body."""
    headers: dict[bytes, bytes] = {}
    bodies: list[bytes] = []
    urls: list[bytes] = []

    class Events:
        def on_url(self, url: bytes) -> None:
            urls.append(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            headers[name.lower()] = value

        def on_body(self, body: bytes) -> None:
            bodies.append(body)

    body = '{"name": "été"}'.encode()
    parser = httptools.HttpRequestParser(Events())
    parser.feed_data(post(Address("127.0.0.1", 8123), "/search", body))

    assert parser.get_method() == b"POST"
    assert urls == [b"/search"]
    assert headers[b"host"] == b"127.0.0.1:8123"
    assert headers[b"content-type"] == b"application/json"
    assert b"".join(bodies) == body
    assert parser.should_keep_alive()


@given(body=st.binary(max_size=40), cut=st.integers(min_value=0, max_value=200))
def test_answer_is_whole_or_not_yet(body: bytes, cut: int) -> None:
    """Any proper beginning of an answer is "not yet"; the whole gives status and body."""
    raw = http(503, body)

    assert parse(raw[: min(cut, len(raw) - 1)]) is None
    assert parse(raw) == (503, body)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-content-length: 2\r\n\r\n{}",
        b"SSH-2.0 hello\r\ncontent-length: 0\r\n\r\n",
        http(200, b"{}") + b"more",
    ],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    """An answer without length, of another protocol or longer than it says is an error and not a guess."""
    with pytest.raises(BadAnswer):
        parse(raw)


@pytest.mark.parametrize("url", ["https://127.0.0.1:8000", "127.0.0.1:8000", "http://h/search", "http://"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    """Only http://HOST:PORT is an address."""
    with pytest.raises(ValueError, match="is not of the form"):
        Address.of(url)


def test_url_gives_host_and_port() -> None:
    """The port defaults to 80, and an IPv6 host loses its brackets here and has them again in the Host header."""
    assert Address.of("http://localhost:8000/") == ("localhost", 8000)
    assert Address.of("http://[::1]") == ("::1", 80)
    assert b"\r\nHost: [::1]:80\r\n" in post(Address("::1", 80), "/", b"")


def test_latency_counts_from_the_intended_time_and_of_good_answers_only() -> None:
    """Intended at 1, sent at 3, answered at 7: latency 6, lateness 2; the refused and the failed are only counted."""
    calls = Calls(
        intended_s=np.array([1.0, 2.0, 3.0, 4.0]),
        sent_s=np.array([3.0, 2.0, 3.5, 4.0]),
        answered_s=np.array([7.0, 2.5, 9.0, np.nan]),
        statuses=np.array([200, 503, 500, NO_ANSWER], np.int16),
        num_waited=0,
    )

    assert calls.latency_s.tolist() == [6.0]
    assert calls.lateness_s.tolist() == [2.0, 0.0, 0.5, 0.0]
    assert (calls.num_refused, calls.num_errors) == (1, 2)


@pytest.mark.parametrize("num_connections", [1, 64])
def test_open_loop_shows_a_stall_in_every_request_that_queued_behind_it(num_connections: int) -> None:
    """A request meant for a moment of the stall has all the rest of the stall in its latency, sent or waiting."""
    stall = Stall(at=40, seconds=STALL_S)
    arrivals_N = schedule(200.0, 1.0, [3])
    with fake_server(stall) as fake:
        calls = opened(fake.address, arrivals_N, num_connections)

    behind_N = (calls.intended_s > stall.start) & (calls.intended_s < stall.end)
    assert behind_N.sum() > 20  # about 60 of the schedule
    assert (calls.answered_s[behind_N] >= stall.end).all()
    latency_N = calls.answered_s - calls.intended_s
    assert (latency_N[behind_N] >= stall.end - calls.intended_s[behind_N]).all()
    assert np.sort(calls.latency_s).tolist() == np.sort(latency_N).tolist()
    assert num_across(calls, stall.end) > 20


def test_closed_loop_hides_a_stall() -> None:
    """The same stall touches one call of the closed loop: it asks nothing while it waits. Hence the open loop."""
    stall = Stall(at=40, seconds=STALL_S)
    with fake_server(stall) as fake:
        calls = closed_loop(fake.address, [post(fake.address, "/search", b"{}")], 200)

    assert num_across(calls, stall.end) == 1
    assert calls.latency_s[40] >= STALL_S
    assert ((calls.intended_s > stall.start) & (calls.intended_s < stall.end)).sum() == 0


@pytest.mark.parametrize("stall", [Stall(at=40, seconds=STALL_S), Stall(at=-1, seconds=0.0)])
def test_arrivals_are_absolute(stall: Stall) -> None:
    """What the server does moves no intended time: they are the schedule, shifted by one number."""
    arrivals_N = schedule(200.0, 1.0, [3])
    with fake_server(stall) as fake:
        calls = opened(fake.address, arrivals_N)

    shifts_N = calls.intended_s - arrivals_N
    assert np.ptp(shifts_N) < 1e-6
    assert (calls.sent_s >= calls.intended_s).all()
    assert (calls.statuses == 200).all()
    assert len(fake.requests) == len(arrivals_N)


def test_wait_for_a_connection_is_latency_and_not_lateness() -> None:
    """With one connection the stall makes others wait; the generator turned to them in time, before the stall ended."""
    stall = Stall(at=40, seconds=STALL_S)
    with fake_server(stall) as fake:
        calls = opened(fake.address, schedule(200.0, 1.0, [3]), num_connections=1)

    behind_N = (calls.intended_s > stall.start) & (calls.intended_s < stall.end)
    assert calls.num_waited >= behind_N.sum() - 1
    assert calls.sent_s[behind_N].min() < stall.end
    assert len(fake.requests) == len(calls.statuses)


def test_late_generator_is_found_out() -> None:
    """A generator that stands still for 200 ms is late for the arrivals of that time, and their latency has it too."""
    arrivals_N = schedule(200.0, 0.5, [3])
    moments: list[float] = []

    def stand_still() -> None:
        moments.append(time.perf_counter())
        time.sleep(0.2)
        moments.append(time.perf_counter())

    async def run(address: Address) -> Calls:
        asyncio.get_running_loop().call_later(0.1, stand_still)
        return await open_loop(address, [post(address, "/search", b"{}")], arrivals_N, 8)

    with fake_server(lambda _: http(200)) as fake, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        calls = runner.run(run(fake.address))

    start, end = moments
    missed_N = (calls.intended_s > start) & (calls.intended_s < end)
    assert missed_N.sum() > 10
    assert (calls.sent_s[missed_N] >= end).all()
    assert (calls.lateness_s[missed_N] >= end - calls.intended_s[missed_N]).all()
    assert (calls.latency_s >= calls.lateness_s).all()


def test_refusals_errors_and_lost_connections_are_counted_apart() -> None:
    """Of 50 requests three are refused, one fails, two are hung up on, one is answered with nonsense."""
    said = {10: http(503), 11: http(503), 12: http(503), 20: http(500), 30: None, 31: None, 40: b"nonsense\r\n\r\n"}
    with fake_server(lambda number: said.get(number, http(200))) as fake:
        calls = opened(fake.address, np.linspace(0.0, 0.2, 50), num_connections=2)

    assert len(fake.requests) == 50
    assert (calls.num_refused, calls.num_errors) == (3, 4)
    assert len(calls.latency_s) == 43
    assert np.isnan(calls.answered_s).sum() == 3


def test_closed_loop_counts_the_same_way() -> None:
    """A refusal, an error and a lost connection are not in the latency, and the loop goes on on a new connection."""
    said = {1: http(503), 2: http(500), 3: None}
    with fake_server(lambda number: said.get(number, http(200))) as fake:
        calls = closed_loop(fake.address, [b"GET /a HTTP/1.1\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\n"], 6)

    assert calls.statuses.tolist() == [200, 503, 500, NO_ANSWER, 200, 200]
    assert (calls.num_refused, calls.num_errors, len(calls.latency_s)) == (1, 2, 3)
    assert [request[5:6] for request in fake.requests] == [b"a", b"b"] * 3


@pytest.mark.parametrize("seconds", [0.3, 0.0])
def test_server_that_goes_away_ends_in_errors_and_not_in_a_hang(seconds: float) -> None:
    """Once nobody listens, every further request is an error at once, and so is each that waits for a connection."""

    async def run(address: Address) -> Calls:
        request = post(address, "/search", b"{}")
        arrivals_N = np.linspace(0.0, seconds, 60)
        # Far sooner than the loop's own limit, at which it would give up on what has been forgotten.
        return await asyncio.wait_for(open_loop(address, [request], arrivals_N, 2, timeout_s=600), 120)

    gone = fake_server(lambda number: http(200) if number < 5 else GONE)
    with gone as fake, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        calls = runner.run(run(fake.address))

    assert (calls.statuses == 200).sum() == 5
    assert calls.num_errors == 55
    assert not np.isnan(calls.lateness_s).any()


def test_answer_that_never_comes_is_an_error() -> None:
    """A server that takes requests and says nothing gives errors after the time limit."""
    with fake_server(lambda _: b"") as fake:
        calls = opened(fake.address, np.array([0.0, 0.01, 0.02]), num_connections=2, timeout_s=0.1)

    assert calls.num_errors == 3
    assert calls.num_waited == 1
    assert len(calls.latency_s) == 0


def test_no_arrival_is_no_call() -> None:
    """A schedule without arrivals (a short warm-up at a low rate) ends at once."""
    with fake_server(lambda _: http(200)) as fake:
        calls = opened(fake.address, np.array([]))

    assert len(calls.statuses) == 0
    assert fake.requests == []


def test_nobody_listening_is_said() -> None:
    """A connection to a port that nobody listens on raises what the system says."""
    with fake_server(lambda _: None) as fake:
        pass

    with pytest.raises(ConnectionRefusedError):
        Connection(fake.address)
