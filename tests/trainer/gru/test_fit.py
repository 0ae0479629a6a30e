"""The GRU's main path: checked tickets in, a trained network and its files out."""

import copy
import json
import platform
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from artifacts.errors import InvalidInput
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import TENSORS, GruManifest, GruReport, encoding
from artifacts.store.store import Store
from artifacts.text.vocabulary import Vocabulary
from tests.trainer import small
from tests.trainer.small import NAME, Recorder
from trainer import run
from trainer.config import TrainConfig
from trainer.curation import signal
from trainer.curation.vectors import Vectors
from trainer.data.files import RawRow
from trainer.data.tickets import Rows, check_rows, fingerprint, split
from trainer.gru import export, linear, train
from trainer.gru import fit as gru
from trainer.gru.ensemble import directions
from trainer.gru.linear import Linear
from trainer.gru.model import Mixture
from trainer.gru.show import show_abstention
from trainer.samples.synthetic import generate

pytestmark = pytest.mark.torch


def fit(
    store: Store, rows: Rows, config: TrainConfig, progress: Recorder | None = None
) -> tuple[GruManifest, GruReport]:
    """Train the model and publish it, and return its manifest and report as what they are."""
    manifest, report = run.fit(store, NAME, rows, config, progress)
    assert isinstance(manifest, GruManifest)
    assert isinstance(report, GruReport)
    return manifest, report


class Fitted(msgspec.Struct, frozen=True):
    """What one training left, and the network that it had in memory."""

    store: Store
    rows: Rows
    config: TrainConfig
    manifest: GruManifest
    report: GruReport
    network: Mixture


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
    networks: list[Mixture] = []
    with pytest.MonkeyPatch.context() as patch:
        real = export.export

        def spy(model: Mixture, vocabulary: Vocabulary, temperature: float) -> object:
            networks.append(copy.deepcopy(model))
            return real(model, vocabulary, temperature)

        patch.setattr(export, "export", spy)
        manifest, report = fit(store, rows, config)
    return Fitted(store, rows, config, manifest, report, networks[-1])


def test_published_version_answers_like_the_network(fitted: Fitted) -> None:
    """What the server will load gives every ticket the network's probabilities, at the temperature of the manifest."""
    model = GruModel(*fitted.store.read_version(NAME, 1))
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
    assert msgspec.json.decode(files["report.json"], type=GruReport) == fitted.report


@pytest.mark.parametrize("folds", [1, 2])
def test_profile_is_of_tickets_that_were_not_seen(empty: Store, folds: int) -> None:
    """Each ticket has a word of its own: to the network that had not seen it, it is unknown, though it is known now."""
    of_category = small.tickets(10)
    own = {name: [[*words, f"mot{name[0]}{i}"] for i, words in enumerate(group)] for name, group in of_category.items()}

    manifest, report = fit(empty, small.rows(own), small.config(epochs=1, folds=folds, min_count=1))

    profile = manifest.profile
    assert profile is not None
    assert profile.num_tickets == manifest.data.num_validation == sum(profile.categories.values())
    assert (profile.num_tickets, profile.unknown[0]) == (40 if folds == 2 else profile.num_tickets, 0)
    assert report.validation is not None
    of_answers = {name: of.precision for name, of in report.validation.per_category.items() if of.precision}
    assert set(of_answers) <= set(profile.categories)
    vocabulary = GruModel(*empty.read_version(NAME, 1)).vocabulary
    assert all(vocabulary.encode(words).unknown == [] for group in own.values() for words in group)
    found, _ = empty.read_version(NAME, 1)
    assert found.profile == profile


