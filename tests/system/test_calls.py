"""docs/calls.http: the seed documents' examples, on a real server with a real trainer."""

import re
from pathlib import Path

import pytest

from demo import run_calls
from tests.system.server import ROOT, serving

CALLS = (ROOT / "docs" / "calls.http").read_text("utf-8")
MAILS = ["famille", "promotions", "réseaux sociaux", "spam", "travail"]


@pytest.mark.torch
@pytest.mark.system
def test_calls_of_the_seeds_are_answered_as_they_say(tmp_path: Path) -> None:
    """Every call of docs/calls.http is answered 200, with the fields that the seed documents show."""
    with serving(tmp_path, tmp_path / "store", ["--trainer", "local"]) as server:
        answers = run_calls(f"127.0.0.1:{server.port}", CALLS)

    assert answers[0] == {"status": "model created", "model_name": "puppet-o2"}
    assert (answers[1]["status"], answers[1]["model_name"]) == ("training completed", "puppet-o2")
    assert answers[2]["category"] in ("Accès utilisateur", "Problème de connexion")
    assert answers[3]["total_tests"] == 2
    assert answers[3]["unknown_categories"] == {"Création de client": 1}
    assert (answers[4]["replaced"], answers[4]["is_new_category"]) == (False, True)
    predictions = answers[7:11]
    assert all(answer["predicted_label"] in MAILS and 0 < answer["confidence_score"] <= 1 for answer in predictions)
    assert ["stripped" in answer for answer in predictions] == [False, False, False, True]
    assert predictions[3]["stripped"]["num_quoted_lines"] == 2
    assert 100_000 < answers[13]["value"] < 400_000
    assert {"mae", "rmse", "r2"} <= answers[14].keys()


def test_calls_are_complete() -> None:
    """No `...` is left in them, and the host stands at the top."""
    assert "..." not in CALLS
    assert re.search(r"^@host = http://127\.0\.0\.1:\d+$", CALLS, re.MULTILINE)
    assert CALLS.count("{{host}}") == 15
