"""What a job of each kind does, in the process that the worker has started for it: the table from kind to runner.

In: a job's folder, with its body and perhaps a file. Out: a published version; or `answer.json` in the folder, and of a
file that was sorted the file itself. Each runner calls what the command of the same name calls; here a request is
turned into its arguments, and what it returns into an answer. Nothing here imports torch; a training does.
"""

import importlib.util
import os
import time
from collections.abc import Mapping
from pathlib import Path, PurePath

import msgspec

from artifacts.errors import InvalidInput, PuppetError
from artifacts.jobs.answers import (
    MAX_LISTED_ROWS,
    MAX_TEXT,
    ClassifiedFile,
    Difference,
    RowChange,
    WrittenReport,
    line_of,
)
from artifacts.jobs.events import Event, append_event
from artifacts.jobs.records import ANSWER, UNPACKED, JobKind, JobResult, Upload, read_asked
from artifacts.kinds import kind_named, load
from artifacts.networks.manifest import Change
from artifacts.problems.sentences import LANGUAGES
from artifacts.store.store import Store
from artifacts.store.versions import now, report_file
from artifacts.system.disk import write
from trainer.curation.preview import preview
from trainer.data import tickets
from trainer.jobs.body import read_classify, read_diff, read_evaluate, read_inspect
from trainer.jobs.progress import EventProgress
from trainer.jobs.uploads import reading_of, uploaded
from trainer.kinds import Rows
from trainer.run import Runner, categories_by_place, evaluate, fit_job, posted_rows, run_job
from trainer.selection.compare import compare_published
from trainer.sorting import classify

DONE = JobResult("done")
TOLD_S = 1.0  # between two events of a file that is sorted
REPORT_LIBRARIES = ("jinja2", "matplotlib")
# Form of the file that is given back, by the type of the one that came; of others a table.
FORMS = {
    "text/tab-separated-values": "tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "jsonl",
    "application/json": "jsonl",
}


def run_any(folder: Path, attempt: int, max_bytes: int) -> JobResult:
    """Do what the job asks for, and return how it ended; see `run_job`."""
    return run_job(folder, attempt, RUNNERS[read_asked(folder).kind], max_bytes)


