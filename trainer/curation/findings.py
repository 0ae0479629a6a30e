"""What to look at in labelled tickets before they teach, and what to do about it: `inspect`, for a terminal or a job.

In: checked rows (tickets.py). Out: what audit.py, variants.py and capitals.py find, as warnings for a person and as
findings with their rows for a page. Nothing is changed, printed or written here, and nothing imports torch.
"""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from artifacts.jobs.answers import MAX_LISTED_ROWS, MAX_TEXT, Finding, RowFound, line_of
from artifacts.system import cores
from artifacts.text.tokens import MAX_TOKENS
from trainer.config import TrainConfig
from trainer.curation.audit import SMALL_CATEGORY, Audit, Suspect, audit, leaks
from trainer.curation.capitals import names_in
from trainer.curation.variants import Variants, variants
from trainer.data.files import FaultGroup
from trainer.data.tickets import Rows, about_single_tickets, check_several, single_ticket_categories, text_of

MAX_SHOWN = 10  # of a list in a sentence
MAX_CREDIBLE = 0.25  # of the tickets; a model that calls more of them wrong is often wrong itself (docs/LOG.md)
# Beginnings of the reasons that audit.py gives -> the warning that these rows are of.
_REASONS = {
    "probably another category": "mislabelled",
    "the same ticket is also under": "conflicts",
    "repeats ": "duplicates",
    "fewer than ": "near_empty",
    "holds ": "personal_data",
}


class Warned(msgspec.Struct, frozen=True):
    """One thing to look at.

    Attributes:
        kind: a word that does not change from release to release.
        num_tickets: that it is about.
        detail: what it is and what to do about it, for a person.
    """

    kind: str
    num_tickets: int
    detail: str


class Inspection(Audit, frozen=True, kw_only=True):
    """What `--json` prints: the audit, how the file was read, and every warning.

    Attributes:
        columns: what was read of the file: category, text, id.
        encoding: of a text; None of a form that has none.
        form: of the file, in words.
        faults: rows that were left out, in groups.
        warnings: the most important first.
        variants: categories that are probably one.
        num_empty: tickets without a token.
        num_unlabelled, num_faulty: rows that were left out.
        num_repaired: tickets that were encoded twice, and are read as they were meant.
    """

    columns: dict[str, object]
    encoding: str | None
    form: str
    faults: list[FaultGroup]
    warnings: list[Warned]
    variants: list[Variants]
    num_empty: int
    num_unlabelled: int
    num_faulty: int
    num_repaired: int


class Inspected(NamedTuple):
    """What was found, what to say of it, and the categories that are probably one."""

    found: Audit
    warnings: list[Warned]
    alike: list[Variants]

    @property
    def is_of_single_tickets(self) -> bool:
        """Whether nearly each ticket has a category of its own, so that there is nothing that a text could tell."""
        return any(one.kind == "single_tickets" for one in self.warnings)


def inspect(
    rows: Rows,
    seed: int = 0,
    test_rows: Rows | None = None,
    test: Path | None = None,
    is_forbidden: Callable[[str], bool] | None = None,
) -> Inspected:
    """Return what is to be looked at in labelled tickets, the most important first.

    Args:
        rows: checked.
        seed: of the folds.
        test_rows: of a test file that is looked for in the rows.
        test: that file.
        is_forbidden: says of a word whether it is known to be a name already.
    Raises:
        InvalidInput: all tickets are of one category.
    """
    check_several(rows)
    found = audit(rows, cores.whole(), seed)
    if test_rows is not None:
        found = msgspec.structs.replace(found, leaks=leaks(rows, test_rows))
    names = names_in((ticket.content for ticket in rows.tickets), is_forbidden)
    found = msgspec.structs.replace(found, names=names)
    alike = variants(rows.categories)
    warnings = [
        *single_tickets(rows),
        *spellings(alike),
        *advice(found, test, len(rows.empty), num_repaired(rows)),
    ]
    if found.labels_follow_text is False:
        warnings.sort(key=lambda one: one.kind != "labels_do_not_follow_text")  # before names of categories, too
    return Inspected(found, warnings, alike)


