"""Which columns are read, what their cells say, and how a file that does not fit is refused."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from artifacts.errors import InvalidInput
from artifacts.networks.manifest import Columns
from tests.trainer.files import jsonl, table, written
from trainer.data.columns import AS_FOUND, ColumnsUnclear, Reading, as_remembered, check_merge
from trainer.data.files import FaultyRows
from trainer.data.tickets import Rows, read

TICKETS = [
    ("Imprimantes", "bourrage papier au bac deux"), ("Imprimantes", "cartouche vide couloir nord"),
    ("Comptes", "compte bloqué après vacances"), ("Comptes", "mot de passe oublié ce matin"),
]  # fmt: skip


def rows_of(tmp_path: Path, content: str | bytes, reading: Reading = AS_FOUND) -> Rows:
    """Return the tickets of a file of that content."""
    return read(written(tmp_path, "export.any", content), reading)


def refusal(tmp_path: Path, content: str, reading: Reading = AS_FOUND) -> FaultyRows:
    """Return the error with which the rows of a file are refused."""
    with pytest.raises(FaultyRows) as caught:
        rows_of(tmp_path, content, reading)
    return caught.value


def unclear(tmp_path: Path, content: str, reading: Reading = AS_FOUND) -> ColumnsUnclear:
    """Return the error with which the columns of a file are refused."""
    with pytest.raises(ColumnsUnclear) as caught:
        rows_of(tmp_path, content, reading)
    return caught.value


def said(rows: Rows) -> str:
    """Return the line that says how a file was read."""
    assert rows.intake is not None
    return rows.intake.said


# Columns


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ("category", "text"), ("Catégorie", "Texte"), ("LABEL", "Description"), ("queue", "body"),
        ("Ticket Type", "message"), ("intent", "utterance"), ("group", "email_text"), (" Kategorie ", "TEXT"),
    ],
)  # fmt: skip
def test_usual_names_are_taken_and_said(tmp_path: Path, category: str, text: str) -> None:
    """In any case, with accents and blanks or without; one line says what was taken."""
    rows = rows_of(tmp_path, table([(str(n), *one) for n, one in enumerate(TICKETS)], ";", ("nr", category, text)))

    assert [(ticket.expected, ticket.content) for ticket in rows.tickets] == TICKETS
    assert f"category from {category.strip()!r}, text from {text.strip()!r}" in said(rows)


def test_subject_and_body_are_joined(tmp_path: Path) -> None:
    """By a line break, the subject first; a blank one leaves no blank line."""
    content = table([("a", "Écran noir", "depuis lundi"), ("b", "", "merci")], ",", ("label", "Subject", "Body"))

    assert [ticket.content for ticket in rows_of(tmp_path, content).tickets] == ["Écran noir\ndepuis lundi", "merci"]


def test_own_names_win_over_usual_ones(tmp_path: Path) -> None:
    """A file of the project's own form may have a queue and a subject besides."""
    content = jsonl({"category": "a", "queue": "x", "subject": "s", "text": "t"}, {"category": "b", "text": "u"})

    rows = rows_of(tmp_path, content)

    assert [(ticket.expected, ticket.content) for ticket in rows.tickets] == [("a", "t"), ("b", "u")]


