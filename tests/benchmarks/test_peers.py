"""Each peer learns what one word tells apart; MiniLM only where its model is installed."""

import pytest

from benchmarks.accuracy.learners import PEERS
from benchmarks.peers.peer import plain, share_right
from tests.trainer.small import rows, tickets

# MiniLM takes 266 MB and is no part of the extra `dev`; the others must be there.
TRIED = [name for name, peer in PEERS.items() if peer.is_installed or name != "minilm"]


@pytest.mark.parametrize("name", TRIED)
def test_peer_learns_four_categories(name: str) -> None:
    """Ten tickets each of four categories, one word of each in no other: all of them are recognised again."""
    data = rows(tickets(10))
    texts, expected = [plain(t.content) for t in data.tickets], [t.expected for t in data.tickets]

    fitted = PEERS[name].fit(data, 0)

    assert share_right(fitted.answer(texts), expected) == 1.0
    assert fitted.answer(texts[:1]) == fitted.answer(texts)[:1] == expected[:1]
    assert fitted.model_bytes > 1000


def test_share_right_counts_equal_names() -> None:
    """Two of three, and nothing of none."""
    assert share_right(["a", "b", "b"], ["a", "b", "c"]) == 2 / 3
    assert share_right([], []) == 0.0
