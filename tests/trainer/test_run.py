"""From a file or a job to a published version; every end of a job is a result."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import ArtifactRefused, InvalidFeatures, InvalidInput, ModelNotFound
from artifacts.jobs import BODY, JobResult, new_job, read_result
from artifacts.kinds import kind_named
from artifacts.metrics import ValueMetrics
from artifacts.simple_nn import Example, SimpleNNManifest, SimpleNNModel
from artifacts.store import Store
from tests.trainer import small
from tests.trainer.files import written
from tests.trainer.small import NAME
from trainer import export, gru, simple_nn, train
from trainer.config import TrainConfig
from trainer.data import RawRow
from trainer.model import TicketClassifier
from trainer.run import evaluate, fit, read_rows, run_job

pytestmark = pytest.mark.torch


CASES = [Example([float(i), float(i % 3)], 2.0 * i) for i in range(12)]  # what a SimpleNN learns from


def of_numbers(cases: Sequence[Example]) -> simple_nn.Rows:
    """Return the cases as checked rows."""
    return simple_nn.check_rows([RawRow(msgspec.json.encode(case)) for case in cases], "test")


@pytest.mark.parametrize(
    ("name", "tickets", "error"),
    [("nobody", small.tickets(1), ModelNotFound), (NAME, {"a": [["x"], ["y"]]}, InvalidInput)],
)
def test_wrong_request_publishes_nothing(
    empty: Store, name: str, tickets: Mapping[str, Sequence[Sequence[str]]], error: type[Exception]
) -> None:
    """A missing model and a single category are refused, and no version is there."""
    with pytest.raises(error):
        fit(empty, name, small.rows(tickets), small.CONFIG)

    assert empty.versions(NAME) == []


def test_the_models_own_kind_decides_who_trains(empty: Store) -> None:
    """In one store each model is trained by the module that the table of kinds names for it, and told nobody else."""
    empty.create_model("numbers", "SimpleNN")

    of_tickets, _ = fit(empty, NAME, small.rows(small.tickets(1)), small.config(epochs=1))
    numbers, _ = fit(empty, "numbers", of_numbers(CASES), simple_nn.Config(epochs=1, hidden=4))

    assert [manifest.neural_network_type for manifest in (of_tickets, numbers)] == ["GRU", "SimpleNN"]
    assert type(numbers) is SimpleNNManifest
    assert set(empty.read_version("numbers", 1)[1]) == {"model.onnx", "golden.json", "report.json"}


def test_file_is_read_as_the_kind_reads_it(tmp_path: Path) -> None:
    """The same table is cases for the one kind and has no ticket for the other."""
    path = written(tmp_path, "data.csv", "size,target\n2,5\n3,7\n")

    rows = read_rows(path, kind_named("SimpleNN"))

    assert rows.tickets == [Example([2.0], 5.0), Example([3.0], 7.0)]
    with pytest.raises(InvalidInput, match="exactly one of category, label"):
        read_rows(path, kind_named("GRU"))


def test_graph_of_operators_that_are_not_allowed_is_not_published(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `verify` would refuse is refused before it becomes a version."""
    monkeypatch.setattr(gru, "OPERATORS", gru.OPERATORS - {"Softmax"})

    with pytest.raises(ArtifactRefused, match="operators that are not allowed: Softmax"):
        fit(empty, NAME, small.rows(small.tickets(1)), small.config(epochs=1))

    assert empty.versions(NAME) == []


def test_evaluation_names_the_version_and_measures_its_answers(empty: Store) -> None:
    """Each row's error is what the published graph answers less what the row expects."""
    empty.create_model("numbers", "SimpleNN")
    rows = of_numbers(CASES)
    for epochs in (1, 30):
        fit(empty, "numbers", rows, simple_nn.Config(epochs=epochs, hidden=8, lr=0.05, dropout=0.0, refit=False))
    model = SimpleNNModel(*empty.read_version("numbers", 1))

    found = evaluate(empty, "numbers", 1, rows)

    assert isinstance(found, ValueMetrics)
    values = [answer.value for answer in model.predict([model.encode(case.features) for case in CASES])]
    assert (found.model_name, found.version, found.total_tests) == ("numbers", 1, 12)
    assert found.mae == pytest.approx(sum(abs(v - c.target) for v, c in zip(values, CASES, strict=True)) / 12)
    second = evaluate(empty, "numbers", 2, rows)
    assert isinstance(second, ValueMetrics)
    assert second.mae < found.mae