def train(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:
    """Train and publish, then write the version's report; that it cannot be written ends no training."""
    result = fit_job(store, folder, attempt, max_bytes)
    if not missing_for_report():
        try:
            write_report(store, result.model_name, result.version)
        except PuppetError as error:  # of a kind that has no report, or the disk is full
            append_event(folder, Event(kind="message", time=now(), detail=f"no report: {error}"))
    return result


def look(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:  # noqa: ARG001  # a Runner
    """Inspect labelled tickets, as `puppet-train inspect` does; or only say how their file is understood."""
    progress = EventProgress(folder)
    progress.phase("read")
    body = read_inspect(store, folder)
    if read_asked(folder).is_preview:
        file = uploaded(folder, max_bytes) or _rows_as_file(folder, body.training_data or [])
        leave(folder, preview(file[0], reading_of(body.reading, max_bytes, store, body.name), body.num_rows))
        return DONE
    kind = kind_named(body.neural_network_type)
    rows = posted_rows(
        *(store, folder, kind, body.name, body.training_data, body.reading, max_bytes), field="training_data"
    )
    assert isinstance(rows, tickets.Rows), (
        "a kind that reads text has tickets, and read_inspect saw that there are some"
    )
    from trainer.curation.findings import findings, inspect, inspection  # scipy takes half a second to import

    progress.phase("check")
    inspected = inspect(rows)
    answer = msgspec.to_builtins(inspection(inspected.found, rows, inspected.warnings, inspected.alike))
    more = {"findings": findings(inspected, rows), "categories": dict(rows.categories.most_common())}
    leave(folder, answer | more)
    return DONE


def measure(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:  # noqa: ARG001
    """Measure a version on labelled rows, as `puppet-train evaluate` does."""
    progress = EventProgress(folder)
    progress.phase("read")
    body, version = read_evaluate(store, folder)
    kind = kind_named(body.neural_network_type)
    rows = posted_rows(store, folder, kind, body.name, body.test_data, body.reading, max_bytes)
    assert rows is not None, "read_evaluate saw that there are some; this is a bug in Puppet"
    progress.phase("answer")
    leave(folder, evaluate(store, body.name, version, rows))
    return DONE


def compare(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:  # noqa: ARG001
    """Compare two versions on labelled rows, as `puppet-train diff` does."""
    progress = EventProgress(folder)
    progress.phase("read")
    body, name, old, new = read_diff(store, folder)
    kind = kind_named(store.read_model(name).neural_network_type)
    rows = posted_rows(store, folder, kind, name, body.test_data, body.reading, max_bytes)
    assert rows is not None, "read_diff saw that there are some; this is a bug in Puppet"
    progress.phase("answer")
    comparison = compare_published(store, name, old, new, rows.tickets)
    changes = [row_change(change, rows) for change in comparison.changes[:MAX_LISTED_ROWS]]
    leave(folder, Difference(name=name, old=old, new=new, comparison=comparison, changes=changes))
    return DONE


def sort(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:  # noqa: ARG001
    """Give a file back with categories, as `puppet-train classify` does."""
    progress = EventProgress(folder)
    progress.phase("read")
    body, version = read_classify(store, folder)
    model = load(*store.read_version(body.name, version))
    path, facts = uploaded(folder, max_bytes) or _rows_as_file(folder, body.data or [])
    reading = reading_of(body.reading, max_bytes, store, body.name)
    form = body.output or FORMS.get(facts.media_type, "csv")
    filename = f"{PurePath(facts.filename).stem or 'tickets'}-sorted.{form}"
    progress.phase("answer")
    began_s = told_s = time.monotonic()

    def follow(num_tickets: int, num_read: int, num_bytes: int) -> None:  # noqa: ARG001
        """Tell now and then how much time is left, by the share of the file that has been read."""
        nonlocal told_s
        if time.monotonic() - told_s > TOLD_S and 0 < num_read <= num_bytes:
            told_s = time.monotonic()
            left_s = (told_s - began_s) * (num_bytes - num_read) / num_read
            append_event(folder, Event(kind="phase", time=now(), phase="answer", seconds_left=round(left_s, 1)))

    found, unsure = classify.classify(
        path,
        folder / f"answer.{form}",
        model,
        classify.Asked(
            abstain=body.abstain,
            top_k=body.top_k,
            explain=body.explain,
            decided=categories_by_place(body.corrections, reading),
            among=body.among,
            otherwise=body.otherwise,
        ),
        reading,
        progress=follow,
    )
    leave(
        folder,
        ClassifiedFile(
            model_name=found.name,
            version=found.version,
            num=found.num_tickets,
            num_abstained=sum(found.reasons.values()),
            per_category=found.categories,
            reasons=found.reasons,
            unsure=unsure.sorted(),
            num_unsure=unsure.num_tickets,
            num_skipped=found.num_skipped,
            num_repaired=found.num_repaired,
            columns=found.columns,
            how_read=found.said,
            filename=filename,
        ),
    )
    return DONE


def report(store: Store, folder: Path, attempt: int, max_bytes: int) -> JobResult:  # noqa: ARG001
    """Write the report of a published version again."""
    asked = read_asked(folder)
    if missing := missing_for_report():
        raise InvalidInput("report-library-missing", libraries=missing)
    write_report(store, asked.name, asked.version)
    leave(folder, WrittenReport(asked.name, asked.version, list(LANGUAGES)))
    return DONE


RUNNERS: Mapping[JobKind, Runner] = {
    "train": train,
    "inspect": look,
    "evaluate": measure,
    "diff": compare,
    "classify": sort,
    "report": report,
}


def leave(folder: Path, answer: object) -> None:
    """Leave the answer of a job in its folder, whole or not at all."""
    part = folder / f"{ANSWER}.part"
    part.write_bytes(msgspec.json.encode(answer))
    os.replace(part, folder / ANSWER)


def missing_for_report() -> list[str]:
    """Return the libraries of the extra `report` that are not installed."""
    return [library for library in REPORT_LIBRARIES if importlib.util.find_spec(library) is None]


def write_report(store: Store, name: str, version: int) -> None:
    """Write the report of a published version next to its files, a page for each language.

    It is drawn from those files, so it is no part of what the manifest proves, and may be written again at any time.

    Raises:
        InvalidInput: the version is of a kind that has no report, or nothing was measured.
        VersionNotFound, ArtifactRefused, StoreRefused.
    """
    from trainer.report.page import collect, write_page  # draws with matplotlib, which takes a second to import

    found = collect(store, name, version, None, "")
    for language in LANGUAGES:
        target = store.folder(name) / str(version) / report_file(language)
        with store.temporary_folder() as folder:
            write(folder / target.name, write_page(found, language).encode())
            with store.lock(name):
                store.check_version(name, version)  # it may have been deleted meanwhile
                os.replace(folder / target.name, target)


def row_change(change: Change, rows: Rows) -> RowChange:
    """Return a row that two versions answer differently, with its place and its words."""
    ticket = rows.tickets[change.row]
    if isinstance(rows, tickets.Rows):
        place, text = line_of(rows.place(change.row)), tickets.text_of(rows.tickets[change.row])[:MAX_TEXT]
    else:
        place, text = f"row {change.row}", str(ticket.content)[:MAX_TEXT]
    return RowChange(place, text, change.expected, change.old, change.new)


def _rows_as_file(folder: Path, rows: object) -> tuple[Path, Upload]:
    """Return the rows of a body as the file that they would have come in: one JSON object a line."""
    unpacked = folder / UNPACKED
    unpacked.mkdir(mode=0o700, exist_ok=True)
    path = unpacked / "tickets.jsonl"
    assert isinstance(rows, list)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path, Upload("application/x-ndjson", "tickets.jsonl")