@pytest.mark.parametrize(
    ("header", "options"),
    [
        (("Ticket", "File", "Objet"), ["--category", "File", "--text", "Objet"]),
        (("Nr.", "Warteschlange", "Beschreibung"), ["--category", "Warteschlange", "--text", "Beschreibung"]),
        (("x", "y", "z"), ["--category", "y", "--text", "z"]),
        (("Ticket ID", "Assignment group", "Short description"),
         ["--category", "Assignment group", "--text", "Short description"]),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_the_options_to_copy(
    tmp_path: Path, header: tuple[str, ...], options: list[str]
) -> None:
    """Every column with an example and its distinct values; what is likely by name or content is proposed."""
    tickets = [(str(n), category, f"{text} {n}") for n, (category, text) in enumerate(TICKETS * 3)]

    error = unclear(tmp_path, table(tickets, ";", header))

    assert error.options == options
    assert f"{header[1]}: 2 distinct values, such as 'Imprimantes'" in str(error)
    assert f"{header[2]}: 12 distinct values, such as 'bourrage papier au bac deux 0'" in str(error)
    reading = Reading(category=options[1], text=tuple(options[3::2]))
    assert len(rows_of(tmp_path, table(tickets, ";", header), reading).tickets) == 12


def test_two_usual_names_are_not_certain(tmp_path: Path) -> None:
    """A queue and a group are both categories; which one is meant is not guessed."""
    error = unclear(tmp_path, table([("a", "b", "bonjour")], ",", ("queue", "group", "text")))

    assert "has no column that is surely the category" in str(error)


def test_fields_of_objects_are_listed_once(tmp_path: Path) -> None:
    """934 rows without the project's fields are one refusal, which reaches inside objects."""
    content = jsonl(*({"key": f"T{n}", "fields": {"summary": text, "queue": {"name": category}}}
                      for n, (category, text) in enumerate(TICKETS * 3)))  # fmt: skip

    error = unclear(tmp_path, content)

    assert "fields.queue.name: 2 distinct values, such as 'Imprimantes'" in str(error)
    assert error.options == ["--category", "fields.queue.name", "--text", "fields.summary"]
    rows = rows_of(tmp_path, content, Reading(category="fields.queue.name", text=("fields.summary",), id="key"))
    assert [(ticket.expected, ticket.content) for ticket in rows.tickets[:4]] == TICKETS
    assert rows.tickets[1].id == "T1"


def test_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    """A slip in an option shows every name; case and accents may differ."""
    content = table([("a", "b")], ",", ("Catégorie", "Corps"))

    assert "has no column 'Sujet'" in str(unclear(tmp_path, content, Reading(category="categorie", text=("Sujet",))))
    assert rows_of(tmp_path, content, Reading(category="CATEGORIE", text=("corps",))).tickets[0].content == "b"


def test_table_without_a_header_is_read_by_number(tmp_path: Path) -> None:
    """The first line is a ticket then; the refusal before says how."""
    content = "ham\tbonjour à tous\nspam\tgagnez un prix\n"

    assert "--no-header" in str(unclear(tmp_path, content))
    rows = rows_of(tmp_path, content, Reading(header=False, category="1", text=("2",)))
    assert [ticket.expected for ticket in rows.tickets] == ["ham", "spam"]
    assert rows.places == ["line 1", "line 2"]


def test_columns_of_the_last_training_need_no_option(tmp_path: Path) -> None:
    """What was named is remembered, with the encoding, the delimiter and what was merged; a new option wins."""
    content = "Objet~File\nbourrage à l'étage~Impr\nbloqué~Compte\n".encode("cp850")
    named = Reading(category="File", text=("Objet",), encoding="cp850", delimiter="~", merge={"Impr": "Imprimante"})
    first = rows_of(tmp_path, content, named)
    assert first.intake is not None

    again = rows_of(tmp_path, content, Reading(remembered=first.intake.columns))

    assert again.tickets == first.tickets
    assert [ticket.expected for ticket in again.tickets] == ["Imprimante", "Compte"]
    assert "as in the last training" in said(again)
    overruled = rows_of(tmp_path, content, Reading(remembered=first.intake.columns, category="Objet", text=("File",)))
    assert overruled.tickets[0].content == "Impr"


def test_remembered_columns_that_are_not_there_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """A test file of the project's own form is read by its own names."""
    columns = Columns(category="File", text=["Objet"])

    assert len(rows_of(tmp_path, "category,text\na,b\n", Reading(remembered=columns)).tickets) == 1


def test_document_in_objects_is_read_as_its_texts(tmp_path: Path) -> None:
    """Jira writes a text as a tree of paragraphs."""
    document = {
        "type": "doc", "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Écran noir"}, {"type": "hardBreak"}]},
                    {"type": "paragraph", "content": [{"type": "text", "text": "depuis lundi"}]}],
    }  # fmt: skip

    rows = rows_of(tmp_path, jsonl({"category": "a", "description": document}))

    assert rows.tokens == [["écran", "noir", "depuis", "lundi"]]


# Cells


def test_rows_without_a_category_are_one_group_and_can_be_left_out(tmp_path: Path) -> None:
    """Counted, with three examples by line and first words, and the option that goes on; then counted aloud."""
    tickets = [("" if n % 3 == 0 else category, text) for n, (category, text) in enumerate(TICKETS * 4)]
    content = table(tickets, ",", ("category", "text"))

    (group,) = refusal(tmp_path, content).groups

    assert (group.num_tickets, len(group.examples)) == (6, 3)
    assert group.examples[0] == "line 2 'bourrage papier au bac deux'"
    assert "no category" in group.detail
    assert "--skip-unlabelled" in group.remedy
    rows = rows_of(tmp_path, content, Reading(skip_unlabelled=True))
    assert rows.intake is not None
    assert (len(rows.tickets), rows.intake.num_unlabelled, rows.intake.num_faulty) == (10, 6, 0)


