"""From raw rows to checked tickets and their split: every field, every fault, and no category lost."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from artifacts.text.tickets import Ticket
from tests.trainer import small
from tests.trainer.files import jsonl, table, written
from trainer.data import tickets
from trainer.data.columns import Reading
from trainer.data.files import RawRow
from trainer.data.tickets import (
    MIN_FOR_VALIDATION,
    Rows,
    check_categories,
    check_rows,
    corrected,
    cut,
    fingerprint,
    noticed,
    split,
)


def read(path: Path) -> Rows:
    """Return the checked rows of a file."""
    return tickets.read(path)


def pairs(rows: Rows) -> list[tuple[str, list[str]]]:
    """Return category and tokens of each row."""
    return [(ticket.expected, tokens) for ticket, tokens in zip(rows.tickets, rows.tokens, strict=True)]


def refusal(path: Path) -> InvalidInput:
    """Return the error with which a file is refused."""
    with pytest.raises(InvalidInput) as caught:
        read(path)
    return caught.value


@pytest.mark.parametrize("field", ["text", "email_text"])
def test_text_is_tokenised(tmp_path: Path, field: str) -> None:
    """Raw text under either name is cut into words by the one tokeniser, and the ticket keeps what was given."""
    rows = read(written(tmp_path, "data.jsonl", jsonl({"category": "Accès", field: "L’accès à <PRODUCT> échoue !"})))

    assert rows.tokens == [["l'", "accès", "à", "<PRODUCT>", "échoue", "!"]]
    assert [ticket.content for ticket in rows.tickets] == ["L’accès à <PRODUCT> échoue !"]


def test_rows_of_both_kinds_may_stand_in_one_file(tmp_path: Path) -> None:
    """One row may have tokens and the next text."""
    content = jsonl({"category": "a", "tokens": ["Un Deux"]}, {"label": "b", "email_text": "Un Deux", "id": 7})

    rows = read(written(tmp_path, "data.jsonl", content))

    assert pairs(rows) == [("a", ["un deux"]), ("b", ["un", "deux"])]
    assert rows.tickets[1].id == 7


def test_table_may_have_other_columns_and_another_order(tmp_path: Path) -> None:
    """Columns are found by name, in any case and with blanks around it; others are left alone."""
    content = "Date ; Email_Text ; LABEL\n2026-01-02;mot de passe;Accès\n\n2026-01-03;facture;Facture\n"

    rows = read(written(tmp_path, "data.csv", content))

    assert pairs(rows) == [("Accès", ["mot", "de", "passe"]), ("Facture", ["facture"])]


def test_tokens_of_a_table_are_words_or_a_json_array(tmp_path: Path) -> None:
    """Words between spaces are tokens; a JSON array keeps a token of several words."""
    content = table([("a", "un  deux"), ("b", '["mot de passe", "<PRODUCT>"]')], ",", ("category", "tokens"))

    assert read(written(tmp_path, "data.csv", content)).tokens == [["un", "deux"], ["mot de passe", "<PRODUCT>"]]


# Normal form


def test_rows_are_kept_in_their_normal_spelling(tmp_path: Path) -> None:
    """Tokens are lower case and composed, blank ones left out, personal ones masked; the category is stripped."""
    content = jsonl({"category": " Cre\u0301er\t", "tokens": ["  MOT  de passe ", "e\u0301te\u0301", " ", "a@b.fr"]})

    assert pairs(read(written(tmp_path, "data.jsonl", content))) == [("Créer", ["mot de passe", "été", "<EMAIL>"])]


@pytest.mark.parametrize(
    "row",
    [
        {"category": "a", "tokens": []},
        {"category": "a", "tokens": ["", " \t"]},
        {"category": "a", "text": ""},
        {"label": "a", "email_text": " ... "},
    ],
)
def test_ticket_without_a_token_is_kept_apart(tmp_path: Path, row: dict[str, object]) -> None:
    """It is no fault of the file: nothing can be learnt from it, and a measurement counts it."""
    rows = read(written(tmp_path, "data.jsonl", jsonl(row, {"category": "b", "text": "bonjour"})))

    assert pairs(rows) == [("b", ["bonjour"])]
    assert [ticket.expected for ticket in rows.empty] == ["a"]
    with pytest.raises(InvalidInput, match="none of its 1 rows is a ticket with a category and a word"):
        read(written(tmp_path, "alone.jsonl", jsonl(row)))


@pytest.mark.parametrize("row", [{"category": "a", "tokens": [" "]}, {"label": "a", "email_text": " ... "}])
def test_posted_ticket_without_a_token_is_a_fault(row: dict[str, object]) -> None:
    """A program that posts one has lost its text on the way, which it has to know."""
    with pytest.raises(InvalidInput) as caught:
        check_rows([RawRow(json.dumps(row).encode(), "/training_data/0")], "training_data")

    assert "the ticket is empty" in caught.value.faults[0].detail


@pytest.mark.parametrize("category", ["", "  ", "\u00a0"])
def test_blank_category_is_a_fault(tmp_path: Path, category: str) -> None:
    """A category must have a name."""
    (fault,) = refusal(written(tmp_path, "data.jsonl", jsonl({"category": category, "tokens": ["a"]}))).faults

    assert fault.type == "no-category"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"category": "a", "label": "a", "tokens": ["b"]}, "exactly one of category, label"),
        ({"category": "a", "tokens": ["b"], "text": "b"}, "exactly one of tokens, text, email_text"),
        ({"category": "a", "tokens": ["b\0"]}, "NUL"),
        ({"category": "a", "text": "b\0"}, "NUL"),
    ],
)
def test_ambiguous_or_unreadable_row_is_a_fault(tmp_path: Path, row: dict[str, object], expected: str) -> None:
    """Two names for one thing, or a character that no text has, are refused and not guessed at."""
    (fault,) = refusal(written(tmp_path, "data.jsonl", jsonl(row))).faults

    assert expected in fault.detail


def test_short_rows_of_a_table_are_faults(tmp_path: Path) -> None:
    """A row of one cell is part of another, and one without a category is named; an empty text is an empty ticket."""
    path = written(tmp_path, "data.csv", "category,text\na\n,b\na,\na,b\n")

    assert [(fault.line, fault.pointer) for fault in refusal(path).faults] == [(2, ""), (3, "/category")]
    assert len(tickets.read(path, Reading(skip_unlabelled=True, skip_faulty=True)).empty) == 1


@pytest.mark.parametrize(
    ("cell", "pointer", "expected"),
    [
        ("[URGENT] payer", "/tokens", "is not a JSON array"),
        ('["a"], "id": 5', "/tokens", "is not a JSON array"),
        ('["a", 5]', "/tokens/1", "`str`"),
        ("[" * 5000, "/tokens", "is not a JSON array"),
    ],
    ids=["a word in brackets", "more after the array", "number", "deep"],
)
def test_wrong_array_in_a_table_is_a_fault(tmp_path: Path, cell: str, pointer: str, expected: str) -> None:
    """A cell that begins as a JSON array has to be one, and nothing else."""
    (fault,) = refusal(written(tmp_path, "data.csv", table([("a", cell)], ",", ("category", "tokens")))).faults

    assert (fault.line, fault.pointer) == (2, pointer)
    assert expected in fault.detail


# What is noticed


def test_duplicates_and_conflicts_are_counted() -> None:
    """Repeats of a ticket under its category are duplicates; a ticket under several categories is one conflict.

    a: x y, x y, X  Y (3, two of them repeats), z. b: x y (the conflict), w, w (one repeat). c: x y.
    """
    rows = small.rows(
        {"a": [["x y"], ["x y"], ["X  Y"], ["z"]], "b": [["x y"], ["w"], ["w"]], "c": [["x y"], ["x", "y"]]}
    )

    assert (rows.num_duplicates, rows.num_conflicts) == (3, 1)
    assert rows.categories == Counter(a=4, b=3, c=2)
    assert rows.distinct == Counter(a=2, b=2, c=2)


def test_one_category_is_refused() -> None:
    """There is nothing to tell apart; the message counts, names it and says what to add."""
    with pytest.raises(
        InvalidInput, match=r"all 2 tickets are of one category, 'a', .* 2; add tickets of another category"
    ):
        check_categories(small.rows({"a": [["x"], ["y"]]}))
    check_categories(small.rows({"a": [["x"]], "b": [["y"]]}))


def test_fingerprint_counts_and_hashes_the_rows() -> None:
    """The manifest's record has all counts, and another hash as soon as one token, category or place differs."""
    rows = small.rows({"a": [["x"], ["x"], ["y"]], "b": [["x"]]})
    others = [
        small.rows({"a": [["x"], ["x"], ["z"]], "b": [["x"]]}),
        small.rows({"a": [["x"], ["x"], ["y"]], "c": [["x"]]}),
        small.rows({"a": [["x"], ["y"], ["x"]], "b": [["x"]]}),
        small.rows({"a": [["x", "x"], ["y"]], "b": [["x"]]}),
    ]

    found = fingerprint(rows, num_validation=1)

    assert (found.num_tickets, found.num_train, found.num_validation) == (4, 3, 1)
    assert (found.num_categories, found.num_duplicates, found.num_conflicts) == (2, 1, 1)
    assert found.sha256 == fingerprint(rows, 0).sha256
    assert len({found.sha256, *(fingerprint(other, 1).sha256 for other in others)}) == 5


