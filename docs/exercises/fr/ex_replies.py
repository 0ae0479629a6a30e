"""Exercice : les lignes qui sont de l’auteur dans une réponse.

Lisez docs/fr/17-courriel.md, complétez la fonction, puis lancez

    pytest docs/exercises/fr/test_ex_replies.py
"""

WROTE = ("wrote:", "a écrit :")  # la fin d’une ligne qui introduit une citation
SIGNATURE = "-- "  # la ligne entière, avec son espace


def own_lines(text: str) -> list[str]:
    """Renvoie les lignes que l’auteur a écrites, dans l’ordre, sans les lignes vides.

    Ne sont pas de l’auteur les lignes qui commencent par « > », la ligne qui les introduit (la dernière au-dessus qui
    n’est pas vide, si elle finit comme dans WROTE), et tout ce qui suit à partir de la ligne SIGNATURE.

    Arguments :
        text : le corps d’une réponse, aux lignes séparées par LF.
    """
    raise NotImplementedError("écrivez own_lines ; commencez par les lignes qui débutent par '>'")
