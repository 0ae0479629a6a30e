"""The audit: which faults are found in tickets, how they are ranked, and what `puppet-train inspect` makes of them."""

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.trainer import small
from trainer.cli import main
from trainer.config import TrainConfig
from trainer.curation import folds
from trainer.curation.audit import (
    SMALL_CATEGORY,
    audit,
    conflicting,
    leaks,
    lower_words,
    merges,
    mislabelled,
    personal_kinds,
    proposed_aliases,
    repeated,
)
from trainer.curation.folds import MIN_TO_JUDGE, NUM_FOLDS, assign, out_of_fold, probabilities
from trainer.data.files import RawRow
from trainer.data.tickets import Rows, check_rows, near_empty_rows
from trainer.samples.synthetic import generate


def rows_of(*tickets: tuple[str, str | list[str]]) -> Rows:
    """Return checked rows of categories and contents."""
    fields = [("tokens" if isinstance(content, list) else "text", category, content) for category, content in tickets]
    return check_rows(
        [RawRow(json.dumps({"category": category, name: content}).encode()) for name, category, content in fields],
        "test",
    )


def labels_of(rows: Rows) -> np.ndarray:
    """Return the label of each ticket."""
    labels = sorted(rows.categories)
    return np.array([labels.index(ticket.expected) for ticket in rows.tickets])


def written(path: Path, rows: Rows) -> Path:
    """Return `path` with the rows as JSONL."""
    path.write_text(
        "".join(
            json.dumps({"category": ticket.expected, ticket.content_field: ticket.content, "id": f"T{row}"}) + "\n"
            for row, ticket in enumerate(rows.tickets)
        )
    )
    return path


