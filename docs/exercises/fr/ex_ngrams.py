"""Exercice : d’un mot aux lignes de ses n-grammes, et des tokens aux identifiants.

Lisez docs/fr/01-texte.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_ngrams.py
"""

from collections.abc import Mapping, Sequence


def ngram_rows(word: str, num_buckets: int) -> list[int]:
    """Renvoie les lignes, de 1 à `num_buckets`, des 24 premiers n-grammes de `word`.

    Ce sont ceux du mot marqué (`<cb>` pour « cb ») : tous ceux de 3 caractères, de gauche à droite, puis tous
    ceux de 4, puis de 5. Le hachage est `zlib.crc32` des octets UTF-8 d’un n-gramme.
    """
    raise NotImplementedError("écrivez ngram_rows ; commencez par la liste des n-grammes de '<cb>'")


def ids(tokens: Sequence[str], rows: Mapping[str, int]) -> list[int]:
    """Renvoie l’identifiant de chaque token : sa ligne, ou V + u pour le u-ième inconnu (V lignes, u compté depuis 0).

    Les tokens sont déjà normalisés. Un même token inconnu a chaque fois le même identifiant.
    """
    raise NotImplementedError("écrivez ids ; commencez par les tokens connus")
