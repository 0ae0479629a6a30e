"""`python -m benchmarks latency`: its arithmetic, and one short run against a real server."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from artifacts.store.store import Store
from benchmarks.common import report
from benchmarks.common.machine import ROOT
from benchmarks.common.report import save
from benchmarks.common.rounds import MIN_ROUNDS
from benchmarks.load.client import NO_ANSWER, Address, Calls, post
from benchmarks.load.searches import NUM_TICKETS, OneAnswer, first_answers, make_tickets
from benchmarks.load.server import is_ready, running_server
from benchmarks.serving import latency
from benchmarks.serving.latency import (
    FloorTask,
    Quantiles,
    Round,
    Rounds,
    over_loops,
    over_rounds,
    quantiles,
    time_floor,
    why_void,
)
from tests.benchmarks.fake import fake_server, http

MILLISECOND = 1e-3


def lateness(*p99_ms: float) -> Rounds:
    """Return the lateness of one round for each p99."""
    return over_rounds([Quantiles(0.0, 0.0, p99, p99) for p99 in p99_ms])


def benchmark(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Return what `python -m benchmarks` did."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def last_line(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the JSON on the last line of stdout."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_quantiles_are_in_milliseconds() -> None:
    """Of 1, 2, ... 101 ms the median is 51, the 95th percentile 96, the 99th 100, the greatest 101."""
    seconds_N = np.random.default_rng(0).permutation(np.arange(1, 102)) * MILLISECOND

    assert quantiles(seconds_N) == Quantiles(51.0, 96.0, 100.0, 101.0)


def test_round_without_an_answer_has_no_latency() -> None:
    """Nothing answered is an error and not a latency of zero."""
    with pytest.raises(click.ClickException, match="no request was answered"):
        quantiles(np.array([]))


def test_rounds_give_median_lowest_and_highest_of_each_quantile() -> None:
    """One slow round moves the highest and not the median; the quantiles are taken each for itself."""
    rounds = [Quantiles(1.0, 9.0, 10.0, 11.0), Quantiles(2.0, 5.0, 6.0, 7.0), Quantiles(30.0, 40.0, 50.0, 60.0)]

    found = over_rounds(rounds)

    assert found.median == Quantiles(2.0, 9.0, 10.0, 11.0)
    assert found.lowest == Quantiles(1.0, 5.0, 6.0, 7.0)
    assert found.highest == Quantiles(30.0, 40.0, 50.0, 60.0)
    assert found.rounds == rounds


def test_loop_counts_over_all_rounds() -> None:
    """Two rounds of four calls: two good ones each, one refused, one failed or lost."""

    def calls(status: int, num_waited: int) -> Calls:
        times_N = np.arange(4.0)
        statuses = np.array([200, 200, 503, status], np.int16)
        return Calls(times_N, times_N, times_N + MILLISECOND, statuses, num_waited)

    found = over_loops([calls(500, 1), calls(NO_ANSWER, 2)])

    assert (found.num_calls, found.num_answered, found.num_refused, found.num_errors) == (8, 4, 2, 2)
    assert found.num_waited == 3
    assert found.latency.median.p50_ms == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rounds", "num_reasons"),
    [
        (lateness(*[1.0] * MIN_ROUNDS), 0),
        (lateness(*[0.01] * (MIN_ROUNDS - 1), 1.01), 1),
        (lateness(*[math.nan] * MIN_ROUNDS), 1),
        (lateness(*[0.01] * (MIN_ROUNDS - 1)), 1),
        (lateness(2.0), 2),
    ],
)
def test_late_generator_or_too_few_rounds_void_the_run(rounds: Rounds, num_reasons: int) -> None:
    """A lateness over 1 ms at p99 in a single round of five voids all; so do four rounds."""
    assert len(why_void(rounds)) == num_reasons


def test_tickets_are_of_the_asked_length_and_the_same_for_a_seed() -> None:
    """Synthetic tickets come from the seed alone, and the open loop sends the same ones."""
    tickets = make_tickets(None, 30, seed=1)

    assert [len(ticket) for ticket in tickets.fixed] == [30] * NUM_TICKETS
    assert len({tuple(ticket) for ticket in tickets.fixed}) > NUM_TICKETS // 2
    assert tickets.mixed == tickets.fixed
    assert tickets == make_tickets(None, 30, seed=1)
    assert tickets.fixed != make_tickets(None, 30, seed=2).fixed


def test_tickets_of_a_file_are_sent_as_they_are(tmp_path: Path) -> None:
    """The open loop sends raw text as text and tokens as tokens; the fixed ones are cut from the normalised tokens."""
    data = tmp_path / "tickets.jsonl"
    data.write_text(
        '{"category": "a", "text": "L\'accès est FERMÉ"}\n{"category": "b", "tokens": ["Un", "mot de passe"]}'
    )

    tickets = make_tickets(data, 4, seed=0)

    assert sorted(tickets.mixed, key=str) == ["L'accès est FERMÉ", ["Un", "mot de passe"]]
    words = {"l'", "accès", "est", "fermé", "un", "mot de passe"}
    assert {word for ticket in tickets.fixed for word in ticket} == words
    assert all(len(ticket) == 4 for ticket in tickets.fixed)


def test_floor_times_each_run(store: Store) -> None:
    """As many positive times as runs were asked for."""
    task = FloorTask(str(store.root), "puppet-o2", 1, 7, None, [["connexion", "inconnu"], ["client"]])

    seconds_N = time_floor(task)

    assert seconds_N.shape == (7,)
    assert (seconds_N > 0).all()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (http(404, b'{"detail": "Model not found"}'), "404.*Model not found"),
        (http(200, b"{}"), "no search"),
        (http(200, b'{"category":"a","confidence":1,"unknown_tokens":[],"num_truncated_tokens":0}'), "no search"),
        (None, "no search"),
    ],
)
def test_what_is_no_search_is_not_timed(raw: bytes | None, said: str) -> None:
    """Before anything is timed each ticket is asked once; an error or another program's answer ends the benchmark."""
    with fake_server(lambda _: raw) as fake, pytest.raises(click.ClickException, match=said):
        first_answers(fake.address, [post(fake.address, "/search", b"{}")], OneAnswer)


