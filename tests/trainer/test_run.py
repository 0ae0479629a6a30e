"""From a file or a job to a published version; every end of a job is a result."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.errors import ArtifactRefused, InvalidFeatures, InvalidInput, ModelNotFound, ModelNotTrained
from artifacts.evaluation.metrics import ValueMetrics
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, EVENTS, RESULT, Ended, JobResult, read_result
from artifacts.jobs.request import Promotion
from artifacts.kinds import kind_named
from artifacts.networks.gru_records import GruReport
from artifacts.networks.learnt import seen
from artifacts.networks.simple_nn import Example, SimpleNNManifest, SimpleNNModel
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.files import written
from tests.trainer.job_bodies import NEED_ROWS, REFUSALS, body, claimed, folder_of
from tests.trainer.small import NAME
from trainer import run, simple_nn
from trainer.config import TrainConfig
from trainer.data.files import RawRow
from trainer.data.tickets import Rows
from trainer.gru import export, train
from trainer.gru import fit as gru
from trainer.gru.model import Mixture
from trainer.jobs.body import check_body
from trainer.jobs.process import Limits
from trainer.kinds import Fitted, trainer_of
from trainer.run import evaluate, fit, read_rows, run_job, with_feedback

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
    with pytest.raises(
        InvalidInput, match="has no column that is surely the category and none that is surely the text"
    ):
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


def test_job_trains_and_publishes(empty: Store) -> None:
    """A good body gives a version that serves and names its run, and the job has succeeded with the same numbers."""
    folder = claimed(empty, body())

    result = run_job(folder, 1)

    manifest, _ = empty.read_version(NAME, 1)
    assert result == read_result(folder)
    assert (result.outcome, result.model_name, result.version) == ("trained", NAME, 1)
    assert (result.validation, result.seconds) == (manifest.validation, manifest.seconds)
    assert (manifest.job, manifest.attempt) == (folder.name, 1)
    assert msgspec.convert(manifest.training, TrainConfig) == msgspec.structs.replace(small.CONFIG, linear_rank=0)
    assert empty.current(NAME).version == 1
    job = Jobs(empty).get(folder.name)
    assert (job.state, job.version, job.metrics) == ("succeeded", 1, manifest.validation)
    assert (job.seconds, job.error, job.faults) == (manifest.seconds, "", [])
    assert job.ended is not None


def test_version_that_is_not_to_serve_is_only_there(empty: Store) -> None:
    """`"promote": "never"` publishes a version, says so in the job, and leaves what serves as it is."""
    folder = claimed(empty, body(promote="never"))

    result = run_job(folder, 1)

    assert (result.outcome, result.version) == ("trained", 1)
    assert empty.versions(NAME) == [1]
    with pytest.raises(ModelNotTrained):
        empty.current(NAME)
    job = Jobs(empty).get(folder.name)
    assert (job.state, job.version, job.promote) == ("succeeded", 1, "never")


def test_version_that_is_not_to_serve_is_compared_for_whoever_decides(empty: Store) -> None:
    """With the one that serves, on rows that were kept out; what serves stays, whatever comes of it."""
    fit(empty, NAME, small.rows(small.tickets(10)), small.config(epochs=1))

    manifest, _ = fit(empty, NAME, small.rows(small.tickets(12)), small.config(epochs=1), promote="never")

    assert manifest.comparison is not None
    assert (manifest.comparison.against, manifest.comparison.measured_on) == (1, "validation")
    assert empty.serving(NAME) == 1


@pytest.mark.parametrize("keep", [True, False])
def test_body_stays_only_if_that_was_asked_for(empty: Store, keep: bool) -> None:
    """The tickets are gone once the version is there, unless the request says `"keep_data": true`."""
    folder = claimed(empty, body(keep_data=keep))

    run_job(folder, 1)

    assert (folder / BODY).exists() is keep
    assert {path.name for path in folder.iterdir()} - {BODY} == {EVENTS, RESULT}


def fenced(store: Store, folder: Path) -> None:
    """Check that a run was turned away: it says why, and nobody has ever seen a version."""
    result = read_result(folder)
    assert result is not None
    assert (result.outcome, result.error, result.version) == ("failed", "", 0)
    assert "was given up and publishes nothing" in result.detail
    assert store.versions(NAME) == []
    with pytest.raises(ModelNotTrained):
        store.current(NAME)


def test_job_that_is_to_be_cancelled_publishes_nothing(empty: Store) -> None:
    """A cancellation that comes before the last step wins, even if the worker has not ended the process yet."""
    folder = claimed(empty, body())
    jobs = Jobs(empty)
    jobs.request_cancel(folder.name)

    run_job(folder, 1)

    fenced(empty, folder)
    job = jobs.get(folder.name)
    assert (job.state, job.cancel_requested) == ("running", True)  # the worker says how it ended


@pytest.mark.parametrize("attempt", [0, 2])
def test_run_of_another_attempt_publishes_nothing(empty: Store, attempt: int) -> None:
    """A run that was replaced by another cannot publish beside it."""
    folder = claimed(empty, body())

    run_job(folder, attempt)

    fenced(empty, folder)
    assert Jobs(empty).get(folder.name).state == "running"


@pytest.mark.parametrize("state", ["interrupted", "cancelled", "failed"])
def test_job_that_was_given_up_while_it_trained_publishes_nothing(
    empty: Store, monkeypatch: pytest.MonkeyPatch, state: Ended
) -> None:
    """Whatever ended the job, its version never becomes visible, and its end stays as it was."""
    folder = claimed(empty, body())
    jobs = Jobs(empty)
    real = run.train

    def give_up(*arguments: Any, **named: Any) -> Fitted:
        fitted = real(*arguments, **named)
        assert jobs.finish(folder.name, 1, state, "given up")
        return fitted

    monkeypatch.setattr(run, "train", give_up)

    run_job(folder, 1)

    fenced(empty, folder)
    job = jobs.get(folder.name)
    assert (job.state, job.detail, job.version) == (state, "given up", None)


def test_number_of_a_version_that_was_turned_away_is_not_given_again(empty: Store) -> None:
    """The next job publishes, under the next number."""
    first = claimed(empty, body())
    run_job(first, 7)
    Jobs(empty).finish(first.name, 1, "failed")

    second = claimed(empty, body())

    assert run_job(second, 1).version == 2
    assert empty.versions(NAME) == [2]


# What is told meanwhile


def test_run_tells_how_it_goes(empty: Store) -> None:
    """The phases from the first on, what the data is, each epoch with numbers and time left, the training on all."""
    folder = claimed(empty, body(config={**TINY, "refit": True}))

    run_job(folder, 1)

    events = [event for _, event in Jobs(empty).read_events(folder.name)]
    # One more of the phase that goes on says how long the whole will take.
    phases = [event.phase for event in events if event.kind == "phase" and event.seconds_expected is None]
    assert phases == [
        *("read", "check", "linear", "network", "calibrate"),
        *("linear", "network", "export", "publish"),
    ]
    assert events[0].phase == "read"
    messages = [event for event in events if event.kind == "message"]
    assert [event.detail for event in messages] == [
        "16 tickets in 4 categories",
        "training on 12 rows",
        "training again on all 16 rows",
    ]
    assert messages[1].num_epochs == 3
    split = events.index(messages[2])
    epochs, again = ([event for event in some if event.kind == "epoch"] for some in (events[:split], events[split:]))
    assert [event.epoch for event in epochs] == [1, 2, 3]
    assert all((event.phase, event.num_epochs) == ("network", 3) for event in epochs)
    left = [event.seconds_left for event in (*epochs, *again)]
    assert all(seconds is not None and seconds >= 0.0 for seconds in left)
    assert left[-1] == 0.0
    for event in epochs:
        assert event.loss is not None
        assert event.validation_loss is not None
        assert event.validation_accuracy is not None
        assert event.tickets_per_s is not None
        assert event.tickets_per_s > 0
    assert [event.epoch for event in again] == list(range(1, len(again) + 1))
    assert all(event.loss is not None and event.validation_loss is None for event in again)  # nothing is measured


def test_events_hold_no_word_of_a_ticket(empty: Store) -> None:
    """Whoever may follow a training need not be one who may read its tickets."""
    folder = claimed(empty, body())

    run_job(folder, 1)

    told = (folder / EVENTS).read_text()
    words = {word for group in small.tickets(4).values() for tokens in group for word in tokens if len(word) > 4}
    assert not [word for word in words if word in told]


def test_job_compares_on_the_test_data_of_its_body(empty: Store) -> None:
    """The version and the job say what it came to; rows of the test data are not trained on."""
    fit(empty, NAME, small.rows(small.tickets(4)), small.config(epochs=1))
    asked = small.json_rows(small.tickets(10))
    folder = claimed(empty, body(test_data=asked, promote="if_better"))

    assert run_job(folder, 1).outcome == "trained"

    manifest = empty.read_manifest(NAME, 2)
    assert manifest.comparison is not None
    assert (manifest.comparison.measured_on, manifest.comparison.num_rows) == ("test_data", 24)
    assert manifest.comparison.num_left_out == 16
    assert manifest.comparison.detail.startswith("undecided: 24 rows to compare on (16 were left out that version 1 ")
    assert (manifest.comparison.num_seen_old, manifest.comparison.num_seen_new) == (16, 16)
    job = Jobs(empty).get(folder.name)
    assert (job.state, job.promote) == ("succeeded", "if_better")
    assert job.detail == f"{manifest.comparison.detail}; it does not serve"
    assert empty.serving(NAME) == 1


def test_report_of_a_version_tells_its_training_rows_again(empty: Store) -> None:
    """Every row, whether it was kept out at first or not, and no word of any."""
    rows = small.rows(small.tickets(4))

    _, report = fit(empty, NAME, rows, small.config(epochs=1))

    raw = empty.read_version(NAME, 1)[1]["report.json"]
    assert msgspec.json.decode(raw, type=GruReport) == report
    assert seen(rows.tickets, report.trained_on) == [True] * len(rows.tickets)
    assert not any(word.encode() in raw for word in ("rappel", "dossier", "bonjour"))


# Its refusals


@pytest.mark.parametrize(
    ("test_data", "pointers"),
    [([], []), ([{"category": "a", "tokens": []}], ["/test_data/0/tokens"]), ([{"tokens": ["a"]}], ["/test_data/0"])],
)
def test_test_data_that_does_not_fit_is_refused_before_training(
    empty: Store, monkeypatch: pytest.MonkeyPatch, test_data: list[object], pointers: list[str]
) -> None:
    """An hour of training would be lost otherwise; each fault has its pointer."""
    monkeypatch.setattr(run, "train", None)

    result = run_job(claimed(empty, body(test_data=test_data)), 1)

    assert (result.outcome, result.error) == ("refused", "InvalidInput")
    assert "test_data" in result.detail
    assert [fault.pointer for fault in result.faults] == pointers


def test_job_may_use_text_and_the_default_settings(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config` may be left out, and rows may have text."""
    used: list[TrainConfig] = []

    def spy(*arguments: object, **_: object) -> None:
        used.extend(argument for argument in arguments if isinstance(argument, TrainConfig))
        raise InvalidInput("not-valid", reason="far enough")

    monkeypatch.setattr(run, "train", spy)
    rows = [{"label": c, "email_text": "un texte"} for c in "ab"]
    content = body(training_data=rows)
    del content["config"]

    run_job(claimed(empty, content), 1)

    (config,) = used  # what the defaults are for four rows
    assert (config.recipe, config.epochs, config.grus) == ("default", 30, 2)


