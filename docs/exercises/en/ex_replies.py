"""Exercise: the author's own lines of a reply.

Read docs/en/17-email.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_replies.py
"""

WROTE = ("wrote:", "a écrit :")  # how a line ends that introduces a quote
SIGNATURE = "-- "  # the whole line, with its space


def own_lines(text: str) -> list[str]:
    """Return the lines that the author wrote, in order, without the blank ones.

    Not the author's are the lines that begin with ">", the line that introduces them (the last one above that is not
    blank, if it ends as in WROTE), and what stands from the line SIGNATURE on.

    Args:
        text: the body of a reply, its lines separated by LF.
    """
    raise NotImplementedError("write own_lines; start with the lines that begin with '>'")
