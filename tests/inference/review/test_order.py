"""The orders of the review queue: what is alike, and that no case is seen ten times before another is seen once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.review.order import LIKE, diverse, groups_of, uncertain, vectors_of

WORDS = ["connexion", "facture", "mot", "passe", "bonjour", "coffre", "client", "<#401>", "été"]
TICKETS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), max_size=40)
SEEDS = st.integers(0, 2**32 - 1)
VPN = ["vpn", "coupé", "depuis", "ce", "matin", "tunnel", "refuse", "de", "monter"]
INVOICE = ["facture", "de", "mars", "payée", "deux", "fois", "remboursement", "attendu"]


def sure(num: int, seed: int) -> list[float]:
    """Return as many confidences, some of which are equal."""
    return [round(one, 1) for one in np.random.default_rng(seed).random(num).tolist()]


@given(TICKETS, SEEDS, st.integers(1, 50))
@settings(max_examples=150, deadline=None)
def test_orders_are_permutations(tickets: list[list[str]], seed: int, num: int) -> None:
    """Every ticket comes once; a shorter answer is the beginning of a longer one; a second call says the same."""
    vectors_ND = vectors_of(tickets)
    group_N = groups_of(vectors_ND)
    confidence = sure(len(tickets), seed)

    whole = diverse(vectors_ND, group_N, confidence, len(tickets))
    assert sorted(whole) == sorted(uncertain(confidence)) == list(range(len(tickets)))
    assert diverse(vectors_ND, group_N, confidence, num) == whole[:num]
    assert (groups_of(vectors_of(tickets)) == group_N).all()
    assert vectors_ND.dtype == np.float32
    assert group_N.shape == (len(tickets),)


@given(TICKETS, SEEDS)
@settings(max_examples=150, deadline=None)
def test_each_group_is_seen_before_any_is_seen_again(tickets: list[list[str]], seed: int) -> None:
    """The second ticket of a group never comes before the first of another, and so on; of a group the unsure first."""
    vectors_ND = vectors_of(tickets)
    groups = groups_of(vectors_ND).tolist()
    confidence = sure(len(tickets), seed)

    seen: dict[int, int] = {}
    last: dict[int, float] = {}
    for place in diverse(vectors_ND, groups_of(vectors_ND), confidence, len(tickets)):
        group = groups[place]
        turn = seen.get(group, 0)
        assert all(seen.get(other, 0) >= min(turn, groups.count(other)) for other in set(groups))
        assert confidence[place] >= last.get(group, 0.0)
        seen[group], last[group] = turn + 1, confidence[place]


@given(TICKETS)
@settings(max_examples=100, deadline=None)
def test_groups_are_of_what_is_like_their_first_ticket(tickets: list[list[str]]) -> None:
    """Groups are numbered as they begin; all tickets of one are like its first, which is like no earlier first one."""
    vectors_ND = vectors_of(tickets)
    groups = groups_of(vectors_ND).tolist()

    first = {group: groups.index(group) for group in set(groups)}
    assert [group for place, group in enumerate(groups) if first[group] == place] == list(range(len(first)))
    for place, group in enumerate(groups):
        likeness = {other: float(vectors_ND[place] @ vectors_ND[at]) for other, at in first.items() if at < place}
        if first[group] == place:
            assert all(one < LIKE + 1e-5 for one in likeness.values())
        else:
            assert likeness[group] >= max(LIKE, *likeness.values()) - 1e-5


def test_copies_of_a_case_are_a_group_and_strangers_are_not() -> None:
    """Ten tellings of one case, with typing errors and a greeting more, are one group; another case is another."""
    tellings = [[word + "e" if number == place else word for place, word in enumerate(VPN)] for number in range(9)]
    tickets = [*tellings, ["bonjour", *VPN], INVOICE, ["bonjour", *INVOICE], ["spam"]]

    groups = groups_of(vectors_of(tickets)).tolist()

    assert groups == [0] * 10 + [1, 1, 2]
    confidence = [1.0 - place / 20 for place in range(len(tickets))]  # so of each group the last ticket comes first
    assert diverse(vectors_of(tickets), groups_of(vectors_of(tickets)), confidence, 4) == [9, 11, 12, 8]


def test_large_groups_come_before_freaks() -> None:
    """The first ticket is of the largest group, and a group of five before a stranger to all of them."""
    tickets = [["zzz"], *[VPN] * 6, ["qqqqq", "wwwww"], *[INVOICE] * 5]
    vectors_ND = vectors_of(tickets)

    found = diverse(vectors_ND, groups_of(vectors_ND), [0.5] * len(tickets), 4)

    assert [" ".join(tickets[place]) for place in found[:2]] == [" ".join(VPN), " ".join(INVOICE)]
    assert {found[2], found[3]} == {0, 7}


def test_queue_without_words_or_tickets_has_an_order() -> None:
    """No ticket, and tickets without a word, are no error."""
    for num in range(3):
        tickets: list[list[str]] = [[]] * num
        vectors_ND = vectors_of(tickets)
        assert diverse(vectors_ND, groups_of(vectors_ND), [0.0] * len(tickets), 9) == list(range(len(tickets)))


def test_block_border_changes_no_group() -> None:
    """Tickets beyond the first block join the groups that it began."""
    rng = np.random.default_rng(0)
    cases = [[f"mot{number}{letter}" for letter in "abcdef"] for number in range(40)]
    order = rng.integers(0, 40, 700).tolist()

    groups = groups_of(vectors_of([cases[number] for number in order])).tolist()

    names = {number: groups[order.index(number)] for number in set(order)}
    assert groups == [names[number] for number in order]
