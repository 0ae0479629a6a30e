"""Training on the command line: what it prints, what it leaves in the store, how good it finds it, how it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import helper

from artifacts.kinds import KINDS
from artifacts.networks.gru_records import GruManifest, GruReport
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.cli.commands import SETTINGS, fit, last_line, puppet_train, refusal, written
from trainer import simple_nn
from trainer.config import TrainConfig
from trainer.run import evaluate, read_test_rows

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file of 40 tickets of four categories."""
    return written(tmp_path_factory.mktemp("data") / "tickets.jsonl", small.tickets(10))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Give a store with two versions of the model `m`, the first with two categories mixed up, and one untrained."""
    store = tmp_path_factory.mktemp("cli") / "store"
    first, second, *others = small.tickets(10).items()
    mixed = {first[0]: second[1], second[0]: first[1], **dict(others)}
    fit(written(store.parent / "mixed.jsonl", mixed), store)
    fit(data, store, "--set", "epochs=12")
    Store(store).create_model("new", "GRU")
    return store


# fit


def test_fit_prints_what_the_example_of_the_seeds_logs(tmp_path: Path, data: Path) -> None:
    """Total time, number of parameters, mean, minimum, maximum and final loss with the epochs, as in the report."""
    result = fit(data, tmp_path / "store")

    _, files = Store(tmp_path / "store").read_version("m", 1)
    report = msgspec.json.decode(files["report.json"], type=GruReport)
    losses = [epoch.loss for epoch in report.epochs]
    assert len(losses) == 3
    lines = result.stdout.splitlines()
    assert f"total training time: {report.seconds:.2f} s" in lines
    assert f"total number of parameters: {report.num_parameters}" in lines
    assert f"mean loss: {sum(losses) / 3:.4f}" in lines
    assert f"minimum loss: {min(losses):.4f}" in lines
    assert f"maximum loss: {max(losses):.4f}" in lines
    assert f"final loss after 3 epochs: {losses[-1]:.4f} (weights of epoch {report.best_epoch})" in lines
    assert lines[-1] == "published m version 1"


def test_fit_prints_the_validation_metrics(tmp_path: Path, data: Path) -> None:
    """Accuracy, macro F1, tickets and temperature stand in one line."""
    result = fit(data, tmp_path / "store")

    manifest, _ = Store(tmp_path / "store").read_version("m", 1)
    assert isinstance(manifest, GruManifest)
    assert (
        f"validation: accuracy {manifest.validation['accuracy']:.4f}, macro F1 {manifest.validation['macro_f1']:.4f} "
        f"on 8 tickets (always 'Accès utilisateur' 0.2500, chance 0.2500); "
        f"temperature {manifest.calibration.temperature:.3f}"
    ) in result.stdout.splitlines()


def test_fit_prints_the_settings_that_hold(tmp_path: Path, data: Path) -> None:
    """Every field is shown with its value, before the training."""
    result = fit(data, tmp_path / "store", "--set", "epochs=2")

    (line,) = (line for line in result.stdout.splitlines() if line.startswith("settings: "))
    assert line.count("=") == len(TrainConfig.__struct_fields__)
    assert "epochs=2, " in line


def test_json_is_the_last_line_of_stdout(tmp_path: Path, data: Path) -> None:
    """With --json one object ends stdout, and says what was published and how well it does on validation."""
    result = fit(data, tmp_path / "store", "--json")

    manifest, _ = Store(tmp_path / "store").read_version("m", 1)
    assert result.stdout.endswith("}\n")
    assert last_line(result.stdout) == {
        "name": "m",
        "version": 1,
        "accuracy": manifest.validation["accuracy"],
        "macro_f1": manifest.validation["macro_f1"],
        "num_unlabelled": 0,
        "num_faulty": 0,
        "num_empty": 0,
        "num_repaired": 0,
        "num_tickets": 8,
        "seconds": round(manifest.seconds, 3),
        "measured_on": "validation",
        "largest_share": 0.25,
        "chance": 0.25,
    }


def test_without_json_no_json_is_printed(tmp_path: Path, data: Path) -> None:
    """A person sees no object."""
    assert "{" not in fit(data, tmp_path / "store").stdout


def test_fit_prints_what_the_recipe_and_the_data_decide(tmp_path: Path, data: Path) -> None:
    """Where a setting was left open, the number that holds stands in the line, and not 0."""
    result = puppet_train(
        *("fit", data, "--name", "m", "--store", tmp_path / "store", "--recipe", "fast"),
        *("--set", "ngram_buckets=64", "--set", "epochs=1"),
    )

    (line,) = [line for line in result.stdout.splitlines() if line.startswith("settings: ")]
    assert "grus=1, " in line
    assert "recipe=fast, epochs=1, batch=16, " in line
    assert "refit=False, folds=4, " in line


def test_fit_with_test_file_ends_with_its_metrics(tmp_path: Path, data: Path) -> None:
    """--test measures the new version on that file, prints the table, and the JSON line has those numbers."""
    fresh = {name: [[*tokens, "encore"] for tokens in group] for name, group in small.tickets(2).items()}
    test = written(tmp_path / "test.jsonl", {**fresh, "Livraison": [["colis"]] * 4})

    result = fit(data, tmp_path / "store", "--test", test, "--json")

    evaluated = last_line(puppet_train("evaluate", test, "--name", "m", "--store", tmp_path / "store", "--json").stdout)
    line = last_line(result.stdout)
    assert line["measured_on"] == "test"
    assert [line[key] for key in ("accuracy", "macro_f1", "num_tickets")] == [
        *(evaluated["accuracy"], evaluated["macro_f1"], 12),
    ]
    assert line["accuracy"] != Store(tmp_path / "store").read_version("m", 1)[0].validation["accuracy"]
    assert re.search(
        r"^accuracy \d\.\d{4}, macro F1 \d\.\d{4}: \d+ of 12 right \(always 'Livraison' 0\.3333",
        result.stdout,
        re.MULTILINE,
    )


def test_fit_without_validation_has_no_accuracy(tmp_path: Path) -> None:
    """Two tickets make a model, null in the JSON line, and a sentence on what to do."""
    few = written(tmp_path / "few.jsonl", {"a": [["x"]], "b": [["y"]]})

    result = fit(few, tmp_path / "store", "--json")

    assert (last_line(result.stdout)["accuracy"], last_line(result.stdout)["macro_f1"]) == (None, None)
    assert "no validation: too few tickets to keep some out; measure on others with puppet-train evaluate\n" in (
        result.stdout
    )


def test_fit_again_makes_the_next_version(trained: Path) -> None:
    """The second fit of a name found the model there and published version 2, which serves."""
    assert Store(trained).versions("m") == [1, 2]
    assert Store(trained).current("m").version == 2


def test_config_file_is_read_and_set_wins(tmp_path: Path, data: Path) -> None:
    """The version records the file's value where --set says nothing, and the word's where both speak."""
    file = tmp_path / "settings.toml"
    file.write_text("hidden = 6\nembedding = 5\nepochs = 1\nngram_buckets = 32\nmin_count = 1\n")

    puppet_train(*("fit", data, "--name", "m", "--store", tmp_path / "store"), "--config", file, "--set", "embedding=7")

    training = Store(tmp_path / "store").read_version("m", 1)[0].training
    assert (training["hidden"], training["embedding"], training["epochs"]) == (6, 7, 1)
    assert training["lr"] == TrainConfig().lr


def test_store_comes_from_the_environment(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PUPPET_STORE names the store where --store does not."""
    monkeypatch.setenv("PUPPET_STORE", str(tmp_path / "elsewhere"))

    puppet_train("fit", data, "--name", "m", *SETTINGS)

    assert Store(tmp_path / "elsewhere").versions("m") == [1]


