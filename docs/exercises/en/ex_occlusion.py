"""Exercise: what each token weighs.

Read docs/en/11-explaining.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_occlusion.py
"""

from collections.abc import Callable, Sequence

Ask = Callable[[list[list[str]]], list[list[float]]]  # tickets -> of each, the probability of every category


def weights(ask: Ask, tokens: Sequence[str], label: int) -> list[float]:
    """Return by how much the log-odds of a category fall without each token, in the order of the tokens.

    Log-odds are ln(p / (1 - p)), natural logarithm. No probability that `ask` gives is 0.

    Args:
        ask: answers any number of tickets at once; it is called once, because a batch costs far less than its tickets.
        tokens: of the ticket, at least two.
        label: the place of the category in an answer of `ask`.
    """
    raise NotImplementedError("write weights; ask about the whole ticket and its shorter variants together")
