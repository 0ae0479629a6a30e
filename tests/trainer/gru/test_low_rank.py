"""Tables of low rank: fitted in two ways, chosen by their size, trained, loaded, explained, and shown step by step."""

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from artifacts.networks.explain import explain
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.steps import steps
from artifacts.text.tickets import Ticket
from artifacts.text.vocabulary import Vocabulary, build_rows
from tests.trainer import small
from trainer.data.tickets import Rows, noticed
from trainer.gru import fit as gru
from trainer.gru import low_rank
from trainer.gru.ensemble import linear_choices
from trainer.gru.linear import Features, scores
from trainer.gru.low_rank import MAX_RANK, MIN_RANK, WAYS, Way, choose_rank, table_bytes
from trainer.kernels import margin
from trainer.kinds import Silent

pytestmark = pytest.mark.torch


def many(num_categories: int, num_each: int = 4) -> Rows:
    """Return tickets of many categories; each has two words of its own among words that all share."""
    shared = [f"commun{number}" for number in range(7)]
    tokens = [
        [shared[(one + category) % 7], f"sujet{category}", shared[one % 5], f"objet{category}"][: 2 + (one % 3)]
        for category in range(num_categories)
        for one in range(num_each)
    ]
    categories = [f"c{category:04d}" for category in range(num_categories) for _ in range(num_each)]
    return noticed([Ticket(category, one) for category, one in zip(categories, tokens, strict=True)], tokens)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_learns_more_categories_than_it_has_columns(way: Way) -> None:
    """Of 40 categories in 24 columns every training ticket is answered rightly; the same seed gives the same rows."""
    rows = many(40)
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 1000), 512)
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]
    features = Features(vocabulary, 100)

    (found,) = low_rank.fit(tickets, targets, features, 41, 24, [way])
    (again,) = low_rank.fit(tickets, targets, features, 41, 24, [way])

    assert found.words_VS.shape == (len(vocabulary), 24)
    assert found.grams_GS.shape == (513, 24)
    assert found.pairs_PS.shape == (100, 24)
    assert found.basis_RC is not None
    assert found.basis_RC.shape == (24, 41)
    assert {table.dtype for table in (found.words_VS, found.grams_GS, found.pairs_PS, found.basis_RC)} == {
        np.dtype(np.float32)
    }
    assert not found.words_VS[:2].any()  # the reserved rows
    assert not found.grams_GS[0].any()
    assert not found.pairs_PS[0].any()
    scores_NC = scores(found, tickets)
    assert (scores_NC.argmax(axis=1) == targets).mean() > 0.95
    assert (scores_NC.argmax(axis=1) < 40).all()  # the category without a ticket is never the answer
    np.testing.assert_array_equal(found.words_VS, again.words_VS)


def test_ridge_solves_its_equations() -> None:
    """With a code per category at right angles to all others, the scores are those of a ridge regression, in NumPy."""
    rows = many(6)
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 1000), 64)
    x_NF = Features(vocabulary, 0).counts([vocabulary.encode(tokens) for tokens in rows.tokens]).astype(np.float32)
    labels = sorted(rows.categories)
    targets_N = np.array([labels.index(ticket.expected) for ticket in rows.tickets])

    rows_FR, basis_RC, bias_C = low_rank.ridge(x_NF, targets_N, 6, 6, 0)

    dense_NF = x_NF.toarray().astype(np.float64)
    wanted_NC = np.eye(6)[targets_N] - 1 / 6
    dual_NN = dense_NF @ dense_NF.T + low_rank.PENALTY * np.eye(len(targets_N))
    expected_NC = dense_NF @ dense_NF.T @ np.linalg.solve(dual_NN, wanted_NC) + 1 / 6
    found_NC = (x_NF @ rows_FR @ basis_RC + bias_C) / low_rank.SHARPNESS
    np.testing.assert_allclose(found_NC, expected_NC, rtol=0, atol=1e-3)


def test_full_tables_are_cut_to_the_nearest_scores() -> None:
    """With a column a category nothing is lost; with fewer the scores are the nearest of that rank, by NumPy's SVD."""
    rows = many(6)
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 1000), 64)
    x_NF = Features(vocabulary, 0).counts([vocabulary.encode(tokens) for tokens in rows.tokens])
    labels = sorted(rows.categories)
    targets_N = np.array([labels.index(ticket.expected) for ticket in rows.tickets])

    full_NC, low_NC = (
        x_NF @ rows_FR @ basis_RC + bias_C
        for rows_FR, basis_RC, bias_C in (low_rank.projected(x_NF, targets_N, 6, rank, 0) for rank in (6, 3))
    )

    ((weights_FC, bias_C),) = margin.fit(x_NF, targets_N, 6, [low_rank.MARGIN_C])
    np.testing.assert_allclose(full_NC, x_NF @ weights_FC + bias_C, rtol=0, atol=1e-4)
    mean_C = full_NC.mean(axis=0)
    left_NR, sizes_R, right_RC = np.linalg.svd(full_NC - mean_C, full_matrices=False)
    np.testing.assert_allclose(low_NC, left_NR[:, :3] * sizes_R[:3] @ right_RC[:3] + mean_C, rtol=0, atol=1e-4)


def test_rank_is_the_largest_that_fits_within_its_limits() -> None:
    """Full tables where they fit; else a multiple of 16 that fits, 256 at most, 64 at least."""
    assert choose_rank(1000, 300, table_bytes(1000, 300)) == 0
    assert choose_rank(1000, 300, table_bytes(1000, 300) - 1) == MAX_RANK
    assert choose_rank(1000, 300, table_bytes(1000, 150)) == 144
    assert choose_rank(1000, 300, 1) == MIN_RANK
    assert choose_rank(1000, MIN_RANK, 1) == 0  # full tables are no larger


