"""La vérification de l’exercice."""

import ex_wrong_categories
import numpy as np
import pytest

GIVEN = np.array([0, 0, 0, 1, 1])
SAYS = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.7, 0.3]])


def test_limits_of_the_chapter() -> None:
    """(0,9 + 0,8 + 0,1) / 3 et (0,7 + 0,3) / 2."""
    assert ex_wrong_categories.limits(SAYS, GIVEN).tolist() == pytest.approx([0.6, 0.5])


def test_example_of_the_chapter() -> None:
    """Les tickets 2 et 4."""
    assert ex_wrong_categories.counted(SAYS, GIVEN) == [2, 4]


def test_ticket_that_reaches_no_limit_does_not_count() -> None:
    """Limites 0,65, 0,617 et 0,6 : le ticket 1 ressemble le plus à la deuxième (0,55), et aucune n’atteint sa limite.

    Le ticket 4 atteint celle de la troisième (0,6, avec 0,65), et il est rangé dans la deuxième.
    """
    says = np.array([[0.9, 0.05, 0.05], [0.4, 0.55, 0.05], [0.2, 0.9, 0.1], [0.1, 0.7, 0.2], [0.1, 0.25, 0.65],
                     [0.2, 0.2, 0.6], [0.3, 0.1, 0.6]])  # fmt: skip
    given = np.array([0, 0, 1, 1, 1, 2, 2])

    assert ex_wrong_categories.limits(says, given).tolist() == pytest.approx([0.65, 1.85 / 3, 0.6])
    assert ex_wrong_categories.counted(says, given) == [4]
