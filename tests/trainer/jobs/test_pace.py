"""What is left of a training, by a clock of our own; hand-worked."""

import pytest

from trainer.jobs.pace import OUTSIDE_S, Estimate, Pace, Round, starting_with

ROUNDS = [Round("parts", 75.0, 4, 4, 10, 1), Round("all", 100.0, 1, 1, 10, 1)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def estimate(clock: list[float]) -> Estimate:
    """Return the estimate of a training in four folds that begins now."""
    made = Estimate()
    made.plan(ROUNDS)
    return made


def test_nothing_is_known_before_the_first_step(estimate: Estimate, clock: list[float]) -> None:
    """Neither while data is read nor while the linear parts are fitted: the networks take most of the time."""
    for phase in ("read", "check", "linear"):
        estimate.phase(phase)
        clock[0] += 1.0
        assert estimate.seconds_left() is None
    estimate.fitted(75)
    assert estimate.seconds_left() is None


def test_whole_training_is_counted_from_the_first_steps(estimate: Estimate, clock: list[float]) -> None:
    """A linear part in 3 s is .04 s a ticket; 50 tickets a second then make 60 + 12 and 20 + 4 s, of which 4 are over.

    Four networks of 75 tickets and 10 epochs read 3,000 tickets, in 60 s; four linear parts take 3 s each. Then one of
    each learns from 100: 1,000 tickets read are 20 s, and the linear part is 4.
    """
    estimate.phase("linear")
    clock[0] += 3.0
    estimate.fitted(75)
    estimate.phase("network")
    estimate.start(75, 10)
    clock[0] += 0.5
    estimate.step(1, 25)  # with what PyTorch does once
    clock[0] += 0.5
    estimate.step(1, 50)

    assert estimate.seconds_left() == pytest.approx(60 + 12 - 4 + 20 + 4)


def test_first_step_counts_until_there_is_a_second(estimate: Estimate, clock: list[float]) -> None:
    """Of a network with one step an epoch the first epoch is all that is known."""
    estimate.plan([])
    estimate.phase("network")
    estimate.start(10, 8)
    clock[0] += 2.0
    estimate.step(1, 10)
    first = estimate.seconds_left()
    clock[0] += 1.0
    estimate.step(2, 10)

    assert first == pytest.approx(7 * 2.0)
    assert estimate.seconds_left() == pytest.approx(6 * 1.0)


def test_round_that_takes_longer_than_it_should_is_never_less_than_its_network(
    estimate: Estimate, clock: list[float]
) -> None:
    """Another process may hold the round up; what this one has still to read is left in any case."""
    estimate.plan(ROUNDS[:1])
    clock[0] += 1000.0
    estimate.phase("network")
    estimate.start(75, 10)
    estimate.step(1, 25)
    clock[0] += 1.0
    estimate.step(1, 75)

    assert estimate.seconds_left() == pytest.approx(9 * 75 / 50)


def test_between_the_rounds_the_next_ones_are_left(estimate: Estimate, clock: list[float]) -> None:
    """While the temperature is sought, the training on every ticket is to come; at the export nothing that is known."""
    estimate.phase("network")
    estimate.start(75, 10)
    estimate.step(1, 25)
    clock[0] += 1.0
    estimate.step(1, 75)

    estimate.plan(starting_with("all", ROUNDS))
    estimate.phase("calibrate")
    assert estimate.seconds_left() == pytest.approx(1000 / 50)
    estimate.plan(starting_with("out_of_scope", ROUNDS))
    estimate.phase("export")
    assert estimate.seconds_left() is None


def test_lone_network_is_one_process_s_work() -> None:
    """On two processes one GRU takes all of its time, and the linear parts go on next to it."""
    one = Round("parts", 100.0, 1, 3, 10, 2)

    assert one.seconds(Pace(0.01, 0.001)) == pytest.approx(10.0)
    assert Round("parts", 100.0, 2, 0, 10, 2).seconds(Pace(0.01, 0.001)) == pytest.approx(10.0)


def test_whole_time_is_said_once_and_kept(estimate: Estimate, clock: list[float]) -> None:
    """Known after a second of steps: 6 s outside the rounds, 4 s so far, and the 92 s of the test above; then it stays.

    That the machine is slower from then on changes what is left, and not what was said.
    """
    estimate.phase("linear")
    clock[0] += 3.0
    estimate.fitted(75)
    estimate.phase("network")
    estimate.start(75, 10)
    estimate.step(1, 25)
    clock[0] += 0.5
    estimate.step(1, 50)
    assert estimate.expected_s is None

    clock[0] += 0.5
    estimate.step(1, 75)
    said = OUTSIDE_S + 4.0 + (60 + 12 - 4 + 20 + 4)
    assert estimate.expected_s == pytest.approx(said)
    clock[0] += 50.0
    estimate.step(2, 25)
    assert estimate.expected_s == pytest.approx(said)


def test_nothing_is_said_of_a_training_without_a_plan(estimate: Estimate, clock: list[float]) -> None:
    """A search for settings trains networks too, before anybody knows what the training will be made of."""
    unplanned = Estimate()
    unplanned.phase("network")
    unplanned.start(10, 2)
    for epoch in (1, 2):
        clock[0] += 5.0
        unplanned.step(epoch, 10)

    assert unplanned.expected_s is None


def test_network_that_ends_within_a_second_says_it_at_its_end(estimate: Estimate, clock: list[float]) -> None:
    """A tiny training has no second of steps to wait for."""
    estimate.plan([Round("parts", 10, 1, 0, 1, 1)])
    estimate.phase("network")
    estimate.start(10, 1)
    clock[0] += 0.2
    estimate.step(1, 10)

    assert estimate.expected_s == pytest.approx(OUTSIDE_S + 0.2)
