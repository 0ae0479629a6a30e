"""Whether the text tells the categories: true on labels that follow from it, false on labels that are dealt out."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from artifacts.text.tickets import Ticket
from trainer.cli import main
from trainer.curation.audit import audit
from trainer.curation.folds import assign
from trainer.curation.signal import MIN_TICKETS, NUM_DEALS, Answered, chain, first_copies, follows_text, standardised
from trainer.data.tickets import Rows, noticed
from trainer.samples.synthetic import generate

NATO = "alpha bravo charlie delta écho foxtrot golf hôtel india juliette kilo lima mike novembre oscar papa"
WORDS = re.findall(r"\w+", NATO)


def rows_of(texts: list[str], categories: list[str]) -> Rows:
    """Return tickets as checked rows."""
    tickets = [Ticket(category, text=text) for category, text in zip(categories, texts, strict=True)]
    return noticed(tickets, [text.split() for text in texts])


def sentences(num_tickets: int, seed: int) -> list[str]:
    """Return texts of eight words out of ten, as unrelated to anything as can be."""
    dice = random.Random(seed)
    return [" ".join(dice.choice(WORDS[:10]) for _ in range(8)) for _ in range(num_tickets)]


def near_copies(num_tickets: int, seed: int) -> list[str]:
    """Return texts in pairs that differ in one word: each is answered with the other's category."""
    dice = random.Random(seed)
    firsts = [
        " ".join(dice.choice(WORDS) + str(dice.randrange(10**6)) for _ in range(6)) for _ in range(num_tickets // 2)
    ]
    return firsts + [f"{text} {dice.choice(WORDS)}" for text in firsts]


def templates(num_tickets: int, seed: int) -> list[str]:
    """Return texts that are one of 16 long templates with four words of their own."""
    dice = random.Random(seed)
    whole = [" ".join(dice.choice(WORDS) for _ in range(15)) for _ in range(16)]
    return [f"{dice.choice(whole)} {' '.join(dice.choice(WORDS) for _ in range(4))}" for _ in range(num_tickets)]


@pytest.mark.parametrize("texts_of", [sentences, near_copies, templates])
@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (5, 3, 2, 1, 1)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_labels_of_dice_are_called_so(
    texts_of: Callable[[int, int], list[str]], weights: tuple[int, ...], seed: int
) -> None:
    """Whatever the texts are like and however the categories are spread; no ticket is accused of anything."""
    dice = random.Random(seed)
    found = audit(rows_of(texts_of(300, seed), dice.choices("ABCDE"[: len(weights)], weights, k=300)))

    assert found.labels_follow_text is False
    assert found.signal.p_value > 0.001
    assert (found.num_mislabelled, found.merges, found.ranking) == (0, [], [])
    assert not [one for one in found.suspects if one.suggested is not None or one.score is not None]
    assert found.signal.largest_share >= found.signal.chance


def test_true_labels_are_not_denied_and_shuffled_ones_are() -> None:
    """The same synthetic tickets with their own categories, and with these shuffled."""
    tickets = [Ticket(category, tokens) for category, tokens in generate(400, seed=3)]
    shuffled = [ticket.expected for ticket in tickets]
    random.Random(1).shuffle(shuffled)
    tokens = [list(ticket.tokens or ()) for ticket in tickets]
    dealt = [Ticket(category, ticket.tokens) for category, ticket in zip(shuffled, tickets, strict=True)]

    assert audit(noticed(tickets, tokens)).labels_follow_text is True
    assert audit(noticed(dealt, tokens)).labels_follow_text is False


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_weak_signal_is_a_signal(share: float) -> None:
    """One word in eight that says the category in three of four tickets, also where one category has nine in ten."""
    dice = random.Random(4)
    categories = ["A" if dice.random() < share else "B" for _ in range(600)]
    told = [
        f"{text} {'panne' if (category == 'A') == (dice.random() < 0.75) else 'facture'}"
        for text, category in zip(sentences(600, 5), categories, strict=True)
    ]

    assert audit(rows_of(told, categories)).labels_follow_text is True


def test_copies_are_dealt_as_one() -> None:
    """A random category that each copy of a ticket has too is no evidence, however often the ticket is repeated."""
    texts = sentences(150, 6)
    categories = random.Random(7).choices("AB", k=150)

    found = audit(rows_of(texts * 4, categories * 4))

    assert found.labels_follow_text is False
    assert first_copies(rows_of(["a b", "a b", "c"], ["A", "B", "A"])).tolist() == [0, 2]


def test_few_tickets_are_no_proof_that_there_is_nothing() -> None:
    """Under 100 judged tickets it is not denied; what is plain is seen in a few, and tiny categories say nothing."""
    dealt = rows_of(sentences(MIN_TICKETS - 1, 8), random.Random(9).choices("AB", k=MIN_TICKETS - 1))
    plain = rows_of([f"{word} {number}" for number in range(20) for word in ("panne", "facture")], ["A", "B"] * 20)
    tiny = rows_of(["un deux", "trois quatre"], ["A", "B"])

    assert audit(dealt).labels_follow_text is None
    assert audit(plain).labels_follow_text is True
    assert (audit(tiny).labels_follow_text, audit(tiny).signal.num_tickets) == (None, 0)


def test_sums_are_compared_with_those_of_deals() -> None:
    """Four tickets of one fold, by hand: of the 4!/(2! 2!) = 6 deals only the true one gives .9 + .8 + .7 + .6 = 3.0.

    The mean of all is 4 x .5 + (.9 + .8 + .7 + .6 - 2) / 2 x 0 = 2: every category comes to each ticket equally often.
    """
    probabilities_KC = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    given_N = np.array([0, 0, 1, 1])
    answered = Answered(np.arange(4), probabilities_KC, np.zeros(4, dtype=np.int64))

    own_F, dealt_FD = standardised(answered, given_N, np.arange(4))

    assert (own_F.shape, dealt_FD.shape) == ((1,), (1, NUM_DEALS))
    assert (dealt_FD.mean(), dealt_FD.std()) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0))
    assert own_F[0] == pytest.approx(dealt_FD.max())
    assert (dealt_FD >= own_F.sum() - 1e-9).mean() == pytest.approx(1 / 6, abs=0.04)
    # Of one answer for all there is nothing to compare.
    same = Answered(np.arange(4), np.full((4, 2), 0.5), np.zeros(4, dtype=np.int64))
    assert len(standardised(same, given_N, np.arange(4))[0]) == 0


