"""Exercise: find a person's name however it is written.

Read docs/en/18-personal-data.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_names.py
"""


def fold(text: str) -> str:
    """Return a text in small letters without accents, in whatever way Unicode composes them.

    Args:
        text: any; "LEFÈVRE" becomes "lefevre".
    """
    raise NotImplementedError(
        "write fold; start with unicodedata.normalize: which form takes an accent off its letter?"
    )


def names(name: str, text: str) -> bool:
    """Return whether a text holds a name, whatever stands between the name's words, and nothing may.

    Args:
        name: one word or several, such as "Jean Lefèvre".
        text: such as '["jean", "lefèvre"]' or "jeanlefevre@mail.example".
    """
    raise NotImplementedError("write names; start with one word, then think of what may stand between two")
