"""What a job is asked for: the body in its folder, read and checked before anything is done.

In: the bytes that the server has spooled. Out: the request and the settings of its kind, then its rows; or the refusal
that the one who asked is given. What the body may say is specified in artifacts/jobs/request.py.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from artifacts import errors
from artifacts.errors import (
    ArtifactRefused,
    Fault,
    Fenced,
    InvalidInput,
    KindMismatch,
    NoTrainingData,
    PuppetError,
    StoreRefused,
)
from artifacts.jobs.records import BODY, Checked, JobKind, JobResult, read_asked, read_upload
from artifacts.jobs.request import ClassifyTickets, DiffVersions, EvaluateModel, InspectData, TrainModel
from artifacts.kinds import check_kind, kind_named
from artifacts.networks.ranking.among import kept_of
from artifacts.store import feedback
from artifacts.store.store import Store
from artifacts.system.validation import MAX_FAULTS_SHOWN, decode, does_not_fit
from trainer.data.files import RawRow
from trainer.kinds import Rows, Trainer, trainer_of


class SpooledBody(TrainModel[msgspec.Raw], frozen=True):
    """A request as it lies on the disk: its rows stay bytes until its kind is known, which says how to decode them."""


def check_body(folder: Path) -> Checked:
    """Return what the body in a job's folder asks for; everything is checked but its rows, which takes a moment."""
    store = Store(folder.parent.parent)
    try:
        return CHECKS[read_asked(folder).kind](store, folder)
    except PuppetError as error:
        return Checked(refusal=refusal(error))


def read_body(store: Store, folder: Path) -> tuple[SpooledBody, msgspec.Struct]:
    """Return the body of a training and its settings, checked but for the rows.

    Raises:
        InvalidInput, ModelNotFound, UnknownKind, KindMismatch, NoTrainingData, ArtifactRefused.
    """
    body = decode((folder / BODY).read_bytes(), SpooledBody)
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    kind = kind_named(body.neural_network_type)
    if body.include_feedback and not kind.reads_text:
        raise does_not_fit("body", [Fault.of("/include_feedback", "corrections-need-tickets", kind=kind.name)])
    has_file = body.data_of is not None or read_upload(folder) is not None
    check_one_source(body.training_data, has_file, "training_data")
    if not body.training_data and not has_file and not (body.include_feedback and feedback.page(store, body.name)):
        raise NoTrainingData("no-training-data")
    if body.corrections and (not has_file or not kind.reads_text):
        raise does_not_fit("body", [Fault.of("/corrections", "row-corrections-need-file")])
    if body.test_data == []:
        raise InvalidInput("empty-test-data")
    if body.start is not None:  # what else may be in its way is looked at when the training begins
        if not kind.reads_text:
            raise does_not_fit("body", [Fault.of("/from", "start-needs-gru", kind=kind.name)])
        if body.start != "serving":
            store.check_version(body.name, body.start)
    return body, _settings(body, trainer_of(kind))


def _check_train(store: Store, folder: Path) -> Checked:
    body, _ = read_body(store, folder)
    return Checked(body.name, body.neural_network_type, body.promote, body.keep_data, data_of=body.data_of or "")


def read_inspect(store: Store, folder: Path) -> InspectData[msgspec.Raw]:
    """Return the body of an inspection, checked but for the rows; it needs no model.

    Raises:
        InvalidInput, ModelNotFound, UnknownKind, KindMismatch, ArtifactRefused.
    """
    body = decode((folder / BODY).read_bytes(), InspectData[msgspec.Raw])
    kind = kind_named(body.neural_network_type)
    if not kind.reads_text:
        raise KindMismatch("inspect-needs-tickets", neural_network_type=kind.name)
    if body.name is not None:
        check_kind(kind.name, body.name, store.read_model(body.name).neural_network_type)
    _check_rows_named(body.training_data, body.data_of, folder, "training_data")
    return body


def read_evaluate(store: Store, folder: Path) -> tuple[EvaluateModel[msgspec.Raw], int]:
    """Return the body of an evaluation, checked but for the rows, and the version that is measured.

    Raises:
        InvalidInput, ModelNotFound, ModelNotTrained, VersionNotFound, UnknownKind, KindMismatch, ArtifactRefused.
    """
    body = decode((folder / BODY).read_bytes(), EvaluateModel[msgspec.Raw])
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    _check_rows_named(body.test_data, body.data_of, folder, "test_data")
    return body, version_asked(store, body.name, body.version)


def read_diff(store: Store, folder: Path) -> tuple[DiffVersions[msgspec.Raw], str, int, int]:
    """Return the body of a comparison, checked but for the rows, the model, and the two versions: old, new.

    Raises:
        InvalidInput, ModelNotFound, ModelNotTrained, VersionNotFound, ArtifactRefused.
    """
    body, name = decode((folder / BODY).read_bytes(), DiffVersions[msgspec.Raw]), read_asked(folder).name
    store.read_model(name)
    _check_rows_named(body.test_data, body.data_of, folder, "test_data")
    old = version_asked(store, name, body.old)
    new = version_asked(store, name, body.new if body.new is not None else store.versions(name)[-1])
    if old == new:
        raise InvalidInput("version-compared-with-itself", version=old)
    return body, name, old, new