def test_no_ticket_has_a_say_in_the_answer_to_an_earlier_one() -> None:
    """The categories of a fold changed, the answers to it and to those before it stay as they were."""
    texts, categories = sentences(120, 10), random.Random(11).choices("AB", k=120)
    rows = rows_of(texts, categories)
    given_N = np.array(["AB".index(category) for category in categories])
    folds_N = assign(rows, given_N, 0)
    before = chain(rows, given_N)
    changed_N = np.where(folds_N == 3, 1 - given_N, given_N)
    monkeyed = assign(rows, given_N, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.curation.signal.assign", lambda *_: monkeyed)
        after = chain(rows, changed_N)

    assert set(before.folds_K.tolist()) == {1, 2, 3, 4}
    up_to_3 = before.folds_K <= 3
    np.testing.assert_array_equal(before.probabilities_KC[up_to_3], after.probabilities_KC[up_to_3])
    assert (before.probabilities_KC[~up_to_3] != after.probabilities_KC[~up_to_3]).any()


def test_sure_answers_need_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every fold is far from all deals, nothing more is trained."""
    rows = rows_of([f"mot{number} autre{number}" for number in range(400)], ["A", "B"] * 200)
    given_N = np.array([0, 1] * 200)
    answered = Answered(np.arange(400), np.eye(2)[given_N], np.arange(400) % 5)
    monkeypatch.setattr("trainer.curation.signal.chain", lambda *_: pytest.fail("asked"))

    assert follows_text(rows, given_N, answered) == (True, 0.001)


def inspected(path: Path, *more: object) -> tuple[list[str], dict[str, object]]:
    """Return the lines that `puppet-train inspect` prints, and its object."""
    result = CliRunner().invoke(main.main, ["inspect", str(path), *map(str, more), "--json"])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[:-1], json.loads(result.stdout.splitlines()[-1])


def test_inspect_says_first_that_no_text_tells_the_labels(tmp_path: Path) -> None:
    """Before anything else, next to what always the largest category is; and it advises to correct nothing."""
    texts, categories = sentences(300, 12), random.Random(13).choices(["Haute", "haute ", "Basse"], k=300)
    path = tmp_path / "tickets.jsonl"
    rows = zip(texts, categories, strict=True)
    path.write_text("".join(json.dumps({"category": category, "text": text}) + "\n" for text, category in rows))

    lines, line = inspected(path, "--csv", tmp_path / "look.csv")

    assert line["labels_follow_text"] is False
    assert isinstance(signal := line["signal"], dict)
    assert lines[2] == (
        f"{signal['accuracy']:.1%} of 300 tickets get their category from a linear model that has not seen them; "
        f"always {signal['largest_category']!r} would be {signal['largest_share']:.1%}, chance {signal['chance']:.1%}"
    )
    assert lines[3].startswith("the categories do not follow from the text: dealt out among the tickets at random")
    assert isinstance(warnings := line["warnings"], list)
    assert warnings[0]["kind"] == "labels_do_not_follow_text"
    assert not {"mislabelled", "confused_categories"} & {one["kind"] for one in warnings}
    assert not any("wrong category" in text or "taken for each other" in text for text in lines)
    assert (line["suspects"], line["ranking"], line["num_mislabelled"]) == ([], [], 0)


def test_inspect_does_not_call_most_tickets_wrong(tmp_path: Path) -> None:
    """A model that is often wrong itself accuses many; that is said, and nobody is told to correct them all."""
    dice = random.Random(14)
    categories = dice.choices("ABCDEFGH", k=240)
    texts = [
        f"{text} {category * 3 if dice.random() < 0.45 else dice.choice('ABCDEFGH') * 3}"
        for text, category in zip(sentences(240, 15), categories, strict=True)
    ]
    path = tmp_path / "tickets.jsonl"
    rows = zip(texts, categories, strict=True)
    path.write_text("".join(json.dumps({"category": category, "text": text}) + "\n" for text, category in rows))

    lines, line = inspected(path)

    assert line["labels_follow_text"] is True
    assert isinstance(num_wrong := line["num_mislabelled"], int)
    assert num_wrong > 60
    assert any(f"{num_wrong} tickets look as if they were in a wrong category, but the model" in text for text in lines)
    assert not any("correct them from the top" in text for text in lines)
