"""Callers without a pause: what counts as lost, and when they leave."""

import time
from collections.abc import Callable

import pytest

from benchmarks.load.callers import Outcomes, callers, num_lost
from benchmarks.load.client import Address, post
from tests.benchmarks.fake import GONE, fake_server, http

DEADLINE_S = 120.0  # only guards against a hang
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"


def until(outcomes: Outcomes, is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, outcomes
        time.sleep(0.002)


def test_every_status_is_counted_and_the_callers_leave_when_they_are_asked() -> None:
    """A refusal and an error are answers; nothing is lost, and every request that the server has seen is counted."""
    said = {5: http(503), 6: http(500)}
    with fake_server(lambda number: said.get(number, http(200))) as fake:
        with callers(fake.address, post(fake.address, "/search", b"{}"), 4) as (outcomes, stop):
            until(outcomes, lambda: outcomes[200] > 50)
            stop.set()

        assert (outcomes[503], outcomes[500], num_lost(outcomes)) == (1, 1, 0)
        assert sum(outcomes.values()) == len(fake.requests)


@pytest.mark.parametrize("answer", [None, b"nonsense\r\n\r\n"])
def test_request_without_a_whole_answer_is_lost(answer: bytes | None) -> None:
    """A server that hangs up on a request, or answers what cannot be read, has lost it; that caller leaves."""
    with fake_server(lambda number: answer if number == 20 else http(200)) as fake:
        with callers(fake.address, post(fake.address, "/search", b"{}"), 4) as (outcomes, stop):
            until(outcomes, lambda: num_lost(outcomes) > 0 and outcomes[200] > 50)
            stop.set()

        assert num_lost(outcomes) == 1
        assert sum(outcomes.values()) == len(fake.requests)


def test_connection_that_the_server_ends_is_left_and_loses_nothing() -> None:
    """An answer that says `connection: close` is not followed by a further request on that connection."""
    with fake_server(lambda _: LAST) as fake:
        with callers(fake.address, post(fake.address, "/search", b"{}"), 2) as (outcomes, stop):
            until(outcomes, lambda: outcomes[200] > 50)
            stop.set()

        assert num_lost(outcomes) == 0


def test_callers_leave_a_closed_port() -> None:
    """Once nobody listens the callers are gone, without being asked; a connection that never came up is no loss."""

    def answer(number: int) -> bytes:
        return http(200) if number < 40 else GONE if number == 40 else LAST

    with fake_server(answer) as fake, callers(fake.address, post(fake.address, "/search", b"{}"), 2) as (outcomes, _):
        until(outcomes, lambda: outcomes[200] >= 40)

    # The request that closed the port has no answer, nor has one whose connection waited to be accepted then.
    assert 1 <= num_lost(outcomes) <= 2


def test_connection_that_is_reset_while_it_comes_up_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that closes resets connections that it has not accepted; the caller leaves, and has lost nothing."""

    def reset(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("benchmarks.load.callers.Connection", reset)

    with callers(Address("127.0.0.1", 1), b"", 2) as (outcomes, _):
        pass

    assert not outcomes