def test_fit_that_is_to_serve_only_if_better_says_why_it_does_not(tmp_path: Path, data: Path) -> None:
    """The new version is there, the old one serves, and the reason is one line."""
    fit(data, tmp_path / "store", "--set", "epochs=1")

    result = fit(data, tmp_path / "store", "--promote", "if_better")

    assert "undecided: 0 rows to compare on (8 were left out" in result.stdout
    assert result.stdout.splitlines()[-1] == "version 2 does not serve; puppet-train promote lets it"
    store = Store(tmp_path / "store")
    assert (store.versions("m"), store.serving("m")) == ([1, 2], 1)


def test_fit_shows_what_is_odd_in_the_data(tmp_path: Path) -> None:
    """Duplicates, conflicts, nearly empty tickets, categories too small to validate: counted before the training."""
    tickets = {"a": [["x", str(i)] for i in range(4)] + [["x", "0"]], "b": [["x", "1"]] * 3, "c": [["y"]]}

    result = fit(written(tmp_path / "odd.jsonl", tickets), tmp_path / "store")

    assert result.stdout.splitlines()[1:6] == [
        f"{tmp_path / 'odd.jsonl'}: 9 tickets in 3 categories",
        "  3 tickets repeat an earlier one; kept, on one side of the split",
        "  1 distinct tickets stand under more than one category; kept, look at them",
        "  1 tickets have fewer than 2 words; kept, look at them",
        "  2 categories have fewer than 3 distinct tickets; all are trained on, none validated: b, c",
    ]