def test_size_is_said_before_training_and_the_budget_holds() -> None:
    """Of 70 categories the plan names rows, megabytes and columns; a version's settings keep the columns."""
    rows = many(70, 3)
    config = small.config(ngram_buckets=9000, max_table_mb=2, min_count=1)

    resolved = gru.resolved(config, rows)

    num_rows = gru.num_table_rows(resolved, rows)
    assert num_rows == len(build_rows(rows.tokens, 1, 50_000)) + 9001 + 100
    assert resolved.linear_rank == MIN_RANK
    assert gru.show_plan(resolved, rows) == [
        f"tables of the linear part: {num_rows} rows x 70 categories are 3 MB, max_table_mb is 2: low rank, "
        f"64 columns, {num_rows * 64 * 4 / 1e6:.0f} MB"
    ]
    assert gru.resolved(msgspec.structs.replace(config, max_table_mb=3), rows).linear_rank == 0
    assert gru.show_plan(gru.resolved(small.config(), rows), rows) == []  # 3 MB
    wide = small.config(ngram_buckets=50_000)
    assert gru.show_plan(gru.resolved(wide, rows), rows)[0].endswith("max_table_mb is 100: full tables")
    assert gru.resolved(small.config(linear_rank=70), rows).linear_rank == 0  # as many as categories: full


def test_choices_of_the_linear_part() -> None:
    """Of low rank each way is tried where tickets are kept out; one near C columns, or where C is set or none are."""
    low = small.config(linear_rank=8, linear_c=0.0)

    assert linear_choices(low, 32, None, True) == WAYS
    assert linear_choices(low, 11, None, True) == WAYS
    assert linear_choices(low, 10, None, True) == ("margin",)  # next to full tables
    assert linear_choices(low, 33, None, True) == ("softmax", "ridge")  # whose full tables may be too large
    assert linear_choices(low, 32, None, False) == ("softmax",)
    assert linear_choices(small.config(linear_rank=8, linear_c=1.0), 32, None, True) == ("softmax",)
    assert linear_choices(small.config(linear_rank=0, linear_c=0.0), 32, None, True) == (1.0, 0.3, 3.0)


@pytest.mark.parametrize("folds", [1, 2])
def test_version_of_low_rank_is_trained_loaded_explained_and_shown(folds: int) -> None:
    """All that a version is for works on tables of low rank: answers, token weights, and the steps in NumPy."""
    rows = many(30, 5)
    config = small.config(linear_rank=16, linear_c=0.0, epochs=2, folds=folds)

    fitted = gru.fit("many", rows, config, Silent(), None)

    assert isinstance(fitted.manifest, GruManifest)
    model = GruModel(fitted.manifest, fitted.files)
    encoded = [model.encode(tokens) for tokens in rows.tokens]
    predicted = [one.category for one in model.predict(encoded)]
    assert np.mean([said == one.expected for said, one in zip(predicted, rows.tickets, strict=True)]) > 0.9
    ticket = model.encode(["commun1", "sujet7", "inconnu"])
    explained = explain(model, ticket)
    assert explained.category == "c0007"
    assert max(explained.tokens, key=lambda token: token.weight).token == "sujet7"
    found = steps(model, fitted.files, ticket)
    assert found.differences.probabilities < 1e-5
    assert found.differences.logits < 1e-3
    assert len(found.linear.words[0]) == 30  # scores of categories, and not columns
    assert fitted.manifest.training["linear_rank"] == 16


def test_report_of_many_categories_holds_no_square_matrix() -> None:
    """Of over 500 categories the cells that are not 0 stand in the metrics, and the full matrix is left out."""
    targets_K = np.zeros(3, dtype=np.int64)

    assert gru.confusion_matrix(targets_K, np.eye(3, 501, dtype=np.float32)) is None
    small_matrix = gru.confusion_matrix(targets_K, np.eye(3, 4, dtype=np.float32))
    assert small_matrix is not None
    assert small_matrix[0] == [1, 1, 1, 0]


MEASURED = """
import resource
from tests.trainer.gru.test_low_rank import many
from tests.trainer import small
from trainer.gru import fit as gru
from trainer.kinds import Silent
config = small.config(ngram_buckets=20_000, pairs=20_000, max_table_mb=10, epochs=1, linear_c=1.0, refit=False)
rows = many(300, 3)
import torch, sklearn.svm, trainer.gru.export
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fitted = gru.fit("many", rows, config, Silent(), None)
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(fitted.files["model.onnx"]))
"""


def test_memory_follows_the_budget_and_not_the_categories() -> None:
    """Of 300 categories a training keeps to tables of 10 MB, adds under 400 MB and writes under 20 MB.

    With full tables the same training added 582 MB and wrote 49 MB; with 10 MB it added 219 MB and wrote 11 MB. In a
    process of its own, because a peak is the whole process's.
    """
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=600)

    before_kb, after_kb, model_bytes = map(int, done.stdout.split()[-3:])
    assert after_kb - before_kb < 400_000
    assert model_bytes < 20_000_000


def test_few_categories_are_resolved_without_counting_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 64 categories the tables are full whatever their size, so nothing is counted."""
    monkeypatch.setattr(gru, "num_table_rows", lambda *_: pytest.fail("counted"))

    assert gru.resolved(small.config(max_table_mb=1), many(MIN_RANK, 1)).linear_rank == 0
