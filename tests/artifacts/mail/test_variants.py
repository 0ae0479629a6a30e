"""What is read of the texts of tests/fixtures/mail/variants.txt: kinds of mail in the words of several programs.

A row is "@@ kind | reply forward html", the text of a mail, "-->" and what is read of it, blanks aside; a pilcrow is a
blank at the end of a line.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from artifacts.mail import read_mail
from tests.artifacts.mail.test_cases import folded

VARIANTS = Path(__file__).parents[2] / "fixtures" / "mail" / "variants.txt"


class Variant(NamedTuple):
    """One row: its kind, what its header says, its text and what is read of it."""

    kind: str
    header: str
    text: str
    expected: str


def rows() -> list[Variant]:
    """Return the rows of the file."""
    found = []
    for block in VARIANTS.read_text("utf-8").removeprefix("@@ ").split("\n@@ "):
        head, _, rest = block.partition("\n")
        kind, _, header = head.partition(" | ")
        text, _, expected = rest.partition("\n-->\n")
        found.append(Variant(kind.removesuffix(" |"), header, text.replace("¶", " "), expected))
    return found


@pytest.mark.parametrize("variant", rows(), ids=lambda variant: variant.kind)
def test_variant_is_read_as_a_support_team_would(variant: Variant) -> None:
    """The author's words stay, what programs and earlier mails add goes."""
    prefix = "Re: " if "reply" in variant.header else "Fwd: " if "forward" in variant.header else ""
    kind = "html" if "html" in variant.header else "plain"
    raw = f"Subject: {prefix}x\nContent-Type: text/{kind}; charset=utf-8\n\n{variant.text}\n"

    assert folded(read_mail(raw.encode()).body) == folded(variant.expected)


def test_there_are_variants() -> None:
    """The file has its rows, and each expects something; an empty one would prove nothing."""
    assert len(rows()) >= 60
    assert all(variant.expected.strip() for variant in rows())
