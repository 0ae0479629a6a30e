"""What is read of each mail of tests/fixtures/mail/cases: the subject and the author's text, blanks aside."""

from pathlib import Path

import pytest

from artifacts.mail import read_mail

CASES = sorted((Path(__file__).parents[2] / "fixtures" / "mail" / "cases").iterdir())


def folded(text: str) -> str:
    """Return a text with one blank between two words."""
    return " ".join(text.split())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case_is_read_as_a_support_team_would(case: Path) -> None:
    """Each case, and each control, gives exactly the text that is expected."""
    expected = (case / "expected.txt").read_text("utf-8")

    assert folded(read_mail((case / "input.eml").read_bytes()).text) == folded(expected)


def test_there_are_cases() -> None:
    """The folder has the cases and the controls; an empty one would prove nothing."""
    assert len(CASES) == 95
    assert sum(case.name.startswith("3") for case in CASES) == 21
