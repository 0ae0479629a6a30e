"""Exercise: an exponential of four lines.

Read docs/en/15-kernel.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_exponential.py
"""

from artifacts.arrays import Floats

# Of 2^f = sum of c_i f^i, the highest power first: c_i = ln(2)^i / i! (Taylor's series of e^(f ln 2)).
COEFFICIENTS = (1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0)


def exponential(x_N: Floats) -> Floats:
    """Return e^x of numbers within -87..87, without calling an exponential or a power.

    Args:
        x_N: float32.
    Returns:
        float32, to a relative error below 1e-6.
    """
    raise NotImplementedError("write exponential; start with x / ln 2 as a whole number and a rest")
