"""From files to checked rows and their split: every format, every fault, and no category lost."""

import contextlib
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput, NoTrainingData
from artifacts.kinds import Ticket
from tests.trainer import small
from trainer.data import (
    MIN_FOR_VALIDATION,
    RawRow,
    Rows,
    check_categories,
    check_rows,
    fingerprint,
    read_file,
    split,
)

TOKENS = [
    {"category": "Problème de connexion", "tokens": ["avoir", "mot de passe", "<PRODUCT>"]},
    {"category": "Création de client", "tokens": ["créer", "été"]},
]
EXPECTED = [("Problème de connexion", ["avoir", "mot de passe", "<PRODUCT>"]), ("Création de client", ["créer", "été"])]


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    """Return a file of that content."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> Rows:
    """Return the checked rows of a file."""
    return check_rows(read_file(path), path.name)


def pairs(rows: Rows) -> list[tuple[str, list[str]]]:
    """Return category and tokens of each row."""
    return [(ticket.expected, tokens) for ticket, tokens in zip(rows.tickets, rows.tokens, strict=True)]


def refusal(path: Path) -> InvalidInput:
    """Return the error with which a file is refused."""
    with pytest.raises(InvalidInput) as caught:
        read(path)
    return caught.value


def jsonl(*rows: object) -> str:
    """Return the rows, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# Formats


@pytest.mark.parametrize(
    "content",
    [
        jsonl(*TOKENS),
        jsonl(*TOKENS).replace("\n", "\r\n"),
        "\ufeff" + jsonl(*TOKENS),
        "\n" + jsonl(*TOKENS).replace("\n", "\n\n") + "  \n",
        jsonl(*TOKENS).rstrip("\n"),
        json.dumps(TOKENS),
        "\ufeff\n" + json.dumps(TOKENS, indent=2),
        json.dumps({"name": "m", "neural_network_type": "GRU", "training_data": TOKENS}),
        json.dumps({"name": "m", "neural_network_type": "GRU", "training_data": TOKENS}, indent=4),
        json.dumps({"name": "m", "neural_network_type": "GRU", "test_data": TOKENS}, ensure_ascii=False),
        json.dumps({"training_data": None, "test_data": TOKENS}),
        jsonl(*({"label": row["category"], "tokens": row["tokens"]} for row in TOKENS)),
    ],
    ids=[
        *("JSONL", "CRLF", "BOM", "blank lines", "no newline at the end", "array", "BOM and indented array"),
        *("training_data", "indented training_data", "test_data", "null training_data", "label"),
    ],
)
def test_every_json_form_gives_the_same_rows(tmp_path: Path, content: str) -> None:
    """JSONL, an array and the seeds' two bodies are told apart by their content; "mot de passe" stays one token."""
    assert pairs(read(written(tmp_path, "data.any", content))) == EXPECTED


def test_jsonl_of_one_row_is_no_body(tmp_path: Path) -> None:
    """A single object without training_data or test_data is one ticket, over several lines too."""
    for indent in (None, 2):
        assert pairs(read(written(tmp_path, "data.jsonl", json.dumps(TOKENS[0], indent=indent)))) == EXPECTED[:1]


@pytest.mark.parametrize("field", ["text", "email_text"])
def test_text_is_tokenised(tmp_path: Path, field: str) -> None:
    """Raw text under either name is cut into words by the one tokeniser, and the ticket keeps what was given."""
    rows = read(written(tmp_path, "data.jsonl", jsonl({"category": "Accès", field: "L’accès à <PRODUCT> échoue !"})))

    assert rows.tokens == [["l'", "accès", "à", "<PRODUCT>", "échoue", "!"]]
    assert rows.tickets == [msgspec.convert({"category": "Accès", field: "L’accès à <PRODUCT> échoue !"}, Ticket)]


def test_rows_of_both_kinds_may_stand_in_one_file(tmp_path: Path) -> None:
    """One row may have tokens and the next text."""
    content = jsonl({"category": "a", "tokens": ["Un Deux"]}, {"label": "b", "email_text": "Un Deux", "id": 7})

    rows = read(written(tmp_path, "data.jsonl", content))

    assert pairs(rows) == [("a", ["un deux"]), ("b", ["un", "deux"])]
    assert rows.tickets[1].id == 7