def test_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    """A store that others may enter is refused by the server, and its words are in the error."""
    tmp_path.chmod(0o755)

    with pytest.raises(click.ClickException, match="chmod 700"), running_server(tmp_path):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "https://127.0.0.1"),
        ("--url", "127.0.0.1:8000"),
        ("--rate", "0"),
        ("--tokens", "513"),
        ("--rounds", "0"),
    ],
)
def test_wrong_option_is_refused(arguments: tuple[str, str]) -> None:
    """A value outside its range is a usage error, before anything is started."""
    done = benchmark("latency", *arguments)

    assert done.returncode == 2
    assert arguments[0] in done.stderr


@pytest.mark.system
def test_run_against_a_server_of_its_own(store: Store) -> None:
    """Rate 50 for 1 s against puppet-serve: the table, then one line of JSON that has everything. No time is judged."""
    options = ["--store", str(store.root), "--rate", "50", "--seconds", "1", "--calls", "20", "--warmup", "0.1"]

    done = benchmark("latency", *options, "--rounds", "1", "--tokens", "30", "--seed", "5")

    found = last_line(done)
    numbers = found["numbers"]
    assert found["topic"] == "latency"
    assert set(found["machine"]) == {"cpu", "num_cores", "system", "load_average"}
    assert set(found["source"]) == {"git_sha", "is_dirty", "python", "libraries"}
    assert {name: found["settings"][name] for name in ("rate", "seconds", "tokens", "seed", "name")} == {
        "rate": 50.0,
        "seconds": 1.0,
        "tokens": 30,
        "seed": 5,
        "name": "puppet-o2",
    }
    assert numbers["closed_loop"]["num_calls"] == numbers["closed_loop"]["num_answered"] == 20
    assert 20 < numbers["open_loop"]["num_calls"] < 90  # 50, and 5 standard deviations of a Poisson count
    assert numbers["open_loop"]["num_calls"] == numbers["open_loop"]["num_answered"]
    assert (numbers["open_loop"]["num_errors"], numbers["open_loop"]["num_refused"]) == (0, 0)
    for rounds in (numbers["floor"], numbers["closed_loop"]["latency"], numbers["open_loop"]["latency"]):
        assert 0 < rounds["median"]["p50_ms"] <= rounds["median"]["p95_ms"] <= rounds["median"]["p99_ms"]
        assert len(rounds["rounds"]) == 1
    over = numbers["closed_loop"]["latency"]["median"]["p50_ms"] / numbers["floor"]["median"]["p50_ms"]
    assert numbers["closed_over_floor"] == pytest.approx(over, abs=0.01)
    assert {"p50_ms", "p99_ms", "max_ms"} <= set(numbers["lateness"]["median"])
    assert any("1 rounds" in reason for reason in numbers["void_because"])
    assert "VOID: 1 rounds" in done.stdout
    assert numbers["model_version"] == 1
    assert numbers["server"]["ready_s"]["median"] > 0
    assert numbers["server"]["resident_mb"]["median"] > 10
    for words in ("the model's run alone", "one connection, closed loop", "open loop, 50 a second", "lateness"):
        assert words in done.stdout