def test_clean_data_is_one_line(tmp_path: Path, data: Path) -> None:
    """Where nothing is odd nothing is said of it, but for how the file was read."""
    lines = fit(data, tmp_path / "store").stdout.splitlines()

    assert lines[0].startswith(f"{data}: JSON Lines, UTF-8; category from 'category', text from 'tokens'")
    assert lines[1] == f"{data}: 40 tickets in 4 categories"
    assert lines[2].startswith("settings: ")


def test_categories_are_printed_as_they_are(tmp_path: Path) -> None:
    """Square brackets and colons in a category are letters, no markup and no emoji, wherever they are printed."""
    names = ("[/red]", "[bold]x", ":smile:", "b", "[link=x]y[/link]")
    data = written(tmp_path / "[data].jsonl", {name: [[f"mot{i}"]] for i, name in enumerate(names)})
    store = tmp_path / "store"

    fitted = fit(data, store, "--test", data)
    odd = written(tmp_path / "odd.jsonl", {"[/nowhere]": [["mot1"]], ":smile:": [["mot0"]]})
    evaluated = puppet_train("evaluate", odd, "--name", "m", "--store", store)

    for name in names:
        assert fitted.stdout.count(name) >= 2, "among the small categories, and in the table"
    assert f"{tmp_path / '[data].jsonl'}: 5 tickets in 5 categories" in fitted.stdout
    assert "the model has no category '[/nowhere]': its 1 tickets count as errors\n" in evaluated.stdout


# Refusals


def test_wrong_rows_are_listed_before_anything_is_trained(tmp_path: Path) -> None:
    """Faults of a kind are one line with three examples, all are counted, and the store is not touched."""
    path = tmp_path / "wrong.jsonl"
    path.write_text('{"category": "a", "tokens": ["x", 5]}\n' * 25)

    lines = refusal("fit", path, "--name", "m", "--store", tmp_path / "store")

    assert lines[0].startswith(f"error: {path} does not fit: 25 faults in 25 rows; correct them, or leave them out")
    assert lines[1].startswith("  25 rows: tokens: Expected `str`, got `int`; ")
    assert lines[1].endswith(" (line 1 'x 5'; line 2 'x 5'; line 3 'x 5'; ...)")
    assert lines[2:] == [
        "    --skip-faulty goes on without them, and counts them",
        "--faults FILE.csv lists them all",
    ]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        (None, (), "error: cannot read "),
        (b"", (), "error: No training data provided or training data is empty"),
        (b'{"category": "a", "tokens": ["x"]}', (), "error: all 1 tickets are of one category, 'a'"),
        (b"{}", ("--set", "epochs=-1"), "error: the training configuration does not fit"),
        (b"{}", ("--set", "epochs"), "error: --set epochs has no equals sign, expected field=value"),
        (b"{}", ("--config", "nowhere.toml"), "error: cannot read the configuration nowhere.toml"),
    ],
    ids=["missing", "empty", "one category", "setting", "no value", "no config"],
)
def test_refused_fit_creates_no_model(
    tmp_path: Path, content: bytes | None, more: Sequence[str], expected: str
) -> None:
    """What is wrong in the files or settings is one message, and no model is left behind, trained or not."""
    path = tmp_path / "data.jsonl"
    if content is not None:
        path.write_bytes(content)

    lines = refusal("fit", path, "--name", "m", "--store", tmp_path / "store", *more)

    assert expected in lines[0]
    assert not (tmp_path / "store" / "m").exists()