def findings(inspected: Inspected, rows: Rows) -> list[Finding]:
    """Return the warnings with the rows that they are of, for a page on which each can be put right."""
    of_kind: dict[str, list[Suspect]] = {}
    for suspect in inspected.found.suspects:
        for start, kind in _REASONS.items():
            if any(reason.startswith(start) for reason in suspect.reasons):
                of_kind.setdefault(kind, []).append(suspect)
    return [
        Finding(
            type=warned.kind,
            count=warned.num_tickets,
            what_to_do=warned.detail,
            rows=[row_found(one, rows) for one in of_kind.get(warned.kind, [])[:MAX_LISTED_ROWS]],
        )
        for warned in inspected.warnings
    ]


def row_found(suspect: Suspect, rows: Rows) -> RowFound:
    """Return a row that has a reason, as a page shows it."""
    ticket = rows.tickets[suspect.row]
    return RowFound(
        line=line_of(rows.place(suspect.row)),
        category=ticket.expected,
        text=text_of(ticket)[:MAX_TEXT],
        why="; ".join(suspect.reasons),
        id=ticket.id,
        suggested=suspect.suggested,
        probability=None if suspect.score is None else round(suspect.score, 4),
    )


def inspection(found: Audit, rows: Rows, warnings: list[Warned], alike: list[Variants]) -> Inspection:
    """Return all that was found, for other programs."""
    intake = rows.intake
    columns: dict[str, object] = {}
    if intake is not None:
        columns = {"category": intake.columns.category, "text": intake.columns.text, "id": intake.columns.id}
    return Inspection(
        **msgspec.structs.asdict(found),
        columns=columns,
        encoding=intake.encoding if intake is not None else None,
        form=intake.form if intake is not None else "folder of e-mails",
        faults=intake.faults if intake is not None else [],
        warnings=warnings,
        variants=alike,
        num_empty=len(rows.empty),
        num_repaired=num_repaired(rows),
        num_unlabelled=intake.num_unlabelled if intake is not None else 0,
        num_faulty=intake.num_faulty if intake is not None else 0,
    )


def single_tickets(rows: Rows) -> list[Warned]:
    """Return a warning if nearly each ticket has a category of its own, which `fit` refuses."""
    refusal = about_single_tickets(rows)
    return [Warned("single_tickets", len(single_ticket_categories(rows)), str(refusal))] if refusal else []


def spellings(found: Sequence[Variants]) -> list[Warned]:
    """Return a warning for each group of categories that are probably one, with the options that merge them."""
    return [
        Warned(
            "category_names",
            one.num_tickets,
            f"{', '.join(f'{name!r} ({count})' for name, count in one.others.items())} look like {one.kept!r}: "
            f"add {shlex.join(one.options)}",
        )
        for one in found
    ]


def num_repaired(rows: Rows) -> int:
    """Return how many tickets of a file were encoded twice; of e-mails, whose encoding they name, none."""
    return rows.intake.num_repaired if rows.intake is not None else 0


