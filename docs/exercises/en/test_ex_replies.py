"""The check of the exercise."""

import ex_replies
import pytest

from artifacts.mail.message import read_mail

QUESTION = "On 4 Nov 2024, Support <help@example.org> wrote:"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["It is down.", "", QUESTION, "> Is it?", "> > It is."], ["It is down."], id="above"),
        pytest.param([QUESTION, "", "> Is it?", ">", "> Tell us.", "", "It is."], ["It is."], id="below"),
        pytest.param([QUESTION, "> Which?", "Firefox.", "> When?", "Monday."], ["Firefox.", "Monday."], id="between"),
    ],
)
def test_answer_is_kept_wherever_it_stands(lines: list[str], expected: list[str]) -> None:
    """The reply stands above the quote, below it, or between its lines."""
    assert ex_replies.own_lines("\n".join(lines)) == expected


def test_signature_ends_the_text() -> None:
    """From the line "-- " on nothing is kept; two dashes within a line, or without the space, are text."""
    text = "\n".join(("A list:", "--", "- the VPN -- it is down", "-- ", "Zoé", "Support wrote:", "> Hello"))

    assert ex_replies.own_lines(text) == ["A list:", "--", "- the VPN -- it is down"]


def test_line_that_introduces_no_quote_is_the_authors() -> None:
    """What ends with "a écrit :" goes only if the next line that is not blank is a quote; so does no line above it."""
    lines = ["Mon chef a écrit :", "Non.", "Le support a écrit :", "", "> Oui.", "Que faire ?"]

    assert ex_replies.own_lines("\n".join(lines)) == ["Mon chef a écrit :", "Non.", "Que faire ?"]


def test_two_introductions_leave_one() -> None:
    """A quote has one line that introduces it, however many lines it has."""
    lines = ["Here is what he wrote:", QUESTION, "> Is it?", "> Tell us."]

    assert ex_replies.own_lines("\n".join(lines)) == ["Here is what he wrote:"]


def test_project_reads_the_same() -> None:
    """A reply in French, as `read_mail` reads it."""
    text = "Bonjour,\n\nRien ne marche.\n\nLe 4 nov. 2024 à 10:12, Al <a@b.c> a écrit :\n> Et là ?\n> Merci.\n-- \nZ"

    expected = read_mail(f"Content-Type: text/plain; charset=utf-8\n\n{text}".encode()).body

    assert ex_replies.own_lines(text) == [line for line in expected.split("\n") if line]
