"""Names of categories that a person reads as one and a program as several: "Réseau", "réseau ", "Reseau", "RÉSEAU".

In: the categories of a set. Out: groups of names that differ by case, blanks, accents, punctuation or letters that look
alike (a Cyrillic е in a Latin word), and for each the name that the others should be read as. Nothing is merged here: a
person sees the option `--merge` and decides.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping

import msgspec

# Letters of other scripts that look like a Latin one, small ones (Unicode Technical Standard 39, "confusables").
_ALIKE = {
    **dict(zip("аеорсухіјѕһԁԛԝкмтнвг", "aeopcyxijshdqwkmthbr", strict=True)),  # Cyrillic
    **dict(zip("αορνικτυχεμ", "aopviktuxeu", strict=True)),  # Greek
    **dict(zip("ıɡ", "ig", strict=True)),  # Turkish, phonetic
}
_LETTERS = {"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ß": "ss"}
_KEPT = "+#"  # C, C++ and C# are three


class Variants(msgspec.Struct, frozen=True):
    """Categories that are probably one.

    Attributes:
        kept: the name that most tickets have; of equals the one in one script, not in capitals, the first.
        others: name -> its tickets, of those that should be read as `kept`.
        num_tickets: of all of them.
    """

    kept: str
    others: dict[str, int]
    num_tickets: int

    @property
    def options(self) -> list[str]:
        """The words of a command line that merge them."""
        return [word for other in self.others for word in ("--merge", f"{other}={self.kept}")]


def variants(categories: Mapping[str, int]) -> list[Variants]:
    """Return the groups of names that are probably one category, the largest first.

    >>> variants({"Réseau": 5, "réseau": 2, "Accès": 3})
    [Variants(kept='Réseau', others={'réseau': 2}, num_tickets=7)]

    Args:
        categories: name -> tickets.
    """
    order = {name: place for place, name in enumerate(categories)}
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in categories:
        groups[skeleton(name)].append(name)
    found = []
    for names in groups.values():
        if len(names) > 1:
            ordered = sorted(
                names, key=lambda name: (-categories[name], _num_scripts(name), name.isupper(), order[name])
            )
            others = {name: categories[name] for name in ordered[1:]}
            found.append(Variants(ordered[0], others, sum(categories[name] for name in names)))
    return sorted(found, key=lambda one: (-one.num_tickets, one.kept))


def skeleton(name: str) -> str:
    """Return what names that look alike share; a name of signs alone is its own.

    >>> skeleton("Mot-de-passe"), skeleton("MOT DE PASSÉ"), skeleton("Niveau 1.2"), skeleton("C++")
    ('motdepasse', 'motdepasse', 'niveau1 2', 'c++')
    """
    letters = []
    for letter in unicodedata.normalize("NFKD", name.casefold()):
        letter = _LETTERS.get(_ALIKE.get(letter, letter), _ALIKE.get(letter, letter))
        if letter.isalnum() or letter in _KEPT:
            letters.append(letter)
        elif not unicodedata.combining(letter) and letter not in "\u200b\u200c\u200d\u00ad\ufeff":
            letters.append(" ")
    words = "".join(letters).split()
    joined = ""
    for word in words:  # 1.2 is not 12
        joined += f" {word}" if joined[-1:].isdigit() and word[0].isdigit() else word
    return joined or name


def _num_scripts(name: str) -> int:
    """Return how many scripts the letters of a name are of."""
    return len({unicodedata.name(letter, "?").split()[0] for letter in name if letter.isalpha()})
