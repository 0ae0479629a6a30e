"""What new tickets change: the optimum, what they leave alone, and answers to tickets that were kept out."""

import numpy as np
import pytest

from trainer.continuing.learn import Labels, Numbers, cross_validated, mean_loss, solve


def problem(num_tickets: int = 12, num_categories: int = 4) -> tuple[Numbers, Numbers, Labels]:
    """Return tickets by how alike they are, logits of a model that answers at random, and labels."""
    random = np.random.default_rng(3)
    features = random.normal(size=(num_tickets, 6)) / 2
    return (
        features @ features.T,
        random.normal(size=(num_tickets, num_categories)),
        random.integers(num_categories, size=num_tickets),
    )


def softmax(logits_NC: Numbers) -> Numbers:
    """Return probabilities."""
    odds: Numbers = np.exp(logits_NC)
    shares: Numbers = odds / odds.sum(axis=1, keepdims=True)
    return shares


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_corrections_are_the_errors_that_are_left(strength: float) -> None:
    """At the optimum the slope P - Y + A / strength is 0: a ticket corrects by what is still wrong with it."""
    alike, logits, targets = problem()

    a = solve(alike, logits, targets, np.full(4, strength))

    left = np.eye(4)[targets] - softmax(logits + alike @ a)
    np.testing.assert_allclose(alike @ a, alike @ (strength * left), atol=1e-3)


def test_ticket_by_hand() -> None:
    """One ticket, two categories, logits 0: z = +-t with t = strength (1 - p) and p = 1 / (1 + exp(-2t)).

    t = .3374: p = 1 / (1 + exp(-.6748)) = .6626, and 1 - .6626 = .3374.
    """
    a = solve(np.array([[1.0]]), np.zeros((1, 2)), np.array([0]), np.ones(2))

    np.testing.assert_allclose(a, [[0.3374, -0.3374]], atol=2e-4)


def test_new_category_may_change_more() -> None:
    """The more a category may change, the nearer it comes to a ticket of its own."""
    shy, bold = (
        solve(np.array([[1.0]]), np.zeros((1, 3)), np.array([2]), np.array([0.3, 0.3, strength]))[0]
        for strength in (0.3, 10.0)
    )

    assert bold[2] > 2 * shy[2]
    assert abs(bold[0]) < abs(shy[0])


def test_sure_and_right_ticket_changes_nothing() -> None:
    """What the serving model knows already need not be learnt."""
    a = solve(np.array([[2.0]]), np.array([[20.0, 0.0, 0.0]]), np.array([0]), np.full(3, 3.0))

    assert np.abs(a).max() < 1e-6


def test_own_label_does_not_help_a_ticket_that_is_kept_out() -> None:
    """Whatever its label is, its answer is the same; of a ticket that is never kept out it is the serving model's."""
    alike, logits, targets = problem()
    kept_out, strength = [np.array([0, 1, 2]), np.array([5])], np.ones(4)

    first = cross_validated(alike, logits, targets, strength, kept_out)
    second = cross_validated(alike, logits, np.where(np.arange(12) == 5, 3 - targets, targets), strength, kept_out)

    np.testing.assert_allclose(first[5], second[5], atol=1e-6)
    assert not np.allclose(first[5], logits[5])
    assert np.abs(first[0] - second[0]).max() > 1e-4  # which learns from ticket 5
    np.testing.assert_array_equal(first[7], logits[7])


def test_loss_is_the_cross_entropy() -> None:
    """Of probabilities .5 and .25 it is (ln 2 + ln 4) / 2."""
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]))

    assert mean_loss(logits + 7.0, np.array([0, 1])) == pytest.approx((np.log(2) + np.log(4)) / 2)
