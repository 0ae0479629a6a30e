"""What a terminal shows of a GRU's evaluation."""

import io
import subprocess
import sys

import msgspec
import numpy as np
from rich.console import Console

from artifacts.evaluation.abstain import Abstention
from artifacts.evaluation.metrics import Metrics, measure
from tests.system.server import ROOT
from trainer.gru.show import show_evaluation


def shown(evaluation: Metrics) -> str:
    """Return what a terminal of 120 columns shows of an evaluation."""
    console = Console(file=io.StringIO(), width=120)
    for part in show_evaluation(evaluation):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_evaluation_shows_confidence_confusions_and_mistakes() -> None:
    """Three of four right; the two surest are, so half of the tickets can be answered with 90, 95 and 99 % right."""
    probabilities_NC = np.array([[0.9, 0.1], [0.2, 0.8], [0.75, 0.25], [0.6, 0.4]], dtype=np.float32)
    evaluation = measure(["a", "b"], ["a", "b", "b", "a"], [probabilities_NC], [None, None, "t-3", None])

    text = " ".join(shown(evaluation).replace("│", " ").split())

    assert "accuracy 0.7500 0.3006 to 0.9544 on other such tickets (95 %)" in text
    assert "99% right 50.0% of the tickets answered, if sure by 0.8000 at least" in text
    assert "1 x b taken for a" in text
    assert "row 2 (id t-3): 0.750 sure of a, was b" in text
    assert "top-3" not in text, "of two categories"
    assert "without the text 0.5000 always 'a', the largest category" in text
    assert text.endswith("3 of 4 right (always 'a' 0.5000, chance 0.5000)")


def test_evaluation_says_what_the_rule_does_on_the_tickets() -> None:
    """Two of four are routed, one of them right; with no threshold none is, and no share of them is made up."""
    probabilities_NC = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.6, 0.4]], dtype=np.float32)
    rule = Abstention(0.9, 0.7, tie_margin=0.15, max_unknown=0.5, num_tickets=600, coverage=0.8, accuracy=0.9)

    def said(rule: Abstention) -> str:
        evaluation = measure(["a", "b"], ["a", "a", "b", "a"], [probabilities_NC], [], rule, [0.0] * 4)
        return " ".join(shown(evaluation).split())

    assert (
        "routes 50.0% of these tickets by itself, of which 50.0% are right (9.5% to 90.5% on others; target 90.0%); "
        "not routed: 1 top_two_tie, 1 low_confidence"
    ) in said(rule)
    assert "routes none of these tickets by itself (target 90.0% right): 2 low_confidence, 2 top_two_tie" in said(
        msgspec.structs.replace(rule, threshold=None, tie_margin=0.25)
    )


def test_evaluation_of_an_older_report_is_shown_too() -> None:
    """What was not measured then is left out."""
    older = Metrics(1, 0, 1, 0.0, 0.0, {}, [], [], {"z": 1})

    assert "the model has no category 'z': its 1 tickets count as errors" in shown(older)


def test_what_is_shown_needs_no_torch() -> None:
    """Tables of an evaluation are shown without waiting for PyTorch."""
    code = "import sys, trainer.gru.show; assert 'torch' not in sys.modules"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