@pytest.mark.parametrize(
    "word",
    ["nan", "NaN", "N/A", "n/a", "NULL", "None", "-", "--", "?", "#N/A", "<NA>", "(vide)", "k.A.", "…", "Aucune",
     "Non défini", "keine", "nicht verfügbar", "Ninguno", "vacío", "nessuna", "não informado", "brak", "н/д",
     "не указано", "なし", "无", "없음", "Uncategorized", "TBD"],
)  # fmt: skip
def test_word_for_nothing_is_refused_by_name(tmp_path: Path, word: str) -> None:
    """It is no category; if a team uses it as one, --merge gives it a name."""
    content = table([*TICKETS, (word, "le scanner ne numérise plus")], ",", ("category", "text"))

    (group,) = refusal(tmp_path, content).groups

    assert f"the category is {word}, which looks like a missing value" in group.detail
    assert f'--merge "{word}=NAME"' in group.detail
    assert (group.type, group.parameters, group.option) == (
        *("category-like-a-missing-value", {"word": word}, "skip-unlabelled"),
    )
    assert len(rows_of(tmp_path, content, Reading(skip_unlabelled=True)).tickets) == 4
    assert rows_of(tmp_path, content, Reading(merge={word: "Autres"})).categories["Autres"] == 1


def test_each_word_for_nothing_is_a_group(tmp_path: Path) -> None:
    """So that all of them are seen at once."""
    content = table([(word, "bonjour") for word in ("nan", "N/A", "NULL", "-", "nan")], ",", ("category", "text"))

    assert [group.num_tickets for group in refusal(tmp_path, content).groups] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1], ["0", "1"]),
        ([True, False], ["true", "false"]),
        ([1.5, 2.5], ["1.5", "2.5"]),
        ([["a"], "b"], ["a", "b"]),
    ],
)
def test_numbers_and_booleans_are_categories(tmp_path: Path, values: list[object], expected: list[str]) -> None:
    """As they are in a table; so is a list of one."""
    rows = rows_of(tmp_path, jsonl(*({"label": value, "text": "bonjour"} for value in values)))

    assert [ticket.expected for ticket in rows.tickets] == expected
    if all(not isinstance(value, list) for value in values):
        same = rows_of(tmp_path, table([(one, "bonjour") for one in expected], ",", ("label", "text")))
        assert [ticket.expected for ticket in same.tickets] == expected


@pytest.mark.parametrize(
    "cells",
    [
        [["Imprimantes", "Niveau 1"], ["Comptes", "Niveau 1"]],
        ["Imprimantes;Niveau 1", "Comptes;Niveau 1"],
        ["Imprimantes | Niveau 1", "Comptes | Niveau 1"],
        ["['Imprimantes', 'Niveau 1']", "['Comptes', 'Niveau 1']"],
        ['["Imprimantes", "Niveau 1"]', '["Comptes", "Niveau 1"]'],
        ["('Imprimantes', 'Niveau 1')", "('Comptes', 'Niveau 1')"],
        ["{'Imprimantes', 'Niveau 1'}", "{'Comptes', 'Niveau 1'}"],
        [r'["Imprimantes", "Niveau\u0020\u0031"]', '["Comptes", "Niveau 1"]'],
        ['{"choices": ["Imprimantes", "Niveau 1"]}', '{"choices": ["Comptes", "Niveau 1"]}'],
    ],
    ids=["lists", "semicolons", "pipes", "Python", "JSON", "tuple", "set", "JSON with escapes", "Label Studio's CSV"],
)
def test_several_labels_are_one_sentence_that_says_how_to_choose(tmp_path: Path, cells: list[object]) -> None:
    """A ticket has one category here; the first can be taken."""
    content = jsonl(*({"category": cells[n % 2], "text": f"bonjour {n} fois"} for n in range(8)))

    (group,) = refusal(tmp_path, content).groups

    assert group.num_tickets == 8
    assert "several categories in a cell (Imprimantes, Niveau 1)" in group.detail
    assert "--first-label" in group.remedy
    assert rows_of(tmp_path, content, Reading(first_label=True)).categories == Counter(Imprimantes=4, Comptes=4)


@pytest.mark.parametrize("names", [("Ventes; après-vente", "Achats; stock"), ("Retours, échanges", "Facture")])
def test_name_with_a_separator_is_one_category(tmp_path: Path, names: tuple[str, str]) -> None:
    """Where no part is met again, it is a name."""
    rows = rows_of(tmp_path, table([(name, "bonjour") for name in names], ",", ("category", "text")))

    assert tuple(ticket.expected for ticket in rows.tickets) == names


