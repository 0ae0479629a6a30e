"""La vérification de l’exercice."""

import ex_exponential
import numpy as np


def test_zero_and_one_by_hand() -> None:
    """e^0 vaut exactement 1 ; e^(ln 2) vaut 2, avec f = 0 et m = 1."""
    found_N = ex_exponential.exponential(np.array([0.0, np.log(2.0)], dtype=np.float32))

    assert found_N.dtype == np.float32
    assert found_N[0] == 1.0
    assert abs(found_N[1] - 2.0) < 1e-6


def test_equals_numpy_everywhere() -> None:
    """De -87 à 87, autant sous 0 qu’au-dessus, l’erreur relative est sous 1e-5 : x lui-même a 7 chiffres."""
    x_N = np.linspace(-87.0, 87.0, 20_001, dtype=np.float32)

    found_N = ex_exponential.exponential(x_N)

    assert np.abs(found_N / np.exp(x_N.astype(np.float64)) - 1.0).max() < 1e-5


def test_small_numbers_have_six_digits() -> None:
    """Là où une sigmoïde change, le polynôme se voit : un reste supérieur à un demi perdrait un chiffre."""
    x_N = np.linspace(-8.0, 8.0, 20_001, dtype=np.float32)

    found_N = ex_exponential.exponential(x_N)

    assert np.abs(found_N / np.exp(x_N.astype(np.float64)) - 1.0).max() < 1e-6
