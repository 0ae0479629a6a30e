"""The check of the exercise."""

import math

import ex_linear
import numpy as np
import pytest


def test_idf_of_the_chapter() -> None:
    """Of 9 tickets all hold the first word and one the second, five times: ln(10/10) + 1 and ln(10/2) + 1."""
    counts_NV = np.zeros((9, 2))
    counts_NV[:, 0], counts_NV[3, 1] = 1, 5

    assert ex_linear.idf(counts_NV).tolist() == pytest.approx([1.0, math.log(5) + 1])


def test_idf_equals_that_of_the_library() -> None:
    """The weights are those of scikit-learn's `TfidfTransformer`."""
    from sklearn.feature_extraction.text import TfidfTransformer

    counts_NV = np.random.default_rng(0).poisson(0.3, size=(50, 20)).astype(float)

    np.testing.assert_allclose(ex_linear.idf(counts_NV), TfidfTransformer().fit(counts_NV).idf_)


def test_loss_by_hand() -> None:
    """Scores 0.5 and -2, the first one true: the first lacks 0.5 to the margin, the second nothing."""
    loss, slope_NC = ex_linear.squared_hinge(np.array([[0.5, -2.0]]), np.array([0]))

    assert loss == pytest.approx(0.25)
    assert slope_NC.tolist() == [pytest.approx([-1.0, 0.0])]


def test_slope_equals_the_difference() -> None:
    """Each score is moved a little to both sides, and the slope says what the loss does."""
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
