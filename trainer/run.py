"""The main path of a training: data in, a published version out.

    file or body of a job -> checked rows -> network of the model's kind -> files -> version

Called by `puppet-train fit` with a file, and by the worker's process with the folder of a job. What a kind does with
its rows is in its own module (kinds.py); what a job asks for is read in jobs/body.py.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from artifacts.errors import (
    ArtifactRefused,
    Fault,
    InvalidContent,
    InvalidInput,
    ModelNotTrained,
    NoTrainingData,
    PuppetError,
)
from artifacts.evaluation.metrics import Metrics, Mistake
from artifacts.jobs.answers import place_of_line
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import JobResult, write_result
from artifacts.jobs.request import Promotion, ReadingAsked, RowCorrection, StartVersion
from artifacts.kinds import Kind, kind_named, load
from artifacts.networks.learnt import evaluate_apart, seen, trained_on, why_unknown, with_parts
from artifacts.networks.manifest import Columns, Manifest, Report
from artifacts.problems.sentences import message
from artifacts.schemas import Evaluation
from artifacts.store import feedback
from artifacts.store.store import Store
from artifacts.system.validation import does_not_fit
from artifacts.text.tickets import Ticket
from trainer.config import TrainConfig
from trainer.continuing.start import Start, check_settings, is_full_training_due, opened
from trainer.curation.unlabelled import read_unlabelled
from trainer.curation.vectors import read_vectors
from trainer.data import tickets
from trainer.data.columns import AS_FOUND, Reading, label_of
from trainer.data.files import RawRow, excerpt
from trainer.data.forms import read_file
from trainer.data.source import MAX_BYTES
from trainer.jobs.body import check_rows, read_body, refusal
from trainer.jobs.progress import EventProgress
from trainer.jobs.uploads import named_by_sender, reading_of, uploaded
from trainer.kinds import Fitted, Progress, Rows, Silent, trainer_of
from trainer.selection.compare import compare_fitted


def read_rows(path: Path, kind: Kind, reading: Reading = AS_FOUND, faults_file: Path | None = None) -> Rows:
    """Return the checked rows of an export, or of a folder of e-mails.

    Args:
        path: of a file, `-` for standard input, or a folder.
        kind: of the model.
        reading: how a file of tickets is read.
        faults_file: where every fault of a file of tickets is listed.

    Raises:
        InvalidInput: it cannot be read, or rows of it do not fit.
        NoTrainingData: it holds none.
    """
    trainer = trainer_of(kind)
    if trainer.table is None:
        return tickets.read(path, reading, faults_file)
    if path.is_dir():
        raise InvalidInput("folder-of-mails", path=path, kind=kind.name)
    return trainer.check_rows(read_file(path, trainer.table, reading.max_bytes), str(path))


def read_test_rows(data: Path, kind: Kind, reading: Reading = AS_FOUND, faults_file: Path | None = None) -> Rows:
    """Return the checked rows of a file to measure on; see `read_rows`.

    Raises:
        InvalidInput: as `read_rows` does, or the file holds no ticket.
    """
    try:
        return read_rows(data, kind, reading, faults_file)
    except NoTrainingData as error:
        raise InvalidInput("nothing-to-measure", path=data) from error


def with_feedback(store: Store, name: str, kind: Kind, rows: Rows | None) -> Rows:
    """Return tickets with the corrections of a model, which override rows of the same ticket.

    They carry no id, so that none comes into a report and outlives an erasure.

    Args:
        store: where the model `name` is.
        name: of the model.
        kind: of the model.
        rows: checked; None if only the corrections are to be trained on.
    Raises:
        InvalidInput: corrections are no rows of the kind.
        NoTrainingData: there is neither a row nor a correction.
    """
    if not kind.reads_text:
        raise InvalidInput("corrections-need-tickets", kind=kind.name)
    assert rows is None or isinstance(rows, tickets.Rows), "a kind that reads text is trained on tickets; our bug"
    raw_rows = [
        RawRow(msgspec.json.encode(Ticket(category=one.category, tokens=one.tokens, text=one.text)), f"/feedback/{i}")
        for i, one in enumerate(feedback.read_all(store, name))
    ]
    if not raw_rows and rows is not None:
        return rows
    return tickets.corrected(rows, tickets.check_rows(raw_rows, "feedback"))


def enriched(
    rows: Rows,
    kind: Kind,
    config: msgspec.Struct,
    unlabelled: Path | None,
    vectors: Path | None,
    reading: Reading = AS_FOUND,
) -> Rows:
    """Return tickets with what else there is to learn from: tickets without a category, and pretrained vectors.

    The file of tickets without a category is read as `reading` says.

    Raises:
        InvalidInput: a file cannot be read or does not fit, or the kind learns nothing from such a one.
    """
    if unlabelled is None and vectors is None:
        return rows
    if not isinstance(rows, tickets.Rows) or not isinstance(config, TrainConfig):
        raise InvalidInput("labelled-rows-alone", kind=kind.name)
    if unlabelled is not None:
        rows = msgspec.structs.replace(rows, unlabelled=read_unlabelled(unlabelled, reading))
    if vectors is not None:
        words = {token for tokens in rows.tokens + rows.unlabelled for token in tokens}
        rows = msgspec.structs.replace(rows, vectors=read_vectors(vectors, words, config.max_vector_words))
    return rows


def fit(
    store: Store,
    name: str,
    rows: Rows,
    config: msgspec.Struct,
    progress: Progress | None = None,
    promote: Promotion = "always",
    test_rows: Rows | None = None,
    start: Start | None = None,
) -> tuple[Manifest, Report]:
    """Train a model on checked rows, publish it as the next version, and return its manifest and report.

    Args:
        store: where the model `name` exists.
        name: of the model.
        rows: from the `check_rows` of its kind.
        config: everything that can be set; the `Config` of its kind.
        progress: takes every phase, step and epoch.
        promote: see `publish`.
        test_rows: see `publish`.
        start: the version to start from; None: from nothing.

    Raises:
        As `train`, and StoreRefused (the disk).
    """
    progress = progress or Silent()
    fitted = train(store, name, rows, config, progress, start=start)
    progress.phase("publish")
    return publish(store, fitted, rows, promote, test_rows), fitted.report


def train(
    store: Store,
    name: str,
    rows: Rows,
    config: msgspec.Struct,
    progress: Progress | None = None,
    job: str | None = None,
    start: Start | None = None,
) -> Fitted:
    """Return a network that was trained on checked rows, ready to be published.

    The arguments are those of `fit`, and the job's id for the manifest.

    Raises:
        ModelNotFound, InvalidInput (nothing to learn, no such device, the loss diverges), ArtifactRefused (the graph is
        not equal to the network, or not one that we allow).
    """
    trainer = trainer_of(kind_named(store.read_model(name).neural_network_type))
    if start is None:
        trainer.check_trainable(rows)
    from trainer.graph import check_graph  # imports onnx, which a refusal need not wait for

    parent = serving_version(store, name)  # before the training: what serves at its end may be another
    fitted = (
        trainer.fit(name, rows, config, progress or Silent(), job)
        if start is None
        else go_on(name, rows, config, progress or Silent(), job, start)
    )
    of_rows: dict[str, object] = {}
    if isinstance(rows, tickets.Rows):
        of_rows = {"num_feedback": rows.num_feedback, "columns": remembered_columns(store, name, parent, rows)}
    check_graph(fitted.files["model.onnx"], trainer.OPERATORS)
    # One that started from another version has learnt what that one had, and says so already.
    report = msgspec.structs.replace(fitted.report, trained_on=fitted.report.trained_on or trained_on(rows.tickets))
    return msgspec.structs.replace(
        fitted,
        manifest=msgspec.structs.replace(fitted.manifest, parent=parent, **of_rows),
        files={**fitted.files, "report.json": msgspec.json.encode(report)},
        report=report,
    )


def go_on(name: str, rows: Rows, config: msgspec.Struct, progress: Progress, job: str | None, start: Start) -> Fitted:
    """Return a version that has learnt from rows on top of another one; see `train`."""
    from trainer.continuing.update import fit as learn_on  # imports torch, which takes seconds

    assert isinstance(rows, tickets.Rows), "only a GRU is a start, and it reads tickets; this is a bug in Puppet"
    assert isinstance(config, TrainConfig), "and its settings are these; this is a bug in Puppet"
    return learn_on(name, rows, config, progress, job, start)


def start_of(
    store: Store, name: str, kind: Kind, rows: Rows, config: msgspec.Struct, asked: StartVersion | None
) -> Start | None:
    """Return the version that a training starts from; None: from nothing, as asked for or because it is time.

    Args:
        store: where the model is.
        name: of the model.
        kind: of the model.
        rows: checked.
        config: as it was asked for, not resolved.
        asked: the serving version, or the number of one; None: none.
    Raises:
        InvalidInput: that version cannot learn on, or not with these settings or rows.
        ModelNotFound, VersionNotFound, ArtifactRefused.
    """
    if asked is None:
        return None
    if not isinstance(rows, tickets.Rows) or not isinstance(config, TrainConfig):
        raise InvalidInput("start-needs-gru", kind=kind.name)
    if rows.unlabelled or rows.vectors is not None:
        raise InvalidInput("start-with-labelled-rows-alone")
    start = opened(store, name, asked)
    if is_full_training_due(start, rows, config.full_after):
        return None
    check_settings(start, config)
    return start


def show_start(start: Start) -> list[str]:
    """Return what a training that starts from a version does, a line each."""
    return [
        f"starts from version {start.manifest.version}, trained fully as version {start.full_version}; "
        f"the settings of the network are those of that version"
    ]


def remembered_columns(store: Store, name: str, parent: int | None, rows: tickets.Rows) -> Columns | msgspec.UnsetType:
    """Return how the training file was read; of rows that came in another way, how the serving version's was."""
    if rows.intake is not None:
        return rows.intake.columns
    try:
        return store.read_manifest(name, parent).columns if parent is not None else msgspec.UNSET
    except ArtifactRefused:  # a damaged record is no reason not to train
        return msgspec.UNSET