# Split


LETTERS = "abcdef"


some_rows = st.lists(
    st.tuples(st.sampled_from(LETTERS), st.lists(st.sampled_from(LETTERS), min_size=1, max_size=2)),
    min_size=1,
    max_size=60,
).map(lambda found: check_rows([RawRow(json.dumps({"category": c, "tokens": t}).encode()) for c, t in found], "test"))


shares = st.sampled_from([0.01, 0.1, 0.25, 0.5])


@given(rows=some_rows, share=shares, seed=st.integers(0, 2**32 - 1))
def test_split_is_a_partition_that_keeps_every_category_in_training(rows: Rows, share: float, seed: int) -> None:
    """Every row is on one side, equal tickets are on the same, and no category is missing from training."""
    train, validation = split(rows, share, seed)

    assert sorted(train + validation) == list(range(len(rows.tickets)))
    assert (train, validation) == (sorted(train), sorted(validation))
    assert not {tuple(rows.tokens[i]) for i in train} & {tuple(rows.tokens[i]) for i in validation}
    assert {rows.tickets[i].expected for i in train} == set(rows.categories)
    assert split(rows, share, seed) == (train, validation)


@given(rows=some_rows, share=shares, seed=st.integers(0, 99))
def test_small_category_is_trained_on_as_a_whole(rows: Rows, share: float, seed: int) -> None:
    """Of a category with fewer than three distinct tickets none goes to validation."""
    _, validation = split(rows, share, seed)

    assert all(rows.distinct[rows.tickets[i].expected] >= MIN_FOR_VALIDATION for i in validation)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), share=shares, seed=st.integers(0, 2**32 - 1))
