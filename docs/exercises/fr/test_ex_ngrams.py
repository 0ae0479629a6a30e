"""La vérification de l’exercice."""

import ex_ngrams
import pytest

from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import Vocabulary

ROWS = {"<PAD>": 0, "<UNK>": 1, "connexion": 2, "<PRODUCT>": 3, "mot de passe": 4}


def test_the_word_of_the_chapter() -> None:
    """`<cb>` a les trois n-grammes que cite le chapitre, dans cet ordre."""
    assert ex_ngrams.ngram_rows("cb", 100) == [35, 86, 3]


@pytest.mark.parametrize("word", ["a", "cb", "été", "connecter", "conntecter", "réinitialisation", "mot de passe"])
def test_rows_are_those_of_the_library(word: str) -> None:
    """Mots courts, accents, mots longs et espaces donnent les lignes que la table apprise a pour eux."""
    assert ex_ngrams.ngram_rows(word, 20000) == ngrams(word, 20000)


def test_ticket_of_the_chapter() -> None:
    """Deux tokens inconnus, dont un deux fois, sont numérotés à partir de V dans l’ordre d’apparition."""
    assert ex_ngrams.ids(["mot de passe", "cb", "connexion", "cb", "lucile"], ROWS) == [4, 5, 2, 5, 6]


@pytest.mark.parametrize("ticket", ["connexion", "lucile", "emma lucile emma connexion georges lucile <PRODUCT>"])
def test_ids_are_those_of_the_library(ticket: str) -> None:
    """Tokens connus, inconnus ou mêlés : les tickets reçoivent les identifiants que prend le modèle."""
    tokens = ticket.split()
    assert ex_ngrams.ids(tokens, ROWS) == Vocabulary(ROWS, 100).encode(tokens).ids