def test_job_trains_a_simple_nn(empty: Store) -> None:
    """A body of features and targets gives a version whose result has the metrics of its kind."""
    empty.create_model("numbers", "SimpleNN")
    rows = [{"features": case.features, "target": case.target} for case in CASES]
    content = body(name="numbers", neural_network_type="SimpleNN", training_data=rows, config={"epochs": 2})

    result = run_job(claimed(empty, content), 1)

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
        ([{"features": [1], "target": 3}], "there is 1 row, a regression needs at least 2", []),
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

    result = run_job(claimed(empty, content), 1)

    assert (result.outcome, result.error) == ("refused", "InvalidInput")
    assert expected in result.detail
    assert [fault.pointer for fault in result.faults] == pointers
    assert empty.versions("numbers") == []


def test_second_job_makes_the_next_version(empty: Store) -> None:
    """Versions are counted on, and the newest serves."""
    versions = [run_job(claimed(empty, body()), 1).version for _ in range(2)]

    assert versions == [1, 2]
    assert empty.current(NAME).version == 2


@pytest.mark.parametrize("case", REFUSALS)
def test_wrong_job_is_refused_with_its_reason(empty: Store, case: str) -> None:
    """The result names our exception, the sentence and each fault by its pointer, and nothing is published."""
    content, error, detail, pointers = REFUSALS[case]
    folder = folder_of(empty, content)

    result = run_job(folder, 1)

    assert (result.outcome, result.error, result.version) == ("refused", error, 0)
    assert detail in result.detail
    assert [fault.pointer for fault in result.faults] == pointers
    assert result.num_faults == len(pointers)
    assert result == read_result(folder)
    assert empty.versions(NAME) == []