def test_split_is_stratified(sizes: list[int], share: float, seed: int) -> None:
    """Of n distinct tickets of a category, max(1, round(share n)) go to validation, and none of fewer than three."""
    rows = small.rows({str(c): [[f"w{c}", f"v{i}"] for i in range(size)] for c, size in enumerate(sizes)})

    _, validation = split(rows, share, seed)

    found = Counter(rows.tickets[i].expected for i in validation)
    assert [found[str(c)] for c in range(len(sizes))] == [
        max(1, round(share * size)) if size >= MIN_FOR_VALIDATION else 0 for size in sizes
    ]


def test_another_seed_splits_otherwise() -> None:
    """The seed chooses which tickets are kept out."""
    rows = small.rows(small.tickets(10))

    assert split(rows, 0.25, 0) != split(rows, 0.25, 1)


def test_conflicts_together_take_no_category_out_of_training() -> None:
    """All three tickets of b also stand under a, of which three go to validation: never just those three."""
    rows = small.rows({"a": [[word] for word in "xyzuvw"], "b": [[word] for word in "xyz"]})

    for seed in range(100):
        train, validation = split(rows, 0.5, seed)

        assert len({tuple(rows.tokens[i]) for i in validation}) == 3
        assert "b" in {rows.tickets[i].expected for i in train}


def test_a_conflict_takes_no_category_out_of_training() -> None:
    """The only ticket of b also stands under a; were it kept out for a, nothing would be left to learn b from."""
    rows = small.rows({"a": [["x"], ["y"], ["z"]], "b": [["x"]], "c": [["u"], ["v"]]})

    for seed in range(20):
        _, validation = split(rows, 0.5, seed)

        assert len(validation) == 2
        assert 0 not in validation
        assert 3 not in validation


# Folds


