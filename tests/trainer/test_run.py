"""The main path: checked rows in, a published version out; and a job, whose every end is a result."""

import copy
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from artifacts.errors import InvalidInput, KindMismatch, ModelNotFound, UnknownKind
from artifacts.jobs import BODY, JobResult, new_job, read_result
from artifacts.manifest import Epoch, Manifest, Report
from artifacts.runtime import TENSORS, Model, encoding
from artifacts.store import Store
from artifacts.vocabulary import Vocabulary
from tests.trainer import small
from trainer import export, train
from trainer.config import TrainConfig
from trainer.data import Rows, fingerprint, split
from trainer.model import TicketClassifier
from trainer.run import fit, run_job

pytestmark = pytest.mark.torch

NAME = "tiny"


class Fitted(msgspec.Struct, frozen=True):
    """What one training left, and the network that it had in memory."""

    store: Store
    rows: Rows
    config: TrainConfig
    manifest: Manifest
    report: Report
    network: TicketClassifier


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """Give a store with one created, untrained model."""
    store = Store(tmp_path / "store")
    store.create_model(NAME, "GRU")
    return store


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Give a model trained on 40 tickets, with a duplicate and a conflict among them."""
    store = Store(tmp_path_factory.mktemp("run") / "store")
    store.create_model(NAME, "GRU")
    of_category = small.tickets(10)
    of_category["Facture"].append(of_category["Facture"][0])
    of_category["Accès utilisateur"].append(of_category["Facture"][1])
    rows = small.rows(of_category)
    config = small.config(epochs=12, seed=7)
    networks: list[TicketClassifier] = []
    with pytest.MonkeyPatch.context() as patch:
        real = export.export

        def spy(model: TicketClassifier, vocabulary: Vocabulary, temperature: float) -> object:
            networks.append(copy.deepcopy(model))
            return real(model, vocabulary, temperature)

        patch.setattr(export, "export", spy)
        manifest, report = fit(store, NAME, "GRU", rows, config)
    return Fitted(store, rows, config, manifest, report, networks[-1])


def test_published_version_answers_like_the_network(fitted: Fitted) -> None:
    """What the server will load gives every ticket the network's probabilities, at the temperature of the manifest."""
    model = Model(*fitted.store.read_version(NAME, 1))
    tickets = [model.encode(tokens) for tokens in [*fitted.rows.tokens, ["conntecter", "inconnu"], ["x"]]]
    logits_NC = train.logits(fitted.network, tickets, len(model.vocabulary), torch.device("cpu"))

    found_NC = model.probabilities(tickets)

    expected_NC = torch.softmax(logits_NC / fitted.manifest.calibration.temperature, dim=1).numpy()
    np.testing.assert_allclose(found_NC, expected_NC, rtol=0, atol=1e-5)
    assert fitted.store.current(NAME).version == fitted.manifest.version == 1


def test_manifest_read_back_is_the_one_returned(fitted: Fitted) -> None:
    """What is on the disk is what `fit` said, but for the hash of the file itself."""
    found, files = fitted.store.read_version(NAME, 1)

    assert msgspec.structs.replace(found, sha256=fitted.manifest.sha256) == fitted.manifest
    assert msgspec.json.decode(files["report.json"], type=Report) == fitted.report


def test_manifest_says_how_the_version_was_made(fitted: Fitted) -> None:
    """Tensors, encoding, libraries, data, parity and validation stand in it; the job is None for `fit`."""
    manifest = fitted.manifest
    num_words = len(Model(*fitted.store.read_version(NAME, 1)).vocabulary)

    assert (manifest.neural_network_type, manifest.name, manifest.job) == ("GRU", NAME, None)
    assert manifest.tensors == TENSORS
    assert manifest.encoding == encoding(num_words, 64)
    assert set(manifest.libraries) == {"python", "numpy", "onnx", "onnxruntime", "torch"}
    assert manifest.libraries["numpy"] == np.__version__
    assert manifest.libraries["python"] == platform.python_version()
    assert torch.__version__.startswith(manifest.libraries["torch"])
    assert manifest.data == fingerprint(fitted.rows, manifest.validation.num_tickets)
    assert (manifest.data.num_tickets, manifest.data.num_duplicates, manifest.data.num_conflicts) == (42, 1, 1)
    assert 0.0 < manifest.parity.max_difference <= manifest.parity.tolerance
    assert manifest.seconds > 0.0
    assert set(manifest.files) == {"model.onnx", "vocab.json", "labels.json", "golden.json", "report.json"}