def test_the_sentences_of_the_seeds_are_kept_to_the_letter(empty: Store) -> None:
    """Clients compare them: nothing is added before or after."""
    assert run_job(folder_of(empty, body(name="nobody")), 1).detail == "Model not found"
    assert (
        run_job(folder_of(empty, body(training_data=[])), 1).detail
        == "No training data provided or training data is empty"
    )


def test_result_lists_at_most_20_faults_and_counts_all(empty: Store) -> None:
    """A body of a hundred wrong rows leaves a small result."""
    result = run_job(claimed(empty, body(training_data=[{"category": "a", "tokens": [1]}] * 100)), 1)

    assert (len(result.faults), result.num_faults) == (20, 100)


def test_diverging_training_is_refused_with_the_remedy(empty: Store) -> None:
    """Settings that break the training are the request's fault, and the answer names lr; no NaN is published.

    AdamW multiplies each weight by 1 - lr x weight_decay a step, here by about -1,000,000.
    """
    result = run_job(claimed(empty, body(config={**TINY, "lr": 1000.0, "weight_decay": 1000.0, "batch": 1})), 1)

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
    folder = claimed(empty, body())

    with pytest.raises(type(crash)):
        run_job(folder, 1)

    result = read_result(folder)
    assert result is not None
    assert result.outcome == "failed"
    assert result.detail.startswith(f"{type(crash).__name__}: ")
    assert len(result.detail) <= 1000
    assert result.problem is not None
    assert result.problem.type == "job-crashed"
    assert empty.versions(NAME) == []


