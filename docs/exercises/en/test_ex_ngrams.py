"""The check of the exercise."""

import ex_ngrams
import pytest

from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import Vocabulary

ROWS = {"<PAD>": 0, "<UNK>": 1, "connexion": 2, "<PRODUCT>": 3, "mot de passe": 4}


def test_the_word_of_the_chapter() -> None:
    """`<cb>` has the three n-grams that the chapter lists, in that order."""
    assert ex_ngrams.ngram_rows("cb", 100) == [35, 86, 3]


@pytest.mark.parametrize("word", ["a", "cb", "été", "connecter", "conntecter", "réinitialisation", "mot de passe"])
def test_rows_are_those_of_the_library(word: str) -> None:
    """Short words, accents, long words and spaces give the rows that the trained table has for them."""
    assert ex_ngrams.ngram_rows(word, 20000) == ngrams(word, 20000)


def test_ticket_of_the_chapter() -> None:
    """Two unknown tokens, one of them twice, are numbered from V in order of appearance."""
    assert ex_ngrams.ids(["mot de passe", "cb", "connexion", "cb", "lucile"], ROWS) == [4, 5, 2, 5, 6]


@pytest.mark.parametrize("ticket", ["connexion", "lucile", "emma lucile emma connexion georges lucile <PRODUCT>"])
def test_ids_are_those_of_the_library(ticket: str) -> None:
    """Tickets of known tokens, unknown ones and both get the ids that the model takes."""
    tokens = ticket.split()
    assert ex_ngrams.ids(tokens, ROWS) == Vocabulary(ROWS, 100).encode(tokens).ids