def read_classify(store: Store, folder: Path) -> tuple[ClassifyTickets, int]:
    """Return the body that asks for a file to be sorted, and the version that answers.

    Raises:
        InvalidInput, ModelNotFound, ModelNotTrained, VersionNotFound, UnknownKind, KindMismatch, ArtifactRefused.
    """
    body = decode((folder / BODY).read_bytes(), ClassifyTickets)
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    kind = kind_named(body.neural_network_type)
    if not kind.reads_text:
        raise KindMismatch("model-sorts-no-tickets", model_name=body.name, neural_network_type=kind.name)
    _check_rows_named(body.data, body.data_of, folder, "data")
    if body.corrections and body.data:
        raise does_not_fit("body", [Fault.of("/corrections", "row-corrections-need-file")])
    version = version_asked(store, body.name, body.version)
    if body.among is not None:
        _, files = store.read_version(body.name, version, ("labels.json",))
        kept_of(msgspec.json.decode(files["labels.json"], type=list[str]), body.among, f"{body.name} version {version}")
    return body, version


def _check_inspect(store: Store, folder: Path) -> Checked:
    body = read_inspect(store, folder)
    return Checked("", body.neural_network_type, data_of=body.data_of or "")


def _check_evaluate(store: Store, folder: Path) -> Checked:
    body, _ = read_evaluate(store, folder)
    return Checked(body.name, body.neural_network_type, data_of=body.data_of or "")


def _check_diff(store: Store, folder: Path) -> Checked:
    body, name, _, _ = read_diff(store, folder)
    return Checked(name, store.read_model(name).neural_network_type, data_of=body.data_of or "")


def _check_classify(store: Store, folder: Path) -> Checked:
    body, _ = read_classify(store, folder)
    return Checked(body.name, body.neural_network_type, data_of=body.data_of or "")


def _check_report(store: Store, folder: Path) -> Checked:
    asked = read_asked(folder)
    record = store.read_model(asked.name)
    store.check_version(asked.name, asked.version)
    return Checked(asked.name, record.neural_network_type)


CHECKS: Mapping[JobKind, Callable[[Store, Path], Checked]] = {
    "train": _check_train,
    "inspect": _check_inspect,
    "evaluate": _check_evaluate,
    "diff": _check_diff,
    "classify": _check_classify,
    "report": _check_report,
}


def version_asked(store: Store, name: str, version: int | None) -> int:
    """Return the version that is asked about: the serving one unless another is named.

    Raises:
        ModelNotTrained, VersionNotFound, ArtifactRefused.
    """
    if version is None:
        return store.current(name).version
    store.check_version(name, version)
    return version


def check_one_source(rows: Sequence[object] | None, has_file: bool, field: str) -> None:
    """Raise InvalidInput if a body has rows of its own and names a file as well."""
    if rows is not None and has_file:
        raise does_not_fit("body", [Fault.of(f"/{field}", "rows-and-file")])


def _check_rows_named(rows: Sequence[object] | None, data_of: str | None, folder: Path, field: str) -> None:
    """Raise InvalidInput unless a body has rows, or names a file, or came with one."""
    has_file = data_of is not None or read_upload(folder) is not None
    check_one_source(rows, has_file, field)
    if not rows and not has_file:
        raise does_not_fit("body", [Fault.of(f"/{field}", "no-rows-given")])


def _settings(body: SpooledBody, trainer: Trainer) -> msgspec.Struct:
    """Return the settings of the body's kind: its defaults, unless the body says others."""
    if isinstance(body.config, msgspec.UnsetType) or bytes(body.config) == b"null":
        return trainer.Config()
    return decode(body.config, trainer.Config, pointer="/config")


def check_rows(trainer: Trainer, raw_rows: Sequence[msgspec.Raw], field: str) -> Rows:
    """Return the rows of one field of a body, checked one by one.

    Args:
        trainer: of the body's kind.
        raw_rows: each as it was sent.
        field: where they stand, for the pointers of their faults.
    Raises:
        InvalidInput: with the first 20 faults.
        NoTrainingData: there is no row.
    """
    return trainer.check_rows((RawRow(raw, f"/{field}/{i}") for i, raw in enumerate(raw_rows)), field)


def refusal(error: PuppetError) -> JobResult:
    """Return how a job ends that one of our errors has ended."""
    if isinstance(error, ArtifactRefused | StoreRefused | Fenced):  # our export, disk or fence, not the request
        return JobResult("failed", str(error), problem=error.message)
    faults, num_faults = (error.faults, error.num_faults) if isinstance(error, InvalidInput) else ((), 0)
    # What the trainer's own modules raise is refined from a class that the server knows.
    known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return JobResult(
        *("refused", str(error), known.__name__, list(faults[:MAX_FAULTS_SHOWN]), num_faults),
        problem=error.message,
    )
