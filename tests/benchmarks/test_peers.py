"""Each peer learns what one word tells apart and chooses its settings on training rows; MiniLM where installed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy.learners import PEERS
from benchmarks.peers import svc
from benchmarks.peers.minilm import BATCH, embed_by_length
from benchmarks.peers.peer import best_setting, plain, share_right
from tests.trainer.small import rows, tickets

# MiniLM takes 290 MB and is no part of the extra `dev`; the others must be there.
TRIED = [name for name, peer in PEERS.items() if peer.is_installed or peer.extra != "minilm"]


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


def test_setting_is_chosen_on_tickets_that_were_kept_out() -> None:
    """A setting that knows its training tickets by heart, and no other, loses to one that is right on half of any.

    Each of the 40 tickets is asked once, and never by those who learnt it.
    """
    data = rows(tickets(10))
    asked_of_all: list[int] = []

    def answers(taught: Sequence[int], asked: Sequence[int]) -> Iterator[tuple[str, Sequence[str]]]:
        asked_of_all.extend(asked)
        assert not set(taught) & set(asked)
        assert len(taught) + len(asked) == 40
        yield "by heart", [data.tickets[row].expected if row in taught else "" for row in asked]
        yield "half", [data.tickets[row].expected if row % 2 else "" for row in asked]

    assert best_setting(data, 0, answers) == "half"
    assert sorted(asked_of_all) == list(range(40))


def test_first_of_equal_settings_is_chosen_and_none_where_nothing_can_be_kept_out() -> None:
    """The order of the candidates decides between equals; with two tickets a category there is nothing to choose by."""
    equal = best_setting(rows(tickets(3)), 0, lambda _, asked: [(2, [""] * len(asked)), (1, [""] * len(asked))])

    assert equal == 2
    assert best_setting(rows(tickets(2)), 0, lambda _, asked: [(1, [""] * len(asked))]) is None


LETTERS = "abcdefghijklmnopqrst"  # one of them, twice, in each ticket and in no other: noise that no fold can learn


@pytest.mark.parametrize(
    ("analyzer", "one", "other"),
    [
        # Only the characters on both sides of a gap tell these apart: as words the two are the same signs.
        ("char", ["+", "-", "{0}{0}"], ["-", "+", "{0}{0}"]),
        # Only the edge of a word does, and where a text begins or ends `char` sees no edge.
        ("char_wb", ["+{0}{0}"], ["{0}{0}+"]),
    ],
)
def test_svc_takes_the_analyzer_that_sees_the_difference(analyzer: str, one: list[str], other: list[str]) -> None:
    """Two categories that n-grams of one kind tell apart and those of the other do not."""
    data = rows(
        {
            "one": [[token.format(letter) for token in one] for letter in LETTERS[:10]],
            "other": [[token.format(letter) for token in other] for letter in LETTERS[10:]],
        }
    )

    fitted = PEERS["svc"].fit(data, 0)

    assert fitted.detail.startswith(f"text, {analyzer}, ")
    assert PEERS["svc"].fit(data, 0).detail == fitted.detail


def test_svc_leaves_punctuation_out_where_it_hides_the_words() -> None:
    """Both categories have the same words and pairs of words, so only `y x z` or `z x y` tells them apart.

    In the text those are five characters too, but with signs in between that are others in each ticket.
    """
    data = rows({word: [[sign.join(word)] for sign in "!?;:,.&=#@"] for word in ("xyxzx", "xzxyx")})

    assert PEERS["svc"].fit(data, 0).detail.startswith("words, char, ")


def test_svc_takes_the_c_that_wins_out_of_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C so small that the larger category is always answered loses to one that learns, though it stands first."""
    monkeypatch.setattr(svc, "STRENGTHS", (1e-9, 1.0))
    data = tickets(10)
    data["Facture"] = data["Facture"][:5]

    assert PEERS["svc"].fit(rows(data), 0).detail.endswith(", C 1")


class FakeSession:
    """A graph whose hidden state at a place is (id, 1), also where there is padding."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, _: None, asked: dict[str, Any]) -> list[Any]:
        """Return the hidden states."""
        ids_BT = asked["input_ids"]
        assert asked["attention_mask"].shape == asked["token_type_ids"].shape == ids_BT.shape
        assert not asked["token_type_ids"].any()
        self.shapes.append(ids_BT.shape)
        return [np.stack([ids_BT, np.ones_like(ids_BT)], axis=2).astype(np.float32)]


def test_embedding_is_the_mean_over_word_pieces_without_padding() -> None:
    """Pieces 3 and 5 have the mean (4, 1), over sqrt(17); the ticket of one piece 2 next to it (2, 1), over sqrt(5).

    With its padding, of id 0, the second would be (1, 1).
    """
    found = embed_by_length(FakeSession(), [[3, 5], [2]])

    assert found.dtype == np.float32
    assert found.tolist() == [pytest.approx([4 / 17**0.5, 1 / 17**0.5]), pytest.approx([2 / 5**0.5, 1 / 5**0.5])]


def test_tickets_of_a_length_share_a_batch_and_come_back_in_order() -> None:
    """BATCH long ones and as many short ones, mixed: two batches without padding, and every ticket in its place."""
    session = FakeSession()
    pieces = [[number + 1] * (5 if number % 2 else 1) for number in range(2 * BATCH)]

    found = embed_by_length(session, pieces)

    assert session.shapes == [(BATCH, 1), (BATCH, 5)]
    assert (found[:, 0] / found[:, 1]).tolist() == pytest.approx([number + 1 for number in range(2 * BATCH)])
