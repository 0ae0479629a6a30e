"""Exercice : trouver le nom d’une personne, de quelque façon qu’il soit écrit.

Lisez docs/fr/18-donnees-personnelles.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_names.py
"""


def fold(text: str) -> str:
    """Renvoie un texte en minuscules et sans accents, de quelque façon qu’Unicode les compose.

    Arguments :
        text : quelconque ; « LEFÈVRE » devient « lefevre ».
    """
    raise NotImplementedError(
        "écrivez fold ; commencez par unicodedata.normalize : quelle forme détache un accent de sa lettre ?"
    )


def names(name: str, text: str) -> bool:
    """Renvoie si un texte contient un nom, quoi qu’il y ait entre ses mots, et même s’il n’y a rien.

    Arguments :
        name : un mot ou plusieurs, comme « Jean Lefèvre ».
        text : comme '["jean", "lefèvre"]' ou "jeanlefevre@mail.example".
    """
    raise NotImplementedError("écrivez names ; commencez par un mot, puis pensez à ce qui peut se trouver entre deux")