def serving_version(store: Store, name: str) -> int | None:
    """Return the version of the model that serves; None if none does, or its pointer cannot be read."""
    try:
        return store.current(name).version
    except (ModelNotTrained, ArtifactRefused):  # a damaged pointer is no reason not to train
        return None


def publish(
    store: Store,
    fitted: Fitted,
    rows: Rows,
    promote: Promotion = "always",
    test_rows: Rows | None = None,
    guard: AbstractContextManager[object] | None = None,
) -> Manifest:
    """Publish a trained network as the next version, compared before with the serving one if that is asked for.

    Args:
        store: where its model is.
        fitted: from `train`.
        rows: that it was trained on.
        promote: whether it serves then: always, never, or if_better, which is if it is surely better than the version
            that served when the training began and still serves, or if none does. A version whose text does not tell
            its categories takes the place of no other, whatever is asked: it serves where none does.
        test_rows: to compare the two on, whatever `promote` says; if_better and never, after which a person decides,
            without them take the rows kept out of training.
        guard: see `Store.publish`.
    Raises:
        StoreRefused (the disk), and what the guard raises.
    """
    manifest, expected = fitted.manifest, None
    serve = promote != "never"
    if promote == "if_better":
        expected = manifest.parent or 0
    if manifest.parent is not None and (promote != "always" or test_rows is not None):
        comparison = compare_fitted(
            store,
            load(manifest, fitted.files),
            fitted.report,
            rows.tickets,
            fitted.unseen,
            test_rows.tickets if test_rows is not None else None,
            manifest.parent,
        )
        manifest = msgspec.structs.replace(manifest, comparison=comparison)
        serve = serve and (promote == "always" or comparison.is_better)
    if manifest.labels_follow_text is False:
        expected = 0  # what is promoted by hand is somebody's decision; this is nobody's
    return store.publish(manifest, fitted.files, serve=serve, expected=expected, guard=guard)


