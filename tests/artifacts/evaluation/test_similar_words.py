"""Tests of similar_words.py: which known words are near, against sets of pieces that are counted by hand."""

from hypothesis import given
from hypothesis import strategies as st

from artifacts.evaluation.similar_words import MIN_SIMILARITY, NUM_NEAREST, SLICE_WORDS, Spellings
from artifacts.text.tickets import Neighbour
from artifacts.text.tokens import MAX_NGRAMS
from artifacts.text.vocabulary import RESERVED, Vocabulary

WORDS = st.text("abé", min_size=1, max_size=8)


def spellings(words: list[str], num_buckets: int = 8) -> Spellings:
    """Return the prepared spellings of a vocabulary of these words, in the order of their rows."""
    found = Spellings(Vocabulary({word: row for row, word in enumerate((*RESERVED, *words))}, num_buckets))
    list(found.prepare())
    return found


def pieces(word: str) -> set[str]:
    """Return the first 24 pieces of 3, 4 and 5 characters of a marked word, themselves and not hashed."""
    marked = f"<{word}>"
    every = [marked[i : i + size] for size in (3, 4, 5) for i in range(len(marked)) if i + size <= len(marked)]
    return set(every[:MAX_NGRAMS])


def test_typing_error_finds_what_was_meant() -> None:
    """Of "conntecter" 13 of 35 pieces are those of "connecter" too; strangers are not named."""
    found = spellings(["facture", "connecter", "connexion", "utilisateur"]).nearest("conntecter")

    assert found[0] == Neighbour("connecter", 13 / 35)
    assert "utilisateur" not in [one.token for one in found]


def test_nothing_is_near() -> None:
    """A token that shares no piece, and one of a single letter, have no neighbour; nor are reserved words ones."""
    known = spellings(["facture", "connecter"])

    assert [known.nearest(token) for token in ("zzzz", "z", "unk")] == [[], [], []]


@given(st.lists(WORDS, min_size=1, max_size=30, unique=True), WORDS)
def test_neighbours_are_those_of_a_look_at_every_word(words: list[str], token: str) -> None:
    """The index finds what comparing the token's set of pieces with each word's does, however small the hash table."""
    own = pieces(token)
    every = [(len(own & pieces(word)) / len(own | pieces(word)), word) for word in words]
    nearest = sorted((pair for pair in every if pair[0] >= MIN_SIMILARITY), key=lambda pair: -pair[0])

    found = spellings(words).nearest(token)

    assert found == [Neighbour(word, similarity) for similarity, word in nearest[:NUM_NEAREST]]


def test_preparing_in_pieces_comes_to_the_same() -> None:
    """Whoever stops half way goes on where that was, and a second time there is nothing left to do."""
    words = [f"mot{number}" for number in range(3 * SLICE_WORDS)]
    whole = spellings(words)
    found = Spellings(Vocabulary({word: row for row, word in enumerate((*RESERVED, *words))}, 8))

    for _ in zip(range(2), found.prepare(), strict=False):
        pass
    num_slices = sum(1 for _ in found.prepare())

    assert num_slices < sum(1 for _ in Spellings(found._vocabulary).prepare())
    assert list(found.prepare()) == []
    assert found.nearest("mot17") == whole.nearest("mot17")
    assert [found.word(row) for row in (0, 2)] == ["<PAD>", "mot0"]
