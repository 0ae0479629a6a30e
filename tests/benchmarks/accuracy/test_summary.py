"""What trainings come to: the interval of the lead, learning curves, tables and pictures."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.accuracy.learners import Run, long_batch, part_accuracy
from benchmarks.accuracy.sets import Facts, Part
from benchmarks.accuracy.summary import Settings, summary
from benchmarks.accuracy.tables import make_sheets, pictures
from benchmarks.common import machine
from benchmarks.common.curve import fit_curve, sentence
from benchmarks.common.intervals import paired_interval
from benchmarks.common.report import save
from tests.trainer.small import rows, tickets
from trainer.config import TrainConfig

FACTS = Facts("a (text)", 1600, 4, 2, 0.5, "", "")
SMALL = Part(600, 0)


def a_run(learner: str, seed: int, correct: str, part: Part = Part(), num_train: int = 1600) -> Run:  # noqa: B008
    """Return a run that got these test tickets right."""
    share = correct.count("1") / len(correct)
    return Run("a (text)", learner, part, seed, num_train, share, share, 100.0, 2.0, 7, correct=correct)


RUNS = [
    a_run("gru", 1, "1111"),
    a_run("gru", 0, "1110"),
    a_run("svc", 0, "1110"),
    a_run("gru", 0, "1000", SMALL, 600),
    a_run("svc", 0, "1111", SMALL, 600),
]


def settings(curve: bool = False) -> Settings:
    """Return what was asked for."""
    return Settings({"a (text)": ("", "")}, TrainConfig(), [0, 1], ["svc"], 1, curve, 2)


def test_interval_of_one_ticket_in_four() -> None:
    """Right on one more of four: a draw has it 0 to 4 times, binomial(4, 1/4), whose 2.5 % and 97.5 % are 0 and 3."""
    found = paired_interval([[True, True, False, True]], [[False, True, False, True]])

    assert (found.mean, found.low, found.high) == (0.25, 0.0, 0.75)


def test_interval_is_of_the_mean_over_seeds() -> None:
    """One seed of two is wrong on the second ticket: differences 0 and -1/2, and two draws can miss it or be it."""
    found = paired_interval([[True, False], [True, True]], [[True, True]])

    assert (found.mean, found.low, found.high) == (-0.25, -0.5, 0.0)


def test_interval_without_a_difference_is_a_point() -> None:
    """Tickets on which both are right or both wrong say nothing of which is better."""
    found = paired_interval([[True, False]] * 3, [[True, False]])

    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_curve_of_a_law_that_is_known() -> None:
    """Errors .4 and .2 at 100 and 400 tickets are 4 n^-1/2; 30 categories get 1200 more: .1 at 1600, 10 points."""
    curve = fit_curve([100, 400], [0.6, 0.8], 30, 1000)

    assert [curve.b, curve.c] == pytest.approx([4.0, 0.5])
    assert curve.worth == pytest.approx(10.0)
    assert curve.largest_miss == pytest.approx(0.0, abs=1e-9)
    assert sentence("x", curve).startswith("x: 40 more tickets of each category are worth about 10.0 points (by ")


def test_curve_says_how_far_it_is_off() -> None:
    """Errors .4, .4, .1 at 1, 2, 4: logarithms fall 2 bits in 2 doublings, so c = 1 and b = cube root(.128) = .504.

    At 2 it expects .252 where .4 was measured: 14.8 points off, more than .104 and .026 at the ends.
    """
    curve = fit_curve([1, 2, 4], [0.6, 0.6, 0.9], 1, 1000)

    assert [curve.b, curve.c] == pytest.approx([0.128 ** (1 / 3), 1.0])
    assert curve.largest_miss == pytest.approx(100 * (0.4 - 0.128 ** (1 / 3) / 2))


def test_curve_without_an_error_or_a_gain_is_not_read_too_far() -> None:
    """No wrong answer counts as half a ticket; a fall promises nothing."""
    assert fit_curve([10, 20], [1.0, 1.0], 2, 50).accuracy(20) == pytest.approx(1 - 0.01)
    assert "nothing can be said" in sentence("x", fit_curve([10, 20], [0.9, 0.8], 2, 50))


def test_summary_is_of_whole_sets_then_of_their_parts() -> None:
    """Both seeds in order, the lead over the same SVC, and the subsample with the SVC that learnt the same rows."""
    whole, small = summary([FACTS], ["svc"], RUNS).sets

    assert (whole.label, whole.accuracies, whole.peers["svc"].accuracy) == ("a (text)", [0.75, 1.0], 0.75)
    assert whole.peers["svc"].lead.mean == 0.125
    assert (small.label, small.accuracies) == ("a (text), 600 rows, draw 0", [0.25])
    assert small.peers["svc"].lead.mean == -0.75
    assert (small.num_train, small.costs.ticket_us, small.costs.model_bytes) == (600, 100.0, 7)


def test_curve_is_of_the_first_seed() -> None:
    """At all four sizes the seed is 0, so the last point is its .75 and not the mean with seed 1."""
    parts = [a_run(learner, 0, "1100", Part(size), size) for learner in ("gru", "svc") for size in (200, 400, 800)]

    gru, svc = summary([FACTS], ["svc"], [*RUNS, *parts]).curves

    assert (gru.learner, gru.curve.num_tickets) == ("gru", [200, 400, 800, 1600])
    assert gru.curve.accuracies == [0.5, 0.5, 0.5, 0.75]
    assert svc.learner == "svc"


def test_table_says_where_the_lead_is_sure() -> None:
    """Three answers of four lost on the subsample: its interval, binomial(4, 3/4), is -1 to -.25, below 0."""
    numbers = summary([FACTS], ["svc"], RUNS)

    accuracies, leads, costs = make_sheets(numbers, settings())

    whole, small = accuracies.rows
    assert whole[:7] == ["a (text)", "1600", "4", "2", "0.5000", "0.8750", "0.7500 to 1.0000"]
    assert whole[8] == "0.7500"
    assert small[6] == "-"
    assert leads.rows == [
        ["a (text)", "+12.50 (+0.00 to +37.50)"],
        ["a (text), 600 rows, draw 0", "-75.00 (-100.00 to -25.00)"],
    ]
    assert "LinearSVC: the interval lies above 0 on 0 of 1 whole sets (none)." in leads.notes
    assert "It lies below 0 on 1 of all 2 rows (a (text), 600 rows, draw 0)." in leads.notes
    for sheet in (accuracies, leads, costs):
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}


def test_each_peer_has_its_own_lead() -> None:
    """Right on 3.5 of 4 in the mean: an eighth ahead of the SVC's 3, five eighths ahead of fastText's 1, surely.

    Ahead of fastText on the second and third ticket by 1, on the fourth by a half: a draw holds none of them once in
    256, so the interval lies above 0. Subsamples are not compared with fastText, which did not learn them.
    """
    runs = [*RUNS, a_run("fasttext", 0, "1000")]
    numbers = summary([FACTS], ["svc", "fasttext"], runs)

    _, leads, _ = make_sheets(numbers, msgspec.structs.replace(settings(), peers=["svc", "fasttext"]))

    whole, small = numbers.sets
    assert {name: peer.lead.mean for name, peer in whole.peers.items()} == {"svc": 0.125, "fasttext": 0.625}
    assert whole.peers["fasttext"].lead.low > 0
    assert small.peers.keys() == {"svc"}
    assert [row[-1] for row in leads.rows][1:] == ["-"]
    assert "fastText: the interval lies above 0 on 1 of 1 whole sets (a (text))." in leads.notes
    assert "It lies below 0 on 0 of all 1 rows (none)." in leads.notes


def test_saved_run_has_every_table_and_its_pictures(tmp_path: Path) -> None:
    """The Markdown shows three tables and the pictures that lie beside it; no answers ticket by ticket are kept."""
    pytest.importorskip("matplotlib")
    parts = [a_run(learner, 0, "1100", Part(size), size) for learner in ("gru", "svc") for size in (200, 400, 800)]
    numbers = summary([FACTS], ["svc"], [*RUNS, *parts])
    here = machine.Machine("AMD EPYC", 2, "Linux 6", 0.1)
    found = machine.result("accuracy", here, settings(curve=True), numbers)

    path = save(found, make_sheets(numbers, settings(curve=True)), pictures(numbers), tmp_path)

    text = path.with_suffix(".md").read_text("utf-8")
    assert "# How accurate" in text
    assert "## How far it is ahead" in text
    assert "## What an answer costs" in text
    for kind in ("latency", "curves"):
        assert f"({path.stem}_{kind}.png)" in text
        assert (tmp_path / f"{path.stem}_{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert all(run.correct == "" for run in numbers.runs)


def test_halves_of_the_network_are_read_where_the_report_has_them() -> None:
    """A share, metrics with an accuracy, or nothing."""

    class Report:
        linear_validation = 0.5
        gru_validation = RUNS[0]  # anything with an accuracy

    assert part_accuracy(Report(), "linear_validation") == 0.5  # type: ignore[arg-type]  # a stand-in
    assert part_accuracy(Report(), "gru_validation") == 1.0  # type: ignore[arg-type]  # a stand-in
    assert part_accuracy(Report(), "nothing") is None  # type: ignore[arg-type]  # a stand-in


def test_batch_is_of_eight_tickets_of_thirty_tokens() -> None:
    """From rows that have fewer tokens than that, over again."""
    assert [len(ticket) for ticket in long_batch(rows(tickets(2)))] == [30] * 8
