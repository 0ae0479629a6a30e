"""What jobs that publish nothing give back: the JSON of GET /jobs/{id}/result, written by the trainer's process.

An inspection and an evaluation have records of their own (trainer/curation/findings.py, the table of kinds); the others
stand here, so that the server's document shows them.
"""

from typing import Literal

import msgspec

from artifacts.jobs.records import ANSWER_FILE
from artifacts.networks.manifest import Comparison
from artifacts.text.tickets import Guess

MAX_LISTED_ROWS = 1000  # of a list in an answer; its number is always said
MAX_TEXT = 2000  # characters of a ticket in such a list
Line = int | str  # a line of a file counted from 1; in a file without lines the row's place, such as "row 5"
Role = Literal["category", "text", "id"]


class ColumnSeen(msgspec.Struct, frozen=True):
    """A column of a posted file.

    Attributes:
        name: as the file has it; of an object in an object a dotted path.
        samples: its first distinct cells, shortened.
        num_distinct: distinct cells among the first 1000 rows.
        role: what it is read as, or probably meant as; None: it is not read.
        why: "named" by the request, "remembered" from the last training, "usual" by its name; or only "likely", by its
            name and cells, and then it has to be named.
    """

    name: str
    samples: list[str]
    num_distinct: int
    role: Role | None = None
    why: Literal["named", "remembered", "usual", "likely"] | None = None


class NoticedProblem(msgspec.Struct, frozen=True):
    """Something that keeps a file from being read as it stands; the type has a page under /problems."""

    type: str
    detail: str
    count: int = 1


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """How a posted file is understood, before anything is done with it.

    Attributes:
        columns: in the order of the file.
        num_rows: all of them.
        encoding, delimiter: of a text and a table; None of what has none.
        form: in words.
        rows: the first 20, each as column -> cell, long cells shortened; or as many as were asked for, whole.
        how_read: form, encoding and columns in one sentence.
        problems: what has to be said before the file can be read.
        is_certain: whether category and text are certain, so that it can be trained on as it stands.
    """

    columns: list[ColumnSeen]
    num_rows: int
    encoding: str | None
    delimiter: str | None
    form: str
    rows: list[dict[str, str]]
    how_read: str
    problems: list[NoticedProblem]
    is_certain: bool


class RowFound(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that someone should look at.

    Attributes:
        line: by which a training's `corrections` name it.
        category: that it has.
        suggested: the category that the others suggest, if it is another.
        probability: of its own category, to a model that has not seen it.
        why: in words; never the ticket's.
    """

    line: Line
    category: str
    text: str
    why: str
    id: str | int | None = None
    suggested: str | None = None
    probability: float | None = None


class Finding(msgspec.Struct, frozen=True):
    """One thing that an inspection has found.

    Attributes:
        type: a word that does not change from release to release.
        count: tickets that it is about.
        what_to_do: what it is and what to do about it, in English.
        rows: of them, the first 1000.
    """

    type: str
    count: int
    what_to_do: str
    rows: list[RowFound]


class InspectionAnswer(msgspec.Struct, frozen=True):
    """What an inspection has found; further members are those of `puppet-train inspect --json`.

    Attributes:
        findings: what to look at, the most important first.
        num_tickets, num_categories: that were looked at.
        labels_follow_text: whether the text tells the categories; null: too few tickets to say.
        categories: tickets of each, the most first.
        columns: what was read of a file: category, text, id.
        encoding, form: of the file.
    """

    findings: list[Finding]
    num_tickets: int
    num_categories: int
    labels_follow_text: bool | None
    categories: dict[str, int]
    columns: dict[str, str | list[str] | None]
    encoding: str | None
    form: str


class UnsureTicket(msgspec.Struct, frozen=True):
    """A ticket that a person had better look at, with the model's best guesses."""

    line: Line
    id: str | int | None
    text: str
    category: str | None
    confidence: float
    reason: str
    best: list[Guess]


class ClassifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file that was sorted; the file itself is given to who accepts no JSON.

    Attributes:
        num: rows that were written.
        num_abstained: of them, those without a category, or with `otherwise`.
        per_category: tickets that each category was given to, the most first.
        reasons: those of `num_abstained`, by reason.
        unsure: those that the model is not sure of, the least sure first; the first 1000 of `num_unsure`.
        num_skipped: rows that were left out.
        columns: that were added: what they hold -> their names in the file.
        how_read: form, encoding and columns of the file that came, in one sentence.
        filename: of the file that is given back.
    """

    model_name: str
    version: int
    num: int
    num_abstained: int
    per_category: dict[str, int]
    reasons: dict[str, int]
    unsure: list[UnsureTicket]
    num_unsure: int
    num_skipped: int
    num_repaired: int
    columns: dict[str, str]
    how_read: str
    filename: str

    @property
    def file(self) -> str:
        """The name under which the file lies in the job's folder."""
        return f"{ANSWER_FILE}.{self.filename.rpartition('.')[2]}"


class RowChange(msgspec.Struct, frozen=True):
    """A row that two versions answer differently."""

    line: Line
    text: str
    category: str | float
    old: str | float
    new: str | float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions compared on labelled rows.

    Attributes:
        old, new: the versions.
        comparison: the verdict and its figures.
        changes: the first 1000 rows of `comparison.num_changes` that they answer differently, with their words.
    """

    name: str
    old: int
    new: int
    comparison: Comparison
    changes: list[RowChange]


class WrittenReport(msgspec.Struct, frozen=True):
    """The report of a version has been written again."""

    name: str
    version: int
    languages: list[str]


def line_of(place: str) -> Line:
    """Return a row's place as answers name it.

    >>> line_of("line 17"), line_of("row 5"), line_of("/Facture/3.eml")
    (17, 'row 5', '/Facture/3.eml')
    """
    number = place.removeprefix("line ")
    return int(number) if number != place and number.isdigit() else place


def place_of_line(line: Line) -> str:
    """Return the place that `line_of` was given.

    >>> place_of_line(17), place_of_line("row 5")
    ('line 17', 'row 5')
    """
    return f"line {line}" if isinstance(line, int) else line