def test_half_of_an_emoji_is_called_by_its_name(tmp_path: Path) -> None:
    """With its field, as one group, whatever cut it; a whole emoji is a sign."""
    content = "".join(f'{{"category": "a", "text": "bonjour {n} \\ud83d"}}\n' for n in range(5))

    error = refusal(tmp_path, content)

    (group,) = error.groups
    assert group.num_tickets == 5
    assert group.detail.startswith("text: holds half of an emoji")
    assert error.faults[0].pointer == "/text"
    assert rows_of(tmp_path, '{"category": "a", "text": "oui \\ud83d\\ude00"}').tokens == [["oui", "😀"]]
    mixed = content + '{"category": "b", "text": "oui"}\n'
    assert len(rows_of(tmp_path, mixed, Reading(skip_faulty=True)).tickets) == 1


def test_every_fault_is_listed_in_a_file(tmp_path: Path) -> None:
    """One line each, with place, field, reason and the ticket, whether the file is refused or not."""
    content = table([*TICKETS, ("", "sans"), ("nan", "=2+2"), ("a", "b\0")], ",", ("category", "text"))
    path = written(tmp_path, "export.csv", content)

    with pytest.raises(FaultyRows, match="3 faults in 3 rows"):
        read(path, AS_FOUND, tmp_path / "faults.csv")

    with (tmp_path / "faults.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["place"], line["field"]) for line in lines] == [
        ("line 6", "/category"), ("line 7", "/category"), ("line 8", "/text"),
    ]  # fmt: skip
    read(path, Reading(skip_unlabelled=True, skip_faulty=True), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "faults.csv").read_bytes()


def test_categories_are_merged(tmp_path: Path) -> None:
    """One name is read as another; chains and words without "=" are refused."""
    content = table([("Réseau", "a b"), ("réseau ", "c d"), ("Compte", "e f")], ",", ("category", "text"))

    assert rows_of(tmp_path, content, Reading(merge=check_merge(["réseau=Réseau"]))).categories["Réseau"] == 2
    with pytest.raises(InvalidInput, match="expected `OLD=NEW`"):
        check_merge(["réseau"])
    with pytest.raises(InvalidInput, match="is merged into"):
        check_merge(["a=b", "b=c"])


def test_object_in_a_cell_says_what_is_inside(tmp_path: Path) -> None:
    """A dotted path reaches in."""
    content = jsonl({"category": {"id": 5, "name": "Réseau"}, "text": "bonjour"}, {"category": "b", "text": "c"})

    (group,) = refusal(tmp_path, content).groups

    assert "name a field inside with a dotted path (it has id, name)" in group.detail


def test_lines_are_counted_in_every_form_of_text(tmp_path: Path) -> None:
    """A text of several lines and a blank line do not shift the place of a row."""
    quoted = 'category,text\n\na,"x\ny"\n,z\nb,c\n'

    assert [fault.line for fault in refusal(tmp_path, quoted).faults] == [5]
    assert [fault.line for fault in refusal(tmp_path, quoted.replace("\n", "\r")).faults] == [5]
    lines = "\n" + jsonl({"category": "a", "text": "x"}) + "\n" + jsonl({"text": "z"})
    assert [fault.line for fault in refusal(tmp_path, lines).faults] == [4]
    array = json.dumps([{"category": "a", "text": "x"}, {"text": "z"}])
    assert [fault.pointer for fault in refusal(tmp_path, array).faults] == ["/1/category"]


@pytest.mark.parametrize("wrap", ["{}\n{}\n", "[{}, {}]"])
def test_nan_of_python_is_no_category(tmp_path: Path, wrap: str) -> None:
    """Python writes NaN into JSON, which no standard allows; in a text it is a word."""
    content = wrap.format('{"category": NaN, "text": "a"}', '{"category": "b", "text": "NaN, c: NaN"}')

    assert refusal(tmp_path, content).groups[0].type == "no-category"
    assert rows_of(tmp_path, content, Reading(skip_unlabelled=True)).tickets[0].content == "NaN, c: NaN"


def test_file_beside_the_named_one_may_have_other_names(tmp_path: Path) -> None:
    """Options name the columns of the training file; a test file is read by them only if it has them."""
    named = as_remembered(Reading(category="File", text=("Objet",), encoding="cp1252"))

    assert rows_of(tmp_path, "category,text\na,é\n", named).tickets[0].content == "é"
    assert rows_of(tmp_path, "File;Objet;category\na;é;x\n".encode("cp1252"), named).tickets[0].expected == "a"