@pytest.mark.system
def test_run_against_a_server_that_is_there(store: Store) -> None:
    """With --url nothing is started or ended, and without the store there is no floor and no ratio."""
    with running_server(store.root) as server:
        options = ["--rate", "50", "--seconds", "0.5", "--calls", "5", "--warmup", "0", "--rounds", "1"]
        done = benchmark("latency", "--url", server.url, *options)
        refused = benchmark("latency", "--url", server.url, "--name", "untrained", *options)
        address_is_served = is_ready(Address.of(server.url))

    numbers = last_line(done)["numbers"]
    assert (numbers["floor"], numbers["closed_over_floor"], numbers["open_over_floor"]) == (None, None, None)
    assert numbers["server"] is None
    assert numbers["closed_loop"]["num_answered"] == 5
    assert "No floor" in done.stdout
    assert refused.returncode == 1
    assert "Model not trained yet" in refused.stderr
    assert address_is_served
    assert not is_ready(Address.of(server.url))  # the context has ended it


@pytest.mark.parametrize(("num_rounds", "is_saved"), [(MIN_ROUNDS, True), (MIN_ROUNDS - 1, False)])
def test_void_run_is_not_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_rounds: int, is_saved: bool
) -> None:
    """`--save` keeps a result; a void run is shown to its JSON line, not kept, and the exit status says so."""
    times_N = np.arange(1.0, 11.0)
    calls = Calls(times_N, times_N, times_N + MILLISECOND, np.full(10, 200, np.int16), 0)
    one = Round(np.full(10, MILLISECOND / 2), calls, calls, None, None, 3, 0.0)
    monkeypatch.setattr(latency, "measure_round", lambda *_: one)
    monkeypatch.setattr(report, "save", lambda found, sheets, *_: save(found, sheets, (), tmp_path))

    done = CliRunner().invoke(
        latency.latency_command, ["--url", "http://127.0.0.1:1", "--rounds", str(num_rounds), "--save"]
    )

    found = json.loads(done.stdout.splitlines()[-1])
    assert found["numbers"]["closed_over_floor"] == 2.0
    assert len(list(tmp_path.iterdir())) == (2 if is_saved else 0)
    assert done.exit_code == (0 if is_saved else 1)
    assert ("a void run is not saved" in done.stderr) is not is_saved