def test_manifest_says_how_the_version_was_made(fitted: Fitted) -> None:
    """Tensors, encoding, libraries, data, parity and validation stand in it; the job is None for `fit`."""
    manifest = fitted.manifest
    num_words = len(GruModel(*fitted.store.read_version(NAME, 1)).vocabulary)

    assert (manifest.neural_network_type, manifest.name, manifest.job) == ("GRU", NAME, None)
    assert manifest.tensors == TENSORS
    assert manifest.encoding == encoding(num_words, 64)
    assert set(manifest.libraries) == {"python", "numpy", "onnx", "onnxruntime", "torch", "scikit-learn"}
    assert manifest.libraries["numpy"] == np.__version__
    assert manifest.libraries["python"] == platform.python_version()
    assert torch.__version__.startswith(manifest.libraries["torch"])
    assert manifest.data == fingerprint(fitted.rows, len(split(fitted.rows, 0.25, 7)[1]))
    assert (manifest.data.num_tickets, manifest.data.num_duplicates, manifest.data.num_conflicts) == (42, 1, 1)
    assert 0.0 < manifest.parity.max_difference <= manifest.parity.tolerance
    assert manifest.seconds > 0.0
    assert set(manifest.files) == {"model.onnx", "vocab.json", "labels.json", "golden.json", "report.json"}


def test_settings_of_the_manifest_train_the_same_again(fitted: Fitted) -> None:
    """The record of the settings, read back from the disk, is the TrainConfig that was used, all of it decided."""
    found, _ = fitted.store.read_version(NAME, 1)

    assert msgspec.convert(found.training, TrainConfig) == msgspec.structs.replace(fitted.config, linear_rank=0)


def test_calibration_is_never_worse_than_none(fitted: Fitted) -> None:
    """The validation loss after the temperature is at most the one before, which is of both experts together."""
    calibration = fitted.manifest.calibration

    assert calibration.loss_before is not None
    assert calibration.loss_after is not None
    assert calibration.loss_after <= calibration.loss_before
    assert 0.0 <= calibration.linear_share < 1.0


def test_report_says_what_the_graph_answers(empty: Store) -> None:
    """Where nothing is trained again, the validation tickets get from the loaded version what the report says."""
    rows, config = small.rows(small.tickets(10)), small.config(epochs=3, seed=7, refit=False)
    manifest, report = fit(empty, rows, config)
    model = GruModel(*empty.read_version(NAME, 1))
    _, validation = split(rows, config.validation, config.seed)
    expected = [rows.tickets[i].expected for i in validation]
    predicted = [p.category for p in model.predict([model.encode(rows.tokens[i]) for i in validation])]
    counts = [[list(zip(expected, predicted, strict=True)).count((t, p)) for p in model.labels] for t in model.labels]

    assert report.confusion_matrix == counts
    assert report.validation is not None
    assert report.validation.correct_predictions == sum(counts[i][i] for i in range(4))
    assert manifest.validation == {
        "accuracy": report.validation.accuracy,
        "macro_f1": report.validation.macro_f1,
        "num_tickets": len(validation),
        "largest_share": max(Counter(expected).values()) / len(expected),
        "chance": pytest.approx(sum((n / len(expected)) ** 2 for n in Counter(expected).values())),
    }
    assert len(validation) == sum(map(sum, counts))
    rows_of = [rows.tickets[i] for i in validation]
    again = model.measure(rows_of, [model.encode(rows.tokens[i]) for i in validation])
    assert again.per_category == report.validation.per_category
    assert (again.ece, again.brier) == pytest.approx((report.validation.ece, report.validation.brier), abs=1e-4)
    assert [epoch.epoch for epoch in report.epochs] == list(range(1, len(report.epochs) + 1))


def test_report_has_each_expert_alone(fitted: Fitted) -> None:
    """On the same validation tickets as both together, so that a team sees what the GRU gains."""
    report = fitted.report

    assert report.validation is not None
    assert report.linear_validation is not None
    assert report.gru_validation is not None
    assert report.linear_validation.total_tests == report.gru_validation.total_tests == report.validation.total_tests
    assert len({msgspec.json.encode(one) for one in (report.linear_validation, report.gru_validation)}) == 2
    assert report.num_parameters == sum(weight.numel() for weight in fitted.network.members.parameters())


def test_folds_validate_every_ticket_once(empty: Store) -> None:
    """Each by networks that were not trained on it; then all of them teach, for the full number of epochs."""
    rows, recorder = small.rows(small.tickets(10)), Recorder()

    manifest, report = fit(empty, rows, small.config(folds=5, epochs=2), recorder)

    assert recorder.starts == [(32, 2, False)] * 5 + [(40, 2, True)]
    assert (manifest.data.num_train, manifest.data.num_validation) == (40, 40)
    assert report.validation is not None
    assert report.validation.total_tests == 40
    assert report.best_epoch == 2
    assert all(count == 10 for count in map(sum, report.confusion_matrix or []))