def posted_rows(
    store: Store,
    folder: Path,
    kind: Kind,
    name: str | None,
    raw_rows: Sequence[msgspec.Raw] | None,
    asked: ReadingAsked,
    max_bytes: int,
    field: str = "test_data",
) -> Rows | None:
    """Return the checked rows that a job is about: those of its body, or of the file that came with it; None if none.

    Args:
        store: of the model.
        folder: of the job.
        kind: of the model.
        name: of the model, whose last training remembers how such a file is read; None: of none.
        raw_rows: of the body, each as it was sent.
        asked: how a file is to be read.
        max_bytes: that a file may hold once unpacked.
        field: of the body in which the rows stand.
    Raises:
        As `check_rows` and `read_rows`.
    """
    if (file := uploaded(folder, max_bytes)) is not None:
        return read_rows(file[0], kind, reading_of(asked, max_bytes, store, name))
    return check_rows(trainer_of(kind), raw_rows, field) if raw_rows else None


def put_right(rows: Rows | None, corrections: Sequence[RowCorrection], reading: Reading) -> Rows | None:
    """Return the rows of a file with the categories that a person has put right, spelt as those of the file are.

    Raises:
        InvalidInput: one is of no row, or its category is none.
    """
    if not corrections or not isinstance(rows, tickets.Rows):
        return rows
    return tickets.recategorised(rows, categories_by_place(corrections, reading))


def categories_by_place(corrections: Sequence[RowCorrection], reading: Reading) -> dict[str, str | None]:
    """Return place of a row -> the category that a person has given it, spelt as those of the file are.

    Raises:
        InvalidInput: a category is none.
    """
    categories: dict[str, str | None] = {}
    for number, one in enumerate(corrections):
        try:
            category = None if one.category is None else label_of(one.category, reading)
        except InvalidContent as error:
            fault = Fault.of_error(f"/corrections/{number}/category", error)
            raise does_not_fit("body", [fault]) from error
        categories[place_of_line(one.line)] = category
    return categories


