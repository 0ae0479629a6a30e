"""The check of the exercise."""

import ex_exponential
import numpy as np


def test_zero_and_one_by_hand() -> None:
    """e^0 is 1 exactly; e^(ln 2) is 2, for which f is 0 and m 1."""
    found_N = ex_exponential.exponential(np.array([0.0, np.log(2.0)], dtype=np.float32))

    assert found_N.dtype == np.float32
    assert found_N[0] == 1.0
    assert abs(found_N[1] - 2.0) < 1e-6


def test_equals_numpy_everywhere() -> None:
    """From -87 to 87, as many below 0 as above, the relative error is below 1e-5: x itself has 7 digits."""
    x_N = np.linspace(-87.0, 87.0, 20_001, dtype=np.float32)

    found_N = ex_exponential.exponential(x_N)

    assert np.abs(found_N / np.exp(x_N.astype(np.float64)) - 1.0).max() < 1e-5


def test_small_numbers_have_six_digits() -> None:
    """Where a sigmoid changes, the polynomial shows: a rest that is not within a half would lose a digit."""
    x_N = np.linspace(-8.0, 8.0, 20_001, dtype=np.float32)

    found_N = ex_exponential.exponential(x_N)

    assert np.abs(found_N / np.exp(x_N.astype(np.float64)) - 1.0).max() < 1e-6
