"""How long a training takes, and what is given up when there is less time; hand-worked."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from trainer.config import TrainConfig
from trainer.jobs.pace import OUTSIDE_S, Pace
from trainer.selection.budget import LEAST_EPOCHS, MARGIN, fit_into, ladder, seconds

PACE = Pace(gru_s=0.001, linear_s=0.002)
BIG = TrainConfig(
    grus=2, epochs=20, batch=64, folds=1, refit=True, processes=1, validation=0.1, linear_c=0.0, minutes=5.0
)
SMALL = msgspec.structs.replace(BIG, folds=4)


def test_seconds_of_a_split_by_hand() -> None:
    """1,000 tickets: 900 are read 40 times and by 3 linear parts, then 1,000 are read 40 times and by one."""
    work = 900 * (40 * 0.001 + 3 * 0.002) + 1000 * (40 * 0.001 + 0.002)

    assert seconds(BIG, 1000, 0, PACE) == pytest.approx(OUTSIDE_S + MARGIN * work)


def test_seconds_of_folds_by_hand() -> None:
    """Four folds read three quarters of the tickets each; eight GRUs share two processes."""
    config = msgspec.structs.replace(SMALL, processes=2, linear_c=1.0)
    work = 4 * 750 * (40 * 0.001 + 0.002) + 1000 * (40 * 0.001 + 0.002)

    assert seconds(config, 1000, 0, PACE) == pytest.approx(OUTSIDE_S + MARGIN * work / 2)


def test_lone_gru_is_no_faster_on_two_cores() -> None:
    """One GRU and three linear parts: the other process has the linear parts, and waits for the GRU."""
    config = msgspec.structs.replace(BIG, grus=1, processes=2, refit=False)

    assert seconds(config, 1000, 0, PACE) == pytest.approx(OUTSIDE_S + MARGIN * 900 * 20 * 0.001)


def test_unlabelled_tickets_are_one_more_training() -> None:
    """Of all tickets together, at most."""
    more = seconds(BIG, 1000, 500, PACE) - seconds(BIG, 1000, 0, PACE)

    assert more == pytest.approx(MARGIN * 1500 * (40 * 0.001 + 0.002))


def test_trial_of_tickets_out_of_scope_by_hand() -> None:
    """Four fifths of 900 tickets are read 8 times and by one linear part; given up before anything else."""
    config = msgspec.structs.replace(BIG, out_of_scope=True)

    assert seconds(config, 1000, 0, PACE) - seconds(BIG, 1000, 0, PACE) == pytest.approx(
        MARGIN * 720 * (8 * 0.001 + 0.002)
    )
    assert ladder(config)[1] == msgspec.structs.replace(BIG, out_of_scope=False)


def test_what_fits_is_left_as_it_is() -> None:
    """With time enough nothing is reduced."""
    found, estimate = fit_into(SMALL, 1000, 0, PACE, 1000.0)

    assert found == SMALL
    assert estimate == seconds(SMALL, 1000, 0, PACE)


def test_folds_go_before_epochs_and_epochs_before_grus() -> None:
    """What is worth least is given up first; the least has one GRU, few epochs and no second training."""
    steps = ladder(SMALL)

    assert [(one.folds, one.grus, one.epochs, one.refit) for one in steps[:3]] == [
        (4, 2, 20, True),
        (1, 2, 20, True),
        (1, 2, 19, True),
    ]
    assert (steps[-1].folds, steps[-1].grus, steps[-1].epochs, steps[-1].refit) == (1, 1, LEAST_EPOCHS, False)


def test_as_many_grus_as_processes_outlast_the_second_training() -> None:
    """On two cores the second GRU takes next to no time, so it is among the last to go."""
    best = msgspec.structs.replace(BIG, grus=4, epochs=13, processes=2)

    assert [(one.grus, one.epochs, one.refit) for one in ladder(best)[:7]] == [
        (4, 13, True),
        (4, 12, True),
        (3, 12, True),
        (2, 12, True),
        (2, 12, False),
        (1, 12, False),
        (1, 11, False),
    ]


@given(st.floats(8.0, 400.0))
def test_reduced_settings_fit_and_the_step_before_does_not(left_s: float) -> None:
    """No more is given up than the time asks for."""
    steps = ladder(SMALL)

    try:
        found, estimate = fit_into(SMALL, 1000, 0, PACE, left_s)
    except InvalidInput:
        assert seconds(steps[-1], 1000, 0, PACE) > left_s
        return

    assert estimate == seconds(found, 1000, 0, PACE) <= left_s
    place = steps.index(found)
    assert place == 0 or seconds(steps[place - 1], 1000, 0, PACE) > left_s


def test_too_little_time_is_refused_with_what_is_needed() -> None:
    """The message has the tickets, the time that the least takes, and what is left of which budget."""
    with pytest.raises(InvalidInput, match=r"1000 tickets takes about \d+ s, of the 5 minutes 7 s are left"):
        fit_into(BIG, 1000, 0, PACE, 7.0)


def test_settings_that_are_small_already_are_not_made_larger() -> None:
    """Fewer epochs than the least stay as few."""
    few = msgspec.structs.replace(BIG, epochs=2, grus=1)

    assert all(one.epochs <= 2 for one in ladder(few))
