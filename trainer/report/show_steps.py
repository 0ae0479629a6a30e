"""Prints the steps from a ticket to its answer as a lesson; the numbers are those of steps.py.

A selection: the first tokens, the first entries of a vector, one network's GRU. What stands for the rest is said each
time; `--json` has all of it.
"""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from artifacts.networks.steps import GateSteps, Steps

# As the commands' own (trainer/cli/terminal.py), which lies above this folder: a category is printed as it is.
out = Console(highlight=False, markup=False, emoji=False)

MAX_TOKENS = 12  # shown; a ticket has up to 512
MAX_ENTRIES = 3  # of a vector
MAX_CATEGORIES = 5
BAR = 6  # signs that a gate which is open has


def show_steps(steps: Steps) -> None:
    """Print the lesson, from the tokens to the proof."""
    first = steps.networks[0]
    num_tokens, size, hidden = len(steps.tokens), len(first.vectors[0]), len(first.layers[0][0].state[0])
    ways = "both ways" if len(first.layers[0]) > 1 else "forward"
    say(f"{steps.name} version {steps.version}: {num_tokens} tokens, {len(steps.networks)} GRU, {ways}", "bold")
    if num_tokens > MAX_TOKENS:
        say(f"The first {MAX_TOKENS} tokens are shown, and {num_tokens - MAX_TOKENS} more are not; --json has all.")
    tokens = [step.token for step in steps.tokens]

    heading("1. Token -> id", "A known token's id is its row; an unknown one's counts on from there, and its n-grams")
    say("are hashed to rows of a table of their own.")
    show(
        ("token", "id", "rows of its n-grams"),
        [
            (step.token, step.id, "" if step.known else f"{len(step.grams)}: {', '.join(map(str, step.grams[:6]))} ...")
            for step in steps.tokens
        ],
    )

    heading("2. Id -> vector", f"A row of {size} numbers; of an unknown token, the row of <UNK> + the mean of its")
    say("n-grams' rows.")
    show(
        ("token", "|x|", f"first {MAX_ENTRIES} of x"),
        [(token, length(x), numbers(x)) for token, x in zip(tokens, first.vectors, strict=True)],
    )

    heading("3. The GRU", "The state h begins at 0. r: how much of it the proposal n may use; z: how much of it stays.")
    say("h = (1 - z) * n + z * h; r and z as means over the entries.")
    for name, way in zip(("forward", "backward (read from the last token up)"), first.layers[0], strict=False):
        say(name, "italic")
        show_gates(tokens, way)
    if len(first.layers) > 1:
        say(f"The next layer reads these states; there are {len(first.layers)} layers.")

    heading("4. Pooling", f"Of each of the {len(first.largest)} entries of h the largest and the mean over the ticket.")
    say(f"largest {numbers(first.largest)} ...    mean {numbers(first.mean)} ...")
    if len(steps.networks) > 1:
        say(f"So much for the first GRU of {hidden}; each of the {len(steps.networks)} does steps 2 to 4 by itself.")

    show_linear(steps, tokens)
    show_answer(steps)

    differences = steps.differences
    heading("7. Proof", "The same ticket through onnxruntime, which serves; NumPy has 16 digits and it has 7.")
    say(
        f"largest difference: vectors {differences.vectors:.1g}, states {differences.states:.1g}, "
        f"logits {differences.logits:.1g}, probabilities {differences.probabilities:.1g}"
    )


def show_gates(tokens: Sequence[str], way: GateSteps) -> None:
    """Print the gates, the proposal and the state of a GRU at each token."""
    steps = zip(tokens, way.reset, way.update, way.proposal, way.state, strict=True)
    show(
        ("token", "r", "z", "|n|", "|h|", f"first {MAX_ENTRIES} of h"),
        [(token, gate(r), gate(z), length(n), length(h), numbers(h)) for token, r, z, n, h in steps],
    )


def show_linear(steps: Steps, tokens: Sequence[str]) -> None:
    """Print what the linear part adds for the most probable category."""
    best = most_probable(steps)[0]
    linear = steps.linear
    heading("5. The linear part", "Beside the GRU each token, and each pair of neighbours, has a score of its own per")
    say(f"category; their sum is divided by the root of the length. For {steps.categories[best]}:")
    if not any(any(scores) for scores in (linear.logits, *linear.words)):
        say("The validation tickets gave it no share in this version: all of its rows are 0.")
        return
    show(("token", "score"), [(token, one[best]) for token, one in zip(tokens, linear.words, strict=True)])
    if linear.pairs:
        show(
            ("pair", "", "row", "score"),
            [(pair.before, pair.after, pair.row, pair.scores[best]) for pair in linear.pairs],
        )
    total = sum(one[best] for one in linear.words) + sum(pair.scores[best] for pair in linear.pairs)
    say(f"{total:.3f} / sqrt({len(tokens)}) = {linear.logits[best]:.3f}")


def show_answer(steps: Steps) -> None:
    """Print the logits by what they are made of, and the probabilities."""
    heading("6. Logits -> probabilities", "exp(logit), divided by the sum over all categories (softmax).")
    say(
        f"The temperature {steps.temperature:.3f} and the linear part's share {steps.linear_share:.2f} are folded into "
        f"the weights."
    )
    rows = []
    for label in most_probable(steps)[:MAX_CATEGORIES]:
        of_networks = sum(network.logits[label] for network in steps.networks)
        parts = (of_networks, steps.linear.logits[label], steps.linear.bias[label], steps.logits[label])
        rows.append((steps.categories[label], *parts, steps.probabilities[label]))
    show(("category", "GRU's", "linear's", "bias", "logit", "probability"), rows)
    if len(steps.categories) > MAX_CATEGORIES:
        say(f"... and {len(steps.categories) - MAX_CATEGORIES} categories more.")


def most_probable(steps: Steps) -> list[int]:
    """Return the labels, the most probable one first."""
    return sorted(range(len(steps.categories)), key=lambda label: -steps.probabilities[label])


def heading(title: str, sentence: str) -> None:
    """Print the title of a step and what happens in it."""
    out.print()
    say(title, "bold")
    say(sentence)


def say(sentence: str, style: str | None = None) -> None:
    """Print a sentence."""
    out.print(sentence, style=style, soft_wrap=True)


def show(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table of the first rows."""
    table = Table(*columns)
    for row in rows[:MAX_TOKENS]:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    out.print(table)


def numbers(vector: Sequence[float]) -> str:
    """Return the first entries of a vector."""
    return " ".join(f"{value:+.2f}" for value in vector[:MAX_ENTRIES])


def length(vector: Sequence[float]) -> float:
    """Return the Euclidean norm."""
    return math.hypot(*vector)


def gate(values: Sequence[float]) -> str:
    """Return the mean of a gate's entries, and a bar.

    >>> gate([0.5, 0.25])
    '0.38 ##....'
    """
    mean = sum(values) / len(values)
    filled = round(BAR * mean)
    return f"{mean:.2f} {'#' * filled}{'.' * (BAR - filled)}"
