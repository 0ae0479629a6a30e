"""A solution of the exercise."""

WROTE = ("wrote:", "a écrit :")  # how a line ends that introduces a quote
SIGNATURE = "-- "  # the whole line, with its space


def own_lines(text: str) -> list[str]:
    """Return the lines that the author wrote, in order, without the blank ones."""
    kept: list[str] = []
    in_quote = False
    for line in text.split("\n"):
        if line == SIGNATURE:
            break
        if line.startswith(">"):
            if not in_quote and kept and kept[-1].endswith(WROTE):  # only now is it known what that line introduced
                kept.pop()
            in_quote = True
            continue  # the answer may stand below
        if line.strip():
            kept.append(line)
            in_quote = False
    return kept
