"""A correction gets into the tables and heads as the sum that it is; new words and categories change no answer."""

import numpy as np
import pytest
import torch

from artifacts.arrays import Floats
from artifacts.text.vocabulary import Encoded
from tests.trainer import small
from tests.trainer.continuing.test_reopen import CASES, LABELS, TEMPERATURE, mixture, reopened
from trainer.continuing.features import Learning, widened
from trainer.continuing.reopen import Reopened
from trainer.gru import export
from trainer.gru.train import logits

pytestmark = pytest.mark.torch

FULL = [case for case in CASES if not case[3]]  # tables of low rank take no correction
WORDS = ("conntecter", "nouveau")  # which the vocabulary lacks
TICKETS = [
    ["connexion", "conntecter", "nouveau"],
    ["facture", "client"],
    ["nouveau", "inconnu", "été"],
    ["a"],
]


def opened(changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int) -> Reopened:
    """Return a version of random weights."""
    return reopened(export.build(mixture(changes, with_vectors, num_pairs, rank), TEMPERATURE))


def encoded(version: Reopened) -> list[Encoded]:
    """Return the tickets as the version reads them."""
    return [version.vocabulary.encode(tokens) for tokens in TICKETS]


def answers(version: Reopened) -> Floats:
    """Return calibrated logits of the tickets."""
    found = logits(version.together(), encoded(version), len(version.vocabulary), torch.device("cpu"))
    calibrated: Floats = (found / TEMPERATURE).numpy()
    return calibrated


@pytest.mark.parametrize(("changes", "with_vectors", "num_pairs", "rank"), FULL)
def test_new_words_and_categories_change_no_answer(
    changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int
) -> None:
    """A row for a word that was read by its n-grams begins as these; a new category is never the best one."""
    version = opened(changes, with_vectors, num_pairs, rank)

    wider = widened(version, WORDS, ["f", "g"], -30.0)

    assert wider.labels == [*LABELS, "f", "g"]
    assert not encoded(wider)[0].unknown
    np.testing.assert_allclose(answers(wider)[:, :5], answers(version), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answers(wider)[:, 5:], -30.0, atol=1e-4)


@pytest.mark.parametrize(("changes", "with_vectors", "num_pairs", "rank"), FULL)
def test_correction_in_the_tables_is_the_sum_over_tickets_that_are_alike(
    changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int
) -> None:
    """The logits are the serving ones + K A, whether a word is known, new, from a file of vectors, or unknown."""
    version = widened(opened(changes, with_vectors, num_pairs, rank), WORDS, ["f"], -3.0)
    learning = Learning(version, encoded(version))
    a_NC = np.random.default_rng(0).normal(size=(len(TICKETS), 6))

    found = learning.learnt(a_NC)

    np.testing.assert_allclose(learning.logits_NC, answers(version), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answers(found), learning.logits_NC + learning.alike() @ a_NC, rtol=1e-4, atol=1e-4)
    assert np.abs(answers(found) - answers(version)).max() > 0.1
    assert small.VOCABULARY.rows.items() <= found.vocabulary.rows.items()