def test_wrong_test_file_is_refused_before_the_training(tmp_path: Path, data: Path) -> None:
    """A training is not begun whose measure at the end cannot be taken."""
    missing, empty = tmp_path / "none.jsonl", written(tmp_path / "empty.jsonl", {})

    assert "cannot read" in refusal("fit", data, "--name", "m", "--store", tmp_path / "s", "--test", missing)[0]
    assert (
        "empty.jsonl holds no ticket"
        in (refusal("fit", data, "--name", "m", "--store", tmp_path / "s", "--test", empty)[0])
    )
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--name", "Bad Name"), "error: model name 'Bad Name' is not allowed"),
        (("--name", "x", "--kind", "LSTM"), "error: neural_network_type 'LSTM' is unknown, known: GRU, SimpleNN"),
        (("--name", "x", "--set", "device=cuda"), "error: device is cuda, but this machine has none"),
    ],
)
def test_wrong_name_kind_and_device_are_refused(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], expected: str
) -> None:
    """Each with its sentence, and nothing is published."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    assert refusal("fit", data, "--store", tmp_path / "s", *arguments)[0].startswith(expected)
    assert not list((tmp_path / "s").glob("*/*/manifest.json"))


def test_store_that_is_a_file_is_refused(tmp_path: Path, data: Path) -> None:
    """A store that cannot be opened is named."""
    (tmp_path / "file").write_text("")

    assert "cannot be used" in refusal("fit", data, "--name", "m", "--store", tmp_path / "file")[0]


@pytest.mark.parametrize("arguments", [("fit",), ("fit", "x"), ("fit", "x", "--name", "m", "--colour"), ("paint",)])
def test_wrong_option_is_exit_status_2(arguments: Sequence[str]) -> None:
    """What click refuses is told apart from what we refuse."""
    assert "Usage:" in puppet_train(*arguments, status=2).stderr


def test_help_names_the_commands() -> None:
    """The commands of DESIGN section 7 that exist are listed; `run` and `check`, which only programs call, are not."""
    stdout = puppet_train("--help").stdout

    assert sorted(re.findall(r"^  (\w+) ", stdout.partition("Commands:")[2], re.MULTILINE)) == [
        *(
            "apply",
            "classify",
            "delete",
            "diff",
            "evaluate",
            "explain",
            "fit",
            "forget",
            "import",
            "inspect",
            "models",
            "promote",
            "prune",
            "report",
            "rollback",
            "sample",
            "steps",
            "verify",
            "versions",
            "work",
        ),
    ]


# evaluate


def test_evaluate_measures_the_serving_version(tmp_path: Path, trained: Path, data: Path) -> None:
    """The table has every category with its tickets, and the JSON line the version that serves and its numbers."""
    result = puppet_train("evaluate", data, "--name", "m", "--store", trained, "--json")

    line = last_line(result.stdout)
    opened = Store(trained)
    whole = evaluate(opened, "m", 2, read_test_rows(data, KINDS["GRU"]))
    expected = msgspec.json.decode(msgspec.json.encode(whole))
    assert expected.pop("model_name") == "m"
    assert line == expected | {
        "name": "m", "num_tickets": 40, "seconds": line["seconds"], "measured_on": "learnt",
        "num_unlabelled": 0, "num_faulty": 0, "num_empty": 0, "num_repaired": 0,
    }  # fmt: skip
    assert (line["name"], line["version"], line["measured_on"], line["num_tickets"]) == ("m", 2, "learnt", 40)
    assert "it has learnt from every one of these 40 rows, so what follows says nothing of others" in result.stdout
    assert f"accuracy {line['accuracy']:.4f}, macro F1 {line['macro_f1']:.4f}: " in result.stdout
    for category in small.TEMPLATES:
        assert re.search(rf"{category} .* 10 ", result.stdout), category


def test_evaluate_measures_the_version_that_is_asked_for(trained: Path, data: Path) -> None:
    """The first has two of the four categories mixed up."""
    first, second = (
        last_line(
            puppet_train("evaluate", data, "--name", "m", "--store", trained, "--version", number, "--json").stdout
        )
        for number in (1, 2)
    )

    assert (first["version"], second["version"]) == (1, 2)
    assert (first["accuracy"], second["accuracy"]) == (0.5, 1.0)


def test_a_category_that_the_model_lacks_counts_as_an_error(tmp_path: Path, trained: Path) -> None:
    """Its tickets are wrong, named, and in the denominator."""
    path = written(tmp_path / "test.jsonl", {"Livraison": [["colis"], ["perdu"]]})

    result = puppet_train("evaluate", path, "--name", "m", "--store", trained, "--json")

    assert "the model has no category 'Livraison': its 2 tickets count as errors" in result.stdout
    assert "accuracy 0.0000, macro F1 0.0000: 0 of 2 right" in result.stdout
    assert last_line(result.stdout)["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--name", "nobody"), "error: Model not found"),
        (("--name", "nobody", "--version", "1"), "error: Model not found"),
        (("--name", "../m", "--version", "1"), "error: model name '../m' is not allowed"),
        (("--name", "new"), "error: Model not trained yet"),
        (("--name", "m", "--version", "9"), "error: m version 9 cannot be read"),
        (("--name", "m", "--version", "0"), "error: m version 0 cannot be read"),
    ],
)
def test_evaluate_refuses_what_is_not_there(trained: Path, data: Path, arguments: Sequence[str], expected: str) -> None:
    """An unknown model, an untrained one and an unknown version have each their sentence."""
    assert refusal("evaluate", data, "--store", trained, *arguments)[0].startswith(expected)


def test_evaluate_refuses_a_file_without_tickets(tmp_path: Path, trained: Path) -> None:
    """There is nothing to measure on; training data is not what is missing."""
    path = written(tmp_path / "empty.jsonl", {})

    assert refusal("evaluate", path, "--name", "m", "--store", trained) == [
        f"error: {path} holds no ticket, expected at least 1 to measure on; add tickets to it, or give another file"
    ]


# verify


@pytest.fixture
def copy(tmp_path: Path, trained: Path) -> Path:
    """Give a copy of the store that may be damaged."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_verify_says_ok_of_every_version(trained: Path) -> None:
    """Each sound version is a line with its hash, and the serving one is marked."""
    store = Store(trained)

    lines = puppet_train("verify", "--name", "m", "--store", trained).stdout.splitlines()

    assert lines == [
        f"ok      m version 1, {store.read_version('m', 1)[0].sha256}",
        f"ok      m version 2, serves, {store.read_version('m', 2)[0].sha256}",
    ]


