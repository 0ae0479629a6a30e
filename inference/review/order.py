"""In which order a person should look at tickets: the least sure first, the oldest first, or no ten copies of one case.

In: tickets as tokens, and how sure the model is of each. Out: groups of like tickets, and orders. Pure functions: the
same tickets in the same order give the same answer on every machine.

Like tickets. Each ticket is a vector: the sum of its distinct words, each weighed by how few tickets have it, and a
word the sum of its character n-grams, hashed to D places with a sign (Weinberger et al. 2009, "Feature Hashing for
Large Scale Multitask Learning", arXiv 0902.2206). The n-grams are those by which the model reads unknown words, so a
typing error moves a ticket a little and not away. Two tickets are alike if the cosine of their vectors is LIKE or more.
Groups are made in one pass (Hartigan 1975, "leader" clustering): a ticket joins the nearest group whose first ticket it
is like, else it begins one. It compares a ticket with the groups and not with all others, and its groups cannot chain:
two tickets of a group are both like its first one.

The diverse order looks at the groups as a weighted k-center (Gonzalez 1985; as "core-set" in Sener and Savarese 2018,
arXiv 1708.00489): first the largest group, then always the group that is farthest from all that were looked at, where
a group counts the more the larger it is, or the first dozens would be freaks. Only when each group has been seen once
comes the second ticket of the first one.
"""

# Axes: N tickets, M distinct words of all of them, D places of the hash, G groups.

from collections.abc import Sequence
from itertools import chain

import numpy as np

from artifacts.arrays import Floats, Ints
from artifacts.text.tokens import NEWEST, Rules, ngrams

PLACES = 256  # D: two strangers have a cosine of 0 +- 1/16, far below LIKE
# One in a thousand pairs of our synthetic tickets, taken at random, reaches 0.49; two tellings of a case mostly do.
LIKE = 0.5
BLOCK_TICKETS = 256  # that are compared with all groups in one product


def vectors_of(tickets: Sequence[Sequence[str]], rules: Rules = NEWEST) -> Floats:
    """Return vectors_ND float32 of length 1, or 0 for a ticket without a word.

    Args:
        tickets: normalised tokens of each.
        rules: by which words are cut into n-grams.
    """
    rows: dict[str, int] = {}
    words_of = [sorted({rows.setdefault(token, len(rows)) for token in tokens}) for tokens in tickets]
    if not rows:
        return np.zeros((len(tickets), PLACES), dtype=np.float32)
    # Twice as many places as there are: the lowest bit of the hash is the sign.
    grams = [ngrams(token, 2 * PLACES, rules) for token in rows]
    sizes_M = np.array([len(one) for one in grams])
    hashes = np.fromiter(chain.from_iterable(grams), dtype=np.int64) - 1
    place = np.repeat(np.arange(len(rows)), sizes_M) * PLACES + hashes // 2
    signs = np.where(hashes % 2, 1.0, -1.0)
    words_MD = np.bincount(place, signs, len(rows) * PLACES).reshape(len(rows), PLACES).astype(np.float32)
    words_MD /= np.maximum(np.linalg.norm(words_MD, axis=1, keepdims=True), 1e-12)
    # A word that each ticket has says nothing of how they differ (Sparck Jones 1972, "inverse document frequency").
    num_holders_M = np.bincount(np.fromiter(chain.from_iterable(words_of), dtype=np.int64), minlength=len(rows))
    words_MD *= np.log1p(len(tickets) / num_holders_M).astype(np.float32)[:, None]
    vectors_ND = np.stack([words_MD[words].sum(axis=0) for words in words_of])
    return np.asarray(vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12), np.float32)


def groups_of(vectors_ND: Floats) -> Ints:
    """Return group_N: the number of each ticket's group; groups are numbered in the order of their first tickets."""
    num = len(vectors_ND)
    group_N = np.empty(num, dtype=np.int32)
    leaders_GD = np.empty_like(vectors_ND)
    num_groups = 0
    for start in range(0, num, BLOCK_TICKETS):
        block = vectors_ND[start : start + BLOCK_TICKETS]
        # With the groups that there are before this block, in one product; with those of the block itself one by one.
        near = block @ leaders_GD[:num_groups].T
        best = near.argmax(axis=1) if num_groups else np.zeros(len(block), dtype=np.int64)
        highest = near.max(axis=1) if num_groups else np.full(len(block), -1.0)
        first = num_groups
        for offset, vector in enumerate(block):
            group, likeness = int(best[offset]), float(highest[offset])
            if num_groups > first:
                new = leaders_GD[first:num_groups] @ vector
                if new.max() > likeness:
                    group, likeness = first + int(new.argmax()), float(new.max())
            if likeness < LIKE:
                group, num_groups = num_groups, num_groups + 1
                leaders_GD[group] = vector
            group_N[start + offset] = group
    return group_N


def uncertain(confidence_N: Sequence[float]) -> list[int]:
    """Return the tickets' places, the least sure first (Lewis and Gale 1994, arXiv cmp-lg/9407020); ties by place."""
    return sorted(range(len(confidence_N)), key=lambda place: (confidence_N[place], place))


def diverse(vectors_ND: Floats, group_N: Ints, confidence_N: Sequence[float], num: int) -> list[int]:
    """Return the places of the first `num` tickets, no two of one group before each group was seen once.

    Args:
        vectors_ND: from `vectors_of`.
        group_N: from `groups_of`.
        confidence_N: of a group the least sure ticket comes first.
        num: tickets wanted; all if there are fewer.
    """
    members: list[list[int]] = [[] for _ in range(int(group_N.max(initial=-1)) + 1)]
    for place in uncertain(confidence_N):
        members[int(group_N[place])].append(place)
    found: list[int] = []
    order = _spread(vectors_ND[[min(one) for one in members]], [len(one) for one in members], num) if members else []
    for turn in range(max(map(len, members), default=0)):
        for group in order:
            if len(found) == num:
                return found
            if turn < len(members[group]):
                found.append(members[group][turn])
    return found


def _spread(leaders_GD: Floats, sizes: Sequence[int], num: int) -> list[int]:
    """Return the first `num` groups, each far from those before it; large ones count more."""
    weight_G = (1.0 + np.log(np.array(sizes))).astype(np.float32)
    distance_G = np.ones(len(sizes), dtype=np.float32)  # from the nearest group that was taken
    order: list[int] = []
    for _ in range(min(num, len(sizes))):
        group = int((weight_G * distance_G).argmax())  # of equal ones the first, so the order is always the same
        order.append(group)
        weight_G[group] = -1.0  # a group that was taken is worth less than any other, however near that is
        np.minimum(distance_G, np.maximum(1e-6, 1.0 - leaders_GD @ leaders_GD[group]), out=distance_G)
    return order