def test_settings_of_the_manifest_train_the_same_again(fitted: Fitted) -> None:
    """The record of the settings, read back from the disk, is the TrainConfig that was used."""
    found, _ = fitted.store.read_version(NAME, 1)

    assert msgspec.convert(found.training, TrainConfig) == fitted.config


def test_calibration_is_never_worse_than_none(fitted: Fitted) -> None:
    """The validation loss after the temperature is at most the one before, which is the best epoch's."""
    calibration = fitted.manifest.calibration
    best = fitted.report.epochs[fitted.report.best_epoch - 1]

    assert calibration.loss_before is not None
    assert calibration.loss_after is not None
    assert calibration.loss_after <= calibration.loss_before
    assert calibration.loss_before == pytest.approx(best.validation_loss, rel=1e-5)


def test_report_is_measured_on_the_published_graph(fitted: Fitted) -> None:
    """Accuracy, confusion matrix and summary are those of the validation tickets, answered by the loaded version."""
    report = fitted.report
    model = Model(*fitted.store.read_version(NAME, 1))
    _, validation = split(fitted.rows, fitted.config.validation, fitted.config.seed)
    expected = [fitted.rows.tickets[i].expected for i in validation]
    predicted = [p.category for p in model.predict([model.encode(fitted.rows.tokens[i]) for i in validation])]
    counts = [[list(zip(expected, predicted, strict=True)).count((t, p)) for p in model.labels] for t in model.labels]

    assert report.confusion_matrix == counts
    assert report.validation is not None
    assert report.validation.correct_predictions == sum(counts[i][i] for i in range(4))
    assert fitted.manifest.validation.accuracy == report.validation.accuracy
    assert fitted.manifest.validation.macro_f1 == report.validation.macro_f1
    assert fitted.manifest.validation.num_tickets == len(validation) == sum(map(sum, counts))
    assert report.num_parameters == sum(weight.numel() for weight in fitted.network.parameters())
    assert [epoch.epoch for epoch in report.epochs] == list(range(1, len(report.epochs) + 1))


def test_vocabulary_holds_training_words_only(empty: Store) -> None:
    """A word that only a validation ticket has gets no row: validation stands for tickets of tomorrow."""
    rows = small.rows({c: [[f"mot{c}{i}", f"commun{c}"] for i in range(8)] for c in "ab"})
    train_rows, validation_rows = split(rows, 0.25, 0)

    fit(empty, NAME, "GRU", rows, small.config(epochs=1))

    words = set(Model(*empty.read_version(NAME, 1)).vocabulary.rows)
    assert words >= {token for i in train_rows for token in rows.tokens[i]}
    assert validation_rows
    assert not words & {rows.tokens[i][0] for i in validation_rows}


def test_no_word_of_a_ticket_stands_in_the_golden_file(empty: Store) -> None:
    """With a minimum count of 2, what one person wrote is neither in the vocabulary nor in the golden tickets."""
    rows = small.rows({c: [["commun", f"secret{c}{i}"] for i in range(5)] for c in "ab"})

    fit(empty, NAME, "GRU", rows, small.config(epochs=1, min_count=2))

    _, files = empty.read_version(NAME, 1)
    assert json.loads(files["vocab.json"]).keys() == {"<PAD>", "<UNK>", "commun"}
    assert not any(b"secret" in raw for raw in files.values())