@pytest.mark.parametrize(
    "file", ["manifest.json", "model.onnx", "vocab.json", "labels.json", "golden.json", "report.json"]
)
def test_verify_refuses_a_flipped_bit(copy: Path, file: str) -> None:
    """One bit in any file of a version: exit status 1, the file or version named, and the other version still ok."""
    path = copy / "m" / "1" / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    lines = puppet_train("verify", "--name", "m", "--store", copy, status=1).stdout.splitlines()

    assert lines[0].startswith("REFUSED m version 1")
    assert file in lines[0]
    assert lines[1].startswith("ok      m version 2, serves, ")


@pytest.mark.parametrize("file", ["model.json", "current"])
def test_verify_refuses_a_flipped_bit_in_a_record(copy: Path, file: str) -> None:
    """The model's own records are checked as well."""
    path = copy / "m" / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    assert f"m/{file} " in refusal("verify", "--name", "m", "--store", copy)[0]


def test_verify_checks_one_version_if_asked(copy: Path) -> None:
    """A damaged version beside the one that is asked for does not matter, and one that is not there is refused."""
    (copy / "m" / "1" / "model.onnx").write_bytes(b"")

    puppet_train("verify", "--name", "m", "--store", copy, "--version", 2)
    puppet_train("verify", "--name", "m", "--store", copy, "--version", 1, status=1)
    puppet_train("verify", "--name", "m", "--store", copy, "--version", 3, status=1)


def test_verify_refuses_a_graph_with_foreign_operators(copy: Path) -> None:
    """A version whose hashes are right, because its writer made them, is still checked for what its graph may do."""
    store = Store(copy)
    manifest, files = store.read_version("m", 2)
    model = onnx.load_model_from_string(files["model.onnx"])
    model.graph.node.append(helper.make_node("Identity", ["probabilities"], ["copy"]))
    store.publish(manifest, {**files, "model.onnx": model.SerializeToString()})

    lines = puppet_train("verify", "--name", "m", "--store", copy, status=1).stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["ok", "ok", "REFUSED"]
    assert "Identity" in lines[2]


def test_verify_replays_the_golden_rows(copy: Path) -> None:
    """A version whose golden rows say something else than its graph answers is refused."""
    store = Store(copy)
    manifest, files = store.read_version("m", 2)
    first = store.read_version("m", 1)[1]
    store.publish(manifest, {**files, "golden.json": first["golden.json"]})

    lines = puppet_train("verify", "--name", "m", "--store", copy, "--version", 3, status=1).stdout.splitlines()

    assert "golden rows differ by" in lines[0]


@pytest.mark.parametrize(("name", "expected"), [("nobody", "Model not found"), ("new", "Model not trained yet")])
def test_verify_refuses_what_is_not_there(trained: Path, name: str, expected: str) -> None:
    """Nothing to check is no success."""
    assert refusal("verify", "--name", name, "--store", trained) == [f"error: {expected}"]


# A SimpleNN

SIMPLE = [word for setting in ("hidden=8", "epochs=30", "lr=0.02", "dropout=0") for word in ("--set", setting)]
PRICES = [(float(size), float(floor), 3000.0 * size + 5000.0 * floor) for size in range(20, 50, 3) for floor in (1, 2)]


