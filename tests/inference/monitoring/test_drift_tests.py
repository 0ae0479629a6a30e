"""When tickets are called others than those of the training, and when not."""

import numpy as np
import pytest

from artifacts.evaluation.profile import Profile
from inference.monitoring.drift_tests import chi_square_tail, reasons

SHARES = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.07, "rare": 0.03}


def drawn(
    seed: int,
    num_tickets: int,
    shares: dict[str, float] = SHARES,
    misspelt: float = 0.05,
    surer: float = 0.0,
    length: int = 8,
) -> Profile:
    """Return the profile of tickets of `length` tokens at random, each token unknown with the chance `misspelt`."""
    random = np.random.default_rng([seed, num_tickets])
    profile = Profile()
    total = sum(shares.values())
    categories = random.choice(list(shares), size=num_tickets, p=[share / total for share in shares.values()])
    confidences = np.clip(random.beta(4, 2, size=num_tickets) + surer, 0, 1)
    for category, confidence, num_unknown in zip(
        categories, confidences, random.binomial(length, misspelt, size=num_tickets), strict=True
    ):
        profile.add(str(category), float(confidence), int(num_unknown), length)
    return profile


@pytest.mark.parametrize("num_tickets", [100, 1000, 5000])
def test_same_tickets_are_no_drift(num_tickets: int) -> None:
    """Of twenty draws from one distribution none is called drift, be they few or many."""
    expected = drawn(0, 800)

    assert [reasons(expected, drawn(seed, num_tickets)) for seed in range(1, 21)] == [[]] * 20


def test_sure_trifle_is_no_drift() -> None:
    """A share that a fifty thousand tickets prove to be a tenth higher is not worth a look."""
    found = drawn(1, 50_000, SHARES | {"b": 0.34}, misspelt=0.055)

    assert reasons(drawn(0, 20_000), found) == []


def test_tripled_category_and_misspelt_tokens_are_named() -> None:
    """Each of the two is a reason, with the shares; the categories that had to make room are none."""
    found = drawn(1, 1000, SHARES | {"d": 0.21}, misspelt=0.2)

    told = {reason.what: reason for reason in reasons(drawn(0, 800), found)}

    assert set(told) == {"category_share", "unknown_tokens"}
    assert told["category_share"].category == "d"
    assert told["category_share"].expected == pytest.approx(0.07, abs=0.03)
    assert told["category_share"].found == pytest.approx(0.21 / 1.14, abs=0.03)
    assert told["category_share"].detail.startswith("d: 1")
    assert told["unknown_tokens"].found - told["unknown_tokens"].expected > 0.3


def test_category_that_training_never_answered_is_named() -> None:
    """A category that is new among the answers has a share of 0 at training."""
    (reason, *_) = reasons(drawn(0, 800), drawn(1, 500, SHARES | {"new": 0.1}))

    assert (reason.what, reason.category, reason.expected) == ("category_share", "new", 0.0)


def test_many_small_changes_are_one_reason() -> None:
    """Of eighty categories half may double, each by less than two points; together they are drift."""
    even = {f"category-{number}": 1 / 80 for number in range(80)}
    moved = {name: share * (1.9 if number % 2 else 0.1) for number, (name, share) in enumerate(even.items())}

    told = reasons(drawn(0, 3000, even), drawn(1, 3000, moved))

    assert [reason.what for reason in told] == ["category_shares"]
    assert reasons(drawn(0, 3000, even), drawn(1, 200, even)) == []


def test_only_what_is_worse_counts() -> None:
    """Less confidence and more unknown tokens are drift; more confidence and fewer unknown tokens are not."""
    plain = drawn(0, 800, misspelt=0.2, surer=-0.2)
    better = drawn(1, 800, misspelt=0.02, surer=0.1)

    assert reasons(plain, better) == []
    assert {reason.what for reason in reasons(better, plain)} == {"confidence", "unknown_tokens"}


def test_longer_and_shorter_tickets_are_drift() -> None:
    """Whole e-mails where there were subjects are told, and the other way round."""
    for before, after in ((8, 40), (40, 8)):
        told = reasons(drawn(0, 800, misspelt=0.0, length=before), drawn(1, 800, misspelt=0.0, length=after))
        assert [reason.what for reason in told] == ["length"]


@pytest.mark.parametrize(
    ("value", "freedom", "tail"), [(3.841, 1, 0.05), (18.307, 10, 0.05), (29.588, 10, 0.001), (101.879, 76, 0.0254)]
)
def test_chi_square_tail_is_as_in_the_tables(value: float, freedom: int, tail: float) -> None:
    """The approximation is within a tenth of the printed quantiles."""
    assert chi_square_tail(value, freedom) == pytest.approx(tail, rel=0.1)