def test_labels_are_sorted_categories(fitted: Fitted) -> None:
    """The order of the outputs does not depend on the order of the rows."""
    assert Model(*fitted.store.read_version(NAME, 1)).labels == sorted(small.TEMPLATES)


def test_same_rows_and_seed_give_the_same_graph(fitted: Fitted, empty: Store) -> None:
    """A second training of the same rows, seed and machine publishes bitwise the same weights and golden rows."""
    fit(empty, NAME, "GRU", fitted.rows, fitted.config)

    one, other = fitted.store.read_version(NAME, 1)[0], empty.read_version(NAME, 1)[0]
    for file in ("model.onnx", "vocab.json", "labels.json", "golden.json"):
        assert one.files[file] == other.files[file]


def test_too_few_tickets_for_validation_are_trained_on(empty: Store) -> None:
    """Categories of one and two tickets train a model; the manifest says that nothing was validated."""
    rows = small.rows({"a": [["x", "y"]], "b": [["z", "w"], ["u"]]})

    manifest, report = fit(empty, NAME, "GRU", rows, small.CONFIG)

    assert (manifest.validation.accuracy, manifest.validation.num_tickets, manifest.data.num_validation) == (None, 0, 0)
    assert manifest.calibration.temperature == 1.0
    assert (report.validation, report.confusion_matrix) == (None, None)
    assert len(Model(*empty.read_version(NAME, 1)).predict([])) == 0


def test_vocabulary_without_words_trains(empty: Store) -> None:
    """Where no word comes twice, all tickets are read by their n-grams, and the version loads."""
    rows = small.rows({c: [[f"{c}{c}{i}"] for i in range(4)] for c in "ab"})

    fit(empty, NAME, "GRU", rows, small.config(min_count=2))

    assert len(Model(*empty.read_version(NAME, 1)).vocabulary) == 2


class Recorder:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int, TrainConfig]] = []
        self.steps: list[tuple[int, int, float]] = []
        self.epochs: list[Epoch] = []

    def start(self, num_train: int, num_validation: int, config: TrainConfig) -> None:
        """Write it down."""
        self.starts.append((num_train, num_validation, config))

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Write it down."""
        self.steps.append((epoch, num_tickets, loss))

    def epoch(self, epoch: Epoch) -> None:
        """Write it down."""
        self.epochs.append(epoch)


def test_progress_is_told_of_start_steps_and_epochs(empty: Store) -> None:
    """The start comes once with the sizes of the split, each step with its tickets, each epoch as in the report."""
    recorder = Recorder()
    config = small.config(epochs=2, batch=10, patience=9, refit=False)

    _, report = fit(empty, NAME, "GRU", small.rows(small.tickets(10)), config, recorder)

    assert recorder.starts == [(32, 8, config)]
    assert [step[:2] for step in recorder.steps if step[1] == 32] == [(1, 32), (2, 32)]
    assert len(recorder.steps) == 2 * 4
    assert recorder.epochs == report.epochs


def test_refit_trains_once_more_on_every_ticket(empty: Store) -> None:
    """With `refit` a second training of the best number of epochs takes all tickets; what was measured stays."""
    rows, first, second = small.rows(small.tickets(10)), Recorder(), Recorder()
    config = small.config(epochs=2, batch=10, patience=9, refit=False)

    alone, report = fit(empty, NAME, "GRU", rows, config, first)
    both, again = fit(empty, NAME, "GRU", rows, msgspec.structs.replace(config, refit=True), second)

    assert [start[:2] for start in second.starts] == [(32, 8), (40, 0)]
    assert second.starts[1][2].epochs == again.best_epoch
    assert second.steps[: len(first.steps)] == first.steps
    assert second.steps[-1][:2] == (again.best_epoch, 40)
    assert (both.validation, both.calibration, again.validation) == (
        alone.validation,
        alone.calibration,
        report.validation,
    )
    assert both.files["vocab.json"] == alone.files["vocab.json"]
    assert both.files["model.onnx"] != alone.files["model.onnx"]


def test_threads_are_set(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`threads` reaches PyTorch, and is 1 unless it is set: waiting for a second made training 14 times slower."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)

    fit(empty, NAME, "GRU", small.rows(small.tickets(1)), small.config(epochs=1, threads=3))

    assert asked == [3]
    assert TrainConfig().threads == 1


def test_pytorch_is_told_to_be_deterministic(empty: Store) -> None:
    """Where PyTorch has a faster operation whose result varies, it takes the other one, or refuses."""
    torch.use_deterministic_algorithms(False)

    fit(empty, NAME, "GRU", small.rows(small.tickets(1)), small.config(epochs=1))

    assert torch.are_deterministic_algorithms_enabled()


def test_missing_cuda_is_refused_with_the_remedy(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """device=cuda on a machine without one says what to set instead, and auto takes the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(InvalidInput, match="set device to auto or cpu"):
        fit(empty, NAME, "GRU", small.rows(small.tickets(1)), small.config(device="cuda"))
    fit(empty, NAME, "GRU", small.rows(small.tickets(1)), small.config(device="auto", epochs=1))


