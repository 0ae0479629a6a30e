"""La vérification de l’exercice."""

import math

import ex_linear
import numpy as np
import pytest


def test_idf_of_the_chapter() -> None:
    """Sur 9 tickets, tous ont le premier mot et un seul le second, cinq fois : ln(10/10) + 1 et ln(10/2) + 1."""
    counts_NV = np.zeros((9, 2))
    counts_NV[:, 0], counts_NV[3, 1] = 1, 5

    assert ex_linear.idf(counts_NV).tolist() == pytest.approx([1.0, math.log(5) + 1])


def test_idf_equals_that_of_the_library() -> None:
    """Les poids sont ceux de `TfidfTransformer`, de scikit-learn."""
    from sklearn.feature_extraction.text import TfidfTransformer

    counts_NV = np.random.default_rng(0).poisson(0.3, size=(50, 20)).astype(float)

    np.testing.assert_allclose(ex_linear.idf(counts_NV), TfidfTransformer().fit(counts_NV).idf_)


def test_loss_by_hand() -> None:
    """Des scores 0,5 et -2, le premier étant le vrai : il manque 0,5 au premier jusqu’à la marge, rien au second."""
    loss, slope_NC = ex_linear.squared_hinge(np.array([[0.5, -2.0]]), np.array([0]))

    assert loss == pytest.approx(0.25)
    assert slope_NC.tolist() == [pytest.approx([-1.0, 0.0])]


def test_slope_equals_the_difference() -> None:
    """Chaque score est un peu déplacé des deux côtés, et la pente dit ce que fait la perte."""
    random = np.random.default_rng(1)
    scores_NC, targets_N = random.normal(size=(6, 4)), random.integers(0, 4, size=6)

    slope_NC = ex_linear.squared_hinge(scores_NC, targets_N)[1]

    for place in np.ndindex(6, 4):
        losses = []
        for step in (1e-5, -1e-5):
            moved_NC = scores_NC.copy()
            moved_NC[place] += step
            losses.append(ex_linear.squared_hinge(moved_NC, targets_N)[0])
        assert slope_NC[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-6)