def test_linear_part_takes_the_c_that_validates_best(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three are tried on the tickets that were kept out, and the second training takes the chosen one at once."""
    tried: list[float] = []
    real = linear.fit

    def spy(*arguments: Any) -> list[Linear]:
        tried.extend(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(linear, "fit", spy)
    monkeypatch.setattr(signal, "follows_text", lambda *_: (True, None))  # which fits linear parts of its own

    fit(empty, small.rows(small.tickets(10)), small.config(epochs=1, linear_c=0.0))

    assert tried[:3] == [1.0, 0.3, 3.0]
    assert len(tried) == 4
    assert tried[3] in tried[:3]


def test_vocabulary_holds_training_words_only(empty: Store) -> None:
    """A word that only a validation ticket has gets no row before that ticket teaches too."""
    rows = small.rows({c: [[f"mot{c}{i}", f"commun{c}"] for i in range(8)] for c in "ab"})
    train_rows, validation_rows = split(rows, 0.25, 0)

    fit(empty, rows, small.config(epochs=1, refit=False))
    fit(empty, rows, small.config(epochs=1, refit=True))

    words, more = (set(GruModel(*empty.read_version(NAME, version)).vocabulary.rows) for version in (1, 2))
    assert words >= {token for i in train_rows for token in rows.tokens[i]}
    assert validation_rows
    assert not words & {rows.tokens[i][0] for i in validation_rows}
    assert more == words | {rows.tokens[i][0] for i in validation_rows}


def test_no_word_of_a_ticket_stands_in_the_golden_file(empty: Store) -> None:
    """With a minimum count of 2, what one person wrote is neither in the vocabulary nor in the golden tickets."""
    rows = small.rows({c: [["commun", f"secret{c}{i}"] for i in range(5)] for c in "ab"})

    fit(empty, rows, small.config(epochs=1, min_count=2))

    _, files = empty.read_version(NAME, 1)
    assert json.loads(files["vocab.json"]).keys() == {"<PAD>", "<UNK>", "commun"}
    assert not any(b"secret" in raw for raw in files.values())


def test_labels_are_sorted_categories(fitted: Fitted) -> None:
    """The order of the outputs does not depend on the order of the rows."""
    assert GruModel(*fitted.store.read_version(NAME, 1)).labels == sorted(small.TEMPLATES)


def test_same_rows_and_seed_give_the_same_graph(fitted: Fitted, empty: Store) -> None:
    """A second training of the same rows, seed and machine publishes bitwise the same weights and golden rows."""
    fit(empty, fitted.rows, fitted.config)

    one, other = fitted.store.read_version(NAME, 1)[0], empty.read_version(NAME, 1)[0]
    for file in ("model.onnx", "vocab.json", "labels.json", "golden.json"):
        assert one.files[file] == other.files[file]


def test_too_few_tickets_for_validation_are_trained_on(empty: Store) -> None:
    """Categories of one and two tickets train a model; the manifest says that nothing was validated."""
    rows = small.rows({"a": [["x", "y"]], "b": [["z", "w"], ["u"]]})

    manifest, report = fit(empty, rows, small.CONFIG)

    assert manifest.validation == {"accuracy": None, "macro_f1": None, "num_tickets": 0}
    assert manifest.data.num_validation == 0
    assert manifest.calibration.temperature == 1.0
    assert (report.validation, report.confusion_matrix) == (None, None)
    assert len(GruModel(*empty.read_version(NAME, 1)).predict([])) == 0


def test_vocabulary_without_words_trains(empty: Store) -> None:
    """Where no word comes twice, all tickets are read by their n-grams, and the version loads."""
    rows = small.rows({c: [[f"{c}{c}{i}"] for i in range(4)] for c in "ab"})

    fit(empty, rows, small.config(min_count=2))

    assert len(GruModel(*empty.read_version(NAME, 1)).vocabulary) == 2


def test_progress_is_told_of_start_steps_and_epochs(empty: Store) -> None:
    """The start comes once with the size of the training, each step with its tickets, each epoch as in the report."""
    recorder = Recorder()
    config = small.config(epochs=2, batch=10, patience=9, refit=False)

    _, report = fit(empty, small.rows(small.tickets(10)), config, recorder)

    assert recorder.starts == [(32, 2, False)]
    assert [step[:2] for step in recorder.steps if step[1] == 32] == [(1, 32), (2, 32)]
    assert len(recorder.steps) == 2 * 4
    assert recorder.epochs == report.epochs


def test_refit_trains_once_more_on_every_ticket(empty: Store) -> None:
    """With `refit` a second training of the best number of epochs takes all tickets; what was measured stays."""
    rows, first, second = small.rows(small.tickets(10)), Recorder(), Recorder()
    config = small.config(epochs=2, batch=10, patience=9, refit=False)

    alone, report = fit(empty, rows, config, first)
    both, again = fit(empty, rows, msgspec.structs.replace(config, refit=True), second)

    assert second.starts == [(32, 2, False), (40, again.best_epoch, True)]
    assert second.steps[: len(first.steps)] == first.steps
    assert second.steps[-1][:2] == (again.best_epoch, 40)
    assert (both.validation, both.calibration, again.validation) == (
        alone.validation,
        alone.calibration,
        report.validation,
    )
    assert both.files["model.onnx"] != alone.files["model.onnx"]


def test_threads_are_set(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`threads` reaches PyTorch, and is 1 unless it is set: waiting for a second made training 14 times slower."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)

    fit(empty, small.rows(small.tickets(1)), small.config(epochs=1, threads=3))

    assert set(asked) == {3}
    assert TrainConfig().threads == 1


def test_pytorch_is_told_to_be_deterministic(empty: Store) -> None:
    """Where PyTorch has a faster operation whose result varies, it takes the other one, or refuses."""
    torch.use_deterministic_algorithms(False)

    fit(empty, small.rows(small.tickets(1)), small.config(epochs=1))

    assert torch.are_deterministic_algorithms_enabled()


def test_missing_cuda_is_refused_with_the_remedy(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """device=cuda on a machine without one says what to set instead, and auto takes the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(InvalidInput, match="set device to auto or cpu"):
        fit(empty, small.rows(small.tickets(1)), small.config(device="cuda"))
    fit(empty, small.rows(small.tickets(1)), small.config(device="auto", epochs=1))


def test_vectors_give_rows_to_words_that_no_ticket_holds(empty: Store) -> None:
    """The vocabulary is that of the tickets and after it the file's; such a word is no longer unknown."""
    rows = small.rows(small.tickets(10))
    words = ["facture", "rechnung", "client"]
    vectors_ND = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    rows = msgspec.structs.replace(rows, vectors=Vectors(words, vectors_ND, 2, 3))

    manifest, _ = fit(empty, rows, small.config(epochs=2, grus=2))

    model = GruModel(*empty.read_version(NAME, 1))
    assert manifest.data.num_vectors == 3
    assert list(model.vocabulary.rows)[-1] == "rechnung"
    assert model.predict([model.encode(["rechnung"])])[0].unknown_tokens == []


def test_unlabelled_tickets_teach_where_the_experts_are_sure(empty: Store) -> None:
    """A word that only unlabelled tickets hold is learnt from what stands beside it; the manifest counts them."""
    rows, recorder = small.rows(small.tickets(10)), Recorder()
    more = [["facture", "payer", "montant", "double", "zblouf"]] * 3 + [["rien"]]
    rows = msgspec.structs.replace(rows, unlabelled=more)

    manifest, _ = fit(empty, rows, small.config(epochs=12, label_smoothing=0.0), recorder)

    assert (manifest.data.num_tickets, manifest.data.num_unlabelled) == (40, 4)
    assert 3 <= manifest.data.num_taken <= 4
    model = GruModel(*empty.read_version(NAME, 1))
    assert "zblouf" in model.vocabulary.rows
    assert model.predict([model.encode(["zblouf"])])[0].category == "Facture"
    assert [start[0] for start in recorder.starts] == [32, 40, 40 + manifest.data.num_taken]


def test_directions_are_centred_and_of_length_1() -> None:
    """What all words have in common is taken away; a vector that is just that stays 0."""
    found_ND = directions(np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]], dtype=np.float32))

    np.testing.assert_allclose(found_ND, [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])


