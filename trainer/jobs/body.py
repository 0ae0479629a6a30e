"""What a job is asked for: the body in its folder, read and checked before anything is trained.

In: the bytes that the server has spooled. Out: the request and the settings of its kind, then its rows; or the refusal
that the one who asked is given. What the body may say is specified in artifacts/jobs/request.py.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from artifacts.errors import ArtifactRefused, Fault, Fenced, InvalidInput, NoTrainingData, PuppetError, StoreRefused
from artifacts.jobs.records import BODY, Checked, JobResult
from artifacts.jobs.request import TrainModel
from artifacts.kinds import check_kind, kind_named
from artifacts.store import feedback
from artifacts.store.store import Store
from artifacts.system.validation import MAX_FAULTS_SHOWN, decode, does_not_fit
from trainer.data.files import RawRow
from trainer.kinds import Rows, Trainer, trainer_of


class SpooledBody(TrainModel[msgspec.Raw], frozen=True):
    """A request as it lies on the disk: its rows stay bytes until its kind is known, which says how to decode them."""


def check_body(folder: Path) -> Checked:
    """Return what the body in a job's folder asks for; everything is checked but its rows, which takes a moment."""
    try:
        body, _ = read_body(Store(folder.parent.parent), folder)
    except PuppetError as error:
        return Checked(refusal=refusal(error))
    return Checked(body.name, body.neural_network_type, body.promote, body.keep_data)


def read_body(store: Store, folder: Path) -> tuple[SpooledBody, msgspec.Struct]:
    """Return the body of a job and its settings, checked but for the rows.

    Raises:
        InvalidInput, ModelNotFound, UnknownKind, KindMismatch, NoTrainingData, ArtifactRefused.
    """
    body = decode((folder / BODY).read_bytes(), SpooledBody)
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    kind = kind_named(body.neural_network_type)
    if body.include_feedback and not kind.reads_text:
        raise does_not_fit("body", [Fault.of("/include_feedback", "corrections-need-tickets", kind=kind.name)])
    if not body.training_data and not (body.include_feedback and feedback.page(store, body.name)):
        raise NoTrainingData("no-training-data")
    if body.test_data == []:
        raise InvalidInput("empty-test-data")
    return body, _settings(body, trainer_of(kind))


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
    return JobResult(
        *("refused", str(error), type(error).__name__, list(faults[:MAX_FAULTS_SHOWN]), num_faults),
        problem=error.message,
    )
