"""Exports in the manner of the programs that support teams have, small and invented.

`python -m trainer.samples.exports DIR` writes them. Each has what makes that program's export hard to read: separators
and encoding of Excel in French, HTML in cells, tickets inside objects, line breaks between quotes. The tests take every
one through inspect, fit and classify.
"""

import csv
import html
import io
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

# Category -> subjects and bodies.
PHRASES = {
    "Imprimantes": (("Bourrage papier", "Toner vide", "Traces noires"),
                    ("le bac deux est coincé depuis ce matin", "l'imprimante du couloir est arrêtée",
                     "chaque feuille a des traces à l'arrière")),
    "Comptes": (("Mot de passe oublié", "Compte bloqué", "Accès refusé"),
                ("je n'arrive plus à ouvrir ma session", "mon identifiant est refusé après les congés",
                 "merci de réinitialiser mon mot de passe")),
    "Réseau": (("Pas de réseau", "Wi-Fi lent", "VPN coupé"),
               ("la connexion tombe à l'étage côté nord", "le câble est débranché près du poste",
                "impossible de joindre le serveur depuis l'hôtel")),
}  # fmt: skip
NUM_TICKETS = 36


class Invented(NamedTuple):
    """An invented ticket, before any program has written it."""

    number: int
    category: str
    subject: str
    body: str


class Sample(NamedTuple):
    """An export: its file, and the options that it needs."""

    file: str
    options: tuple[str, ...]
    write: Callable[[Sequence[Invented]], bytes]


def tickets(num_tickets: int = NUM_TICKETS, seed: int = 0) -> list[Invented]:
    """Return invented tickets, each category in turn; the same seed gives the same."""
    chosen = random.Random(seed)
    found = []
    for number in range(1, num_tickets + 1):
        category = list(PHRASES)[number % len(PHRASES)]
        subjects, bodies = PHRASES[category]
        body = f"{chosen.choice(bodies)}, poste {chosen.randrange(100, 999)}"
        found.append(Invented(number, category, chosen.choice(subjects), body))
    return found


