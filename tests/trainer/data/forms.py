"""Every form and encoding that the reader takes, each as a small file: the tests read them, docs/forms.md lists them.

`python -m tests.trainer.data.forms` writes the document; a test fails if it has not been written again.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
import xlsxwriter

DOCUMENT = Path(__file__).parents[3] / "docs" / "forms.md"
ROWS = [
    ("Réseau", "pas de réseau à l'étage, côté nord"),
    ("Imprimante", 'le "bac deux" est coincé; bourrage'),
    ("Réseau", "le câble est débranché"),
    ("Compte", "mot de passe oublié\ndepuis ce matin"),
]
CELLS = [{"category": category, "text": text} for category, text in ROWS]


class Form(NamedTuple):
    """A form: its name and what it is like in both languages, the file's suffix, and what makes the bytes of ROWS."""

    name: str
    english: str
    french: str
    suffix: str
    make: Callable[[], bytes]


def table(delimiter: str = ",", above: str = "") -> bytes:
    """Return the rows as a table in UTF-8."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("category", "text"), *ROWS])
    return (above + out.getvalue()).encode()


def backslashes() -> bytes:
    """Return the rows as MySQL writes them: a quotation mark inside a cell after a backslash."""
    lines = ['"category","text"', *('"{}","{}"'.format(one, two.replace('"', '\\"')) for one, two in ROWS)]
    return "\n".join(lines).encode()


def unquoted() -> bytes:
    """Return the rows as many programs write tabs: without quotation marks that mean anything."""
    return "\n".join("\t".join(row).replace("\n", " ") for row in [("category", "text"), *ROWS]).encode()


def spaced() -> bytes:
    """Return the rows as people write CSV by hand: quoted, with a blank after each comma."""
    lines = [("category", "text"), *ROWS]
    return "\n".join(", ".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in lines).encode()


def json_lines() -> bytes:
    """Return the rows as objects, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in CELLS).encode()