TABLE = [("Facture", 'payer "deux" fois, lundi; mardi'), ("Accès", "sur\tplusieurs\nlignes"), ("Été", "l'été")]
TABLE_EXPECTED = [
    ("Facture", ["payer", "deux", "fois", "lundi", "mardi"]),
    ("Accès", ["sur", "plusieurs", "lignes"]),
    ("Été", ["l'", "été"]),
]


def table(rows: Sequence[tuple[str, ...]], delimiter: str, header: tuple[str, ...]) -> str:
    """Return a table as Python's own writer makes it, with CRLF and quotes where they are needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return out.getvalue()


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.csv", ";"), ("t.CSV", "\t"), ("t.tsv", "\t")])
def test_tables_are_read(tmp_path: Path, name: str, delimiter: str, bom: str) -> None:
    """Comma, semicolon (Excel in French) and tab, with quotes, lines within a text, CRLF and a byte order mark."""
    content = bom + table(TABLE, delimiter, ("category", "text"))

    assert "\r\n" in content
    assert pairs(read(written(tmp_path, name, content))) == TABLE_EXPECTED


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


# Faults


def test_every_fault_is_listed_with_line_and_pointer(tmp_path: Path) -> None:
    """Wrong rows are named by the line of the file and the field within the row, the right ones between are passed."""
    content = (
        jsonl(TOKENS[0], {"category": "a", "tokens": ["x", 5, None]})
        + "\n"
        + jsonl({"category": "a"}, {"tokens": ["x"]}, {"category": 5, "tokens": "x"}, TOKENS[1])
        + "[1, 2]\n"
        + "{oops\n"
    )

    error = refusal(written(tmp_path, "data.jsonl", content))

    assert str(error) == "data.jsonl does not fit: 8 faults, listed"
    assert error.num_faults == 8
    assert [(fault.line, fault.pointer) for fault in error.faults] == [
        *((2, "/tokens/1"), (2, "/tokens/2"), (4, ""), (5, ""), (6, "/category"), (6, "/tokens"), (8, ""), (9, "")),
    ]
    assert "`str`" in error.faults[0].detail
    assert "`tokens`, `text`, `email_text`" in error.faults[2].detail
    assert "`category`, `label`" in error.faults[3].detail
    assert "not valid JSON" in error.faults[7].detail
    assert str(error.faults[0]).startswith("line 2, /tokens/1: ")


def test_faults_of_a_body_have_its_pointers(tmp_path: Path) -> None:
    """Rows without lines of their own are named by their place in the body."""
    wrong = {"category": "a", "tokens": ["b", 3]}

    in_body = refusal(written(tmp_path, "a.json", json.dumps({"training_data": [TOKENS[0], wrong]})))
    in_array = refusal(written(tmp_path, "b.json", json.dumps([TOKENS[0], wrong])))

    assert [(fault.line, fault.pointer) for fault in in_body.faults] == [(None, "/training_data/1/tokens/1")]
    assert [(fault.line, fault.pointer) for fault in in_array.faults] == [(None, "/1/tokens/1")]


@pytest.mark.parametrize(("num_wrong", "num_shown"), [(19, 19), (20, 20), (21, 20), (500, 20)])
def test_twenty_faults_are_shown_and_all_are_counted(tmp_path: Path, num_wrong: int, num_shown: int) -> None:
    """A file of many faults is not a wall of text, and its message still says how many there are."""
    error = refusal(written(tmp_path, "data.jsonl", jsonl(*TOKENS, *[{"category": "a", "tokens": []}] * num_wrong)))

    assert f"{num_wrong} faults" in str(error)
    assert ("the first 20 of them listed" in str(error)) == (num_wrong > 20)
    assert error.num_faults == num_wrong
    assert [fault.line for fault in error.faults] == list(range(3, 3 + num_shown))


def test_a_row_of_many_faults_does_not_pass_the_limit(tmp_path: Path) -> None:
    """Twenty is the limit for the file, also where one row alone has more."""
    error = refusal(written(tmp_path, "data.jsonl", jsonl({"category": "a", "tokens": [0] * 15}, {"tokens": [0] * 15})))

    assert (len(error.faults), error.num_faults) == (20, 30)


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"category": "a", "tokens": []}, "/tokens"),
        ({"category": "a", "tokens": ["", " \t"]}, "/tokens"),
        ({"category": "a", "text": ""}, "/text"),
        ({"label": "a", "email_text": " ... "}, "/email_text"),
    ],
)
def test_empty_ticket_is_a_fault(tmp_path: Path, row: dict[str, object], pointer: str) -> None:
    """A ticket of which no token is left refuses the file, under the field that is empty."""
    (fault,) = refusal(written(tmp_path, "data.jsonl", jsonl(row))).faults

    assert (fault.line, fault.pointer) == (1, pointer)
    assert "the ticket is empty" in fault.detail


@pytest.mark.parametrize("category", ["", "  ", "\u00a0"])
def test_blank_category_is_a_fault(tmp_path: Path, category: str) -> None:
    """A category must have a name."""
    (fault,) = refusal(written(tmp_path, "data.jsonl", jsonl({"category": category, "tokens": ["a"]}))).faults

    assert "the category is blank" in fault.detail


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"category": "a", "label": "a", "tokens": ["b"]}, "exactly one of `category`, `label`"),
        ({"category": "a", "tokens": ["b"], "text": "b"}, "exactly one of `tokens`, `text`, `email_text`"),
        ({"category": "a", "tokens": ["b\0"]}, "NUL"),
        ({"category": "a", "text": "b\0"}, "NUL"),
    ],
)
def test_ambiguous_or_unreadable_row_is_a_fault(tmp_path: Path, row: dict[str, object], expected: str) -> None:
    """Two names for one thing, or a character that no text has, are refused and not guessed at."""
    (fault,) = refusal(written(tmp_path, "data.jsonl", jsonl(row))).faults

    assert expected in fault.detail


def test_row_of_a_table_that_has_too_many_columns_is_a_fault(tmp_path: Path) -> None:
    """A text whose comma nobody quoted would be cut there; that is said, not done."""
    error = refusal(written(tmp_path, "data.csv", "category,text\na,bonjour, je veux payer\nb,merci,\n"))

    (fault,) = error.faults
    assert fault.line == 2
    assert fault.detail == "has 3 columns, the first line names 2; put double quotes round a text"


def test_short_rows_of_a_table_are_faults(tmp_path: Path) -> None:
    """A row that ends before its text, or has no category, is named by its line."""
    error = refusal(written(tmp_path, "data.csv", "category,text\na\n,b\na,b\n"))

    assert [(fault.line, fault.pointer) for fault in error.faults] == [(2, "/text"), (3, "")]


def test_line_of_a_table_is_where_the_row_begins(tmp_path: Path) -> None:
    """A text of three lines does not shift the numbers, and a blank line counts."""
    error = refusal(written(tmp_path, "data.csv", 'category,text\r\na,"x\r\ny\r\nz"\r\n\r\n"  ","x\r\ny"\r\n,\r\n'))

    assert [fault.line for fault in error.faults] == [6, 8]


@pytest.mark.parametrize(
    ("cell", "pointer", "expected"),
    [
        ("[URGENT] payer", "/tokens", "is not a JSON array"),
        ('["a"], "id": 5', "/tokens", "is not a JSON array"),
        ('["a", 5]', "/tokens/1", "`str`"),
        ("[" * 5000, "/tokens", "is not a JSON array"),
        ("[]", "/tokens", "the ticket is empty"),
    ],
    ids=["a word in brackets", "more after the array", "number", "deep", "empty"],
)
def test_wrong_array_in_a_table_is_a_fault(tmp_path: Path, cell: str, pointer: str, expected: str) -> None:
    """A cell that begins as a JSON array has to be one, and nothing else."""
    (fault,) = refusal(written(tmp_path, "data.csv", table([("a", cell)], ",", ("category", "tokens")))).faults

    assert (fault.line, fault.pointer) == (2, pointer)
    assert expected in fault.detail


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "names the columns (none)"),
        ("subject,body\na,b\n", "names the columns subject, body"),
        ("category,text,tokens\na,b,c\n", "names the columns category, text, tokens"),
        ("category,text,text\na,b,c\n", "names the columns category, text, text"),
        ('category,text\na,"b" c\n', "is not a readable table: line 2"),
        ('category,text\na,b\na,"b\n', "is not a readable table: line 3"),
        ("category,text\na," + "x" * 200_000 + "\n", "is not a readable table: line 2"),
    ],
    ids=["empty", "other names", "two contents", "a name twice", "text after a quote", "open quote", "huge cell"],
)
def test_unreadable_table_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    """A table whose columns or quotes cannot be told says what was found and, in the first case, what was expected."""
    error = refusal(written(tmp_path, "data.csv", content))

    assert expected in str(error)
    assert ("expected exactly one of category, label" in str(error)) == ("names the columns" in expected)


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path, name: str) -> None:
    """What cannot be opened is named with the system's reason."""
    missing, folder = tmp_path / "nowhere" / name, tmp_path / name
    folder.mkdir()

    assert str(refusal(missing)) == f"cannot read {missing}: {os.strerror(2)}; expected a JSONL, JSON, CSV or TSV file"
    assert "Is a directory" in str(refusal(folder))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("data.jsonl", jsonl(*TOKENS), "UTF-8"),
        ("data.json", json.dumps(TOKENS, ensure_ascii=False), "UTF-8"),
        ("data.json", json.dumps({"training_data": TOKENS}, ensure_ascii=False), "UTF-8"),
        ("data.csv", "category,text\nfrançais,été\n", "is not UTF-8 (byte 18); save it as UTF-8"),
    ],
)
def test_latin_1_is_refused_with_the_remedy(tmp_path: Path, name: str, content: str, expected: str) -> None:
    """A file of another encoding is refused and never read with wrong letters."""
    error = refusal(written(tmp_path, name, content.encode("latin-1")))

    assert expected in " ".join([str(error), *map(str, error.faults)])


