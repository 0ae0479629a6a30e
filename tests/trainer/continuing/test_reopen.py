"""A graph that is taken apart again answers as it did, whatever the network is made of."""

import numpy as np
import pytest
import torch

from artifacts.arrays import Floats
from artifacts.networks.engines.weights import initializers
from tests.trainer import small
from trainer.continuing.reopen import Reopened, split
from trainer.gru import export
from trainer.gru.model import Mixture
from trainer.gru.train import logits

pytestmark = pytest.mark.torch

TEMPERATURE = 1.7
LABELS = ["a", "b", "c", "d", "e"]
CASES = [
    ({}, False, 40, 0),
    ({"grus": 2, "num_layers": 2, "hidden": 6}, False, 40, 0),
    ({"grus": 3, "bidirectional": False, "num_layers": 3, "embedding": 5}, False, 0, 0),
    ({"grus": 2}, True, 40, 0),
    ({"grus": 2}, True, 0, 3),
]


def mixture(changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int) -> Mixture:
    """Return a network of random weights."""
    settings = small.config(**changes)
    num_taught = small.NUM_TAUGHT if with_vectors else len(small.VOCABULARY)
    members = [small.network(settings, seed=seed, with_vectors=with_vectors) for seed in range(settings.grus)]
    return Mixture(members, small.fitted(num_pairs=num_pairs, num_taught=num_taught, rank=rank), 0.6, 1.3)


def reopened(graph: bytes) -> Reopened:
    """Return what the graph was made of."""
    members, linear = split(initializers(memoryview(graph)), small.VOCABULARY, len(LABELS))
    return Reopened(small.VOCABULARY, LABELS, members, linear, TEMPERATURE)


def answers(network: Mixture) -> Floats:
    """Return calibrated logits of ragged tickets, of which some words are unknown."""
    found = logits(network, small.ragged(32, 30), len(small.VOCABULARY), torch.device("cpu"))
    calibrated: Floats = (found / TEMPERATURE).numpy()
    return calibrated


@pytest.mark.parametrize(("changes", "with_vectors", "num_pairs", "rank"), CASES)
def test_reopened_network_has_the_logits_of_the_one_that_was_exported(
    changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int
) -> None:
    """GRUs and linear part, layers, directions, vectors, pairs and low rank: to 1e-5 of a logit."""
    network = mixture(changes, with_vectors, num_pairs, rank)

    found = reopened(export.build(network, TEMPERATURE))

    assert len(found.members) == small.config(**changes).grus
    np.testing.assert_allclose(answers(found.together()), answers(network), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("changes", "with_vectors", "num_pairs", "rank"), CASES)
def test_reopened_network_is_exported_as_the_same_graph(
    changes: dict[str, object], with_vectors: bool, num_pairs: int, rank: int
) -> None:
    """Every initialiser comes back, so that it can be reopened as often as one likes."""
    graph = export.build(mixture(changes, with_vectors, num_pairs, rank), TEMPERATURE)

    again = export.build(reopened(graph).together(), TEMPERATURE)

    before, after = (initializers(memoryview(one)) for one in (graph, again))
    assert before.keys() == after.keys()
    for name, weight in before.items():
        np.testing.assert_allclose(after[name].astype(float), weight.astype(float), rtol=1e-5, atol=1e-6, err_msg=name)


def test_word_is_unfolded_from_its_n_grams() -> None:
    """What is left of a known word's row is its own: trained further, the n-grams carry it to words like it."""
    network = mixture({}, False, 40, 0)

    found = reopened(export.build(network, TEMPERATURE))

    np.testing.assert_allclose(
        found.members[0].embedding.word.weight.detach(), network.first.embedding.word.weight.detach(), atol=1e-5
    )