def as_json(value: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


def label_studio() -> bytes:
    """Return the rows as tasks with an annotation each."""
    return as_json(
        [
            {
                "id": number,
                "data": {"text": text},
                "annotations": [{"result": [{"type": "choices", "value": {"choices": [category]}}]}],
            }
            for number, (category, text) in enumerate(ROWS)
        ]
    )


def workbook(
    rows: Sequence[Sequence[object]] = (("category", "text"), *ROWS),
    empty_first: bool = False,
    before: Sequence[Sequence[object]] = (),
) -> bytes:
    """Return rows as the first sheet of a workbook, or as its second, after an empty one or one with `before`."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        if empty_first or before:
            notes = book.add_worksheet("Notes")
            for number, row in enumerate(before):
                notes.write_row(number, 0, row)
        sheet = book.add_worksheet("Tickets")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return out.getvalue()


def parquet() -> bytes:
    """Return the rows as parquet."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(CELLS), out)
    return out.getvalue()


def zipped() -> bytes:
    """Return the rows as a CSV in a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/tickets.csv", table())
    return out.getvalue()


FORMS = (
    Form("table with commas", "CSV, as RFC 4180 has it", "CSV, selon la RFC 4180", "csv", table),
    Form("table with semicolons", "CSV of Excel in French", "CSV d’Excel en français", "csv", lambda: table(";")),
    Form("table with tabs", "TSV, whatever its suffix", "TSV, quel que soit le suffixe", "txt", lambda: table("\t")),
    Form("table with pipes", "columns between |", "colonnes entre |", "txt", lambda: table("|")),
    Form("table with carets", "columns between ^; also ~", "colonnes entre ^ ; aussi ~", "txt", lambda: table("^")),
    Form(
        "sep= line",
        "a first line that names the delimiter",
        "une première ligne qui nomme le séparateur",
        "csv",
        lambda: table(";", "sep=;\r\n"),
    ),
    Form(
        "title above the header",
        "lines of a report before the columns",
        "des lignes de titre avant les colonnes",
        "csv",
        lambda: table(",", "Tickets clos au 3 mars\r\n\r\n"),
    ),
    Form(
        "CR line ends",
        "CSV of old Excel for Mac",
        "CSV d’ancien Excel pour Mac",
        "csv",
        lambda: table(";").replace(b"\r\n", b"\r"),
    ),
    Form(
        "backslash quotes",
        "quotation marks after a backslash (MySQL)",
        "guillemets après une barre oblique (MySQL)",
        "csv",
        backslashes,
    ),
    Form("literal quotes", "tabs, quotation marks as letters", "tabulations, guillemets ordinaires", "tsv", unquoted),
    Form(
        "blank after each comma",
        'quoted cells, as in "a", "b"',
        'cellules entre guillemets, comme « "a", "b" »',
        "csv",
        spaced,
    ),
    Form("JSON Lines", "one object a line", "un objet par ligne", "jsonl", json_lines),
    Form(
        "JSON Lines, CR line ends",
        "lines of old programs for Mac",
        "lignes d’anciens programmes pour Mac",
        "jsonl",
        lambda: json_lines().replace(b"\n", b"\r"),
    ),
    Form(
        "JSON objects one after another",
        "over lines or on one, with or without commas",
        "sur une ou plusieurs lignes, avec ou sans virgules",
        "json",
        lambda: b"".join(as_json(row) for row in CELLS),
    ),
    Form(
        "JSON objects, commas at line ends",
        "an array without its brackets",
        "un tableau sans ses crochets",
        "json",
        lambda: json_lines().replace(b"}\n", b"},\n"),
    ),
    Form("JSON array", "a list of objects", "une liste d’objets", "json", lambda: as_json(CELLS)),
    Form(
        "JSON array of arrays",
        "a list of rows, the first with names",
        "une liste de lignes, la première de noms",
        "json",
        lambda: as_json([["category", "text"], *ROWS]),
    ),
    Form(
        "JSON object with a list",
        "an object that wraps the list",
        "un objet qui contient la liste",
        "json",
        lambda: as_json({"meta": {"count": 4, "next": None}, "result": {"tickets": CELLS}}),
    ),
    Form(
        "JSON object of columns",
        "columns as lists, as pandas writes",
        "des colonnes en listes, comme pandas",
        "json",
        lambda: as_json({name: [row[name] for row in CELLS] for name in ("category", "text")}),
    ),
    Form(
        "JSON object of rows",
        "columns and data, as pandas writes (split)",
        "columns et data, comme pandas (split)",
        "json",
        lambda: as_json({"columns": ["category", "text"], "index": [0, 1, 2, 3], "data": ROWS}),
    ),
    Form(
        "JSON object of objects",
        "a row under each key, as Firebase writes",
        "une ligne par clé, comme Firebase",
        "json",
        lambda: as_json({f"T{number}": row for number, row in enumerate(CELLS)}),
    ),
    Form(
        "Label Studio, JSON Lines",
        "a task a line",
        "une tâche par ligne",
        "jsonl",
        lambda: "".join(json.dumps(task) + "\n" for task in json.loads(label_studio())).encode(),
    ),
    Form("Label Studio", "its JSON export", "son export JSON", "json", label_studio),
    Form(
        "fastText",
        "lines that begin with __label__",
        "des lignes qui commencent par __label__",
        "txt",
        lambda: "".join(f"__label__{one} {' '.join(two.split())}\n" for one, two in ROWS).encode(),
    ),
    Form(
        "fastText, labels last",
        "__label__ at the end of each line",
        "__label__ à la fin de chaque ligne",
        "txt",
        lambda: "".join(f"{' '.join(two.split())} __label__{one}\n" for one, two in ROWS).encode(),
    ),
    Form("Excel workbook", ".xlsx; also .xlsb, .xls and .ods", ".xlsx ; aussi .xlsb, .xls et .ods", "xlsx", workbook),
    Form(
        "workbook, second sheet",
        "the first sheet with rows",
        "la première feuille remplie",
        "xlsx",
        lambda: workbook(empty_first=True),
    ),
    Form(
        "workbook, title page first",
        "the sheet with the columns",
        "la feuille qui a les colonnes",
        "xlsx",
        lambda: workbook(before=(("Export du support",), ("le 3 mars",))),
    ),
    Form("parquet", "types kept by classify", "types gardés par classify", "parquet", parquet),
    Form("gzip", "any of these, compressed", "tout cela, comprimé", "jsonl.gz", lambda: gzip.compress(json_lines())),
    Form("bzip2", "any of these, compressed", "tout cela, comprimé", "csv.bz2", lambda: bz2.compress(table())),
    Form("xz", "any of these, compressed", "tout cela, comprimé", "csv.xz", lambda: lzma.compress(table())),
    Form("zip", "an archive of one file", "une archive d’un seul fichier", "zip", zipped),
)

# Codec, how it is found, and a text of that language; the guesses are chardet's.
ENCODINGS: tuple[tuple[str, str, str, str], ...] = (
    ("utf-8", "checked", "contrôlé", "le réseau est coupé – déjà hier"),
    ("utf-8-sig", "marked", "marqué", "le réseau est coupé – déjà hier"),
    ("utf-16", "marked", "marqué", "le réseau est coupé – déjà hier"),
    ("utf-16-le", "guessed", "deviné", "le réseau est coupé – déjà hier"),
    ("utf-16-be", "guessed", "deviné", "le réseau est coupé – déjà hier"),
    ("utf-32", "marked", "marqué", "le réseau est coupé – déjà hier"),
    ("cp1252", "guessed", "deviné", "le réseau est coupé à l’étage – c’est très gênant"),
    ("cp850", "guessed", "deviné", "le réseau est coupé à l'étage, mot de passe oublié"),
    ("mac_roman", "guessed", "deviné", "le réseau est coupé à l’étage, mot de passe oublié"),
    ("cp1250", "guessed", "deviné", "zapomniałem hasła, muszę się zalogować, proszę o pomoc"),
    ("cp1251", "guessed", "deviné", "принтер не печатает, помогите пожалуйста"),
    ("koi8_r", "guessed", "deviné", "принтер не печатает, помогите пожалуйста"),
    ("cp1253", "guessed", "deviné", "ο εκτυπωτής δεν λειτουργεί, ξέχασα τον κωδικό μου"),
    ("cp1254", "guessed", "deviné", "yazıcı çalışmıyor, şifremi unuttum giriş yapamıyorum"),
    ("cp1255", "guessed", "deviné", "המדפסת לא עובדת בבקשה עזרה, שכחתי את הסיסמה"),
    ("shift_jis", "guessed", "deviné", "プリンターが動きません。助けてください。パスワードを忘れました"),
    ("euc_jp", "guessed", "deviné", "プリンターが動きません。助けてください。パスワードを忘れました"),
    ("gb18030", "guessed", "deviné", "打印机不工作了请帮忙看看，忘记密码无法登录公司系统"),
    ("big5", "guessed", "deviné", "印表機不工作了請幫忙，忘記密碼無法登錄公司系統"),
    ("cp949", "guessed", "deviné", "프린터가 작동하지 않습니다 도와주세요, 비밀번호를 잊어버렸습니다"),
)


def document() -> str:
    """Return docs/forms.md."""
    lines = [
        "# Forms and encodings that are read / Formes et encodages lus",
        "",
        "Written by `python -m tests.trainer.data.forms` from the files that the tests read; do not edit.",
        "",
        "Écrit par `python -m tests.trainer.data.forms` à partir des fichiers que lisent les tests ; ne pas modifier.",
        "",
        "| form / forme | what it is | ce que c’est |",
        "|---|---|---|",
        *(f"| {form.name} | {form.english} | {form.french} |" for form in FORMS),
        "",
        "| encoding / encodage | found by | trouvé par |",
        "|---|---|---|",
        *(f"| {codec} | {english} | {french} |" for codec, english, french, _ in ENCODINGS),
        "",
        "`--encoding` and `--delimiter` overrule what is found.",
        "`--encoding` et `--delimiter` l’emportent sur ce qui est trouvé.",
    ]
    return "\n".join(lines).replace("columns between | |", "columns between \\| |").replace(
        "colonnes entre | |", "colonnes entre \\| |"
    ) + "\n"  # fmt: skip


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