def delimited(header: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> str:
    """Return a table as Excel writes it."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return out.getvalue()


def glpi(found: Sequence[Invented]) -> bytes:
    """Return what GLPI exports in France: semicolons, cp1252, HTML in the description, a delimiter at the end."""
    header = ("ID", "Titre", "Statut", "Catégorie", "Description", "")
    body = [f"<p>Bonjour,</p><p>{html.escape(one.body)}</p>" for one in found]
    rows = [(one.number, one.subject, "Clos", one.category, text, "") for one, text in zip(found, body, strict=True)]
    return delimited(header, rows, ";").encode("cp1252")


def zendesk(found: Sequence[Invented]) -> bytes:
    """Return what Zendesk's incremental export answers: the tickets in an object, with custom fields."""
    rows = [
        {"id": one.number, "subject": one.subject, "description": one.body, "tags": ["web", "vip"], "priority": None,
         "custom_fields": [{"id": 1, "value": one.category}], "queue_name": one.category}
        for one in found
    ]  # fmt: skip
    return json.dumps(
        {"tickets": rows, "count": len(rows), "next_page": None, "end_time": 1}, ensure_ascii=False
    ).encode()


def jira(found: Sequence[Invented]) -> bytes:
    """Return what Jira's search answers: issues with fields, the description as a document of paragraphs."""

    def document(text: str) -> dict[str, object]:
        return {
            "type": "doc",
            "version": 1,
            "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}],
        }

    issues = [
        {"key": f"IT-{one.number}", "fields": {"summary": one.subject, "description": document(one.body),
         "components": [{"name": one.category}], "issuetype": {"name": one.category, "subtask": False}}}
        for one in found
    ]  # fmt: skip
    return json.dumps({"startAt": 0, "total": len(issues), "issues": issues}, ensure_ascii=False).encode()


def servicenow(found: Sequence[Invented]) -> bytes:
    """Return what ServiceNow exports: a workbook."""
    import xlsxwriter  # of the extra `tables`

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Page 1")
        sheet.write_row(0, 0, ("Number", "Short description", "Description", "Assignment group"))
        for row, one in enumerate(found, 1):
            sheet.write_row(row, 0, (f"INC{one.number:07}", one.subject, one.body, one.category))
    return out.getvalue()


def freshdesk(found: Sequence[Invented]) -> bytes:
    """Return what Freshdesk exports: CSV with line breaks between quotes."""
    header = ("Ticket ID", "Subject", "Description", "Status", "Group", "Type")
    rows = [(one.number, one.subject, f"Bonjour,\n\n{one.body}\n\nMerci", "Open", one.category, "") for one in found]
    return b"\xef\xbb\xbf" + delimited(header, rows).encode()


def otrs(found: Sequence[Invented]) -> bytes:
    """Return what OTRS and Znuny export: tabs in a .txt, a title above the columns."""
    header = ("Number", "Ticket#", "Queue", "Subject", "Body")
    rows = [(one.number, f"20261129{one.number:05}", one.category, one.subject, one.body) for one in found]
    return b"TicketList Created: 2026-11-29\n\n" + delimited(header, rows, "\t").encode()


def unicode_text(found: Sequence[Invented]) -> bytes:
    """Return what Excel saves as "Unicode text": UTF-16 with tabs."""
    rows = [(one.number, one.category, f"{one.subject}\n{one.body}") for one in found]
    return delimited(("N°", "Rubrique", "Demande"), rows, "\t").encode("utf-16")


def label_studio(found: Sequence[Invented]) -> bytes:
    """Return Label Studio's export: tasks with their annotations, a cancelled one among them."""
    tasks = [
        {"id": one.number, "data": {"text": one.body},
         "annotations": [{"was_cancelled": True, "result": []},
                         {"was_cancelled": False, "result": [
                             {"from_name": "topic", "type": "choices", "value": {"choices": [one.category]}}]}]}
        for one in found
    ]  # fmt: skip
    return json.dumps(tasks, ensure_ascii=False).encode()


def parquet(found: Sequence[Invented]) -> bytes:
    """Return what a data team keeps: parquet."""
    import pyarrow.parquet  # of the extra `tables`

    out = io.BytesIO()
    rows = [{"ticket": one.number, "theme": one.category, "contenu": one.body} for one in found]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


SAMPLES = {
    "GLPI": Sample("glpi.csv", ("--text", "Titre", "--text", "Description"), glpi),
    "Zendesk": Sample("zendesk.json", ("--category", "queue_name"), zendesk),
    "Jira": Sample(
        "jira.json",
        ("--category", "fields.issuetype.name", "--text", "fields.summary", "--text", "fields.description"),
        jira,
    ),
    "ServiceNow": Sample(
        "servicenow.xlsx",
        ("--category", "Assignment group", "--text", "Short description", "--text", "Description"),
        servicenow,
    ),
    "Freshdesk": Sample("freshdesk.csv", (), freshdesk),
    "OTRS": Sample("otrs.txt", (), otrs),
    "Excel Unicode text": Sample("unicode.txt", ("--category", "Rubrique", "--text", "Demande"), unicode_text),
    "Label Studio": Sample("label_studio.json", (), label_studio),
    "parquet": Sample("tickets.parquet", ("--category", "theme", "--text", "contenu"), parquet),
}


def write(folder: Path, num_tickets: int = NUM_TICKETS) -> None:
    """Write every export into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = tickets(num_tickets)
    for sample in SAMPLES.values():
        (folder / sample.file).write_bytes(sample.write(found))


if __name__ == "__main__":
    if len(sys.argv) != 2:  # the program and one word
        sys.exit("usage: python -m trainer.samples.exports DIR")
    write(Path(sys.argv[1]))