def fit_job(store: Store, folder: Path, attempt: int, max_bytes: int = MAX_BYTES) -> JobResult:
    """Train on the body in a job's folder and publish the version, as `fit` does with a file.

    Args:
        store: of the model.
        folder: of the job.
        attempt: which run of the job it is.
        max_bytes: that a file which came with the job may hold once unpacked.
    Raises:
        As `read_body`, `train` and `publish`; Fenced if another attempt, a cancellation or an end has come before.
    """
    progress = EventProgress(folder)
    progress.phase("read")
    body, config = read_body(store, folder)
    progress.phase("check")
    kind = kind_named(body.neural_network_type)
    trainer = trainer_of(kind)
    rows = posted_rows(
        *(store, folder, kind, body.name, body.training_data, body.reading, max_bytes), field="training_data"
    )
    rows = put_right(rows, body.corrections, reading_of(body.reading, max_bytes, store, body.name))
    if body.include_feedback:
        rows = with_feedback(store, body.name, kind, rows)
    assert rows is not None, "checked by read_body"
    test_rows = check_rows(trainer, body.test_data, "test_data") if body.test_data is not None else None
    start = start_of(store, body.name, kind, rows, config, body.start)
    if start is None:
        # Resolved once, or the words of all tickets would be counted again by the training.
        config = trainer.resolved(config, rows)
    plan = trainer.show_plan(config, rows) if start is None else show_start(start)
    progress.data(trainer.show_rows(rows) + plan)
    fitted = train(store, body.name, rows, config, progress, job=folder.name, start=start)
    fitted = msgspec.structs.replace(fitted, manifest=msgspec.structs.replace(fitted.manifest, attempt=attempt))
    guard = Jobs(store).publishing(folder.name, attempt)
    progress.phase("publish")
    manifest = publish(store, fitted, rows, body.promote, test_rows, guard)
    return JobResult(
        "trained",
        model_name=manifest.name,
        version=manifest.version,
        validation=manifest.validation,
        seconds=manifest.seconds,
    )


Runner = Callable[[Store, Path, int, int], JobResult]  # store, folder, attempt, bytes that a file may unpack to


def run_job(folder: Path, attempt: int, run: Runner = fit_job, max_bytes: int = MAX_BYTES) -> JobResult:
    """Do what the job asks for, publish it if the job is still this attempt's, and return how it ended.

    A version is recorded as the job's by the transaction that publishes it; anything else is left in `result.json`
    for the worker. Only errors that are the program's own are raised, once their result has been left.

    Args:
        folder: of the job.
        attempt: which run of the job it is.
        run: does the work; jobs/runners.py has the table.
        max_bytes: that a file which came with the job may hold once unpacked.
    """
    store = Store(folder.parent.parent)
    try:
        result = run(store, folder, attempt, max_bytes)
    except PuppetError as error:
        result = refusal(named_by_sender(error, folder))
    except Exception as error:
        # The last door before the process ends: the one who waits gets the reason, the traceback goes to the log.
        why = message("job-crashed", {"reason": f"{type(error).__name__}: {error}"})
        write_result(folder, JobResult("failed", str(why), problem=why))
        raise
    write_result(folder, result)
    return result


def evaluate(store: Store, name: str, version: int, rows: Rows) -> Evaluation:
    """Return the metrics of a published version on checked rows, through onnxruntime as the server does.

    They are those of the clean rows, which the version has not learnt from; `Evaluation.learnt` has the others apart.
    Only where no row is clean are they those of the learnt ones, and `clean` says that there is none.

    Raises:
        ArtifactRefused: the version cannot be verified.
        InvalidContent: a row does not suit the model.
    """
    model = load(*store.read_version(name, version))
    encoded = [model.encode(row.content) for row in rows.tickets]
    every = [*rows.tickets, *rows.empty] if isinstance(rows, tickets.Rows) else rows.tickets
    clean, learnt = evaluate_apart(model, every, encoded, seen(rows.tickets, model.trained_on))
    whole = clean if clean is not None else learnt
    assert whole is not None, "there is at least one row; our bug"
    evaluation = with_parts(whole, clean, learnt, why_unknown(rows.tickets, model.trained_on))
    if not isinstance(rows, tickets.Rows):
        return evaluation
    assert isinstance(evaluation, Metrics), "tickets are measured by their categories; this is a bug in Puppet"
    return msgspec.structs.replace(evaluation, mistakes=[placed(one, rows) for one in evaluation.mistakes])


def placed(mistake: Mistake, rows: tickets.Rows) -> Mistake:
    """Return a mistake with the place of its ticket in the file, and its first words."""
    words = excerpt(" ".join(rows.tokens[mistake.row])) if mistake.row < len(rows.tokens) else ""
    return msgspec.structs.replace(mistake, place=rows.place(mistake.row), words=words)