def inspect(*arguments: object, status: int = 0) -> Result:
    """Run `puppet-train inspect` within this process; its exit status must be `status`."""
    result = CliRunner().invoke(main.main, ["inspect", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def flipped() -> tuple[Rows, set[int]]:
    """Give 400 synthetic tickets, and which 20 of them were put under another category."""
    tickets = generate(400, 3)
    categories = sorted({category for category, _ in tickets})
    random = np.random.default_rng(0)
    wrong = set(random.permutation(len(tickets))[:20].tolist())
    found = []
    for row, (category, tokens) in enumerate(tickets):
        others = [name for name in categories if name != category]
        found.append((others[int(random.integers(len(others)))] if row in wrong else category, tokens))
    return rows_of(*found), wrong


# wrong categories


def test_flipped_categories_come_first(flipped: tuple[Rows, set[int]]) -> None:
    """Of tickets put under a wrong category at random most stand in the first tenth; by chance it would be a tenth."""
    rows, wrong = flipped

    found = audit(rows)

    unjudged = np.flatnonzero(assign(rows, labels_of(rows), 0) < 0).tolist()
    assert sorted(found.ranking + unjudged) == [*range(400)]
    assert len(wrong & set(found.ranking[:40])) >= 14
    named = {one.row for one in found.suspects if one.is_mislabelled}
    assert len(named) == found.num_mislabelled
    assert len(wrong & named) >= 14
    assert len(named) < 80  # naming everything would find everything


def test_same_rows_and_seed_give_the_same_answer(flipped: tuple[Rows, set[int]]) -> None:
    """Nothing is left to chance but the folds, and those follow the seed."""
    rows, _ = flipped

    assert audit(rows) == audit(rows)
    assert audit(rows, seed=1).ranking != audit(rows).ranking


def test_several_processes_find_the_same(flipped: tuple[Rows, set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The folds may be learnt at once."""
    rows, _ = flipped
    alone = audit(rows)
    monkeypatch.setattr("trainer.curation.folds.WORTH_A_PROCESS", 0)

    assert audit(rows, processes=2) == alone


def test_confident_learning_by_hand() -> None:
    """Thresholds are the mean self-confidences: of category 0 (.9+.8+.1)/3 = .6, of category 1 (.7+.3)/2 = .5.

    Ticket 2 is above that of category 1 (.9) and stands under 0: an error. Ticket 4 is above that of category 0 (.7)
    and stands under 1: an error too. Of the two, ticket 2 has the lower self-confidence (.1 against .3).
    """
    probabilities_NC = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.7, 0.3]])

    assert mislabelled(probabilities_NC, np.array([0, 0, 0, 1, 1])).tolist() == [2, 4]
    assert mislabelled(probabilities_NC, np.array([0, 0, 1, 1, 0])).tolist() == []


def test_folds_keep_equal_tickets_together_and_categories_apart() -> None:
    """Copies are in one fold, also under two categories; each category is spread evenly; a tiny one is in no fold."""
    tickets = [("a", [f"w{number}"]) for number in range(10)] + [("b", [f"v{number}"]) for number in range(10)]
    rows = rows_of(*tickets, ("a", ["w0"]), ("b", ["w1"]), ("tiny", ["x"]), ("tiny", ["y"]))

    folds = assign(rows, labels_of(rows), 0).tolist()

    assert folds[20] == folds[0]
    assert folds[21] == folds[1]
    assert folds[22:] == [-1] * (MIN_TO_JUDGE - 1)
    assert Counter(folds[:10]) == Counter(folds[10:20]) == dict.fromkeys(range(NUM_FOLDS), 2)


def test_tickets_of_tiny_categories_only_are_not_judged() -> None:
    """Where no category has three tickets nothing is scored, and nothing fails."""
    found = audit(rows_of(("a", ["un", "deux"]), ("b", ["trois", "quatre"])))

    assert (found.ranking, found.suspects, found.num_mislabelled) == ([], [], 0)
    assert found.small_categories == {"a": 1, "b": 1}


def test_steady_confusions_are_proposed_to_be_merged() -> None:
    """Two tickets each way in each fold are; one way only, or not in every fold, are not."""
    folds_N = np.tile(np.arange(NUM_FOLDS), 12)
    given_N = np.repeat([0, 1, 2, 3], 15)
    best_N = given_N.copy()
    best_N[:5], best_N[15:20] = 1, 0  # both ways, every fold
    best_N[30:35] = 3  # one way
    best_N[45:47], best_N[5:7] = 0, 3  # both ways, two folds

    (found,) = merges(best_N, given_N, folds_N, ["a", "b", "c", "d"])

    assert (found.first, found.second, found.of_folds) == ("a", "b", [2] * NUM_FOLDS)
    assert found.share == pytest.approx(10 / 15)


# plain faults


def test_repeats_and_conflicts_name_the_rows() -> None:
    """A repeat points to the first, a conflict to the other categories, however the ticket is spelled."""
    rows = rows_of(("a", "Mot de passe"), ("b", "autre chose"), ("a", "mot de PASSE"), ("b", "mot de passe"))

    assert repeated(rows) == {2: 0}
    assert conflicting(rows) == {0: ["b"], 2: ["b"], 3: ["a"]}


def test_masks_and_signs_are_no_words() -> None:
    """A ticket of one word is nearly empty, whatever masks and signs stand around it; a token may be several words."""
    rows = rows_of(
        ("a", ["<NAME>", "bonjour", "!"]), ("a", ["mot de passe"]), ("b", "Merci 12345 ?"), ("b", "merci beaucoup")
    )

    assert near_empty_rows(rows) == [0, 2]


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ("écrire à jean.dupont@example.com", ["an e-mail address"]),
        (["rappeler", "06", "12", "34", "56", "78"], ["a phone number"]),
        ("IBAN FR76 3000 6000 0112 3456 7890 189", ["an IBAN"]),
        (["carte", "4111111111111111"], ["a card number"]),
        ("carte 4111-1111-1111-1112", []),  # the check digit is wrong
        ("Je suis Madame Durand", ["a name"]),
        ("Je paie par Visa et Mastercard", []),
        (["mail", "<EMAIL>", "tel", "<PHONE>"], []),
        ("Merci Madame", []),
    ],
)
def test_personal_data_is_known_by_its_form(content: str | list[str], kinds: list[str]) -> None:
    """What has the form of personal data is named by its kind; masks and other capitals are not."""
    assert personal_kinds(content) == kinds


def test_word_of_the_tickets_is_no_name() -> None:
    """After a title a capital counts, unless the word stands somewhere in lower case too."""
    rows = rows_of(("a", "Merci Mr. Appelez Madame Durand"), ("a", "appelez vite"), ("b", "Merci Mr. Appelez-moi"))

    found = audit(rows_of(("a", "Merci Mr. Appelez"), ("a", "appelez Mme Durand"), ("b", "vite")))

    assert lower_words(rows) == {"appelez", "vite"}
    assert found.num_personal == {"a name": 1}


def test_placeholders_of_the_same_thing_are_proposed_as_one() -> None:
    """The most frequent one stays, but for those that text.py writes; one without a twin is left alone."""
    tickets = [["client", "<ENTREPRISE>"], ["client", "<ENTREPRISE>"], ["appel", "<COMPANY>"], ["<MAIL>", "<EMAIL>"]]
    rows = rows_of(*(("a", tokens) for tokens in tickets), ("a", ["<MAIL>", "<NAME>"]))

    assert proposed_aliases(rows) == "<COMPANY>=<ENTREPRISE>,<MAIL>=<EMAIL>"


def test_leaks_are_equal_or_nearly_equal_tickets() -> None:
    """A ticket in other capitals is the same, one with another last letter nearly; another question is neither."""
    train = rows_of(("a", "comment changer mon mot de passe perdu hier"), ("b", "facture de mars payée deux fois"))
    test = rows_of(
        ("a", "Comment changer mon mot de passe perdu hier"),
        ("b", "comment changer mon mot de passe perdu hiers"),
        ("b", "comment payer"),
    )

    found = leaks(train, test)

    assert [(one.test_row, one.train_row, one.same_category) for one in found] == [(0, 0, True), (1, 0, False)]
    assert found[0].similarity == 1
    a, b = (
        {text[at : at + 5] for at in range(len(text) - 4)}
        for text in (" ".join(rows.tokens[row]) for rows, row in ((train, 0), (test, 1)))
    )
    assert found[1].similarity == pytest.approx(len(a & b) / len(a | b), abs=0.001)


# the command


def test_inspect_writes_what_is_to_be_labelled_again(flipped: tuple[Rows, set[int]], tmp_path: Path) -> None:
    """The CSV has the reasoned rows in order: place, id, categories, score, reasons and the ticket as given."""
    rows, _ = flipped
    data = written(tmp_path / "tickets.jsonl", rows)

    result = inspect(data, "--csv", tmp_path / "look.csv", "--json")

    found = json.loads(result.stdout.splitlines()[-1])
    with (tmp_path / "look.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    numbers = [int(line["place"].removeprefix("line ")) - 1 for line in lines]
    assert numbers == [one["row"] for one in found["suspects"]]
    scores = [float(line["score"]) for line in lines if line["score"]]
    assert scores == sorted(scores)
    first = rows.tickets[numbers[0]]
    assert lines[0]["id"] == f"T{numbers[0]}"
    assert (lines[0]["category"], lines[0]["text"]) == (first.expected, " ".join(first.content))
    assert lines[0]["suggested_category"] in rows.categories
    assert "probably another category" in lines[0]["reasons"]
    assert found["num_tickets"] == 400
    assert f"{found['num_mislabelled']} tickets are probably in a wrong category" in result.stdout


def test_cell_of_the_csv_is_no_formula(tmp_path: Path) -> None:
    """A ticket that a spreadsheet would compute begins with an apostrophe."""
    data = tmp_path / "t.csv"
    data.write_text('category,text\na,"=1+1"\na,bonjour vous\nb,au revoir\n')

    inspect(data, "--csv", tmp_path / "look.csv")

    assert "'=1+1" in (tmp_path / "look.csv").read_text("utf-8-sig")
    assert "line 2" in (tmp_path / "look.csv").read_text("utf-8-sig")


def test_inspect_tells_of_leaks_and_small_categories(tmp_path: Path) -> None:
    """The advice names what is in both files, and categories below the bound."""
    data = written(tmp_path / "train.jsonl", small.rows(small.tickets(SMALL_CATEGORY - 1)))
    test = written(tmp_path / "test.jsonl", small.rows(small.tickets(2)))

    stdout = inspect(data, "--test", test).stdout

    assert f"8 tickets of {test} are also in the training data" in stdout
    assert f"4 categories have fewer than {SMALL_CATEGORY} distinct tickets" in stdout


def test_inspect_lists_words_that_look_like_names(tmp_path: Path) -> None:
    """Each with the tickets that hold it; those that are forbidden already are not listed."""
    texts = [
        {"category": category, "text": f"{category} numéro {number} de {name}"}
        for number, (category, name) in enumerate(
            itertools.product(["facture", "avoir"], ["Jean Lefèvre", "Mme Zwoki", "Mme Zwoki"])
        )
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    (tmp_path / "names.txt").write_text("zwoki\n")

    shown = inspect(tmp_path / "t.jsonl", "--json")
    others = inspect(tmp_path / "t.jsonl", "--forbid", tmp_path / "names.txt", "--json")

    assert json.loads(shown.stdout.splitlines()[-1])["names"] == {"Zwoki": 4, "Jean": 2, "Lefèvre": 2}
    assert "3 words look like names" in shown.stdout
    assert json.loads(others.stdout.splitlines()[-1])["names"] == {"Jean": 2, "Lefèvre": 2}


def test_inspect_reads_a_folder_of_mails(tmp_path: Path) -> None:
    """A mail is named by its place in the folder."""
    pytest.importorskip("resiliparse")
    for category, subject in (("facture", "Facture double"), ("accès", "Accès perdu")):
        (tmp_path / category).mkdir()
        for number in range(2):
            (tmp_path / category / f"{number}.eml").write_text(f"Subject: {subject}\n\nBonjour, voir plus bas.\n")

    inspect(tmp_path, "--csv", tmp_path.with_suffix(".csv"))

    assert "/facture/1.eml" in tmp_path.with_suffix(".csv").read_text("utf-8-sig")


def test_numbers_are_refused_with_the_reason(tmp_path: Path) -> None:
    """Rows of a SimpleNN are recognised; rows that are neither get the faults of tickets."""
    numbers = tmp_path / "numbers.jsonl"
    numbers.write_text('{"features": [1, 2], "target": 3}\n' * 4)
    faulty = tmp_path / "faulty.jsonl"
    faulty.write_text('{"category": "a"}\n')

    assert "SimpleNN" in inspect(numbers, status=1).stderr
    assert "surely the text" in inspect(faulty, status=1).stderr


def test_one_category_cannot_be_inspected(tmp_path: Path) -> None:
    """There is nothing to tell apart, as in training."""
    data = written(tmp_path / "t.jsonl", rows_of(("a", "un deux"), ("a", "trois quatre")))

    assert "one category" in inspect(data, status=1).stderr


# many categories


def test_audit_of_many_categories_keeps_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the budget no full tables are fitted, and the tickets kept out are still answered rightly."""
    monkeypatch.setattr(folds, "DEFAULTS", TrainConfig(max_table_mb=1))
    monkeypatch.setattr("trainer.gru.linear.fit", lambda *_: pytest.fail("full tables were fitted"))
    rows = rows_of(
        *((f"c{category:02d}", ["bonjour", f"sujet{category}", f"objet{category}", word])
          for category in range(70)
          for word in ("merci", "urgent", "salut", "hier", "demain"))
    )  # fmt: skip
    given_N = labels_of(rows)

    found_NC = out_of_fold(rows, given_N, assign(rows, given_N, 0), 70, 1)

    assert found_NC.dtype == np.float32
    assert found_NC.shape == (350, 70)
    np.testing.assert_allclose(found_NC.sum(axis=1), 1, rtol=0, atol=1e-5)
    assert (found_NC.argmax(axis=1) == given_N).mean() > 0.95


def test_probabilities_take_the_place_of_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows at a time, the last block shorter: the softmax in the same memory; a row of NaN stays one."""
    monkeypatch.setattr(folds, "BLOCK", 12)
    scores_NC = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    scores_NC[5] = np.nan
    exp_NC = np.exp(scores_NC.astype(np.float64) * 2)

    found_NC = probabilities(scores_NC, 2.0)

    assert found_NC is scores_NC
    np.testing.assert_allclose(found_NC, exp_NC / exp_NC.sum(axis=1, keepdims=True), rtol=0, atol=1e-6)


def test_mislabelled_counts_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tickets are called wrong whether they are looked at one at a time or all together."""
    random = np.random.default_rng(1)
    probabilities_NC = random.dirichlet(np.ones(4), size=60).astype(np.float32)
    given_N = random.integers(0, 4, size=60)
    together = mislabelled(probabilities_NC, given_N).tolist()
    monkeypatch.setattr(folds, "BLOCK", 4)

    assert together
    assert mislabelled(probabilities_NC, given_N).tolist() == together