def test_version_says_what_it_routes_by_itself(empty: Store) -> None:
    """Rule, coverage of each category and the trial out of scope are in the records, from the tickets kept out."""
    raw = (msgspec.json.encode({"category": name, "tokens": tokens}) for name, tokens in generate(500, 0))
    rows = check_rows([RawRow(row) for row in raw], "sample")
    config = small.config(epochs=6, out_of_scope=True, target=0.8, abstain=True)

    manifest, report = fit(empty, rows, config)

    rule = manifest.abstain
    assert rule is not None
    assert (rule.target, rule.by_default, rule.num_tickets) == (0.8, True, manifest.data.num_validation)
    assert rule.threshold is not None
    assert rule.accuracy == pytest.approx(0.8, abs=0.06)
    assert rule.accuracy is not None
    assert report.validation is not None
    assert rule.accuracy > report.validation.accuracy
    assert report.coverage is not None
    assert sum(one.num_tickets for one in report.coverage.values()) == rule.num_tickets
    routed = sum(one.coverage * one.num_tickets for one in report.coverage.values())
    assert routed == pytest.approx(rule.coverage * rule.num_tickets)
    assert report.out_of_scope is not None
    assert report.out_of_scope.auroc is not None
    lines = "\n".join(gru.show_validation(manifest, report))
    assert f"routes {rule.coverage:.1%} of tickets by itself, of which {rule.accuracy:.1%} are right (" in lines
    assert f"AUROC {report.out_of_scope.auroc:.3f}" in lines