def prices(path: Path) -> Path:
    """Return `path` with 20 flats, as JSONL or as a table whose first column is the target."""
    if path.suffix == ".csv":
        lines = ["Target;size;floor", *(f"{target};{size};{floor}" for size, floor, target in PRICES)]
    else:
        lines = [json.dumps({"features": [size, floor], "target": target}) for size, floor, target in PRICES]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with a trained SimpleNN `prices`."""
    folder = tmp_path_factory.mktemp("simple")
    data, name = prices(folder / "data.jsonl"), "prices"
    puppet_train("fit", data, "--name", name, "--store", folder / "store", "--kind", "SimpleNN", *SIMPLE)
    return folder / "store"


@pytest.mark.parametrize("file", ["data.csv", "data.jsonl"])
def test_simple_nn_is_trained_and_measured(tmp_path: Path, file: str) -> None:
    """`fit` and `evaluate` of numbers say what was read, the errors in the target's unit, and end with one object."""
    data, model = prices(tmp_path / file), ("--name", "prices", "--store", tmp_path / "store")

    fitted = puppet_train("fit", data, *model, "--kind", "SimpleNN", *SIMPLE, "--json")
    evaluated = puppet_train("evaluate", data, *model, "--json")

    manifest, _ = Store(tmp_path / "store").read_version("prices", 1)
    assert fitted.stdout.splitlines()[0].startswith(f"{data}: 20 rows of 2 features; target 10")
    assert last_line(fitted.stdout) == {
        "name": "prices",
        "version": 1,
        **manifest.validation,
        "seconds": round(manifest.seconds, 3),
        "measured_on": "validation",
    }
    assert manifest.validation.keys() == {"mae", "rmse", "r2", "num_tickets"}
    assert manifest.validation["num_tickets"] == 2
    line = last_line(evaluated.stdout)
    assert line.keys() == {
        *("name", "version", "mae", "rmse", "r2", "num_tickets", "seconds", "measured_on", "total_tests"),
        *("largest_errors", "clean", "learnt"),
    }
    assert (line["name"], line["version"], line["num_tickets"], line["measured_on"]) == ("prices", 1, 20, "learnt")
    assert line["clean"] == {"mae": None, "rmse": None, "r2": None, "num_tickets": 0}
    assert 0.0 < float(str(line["mae"])) <= float(str(line["rmse"]))
    shown = f"MAE {line['mae']:.4g}, RMSE {line['rmse']:.4g}, R2 {line['r2']:.4f} on 20 rows"
    assert evaluated.stdout.splitlines()[-2] == shown
    assert evaluated.stdout.splitlines()[0] == f"prices version 1 on {data}"


def test_table_and_json_lines_train_the_same(tmp_path: Path) -> None:
    """The order of the columns and the form of the file change nothing in the network."""
    for name in ("csv", "jsonl"):
        data = prices(tmp_path / f"data.{name}")
        puppet_train("fit", data, "--name", name, "--store", tmp_path / "store", "--kind", "SimpleNN", *SIMPLE)

    one, other = (Store(tmp_path / "store").read_version(name, 1)[0] for name in ("csv", "jsonl"))
    assert one.files["model.onnx"] == other.files["model.onnx"]


def test_fit_without_kind_takes_the_models(tmp_path: Path, simple: Path) -> None:
    """A model that exists knows its kind; the one that is asked for by its own name is the same."""
    shutil.copytree(simple, tmp_path / "copy")
    data = prices(tmp_path / "data.csv")

    puppet_train("fit", data, "--name", "prices", "--store", tmp_path / "copy", *SIMPLE)
    puppet_train("fit", data, "--name", "prices", "--store", tmp_path / "copy", "--kind", "SimpleNN", *SIMPLE)

    store = Store(tmp_path / "copy")
    assert [store.read_version("prices", n)[0].neural_network_type for n in (1, 2, 3)] == ["SimpleNN"] * 3


def test_fit_without_kind_makes_a_new_model_a_gru(trained: Path) -> None:
    """The kind of the seeds is the default."""
    assert Store(trained).read_model("m").neural_network_type == "GRU"


def test_fit_of_another_kind_than_the_models_is_refused(simple: Path, data: Path) -> None:
    """A model keeps its kind: the message names both, and nothing is published."""
    lines = refusal("fit", data, "--name", "prices", "--store", simple, "--kind", "GRU")

    assert lines == ["error: model prices is of neural_network_type SimpleNN, not GRU; name its own type"]
    assert Store(simple).versions("prices") == [1]


