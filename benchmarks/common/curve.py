"""What more tickets would be worth, read from trainings on parts of them: the learning curve.

The share of wrong answers falls as a power of the number of training tickets, `error = b * n^-c`: a straight line where
both are logarithms (Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017). That is `a - b * n^-c`
with a = 1. A free `a` below 1, for labels that nobody could guess, has three parameters for four noisy points, and no
bound; so what is said here is rather too much where such labels are many, and the sentence says how far off it is.
"""

# Axes: P measured points.

from collections.abc import Sequence

import msgspec
import numpy as np

MORE_TICKETS = 40  # per category


class Curve(msgspec.Struct, frozen=True):
    """A fitted learning curve.

    Attributes:
        num_tickets, accuracies: as measured.
        b, c: of `accuracy = 1 - b * n^-c`.
        largest_miss: how far the fit is off at the measured points at most, in points of a hundred.
        worth: points of a hundred that MORE_TICKETS more of each category bring, by the fit.
    """

    num_tickets: list[int]
    accuracies: list[float]
    b: float
    c: float
    largest_miss: float
    worth: float

    def accuracy(self, num_tickets: float) -> float:
        """Return what the fit expects."""
        return float(1.0 - self.b * num_tickets**-self.c)


def fit_curve(num_tickets: Sequence[int], accuracies: Sequence[float], num_categories: int, num_test: int) -> Curve:
    """Return the curve through at least two points, by least squares of the logarithms.

    Args:
        num_tickets: trained on, ascending; the last is all that there are.
        accuracies: on the test file.
        num_categories: each of which gets MORE_TICKETS more.
        num_test: tickets in the test file; no wrong answer is counted as half a one, which has a logarithm.
    """
    error_P = np.maximum(1.0 - np.array(accuracies), 0.5 / num_test)
    slope, offset = np.polyfit(np.log(np.array(num_tickets, dtype=float)), np.log(error_P), 1)
    curve = Curve(list(num_tickets), list(accuracies), float(np.exp(offset)), float(-slope), 0.0, 0.0)
    misses = [abs(curve.accuracy(n) - found) for n, found in zip(num_tickets, accuracies, strict=True)]
    now = num_tickets[-1]
    worth = curve.accuracy(now + MORE_TICKETS * num_categories) - curve.accuracy(now)
    return msgspec.structs.replace(curve, largest_miss=100 * max(misses), worth=100 * worth)


def sentence(label: str, curve: Curve) -> str:
    """Return what the curve says to somebody who wonders whether to label more tickets."""
    sizes = ", ".join(map(str, curve.num_tickets))
    how = (
        f"by accuracy = 1 - {curve.b:.3g} n^-{curve.c:.3g}, fitted to trainings on {sizes} tickets, "
        f"off by {curve.largest_miss:.1f} points at most"
    )
    if curve.c <= 0:
        return f"{label}: more tickets did not help on {sizes} tickets, so nothing can be said of {MORE_TICKETS} more."
    return f"{label}: {MORE_TICKETS} more tickets of each category are worth about {curve.worth:.1f} points ({how})."