def test_too_few_tickets_to_route_by_are_told(fitted: Fitted) -> None:
    """With ten tickets kept out there is no rule, and the terminal says what there is, what it takes, what to do."""
    assert fitted.manifest.abstain is None
    num_kept_out = fitted.manifest.data.num_validation
    said = "\n".join(gru.show_validation(fitted.manifest, fitted.report))
    assert f"{num_kept_out} were kept out of training, and it takes 50; give more tickets, 3 distinct ones" in said
    assert "or set folds=4" in said
    of_folds = show_abstention(None, None, 40, is_split=False)
    assert "folds" not in "\n".join(of_folds)


def test_prepared_tickets_have_labels_in_the_order_of_the_categories() -> None:
    """Whatever the order of the rows: labels are the sorted categories, targets their places, parts a split of all."""
    of_category = small.tickets(8)
    rows = small.rows(dict(reversed(of_category.items())))

    data = gru.prepare(rows, small.config(epochs=0, folds=2))

    assert data.labels == sorted(of_category)
    assert [data.labels[target] for target in data.targets] == [ticket.expected for ticket in rows.tickets]
    assert data.config.epochs == 30, "the settings are resolved"
    assert len(data.parts) == 2
    assert all(sorted(teaching + held_out) == list(range(32)) for teaching, held_out in data.parts)
    assert sorted(row for _, held_out in data.parts for row in held_out) == list(range(32))


def test_calibrated_answers_are_of_the_sum_of_both_sides() -> None:
    """They are softmax((w_gru gru + w_linear linear) / T); a side alone is neither weighted nor divided."""
    data = gru.prepare(small.rows(small.tickets(8)), small.config(epochs=2, folds=2))
    of_parts = gru.train_parts(data, data.parts, Recorder())

    held_out = gru.calibrate(data, of_parts)

    gru_KC, linear_KC = (torch.cat([getattr(one, side) for one in of_parts]) for side in ("gru_NC", "linear_NC"))
    mix, temperature = held_out.mix, held_out.calibration.temperature
    expected_KC = torch.softmax((gru_KC * mix.weight + linear_KC * mix.linear_weight) / temperature, dim=1)
    np.testing.assert_allclose(held_out.probabilities_KC, expected_KC.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(held_out.gru_KC, torch.softmax(gru_KC, dim=1).numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(held_out.linear_KC, torch.softmax(linear_KC, dim=1).numpy(), rtol=0, atol=1e-6)
    assert held_out.targets_K.tolist() == [data.targets[row] for row in held_out.rows]
    assert held_out.calibration.linear_share == mix.share
    assert held_out.probabilities_KC.shape == (32, 4)
    assert held_out.probabilities_KC.dtype == np.float32
