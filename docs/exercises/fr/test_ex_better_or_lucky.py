"""La vérification de l’exercice."""

import ex_better_or_lucky
import pytest
from scipy.stats import binomtest


def test_nearer_number_wins_the_row() -> None:
    """Deux lignes sont gagnées, d’en bas et d’en haut ; une est perdue ; deux, à égale distance, ne comptent pas.

    Écarts à 10 : l’ancienne 2, 3, 1, 0, 2 et la nouvelle 1, 2, 4, 0, 2, le dernier de l’autre côté.
    """
    found = ex_better_or_lucky.wins_and_losses(
        [10.0, 10.0, 10.0, 10.0, 10.0], [8.0, 13.0, 11.0, 10.0, 8.0], [9.0, 12.0, 6.0, 10.0, 12.0]
    )

    assert found == (2, 1)


def test_example_of_the_chapter() -> None:
    """Huit lignes gagnées et deux perdues : (45 + 10 + 1) / 1024."""
    assert ex_better_or_lucky.p_value(8, 2) == pytest.approx(0.0546875, abs=1e-12)


def test_winning_every_toss() -> None:
    """Cinq lignes gagnées, aucune perdue : une façon sur 32."""
    assert ex_better_or_lucky.p_value(5, 0) == pytest.approx(1 / 32, abs=1e-12)


def test_nothing_to_toss_for_proves_nothing() -> None:
    """Quand aucune ligne ne sépare les versions, ou que toutes sont perdues, la chance fait toujours aussi bien."""
    found = [ex_better_or_lucky.p_value(0, num_losses) for num_losses in (0, 1, 7)]

    assert found == pytest.approx([1.0, 1.0, 1.0])


def test_p_value_is_that_of_scipy() -> None:
    """Jusqu’à douze lignes gagnées et perdues, et pour des centaines, c’est celle du test binomial unilatéral."""
    counts = [(won, lost) for won in range(13) for lost in range(13) if won + lost] + [(340, 300), (1000, 900)]
    expected = {(won, lost): binomtest(won, won + lost, alternative="greater").pvalue for won, lost in counts}

    found = {(won, lost): ex_better_or_lucky.p_value(won, lost) for won, lost in counts}

    assert found == pytest.approx(expected, rel=1e-9)