def test_job_without_a_body_leaves_a_failed_result(empty: Store) -> None:
    """A folder that the server left half-made is ours to mend, and says so."""
    folder = folder_of(empty, b"")
    (folder / BODY).unlink()

    with pytest.raises(FileNotFoundError):
        run_job(folder, 1)

    result = read_result(folder)
    assert result is not None
    assert result == JobResult("failed", result.detail, problem=result.problem)
    assert BODY in result.detail


def test_wrong_export_is_refused_and_nothing_is_published(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that differs from the network never becomes a version."""
    real: Callable[[Mixture, float], bytes] = export.build
    monkeypatch.setattr(export, "build", lambda network, temperature: real(network, temperature * 3.0))

    result = run_job(claimed(empty, body()), 1)

    assert result.outcome == "failed"
    assert "differs from PyTorch" in result.detail
    assert empty.versions(NAME) == []


# In a process of its own


WITHOUT_TORCH = """
import sys
from pathlib import Path
from trainer.jobs.body import check_body
from trainer.run import run_job
for job in sys.argv[1:]:
    refused = check_body(Path(job)).refusal
    print(run_job(Path(job), 1).error, refused.error if refused else "queued")
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
    folders = [str(folder_of(empty, content)) for content, *_ in REFUSALS.values()]

    done = python("-c", WITHOUT_TORCH, *folders)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{error} {'queued' if case in NEED_ROWS else error}" for case, (_, error, *_) in REFUSALS.items()
    ]


def test_job_runs_in_a_process_of_its_own(empty: Store) -> None:
    """`python -m trainer run JOB` trains, ends with status 0, and is silent; a refusal ends with status 1."""
    good, wrong = claimed(empty, body()), folder_of(empty, body(name="nobody"))
    words = ("--attempt", "1", "--parent", str(os.getpid()), "--limits", msgspec.json.encode(Limits()).decode())

    done, refused = (python("-m", "trainer", "run", str(folder), *words) for folder in (good, wrong))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (refused.returncode, refused.stderr) == (1, "")
    results = [read_result(folder) for folder in (good, wrong)]
    assert [result.outcome for result in results if result is not None] == ["trained", "refused"]
    assert Jobs(empty).get(good.name).state == "succeeded"


def test_training_of_a_worker_that_is_gone_does_not_start(empty: Store) -> None:
    """A process whose parent is not the one that asked ends at once, without a result."""
    folder = claimed(empty, body())

    done = python("-m", "trainer", "run", str(folder), "--attempt", "1", "--parent", "1", "--limits", "{}")

    assert done.returncode == 1
    assert "the process that asked for this training has ended" in done.stderr
    assert read_result(folder) is None
    assert (folder / BODY).exists()


def correct(store: Store, *corrections: tuple[str, str, str]) -> None:
    """Keep corrections of the model: id, category, text."""
    for id_, category, text in corrections:
        feedback.add(store, NAME, Correction(id=id_, category=category, text=text), 100)


