"""A solution of the exercise."""

import re
import unicodedata


def fold(text: str) -> str:
    """Return a text in small letters without accents, in whatever way Unicode composes them."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in apart if not unicodedata.combining(one))


def names(name: str, text: str) -> bool:
    """Return whether a text holds a name, whatever stands between the name's words, and nothing may."""
    words = re.findall(r"[^\W_]+", fold(name))
    return re.search(r"[\W_]{0,40}".join(map(re.escape, words)), fold(text)) is not None
