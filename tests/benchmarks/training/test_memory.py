"""The benchmark of many categories: the tickets that it invents."""

from collections import Counter

from benchmarks.training.memory import invent


def test_invented_tickets_are_spread_evenly_and_the_same_each_time() -> None:
    """Of 70 tickets each of 30 categories has two or three; the same seed gives the same, another one others."""
    rows = invent(70, 30)

    assert Counter(rows.categories.values()) == {2: 20, 3: 10}
    assert all(6 <= len(tokens) <= 19 for tokens in rows.tokens)
    assert invent(70, 30).tokens == rows.tokens
    assert invent(70, 30, seed=1).tokens != rows.tokens