def test_job_trains_on_corrections_when_it_is_told_to(empty: Store) -> None:
    """A correction's category is in the version that includes it, counted in the manifest, and in no other.

    Its id and text are in no file of the version; the posted row that it corrects is not trained on.
    """
    correct(empty, ("zwxqcanari", "Nouveau", "connexion impossible lundi expirer"), ("b", "Facture", "avoir double"))

    jobs = [claimed_and_run(empty, body(include_feedback=wanted, keep_data=True)) for wanted in (False, True)]

    without, with_them = (empty.read_version(NAME, job.version) for job in jobs)
    assert [manifest.num_feedback for manifest, _ in (without, with_them)] == [0, 2]
    labels = [msgspec.json.decode(files["labels.json"], type=list[str]) for _, files in (without, with_them)]
    assert ["Nouveau" in found for found in labels] == [False, True]
    assert msgspec.json.decode(msgspec.json.encode(with_them[0]))["data"]["num_tickets"] == 4 * 4 - 1 + 2
    held = [path for path in empty.root.rglob("*") if path.is_file() and b"zwxqcanari" in path.read_bytes()]
    assert held == [empty.root / NAME / feedback.DATABASE]


def claimed_and_run(store: Store, content: object) -> JobResult:
    """Return how a job with that body ends."""
    return run_job(claimed(store, content), 1)


@pytest.mark.parametrize("training_data", [[], None])
def test_corrections_alone_are_trained_on(empty: Store, training_data: list[object] | None) -> None:
    """Without a posted row the corrections must satisfy the same checks: there are some, of two categories."""
    wanted = body(include_feedback=True, training_data=training_data)
    refused = check_body(folder_of(empty, wanted)).refusal
    assert refused is not None
    assert refused.error == "NoTrainingData"

    correct(empty, ("1", "a", "le coffre"))
    with pytest.raises(InvalidInput, match="at least 2"):
        fit(empty, NAME, with_feedback(empty, NAME, kind_named("GRU"), None), small.CONFIG)
    correct(empty, ("2", "b", "un client"))

    assert claimed_and_run(empty, wanted).outcome == "trained"
    assert empty.read_manifest(NAME, 1).num_feedback == 2


# Categories that no text tells


def dealt(num_tickets: int, seed: int) -> Rows:
    """Return tickets of random words under random categories."""
    dice = random.Random(seed)
    words = ["alpha", "bravo", "charlie", "delta", "golf", "hôtel", "india", "kilo"]
    of_category: dict[str, list[list[str]]] = {"Haute": [], "Basse": []}
    for number in range(num_tickets):
        of_category[dice.choice(("Haute", "Basse"))].append([*dice.choices(words, k=6), f"n{number}"])
    return small.rows(of_category)


@pytest.mark.parametrize("promote", ["always", "if_better", "never"])
def test_version_of_random_categories_takes_the_place_of_none(empty: Store, promote: Promotion) -> None:
    """It is published and can be promoted by hand; the version that serves goes on."""
    fit(empty, NAME, small.rows(small.tickets(10)), small.config(epochs=1))

    manifest, report = fit(empty, NAME, dealt(160, 1), small.config(epochs=1), promote=promote)

    assert manifest.labels_follow_text is False
    assert (empty.versions(NAME), empty.serving(NAME)) == ([1, 2], 1)
    shown = trainer_of(kind_named("GRU")).show_validation(manifest, report)
    assert "warning: the categories do not follow from the text, so its answers are about chance" in shown[1]
    empty.promote(NAME, 2)
    assert empty.serving(NAME) == 2


@pytest.mark.parametrize(("promote", "serving"), [("always", 1), ("if_better", 1), ("never", None)])
def test_version_of_random_categories_serves_where_none_does(
    empty: Store, promote: Promotion, serving: int | None
) -> None:
    """A first training can be asked, with the warning; unless it was not to serve."""
    manifest, _ = fit(empty, NAME, dealt(160, 2), small.config(epochs=1), promote=promote)

    assert manifest.labels_follow_text is False
    assert empty.serving(NAME) == serving


def test_job_of_random_categories_says_why_it_does_not_serve(empty: Store) -> None:
    """Whatever it was asked for; its detail is what the one who waits is answered."""
    fit(empty, NAME, small.rows(small.tickets(10)), small.config(epochs=1))
    rows = [{"category": ticket.expected, "tokens": ticket.tokens} for ticket in dealt(160, 3).tickets]
    folder = claimed(empty, body(training_data=rows))

    assert run_job(folder, 1).outcome == "trained"

    assert (
        Jobs(empty)
        .get(folder.name)
        .detail.endswith(
            "the categories do not follow from the text, so its answers are about chance; see puppet-train inspect; "
            "it does not serve"
        )
    )
    assert empty.serving(NAME) == 1


def test_few_tickets_are_not_denied_a_signal(empty: Store) -> None:
    """Under 100 of them a version serves as ever."""
    fit(empty, NAME, small.rows(small.tickets(10)), small.config(epochs=1))

    manifest, _ = fit(empty, NAME, dealt(90, 4), small.config(epochs=1))

    assert manifest.labels_follow_text is None
    assert empty.serving(NAME) == 2