def advice(found: Audit, test: Path | None, num_empty: int = 0, num_repaired: int = 0) -> list[Warned]:
    """Return what was found and what to do about it, the most important first."""
    warned = []

    def warn(kind: str, num_tickets: int, detail: str) -> None:
        warned.append(Warned(kind, num_tickets, detail))

    if found.labels_follow_text is False:
        warn(
            "labels_do_not_follow_text",
            found.num_tickets,
            "the categories do not follow from the text: dealt out among the tickets at random they suit the model's "
            f"answers as well in {found.signal.p_value:.1%} of 999 deals (limit 0.1%); so no ticket is called wrong. "
            "Is it the right column? Name another with --category, or another text with --text",
        )
    if found.leaks:
        exact = sum(leak.similarity == 1 for leak in found.leaks)
        warn(
            "leaks",
            len(found.leaks),
            f"{exact} tickets of {test} are also in the training data and {len(found.leaks) - exact} nearly: "
            "take them out of either, or what is measured on them flatters",
        )
    if found.num_cut:
        warn(
            "cut",
            found.num_cut,
            f"{found.num_cut} of {found.num_tickets} tickets are cut at the {MAX_TOKENS}th token, {found.num_alike} "
            "are alike up to there: what comes after is not read, so leave out what a program or a template puts first",
        )
    if num_repaired:
        warn(
            "encoded_twice",
            num_repaired,
            f"{num_repaired} tickets look doubly encoded (Ã¨ for è): they are read as they were meant; export again as "
            "UTF-8",
        )
    if found.num_personal:
        kinds = ", ".join(f"{kind} in {number}" for kind, number in found.num_personal.items())
        warn(
            "personal_data",
            sum(found.num_personal.values()),
            f"personal data, by its form: {kinds}; mask it where the tickets come from (training masks e-mail "
            "addresses, phone numbers and IBANs, and neither names nor card numbers in tokens)",
        )
    if found.names:
        often = sum(number >= TrainConfig().min_count for number in found.names.values())
        warn(
            "names",
            sum(found.names.values()),
            f"{len(found.names)} words look like names, {often} of them in tickets enough to enter the vocabulary: "
            f"{shortened([f'{name} ({number})' for name, number in found.names.items()])}; write those that are names "
            "into a file, one a line, and train with --forbid FILE",
        )
    if found.num_conflicts:
        warn(
            "conflicts",
            found.num_conflicts,
            f"{found.num_conflicts} tickets stand under several categories: decide for one",
        )
    if found.num_mislabelled > MAX_CREDIBLE * found.num_tickets:
        warn(
            "mislabelled",
            found.num_mislabelled,
            f"{found.num_mislabelled} tickets look as if they were in a wrong category, but the model that says so is "
            f"right in {found.signal.accuracy:.0%} of cases only: read the first, and do not take the rest for errors",
        )
    elif found.num_mislabelled:
        warn(
            "mislabelled",
            found.num_mislabelled,
            f"{found.num_mislabelled} tickets are probably in a wrong category: correct them from the top",
        )
    for merge in found.merges[:MAX_SHOWN]:
        counts = " + ".join(map(str, merge.of_folds))
        warn(
            "confused_categories",
            sum(merge.of_folds),
            f"{merge.first} and {merge.second} are taken for each other ({counts} tickets in the folds, "
            f"{merge.share:.0%} of the smaller): merge them, or write down what tells them apart",
        )
    if found.small_categories:
        few = [f"{name} ({number})" for name, number in found.small_categories.items()]
        warn(
            "small_categories",
            sum(found.small_categories.values()),
            f"{len(few)} categories have fewer than {SMALL_CATEGORY} distinct tickets: collect more, or merge them: "
            + shortened(few),
        )
    if found.num_duplicates:
        warn(
            "duplicates",
            found.num_duplicates,
            f"{found.num_duplicates} tickets repeat an earlier one: keep them if they came so often",
        )
    if found.num_near_empty:
        warn(
            "near_empty",
            found.num_near_empty,
            f"{found.num_near_empty} tickets are nearly empty: remove those that nobody could sort",
        )
    if num_empty:
        warn("empty", num_empty, f"{num_empty} tickets have no word: a training leaves them out")
    if found.aliases:
        warn("aliases", 0, f"placeholders of the same thing: train with --set 'aliases={found.aliases}'")
    return warned


def shortened(words: Sequence[str]) -> str:
    """Return the first words of a list."""
    return ", ".join(words[:MAX_SHOWN]) + (", ..." if len(words) > MAX_SHOWN else "")