@pytest.mark.parametrize(
    ("name", "kind", "tickets", "error"),
    [
        ("nobody", "GRU", small.tickets(1), ModelNotFound),
        (NAME, "LSTM", small.tickets(1), UnknownKind),
        (NAME, "GRU", {"a": [["x"], ["y"]]}, InvalidInput),
    ],
)
def test_wrong_request_publishes_nothing(
    empty: Store, name: str, kind: str, tickets: Mapping[str, Sequence[Sequence[str]]], error: type[Exception]
) -> None:
    """A missing model, an unknown kind and a single category are refused, and no version is there."""
    with pytest.raises(error):
        fit(empty, name, kind, small.rows(tickets), small.CONFIG)

    assert empty.versions(NAME) == []


def test_another_kind_than_the_models_is_refused(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model created as one kind is not trained as another."""
    monkeypatch.setattr("artifacts.kinds.KINDS", {"GRU": None, "CNN": None})

    with pytest.raises(KindMismatch):
        fit(empty, NAME, "CNN", small.rows(small.tickets(1)), small.CONFIG)


# Jobs

TINY = msgspec.structs.asdict(small.CONFIG)


def body(**changes: object) -> dict[str, object]:
    """Return a good body of /train_model, with some of it changed."""
    good = {
        "name": NAME,
        "neural_network_type": "GRU",
        "training_data": small.json_rows(small.tickets(4)),
        "config": TINY,
    }
    return {**good, **changes}


def job(store: Store, content: object) -> Path:
    """Return a job's folder with that body."""
    folder = new_job(store)
    (folder / BODY).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def test_job_trains_and_leaves_its_result(empty: Store) -> None:
    """A good body gives a version that serves, names its job, and whose numbers stand in the result."""
    folder = job(empty, body())

    result = run_job(folder)

    manifest, _ = empty.read_version(NAME, 1)
    assert result == read_result(folder)
    assert (result.outcome, result.model_name, result.version) == ("trained", NAME, 1)
    assert (result.validation, result.seconds) == (manifest.validation, manifest.seconds)
    assert manifest.job == folder.name
    assert msgspec.convert(manifest.training, TrainConfig) == small.CONFIG
    assert empty.current(NAME).version == 1


def test_job_may_use_text_and_the_default_settings(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config` may be left out, and rows may have text."""
    used: list[TrainConfig] = []

    def spy(*arguments: object, **_: object) -> None:
        used.extend(argument for argument in arguments if isinstance(argument, TrainConfig))
        raise InvalidInput("far enough")

    monkeypatch.setattr("trainer.run.fit", spy)
    rows = [{"label": c, "email_text": "un texte"} for c in "ab"]
    content = body(training_data=rows)
    del content["config"]

    run_job(job(empty, content))

    assert used == [TrainConfig()]


def test_second_job_makes_the_next_version(empty: Store) -> None:
    """Versions are counted on, and the newest serves."""
    versions = [run_job(job(empty, body())).version for _ in range(2)]

    assert versions == [1, 2]
    assert empty.current(NAME).version == 2


REFUSALS: dict[str, tuple[object, str, str, list[str]]] = {
    "unknown model": (body(name="nobody"), "ModelNotFound", "Model not found", []),
    "name that is none": (body(name="../x"), "InvalidName", "is not allowed", []),
    "no training data": (
        {"name": NAME, "neural_network_type": "GRU"},
        "NoTrainingData",
        "No training data provided or training data is empty",
        [],
    ),
    "null": (
        body(training_data=None),
        "NoTrainingData",
        "No training data provided or training data is empty",
        [],
    ),
    "empty": (body(training_data=[]), "NoTrainingData", "No training data provided or training data is empty", []),
    "wrong rows": (
        body(
            training_data=[
                *small.json_rows(small.tickets(1))[:3],
                {"category": "a", "tokens": ["x", 5]},
                {"category": "a", "tokens": []},
            ]
        ),
        "InvalidInput",
        "training_data does not fit: 2 faults, listed",
        ["/training_data/3/tokens/1", "/training_data/4/tokens"],
    ),
    "one category": (body(training_data=[{"category": "a", "tokens": ["x"]}]), "InvalidInput", "one category", []),
    "wrong settings": (
        body(config={"epochs": 0, "lr": "fast", "epoch": 3}),
        "InvalidInput",
        "body does not fit: 3 faults, listed",
        ["/config/epochs", "/config/lr", "/config/epoch"],
    ),
    "unknown kind": (body(neural_network_type="LSTM"), "UnknownKind", "'LSTM' is unknown; known: GRU", []),
    "unknown field": (body(colour="red"), "InvalidInput", "1 fault", ["/colour"]),
    "rows are no array": (body(training_data={"a": 1}), "InvalidInput", "1 fault", ["/training_data"]),
    "no JSON": (b"{", "InvalidInput", "body does not fit", [""]),
    "no UTF-8": (b'{"name": "\xe9"}', "InvalidInput", "body does not fit", [""]),
    "nothing": (b"", "InvalidInput", "body does not fit", [""]),
    "deep": (b"[" * 100_000, "InvalidInput", "body does not fit", [""]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_wrong_job_is_refused_with_its_reason(empty: Store, case: str) -> None:
    """The result names our exception, the sentence and each fault by its pointer, and nothing is published."""
    content, error, detail, pointers = REFUSALS[case]
    folder = job(empty, content)

    result = run_job(folder)

    assert (result.outcome, result.error, result.version) == ("refused", error, 0)
    assert detail in result.detail
    assert [fault.pointer for fault in result.faults] == pointers
    assert result.num_faults == len(pointers)
    assert result == read_result(folder)
    assert empty.versions(NAME) == []


def test_the_sentences_of_the_seeds_are_kept_to_the_letter(empty: Store) -> None:
    """Clients compare them: nothing is added before or after."""
    assert run_job(job(empty, body(name="nobody"))).detail == "Model not found"
    assert run_job(job(empty, body(training_data=[]))).detail == "No training data provided or training data is empty"


def test_result_lists_at_most_20_faults_and_counts_all(empty: Store) -> None:
    """A body of a hundred wrong rows leaves a small result."""
    result = run_job(job(empty, body(training_data=[{"category": "a", "tokens": [1]}] * 100)))

    assert (len(result.faults), result.num_faults) == (20, 100)


def test_diverging_training_is_refused_with_the_remedy(empty: Store) -> None:
    """Settings that break the training are the request's fault, and the answer names lr; no NaN is published.

    AdamW multiplies each weight by 1 - lr x weight_decay a step, here by about -1,000,000.
    """
    result = run_job(job(empty, body(config={**TINY, "lr": 1000.0, "weight_decay": 1000.0, "batch": 1})))

    assert (result.outcome, result.error) == ("refused", "InvalidInput")
    assert "diverged in epoch" in result.detail
    assert "choose a smaller lr (it is 1000)" in result.detail
    assert empty.versions(NAME) == []


@pytest.mark.parametrize("crash", [ZeroDivisionError("by zero"), MemoryError(), RuntimeError("x" * 5000)])
def test_crash_inside_the_training_leaves_a_failed_result(
    empty: Store, monkeypatch: pytest.MonkeyPatch, crash: Exception
) -> None:
    """Whoever waits is told the reason, shortened; the traceback goes to the log; nothing is published."""

    def broken(*_: object, **__: object) -> None:
        raise crash

    monkeypatch.setattr(train, "train", broken)
    folder = job(empty, body())

    with pytest.raises(type(crash)):
        run_job(folder)

    result = read_result(folder)
    assert result is not None
    assert result.outcome == "failed"
    assert result.detail.startswith(f"{type(crash).__name__}: ")
    assert len(result.detail) <= 1000
    assert empty.versions(NAME) == []


def test_job_without_a_body_leaves_a_failed_result(empty: Store) -> None:
    """A folder that the server left half-made is ours to mend, and says so."""
    folder = new_job(empty)

    with pytest.raises(FileNotFoundError):
        run_job(folder)

    result = read_result(folder)
    assert result is not None
    assert result == JobResult("failed", result.detail)
    assert BODY in result.detail


def test_wrong_export_is_refused_and_nothing_is_published(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that differs from the network never becomes a version."""
    real: Callable[[TicketClassifier, float], bytes] = export.build
    monkeypatch.setattr(export, "build", lambda network, temperature: real(network, temperature * 3.0))

    result = run_job(job(empty, body()))

    assert result.outcome == "failed"
    assert "differs from PyTorch" in result.detail
    assert empty.versions(NAME) == []


# In a process of its own

WITHOUT_TORCH = """
import sys
from pathlib import Path
from trainer.run import run_job
for job in sys.argv[1:]:
    print(run_job(Path(job)).error)
heavy = {"torch", "onnx", "sklearn"} & sys.modules.keys()
assert not heavy, heavy
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with the project's folder as its working directory."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )


def test_wrong_job_is_refused_before_torch_is_imported(empty: Store) -> None:
    """Every refusal that needs no training is made in a process that has not loaded torch (seconds and 200 MB)."""
    folders = [str(job(empty, content)) for content, *_ in REFUSALS.values()]

    done = python("-c", WITHOUT_TORCH, *folders)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [error for _, error, *_ in REFUSALS.values()]


def test_job_runs_in_a_process_of_its_own(empty: Store) -> None:
    """`python -m trainer run JOB` trains, ends with status 0, and is silent on stdout; a refusal ends with status 1."""
    good, wrong = job(empty, body()), job(empty, body(name="nobody"))

    done, refused = python("-m", "trainer", "run", str(good)), python("-m", "trainer", "run", str(wrong))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (refused.returncode, refused.stderr) == (1, "")
    results = [read_result(folder) for folder in (good, wrong)]
    assert [result.outcome for result in results if result is not None] == ["trained", "refused"]


def test_training_of_a_server_that_is_gone_does_not_start(empty: Store) -> None:
    """A process whose parent is not the one that asked ends at once, without a result."""
    folder = job(empty, body())

    done = python("-m", "trainer", "run", str(folder), "--parent", "1")

    assert done.returncode == 1
    assert "the process that asked for this training has ended" in done.stderr
    assert read_result(folder) is None


def test_training_for_a_server_gives_way_to_it(empty: Store) -> None:
    """With --parent the process runs at the lowest priority; a training that is asked for by hand does not."""
    code = (
        "import os, sys; from trainer.run import behave_as_child; "
        "before = os.nice(0); behave_as_child(int(sys.argv[1])); print(before, os.nice(0))"
    )

    done = python("-c", code, str(os.getpid()))

    before, after = map(int, done.stdout.split())
    assert (before < 19, after) == (True, 19)
