"""Une solution de l’exercice."""

import re
import unicodedata


def fold(text: str) -> str:
    """Renvoie un texte en minuscules et sans accents, de quelque façon qu’Unicode les compose."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in apart if not unicodedata.combining(one))


def names(name: str, text: str) -> bool:
    """Renvoie si un texte contient un nom, quoi qu’il y ait entre ses mots, et même s’il n’y a rien."""
    words = re.findall(r"[^\W_]+", fold(name))
    return re.search(r"[\W_]{0,40}".join(map(re.escape, words)), fold(text)) is not None