@given(rows=some_rows, num_folds=st.integers(2, 6), seed=st.integers(0, 3))
def test_each_ticket_is_kept_out_at_most_once_and_teaches_otherwise(rows: Rows, num_folds: int, seed: int) -> None:
    """Every fold's training and validation are all rows; equal tickets are kept out together."""
    folds = cut(rows, num_folds, seed)

    assert len(folds) == num_folds
    kept_out = [row for _, validation in folds for row in validation]
    assert len(kept_out) == len(set(kept_out))
    for taught, validation in folds:
        assert sorted(taught + validation) == list(range(len(rows.tickets)))
        spellings = {tuple(rows.tokens[row]) for row in validation}
        assert not spellings & {tuple(rows.tokens[row]) for row in taught}
    assert folds == cut(rows, num_folds, seed)


def test_only_categories_with_three_tickets_are_kept_out() -> None:
    """Of a smaller one, and of a ticket under two categories, nothing is validated."""
    rows = small.rows({"a": [["x"], ["y"], ["z"], ["both"]], "b": [["u"], ["v"]], "c": [["1"], ["2"], ["3"], ["both"]]})

    kept_out = sorted(row for _, validation in cut(rows, 3, 0) for row in validation)

    assert [rows.tokens[row] for row in kept_out] == [["x"], ["y"], ["z"], ["1"], ["2"], ["3"]]


def test_folds_are_stratified() -> None:
    """Of ten tickets of a category five folds keep two each."""
    rows = small.rows(small.tickets(10))

    for _, validation in cut(rows, 5, 1):
        assert sorted(Counter(rows.tickets[row].expected for row in validation).values()) == [2, 2, 2, 2]


def said(*labelled: tuple[str, str]) -> Rows:
    """Return checked rows of these categories and texts."""
    return check_rows([RawRow(json.dumps({"category": c, "text": text}).encode()) for c, text in labelled], "test")


def test_correction_overrides_rows_of_the_same_ticket() -> None:
    """Rows whose tokens are a correction's give way to it, once for all copies; the others stay, and are counted."""
    rows = said(("a", "le coffre"), ("a", "Le  COFFRE !"), ("a", "le Coffre"), ("b", "un client"), ("b", "un client"))

    found = corrected(rows, said(("c", "LE coffre"), ("b", "facture")))

    assert pairs(found) == [
        ("a", ["le", "coffre", "!"]), ("b", ["un", "client"]), ("b", ["un", "client"]), ("c", ["le", "coffre"]),
        ("b", ["facture"]),
    ]  # fmt: skip
    assert (found.num_feedback, found.num_duplicates, found.num_conflicts) == (2, 1, 0)


def test_latest_of_contradicting_corrections_counts() -> None:
    """Of corrections of one ticket those that the latest contradicts give way; those that say the same stay."""
    found = corrected(None, said(("a", "le coffre"), ("b", "Le coffre"), ("c", "autre"), ("b", "le coffre")))

    assert [category for category, _ in pairs(found)] == ["b", "c", "b"]
    assert (found.num_feedback, found.num_duplicates, found.num_conflicts) == (3, 1, 0)


def of_categories(*sizes: int) -> Rows:
    """Return tickets of as many categories as there are sizes, each with so many."""
    tokens = [[f"mot{category}", f"objet{one}"] for category, size in enumerate(sizes) for one in range(size)]
    names = [f"dossier {category}" for category, size in enumerate(sizes) for _ in range(size)]
    return noticed([Ticket(name, one) for name, one in zip(names, tokens, strict=True)], tokens)


@pytest.mark.parametrize("sizes", [(1,) * 3000, (1,) * 101, (2,) * 50 + (1,) * 100])
def test_set_of_a_category_for_each_ticket_is_refused_with_a_remedy(sizes: tuple[int, ...]) -> None:
    """A ticket number that was read as the category is said before a training, with how many there are."""
    with pytest.raises(InvalidInput, match=f"{sizes.count(1)} of {len(sizes)} categories have one ticket.*--category"):
        check_categories(of_categories(*sizes))


@pytest.mark.parametrize("sizes", [(1, 1), (1,) * 100, (2,) * 3000, (1,) * 400 + (100,) * 10])
def test_small_sets_and_long_tails_are_trained(sizes: tuple[int, ...]) -> None:
    """Two categories of one ticket, and a tail of small ones beside large ones, are no mistake."""
    check_categories(of_categories(*sizes))
