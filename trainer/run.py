"""The main path of a training: data in, a published version out.

    file -> checked rows -> network of the model's kind -> files -> version

Called by `puppet-train fit` with a file, and by `run_job` with a body that the server spooled. What a kind does with
its rows is in its own module (kinds.py).
"""

import ctypes
import os
import platform
import signal
from pathlib import Path

import msgspec

from artifacts.errors import ArtifactRefused, InvalidInput, NoTrainingData, PuppetError
from artifacts.jobs import BODY, JobResult, write_result
from artifacts.kinds import Kind, check_kind, kind_named, load
from artifacts.manifest import Manifest, Report
from artifacts.schemas import Evaluation
from artifacts.store import Store
from artifacts.validation import MAX_FAULTS_SHOWN, decode
from trainer.data import RawRow, read_file
from trainer.kinds import Progress, Rows, Silent, trainer_of
from trainer.mails import read_folder


def read_rows(path: Path, kind: Kind) -> Rows:
    """Return the checked rows of a data file, or of a folder of e-mails.

    Raises:
        InvalidInput: it cannot be read, or rows of it do not fit.
        NoTrainingData: it holds none.
        MailMissing: it is a folder and the extra `mail` is not installed.
    """
    trainer = trainer_of(kind)
    if path.is_dir():
        if not kind.reads_text:
            raise InvalidInput(f"{path} is a folder, which is read as e-mails; a {kind.name} is trained on a file")
        return trainer.check_rows(read_folder(path), str(path))
    return trainer.check_rows(read_file(path, trainer.table), str(path))


def fit(
    store: Store,
    name: str,
    rows: Rows,
    config: msgspec.Struct,
    progress: Progress | None = None,
    job: str | None = None,
) -> tuple[Manifest, Report]:
    """Train a model on checked rows, publish it as the next version, and return its manifest and report.

    Args:
        store: where the model `name` exists.
        name: of the model.
        rows: from the `check_rows` of its kind.
        config: everything that can be set; the `Config` of its kind.
        progress: told of every step and epoch.
        job: the job's id, for the manifest.

    Raises:
        ModelNotFound, InvalidInput (nothing to learn, no such device, the loss diverges), ArtifactRefused (the graph is
        not equal to the network, or not one that we allow), StoreRefused (the disk).
    """
    kind = kind_named(store.read_model(name).neural_network_type)
    trainer = trainer_of(kind)
    trainer.check_trainable(rows)
    from trainer.graph import check_graph  # imports onnx, which a refusal need not wait for

    fitted = trainer.fit(name, rows, config, progress or Silent(), job)
    check_graph(fitted.files["model.onnx"], trainer.OPERATORS)
    return store.publish(fitted.manifest, fitted.files), fitted.report


def evaluate(store: Store, name: str, version: int, rows: Rows) -> Evaluation:
    """Return the metrics of a published version on checked rows, through onnxruntime as the server does.

    Raises:
        ArtifactRefused: the version cannot be verified.
        InvalidContent: a row does not suit the model.
    """
    model = load(*store.read_version(name, version))
    return model.evaluate(rows.tickets, [model.encode(row.content) for row in rows.tickets])


class TrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /train_model; its tickets and settings stay bytes until its kind is known."""

    name: str
    neural_network_type: str
    training_data: list[msgspec.Raw] | None = None
    config: msgspec.Raw = msgspec.Raw(b"null")


def run_job(job: Path) -> JobResult:
    """Train what the job's body asks for, leave the result in its folder, and return it.

    A wrong request is a result. Only what is ours to mend is raised, once its result has been left.
    """
    try:
        result = _train_body(job)
    except ArtifactRefused as error:  # our export or our store, not the request
        result = JobResult("failed", str(error))
    except PuppetError as error:
        faults, num_faults = (error.faults, error.num_faults) if isinstance(error, InvalidInput) else ((), 0)
        result = JobResult("refused", str(error), type(error).__name__, list(faults[:MAX_FAULTS_SHOWN]), num_faults)
    except Exception as error:
        # The last door before the process ends: the one who waits is told the reason, the traceback goes to the log.
        result = JobResult("failed", f"{type(error).__name__}: {error}"[:1000])
        write_result(job, result)
        raise
    write_result(job, result)
    return result


def _train_body(job: Path) -> JobResult:
    store = Store(job.parent.parent)
    body = decode((job / BODY).read_bytes(), TrainBody)
    check_kind(body.neural_network_type, body.name, store.read_model(body.name).neural_network_type)
    if not body.training_data:
        raise NoTrainingData("No training data provided or training data is empty")
    trainer = trainer_of(kind_named(body.neural_network_type))
    config = trainer.Config()
    if bytes(body.config) != b"null":
        config = decode(body.config, trainer.Config, pointer="/config")
    raw_rows = (RawRow(raw, f"/training_data/{index}") for index, raw in enumerate(body.training_data))
    rows = trainer.check_rows(raw_rows, "training_data")
    manifest, _ = fit(store, body.name, rows, config, job=job.name)
    return JobResult(
        "trained",
        model_name=manifest.name,
        version=manifest.version,
        validation=manifest.validation,
        seconds=manifest.seconds,
    )


def behave_as_child(parent: int) -> None:
    """Yield the processor to whoever serves, and end when the process `parent` ends (Linux; elsewhere only the first).

    A training whose server is gone has nobody to answer to.
    """
    os.nice(19)
    if platform.system() == "Linux":
        pr_set_pdeathsig = 1  # <linux/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            raise SystemExit("the process that asked for this training has ended")
