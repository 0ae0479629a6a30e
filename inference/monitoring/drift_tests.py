"""Whether a stream of tickets has become another than the one of the training, and in what.

Two samples are compared: the tickets that were kept out of the training, and those that a server has answered. A
difference is called drift if it is both sure (improbable if nothing has changed) and large (worth a look): over many
tickets every trifle is sure, over few every accident is large.

    what                    test, with its source                                   large
    a category's share      two proportions, z with continuity (Yates 1934)         by half or more, and by 2 points
    the shares together     chi-square of homogeneity (Pearson 1900)                population stability index .2
    confidence, fallen      one-sided Kolmogorov-Smirnov (Smirnov 1939)             a tenth of the tickets
    unknown tokens, risen   the same                                                a tenth
    length                  two-sided                                               a fifth

Confidence may rise and unknown tokens may become fewer without harm, and they do where a version was trained again on
the tickets that were kept out. What cannot be seen without labels is a category that has come to mean something else.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from artifacts.evaluation.profile import Profile
from inference.schemas import DriftReason

MIN_TICKETS = 100  # of each sample; with fewer only a landslide would be sure
ALPHA = 0.01  # a server without drift is told of one in fewer verdicts than this, all the tests together
MIN_RATIO, MIN_POINTS = 1.5, 0.02
MIN_STABILITY_INDEX = 0.2  # the convention of credit scoring, where the index comes from (Siddiqi 2006)
MIN_DISTANCE, MIN_LENGTH_DISTANCE = 0.1, 0.2
MIN_EXPECTED = 5.0  # tickets in a cell, under which the normal curve is no good approximation (Cochran 1954)


def reasons(expected: Profile, found: Profile) -> list[DriftReason]:
    """Return in what the tickets found differ from those expected, what is surest first; empty if in nothing.

    Args:
        expected: of the training.
        found: by the server; both of 100 tickets at least.
    """
    tests = [*category_tests(expected, found), shares_test(expected, found)]
    tests.append(cumulated_test("confidence", expected.confidence, found.confidence, sign=1))
    tests.append(cumulated_test("unknown_tokens", expected.unknown, found.unknown, sign=-1))
    tests.append(cumulated_test("length", expected.lengths, found.lengths, sign=0))
    # Bonferroni: of many tests one is sure by accident, so each must be so many times surer.
    sure = [(p, reason) for p, reason in tests if reason is not None and p * len(tests) <= ALPHA]
    return [reason for _, reason in sorted(sure, key=lambda pair: pair[0])]


Test = tuple[float, DriftReason | None]  # how probable such a difference is, or more; None if it is a small one


def category_tests(expected: Profile, found: Profile) -> list[Test]:
    """Return the test of each category that has enough tickets for one."""
    m, n = expected.num_tickets, found.num_tickets
    tests: list[Test] = []
    for category in sorted(expected.categories.keys() | found.categories.keys()):
        before, after = expected.categories.get(category, 0), found.categories.get(category, 0)
        pooled = (before + after) / (m + n)
        if min(pooled, 1 - pooled) * min(m, n) < MIN_EXPECTED:
            continue
        p, q = before / m, after / n
        gap = max(0.0, abs(q - p) - (1 / m + 1 / n) / 2)
        z = gap / math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
        is_large = abs(q - p) >= MIN_POINTS and max(p, q) >= MIN_RATIO * min(p, q)
        detail = f"{category}: {_percent(q)} of the answers, at training {_percent(p)}"
        tests.append((_two_tails(z), DriftReason("category_share", p, q, detail, category) if is_large else None))
    return tests


def shares_test(expected: Profile, found: Profile) -> Test:
    """Return the test of all categories together, the rare ones as one."""
    m, n = expected.num_tickets, found.num_tickets
    cells: list[tuple[int, int]] = []
    rest = (0, 0)
    for category in expected.categories.keys() | found.categories.keys():
        cell = expected.categories.get(category, 0), found.categories.get(category, 0)
        if sum(cell) * min(m, n) >= MIN_EXPECTED * (m + n):
            cells.append(cell)
        else:
            rest = rest[0] + cell[0], rest[1] + cell[1]
    cells += [rest] if sum(rest) else []
    freedom = len(cells) - 1
    if not freedom:
        return 1.0, None
    chi_square = sum((before * n - after * m) ** 2 / (before + after) for before, after in cells) / (m * n)
    # Half a ticket more in each cell, so that an empty one has a logarithm; and less what chance alone would give.
    shares = [((before + 0.5) / (m + len(cells) / 2), (after + 0.5) / (n + len(cells) / 2)) for before, after in cells]
    index = sum((q - p) * math.log(q / p) for p, q in shares) - freedom * (1 / m + 1 / n)
    detail = (
        f"the shares of the categories: population stability index {index:.2f}, from {MIN_STABILITY_INDEX} on large"
    )
    reason = DriftReason("category_shares", 0.0, index, detail) if index >= MIN_STABILITY_INDEX else None
    return chi_square_tail(chi_square, freedom), reason


def cumulated_test(what: str, expected: Sequence[int], found: Sequence[int], sign: int) -> Test:
    """Return the test of a histogram by the largest gap between the two cumulated shares.

    Args:
        what: is counted.
        expected: tickets in each bin.
        found: the same.
        sign: 1 if only a fall of the values counts, -1 if only a rise, 0 if both.
    """
    m, n = sum(expected), sum(found)
    before, after = ([num / sum(bins) for num in accumulate(bins)] for bins in (expected, found))
    gaps = [(q - p) * sign if sign else abs(q - p) for p, q in zip(before, after, strict=True)]
    bin_ = max(range(len(gaps)), key=gaps.__getitem__)
    p, q, distance = before[bin_], after[bin_], gaps[bin_]
    tail = min(1.0, (1 if sign else 2) * math.exp(-2 * max(0.0, distance) ** 2 * m * n / (m + n)))
    share = f"of the tickets {_percent(1 - q)}, at training {_percent(1 - p)}"
    if what == "confidence":
        detail = f"{_percent(q)} of the answers have a confidence under {(bin_ + 1) / len(gaps):.2f}, at training "
        detail += _percent(p)
        reason = DriftReason(what, p, q, detail)
    elif what == "unknown_tokens":
        some = f"more than {_percent(bin_ / (len(gaps) - 1))}" if bin_ else "some"
        reason = DriftReason(what, 1 - p, 1 - q, f"{some} of the tokens are unknown: {share}")
    else:
        reason = DriftReason(what, 1 - p, 1 - q, f"longer than {2**bin_} tokens: {share}")
    return tail, reason if distance >= (MIN_DISTANCE if sign else MIN_LENGTH_DISTANCE) else None


def chi_square_tail(value: float, freedom: int) -> float:
    """Return how probable a chi-square of `value` or more is; Wilson and Hilferty 1931, good to a tenth of itself.

    >>> round(chi_square_tail(18.31, 10), 3)
    0.05
    """
    spread = 2 / (9 * freedom)
    return math.erfc(((value / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(2 * spread)) / 2


def _two_tails(z: float) -> float:
    return math.erfc(z / math.sqrt(2))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
