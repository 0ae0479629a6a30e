"""Une solution de l’exercice."""

import numpy as np

from artifacts.arrays import Floats

COEFFICIENTS = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)


def exponential(x_N: Floats) -> Floats:
    """Renvoie e^x de nombres entre -87 et 87, sans appeler d’exponentielle ni de puissance."""
    t_N = x_N * np.float32(1.44269504)  # 1 / ln 2
    m_N = np.rint(t_N)
    power_N = np.polyval(np.array(COEFFICIENTS, dtype=np.float32), t_N - m_N).astype(np.float32)  # 2^f
    # L’exposant d’un float32 est dans ses bits 23 à 30 : c’est donc là que m s’ajoute.
    bits_N = power_N.view(np.int32) + m_N.astype(np.int32) * 2**23
    found_N: Floats = bits_N.view(np.float32)
    return found_N
