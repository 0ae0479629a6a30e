"""The check of the exercise."""

import ex_wrong_categories
import numpy as np
import pytest

GIVEN = np.array([0, 0, 0, 1, 1])
SAYS = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.7, 0.3]])


def test_limits_of_the_chapter() -> None:
    """(.9 + .8 + .1) / 3 and (.7 + .3) / 2."""
    assert ex_wrong_categories.limits(SAYS, GIVEN).tolist() == pytest.approx([0.6, 0.5])


def test_example_of_the_chapter() -> None:
    """Tickets 2 and 4."""
    assert ex_wrong_categories.counted(SAYS, GIVEN) == [2, 4]


def test_ticket_that_reaches_no_limit_does_not_count() -> None:
    """Limits .65, .617 and .6: ticket 1 is most like the second category (.55), and no category reaches its limit.

    Ticket 4 reaches that of the third (.6, with .65), and stands under the second.
    """
    says = np.array([[0.9, 0.05, 0.05], [0.4, 0.55, 0.05], [0.2, 0.9, 0.1], [0.1, 0.7, 0.2], [0.1, 0.25, 0.65],
                     [0.2, 0.2, 0.6], [0.3, 0.1, 0.6]])  # fmt: skip
    given = np.array([0, 0, 1, 1, 1, 2, 2])

    assert ex_wrong_categories.limits(says, given).tolist() == pytest.approx([0.65, 1.85 / 3, 0.6])
    assert ex_wrong_categories.counted(says, given) == [4]