def test_mails_without_a_word_are_empty_tickets(tmp_path: Path) -> None:
    """A folder of e-mails is an export like any other."""
    pytest.importorskip("resiliparse")
    for name, body in (("a", "bonjour"), ("b", "...")):
        (tmp_path / "mails" / name).mkdir(parents=True)
        (tmp_path / "mails" / name / "1.eml").write_text(f"From: x@y.z\nTo: y@z.x\n\n{body}\n")

    rows = read(tmp_path / "mails")

    assert (len(rows.tickets), len(rows.empty), said(rows).split(";")[0]) == (1, 1, "e-mails")
    assert rows.places == ["/a/1.eml", "/b/1.eml"]


def test_delimiter_at_the_end_of_each_row_is_no_column(tmp_path: Path) -> None:
    """Some programs end each row with one, and not the header."""
    content = "category,text\n" + "".join(f"{category},{text},\n" for category, text in TICKETS)

    assert [ticket.content for ticket in rows_of(tmp_path, content).tickets] == [text for _, text in TICKETS]


def test_table_without_anything_like_a_category_gets_no_half_command(tmp_path: Path) -> None:
    """It would be refused again."""
    assert unclear(tmp_path, table([(text,) for _, text in TICKETS], ",", ("text",))).options == []


# In French


def test_unclear_columns_are_shown_in_french(tmp_path: Path) -> None:
    """Fact, columns, the options to add: the same facts in the other words."""
    error = unclear(tmp_path, table([(str(n), *one) for n, one in enumerate(TICKETS * 3)], ";", ("x", "y", "z")))

    lines = error.shown("fr").splitlines()

    assert lines[0].endswith(
        "n'a pas de colonne qui soit sûrement la catégorie, ni de colonne qui soit sûrement le texte\u00a0; "
        "nommez-les avec --category COLONNE et --text COLONNE"
    )
    assert lines[1:5] == [
        "les colonnes sont\u00a0:",
        "  x\u00a0: 12 valeurs distinctes, par exemple '0'",
        "  y\u00a0: 2 valeurs distinctes, par exemple 'Imprimantes'",
        "  z\u00a0: 4 valeurs distinctes, par exemple 'bourrage papier au bac deux'",
    ]
    assert lines[5].startswith("noms pris sans option\u00a0: category, label")
    assert lines[6:] == [
        "ajoutez --category y --text z",
        "si la première ligne est déjà un ticket, ajoutez --no-header et nommez les colonnes par leur numéro",
    ]


@pytest.mark.parametrize(
    ("needs", "type_"),
    [
        (("x", "text"), "category-column-unclear"),
        (("category", "y"), "text-column-unclear"),
        (("x", "y"), "columns-unclear"),
    ],
)
def test_what_is_unclear_is_a_type_of_problem(tmp_path: Path, needs: tuple[str, str], type_: str) -> None:
    """A program tells a missing category from a missing text without reading the sentence."""
    error = unclear(tmp_path, table([("a", "b c")], ",", needs))

    assert (error.message.type, error.message.parameters) == (type_, {"file": str(tmp_path / "export.any")})


def test_group_of_faults_is_shown_in_french(tmp_path: Path) -> None:
    """Count, field, sentence, places and the option that helps; the words of tickets stay as they are."""
    content = table([*TICKETS, ("", "sans catégorie"), ("", "sans nom")], ",", ("category", "text"))

    (group,) = refusal(tmp_path, content).groups

    assert group.shown("fr") == (
        "2 lignes\u00a0: category\u00a0: pas de catégorie\u00a0; remplissez-la "
        "(ligne 6 'sans catégorie'\u00a0; ligne 7 'sans nom')\n"
        "    --skip-unlabelled continue sans elles, et les compte"
    )
    assert group.shown() == (
        "2 rows: category: no category; fill it in (line 6 'sans catégorie'; line 7 'sans nom')\n"
        "    --skip-unlabelled goes on without them, and counts them"
    )


def test_faults_are_grouped_by_their_type(tmp_path: Path) -> None:
    """Whatever their values are: each row has other fields, another number of columns, another token."""
    objects = jsonl(*({"category": {f"f{n}": n}, "text": "a"} for n in range(4)), {"category": "b", "text": "c"})
    wide = "category,text\n" + "".join("a,b" + ",c" * n + "\n" for n in range(1, 4))
    tokens = jsonl(*({"category": "a", "tokens": ["x", n]} for n in range(3)))

    assert [(one.type, one.num_tickets) for one in refusal(tmp_path, objects).groups] == [("object-in-cell", 4)]
    assert [(one.type, one.num_tickets) for one in refusal(tmp_path, wide).groups] == [("too-many-columns", 3)]
    assert [(one.type, one.num_tickets) for one in refusal(tmp_path, tokens).groups] == [("wrong-type", 3)]