def test_setting_that_the_kind_lacks_names_the_known_ones(tmp_path: Path) -> None:
    """A GRU's setting is none of a SimpleNN's; no model is made."""
    data = prices(tmp_path / "data.csv")

    lines = refusal(
        *("fit", data, "--name", "p", "--store", tmp_path / "s", "--kind", "SimpleNN", "--set", "num_layers=1")
    )

    assert lines == [
        "error: the training configuration does not fit; correct the settings that are listed",
        f"  /num_layers: is an unknown field, expected one of {', '.join(simple_nn.Config.__struct_fields__)}; "
        "correct the name, or remove it",
    ]
    assert not (tmp_path / "s" / "p").exists()


def test_data_of_another_kind_is_refused(tmp_path: Path, simple: Path, data: Path) -> None:
    """Tickets are no cases, and cases are no tickets: each row is a fault, and no model is made."""
    lines = refusal("fit", data, "--name", "prices", "--store", simple)
    others = refusal("fit", prices(tmp_path / "data.jsonl"), "--name", "m", "--store", tmp_path / "s")

    assert lines[0].startswith(f"error: {data} does not fit: ")
    assert "has no column that is surely the category and none that is surely the text" in others[0]
    assert not (tmp_path / "s" / "m").exists()


def test_verify_accepts_a_simple_nn_and_refuses_a_foreign_operator(tmp_path: Path, simple: Path) -> None:
    """What is allowed is what this kind's graph needs: Sqrt, which a GRU's may hold, is refused here."""
    shutil.copytree(simple, tmp_path / "copy")
    store = Store(tmp_path / "copy")
    manifest, files = store.read_version("prices", 1)
    model = onnx.load_model_from_string(files["model.onnx"])
    model.graph.node.append(helper.make_node("Sqrt", ["features"], ["roots"]))
    store.publish(manifest, {**files, "model.onnx": model.SerializeToString()})

    lines = puppet_train("verify", "--name", "prices", "--store", tmp_path / "copy", status=1).stdout.splitlines()

    assert lines[0] == f"ok      prices version 1, {manifest.sha256}"
    assert lines[1] == "REFUSED model.onnx uses operators that are not allowed: Sqrt; build the graph from others"
    assert len(lines) == 2


def test_verify_replays_the_golden_rows_of_a_simple_nn(tmp_path: Path, simple: Path) -> None:
    """A version whose golden values are a hundredth off is refused."""
    shutil.copytree(simple, tmp_path / "copy")
    store = Store(tmp_path / "copy")
    manifest, files = store.read_version("prices", 1)
    golden = [{**row, "value": row["value"] * 1.01} for row in json.loads(files["golden.json"])]
    store.publish(manifest, {**files, "golden.json": json.dumps(golden).encode()})

    lines = puppet_train("verify", "--name", "prices", "--store", tmp_path / "copy", status=1).stdout.splitlines()

    assert "golden rows differ by" in lines[1]


def test_evaluate_refuses_rows_of_another_number_of_features(tmp_path: Path, simple: Path) -> None:
    """Rows that the model cannot take are refused with both numbers."""
    path = tmp_path / "three.csv"
    path.write_text("a,b,c,target\n1,2,3,4\n")

    (line,) = refusal("evaluate", path, "--name", "prices", "--store", simple)

    assert "has 3 features, the model was trained on 2; send as many, in the same order" in line


def test_too_few_rows_for_validation_say_so(tmp_path: Path) -> None:
    """Nine rows make a model without metrics: null in the object, and a sentence on what to do."""
    data = tmp_path / "few.csv"
    data.write_text("a,target\n" + "".join(f"{i},{i * i}\n" for i in range(9)))

    result = puppet_train(
        *("fit", data, "--name", "p", "--store", tmp_path / "s", "--kind", "SimpleNN", *SIMPLE, "--json")
    )

    assert last_line(result.stdout).items() >= {"mae": None, "rmse": None, "r2": None, "num_tickets": 0}.items()
    assert "no validation: too few rows to keep some out; measure on others with puppet-train evaluate\n" in (
        result.stdout
    )


# As a program of its own