def test_rows_that_do_not_suit_the_version_are_refused(empty: Store) -> None:
    """A row of another number of features than the version's is no row to measure on."""
    empty.create_model("numbers", "SimpleNN")
    fit(empty, "numbers", of_numbers(CASES), simple_nn.Config(epochs=1, hidden=4))

    with pytest.raises(InvalidFeatures, match="has 3 features, the model was trained on 2"):
        evaluate(empty, "numbers", 1, of_numbers([Example([1.0, 2.0, 3.0], 4.0)]))


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


def test_job_trains_a_simple_nn(empty: Store) -> None:
    """A body of features and targets gives a version whose result has the metrics of its kind."""
    empty.create_model("numbers", "SimpleNN")
    rows = [{"features": case.features, "target": case.target} for case in CASES]
    content = body(name="numbers", neural_network_type="SimpleNN", training_data=rows, config={"epochs": 2})

    result = run_job(job(empty, content))

    manifest, _ = empty.read_version("numbers", 1)
    assert (result.outcome, result.model_name, result.version) == ("trained", "numbers", 1)
    assert result.validation == manifest.validation
    assert manifest.validation.keys() == {"mae", "rmse", "r2", "num_tickets"}
    assert msgspec.convert(manifest.training, simple_nn.Config) == simple_nn.Config(epochs=2)


@pytest.mark.parametrize(
    ("training_data", "expected", "pointers"),
    [
        ([{"features": [1, 2], "target": 3}, {"features": [1], "target": 3}], "1 fault", ["/training_data/1/features"]),
        ([{"features": [], "target": 3}], "1 fault", ["/training_data/0/features"]),
        ([{"features": ["1"], "target": "3"}], "2 fault", ["/training_data/0/features/0", "/training_data/0/target"]),
        ([{"features": [1e101], "target": -1e101}], "2 f", ["/training_data/0/features/0", "/training_data/0/target"]),
        ([{"features": [1], "target": 3}], "there is 1 row; a regression needs at least 2", []),
        ([{"features": [1], "target": 3}, {"features": [2], "target": 3}], "all 2 rows have the target 3", []),
        ([{"features": [1], "target": 3}, {"features": [1], "target": 4}], "all 2 rows have the same features", []),
    ],
    ids=["number", "none", "text", "huge", "one row", "one target", "one case"],
)
def test_wrong_cases_of_a_job_are_refused_with_their_reason(
    empty: Store, training_data: Sequence[object], expected: str, pointers: Sequence[str]
) -> None:
    """Each fault has its pointer in the body, what teaches nothing its sentence, and nothing is published."""
    empty.create_model("numbers", "SimpleNN")
    content = body(name="numbers", neural_network_type="SimpleNN", training_data=training_data, config={})

    result = run_job(job(empty, content))

    assert (result.outcome, result.error) == ("refused", "InvalidInput")
    assert expected in result.detail
    assert [fault.pointer for fault in result.faults] == pointers
    assert empty.versions("numbers") == []


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
    "unknown kind": (body(neural_network_type="LSTM"), "UnknownKind", "'LSTM' is unknown; known: GRU, SimpleNN", []),
    "another kind": (
        body(neural_network_type="SimpleNN", training_data=[{"features": [1], "target": 2}], config={}),
        "KindMismatch",
        f"model {NAME} is of neural_network_type GRU, not SimpleNN; name its own kind",
        [],
    ),
    "settings of another kind": (
        body(config={"improvement_threshold": 0.1}),
        "InvalidInput",
        "body does not fit: 1 fault, listed",
        ["/config/improvement_threshold"],
    ),
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
