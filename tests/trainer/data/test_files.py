"""From files to raw rows and their faults: every format, every line, nothing skipped."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput, NoTrainingData
from tests.trainer.files import jsonl, table, written
from trainer.data import tickets
from trainer.data.tickets import Rows

TOKENS = [
    {"category": "Problème de connexion", "tokens": ["avoir", "mot de passe", "<PRODUCT>"]},
    {"category": "Création de client", "tokens": ["créer", "été"]},
]


EXPECTED = [("Problème de connexion", ["avoir", "mot de passe", "<PRODUCT>"]), ("Création de client", ["créer", "été"])]


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


TABLE = [("Facture", 'payer "deux" fois, lundi; mardi'), ("Accès", "sur\tplusieurs\nlignes"), ("Été", "l'été")]


TABLE_EXPECTED = [
    ("Facture", ["payer", "deux", "fois", "lundi", "mardi"]),
    ("Accès", ["sur", "plusieurs", "lignes"]),
    ("Été", ["l'", "été"]),
]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.csv", ";"), ("t.CSV", "\t"), ("t.tsv", "\t")])
def test_tables_are_read(tmp_path: Path, name: str, delimiter: str, bom: str) -> None:
    """Comma, semicolon (Excel in French) and tab, with quotes, lines within a text, CRLF and a byte order mark."""
    content = bom + table(TABLE, delimiter, ("category", "text"))

    assert "\r\n" in content
    assert pairs(read(written(tmp_path, name, content))) == TABLE_EXPECTED


# Faults


def test_every_fault_is_listed_with_line_and_pointer(tmp_path: Path) -> None:
    """Wrong rows are named by the line of the file and the field within the row, the right ones between are passed."""
    content = (
        jsonl(TOKENS[0], {"category": "a", "tokens": ["x", 5, None]})
        + "\n"
        + jsonl({"category": "a"}, {"tokens": ["x"]}, {"category": 5, "tokens": ["x"]}, TOKENS[1])
        + "[1, 2]\n"
        + "{oops\n"
    )

    error = refusal(written(tmp_path, "data.jsonl", content))

    assert "data.jsonl does not fit: 6 faults in 5 rows" in str(error)
    assert error.num_faults == 6
    assert [(fault.line, fault.pointer) for fault in error.faults] == [
        *((2, "/tokens/1"), (2, "/tokens/2"), (4, ""), (5, "/category"), (8, ""), (9, "")),
    ]
    assert "`str`" in error.faults[0].detail
    assert error.faults[2].parameters == {"columns": ["tokens", "text", "email_text"]}
    assert error.faults[3].type == "no-category"
    assert "not valid JSON" in error.faults[5].detail
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
    error = refusal(written(tmp_path, "data.jsonl", jsonl(*TOKENS, *[{"category": "a", "tokens": [1]}] * num_wrong)))

    assert f"{num_wrong} faults" in str(error)
    assert error.num_faults == num_wrong
    assert [fault.line for fault in error.faults] == list(range(3, 3 + num_shown))


def test_a_row_of_many_faults_does_not_pass_the_limit(tmp_path: Path) -> None:
    """Twenty is the limit for the file, also where one row alone has more."""
    error = refusal(written(tmp_path, "data.jsonl", jsonl(*[{"category": "a", "tokens": [0] * 15}] * 2)))

    assert (len(error.faults), error.num_faults) == (20, 30)


def test_row_of_a_table_that_has_too_many_columns_is_a_fault(tmp_path: Path) -> None:
    """A text whose comma nobody quoted would be cut there; that is said, not done."""
    error = refusal(written(tmp_path, "data.csv", "category,text\na,bonjour, je veux payer\nb,merci,\n"))

    (fault,) = error.faults
    assert fault.line == 2
    assert fault.detail == "has 3 columns, the header names 2; put double quotes round a text"


def test_line_of_a_table_is_where_the_row_begins(tmp_path: Path) -> None:
    """A text of three lines does not shift the numbers, and a blank line counts."""
    error = refusal(written(tmp_path, "data.csv", 'category,text\r\na,"x\r\ny\r\nz"\r\n\r\n"  ","x\r\ny"\r\n,z\r\n'))

    assert [fault.line for fault in error.faults] == [6, 8]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("subject,body\na,b\n", "has no column that is surely the category"),
        ("category,text,tokens\na,b,c\n", "has no column that is surely the text"),
        ("category,text,text\na,b,c\n", "has no column that is surely the text"),
        ('category,text\na,"b, c" d\n', "is not a readable table: after line 1"),
        ('category,text\na,b\na,"b, c\n', "is not a readable table: after line 2"),
    ],
    ids=["other names", "two contents", "a name twice", "text after a quote", "open quote"],
)
def test_unreadable_table_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    """A table whose columns or quotes cannot be told says what was found and, in the first case, what was expected."""
    error = refusal(written(tmp_path, "data.csv", content))

    assert expected in str(error)
    assert ("names that are taken without an option: category, label" in str(error)) == ("surely" in expected)


@pytest.mark.parametrize("text", ['"b" c', '"b', 'un 12" plat', "x" * 200_000])
def test_quotes_that_separate_nothing_are_letters_and_cells_have_any_length(tmp_path: Path, text: str) -> None:
    """A table whose quotation marks do not pair is still read where nothing else depends on them."""
    rows = read(written(tmp_path, "data.csv", f"category,text\na,bonjour\nb,{text}\n"))

    assert [ticket.content for ticket in rows.tickets] == ["bonjour", text]


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path, name: str) -> None:
    """What cannot be opened is named with the system's reason."""
    missing, folder = tmp_path / "nowhere" / name, tmp_path / name
    folder.mkdir()

    assert str(refusal(missing)) == (
        f"cannot read {missing}: {os.strerror(2)}; name a file, a folder of e-mails, or - for standard input"
    )
    assert "holds no folder" in str(refusal(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.jsonl", jsonl(*TOKENS)),
        ("data.json", json.dumps(TOKENS, ensure_ascii=False)),
        ("data.json", json.dumps({"training_data": TOKENS}, ensure_ascii=False)),
    ],
)
def test_latin_1_is_read_and_said(tmp_path: Path, name: str, content: str) -> None:
    """JSON of another encoding, which no standard allows and programs write, is read with the right letters."""
    rows = read(written(tmp_path, name, content.encode("latin-1")))

    assert pairs(rows) == EXPECTED
    assert rows.intake is not None
    assert "cp1252 (guessed; --encoding overrules)" in rows.intake.said


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