def python_m_trainer(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m trainer`."""
    return subprocess.run(
        [sys.executable, "-m", "trainer", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
        check=False,
    )


def test_the_program_trains_on_the_sample(tmp_path: Path) -> None:
    """`sample`, then `fit --json`, as a person runs them: status 0, silent on stderr, the object last on stdout."""
    data, store = tmp_path / "sample.jsonl", tmp_path / "store"

    sampled = python_m_trainer("sample", data, "--num-tickets", 120)
    fitted = python_m_trainer("fit", data, "--name", "m", "--store", store, *SETTINGS, "--json")

    assert (sampled.returncode, sampled.stderr) == (0, "")
    assert (fitted.returncode, fitted.stderr) == (0, "")
    line = last_line(fitted.stdout)
    assert (line["version"], line["measured_on"]) == (1, "validation")
    assert 0.0 <= float(str(line["accuracy"])) <= 1.0
    assert 0.0 <= float(str(line["macro_f1"])) <= 1.0
    assert float(str(line["seconds"])) > 0.0
    assert Store(store).current("m").version == 1


def test_the_program_refuses_in_one_message(tmp_path: Path) -> None:
    """A missing file is one line on stderr and exit status 1."""
    done = python_m_trainer("fit", tmp_path / "none.jsonl", "--name", "m", "--store", tmp_path / "store")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: cannot read {tmp_path / 'none.jsonl'}: ")


def test_fit_learns_from_vectors_and_from_unlabelled_tickets(tmp_path: Path, data: Path) -> None:
    """Both are read before anything is trained, and what was found in them is said."""
    vectors = tmp_path / "small.vec"
    vectors.write_text("2 2\nfacture 1 0\nrechnung 0 1\n", "utf-8")
    more = tmp_path / "more.jsonl"
    more.write_text('{"text": "facture montant double"}\n', "utf-8")
    words = {token for tickets in small.tickets(10).values() for tokens in tickets for token in tokens}

    result = fit(data, tmp_path / "store", "--vectors", vectors, "--unlabelled", more, "--json")

    assert "1 further tickets without a category" in result.stdout
    assert f"pretrained vectors of 1 of the {len(words)} words, and of 1 others" in result.stdout
    assert "of the 1 tickets without a category" in result.stdout
    assert last_line(result.stdout)["version"] == 1


@pytest.mark.parametrize("option", ["--vectors", "--unlabelled"])
def test_what_a_kind_cannot_learn_from_is_refused(tmp_path: Path, option: str) -> None:
    """A SimpleNN learns from numbers; it says so before the file is opened, and leaves no store behind."""
    data = tmp_path / "flats.jsonl"
    data.write_text("".join(f'{{"features": [{n}], "target": {n}}}\n' for n in range(20)), "utf-8")
    store = tmp_path / "store"

    lines = refusal("fit", data, "--kind", "SimpleNN", "--name", "m", "--store", store, option, tmp_path / "missing")

    assert "a SimpleNN learns from labelled rows alone" in lines[0]
    assert not store.exists()


def test_minutes_are_a_setting_too(tmp_path: Path, data: Path) -> None:
    """`--minutes M` is `--set minutes=M`; too few are refused with what is needed."""
    lines = refusal("fit", data, "--name", "m", "--store", tmp_path / "store", "--minutes", "0.001")

    assert "of the 0.001 minutes 0 s are left; give more minutes" in lines[0]


def test_fit_includes_corrections(tmp_path: Path) -> None:
    """With the flag the model's corrections are trained on, beside DATA or alone; without them DATA is needed."""
    data, root = written(tmp_path / "data.jsonl", small.tickets(3)), tmp_path / "store"
    store = Store(root)
    store.create_model("m", "GRU")
    for number, (category, text) in enumerate([("Nouveau", "tout autre chose"), ("Facture", "facture lundi")]):
        feedback.add(store, "m", Correction(id=str(number), category=category, text=text), 10)

    beside = fit(data, root, "--include-feedback")
    alone = puppet_train("fit", "--name", "m", "--store", root, "--include-feedback", *SETTINGS)
    refused = puppet_train("fit", "--name", "m", "--store", root, *SETTINGS, status=2)

    assert "2 of them are corrections" in beside.output
    assert "the corrections of m: 2 tickets in 2 categories" in alone.output
    assert "Missing argument 'DATA'" in refused.output
    assert [store.read_manifest("m", version).num_feedback for version in (1, 2)] == [2, 2]
    assert (
        "No training data" in puppet_train("fit", "--name", "n", "--store", root, "--include-feedback", status=1).output
    )


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_output_that_is_no_utf8_lacks_characters_and_no_line(tmp_path: Path, encoding: str) -> None:
    """On a terminal or in a file of another encoding a character that it lacks is replaced; JSON stays whole."""
    data = tmp_path / "tickets.jsonl"
    category = "C\u0153ur de r\u00e9seau \u2014 acc\u00e8s"
    rows = [{"category": category, "tokens": [f"mot{i}", "\u0153uf"]} for i in range(5)]  # few, so that it is named
    rows += [{"category": "b", "tokens": [f"autre{i}"]} for i in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = subprocess.run(
        [sys.executable, "-m", "trainer", "inspect", str(data), "--json"],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert category in str(json.loads(done.stdout.splitlines()[-1]))