@pytest.mark.parametrize(
    "content",
    [
        '{\n "name": "x",\n "training_data": [\n {"category": "a", "tokens": ["b"]},\n ]\n}\n',
        '{\n "training_data": {"a": 1}\n}',
        '{"training_data": 5}',
        '[{"category": "a", "tokens": ["b"]},',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=["trailing comma", "an object", "a number", "truncated array", "deep array", "deep object"],
)
def test_broken_json_is_one_sentence(tmp_path: Path, content: str) -> None:
    """A body that is no JSON, or whose rows are no array, gets the reason, not one fault for each of its lines."""
    error = refusal(written(tmp_path, "data.json", content))

    assert "is neither a JSON body nor a JSON array of tickets: " in str(error)
    assert not error.faults


@pytest.mark.parametrize("place", [slice(5, None), slice(-5), slice(0)], ids=["beginning", "end", "all"])
def test_first_line_of_jsonl_may_be_the_faulty_one(tmp_path: Path, place: slice) -> None:
    """JSONL stays JSONL when its first line is cut off: that line is the fault, or is blank."""
    first, second = jsonl(*TOKENS).splitlines()
    path = written(tmp_path, "data.jsonl", f"{first[place]}\n{second}\n")

    if first[place]:
        assert [fault.line for fault in refusal(path).faults] == [1]
    else:
        assert pairs(read(path)) == EXPECTED[1:]


@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_rows_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Whatever a file holds, it is read or refused with a sentence; nothing else is ever raised."""
    for name in ("any.jsonl", "any.csv"):
        path = written(tmp_path_factory.getbasetemp(), name, raw)
        with contextlib.suppress(InvalidInput, NoTrainingData):
            assert all(read(path).tokens)


@pytest.mark.parametrize("content", ["", "\n \n", "[]", '{"training_data": []}', '{"test_data": []}'])
def test_no_rows_are_refused_in_the_words_of_the_seeds(tmp_path: Path, content: str) -> None:
    """A file without tickets gets the seeds' sentence."""
    with pytest.raises(NoTrainingData, match=r"\ANo training data provided or training data is empty\Z"):
        read(written(tmp_path, "data.json", content))


def test_table_without_rows_is_refused(tmp_path: Path) -> None:
    """A header alone is no training data."""
    with pytest.raises(NoTrainingData):
        read(written(tmp_path, "data.csv", "category,text\n"))


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
        InvalidInput, match=r"all 2 tickets are of one category, 'a'; .* add tickets of another category"
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
